//! A large log: three things wrong in a million entries are three findings, and a check's memory does not grow with it.

use notary_tests::verdict::{assert_found, behind_the_guard};
use notary_tests::{Database, SqlError, fresh_db};
use postgres::Client;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn a_million_entries_with_three_things_wrong_give_three_findings() {
    let db = fresh_db("million");
    db.client()
        .batch_execute("CREATE TABLE million (id int, note text); SELECT notary.protect('million')")
        .unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
    // Two sessions at once, so that there are two chains and both processors are used.
    thread::scope(|scope| {
        for half in 0..2 {
            let mut client = db.client();
            scope.spawn(move || {
                let (from, to) = (half * 500_000 + 1, (half + 1) * 500_000);
                let rows =
                    format!("INSERT INTO million SELECT i, 'note ' || i FROM generate_series({from}, {to}) AS i");
                client.batch_execute(&rows).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
            });
        }
    });
    let mut client = db.client();
    let answer = client.query_one("SELECT intact, entries, chains FROM notary.verify('million')", &[]).unwrap();
    assert_eq!((answer.get(0), answer.get(1)), (true, 1_000_000_i64));
    let chains: i32 = answer.get(2);
    assert!((1..=2).contains(&chains));
    checked_in_bounded_memory(&db);
    a_long_check_tells_how_far_it_is(&db);
    // At places that do not depend on which session was the first.
    let row = |chain: i32, seq: i64| format!("notary_chain = {chain} AND notary_seq = {seq}");
    behind_the_guard(
        &db,
        &[
            &format!("UPDATE million SET note = 'forged' WHERE {}", row(1, 77_777)),
            &format!("DELETE FROM million WHERE {}", row(1, 299_999)),
            &format!("UPDATE million SET notary_hash = sha256('forged') WHERE {}", row(chains, 400_001)),
        ],
    );
    let hash = format!("hash_changed {chains}/400001");
    assert_found(&mut client, "million", &[hash.as_str(), "missing 1/299999", "value_changed 1/77777"]);
}

/// The most memory of its own (not shared buffers) that a session has while `query` runs in it, above what it had
/// before, in bytes; as the kernel counts it.
fn memory_of(client: &mut Client, query: &str) -> u64 {
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let anonymous = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let before = anonymous();
    let done = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous());
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let answer = client.query_one(query, &[]).map(|row| row.get::<_, bool>(0));
        done.store(true, Ordering::Relaxed);
        assert!(answer.unwrap(), "{query}");
        watch.join().unwrap()
    });
    most - before
}

/// In the order of the chains, and in no order at all, where every entry is apart from the ones beside it.
#[track_caller]
fn checked_in_bounded_memory(db: &Database<'_>) {
    const MIB: u64 = 1 << 20;
    let query = "SELECT intact FROM notary.verify('million')";
    let ordered = memory_of(&mut db.client(), query);
    db.client()
        .batch_execute(
            "CREATE INDEX shuffled ON million (hashint4(id)); CLUSTER million USING shuffled; DROP INDEX shuffled",
        )
        .unwrap();
    let shuffled = memory_of(&mut db.client(), query);
    println!("memory of a check: {} KiB in order, {} KiB shuffled", ordered / 1024, shuffled / 1024);
    // A million hashes alone are 32 MB.
    assert!(ordered < 8 * MIB && shuffled < 32 * MIB, "{ordered} bytes in order, {shuffled} shuffled");
}

/// A check that is held up for longer than the five seconds between two notices.
#[track_caller]
fn a_long_check_tells_how_far_it_is(db: &Database<'_>) {
    let (mut client, notices) = db.client_with_notices("postgres");
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let signal = |signal| kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    thread::scope(|scope| {
        let check = scope
            .spawn(|| client.query_one("SELECT intact FROM notary.verify('million')", &[]).unwrap().get::<_, bool>(0));
        let busy = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND relation = 'million'::regclass");
        while db.value(&busy) == "0" {
            thread::yield_now();
        }
        // It has begun to hash by then, and is not through.
        thread::sleep(Duration::from_millis(200));
        signal(Signal::STOP);
        thread::sleep(Duration::from_secs(6));
        signal(Signal::CONT);
        assert!(check.join().unwrap());
    });
    let said = notices.take();
    let first = said.first().unwrap_or_else(|| panic!("a check of six seconds says nothing"));
    assert!(first.starts_with("NOTICE: verifying public.million: hashing ") && first.ends_with(" pages)"), "{said:?}");
}
