//! The bytes of every kind of message, pinned: a change here is a new version of the protocol.
#![expect(clippy::unwrap_used, reason = "a test may end by a panic")]

mod samples;

use alknet_proto::hello::{Hello, Verdict, VersionRange};
use alknet_proto::{Envelope, frame};
use samples::{hex, messages};

/// One line for each message of [`messages`]: its name and its body, without the length in front.
const GOLDEN: &str = include_str!("golden.txt");

#[test]
fn every_message_has_the_bytes_that_it_always_had() {
    let messages = messages();
    let golden: Vec<(&str, &str)> = GOLDEN.lines().filter_map(|line| line.rsplit_once(": ")).collect();
    let mut wrong = String::new();
    for (name, message) in &messages {
        let framed = frame::encode(message).unwrap();
        let body = &framed[frame::LENGTH_BYTES..];
        let pinned = golden.iter().find(|(pinned, _)| pinned == name).map_or("", |(_, bytes)| bytes);
        let bytes = hex(body);
        if bytes != pinned {
            let same = bytes.bytes().zip(pinned.bytes()).take_while(|(a, b)| a == b).count() / 2 * 2;
            wrong += &format!(
                "\n{name}: from byte {} on\n  pinned {}\n  is     {}\n  line   {name}: {bytes}",
                same / 2,
                &pinned[same..],
                &bytes[same..]
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(golden.len(), messages.len(), "a pinned message is not made any more");
}

#[test]
fn every_pinned_message_reads_back() {
    for (name, message) in messages() {
        let framed = frame::encode(&message).unwrap();
        assert_eq!(frame::decode::<Envelope>(&framed[frame::LENGTH_BYTES..]), Ok(message), "{name}");
    }
}

#[test]
fn a_frame_begins_with_the_length_of_its_body() {
    assert_eq!(hex(&frame::frame(&[0xab; 300]).unwrap()[..6]), "0000012cabab");
}

#[test]
fn a_hello_has_the_bytes_that_it_will_always_have() {
    let hello = Hello {
        versions: VersionRange { lowest: 1, highest: 258 },
        program: "alknetctl".to_owned(),
        version: "0.1.0".to_owned(),
    };
    assert_eq!(hex(&hello.encode()), "616c6b6e657400010102".to_owned() + "09616c6b6e657463746c" + "05302e312e30");
}

#[test]
fn a_verdict_has_the_bytes_that_it_will_always_have() {
    let refused = Verdict::Refused { code: "forbidden".to_owned(), message: "not yours".to_owned() };
    assert_eq!(hex(&Verdict::Welcome(258).encode()), "000102");
    assert_eq!(hex(&refused.encode()), "01".to_owned() + "09666f7262696464656e" + "00096e6f7420796f757273");
}
