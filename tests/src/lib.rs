//! The harness: throw-away PostgreSQL servers and the clients that talk to them.
//!
//! A server is a [`Cluster`]. It runs the private copy of PostgreSQL that `make stage` lays out
//! (`NOTARY_PGROOT` names its programs), listens on a Unix socket only, and is gone with its
//! directory when the value is dropped, the test panics, or the test process is killed.
//!
//! Tests share one server where they can, each in a database of its own:
//!
//! ```no_run
//! let db = notary_tests::fresh_db("append");   // on the shared server, pg_notary created
//! let mut client = db.client();
//! client.batch_execute("CREATE TABLE t (a int); SELECT notary.protect('t')").unwrap();
//! let refused = notary_tests::err(client.execute("DELETE FROM t", &[]));
//! assert_eq!(refused.code, "55000");
//! ```
//!
//! A test that stops, kills or reconfigures a server starts its own with [`Cluster::builder`].

mod cluster;
mod database;
mod error;
pub mod golden;
pub mod pages;
pub mod pooler;
mod program;
mod server;
mod standby;
pub mod talk;
pub mod verdict;
pub mod workers;

pub use cluster::{Builder, Cluster, Shutdown, shared};
pub use database::{Database, Notices, fresh_db};
pub use error::{SqlError, err};
pub use program::{Finished, psql_lines};
