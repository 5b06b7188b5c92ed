//! pg_notary: makes a PostgreSQL table an append-only, tamper-evident log.
//!
//! Where a change belongs:
//!
//! | subject | file |
//! |---|---|
//! | the format, byte for byte: lines, hashes, chains, findings | `core/` (no PostgreSQL in it) |
//! | anything unsafe, anything that differs between server versions | `pg/` |
//! | making a table a log and back, its partitions | `protect/` |
//! | what may not happen to a log | `guard/` |
//! | the write path: trigger → chain → line → hash | `append/` |
//! | the read path: rows → findings | `verify/` |
//! | seals, proofs, export; keys | `seal/` |
//! | event logs: context, JSON events, what they are found by | `event/` |
//! | captured changes of business tables | `capture/` |
//! | event logs as tables | `event_table.rs` |
//! | tracked tables: their triggers | `tracked.rs` |
//! | tracked tables: what the journal tells of them | `told.rs` |
//! | what is known of a log from its triggers | `log.rs` |
//! | what is remembered of a log's Merkle tree | `tree/` |
//! | who may do what | `access.rs` |
//! | the journal of what was done to logs | `journal.rs` |
//! | messages, SQLSTATEs, hints | `error.rs` |
//! | settings | `gucs.rs` |
//! | what SQL sees | `schema.rs` and `../sql/` |
//!
//! `append`, `verify`, `protect`, `guard`, `seal` and `event` use the rest, never each other; `capture` alone also uses `event` and
//! `append`, since what it captures goes into a log as any event does. Above all `verify` does not import `append`: the checker
//! must not share the writer's path.

mod access;
mod append;
mod capture;
mod error;
mod event;
mod event_table;
mod guard;
mod gucs;
mod journal;
mod log;
mod pg;
mod protect;
mod schema;
mod seal;
mod told;
mod tracked;
mod tree;
mod verify;

pgrx::pg_module_magic!(name, version);

/// Called by PostgreSQL once in every backend that loads the library.
#[pgrx::pg_guard]
#[allow(non_snake_case, unsafe_code)]
pub extern "C-unwind" fn _PG_init() {
    gucs::init();
    append::init();
    guard::init();
}
