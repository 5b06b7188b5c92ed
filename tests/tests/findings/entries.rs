//! Findings at an entry: one damaged row is one finding, at that row.

use crate::{SECRET, five};
use notary_tests::fresh_db;
use notary_tests::verdict::{assert_found, behind_the_guard, findings};

/// Damages a log of five entries behind the guard and says what must be found. The detail must have
/// these words, and no value.
#[track_caller]
fn damaged(name: &str, sql: &str, expected: &[&str], words: &str) {
    let db = five(name);
    let mut client = db.client();
    assert_found(&mut client, "audit", &[]);
    behind_the_guard(&db, &[sql]);
    assert_found(&mut client, "audit", expected);
    let found = findings(&mut client, "audit");
    assert!(found.iter().any(|f| f.detail.contains(words)), "{found:#?}");
    assert!(found.iter().all(|f| !f.detail.contains(SECRET) && !f.detail.contains("forged")), "{found:#?}");
    assert!(found.iter().all(|f| f.segment == "audit"), "{found:#?}");
}

#[test]
fn a_changed_value_is_value_changed() {
    damaged("value", "UPDATE audit SET what = 'forged' WHERE id = 3", &["value_changed 1/3"], "the row hashes to");
}

#[test]
fn a_value_made_null_is_value_changed() {
    damaged("to_null", "UPDATE audit SET extra = NULL WHERE id = 3", &["value_changed 1/3"], "the row hashes to");
}

#[test]
fn a_changed_value_of_the_last_entry_is_value_changed() {
    damaged("last", "UPDATE audit SET what = 'forged' WHERE id = 5", &["value_changed 1/5"], "the row hashes to");
}

#[test]
fn a_changed_time_is_value_changed() {
    let sql = "UPDATE audit SET notary_time = notary_time - interval '1 day' WHERE id = 3";
    damaged("time", sql, &["value_changed 1/3"], "the row hashes to");
}

#[test]
fn a_row_edited_and_hashed_again_is_value_changed() {
    let sql = "UPDATE audit SET what = 'forged' WHERE id = 3;
               UPDATE audit SET notary_hash = sha256(convert_to(notary.line(tableoid, 1, 3), 'UTF8')) WHERE id = 3";
    damaged("rehashed", sql, &["value_changed 1/3"], "hashed again");
}

#[test]
fn a_changed_hash_is_hash_changed() {
    let sql = "UPDATE audit SET notary_hash = sha256('x') WHERE id = 3";
    damaged("hash", sql, &["hash_changed 1/3"], "notary_hash was changed");
}

#[test]
fn a_hash_of_another_length_is_hash_changed() {
    damaged("odd", "UPDATE audit SET notary_hash = 'short' WHERE id = 3", &["hash_changed 1/3"], "notary_hash");
}

#[test]
fn a_changed_prev_is_hash_changed() {
    let sql = "UPDATE audit SET notary_prev = sha256('x') WHERE id = 3";
    damaged("prev", sql, &["hash_changed 1/3"], "notary_prev was changed");
}

#[test]
fn deleted_rows_are_one_missing_range() {
    damaged("missing", "DELETE FROM audit WHERE id IN (2, 3, 4)", &["missing 1/2"], "entries 2 to 4 (3) are missing");
}

#[test]
fn a_deleted_first_entry_is_missing() {
    damaged("first", "DELETE FROM audit WHERE id = 1", &["missing 1/1"], "the header has hash");
}

#[test]
fn a_copied_row_is_inserted() {
    let sql =
        "INSERT INTO audit SELECT id, what, extra, 1, 9, notary_time, notary_prev, notary_hash FROM audit WHERE id = 2";
    damaged("inserted", sql, &["inserted 1/9"], "a copy of the entry at chain 1 seq 2");
}

#[test]
fn a_made_up_row_is_inserted() {
    let sql = "INSERT INTO audit VALUES (9, 'forged', NULL, 1, 9, now(), sha256('a'), sha256('b'))";
    damaged("made_up", sql, &["inserted 1/9"], "no neighbour commits to this row");
}

#[test]
fn exchanged_values_are_swapped() {
    let sql = "UPDATE audit AS a SET id = b.id, what = b.what, extra = b.extra FROM audit AS b
               WHERE (a.id, b.id) IN ((2, 4), (4, 2))";
    damaged("swapped", sql, &["swapped 1/2", "swapped 1/4"], "the values were exchanged with chain 1 seq 4");
}

