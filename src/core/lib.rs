//! The pure core of `pg_notary`: what a line looks like, what it hashes to, and what a verifier
//! concludes from the rows of a log.
//!
//! | module | noun |
//! |---|---|
//! | [`digest`] | 32 bytes of SHA-256 |
//! | [`id`] | the uuid of a log |
//! | `event` | the JSON events of applications as columns of an event log (feature `event`) |
//! | [`time`] | PostgreSQL's timestamps as text |
//! | [`line`](mod@line) | the canonical line of an entry: writing it and reading it strictly |
//! | [`header`] | the line that opens a segment |
//! | [`finding`] | what verification reports |
//! | [`chain`] | the two passes of verification: tally and walk |
//! | [`merkle`] | the tree over the hashes of lines: growing it, proofs and their verification |
//! | [`origin`] | the name of a log's tree |
//! | [`checkpoint`] | an origin, a size and a root |
//! | [`note`] | a signed text |
//! | [`key`], [`secret`] | keys that verify and keys that sign |
//! | [`seal`] | a checkpoint with or without signatures |
//! | [`proof`], [`consistency`] | the files that an outsider checks |
//! | [`export`] | all lines of a log in the order of its tree, checked one at a time |
//! | [`latest`] | the newest checkpoints that somebody has believed |
//! | [`stretch`] | entries of a chain from one to another |
//! | [`tile`] | the tree and its leaves as static files |
//! | [`wire`] | values on their way to another process |
//!
//! Invariants of the whole crate: no I/O, no clock, no unsafe code, no panic on any input, and no
//! knowledge of PostgreSQL beyond the bytes that `format.md` lists. The extension and the
//! independent verifier share nothing but this.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod chain;
pub mod checkpoint;
pub mod consistency;
pub mod decimal;
pub mod digest;
#[cfg(feature = "event")]
pub mod event;
pub mod export;
pub mod finding;
pub mod header;
pub mod id;
pub mod key;
pub mod latest;
pub mod line;
pub mod merkle;
pub mod note;
pub mod origin;
pub mod proof;
#[cfg(test)]
mod sample;
pub mod seal;
pub mod secret;
pub mod stretch;
mod text;
pub mod tile;
pub mod time;
pub mod wire;

pub use checkpoint::Checkpoint;
pub use digest::Digest;
pub use finding::{Finding, Notice, Problem, Remark};
pub use header::{Header, HeaderError};
pub use id::LogId;
pub use origin::Origin;
pub use seal::Seal;
pub use time::Timestamp;
