use std::sync::Arc;

use proptest::prelude::*;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;

/// Nothing here takes that long, unless it is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// The far end of a pretended channel.
struct Target {
    says: mpsc::Sender<Received>,
    hears: mpsc::UnboundedReceiver<Received>,
}

struct PretendedSource {
    said: mpsc::Receiver<Received>,
    over: CancellationToken,
}

struct PretendedSink {
    heard: mpsc::UnboundedSender<Received>,
    over: CancellationToken,
}

impl Source for PretendedSource {
    async fn next(&mut self) -> Received {
        tokio::select! {
            biased;
            said = self.said.recv() => said.unwrap_or(Received::Closed),
            () = self.over.cancelled() => Received::Closed,
        }
    }
}

impl Sink for PretendedSink {
    async fn write(&mut self, data: Bytes) -> bool {
        !self.over.is_cancelled() && self.heard.send(Received::Data(data)).is_ok()
    }

    async fn finish(&mut self) -> bool {
        !self.over.is_cancelled() && self.heard.send(Received::Eof).is_ok()
    }
}

/// What a channel holds for a reader that does not come.
const N_QUEUED: usize = 8;

impl Target {
    async fn say(&self, text: impl Into<Bytes>) {
        self.says.send(Received::Data(text.into())).await.unwrap();
    }

    async fn end(&self) {
        self.says.send(Received::Eof).await.unwrap();
    }

    /// Everything up to the end, and whether it was an end.
    async fn hear(&mut self) -> (Vec<u8>, bool) {
        let mut heard = Vec::new();
        loop {
            match self.hears.recv().await {
                Some(Received::Data(chunk)) => heard.extend_from_slice(&chunk),
                Some(Received::Eof) => return (heard, true),
                Some(Received::Closed) | None => return (heard, false),
            }
        }
    }
}

struct World<S> {
    client: S,
    target: Target,
    over: CancellationToken,
    cut: CancellationToken,
    counters: Arc<ForwardCounters>,
    relay: JoinHandle<End>,
}

impl<S> World<S> {
    fn around(client: S, local: LocalStream, spill_bytes: usize) -> Self {
        let (says, said) = mpsc::channel(N_QUEUED);
        let (heard, hears) = mpsc::unbounded_channel();
        let over = CancellationToken::new();
        let source = PretendedSource { said, over: over.clone() };
        let sink = PretendedSink { heard, over: over.clone() };
        let cut = CancellationToken::new();
        let counters = Arc::new(ForwardCounters::default());
        let relay = tokio::spawn({
            let (over, cut, counters) = (over.clone(), cut.clone(), counters.clone());
            async move {
                let (early, listens) = (Bytes::new(), Listens::Here);
                let relay = Relay { local: &local, early, listens, counters: &counters, over: &over, spill_bytes };
                let end = tokio::select! {
                    () = cut.cancelled() => End::CutShort,
                    end = relay.run(source, sink) => end,
                };
                end.pass_on(local);
                end
            }
        });
        World { client, target: Target { says, hears }, over, cut, counters, relay }
    }

    async fn end(self) -> End {
        tokio::time::timeout(STUCK_AFTER, self.relay).await.expect("it is not stuck").unwrap()
    }
}

async fn world() -> World<TcpStream> {
    small_world(1 << 20).await
}

async fn small_world(spill_bytes: usize) -> World<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (local, _) = listener.accept().await.unwrap();
    World::around(client, LocalStream::Tcp(local), spill_bytes)
}

async fn read_all(client: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    tokio::time::timeout(STUCK_AFTER, client.read_to_end(&mut read)).await.expect("it is not stuck")?;
    Ok(read)
}

#[tokio::test]
async fn half_closed_request_gets_its_whole_answer() {
    let mut world = world().await;

    world.client.write_all(b"ask").await.unwrap();
    world.client.shutdown().await.unwrap();
    let asked = world.target.hear().await;
    world.target.say("answer").await;
    world.target.end().await;

    assert_eq!(asked, (b"ask".to_vec(), true));
    assert_eq!(read_all(&mut world.client).await.unwrap(), b"answer");
    let stats = world.counters.read();
    assert_eq!((stats.bytes_sent, stats.bytes_received), (3, 6));
    assert!(matches!(world.end().await, End::Whole));
}

#[tokio::test]
async fn a_target_that_ended_still_gets_everything() {
    let mut world = world().await;

    world.target.say("bye").await;
    world.target.end().await;
    let heard = read_all(&mut world.client).await.unwrap();
    world.client.write_all(b"late").await.unwrap();
    world.client.shutdown().await.unwrap();

    assert_eq!(heard, b"bye");
    assert_eq!(world.target.hear().await, (b"late".to_vec(), true));
    assert!(matches!(world.end().await, End::Whole));
}

