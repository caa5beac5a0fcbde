//! What both sides say before anything else: which versions of the protocol they speak.
//!
//! The layout of these two bodies never changes, whatever else does, so that any two versions can
//! tell each other why they do not fit. `PROTOCOL.md` has it byte by byte.

use std::fmt;

use crate::fault::{Code, Fault, one_line};

/// The version of the control protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 2;
/// What this crate says that it speaks.
pub const SPOKEN: VersionRange = VersionRange { lowest: PROTOCOL_VERSION, highest: PROTOCOL_VERSION };

const MAGIC: &[u8; 6] = b"alknet";
const TAG_WELCOME: u8 = 0;
const TAG_REFUSED: u8 = 1;

/// The versions that one side speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The oldest one.
    pub lowest: u16,
    /// The newest one.
    pub highest: u16,
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lowest == self.highest {
            write!(f, "{}", self.lowest)
        } else {
            write!(f, "{} to {}", self.lowest, self.highest)
        }
    }
}

/// The first message of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it speaks.
    pub versions: VersionRange,
    /// The name of the program, at most 255 bytes.
    pub program: String,
    /// The version of the program, at most 255 bytes.
    pub version: String,
}

/// What the daemon says behind its hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Messages follow, in this version of the protocol.
    Welcome(u16),
    /// The connection ends.
    Refused {
        /// The word of a [`Code`], or a word that only another version knows.
        code: String,
        /// Why, in one line for people.
        message: String,
    },
}

/// A body that is no hello, or no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// It does not begin with the magic word.
    #[error("the other side does not speak the control protocol of alknet")]
    NotAlknet,
    /// It ends too early, or its text is no text.
    #[error("the hello of the control protocol is damaged")]
    Damaged,
}

impl Hello {
    /// A hello of this crate's versions.
    pub fn new(program: &str, version: &str) -> Self {
        Hello { versions: SPOKEN, program: program.to_owned(), version: version.to_owned() }
    }

    /// The body of the hello.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&self.versions.lowest.to_be_bytes());
        body.extend_from_slice(&self.versions.highest.to_be_bytes());
        put_short_text(&mut body, &self.program);
        put_short_text(&mut body, &self.version);
        body
    }

    /// Reads the body of a hello. What stands behind the known fields is left for later versions.
    ///
    /// # Errors
    /// See [`HelloError`].
    pub fn decode(body: &[u8]) -> Result<Self, HelloError> {
        let mut rest = body.strip_prefix(MAGIC).ok_or(HelloError::NotAlknet)?;
        let lowest = take_u16(&mut rest)?;
        let highest = take_u16(&mut rest)?;
        if highest < lowest {
            return Err(HelloError::Damaged);
        }
        let program = take_short_text(&mut rest)?;
        let version = take_short_text(&mut rest)?;
        Ok(Hello { versions: VersionRange { lowest, highest }, program, version })
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.version)
    }
}

impl Verdict {
    /// The refusal that says what `fault` says.
    pub fn refused(fault: &Fault) -> Self {
        Verdict::Refused { code: fault.code.to_string(), message: fault.message.clone() }
    }

    /// The body of the verdict.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Verdict::Welcome(version) => {
                let mut body = vec![TAG_WELCOME];
                body.extend_from_slice(&version.to_be_bytes());
                body
            }
            Verdict::Refused { code, message } => {
                let mut body = vec![TAG_REFUSED];
                put_short_text(&mut body, code);
                let message = shortened(message, u16::MAX.into());
                let length = u16::try_from(message.len()).expect("the message was shortened to fit");
                body.extend_from_slice(&length.to_be_bytes());
                body.extend_from_slice(message.as_bytes());
                body
            }
        }
    }

    /// Reads the body of a verdict. What stands behind the known fields is left for later versions.
    ///
    /// # Errors
    /// [`HelloError::Damaged`].
    pub fn decode(body: &[u8]) -> Result<Self, HelloError> {
        let (&tag, mut rest) = body.split_first().ok_or(HelloError::Damaged)?;
        match tag {
            TAG_WELCOME => Ok(Verdict::Welcome(take_u16(&mut rest)?)),
            TAG_REFUSED => {
                let code = take_short_text(&mut rest)?;
                let length = take_u16(&mut rest)?;
                let message = take_text(&mut rest, length.into())?;
                Ok(Verdict::Refused { code, message })
            }
            _ => Err(HelloError::Damaged),
        }
    }

    /// The version that was agreed on.
    ///
    /// # Errors
    /// The refusal. A code that only another version knows becomes [`Code::VersionMismatch`].
    pub fn into_result(self) -> Result<u16, Fault> {
        match self {
            Verdict::Welcome(version) => Ok(version),
            Verdict::Refused { code, message } => {
                Err(Fault::new(Code::from_word(&code).unwrap_or(Code::VersionMismatch), message))
            }
        }
    }
}