#[test]
fn exchanged_places_are_swapped() {
    let sql = "UPDATE audit SET notary_seq = 99 WHERE id = 2; UPDATE audit SET notary_seq = 2 WHERE id = 4;
               UPDATE audit SET notary_seq = 4 WHERE id = 2";
    damaged("places", sql, &["swapped 1/2", "swapped 1/4"], "notary_chain and notary_seq were exchanged");
}

#[test]
fn two_valid_entries_at_one_place_are_a_fork() {
    // The index is told not to mind, and told to mind again.
    let unique = |to| format!("UPDATE pg_index SET indisunique = {to} WHERE indrelid = 'audit'::regclass");
    let twin = r#"INSERT INTO audit SELECT 3, 'forged', extra, 1, 3, notary_time, notary_prev,
                sha256(convert_to(replace(notary.line(tableoid, 1, 3), format('"what":"%s"', what), '"what":"forged"'), 'UTF8')) FROM audit WHERE id = 3"#;
    let db = five("fork");
    behind_the_guard(&db, &[&unique("false"), twin, &unique("true")]);
    let mut client = db.client();
    assert_found(&mut client, "audit", &["fork 1/3"]);
    let found = findings(&mut client, "audit");
    assert!(found[0].detail.contains("valid entries with different hashes"), "{found:#?}");
}

#[test]
fn a_row_without_a_chain_is_unchained() {
    damaged(
        "unchained",
        "INSERT INTO audit (id, what) VALUES (9, 'forged')",
        &["unchained"],
        "notary columns are null",
    );
}

#[test]
fn a_row_taken_out_of_its_chain_is_unchained_and_missing() {
    let sql = "UPDATE audit SET notary_chain = NULL, notary_seq = NULL, notary_time = NULL, notary_prev = NULL,
               notary_hash = NULL WHERE id = 3";
    damaged("out", sql, &["missing 1/3", "unchained"], "entry 3 is missing");
}

#[test]
fn a_chain_above_the_limit_is_a_finding_not_memory() {
    let sql = "INSERT INTO audit SELECT id, what, extra, 2000000000, 1, notary_time, notary_prev, notary_hash FROM audit WHERE id = 1";
    damaged("above", sql, &["inserted 2000000000/1"], "no neighbour commits");
}

#[test]
fn three_wrong_things_in_a_long_log_are_three_findings() {
    let db = fresh_db("three");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit');
             INSERT INTO audit (id, what) SELECT i, 'entry ' || i FROM generate_series(1, 20000) AS i",
        )
        .unwrap();
    behind_the_guard(
        &db,
        &[
            "UPDATE audit SET what = 'forged' WHERE id = 17",
            "DELETE FROM audit WHERE id BETWEEN 9000 AND 9009",
            "INSERT INTO audit (id) VALUES (0)",
        ],
    );
    assert_found(&mut client, "audit", &["missing 1/9000", "unchained", "value_changed 1/17"]);
}

#[test]
fn an_unreadable_value_is_one_finding_at_its_entry() {
    let db = fresh_db("unreadable");
    let mut client = db.client();
    client
        .batch_execute(&format!(
            "CREATE TABLE audit (id int, what text); ALTER TABLE audit ALTER what SET STORAGE EXTERNAL;
             SELECT notary.protect('audit');
             INSERT INTO audit (id, what) SELECT i, repeat('{SECRET}', 1000) FROM generate_series(1, 5) AS i"
        ))
        .unwrap();
    let toast: String = client
        .query_one("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'audit'", &[])
        .unwrap()
        .get(0);
    // A TOAST table cannot be changed by SQL; one that is called an ordinary table can.
    let kind = |kind| format!("UPDATE pg_class SET relkind = '{kind}' WHERE oid = '{toast}'::regclass");
    behind_the_guard(
        &db,
        &[
            &kind('r'),
            &format!(
                "DELETE FROM {toast} WHERE chunk_id = (SELECT DISTINCT chunk_id FROM {toast} ORDER BY 1 OFFSET 2 LIMIT 1)"
            ),
            &kind('t'),
            // A deleted chunk can still be read until it is vacuumed away.
            &format!("VACUUM {toast}"),
        ],
    );
    assert_found(&mut client, "audit", &["unreadable 1/3"]);
    let found = findings(&mut client, "audit");
    assert!(found[0].detail.contains("missing chunk number 0"), "{found:#?}");
}

#[test]
fn the_highest_seq_of_all_is_a_place_like_any_other() {
    let sql = "UPDATE audit SET notary_seq = 9223372036854775807 WHERE id = 5; UPDATE audit SET notary_chain = 999 WHERE id = 2";
    let db = five("highest");
    behind_the_guard(&db, &[sql]);
    assert_found(&mut db.client(), "audit", &["value_changed 1/2", "value_changed 1/5"]);
}
