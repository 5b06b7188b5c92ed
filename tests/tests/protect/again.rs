//! Protected again: the same log goes on in a new segment.

use super::{assert_intact, refused, run, texts};
use notary_tests::fresh_db;
use notary_tests::verdict::{notices, short};
use postgres::Client;

/// Each chain with the values of `a` in it, in order.
fn chains(client: &mut Client, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT notary_chain || ': ' || string_agg(a::text, ' ' ORDER BY notary_seq) FROM {table}
         GROUP BY notary_chain ORDER BY notary_chain"
    );
    texts(client, &sql)
}

fn uuids(client: &mut Client) -> Vec<String> {
    texts(client, "SELECT DISTINCT log FROM notary.journal WHERE relation NOT LIKE 'notary.%'")
}

#[test]
fn several_rounds_keep_the_uuid_and_number_segments_and_chains_on() {
    let db = fresh_db("again_rounds");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1); SELECT notary.protect('t'); INSERT INTO t VALUES (2)",
    );
    for round in 2..=5 {
        let statements = [
            format!("SELECT notary.unprotect('t', 'round {round}')"),
            format!("INSERT INTO t VALUES ({round}0), ({round}1)"),
            "SELECT notary.protect('t')".to_owned(),
            format!("INSERT INTO t VALUES ({round}2)"),
        ];
        // In one transaction, and in one each.
        if round % 2 == 0 {
            run(&mut client, &statements.join("; "));
        } else {
            statements.iter().for_each(|sql| run(&mut client, sql));
        }
    }
    assert_intact(&mut client, "t", 14);
    assert_eq!(chains(&mut client, "t"), ["1: 1 2", "2: 20 21 22", "3: 30 31 32", "4: 40 41 42", "5: 50 51 52"]);
    let headers = "SELECT concat_ws(' ', h ->> 'segment', h ->> 'first_chain', h ->> 'adopted')
                   FROM (SELECT notary.header('t')::jsonb AS h) AS headers";
    assert_eq!(texts(&mut client, headers), ["1 1 1", "2 2 2", "3 3 2", "4 4 2", "5 5 2"]);
    assert_eq!(uuids(&mut client).len(), 1);
    let said = short(&notices(&mut client, "t"));
    assert_eq!(said.iter().filter(|s| s.starts_with("not_protected_between")).count(), 4, "{said:?}");
}

#[test]
fn without_rows_in_between_nothing_is_adopted_and_the_new_chain_is_above_the_highest() {
    let db = fresh_db("again_none");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int); SELECT notary.protect('t')");
    // Three chains: two sessions hold one each meanwhile.
    let (mut one, mut two) = (db.client(), db.client());
    run(&mut one, "BEGIN; INSERT INTO t VALUES (1)");
    run(&mut two, "BEGIN; INSERT INTO t VALUES (2)");
    run(&mut client, "INSERT INTO t VALUES (3)");
    run(&mut one, "COMMIT");
    run(&mut two, "COMMIT");
    let file = texts(&mut client, "SELECT pg_relation_filenode('t')");
    run(&mut client, "SELECT notary.unprotect('t', 'why'); SELECT notary.protect('t'); INSERT INTO t VALUES (4)");
    assert_eq!(chains(&mut client, "t"), ["1: 1", "2: 2", "3: 3", "4: 4"]);
    assert_eq!(texts(&mut client, "SELECT pg_relation_filenode('t')"), file, "nothing to adopt, nothing to rewrite");
    assert_intact(&mut client, "t", 4);
}

#[test]
fn a_table_that_was_renamed_moved_or_given_away_in_between_is_the_same_log() {
    let db = fresh_db("again_renamed");
    let mut client = db.client();
    let other = db.role("other");
    run(
        &mut client,
        &format!(
            "CREATE TABLE t (a int); SELECT notary.protect('t'); INSERT INTO t VALUES (1);
             SELECT notary.unprotect('t', 'why');
             CREATE SCHEMA archive; ALTER TABLE t SET SCHEMA archive; ALTER TABLE archive.t RENAME TO u;
             ALTER TABLE archive.u OWNER TO \"{other}\"; INSERT INTO archive.u (a) VALUES (2);
             SELECT notary.protect('archive.u'); INSERT INTO archive.u (a) VALUES (3)"
        ),
    );
    assert_eq!(chains(&mut client, "archive.u"), ["1: 1", "2: 2 3"]);
    assert_eq!(uuids(&mut client).len(), 1);
    assert_intact(&mut client, "archive.u", 3);
    // Another table under the old name is another log.
    run(&mut client, "CREATE TABLE t (a int); SELECT notary.protect('t'); INSERT INTO t VALUES (1)");
    assert_eq!(uuids(&mut client).len(), 2);
    assert_eq!(texts(&mut client, "SELECT bool_and(intact) FROM notary.verify()"), ["t"]);
}

