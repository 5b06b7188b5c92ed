//! Commands that began before the table was a log, and go on after.

use crate::scene::{Scene, run};
use notary_tests::SqlError;
use std::time::{Duration, Instant};

const COMMANDS: &[&str] = &[
    "DROP TABLE plain",
    "TRUNCATE plain",
    "UPDATE plain SET note = 'x'",
    "ALTER TABLE plain ALTER COLUMN note TYPE text USING 'forged'",
    "ALTER TABLE plain ALTER COLUMN note TYPE varchar",
    "ALTER TABLE plain DROP COLUMN note",
    "ALTER TABLE plain RENAME COLUMN note TO other",
    "ALTER TABLE plain ADD COLUMN x text DEFAULT 'f'",
    "ALTER TABLE plain DISABLE TRIGGER ALL",
    "ALTER TABLE plain SET UNLOGGED",
    "CREATE RULE r AS ON INSERT TO plain DO INSTEAD NOTHING",
    "CREATE TABLE child () INHERITS (plain)",
    "ALTER TABLE branches DETACH PARTITION branch",
    "ALTER TABLE branches DETACH PARTITION branch CONCURRENTLY",
    "ALTER TABLE branches ALTER COLUMN note TYPE text USING 'forged'",
];

#[test]
fn a_command_that_waited_for_protect_is_refused_like_any_other() {
    let mut failures = Vec::new();
    let scene = Scene::new("guard_races");
    for (i, command) in COMMANDS.iter().enumerate() {
        let schema = format!("SET search_path = race_{i}, public");
        let mut protecting = scene.session(false);
        run(
            &mut protecting,
            &format!(
                "CREATE SCHEMA race_{i}; {schema};
                 CREATE TABLE plain (id int, note text);
                 CREATE TABLE branches (id int, note text) PARTITION BY LIST (id);
                 CREATE TABLE branch PARTITION OF branches FOR VALUES IN (1)"
            ),
        );
        run(&mut protecting, "BEGIN; SELECT notary.protect('plain'), notary.protect('branches')");
        let mut other = scene.session(false);
        run(&mut other, &schema);
        let pid: i32 = other.query_one("SELECT pg_backend_pid()", &[]).expect("a session has a pid").get(0);
        std::thread::scope(|scope| {
            let attempt = scope.spawn(|| other.batch_execute(command));
            wait_until_blocked(&scene, pid);
            run(&mut protecting, "COMMIT");
            match attempt.join().expect("the thread does not panic") {
                Ok(()) => failures.push(format!("{command}: succeeded")),
                Err(error) => {
                    let error = SqlError::of(&error);
                    if error.code != "55000" {
                        failures.push(format!("{command}: {error}"));
                    }
                }
            }
        });
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert_eq!(scene.db.value("SELECT bool_or(inhdetachpending) FROM pg_inherits"), "f");
}

fn wait_until_blocked(scene: &Scene, pid: i32) {
    let mut client = scene.session(true);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !client
        .query_one("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", &[&pid])
        .expect("pg_locks can be read")
        .get::<_, bool>(0)
    {
        assert!(Instant::now() < deadline, "the command does not wait for protect");
        std::thread::sleep(Duration::from_millis(5));
    }
}
