//! Remote forwards: the server listens, and this machine connects to the target of each connection.

use std::sync::Arc;

use alknet_proto::{Bind, Code, Reason, Target};
use bytes::Bytes;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connection::{FarEnd, HANDSHAKE_TIMEOUT, Relayed, Rule, is_lost};
use super::listener::Listener;
use super::local::LocalStream;
use super::reclaim;
use super::relay::{End, Listens, Sink, Source};
use super::socks::{Handshake, Progress, Request};
use crate::descriptors;
use crate::lanes::Lane;
use crate::ssh::{ChannelReader, ChannelWriter, Claim, Incoming, Link, Received, RemoteListener, ServerProcess};

/// Has the server listen until the listener is told to end or the session is over.
pub(super) async fn run(listener: Listener) {
    let Some(link) = listener.listen.on_session.and_then(|epoch| listener.pool.link(epoch)) else { return };
    #[cfg(not(unix))]
    if let Some(Target::Unix(path)) = listener.listen.forwarding.target() {
        let reason = super::local::no_unix_sockets(alknet_proto::Stage::Target, path);
        return listener.report_refused(reason).await;
    }
    // The question is not taken back: the server would go on listening for nobody.
    // Active means that the rule can be brought back, so its process is known by then.
    let (answer, process) = tokio::join!(ask_server(&link, &listener), process_of(&link, &listener));
    let on_server = match answer {
        Ok(on_server) => on_server,
        Err(_) if listener.stop.is_cancelled() || listener.cut.is_cancelled() => {
            return listener.report_closed().await;
        }
        Err(reason) if is_lost(&reason) || link.over().is_cancelled() => return,
        Err(reason) => return listener.report_refused(reason).await,
    };
    listener.held.note(link.over().clone(), process);
    let notices = reclaim::check_address(&link, &listener.listen, on_server.port()).await;
    listener.report_bound(on_server.port(), notices).await;
    let over = link.over().clone();
    drop(link);
    accept(&listener, on_server, over).await;
}

/// Of a rule that may end it, the server's process; it is asked for while the session lives.
async fn process_of(link: &Link, listener: &Listener) -> Option<ServerProcess> {
    if listener.listen.reclaim { link.server_process().await.ok() } else { None }
}

/// A free port is to stay the same over reconnects: the earlier one is asked for first, and given up if it is taken.
async fn ask_server(link: &Arc<Link>, listener: &Listener) -> Result<RemoteListener, Reason> {
    let bind = listener.listen.forwarding.bind();
    if let (Bind::Tcp(address, 0), Some(port)) = (bind, listener.listen.earlier_port) {
        match reclaim::listen(link, &Bind::Tcp(address.clone(), port), listener).await {
            Err(reason) if matches!(reason.code, Code::RemotePortInUse | Code::RemoteForwardRefused) => {}
            answer => return answer,
        }
    }
    reclaim::listen(link, bind, listener).await
}

async fn accept(listener: &Listener, mut on_server: RemoteListener, over: CancellationToken) {
    let rule = Arc::new(listener.rule());
    let mut connections = listener.connections();
    loop {
        connections.tell_use().await;
        // Every arm is cancel-safe: tokens, finished tasks and a queue keep what they have.
        let incoming = tokio::select! {
            biased;
            () = over.cancelled() => None,
            () = listener.told_to_end() => {
                on_server.cancel().await;
                return listener.close(connections).await;
            }
            () = connections.one_ended() => continue,
            incoming = on_server.next() => incoming,
        };
        match incoming {
            Some(incoming) if connections.is_full() => {
                rule.counters.refuse(connections.too_many());
                incoming.refuse();
            }
            Some(incoming) if descriptors::are_scarce() => {
                rule.counters.refuse(descriptors::shortage());
                incoming.refuse();
            }
            Some(incoming) => {
                let claim = on_server.claim(rule.forward);
                let lane = on_server.lane().clone();
                connections.start(serve(incoming, claim, over.clone(), lane, rule.clone()));
            }
            None => return connections.all_ended().await,
        }
    }
}

/// Carries one connection from the server's question to its end.
async fn serve(incoming: Incoming, claim: Claim, over: CancellationToken, lane: Lane, rule: Arc<Rule>) {
    let _open = rule.counters.connection();
    let reach = async {
        match &rule.target {
            Some(target) => reach(incoming, claim, target).await,
            None => reach_asked(incoming, claim).await,
        }
    };
    let reached = tokio::select! {
        biased;
        () = rule.cut.cancelled() => Err(End::CutShort),
        () = over.cancelled() => Err(End::CutShort),
        reached = reach => reached,
    };
    match reached {
        Ok(Reached { local, reader, writer, early }) => {
            let far = FarEnd { reader, writer, over, lane };
            Relayed { local, far, early, listens: Listens::OnServer }.carry(rule).await;
        }
        Err(end) => rule.note(&end),
    }
}

/// A target here that is connected to, for a channel.
struct Reached {
    local: LocalStream,
    reader: ChannelReader,
    writer: ChannelWriter,
    /// What came behind a SOCKS request.
    early: Bytes,
}

