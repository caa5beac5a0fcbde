//! Requests that wait for an answer.
