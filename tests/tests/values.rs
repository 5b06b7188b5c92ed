//! Values of every listed type in the line: `vectors/values.jsonl` holds for each a type, an input and the bytes that
//! must stand in `row`. They must come out whatever the settings of the writing and of the verifying session.

use notary_core::line::{self, Line};
use notary_tests::{Database, SqlError, err, fresh_db};
use postgres::Client;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

struct Vector {
    type_name: String,
    input: String,
    json: String,
}

fn vectors() -> Vec<Vector> {
    let file = fs::read_to_string(vector_file("values.jsonl")).unwrap();
    let text = |v: &Value, key: &str| v[key].as_str().expect("every member is a string").to_owned();
    file.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|v| Vector { type_name: text(&v, "type"), input: text(&v, "input"), json: text(&v, "json") })
        .collect()
}

fn vector_file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

/// The types in the order in which they first appear; a vector's column is `c<position>`.
fn types(vectors: &[Vector]) -> Vec<&str> {
    let mut types = Vec::new();
    for v in vectors {
        if !types.contains(&v.type_name.as_str()) {
            types.push(v.type_name.as_str());
        }
    }
    types
}

fn column(types: &[&str], v: &Vector) -> String {
    format!("c{}", types.iter().position(|t| *t == v.type_name).unwrap())
}

/// `source` holds every vector, read under ordinary settings: one row each, NULL in all columns but its type's.
fn with_source(name: &str) -> (Database<'static>, Vec<Vector>) {
    let db = fresh_db(name);
    let mut client = db.client();
    client.batch_execute(&fs::read_to_string(vector_file("values.sql")).unwrap()).unwrap();
    let vectors = vectors();
    let types = types(&vectors);
    let columns: Vec<_> = types.iter().enumerate().map(|(i, t)| format!("c{i} {t}")).collect();
    client.batch_execute(&format!("CREATE TABLE source (id int, {})", columns.join(", "))).unwrap();
    for (id, v) in vectors.iter().enumerate() {
        let sql =
            format!("INSERT INTO source (id, {}) VALUES ($1, CAST($2::text AS {}))", column(&types, v), v.type_name);
        let id = i32::try_from(id).unwrap();
        if let Err(e) = client.execute(&sql, &[&id, &v.input]) {
            panic!("{} {:?}: {}", v.type_name, v.input, SqlError::of(&e));
        }
    }
    (db, vectors)
}

/// Settings that output functions, name printing or planning look at, each at odd values.
const SETTINGS: &[(&str, &str)] = &[
    ("as the server has them", ""),
    (
        "German dates, LATIN1",
        "SET DateStyle = 'German, DMY'; SET TimeZone = 'Asia/Kathmandu'; SET IntervalStyle = postgres_verbose;
         SET extra_float_digits = -15; SET bytea_output = escape; SET client_encoding = LATIN1;
         SET lc_monetary = 'C'; SET lc_numeric = 'C'; SET lc_time = 'C'; SET lc_messages = 'C';
         SET array_nulls = off; SET quote_all_identifiers = on",
    ),
    (
        "SQL dates, no digits, planner off",
        "SET DateStyle = 'SQL, MDY'; SET TimeZone = 'America/St_Johns'; SET IntervalStyle = sql_standard;
         SET extra_float_digits = 0; SET standard_conforming_strings = off; SET escape_string_warning = off;
         SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_seqscan = off;
         SET default_transaction_isolation = serializable; SET transform_null_equals = on",
    ),
    (
        "Postgres dates, an odd zone",
        "SET DateStyle = 'Postgres, YMD'; SET TimeZone = 'XYZ-13:14'; SET IntervalStyle = postgres;
         SET extra_float_digits = 3; SET xmlbinary = hex; SET search_path = ''; SET client_encoding = SQL_ASCII;
         SET enable_bitmapscan = off; SET default_transaction_isolation = 'repeatable read'; SET work_mem = '64kB'",
    ),
    ("a search_path that lies", "SET search_path = evil, public, pg_catalog; SET extra_float_digits = -1"),
];

