//! Small safe types over PostgreSQL's C interface: the only place with `unsafe` in it.
//!
//! Invariants every file here keeps:
//! * each unsafe block says what makes it sound;
//! * callbacks from the relcache, from transactions and from memory contexts only set flags;
//! * nothing calls PostgreSQL from a `Drop` that runs while an error unwinds: PostgreSQL's own clean-up (resource
//!   owners, memory contexts, locks) has it by then;
//! * what differs between server versions stands in `compat.rs`.

#![allow(unsafe_code)]
// bindgen gives C's constants as u32, whatever the width of the fields and arguments that take them; chars are i8.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod access_hook;
pub mod catalog;
pub mod catalog_scan;
pub mod chain_end;
pub mod chain_rows;
pub mod change;
pub mod client;
pub mod compat;
pub mod context;
pub mod counts;
pub mod direct;
pub mod entry;
pub mod event_trigger;
pub mod heap;
pub mod index;
pub mod index_scan;
pub mod insert;
pub mod inval;
pub mod inval_map;
pub mod json;
pub mod jsonb;
pub mod jsonb_build;
pub mod lock;
pub mod names;
pub mod numeric;
pub mod page;
pub mod parallel;
pub mod parse_tree;
pub mod planner;
pub mod procedure;
pub mod relation;
pub mod report;
pub mod results;
pub mod rewrite;
pub mod row;
pub mod settings;
pub mod snapshot;
pub mod sort;
pub mod spi;
pub mod statement;
pub mod subxact;
pub mod text;
pub mod trigger;
pub mod trigger_args;
pub mod tuple;
pub mod types;
pub mod validate;
