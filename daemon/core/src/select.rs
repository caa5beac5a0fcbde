//! Which forwards a selector picks.

use alknet_proto::{Code, Fault, ForwardId, Selector};
use wildmatch::WildMatch;

use crate::forward::Forward;

/// Whether `selector` picks `forward`. A prefix of an id picks here even where another id has it too;
/// [`pick`] is who refuses that.
pub(crate) fn picks(selector: &Selector, forward: &Forward) -> bool {
    match selector {
        Selector::Named(text) => {
            forward.name.as_str() == text || (4 <= text.len() && forward.id.to_string().starts_with(text.as_str()))
        }
        Selector::Glob(pattern) => WildMatch::new(pattern).matches(forward.name.as_str()),
        Selector::Tag(tag) => forward.spec.tags.contains(tag),
        Selector::Host(destination) => forward.spec.destination == *destination,
        Selector::All => true,
    }
}

/// The ids that the selectors pick together, in order and each once.
///
/// # Errors
/// `not_found` for a selector that picks nothing, `ambiguous` for a prefix of several ids.
pub(crate) fn pick<'a>(
    selectors: &[Selector],
    forwards: impl Iterator<Item = &'a Forward> + Clone,
) -> Result<Vec<ForwardId>, Fault> {
    let mut picked = Vec::new();
    for selector in selectors {
        let found = pick_one(selector, forwards.clone())?;
        // Of an empty daemon, all is nothing and no mistake.
        if found.is_empty() && *selector != Selector::All {
            return Err(not_found(selector));
        }
        picked.extend(found);
    }
    picked.sort_unstable();
    picked.dedup();
    Ok(picked)
}

fn pick_one<'a>(
    selector: &Selector,
    forwards: impl Iterator<Item = &'a Forward> + Clone,
) -> Result<Vec<ForwardId>, Fault> {
    let Selector::Named(text) = selector else {
        return Ok(forwards.filter(|forward| picks(selector, forward)).map(|forward| forward.id).collect());
    };
    let exact = |forward: &&Forward| forward.id.to_string() == *text || forward.name.as_str() == text;
    if let Some(forward) = forwards.clone().find(exact) {
        return Ok(vec![forward.id]);
    }
    let is_prefix = |forward: &&Forward| forward.id.to_string().starts_with(text.as_str());
    let found: Vec<ForwardId> = forwards.filter(is_prefix).map(|forward| forward.id).collect();
    if 1 < found.len() {
        return Err(Fault::new(Code::Ambiguous, format!("`{text}` is the beginning of {} ids", found.len()))
            .with_hint("write more of the id, or the name"));
    }
    Ok(found)
}

fn not_found(selector: &Selector) -> Fault {
    let message = match selector {
        Selector::Named(text) => format!("there is no forward `{text}`"),
        Selector::Glob(pattern) => format!("no forward has a name like `{pattern}`"),
        Selector::Tag(tag) => format!("no forward has the tag @{tag}"),
        Selector::Host(destination) => format!("there is no forward to {destination}"),
        Selector::All => "there is no forward".to_owned(),
    };
    Fault::new(Code::NotFound, message).with_hint("alknetctl list-forwards shows all there are")
}
