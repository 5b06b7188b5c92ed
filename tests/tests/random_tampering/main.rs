//! Random tampering: a superuser who goes round the guard changes one thing, or three, and exactly that must be found,
//! in the right words and at the right places. Each change is rolled back after the check; verification sees what its
//! own transaction did.
//!
//! `NOTARY_TAMPERINGS` says how many single changes (4,000 by default), `NOTARY_SOAK_SECONDS` for how long instead,
//! `NOTARY_SEED` repeats the choices of an earlier run.

mod change;
mod log;
mod million;
mod omissions;

use change::{Change, Expected};
use log::Log;
use notary_tests::workers::By;
use notary_tests::{Database, fresh_db};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Until when, or how often.
struct Effort {
    seed: u64,
    end: Option<Instant>,
    rounds: u64,
}

impl Effort {
    fn new(share: u64) -> Self {
        let seed = variable("NOTARY_SEED").unwrap_or_else(rand::random);
        let end = variable("NOTARY_SOAK_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
        let rounds = variable("NOTARY_TAMPERINGS").unwrap_or(4_000).div_ceil(share);
        println!("NOTARY_SEED={seed}");
        Self { seed, end, rounds }
    }

    fn goes_on(&self, done: u64) -> bool {
        self.end.map_or(done < self.rounds, |end| Instant::now() < end)
    }
}

/// One in so many tamperings is also checked by several processes: starting them takes longer than the check.
const SHARED: u32 = 8;

/// Does changes to a log until there were enough; how many of each kind were found.
fn tamper(db: &str, table: &str, effort: &Effort, at_once: usize) -> BTreeMap<&'static str, u64> {
    let mut log = Log::behind_the_guard(db, table);
    let mut rng = StdRng::seed_from_u64(effort.seed);
    let mut count = BTreeMap::new();
    let mut done = 0;
    while effort.goes_on(done) {
        log.begin();
        let mut expected = Expected::new();
        let mut changes = Vec::new();
        let mut territories = log.territories(at_once, &mut rng);
        for territory in territories.drain(..) {
            let change = *Change::ALL.choose(&mut rng).expect("there are some");
            log.savepoint();
            match change::apply(&mut log, change, &territory, &mut rng) {
                Some((found, words)) => {
                    expected.extend(found);
                    changes.push(words);
                    *count.entry(change.name()).or_default() += 1;
                }
                None => log.back_to_savepoint(),
            }
        }
        if !changes.is_empty() {
            let found = log.findings();
            expected.sort();
            let short: Expected = found.iter().map(|said| (said.segment.clone(), said.to_string())).collect();
            assert_eq!(short, expected, "NOTARY_SEED={}, {table}: {changes:#?}\n{found:#?}", effort.seed);
            if rng.random_ratio(1, SHARED) {
                let shared: &mut u64 = count.entry("shared").or_default();
                let by = if shared.is_multiple_of(2) { By::Workers } else { By::Several };
                *shared += 1;
                let what = format!("NOTARY_SEED={}, {table}: {changes:#?}", effort.seed);
                let shares = log.assert_shared_alike(by, &what);
                let really = shares.iter().filter(|share| share.what == "rows" && share.workers.iter().any(|n| *n > 0));
                let really = really.count();
                *count.entry("shared tables").or_default() += really as u64;
            }
            done += 1;
        }
        log.roll_back();
    }
    log.assert_untouched();
    count
}

/// The logs of this test, each in a thread of its own. Every kind of change must have been made.
fn tamper_with_all(name: &str, share: u64, at_once: usize) {
    let db: Database<'static> = fresh_db(name);
    for make in log::ALL {
        make(&db);
    }
    omissions::leave_out(&db);
    let tables = ["one", "two_segments", "partitioned"];
    let share = share * tables.len() as u64;
    let workers = tables.map(|table| {
        let db = db.name().to_owned();
        thread::spawn(move || tamper(&db, table, &Effort::new(share), at_once))
    });
    let mut total = BTreeMap::new();
    for worker in workers {
        for (name, n) in worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            *total.entry(name).or_insert(0) += n;
        }
    }
    println!("{} changes found: {total:?}", total.values().sum::<u64>());
    // How many checks were shared out, and how many times a worker really had rows of a table.
    let [shared, really] = ["shared", "shared tables"].map(|name| total.remove(name).unwrap_or(0));
    assert!(shared > 0 && really > shared / 10, "{shared} checks were shared out, {really} tables really were");
    for change in Change::ALL.iter().filter(|change| at_once == 1 || !change.wants_to_be_alone()) {
        assert!(total.contains_key(change.name()), "{} was never done", change.name());
    }
}

#[test]
fn every_single_change_is_found_at_its_place_and_nothing_else() {
    tamper_with_all("tampering", 1, 1);
}

#[test]
fn three_changes_are_found_at_three_places() {
    tamper_with_all("three", 4, 3);
}

/// A number below `n`.
fn below(rng: &mut StdRng, n: usize) -> usize {
    rng.random_range(0..n)
}
