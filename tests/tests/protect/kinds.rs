//! What cannot be a log: each refusal with its SQLSTATE, DETAIL and HINT, and nothing left behind by it.

use super::{assert_intact, assert_untouched, refused, run};
use notary_tests::{fresh_db, shared};

/// What to make, what to protect, and DETAIL and HINT.
struct Case {
    make: &'static str,
    name: &'static str,
    detail: &'static str,
    hint: &'static str,
}

const ORDINARY: &str = "Protect an ordinary or a partitioned table.";

const CASES: &[Case] = &[
    Case {
        make: "CREATE TEMP TABLE t (a int)",
        name: "t",
        detail: "It is temporary: it ends with the session.",
        hint: "Protect a permanent table.",
    },
    Case {
        make: "CREATE TEMP TABLE t (a int) PARTITION BY RANGE (a)",
        name: "t",
        detail: "It is temporary: it ends with the session.",
        hint: "Protect a permanent table.",
    },
    Case {
        make: "CREATE UNLOGGED TABLE t (a int)",
        name: "public.t",
        detail: "It is unlogged: a crash empties it.",
        hint: "Run ALTER TABLE public.t SET LOGGED first.",
    },
    Case {
        make: "CREATE TABLE t (a int) PARTITION BY RANGE (a);
               CREATE UNLOGGED TABLE leaf PARTITION OF t FOR VALUES FROM (1) TO (2)",
        name: "public.t",
        detail: "It is unlogged: a crash empties it.",
        hint: "Run ALTER TABLE public.leaf SET LOGGED first.",
    },
    Case {
        make: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
               CREATE FOREIGN TABLE t (a int) SERVER s",
        name: "public.t",
        detail: "It is a foreign table: its rows are on another server.",
        hint: "Protect it there.",
    },
    Case {
        make: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
               CREATE TABLE t (a int) PARTITION BY LIST (a);
               CREATE FOREIGN TABLE leaf PARTITION OF t FOR VALUES IN (1) SERVER s",
        name: "public.t",
        detail: "It is a foreign table: its rows are on another server.",
        hint: "Protect it there.",
    },
    Case {
        make: "CREATE TYPE row_of AS (a int); CREATE TABLE t OF row_of",
        name: "public.t",
        detail: "It is a typed table (CREATE TABLE … OF): it cannot get columns of its own.",
        hint: "Run ALTER TABLE public.t NOT OF first.",
    },
    Case {
        make: "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE t (a int) USING other",
        name: "public.t",
        detail: "Its access method is not heap.",
        hint: "Run ALTER TABLE … SET ACCESS METHOD heap, or copy it.",
    },
    Case {
        make: "CREATE TABLE base (a int); CREATE VIEW t AS SELECT * FROM base",
        name: "public.t",
        detail: "It is a view.",
        hint: "Protect the table under it.",
    },
    Case {
        make: "CREATE MATERIALIZED VIEW t AS SELECT 1 AS a",
        name: "public.t",
        detail: "It is a materialized view.",
        hint: ORDINARY,
    },
    Case { make: "CREATE SEQUENCE t", name: "public.t", detail: "It is not a table.", hint: ORDINARY },
    Case {
        make: "CREATE TABLE base (a int); CREATE INDEX t ON base (a)",
        name: "public.t",
        detail: "It is not a table.",
        hint: ORDINARY,
    },
    Case {
        make: "CREATE TABLE base (a int) PARTITION BY RANGE (a); CREATE INDEX t ON base (a)",
        name: "public.t",
        detail: "It is not a table.",
        hint: ORDINARY,
    },
    Case { make: "CREATE TYPE t AS (a int)", name: "public.t", detail: "It is not a table.", hint: ORDINARY },
    Case {
        make: "CREATE TABLE t (a int) PARTITION BY HASH (a);
               CREATE TABLE leaf PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        name: "public.t",
        detail: "It is partitioned by HASH: a restore may put rows into other partitions.",
        hint: "Partition it by RANGE or LIST.",
    },
    Case {
        make: "CREATE TABLE t (a int, b int) PARTITION BY RANGE (a);
               CREATE TABLE inner_t PARTITION OF t FOR VALUES FROM (1) TO (2) PARTITION BY HASH (b)",
        name: "public.t",
        detail: "It is partitioned by HASH: a restore may put rows into other partitions.",
        hint: "Partition it by RANGE or LIST.",
    },
    Case {
        make: "CREATE TABLE t (a int); CREATE TABLE child () INHERITS (t)",
        name: "public.t",
        detail: "Other tables inherit from it: their rows would appear as its own.",
        hint: "Use declarative partitioning, or end the inheritance.",
    },
    Case {
        make: "CREATE TABLE parent (a int); CREATE TABLE t () INHERITS (parent)",
        name: "public.t",
        detail: "It inherits from another table.",
        hint: "Run ALTER TABLE public.t NO INHERIT … first.",
    },
    Case {
        make: "CREATE TABLE t (a int); CREATE RULE quiet AS ON UPDATE TO t DO INSTEAD NOTHING",
        name: "public.t",
        detail: "It has rules, which can swallow or redirect rows.",
        hint: "Drop the rules, or use triggers.",
    },
    Case {
        make: "CREATE TABLE t (a int); CREATE RULE swallow AS ON INSERT TO t WHERE NEW.a = 1 DO INSTEAD NOTHING;
               ALTER TABLE t DISABLE RULE swallow",
        name: "public.t",
        detail: "It has rules, which can swallow or redirect rows.",
        hint: "Drop the rules, or use triggers.",
    },
    Case {
        make: "CREATE TABLE t (a int) PARTITION BY RANGE (a);
               CREATE TABLE leaf PARTITION OF t FOR VALUES FROM (1) TO (2);
               CREATE RULE quiet AS ON DELETE TO leaf DO INSTEAD NOTHING",
        name: "public.t",
        detail: "It has rules, which can swallow or redirect rows.",
        hint: "Drop the rules, or use triggers.",
    },
    Case {
        make: "CREATE TABLE t (a int, \"notary_Note\" text)",
        name: "public.t",
        detail: "It has a column \"notary_Note\"; names that begin with notary_ are pg_notary's.",
        hint: "Rename it: ALTER TABLE public.t RENAME COLUMN \"notary_Note\" TO ….",
    },
    Case {
        make: "CREATE TABLE t (a int, notary_redactable jsonb)",
        name: "public.t",
        detail: "It has a column \"notary_redactable\"; names that begin with notary_ are pg_notary's.",
        hint: "Rename it: ALTER TABLE public.t RENAME COLUMN notary_redactable TO ….",
    },
    Case {
        make: "CREATE TABLE t (a int, notary_seq bigint GENERATED ALWAYS AS (a) STORED)",
        name: "public.t",
        detail: "Its column \"notary_seq\" is generated, has a default or is NOT NULL.",
        hint: "pg_notary fills it in itself: drop the expression, default or constraint.",
    },
    Case {
        make: "CREATE TABLE t (a int, notary_seq bigint NOT NULL)",
        name: "public.t",
        detail: "Its column \"notary_seq\" is generated, has a default or is NOT NULL.",
        hint: "pg_notary fills it in itself: drop the expression, default or constraint.",
    },
    Case {
        make: "CREATE TABLE t (a int, notary_time timestamptz DEFAULT now())",
        name: "public.t",
        detail: "Its column \"notary_time\" is generated, has a default or is NOT NULL.",
        hint: "pg_notary fills it in itself: drop the expression, default or constraint.",
    },
    Case {
        make: "CREATE TABLE t (a int, notary_chain text)",
        name: "public.t",
        detail: "Its notary_* columns have other types than pg_notary's.",
        hint: "They are integer, bigint, timestamp with time zone, bytea and bytea; drop or rename yours.",
    },
    Case {
        make: "CREATE TABLE t (notary_chain int, notary_seq int, notary_time timestamptz, notary_prev bytea,
                               notary_hash bytea)",
        name: "public.t",
        detail: "Its notary_* columns have other types than pg_notary's.",
        hint: "They are integer, bigint, timestamp with time zone, bytea and bytea; drop or rename yours.",
    },
    Case {
        make: "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
               CREATE TRIGGER \"~zzz\" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        name: "public.t",
        detail: "Its BEFORE INSERT trigger \"~zzz\" would run after pg_notary's and could change the row.",
        hint: "Rename it so that its name sorts before \"~notary_append\": ALTER TRIGGER … RENAME TO ….",
    },
    Case {
        make: "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
               CREATE TRIGGER \"über\" BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        name: "public.t",
        detail: "Its BEFORE INSERT trigger \"über\" would run after pg_notary's and could change the row.",
        hint: "Rename it so that its name sorts before \"~notary_append\": ALTER TRIGGER … RENAME TO ….",
    },
    Case {
        make: "CREATE TABLE t (a int) PARTITION BY RANGE (a);
               CREATE TABLE leaf PARTITION OF t FOR VALUES FROM (1) TO (2);
               CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
               CREATE TRIGGER \"~zzz\" BEFORE INSERT ON leaf FOR EACH ROW EXECUTE FUNCTION f();
               ALTER TABLE leaf DISABLE TRIGGER \"~zzz\"",
        name: "public.t",
        detail: "Its BEFORE INSERT trigger \"~zzz\" would run after pg_notary's and could change the row.",
        hint: "Rename it so that its name sorts before \"~notary_append\": ALTER TRIGGER … RENAME TO ….",
    },
    Case { make: "", name: "pg_catalog.pg_class", detail: "It is a system catalog.", hint: ORDINARY },
    Case { make: "", name: "pg_catalog.pg_authid", detail: "It is a system catalog.", hint: ORDINARY },
    Case { make: "", name: "information_schema.sql_features", detail: "It is a system catalog.", hint: ORDINARY },
    Case {
        make: "",
        name: "notary.segment",
        detail: "It belongs to an extension, so pg_dump would restore its rows with triggers active.",
        hint: "Copy it into a table of your own, or run ALTER EXTENSION … DROP TABLE first.",
    },
    Case {
        make: "CREATE TYPE pg_temp.passing AS ENUM ('a'); CREATE TABLE t (a pg_temp.passing)",
        name: "public.t",
        detail: "The type or the collation of its column \"a\" is temporary: it ends with a session.",
        hint: "Give the column a permanent type and collation first.",
    },
    Case {
        make: "CREATE TYPE pg_temp.passing AS ENUM ('a'); CREATE DOMAIN stays AS pg_temp.passing; CREATE TABLE t (a stays)",
        name: "public.t",
        detail: "The type or the collation of its column \"a\" is temporary: it ends with a session.",
        hint: "Give the column a permanent type and collation first.",
    },
    Case {
        make: "CREATE FUNCTION holds(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
               CREATE TABLE t (a int, CONSTRAINT held CHECK (holds(a))) PARTITION BY RANGE (a)",
        name: "public.t",
        detail: "Its constraint \"held\" calls a function that is not PostgreSQL's own: which partitions a query looks at \
                 would depend on what that function says then.",
        hint: "For a constraint use a BEFORE INSERT trigger, or a domain with it; for a key a column, or PostgreSQL's own functions.",
    },
];

