//! A check that is shared among parallel workers says what one process says, word for word, whatever is wrong with the log,
//! and really is shared.

use notary_tests::talk::run;
use notary_tests::verdict::behind_the_guard;
use notary_tests::workers::{By, Checker, Share};
use notary_tests::{Cluster, Database, Shutdown, err, fresh_db};
use std::time::{Duration, Instant};
use std::{fs, thread};

const ROWS: u64 = 12_000;

/// A log of three chains and some hundred pages, which were written at the same time.
fn filled(db: &Database<'_>) {
    run(&mut db.client(), "CREATE TABLE audit (id int, what text, extra jsonb); SELECT notary.protect('audit')");
    add(db, 0, ROWS);
}

/// Another `rows` entries behind `from`, a third in each chain.
fn add(db: &Database<'_>, from: u64, rows: u64) {
    let mut writers = [db.client(), db.client(), db.client()];
    writers.iter_mut().for_each(|writer| run(writer, "BEGIN"));
    for round in 0..10 {
        for (writer, number) in writers.iter_mut().zip(0..) {
            let rows = rows / 30;
            let from = from + (round * 3 + number) * rows + 1;
            run(
                writer,
                &format!(
                    "INSERT INTO audit (id, what, extra) SELECT i, repeat('what ' || i, 10), jsonb_build_object('n', i)
                     FROM generate_series({from}, {}) AS i",
                    from + rows - 1
                ),
            );
        }
    }
    writers.iter_mut().for_each(|writer| run(writer, "COMMIT"));
}

/// Has the log checked in all ways; what they all say, and how it was shared out by several and by workers alone.
#[track_caller]
fn alike(checker: &mut Checker) -> (Vec<String>, [Vec<Share>; 2]) {
    let one = checker.all_of("audit", By::One);
    assert_eq!(checker.said(), [] as [String; 0], "one process was to do it alone");
    let shares = [By::Several, By::Workers].map(|by| {
        assert_eq!(checker.all_of("audit", by), one, "{by:?}");
        checker.shares()
    });
    (one, shares)
}

fn of<'s>(shares: &'s [Share], what: &str) -> impl Iterator<Item = &'s Share> {
    shares.iter().filter(move |share| share.what == what)
}

/// Each of `entries` was seen once, whoever saw it, and by workers where the leader left it to them. How much each gets hangs
/// on how soon PostgreSQL starts it: beside a leader that takes part, workers of a small log may come too late for anything.
#[track_caller]
fn shared_by_all(shares: &[Vec<Share>; 2], what: &str, entries: u64) {
    for (shares, by) in shares.iter().zip([By::Several, By::Workers]) {
        // verify, findings, notices.
        assert_eq!(of(shares, what).count(), 3, "{by:?}, {what}: {shares:?}");
        for share in of(shares, what) {
            assert_eq!(share.workers.len(), 2, "{by:?}: {shares:?}");
            assert_eq!(share.leader + share.workers.iter().sum::<u64>(), entries, "{by:?}: {shares:?}");
            assert!(by == By::Several || share.leader == 0, "{shares:?}");
        }
    }
}

#[test]
fn an_intact_log_is_shared_among_processes_and_each_entry_seen_once() {
    let db = fresh_db("shared");
    filled(&db);
    let checker = &mut Checker::new(&db);
    let mut rows = ROWS;
    // How soon a worker starts is the machine's affair, a few milliseconds or a second: the log grows until leader and worker
    // both had a part of the rows. The index takes a tenth of the time: of that the leader had a part, and any two.
    let (mut rows_shared, mut index_shared, mut index_by_leader) = (false, false, false);
    loop {
        let (said, shares) = alike(checker);
        assert_eq!(said, [format!("(t,{rows},3,0,,,\"every entry\")")]);
        shared_by_all(&shares, "rows", rows);
        shared_by_all(&shares, "index", rows);
        rows_shared |= of(&shares[0], "rows").any(|share| share.leader > 0 && share.leader < rows);
        index_shared |= shares.iter().flat_map(|shares| of(shares, "index")).any(|share| share.processes() > 1);
        index_by_leader |= of(&shares[0], "index").any(|share| share.leader > 0);
        if rows_shared && index_shared && index_by_leader {
            break;
        }
        let so_far = [rows_shared, index_shared, index_by_leader];
        assert!(
            rows < 64 * ROWS,
            "one process had all, rows, index, or the index's leader none, {so_far:?}: {shares:?}"
        );
        add(&db, rows, rows);
        rows *= 2;
    }
}