#[test]
fn a_log_may_be_renamed_and_moved_while_it_is_protected_too() {
    let db = fresh_db("again_protected");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int); SELECT notary.protect('t'); INSERT INTO t VALUES (1);
         CREATE SCHEMA archive; ALTER TABLE t RENAME TO u; ALTER TABLE u SET SCHEMA archive;
         INSERT INTO archive.u VALUES (2); SELECT notary.unprotect('archive.u', 'why');
         INSERT INTO archive.u VALUES (3); SELECT notary.protect('archive.u')",
    );
    assert_eq!(chains(&mut client, "archive.u"), ["1: 1 2", "2: 3"]);
    assert_intact(&mut client, "archive.u", 3);
    assert_eq!(uuids(&mut client).len(), 1);
}

#[test]
fn an_empty_log_goes_on_by_its_name() {
    let db = fresh_db("again_empty");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int); SELECT notary.protect('t'); SELECT notary.unprotect('t', 'why'); SELECT notary.protect('t')",
    );
    run(&mut client, "INSERT INTO t VALUES (1)");
    assert_eq!(uuids(&mut client).len(), 1);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.header('t')"), ["2"]);
    assert_intact(&mut client, "t", 1);
}

#[test]
fn what_changed_in_between_is_found_and_told_apart_from_tampering() {
    let db = fresh_db("again_changed");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int); SELECT notary.protect('t'); INSERT INTO t SELECT generate_series(1, 6);
         SELECT notary.unprotect('t', 'why'); UPDATE t SET a = 20 WHERE a = 2; DELETE FROM t WHERE a IN (4, 6);
         SELECT notary.protect('t'); INSERT INTO t VALUES (7)",
    );
    let found = notices(&mut client, "t");
    let about = |place: &str| found.iter().any(|n| n.to_string() == format!("not_protected_between {place}"));
    assert!(about("1/2") && about("1/4") && about("1/6"), "{found:#?}");
    assert_eq!(super::texts(&mut client, "SELECT count(*) FROM notary.findings('t')"), ["0"]);
    // The same to a row that was left alone then is tampering.
    notary_tests::verdict::behind_the_guard(&db, &["UPDATE t SET a = 30 WHERE a = 3"]);
    notary_tests::verdict::assert_found(&mut client, "t", &["value_changed 1/3"]);
}

#[test]
fn columns_added_with_a_default_in_between_do_not_change_old_lines_unseen() {
    let db = fresh_db("again_default");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int); SELECT notary.protect('t'); INSERT INTO t VALUES (1), (2);
         SELECT notary.unprotect('t', 'why'); ALTER TABLE t ADD COLUMN b text DEFAULT 'x'; ALTER TABLE t ADD COLUMN c text;
         INSERT INTO t (a) VALUES (3); SELECT notary.protect('t'); INSERT INTO t (a) VALUES (4)",
    );
    // The two old rows read 'x' now, which their hashes do not cover: changed while unprotected.
    let found = notices(&mut client, "t");
    let count = found.iter().filter(|n| n.what == "not_protected_between" && n.seq.is_some()).count();
    assert_eq!(count, 2, "{found:#?}");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.findings('t')"), ["0"]);
    assert_eq!(chains(&mut client, "t"), ["1: 1 2", "2: 3 4"]);
}

#[test]
fn a_partition_that_went_in_between_is_named_in_a_notice() {
    let db = fresh_db("again_dropped");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
         CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2); CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3);
         SELECT notary.protect('t'); INSERT INTO t VALUES (1), (2), (3);
         SELECT notary.unprotect('t', 'why'); DROP TABLE t2; ALTER TABLE t DETACH PARTITION t3",
    );
    let (mut client, said) = db.client_with_notices("postgres");
    run(&mut client, "SELECT notary.protect('t')");
    let said = said.take();
    assert!(said[0].contains("partitions that the log had and has no more: public.t2, public.t3;"), "{said:?}");
    assert_intact(&mut client, "t", 1);
    let found = notices(&mut client, "t");
    let about = |words: &str| found.iter().any(|n| n.what == "not_protected_between" && n.detail.contains(words));
    assert!(about("segment 2 (public.t2) left the log") && about("its table is not here"), "{found:#?}");
    assert!(about("segment 3 (public.t3) left the log") && about("public.t3 is no partition of the log"), "{found:#?}");
}