/// Connects to the target first, so that the server hears of a refusal as one.
async fn reach(incoming: Incoming, claim: Claim, target: &Target) -> Result<Reached, End> {
    let local = match LocalStream::connect(target).await {
        Ok(local) => local,
        Err(reason) => {
            incoming.refuse();
            return Err(End::Refused { reason, is_answered: true });
        }
    };
    local.send_at_once();
    let channel = incoming.accept().await.map_err(|_| End::CutShort)?;
    channel.hold(claim);
    let (reader, writer) = channel.split();
    Ok(Reached { local, reader, writer, early: Bytes::new() })
}

/// Takes the connection, asks the SOCKS client behind it what it wants, and connects to that.
async fn reach_asked(incoming: Incoming, claim: Claim) -> Result<Reached, End> {
    let opens = incoming.opens();
    let channel = incoming.accept().await.map_err(|_| End::CutShort)?;
    channel.hold(claim);
    let (mut reader, mut writer) = channel.split();
    let request = match timeout(HANDSHAKE_TIMEOUT, ask(&mut reader, &mut writer)).await {
        Ok(asked) => asked?,
        Err(_) => return Err(End::NotUnderstood("its handshake takes too long")),
    };
    let connected = match opens.check(&request.target) {
        Ok(()) => LocalStream::connect(&request.target).await,
        Err(reason) => Err(reason),
    };
    match connected {
        Ok(local) => {
            local.send_at_once();
            say(&mut writer, request.granted()).await?;
            Ok(Reached { local, reader, writer, early: request.early })
        }
        Err(reason) => {
            say_last(&mut writer, request.refused(reason.code)).await?;
            Err(End::Refused { reason, is_answered: true })
        }
    }
}

/// Asks a SOCKS client at the other end of a channel what it wants.
async fn ask(source: &mut impl Source, sink: &mut impl Sink) -> Result<Request, End> {
    let mut handshake = Handshake::default();
    let mut bytes = Bytes::new();
    loop {
        match handshake.feed(&std::mem::take(&mut bytes)) {
            Progress::NeedMore => match source.next().await {
                Received::Data(chunk) => bytes = chunk,
                Received::Eof | Received::Closed => {
                    return Err(End::NotUnderstood("it ended within the handshake"));
                }
            },
            Progress::Reply(reply) => say(sink, reply).await?,
            Progress::Asked(request) => return Ok(request),
            Progress::Refused { reply, why } => {
                say_last(sink, reply).await?;
                return Err(End::NotUnderstood(why));
            }
        }
    }
}

async fn say(sink: &mut impl Sink, reply: &'static [u8]) -> Result<(), End> {
    if sink.write(Bytes::from_static(reply)).await { Ok(()) } else { Err(End::CutShort) }
}

/// An answer behind which nothing comes. An empty one is none, not even an end.
async fn say_last(sink: &mut impl Sink, reply: &'static [u8]) -> Result<(), End> {
    if reply.is_empty() {
        return Ok(());
    }
    say(sink, reply).await?;
    if sink.finish().await { Ok(()) } else { Err(End::CutShort) }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// A client behind a channel: what it says, and what it was answered.
    struct Client {
        says: std::vec::IntoIter<&'static [u8]>,
        answers: mpsc::UnboundedSender<Received>,
    }

    impl Source for std::vec::IntoIter<&'static [u8]> {
        async fn next(&mut self) -> Received {
            Iterator::next(self).map_or(Received::Closed, |bytes| Received::Data(Bytes::from_static(bytes)))
        }
    }

    impl Sink for mpsc::UnboundedSender<Received> {
        async fn write(&mut self, data: Bytes) -> bool {
            self.send(Received::Data(data)).is_ok()
        }

        async fn finish(&mut self) -> bool {
            self.send(Received::Eof).is_ok()
        }
    }

    async fn asked(says: Vec<&'static [u8]>) -> (Result<Request, End>, Vec<Received>) {
        let (answers, mut answered) = mpsc::unbounded_channel();
        let mut client = Client { says: says.into_iter(), answers };
        let result = ask(&mut client.says, &mut client.answers).await;
        drop(client);
        let mut heard = Vec::new();
        while let Some(answer) = answered.recv().await {
            heard.push(answer);
        }
        (result, heard)
    }

    #[tokio::test]
    async fn a_client_behind_a_channel_is_asked_and_its_first_bytes_are_kept() {
        let (request, heard) = asked(vec![&[5, 1], &[0, 5, 1, 0, 1, 10, 0], b"\0\x01\0\x50hello"]).await;

        let request = request.unwrap();
        assert_eq!((request.target.to_string(), &request.early[..]), ("10.0.0.1:80".to_owned(), &b"hello"[..]));
        assert_eq!(heard, [Received::Data(Bytes::from_static(&[5, 0]))]);
    }

    #[tokio::test]
    async fn a_client_behind_a_channel_is_told_why_not() {
        let (refused, heard) = asked(vec![&[5, 1, 2]]).await;

        assert!(matches!(refused, Err(End::NotUnderstood(_))));
        assert_eq!(heard, [Received::Data(Bytes::from_static(&[5, 0xFF])), Received::Eof]);
    }

    #[tokio::test]
    async fn a_stranger_behind_a_channel_gets_no_answer() {
        let (refused, heard) = asked(vec![b"GET / HTTP/1.1\r\n"]).await;

        assert!(matches!(refused, Err(End::NotUnderstood(_))));
        assert_eq!(heard, []);
    }
}
