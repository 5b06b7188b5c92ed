//! A log's Merkle tree as the database remembers it: which line is which leaf, hashes of subtrees, and the seals.
//!
//! | file | noun |
//! |---|---|
//! | `store` | the extension's tables: trees, ranges, subtrees, seals |
//! | `segments` | the tables in which a log's lines are, and their rows |
//! | `ended` | where chains ended with their segments, and how far they were sealed |
//! | `nodes` | the hash of any subtree, from what is stored and from the rows |
//!
//! Invariants:
//! * What is remembered is never evidence. Each use ends in the root of a seal, or in that of a note from outside.
//! * Leaves are the hashes that rows hold. Whether these are the hashes of the rows' lines is for `seal` to see to before
//!   it signs, and for `verify` afterwards.

pub mod ended;
pub mod nodes;
pub mod segments;
pub mod store;

use crate::error::{Error, sentence};
use crate::pg::context;
use notary_core::id::LogId;
use notary_core::origin::Origin;
use notary_core::seal::Seal;

/// A log's tree: the newest of its incarnations.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The log.
    pub log: LogId,
    /// From 1.
    pub incarnation: u32,
    /// Its name in seals.
    pub origin: Origin,
    /// Where it may be signed, as `journal::home()` says it.
    pub home: String,
    /// On which timeline.
    pub timeline: i64,
    /// The size of its newest seal; 0 before the first.
    pub size: u64,
}

impl Tree {
    /// The tree that a log's next seal is of; None before the first.
    pub fn newest(log: LogId) -> Result<Option<Self>, Error> {
        store::newest_tree(log)
    }

    /// Is this the server, and the history, on which it was signed last?
    pub fn is_at_home(&self) -> Result<bool, Error> {
        Ok(self.home == crate::journal::home()? && self.timeline == timeline()?)
    }
}

/// The server's timeline, of which a restore and a failover begin a new one. Not on a standby.
pub fn timeline() -> Result<i64, Error> {
    let sql = "SELECT ('x' || pg_catalog.lpad(pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8), 16, '0'))::bit(64)::int8";
    context::as_superuser(|| crate::pg::spi::rows(sql, &[], |row| crate::pg::spi::get::<i64>(row, 1)))?
        .into_iter()
        .flatten()
        .next()
        .ok_or_else(|| Error::Spi("the server's timeline is not known".into()))
}

/// A note that somebody gives.
pub fn read_note(note: &str) -> Result<Seal, Error> {
    if note.is_empty() {
        return Err(no_note("It is empty.".into()));
    }
    Seal::parse(note.as_bytes()).map_err(|why| no_note(sentence(&why.to_string())))
}

/// It is not a note, or not of this log.
pub fn no_note(detail: String) -> Error {
    Error::BadArgument {
        message: "the note is no seal of this log".into(),
        detail,
        hint: "Give the text that CALL notary.seal returned, unchanged, with its last newline.".into(),
    }
}