#[test]
fn what_cannot_be_a_log_is_refused_with_the_reason_and_the_next_step() {
    let db = fresh_db("kinds");
    for case in CASES {
        let mut client = db.client();
        run(&mut client, &format!("BEGIN; {}", case.make));
        let error = refused(&mut client, &format!("SELECT notary.protect('{}')", case.name));
        assert_eq!((error.code.as_str(), error.detail.as_str()), ("42809", case.detail), "{}: {error}", case.make);
        assert_eq!(error.hint, case.hint, "{}", case.make);
        assert!(error.message.ends_with(" cannot become a log"), "{}: {error}", case.make);
    }
    assert_eq!(db.value("SELECT count(*) FROM notary.segment"), "0");
    assert_eq!(db.value("SELECT to_regclass('notary.journal')"), "NULL");
}

#[test]
fn a_toast_table_is_refused() {
    let db = fresh_db("kinds_toast");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a text)");
    let toast = db.value("SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 't'::regclass");
    let error = refused(&mut client, &format!("SELECT notary.protect('{toast}')"));
    assert_eq!((error.code.as_str(), error.detail.as_str()), ("42809", "It is a TOAST table."));
}

#[test]
fn foreign_keys_that_would_change_or_delete_entries_are_refused() {
    let db = fresh_db("kinds_fk");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE customer (id int PRIMARY KEY)");
    for event in ["DELETE", "UPDATE"] {
        for action in ["CASCADE", "SET NULL", "SET DEFAULT"] {
            for (table, partition) in [
                ("(a int DEFAULT 0 REFERENCES customer ON {} )", ""),
                (
                    "(a int DEFAULT 0 REFERENCES customer ON {}) PARTITION BY LIST (a)",
                    "CREATE TABLE leaf PARTITION OF t FOR VALUES IN (1)",
                ),
            ] {
                let table = table.replace("{}", &format!("{event} {action}"));
                run(&mut client, &format!("BEGIN; CREATE TABLE t {table}; {partition}"));
                let error = refused(&mut client, "SELECT notary.protect('t')");
                assert_eq!(error.code, "42809", "{table}");
                let detail = "Its foreign key \"t_a_fkey\" has an action CASCADE, SET NULL or SET DEFAULT, which would \
                              change or delete entries.";
                assert_eq!(error.detail, detail, "{table}");
                assert_eq!(error.hint, "Make the key's actions NO ACTION or RESTRICT.", "{table}");
                run(&mut client, "ROLLBACK");
            }
        }
        for action in ["NO ACTION", "RESTRICT"] {
            run(&mut client, &format!("CREATE TABLE t (a int REFERENCES customer ON {event} {action})"));
            run(&mut client, "SELECT notary.protect('t')");
            run(&mut client, "SELECT notary.unprotect('t', 'a test'); DROP TABLE t");
        }
    }
    // A key of another table to the log: nothing of the log changes through it.
    run(
        &mut client,
        "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE refers (a int REFERENCES t ON DELETE CASCADE);
         SELECT notary.protect('t'); INSERT INTO t (a) VALUES (1); INSERT INTO refers VALUES (1)",
    );
}