/// A schema of names that belong to PostgreSQL; whatever of it is used fails.
fn make_evil(client: &mut Client) {
    client.batch_execute("CREATE SCHEMA evil").unwrap();
    for (name, args, result) in [
        ("clock_timestamp", "", "timestamptz"),
        ("now", "", "timestamptz"),
        ("sha256", "bytea", "bytea"),
        ("encode", "bytea, text", "text"),
        ("format_type", "oid, int4", "text"),
        ("current_setting", "text", "text"),
        ("pg_partition_tree", "regclass", "oid"),
        ("to_regclass", "text", "regclass"),
        ("max", "int8", "int8"),
        ("append", "", "int4"),
        ("int4out", "int4", "text"),
        ("lower", "anyrange", "text"),
    ] {
        let body = "BEGIN RAISE EXCEPTION 'a function of evil was called'; END";
        let sql =
            format!("CREATE FUNCTION evil.{name}({args}) RETURNS pg_catalog.{result} LANGUAGE plpgsql AS $$ {body} $$");
        client.batch_execute(&sql).unwrap();
    }
    for of in ["int2", "int4", "int8", "oid", "text", "name", "uuid", "bytea", "timestamptz", "\"char\""] {
        let function = format!("evil.trap_{}", of.trim_matches('"'));
        client
            .batch_execute(&format!(
                "CREATE FUNCTION {function}(pg_catalog.{of}, pg_catalog.{of}) RETURNS pg_catalog.bool LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'an operator of evil was used'; END $$;
                 CREATE OPERATOR evil.= (leftarg = pg_catalog.{of}, rightarg = pg_catalog.{of}, function = {function});
                 CREATE OPERATOR evil.< (leftarg = pg_catalog.{of}, rightarg = pg_catalog.{of}, function = {function});
                 CREATE OPERATOR evil.<> (leftarg = pg_catalog.{of}, rightarg = pg_catalog.{of}, function = {function})"
            ))
            .unwrap();
    }
    client
        .batch_execute(
            "CREATE DOMAIN evil.uuid AS pg_catalog.text CHECK (false); CREATE DOMAIN evil.regclass AS pg_catalog.int4;
             CREATE DOMAIN evil.jsonb AS pg_catalog.text CHECK (false); CREATE DOMAIN evil.text AS pg_catalog.int4;
             CREATE DOMAIN evil.int8 AS pg_catalog.text CHECK (false);
             CREATE TABLE evil.pg_class (a pg_catalog.int4); CREATE TABLE evil.pg_trigger (a pg_catalog.int4);
             CREATE TABLE evil.pg_attribute (a pg_catalog.int4); CREATE TABLE evil.segment (a pg_catalog.int4);
             CREATE TABLE evil.journal (a pg_catalog.int4)",
        )
        .unwrap();
}

#[test]
fn the_vectors_are_what_postgresql_prints_under_the_pinned_settings() {
    let (db, vectors) = with_source("values_text");
    let types = types(&vectors);
    let mut client = db.client();
    client
        .batch_execute(
            "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = iso_8601; SET TimeZone = 'UTC';
             SET extra_float_digits = 1; SET bytea_output = hex",
        )
        .unwrap();
    for (id, v) in vectors.iter().enumerate() {
        // format() and not a cast, which would trim char(n) and show a domain's own casts.
        let sql =
            format!("SELECT format('%s', {}), pg_typeof({0})::text FROM source WHERE id = {id}", column(&types, v));
        let row = client.query_one(&sql, &[]).unwrap();
        let (text, of): (String, String) = (row.get(0), row.get(1));
        let expected = match (of.as_str(), v.type_name.as_str()) {
            ("boolean", _) => if text == "t" { "true" } else { "false" }.into(),
            ("smallint" | "integer" | "bigint" | "jsonb", _) | (_, "positive" | "document") => text,
            ("timestamp with time zone", _) | (_, "moment") => quote(&six_decimals(&text, "Z")),
            ("timestamp without time zone", _) => quote(&six_decimals(&text, "")),
            _ => quote(&text),
        };
        assert_eq!(v.json, expected, "{} {:?}", v.type_name, v.input);
    }
}

/// serde_json escapes as RFC 8785 does.
fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// `2026-11-20 16:07:00.5+00` as the format spells it.
fn six_decimals(text: &str, zone: &str) -> String {
    let (text, era) = text.strip_suffix(" BC").map_or((text, ""), |t| (t, " BC"));
    let text = text.strip_suffix("+00").unwrap_or(text);
    let Some((date, time)) = text.split_once(' ') else {
        return text.to_owned(); // infinity
    };
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{date}T{seconds}.{fraction:0<6}{zone}{era}")
}

#[test]
fn every_value_is_hashed_as_the_vectors_say_whatever_the_settings() {
    let (db, vectors) = with_source("values_matrix");
    let types = types(&vectors);
    let mut client = db.client();
    make_evil(&mut client);
    client.batch_execute("CREATE TABLE public.log (LIKE source); SELECT notary.protect('log')").unwrap();
    for (name, settings) in SETTINGS {
        let mut writer = db.client();
        writer.batch_execute(settings).unwrap();
        let columns: Vec<_> = (0..types.len()).map(|i| format!("c{i}")).collect();
        let columns = format!("id, {}", columns.join(", "));
        let sql = format!("INSERT INTO public.log ({columns}) SELECT {columns} FROM public.source");
        writer.batch_execute(&sql).unwrap_or_else(|e| panic!("writing with {name}: {}", SqlError::of(&e)));
    }
    for (name, settings) in SETTINGS {
        let mut reader = db.client();
        reader.batch_execute(settings).unwrap();
        check_lines(&mut reader, &vectors, &types, name);
        check_verdict(&mut reader, name);
    }
}

