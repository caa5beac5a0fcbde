//! The control program of alknetd: asks, prints, and ends with a code that scripts can read.

mod args;
mod client;
mod commands;
mod compare;
mod exit;
mod goal;
mod history;
mod import;
mod json;
mod openssh;
mod printer;
mod render;
#[cfg(test)]
mod sample;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use alknet_proto::{Code, Fault, words};

use args::{Asked, Cli};
use client::Address;
use exit::{Exit, Failure};
use printer::Printer;

fn main() -> ExitCode {
    end_when_interrupted();
    let args: Vec<OsString> = std::env::args_os().collect();
    let (asked, json, color) = args::read(&args);
    let quiet = matches!(&asked, Asked::Command(cli) if cli.global.quiet);
    let mut printer = Printer::new(color.into(), json, quiet);

    // A defect of ours is told like any other failure, not as a trace of the stack.
    std::panic::set_hook(Box::new(|_| {}));
    let done = catch_unwind(AssertUnwindSafe(|| answer(asked, &mut printer)));
    let exit = match done {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => printer.failure(&failure),
        Err(_) => printer.failure(&defect().into()),
    };
    exit.into()
}

fn answer(asked: Asked, printer: &mut Printer) -> Result<Exit, Failure> {
    match asked {
        Asked::Command(cli) => run(*cli, printer),
        Asked::Text(text) => {
            printer.text(&text)?;
            Ok(Exit::Done)
        }
        Asked::Nothing(help) => {
            printer.help(&help);
            Ok(Exit::Usage)
        }
        Asked::Impossible(fault) => Err(fault.into()),
    }
}

/// One thread is enough for a program that mostly waits.
fn run(cli: Cli, printer: &mut Printer) -> Result<Exit, Failure> {
    let address = Address::new(&cli.global, std::env::var_os("ALKNET_SOCKET"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Fault::new(Code::Internal, format!("cannot begin: {}", words::of_io(&error)))
            .with_hint("the system is short of something, often of file descriptors: see `ulimit -n`")
    })?;
    runtime.block_on(commands::run(cli.command, &address, printer))
}

/// Ctrl-C ends the program in any state, even while it writes to somebody who does not read.
fn end_when_interrupted() {
    let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let code = Exit::Interrupted as i32;
    // Without it the signal ends the program all the same, only with another code.
    let _ = signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGINT, code, always);
}

fn defect() -> Fault {
    Fault::new(Code::Internal, "alknetctl has a defect and stopped")
        .with_hint("please report it, with the command line and the output of `alknetctl version`")
}
