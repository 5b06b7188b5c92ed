//! A change and its event are committed together, or not at all.

use crate::{events, scene, since};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Database, SqlError};

fn tracked(name: &str) -> Database<'static> {
    let db = scene(name);
    run(&mut db.client(), "CREATE TABLE t (id int PRIMARY KEY, n int); SELECT notary.track('t', 'audit')");
    db
}

#[test]
fn what_is_rolled_back_was_never_there() {
    let db = tracked("rolled_back");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "BEGIN; INSERT INTO t VALUES (1, 1); ROLLBACK;
         BEGIN; INSERT INTO t VALUES (2, 1); SAVEPOINT a; UPDATE t SET n = 2; SAVEPOINT b; DELETE FROM t; ROLLBACK TO a; UPDATE t SET n = 3;
         RELEASE a; COMMIT",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [r#"t.insert 2 > {"n": 1, "id": 2}"#, r#"t.update 2 {"n": 1} > {"n": 3}"#]
    );
    run(
        &mut client,
        "DO $$BEGIN
             FOR i IN 10..13 LOOP
                 BEGIN INSERT INTO t VALUES (i, i); IF i % 2 = 0 THEN RAISE division_by_zero; END IF;
                 EXCEPTION WHEN division_by_zero THEN UPDATE t SET n = n + 1 WHERE id = 2; END;
             END LOOP;
         END$$",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.update 2 {"n": 3} > {"n": 4}"#,
            r#"t.insert 11 > {"n": 11, "id": 11}"#,
            r#"t.update 2 {"n": 4} > {"n": 5}"#,
            r#"t.insert 13 > {"n": 13, "id": 13}"#,
        ]
    );
    // A statement that fails in its last row.
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (20, 1), (21, 1), (2, 1)").code, "23505");
    assert_eq!(refused(&mut client, "UPDATE t SET n = 1 / (n - 13)").code, "22012");
    assert_eq!(since(&mut client, &mut mark), [""; 0]);
    // The entries of one transaction have one number, and it is that of the rows.
    run(
        &mut client,
        "BEGIN; INSERT INTO t VALUES (30, 1); SAVEPOINT s; UPDATE t SET n = 2 WHERE id = 30; RELEASE s; COMMIT",
    );
    assert_eq!(texts(&mut client, "SELECT count(DISTINCT txid) FROM audit WHERE resource_id = '30'"), ["1"]);
    run(&mut client, "INSERT INTO t VALUES (31, 1)");
    let same = "SELECT txid = (xmin::text::bigint) FROM audit WHERE resource_id = '31'";
    assert_eq!(texts(&mut client, same), ["t"]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn prepared_transactions_commit_or_roll_back_with_their_events() {
    let db = tracked("prepared");
    let mut client = db.client();
    run(&mut client, "INSERT INTO t VALUES (1, 1)");
    run(&mut client, "BEGIN; UPDATE t SET n = 2; PREPARE TRANSACTION 'c1'");
    run(&mut client, "BEGIN; INSERT INTO t VALUES (2, 2); PREPARE TRANSACTION 'c2'");
    run(&mut client, "INSERT INTO t VALUES (3, 3)");
    assert_eq!(events(&mut client).len(), 2);
    run(&mut db.client(), "COMMIT PREPARED 'c1'");
    run(&mut db.client(), "ROLLBACK PREPARED 'c2'");
    let mut said = events(&mut client);
    said.sort();
    assert_eq!(
        said,
        [r#"t.insert 1 > {"n": 1, "id": 1}"#, r#"t.insert 3 > {"n": 3, "id": 3}"#, r#"t.update 1 {"n": 1} > {"n": 2}"#]
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn isolation_levels_keep_their_promises() {
    let db = tracked("isolation");
    let (mut one, mut two) = (db.client(), db.client());
    run(&mut one, "INSERT INTO t VALUES (1, 1), (2, 2)");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        // Events of another session since the snapshot are in nobody's way.
        run(&mut one, &format!("BEGIN ISOLATION LEVEL {level}; SELECT * FROM t"));
        run(&mut two, "UPDATE t SET n = n + 1 WHERE id = 2");
        run(&mut one, "UPDATE t SET n = n + 1 WHERE id = 1");
        run(&mut two, "UPDATE t SET n = n + 1 WHERE id = 2");
        run(&mut one, "COMMIT");
        // A row that another changed since is a serialization failure, and leaves no event.
        let before = events(&mut one).len();
        run(&mut one, &format!("BEGIN ISOLATION LEVEL {level}; SELECT * FROM t"));
        run(&mut two, "UPDATE t SET n = n + 1 WHERE id = 1");
        assert_eq!(refused(&mut one, "UPDATE t SET n = 0 WHERE id = 1").code, "40001");
        run(&mut one, "ROLLBACK");
        assert_eq!(events(&mut one).len(), before + 1);
    }
    // READ COMMITTED sees the row as the other left it, and so does the event.
    run(&mut one, "UPDATE t SET n = 100 WHERE id = 1; BEGIN; UPDATE t SET n = 101 WHERE id = 1");
    let waiting = std::thread::spawn(move || {
        run(&mut two, "UPDATE t SET n = n + 10 WHERE id = 1");
        two
    });
    while db.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") == "0" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    run(&mut one, "COMMIT");
    drop(waiting.join().unwrap());
    assert_eq!(events(&mut one).last().unwrap(), r#"t.update 1 {"n": 101} > {"n": 111}"#);
    assert_found(&mut one, "audit", &[]);
}

/// Many sessions, each row changed by all of them: the events of a row follow from one another.
#[test]
fn sessions_side_by_side_leave_one_history() {
    let db = tracked("side_by_side");
    run(&mut db.client(), "INSERT INTO t SELECT i, 0 FROM generate_series(1, 5) AS i");
    std::thread::scope(|scope| {
        for session in 0..6 {
            let db = &db;
            scope.spawn(move || {
                let mut client = db.client();
                for round in 0..60 {
                    let id = (session + round) % 5 + 1;
                    let end = if round % 7 == 0 { "ROLLBACK" } else { "COMMIT" };
                    let sql = format!("BEGIN; UPDATE t SET n = n + 1 WHERE id = {id}; {end}");
                    client.batch_execute(&sql).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
                }
            });
        }
    });
    let mut client = db.client();
    let broken = "SELECT count(*) FROM (SELECT old_value -> 'n' AS was, lag(new_value -> 'n') OVER (PARTITION BY resource_id ORDER BY occurred_at, id) AS before
                  FROM audit) AS s WHERE was <> before";
    assert_eq!(texts(&mut client, broken), ["0"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE action ~ 'update'"), ["306"]);
    assert_eq!(texts(&mut client, "SELECT sum(n) FROM t"), ["306"]);
    assert_found(&mut client, "audit", &[]);
}
