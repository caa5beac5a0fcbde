//! Bytes that nobody meant as messages, and messages in every number of pieces.
#![expect(clippy::unwrap_used, reason = "a test may end by a panic")]

mod samples;

use alknet_proto::connection::MessageReader;
use alknet_proto::hello::{Hello, Verdict};
use alknet_proto::{Envelope, frame};
use bytes::BytesMut;
use proptest::prelude::*;
use samples::messages;
use tokio::io::AsyncReadExt;

/// What hostile lengths may make the decoder allocate, over all cases; they ask for far more.
#[cfg(target_os = "linux")]
const ALLOWED_GROWTH_KIB: u64 = 64 * 1024;

fn bodies() -> Vec<Vec<u8>> {
    messages().iter().map(|(_, message)| frame::encode(message).unwrap()[frame::LENGTH_BYTES..].to_vec()).collect()
}

/// Nothing is expected of the result, only that there is one.
fn take_everything(bytes: &[u8]) {
    let _ = frame::decode::<Envelope>(bytes);
    let _ = Hello::decode(bytes);
    let _ = Verdict::decode(bytes);
    let mut received = BytesMut::from(bytes);
    while let Ok(Some(body)) = frame::take_body(&mut received) {
        let _ = frame::decode::<Envelope>(&body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        take_everything(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(
        which in any::<prop::sample::Index>(),
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let bodies = BODIES.with(Clone::clone);
        let mut body = bodies[which.index(bodies.len())].clone();
        for (position, byte) in hits {
            let position = position.index(body.len());
            body[position] = byte;
        }
        take_everything(&body);
        take_everything(&body[..end.index(body.len() + 1)]);
    }

    #[test]
    fn what_is_read_of_damaged_messages_can_be_written_again(
        which in any::<prop::sample::Index>(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let bodies = BODIES.with(Clone::clone);
        let mut body = bodies[which.index(bodies.len())].clone();
        let position = position.index(body.len());
        body[position] = byte;
        if let Ok(message) = frame::decode::<Envelope>(&body) {
            let again = frame::encode(&message).unwrap();
            // Numbers that are not finite are not equal to themselves; their bytes are.
            let read_again: Envelope = frame::decode(&again[frame::LENGTH_BYTES..]).unwrap();
            prop_assert_eq!(frame::encode(&read_again).unwrap(), again);
        }
    }
}

thread_local! {
    static BODIES: std::rc::Rc<Vec<Vec<u8>>> = std::rc::Rc::new(bodies());
}

/// The most memory that this process ever had, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_length_that_nothing_follows_allocates_nothing_of_the_kind() {
    let before = peak_kib();
    // Every position of every message claims that something of 2^20, 2^32 and 2^64 begins there.
    for body in bodies() {
        for position in 0..body.len() {
            for claim in [&[252, 0, 0, 16, 0][..], &[252, 255, 255, 255, 255], &[253; 9], &[255; 9]] {
                let hostile = [&body[..position], claim].concat();
                let _ = frame::decode::<Envelope>(&hostile);
            }
        }
    }
    let grown = peak_kib() - before;
    assert!(grown < ALLOWED_GROWTH_KIB, "{grown} KiB");
}

#[tokio::test]
async fn every_split_of_a_stream_yields_the_same_messages() {
    let sent: Vec<Envelope> = messages().into_iter().map(|(_, message)| message).collect();
    let stream: Vec<u8> = sent.iter().flat_map(|message| frame::encode(message).unwrap()).collect();

    for split in 0..=stream.len() {
        let (first, second) = stream.split_at(split);
        let mut reader = MessageReader::new(first.chain(second));
        for expected in &sent {
            assert_eq!(reader.next::<Envelope>().await.unwrap().as_ref(), Some(expected), "split at {split}");
        }
        assert_eq!(reader.next::<Envelope>().await.unwrap(), None);
    }
}

#[test]
fn one_byte_at_a_time_yields_the_same_messages() {
    let sent: Vec<Envelope> = messages().into_iter().map(|(_, message)| message).collect();
    let stream: Vec<u8> = sent.iter().flat_map(|message| frame::encode(message).unwrap()).collect();

    let mut received = BytesMut::new();
    let mut taken = Vec::new();
    for byte in stream {
        received.extend_from_slice(&[byte]);
        if let Some(body) = frame::take_body(&mut received).unwrap() {
            taken.push(frame::decode::<Envelope>(&body).unwrap());
        }
    }

    assert_eq!(taken, sent);
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_message_is_an_error_wherever_it_ends() {
    let (_, message) = messages().swap_remove(3);
    let framed = frame::encode(&message).unwrap();
    for end in 1..framed.len() {
        let mut reader = MessageReader::new(&framed[..end]);
        assert!(reader.next::<Envelope>().await.is_err(), "cut at {end}");
    }
}

#[test]
fn the_limits_of_a_length_are_exact() {
    let head = |length: u32| BytesMut::from(&length.to_be_bytes()[..]);
    assert!(frame::take_body(&mut head(0)).is_err());
    assert_eq!(frame::take_body(&mut head(1)), Ok(None));
    assert_eq!(frame::take_body(&mut head(1 << 20)), Ok(None));
    assert!(frame::take_body(&mut head((1 << 20) + 1)).is_err());
    assert!(frame::take_body(&mut head(u32::MAX)).is_err());
}

#[test]
fn bytes_behind_a_message_are_an_error() {
    let mut body = bodies().swap_remove(0);
    body.push(0);
    assert!(frame::decode::<Envelope>(&body).is_err());
}
