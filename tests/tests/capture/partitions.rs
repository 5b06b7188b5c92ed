//! Partitioned tables: rows that move, partitions that come, and a TRUNCATE of one.

use crate::{scene, since};
use notary_tests::Database;
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;

/// Three levels; columns at other places than in the partitioned table.
const TABLES: &str = "
    CREATE TABLE p (id int, k text, email text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
    CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a');
    CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('b') PARTITION BY RANGE (id);
    CREATE TABLE p_b1 PARTITION OF p_b FOR VALUES FROM (0) TO (100);
    CREATE TABLE other (gone int, email text, k text NOT NULL, also_gone int, id int NOT NULL, PRIMARY KEY (id, k));
    ALTER TABLE other DROP COLUMN gone; ALTER TABLE other DROP COLUMN also_gone;
    ALTER TABLE p ATTACH PARTITION other FOR VALUES IN ('o');
    SELECT notary.track('p', 'audit', pii => '{email}')";

fn partitioned(name: &str) -> Database<'static> {
    let db = scene(name);
    run(&mut db.client(), TABLES);
    db
}

#[test]
fn rows_are_those_of_the_partitioned_table() {
    let db = partitioned("parts");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "INSERT INTO p VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'o', NULL); INSERT INTO p_a VALUES (4, 'a', NULL)",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"p.insert [1, "a"] > {"k": "a", "id": 1, "email": null}"#,
            r#"p.insert [2, "b"] > {"k": "b", "id": 2, "email": null}"#,
            r#"p.insert [3, "o"] > {"k": "o", "id": 3, "email": null}"#,
            r#"p.insert [4, "a"] > {"k": "a", "id": 4, "email": null}"#,
        ]
    );
    // A row that moves is deleted there and inserted here; one that stays is updated.
    run(
        &mut client,
        "UPDATE p SET k = 'o' WHERE id = 1; UPDATE p SET id = 5 WHERE id = 2; UPDATE other SET id = 6 WHERE id = 3",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"p.delete [1, "a"] {"k": "a", "id": 1, "email": null} >"#,
            r#"p.insert [1, "o"] > {"k": "o", "id": 1, "email": null}"#,
            r#"p.update [2, "b"] {"id": 2} > {"id": 5}"#,
            r#"p.update [3, "o"] {"id": 3} > {"id": 6}"#,
        ]
    );
    run(&mut client, "DELETE FROM p WHERE id = 6");
    assert_eq!(since(&mut client, &mut mark), [r#"p.delete [6, "o"] {"k": "o", "id": 6, "email": null} >"#]);
    assert_eq!(texts(&mut client, "SELECT DISTINCT resource_type FROM audit"), ["public.p"]);
    assert_eq!(texts(&mut client, r#"SELECT "table"::text || coalesce(problem, '') FROM notary.tracked"#), ["p"]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_truncate_says_what_it_emptied() {
    let db = partitioned("truncated");
    let mut client = db.client();
    let mut emptied = |sql: &str| {
        let before: i64 = client.query_one("SELECT count(*) FROM audit", &[]).unwrap().get(0);
        run(&mut client, sql);
        let sql =
            format!("SELECT action || ' ' || coalesce(resource_name, 'all') FROM audit ORDER BY id OFFSET {before}");
        let mut said = texts(&mut client, &sql);
        said.sort();
        said
    };
    assert_eq!(emptied("TRUNCATE p_a"), ["public.p.truncate public.p_a"]);
    assert_eq!(emptied("TRUNCATE p_b"), ["public.p.truncate public.p_b", "public.p.truncate public.p_b1"]);
    assert!(emptied("TRUNCATE p").contains(&"public.p.truncate all".to_owned()));
}

#[test]
fn new_partitions_are_tracked_from_their_first_row() {
    let db = partitioned("new_parts");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE p_c PARTITION OF p FOR VALUES IN ('c'); INSERT INTO p VALUES (1, 'c', 'x@example.com');
         CREATE TABLE p_b2 PARTITION OF p_b FOR VALUES FROM (100) TO (200); INSERT INTO p_b2 VALUES (100, 'b', 'x@example.com');
         CREATE TABLE whole (id int NOT NULL, k text NOT NULL, email text, PRIMARY KEY (id, k)) PARTITION BY RANGE (id);
         CREATE TABLE whole_1 PARTITION OF whole DEFAULT; ALTER TABLE p ATTACH PARTITION whole FOR VALUES IN ('w');
         INSERT INTO whole_1 VALUES (7, 'w', 'x@example.com');
         CREATE SCHEMA s CREATE TABLE p_d PARTITION OF public.p FOR VALUES IN ('d'); INSERT INTO p VALUES (8, 'd', 'x@example.com')",
    );
    let said = since(&mut client, &mut mark);
    assert_eq!(said.len(), 4, "{said:#?}");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE new_value::text ~ 'example'"), ["0"]);
    assert_eq!(texts(&mut client, "SELECT count(DISTINCT new_value ->> 'email') FROM audit"), ["1"]);
    for (table, count) in [("p_c", 1), ("p_b2", 1), ("whole_1", 1), ("whole", 2), ("s.p_d", 1)] {
        run(&mut client, &format!("TRUNCATE {table}"));
        assert_eq!(since(&mut client, &mut mark).len(), count, "{table}");
    }
    assert_eq!(texts(&mut client, r#"SELECT problem FROM notary.tracked"#), ["NULL"]);
    // PII under its new name, in every partition.
    run(
        &mut client,
        "ALTER TABLE p RENAME email TO mail; INSERT INTO p VALUES (1, 'a', 'y@example.com'), (1, 'b', 'y@example.com'), (1, 'w', 'y@example.com')",
    );
    run(
        &mut client,
        "CREATE TABLE p_e PARTITION OF p FOR VALUES IN ('e'); INSERT INTO p VALUES (1, 'e', 'y@example.com')",
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE new_value::text ~ 'example'"), ["0"]);
    assert_eq!(
        texts(
            &mut client,
            "SELECT count(*) FROM audit WHERE new_value ->> 'mail' ~ '^hmac:' AND pii_fields = '{mail}'"
        ),
        ["4"]
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn partitions_neither_leave_nor_are_named_alone() {
    let db = partitioned("leaving");
    let mut client = db.client();
    run(&mut client, "INSERT INTO p VALUES (1, 'a', NULL)");
    for sql in [
        "ALTER TABLE p DETACH PARTITION p_a",
        "ALTER TABLE p DETACH PARTITION p_a CONCURRENTLY",
        "ALTER TABLE p_b DETACH PARTITION p_b1",
        "DROP TABLE p_a",
        "DROP TABLE p",
        "DROP TABLE p_b CASCADE",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
        assert!(
            error.message.contains("public.p ") || error.message.ends_with("public.p are tracked"),
            "{sql}: {error}"
        );
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), ["0"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM p"), ["1"]);
    assert_eq!(refused(&mut client, "SELECT notary.track('p_a', 'audit')").code, "55000");
    assert_eq!(refused(&mut client, "SELECT notary.untrack('p_a', 'x')").code, "42809");
    // A table that is tracked by itself does not become a part of another.
    run(
        &mut client,
        "CREATE TABLE own (id int NOT NULL, k text NOT NULL, email text, PRIMARY KEY (id, k)); SELECT notary.track('own', 'audit')",
    );
    refused(&mut client, "ALTER TABLE p ATTACH PARTITION own FOR VALUES IN ('own')");
    run(
        &mut client,
        "SELECT notary.untrack('p', 'a test'); ALTER TABLE p DETACH PARTITION p_a; DROP TABLE p_a; INSERT INTO p VALUES (1, 'b', 'x')",
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('p'::regclass, 'p_b'::regclass, 'p_b1'::regclass, 'other'::regclass)
        AND tgname ~ 'notary'"), ["0"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["1"]);
    assert_found(&mut client, "audit", &[]);
}

/// Nobody may execute notary.capture(), and PostgreSQL asks for that where it copies a trigger to a partition.
#[test]
fn an_owner_who_is_no_superuser_makes_and_attaches_partitions() {
    let db = scene("owned");
    let owner = db.role("owner");
    let (mut client, mut mark) = (db.client(), 0);
    run(&mut client, &format!("GRANT INSERT ON audit TO \"{owner}\""));
    let mut owning = db.client_as(&owner);
    run(&mut owning, TABLES);
    run(
        &mut owning,
        "CREATE TABLE p_c PARTITION OF p FOR VALUES IN ('c'); INSERT INTO p VALUES (1, 'c', 'x@example.com');
         CREATE TABLE p_d (id int NOT NULL, k text NOT NULL, email text, PRIMARY KEY (id, k)); INSERT INTO p_d VALUES (2, 'd', 'x');
         ALTER TABLE p ATTACH PARTITION p_d FOR VALUES IN ('d'); UPDATE p SET email = 'y@example.com' WHERE id = 2; TRUNCATE p_d",
    );
    let said: Vec<_> = since(&mut client, &mut mark).iter().map(|e| e.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(said, ["p.insert", "p.update", "p.truncate"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit AS e WHERE e::text ~ 'example'"), ["0"]);
    assert_eq!(texts(&mut client, "SELECT problem FROM notary.tracked"), ["NULL"]);
    // Each table has its own, and PostgreSQL copies none.
    assert_eq!(texts(&mut client, "SELECT count(*) FROM pg_trigger WHERE tgparentid <> 0"), ["0"]);
    let borrow = "CREATE TRIGGER t AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION notary.capture('log=x', 'pii=[]', 'exclude=[]', 'full_rows=false')";
    assert_eq!(refused(&mut owning, borrow).code, "42501");
    run(
        &mut owning,
        "SELECT notary.untrack('p', 'a test'); ALTER TABLE p DETACH PARTITION p_d; INSERT INTO p_d VALUES (3, 'd', 'x')",
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM pg_trigger WHERE tgname ~ '^!notary'"), ["0"]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_partition_that_cannot_be_tracked_does_not_come_in() {
    let db = partitioned("unfit");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE UNLOGGED TABLE u (id int NOT NULL, k text NOT NULL, email text, PRIMARY KEY (id, k)); CREATE FOREIGN DATA WRAPPER w;
         CREATE SERVER srv FOREIGN DATA WRAPPER w; CREATE TABLE q (k text) PARTITION BY LIST (k);
         CREATE UNLOGGED TABLE q_1 PARTITION OF q DEFAULT; CREATE TABLE r (k text) PARTITION BY LIST (k); SELECT notary.track('r', 'audit')",
    );
    for sql in [
        "CREATE UNLOGGED TABLE p_u PARTITION OF p FOR VALUES IN ('u')",
        "ALTER TABLE p ATTACH PARTITION u FOR VALUES IN ('u')",
        "CREATE FOREIGN TABLE r_f PARTITION OF r FOR VALUES IN ('f') SERVER srv",
        "ALTER TABLE p_a SET UNLOGGED",
        "SELECT notary.track('q', 'audit')",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
    }
    run(&mut client, "CREATE TABLE p_u PARTITION OF p FOR VALUES IN ('u'); INSERT INTO p VALUES (1, 'u', NULL)");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["1"]);
    assert_found(&mut client, "audit", &[]);
}

/// Whoever has to retire a partition at night types what the refusal says, and nothing is missed.
#[test]
fn the_refusal_to_drop_a_partition_says_how() {
    let db = scene("how");
    let mut client = db.client();
    run(
        &mut client,
        r#"CREATE SCHEMA "O'S"; CREATE TABLE "O'S"."P" (id int, k text, "E-Mail" text, "it's" text) PARTITION BY LIST (k);
           CREATE TABLE "O'S".p_a PARTITION OF "O'S"."P" FOR VALUES IN ('a'); CREATE TABLE "O'S".p_b PARTITION OF "O'S"."P" FOR VALUES IN ('b');
           SELECT notary.track('"O''S"."P"', 'audit', pii => '{E-Mail}', exclude => '{it''s}', full_rows => true)"#,
    );
    let shown = "SELECT concat_ws('|', \"table\", pii, exclude, full_rows, problem) FROM notary.tracked";
    let before = texts(&mut client, shown);
    for sql in [r#"DROP TABLE "O'S".p_a"#, r#"ALTER TABLE "O'S"."P" DETACH PARTITION "O'S".p_b"#] {
        let error = refused(&mut client, sql);
        let (_, transaction) = error.hint.split_once("BEGIN; ").unwrap_or_else(|| panic!("{error}"));
        assert!(transaction.contains(sql), "{error}");
        run(&mut client, &format!("BEGIN; {transaction}"));
        assert_eq!(texts(&mut client, shown), before, "{error}");
    }
    run(
        &mut client,
        r#"CREATE TABLE "O'S".p_c PARTITION OF "O'S"."P" DEFAULT; INSERT INTO "O'S"."P" VALUES (1, 'x', 'y', 'z')"#,
    );
    assert_eq!(texts(&mut client, "SELECT new_value - 'E-Mail' FROM audit"), [r#"{"k": "x", "id": 1}"#]);
    assert_found(&mut client, "audit", &[]);
}
