//! What a daemon does with the rules it finds on disk.

use alknet_core::{SavedRule, SavedRules};
use alknet_proto::{ForwardId, Forwarding};

use crate::script::check_from;

pub(crate) fn rule(id: u32, name: &str, spec: &str) -> SavedRule {
    SavedRule {
        id: ForwardId(id),
        name: name.parse().unwrap(),
        destination: "prod".parse().unwrap(),
        forwarding: Forwarding::parse_local(spec).unwrap(),
        description: None,
        tags: Vec::new(),
        on_suspend: alknet_proto::OnSuspend::Refuse,
        lazy: false,
        stopped: false,
        accept_new: false,
        idle_timeout_seconds: 0,
        reclaim: false,
        earlier_port: None,
    }
}

fn rules() -> SavedRules {
    let lazy = SavedRule { lazy: true, earlier_port: Some(41001), ..rule(2, "lazy", "0:a:80") };
    let lazy = SavedRule { destination: "db".parse().unwrap(), ..lazy };
    let halted = SavedRule { stopped: true, ..rule(3, "halted", "81:a:80") };
    let web = SavedRule { accept_new: true, ..rule(1, "web", "8080:a:80") };
    SavedRules { revision: 0, next_id: 9, rules: vec![web, lazy, halted] }
}

#[test]
fn rules_begin_as_they_were_left() {
    check_from(
        rules(),
        "load: listen web, listen lazy on 41001, connect prod #3 accepting a new key, halted is stopped
         1s list: reply [web starting lazy starting halted stopped]
         2s bound web: nothing
         2s bound lazy 41001: lazy is active
         2s connected prod: web is active
         3s used lazy: connect db #4, lazy is starting
         3s start halted: listen halted, halted is starting
         3s bound halted: save [web lazy on 41001 halted], halted is active
         3s saved: reply ok
         4s add new -L 99:a:80 prod: listen new
         4s bound new: save [web lazy on 41001 halted new]
         4s saved: new is new, reply added new active",
    );
}

#[test]
fn a_free_port_that_is_taken_meanwhile_is_saved_as_another() {
    check_from(
        rules(),
        "load: listen web, listen lazy on 41001, connect prod #3 accepting a new key, halted is stopped
         2s bound lazy 41999: save [web lazy on 41999 halted (stopped)], lazy is active
         3s show lazy: reply lazy on 41999 active after [starting>active]",
    );
}
