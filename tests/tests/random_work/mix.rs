//! Transactions of every shape, made of the statements.

use crate::statements::{self, Statement};
use crate::worker::{Outcome, Trouble, Worker};
use rand::Rng;
use std::sync::atomic::Ordering;

/// Names of everything that a long enough run must have done.
pub fn names() -> impl Iterator<Item = &'static str> {
    let own = [
        "autocommit",
        "commit",
        "rollback",
        "prepare",
        "finish prepared",
        "one chain",
        "large rollback",
        "savepoint released",
        "savepoint rolled back",
        "failing commit",
        "procedure",
    ];
    own.into_iter().chain(statements::ALL.iter().map(|s| s.name))
}

/// One transaction, from its begin to its end.
pub fn transaction(w: &mut Worker) {
    let calm = w.shared.calm.load(Ordering::Relaxed);
    let prepared = w.shared.prepared_count();
    if prepared > 0 && (calm || prepared > 6 || w.rng.random_ratio(1, 10)) {
        let shared = w.shared.clone();
        if let Some(prepared) = shared.take_prepared(&mut w.rng) {
            w.doing = "finish prepared";
            w.may = Vec::new();
            w.finish_prepared(prepared);
            return shared.done("finish prepared");
        }
    }
    match w.rng.random_range(0..100) {
        0..30 => autocommit(w),
        30..80 => block(w),
        80..88 if !calm => two_phase(w),
        80..88 => block(w),
        88..93 => one_chain(w),
        93..96 => failing_commit(w),
        96..98 => procedure(w),
        _ => large_rollback(w),
    }
}

fn autocommit(w: &mut Worker) {
    let outcome = any_statement(w, |s| !s.in_block_only);
    if outcome.is_ok() {
        w.shared.done("autocommit");
    }
    w.end_statement(outcome);
}

fn begin(w: &mut Worker) -> Outcome {
    let isolation = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"][w.rng.random_range(0..3)];
    w.in_block = true;
    w.doing = "begin";
    w.may = Vec::new();
    w.may_all = if isolation == "READ COMMITTED" { Vec::new() } else { vec!["40001"] };
    w.run(&format!("BEGIN ISOLATION LEVEL {isolation}"))
}

fn steps(w: &mut Worker, most: u32) -> Outcome {
    for _ in 0..w.rng.random_range(1..=most) {
        if w.depth < 3 && w.rng.random_ratio(1, 4) {
            savepoint(w)?;
        } else {
            any_statement(w, |_| true)?;
        }
    }
    Ok(())
}

fn block(w: &mut Worker) {
    if begin(w).and_then(|()| steps(w, 5)).is_err() {
        return w.roll_back();
    }
    w.may = Vec::new();
    if w.rng.random_ratio(1, 5) {
        w.doing = "rollback";
        w.roll_back();
        return w.shared.done("rollback");
    }
    w.doing = "commit";
    if w.commit().is_ok() {
        w.shared.done("commit");
    }
}

fn savepoint(w: &mut Worker) -> Outcome {
    w.depth += 1;
    let result = inside_savepoint(w);
    w.depth -= 1;
    result
}

fn inside_savepoint(w: &mut Worker) -> Outcome {
    let (name, mark) = (format!("s{}", w.depth), w.rows.live.len());
    w.doing = "savepoint";
    w.may = Vec::new();
    w.run(&format!("SAVEPOINT {name}"))?;
    let release = match steps(w, 3) {
        Ok(()) => w.rng.random_ratio(3, 5),
        Err(Trouble::Lost) => return Err(Trouble::Lost),
        Err(Trouble::Error(_)) => false,
    };
    w.may = Vec::new();
    if release {
        w.run(&format!("RELEASE {name}"))?;
        w.shared.done("savepoint released");
        return Ok(());
    }
    w.run(&format!("ROLLBACK TO {name}"))?;
    w.rows.roll_back_to(mark);
    // What was not known to have landed has not.
    w.rows.partial = false;
    w.shared.done("savepoint rolled back");
    if w.rng.random() { w.run(&format!("RELEASE {name}")) } else { Ok(()) }
}

fn two_phase(w: &mut Worker) {
    // What others may have to wait for must not be left lying about.
    w.may_contend = false;
    if begin(w).and_then(|()| steps(w, 3)).is_err() {
        return w.roll_back();
    }
    w.doing = "prepare";
    w.may = Vec::new();
    w.prepare();
    w.shared.done("prepare");
}

/// The log with one chain, where writers wait for each other.
fn one_chain(w: &mut Worker) {
    w.doing = "one chain";
    let outcome = begin(w).and_then(|()| {
        for _ in 0..w.rng.random_range(1..3) {
            let id = w.live();
            w.run(&format!("INSERT INTO narrow (id, note) VALUES ({id}, 'one'); SELECT pg_sleep(0.005)"))?;
        }
        Ok(())
    });
    if outcome.is_err() {
        return w.roll_back();
    }
    if w.commit().is_ok() {
        w.shared.done("one chain");
    }
}

/// A deferred constraint that fails when all is done.
fn failing_commit(w: &mut Worker) {
    let outcome = begin(w).and_then(|()| steps(w, 2)).and_then(|()| {
        let id = w.gone();
        w.doing = "failing commit";
        w.run(&format!("INSERT INTO plain (id, ref) VALUES ({id}, -1)"))
    });
    w.may = vec!["23503"];
    if outcome.is_err() {
        return w.roll_back();
    }
    match w.commit() {
        Ok(()) => w.shared.failure("a deferred constraint did not hold".into()),
        Err(_) => w.shared.done("failing commit"),
    }
}

/// A procedure that commits some and rolls back the rest.
fn procedure(w: &mut Worker) {
    w.doing = "procedure";
    w.may = Vec::new();
    let (one, two, three) = (w.live(), w.live(), w.gone());
    let outcome = w.run(&format!("CALL put_and_commit({one}, {two}, {three})"));
    // An error may come before its COMMIT or after.
    let rows = std::mem::take(&mut w.rows);
    match outcome {
        Ok(()) => w.shared.committed(rows, "a procedure"),
        Err(_) => w.shared.unknown(rows),
    }
    w.shared.done("procedure");
}

fn large_rollback(w: &mut Worker) {
    let count = w.rng.random_range(500..3_000);
    let first = w.live_range(count);
    let outcome = begin(w).and_then(|()| {
        w.doing = "large rollback";
        w.run(&format!("INSERT INTO plain (id) SELECT generate_series({first}, {})", first + count - 1))
    });
    w.roll_back();
    if outcome.is_ok() {
        w.shared.done("large rollback");
    }
}

fn any_statement(w: &mut Worker, which: impl Fn(&Statement) -> bool) -> Outcome {
    let fits: Vec<&Statement> = statements::ALL.iter().filter(|s| which(s) && (!s.contends || w.may_contend)).collect();
    let statement = fits[w.rng.random_range(0..fits.len())];
    if statement.contends {
        w.may_contend = false;
    }
    w.doing = statement.name;
    w.may = statement.may.to_vec();
    let outcome = (statement.run)(w);
    match &outcome {
        Ok(()) => w.shared.done(statement.name),
        Err(Trouble::Error(_)) if statement.fails => w.shared.done(statement.name),
        Err(_) => w.shared.failed_as_it_may(statement.name),
    }
    outcome
}
