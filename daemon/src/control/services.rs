//! What the daemon offers: one line per operation, and its schemas.

use alknet_proto::operation::{OperationKind, ServiceSchema, ServiceSummary};
use alknet_proto::{Code, Fault, Operation, Output};
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use super::access::{AccessControl, Identity, Scope};

/// Everything about one operation that is not in its types.
pub(super) struct Service {
    name: &'static str,
    kind: OperationKind,
    pub(super) scope: Scope,
    /// The variants of `Operation` and `Output` whose schemas are its input and output.
    variants: (&'static str, &'static str),
    description: &'static str,
    /// Beside those that any operation may answer, see [`COMMON_ERRORS`].
    errors: &'static [Code],
}

/// What any operation may answer.
const COMMON_ERRORS: [Code; 7] = [
    Code::Forbidden,
    Code::InvalidRequest,
    Code::SessionLimit,
    Code::TimedOut,
    Code::DaemonStopping,
    Code::Aborted,
    Code::Internal,
];

const SELECTING: &[Code] = &[Code::NotFound, Code::Ambiguous];
const SELECTING_AND_SAVING: &[Code] = &[Code::NotFound, Code::Ambiguous, Code::NotSaved];
const STARTING: &[Code] = &[
    Code::NotFound,
    Code::Ambiguous,
    Code::NotSaved,
    Code::AddressInUse,
    Code::AddressNotAvailable,
    Code::PermissionDenied,
    Code::RemotePortInUse,
    Code::RemoteForwardRefused,
];
const RELOADING: &[Code] = &[Code::InvalidConfig];
const ADDING: &[Code] = &[
    Code::InvalidSpec,
    Code::NameInUse,
    Code::NotSaved,
    Code::AddressInUse,
    Code::AddressNotAvailable,
    Code::PermissionDenied,
    Code::RemotePortInUse,
    Code::RemoteForwardRefused,
];

/// What an attempt to connect may end with; any code of a session's reason.
const RENEWING: &[Code] = &[Code::NotFound, Code::ConnectionLost, Code::Unreachable, Code::AuthRefused];

use OperationKind::{Mutation, Query, Subscription};
use Scope::{Admin, Control, Read};

#[rustfmt::skip]
const SERVICES: [Service; 21] = [
    Service { name: "daemon/ping", kind: Query, scope: Read, variants: ("Ping", "Done"), errors: &[],
        description: "answers, if the daemon is there" },
    Service { name: "daemon/status", kind: Query, scope: Read, variants: ("DaemonStatus", "Daemon"), errors: &[],
        description: "version, process and uptime of the daemon" },
    Service { name: "daemon/shutdown", kind: Mutation, scope: Admin, variants: ("Shutdown", "Done"), errors: &[],
        description: "stops the daemon in order; answered before it begins" },
    Service { name: "forwards/add", kind: Mutation, scope: Control, variants: ("AddForwards", "Added"), errors: ADDING,
        description: "adds all of the forwards or none; answered when they listen and are on disk" },
    Service { name: "forwards/remove", kind: Mutation, scope: Control, variants: ("RemoveForwards", "Changed"),
        errors: SELECTING_AND_SAVING,
        description: "removes forwards; answered when the ports are free and the rules are off the disk" },
    Service { name: "forwards/start", kind: Mutation, scope: Control, variants: ("StartForwards", "Changed"),
        errors: STARTING, description: "brings stopped forwards back" },
    Service { name: "forwards/stop", kind: Mutation, scope: Control, variants: ("StopForwards", "Changed"),
        errors: SELECTING_AND_SAVING,
        description: "keeps the rules, closes the listeners and cancels every retry" },
    Service { name: "forwards/restart", kind: Mutation, scope: Control, variants: ("RestartForwards", "Changed"),
        errors: STARTING, description: "stops and starts forwards; a failed session tries again" },
    Service { name: "forwards/list", kind: Query, scope: Read, variants: ("ListForwards", "Forwards"),
        errors: SELECTING, description: "one page of forwards as they are now" },
    Service { name: "forwards/show", kind: Query, scope: Read, variants: ("ShowForward", "Forward"),
        errors: SELECTING, description: "one forward with its history" },
    Service { name: "sessions/list", kind: Query, scope: Read, variants: ("ListSessions", "Sessions"), errors: &[],
        description: "one page of sessions as they are now" },
    Service { name: "sessions/retry", kind: Mutation, scope: Control, variants: ("RetrySessions", "Destinations"),
        errors: &[Code::NotFound], description: "connects now what is down" },
    Service { name: "sessions/disconnect", kind: Mutation, scope: Control,
        variants: ("DisconnectSession", "Destinations"), errors: &[Code::NotFound],
        description: "ends a session; its forwards come back with sessions/retry" },
    Service { name: "events/watch", kind: Subscription, scope: Read, variants: ("Watch", "Event"), errors: SELECTING,
        description: "a snapshot, then every change" },
    Service { name: "services/list", kind: Query, scope: Read, variants: ("ListServices", "Services"), errors: &[],
        description: "the operations that the caller may use" },
    Service { name: "services/schema", kind: Query, scope: Read, variants: ("ServiceSchema", "Schema"),
        errors: &[Code::NotFound], description: "one operation in full" },
    Service { name: "destinations/explain", kind: Query, scope: Read, variants: ("Explain", "Explanation"),
        errors: &[Code::InvalidConfig],
        description: "what the ssh configuration makes of a destination, value by value" },
    Service { name: "destinations/forwards", kind: Query, scope: Read, variants: ("FindForwards", "FoundForwards"),
        errors: &[Code::InvalidConfig], description: "one page of the forwards that the ssh configuration asks for" },
    Service { name: "forwards/history", kind: Query, scope: Read, variants: ("History", "History"), errors: SELECTING,
        description: "one page of outages and availability, of removed forwards too" },
    Service { name: "sessions/renew", kind: Mutation, scope: Control, variants: ("RenewSession", "Destinations"),
        errors: RENEWING, description: "a new link takes the place of the old one, which ends with its connections" },
    Service { name: "daemon/reload", kind: Mutation, scope: Control, variants: ("Reload", "Reloaded"), errors: RELOADING,
        description: "reads the daemon's configuration again; answered with what changed" },
];

