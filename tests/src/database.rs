//! One database of a cluster, for one test.

use crate::cluster::{Cluster, SUPERUSER, shared};
use crate::program::Finished;
use postgres::{Client, NoTls};
use std::sync::{Arc, Mutex};

/// A database of a test's own.
pub struct Database<'a> {
    cluster: &'a Cluster,
    name: String,
}

/// A new database with pg_notary in it, on the shared server.
pub fn fresh_db(name: &str) -> Database<'static> {
    shared().fresh_db(name)
}

impl<'a> Database<'a> {
    pub(crate) fn new(cluster: &'a Cluster, name: String) -> Self {
        Self { cluster, name }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster it is in.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// A superuser's session.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.cluster.client(&self.name)
    }

    /// A session of `user`.
    #[track_caller]
    pub fn client_as(&self, user: &str) -> Client {
        self.cluster.client_as(&self.name, user)
    }

    /// A session of `user` whose notices are kept.
    pub fn client_with_notices(&self, user: &str) -> (Client, Notices) {
        let notices = Notices::default();
        let sink = notices.clone();
        let client = self
            .cluster
            .config_as(&self.name, user)
            .notice_callback(move |notice| sink.push(&notice))
            .connect(NoTls)
            .expect("every role may connect");
        (client, notices)
    }

    /// Drops it, logs and all. Otherwise it is gone with its cluster.
    #[track_caller]
    pub fn remove(&self) {
        let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        let dropped = self.cluster.client("postgres").batch_execute(&drop);
        dropped.unwrap_or_else(|e| panic!("{drop}: {}", crate::SqlError::of(&e)));
    }

    /// Makes a login role that is nobody special. Roles belong to the whole cluster, so the name
    /// gets this database's name in front.
    pub fn role(&self, name: &str) -> String {
        let role = format!("{}_{name}", self.name);
        self.client()
            .batch_execute(&format!("CREATE ROLE \"{role}\" LOGIN; GRANT CREATE ON SCHEMA public TO \"{role}\""))
            .expect("a superuser may");
        role
    }

    /// Runs `sql` through psql; see [`Cluster::psql`].
    #[track_caller]
    pub fn psql(&self, sql: &str) -> Finished {
        self.cluster.psql_as(&self.name, SUPERUSER, sql)
    }

    /// Runs one query and returns its only value as text; NULL is "NULL".
    #[track_caller]
    pub fn value(&self, query: &str) -> String {
        let rows = self.client().simple_query(query).unwrap_or_else(|e| panic!("{query}: {}", crate::SqlError::of(&e)));
        let value = rows.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        });
        value.unwrap_or_else(|| panic!("{query}: no row"))
    }
}

/// The notices and warnings of one session, in order: `NOTICE: …`, with DETAIL and HINT on lines of
/// their own.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    fn push(&self, notice: &postgres::error::DbError) {
        let mut text = format!("{}: {}", notice.severity(), notice.message());
        for (name, value) in [("DETAIL", notice.detail()), ("HINT", notice.hint())] {
            if let Some(value) = value {
                text = format!("{text}\n{name}: {value}");
            }
        }
        self.0.lock().expect("nobody panics holding it").push(text);
    }

    /// All since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("nobody panics holding it"))
    }
}
