//! What attempts are made on, and how their outcome is judged.

use notary_tests::{Database, SqlError, fresh_db};
use postgres::Client;
use std::fmt::Write;

/// A plain log `app` with most things a table can have, a partitioned log `part`, and what attempts need beside them.
const SCENE: &str = r#"
    CREATE TYPE mood AS ENUM ('calm', 'angry');
    CREATE DOMAIN feeling AS mood;
    CREATE DOMAIN filled AS text DEFAULT 'f';
    CREATE DOMAIN refilled AS filled;
    CREATE DOMAIN required AS text NOT NULL;
    CREATE DOMAIN checked AS text CHECK (VALUE <> '');
    CREATE TYPE pair AS (x int, y int);
    CREATE TABLE actor (id int PRIMARY KEY);
    INSERT INTO actor VALUES (1);
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE app (
        id int, note varchar(10), mood mood, moods mood[], felt feeling, at timestamp DEFAULT 'now',
        actor int REFERENCES actor, doubled int GENERATED ALWAYS AS (id * 2) STORED
    );
    CREATE INDEX app_note ON app (note);
    CREATE TRIGGER early BEFORE INSERT ON app FOR EACH ROW EXECUTE FUNCTION nothing();
    CREATE TRIGGER "~~after" AFTER INSERT ON app FOR EACH ROW EXECUTE FUNCTION nothing();
    CREATE VIEW seen AS SELECT id, note FROM app;
    CREATE TABLE part (id int, note text) PARTITION BY RANGE (id);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
    CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200) PARTITION BY LIST (id);
    CREATE TABLE part_2a PARTITION OF part_2 FOR VALUES IN (100);
    CREATE TABLE plain (id int, note text);
    CREATE TABLE tree (id int, note text) PARTITION BY RANGE (id);
    SELECT notary.protect('app');
    SELECT notary.protect('part');
    CREATE TABLE heir (LIKE app INCLUDING GENERATED);
    CREATE TABLE tree_log (id int, note text);
    SELECT notary.protect('tree_log');
    ALTER TABLE tree ADD COLUMN notary_chain int, ADD COLUMN notary_seq bigint,
        ADD COLUMN notary_time timestamptz, ADD COLUMN notary_prev bytea, ADD COLUMN notary_hash bytea;
    INSERT INTO app (id, note, mood, moods, felt, actor) VALUES (1, 'a', 'calm', '{angry}', 'calm', 1), (2, 'b', 'angry', '{}', NULL, 1);
    INSERT INTO part VALUES (1, 'a'), (100, 'b');
"#;

/// Everything about the logs that an attempt may not change.
const STATE: &str = r#"
    SELECT string_agg(line, E'\n' ORDER BY line) FROM (
        SELECT format('rows %s %s', 'app', a) FROM app a
        UNION ALL SELECT format('rows %s %s', tableoid::regclass, p) FROM part p
        UNION ALL SELECT format('class %s %s %s %s', relname, relkind, relpersistence, reloftype) FROM pg_class
            WHERE relname ~ '^(app|part|tree)' AND relnamespace = 'public'::regnamespace
        UNION ALL SELECT format('column %s %s %s %s %s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod),
            attnotnull, atthasmissing, atthasdef, attgenerated, attidentity) FROM pg_attribute
            WHERE attrelid::regclass::text ~ '^(app|part|tree)'
        UNION ALL SELECT format('trigger %s %s %s %s', tgrelid::regclass, tgname, tgenabled, tgfoid) FROM pg_trigger
            WHERE NOT tgisinternal
        UNION ALL SELECT format('index %s %s %s', indexrelid::regclass, indisvalid, indimmediate) FROM pg_index
            WHERE indrelid::regclass::text ~ '^(app|part|tree)'
        UNION ALL SELECT format('rule %s %s', ev_class::regclass, rulename) FROM pg_rewrite WHERE ev_class::regclass::text ~ '^(app|part)'
        UNION ALL SELECT format('child %s %s %s', inhparent::regclass, inhrelid::regclass, inhdetachpending) FROM pg_inherits
        UNION ALL SELECT format('label %s %s', enumtypid::regtype, enumlabel) FROM pg_enum
        UNION ALL SELECT format('function %s %s', oid::regprocedure, prosrc) FROM pg_proc WHERE pronamespace = 'notary'::regnamespace
        UNION ALL SELECT format('event trigger %s %s', evtname, evtenabled) FROM pg_event_trigger
        UNION ALL SELECT format('member %s %s', classid, objid) FROM pg_depend WHERE deptype = 'e'
        UNION ALL SELECT format('journal %s', j) FROM notary.journal j
    ) AS lines (line)
"#;

/// The scene in a database of its own.
pub struct Scene {
    pub db: Database<'static>,
    pub owner: String,
}

impl Scene {
    pub fn new(name: &str) -> Self {
        let db = fresh_db(name);
        let owner = db.role("owner");
        let grants = format!(
            "GRANT CREATE ON DATABASE \"{}\" TO \"{owner}\"; GRANT SELECT ON ALL TABLES IN SCHEMA notary TO \"{owner}\"",
            db.name()
        );
        run(&mut db.client(), &grants);
        run(&mut db.client_as(&owner), SCENE);
        Self { db, owner }
    }

    /// A new session of the owner or of a superuser.
    pub fn session(&self, superuser: bool) -> Client {
        if superuser { self.db.client() } else { self.db.client_as(&self.owner) }
    }

