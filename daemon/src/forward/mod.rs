//! Listeners, and the connections that they accept.
