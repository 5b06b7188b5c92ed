//! Every way in chains rightly.

use super::{assert_log, assert_sound, chain_count, log, refused, run, texts};
use notary_tests::fresh_db;
use std::io::Write;

#[test]
fn single_rows_many_rows_selects_and_returning() {
    let (_db, mut client) = log("ways_plain");
    run(&mut client, "INSERT INTO t VALUES (1, 'one')");
    run(&mut client, "INSERT INTO t (b, a) VALUES ('two', 2), (NULL, 3)");
    run(&mut client, "INSERT INTO t SELECT i, 'many' FROM generate_series(4, 8) AS i");
    run(&mut client, "INSERT INTO t (a) SELECT 9 UNION SELECT 10");
    let row = client
        .query_one(
            "INSERT INTO t VALUES (11, 'back') RETURNING a, notary_chain, notary_seq, notary_hash, notary_time",
            &[],
        )
        .unwrap();
    let stored = client
        .query_one("SELECT a, notary_chain, notary_seq, notary_hash, notary_time FROM t WHERE a = 11", &[])
        .unwrap();
    assert_eq!((row.get::<_, i32>(1), row.get::<_, i64>(2)), (stored.get(1), stored.get(2)));
    assert_eq!(row.get::<_, Vec<u8>>(3), stored.get::<_, Vec<u8>>(3));
    assert_eq!(row.get::<_, std::time::SystemTime>(4), stored.get::<_, std::time::SystemTime>(4));
    run(&mut client, "WITH new AS (INSERT INTO t VALUES (12), (13) RETURNING a) INSERT INTO t SELECT a + 10 FROM new");
    assert_eq!(texts(&mut client, "INSERT INTO t VALUES (14) RETURNING a"), ["14"]);
    assert_log(&mut client, &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "22", "23"]);
    assert!(chain_count(&mut client) <= 2, "one for each of the two statements that ran at once");
}

#[test]
fn copy_with_a_column_list_in_text_csv_and_binary() {
    let (_db, mut client) = log("ways_copy");
    let mut copy = |sql: &str, data: &[u8]| {
        let mut writer = client.copy_in(sql).unwrap();
        writer.write_all(data).unwrap();
        writer.finish()
    };
    let text: String = (1..=1000).map(|i| format!("{i}\tline {i}\n")).collect();
    assert_eq!(copy("COPY t (a, b) FROM STDIN", text.as_bytes()).unwrap(), 1000);
    assert_eq!(copy("COPY t (b, a) FROM STDIN (FORMAT csv)", b"\"a \"\"quote\"\"\",1001\n,1002\n").unwrap(), 2);
    assert_eq!(copy("COPY t (a, b) FROM STDIN WHERE a > 1003", b"1003\tx\n1004\ty\n").unwrap(), 1);
    // Half-way in, a bad row: nothing of it stays.
    let failed = copy("COPY t (a, b) FROM STDIN", b"2000\tx\n2001\ty\nnot a number\tz\n");
    assert_eq!(notary_tests::err(failed).code, "22P02");
    let failed = copy("COPY t (a, b) FROM STDIN", b"2000\tx\n1\tagain\n");
    assert_eq!(notary_tests::err(failed).code, "23505");
    assert_sound(&mut client, "t", 1003);
    assert_eq!(chain_count(&mut client), 1);
    let mut out = Vec::new();
    std::io::Read::read_to_end(
        &mut client.copy_out("COPY (SELECT 3000, 'binary'::text) TO STDOUT (FORMAT binary)").unwrap(),
        &mut out,
    )
    .unwrap();
    let mut writer = client.copy_in("COPY t (a, b) FROM STDIN (FORMAT binary)").unwrap();
    writer.write_all(&out).unwrap();
    writer.finish().unwrap();
    assert_sound(&mut client, "t", 1004);
}

#[test]
fn copy_from_a_server_side_file_and_freeze() {
    let (db, mut client) = log("ways_copy_file");
    let path = db.cluster().scratch_dir().join(format!("{}.txt", db.name()));
    std::fs::write(&path, "1\tone\n2\ttwo\n").unwrap();
    run(&mut client, &format!("COPY t (a, b) FROM '{}'", path.display()));
    assert_log(&mut client, &["1", "2"]);
    // FREEZE wants a table made in the same transaction, so that nobody could see its rows too early.
    run(
        &mut client,
        &format!(
            "BEGIN; CREATE TABLE f (a int, b text); SELECT notary.protect('f'); COPY f (a, b) FROM '{}' (FREEZE); COMMIT",
            path.display()
        ),
    );
    assert_sound(&mut client, "f", 2);
}

