//! Histories made at random, of several sessions, with DDL, cascades, triggers, savepoints and prepared transactions in between:
//! replaying the events gives the tables. `NOTARY_SEED` repeats the choices, as far as threads allow.

use crate::replay::{assert_replays, prepare, time};
use crate::scene;
use notary_tests::talk::{run, texts};
use notary_tests::{Database, SqlError};
use postgres::Client;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Mutex;

const SESSIONS: u64 = 4;
const TRANSACTIONS: usize = 160;

const TABLES: &str = "
    CREATE TABLE a (id int PRIMARY KEY, n numeric, s text, j jsonb, arr int[], email text);
    CREATE TABLE b (k1 int, k2 text, v float8, a int REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE, PRIMARY KEY (k1, k2));
    CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES a ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED,
        t timestamptz, b bytea, g int GENERATED ALWAYS AS (id * 2) STORED);
    CREATE TABLE p (id int, bucket int, s text, PRIMARY KEY (id, bucket)) PARTITION BY LIST (bucket);
    CREATE TABLE p_0 PARTITION OF p FOR VALUES IN (0);
    CREATE TABLE p_1 (s text, gone int, bucket int NOT NULL, id int NOT NULL, PRIMARY KEY (id, bucket));
    ALTER TABLE p_1 DROP COLUMN gone;
    ALTER TABLE p ATTACH PARTITION p_1 FOR VALUES IN (1);
    CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
    CREATE TABLE bag (x int, y text);
    CREATE TABLE own (id int PRIMARY KEY, n int, m int);
    CREATE FUNCTION before_own() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN IF NEW.n = 13 THEN RETURN NULL; END IF; NEW.n := abs(NEW.n); RETURN NEW; END$$;
    CREATE TRIGGER before_own BEFORE INSERT OR UPDATE ON own FOR EACH ROW EXECUTE FUNCTION before_own();
    CREATE FUNCTION after_own() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN UPDATE own SET m = NEW.n * 2 WHERE id = NEW.id; INSERT INTO bag VALUES (NEW.id, 'by a trigger'); RETURN NULL; END$$;
    CREATE TRIGGER after_own AFTER INSERT OR UPDATE OF n ON own FOR EACH ROW EXECUTE FUNCTION after_own();
    SELECT notary.track('a', 'audit', pii => '{email}');
    SELECT notary.track(t::regclass, 'audit') FROM unnest('{b,c,p,own}'::text[]) AS t;
    SELECT notary.track('bag', 'audit', full_rows => true)";

