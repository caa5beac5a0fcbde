//! The control protocol byte by byte, for clients that do what alknetctl never would.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use alknet_proto::envelope::Request;
use alknet_proto::{Body, Envelope, Operation, PROTOCOL_VERSION, RequestId, frame};

use crate::wait::LIMIT;

/// The frame of a hello that speaks the versions `lowest` to `highest`, written down here once more.
///
/// The layout never changes: the magic word, two versions, name and version of the program.
pub fn hello(lowest: u16, highest: u16) -> Vec<u8> {
    let mut body = b"alknet".to_vec();
    body.extend(lowest.to_be_bytes());
    body.extend(highest.to_be_bytes());
    for text in ["knock", "1.2.3"] {
        body.push(u8::try_from(text.len()).expect("it is short"));
        body.extend(text.as_bytes());
    }
    framed(&body)
}

/// The frame of a ping.
pub fn ping(id: u64) -> Vec<u8> {
    request(id, Operation::Ping)
}

/// The frame of a request.
pub fn request(id: u64, operation: Operation) -> Vec<u8> {
    let body = Body::Requested(Request { operation, timeout_ms: None });
    frame::encode(&Envelope { id: RequestId(id), body }).expect("the request fits into a frame").to_vec()
}

/// A length in front of a body.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut framed = u32::try_from(body.len()).expect("it is short").to_be_bytes().to_vec();
    framed.extend(body);
    framed
}

/// A connection to the control socket without any manners. Reads and writes wait at most 20 s.
#[derive(Debug)]
pub struct RawClient(pub UnixStream);

impl RawClient {
    /// Connects and says nothing.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the daemon listens");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        RawClient(stream)
    }

    /// Connects and greets as a client of this version does.
    pub fn greeted(socket: &Path) -> Self {
        let mut client = RawClient::connect(socket);
        client.send(&hello(PROTOCOL_VERSION, PROTOCOL_VERSION));
        client.read_frame().expect("the daemon's hello");
        let verdict = client.read_frame().expect("the daemon's verdict");
        assert_eq!(verdict.first(), Some(&0), "the daemon welcomes this client");
        client
    }

    /// Sends bytes as they are. That the daemon has closed is for the next read to say.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The body of the next frame.
    ///
    /// # Errors
    /// When the connection ends before a whole frame came.
    pub fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }

    /// The next message.
    ///
    /// # Errors
    /// When the connection ends before a whole message came.
    pub fn read_message(&mut self) -> io::Result<Envelope> {
        let body = self.read_frame()?;
        Ok(frame::decode(&body).expect("the daemon sends messages"))
    }

    /// Everything that comes until the daemon closes the connection.
    ///
    /// # Panics
    /// When it does not within 20 s.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("the daemon does not close the connection: {error}"),
        }
    }
}
