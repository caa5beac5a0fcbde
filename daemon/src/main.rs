//! The program alknetd.

use std::process::ExitCode;

fn main() -> ExitCode {
    alknetd::start::main()
}