/// What statements do; `$a` and `$b` stand for small numbers, `$v` for a value, `$c` and `$x` for the names that the table and the
/// column have now.
const STATEMENTS: [&str; 37] = [
    "INSERT INTO a VALUES ($a, $b.50, $v, jsonb_build_object('k', $v, 'n', $b), ARRAY[$a, NULL, $b], 'u$a@example.com') ON CONFLICT DO NOTHING",
    "INSERT INTO a (id, s) VALUES ($a, $v) ON CONFLICT (id) DO UPDATE SET s = excluded.s, n = a.n + 1",
    "INSERT INTO a SELECT i, i FROM generate_series($a, $a + 4) AS i ON CONFLICT DO NOTHING",
    "UPDATE a SET n = n + 0.1, j = j || jsonb_build_object('more', $v) WHERE id <= $a",
    "UPDATE a SET email = $v, arr = arr || $b WHERE id = $a",
    "UPDATE a SET email = email, s = s WHERE id > $a",
    "UPDATE a SET s = repeat(md5($v), 400) WHERE id = $a",
    "UPDATE a SET id = $b WHERE id = $a",
    "UPDATE a SET \"$x\" = $v WHERE id % 3 = 1",
    "DELETE FROM a WHERE id = $a",
    "DELETE FROM a WHERE id BETWEEN $a AND $b",
    "INSERT INTO b VALUES ($a, $v, $b / 7.0, $b), ($a, 'x$b', 'NaN', NULL) ON CONFLICT DO NOTHING",
    "UPDATE b SET v = v * 1.1, k1 = k1 + 1 WHERE k1 = $a",
    "UPDATE b SET v = -v WHERE k1 < $a",
    "DELETE FROM b WHERE k1 > $a",
    "INSERT INTO $c (id, a, t, b) VALUES ($a, $b, now() - $a * interval '1 day', decode(md5($v), 'hex')) ON CONFLICT DO NOTHING",
    "INSERT INTO $c (id) VALUES ($a), ($b) ON CONFLICT (id) DO UPDATE SET t = clock_timestamp()",
    "UPDATE $c SET id = id + 100 WHERE id BETWEEN $a AND $a + 2",
    "UPDATE $c SET a = $b WHERE id > $a",
    "DELETE FROM $c WHERE id = $a OR id > 500",
    "MERGE INTO $c USING generate_series($a, $a + 5) AS i ON id = i WHEN MATCHED AND i % 2 = 0 THEN DELETE
         WHEN MATCHED THEN UPDATE SET b = '\\x$b$b' WHEN NOT MATCHED THEN INSERT (id, b) VALUES (i, '\\x00')",
    "INSERT INTO p VALUES ($a, $a % 3, $v), ($b, $a % 3, NULL) ON CONFLICT DO NOTHING",
    "UPDATE p SET bucket = (bucket + 1) % 3 WHERE id = $a",
    "UPDATE p SET s = $v, id = id + 1000 WHERE bucket = $a % 3 AND id = $b",
    "DELETE FROM p WHERE id > $a",
    "INSERT INTO p_1 (id, bucket, s) VALUES ($a, 1, $v) ON CONFLICT DO NOTHING",
    "INSERT INTO bag VALUES ($a, $v), ($a, $v)",
    "UPDATE bag SET x = x + 1 WHERE x < $a",
    "DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag LIMIT 3)",
    "INSERT INTO own (id, n) VALUES ($a, -$b) ON CONFLICT (id) DO UPDATE SET n = own.n + 1",
    "UPDATE own SET n = n + 1",
    "DELETE FROM own WHERE id = $a",
    "WITH gone AS (DELETE FROM own WHERE id = $a RETURNING *) INSERT INTO bag SELECT id, 'moved' FROM gone",
    "DO $d$BEGIN INSERT INTO bag VALUES ($a, 'lost'); UPDATE own SET n = n / ($a - $b); EXCEPTION WHEN division_by_zero THEN
         INSERT INTO bag VALUES ($b, 'caught'); END$d$",
    "INSERT INTO p SELECT id, 2, s FROM a ON CONFLICT DO NOTHING",
    "SAVEPOINT s",
    "ROLLBACK TO s",
];

/// Those that lock a table against all.
const RARE: [&str; 9] = [
    "TRUNCATE bag",
    "TRUNCATE p",
    "TRUNCATE p_1",
    "TRUNCATE p_0, own",
    "TRUNCATE a CASCADE",
    "ALTER TABLE own ALTER m TYPE bigint",
    "VACUUM FULL a",
    "CREATE INDEX ON bag (y); REINDEX TABLE a",
    "ALTER TABLE a ALTER s SET STORAGE EXTERNAL",
];

/// What things are called now; whoever alters a table holds it.
struct Names {
    c: String,
    x: Option<String>,
    next: u32,
}

/// Errors that are the statements' own business.
const EXPECTED: [&str; 14] = [
    "21000", "23505", "23503", "23502", "40001", "40P01", "55P03", "42703", "42P01", "3B001", "25001", "22012",
    "55006", "42P10",
];

struct Session<'a> {
    client: Client,
    rng: StdRng,
    names: &'a Mutex<Names>,
    number: u64,
    done: BTreeMap<&'static str, u32>,
}

