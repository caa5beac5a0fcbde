//! `PROTOCOL.md` says what the code does.
#![expect(clippy::unwrap_used, reason = "a test may end by a panic")]

mod samples;

use alknet_proto::connection::GREETING_TIMEOUT;
use alknet_proto::envelope::DEFAULT_CALL_TIMEOUT;
use alknet_proto::operation::{MAX_ADDED_AT_ONCE, OperationKind, PAGE};
use alknet_proto::{Code, Output, PROTOCOL_VERSION, RequestId, Stage, frame};
use samples::{events, hex, messages, operations};
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::Value;

const DOCUMENT: &str = include_str!("../PROTOCOL.md");

/// The index under which bincode writes a variant.
fn index<T: Serialize>(variant: &T) -> u8 {
    frame::encode(variant).unwrap()[frame::LENGTH_BYTES]
}

fn assert_said(what: &str) {
    assert!(DOCUMENT.contains(what), "PROTOCOL.md does not say: {what}");
}

/// Every word of an enum without fields, from its schema, so that none can be forgotten.
fn words<T: JsonSchema>() -> Vec<String> {
    let schema = schema_for!(T).to_value();
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let words: Vec<String> = variants.iter().filter_map(|v| v["const"].as_str()).map(str::to_owned).collect();
    assert!(!words.is_empty(), "{schema}");
    words
}

#[test]
fn every_operation_is_there_with_its_index_and_kind() {
    for operation in operations() {
        let kind = match operation.kind() {
            OperationKind::Query => "query",
            OperationKind::Mutation => "mutation",
            OperationKind::Subscription => "subscription",
        };
        assert_said(&format!("\n| {} | `{}` | {kind} |", index(&operation), operation.name()));
    }
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| ") && line.contains("/")).count();
    let variants = schema_for!(alknet_proto::Operation).to_value()["oneOf"].as_array().map_or(0, Vec::len);
    assert_eq!(operations().len(), variants, "an operation has no sample");
    assert!(variants <= rows);
}

#[test]
fn every_code_is_there_with_its_index() {
    for word in words::<Code>() {
        let code = Code::from_word(&word).unwrap();
        assert_said(&format!("\n| {} | `{word}` |", index(&code)));
    }
}

#[test]
fn every_stage_is_there_with_its_index() {
    for word in words::<Stage>() {
        let stage: Stage = serde_json::from_value(Value::String(word.clone())).unwrap();
        assert_said(&format!("{} {word}", index(&stage)));
    }
}

#[test]
fn every_event_is_there_with_its_index() {
    let variants = schema_for!(alknet_proto::StatusEvent).to_value()["oneOf"].as_array().map_or(0, Vec::len);
    assert_eq!(events().len(), variants, "an event has no sample");
    for event in events() {
        assert_said(&format!("\n| {} | `{}` |", index(&event), event.word()));
    }
}

#[test]
fn every_type_of_message_is_there_with_its_index() {
    for (_, message) in messages() {
        assert_said(&format!("\n| {} | `{}` |", index(&message.body), message.body.name()));
    }
}

#[test]
fn the_limits_are_there() {
    assert_said(&format!("version {PROTOCOL_VERSION}\n"));
    assert_said(&format!("waits at most {} s for the other", GREETING_TIMEOUT.as_secs()));
    assert_said(&format!("without it {} s", DEFAULT_CALL_TIMEOUT.as_secs()));
    assert_said(&format!("answer at most {PAGE} at once"));
    assert_said(&format!("1 to {MAX_ADDED_AT_ONCE}: all or none"));
    assert_eq!(frame::MAX_BODY_BYTES, 1_048_576);
    assert_said("1 to 1,048,576");
}

#[test]
fn the_examples_are_right() {
    let in_pairs = |message: &alknet_proto::Envelope| {
        let framed = frame::encode(message).unwrap();
        framed[frame::LENGTH_BYTES..].chunks(1).map(hex).collect::<Vec<_>>().join(" ")
    };
    let (_, ping) = messages().swap_remove(0);
    let pong = alknet_proto::Envelope { id: RequestId(1), body: alknet_proto::Body::Responded(Output::Done) };
    assert_said(&format!("    {}\n    {}\n", in_pairs(&ping), in_pairs(&pong)));
}