#[test]
fn a_table_with_too_many_columns_is_refused_and_one_with_just_enough_is_not() {
    let db = fresh_db("kinds_columns");
    let mut client = db.client();
    let columns = |n: usize| (0..n).map(|i| format!("c{i} bool")).collect::<Vec<_>>().join(", ");
    run(&mut client, &format!("CREATE TABLE over ({})", columns(1596)));
    let error = refused(&mut client, "SELECT notary.protect('over')");
    assert_eq!(error.code, "42809");
    let detail = "It has 1596 columns, dropped ones included; with 5 more it would pass PostgreSQL's limit of 1600.";
    assert_eq!(error.detail, detail);
    assert_eq!(error.hint, "Copy it into a table with fewer columns.");
    // A dropped column goes on taking its place.
    run(&mut client, "ALTER TABLE over DROP COLUMN c0");
    assert_eq!(refused(&mut client, "SELECT notary.protect('over')").detail, detail);
    run(&mut client, &format!("CREATE TABLE enough ({})", columns(1595)));
    let values = vec!["true"; 1595].join(", ");
    run(&mut client, &format!("INSERT INTO enough VALUES ({values})"));
    run(&mut client, "SELECT notary.protect('enough')");
    run(&mut client, &format!("INSERT INTO enough VALUES ({values})"));
    assert_intact(&mut client, "enough", 2);
    // The columns are there already: nothing is added.
    run(&mut client, "SELECT notary.unprotect('enough', 'a test'); SELECT notary.protect('enough')");
    assert_intact(&mut client, "enough", 2);
}

