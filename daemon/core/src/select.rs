//! Which forwards a selector picks.

use alknet_proto::{Code, Destination, Fault, ForwardId, ForwardName, Selector, Tag};
use wildmatch::WildMatch;

use crate::forward::Forward;

/// Whether `selector` picks a forward with this name, id, tags and destination. A prefix of an id picks nothing
/// here; who starts from what a person wrote has made a whole id of it.
pub fn picks(selector: &Selector, subject: &Subject<'_>) -> bool {
    match selector {
        Selector::Named(text) => subject.name.as_str() == text || subject.id.to_string() == *text,
        Selector::Glob(pattern) => WildMatch::new(pattern).matches(subject.name.as_str()),
        Selector::Tag(tag) => subject.tags.contains(tag),
        Selector::Host(destination) => subject.destination == destination,
        Selector::All => true,
    }
}

/// What of a forward can be selected by.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its id.
    pub id: ForwardId,
    /// Its name.
    pub name: &'a ForwardName,
    /// Its labels.
    pub tags: &'a [Tag],
    /// Where its session goes.
    pub destination: &'a Destination,
}

/// The selectors with prefixes of ids written out, for who will use them again later. `was_there` says of a
/// selector that picks nothing whether it picked something once.
///
/// # Errors
/// As [`pick`].
pub(crate) fn resolve<'a>(
    selectors: Vec<Selector>,
    forwards: impl Iterator<Item = &'a Forward> + Clone,
    was_there: impl Fn(&Selector) -> bool,
) -> Result<Vec<Selector>, Fault> {
    let whole = |selector: Selector| {
        let picked = match pick(std::slice::from_ref(&selector), forwards.clone()) {
            Err(fault) if fault.code == Code::NotFound && was_there(&selector) => return Ok(selector),
            picked => picked?,
        };
        let is_by_prefix = matches!(&selector, Selector::Named(text)
            if !forwards.clone().any(|forward| forward.name.as_str() == text));
        match picked.as_slice() {
            [id] if is_by_prefix => Ok(Selector::Named(id.to_string())),
            _ => Ok(selector),
        }
    };
    selectors.into_iter().map(whole).collect()
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
        return Ok(forwards.filter(|forward| picks(selector, &forward.subject())).map(|forward| forward.id).collect());
    };
    let by_id = forwards.clone().find(|forward| forward.id.to_string() == *text);
    if let Some(forward) = by_id.or_else(|| forwards.clone().find(|forward| forward.name.as_str() == text)) {
        return Ok(vec![forward.id]);
    }
    let is_prefix = |forward: &&Forward| !text.is_empty() && forward.id.to_string().starts_with(text.as_str());
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
