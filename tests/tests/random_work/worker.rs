//! One client: its connection, the transaction it is in, and what it may be told.

use crate::mix;
use crate::record::{Doubt, Prepared, Rows, Shared};
use notary_tests::SqlError;
use postgres::{Client, Config, NoTls};
use rand::Rng;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a statement did not succeed.
pub enum Trouble {
    /// The server said no; the connection lives.
    Error(Box<SqlError>),
    /// The connection is gone.
    Lost,
}

pub type Outcome = Result<(), Trouble>;

impl Trouble {
    pub fn of(error: &postgres::Error) -> Self {
        match error.as_db_error() {
            // admin_shutdown, crash_shutdown, cannot_connect_now; terminate shows as FATAL, too.
            Some(db) if db.code().code().starts_with("57P") || db.severity() != "ERROR" => Self::Lost,
            Some(_) => Self::Error(Box::new(SqlError::of(error))),
            None => Self::Lost,
        }
    }
}

/// A client at work.
pub struct Worker {
    number: u64,
    config: Config,
    client: Option<Client>,
    pub shared: Arc<Shared>,
    pub rng: StdRng,
    pub rows: Rows,
    /// What the statement under way is called.
    pub doing: &'static str,
    /// SQLSTATEs that the statement under way may raise.
    pub may: Vec<&'static str>,
    /// SQLSTATEs that any statement of the transaction may raise.
    pub may_all: Vec<&'static str>,
    /// Inside BEGIN.
    pub in_block: bool,
    /// The transaction may still wait for a key that others want, too: once, so that no two wait for each other.
    pub may_contend: bool,
    pub depth: u32,
}

impl Worker {
    pub fn new(number: u64, mut config: Config, shared: Arc<Shared>) -> Self {
        config.application_name("random worker");
        let rng = shared.rng(number);
        Self {
            number,
            config,
            client: None,
            shared,
            rng,
            rows: Rows::default(),
            doing: "nothing",
            may: Vec::new(),
            may_all: Vec::new(),
            in_block: false,
            may_contend: false,
            depth: 0,
        }
    }

    pub fn work(mut self) {
        while !self.shared.stopped() {
            if self.client.is_none() {
                self.client = connect(&self.config, &self.shared);
                continue;
            }
            self.rows = Rows::default();
            self.may_all.clear();
            self.in_block = false;
            self.may_contend = true;
            self.depth = 0;
            mix::transaction(&mut self);
        }
    }

    pub fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("work() has connected")
    }

    // ---- ids ----

    /// A row that will be there if all goes well.
    pub fn live(&mut self) -> i64 {
        self.live_range(1)
    }

    /// Many of them, with ids in a row; the first.
    pub fn live_range(&mut self, count: i64) -> i64 {
        let first = self.shared.new_ids(count);
        self.rows.live.extend(first..first + count);
        first
    }

    /// A row that will not be there.
    pub fn gone(&mut self) -> i64 {
        let id = self.shared.new_ids(1);
        self.rows.gone.push(id);
        id
    }

    // ---- statements ----

    pub fn run(&mut self, sql: &str) -> Outcome {
        let result = self.client().batch_execute(sql);
        self.judge(result, sql).map(drop)
    }

    /// The ids that a statement returns.
    pub fn ids(&mut self, sql: &str) -> Result<Vec<i64>, Trouble> {
        let result = self.client().simple_query(sql);
        let messages = self.judge(result, sql)?;
        let id = |m: &postgres::SimpleQueryMessage| match m {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).and_then(|id| id.parse().ok()),
            _ => None,
        };
        Ok(messages.iter().filter_map(id).collect())
    }

    /// Complains of errors that the statement may not raise.
    pub fn judge<T>(&mut self, result: Result<T, postgres::Error>, sql: &str) -> Result<T, Trouble> {
        let trouble = match result {
            Ok(value) => return Ok(value),
            Err(error) => Trouble::of(&error),
        };
        match &trouble {
            Trouble::Lost => self.client = None,
            Trouble::Error(error) => {
                let code = error.code.as_str();
                // Anybody may cancel us at any time.
                let allowed = code == "57014" || self.may.contains(&code) || self.may_all.contains(&code);
                // PostgreSQL's own: ON CONFLICT does not know the second index that REINDEX CONCURRENTLY has for a while.
                let second = error.constraint.starts_with("plain_k_key_cc") && code == "23505";
                let allowed = allowed || second;
                let chain = error.constraint.contains("notary") || error.message.contains("notary_");
                if !allowed || (chain && code == "23505") {
                    let doing = self.doing;
                    self.shared.failure(format!("worker {}, {doing}: {error}\n{sql}", self.number));
                }
            }
        }
        Err(trouble)
    }

    // ---- ends ----

    /// The statement under way was a transaction by itself.
    pub fn end_statement(&mut self, outcome: Outcome) {
        let rows = std::mem::take(&mut self.rows);
        match outcome {
            Ok(()) => self.shared.committed(rows, self.doing),
            Err(Trouble::Error(_)) => self.shared.rolled_back(rows),
            Err(Trouble::Lost) => self.shared.unknown(rows),
        }
    }

    pub fn commit(&mut self) -> Outcome {
        let outcome = self.run("COMMIT");
        let rows = std::mem::take(&mut self.rows);
        match &outcome {
            Ok(()) => self.shared.committed(rows, "COMMIT"),
            Err(Trouble::Error(_)) => self.shared.rolled_back(rows),
            Err(Trouble::Lost) => self.shared.unknown(rows),
        }
        outcome
    }

    /// Nothing of the transaction can be there any more, also when the connection is lost.
    pub fn roll_back(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        self.shared.rolled_back(rows);
        if self.client.is_some() && self.run("ROLLBACK").is_err() {
            self.client = None;
        }
    }

    pub fn prepare(&mut self) {
        let gid = self.shared.new_gid();
        let outcome = self.run(&format!("PREPARE TRANSACTION '{gid}'"));
        let prepared = Prepared { gid, rows: std::mem::take(&mut self.rows) };
        match outcome {
            Ok(()) => self.shared.prepared(prepared),
            Err(Trouble::Error(_)) => self.shared.rolled_back(prepared.rows),
            Err(Trouble::Lost) => self.shared.doubt(Doubt::Prepare(prepared)),
        }
    }

    /// Commits or rolls back a prepared transaction, perhaps another client's, perhaps one from before a crash.
    pub fn finish_prepared(&mut self, prepared: Prepared) {
        let commit = self.rng.random_bool(0.6);
        let verb = if commit { "COMMIT" } else { "ROLLBACK" };
        match (self.run(&format!("{verb} PREPARED '{}'", prepared.gid)), commit) {
            (Ok(()), true) => self.shared.committed(prepared.rows, "COMMIT PREPARED"),
            (Ok(()), false) => self.shared.rolled_back(prepared.rows),
            (Err(Trouble::Error(_)), _) => self.shared.prepared(prepared),
            (Err(Trouble::Lost), true) => self.shared.doubt(Doubt::Commit(prepared)),
            (Err(Trouble::Lost), false) => self.shared.doubt(Doubt::Rollback(prepared)),
        }
    }
}

/// A connection, however long the server takes to come back; None when all is to stop.
pub fn connect(config: &Config, shared: &Shared) -> Option<Client> {
    let deadline = Instant::now() + Duration::from_secs(240);
    while !shared.stopped() {
        match config.connect(NoTls) {
            Ok(client) => return Some(client),
            Err(error) if Instant::now() > deadline => {
                shared.failure(format!("the server does not come back: {error}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    None
}
