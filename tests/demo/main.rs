//! `cargo demo`: the real daemon and the real client at work, in half a minute, with nothing to set up.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a demo prints, and ends at the first surprise with a message and exit 1"
)]

mod show;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use alknet_tests::content::Content;
use alknet_tests::load::{connect, echoes_whole};
use alknet_tests::programs::programs;
use alknet_tests::socks::{Wanted, through};
use alknet_tests::targets::{self, Target};
use alknet_tests::{Peer, World};

use show::Show;

/// The demo ends by then, whatever happens.
const LIMIT: Duration = Duration::from_secs(30);
const PAGE: &str = "Hello from behind the SSH server!\n";

fn main() -> ExitCode {
    println!("building alknetd and alknetctl ...");
    let built = panic::catch_unwind(programs);
    if built.is_err() {
        return ExitCode::FAILURE;
    }
    end_after(LIMIT);
    // The message of a failed step is all that a person needs.
    panic::set_hook(Box::new(|info| eprintln!("\nthe demo failed: {}", show::message(info.payload()))));
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Ends the process with a failure when the demo hangs.
fn end_after(limit: Duration) {
    std::thread::spawn(move || {
        let (_never, wait) = mpsc::channel::<()>();
        let _ = wait.recv_timeout(limit);
        eprintln!("\nthe demo failed: it is not done after {} s", limit.as_secs());
        std::process::exit(1);
    });
}

/// What the demo runs on: all of it in one temporary folder and on this machine.
struct Stage {
    world: World,
    server: Peer,
    web: Target,
    echo: Target,
}

fn run() {
    let begin = Instant::now();
    let world = World::new();
    let server = Peer::start(&world, "prod");
    let stage = Stage { server, web: targets::http(PAGE), echo: targets::echo(), world };
    let mut show = Show::default();

    start(&stage, &mut show);
    local(&stage, &mut show);
    remote(&stage, &mut show);
    dynamic(&stage, &mut show);
    cut(&stage, &mut show);
    table(&stage, &mut show);
    stop(&stage, &mut show);

    let (facts, took) = (show.facts(), begin.elapsed());
    println!(
        "\n{facts} facts checked in {:.1} s; everything was in a temporary folder that is gone now.",
        took.as_secs_f64()
    );
    println!("\nOn a server of your own:\n");
    println!("    alknetd &");
    println!("    alknetctl add-forward YOUR-SERVER -L 8080:localhost:80 --wait");
    println!("    curl http://localhost:8080/\n");
}

fn start(stage: &Stage, show: &mut Show) {
    show.step("A server and a daemon");
    println!("    An SSH server, here in this program, on port {} of this machine: `prod`.", stage.server.port());
    println!("    A web server that only `prod` should reach, on port {}.", stage.web.port());
    show.typed("alknetd &");
    stage.world.start_with(&[], &[]);
    show.fact("the daemon takes commands", true);
    show.run(&stage.world, &["ping"]);
}

fn local(stage: &Stage, show: &mut Show) {
    show.step("A local forward: a port here leads to the web server there");
    let spec = format!("0:localhost:{}", stage.web.port());
    show.run(&stage.world, &["add-forward", "prod", "-L", &spec, "--name", "web", "--wait"]);
    let port = stage.world.port("web");
    show.typed(&format!("curl http://localhost:{port}/"));
    let page = get(port);
    print!("    {page}");
    show.fact("the page of the web server came through the forward", page == PAGE);
    let seen = stage.server.counts();
    show.fact("it came through SSH: one login, one channel", (seen.logins, seen.channels) == (1, 1));
}

fn remote(stage: &Stage, show: &mut Show) {
    show.step("A remote forward: a port of the server leads to a program here");
    let spec = format!("0:127.0.0.1:{}", stage.echo.port());
    show.run(&stage.world, &["add-forward", "prod", "-R", &spec, "--name", "back", "--wait"]);
    let port = stage.world.port("back");
    let sent = Content::bytes(1, 4 << 20);
    let whole = echoes_whole(connect(port), &sent).is_ok();
    show.fact("4 MiB went from the server to here and back, byte for byte", whole);
}

fn dynamic(stage: &Stage, show: &mut Show) {
    show.step("A dynamic forward: a SOCKS proxy that comes out at the server");
    show.run(&stage.world, &["add-forward", "prod", "-D", "0", "--name", "proxy", "--wait"]);
    let port = stage.world.port("proxy");
    show.typed(&format!("curl --proxy socks5h://localhost:{port} http://localhost:{}/", stage.web.port()));
    let page = ask(through(port, &Wanted::Name("localhost"), stage.web.port()));
    print!("    {page}");
    show.fact("the page came through the proxy", page == PAGE);
    let looked_up = format!("localhost:{}", stage.web.port());
    show.fact(
        "the name was looked up by the server, not here",
        stage.server.counts().targets.last() == Some(&looked_up),
    );
    show.fact("all three rules share one SSH session", stage.server.counts().logins == 1);
}

fn cut(stage: &Stage, show: &mut Show) {
    show.step("The link breaks");
    show.typed("alknetctl watch --json &");
    let mut watch = stage.world.watch();
    println!("    (the connection between daemon and server is reset)");
    let broken = Instant::now();
    stage.server.cut();
    let suspended = watch.until_forward("web", "suspended");
    show.event(&suspended.event);
    show.fact("the watcher saw the rule suspended, with a reason", suspended.event["reason"]["message"].is_string());
    let active = watch.until_forward("web", "active");
    show.event(&active.event);
    let took = active.at - broken;
    show.fact(&format!("and active again, {} ms after the cut, by itself", took.as_millis()), true);
    for name in ["back", "proxy"] {
        stage.world.wait_status(name, "active");
    }
    show.fact("the page comes again", get(stage.world.port("web")) == PAGE);
    let back = echoes_whole(connect(stage.world.port("back")), b"and back again").is_ok();
    show.fact("the server listens for us again", back);
}

fn table(stage: &Stage, show: &mut Show) {
    show.step("What there is now");
    show.run(&stage.world, &["list-forwards"]);
    let forwards = stage.world.forwards();
    show.fact("three rules, all active", forwards.len() == 3 && forwards.iter().all(|f| f["status"] == "active"));
}

fn stop(stage: &Stage, show: &mut Show) {
    show.step("A restart, and the end");
    show.typed("kill %1; alknetd &");
    stage.world.stop();
    stage.world.start_with(&[], &[]);
    stage.world.wait_status("web", "active");
    show.fact("every rule is back after a restart, on its port", get(stage.world.port("web")) == PAGE);
    show.run(&stage.world, &["remove-forward", "--all"]);
    show.fact("no rule is left", stage.world.forwards().is_empty());
    show.run(&stage.world, &["shutdown"]);
    let ended = stage.world.daemon_ends(Duration::from_secs(10));
    show.fact("the daemon ended in order", ended.success());
}

fn get(port: u16) -> String {
    ask(connect(port))
}

/// Asks a web server for its page and returns the page alone.
fn ask(mut stream: TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("the request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the whole answer comes");
    let (head, page) = answer.split_once("\r\n\r\n").expect("the answer is one of HTTP");
    assert!(head.starts_with("HTTP/1.0 200 "), "the web server says {head}");
    page.to_owned()
}
