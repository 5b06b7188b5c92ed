//! Partitioned logs: every leaf a segment, new partitions protected by themselves.

use super::{assert_intact, assert_untouched, refused, run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// RANGE by day over LIST by tenant over RANGE again, with a DEFAULT, and a leaf at every level.
const TREE: &str = "CREATE TABLE t (day date NOT NULL, tenant text, n int) PARTITION BY RANGE (day);
    CREATE TABLE t_2025 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE t_2026 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (tenant);
    CREATE TABLE t_2026_a PARTITION OF t_2026 FOR VALUES IN ('a');
    CREATE TABLE t_2026_b PARTITION OF t_2026 FOR VALUES IN ('b') PARTITION BY RANGE (n);
    CREATE TABLE t_2026_b_low PARTITION OF t_2026_b FOR VALUES FROM (0) TO (10);
    CREATE TABLE t_2026_rest PARTITION OF t_2026 DEFAULT;";

const ROWS: &str =
    "INSERT INTO t (day, tenant, n) VALUES ('2025-05-05', 'a', 1), ('2026-05-05', 'a', 2), ('2026-05-05', 'b', 3),
    ('2026-05-05', 'c', 4), ('2026-05-06', 'b', 5), ('2025-05-06', 'b', 6)";

fn tree(name: &str, before: &str) -> (Database<'static>, Client) {
    let db = fresh_db(name);
    let mut client = db.client();
    run(&mut client, TREE);
    run(&mut client, before);
    run(&mut client, "SELECT notary.protect('t')");
    (db, client)
}

/// The segments' tables with their numbers.
fn segments(client: &mut Client) -> Vec<String> {
    texts(
        client,
        "SELECT (h ->> 'segment') || ' ' || (h ->> 'table') FROM (SELECT notary.header('t')::jsonb AS h) AS x",
    )
}

#[test]
fn every_leaf_is_a_segment_and_rows_are_routed_into_them() {
    let (_db, mut client) = tree("partitions_tree", ROWS);
    assert_eq!(segments(&mut client), ["1 t_2025", "2 t_2026_a", "3 t_2026_rest", "4 t_2026_b_low"], "level by level");
    assert_intact(&mut client, "t", 6);
    run(&mut client, ROWS);
    run(&mut client, "INSERT INTO t_2026_a (day, tenant, n) VALUES ('2026-01-01', 'a', 9)");
    run(&mut client, "INSERT INTO t_2026 (day, tenant, n) VALUES ('2026-01-01', 'z', 9)");
    assert_intact(&mut client, "t", 14);
    let placed = "SELECT tableoid::regclass || ' ' || string_agg(notary_seq::text, ',' ORDER BY notary_seq) FROM t
                  GROUP BY tableoid, notary_chain ORDER BY 1";
    assert_eq!(
        texts(&mut client, placed),
        ["t_2025 1,2,3,4", "t_2026_a 1,2,3", "t_2026_b_low 1,2,3,4", "t_2026_rest 1,2,3"]
    );
    let one_log = "SELECT count(DISTINCT h::jsonb ->> 'log') FROM notary.header('t') AS h";
    assert_eq!(texts(&mut client, one_log), ["1"]);
    for sql in
        ["UPDATE t SET n = 0", "DELETE FROM t_2026", "TRUNCATE t_2026_b", "UPDATE t_2025 SET n = 0", "TRUNCATE t"]
    {
        assert_eq!(refused(&mut client, sql).code, "55000", "{sql}");
    }
    // A row that would move to another partition changes, too.
    assert_eq!(refused(&mut client, "UPDATE t SET day = '2025-01-01' WHERE n = 2").code, "55000");
}

#[test]
fn an_empty_tree_without_partitions_becomes_a_log() {
    let db = fresh_db("partitions_none");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int) PARTITION BY RANGE (a); SELECT notary.protect('t')");
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (1)").code, "23514");
    assert_intact(&mut client, "t", 0);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.logs WHERE log = 't'::regclass"), ["1"]);
    run(&mut client, "CREATE TABLE leaf PARTITION OF t DEFAULT; INSERT INTO t VALUES (1)");
    assert_intact(&mut client, "t", 1);
}

