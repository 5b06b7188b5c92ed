//! Random work: many clients, every way to insert, and a server that is cancelled, killed and started again under
//! them. Afterwards every row that a client was told is stored is there once, no row that was rolled back is there,
//! and verification, which ran all the while, has never raised an alarm.
//!
//! `NOTARY_SOAK_SECONDS` says how long (60 by default), `NOTARY_SEED` repeats the choices of an earlier run, as far as
//! threads allow. A long run is a row of rounds, each with a database and a seed of its own.

mod chaos;
mod mix;
mod record;
mod setup;
mod statements;
mod watch;
mod worker;

use chaos::Chaos;
use notary_tests::{Cluster, Database};
use record::Shared;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use worker::Worker;

const CLIENTS: u64 = 12;
/// The longest round: afterwards everything is counted, and the logs start anew.
const ROUND: Duration = Duration::from_secs(120);

#[test]
fn whatever_happens_acknowledged_rows_are_there_and_the_logs_are_intact() {
    let variable = |name| std::env::var(name).ok().map(|v| v.parse::<u64>().expect("a number"));
    let seconds = variable("NOTARY_SOAK_SECONDS").unwrap_or(60);
    let seed = variable("NOTARY_SEED").unwrap_or_else(rand::random);
    let mut cluster = Cluster::builder()
        .fsync()
        .setting("max_prepared_transactions", "100")
        .setting("max_connections", "60")
        .setting("log_error_verbosity", "default")
        .start();
    let end = Instant::now() + Duration::from_secs(seconds);
    for round in 0.. {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let seed = seed.wrapping_add(round);
        println!("round {round}: NOTARY_SEED={seed}");
        work(&mut cluster, seed, left.min(ROUND));
    }
}

fn work(cluster: &mut Cluster, seed: u64, time: Duration) {
    let db = setup::database(cluster);
    let shared = Arc::new(Shared::new(seed));
    let mut threads: Vec<thread::JoinHandle<()>> = Vec::new();
    for number in 0..CLIENTS {
        let worker = Worker::new(number, cluster.config_as(&db, setup::WRITER), shared.clone());
        threads.push(thread::spawn(|| worker.work()));
    }
    for task in [watch::verify, watch::waits, chaos::maintain] {
        let (config, shared) = (cluster.config(&db), shared.clone());
        threads.push(thread::spawn(move || task(&config, &shared)));
    }

    let begun = Instant::now();
    Chaos::new(cluster, &db, &shared).until(begun + time);
    shared.stop();
    let panics = threads.into_iter().filter_map(|t| t.join().err()).count();
    // What the watchers saw says more than the panics that followed from it.
    shared.assert_no_failures();
    assert_eq!(panics, 0, "a thread panicked");

    // Prepared transactions must outlive this, too.
    cluster.kill9_postmaster();
    cluster.start_again();
    let mut client = cluster.client(&db);
    shared.settle(&mut client);
    shared.settle_all_prepared(&mut client);
    let rows = shared.check(&mut client);
    watch::assert_all_intact(&mut client);
    println!("{rows} rows; {}", shared.summary(begun.elapsed()));
    if time >= Duration::from_secs(50) {
        shared.assert_everything_was_done();
    }
    drop(client);
    let drop = format!("DROP DATABASE \"{db}\" WITH (FORCE)");
    cluster.client("postgres").batch_execute(&drop).expect("nobody is connected any more");
}

/// The name of a new database with the extension, on a cluster that will be stopped and started.
fn new_database(cluster: &Cluster) -> String {
    let db: Database<'_> = cluster.fresh_db("random_work");
    db.name().to_owned()
}