/// Compares every entry's line, as this session prints it, with the vector's bytes and with the stored hash.
fn check_lines(reader: &mut Client, vectors: &[Vector], types: &[&str], name: &str) {
    // Hex all along, so that no client encoding stands between; zone and style named, so that no setting does.
    let sql = "SELECT id, notary_chain, notary_seq,
            pg_catalog.to_char(pg_catalog.timezone('UTC', notary_time), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
            pg_catalog.encode(notary_prev, 'hex'), pg_catalog.encode(notary_hash, 'hex'),
            pg_catalog.encode(pg_catalog.convert_to(notary.line(tableoid, notary_chain, notary_seq), 'UTF8'), 'hex')
        FROM public.log";
    let header = &reader
        .query_one("SELECT pg_catalog.encode(pg_catalog.convert_to(notary.header('public.log'), 'UTF8'), 'hex')", &[])
        .unwrap();
    let header = String::from_utf8(hex::decode(header.get::<_, String>(0)).unwrap()).unwrap();
    let header: Value = serde_json::from_str(&header).unwrap();
    let log = header["log"].as_str().unwrap();
    let rows = reader.query(sql, &[]).unwrap_or_else(|e| panic!("{name}: {}", SqlError::of(&e)));
    assert_eq!(rows.len(), vectors.len() * SETTINGS.len());
    for row in rows {
        let (id, chain, seq): (i32, i32, i64) = (row.get(0), row.get(1), row.get(2));
        let [time, prev, hash, shown] = [3, 4, 5, 6].map(|i| row.get::<_, String>(i));
        let v = &vectors[usize::try_from(id).unwrap()];
        let expected = format!(
            "{{\"v\":1,\"log\":\"{log}\",\"segment\":1,\"chain\":{chain},\"seq\":{seq},\"time\":\"{time}\",\
             \"prev\":\"{prev}\",\"row\":{{\"{}\":{},\"id\":{id}}}}}",
            column(types, v),
            v.json
        );
        let bytes = hex::decode(shown).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), expected, "{name}: {} {:?}", v.type_name, v.input);
        assert_eq!(hash, hex::encode(Sha256::digest(&bytes)), "{name}: {} {:?}", v.type_name, v.input);
        let entry = match line::read(&bytes) {
            Ok(Line::Entry(entry)) => entry,
            other => panic!("notary-core reads {expected} as {other:?}"),
        };
        assert_eq!(entry.row[0].1, v.json.as_bytes());
    }
}

fn check_verdict(reader: &mut Client, name: &str) {
    let answer = reader
        .query_one("SELECT intact, findings, first_finding FROM notary.verify('public.log')", &[])
        .unwrap_or_else(|e| panic!("{name}: {}", SqlError::of(&e)));
    let first: Option<String> = answer.get(2);
    assert!(answer.get::<_, bool>(0) && answer.get::<_, i64>(1) == 0, "{name}: {first:?}");
}

#[test]
fn rows_adopted_under_any_settings_are_intact_under_all_others() {
    let (db, _) = with_source("values_adopted");
    make_evil(&mut db.client());
    for (i, (name, settings)) in SETTINGS.iter().enumerate() {
        let mut owner = db.client();
        owner.batch_execute(&format!("CREATE TABLE public.log{i} AS SELECT * FROM source")).unwrap();
        owner.batch_execute(settings).unwrap();
        owner
            .batch_execute(&format!("SELECT notary.protect('public.log{i}')"))
            .unwrap_or_else(|e| panic!("protecting with {name}: {}", SqlError::of(&e)));
    }
    for (name, settings) in SETTINGS {
        let mut reader = db.client();
        reader.batch_execute(settings).unwrap();
        for (i, (protected, _)) in SETTINGS.iter().enumerate() {
            let sql =
                format!("SELECT pg_catalog.array_agg(problem || ' ' || detail) FROM notary.findings('public.log{i}')");
            let found: Option<Vec<String>> =
                reader.query_one(&sql, &[]).unwrap_or_else(|e| panic!("{name}: {}", SqlError::of(&e))).get(0);
            assert_eq!(found, None, "protected with {protected}, read with {name}");
        }
    }
    // The same rows give the same members, whoever adopted them.
    let mut client = db.client();
    let rows = |client: &mut Client, i: usize| -> Vec<String> {
        let sql = format!(
            "SELECT substr(l, strpos(l, '\"row\"')) FROM public.log{i}, notary.line(tableoid, notary_chain, notary_seq) l
             ORDER BY id"
        );
        client.query(&sql, &[]).unwrap().iter().map(|r| r.get(0)).collect()
    };
    let first = rows(&mut client, 0);
    for (i, (name, _)) in SETTINGS.iter().enumerate().skip(1) {
        assert!(rows(&mut client, i) == first, "{name}");
    }
}