#[test]
fn new_partitions_are_protected_by_themselves_however_they_are_made() {
    let (_db, mut client) = tree("partitions_new", "");
    let new = [
        "CREATE TABLE t_2024 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "CREATE TABLE t_rest PARTITION OF t DEFAULT",
        "CREATE TABLE t_2026_b_high PARTITION OF t_2026_b FOR VALUES FROM (10) TO (20)",
        "CREATE TABLE t_2026_d PARTITION OF t_2026 FOR VALUES IN ('d') PARTITION BY LIST (n)",
        "CREATE TABLE t_2026_d_1 PARTITION OF t_2026_d FOR VALUES IN (1)",
        "CREATE SCHEMA s CREATE TABLE t_2023 PARTITION OF public.t FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')",
        "CREATE TABLE IF NOT EXISTS t_2022 PARTITION OF t FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
        "CREATE TABLE IF NOT EXISTS t_2022 PARTITION OF t FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
        "DO $$ BEGIN EXECUTE 'CREATE TABLE t_2021 PARTITION OF t FOR VALUES FROM (''2021-01-01'') TO (''2022-01-01'')'; END $$",
        "CREATE TABLE t_2020 (LIKE t); ALTER TABLE t ATTACH PARTITION t_2020 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE t_2019 (LIKE t) PARTITION BY LIST (n); CREATE TABLE t_2019_1 PARTITION OF t_2019 FOR VALUES IN (1);
         ALTER TABLE t ATTACH PARTITION t_2019 FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')",
    ];
    for sql in new {
        run(&mut client, sql);
        notary_tests::verdict::assert_found(&mut client, "t", &[]);
    }
    run(
        &mut client,
        "INSERT INTO t (day, tenant, n) SELECT make_date(year, 6, 1), tenant, n
         FROM unnest(ARRAY[2018, 2020, 2021, 2022, 2023, 2024, 2025]) AS year, unnest(ARRAY['a', 'b']) AS tenant, unnest(ARRAY[1, 2]) AS n;
         INSERT INTO t (day, tenant, n) VALUES ('2019-06-01', 'a', 1), ('2026-06-01', 'b', 11), ('2026-06-01', 'd', 1)",
    );
    assert_intact(&mut client, "t", 31);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM t WHERE notary_hash IS NULL"), ["0"]);
    let numbers = "SELECT string_agg(h::jsonb ->> 'segment', ' ') FROM notary.header('t') AS h";
    assert_eq!(texts(&mut client, numbers), ["1 2 3 4 5 6 7 8 9 10 11 12 13"]);
    let journal = "SELECT count(*) FROM notary.journal WHERE action = 'protect' AND relation <> 'notary.journal'";
    assert_eq!(texts(&mut client, journal), ["13"]);
    assert_eq!(refused(&mut client, "UPDATE s.t_2023 SET n = 0").code, "55000");
}

#[test]
fn a_new_partition_that_is_rolled_back_leaves_its_number_to_the_next() {
    let (_db, mut client) = tree("partitions_rollback", "");
    run(
        &mut client,
        "BEGIN; CREATE TABLE x PARTITION OF t DEFAULT; INSERT INTO t (day) VALUES ('1999-01-01'); ROLLBACK",
    );
    run(&mut client, "CREATE TABLE y PARTITION OF t DEFAULT; INSERT INTO t (day) VALUES ('1999-01-01')");
    assert_eq!(segments(&mut client)[4..], ["5 y"]);
    assert_intact(&mut client, "t", 1);
}

#[test]
fn attaching_rows_is_refused_with_a_hint_and_attaching_without_the_columns_by_postgresql() {
    let (_db, mut client) = tree("partitions_attach", "");
    let bounds = "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')";
    run(&mut client, "CREATE TABLE full_one (LIKE t); INSERT INTO full_one (day) VALUES ('2024-05-05')");
    let error = refused(&mut client, &format!("ALTER TABLE t ATTACH PARTITION full_one {bounds}"));
    assert_eq!(
        error.to_string(),
        "55000: attaching public.full_one is refused: public.t is an append-only log\n\
         DETAIL: It has rows, which would enter the log unseen.\n\
         HINT: Attach an empty table and INSERT the rows through the log, or unprotect the log, attach, and protect again. \
         Otherwise its owner can run: SELECT notary.unprotect('public.t', 'why')"
    );
    // Rows deeper down are rows.
    run(
        &mut client,
        "CREATE TABLE deep (LIKE t) PARTITION BY LIST (n); CREATE TABLE deep_1 PARTITION OF deep FOR VALUES IN (1);
         INSERT INTO deep (day, n) VALUES ('2024-05-05', 1)",
    );
    assert_eq!(refused(&mut client, &format!("ALTER TABLE t ATTACH PARTITION deep {bounds}")).code, "55000");
    run(&mut client, "CREATE TABLE bare (day date NOT NULL, tenant text, n int)");
    let error = refused(&mut client, &format!("ALTER TABLE t ATTACH PARTITION bare {bounds}"));
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("42804", "child table is missing column \"notary_chain\"")
    );
    // Deleted rows are no rows.
    run(&mut client, "TRUNCATE full_one");
    run(&mut client, &format!("ALTER TABLE t ATTACH PARTITION full_one {bounds}"));
    run(&mut client, "INSERT INTO t (day) VALUES ('2024-05-05')");
    assert_intact(&mut client, "t", 1);
}

