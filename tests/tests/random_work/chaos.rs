//! What happens to a server: cancels, kills, crashes, restarts, maintenance.

use crate::record::Shared;
use crate::worker::{Trouble, connect};
use notary_tests::{Cluster, Shutdown};
use postgres::{Client, Config};
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Names of what a long enough run must have done.
pub const NAMES: &[&str] = &[
    "cancel",
    "terminate",
    "kill -9 backend",
    "kill -9 postmaster",
    "immediate shutdown",
    "VACUUM",
    "VACUUM FULL",
    "CLUSTER",
    "REINDEX",
    "REINDEX CONCURRENTLY",
    "ANALYZE",
    "new partition",
    "CREATE INDEX",
    "verify",
    "wait in narrow",
];

/// Between two crashes.
const CRASH_EVERY: Duration = Duration::from_secs(6);

/// The one who does it.
pub struct Chaos<'a> {
    cluster: &'a mut Cluster,
    shared: &'a Shared,
    config: Config,
    client: Option<Client>,
    rng: StdRng,
}

impl<'a> Chaos<'a> {
    pub fn new(cluster: &'a mut Cluster, db: &str, shared: &'a Shared) -> Self {
        let (config, rng) = (cluster.config(db), shared.rng(500));
        Self { cluster, shared, config, client: None, rng }
    }

    /// Goes on until `end`, or until something failed.
    pub fn until(mut self, end: Instant) {
        let mut next_crash = Instant::now() + CRASH_EVERY / 2;
        let mut crashes = 0;
        while Instant::now() < end && !self.shared.stopped() {
            // Work has to get done in between.
            let pause = self.rng.random_range(30..300);
            std::thread::sleep(Duration::from_millis(pause));
            if Instant::now() >= next_crash {
                self.crash(crashes);
                crashes += 1;
                next_crash = Instant::now() + CRASH_EVERY;
            } else {
                self.disturb();
            }
        }
    }

    fn crash(&mut self, number: u32) {
        match number % 3 {
            0 => self.kill_backend(),
            1 => {
                self.client = None;
                self.cluster.kill9_postmaster();
                self.cluster.start_again();
                self.shared.done("kill -9 postmaster");
            }
            _ => {
                self.client = None;
                self.cluster.restart(Shutdown::Immediate);
                self.shared.done("immediate shutdown");
            }
        }
    }

    /// A cancel or a termination of one worker.
    fn disturb(&mut self) {
        let terminate = self.rng.random_ratio(1, 5);
        let what = if terminate { "pg_terminate_backend" } else { "pg_cancel_backend" };
        let pick = format!(
            "SELECT {what}(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name = 'random worker'
             AND state = 'active' ORDER BY random() LIMIT 1) AS a"
        );
        if self.query_pid(&pick).is_some() {
            self.shared.done(if terminate { "terminate" } else { "cancel" });
        }
    }

    fn kill_backend(&mut self) {
        let pick =
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'random worker' ORDER BY random() LIMIT 1";
        let Some(row) = self.query_pid(pick) else { return };
        let pid = row.get::<_, i32>(0);
        // The process must be a backend of this very server.
        let data = std::fs::canonicalize(self.cluster.data_dir()).expect("the server's directory");
        let ours = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data);
        if let (true, Some(pid)) = (ours, Pid::from_raw(pid)) {
            self.client = None;
            // It may have ended in the meantime.
            if kill_process(pid, Signal::KILL).is_ok() {
                self.shared.done("kill -9 backend");
            }
        }
    }

    fn query_pid(&mut self, sql: &str) -> Option<postgres::Row> {
        if self.client.is_none() {
            self.client = connect(&self.config, self.shared);
        }
        match self.client.as_mut()?.query_opt(sql, &[]) {
            Ok(row) => row,
            Err(_) => {
                self.client = None;
                None
            }
        }
    }
}