pub(super) fn find(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// Answers `services/list`: what `identity` may call.
pub(super) fn list(identity: &Identity) -> Vec<ServiceSummary> {
    SERVICES.iter().filter(|service| identity.has(service.scope)).map(Service::summary).collect()
}

/// Answers `services/schema`.
pub(super) fn schema(identity: &Identity, name: &str) -> Result<ServiceSchema, Fault> {
    let Some(service) = find(name) else {
        return Err(Fault::new(Code::NotFound, format!("there is no operation `{name}`"))
            .with_hint("services/list names all of them"));
    };
    AccessControl::check_name(identity, name)?;
    Ok(ServiceSchema {
        summary: service.summary(),
        input_schema: variant_schema::<Operation>(service.variants.0)?,
        output_schema: variant_schema::<Output>(service.variants.1)?,
        errors: service.errors.iter().chain(&COMMON_ERRORS).copied().collect(),
        access: format!("whoever has `{}`; on the local socket the user who runs the daemon", service.scope.word()),
    })
}

impl Service {
    fn summary(&self) -> ServiceSummary {
        ServiceSummary { name: self.name.to_owned(), kind: self.kind, description: self.description.to_owned() }
    }
}

/// The schema of one variant of an enum, with the definitions that it needs and no others.
fn variant_schema<T: JsonSchema>(variant: &str) -> Result<String, Fault> {
    let mut whole = schema_for!(T).to_value();
    let definitions = whole.get_mut("$defs").map(Value::take).unwrap_or_default();
    let variants = whole.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let found = variants.into_iter().find_map(|schema| narrowed(schema, variant));
    let Some(mut schema) = found else {
        return Err(Fault::new(Code::Internal, format!("there is no schema of {variant}")));
    };
    let mut needed = Map::new();
    collect_definitions(&Value::Object(schema.clone()), &definitions, &mut needed);
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    if !needed.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(needed));
    }
    Ok(Value::Object(schema).to_string())
}

/// Variants without fields and without a description share one schema that lists their names.
fn narrowed(schema: &Value, variant: &str) -> Option<Map<String, Value>> {
    let is_it = schema.get("const").is_some_and(|name| name == variant)
        || schema.get("properties").is_some_and(|fields| fields.get(variant).is_some());
    if is_it {
        return schema.as_object().cloned();
    }
    let listed = schema.get("enum")?.as_array()?.iter().any(|name| name == variant);
    listed.then(|| Map::from_iter([("const".to_owned(), json!(variant))]))
}

