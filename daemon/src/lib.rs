//! alknetd: holds SSH sessions and forwards, and brings them back.
//!
//! `ARCHITECTURE.md` beside this crate says which room is for what.

pub mod start;

pub mod daemon;
pub mod perform;

pub mod control;
pub mod forward;
pub mod ssh;
pub mod store;
mod text_file;

pub mod clock;
pub mod config;
pub mod counters;
pub mod descriptors;
mod heap;
pub mod journal;
pub mod lanes;
pub mod lock;
pub mod logging;
pub mod outages;
pub mod process;
pub mod reload;
pub mod rouse;
pub mod service;
mod short_read;
pub mod shortage;
pub mod signals;
