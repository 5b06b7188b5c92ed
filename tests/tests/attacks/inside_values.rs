//! 29, inside values: counts, lengths and offsets that a type's output function believes. Every single bit is flipped,
//! every length cut, every word overwritten; the server must survive being asked, and the entry be named.

use notary_tests::{Cluster, Database};

/// One entry whose only value is made of arbitrary bytes: a binary-coercible cast, put into the catalog by hand, says
/// that bytea is that type already. Counts what the check says of each of them.
const MUTANTS: &str = r"
DO $do$
DECLARE
    original bytea := (SELECT value::bytea FROM audit);
    bytes int := least(length(original), 160);
    mutants bytea[] := '{}';
    mutant bytea;
    answer text;
BEGIN
    FOR i IN 0 .. bytes * 8 - 1 LOOP
        mutants := mutants || set_bit(original, i, 1 - get_bit(original, i));
    END LOOP;
    FOR i IN 0 .. bytes - 1 LOOP
        mutants := mutants || substr(original, 1, i);
    END LOOP;
    FOR i IN 1 .. bytes - 3 LOOP
        mutants := mutants || overlay(original PLACING '\x7fffffff' FROM i) || overlay(original PLACING '\xffffffff' FROM i)
            || overlay(original PLACING '\xffffff7f' FROM i) || overlay(original PLACING '\x00000000' FROM i);
    END LOOP;
    FOREACH mutant IN ARRAY mutants LOOP
        UPDATE audit SET value = mutant::@type;
        SELECT coalesce(string_agg(format('%s %s/%s', problem, chain, seq), ', '), 'intact') INTO answer
            FROM notary.findings('audit');
        INSERT INTO answers VALUES (mutant, mutant = original, answer);
        COMMIT;
    END LOOP;
    UPDATE audit SET value = original::@type;
END $do$";

/// Puts the casts in both directions into the catalog; CREATE CAST has scruples where arrays are concerned.
const CASTS: &str = "INSERT INTO pg_cast VALUES (60001, 'bytea'::regtype, '@type'::regtype, 0, 'e', 'b'),
    (60002, '@type'::regtype, 'bytea'::regtype, 0, 'e', 'b')";

#[track_caller]
fn survives(cluster: &Cluster, type_name: &str, value: &str) {
    let db = cluster.fresh_db("inside");
    let mut client = db.client();
    let said = |e: &postgres::Error| format!("{type_name} {value}: {e:?}\n{}", tail(&db));
    client
        .batch_execute(&format!(
            "CREATE TABLE audit (value {type_name}); SELECT notary.protect('audit');
             INSERT INTO audit (value) VALUES ({value}); CREATE TABLE answers (mutant bytea, same boolean, answer text)"
        ))
        .unwrap_or_else(|e| panic!("{}", said(&e)));
    client
        .batch_execute(&CASTS.replace("@type", type_name.split('(').next().unwrap_or(type_name)))
        .unwrap_or_else(|e| panic!("{}", said(&e)));
    client
        .batch_execute(
            "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'audit'::regclass AND tgname <> '~notary_append';
             UPDATE pg_class SET reltuples = reltuples WHERE relname = 'audit'",
        )
        .unwrap_or_else(|e| panic!("{}", said(&e)));
    let name = type_name.split('(').next().unwrap_or(type_name);
    client.batch_execute(&MUTANTS.replace("@type", name)).unwrap_or_else(|e| panic!("{}", said(&e)));
    // Two findings are the triggers that let the updates pass.
    let off = "guard_off /, guard_off /";
    let row = client
        .query_one(
            &format!(
                "SELECT count(*), count(*) FILTER (WHERE answer = '{off}, unreadable 1/1'),
                        count(*) FILTER (WHERE answer = '{off}, value_changed 1/1'), count(*) FILTER (WHERE answer = '{off}'),
                        string_agg(DISTINCT answer, '; ')
                 FROM answers"
            ),
            &[],
        )
        .unwrap_or_else(|e| panic!("{}", said(&e)));
    let (all, unreadable, changed, same): (i64, i64, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let kinds: String = row.get(4);
    assert_eq!(all, unreadable + changed + same, "{type_name} {value}: {kinds}");
    // What prints as before is padding, or a flag that printing does not look at.
    assert!(unreadable > 0 && all > 0, "{type_name} {value}: {unreadable}, {changed}, {same}");
}

fn tail(db: &Database<'_>) -> String {
    let log = db.cluster().log_contents();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Types are apart, so that one that crashes does not hide the others.
macro_rules! survivors {
    ($($name:ident: $($type:literal = $value:literal),+;)+) => {
        $(#[test]
        fn $name() {
            let cluster = Cluster::builder().setting("restart_after_crash", "off").start();
            $(survives(&cluster, $type, $value);)+
        })+
    };
}

survivors! {
    a29_jsonb_objects_and_arrays: "jsonb" = r#"'{"a": [1, "x", null, true, {"b": 1.5e10}], "cc": "text", "ddd": -3.25}'"#,
        "jsonb" = "'[]'", "jsonb" = "'7.25'";
    a29_jsonb_with_offsets: "jsonb" = "(SELECT jsonb_agg(i) FROM generate_series(1, 40) AS i)";
    a29_numerics: "numeric" = "12345.6789", "numeric" = "'NaN'", "numeric" = "1e-200 + 3e80";
    a29_addresses_and_bits: "inet" = "'10.1.2.3/8'", "inet" = "'2001:db8::1/64'", "varbit" = "B'101101110111'";
    a29_arrays_of_integers: "int4[]" = "'{{1,NULL},{3,4}}'", "int8[]" = "'[5:6]={1,2}'";
    a29_arrays_of_varlenas: "text[]" = "'{a,bb,NULL,\"c d\"}'", "numeric[]" = "'{1.5,NULL,22.75}'";
    a29_arrays_of_jsonb: "jsonb[]" = r#"ARRAY['{"a": [1, 2]}', 'null']::jsonb[]"#;
    a29_ranges: "int4range" = "'[1,10)'", "int8range" = "'[1,10)'", "numrange" = "'[1.5,22.75]'", "daterange" = "'[2026-01-01,)'";
    a29_multiranges: "int4multirange" = "'{[1,3),[5,7),[9,11),[13,15),[17,19)}'", "nummultirange" = "'{[1.5,2),[3,4.25]}'";
}
