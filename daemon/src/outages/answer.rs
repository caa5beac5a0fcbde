//! What a client is told: which rules it means, and their outages in pages that fit into a frame.

use alknet_core::select::{Subject, picks};
use alknet_proto::history::{ForwardHistory, ForwardKey, HistoryPage, MAX_OUTAGES};
use alknet_proto::{Code, Fault, ForwardId, ForwardName, Selector};
use jiff::Timestamp;

use super::Question;
use super::timeline::{Measured, Timeline, Timelines};

/// A page ends behind the rule with which it has so many rules. The longest without its outages has some 700 bytes.
const PAGE_RULES: usize = 128;
/// A page ends behind the rule with which it has so many outages. The longest has 2.5 KiB, and a rule has at most
/// [`MAX_OUTAGES`], so that no page comes near the limit of a frame.
const PAGE_OUTAGES: usize = 100;

type Key = (ForwardId, ForwardName);

/// One page of the answer at `now`.
///
/// # Errors
/// `not_found` for a selector that picks nothing, `ambiguous` for a prefix of several ids.
pub(super) fn page(
    timelines: &Timelines,
    question: &Question,
    now: Timestamp,
    skipped_lines: u64,
) -> Result<HistoryPage, Fault> {
    let Question { selectors, since, after } = question;
    let since = (*since).min(now);
    let behind = after.as_ref().map(|ForwardKey { id, name }| (*id, name.clone()));
    let mut chosen = chosen(timelines, selectors, since)?.into_iter().filter(|(key, _)| Some(*key) > behind.as_ref());
    let mut page = HistoryPage { since, until: now, forwards: Vec::new(), skipped_lines, more: false };
    let mut n_outages = 0;
    for (key, timeline) in chosen.by_ref() {
        let forward = history(key, timeline, since, now);
        n_outages += forward.outages.len();
        page.forwards.push(forward);
        if PAGE_RULES <= page.forwards.len() || PAGE_OUTAGES <= n_outages {
            break;
        }
    }
    page.more = chosen.next().is_some();
    Ok(page)
}

fn history((id, name): &Key, timeline: &Timeline, since: Timestamp, now: Timestamp) -> ForwardHistory {
    let Measured { up_seconds, down_seconds, mut outages } = timeline.measure(since, now);
    let all = up_seconds + down_seconds;
    let outages_total = outages.len() as u64;
    ForwardHistory {
        id: *id,
        name: name.clone(),
        destination: timeline.destination.clone(),
        tags: timeline.tags.clone(),
        removed_at: timeline.removed_at,
        known_since: timeline.known_since,
        up_seconds,
        down_seconds,
        availability_percent: (0.0 < all).then(|| 100.0 * (up_seconds / all)),
        outages_total,
        outages: outages.split_off(outages.len().saturating_sub(MAX_OUTAGES)),
    }
}

/// The rules that are meant, by id, each once.
fn chosen<'a>(
    timelines: &'a Timelines,
    selectors: &[Selector],
    since: Timestamp,
) -> Result<Vec<(&'a Key, &'a Timeline)>, Fault> {
    if selectors.is_empty() {
        let was_there = |timeline: &Timeline| timeline.removed_at.is_none_or(|removed| since <= removed);
        return Ok(timelines.rules.iter().filter(|(_, timeline)| was_there(timeline)).collect());
    }
    let mut chosen = Vec::new();
    for selector in selectors {
        let found = find(timelines, selector)?;
        if found.is_empty() && *selector != Selector::All {
            return Err(Fault::new(Code::NotFound, format!("the journal knows nothing that `{selector}` selects"))
                .with_hint("alknetctl history without a name shows all there were in the last seven days"));
        }
        chosen.extend(found);
    }
    chosen.sort_by_key(|(key, _)| *key);
    chosen.dedup_by_key(|(key, _)| *key);
    Ok(chosen)
}

fn find<'a>(timelines: &'a Timelines, selector: &Selector) -> Result<Vec<(&'a Key, &'a Timeline)>, Fault> {
    let is_picked = |(key, timeline): &(&Key, &Timeline)| {
        let (id, name) = key;
        picks(selector, &Subject { id: *id, name, tags: &timeline.tags, destination: &timeline.destination })
    };
    // A name may have belonged to several rules, one after the other: all of them are meant.
    let found: Vec<_> = timelines.rules.iter().filter(is_picked).collect();
    let Selector::Named(text) = selector else { return Ok(found) };
    if !found.is_empty() || text.is_empty() {
        return Ok(found);
    }
    let found: Vec<_> = timelines.rules.iter().filter(|((id, _), _)| id.to_string().starts_with(text)).collect();
    if found.iter().any(|((id, _), _)| *id != found[0].0.0) {
        return Err(Fault::new(Code::Ambiguous, format!("`{text}` is the beginning of several ids"))
            .with_hint("write more of the id, or the name"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