    /// Inserts still work and still chain.
    pub fn still_appends(&self) -> Result<(), String> {
        let sql = "INSERT INTO app (id, note) VALUES (9, 'z'); INSERT INTO part (id, note) VALUES (9, 'z')";
        let mut client = self.session(false);
        client.batch_execute(sql).map_err(|e| SqlError::of(&e).to_string())?;
        let unchained = "SELECT (SELECT count(*) FROM app WHERE notary_hash IS NULL) + (SELECT count(*) FROM part WHERE notary_hash IS NULL)";
        match client.query_one(unchained, &[]) {
            Ok(row) if row.get::<_, i64>(0) == 0 => Ok(()),
            Ok(row) => Err(format!("{} rows are not chained", row.get::<_, i64>(0))),
            Err(e) => Err(SqlError::of(&e).to_string()),
        }
    }

    /// Makes each attempt as the owner and as a superuser.
    pub fn refuses(&self, attempts: &[Attempt]) {
        let mut failures = String::new();
        for attempt in attempts {
            for superuser in [false, true] {
                let before = self.db.value(STATE);
                if let Err(why) = self.refuse(attempt, superuser) {
                    let who = if superuser { "superuser" } else { "owner" };
                    let _ = writeln!(failures, "- {} as {who}: {why}", attempt.sql);
                }
                let after = self.db.value(STATE);
                if before != after {
                    let _ = writeln!(failures, "- {} changed something:\n{}", attempt.sql, difference(&before, &after));
                }
            }
        }
        if let Err(why) = self.still_appends() {
            let _ = writeln!(failures, "- inserts afterwards: {why}");
        }
        assert!(failures.is_empty(), "\n{failures}");
    }

    fn refuse(&self, attempt: &Attempt, superuser: bool) -> Result<(), String> {
        let Err(error) = self.session(superuser).batch_execute(attempt.sql) else {
            return Err("succeeded".into());
        };
        let error = SqlError::of(&error);
        if error.code == "42501" && attempt.privileged && !superuser {
            return Ok(());
        }
        let said = error.code == "55000"
            && error.hint.contains("notary.unprotect")
            && error.message.contains(" is refused: ")
            && error.message.contains(attempt.says);
        if said { Ok(()) } else { Err(error.to_string()) }
    }

    /// Runs each command as the owner (or, where it says so, as a superuser), and inserts after it.
    pub fn allows(&self, commands: &[&str]) {
        let mut failures = String::new();
        for command in commands {
            let (superuser, sql) = match command.strip_prefix("superuser: ") {
                Some(sql) => (true, sql),
                None => (false, *command),
            };
            let result = self.session(superuser).batch_execute(sql);
            let result = result.map_err(|e| SqlError::of(&e).to_string());
            if let Err(why) = result.and_then(|()| self.still_appends()) {
                let _ = writeln!(failures, "- {sql}: {why}");
            }
        }
        assert!(failures.is_empty(), "\n{failures}");
        // What is allowed makes no finding either.
        for log in ["app", "part"] {
            let there = format!("SELECT count(*) FROM notary.logs WHERE log = to_regclass('{log}')");
            if self.db.value(&there) == "1" {
                notary_tests::verdict::assert_found(&mut self.session(true), log, &[]);
                let guard = format!("SELECT guard FROM notary.logs WHERE log = '{log}'::regclass");
                assert_eq!(self.db.value(&guard), "complete");
            }
        }
    }

    /// Makes each attempt as a role that was granted everything on the logs, and as one that was granted nothing.
    pub fn refuses_other_roles(&self, attempts: &[Attempt]) {
        let (granted, stranger) = (self.db.role("granted"), self.db.role("stranger"));
        let mut client = self.session(true);
        run(&mut client, &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO \"{granted}\""));
        let before = self.db.value(STATE);
        for attempt in attempts.iter().filter(|attempt| !attempt.privileged) {
            let error = notary_tests::err(self.db.client_as(&granted).batch_execute(attempt.sql));
            let refused = error.code == "55000" && error.hint.contains("notary.unprotect");
            assert!(refused && error.message.contains(attempt.says), "{}: {error}", attempt.sql);
            let error = notary_tests::err(self.db.client_as(&stranger).batch_execute(attempt.sql));
            assert!(["42501", "55000"].contains(&error.code.as_str()), "{}: {error}", attempt.sql);
        }
        assert_eq!(self.db.value(STATE), before);
    }
}

/// A command that is to be refused.
pub struct Attempt {
    sql: &'static str,
    /// Part of the message.
    says: &'static str,
    /// PostgreSQL does not let an owner try.
    privileged: bool,
}

/// Refused to everyone; the message contains `says`.
pub const fn no(sql: &'static str, says: &'static str) -> Attempt {
    Attempt { sql, says, privileged: false }
}

/// The same, where an owner may be stopped by PostgreSQL's own 42501 before.
pub const fn superuser_only(sql: &'static str, says: &'static str) -> Attempt {
    Attempt { sql, says, privileged: true }
}

fn difference(before: &str, after: &str) -> String {
    let lines = |a: &str, b: &str, sign: &str| -> String {
        let b: Vec<_> = b.lines().collect();
        a.lines().filter(|l| !b.contains(l)).map(|l| format!("  {sign} {l}\n")).collect()
    };
    lines(before, after, "-") + &lines(after, before, "+")
}

/// Runs what must succeed.
#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    client
        .batch_execute(sql)
        .unwrap_or_else(|e| panic!("{}: {}", sql.trim().lines().next().unwrap_or_default(), SqlError::of(&e)));
}
