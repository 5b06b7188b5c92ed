//! Refused: what would change how old entries read.

use crate::scene::{Scene, no, run, superuser_only};

#[test]
fn columns() {
    let added = "ADD COLUMN x";
    Scene::new("guard_columns").refuses(&[
        no("ALTER TABLE app DROP COLUMN note CASCADE", "DROP COLUMN"),
        no("ALTER TABLE app DROP COLUMN at", "DROP COLUMN"),
        no("ALTER TABLE app DROP COLUMN notary_hash", "DROP COLUMN"),
        no("ALTER TABLE app DROP COLUMN notary_chain", "DROP CONSTRAINT"),
        no("ALTER TABLE app DROP COLUMN doubled", "DROP COLUMN"),
        no("ALTER TABLE part DROP COLUMN note", "DROP COLUMN"),
        no("ALTER TABLE app RENAME COLUMN note TO other", "RENAME COLUMN note"),
        no("ALTER TABLE app RENAME notary_seq TO other", "RENAME COLUMN notary_seq"),
        no("ALTER TABLE part RENAME COLUMN note TO other", "RENAME COLUMN note"),
        no("ALTER TABLE app ALTER COLUMN id TYPE bigint", "ALTER COLUMN id TYPE"),
        no("ALTER TABLE app ALTER COLUMN note TYPE varchar(20)", "ALTER COLUMN note TYPE"),
        no("ALTER TABLE app ALTER COLUMN note TYPE varchar(10)", "ALTER COLUMN note TYPE"),
        no("ALTER TABLE app ALTER COLUMN note TYPE varchar(10) USING 'forged'", "ALTER COLUMN note TYPE"),
        no("ALTER TABLE app ALTER COLUMN at TYPE timestamptz", "ALTER COLUMN at TYPE"),
        no("ALTER TABLE app ALTER COLUMN note TYPE varchar(10) COLLATE \"C\"", "ALTER COLUMN note TYPE"),
        no("ALTER TABLE app ALTER COLUMN notary_seq TYPE numeric", "ALTER COLUMN notary_seq TYPE"),
        no("ALTER TABLE part ALTER COLUMN note TYPE varchar", "ALTER COLUMN note TYPE"),
        no("ALTER TABLE app ADD COLUMN ok int, ALTER COLUMN note TYPE text", "ALTER COLUMN note TYPE"),
        no("DO $$ BEGIN ALTER TABLE app ALTER note TYPE text USING 'forged'; END $$", "ALTER COLUMN note TYPE"),
        no("ALTER TABLE app ADD COLUMN x text DEFAULT 'f'", "ADD COLUMN x with a default"),
        no(
            "ALTER TABLE app ADD COLUMN x text DEFAULT 'f', ALTER COLUMN x SET DEFAULT NULL",
            "ADD COLUMN x with a default",
        ),
        no("ALTER TABLE app ADD COLUMN x double precision DEFAULT random()", "ADD COLUMN x with a default"),
        no(
            "ALTER TABLE app ADD COLUMN x double precision DEFAULT random(), ALTER COLUMN x SET DEFAULT NULL",
            "ADD COLUMN x with a default",
        ),
        no("ALTER TABLE part ADD COLUMN x text DEFAULT 'f'", "ADD COLUMN x with a default"),
        no("ALTER TABLE part ADD COLUMN x double precision DEFAULT random()", "ADD COLUMN x with a default"),
        no("ALTER TABLE app ADD COLUMN x serial", added),
        no("CREATE TYPE pg_temp.passing AS ENUM ('a'); ALTER TABLE app ADD COLUMN x pg_temp.passing", added),
        no("CREATE DOMAIN pg_temp.passing AS int; ALTER TABLE part ADD COLUMN x pg_temp.passing[]", added),
        no(
            "CREATE COLLATION pg_temp.passing FROM \"C\"; ALTER TABLE app ADD COLUMN x text COLLATE pg_temp.passing",
            added,
        ),
        no("ALTER TABLE app ADD COLUMN x int GENERATED ALWAYS AS IDENTITY", added),
        no("ALTER TABLE app ADD COLUMN x int GENERATED ALWAYS AS (id + 1) STORED", added),
        no("ALTER TABLE app ADD COLUMN x text NOT NULL", added),
        no("ALTER TABLE app ADD COLUMN x int PRIMARY KEY", added),
        no("ALTER TABLE app ADD COLUMN x xml", added),
        no("ALTER TABLE app ADD COLUMN x pair", added),
        no("ALTER TABLE app ADD COLUMN x money[]", added),
        no("ALTER TABLE part ADD COLUMN x point", added),
        no("ALTER TABLE app ADD COLUMN x filled", added),
        no("ALTER TABLE app ADD COLUMN x refilled", added),
        no("ALTER TABLE app ADD COLUMN x required", added),
        no("ALTER TABLE part ADD COLUMN x filled", added),
        no("ALTER TABLE app ADD COLUMN notary_x int", "ADD COLUMN notary_x"),
        no("ALTER TABLE app ADD COLUMN x int REFERENCES actor ON DELETE CASCADE", "ADD FOREIGN KEY"),
        no("ALTER TABLE app ALTER COLUMN doubled DROP EXPRESSION", "DROP EXPRESSION"),
        no("ALTER TABLE app ALTER COLUMN notary_seq SET DEFAULT 7", "SET DEFAULT for column notary_seq"),
        no("ALTER TABLE app ALTER COLUMN notary_seq SET NOT NULL", "ALTER COLUMN notary_seq"),
        no("ALTER TABLE app ADD PRIMARY KEY (notary_chain, notary_seq)", "ALTER COLUMN notary_"),
        no("ALTER TABLE part ALTER COLUMN notary_hash SET DEFAULT ''", "SET DEFAULT for column notary_hash"),
    ]);
}