#[test]
fn whatever_was_changed_is_said_in_the_same_words() {
    let db = fresh_db("tampered");
    filled(&db);
    let mut checker = Checker::new(&db);
    let mut count = 0;
    for changes in [
        &[
            "UPDATE audit SET what = 'forged' WHERE id % 1777 = 5",
            "DELETE FROM audit WHERE id IN (77, 78, 79, 5000, 11000)",
        ] as &[_],
        &[
            "UPDATE audit SET notary_hash = sha256('forged') WHERE id IN (333, 4444)",
            "UPDATE audit SET notary_prev = NULL WHERE id IN (555, 6666)",
            "UPDATE audit SET notary_seq = notary_seq + 100000 WHERE id IN (888, 9999)",
            "UPDATE audit SET notary_chain = NULL, notary_seq = NULL WHERE id IN (1234, 7777)",
            "UPDATE audit SET notary_time = notary_time - interval '1 day' WHERE id IN (2222, 8888)",
        ],
        // A copy, by a session whose rows keep what they bring along.
        &[
            "SET session_replication_role = replica",
            "INSERT INTO audit SELECT id, what, extra, 2, 99999, notary_time, notary_prev, notary_hash FROM audit WHERE id = 99",
            "RESET session_replication_role",
        ],
        // Most rows of a chain.
        &["UPDATE audit SET what = 'all forged' WHERE notary_chain = 3 AND id % 3 > 0"],
    ] {
        behind_the_guard(&db, changes);
        let (said, shares) = alike(&mut checker);
        assert!(said.len() > count, "{changes:?}: nothing new is found");
        count = said.len();
        assert!(shares.iter().all(|shares| of(shares, "rows").count() == 3), "{changes:?}: {shares:?}");
    }
}

#[test]
fn an_index_that_lacks_rows_is_said_in_the_same_words() {
    let db = fresh_db("index");
    filled(&db);
    let mut checker = Checker::new(&db);
    // Rows that the index does not have.
    let unique = "audit_notary_chain_notary_seq_key";
    behind_the_guard(
        &db,
        &[
            &format!(
                "UPDATE pg_index SET indisready = false, indislive = false WHERE indexrelid = '{unique}'::regclass"
            ),
            "UPDATE pg_class SET relhasindex = relhasindex WHERE relname = 'audit'",
            "UPDATE audit SET notary_seq = notary_seq WHERE id IN (17, 4711)",
            &format!("UPDATE pg_index SET indisready = true, indislive = true WHERE indexrelid = '{unique}'::regclass"),
        ],
    );
    let (said, shares) = alike(&mut checker);
    assert!(said.iter().any(|said| said.contains("index_mismatch")), "{said:?}");
    assert!(shares.iter().all(|shares| of(shares, "rows").count() == 3), "{shares:?}");
}

#[test]
fn pages_and_rows_that_cannot_be_read_are_named_alike() {
    let mut cluster = Cluster::builder().without_checksums().start();
    let name = cluster.fresh_db("unreadable").name().to_owned();
    filled(&cluster.database(&name));
    run(&mut cluster.client(&name), "CHECKPOINT");
    let path = cluster.relation_path(&name, "audit");
    let mut damage = |change: &dyn Fn(&mut [u8])| {
        cluster.stop(Shutdown::Fast);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        cluster.start_again();
        let db = cluster.database(&name);
        let mut checker = Checker::new(&db);
        let one = checker.all_of("audit", By::One);
        checker.said();
        for by in [By::Several, By::Workers] {
            assert_eq!(checker.all_of("audit", by), one, "{by:?}");
        }
        (one, checker.said())
    };
    // Values that are no text: nothing raises, and only these stretches are read again.
    let (said, shared) = damage(&|bytes| {
        for page in [3, 70, 71, 150] {
            let page = &mut bytes[page * 8192..][..8192];
            let at = page.windows(5).position(|bytes| bytes == b"what ").unwrap();
            page[at] = 0xff;
        }
    });
    assert_eq!(said.iter().filter(|said| said.contains(",unreadable,")).count(), 4, "{said:?}");
    assert!(shared.iter().any(|said| said.contains("shared the rows")), "{shared:?}");
    // A page's header: reading it raises, and one process reads everything.
    let (said, shared) = damage(&|bytes| bytes[100 * 8192 + 12..][..4].fill(0xee));
    assert_eq!(said.iter().filter(|said| said.contains(",unreadable,")).count(), 5, "{said:?}");
    assert!(shared.iter().any(|said| said.contains("one process reads all rows: invalid page")), "{shared:?}");
}

