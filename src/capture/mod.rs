//! Captured changes: what INSERT, UPDATE, DELETE and TRUNCATE do to a tracked table becomes an event, in the same
//! transaction.
//!
//! | file | subject |
//! |---|---|
//! | `track` | `notary.track`, `notary.untrack`, `notary.forget_tracked` |
//! | `list` | which tables are tracked |
//! | `plan` | what is kept of a tracked table from row to row |
//! | `change` | the trigger: a row becomes an event |
//! | `event` | the way of an event into its log |
//! | `pii` | values that are kept out of the log: their keyed hashes |
//!
//! Invariants:
//! * A change and its event are committed together or not at all.
//! * The value of a column that is named as PII, or excluded, never reaches the log.
//! * No SQL is run for a row.

mod change;
mod event;
mod list;
mod pii;
mod plan;
mod track;
