//! The bytes of a message: a 4-byte big-endian length and a bincode body.

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest body that is sent or taken, in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// The length in front of every body.
pub const LENGTH_BYTES: usize = 4;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BODY_BYTES>> = config::standard().with_limit();

/// Why bytes are not a message. Each ends the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is 0.
    #[error("a frame of length 0 came; 1 to {MAX_BODY_BYTES} bytes are allowed")]
    Empty,
    /// The length is beyond the limit.
    #[error("a frame of {0} bytes came; 1 to {MAX_BODY_BYTES} bytes are allowed")]
    TooLong(usize),
    /// The body is not what it should be.
    #[error("a frame came that is not a message: {0}")]
    Malformed(String),
}

/// Writes one message as a frame.
///
/// # Errors
/// [`FrameError::TooLong`] when the body is beyond [`MAX_BODY_BYTES`].
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, FrameError> {
    let body =
        bincode::serde::encode_to_vec(message, CONFIG).map_err(|error| FrameError::Malformed(error.to_string()))?;
    frame(&body)
}

/// Puts the length in front of a body.
///
/// # Errors
/// [`FrameError::Empty`] and [`FrameError::TooLong`].
pub fn frame(body: &[u8]) -> Result<Bytes, FrameError> {
    let length = check_length(body.len())?;
    let mut framed = Vec::with_capacity(LENGTH_BYTES + body.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(body);
    Ok(framed.into())
}

/// Takes the body of the first frame out of `received`; `None` while it is not there whole.
///
/// # Errors
/// [`FrameError::Empty`] and [`FrameError::TooLong`], as soon as the length is there.
pub fn take_body(received: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = received.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    check_length(length)?;
    if received.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    received.advance(LENGTH_BYTES);
    Ok(Some(received.split_to(length).freeze()))
}

/// Reads a body; every byte of it has to be used.
///
/// # Errors
/// [`FrameError::Malformed`] when it is something else, or something and more.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let (message, used) =
        bincode::serde::decode_from_slice(body, CONFIG).map_err(|error| FrameError::Malformed(error.to_string()))?;
    if used < body.len() {
        return Err(FrameError::Malformed(format!("{} bytes too many", body.len() - used)));
    }
    Ok(message)
}

fn check_length(length: usize) -> Result<u32, FrameError> {
    match u32::try_from(length) {
        Ok(0) => Err(FrameError::Empty),
        Ok(fits) if length <= MAX_BODY_BYTES => Ok(fits),
        _ => Err(FrameError::TooLong(length)),
    }
}
