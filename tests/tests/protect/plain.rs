//! A plain table becomes a log and stops being one.

use super::{assert_intact, assert_untouched, refused, run, texts};
use notary_core::line::{self, Line};
use notary_tests::fresh_db;

#[test]
fn an_empty_table_becomes_a_log() {
    let db = fresh_db("plain_empty");
    let (mut client, notices) = db.client_with_notices("postgres");
    run(&mut client, "CREATE TABLE t (a int)");
    let uuid: uuid::Uuid = client.query_one("SELECT notary.protect('t')", &[]).unwrap().get(0);
    assert_eq!(notices.take(), ["NOTICE: public.t is now append-only: UPDATE, DELETE and TRUNCATE are refused"]);
    assert_eq!(uuid.get_version_num(), 4);
    run(&mut client, "INSERT INTO t VALUES (1), (2)");
    assert_intact(&mut client, "t", 2);
    let logs = client.query_one("SELECT log::text, uuid, segments, chains, entries, max_chains, guard FROM notary.logs WHERE log = 't'::regclass", &[]).unwrap();
    assert_eq!((logs.get::<_, &str>(0), logs.get::<_, uuid::Uuid>(1)), ("t", uuid));
    assert_eq!((logs.get(2), logs.get(3), logs.get(4)), (1, 1, 2_i64));
    assert_eq!((logs.get::<_, Option<i32>>(5), logs.get::<_, &str>(6)), (None, "complete"));
}

#[test]
fn protection_adds_five_nullable_columns_a_constraint_and_three_triggers_that_always_fire_last() {
    let db = fresh_db("plain_shape");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int); SELECT notary.protect('t')");
    let columns = "SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, atthasdef)
                   FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum";
    assert_eq!(
        texts(&mut client, columns),
        [
            "notary_chain integer f f",
            "notary_seq bigint f f",
            "notary_time timestamp with time zone f f",
            "notary_prev bytea f f",
            "notary_hash bytea f f"
        ]
    );
    let constraint = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass";
    assert_eq!(texts(&mut client, constraint), ["UNIQUE (notary_chain, notary_seq)"]);
    let triggers = "SELECT concat_ws(' ', tgname, tgenabled, tgtype, tgfoid::regproc)
                    FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY tgname COLLATE \"C\"";
    // 7: before insert row; 27: before delete or update row; 58: before delete, update or truncate statement.
    assert_eq!(
        texts(&mut client, triggers),
        ["~notary_append A 7 notary.append", "~notary_block A 58 notary.refuse", "~notary_keep A 27 notary.refuse"]
    );
}

#[test]
fn the_header_line_says_what_was_protected_when_and_by_whom() {
    let db = fresh_db("plain_header");
    let role = db.role("ann");
    let mut client = db.client_as(&role);
    run(
        &mut client,
        "CREATE TYPE mood AS ENUM ('sad');
         CREATE TABLE \"The Log\" (b varchar(3), a numeric(5, 2)[], c mood, g int GENERATED ALWAYS AS (1) STORED, d timestamptz(3));
         INSERT INTO \"The Log\" (b) VALUES ('x'), ('y'), ('z')",
    );
    let uuid: uuid::Uuid = client.query_one("SELECT notary.protect('\"The Log\"', 3)", &[]).unwrap().get(0);
    let headers = texts(&mut client, "SELECT notary.header('\"The Log\"')");
    let time = &headers[0][headers[0].find("\"time\":\"").unwrap() + 8..][..27];
    assert_eq!(
        headers,
        [format!(
            "{{\"v\":1,\"log\":\"{uuid}\",\"segment\":1,\"chain\":0,\"seq\":0,\"time\":\"{time}\",\"by\":\"{role}\",\
             \"schema\":\"public\",\"table\":\"The Log\",\"first_chain\":1,\"adopted\":3,\"columns\":\
             {{\"a\":\"numeric(5,2)[]\",\"b\":\"character varying(3)\",\"c\":\"public.mood\",\
             \"d\":\"timestamp(3) with time zone\"}},\"redactable\":[]}}"
        )]
    );
    assert!(matches!(line::read(headers[0].as_bytes()), Ok(Line::Header(_))));
    // Every chain begins at it.
    let first = "SELECT encode(notary_prev, 'hex') FROM \"The Log\" WHERE notary_seq = 1";
    let hash = "SELECT encode(sha256(convert_to(notary.header('\"The Log\"'), 'UTF8')), 'hex')";
    assert_eq!(texts(&mut client, first), texts(&mut client, hash));
}

#[test]
fn unprotect_takes_the_guards_away_and_keeps_columns_and_values() {
    let db = fresh_db("plain_unprotect");
    let (mut client, notices) = db.client_with_notices("postgres");
    run(&mut client, "CREATE TABLE t (a int); SELECT notary.protect('t'); INSERT INTO t VALUES (1), (2)");
    let values = "SELECT row(t.*)::text FROM t ORDER BY a";
    let before = texts(&mut client, values);
    notices.take();
    run(&mut client, "SELECT notary.unprotect('t', 'ticket 4711')");
    assert_eq!(notices.take(), ["NOTICE: public.t is no longer protected; its notary_* columns and their values stay"]);
    assert_eq!(texts(&mut client, values), before);
    assert_eq!(texts(&mut client, "SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass"), Vec::<String>::new());
    run(
        &mut client,
        "UPDATE t SET a = 3 WHERE a = 1; DELETE FROM t WHERE a = 2; INSERT INTO t (a, notary_seq) VALUES (4, 4);
         ALTER TABLE t DROP COLUMN notary_hash, ALTER a TYPE text; TRUNCATE t; DROP TABLE t",
    );
}