#[test]
fn prepared_statements_also_after_the_table_changed() {
    let (_db, mut client) = log("ways_prepared");
    run(&mut client, "PREPARE p (int, text) AS INSERT INTO t (a, b) VALUES ($1, $2)");
    for i in 1..=10 {
        run(&mut client, &format!("EXECUTE p({i}, 'x')"));
    }
    let statement = client.prepare("INSERT INTO t (a, b) VALUES ($1, $2) RETURNING notary_seq").unwrap();
    for i in 11..=20 {
        client.query_one(&statement, &[&i, &"y"]).unwrap();
    }
    run(&mut client, "ALTER TABLE t ADD COLUMN c int");
    run(&mut client, "EXECUTE p(21, 'x')");
    client.query_one(&statement, &[&22, &"y"]).unwrap();
    run(&mut client, "INSERT INTO t (a, c) VALUES (23, 1)");
    run(&mut client, "SELECT notary.unprotect('t', 'a test'); SELECT notary.protect('t')");
    run(&mut client, "EXECUTE p(24, 'x')");
    client.query_one(&statement, &[&25, &"y"]).unwrap();
    assert_sound(&mut client, "t", 25);
}

#[test]
fn functions_do_blocks_procedures_and_triggers_of_other_tables() {
    let (_db, mut client) = log("ways_functions");
    run(
        &mut client,
        "CREATE FUNCTION sql_in(int) RETURNS int LANGUAGE sql AS 'INSERT INTO t (a) VALUES ($1) RETURNING a';
         CREATE FUNCTION pl_in(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO t (a) VALUES ($1); RETURN $1; END';
         CREATE FUNCTION definer_in(int) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO t (a) VALUES ($1)';
         CREATE PROCEDURE commits() LANGUAGE plpgsql AS
             'BEGIN FOR i IN 31..33 LOOP INSERT INTO t (a) VALUES (i); COMMIT; INSERT INTO t (a) VALUES (i + 100); ROLLBACK; END LOOP; END';
         CREATE TABLE other (a int); CREATE FUNCTION on_other() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO t (a) VALUES (NEW.a + CASE TG_WHEN WHEN ''BEFORE'' THEN 1000 ELSE 2000 END); RETURN NEW; END';
         CREATE TRIGGER b BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION on_other();
         CREATE TRIGGER a AFTER INSERT OR UPDATE ON other FOR EACH ROW EXECUTE FUNCTION on_other();
         CREATE CONSTRAINT TRIGGER d AFTER DELETE ON other DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION on_other()",
    );
    run(&mut client, "SELECT sql_in(1), pl_in(2), definer_in(3)");
    run(&mut client, "SELECT pl_in(i), sql_in(i + 10) FROM generate_series(4, 6) AS i");
    run(
        &mut client,
        "DO $$ BEGIN FOR i IN 20..22 LOOP EXECUTE format('INSERT INTO t (a) VALUES (%s)', i); END LOOP; END $$",
    );
    run(&mut client, "CALL commits()");
    run(&mut client, "INSERT INTO other VALUES (1), (2)");
    run(&mut client, "UPDATE other SET a = a + 10");
    assert_log(
        &mut client,
        &[
            "1", "2", "3", "4", "5", "6", "14", "15", "16", "20", "21", "22", "31", "32", "33", "1001", "1002", "2001",
            "2002", "2011", "2012",
        ],
    );
}

#[test]
fn updatable_views_and_views_with_instead_of_triggers() {
    let (_db, mut client) = log("ways_views");
    run(
        &mut client,
        "CREATE VIEW v AS SELECT a, b FROM t WHERE a < 100 WITH CHECK OPTION; CREATE VIEW w AS SELECT b, a AS id FROM v;
         CREATE VIEW i AS SELECT a FROM t; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO t (a) VALUES (NEW.a * 10); RETURN NEW; END';
         CREATE TRIGGER f INSTEAD OF INSERT ON i FOR EACH ROW EXECUTE FUNCTION f()",
    );
    run(&mut client, "INSERT INTO v VALUES (1, 'x'); INSERT INTO w (id) VALUES (2); INSERT INTO i VALUES (3)");
    assert_eq!(refused(&mut client, "INSERT INTO v VALUES (100, 'x')").code, "44000");
    assert_eq!(refused(&mut client, "INSERT INTO w (id) VALUES (100)").code, "44000");
    run(&mut client, "INSERT INTO v VALUES (4, 'y')");
    assert_log(&mut client, &["1", "2", "4", "30"]);
}

#[test]
fn the_insert_arm_of_merge() {
    let (_db, mut client) = log("ways_merge");
    run(&mut client, "INSERT INTO t VALUES (1, 'old')");
    let merge = "MERGE INTO t USING (SELECT i AS a, 'new' AS b FROM generate_series(1, 5) AS i) AS s ON t.a = s.a
                 WHEN NOT MATCHED AND s.a <> 3 THEN INSERT (a, b) VALUES (s.a, s.b)";
    run(&mut client, &format!("{merge} WHEN MATCHED THEN DO NOTHING"));
    run(&mut client, merge);
    assert_log(&mut client, &["1", "2", "4", "5"]);
    let refusal = refused(&mut client, &format!("{merge} WHEN MATCHED THEN UPDATE SET b = 'forged'"));
    assert_eq!(refusal.code, "55000");
    assert_eq!(refused(&mut client, &format!("{merge} WHEN MATCHED THEN DELETE")).code, "55000");
    assert_log(&mut client, &["1", "2", "4", "5"]);
}

#[test]
fn on_conflict_do_nothing_with_and_without_conflict_and_target() {
    let (_db, mut client) = log("ways_conflict");
    for target in ["", "(a)", "ON CONSTRAINT t_pkey"] {
        for _ in 0..3 {
            run(
                &mut client,
                &format!(
                    "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) AS i ON CONFLICT {target} DO NOTHING"
                ),
            );
        }
        run(&mut client, &format!("INSERT INTO t VALUES (1), (11), (2), (12), (11) ON CONFLICT {target} DO NOTHING"));
        assert_sound(&mut client, "t", 12);
    }
    assert_eq!(texts(&mut client, "INSERT INTO t VALUES (1), (13) ON CONFLICT DO NOTHING RETURNING a"), ["13"]);
    assert_eq!(chain_count(&mut client), 1, "a conflict costs no chain");
    let refusal = refused(&mut client, "INSERT INTO t VALUES (1, 'new') ON CONFLICT (a) DO UPDATE SET b = excluded.b");
    assert_eq!(refusal.code, "55000");
    assert!(refusal.hint.contains("notary.unprotect"), "{refusal}");
    assert_sound(&mut client, "t", 13);
}

#[test]
fn ten_thousand_conflicts_in_a_transaction_need_no_more_chains() {
    let (_db, mut client) = log("ways_conflicts");
    run(&mut client, "INSERT INTO t VALUES (0)");
    run(
        &mut client,
        "DO $$ BEGIN FOR i IN 1..10000 LOOP
             INSERT INTO t VALUES (0) ON CONFLICT DO NOTHING;
             IF i % 1000 = 0 THEN INSERT INTO t VALUES (i); END IF;
         END LOOP; END $$",
    );
    run(&mut client, "INSERT INTO t SELECT i % 2 FROM generate_series(1, 10000) AS i ON CONFLICT DO NOTHING");
    assert_sound(&mut client, "t", 12);
    assert_eq!(chain_count(&mut client), 1);
}

#[test]
fn checks_domains_policies_and_indexes_that_insert_into_the_same_log() {
    let db = fresh_db("ways_nested");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int, b int);
         CREATE FUNCTION again(a int, by int) RETURNS boolean LANGUAGE plpgsql AS
             'BEGIN IF a < 100 THEN INSERT INTO t (a) VALUES (a + by); END IF; RETURN true; END';
         CREATE FUNCTION indexed(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
             'BEGIN IF a < 100 THEN PERFORM again(a, 300); END IF; RETURN a; END';
         ALTER TABLE t ADD CHECK (again(a, 100)); CREATE INDEX ON t (indexed(a));
         SELECT notary.protect('t')",
    );
    // Each round in one transaction: chains are used again and do not become more.
    for round in 0..50 {
        run(
            &mut client,
            &format!("INSERT INTO t (a) VALUES ({round}); INSERT INTO t (a) SELECT {round} FROM generate_series(1, 3)"),
        );
    }
    assert_sound(&mut client, "t", 50 * 4 * 3);
    let chains = chain_count(&mut client);
    assert!(chains <= 3, "{chains} chains for one session");
}