#[test]
fn a_partition_that_could_not_be_a_log_is_refused_later_too() {
    let (_db, mut client) = tree("partitions_refused", "");
    let bounds = "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')";
    run(
        &mut client,
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
         CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
         CREATE FOREIGN TABLE distant (day date NOT NULL, tenant text, n int, notary_chain int, notary_seq bigint,
             notary_time timestamptz, notary_prev bytea, notary_hash bytea) SERVER s;
         CREATE TABLE ruled (LIKE t); CREATE RULE quiet AS ON INSERT TO ruled DO INSTEAD NOTHING;
         CREATE TABLE customer (id int PRIMARY KEY);
         CREATE TABLE keyed (LIKE t); ALTER TABLE keyed ADD FOREIGN KEY (n) REFERENCES customer ON DELETE CASCADE;
         CREATE TABLE triggered (LIKE t); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER \"~zzz\" BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION f();
         CREATE TABLE another (LIKE t); SELECT notary.protect('another')",
    );
    for (sql, code) in [
        ("CREATE TABLE x PARTITION OF t {} PARTITION BY HASH (n)", "42809"),
        ("CREATE UNLOGGED TABLE x PARTITION OF t {}", "42809"),
        ("CREATE FOREIGN TABLE x PARTITION OF t {} SERVER s", "55000"),
        ("CREATE TABLE x PARTITION OF t {} USING other", "42809"),
        ("ALTER TABLE t ATTACH PARTITION distant {}", "55000"),
        ("ALTER TABLE t ATTACH PARTITION ruled {}", "42809"),
        ("ALTER TABLE t ATTACH PARTITION keyed {}", "42809"),
        ("ALTER TABLE t ATTACH PARTITION triggered {}", "42809"),
        ("ALTER TABLE t ATTACH PARTITION another {}", "55000"),
    ] {
        let error = refused(&mut client, &sql.replace("{}", bounds));
        assert_eq!(error.code, code, "{sql}: {error}");
        assert!(!error.detail.is_empty() && !error.hint.is_empty(), "{sql}: {error}");
    }
    let error = refused(&mut client, &format!("ALTER TABLE t ATTACH PARTITION another {bounds}"));
    assert_eq!(
        error.to_string(),
        "55000: ATTACH PARTITION is refused: public.another is an append-only log\n\
         DETAIL: It is a log of its own, and would become a part of another one.\n\
         HINT: To end the protection, its owner can run: SELECT notary.unprotect('public.another', 'why')"
    );
    assert_eq!(segments(&mut client).len(), 4);
    notary_tests::verdict::assert_found(&mut client, "t", &[]);
}

#[test]
fn an_ordinary_owner_adds_partitions_to_his_log() {
    let db = fresh_db("partitions_owner");
    let mut client = db.client_as(&db.role("owner"));
    run(&mut client, TREE);
    run(&mut client, "SELECT notary.protect('t'); CREATE TABLE rest PARTITION OF t DEFAULT");
    run(&mut client, "INSERT INTO t (day) VALUES ('1999-01-01')");
    assert_intact(&mut client, "t", 1);
}

#[test]
fn partitions_of_tables_that_are_no_logs_are_nobodys_business() {
    let db = fresh_db("partitions_others");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE l (a int); SELECT notary.protect('l');
         CREATE TABLE u (a int, m money) PARTITION BY HASH (a);
         CREATE TABLE u_0 PARTITION OF u FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         CREATE TEMP TABLE x (a int) PARTITION BY LIST (a); CREATE TEMP TABLE y PARTITION OF x DEFAULT",
    );
    assert_untouched(&mut client, "u_0");
}