impl Session<'_> {
    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// False when it failed as it may.
    fn try_run(&mut self, sql: &str) -> bool {
        match self.client.batch_execute(sql) {
            Ok(()) => true,
            Err(e) => {
                let error = SqlError::of(&e);
                assert!(EXPECTED.contains(&error.code.as_str()), "{sql}: {error}");
                false
            }
        }
    }

    fn statement(&mut self) -> String {
        let pool: &[&str] = if self.rng.random_range(0..60) == 0 { &RARE } else { &STATEMENTS };
        let template = *pool.choose(&mut self.rng).unwrap();
        let value = *["'é'", "''", "NULL", "'a\"b\\c'", "'x'", "'[1, 2]'"].choose(&mut self.rng).unwrap();
        let (c, x) = {
            let names = self.names.lock().unwrap();
            (names.c.clone(), names.x.clone().unwrap_or_else(|| "s".into()))
        };
        let number = |rng: &mut StdRng| rng.random_range(0..25).to_string();
        let (a, b) = (number(&mut self.rng), number(&mut self.rng));
        // A name may have been quoted in the template.
        template
            .replace("\"$x\"", &format!("\"{x}\""))
            .replace("$c", &c)
            .replace("$a", &a)
            .replace("$b", &b)
            .replace("$v", value)
    }

    fn transaction(&mut self, round: usize) {
        let level =
            *["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"].choose(&mut self.rng).unwrap();
        run(&mut self.client, &format!("BEGIN ISOLATION LEVEL {level}; SAVEPOINT s"));
        for _ in 0..self.rng.random_range(1..6) {
            let sql = self.statement();
            if !self.try_run(&sql) {
                self.count("failed");
                // Some go on from the savepoint, the others give up.
                if self.rng.random::<bool>() || !self.try_run("ROLLBACK TO s") {
                    run(&mut self.client, "ROLLBACK");
                    return;
                }
            }
        }
        match self.rng.random_range(0..10) {
            0 => {
                run(&mut self.client, "ROLLBACK");
                self.count("rolled back");
            }
            1 => {
                let id = format!("{}-{round}", self.number);
                if self.try_run(&format!("PREPARE TRANSACTION '{id}'")) {
                    let end = if self.rng.random::<bool>() { "COMMIT" } else { "ROLLBACK" };
                    // Nothing is prepared where nothing was done.
                    run(&mut self.client, &format!("{end} PREPARED '{id}'"));
                    self.count("prepared");
                } else {
                    run(&mut self.client, "ROLLBACK");
                }
            }
            _ => {
                if self.try_run("COMMIT") {
                    self.count("committed");
                } else {
                    run(&mut self.client, "ROLLBACK");
                }
            }
        }
    }

    /// DDL and the event that tells of it, in one transaction.
    fn alter(&mut self) {
        let names = self.names;
        let mut names = names.lock().unwrap();
        names.next += 1;
        let next = names.next;
        let told = |what: &str, details: String| {
            format!("SELECT notary.log_event('audit', '{{\"action\": \"ddl.{what}\", \"details\": {details}}}')")
        };
        let (what, ddl, event, c, x) = match (self.rng.random_range(0..4), names.x.clone()) {
            (0, _) => {
                let to = format!("c{next}");
                let event = told("rename_table", format!(r#"{{"from": "public.{}", "to": "public.{to}"}}"#, names.c));
                ("rename table", format!("ALTER TABLE {} RENAME TO {to}", names.c), event, to, names.x.clone())
            }
            (1, Some(x)) => {
                let to = format!("x \"\"{next}");
                let event = told(
                    "rename_column",
                    format!(r#"{{"table": "public.a", "from": "{}", "to": "{}"}}"#, json(&x), json(&to)),
                );
                ("rename column", format!("ALTER TABLE a RENAME \"{x}\" TO \"{to}\""), event, names.c.clone(), Some(to))
            }
            (2, Some(x)) => {
                let event = told("drop_column", format!(r#"{{"table": "public.a", "column": "{}"}}"#, json(&x)));
                ("drop column", format!("ALTER TABLE a DROP COLUMN \"{x}\""), event, names.c.clone(), None)
            }
            (_, None) => {
                let event = told(
                    "add_column",
                    format!(r#"{{"table": "public.a", "column": "x{next}", "value": "by default"}}"#),
                );
                (
                    "add column",
                    format!("ALTER TABLE a ADD COLUMN x{next} text DEFAULT 'by default'"),
                    event,
                    names.c.clone(),
                    Some(format!("x{next}")),
                )
            }
            _ => {
                // What is PII stays so, and keeps its place in the rows by another name.
                let event = told("rename_column", r#"{"table": "public.a", "from": "email", "to": "email"}"#.into());
                (
                    "rename PII",
                    "ALTER VIEW a RENAME email TO mail; ALTER TABLE a RENAME mail TO email".into(),
                    event,
                    names.c.clone(),
                    names.x.clone(),
                )
            }
        };
        run(&mut self.client, "BEGIN");
        if self.try_run(&ddl) && self.try_run(&event) && self.rng.random_range(0..4) > 0 && self.try_run("COMMIT") {
            (names.c, names.x) = (c, x);
            drop(names);
            self.count(what);
            return;
        }
        run(&mut self.client, "ROLLBACK");
    }
}

/// A quoted name as JSON has it.
fn json(name: &str) -> String {
    name.replace("\"\"", "\\\"")
}

fn work(db: &Database<'_>, seed: u64) -> BTreeMap<&'static str, u32> {
    let names = Mutex::new(Names { c: "c".into(), x: None, next: 0 });
    let all = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for number in 0..SESSIONS {
            let (names, all) = (&names, &all);
            scope.spawn(move || {
                let mut client = db.client();
                run(&mut client, "SET lock_timeout = '500ms'; SET deadlock_timeout = '50ms'");
                let rng = StdRng::seed_from_u64(seed.wrapping_add(number));
                let mut session = Session { client, rng, names, number, done: BTreeMap::new() };
                for round in 0..TRANSACTIONS {
                    match round % 20 {
                        9 => session.alter(),
                        19 if number == 0 => {
                            let again = "SELECT notary.unprotect('audit', 'a test'); SELECT notary.protect('audit')";
                            if session.try_run(again) {
                                session.count("unprotected");
                            }
                        }
                        _ => session.transaction(round),
                    }
                }
                for (what, count) in session.done {
                    *all.lock().unwrap().entry(what).or_default() += count;
                }
            });
        }
    });
    all.into_inner().unwrap()
}

#[test]
fn replaying_any_history_gives_the_tables() {
    let seed: u64 =
        std::env::var("NOTARY_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("NOTARY_SEED={seed}");
    let db = scene("history");
    run(&mut db.client(), TABLES);
    run(&mut db.client(), crate::pii::HMAC);
    let keys = [
        ("public.a", "id"),
        ("public.b", "k1,k2"),
        ("public.c", "id"),
        ("public.p", "id,bucket"),
        ("public.own", "id"),
    ];
    prepare(&db, &keys);
    let done = work(&db, seed);
    let c = texts(&mut db.client(), "SELECT \"table\" FROM notary.tracked WHERE \"table\"::text ~ '^c'").remove(0);
    let (name, rows) = (
        format!("public.{c}"),
        format!(
            "SELECT to_jsonb(whole) || jsonb_build_object('t', {}) FROM {c} AS whole",
            time("t AT TIME ZONE 'UTC'", "Z")
        ),
    );
    let events = assert_replays(
        &db,
        &[
            (
                "public.a",
                "SELECT to_jsonb(whole) || jsonb_build_object('email', hmac_of(to_jsonb(email)::text)) FROM a AS whole",
            ),
            ("public.b", "SELECT to_jsonb(whole) FROM b AS whole"),
            (&name, &rows),
            ("public.p", "SELECT to_jsonb(whole) FROM p AS whole"),
            ("public.bag", "SELECT to_jsonb(whole) FROM bag AS whole"),
            ("public.own", "SELECT to_jsonb(whole) FROM own AS whole"),
        ],
    );
    println!("{events} events; {done:?}");
    assert!(events > 500, "too few: {events}; {done:?}");
    for what in ["committed", "rolled back", "prepared", "failed", "unprotected"] {
        assert!(done.contains_key(what), "never: {what}; {done:?}");
    }
    let ddl = |what: &str| what.starts_with("rename") || what.ends_with("column");
    let altered: u32 = done.iter().filter(|(what, _)| ddl(what)).map(|(_, count)| count).sum();
    assert!(altered >= 4, "too little DDL: {done:?}");
    assert_eq!(texts(&mut db.client(), "SELECT count(*) FROM audit AS e WHERE e::text ~ '@example'"), ["0"]);
    assert_eq!(texts(&mut db.client(), "SELECT count(problem) || ' ' || count(*) FROM notary.tracked"), ["0 6"]);
}
