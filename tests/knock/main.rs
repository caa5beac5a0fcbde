//! Knocks at a control socket with a perfect greeting and prints how many bytes came back: run as another user.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// The daemon has five seconds for a greeting; it should not need one for a refusal.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let Some(socket) = std::env::args_os().nth(1) else { return ExitCode::from(2) };
    let Ok(mut stream) = UnixStream::connect(socket) else {
        println!("cannot connect");
        return ExitCode::from(3);
    };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    // A daemon that closes before it reads makes this fail, which is an answer too.
    let _ = stream.write_all(&alknet_tests::raw::hello(1, 1));
    let _ = stream.write_all(&alknet_tests::raw::ping(1));
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    println!("{} bytes, ended {}", answer.len(), if ended.is_ok() { "cleanly" } else { "by an error" });
    println!("{}", text.escape_debug());
    ExitCode::SUCCESS
}