#[test]
fn what_was_cut_from_a_partition_in_between_is_named_in_a_notice() {
    let db = fresh_db("again_cut");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int, b int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
         CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2); SELECT notary.protect('t');
         INSERT INTO t SELECT 1, generate_series(1, 5); INSERT INTO t SELECT 2, generate_series(1, 9);
         SELECT notary.unprotect('t', 'why'); DELETE FROM t WHERE a = 1 AND b > 3; DELETE FROM t WHERE a = 2;
         SELECT notary.protect('t')",
    );
    assert_intact(&mut client, "t", 3);
    let found = notices(&mut client, "t");
    let about = |segment: &str, seq: i64, words: &str| {
        found.iter().filter(|n| n.segment == segment && n.seq == Some(seq) && n.detail.contains(words)).count()
    };
    assert_eq!(
        (about("t1", 4, "entries 4 to 5 were cut"), about("t2", 1, "entries 1 to 9 were cut")),
        (1, 1),
        "{found:#?}"
    );
}

#[test]
fn an_old_partition_goes_in_one_transaction() {
    let db = fresh_db("again_retention");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
         CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2); SELECT notary.protect('t'); INSERT INTO t VALUES (1), (2)",
    );
    for command in
        ["BEGIN", "SELECT notary.unprotect('t', 'retention')", "DROP TABLE t1", "SELECT notary.protect('t')", "COMMIT"]
    {
        run(&mut client, command);
    }
    run(&mut client, "INSERT INTO t VALUES (2)");
    assert_intact(&mut client, "t", 2);
    assert_eq!(refused(&mut client, "DROP TABLE t2").code, "55000");
}

#[test]
fn the_journal_s_order_is_not_the_clock_s() {
    let db = fresh_db("again_clock");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
         CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2); SELECT notary.protect('t'); INSERT INTO t VALUES (1), (1), (2);
         CREATE TABLE ended (a int); SELECT notary.protect('ended')",
    );
    // As if the clock had been an hour ahead until now.
    notary_tests::verdict::behind_the_guard(
        &db,
        &["UPDATE notary.journal SET at = at + interval '1 hour', notary_time = notary_time + interval '1 hour'"],
    );
    run(
        &mut client,
        "SELECT notary.unprotect('t', 'why'); DROP TABLE t2; UPDATE t SET a = 1 WHERE ctid = '(0,1)'; DELETE FROM t WHERE notary_seq = 2;
         SELECT notary.protect('t'); SELECT notary.unprotect('ended', 'why')",
    );
    assert_intact(&mut client, "t", 1);
    let wrong = "SELECT first_finding FROM notary.verify() WHERE NOT intact AND log IS DISTINCT FROM 'notary.journal'::regclass";
    assert_eq!(texts(&mut client, wrong), Vec::<String>::new());
}

#[test]
fn a_log_that_was_split_says_which_table_carries_it() {
    let db = fresh_db("again_split");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
         CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2); SELECT notary.protect('t'); INSERT INTO t VALUES (1), (2);
         SELECT notary.unprotect('t', 'why'); ALTER TABLE t DETACH PARTITION t1; SELECT notary.protect('t1')",
    );
    let log = texts(&mut client, "SELECT uuid::text FROM notary.logs WHERE log = 't1'::regclass").remove(0);
    let error = refused(&mut client, "SELECT notary.protect('t')");
    assert_eq!(error.code, "42809");
    assert_eq!(
        error.detail,
        format!("Its rows are entries of segment 2 of the log {log}, which public.t1 carries now.")
    );
    assert!(
        error.hint.contains("SELECT notary.unprotect('public.t1', 'why')") && !error.hint.contains("NULL"),
        "{error}"
    );
    // As the hint says.
    run(&mut client, "SELECT notary.unprotect('t1', 'why'); SELECT notary.protect('t'); INSERT INTO t VALUES (2)");
    assert_intact(&mut client, "t", 2);
    let error = refused(&mut client, "SELECT notary.protect('t1')");
    assert!(error.detail.ends_with("which public.t carries now."), "{error}");
    // A copy of the table is not the log, and is told so.
    run(&mut client, "SELECT notary.unprotect('t', 'why'); CREATE TABLE copy AS TABLE t2");
    let error = refused(&mut client, "SELECT notary.protect('copy')");
    assert_eq!(error.detail, format!("Its rows are entries of segment 2 of the log {log}, which was on public.t2."));
    assert!(!error.hint.contains("NULL"), "{error}");
}
