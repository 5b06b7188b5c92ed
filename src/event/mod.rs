//! Event logs: who did what to what, with which result, from where.
//!
//! | file | subject |
//! |---|---|
//! | `create` | `notary.create_log`: the table, its indexes, its rights |
//! | `about` | the trigger that fills in context and what the database knows |
//! | `context` | who acts, as the session's settings and its JWT's claims say |
//! | `write` | `notary.log_event`: JSON as applications emit it |
//! | `words` | what an event is found by |
//! | `limits` | what is too long for an index, and no time at all |
//! | `ids` | UUIDs in the order of time |
//! | `trust` | which logs reports ask when none is named |
//!
//! Invariants:
//! * What only the database knows (`about::FACTS`) is set by the trigger, whatever the client sends.
//! * What a client says of itself is filled in only where the INSERT leaves it out, and never outlives what PostgreSQL
//!   says of the setting that it came from.

pub mod about;
mod context;
mod create;
mod ids;
mod limits;
mod trust;
pub mod words;
mod write;
