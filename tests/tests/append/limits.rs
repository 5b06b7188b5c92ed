//! Large values, long lines, many columns, long names.

use super::{assert_sound, refused, run, texts};
use notary_tests::fresh_db;
use sha2::{Digest, Sha256};

#[test]
fn a_value_of_tens_of_megabytes_is_chained_and_verified() {
    let db = fresh_db("limits_large");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int, b text, c jsonb); SELECT notary.protect('t');
         INSERT INTO t VALUES (1, repeat(E'\\x01\\\\ä', 2000000), NULL);
         INSERT INTO t SELECT 2, 'digits', jsonb_agg('1e131071'::jsonb) FROM generate_series(1, 100);
         INSERT INTO t VALUES (3, 'small', NULL)",
    );
    assert_sound(&mut client, "t", 3);
    let row = client
        .query_one("SELECT notary.line(tableoid, notary_chain, notary_seq), notary_hash FROM t WHERE a = 1", &[])
        .unwrap();
    let (line, hash): (String, Vec<u8>) = (row.get(0), row.get(1));
    assert!(line.len() > 20_000_000 && line.ends_with("\\\\ä\\u0001\\\\ä\"}}"), "{} bytes", line.len());
    assert_eq!(Sha256::digest(&line).as_slice(), hash);
}

#[test]
fn values_of_hundreds_of_megabytes_are_adopted_chained_and_verified() {
    let db = fresh_db("limits_huge");
    let mut client = db.client();
    let values = "VALUES (1, repeat('0123456789', 20000000), NULL), (2, NULL, decode(repeat('00ff', 50000000), 'hex'))";
    run(
        &mut client,
        &format!(
            "CREATE TABLE t (a int, b text, c bytea); INSERT INTO t {values}; SELECT notary.protect('t'); INSERT INTO t {values}"
        ),
    );
    assert_sound(&mut client, "t", 4);
    let lines = "SELECT string_agg(length(notary.line(tableoid, notary_chain, notary_seq)) / 1000000 || ' ' ||
            (sha256(convert_to(notary.line(tableoid, notary_chain, notary_seq), 'UTF8')) = notary_hash), ', ' ORDER BY a, notary_seq)
        FROM t";
    assert_eq!(texts(&mut client, lines), ["200 true, 200 true, 200 true, 200 true"]);
}

#[test]
fn a_line_above_the_limit_is_refused_and_the_next_row_goes_in() {
    let db = fresh_db("limits_line");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int, c jsonb); SELECT notary.protect('t'); INSERT INTO t VALUES (1, '1')");
    let long = "INSERT INTO t SELECT 2, jsonb_agg('1e131071'::jsonb) FROM generate_series(1, 2060)";
    assert_eq!(
        refused(&mut client, long).to_string(),
        "54000: the row's line would pass 256 MiB\nDETAIL: A line holds all of a row's values as JSON text.\n\
         HINT: Store the large value elsewhere and its hash in the log."
    );
    run(&mut client, "INSERT INTO t VALUES (3, '3')");
    assert_eq!(texts(&mut client, "SELECT a FROM t ORDER BY a"), ["1", "3"]);
    assert_sound(&mut client, "t", 2);
}

#[test]
fn as_many_columns_as_postgresql_has_room_for() {
    let db = fresh_db("limits_columns");
    let mut client = db.client();
    let columns: Vec<_> = (0..1595).map(|i| format!("c{i} int2")).collect();
    run(&mut client, &format!("CREATE TABLE t ({}); SELECT notary.protect('t')", columns.join(", ")));
    let values: Vec<_> = (0..1595).map(|i| i.to_string()).collect();
    run(&mut client, &format!("INSERT INTO t VALUES ({})", values.join(", ")));
    run(&mut client, "INSERT INTO t (c1594) VALUES (7)");
    assert_sound(&mut client, "t", 2);
    let line = texts(&mut client, "SELECT notary.line('t', 1, 1)").concat();
    let mut names: Vec<_> = (0..1595).map(|i| format!("\"c{i}\":{i}")).collect();
    names.sort_by(|a, b| {
        a.split(':').next().unwrap().trim_end_matches('"').cmp(b.split(':').next().unwrap().trim_end_matches('"'))
    });
    assert!(line.ends_with(&format!("\"row\":{{{}}}}}", names.join(","))), "{line}");
    assert!(notary_core::line::read(line.as_bytes()).is_ok());
}

#[test]
fn the_longest_names_of_everything() {
    let db = fresh_db("limits_names");
    let mut client = db.client();
    // 63 bytes each, with quotes, spaces and characters of several bytes.
    let name = |c: char| format!("{c}\"'\\ {}", "ü".repeat((63 - 5) / 2));
    let (schema, table, column) = (name('s'), name('t'), name('c'));
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let full = format!("{}.{}", quoted(&schema), quoted(&table));
    let literal = full.replace('\'', "''");
    run(&mut client, &format!("CREATE SCHEMA {}; CREATE TABLE {full} ({} int)", quoted(&schema), quoted(&column)));
    run(&mut client, &format!("INSERT INTO {full} VALUES (1)"));
    run(&mut client, &format!("SELECT notary.protect('{literal}')"));
    run(&mut client, &format!("INSERT INTO {full} VALUES (2)"));
    notary_tests::verdict::assert_found(&mut client, &literal, &[]);
    let header = texts(&mut client, &format!("SELECT notary.header('{literal}')")).concat();
    let header: serde_json::Value = serde_json::from_str(&header).unwrap();
    assert_eq!((header["schema"].as_str(), header["table"].as_str()), (Some(schema.as_str()), Some(table.as_str())));
    assert_eq!(header["columns"][&column], "integer");
    let refusal = refused(&mut client, &format!("DELETE FROM {full}"));
    assert_eq!(refusal.code, "55000");
    // The hint can be typed as it stands.
    let hint = &refusal.hint[refusal.hint.find("SELECT notary.unprotect").unwrap()..];
    run(&mut client, hint);
    run(&mut client, &format!("SELECT notary.protect('{literal}')"));
    notary_tests::verdict::assert_found(&mut client, &literal, &[]);
}