#[test]
fn nulls_are_left_out_and_columns_stand_in_the_order_of_their_names_bytes() {
    let db = fresh_db("values_order");
    let mut client = db.client();
    let long = "n".repeat(63);
    client
        .batch_execute(&format!(
            "CREATE TABLE one (z int, \"Z\" int, gone int, \"a\"\"b\" int, \"a b\" int, \"ä\" int, a int, \"a\\b\" int,
                               \"\u{1F600}\" int, \"\u{FFFD}\" int, {long} int, \"\t\" int, empty int);
             CREATE TABLE two (empty int, \"\t\" int, {long} int, \"\u{FFFD}\" int, a int, \"\u{1F600}\" int, \"ä\" int,
                               gone2 int, \"a\\b\" int, \"a b\" int, \"a\"\"b\" int, \"Z\" int, z int);
             ALTER TABLE one DROP COLUMN gone; ALTER TABLE two DROP COLUMN gone2;
             SELECT notary.protect('one'), notary.protect('two')"
        ))
        .unwrap();
    let names = [
        "\"\t\"",
        "\"Z\"",
        "a",
        "\"a b\"",
        "\"a\"\"b\"",
        "\"a\\b\"",
        &long,
        "z",
        "\"ä\"",
        "\"\u{FFFD}\"",
        "\"\u{1F600}\"",
    ];
    for table in ["one", "two"] {
        client
            .batch_execute(&format!(
                "INSERT INTO {table} ({}) VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)",
                names.join(", ")
            ))
            .unwrap();
        let line: String = client
            .query_one(&format!("SELECT notary.line(tableoid, notary_chain, notary_seq) FROM {table}"), &[])
            .unwrap()
            .get(0);
        let row = &line[line.find("\"row\"").unwrap()..];
        let expected = format!(
            "\"row\":{{\"\\t\":1,\"Z\":2,\"a\":3,\"a b\":4,\"a\\\"b\":5,\"a\\\\b\":6,\"{long}\":7,\"z\":8,\"ä\":9,\
             \"\u{FFFD}\":10,\"\u{1F600}\":11}}}}"
        );
        assert_eq!(row, expected, "{table}");
        assert!(matches!(line::read(line.as_bytes()), Ok(Line::Entry(_))));
    }
}

#[test]
fn neighbouring_values_are_not_mixed_up() {
    let db = fresh_db("values_framing");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE t (a text, b text); SELECT notary.protect('t');
             INSERT INTO t (a, b) VALUES ('a|b', 'c'), ('a', 'b|c'), ('a\",\"b\":\"c', NULL), ('a', NULL), (NULL, 'a'), (NULL, NULL), ('', '')",
        )
        .unwrap();
    let sql = "SELECT substr(l, strpos(l, '\"row\"')) FROM t, notary.line(tableoid, notary_chain, notary_seq) l
               ORDER BY notary_seq";
    let rows: Vec<String> = client.query(sql, &[]).unwrap().iter().map(|r| r.get(0)).collect();
    assert_eq!(
        rows,
        [
            r#""row":{"a":"a|b","b":"c"}}"#,
            r#""row":{"a":"a","b":"b|c"}}"#,
            r#""row":{"a":"a\",\"b\":\"c"}}"#,
            r#""row":{"a":"a"}}"#,
            r#""row":{"b":"a"}}"#,
            r#""row":{}}"#,
            r#""row":{"a":"","b":""}}"#,
        ]
    );
}

#[test]
fn a_null_character_in_jsonb_is_postgresqls_own_error_and_leaves_nothing() {
    let db = fresh_db("values_null_character");
    let mut client = db.client();
    client.batch_execute("CREATE TABLE t (a jsonb); SELECT notary.protect('t')").unwrap();
    let refused = err(client.batch_execute(r#"INSERT INTO t (a) VALUES ('"\u0000"')"#));
    assert_eq!(refused.code, "22P05");
    assert_eq!(db.value("SELECT count(*) FROM t"), "0");
}
