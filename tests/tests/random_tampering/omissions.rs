//! The proof that random tampering can fail: a verifier that lacks a single one of its checks is caught by it.
//!
//! `make stage` builds no such verifier; `tests/stage.sh omitting` does, beside the real one.

use notary_tests::{Cluster, Database, err};
use std::path::PathBuf;
use std::process::Command;
use std::{env, thread};

/// Which check the verifier of this process is to lack; for `every_single_change_…` when this file runs it.
const OMIT: &str = "NOTARY_OMIT";
/// What one process takes in of another. The core's tests notice when these are gone; here a chain of which something is lost
/// is walked once more, and nothing is said that was not to be said.
const OF_WORKERS: [&str; 2] = ["WorkersDamage", "WorkersRuns"];

/// Has the sessions of a database verify without the check that `NOTARY_OMIT` names.
pub fn leave_out(db: &Database<'_>) {
    if let Ok(check) = env::var(OMIT) {
        let sql = format!("ALTER DATABASE \"{}\" SET notary.omit = '{check}'", db.name());
        db.client().batch_execute(&sql).unwrap();
    }
}

/// The programs of the server whose verifier can lack checks.
fn omitting() -> PathBuf {
    let real = PathBuf::from(env::var_os("NOTARY_PGROOT").expect("make server-test sets it"));
    let programs = real.with_file_name("omitting").join("bin");
    assert!(programs.exists(), "{} is not there: run tests/stage.sh omitting", programs.display());
    programs
}

/// The checks that can be left out, as the library names them when it is asked for one that there is not.
fn checks() -> Vec<String> {
    let query = "CREATE EXTENSION pg_notary; SET notary.omit = '?'; CREATE TABLE t (i int);
        SELECT notary.protect('t'); SELECT FROM notary.verify('t')";
    // A process of its own: which server is used is its environment.
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "omissions::names", "--ignored", "--nocapture"])
        .env("NOTARY_PGROOT", omitting())
        .env("NOTARY_QUERY", query)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let names = said.lines().find_map(|line| line.strip_prefix("checks: "));
    let names = names.unwrap_or_else(|| panic!("{said}\n{}", String::from_utf8_lossy(&child.stderr)));
    names.split(' ').map(str::to_owned).collect()
}

#[test]
#[ignore = "run by a_verifier_without_one_of_its_checks_is_caught, on the server that it names"]
fn names() {
    let cluster = Cluster::start();
    let db = cluster.bare_db("names");
    let error = err(db.client().batch_execute(&env::var("NOTARY_QUERY").expect("the caller sets it")));
    assert_eq!((error.code.as_str(), error.message.as_str()), ("22023", "notary.omit names no check"));
    println!("checks: {}", error.detail);
}

/// Does random tampering pass with a verifier that lacks `check`? The seed is fixed, the same for all.
fn passes(check: &str) -> bool {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "every_single_change_is_found_at_its_place_and_nothing_else"])
        .env("NOTARY_PGROOT", omitting())
        .env(OMIT, check)
        .env("NOTARY_SEED", "1")
        .env_remove("NOTARY_SOAK_SECONDS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    // It fails for what was found, and for nothing else.
    let caught = said.contains("assertion `left == right` failed: NOTARY_SEED=1");
    assert!(child.status.success() != caught, "{check}: {said}");
    child.status.success()
}

#[test]
fn a_verifier_without_one_of_its_checks_is_caught() {
    let checks = checks();
    assert!(checks.len() > OF_WORKERS.len() && OF_WORKERS.iter().all(|check| checks.iter().any(|c| c == check)));
    let checks: Vec<_> = checks.into_iter().filter(|check| !OF_WORKERS.contains(&check.as_str())).collect();
    // Two at once, as there are processors.
    let (left, right) = checks.split_at(checks.len() / 2);
    let missed: Vec<&String> = thread::scope(|scope| {
        let halves =
            [left, right].map(|half| scope.spawn(move || half.iter().filter(|c| passes(c)).collect::<Vec<_>>()));
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    assert!(missed.is_empty(), "random tampering does not notice when these are gone: {missed:?}");
}
