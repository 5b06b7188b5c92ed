//! What the clients know: which rows were acknowledged, which were certainly rolled back, which nobody was told about.
//! Every row has an id of its own.

use crate::setup::BUCKETS;
use notary_tests::SqlError;
use postgres::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The rows of one transaction.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// There if the transaction commits.
    pub live: Vec<i64>,
    /// Not there, whatever happens.
    pub gone: Vec<i64>,
    /// Which of the live ones landed was not known yet when the connection was lost.
    pub partial: bool,
}

impl Rows {
    /// All that came after the first `mark` live rows was rolled back.
    pub fn roll_back_to(&mut self, mark: usize) {
        self.gone.extend(self.live.drain(mark..));
    }
}

/// A transaction that was prepared, or may have been.
#[derive(Debug)]
pub struct Prepared {
    pub gid: String,
    pub rows: Rows,
}

/// A transaction whose client was cut off before it learned how a command ended.
#[derive(Debug)]
pub enum Doubt {
    Prepare(Prepared),
    Commit(Prepared),
    Rollback(Prepared),
}

#[derive(Default)]
struct Record {
    /// With what acknowledged it, and when.
    acknowledged: Vec<(i64, &'static str, Duration)>,
    gone: Vec<i64>,
    unknown: Vec<Rows>,
    prepared: Vec<Prepared>,
    doubts: VecDeque<Doubt>,
    /// How often each thing was done, and how often it failed in a way that it may.
    done: BTreeMap<&'static str, (u64, u64)>,
    failures: Vec<String>,
}

/// What all threads share.
pub struct Shared {
    seed: u64,
    begun: Instant,
    record: Mutex<Record>,
    stopped: AtomicBool,
    /// Nothing is to be prepared now, and what is prepared is to be finished.
    pub calm: AtomicBool,
    ids: AtomicI64,
    gids: AtomicU64,
    /// How many partitions `part` has.
    pub buckets: AtomicI32,
}

impl Shared {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            begun: Instant::now(),
            record: Mutex::default(),
            stopped: AtomicBool::new(false),
            calm: AtomicBool::new(false),
            ids: AtomicI64::new(1),
            gids: AtomicU64::new(1),
            buckets: AtomicI32::new(BUCKETS),
        }
    }

    /// Random choices of one thread.
    pub fn rng(&self, thread: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(1_000).wrapping_add(thread))
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// `count` ids in a row; the first.
    pub fn new_ids(&self, count: i64) -> i64 {
        self.ids.fetch_add(count, Ordering::Relaxed)
    }

    pub fn new_gid(&self) -> String {
        format!("work {}", self.gids.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("nobody panics holding it")
    }

    // ---- what became of transactions ----

    pub fn committed(&self, rows: Rows, by: &'static str) {
        assert!(!rows.partial, "a commit follows its statements");
        let at = self.begun.elapsed();
        let mut record = self.record();
        record.acknowledged.extend(rows.live.into_iter().map(|id| (id, by, at)));
        record.gone.extend(rows.gone);
    }

    pub fn rolled_back(&self, mut rows: Rows) {
        rows.roll_back_to(0);
        self.record().gone.extend(rows.gone);
    }

    pub fn unknown(&self, mut rows: Rows) {
        let mut record = self.record();
        record.gone.append(&mut rows.gone);
        if !rows.live.is_empty() {
            record.unknown.push(rows);
        }
    }

    pub fn prepared(&self, prepared: Prepared) {
        self.record().prepared.push(prepared);
    }

    /// One of the prepared transactions, for the caller to finish.
    pub fn take_prepared(&self, rng: &mut StdRng) -> Option<Prepared> {
        let mut record = self.record();
        let count = record.prepared.len();
        (count > 0).then(|| record.prepared.swap_remove(rng.random_range(0..count)))
    }

    pub fn prepared_count(&self) -> usize {
        let record = self.record();
        record.prepared.len() + record.doubts.len()
    }

    fn doubt_count(&self) -> usize {
        self.record().doubts.len()
    }

    pub fn doubt(&self, doubt: Doubt) {
        self.record().doubts.push_back(doubt);
    }

    // ---- counting, complaining ----

    pub fn done(&self, what: &'static str) {
        self.record().done.entry(what).or_default().0 += 1;
    }

    pub fn failed_as_it_may(&self, what: &'static str) {
        self.record().done.entry(what).or_default().1 += 1;
    }

    /// Something that must not happen. Everything stops.
    pub fn failure(&self, what: String) {
        eprintln!("failure: {what}");
        self.record().failures.push(what);
        self.stop();
    }

    pub fn assert_no_failures(&self) {
        let record = self.record();
        assert!(record.failures.is_empty(), "NOTARY_SEED={}\n{}", self.seed, record.failures.join("\n"));
    }

    pub fn summary(&self, time: Duration) -> String {
        let record = self.record();
        let mut text = format!(
            "{} acknowledged, {} rolled back, {} transactions unknown in {time:.0?};",
            record.acknowledged.len(),
            record.gone.len(),
            record.unknown.len()
        );
        for (what, (done, failed)) in &record.done {
            write!(text, " {what} {done}").expect("memory");
            if *failed > 0 {
                write!(text, " (-{failed})").expect("memory");
            }
        }
        text
    }

    /// A mix in which something never succeeded shows less than it says.
    pub fn assert_everything_was_done(&self) {
        let record = self.record();
        let wanted = crate::mix::names().chain(crate::chaos::NAMES.iter().copied());
        let missing: Vec<_> = wanted.filter(|name| record.done.get(name).is_none_or(|(done, _)| *done == 0)).collect();
        assert!(missing.is_empty(), "never succeeded: {missing:?}");
    }

    // ---- afterwards ----

    /// Finishes the transactions about which there are doubts. No client of theirs is left.
    pub fn settle(&self, client: &mut Client) {
        // Nothing of theirs gets lost when the connection does: each is on the list until it is settled.
        for _ in 0..self.doubt_count() {
            let Some(doubt) = self.record().doubts.pop_front() else { return };
            let (Doubt::Prepare(p) | Doubt::Commit(p) | Doubt::Rollback(p)) = &doubt;
            let gid = p.gid.clone();
            let query = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE gid = $1)";
            let Ok(row) = client.query_one(query, &[&gid]) else {
                self.doubt(doubt);
                return;
            };
            match (row.get::<_, bool>(0), doubt) {
                (true, Doubt::Prepare(p) | Doubt::Commit(p)) => {
                    match client.batch_execute(&format!("COMMIT PREPARED '{gid}'")) {
                        Ok(()) => self.committed(p.rows, "COMMIT PREPARED after a doubt"),
                        Err(_) => self.doubt(Doubt::Commit(p)),
                    }
                }
                (true, Doubt::Rollback(p)) => match client.batch_execute(&format!("ROLLBACK PREPARED '{gid}'")) {
                    Ok(()) => self.rolled_back(p.rows),
                    Err(_) => self.doubt(Doubt::Rollback(p)),
                },
                // Nobody has tried anything else with it.
                (false, Doubt::Commit(p)) => self.committed(p.rows, "a doubtful COMMIT PREPARED"),
                (false, Doubt::Prepare(p) | Doubt::Rollback(p)) => self.rolled_back(p.rows),
            }
        }
    }

    /// Commits what is prepared and acknowledged as such; it must be there.
    pub fn settle_all_prepared(&self, client: &mut Client) {
        let prepared = std::mem::take(&mut self.record().prepared);
        for p in prepared {
            let sql = format!("COMMIT PREPARED '{}'", p.gid);
            client.batch_execute(&sql).unwrap_or_else(|e| panic!("{sql}: {}", SqlError::of(&e)));
            self.committed(p.rows, "COMMIT PREPARED at the end");
        }
        let left = client.query_one("SELECT count(*) FROM pg_prepared_xacts", &[]).expect("a query");
        assert_eq!(left.get::<_, i64>(0), 0, "a prepared transaction that no client knows of");
    }

    /// Compares the tables with what the clients know; the number of rows.
    pub fn check(&self, client: &mut Client) -> usize {
        let query = "SELECT id, count(*) FROM
            (SELECT id FROM plain UNION ALL SELECT id FROM part UNION ALL SELECT id FROM narrow) AS a GROUP BY id";
        let rows = client.query(query, &[]).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
        let there: HashMap<i64, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let record = self.record();
        assert!(record.doubts.is_empty() && record.prepared.is_empty());
        let mut wrong = Vec::new();
        let mut known = HashMap::new();
        for (id, by, at) in &record.acknowledged {
            known.insert(*id, ());
            let count = there.get(id).copied().unwrap_or(0);
            if count != 1 {
                wrong.push(format!("row {id}, acknowledged by {by} at {at:.3?}, is there {count} times"));
            }
        }
        for id in &record.gone {
            known.insert(*id, ());
            if there.contains_key(id) {
                wrong.push(format!("row {id} was rolled back and is there"));
            }
        }
        for rows in &record.unknown {
            let count = rows.live.iter().filter(|id| there.contains_key(id)).count();
            if count != 0 && count != rows.live.len() && !rows.partial {
                wrong.push(format!("a transaction is there by half: {:?}", rows.live));
            }
            for id in &rows.live {
                known.insert(*id, ());
                if there.get(id).is_some_and(|n| *n > 1) {
                    wrong.push(format!("row {id} is there more than once"));
                }
            }
        }
        wrong.extend(there.keys().filter(|id| !known.contains_key(id)).map(|id| format!("nobody inserted row {id}")));
        let (count, first) = (wrong.len(), wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
        assert!(wrong.is_empty(), "NOTARY_SEED={}: {count} rows are wrong:\n{first}", self.seed);
        there.len()
    }
}