#[test]
fn a_database_in_another_encoding_is_refused() {
    let cluster = shared();
    let mut client = cluster.client("postgres");
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("encoding_{}", encoding.to_lowercase());
        let options = format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        run(&mut client, &format!("CREATE DATABASE {name} {options}"));
        let mut client = cluster.client(&name);
        run(&mut client, "CREATE EXTENSION pg_notary; CREATE TABLE t (a int)");
        let error = refused(&mut client, "SELECT notary.protect('t')");
        assert_eq!(
            error.to_string(),
            "0A000: logs need a database whose encoding is UTF8\n\
             DETAIL: Lines are hashed as UTF-8, so that every reader gets the same bytes.\n\
             HINT: Create a database with ENCODING 'UTF8' and put the log there."
        );
        assert_untouched(&mut client, "t");
        // And the extension is in nobody's way there.
        run(
            &mut client,
            "INSERT INTO t VALUES (1); UPDATE t SET a = 2; TRUNCATE t; DROP TABLE t; DROP EXTENSION pg_notary",
        );
    }
}

#[test]
fn arguments_that_are_missing_or_out_of_range_are_refused() {
    let db = fresh_db("kinds_arguments");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int); CREATE TABLE plain (a int)");
    for (call, code, message, hint) in [
        ("protect(NULL)", "22023", "log must not be NULL", "Name the table to protect."),
        ("protect(4294967295::oid)", "22023", "relation with OID 4294967295 does not exist", "Name a table."),
        ("protect('nosuch')", "42P01", "relation \"nosuch\" does not exist", ""),
        (
            "protect('t', 0)",
            "22023",
            "max_chains is 0",
            "Leave it out, unless all entries must stand in one strict order: then 1.",
        ),
        (
            "protect('t', -1)",
            "22023",
            "max_chains is -1",
            "Leave it out, unless all entries must stand in one strict order: then 1.",
        ),
        (
            "protect('t', 2147483647)",
            "22023",
            "max_chains is 2147483647",
            "Leave it out, unless all entries must stand in one strict order: then 1.",
        ),
        ("unprotect(NULL, 'why')", "22023", "log must not be NULL", "Name the log."),
        (
            "unprotect('t', NULL)",
            "22023",
            "a reason must be given",
            "For example: SELECT notary.unprotect('app_audit', 'ticket 4711: correct a column''s type').",
        ),
        (
            "unprotect('t', '')",
            "22023",
            "a reason must be given",
            "For example: SELECT notary.unprotect('app_audit', 'ticket 4711: correct a column''s type').",
        ),
        (
            "unprotect('t', E' \\n\\t')",
            "22023",
            "a reason must be given",
            "For example: SELECT notary.unprotect('app_audit', 'ticket 4711: correct a column''s type').",
        ),
        (
            "unprotect('plain', 'why')",
            "55000",
            "public.plain is not a log",
            "SELECT * FROM notary.logs shows every log; notary.protect(table) makes a table one.",
        ),
        (
            "header('plain')",
            "55000",
            "public.plain is not a log",
            "SELECT * FROM notary.logs shows every log; notary.protect(table) makes a table one.",
        ),
    ] {
        let error = refused(&mut client, &format!("SELECT notary.{call}"));
        assert_eq!((error.code.as_str(), error.message.as_str(), error.hint.as_str()), (code, message, hint), "{call}");
    }
    assert_untouched(&mut client, "t");
    run(&mut client, "SELECT notary.protect('t', 1)");
    let error = refused(&mut client, "SELECT notary.protect('t')");
    assert_eq!(
        error.to_string(),
        "55000: public.t is protected already\nDETAIL: Its append trigger is in place.\n\
         HINT: SELECT * FROM notary.logs shows every log; notary.unprotect(table, reason) ends a protection."
    );
    // NULL for max_chains is its default.
    run(&mut client, "SELECT notary.protect('plain', NULL)");
}