#[test]
fn savepoints_and_exception_blocks() {
    let (_db, mut client) = log("ways_savepoints");
    run(&mut client, "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s");
    run(&mut client, "INSERT INTO t VALUES (3); SAVEPOINT r; INSERT INTO t VALUES (4); RELEASE r; COMMIT");
    run(
        &mut client,
        "DO $$ BEGIN
             FOR i IN 5..30 LOOP
                 BEGIN
                     INSERT INTO t VALUES (i);
                     IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
                     BEGIN INSERT INTO t VALUES (i); EXCEPTION WHEN unique_violation THEN NULL; END;
                 EXCEPTION WHEN raise_exception THEN NULL;
                 END;
             END LOOP;
         END $$",
    );
    let expected: Vec<_> =
        [1, 3, 4].into_iter().chain((5..=30).filter(|i| i % 3 != 0)).map(|i: i32| i.to_string()).collect();
    assert_log(&mut client, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(chain_count(&mut client), 1);
}

#[test]
fn every_isolation_level_also_with_an_old_snapshot() {
    let (db, mut client) = log("ways_isolation");
    let mut other = db.client();
    let mut next = 0;
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut client, &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM t"));
        // These come after the snapshot and in front of what is inserted under it.
        for _ in 0..3 {
            next += 1;
            run(&mut other, &format!("INSERT INTO t VALUES ({next})"));
        }
        next += 2;
        run(&mut client, &format!("INSERT INTO t VALUES ({}); INSERT INTO t VALUES ({next})", next - 1));
        run(&mut client, "COMMIT");
        assert_sound(&mut client, "t", i64::from(next));
    }
}