#[test]
fn protect_and_unprotect_that_are_rolled_back_leave_nothing() {
    let db = fresh_db("plain_rollback");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    let file = texts(&mut client, "SELECT pg_relation_filenode('t')");
    run(&mut client, "BEGIN; SELECT notary.protect('t'); INSERT INTO t VALUES (2); ROLLBACK");
    assert_untouched(&mut client, "t");
    assert_eq!(texts(&mut client, "SELECT pg_relation_filenode('t')"), file);
    assert_eq!(texts(&mut client, "SELECT to_regclass('notary.journal')"), ["NULL"]);
    run(&mut client, "INSERT INTO t VALUES (3); UPDATE t SET a = 4 WHERE a = 3");
    run(
        &mut client,
        "BEGIN; SAVEPOINT s; SELECT notary.protect('t'); INSERT INTO t VALUES (2); ROLLBACK TO s; INSERT INTO t VALUES (5); COMMIT",
    );
    assert_untouched(&mut client, "t");
    assert_eq!(texts(&mut client, "SELECT a FROM t ORDER BY a"), ["1", "4", "5"]);
    run(&mut client, "SELECT notary.protect('t')");
    run(&mut client, "BEGIN; SELECT notary.unprotect('t', 'why'); DELETE FROM t; ROLLBACK");
    assert_eq!(refused(&mut client, "DELETE FROM t").code, "55000");
    assert_intact(&mut client, "t", 3);
    assert_eq!(texts(&mut client, "SELECT action FROM notary.journal WHERE relation = 'public.t'"), ["protect"]);
}

#[test]
fn protect_works_in_the_transaction_that_made_and_filled_the_table() {
    let db = fresh_db("plain_same_transaction");
    let mut client = db.client();
    run(
        &mut client,
        "BEGIN; CREATE TABLE t (a int, note text);
         INSERT INTO t SELECT i, 'first' FROM generate_series(1, 10) AS i; UPDATE t SET note = 'second' WHERE a > 5;
         DELETE FROM t WHERE a = 7; SAVEPOINT s; INSERT INTO t VALUES (99); ROLLBACK TO s; INSERT INTO t VALUES (11);
         SELECT notary.protect('t'); INSERT INTO t VALUES (12); COMMIT;
         INSERT INTO t VALUES (13)",
    );
    assert_intact(&mut client, "t", 12);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM t WHERE note = 'second'"), ["4"]);
}

#[test]
fn an_open_cursor_or_pending_trigger_events_stand_in_the_way() {
    let db = fresh_db("plain_cursor");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int, b int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO t VALUES (1, 1)");
    run(&mut client, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH c");
    assert_eq!(refused(&mut client, "SELECT notary.protect('t')").code, "55006");
    run(&mut client, "ROLLBACK; BEGIN; INSERT INTO t VALUES (2, 1)");
    assert_eq!(refused(&mut client, "SELECT notary.protect('t')").code, "55006");
    run(&mut client, "ROLLBACK");
    assert_untouched(&mut client, "t");
    run(&mut client, "SELECT notary.protect('t')");
    run(&mut client, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH c");
    assert_eq!(refused(&mut client, "SELECT notary.unprotect('t', 'why')").code, "55006");
    run(&mut client, "ROLLBACK");
    assert_intact(&mut client, "t", 1);
}

#[test]
fn protect_warns_when_the_table_is_updated_or_deleted_from() {
    let db = fresh_db("plain_busy");
    let (mut client, notices) = db.client_with_notices("postgres");
    run(
        &mut client,
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); UPDATE t SET a = 3; DELETE FROM t WHERE a = 9",
    );
    run(&mut client, "SELECT pg_stat_force_next_flush()");
    // Counted once the session has reported, which it does at the end of that statement.
    while db.value("SELECT pg_stat_get_tuples_updated('t'::regclass)") != "2" {
        std::thread::yield_now();
    }
    notices.take();
    run(&mut client, "SELECT notary.protect('t')");
    let said = notices.take();
    assert!(said[0].ends_with("are refused; 2 rows that were there are its first entries"), "{said:?}");
    assert!(
        said[1].starts_with("WARNING: rows of public.t have been updated or deleted: 2 by its statistics"),
        "{said:?}"
    );
    assert!(said[1].contains("\nHINT: Such statements are refused from now on."), "{said:?}");
    // A log that was changed while it was not one is told of it by its notices.
    run(&mut client, "SELECT notary.unprotect('t', 'why'); INSERT INTO t VALUES (4)");
    notices.take();
    run(&mut client, "SELECT notary.protect('t')");
    let said = notices.take();
    assert!(said[0].ends_with("are refused; 1 row that was there is its next entry"), "{said:?}");
    assert_eq!(said.len(), 1, "{said:?}");
}
