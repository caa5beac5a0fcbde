//! The JSON objects that are this program's own; everything else is a type of the protocol.

mod explained;
mod imported;

use alknet_proto::history::{Outage, SessionChange};
use alknet_proto::operation::ForwardRef;
use alknet_proto::status::{Change, ForwardDetail, Prompt, Refusal};
use alknet_proto::{Code, DaemonStatus, Fault, ForwardId, ForwardName, ForwardStatus, SessionStatus, Stage};
use serde::Serialize;

pub(crate) use explained::Explained;
pub(crate) use imported::Imports;

/// `{"error":{…}}`: why a command failed.
#[derive(Serialize)]
pub(crate) struct ErrorObject<'a> {
    error: ErrorBody<'a>,
    #[serde(skip_serializing_if = "<[ForwardStatus]>::is_empty")]
    forwards: &'a [ForwardStatus],
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: Code,
    message: &'a str,
    hint: Option<&'a str>,
    stage: Option<Stage>,
}

impl<'a> ErrorObject<'a> {
    /// `forwards` are those that stay although the command failed; none is left out of the object.
    pub(crate) fn new(fault: &'a Fault, forwards: &'a [ForwardStatus]) -> Self {
        ErrorObject { error: fault.into(), forwards }
    }
}

impl<'a> From<&'a Fault> for ErrorBody<'a> {
    fn from(fault: &'a Fault) -> Self {
        let Fault { code, message, retryable: _, hint, stage } = fault;
        ErrorBody { code: *code, message, hint: hint.as_deref(), stage: *stage }
    }
}

/// `remove-forward`, `start`, `stop` and `restart`: what it was done to.
#[derive(Serialize)]
pub(crate) struct Changed<'a> {
    id: ForwardId,
    name: &'a ForwardName,
    /// Only where it is true: by `restart`, for a forward that a person stopped.
    #[serde(skip_serializing_if = "is_false")]
    left_stopped: bool,
}

impl<'a> From<&'a ForwardRef> for Changed<'a> {
    fn from(forward: &'a ForwardRef) -> Self {
        Changed { id: forward.id, name: &forward.name, left_stopped: forward.left_stopped }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// `show`: the fields of the forward, its history, its session with that one's, and its last outages.
#[derive(Serialize)]
pub(crate) struct Detail<'a> {
    #[serde(flatten)]
    forward: &'a ForwardStatus,
    history: &'a [Change],
    last_refusal: Option<&'a Refusal>,
    session: Option<WithHistory<'a>>,
    outages: &'a [Outage],
}

#[derive(Serialize)]
struct WithHistory<'a> {
    #[serde(flatten)]
    session: &'a SessionStatus,
    history: &'a [SessionChange],
}

impl<'a> From<&'a ForwardDetail> for Detail<'a> {
    fn from(detail: &'a ForwardDetail) -> Self {
        let ForwardDetail { forward, history, session, last_refusal, outages } = detail;
        let session = session.as_ref().map(|detail| WithHistory { session: &detail.session, history: &detail.history });
        let last_refusal = last_refusal.as_ref();
        Detail { forward, history, last_refusal, session, outages }
    }
}

/// `status`: everything at a glance.
#[derive(Serialize)]
pub(crate) struct Overview<'a> {
    /// The daemon itself.
    pub(crate) daemon: &'a DaemonStatus,
    /// Every session.
    pub(crate) sessions: &'a [SessionStatus],
    /// Every forward.
    pub(crate) forwards: &'a [ForwardStatus],
    /// Every open question.
    pub(crate) prompts: &'a [Prompt],
}

/// `ping`: the daemon answers.
#[derive(Serialize)]
pub(crate) struct Pong {
    /// Always true: a daemon that does not answer is an error.
    pub(crate) ok: bool,
    /// From the question to the answer, in milliseconds.
    pub(crate) round_trip_ms: f64,
}

/// `reload`: what the configuration changes.
#[derive(Serialize)]
pub(crate) struct Reloaded<'a> {
    /// The settings that are others now, by their names in the file.
    pub(crate) changed: &'a [String],
    /// What a person should know about them.
    pub(crate) notices: &'a [String],
}

/// `shutdown`: it was done.
#[derive(Serialize)]
pub(crate) struct Done {
    /// Always true.
    pub(crate) ok: bool,
}

/// `completions`: the script of a shell.
#[derive(Serialize)]
pub(crate) struct Completions<'a> {
    /// Which shell.
    pub(crate) shell: String,
    /// What the shell is to read.
    pub(crate) script: &'a str,
}

/// `version`: of this program, and of the daemon where one answers.
#[derive(Serialize)]
pub(crate) struct Versions<'a> {
    /// This program.
    pub(crate) client: Version<'a>,
    /// The daemon; without one, null.
    pub(crate) daemon: Option<Version<'a>>,
}

/// The version of one program.
#[derive(Serialize)]
pub(crate) struct Version<'a> {
    /// Of the program.
    pub(crate) version: &'a str,
    /// Of the control protocol that it speaks.
    pub(crate) protocol: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn text<T: Serialize>(value: &T) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn an_error_has_all_four_fields_even_when_two_are_null() {
        let fault = Fault::new(Code::NoDaemon, "no daemon");

        assert_eq!(
            text(&ErrorObject::new(&fault, &[])),
            r#"{"error":{"code":"no_daemon","message":"no daemon","hint":null,"stage":null}}"#
        );
    }

    #[test]
    fn show_is_one_flat_object_with_a_history() {
        let detail = ForwardDetail {
            forward: sample::active("web"),
            history: Vec::new(),
            last_refusal: None,
            session: None,
            outages: Vec::new(),
        };

        let shown: serde_json::Value = serde_json::from_str(&text(&Detail::from(&detail))).unwrap();

        assert_eq!(shown["name"], "web");
        assert_eq!(shown["id"], detail.forward.id.to_string());
        assert_eq!(shown["history"], serde_json::json!([]));
        assert_eq!((&shown["session"], &shown["outages"]), (&serde_json::Value::Null, &serde_json::json!([])));
        assert!(shown.get("forward").is_none());
    }
}
