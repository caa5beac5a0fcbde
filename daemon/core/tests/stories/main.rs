//! The model's behaviour told as stories: what happens on the left of each line, what it does on the right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is surprised")]

mod script;
mod words;

mod bounds;
mod conflicts;
mod forgetting;
mod forwards;
mod limits;
mod links;
mod paging;
mod requests;
mod room;
mod saved;
mod sessions;
mod supervision;
mod unwanted;
mod watching;