#[test]
fn a_partition_is_protected_with_its_root_only() {
    let db = fresh_db("kinds_partition");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE root (a int) PARTITION BY RANGE (a);
         CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (1) TO (2)",
    );
    let expected = "42809: public.leaf is a partition of public.root\n\
                    DETAIL: A partitioned table is protected as a whole.\nHINT: Name public.root instead.";
    assert_eq!(refused(&mut client, "SELECT notary.protect('leaf')").to_string(), expected);
    run(&mut client, "SELECT notary.protect('root')");
    assert_eq!(refused(&mut client, "SELECT notary.unprotect('leaf', 'why')").to_string(), expected);
    assert_eq!(refused(&mut client, "SELECT notary.protect('leaf')").code, "55000");
}

#[test]
fn rows_with_values_of_others_in_our_columns_are_refused() {
    let db = fresh_db("kinds_foreign_values");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int, notary_chain int); INSERT INTO t VALUES (1, 7), (2, NULL)");
    let error = refused(&mut client, "SELECT notary.protect('t')");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("42809", "public.t cannot become a log"));
    assert_eq!(error.detail, "Rows with values in the notary_* columns that pg_notary did not write: 1.");
    run(&mut client, "UPDATE t SET notary_chain = NULL; SELECT notary.protect('t')");
    assert_intact(&mut client, "t", 2);
}

#[test]
fn who_gives_no_reason_is_told_how_to() {
    let db = fresh_db("kinds_reason");
    let mut client = db.client();
    let log = "11111111-2222-3333-4444-555555555555";
    run(&mut client, "CREATE TABLE t (a int PRIMARY KEY); SELECT notary.protect('t')");
    for (function, first) in [("unprotect", "t"), ("forget", log), ("untrack", "t"), ("forget_tracked", "public.t")] {
        let error = refused(&mut client, &format!("SELECT notary.{function}('{first}')"));
        let said = [error.code.as_str(), &error.message, &error.detail];
        assert_eq!(
            said,
            ["22023", "a reason must be given", "It is written to notary.journal, for the auditors."],
            "{function}"
        );
        // What it says can be run, and is refused only because there is no such table or log.
        let call = error.hint.strip_prefix("For example: ").and_then(|hint| hint.strip_suffix('.')).unwrap_or_default();
        assert!(call.starts_with(&format!("SELECT notary.{function}('")), "{error}");
        let then = refused(&mut client, call);
        assert!(then.message != error.message && ["42P01", "22023"].contains(&then.code.as_str()), "{then}");
    }
}
