//! Clients: who they are, what they ask, and what they are told.
