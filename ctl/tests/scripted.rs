//! The real program against a daemon that answers from a script, over the real protocol.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end by a panic")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use alknet_proto::connection::{MessageReader, MessageWriter, welcome};
use alknet_proto::envelope::{Body, Envelope};
use alknet_proto::event::{ForwardChanged, ForwardRates, ForwardTraffic, Snapshot, Stats};
use alknet_proto::hello::Hello;
use alknet_proto::operation::ForwardRef;
use alknet_proto::{Code, Fault, ForwardStatus, Operation, Output, Status, StatusEvent, endpoint};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

#[path = "../src/sample.rs"]
#[expect(dead_code, reason = "the other samples are for the unit tests")]
mod sample;

/// Longer than anything here takes, shorter than anybody waits.
const LIMIT: Duration = Duration::from_secs(20);

/// A daemon that answers each operation with what a function says, until it is dropped.
struct Scripted {
    place: TempDir,
    serving: tokio::task::JoinHandle<()>,
}

type Script = fn(&Operation) -> Vec<Body>;

impl Scripted {
    fn start(script: Script) -> Self {
        let place = TempDir::new().unwrap();
        let listener = endpoint::listen(&socket(place.path())).unwrap();
        let serving = tokio::spawn(async move {
            let mut clients = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                clients.spawn(serve(stream, script));
            }
        });
        Scripted { place, serving }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alknetctl"));
        command.args(line.split_whitespace()).env_clear().env("ALKNET_SOCKET", socket(self.place.path()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, line: &str) -> Ended {
        let output = timeout(LIMIT, self.command(line).output()).await.expect("the program ends").unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn socket(place: &Path) -> PathBuf {
    place.join("alknetd.sock")
}

async fn serve(stream: endpoint::Stream, script: Script) {
    let (read_half, write_half) = tokio::io::split(stream);
    let (mut reader, mut writer) = (MessageReader::new(read_half), MessageWriter::new(write_half));
    welcome(&mut reader, &mut writer, &Hello::new("scripted", "0.0.0")).await.unwrap();
    while let Ok(Some(Envelope { id, body })) = reader.next().await {
        let Body::Requested(request) = body else { continue };
        for body in script(&request.operation) {
            if writer.send(&Envelope { id, body }).await.is_err() {
                return;
            }
        }
    }
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn answer(output: Output) -> Vec<Body> {
    vec![Body::Responded(output)]
}

fn snapshot(forwards: Vec<ForwardStatus>, more: bool) -> Body {
    let snapshot = Snapshot { seq: 7, forwards, sessions: Vec::new(), more };
    Body::Responded(Output::Event(StatusEvent::Snapshot(snapshot)))
}

fn changed(forward: &ForwardStatus, to: Status) -> Body {
    Body::Responded(Output::Event(StatusEvent::ForwardStatus(ForwardChanged {
        seq: 8,
        at: sample::NOW,
        id: forward.id,
        name: forward.name.clone(),
        from: forward.status,
        to,
        reason: sample::suspended(1, "x").reason,
        retry_at: Some(sample::at(1)),
        bind_port: forward.bind_port,
        attempt: 0,
    })))
}

fn web() -> ForwardStatus {
    sample::active("web")
}

fn db() -> ForwardStatus {
    sample::suspended(2, "db")
}

/// Two forwards on two pages; nothing changes.
fn quiet(operation: &Operation) -> Vec<Body> {
    match operation {
        Operation::ListForwards { after: None, .. } => answer(Output::Forwards { forwards: vec![web()], more: true }),
        Operation::ListForwards { after: Some(_), .. } => {
            answer(Output::Forwards { forwards: vec![db()], more: false })
        }
        Operation::Watch { stats_ms: Some(100), .. } => {
            vec![snapshot(vec![web()], true), snapshot(vec![db()], false), figures()]
        }
        Operation::Watch { .. } => vec![snapshot(vec![web()], true), snapshot(vec![db()], false)],
        Operation::AddForwards(specs) => {
            let forwards: Vec<ForwardStatus> = specs.iter().map(|_| db()).collect();
            answer(Output::Added { forwards, notices: vec!["port 8080 is open to other machines".to_owned()] })
        }
        Operation::RemoveForwards(_) => {
            let gone = |forward: ForwardStatus| ForwardRef { id: forward.id, name: forward.name, left_stopped: false };
            answer(Output::Changed(vec![gone(web()), gone(db())]))
        }
        Operation::RestartForwards(_) => {
            let reference = |f: ForwardStatus, left_stopped| ForwardRef { id: f.id, name: f.name, left_stopped };
            answer(Output::Changed(vec![reference(web(), false), reference(db(), true)]))
        }
        Operation::Ping | Operation::Shutdown => answer(Output::Done),
        _ => vec![Body::Error(Fault::new(Code::NotFound, "no forward matches `x`"))],
    }
}

fn figures() -> Body {
    let of = |forward: ForwardStatus| ForwardTraffic {
        id: forward.id,
        name: forward.name,
        stats: forward.stats,
        rates: ForwardRates {
            bytes_sent_per_second: 0,
            bytes_received_per_second: 12_900_000,
            connections_per_second: 0.5,
        },
    };
    let stats = Stats { at: sample::NOW, forwards: vec![of(web()), of(db())], interval_seconds: 0.1 };
    Body::Responded(Output::Event(StatusEvent::Stats(stats)))
}

/// `db` becomes active after the snapshot, `web` is lost.
fn lively(operation: &Operation) -> Vec<Body> {
    match operation {
        Operation::Watch { .. } => {
            vec![snapshot(vec![web(), db()], false), changed(&db(), Status::Active), changed(&web(), Status::Suspended)]
        }
        other => quiet(other),
    }
}

/// `web` fails while it is waited for.
fn hopeless(operation: &Operation) -> Vec<Body> {
    match operation {
        Operation::Watch { .. } => vec![snapshot(vec![sample::failed(1, "web")], false)],
        other => quiet(other),
    }
}

/// A person stopped `web`.
fn at_rest(operation: &Operation) -> Vec<Body> {
    match operation {
        Operation::Watch { .. } => vec![snapshot(vec![sample::forward(1, "web", Status::Stopped)], false)],
        other => quiet(other),
    }
}

/// The watch ends as it does when the daemon stops.
fn stopping(operation: &Operation) -> Vec<Body> {
    match operation {
        Operation::Watch { .. } => vec![snapshot(vec![web()], false), Body::Completed],
        other => quiet(other),
    }
}

#[tokio::test]
async fn a_list_has_every_page_and_every_field() {
    let daemon = Scripted::start(quiet);

    let ended = daemon.run("list-forwards --json").await;

    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.json(), serde_json::to_value([web(), db()]).unwrap());
    assert_eq!(daemon.run("ls -q").await.stdout, "web\ndb\n");
}

#[tokio::test]
async fn an_answer_is_written_in_one_piece() {
    let daemon = Scripted::start(quiet);
    for line in ["list-forwards", "list-forwards --json", "restart --all", "restart --all --json"] {
        let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let mut command = daemon.command(line);
        command.stdout(std::os::fd::OwnedFd::from(theirs)).stderr(Stdio::null());
        let status = timeout(LIMIT, command.status()).await.expect("the program ends").unwrap();
        drop(command);

        // A datagram for each write.
        ours.set_nonblocking(true).unwrap();
        let mut piece = vec![0; 1 << 16];
        let mut n_pieces = 0;
        while ours.recv(&mut piece).is_ok_and(|n_bytes| 0 < n_bytes) {
            n_pieces += 1;
        }

        assert!(status.success(), "{line}");
        assert_eq!(n_pieces, 1, "{line}");
    }
}

#[tokio::test]
async fn adding_says_what_came_of_it_and_what_to_know() {
    let daemon = Scripted::start(quiet);

    let ended = daemon.run("add-forward prod -L *:8080:localhost:80").await;

    assert_eq!(ended.stdout, "added db: 127.0.0.1:8080 -> localhost:80 via prod (suspended)\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "note: port 8080 is open to other machines\n"));
    assert_eq!(daemon.run("add prod -D 1 -q").await.stderr, "");
}

#[tokio::test]
async fn a_wait_that_runs_out_leaves_the_rule_and_says_which() {
    let daemon = Scripted::start(quiet);

    let ended = daemon.run("add-forward prod -L 8080:localhost:80 --wait=0.2 --json").await;

    let told = ended.json();
    assert_eq!((ended.code, &told["error"]["code"]), (Some(124), &json!("timed_out")));
    assert_eq!((&told["error"]["stage"], &told["forwards"][0]["name"]), (&json!("tcp"), &json!("db")));
    assert!(ended.stderr.contains("db is suspended: 10.0.0.1:22 did not answer within 10 s"), "{}", ended.stderr);
}

#[tokio::test]
async fn waiting_ends_as_soon_as_it_is_decided() {
    let daemon = Scripted::start(lively);
    assert_eq!(daemon.run("wait web db --for suspended --timeout 0.2").await.code, Some(124));
    assert_eq!(daemon.run("wait web db --for active --timeout 15").await.stdout, "web is active\ndb is active\n");
    assert_eq!(daemon.run("wait --all --for gone --timeout 0").await.code, Some(124));

    let daemon = Scripted::start(hopeless);
    let ended = daemon.run("wait web").await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("error: web cannot become active: prod shows another key"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_wait_for_a_stopped_forward_ends_at_once_and_says_how_to_start_it() {
    let ended = Scripted::start(at_rest).run("wait web --timeout 19").await;

    assert_eq!(ended.code, Some(3));
    assert_eq!(
        ended.stderr,
        "error: web is stopped, so it does not become active\n\nhint: `alknetctl start web` brings it back\n"
    );
    assert_eq!(Scripted::start(at_rest).run("wait web --for stopped").await.code, Some(0));
}

#[tokio::test]
async fn a_watch_until_a_state_ends_at_its_timeout_where_one_is_given() {
    let ended = Scripted::start(quiet).run("watch --json --until active --timeout 0.3").await;

    let told = ended.lines();
    assert_eq!((ended.code, &told[0]["event"]), (Some(124), &json!("snapshot")));
    assert_eq!(told[1]["error"]["code"], "timed_out");
    assert!(ended.stderr.starts_with("error: not active within 0.3 s: db is suspended: "), "{}", ended.stderr);
}

#[tokio::test]
async fn a_watch_ends_when_its_state_is_reached() {
    let ended = Scripted::start(lively).run("watch --json --until active").await;

    let words: Vec<Value> = ended.lines().iter().map(|line| line["event"].clone()).collect();
    assert_eq!((ended.code, words), (Some(0), vec![json!("snapshot"), json!("forward_status")]));
    assert_eq!(ended.lines()[1]["to"], "active");
}

#[tokio::test]
async fn a_watch_of_a_daemon_that_stops_fails() {
    let ended = Scripted::start(stopping).run("watch").await;

    assert_eq!(ended.code, Some(3));
    assert!(ended.stdout.ends_with("  web  active\n"), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("error: the daemon stops"), "{}", ended.stderr);
}

/// Starts a watch and reads its first line.
async fn watching(daemon: &Scripted) -> (Child, Value, BufReader<tokio::process::ChildStdout>) {
    let mut child = daemon.command("watch --json --stats=0.1").spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    timeout(LIMIT, stdout.read_line(&mut line)).await.expect("a line comes at once").unwrap();
    (child, serde_json::from_str(&line).unwrap(), stdout)
}

async fn code(mut child: Child) -> Option<i32> {
    timeout(LIMIT, child.wait()).await.expect("the program ends").unwrap().code()
}

fn figures_of(id: &str, name: &str) -> Value {
    json!({
        "id": id, "name": name,
        "stats": {
            "connections_active": 2, "connections_total": 7, "connections_refused": 1,
            "bytes_sent": 2048, "bytes_received": 5 << 20,
        },
        "rates": {
            "bytes_sent_per_second": 0, "bytes_received_per_second": 12_900_000, "connections_per_second": 0.5,
        },
    })
}

#[tokio::test]
async fn a_watch_merges_pages_flushes_lines_and_counts() {
    let daemon = Scripted::start(quiet);
    let (_child, first, mut stdout) = watching(&daemon).await;
    assert_eq!((&first["event"], &first["more"]), (&json!("snapshot"), &json!(false)));
    assert_eq!(first["forwards"].as_array().unwrap().len(), 2);

    let mut line = String::new();
    timeout(LIMIT, stdout.read_line(&mut line)).await.expect("counters come").unwrap();

    let stats: Value = serde_json::from_str(&line).unwrap();
    let expected = json!({
        "event": "stats", "at": "2026-01-31T12:00:00Z", "interval_seconds": 0.1,
        "forwards": [figures_of("9e3779b1", "web"), figures_of("3c6ef362", "db")],
    });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn a_watch_whose_reader_went_away_ends_quietly() {
    let daemon = Scripted::start(quiet);
    let mut child = daemon.command("watch").spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).await.unwrap();

    drop(stdout);

    assert_eq!(code(child).await, Some(0));
}

#[tokio::test]
async fn ctrl_c_ends_with_130() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let daemon = Scripted::start(quiet);
    let (child, _, _stdout) = watching(&daemon).await;
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap());

    kill(pid, Signal::SIGINT).unwrap();

    assert_eq!(code(child).await, Some(130));
}

#[tokio::test]
async fn removing_says_what_and_how_many() {
    let daemon = Scripted::start(quiet);

    let ended = daemon.run("remove-forward --all").await;

    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("removed web\nremoved db\n", "note: removed 2 forwards\n")
    );
    let named = |forward: ForwardStatus| json!({ "id": forward.id, "name": forward.name });
    assert_eq!(daemon.run("rm --all --json").await.json(), json!([named(web()), named(db())]));
}

#[tokio::test]
async fn restarting_says_what_was_left_stopped() {
    let daemon = Scripted::start(quiet);

    let ended = daemon.run("restart --all").await;

    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "restarted web\n"));
    assert_eq!(
        ended.stderr,
        "note: restarted 1 forwards\nnote: db is stopped and was left so; `alknetctl start db` brings it back\n"
    );
    let told = daemon.run("restart --all --json").await.json();
    assert_eq!((&told[0].get("left_stopped"), &told[1]["left_stopped"]), (&None, &json!(true)));
}

#[tokio::test]
async fn a_fault_of_the_daemon_decides_the_exit_code() {
    let ended = Scripted::start(quiet).run("show x --json").await;

    assert_eq!((ended.code, &ended.json()["error"]["code"]), (Some(4), &json!("not_found")));
    assert_eq!(ended.stderr, "error: no forward matches `x`\n");
}

#[tokio::test]
async fn a_daemon_that_does_not_go_is_waited_for_no_longer_than_allowed() {
    let daemon = Scripted::start(quiet);

    let ended = daemon.run("shutdown --timeout 0.3").await;

    assert_eq!(ended.code, Some(124));
    assert!(daemon.run("ping").await.stdout.starts_with("alknetd answers in "));
}