#[test]
fn a_default_that_runs_commands_of_its_own() {
    let scene = Scene::new("guard_nested");
    run(
        &mut scene.session(false),
        "CREATE FUNCTION does() RETURNS text LANGUAGE plpgsql VOLATILE AS
            'BEGIN CREATE TEMP TABLE IF NOT EXISTS x (i int); ALTER TABLE x ADD COLUMN IF NOT EXISTS j int; RETURN ''f''; END';
         CREATE FUNCTION says() RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN does(); END'",
    );
    scene.refuses(&[
        no(
            "ALTER TABLE app ADD COLUMN x text DEFAULT says(), ALTER COLUMN x SET DEFAULT NULL",
            "ADD COLUMN x with a default",
        ),
        no(
            "ALTER TABLE app ADD COLUMN x text DEFAULT does(), ALTER COLUMN x SET DEFAULT NULL",
            "ADD COLUMN x with a default",
        ),
        no(
            "ALTER TABLE app ADD COLUMN x text DEFAULT 'f', ALTER COLUMN x SET DEFAULT NULL, ADD COLUMN y checked",
            "ADD COLUMN x with a default",
        ),
    ]);
}

#[test]
fn the_hint_for_a_default_says_how_it_goes() {
    let scene = Scene::new("guard_default_hint");
    let error = notary_tests::err(scene.session(false).batch_execute("ALTER TABLE app ADD COLUMN x text DEFAULT 'f'"));
    assert!(error.hint.contains("nullable and without a default first"), "{error}");
    assert!(error.hint.contains("SET DEFAULT"), "{error}");
    scene.allows(&["ALTER TABLE app ADD COLUMN x text", "ALTER TABLE app ALTER COLUMN x SET DEFAULT 'f'"]);
    assert_eq!(scene.db.value("SELECT count(*) FROM app WHERE x = 'f'"), "1");
}

#[test]
fn types_that_a_log_uses() {
    let scene = Scene::new("guard_types");
    run(
        &mut scene.session(false),
        "CREATE TYPE listed AS ENUM ('a'); CREATE TYPE wrapped AS ENUM ('a'); CREATE DOMAIN wrapper AS wrapped;
         CREATE DOMAIN outer_wrapper AS wrapper; CREATE TYPE span AS RANGE (SUBTYPE = date);
         CREATE TABLE app_types (l listed[], w outer_wrapper, s span); SELECT notary.protect('app_types')",
    );
    scene.refuses(&[
        no("ALTER TYPE listed RENAME VALUE 'a' TO 'b'", "RENAME VALUE"),
        no("ALTER TYPE wrapped RENAME VALUE 'a' TO 'b'", "RENAME VALUE"),
        no("ALTER TYPE span RENAME TO spanned", "renaming the type"),
        no("DROP TYPE span CASCADE", "DROP TYPE"),
        no("DROP TYPE wrapped CASCADE", "DROP TYPE"),
        no("ALTER TYPE mood RENAME VALUE 'calm' TO 'furious'", "RENAME VALUE"),
        no("ALTER TYPE mood RENAME TO temper", "renaming the type"),
        no("ALTER DOMAIN feeling RENAME TO temper", "renaming the type"),
        no("CREATE SCHEMA s; ALTER TYPE mood SET SCHEMA s", "renaming the type"),
        superuser_only("ALTER SCHEMA public RENAME TO private", "ALTER SCHEMA RENAME"),
    ]);
}
