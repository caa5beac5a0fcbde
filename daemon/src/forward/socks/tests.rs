use proptest::prelude::*;

use super::*;

const GREETING: &[u8] = &[5, 2, 2, 0];
const NAMED: &[u8] = b"\x05\x01\x00\x03\x0bexample.org\x01\xbb";

/// All that comes out when `bytes` are fed in portions of `n_bytes`, as text.
fn talk(portions: &[&[u8]]) -> Vec<String> {
    let mut handshake = Handshake::default();
    let mut heard = Vec::new();
    let mut portions = portions.iter();
    let mut next: &[u8] = &[];
    loop {
        match handshake.feed(next) {
            Progress::NeedMore => match portions.next() {
                Some(portion) => next = portion,
                None => heard.push("waits".to_owned()),
            },
            Progress::Reply(reply) => {
                heard.push(format!("replies {reply:02x?}"));
                next = &[];
                continue;
            }
            Progress::Asked(request) => {
                let rest: Vec<u8> = portions.copied().flatten().copied().collect();
                let early = [&request.early[..], &rest].concat();
                heard.push(format!("asks for {} then {:?}", request.target, String::from_utf8_lossy(&early)));
                return heard;
            }
            Progress::Refused { reply, why } => heard.push(format!("refuses {reply:02x?}: {why}")),
        }
        if heard.last().is_some_and(|last| last == "waits" || last.starts_with("refuses")) {
            return heard;
        }
    }
}

fn v5(request: &[u8]) -> String {
    talk(&[GREETING, request]).pop().unwrap()
}

#[test]
fn every_kind_of_request_is_understood() {
    let six = [&[5, 1, 0, 4][..], &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], &[0, 80]].concat();
    for (request, understood) in [
        (NAMED, "asks for example.org:443 then \"\""),
        (&[5, 1, 0, 1, 10, 0, 0, 1, 0x1f, 0x90], "asks for 10.0.0.1:8080 then \"\""),
        (&six, "asks for [fd00::2]:80 then \"\""),
        (b"\x05\x01\x00\x03\x041::2\x00\x50", "asks for [1::2]:80 then \"\""),
    ] {
        assert_eq!(v5(request), understood);
    }
    for (request, understood) in [
        (&b"\x04\x01\x00\x50\x0a\x00\x00\x01root\0"[..], "asks for 10.0.0.1:80 then \"\""),
        (b"\x04\x01\x00\x50\x0a\x00\x00\x01\0", "asks for 10.0.0.1:80 then \"\""),
        (b"\x04\x01\x00\x50\x00\x00\x00\x07me\0example.org\0", "asks for example.org:80 then \"\""),
    ] {
        assert_eq!(talk(&[request]), [understood]);
    }
}

#[test]
fn what_is_not_carried_is_refused_with_its_own_code() {
    let impossible = "refuses [05, 01, 00, 01, 00, 00, 00, 00, 00, 00]: its target is impossible";
    let command = "refuses [05, 07, 00, 01, 00, 00, 00, 00, 00, 00]: it asks for something else than CONNECT";
    for (request, refusal) in [
        (&[5, 2, 0, 1, 10, 0, 0, 1, 0, 80][..], command),
        (&[5, 3, 0, 1, 10, 0, 0, 1, 0, 80], command),
        (&[5, 1, 0, 9, 1], "refuses [05, 08, 00, 01, 00, 00, 00, 00, 00, 00]: its kind of address is unknown"),
        (&[5, 1, 0, 1, 10, 0, 0, 1, 0, 0], impossible),
        (b"\x05\x01\x00\x03\x00\x00\x50", impossible),
        (b"\x05\x01\x00\x03\x02\xff\xfe\x00\x50", impossible),
        (b"\x05\x01\x00\x03\x03a b\x00\x50", impossible),
        (&[4, 1, 0, 1, 10, 0, 0, 1, 0, 80], "refuses []: it does not speak SOCKS"),
    ] {
        assert_eq!(v5(request), refusal);
    }
    assert_eq!(talk(&[&[5, 1, 2]]), ["refuses [05, ff]: it insists on a login"]);
    assert_eq!(talk(&[&[5, 0]]), ["refuses [05, ff]: it insists on a login"]);
    assert_eq!(
        talk(&[b"\x04\x02\x00\x50\x0a\x00\x00\x01\0"]),
        ["refuses [00, 5b, 00, 00, 00, 00, 00, 00]: it asks for something else than CONNECT"]
    );
}

#[test]
fn a_browser_gets_no_answer() {
    for first in [&b"GET / HTTP/1.1\r\n"[..], b"POST", b"\x16\x03\x01", b"\0", b"SSH-2.0-x"] {
        assert_eq!(talk(&[first]), ["refuses []: it does not speak SOCKS"]);
    }
}

#[test]
fn a_handshake_without_an_end_is_refused() {
    let user = [b'x'; 2000];

    let heard = talk(&[b"\x04\x01\x00\x50\x0a\x00\x00\x01", &user]);

    assert_eq!(heard, ["refuses []: its handshake has no end"]);
}

#[test]
fn the_answer_names_what_went_wrong() {
    let mut handshake = Handshake::default();
    handshake.feed(GREETING);
    let Progress::Asked(request) = handshake.feed(NAMED) else { panic!() };

    let codes = [
        (Code::ConnectionRefused, 5),
        (Code::PermissionDenied, 2),
        (Code::Unreachable, 4),
        (Code::NameNotResolved, 4),
        (Code::TimedOut, 6),
        (Code::ConnectionLost, 1),
    ];

    for (code, byte) in codes {
        assert_eq!(request.refused(code), [5, byte, 0, 1, 0, 0, 0, 0, 0, 0], "{code:?}");
    }
    assert_eq!(request.granted(), [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn every_split_of_every_message_is_understood_alike() {
    let pipelined = [GREETING, NAMED, b"hello"].concat();
    let four = b"\x04\x01\x00\x50\x00\x00\x00\x07me\0example.org\0hello".to_vec();
    for (whole, understood) in [
        (pipelined, &["replies [05, 00]", "asks for example.org:443 then \"hello\""][..]),
        (four, &["asks for example.org:80 then \"hello\""][..]),
    ] {
        for at in 0..=whole.len() {
            for then in at..=whole.len() {
                let heard = talk(&[&whole[..at], &whole[at..then], &whole[then..]]);
                assert_eq!(heard, understood, "split at {at} and {then}");
            }
        }
        let each_alone: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(talk(&each_alone), understood);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(version in prop::sample::select(vec![0u8, 4, 5, 71]), bytes: Vec<u8>, cut in 0..100usize) {
        let whole = [&[version][..], &bytes].concat();
        let cut = cut.min(whole.len());
        talk(&[&whole[..cut], &whole[cut..]]);
        talk(&[GREETING, &whole[..cut], &whole[cut..]]);
    }

    #[test]
    fn bytes_behind_the_request_are_never_lost(early: Vec<u8>) {
        let mut handshake = Handshake::default();
        handshake.feed(GREETING);
        let progress = handshake.feed(&[NAMED, &early].concat());
        let Progress::Asked(request) = progress else { panic!("{progress:?}") };
        prop_assert_eq!(&request.early[..], &early[..]);
    }
}