#[tokio::test]
async fn a_target_may_speak_first() {
    let mut world = world().await;
    let mut greeting = [0; 5];

    world.target.say("hello").await;

    world.client.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello");
}

#[tokio::test]
async fn empty_streams_end_in_either_order() {
    for client_ends_first in [true, false] {
        let mut world = world().await;

        if client_ends_first {
            world.client.shutdown().await.unwrap();
            assert_eq!(world.target.hear().await, (vec![], true));
            world.target.end().await;
            assert_eq!(read_all(&mut world.client).await.unwrap(), b"");
        } else {
            world.target.end().await;
            assert_eq!(read_all(&mut world.client).await.unwrap(), b"");
            world.client.shutdown().await.unwrap();
            assert_eq!(world.target.hear().await, (vec![], true));
        }

        assert!(matches!(world.end().await, End::Whole));
    }
}

#[tokio::test]
async fn a_cut_download_does_not_look_complete() {
    for how in ["the channel closes", "the session is over", "the rule is cut"] {
        let mut world = world().await;
        let mut first = [0; 4];

        world.target.say("half").await;
        world.client.read_exact(&mut first).await.unwrap();
        match how {
            "the channel closes" => world.target.says.send(Received::Closed).await.unwrap(),
            "the session is over" => world.over.cancel(),
            _ => world.cut.cancel(),
        }

        let rest = read_all(&mut world.client).await.map_err(|error| error.kind());
        assert_eq!(rest, Err(io::ErrorKind::ConnectionReset), "{how}");
        assert_eq!(world.target.hear().await, (vec![], false), "{how}");
        assert!(matches!(world.end().await, End::CutShort));
    }
}

