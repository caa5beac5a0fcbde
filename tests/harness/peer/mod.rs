//! A pretended SSH server in this process, whose faults are switched while it runs.

mod handler;
mod line;
mod listeners;
mod relay;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::ChannelOpenFailure;
use russh::keys::PrivateKey;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::keys;
use crate::ports::free_port;
use crate::runtime::{block_on, runtime};
use crate::world::World;
use handler::Client;
use line::{Line, Switch};

/// What the server does with a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Greeting {
    /// Speaks SSH.
    #[default]
    Ssh,
    /// Takes the connection and never says a word.
    Silent,
    /// Closes the connection before any banner, as a server that is overrun does.
    Close,
    /// Says something that is not SSH.
    Http,
}

/// What is wrong with the server. Everything is right by default.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// What it does with a new connection.
    pub greeting: Greeting,
    /// Takes no key.
    pub refuse_login: bool,
    /// Refuses every channel, with this reason.
    pub refuse_channels: Option<ChannelOpenFailure>,
    /// Never answers when a channel to one of these ports is asked for: dead destinations.
    pub dead_ports: HashSet<u32>,
    /// Refuses to listen for the client.
    pub refuse_forwards: bool,
    /// Never answers when it is asked to listen.
    pub ignore_forwards: bool,
}

/// What the server has seen since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections taken.
    pub connections: usize,
    /// Keys that were taken.
    pub logins: usize,
    /// Keys that were refused.
    pub refused_logins: usize,
    /// Channels that were asked for.
    pub channels: usize,
    /// The hosts that channels were asked to, in order, as the client wrote them.
    pub targets: Vec<String>,
    /// How often the client asked it to listen.
    pub forwards: usize,
    /// How often the client asked it to stop listening.
    pub cancelled_forwards: usize,
}

/// What every connection of one server shares.
#[derive(Debug)]
struct Shared {
    faults: Mutex<Faults>,
    counts: Mutex<Counts>,
    host_key: Mutex<PrivateKey>,
    authorized: String,
    switches: Mutex<Vec<Switch>>,
}

/// A running pretended server. Dropping it cuts every connection and closes its port.
#[derive(Debug)]
pub struct Peer {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Mutex<Option<CancellationToken>>,
}

impl Peer {
    /// Starts a server for the user of `world`, who knows it as `alias`.
    pub fn start(world: &World, alias: &str) -> Self {
        let peer = Peer::start_unknown(world);
        world.add_host(alias, peer.port(), Some(&peer.host_key()));
        peer
    }

    /// Starts a server that takes the key of `world`'s user but whose own key is in no known_hosts.
    pub fn start_unknown(world: &World) -> Self {
        let shared = Arc::new(Shared {
            faults: Mutex::default(),
            counts: Mutex::default(),
            host_key: Mutex::new(keys::ed25519()),
            authorized: world.key().public_key().key_data().clone().into_text(),
            switches: Mutex::default(),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let peer = Peer { shared, address, listening: Mutex::new(None) };
        peer.listen();
        peer
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The key that new connections are shown.
    pub fn host_key(&self) -> PrivateKey {
        self.shared.host_key.lock().unwrap().clone()
    }

    /// Shows another key to connections from now on.
    pub fn change_host_key(&self) {
        *self.shared.host_key.lock().unwrap() = keys::ed25519();
    }

    /// Changes what is wrong with the server, from now on.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults.lock().unwrap());
    }

    /// What it has seen.
    pub fn counts(&self) -> Counts {
        self.shared.counts.lock().unwrap().clone()
    }

    /// Resets (RST) every connection now; new ones are taken.
    pub fn cut(&self) {
        for switch in self.shared.switches.lock().unwrap().drain(..) {
            switch.cut();
        }
    }

    /// Stops to read and to write on every connection that is open now, or goes on: keepalives are not answered.
    pub fn freeze(&self, frozen: bool) {
        for switch in self.shared.switches.lock().unwrap().iter() {
            switch.freeze(frozen);
        }
    }

    /// Closes the port: new connections are refused; those that are open go on.
    pub fn stop_listening(&self) {
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.cancel();
            let address = self.address;
            crate::wait::wait_until("the port of the peer is closed", || {
                std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err()
            });
        }
    }

    /// Opens the port, always the same one.
    pub fn listen(&self) {
        let listener = block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(self.address)?;
            socket.listen(1024)
        });
        self.accept_on(listener.expect("the port is still free"));
    }

    fn accept_on(&self, listener: TcpListener) {
        let listening = CancellationToken::new();
        let shared = self.shared.clone();
        runtime().spawn(listening.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                runtime().spawn(serve(stream, shared.clone()));
            }
        }));
        *self.listening.lock().unwrap() = Some(listening);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.cancel();
        }
        self.cut();
    }
}

/// One connection, from its first byte to its last. Ended by the client, or by its switch.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    shared.counts.lock().unwrap().connections += 1;
    let _ = stream.set_nodelay(true);
    let switch = Switch::default();
    shared.switches.lock().unwrap().push(switch.clone());
    let mut line = Line::new(stream, switch.clone());
    let greeting = shared.faults.lock().unwrap().greeting;
    match greeting {
        Greeting::Ssh => {}
        Greeting::Silent => return line.swallow().await,
        Greeting::Close => return,
        Greeting::Http => {
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut line, answer).await;
            return;
        }
    }
    let config = russh::server::Config {
        keys: vec![shared.host_key.lock().unwrap().clone()],
        auth_rejection_time: Duration::from_millis(10),
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        // One reader that pauses must not stop the whole pretended server too soon.
        channel_buffer_size: 1 << 14,
        ..Default::default()
    };
    let client = Client::new(shared, switch.over());
    if let Ok(session) = russh::server::run_stream(Arc::new(config), line, client).await {
        let _ = session.await;
    }
    // What belongs to the connection ends with it: listeners and relays watch this.
    switch.end();
}

/// A public key as text without its comment, so that two of them can be compared.
trait IntoText {
    fn into_text(self) -> String;
}

impl IntoText for russh::keys::ssh_key::public::KeyData {
    fn into_text(self) -> String {
        russh::keys::PublicKey::from(self).to_openssh().expect("a public key has a text form")
    }
}
