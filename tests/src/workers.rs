//! One and the same check by one process and by several.

use crate::cluster::SUPERUSER;
use crate::talk::{run, texts};
use crate::{Database, Notices};
use postgres::Client;

/// Who does a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The session's own process.
    One,
    /// That and two workers.
    Several,
    /// Two workers, as long as there are any.
    Workers,
}

/// A session whose checks say how they were shared out.
pub struct Checker {
    /// The session.
    pub client: Client,
    notices: Notices,
}

/// What was shared out of one table, and how many entries each process saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// `rows` or `index`.
    pub what: String,
    /// The session's own process, 0 where it left the work to the workers.
    pub leader: u64,
    /// Each worker that was started.
    pub workers: Vec<u64>,
}

impl Share {
    /// How many processes had a part of it.
    pub fn processes(&self) -> usize {
        self.workers.iter().chain([&self.leader]).filter(|entries| **entries > 0).count()
    }
}

impl Checker {
    /// A superuser's session.
    #[track_caller]
    pub fn new(db: &Database<'_>) -> Self {
        let (mut client, notices) = db.client_with_notices(SUPERUSER);
        run(&mut client, "SET client_min_messages = debug1");
        Self { client, notices }
    }

    /// All that `notary.verify`, `notary.findings` and `notary.notices` say of a log, in their order.
    #[track_caller]
    pub fn all_of(&mut self, log: &str, by: By) -> Vec<String> {
        let workers = if by == By::One { 0 } else { 2 };
        let leader = if by == By::Workers { "off" } else { "on" };
        run(
            &mut self.client,
            &format!(
                "SET max_parallel_maintenance_workers = {workers}; SET min_parallel_table_scan_size = 0;
                 SET min_parallel_index_scan_size = 0; SET parallel_leader_participation = {leader}"
            ),
        );
        let answer = "(intact, entries, chains, findings, first_finding, sealed_size, scope)::text";
        [
            format!("SELECT {answer} FROM notary.verify('{log}', workers => {workers})"),
            format!("SELECT f::text FROM notary.findings('{log}') AS f"),
            format!("SELECT n::text FROM notary.notices('{log}') AS n"),
        ]
        .iter()
        .flat_map(|query| texts(&mut self.client, query))
        .collect()
    }

    /// What was said of sharing since the last time.
    pub fn said(&self) -> Vec<String> {
        let said = self.notices.take().into_iter();
        said.filter(|notice| notice.contains("workers shared") || notice.contains("one process")).collect()
    }

    /// How checks were shared out since the last time.
    pub fn shares(&self) -> Vec<Share> {
        self.said().iter().filter_map(|said| share(said)).collect()
    }
}

/// `DEBUG: public.log: 2 of 2 workers shared the rows: [1, 2, 3]`
fn share(said: &str) -> Option<Share> {
    let (_, said) = said.split_once(" workers shared the ")?;
    let (what, entries) = said.split_once(": [")?;
    let mut entries = entries.strip_suffix(']')?.split(", ").map(|n| n.parse().expect("a number"));
    Some(Share { what: what.to_owned(), leader: entries.next()?, workers: entries.collect() })
}