#[test]
fn a_shared_check_can_be_cancelled_and_leaves_no_worker_behind() {
    let db = fresh_db("cancel_shared");
    filled(&db);
    let mut client = db.client();
    let check = "SELECT intact FROM notary.verify('audit', workers => 2)";
    for timeout in [5, 20, 50, 100] {
        run(&mut client, &format!("SET statement_timeout = {timeout}"));
        // In a block too, whose savepoint is what is gone back to.
        run(&mut client, "BEGIN; SAVEPOINT s");
        if let Err(error) = client.query(check, &[]) {
            assert_eq!(notary_tests::SqlError::of(&error).code, "57014");
        }
        run(&mut client, "ROLLBACK TO s; SET LOCAL statement_timeout = 0");
        assert!(client.query_one(check, &[]).unwrap().get::<_, bool>(0));
        run(&mut client, "COMMIT");
    }
    let until = Instant::now() + Duration::from_secs(60);
    let workers =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND datname = current_database()";
    while db.value(workers) != "0" {
        assert!(Instant::now() < until, "workers are left behind");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_transaction_itself_did_and_may_is_the_same_for_workers() {
    let db = fresh_db("transactions");
    filled(&db);
    let mut checker = Checker::new(&db);
    run(&mut checker.client, "BEGIN READ ONLY");
    let (said, shares) = alike(&mut checker);
    assert_eq!(said.len(), 1);
    shared_by_all(&shares, "rows", ROWS);
    run(&mut checker.client, "COMMIT; BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM pg_class");
    // Others' rows that came after the transaction's own snapshot are seen, below rows of its own.
    run(&mut db.client(), "INSERT INTO audit (id) VALUES (-1)");
    run(&mut checker.client, "INSERT INTO audit (id) VALUES (-2); SAVEPOINT s; INSERT INTO audit (id) VALUES (-3)");
    let (said, _) = alike(&mut checker);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with(&format!("(t,{},", ROWS + 3)), "{said:?}");
    let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock' AND relation IN (SELECT oid FROM pg_class
        WHERE relname = 'audit' UNION SELECT indexrelid FROM pg_index WHERE indrelid = 'audit'::regclass)";
    assert_eq!(db.value(locks), "0");
    run(&mut checker.client, "ROLLBACK TO s; COMMIT");
    assert!(alike(&mut checker).0[0].starts_with(&format!("(t,{},", ROWS + 2)));
}

#[test]
fn where_there_are_no_workers_the_session_does_it_all() {
    let cluster = Cluster::builder().setting("max_worker_processes", "0").start();
    let db = cluster.fresh_db("alone");
    filled(&db);
    let mut checker = Checker::new(&db);
    let one = checker.all_of("audit", By::One);
    for by in [By::Several, By::Workers] {
        assert_eq!(checker.all_of("audit", by), one, "{by:?}");
        let said = checker.said();
        assert_eq!(said.iter().filter(|said| said.contains(": 0 of 2 workers shared the rows")).count(), 3, "{said:?}");
    }
    run(&mut checker.client, "SET max_parallel_workers = 0");
    assert_eq!(checker.all_of("audit", By::Several), one);
    assert_eq!(checker.said(), [] as [String; 0]);
}

#[test]
fn a_standby_has_workers_too() {
    let primary = Cluster::start();
    let db = primary.fresh_db("standby_workers");
    filled(&db);
    let standby = primary.standby();
    primary.wait_for(&standby);
    let there = standby.database(db.name());
    let (said, shares) = alike(&mut Checker::new(&there));
    assert_eq!(said.len(), 1, "{said:?}");
    shared_by_all(&shares, "rows", ROWS);
    shared_by_all(&shares, "index", ROWS);
}

#[test]
fn how_many_workers_there_are_is_the_caller_s_choice_or_the_table_s() {
    let db = fresh_db("how_many");
    filled(&db);
    let mut checker = Checker::new(&db);
    let mut workers = |settings: &str, argument: &str| {
        run(
            &mut checker.client,
            &format!(
                "RESET ALL; SET client_min_messages = debug1; SET min_parallel_table_scan_size = '8MB'; {settings}"
            ),
        );
        run(&mut checker.client, &format!("SELECT notary.verify('audit'{argument})"));
        let said = checker.said();
        said.iter().find_map(|said| said.split_once(" workers")?.0.rsplit_once(' ')?.1.parse::<u32>().ok()).unwrap_or(0)
    };
    assert_eq!(workers("", ""), 0, "the table is small");
    assert_eq!(workers("", ", workers => 2"), 2);
    assert_eq!(workers("SET max_parallel_maintenance_workers = 0", ", workers => 3"), 3);
    assert_eq!(workers("SET max_parallel_workers = 1", ", workers => 3"), 1);
    assert_eq!(workers("SET min_parallel_table_scan_size = '512kB'", ""), 2);
    assert_eq!(workers("SET min_parallel_table_scan_size = '2MB'", ", workers => 0"), 0);
    assert_eq!(workers("SET max_parallel_maintenance_workers = 1; SET min_parallel_table_scan_size = 0", ""), 1);
    let refused = err(db.client().query("SELECT notary.verify('audit', workers => -1)", &[]));
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("22023", "workers must not be negative"));
}

#[test]
fn where_workers_begin_nobody_else_does() {
    let db = fresh_db("entry_points");
    for symbol in ["notary_verify_rows", "notary_verify_index"] {
        let function = format!("CREATE FUNCTION f() RETURNS void LANGUAGE c AS '$libdir/pg_notary', '{symbol}'");
        assert_eq!(err(db.client().batch_execute(&function)).code, "42883");
    }
}
