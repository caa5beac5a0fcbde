//! Copies between a channel and a stream, keeping half-close both ways.

use std::time::Duration;

use bytes::BytesMut;
use russh::server::Msg;
use russh::{Channel, ChannelMsg};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

/// As much as goes into one packet.
const CHUNK_BYTES: usize = 32 * 1024;

/// A stream that a relay can end by reset.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Closing sends RST instead of FIN from now on, where there is such a thing.
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn reset_on_close(&self) {
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Socket for UnixStream {
    fn reset_on_close(&self) {}
}

/// Copies until both directions have ended, or until `over`: the stream ends by reset then.
pub(super) async fn relay<S: Socket>(channel: Channel<Msg>, stream: S, over: CancellationToken) {
    let (mut from_channel, to_channel) = channel.split();
    let (mut read, mut write) = tokio::io::split(stream);
    let outwards = async {
        loop {
            match from_channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    if write.write_all(&data).await.is_err() {
                        return false;
                    }
                }
                Some(ChannelMsg::Eof) => return write.shutdown().await.is_ok(),
                Some(ChannelMsg::Close) | None => return false,
                Some(_) => {}
            }
        }
    };
    let inwards = async {
        loop {
            let mut buffer = BytesMut::with_capacity(CHUNK_BYTES);
            match read.read_buf(&mut buffer).await {
                Ok(0) => return to_channel.eof().await.is_ok(),
                Ok(_) if to_channel.data_bytes(buffer.freeze()).await.is_ok() => {}
                Ok(_) | Err(_) => return false,
            }
        }
    };
    let both = async {
        tokio::pin!(outwards, inwards);
        // A direction that ends badly ends the connection; one that ends well leaves the other to go on.
        tokio::select! {
            well = &mut outwards => well && inwards.await,
            well = &mut inwards => well && outwards.await,
        }
    };
    let ended_well = over.run_until_cancelled(both).await.unwrap_or(false);
    let stream = read.unsplit(write);
    if !ended_well {
        stream.reset_on_close();
    }
    drop(stream);
    let _ = to_channel.close().await;
}
