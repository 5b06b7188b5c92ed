//! The face of every function, as psql shows it: `pg_regress/sql/*.sql` against
//! `pg_regress/expected/*.out`. Errors show SQLSTATE, DETAIL and HINT.

use notary_tests::fresh_db;
use notary_tests::golden::Golden;
use std::fmt::Write;
use std::fs::{self, File};
use std::process::Stdio;

#[test]
fn psql_shows_what_is_expected() {
    Golden::new("pg_regress", "sql", "sql").check(|name, sql| {
        let db = fresh_db(&format!("regress_{name}"));
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        fs::write(&input, sql).unwrap();
        // One file for both, so that a message stands below the statement it belongs to.
        let out = File::create(&output).unwrap();
        let status = db
            .cluster()
            .command("psql")
            .args(["-X", "-q", "-a", "-d", db.name(), "-v", "VERBOSITY=verbose"])
            .args(["-v", "SHOW_CONTEXT=never", "-v", "HIDE_TABLEAM=on"])
            .env("PGTZ", "UTC")
            .env("PGDATESTYLE", "ISO, MDY")
            .stdin(File::open(&input).unwrap())
            .stdout(out.try_clone().unwrap())
            .stderr(Stdio::from(out))
            .status()
            .unwrap();
        let mut shown = String::new();
        let said = fs::read_to_string(&output).unwrap();
        // Where in PostgreSQL's or our sources an error was raised is not part of the face.
        for line in said.lines().filter(|line| !line.starts_with("LOCATION:  ")) {
            writeln!(shown, "{line}").unwrap();
        }
        if !status.success() {
            writeln!(shown, "psql: {status}").unwrap();
        }
        shown
    });
}