#[tokio::test]
async fn a_client_that_cuts_is_not_taken_for_one_that_ended() {
    let mut world = world().await;

    SockRef::from(&world.client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(world.client);

    assert_eq!(world.target.hear().await, (vec![], false));
    let end = tokio::time::timeout(STUCK_AFTER, world.relay).await.unwrap().unwrap();
    assert!(matches!(end, End::LocalFailed(_)));
}

#[tokio::test]
async fn a_slow_reader_stops_nothing_up_to_the_limit_and_gets_every_byte() {
    const LIMIT_BYTES: usize = 1 << 20;
    let mut world = small_world(LIMIT_BYTES).await;
    let chunk = Bytes::from((0..32 << 10).map(|n| (n % 251) as u8).collect::<Vec<_>>());

    let mut n_sent = 0;
    while let Ok(sent) =
        tokio::time::timeout(Duration::from_millis(500), world.target.says.send(Received::Data(chunk.clone()))).await
    {
        sent.unwrap();
        n_sent += 1;
        assert!(n_sent < 10_000, "the queue has a limit");
    }
    let says = world.target.says.clone();
    let ends = tokio::spawn(async move { says.send(Received::Eof).await });
    world.client.shutdown().await.unwrap();
    let read = read_all(&mut world.client).await.unwrap();

    assert!(LIMIT_BYTES <= n_sent * chunk.len());
    assert!(read == chunk.repeat(n_sent));
    ends.await.unwrap().unwrap();
    assert!(matches!(world.end().await, End::Whole));
}

#[tokio::test]
async fn a_whole_answer_outlives_its_session() {
    let mut world = small_world(64 << 20).await;
    let answer = Bytes::from(vec![7; 16 << 20]);

    world.client.shutdown().await.unwrap();
    assert_eq!(world.target.hear().await, (vec![], true));
    world.target.say(answer.clone()).await;
    world.target.end().await;
    let _ = world.target.says.reserve_many(N_QUEUED).await.unwrap();
    world.over.cancel();

    assert!(read_all(&mut world.client).await.unwrap() == answer);
    assert!(matches!(world.end().await, End::Whole));
}

#[tokio::test]
async fn what_came_before_the_end_of_the_session_is_a_whole_answer() {
    let mut world = world().await;

    world.client.shutdown().await.unwrap();
    assert_eq!(world.target.hear().await, (vec![], true));
    // On one thread the relay reads none of this before all of it is there.
    world.target.say("whole").await;
    world.target.say("answer").await;
    world.target.end().await;
    world.over.cancel();

    assert_eq!(read_all(&mut world.client).await.unwrap(), b"wholeanswer");
    assert!(matches!(world.end().await, End::Whole));
}

#[tokio::test]
async fn a_stalled_client_does_not_outlive_its_session() {
    let mut world = small_world(64 << 10).await;
    let chunk = Bytes::from(vec![0; 1 << 20]);
    while tokio::time::timeout(Duration::from_millis(200), world.target.says.send(Received::Data(chunk.clone())))
        .await
        .is_ok()
    {}

    world.over.cancel();

    assert!(matches!(tokio::time::timeout(STUCK_AFTER, &mut world.relay).await.unwrap().unwrap(), End::CutShort));
    let end = read_all(&mut world.client).await.map_err(|error| error.kind());
    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn an_upload_whose_session_is_over_does_not_look_done() {
    let mut world = world().await;

    world.target.end().await;
    assert_eq!(read_all(&mut world.client).await.unwrap(), b"");
    world.over.cancel();

    assert!(matches!(tokio::time::timeout(STUCK_AFTER, &mut world.relay).await.unwrap().unwrap(), End::CutShort));
    assert!(world.client.write_all(&[0; 1 << 10]).await.is_err(), "the program sees the reset");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let mut world = world().await;
    let upload = vec![1; 8 << 20];

    world.client.write_all(b"POST").await.unwrap();
    assert_eq!(world.target.hears.recv().await, Some(Received::Data(Bytes::from_static(b"POST"))));
    world.target.hears.close();
    while world.target.hears.recv().await.is_some() {}
    world.target.say("too large").await;
    world.target.end().await;
    world.target.says.send(Received::Closed).await.unwrap();
    world.client.write_all(&upload).await.unwrap();
    world.client.shutdown().await.unwrap();

    assert_eq!(read_all(&mut world.client).await.unwrap(), b"too large");
    assert!(matches!(world.end().await, End::Whole));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_does_not_keep_an_idle_client() {
    let mut world = world().await;

    world.target.end().await;
    world.target.says.send(Received::Closed).await.unwrap();

    assert_eq!(read_all(&mut world.client).await.unwrap(), b"");
    assert!(matches!(world.end().await, End::TargetLeft));
}

#[tokio::test]
async fn bytes_behind_the_end_are_not_believed() {
    let world = world().await;

    world.target.end().await;
    world.target.say("more").await;

    assert!(matches!(world.end().await, End::CutShort));
}

#[tokio::test]
async fn two_hundred_connections_at_once_are_not_mixed_up() {
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..200u8 {
        let mut world = world().await;
        clients.spawn(async move {
            let sent = vec![n; 256 << 10];
            world.client.write_all(&sent).await.unwrap();
            world.client.shutdown().await.unwrap();
            let (heard, is_end) = world.target.hear().await;
            assert!(is_end && heard == sent);
            world.target.say(heard).await;
            world.target.end().await;
            assert!(read_all(&mut world.client).await.unwrap() == sent);
            assert!(matches!(world.end().await, End::Whole));
        });
    }

    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

/// What happens at one end of a connection.
#[derive(Clone, Debug)]
enum Step {
    ClientSends(usize),
    ClientEnds,
    TargetSends(usize),
    TargetEnds,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..100_000usize).prop_map(Step::ClientSends),
        4 => (1..100_000usize).prop_map(Step::TargetSends),
        1 => Just(Step::ClientEnds),
        1 => Just(Step::TargetEnds),
    ];
    prop::collection::vec(step, 0..12)
}

#[cfg(unix)]
async fn whatever_the_order(steps: Vec<Step>) {
    let (client, local) = tokio::net::UnixStream::pair().unwrap();
    let world = World::around(client, LocalStream::Unix(local), 64 << 10);
    let (mut client_reads, mut client_writes) = world.client.into_split();
    let Target { says, hears } = world.target;
    let client_hears = tokio::spawn(async move { read_all(&mut client_reads).await.unwrap() });
    let target_hears = tokio::spawn(async move { Target { says: mpsc::channel(1).0, hears }.hear().await });
    let (mut client_said, mut target_said) = (Vec::new(), Vec::new());
    let (mut client_ended, mut target_ended) = (false, false);

    for (n, step) in steps.into_iter().chain([Step::ClientEnds, Step::TargetEnds]).enumerate() {
        match step {
            Step::ClientSends(n_bytes) if !client_ended => {
                client_said.extend(vec![n as u8; n_bytes]);
                client_writes.write_all(&vec![n as u8; n_bytes]).await.unwrap();
            }
            Step::TargetSends(n_bytes) if !target_ended => {
                target_said.extend(vec![n as u8; n_bytes]);
                says.send(Received::Data(vec![n as u8; n_bytes].into())).await.unwrap();
            }
            Step::ClientEnds if !client_ended => {
                client_ended = true;
                client_writes.shutdown().await.unwrap();
            }
            Step::TargetEnds if !target_ended => {
                target_ended = true;
                says.send(Received::Eof).await.unwrap();
            }
            Step::ClientSends(_) | Step::TargetSends(_) | Step::ClientEnds | Step::TargetEnds => {}
        }
    }

    let end = tokio::time::timeout(STUCK_AFTER, world.relay).await.expect("it is not stuck").unwrap();
    assert!(matches!(end, End::Whole), "{end:?}");
    assert!(client_hears.await.unwrap() == target_said);
    assert!(target_hears.await.unwrap() == (client_said, true));
}

#[cfg(unix)]
proptest! {
    #[test]
    fn whatever_the_order_both_ends_get_everything(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(whatever_the_order(steps));
    }
}