#[test]
fn unprotecting_frees_the_whole_tree_and_protecting_again_goes_on() {
    let (_db, mut client) = tree("partitions_again", ROWS);
    run(&mut client, "SELECT notary.unprotect('t', 'a new year')");
    let triggers =
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~notary%' AND tgrelid <> 'notary.journal'::regclass";
    assert_eq!(texts(&mut client, triggers), ["0"]);
    run(
        &mut client,
        "CREATE TABLE t_2024 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
         INSERT INTO t (day) VALUES ('2024-05-05'), ('2025-05-05')",
    );
    run(&mut client, "SELECT notary.protect('t')");
    assert_intact(&mut client, "t", 8);
    run(&mut client, "INSERT INTO t (day) VALUES ('2024-05-05'), ('2025-05-05')");
    assert_intact(&mut client, "t", 10);
    let one_log = "SELECT count(DISTINCT h::jsonb ->> 'log') || ' ' || count(*) FROM notary.header('t') AS h";
    assert_eq!(texts(&mut client, one_log), ["1 9"], "four old segments, five new ones");
    let old = "SELECT string_agg(notary_chain || '/' || notary_seq, ' ' ORDER BY notary_chain, notary_seq) FROM t_2025";
    assert_eq!(texts(&mut client, old), ["1/1 1/2 2/1 2/2"]);
}

#[test]
fn max_chains_holds_for_new_partitions() {
    let db = fresh_db("partitions_max");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE one PARTITION OF t FOR VALUES IN (1);
         SELECT notary.protect('t', 1); CREATE TABLE two PARTITION OF t FOR VALUES IN (2)",
    );
    for leaf in ["1", "2"] {
        let mut holder = db.client();
        run(&mut holder, &format!("BEGIN; INSERT INTO t VALUES ({leaf})"));
        run(&mut client, "SET lock_timeout = '100ms'");
        assert_eq!(refused(&mut client, &format!("INSERT INTO t VALUES ({leaf})")).code, "55P03", "leaf {leaf}");
        run(&mut holder, "COMMIT");
    }
    assert_intact(&mut client, "t", 2);
}

#[test]
fn a_partition_that_generates_what_is_inserted_elsewhere_is_refused() {
    let db = fresh_db("partitions_generated");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int, b text) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
         SELECT notary.protect('t'); CREATE TABLE t2 (LIKE t1); ALTER TABLE t2 DROP COLUMN b;
         ALTER TABLE t2 ADD COLUMN b text GENERATED ALWAYS AS ('q') STORED",
    );
    let error = refused(&mut client, "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES IN (2)");
    // PostgreSQL 16 and later refuse it themselves.
    let words = ["Its column \"b\" is generated, and that of public.t is not.", "generated column"];
    assert!(words.iter().any(|w| error.detail.contains(w) || error.message.contains(w)), "{error}");
}

/// An everyday migration: the column's default is remembered in the catalog, and no row has it.
#[test]
fn a_column_that_was_added_with_a_default_is_no_alarm_where_there_are_no_rows() {
    let db = fresh_db("added_default");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE parts (x int) PARTITION BY RANGE (x);
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
             ALTER TABLE parts ADD COLUMN z int DEFAULT 4; SELECT notary.protect('parts');
             CREATE TABLE plain (x int); INSERT INTO plain VALUES (1); ALTER TABLE plain ADD COLUMN h int DEFAULT 5;
             DELETE FROM plain; SELECT notary.protect('plain');
             SELECT notary.unprotect('plain', 'test'); ALTER TABLE plain ADD COLUMN i int DEFAULT 6;
             SELECT notary.protect('plain');
             CREATE TABLE parts_2 (LIKE parts_1); ALTER TABLE parts_2 DROP COLUMN z; ALTER TABLE parts_2 ADD COLUMN z int DEFAULT 4;
             ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20);
             INSERT INTO parts (x) VALUES (1), (11); INSERT INTO plain (x) VALUES (2)",
        )
        .unwrap();
    for log in ["parts", "plain"] {
        notary_tests::verdict::assert_found(&mut db.client(), log, &[]);
    }
}

#[test]
fn a_key_by_a_function_of_users_is_refused() {
    let db = fresh_db("own_key");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 100';
             CREATE TABLE parts (x int) PARTITION BY RANGE (f(x));
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (100) TO (200);
             CREATE TABLE own (x int) PARTITION BY RANGE ((x + 1)); SELECT notary.protect('own')",
        )
        .unwrap();
    let error = notary_tests::err(client.batch_execute("SELECT notary.protect('parts')"));
    assert_eq!(error.code, "42809");
    assert!(error.detail.contains("Its partition key calls a function"), "{error}");
    // A partition that is partitioned again is asked too.
    let below = "CREATE TABLE below PARTITION OF own FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (f(x))";
    let made = client.batch_execute(below);
    let leaf = client.batch_execute("CREATE TABLE leaf PARTITION OF below FOR VALUES FROM (0) TO (200)");
    assert!(made.is_err() || leaf.is_err(), "one of them is refused");
}