fn collect_definitions(schema: &Value, definitions: &Value, needed: &mut Map<String, Value>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"))
                && !needed.contains_key(name)
                && let Some(definition) = definitions.get(name)
            {
                needed.insert(name.to_owned(), definition.clone());
                collect_definitions(definition, definitions, needed);
            }
            fields.values().for_each(|field| collect_definitions(field, definitions, needed));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_definitions(item, definitions, needed)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use alknet_proto::Selector;

    use super::*;

    /// The compiler asks here when an operation is new.
    fn next(operation: Option<&Operation>) -> Option<Operation> {
        Some(match operation {
            None => Operation::Ping,
            Some(Operation::Ping) => Operation::DaemonStatus,
            Some(Operation::DaemonStatus) => Operation::Shutdown,
            Some(Operation::Shutdown) => Operation::AddForwards(Vec::new()),
            Some(Operation::AddForwards(_)) => Operation::RemoveForwards(Vec::new()),
            Some(Operation::RemoveForwards(_)) => Operation::StartForwards(Vec::new()),
            Some(Operation::StartForwards(_)) => Operation::StopForwards(Vec::new()),
            Some(Operation::StopForwards(_)) => Operation::RestartForwards(Vec::new()),
            Some(Operation::RestartForwards(_)) => Operation::ListForwards { selectors: Vec::new(), after: None },
            Some(Operation::ListForwards { .. }) => Operation::ShowForward(Selector::All),
            Some(Operation::ShowForward(_)) => Operation::ListSessions { after: None },
            Some(Operation::ListSessions { .. }) => Operation::RetrySessions(Vec::new()),
            Some(Operation::RetrySessions(_)) => Operation::DisconnectSession("prod".parse().unwrap()),
            Some(Operation::DisconnectSession(_)) => {
                Operation::Watch { selectors: Vec::new(), since: None, stats_ms: None }
            }
            Some(Operation::Watch { .. }) => Operation::ListServices,
            Some(Operation::ListServices) => Operation::ServiceSchema("daemon/ping".to_owned()),
            Some(Operation::ServiceSchema(_)) => Operation::Explain("prod".parse().unwrap()),
            Some(Operation::Explain(_)) => Operation::FindForwards { destinations: Vec::new(), skip: 0 },
            Some(Operation::FindForwards { .. }) => {
                let since = jiff::Timestamp::UNIX_EPOCH;
                Operation::History { selectors: Vec::new(), since, after: None }
            }
            Some(Operation::History { .. }) => Operation::RenewSession("prod".parse().unwrap()),
            Some(Operation::RenewSession(_)) => Operation::Reload,
            Some(Operation::Reload) => return None,
        })
    }

    pub(in crate::control) fn one_of_each() -> Vec<Operation> {
        std::iter::successors(next(None), |operation| next(Some(operation))).collect()
    }

    fn owner() -> Identity {
        Identity::new("owner", &[Read, Control, Admin])
    }

    #[test]
    fn the_table_has_every_operation_with_its_kind() {
        let offered: Vec<(&str, OperationKind)> = SERVICES.iter().map(|s| (s.name, s.kind)).collect();
        let known: Vec<(&str, OperationKind)> = one_of_each().iter().map(|o| (o.name(), o.kind())).collect();
        assert_eq!(offered, known);
    }

    #[test]
    fn only_what_the_caller_may_call_is_listed() {
        let reader = Identity::new("reader", &[Read]);
        assert_eq!(list(&owner()).len(), SERVICES.len());
        assert!(list(&reader).iter().all(|summary| summary.kind != Mutation));
        assert_eq!(schema(&reader, "daemon/shutdown").unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn every_operation_has_an_input_and_an_output_schema() {
        for service in &SERVICES {
            let schema = schema(&owner(), service.name).unwrap();
            for (text, variant) in
                [(&schema.input_schema, service.variants.0), (&schema.output_schema, service.variants.1)]
            {
                let value: Value = serde_json::from_str(text).unwrap();
                assert!(value.is_object() && text.contains(variant), "{}: {text}", service.name);
            }
        }
    }

    #[test]
    fn a_schema_brings_the_definitions_that_it_needs_and_no_others() {
        let schema = schema(&owner(), "forwards/remove").unwrap();
        let value: Value = serde_json::from_str(&schema.input_schema).unwrap();
        let definitions: Vec<&String> = value["$defs"].as_object().unwrap().keys().collect();
        assert_eq!(definitions, ["Destination", "Selector", "Tag"]);
    }

    #[test]
    fn a_real_input_has_the_shape_of_its_schema() {
        for operation in one_of_each() {
            let variant = find(operation.name()).unwrap().variants.0;
            let value = serde_json::to_value(&operation).unwrap();
            let is_named = value == json!(variant) || value.get(variant).is_some();
            assert!(is_named, "{}: {value}", operation.name());
        }
    }

    #[test]
    fn an_operation_that_is_not_there_is_not_found() {
        assert_eq!(schema(&owner(), "forwards/fly").unwrap_err().code, Code::NotFound);
    }
}
