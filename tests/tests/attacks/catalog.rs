//! 28: catalog edits that make stored bytes read differently. Whatever they say, the check must not take the server down.

use notary_tests::verdict::{assert_found, behind_the_guard, findings};
use notary_tests::{Database, fresh_db};

const ALL: [&str; 3] = ["value_changed 1/1", "value_changed 1/2", "value_changed 1/3"];

fn three(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    db.client()
        .batch_execute(
            "CREATE TYPE state AS ENUM ('open', 'closed');
             CREATE TABLE audit (id int, small int, what text, other text, big bigint, mark state, doc jsonb);
             SELECT notary.protect('audit');
             INSERT INTO audit (id, small, what, other, big, mark, doc)
             SELECT i, -i, 'entry ' || i, 'other ' || i, i, 'open', '{\"k\": 1}' FROM generate_series(1, 3) AS i",
        )
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    db
}

#[track_caller]
fn column(name: &str, column: &str, set: &str, expected: &[&str]) {
    let db = three(name);
    let sql = format!("UPDATE pg_attribute SET {set} WHERE attrelid = 'audit'::regclass AND attname = '{column}'");
    behind_the_guard(&db, &[&sql]);
    assert_found(&mut db.client(), "audit", expected);
}

#[test]
fn a28_a_column_of_another_type_of_the_same_length() {
    column("a28_same", "big", "atttypid = 'timestamptz'::regtype", &["column_changed", "column_changed"]);
    column("a28_text", "what", "atttypid = 'bytea'::regtype", &["column_changed", "column_changed"]);
}

#[test]
fn a28_a_column_whose_bytes_would_be_taken_for_a_pointer() {
    for (name, set) in [
        ("id", "atttypid = 'text'::regtype"),
        ("big", "atttypid = 'jsonb'::regtype"),
        ("big", "attbyval = false"),
        ("id", "attlen = 8"),
        ("what", "attlen = 4, attbyval = true"),
        ("what", "attalign = 'd'"),
        ("notary_hash", "attlen = 8, attbyval = true"),
        ("notary_seq", "attbyval = false"),
    ] {
        let db = three("a28_pointer");
        let sql = format!("UPDATE pg_attribute SET {set} WHERE attrelid = 'audit'::regclass AND attname = '{name}'");
        behind_the_guard(&db, &[&sql]);
        let found = findings(&mut db.client(), "audit");
        assert!(!found.is_empty() && found.iter().all(|f| f.what == "column_changed"), "{name} {set}: {found:#?}");
    }
}

#[test]
fn a28_a_column_that_reads_as_another_varlena() {
    let jsonb = "atttypid = 'jsonb'::regtype";
    column("a28_jsonb", "what", jsonb, &["column_changed", "unreadable 1/1", "unreadable 1/2", "unreadable 1/3"]);
}

#[test]
fn a28_names_of_columns_exchanged() {
    let db = three("a28_names");
    let name = |from: &str, to: &str| {
        format!("UPDATE pg_attribute SET attname = '{to}' WHERE attrelid = 'audit'::regclass AND attname = '{from}'")
    };
    behind_the_guard(&db, &[&name("what", "aside"), &name("other", "what"), &name("aside", "other")]);
    assert_found(&mut db.client(), "audit", &ALL);
}

#[test]
fn a28_numbers_of_columns_exchanged() {
    let db = three("a28_numbers");
    let number = |from: i32, to: i32| {
        format!("UPDATE pg_attribute SET attnum = {to} WHERE attrelid = 'audit'::regclass AND attnum = {from}")
    };
    behind_the_guard(&db, &[&number(1, 101), &number(2, 1), &number(101, 2)]);
    assert_found(&mut db.client(), "audit", &ALL);
}

#[test]
fn a28_a_column_called_dropped() {
    let set = "attisdropped = true";
    column("a28_dropped", "other", set, &["column_changed", "column_changed"]);
}

#[test]
fn a28_a_value_for_old_rows_put_into_the_catalog() {
    let db = three("a28_missing");
    behind_the_guard(
        &db,
        &[
            "CREATE TABLE other (); ALTER TABLE other ADD COLUMN approved int DEFAULT 7",
            "ALTER TABLE audit ADD COLUMN approved int",
            "UPDATE pg_attribute SET atthasmissing = true, attmissingval = (SELECT attmissingval FROM pg_attribute WHERE attrelid = 'other'::regclass AND attname = 'approved') WHERE attrelid = 'audit'::regclass AND attname = 'approved'",
        ],
    );
    assert_found(&mut db.client(), "audit", &["column_changed"]);
}

#[test]
fn a28_a_label_of_an_enum_renamed() {
    let db = three("a28_enum");
    behind_the_guard(&db, &["UPDATE pg_enum SET enumlabel = 'approved' WHERE enumlabel = 'open'"]);
    assert_found(&mut db.client(), "audit", &ALL);
    let db = three("a28_enum_ddl");
    behind_the_guard(&db, &["ALTER TYPE state RENAME VALUE 'open' TO 'approved'"]);
    assert_found(&mut db.client(), "audit", &ALL);
    let db = three("a28_enum_gone");
    behind_the_guard(&db, &["DELETE FROM pg_enum WHERE enumlabel = 'open'"]);
    assert_found(&mut db.client(), "audit", &["unreadable 1/1", "unreadable 1/2", "unreadable 1/3"]);
}

#[test]
fn a28_a_type_that_is_laid_out_differently() {
    let db = three("a28_layout");
    behind_the_guard(&db, &["UPDATE pg_type SET typlen = 8, typbyval = false WHERE typname = 'state'"]);
    let found = findings(&mut db.client(), "audit");
    assert!(!found.is_empty() && found.iter().all(|f| f.what == "column_changed"), "{found:#?}");
}

#[test]
fn a28_the_table_s_file_exchanged_for_another_one() {
    let db = three("a28_file");
    behind_the_guard(
        &db,
        &["CREATE TABLE forged AS SELECT id, small, 'forged ' || id AS what, other, big, mark, doc, notary_chain, notary_seq,
              notary_time, notary_prev, notary_hash FROM audit",
          "UPDATE pg_class AS c SET relfilenode = f.relfilenode FROM pg_class AS f WHERE c.relname = 'audit' AND f.relname = 'forged'"],
    );
    assert_found(&mut db.client(), "audit", &ALL);
}

#[test]
fn a28_a_type_that_is_shown_by_another_function() {
    for (set, of) in
        [("typoutput = 'oidout'", "int4"), ("typsend = 'oidsend'", "int4"), ("typoutput = 'nameout'", "state")]
    {
        let db = three("a28_shown");
        behind_the_guard(&db, &[&format!("UPDATE pg_type SET {set} WHERE typname = '{of}'")]);
        let found = findings(&mut db.client(), "audit");
        assert!(!found.is_empty() && found.iter().all(|f| f.what == "column_changed"), "{set}: {found:#?}");
        assert!(found[0].detail.contains("shown by another function"), "{set}: {found:#?}");
    }
}
