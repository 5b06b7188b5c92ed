//! A log that has become large, what verification of it takes in memory, and one in which much was rolled back.

use super::rate_of;
use super::single::inserts;
use crate::contenders::{EVENTS, Kind, insert_events, settle};
use crate::measure::{Runs, alternate};
use crate::report::Report;
use crate::servers::Servers;
use notary_tests::Database;
use notary_tests::talk::run as sql;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub fn run(servers: &Servers, report: &mut Report) {
    large(&servers.main.fresh_db("large"), report);
    rolled_back(&servers.main.fresh_db("rolled_back"), report);
}

fn large(db: &Database<'_>, report: &mut Report) {
    let sizes = report.sizes;
    report.begin("a log of {large} entries");
    let mut client = db.client();
    Kind::Log.make(&mut client, "large", EVENTS);
    fill(db, "large", sizes.verified);
    let small = memory_of_verification(db, "large");
    fill(db, "large", sizes.large - sizes.verified);
    report.begin("memory of notary.verify at {large} entries");
    let large = memory_of_verification(db, "large");
    report.set_once("memory", large);
    report.set_once("memory flat", large - small);

    for &clients in sizes.clients {
        let work =
            format!("INSERT, {clients} clients, with {{large}} rows in the log").replace(" 1 clients", " 1 client");
        report.begin(&work);
        settle(db);
        Kind::Log.make(&mut client, "empty", EVENTS);
        let contenders = vec![
            inserts("empty", db, "empty", clients, sizes.load),
            inserts("large", db, "large", clients, sizes.load),
        ];
        let runs = alternate(sizes.rounds, contenders);
        Kind::Log.drop(&mut client, "empty");
        report.rates(&work, "transactions", &runs);
        report.set(if clients == 1 { "large 1" } else { "large 16" }, runs.ratio("large", "empty"));
    }

    let work = "INSERT … SELECT with {large} rows in the log";
    report.begin(work);
    let into_empty = || {
        let mut client = db.client();
        Kind::Log.make(&mut client, "empty", EVENTS);
        settle(db);
        let rate = rate_of(sizes.bulk, || sql(&mut client, &insert_events("empty", sizes.bulk)));
        Kind::Log.drop(&mut client, "empty");
        rate
    };
    let into_large = || {
        settle(db);
        rate_of(sizes.bulk, || sql(&mut db.client(), &insert_events("large", sizes.bulk)))
    };
    let runs = alternate(sizes.rounds, vec![("empty", Box::new(into_empty)), ("large", Box::new(into_large))]);
    report.rates(work, "rows", &runs);
    report.set("large bulk", runs.ratio("large", "empty"));
    drop(client);
    db.remove();
}

/// Entries in transactions of a million, and everything known of them that VACUUM finds out.
pub fn fill(db: &Database<'_>, table: &str, mut count: u64) {
    let mut client = db.client();
    while count > 0 {
        let some = count.min(1_000_000);
        sql(&mut client, &insert_events(table, some));
        count -= some;
    }
    sql(&mut client, &format!("VACUUM {table}"));
}

/// By how much the memory of a backend's own grows while it verifies, in MiB: the most of what is seen every millisecond.
/// What it shares with others, such as the buffers, is not its own.
fn memory_of_verification(db: &Database<'_>, table: &str) -> f64 {
    let mut client = db.client();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let begin = own_memory(pid);
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = begin;
            while !done.load(Ordering::Relaxed) {
                most = most.max(own_memory(pid));
                std::thread::sleep(Duration::from_millis(1));
            }
            most
        });
        let intact =
            client.query_one(&format!("SELECT intact FROM notary.verify('{table}', workers => 0)"), &[]).unwrap();
        done.store(true, Ordering::Relaxed);
        assert!(intact.get::<_, bool>(0), "{table} is not intact");
        watcher.join().unwrap()
    });
    f64::from(most - begin) / 1024.0
}

/// In KiB.
fn own_memory(pid: i32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Each round has a log of its own, in which the rolled back rows are the last ones that the writer's chain has had.
fn rolled_back(db: &Database<'_>, report: &mut Report) {
    let sizes = report.sizes;
    let mut client = db.client();
    for &clients in sizes.clients {
        let work = format!("INSERT, {clients} clients, right after {{rolled back}} rows were rolled back")
            .replace(" 1 clients", " 1 client");
        report.begin(&work);
        let mut runs = Runs::default();
        for _ in 0..sizes.few_rounds {
            Kind::Log.make(&mut client, "log", EVENTS);
            let (_, mut load) = inserts("log", db, "log", clients, sizes.load);
            runs.push("before", load());
            roll_back(db, sizes.rolled_back);
            runs.push("after", load());
            Kind::Log.drop(&mut client, "log");
        }
        report.rates(&work, "transactions", &runs);
        let key = if clients == 1 { "rolled back 1" } else { "rolled back 16" };
        report.set(key, runs.ratio("after", "before"));
    }

    let work = "INSERT … SELECT right after {rolled back} rows were rolled back";
    report.begin(work);
    let mut runs = Runs::default();
    for _ in 0..sizes.few_rounds {
        Kind::Log.make(&mut client, "log", EVENTS);
        // Not the first one into an empty index.
        sql(&mut client, &insert_events("log", sizes.bulk));
        settle(db);
        runs.push("before", rate_of(sizes.bulk, || sql(&mut client, &insert_events("log", sizes.bulk))));
        roll_back(db, sizes.rolled_back);
        runs.push("after", rate_of(sizes.bulk, || sql(&mut client, &insert_events("log", sizes.bulk))));
        Kind::Log.drop(&mut client, "log");
    }
    report.rates(work, "rows", &runs);
    report.set("rolled back bulk", runs.ratio("after", "before"));
    drop(client);
    db.remove();
}

fn roll_back(db: &Database<'_>, count: u64) {
    sql(&mut db.client(), &format!("BEGIN; {}; ROLLBACK", insert_events("log", count)));
    settle(db);
}