#[test]
fn serializable_writers_do_not_make_one_another_fail() {
    let (db, mut client) = log("ways_serializable");
    let mut other = db.client();
    // Both read and write the log's index; only what they read themselves may conflict, and they read nothing.
    run(&mut client, "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO t VALUES (1)");
    run(&mut other, "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO t VALUES (2)");
    run(&mut client, "INSERT INTO t VALUES (3)");
    run(&mut other, "INSERT INTO t VALUES (4); COMMIT");
    run(&mut client, "COMMIT");
    assert_log(&mut client, &["1", "2", "3", "4"]);
}

#[test]
fn two_phase_commit_keeps_the_chain_across_a_restart() {
    let mut cluster = notary_tests::Cluster::start();
    let name = cluster.fresh_db("two_phase").name().to_owned();
    let mut client = cluster.client(&name);
    run(&mut client, "CREATE TABLE t (a int PRIMARY KEY); SELECT notary.protect('t')");
    run(&mut client, "BEGIN; INSERT INTO t VALUES (1), (2); PREPARE TRANSACTION 'kept'");
    run(&mut client, "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'lost'");
    run(&mut client, "INSERT INTO t VALUES (4)");
    drop(client);
    cluster.restart(notary_tests::Shutdown::Immediate);
    let mut client = cluster.client(&name);
    run(&mut client, "INSERT INTO t VALUES (5)");
    run(&mut client, "COMMIT PREPARED 'kept'");
    run(&mut client, "ROLLBACK PREPARED 'lost'");
    run(&mut client, "INSERT INTO t VALUES (6)");
    assert_log(&mut client, &["1", "2", "4", "5", "6"]);
    let prepared = texts(&mut client, "SELECT notary_chain || '/' || notary_seq FROM t WHERE a <= 2 ORDER BY a");
    assert_eq!(prepared, ["1/1", "1/2"]);
}

#[test]
fn row_level_security_and_column_privileges() {
    let (db, mut client) = log("ways_rls");
    let writer = db.role("writer");
    run(
        &mut client,
        &format!(
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY w ON t FOR INSERT WITH CHECK (a > 0);
             GRANT INSERT (a, b) ON t TO \"{writer}\""
        ),
    );
    let mut writers = db.client_as(&writer);
    run(&mut writers, "INSERT INTO t (a) VALUES (1), (2)");
    assert_eq!(refused(&mut writers, "INSERT INTO t (a) VALUES (3), (-1)").code, "42501");
    run(&mut writers, "INSERT INTO t (a) VALUES (4)");
    assert_log(&mut client, &["1", "2", "4"]);
}
