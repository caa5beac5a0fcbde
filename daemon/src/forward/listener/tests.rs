use std::time::Duration;

use alknet_core::Epoch;
use alknet_proto::{Code, ForwardId, Forwarding, OnSuspend};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::lanes::Lanes;

/// Nothing here takes that long, unless it is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(20);
const HOLD: OnSuspend = OnSuspend::Hold(Duration::from_secs(600));

fn no_session(inbox: &mpsc::Sender<Event>) -> Arc<ssh::Pool> {
    Arc::new(ssh::Pool::new("prod".parse().unwrap(), Arc::new(Lanes::here()), inbox.clone()))
}

/// A listener without a session.
struct World {
    port: u16,
    events: mpsc::Receiver<Event>,
    counters: Arc<ForwardCounters>,
    stop: CancellationToken,
    cut: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    /// With a listener that listens already.
    async fn new(forwarding: Result<Forwarding, String>, on_suspend: OnSuspend, is_lazy: bool) -> Self {
        let (inbox, events) = mpsc::channel(16);
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let counters = Arc::new(ForwardCounters::default());
        let listener = Listener {
            listen: Listen {
                forward: ForwardId(1),
                epoch: Epoch(7),
                destination: "prod".parse().unwrap(),
                forwarding: forwarding.unwrap(),
                earlier_port: None,
                on_suspend,
                tells_use: is_lazy,
                on_session: None,
                reclaim: false,
            },
            pool: no_session(&inbox),
            counters: counters.clone(),
            held: Arc::default(),
            crowd: crowd(),
            inbox,
            stop: stop.clone(),
            cut: cut.clone(),
        };
        let task = tokio::spawn(listener.run());
        let mut world = World { port: 0, events, counters, stop, cut, task };
        world.port = match world.event().await {
            Event::ListenerBound { port, .. } => port.unwrap_or(0),
            other => panic!("{other:?}"),
        };
        world
    }