/// Maintenance by a superuser, as long as there is work. Nothing but a lock timeout may stop it.
pub fn maintain(config: &Config, shared: &Shared) {
    let mut rng = shared.rng(600);
    let mut turn = 0;
    while let Some(mut client) = connect(config, shared) {
        if client.batch_execute("SET client_min_messages = error").is_err() {
            continue;
        }
        while !shared.stopped() && maintenance(&mut client, shared, &mut rng, &mut turn) {}
    }
}

/// A quiet spell: what is prepared is finished, because it would hold up what needs a table for itself. False when the
/// connection was lost.
fn maintenance(client: &mut Client, shared: &Shared, rng: &mut StdRng, turn: &mut usize) -> bool {
    shared.calm.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_secs(2);
    while shared.prepared_count() > 0 && Instant::now() < deadline && !shared.stopped() {
        shared.settle(client);
        std::thread::sleep(Duration::from_millis(10));
    }
    let alive = (0..6).all(|_| {
        // All have their turn, each until it was done, or was in vain a few times.
        let _done = (0..3).any(|_| attempt(client, shared, rng, *turn));
        *turn += usize::from(!client.is_closed());
        !client.is_closed()
    });
    shared.calm.store(false, Ordering::Relaxed);
    let pause = Instant::now() + Duration::from_millis(rng.random_range(200..800));
    while alive && Instant::now() < pause && !shared.stopped() {
        std::thread::sleep(Duration::from_millis(20));
    }
    alive
}

/// One command; true when it was done.
fn attempt(client: &mut Client, shared: &Shared, rng: &mut StdRng, turn: usize) -> bool {
    if client.is_closed() || shared.stopped() {
        return false;
    }
    let buckets = shared.buckets.load(Ordering::Relaxed);
    let leaf = ["part_0", "part_1_a", "part_2", "part_3"][rng.random_range(0..4)];
    let table = ["plain", "narrow", leaf, "notary.journal"][rng.random_range(0..4)];
    let (name, sql) = match turn % 11 {
        0 => ("VACUUM", format!("VACUUM {table}")),
        1 => ("VACUUM FULL", format!("VACUUM FULL {table}")),
        2 => ("CLUSTER", "CLUSTER plain USING plain_k_key".to_owned()),
        3 => ("REINDEX", format!("REINDEX TABLE {table}")),
        4 | 9 => ("REINDEX CONCURRENTLY", format!("REINDEX TABLE CONCURRENTLY {table}")),
        5 => ("ANALYZE", format!("ANALYZE {table}")),
        6 => ("CREATE INDEX", "CREATE INDEX IF NOT EXISTS plain_id_idx ON plain (id)".to_owned()),
        10 => ("DROP INDEX", "DROP INDEX IF EXISTS plain_id_idx".to_owned()),
        _ => {
            let next = buckets + 1;
            let partition = format!("PARTITION OF part FOR VALUES FROM ({buckets}) TO ({next})");
            ("new partition", format!("CREATE TABLE IF NOT EXISTS part_{buckets} {partition}"))
        }
    };
    // Writers go on beside REINDEX CONCURRENTLY, and it has to outwait them and whoever verifies.
    let patience = if name == "REINDEX CONCURRENTLY" { "10s" } else { "1500ms" };
    let result =
        client.batch_execute(&format!("SET lock_timeout = '{patience}'")).and_then(|()| client.batch_execute(&sql));
    match result.as_ref().map_err(Trouble::of) {
        Ok(()) => {
            shared.done(name);
            if name == "new partition" {
                shared.buckets.store(buckets + 1, Ordering::Relaxed);
            }
            return true;
        }
        // Whatever became of a partition is found out by the next attempt.
        Err(Trouble::Lost) => {}
        // lock_not_available, query_canceled: what REINDEX CONCURRENTLY leaves behind then is only more work.
        Err(Trouble::Error(error)) if error.code == "55P03" || error.code == "57014" => shared.failed_as_it_may(name),
        Err(Trouble::Error(error)) => shared.failure(format!("{sql}: {error}")),
    }
    false
}
