//! Values of every type: an event says them as `to_jsonb` does, whatever the session's settings.

use crate::{events, scene, since};
use notary_tests::talk::{run, texts};
use notary_tests::verdict::assert_found;

/// Types and values of them; each is inserted, and compared with what `to_jsonb` makes of it.
const VALUES: [(&str, &[&str]); 35] = [
    ("bool", &["true", "false"]),
    ("int2", &["-32768", "32767"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    (
        "numeric",
        &[
            "0",
            "1.50",
            "-0.000",
            "1e100",
            "123456789012345678901234567890.123456789",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
        ],
    ),
    ("numeric(10,3)", &["1.5", "'NaN'"]),
    ("float4", &["1.1", "-0", "'NaN'", "'Infinity'", "1e-40"]),
    ("float8", &["0.1", "1e308", "-0", "'NaN'", "'-Infinity'", "5e-324"]),
    ("money", &["'12.34'"]),
    ("text", &["''", "'é\"\\/漢\u{1}\n\t'", "'\u{10ffff}'", "repeat('x', 5000)"]),
    ("varchar(5)", &["'ab'"]),
    ("char(5)", &["'ab'"]),
    ("name", &["'a name'"]),
    ("bytea", &["''", "'\\x00ff'", "decode(repeat('ab', 3000), 'hex')"]),
    ("uuid", &["'6F1C2B1E0A0B4C0D8E0F00112233AABB'"]),
    ("inet", &["'10.0.0.1'", "'10.0.0.0/8'", "'2001:db8::/32'"]),
    ("cidr", &["'10.0.0.0/8'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("bit(4)", &["B'1010'"]),
    ("varbit", &["B''", "B'101'"]),
    (
        "json",
        &[
            "'{\"b\": 1, \"a\": [1.50, null], \"b\": 2}'",
            "'\"text\"'",
            "'null'",
            "'1e5'",
            "' [ 1 ] '",
            "'\"\\ud83d\\ude00\"'",
        ],
    ),
    (
        "jsonb",
        &["'{\"b\": 1, \"a\": [1.50, null]}'", "'1e1000'", "'null'", "'\"é\"'", "'123456789012345678901234567890.10'"],
    ),
    ("int[]", &["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[5:6]={1,2}'"]),
    ("text[]", &["'{\"a,b\",\"\\\"\",NULL,\"NULL\"}'"]),
    ("numeric[]", &["'{1.50,NaN}'"]),
    ("jsonb[]", &["ARRAY['{\"a\": 1}'::jsonb]"]),
    ("mood", &["'happy'", "'so so'"]),
    ("mood[]", &["'{happy}'"]),
    ("pair", &["ROW(1, 'x')", "ROW(NULL, NULL)"]),
    ("positive", &["5"]),
    ("int4range", &["'[1,5)'", "'empty'", "'(,5)'"]),
    ("int4multirange", &["'{[1,2),[5,6)}'"]),
    ("point", &["'(1,2)'"]),
    ("tsvector", &["'a:1 b'"]),
    ("xml", &["'<a>é</a>'"]),
    ("pg_lsn", &["'0/16B3748'"]),
];

/// Settings that change what output functions write.
const ODD: &str = "SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kolkata'; SET intervalstyle = 'postgres_verbose'; SET extra_float_digits = -5;
                   SET bytea_output = 'escape'; SET lc_monetary = 'C'; SET xmloption = 'content';";

#[test]
fn values_are_what_to_jsonb_makes_of_them() {
    let db = scene("values");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TYPE mood AS ENUM ('happy', 'so so'); CREATE TYPE pair AS (a int, b text);
         CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    );
    for (number, (type_name, values)) in VALUES.iter().enumerate() {
        run(
            &mut client,
            &format!(
                "CREATE TABLE t{number} (id int PRIMARY KEY, v {type_name}); SELECT notary.track('t{number}', 'audit')"
            ),
        );
        for (id, value) in values.iter().enumerate() {
            run(
                &mut client,
                &format!(
                    "RESET ALL; {} INSERT INTO t{number} VALUES ({id}, {value}); RESET ALL",
                    if id % 2 == 1 { ODD } else { "" }
                ),
            );
            if id % 2 == 1 {
                run(&mut client, ODD);
                run(&mut client, &format!("INSERT INTO t{number} VALUES ({}, {value})", id + 100));
                run(&mut client, "RESET ALL");
            }
        }
        run(&mut client, &format!("INSERT INTO t{number} VALUES (99, NULL)"));
        let wrong = format!(
            "SELECT t.id || ': ' || coalesce(to_jsonb(v)::text, 'null') || ' but ' || coalesce((new_value -> 'v')::text, 'nothing')
             FROM t{number} AS t LEFT JOIN audit ON resource_type = 'public.t{number}' AND resource_id = t.id::text
             WHERE new_value -> 'v' IS DISTINCT FROM coalesce(to_jsonb(v), 'null') OR new_value ->> 'id' <> t.id::text"
        );
        // Numbers that JSON has no word for are strings, as to_jsonb has it; -0 has no sign in jsonb.
        assert_eq!(texts(&mut client, &wrong), [""; 0], "{type_name}");
        // And said again when it goes.
        run(&mut client, ODD);
        run(&mut client, &format!("DELETE FROM t{number}"));
        run(&mut client, "RESET ALL");
        let other = format!(
            "SELECT i.resource_id FROM audit AS i JOIN audit AS d ON d.resource_id = i.resource_id AND d.action = 'public.t{number}.delete'
             WHERE i.action = 'public.t{number}.insert' AND i.new_value IS DISTINCT FROM d.old_value"
        );
        assert_eq!(texts(&mut client, &other), [""; 0], "{type_name}");
    }
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn times_read_the_same_under_all_settings() {
    let db = scene("times");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE t (id int, a timestamptz, b timestamp, c date, d time, e timetz, f interval, g tstzrange, h timestamptz[]);
         SELECT notary.track('t', 'audit')",
    );
    let insert = "INSERT INTO t VALUES (1, '2026-11-20 16:07:00.5+00', '2026-11-20 16:07:00', '2026-11-20', '16:07', '16:07+02',
                  '1 year 2 days 03:00', '[2026-11-20 00:00+00,)', ARRAY['2026-11-20 16:07+00', 'infinity']::timestamptz[]),
                  (2, 'infinity', '-infinity', 'infinity', '24:00', '00:00-15', '-1 day', 'empty', '{}'),
                  (3, '0044-03-15 12:00:00+00 BC', '0001-01-01 BC', '0044-03-15 BC', '00:00', '00:00+00', '0', NULL, NULL)";
    run(&mut client, insert);
    let first = since(&mut client, &mut mark);
    assert!(first[0].contains(r#""a": "2026-11-20T16:07:00.5"#), "{}", first[0]);
    for settings in [
        "SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kolkata'",
        "SET datestyle = 'German'; SET timezone = 'America/New_York'; SET intervalstyle = 'iso_8601'",
        "SET datestyle = 'Postgres, MDY'; SET timezone = 'Pacific/Chatham'; SET intervalstyle = 'sql_standard'",
    ] {
        run(&mut client, settings);
        // The text is the same, since ISO is read under all settings.
        run(&mut client, insert);
        assert_eq!(since(&mut client, &mut mark), first, "{settings}");
        run(&mut client, "DELETE FROM t WHERE ctid NOT IN (SELECT min(ctid) FROM t GROUP BY id)");
        since(&mut client, &mut mark);
        run(&mut client, "UPDATE t SET id = id + 10; UPDATE t SET id = id - 10; DELETE FROM t");
        let deleted: Vec<_> =
            since(&mut client, &mut mark).into_iter().filter(|event| event.contains("delete")).collect();
        let said: Vec<_> = deleted.iter().map(|event| event.replace("t.delete - ", "").replace(" >", "")).collect();
        let before: Vec<_> = first.iter().map(|event| event.replace("t.insert - > ", "")).collect();
        assert_eq!(said, before, "{settings}");
        run(&mut client, "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'");
        run(&mut client, insert);
        assert_eq!(since(&mut client, &mut mark), first);
    }
}

/// jsonb takes less than json: what it refuses is written as text, and nothing that an application may store is refused.
#[test]
fn json_that_jsonb_refuses_is_text() {
    let db = scene("json");
    let (mut client, mut mark) = (db.client(), 0);
    run(&mut client, "CREATE TABLE j (v json); SELECT notary.track('j', 'audit')");
    for (json, embedded) in [
        (r#""\u0000""#, false),
        (r#"{"a": ["b\u0000"]}"#, false),
        (r#"{"\u0000": 1}"#, false),
        (r#""\\u0000""#, true),
        (r#""\\\u0000""#, false),
        (r#""\ud800""#, false),
        (r#""\udc00""#, false),
        (r#""\ud83d\ude00""#, true),
        (r#""\ud83d\ud83d\ude00""#, false),
        (r#""\ud83dx\ude00""#, false),
        (r#""\ud83d\n\ude00""#, false),
        (r#"["\ud83d", "\ude00"]"#, false),
        (r#""\uD83D\uDE00 \" \/ \b""#, true),
        ("1e200000", false),
        ("-1E-200000", false),
        ("1e99999999999999999999", false),
        ("1e400", true),
        (r#"{"e": "1e200000", "true": [true, false, null]}"#, true),
        ("", true),
    ] {
        let json = if json.is_empty() { format!("[{}]", "9".repeat(20_000)) } else { json.to_owned() };
        let embedded = embedded && json.len() < 1000;
        client.execute("INSERT INTO j VALUES ($1::text::json)", &[&json]).unwrap_or_else(|e| panic!("{json}: {e}"));
        since(&mut client, &mut mark);
        let said = client
            .query_one(
                "SELECT CASE WHEN $2 THEN new_value -> 'v' = $1::text::jsonb ELSE new_value ->> 'v' = $1 AND jsonb_typeof(new_value -> 'v') = 'string' END
                 FROM audit ORDER BY id DESC LIMIT 1",
                &[&json, &embedded],
            );
        // The query itself casts to jsonb only what is embedded.
        match said {
            Ok(row) => assert!(row.get::<_, bool>(0), "{json}"),
            Err(e) => panic!("{json}: {e}"),
        }
    }
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn generated_columns_identity_and_defaults_are_said() {
    let db = scene("generated");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int DEFAULT 5, gone int, d int GENERATED ALWAYS AS (a * 2) STORED);
         ALTER TABLE g DROP COLUMN gone; SELECT notary.track('g', 'audit');
         INSERT INTO g DEFAULT VALUES; UPDATE g SET a = 6; ALTER TABLE g ADD COLUMN later int DEFAULT 7; UPDATE g SET a = 7; DELETE FROM g",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"g.insert 1 > {"a": 5, "d": 10, "id": 1}"#,
            r#"g.update 1 {"a": 5, "d": 10} > {"a": 6, "d": 12}"#,
            r#"g.update 1 {"a": 6, "d": 12} > {"a": 7, "d": 14}"#,
            // The row never had a value stored for the new column.
            r#"g.delete 1 {"a": 7, "d": 14, "id": 1, "later": 7} >"#,
        ]
    );
}

#[test]
fn a_long_value_is_said_only_when_it_changes() {
    let db = scene("toast");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, n int, long text, ext text); ALTER TABLE t ALTER long SET STORAGE EXTERNAL;
         ALTER TABLE t ALTER ext SET STORAGE EXTENDED; SELECT notary.track('t', 'audit');
         INSERT INTO t VALUES (1, 1, repeat('abc', 100000), repeat('d', 300000))",
    );
    since(&mut client, &mut mark);
    run(
        &mut client,
        "UPDATE t SET n = 2; UPDATE t SET n = 3, long = long; UPDATE t SET long = long || '', n = 4; UPDATE t SET ext = repeat('d', 300000)",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [r#"t.update 1 {"n": 1} > {"n": 2}"#, r#"t.update 1 {"n": 2} > {"n": 3}"#, r#"t.update 1 {"n": 3} > {"n": 4}"#]
    );
    run(&mut client, "UPDATE t SET long = long || 'x'");
    let said = since(&mut client, &mut mark);
    assert_eq!((said.len(), said[0].len() > 600_000, said[0].contains("\"ext\"")), (1, true, false));
    // A rewrite that compresses otherwise changes no value.
    run(&mut client, "ALTER TABLE t ALTER long SET STORAGE EXTENDED; UPDATE t SET long = long || ''");
    run(&mut client, "VACUUM FULL t");
    run(&mut client, "UPDATE t SET n = 5");
    assert_eq!(since(&mut client, &mut mark).len(), 1);
    run(&mut client, "DELETE FROM t");
    assert_eq!(
        texts(&mut client, "SELECT length(old_value ->> 'long') FROM audit ORDER BY id DESC LIMIT 1"),
        ["300001"]
    );
    assert_found(&mut client, "audit", &[]);
}

/// An UPDATE that leaves a long value alone does not read it, to see that it is the same.
#[test]
fn a_long_value_that_stays_is_not_read() {
    let db = scene("not_read");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, n int, long text); ALTER TABLE t ALTER long SET STORAGE EXTERNAL; SELECT notary.track('t', 'audit');
         INSERT INTO t SELECT i, 1, repeat('abc', 100000) FROM generate_series(1, 10) AS i",
    );
    let mut blocks = || -> i64 {
        run(&mut client, "SELECT pg_stat_force_next_flush()");
        run(&mut client, "UPDATE t SET n = n + 1");
        run(&mut client, "SELECT pg_stat_force_next_flush()");
        let read = "SELECT toast_blks_read + toast_blks_hit FROM pg_statio_user_tables WHERE relname = 't'";
        client.query_one(read, &[]).unwrap().get(0)
    };
    let before = blocks();
    let read = blocks() - before;
    // One value alone is 40 blocks long.
    assert!(read < 20, "{read} blocks of TOAST were read");
}

#[test]
fn texts_of_objects_and_of_money_depend_on_no_setting() {
    let db = scene("paths");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE SCHEMA s1; CREATE TABLE s1.tt (a int); CREATE TYPE pair AS (r regclass, n int);
         CREATE TABLE t (id int PRIMARY KEY, r regclass, rs regtype[], m money, p pair, secret regclass);
         SELECT notary.track('t', 'audit', pii => '{secret}')",
    );
    for path in ["public", "s1, public", "public, s1, pg_catalog"] {
        run(
            &mut client,
            &format!(
                "SET search_path = {path}; INSERT INTO public.t SELECT count(*), 's1.tt', '{{s1.tt,int4}}', 1.5, '(s1.tt,1)', 's1.tt' FROM public.t"
            ),
        );
    }
    let said = "SELECT DISTINCT (new_value - 'id')::text FROM public.audit WHERE action LIKE '%insert'";
    let all = texts(&mut client, said);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(
        all[0].contains(r#""p": {"n": 1, "r": "s1.tt"}, "r": "s1.tt""#)
            && all[0].contains(r#""rs": ["s1.tt", "integer"]"#),
        "{all:?}"
    );
}

#[test]
fn a_range_is_said_as_it_is_whatever_its_owner_casts_it_to() {
    let db = scene("casts");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TYPE trange AS RANGE (subtype = text); CREATE TABLE t (id int PRIMARY KEY, r trange, rs trange[]);
         SELECT notary.track('t', 'audit');
         CREATE FUNCTION tr_json(trange) RETURNS json LANGUAGE sql AS $$SELECT '\"nothing\"'::json$$;
         CREATE CAST (trange AS json) WITH FUNCTION tr_json(trange);
         INSERT INTO t VALUES (1, '[a,b)'); UPDATE t SET r = '[x,y)'",
    );
    let said = "SELECT concat(old_value, ' > ', new_value) FROM audit WHERE action LIKE '%update'";
    assert_eq!(texts(&mut client, said), [r#"{"r": "[a,b)"} > {"r": "[x,y)"}"#]);
    // In an array the cast is called, as to_jsonb calls it. What it changes in the same table is recorded like all else.
    run(
        &mut client,
        "CREATE OR REPLACE FUNCTION tr_json(trange) RETURNS json LANGUAGE plpgsql AS $$BEGIN
             IF (SELECT count(*) FROM t) < 3 THEN INSERT INTO t SELECT count(*) + 10, NULL, ARRAY[$1] FROM t; END IF;
             RETURN to_json(lower($1)); END$$;
         UPDATE t SET rs = '{\"[c,d)\"}'",
    );
    let said = "SELECT coalesce(resource_id, '') || ' ' || new_value::text FROM audit WHERE new_value ? 'rs' AND new_value ->> 'rs' IS NOT NULL ORDER BY new_value::text";
    assert_eq!(texts(&mut client, said).len(), 3);
}

/// docs/events.md: the event is there, and shows no difference.
#[test]
fn what_jsonb_does_not_tell_apart_looks_the_same() {
    let db = scene("same");
    let mut client = db.client();
    run(
        &mut client,
        r#"CREATE TABLE t (id int PRIMARY KEY, b jsonb, f float8, j json); SELECT notary.track('t', 'audit');
           INSERT INTO t VALUES (1, NULL, '-0', '{"a": 1, "a": 2}')"#,
    );
    let mut mark = events(&mut client).len();
    for (change, value) in [
        ("b = 'null'", r#"{"b": null}"#),
        ("f = '0'", r#"{"f": 0}"#),
        (r#"j = '{"a": 3, "a": 2}'"#, r#"{"j": {"a": 2}}"#),
        (r#"j = '{"a":3,"a":2}'"#, r#"{"j": {"a": 2}}"#),
    ] {
        run(&mut client, &format!("UPDATE t SET {change}"));
        let said: Vec<_> = since(&mut client, &mut mark).iter().map(|event| event.replace("-0", "0")).collect();
        assert_eq!(said, [format!("t.update 1 {value} > {value}")], "{change}");
    }
}
