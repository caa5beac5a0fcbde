//! One client's connection, from its greeting to its end.

use std::io;
use std::time::Duration;

use alknet_core::{Call, Event};
use alknet_proto::connection::{self, MessageReader, MessageWriter, ReadError};
use alknet_proto::{Body, Code, Envelope, Fault, RequestId, frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::access::Identity;
use super::clients::Outbox;
use super::dispatcher::{Dispatcher, Peer};
use super::hello;

/// A client that takes nothing for this long, while something waits for it, is cut off.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the reason of an end may take to be sent.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves one client until its connection ends or it is cut off. The caller tells the loop then
/// that the client is gone.
///
/// `identity` is what the transport vouches for; nothing has been read from `stream` yet.
pub async fn serve_stream<S>(stream: S, identity: Identity, mut outbox: Outbox, dispatcher: Dispatcher)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let client = outbox.client();
    let (read_half, write_half) = tokio::io::split(stream);
    let mut reader = MessageReader::new(read_half);
    let mut writer = MessageWriter::new(write_half);
    let cut_off = outbox.cut_off().clone();
    let ours = hello();
    let welcomed = tokio::select! {
        welcomed = connection::welcome(&mut reader, &mut writer, &ours) => welcomed,
        () = cut_off.cancelled() => return,
    };
    match welcomed {
        Ok(greeted) => {
            tracing::debug!(client = client.0, program = %greeted.peer, protocol = greeted.protocol, "client greeted");
        }
        Err(fault) => {
            tracing::debug!(client = client.0, reason = %fault, "client not welcomed");
            return;
        }
    }

    let peer = Peer { client, identity };
    let writing = write_messages(&mut writer, &mut outbox, &dispatcher);
    tokio::pin!(writing);
    let cut_short = async {
        // Both halves go on side by side, so that an abort is read while an answer is written.
        let ended = tokio::select! {
            ended = read_messages(&mut reader, &peer, &dispatcher) => ended,
            written = &mut writing => return written,
        };
        let Err(fault) = ended else { return Ok(()) };
        tracing::debug!(client = client.0, reason = %fault, "client broke the protocol");
        dispatcher.clients().end(client, fault);
        timeout(LAST_WORDS_TIMEOUT, &mut writing).await?
    };
    let written = tokio::select! {
        written = cut_short => written,
        () = cut_off.cancelled() => return,
    };
    if let Err(error) = written {
        tracing::debug!(client = client.0, %error, "client cannot be written to");
    }
}

/// Ends without an error when the client did, between two messages or not.
async fn read_messages<R>(reader: &mut MessageReader<R>, peer: &Peer, dispatcher: &Dispatcher) -> Result<(), Fault>
where
    R: AsyncRead + Unpin,
{
    loop {
        let envelope: Envelope = match reader.next().await {
            Ok(Some(envelope)) => envelope,
            Ok(None) | Err(ReadError::Io(_) | ReadError::Truncated) => return Ok(()),
            Err(ReadError::Frame(error)) => return Err(Fault::new(Code::InvalidRequest, error.to_string())),
        };
        let id = envelope.id;
        match envelope.body {
            Body::Requested(request) => dispatcher.dispatch_requested(peer, id, request).await,
            Body::Aborted => dispatcher.handle_abort(Call { client: peer.client, request: id }).await,
            body @ (Body::Responded(_) | Body::Completed | Body::Error(_)) => {
                let message = format!("{} came for {id}, which was not asked for", body.name());
                return Err(Fault::new(Code::InvalidRequest, message));
            }
        }
    }
}

/// Ends without an error when everything was said.
async fn write_messages<W>(
    writer: &mut MessageWriter<W>,
    outbox: &mut Outbox,
    dispatcher: &Dispatcher,
) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    loop {
        let envelope = match outbox.try_next() {
            Some(envelope) => envelope,
            None => {
                for call in outbox.caught_up() {
                    dispatcher.tell(Event::CaughtUp(call)).await;
                }
                match outbox.next().await {
                    Some(envelope) => envelope,
                    None => return Ok(()),
                }
            }
        };
        let framed = match frame::encode(&envelope) {
            Ok(framed) => framed,
            Err(error) => {
                let call = Call { client: outbox.client(), request: envelope.id };
                dispatcher.handle_abort(call).await;
                too_long(envelope.id, &error)?
            }
        };
        writer.send_frame_unless_stalled(&framed, STALL_TIMEOUT).await?;
    }
}

/// An answer that fits into no frame is a defect of ours; whoever asked is told so.
fn too_long(id: RequestId, error: &frame::FrameError) -> io::Result<bytes::Bytes> {
    tracing::error!(request = id.0, %error, "an answer cannot be sent");
    let fault = Fault::new(Code::Internal, format!("the answer cannot be sent: {error}"));
    frame::encode(&Envelope { id, body: Body::Error(fault) }).map_err(io::Error::other)
}
