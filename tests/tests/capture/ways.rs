//! Every way to change rows, and what its events say.

use crate::{events, scene, since};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use std::io::Write;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, n int, s text); SELECT notary.track('t', 'audit')";

#[test]
fn insert_update_delete_and_truncate() {
    let db = scene("plain");
    let (mut client, mut mark) = (db.client(), 0);
    run(&mut client, TABLE);
    run(&mut client, "INSERT INTO t VALUES (1, 10, 'a'), (2, NULL, NULL)");
    assert_eq!(
        since(&mut client, &mut mark),
        [r#"t.insert 1 > {"n": 10, "s": "a", "id": 1}"#, r#"t.insert 2 > {"n": null, "s": null, "id": 2}"#]
    );
    run(
        &mut client,
        "UPDATE t SET n = 11 WHERE id = 1; UPDATE t SET s = 'b', n = NULL WHERE id = 1; UPDATE t SET s = 'b', n = NULL",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.update 1 {"n": 10} > {"n": 11}"#,
            r#"t.update 1 {"n": 11, "s": "a"} > {"n": null, "s": "b"}"#,
            r#"t.update 2 {"s": null} > {"s": "b"}"#,
        ]
    );
    // What changes nothing makes no event: the same values, no row, the same key.
    run(
        &mut client,
        "UPDATE t SET n = n, s = s || ''; UPDATE t SET id = id; UPDATE t SET n = 1 WHERE false; DELETE FROM t WHERE id = 9",
    );
    assert_eq!(since(&mut client, &mut mark), [""; 0]);
    run(
        &mut client,
        "UPDATE t SET id = 11 WHERE id = 1; UPDATE t SET id = 12 WHERE id = 2; DELETE FROM t WHERE id = 11",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.update 1 {"id": 1} > {"id": 11}"#,
            r#"t.update 2 {"id": 2} > {"id": 12}"#,
            r#"t.delete 11 {"n": null, "s": "b", "id": 11} >"#,
        ]
    );
    run(&mut client, "TRUNCATE t; INSERT INTO t VALUES (1)");
    assert_eq!(since(&mut client, &mut mark), ["t.truncate - >", r#"t.insert 1 > {"n": null, "s": null, "id": 1}"#]);
    let whole = "SELECT DISTINCT resource_type || result || pii || (old_value IS NULL AND new_value IS NULL) FROM audit WHERE action ~ 'truncate'";
    assert_eq!(texts(&mut client, whole), ["public.tsuccessfalsetrue"]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn copy_on_conflict_and_merge() {
    let db = scene("merge");
    let (mut client, mut mark) = (db.client(), 0);
    run(&mut client, TABLE);
    let mut copy = client.copy_in("COPY t FROM STDIN").unwrap();
    copy.write_all(b"1\t10\ta\n2\t\\N\t\\N\n").unwrap();
    copy.finish().unwrap();
    assert_eq!(
        since(&mut client, &mut mark),
        [r#"t.insert 1 > {"n": 10, "s": "a", "id": 1}"#, r#"t.insert 2 > {"n": null, "s": null, "id": 2}"#]
    );
    run(
        &mut client,
        "INSERT INTO t VALUES (1, 99, 'x'), (3, 3, 'c') ON CONFLICT DO NOTHING;
         INSERT INTO t VALUES (1, 12, 'x'), (4, 4, 'd') ON CONFLICT (id) DO UPDATE SET n = excluded.n;
         INSERT INTO t VALUES (1, 13, 'x') ON CONFLICT (id) DO UPDATE SET n = t.n;
         INSERT INTO t VALUES (1, 13, 'x') ON CONFLICT (id) DO UPDATE SET n = 0 WHERE t.n > 100",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.insert 3 > {"n": 3, "s": "c", "id": 3}"#,
            r#"t.update 1 {"n": 10} > {"n": 12}"#,
            r#"t.insert 4 > {"n": 4, "s": "d", "id": 4}"#,
        ]
    );
    run(
        &mut client,
        "MERGE INTO t USING (VALUES (1, 'up'), (2, 'away'), (7, 'new'), (3, 'same')) AS v (id, what) ON t.id = v.id
         WHEN MATCHED AND what = 'up' THEN UPDATE SET n = n + 1
         WHEN MATCHED AND what = 'away' THEN DELETE
         WHEN MATCHED THEN DO NOTHING
         WHEN NOT MATCHED THEN INSERT VALUES (v.id, 7, v.what)",
    );
    let mut merged = since(&mut client, &mut mark);
    merged.sort();
    assert_eq!(
        merged,
        [
            r#"t.delete 2 {"n": null, "s": null, "id": 2} >"#,
            r#"t.insert 7 > {"n": 7, "s": "new", "id": 7}"#,
            r#"t.update 1 {"n": 12} > {"n": 13}"#,
        ]
    );
    // With several at once, through a view, a cursor, a function.
    run(
        &mut client,
        "WITH gone AS (DELETE FROM t WHERE id = 7 RETURNING *), more AS (INSERT INTO t SELECT id + 1, n, s FROM gone) SELECT 1;
         CREATE VIEW v AS SELECT id, s FROM t; UPDATE v SET s = 'by view' WHERE id = 8;
         BEGIN; DECLARE c CURSOR FOR SELECT * FROM t WHERE id = 8 FOR UPDATE; FETCH c; UPDATE t SET s = 'by cursor' WHERE CURRENT OF c; COMMIT;
         DO $$BEGIN UPDATE t SET s = 'by DO' WHERE id = 8; END$$",
    );
    let mut rest = since(&mut client, &mut mark);
    rest[..2].sort();
    assert_eq!(
        rest,
        [
            r#"t.delete 7 {"n": 7, "s": "new", "id": 7} >"#,
            r#"t.insert 8 > {"n": 7, "s": "new", "id": 8}"#,
            r#"t.update 8 {"s": "new"} > {"s": "by view"}"#,
            r#"t.update 8 {"s": "by view"} > {"s": "by cursor"}"#,
            r#"t.update 8 {"s": "by cursor"} > {"s": "by DO"}"#,
        ]
    );
    // By logical replication's way: no trigger but those that always fire.
    run(
        &mut client,
        "SET session_replication_role = replica; UPDATE t SET s = 'as a replica' WHERE id = 8; DELETE FROM t WHERE id = 4; TRUNCATE t",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.update 8 {"s": "by DO"} > {"s": "as a replica"}"#,
            r#"t.delete 4 {"n": 4, "s": "d", "id": 4} >"#,
            "t.truncate - >",
        ]
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn cascades_of_foreign_keys() {
    let db = scene("cascades");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE n (id int PRIMARY KEY, p int REFERENCES p ON DELETE SET NULL);
         CREATE TABLE d (id int PRIMARY KEY, p int DEFAULT 1 REFERENCES p ON DELETE SET DEFAULT);
         CREATE TABLE x (id int PRIMARY KEY, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);
         SELECT notary.track(t::regclass, 'audit') FROM unnest('{p,c,n,d,x}'::text[]) AS t;
         INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (10, 2); INSERT INTO n VALUES (20, 2); INSERT INTO d VALUES (30, 2)",
    );
    since(&mut client, &mut mark);
    run(&mut client, "UPDATE p SET id = 3 WHERE id = 1; UPDATE p SET id = 1 WHERE id = 3");
    since(&mut client, &mut mark);
    run(&mut client, "DELETE FROM p WHERE id = 2");
    let said = since(&mut client, &mut mark);
    assert_eq!(said[0], r#"p.delete 2 {"id": 2} >"#, "the cause comes before its consequences");
    let mut said = said[1..].to_vec();
    said.sort();
    assert_eq!(
        said,
        [
            r#"c.delete 10 {"p": 2, "id": 10} >"#,
            r#"d.update 30 {"p": 2} > {"p": 1}"#,
            r#"n.update 20 {"p": 2} > {"p": null}"#,
        ]
    );
    run(&mut client, "INSERT INTO c VALUES (11, 1); DELETE FROM d");
    since(&mut client, &mut mark);
    run(&mut client, "UPDATE p SET id = 5");
    assert_eq!(
        since(&mut client, &mut mark),
        [r#"p.update 1 {"id": 1} > {"id": 5}"#, r#"c.update 11 {"p": 1} > {"p": 5}"#]
    );
    // A constraint that fails at the end takes its events with it.
    let failed = "BEGIN; INSERT INTO x VALUES (1, 99); INSERT INTO p VALUES (7); COMMIT";
    assert_eq!(refused(&mut client, failed).code, "23503");
    run(&mut client, "ROLLBACK");
    assert_eq!(since(&mut client, &mut mark), [""; 0]);
    run(&mut client, "BEGIN; INSERT INTO x VALUES (1, 99); INSERT INTO p VALUES (99); COMMIT");
    assert_eq!(since(&mut client, &mut mark).len(), 2);
    // TRUNCATE … CASCADE empties them all.
    run(&mut client, "TRUNCATE p CASCADE");
    let mut said = since(&mut client, &mut mark);
    said.sort();
    assert_eq!(said, ["c.truncate - >", "d.truncate - >", "n.truncate - >", "p.truncate - >", "x.truncate - >"]);
    // Of a row that refers to itself.
    run(
        &mut client,
        "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE); SELECT notary.track('tree', 'audit');
         INSERT INTO tree VALUES (1, 1), (2, 1), (3, 2); DELETE FROM tree WHERE id = 1",
    );
    let said = since(&mut client, &mut mark);
    assert_eq!(said.iter().filter(|event| event.contains("delete")).count(), 3, "{said:#?}");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn the_table_s_own_triggers() {
    let db = scene("own_triggers");
    let (mut client, mut mark) = (db.client(), 0);
    run(&mut client, TABLE);
    run(
        &mut client,
        "CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
             IF NEW.n < 0 THEN RETURN NULL; END IF;
             NEW.s := upper(NEW.s); RETURN NEW; END$$;
         CREATE TRIGGER b BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION before();
         CREATE FUNCTION after() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
             UPDATE t SET n = NEW.n * 2 WHERE id = NEW.id; RETURN NULL; END$$;
         CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW WHEN (NEW.s = 'DOUBLE') EXECUTE FUNCTION after();
         CREATE TRIGGER \"~z\" AFTER INSERT ON t FOR EACH ROW WHEN (NEW.s = 'LATE') EXECUTE FUNCTION after()",
    );
    run(&mut client, "INSERT INTO t VALUES (1, 5, 'low'), (2, -1, 'swallowed')");
    assert_eq!(since(&mut client, &mut mark), [r#"t.insert 1 > {"n": 5, "s": "LOW", "id": 1}"#]);
    // First what happened, then what came of it.
    for (id, word) in [(3, "double"), (4, "late")] {
        run(&mut client, &format!("INSERT INTO t VALUES ({id}, 5, '{word}')"));
        assert_eq!(
            since(&mut client, &mut mark),
            [
                format!(r#"t.insert {id} > {{"n": 5, "s": "{}", "id": {id}}}"#, word.to_uppercase()),
                format!(r#"t.update {id} {{"n": 5}} > {{"n": 10}}"#),
            ]
        );
    }
    // A trigger that makes an UPDATE one of nothing, and a rule that does something else.
    run(&mut client, "UPDATE t SET s = 'low' WHERE id = 1");
    assert_eq!(since(&mut client, &mut mark), [""; 0]);
    run(
        &mut client,
        "CREATE RULE r AS ON DELETE TO t DO INSTEAD UPDATE t SET n = 0 WHERE id = OLD.id; DELETE FROM t WHERE id = 1",
    );
    assert_eq!(since(&mut client, &mut mark), [r#"t.update 1 {"n": 5} > {"n": 0}"#]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn keys_of_every_kind() {
    let db = scene("keys");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE none (a int); CREATE TABLE two (b text, a int, c int, PRIMARY KEY (a, b));
         CREATE TABLE txt (k text PRIMARY KEY); CREATE TABLE only_unique (u int UNIQUE NOT NULL);
         CREATE TABLE hidden (k int PRIMARY KEY, v int); CREATE TABLE u (k uuid PRIMARY KEY); CREATE TABLE b (k bytea PRIMARY KEY);
         CREATE TABLE at (k timestamptz PRIMARY KEY); CREATE TABLE nu (k numeric PRIMARY KEY);
         SELECT notary.track(t::regclass, 'audit') FROM unnest('{none,two,txt,only_unique,u,b,at,nu}'::text[]) AS t;
         SELECT notary.track('hidden', 'audit', exclude => '{k}')",
    );
    run(
        &mut client,
        r#"INSERT INTO none VALUES (1); INSERT INTO two VALUES ('x"y', 1, 2); UPDATE two SET c = 3; UPDATE two SET a = 9;
           INSERT INTO txt VALUES ('plain'), ('"quoted"'), ('1'), (''), ('{"a": 1}'), ('ä');
           INSERT INTO only_unique VALUES (1); INSERT INTO hidden VALUES (1, 2); UPDATE hidden SET k = 5; DELETE FROM hidden;
           INSERT INTO u VALUES ('6F1C2B1E0A0B4C0D8E0F00112233AABB'); INSERT INTO b VALUES ('\x00ff');
           SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; INSERT INTO at VALUES ('2026-11-20 16:07:00Z');
           INSERT INTO nu VALUES (1.50)"#,
    );
    let ids: Vec<_> = texts(
        &mut client,
        "SELECT replace(action, 'public.', '') || ' ' || coalesce(resource_id, '-') FROM audit ORDER BY id",
    );
    assert_eq!(
        ids,
        [
            "none.insert -",
            r#"two.insert [1, "x\"y"]"#,
            r#"two.update [1, "x\"y"]"#,
            r#"two.update [1, "x\"y"]"#,
            "txt.insert plain",
            "txt.insert \"quoted\"",
            "txt.insert 1",
            "txt.insert ",
            r#"txt.insert {"a": 1}"#,
            "txt.insert ä",
            "only_unique.insert -",
            "hidden.insert -",
            "hidden.delete -",
            "u.insert 6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb",
            r"b.insert \x00ff",
            "at.insert 2026-11-20T16:07:00.000000Z",
            "nu.insert 1.50",
        ]
    );
    mark += ids.len();
    // What is excluded appears nowhere.
    assert_eq!(
        texts(
            &mut client,
            "SELECT count(*) FROM audit WHERE action ~ 'hidden' AND (old_value ? 'k' OR new_value ? 'k')"
        ),
        ["0"]
    );
    run(&mut client, "UPDATE none SET a = 2; DELETE FROM none");
    assert_eq!(since(&mut client, &mut mark), [r#"none.update - {"a": 1} > {"a": 2}"#, r#"none.delete - {"a": 2} >"#]);
    // A key that comes, goes, or is another.
    run(&mut client, "INSERT INTO none VALUES (3); ALTER TABLE none ADD PRIMARY KEY (a); UPDATE none SET a = 4");
    assert_eq!(since(&mut client, &mut mark)[1], r#"none.update 3 {"a": 3} > {"a": 4}"#);
    run(&mut client, "ALTER TABLE none DROP CONSTRAINT none_pkey; UPDATE none SET a = 5");
    assert_eq!(since(&mut client, &mut mark), [r#"none.update - {"a": 4} > {"a": 5}"#]);
}

#[test]
fn full_rows_and_excluded_columns() {
    let db = scene("full");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE f (id int PRIMARY KEY, a int, b text, pw text);
         SELECT notary.track('f', 'audit', exclude => '{pw}', full_rows => true); INSERT INTO f VALUES (1, 2, 'x', 'hunter2')",
    );
    run(
        &mut client,
        "UPDATE f SET a = 3; UPDATE f SET pw = 'other'; UPDATE f SET a = 3; UPDATE f SET b = NULL, pw = 'third'; DELETE FROM f",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"f.insert 1 > {"a": 2, "b": "x", "id": 1}"#,
            r#"f.update 1 {"a": 2, "b": "x", "id": 1} > {"a": 3, "b": "x", "id": 1}"#,
            r#"f.update 1 {"a": 3, "b": "x", "id": 1} > {"a": 3, "b": null, "id": 1}"#,
            r#"f.delete 1 {"a": 3, "b": null, "id": 1} >"#,
        ]
    );
    assert_eq!(events(&mut client).len(), 4);
}

#[test]
fn a_deferrable_key_names_the_row() {
    let db = scene("deferrable");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE t (id int, n int, PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED); SELECT notary.track('t', 'audit');
         INSERT INTO t VALUES (1, 1), (2, 2); UPDATE t SET id = 3 - id",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.insert 1 > {"n": 1, "id": 1}"#,
            r#"t.insert 2 > {"n": 2, "id": 2}"#,
            r#"t.update 1 {"id": 1} > {"id": 2}"#,
            r#"t.update 2 {"id": 2} > {"id": 1}"#,
        ]
    );
}

/// What makes the way into a log the long one, by the executor: see src/capture/event.rs.
const LONG_WAYS: [&str; 6] = [
    "CREATE TRIGGER a BEFORE INSERT ON long FOR EACH ROW EXECUTE FUNCTION nothing()",
    "CREATE TRIGGER z AFTER INSERT ON long FOR EACH ROW EXECUTE FUNCTION nothing()",
    "ALTER TABLE long ADD CHECK (action <> '') NOT VALID",
    "CREATE INDEX ON long (lower(action))",
    "CREATE INDEX ON long (db_user) WHERE txid > 0",
    "ALTER TABLE long ADD COLUMN region text; ALTER TABLE long ALTER COLUMN region SET DEFAULT 'eu'",
];

const WORK: &str = "INSERT INTO t SELECT i, 'Word' || i, 'x' || i FROM generate_series(1, 20) AS i;
    SAVEPOINT a; UPDATE t SET s = 'lost'; ROLLBACK TO a; UPDATE t SET s = E'two\\nlines ÄÖ' WHERE id < 5; DELETE FROM t WHERE id > 18; TRUNCATE t";

#[test]
fn the_short_way_and_the_long_one_leave_the_same() {
    for way in LONG_WAYS {
        let db = scene("short_and_long");
        let mut client = db.client();
        run(
            &mut client,
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
             SELECT notary.create_log('short'); SELECT notary.create_log('long')",
        );
        run(&mut client, way);
        for log in ["short", "long"] {
            run(
                &mut client,
                &format!(
                    "CREATE TABLE t (id int PRIMARY KEY, s text, email text); SELECT notary.track('t', '{log}', pii => '{{email}}');
                     BEGIN; SELECT notary.set_context(actor => 'ann', ip => '192.0.2.1'); {WORK}; COMMIT;
                     SELECT notary.untrack('t', 'done'); DROP TABLE t"
                ),
            );
        }
        let columns = "action, actor, actor_type, actor_role, resource_type, resource_id, resource_name, result, ip, user_agent,
            session_id, request_id, trace_id, pii, pii_fields, old_value, new_value, details, tags, db_user, db_session_user,
            application_name, client_addr, backend_pid, notary_chain, notary_seq";
        let differ = format!(
            "(SELECT {columns} FROM short EXCEPT ALL SELECT {columns} FROM long) UNION ALL (SELECT {columns} FROM long EXCEPT ALL SELECT {columns} FROM short)"
        );
        assert_eq!(texts(&mut client, &format!("SELECT count(*) FROM ({differ}) AS d")), ["0"], "{way}");
        assert_eq!(texts(&mut client, "SELECT count(*) FROM short"), ["27"], "{way}");
        if way.contains("region") {
            assert_eq!(texts(&mut client, "SELECT DISTINCT region FROM long"), ["eu"], "defaults are filled in");
        }
        // What the indexes say is what is there.
        run(&mut client, "CREATE EXTENSION IF NOT EXISTS amcheck; SET enable_seqscan = off");
        for log in ["short", "long"] {
            let check = format!(
                "SELECT count(bt_index_check(i.indexrelid, true)) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                 JOIN pg_am AS m ON m.oid = c.relam AND amname = 'btree' WHERE indrelid = '{log}'::regclass"
            );
            run(&mut client, &check);
            for (word, count) in
                [("word7", "1"), ("lines", "4"), ("äö", "4"), ("truncate", "1"), ("nlines", "0"), ("ann", "27")]
            {
                let found = format!("SELECT count(*) FROM notary.search('{log}', text => '{word}', page_size => 1000)");
                assert_eq!(texts(&mut client, &found), [count], "{log} {word}");
            }
        }
        assert_found(&mut client, "short", &[]);
        assert_found(&mut client, "long", &[]);
    }
}