    async fn event(&mut self) -> Event {
        tokio::time::timeout(STUCK_AFTER, self.events.recv()).await.expect("it is not stuck").unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// Waits until so many connections are open.
    async fn has_open(&self, n_connections: u64) {
        let open = async {
            while self.counters.read().connections_active != n_connections {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(STUCK_AFTER, open).await.expect("they come");
    }

    /// Ends the listener and gives what else it reported.
    async fn ended(mut self) -> Vec<Event> {
        tokio::time::timeout(STUCK_AFTER, self.task).await.expect("it is not stuck").unwrap();
        let mut events = Vec::new();
        while let Some(event) = self.events.recv().await {
            events.push(event);
        }
        events
    }
}

fn web() -> Result<Forwarding, String> {
    Forwarding::parse_local("0:web:80")
}

async fn how_it_ends(client: &mut TcpStream) -> Result<Vec<u8>, io::ErrorKind> {
    let mut read = Vec::new();
    let end = tokio::time::timeout(STUCK_AFTER, client.read_to_end(&mut read)).await.expect("it is not stuck");
    end.map(|_| read).map_err(|error| error.kind())
}

fn closed() -> Event {
    Event::ListenerClosed { forward: ForwardId(1), epoch: Epoch(7) }
}

#[tokio::test]
async fn the_port_is_free_when_the_listener_says_that_it_closed() {
    for how in ["stop", "cut"] {
        let mut world = World::new(web(), HOLD, false).await;

        if how == "stop" {
            world.stop.cancel()
        } else {
            world.cut.cancel()
        }

        assert_eq!(world.event().await, closed());
        std::net::TcpListener::bind(("127.0.0.1", world.port)).expect("the port is free");
        assert_eq!(world.ended().await, []);
    }
}

#[tokio::test]
async fn a_taken_port_is_reported_once() {
    let squatter = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = squatter.local_addr().unwrap().port();
    let (inbox, mut events) = mpsc::channel(16);
    let listen = Listen {
        forward: ForwardId(1),
        epoch: Epoch(7),
        destination: "prod".parse().unwrap(),
        forwarding: Forwarding::parse_dynamic(&port.to_string()).unwrap(),
        earlier_port: None,
        on_suspend: HOLD,
        tells_use: false,
        on_session: None,
        reclaim: false,
    };
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());

    Listener {
        listen,
        pool: no_session(&inbox),
        counters: Arc::default(),
        held: Arc::default(),
        crowd: crowd(),
        inbox,
        stop,
        cut,
    }
    .run()
    .await;

    let Some(Event::ListenerRefused { reason, .. }) = events.recv().await else { panic!("it is refused") };
    assert_eq!(reason.code, Code::AddressInUse);
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn a_rule_that_refuses_resets_at_once() {
    let world = World::new(web(), OnSuspend::Refuse, false).await;

    let end = how_it_ends(&mut world.connect().await).await;

    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
    world.has_open(0).await;
    let stats = world.counters.read();
    assert_eq!((stats.connections_total, stats.connections_refused), (1, 1));
}

#[tokio::test]
async fn a_held_connection_is_reset_when_its_time_is_over() {
    let world = World::new(web(), OnSuspend::Hold(Duration::from_millis(50)), false).await;

    let end = how_it_ends(&mut world.connect().await).await;

    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn stop_leaves_held_connections_and_cut_resets_them() {
    let mut world = World::new(web(), HOLD, false).await;
    let mut client = world.connect().await;
    world.has_open(1).await;

    world.stop.cancel();
    assert_eq!(world.event().await, closed());
    let meanwhile = tokio::time::timeout(Duration::from_millis(50), client.read_u8()).await;
    world.cut.cancel();

    assert!(meanwhile.is_err(), "it goes on");
    assert_eq!(how_it_ends(&mut client).await, Err(io::ErrorKind::ConnectionReset));
    assert_eq!(world.ended().await, []);
}

#[tokio::test]
async fn only_so_many_connections_wait_for_a_session() {
    let world = World::new(web(), HOLD, false).await;

    let mut clients = Vec::new();
    for _ in 0..65 {
        clients.push(world.connect().await);
    }
    let end = how_it_ends(clients.last_mut().unwrap()).await;

    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
    world.has_open(64).await;
    assert_eq!(world.counters.read().connections_refused, 1);
}

#[tokio::test]
async fn a_client_that_gave_up_does_not_keep_its_place() {
    let world = World::new(web(), HOLD, false).await;
    let mut client = world.connect().await;
    client.write_all(b"unread").await.unwrap();
    world.has_open(1).await;

    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);

    world.has_open(0).await;
}

#[tokio::test]
async fn a_lazy_rule_tells_its_use_and_holds_though_it_refuses_else() {
    let mut world = World::new(web(), OnSuspend::Refuse, true).await;
    let in_use = |in_use| Event::InUse { forward: ForwardId(1), in_use };

    let _client = world.connect().await;

    assert_eq!(world.event().await, in_use(true));
    world.has_open(1).await;
    world.cut.cancel();
    assert_eq!(world.ended().await, [in_use(false), closed()]);
}

#[tokio::test]
async fn a_socks_client_is_told_that_there_is_no_session() {
    let world = World::new(Forwarding::parse_dynamic("0"), OnSuspend::Refuse, false).await;
    let mut client = world.connect().await;

    client.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x03web\x00\x50").await.unwrap();

    let heard = how_it_ends(&mut client).await.unwrap();
    assert_eq!(heard, [&[5, 0][..], &[5, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat());
    assert_eq!(world.counters.read().connections_refused, 1);
}

#[tokio::test]
async fn a_browser_at_the_socks_port_is_sent_away_without_a_word() {
    let world = World::new(Forwarding::parse_dynamic("0"), HOLD, false).await;
    let mut client = world.connect().await;

    client.write_all(b"G").await.unwrap();

    assert_eq!(how_it_ends(&mut client).await, Ok(vec![]));
}

#[tokio::test]
async fn a_silent_socks_client_is_sent_away() {
    let world = World::new(Forwarding::parse_dynamic("0"), HOLD, false).await;
    let mut client = world.connect().await;
    client.write_all(b"\x05").await.unwrap();
    world.has_open(1).await;

    tokio::time::pause();
    tokio::time::advance(connection::HANDSHAKE_TIMEOUT).await;
    tokio::time::resume();

    assert_eq!(how_it_ends(&mut client).await, Ok(vec![]));
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_gone_when_the_listener_says_that_it_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let mut world = World::new(Forwarding::parse_dynamic(path.to_str().unwrap()), HOLD, false).await;
    tokio::net::UnixStream::connect(&path).await.unwrap();

    world.stop.cancel();

    assert_eq!(world.event().await, closed());
    assert!(!path.exists());
}

fn crowd() -> Arc<Crowd> {
    Arc::new(Crowd::new(Arc::new(4096.into())))
}