/// The newest version that both speak.
///
/// # Errors
/// [`Code::VersionMismatch`]; the message names both and says which one to upgrade.
pub fn agree(client: &Hello, daemon: &Hello) -> Result<u16, Fault> {
    let newest_of_both = client.versions.highest.min(daemon.versions.highest);
    let oldest_of_both = client.versions.lowest.max(daemon.versions.lowest);
    if oldest_of_both <= newest_of_both {
        return Ok(newest_of_both);
    }
    let older = if client.versions.highest < daemon.versions.lowest { client } else { daemon };
    Err(Fault::new(
        Code::VersionMismatch,
        format!(
            "{client} speaks version {} of the control protocol and {daemon} speaks version {}: upgrade {}",
            client.versions, daemon.versions, older.program
        ),
    ))
}

fn put_short_text(body: &mut Vec<u8>, text: &str) {
    let text = shortened(text, u8::MAX.into());
    body.push(u8::try_from(text.len()).expect("the text was shortened to fit"));
    body.extend_from_slice(text.as_bytes());
}

fn shortened(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn take_u16(rest: &mut &[u8]) -> Result<u16, HelloError> {
    let (number, behind) = rest.split_first_chunk::<2>().ok_or(HelloError::Damaged)?;
    *rest = behind;
    Ok(u16::from_be_bytes(*number))
}

fn take_short_text(rest: &mut &[u8]) -> Result<String, HelloError> {
    let (&length, behind) = rest.split_first().ok_or(HelloError::Damaged)?;
    *rest = behind;
    take_text(rest, length.into())
}

/// The text ends up in messages and logs, so it is made harmless here.
fn take_text(rest: &mut &[u8], length: usize) -> Result<String, HelloError> {
    let (text, behind) = rest.split_at_checked(length).ok_or(HelloError::Damaged)?;
    *rest = behind;
    std::str::from_utf8(text).map(one_line).map_err(|_| HelloError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(program: &str, lowest: u16, highest: u16) -> Hello {
        Hello { versions: VersionRange { lowest, highest }, program: program.to_owned(), version: "9.1".to_owned() }
    }

    #[test]
    fn a_hello_reads_back_and_leaves_room_for_later() {
        let sent = hello("alknetctl", 1, 3);
        let mut body = sent.encode();
        body.extend_from_slice(b"what a later version adds");

        assert_eq!(Hello::decode(&body), Ok(sent));
    }

    #[test]
    fn a_verdict_reads_back_and_leaves_room_for_later() {
        let refused = Verdict::Refused { code: "forbidden".to_owned(), message: "not yours".to_owned() };
        for sent in [Verdict::Welcome(7), refused] {
            let mut body = sent.encode();
            body.push(0xff);
            assert_eq!(Verdict::decode(&body), Ok(sent));
        }
    }

    #[test]
    fn a_hello_that_is_cut_anywhere_is_damaged() {
        let body = hello("alknetctl", 1, 1).encode();
        for end in 0..body.len() {
            let expected = if end < MAGIC.len() { HelloError::NotAlknet } else { HelloError::Damaged };
            assert_eq!(Hello::decode(&body[..end]), Err(expected), "cut at {end}");
        }
    }

    #[test]
    fn the_newest_common_version_is_chosen() {
        for (client, daemon, chosen) in [((1, 1), (1, 1), 1), ((1, 4), (2, 3), 3), ((2, 3), (1, 9), 3)] {
            let agreed = agree(&hello("alknetctl", client.0, client.1), &hello("alknetd", daemon.0, daemon.1));
            assert_eq!(agreed, Ok(chosen));
        }
    }

    #[test]
    fn without_a_common_version_the_older_side_is_named() {
        let old_daemon = agree(&hello("alknetctl", 3, 4), &hello("alknetd", 1, 2)).unwrap_err();
        let old_client = agree(&hello("alknetctl", 1, 1), &hello("alknetd", 2, 2)).unwrap_err();

        assert_eq!(
            old_daemon.message,
            "alknetctl 9.1 speaks version 3 to 4 of the control protocol and alknetd 9.1 speaks version 1 to 2: \
             upgrade alknetd"
        );
        assert!(old_client.message.ends_with("upgrade alknetctl"), "{}", old_client.message);
        assert_eq!(old_client.code, Code::VersionMismatch);
    }

    #[test]
    fn an_over_long_name_is_shortened_at_a_character() {
        let body = hello(&"ü".repeat(200), 1, 1).encode();
        assert_eq!(Hello::decode(&body).unwrap().program.chars().count(), 127);
    }
}
