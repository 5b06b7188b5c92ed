//! Every way to insert, and statements that fail.

use crate::worker::{Outcome, Trouble, Worker};
use rand::Rng;
use std::io::Write;
use std::sync::atomic::Ordering;

/// Something to do inside a transaction, or as one.
pub struct Statement {
    pub name: &'static str,
    pub run: fn(&mut Worker) -> Outcome,
    /// SQLSTATEs it may raise, besides a cancel.
    pub may: &'static [&'static str],
    /// It is meant to fail.
    pub fails: bool,
    /// It may wait for another transaction's key.
    pub contends: bool,
    pub in_block_only: bool,
}

const fn plain(name: &'static str, run: fn(&mut Worker) -> Outcome) -> Statement {
    Statement { name, run, may: &[], fails: false, contends: false, in_block_only: false }
}

const fn failing(name: &'static str, run: fn(&mut Worker) -> Outcome, may: &'static [&'static str]) -> Statement {
    Statement { may, fails: true, ..plain(name, run) }
}

const fn in_block(statement: Statement) -> Statement {
    Statement { in_block_only: true, ..statement }
}

/// All of them.
pub const ALL: &[Statement] = &[
    plain("insert", insert),
    plain("insert rows", insert_rows),
    plain("insert select", insert_select),
    in_block(plain("copy", copy)),
    in_block(plain("copy partitions", copy_partitions)),
    plain("prepared statement", prepared_statement),
    plain("functions", functions),
    plain("do block", do_block),
    plain("exception block", exception_block),
    plain("view", view),
    plain("merge", merge),
    plain("other table's trigger", other_table),
    plain("partitions", partitions),
    plain("on conflict own key", on_conflict_own),
    Statement { contends: true, ..plain("on conflict any key", on_conflict_any) },
    plain("returning", returning),
    plain("two inserts in one", two_inserts),
    plain("check inserts", check_inserts),
    plain("check inserts and fails", check_inserts_and_fails),
    plain("check inserts before a conflict", check_inserts_before_conflict),
    plain("after trigger", after_trigger),
    plain("long row", long_row),
    in_block(plain("cursor", cursor)),
    failing("failing row", failing_row, &["22012"]),
    in_block(failing("failing copy", failing_copy, &["22P02"])),
    failing("duplicate key", duplicate_key, &["23505"]),
    failing("no partition", no_partition, &["23514"]),
    failing("own place", own_place, &["55000"]),
    failing("change", change, &["55000"]),
    in_block(failing("timeout", timeout, &["57014"])),
];

/// A statement that was to fail did not.
fn must_fail(w: &mut Worker, outcome: Outcome) -> Outcome {
    if outcome.is_ok() {
        let what = format!("{} succeeded", w.doing);
        w.shared.failure(what);
    }
    outcome
}

fn bucket(w: &mut Worker) -> i32 {
    let buckets = w.shared.buckets.load(Ordering::Relaxed);
    w.rng.random_range(0..buckets)
}

fn insert(w: &mut Worker) -> Outcome {
    let id = w.live();
    w.run(&format!("INSERT INTO plain (id, ref) VALUES ({id}, 1 + {id} % 10)"))
}

fn insert_rows(w: &mut Worker) -> Outcome {
    let values: Vec<_> = (0..w.rng.random_range(2..8)).map(|_| format!("({}, 'rows')", w.live())).collect();
    w.run(&format!("INSERT INTO plain (id, kind) VALUES {}", values.join(", ")))
}

fn insert_select(w: &mut Worker) -> Outcome {
    let count = w.rng.random_range(1..40);
    let first = w.live_range(count);
    let last = first + count - 1;
    w.run(&format!("INSERT INTO plain (id, body) SELECT i, to_jsonb(i) FROM generate_series({first}, {last}) AS i"))
}

/// Only inside a transaction block: the client library returns when the server has the rows, which by itself commits
/// them a moment later.
fn copy_lines(w: &mut Worker, sql: &str, lines: &str) -> Outcome {
    let result = w.client().copy_in(sql).and_then(|mut copy| {
        // The lines fit the buffer, so nothing is sent, and nothing can fail, before finish().
        copy.write_all(lines.as_bytes()).expect("a buffer");
        copy.finish()
    });
    w.judge(result, sql).map(drop)
}

fn copy(w: &mut Worker) -> Outcome {
    let lines: String = (0..w.rng.random_range(1..20)).map(|_| format!("{}\tcopy\t{{\"x\":1}}\n", w.live())).collect();
    copy_lines(w, "COPY plain (id, kind, body) FROM STDIN", &lines)
}

fn copy_partitions(w: &mut Worker) -> Outcome {
    let mut lines = String::new();
    for _ in 0..w.rng.random_range(1..20) {
        let sub = if w.rng.random() { "a" } else { "b" };
        lines += &format!("{}\t{}\t{sub}\n", w.live(), bucket(w));
    }
    copy_lines(w, "COPY part (id, bucket, sub) FROM STDIN", &lines)
}

fn prepared_statement(w: &mut Worker) -> Outcome {
    let sql = "INSERT INTO plain (id, kind, nested) VALUES ($1, 'prepared', $2)";
    let result = w.client().prepare(sql);
    let statement = w.judge(result, sql)?;
    if !w.in_block {
        let id = w.live();
        let result = w.client().execute(&statement, &[&id, &1_i64]);
        return w.judge(result, sql).map(drop);
    }
    for _ in 0..w.rng.random_range(1..5) {
        let id = w.live();
        let result = w.client().execute(&statement, &[&id, &2_i64]);
        w.judge(result, sql)?;
    }
    Ok(())
}

fn functions(w: &mut Worker) -> Outcome {
    let (a, b, c) = (w.live(), w.live(), w.live());
    w.run(&format!("SELECT put({a}), put_sql({b}), put({c})"))
}

fn do_block(w: &mut Worker) -> Outcome {
    let count = w.rng.random_range(1..10);
    let first = w.live_range(count);
    w.run(&format!("DO $$BEGIN FOR i IN 0 .. {} LOOP PERFORM put({first} + i); END LOOP; END$$", count - 1))
}

fn exception_block(w: &mut Worker) -> Outcome {
    let (before, inside, instead, after) = (w.live(), w.gone(), w.live(), w.live());
    let fails = ["PERFORM 1/0", "RAISE EXCEPTION 'no'", "PERFORM put(NULL)"][w.rng.random_range(0..3)];
    w.run(&format!(
        "DO $$BEGIN
            PERFORM put({before});
            BEGIN
                INSERT INTO plain (id) VALUES ({inside});
                {fails};
            EXCEPTION WHEN division_by_zero OR raise_exception OR not_null_violation THEN
                INSERT INTO plain (id) VALUES ({instead});
            END;
            PERFORM put_sql({after});
        END$$"
    ))
}

fn view(w: &mut Worker) -> Outcome {
    let (a, b) = (w.live(), w.live());
    w.run(&format!("INSERT INTO plain_view (id, kind) VALUES ({a}, 'view'), ({b}, 'view')"))
}

fn merge(w: &mut Worker) -> Outcome {
    let (a, b) = (w.live(), w.live());
    w.run(&format!(
        "MERGE INTO plain USING (VALUES ({a}), ({b})) AS s (id) ON plain.k = -s.id
         WHEN NOT MATCHED THEN INSERT (id, kind) VALUES (s.id, 'merge')"
    ))
}

fn other_table(w: &mut Worker) -> Outcome {
    let (id, also, bucket) = (w.live(), w.live(), bucket(w));
    w.run(&format!("INSERT INTO src (id, bucket, also) VALUES ({id}, {bucket}, {also})"))
}

fn partitions(w: &mut Worker) -> Outcome {
    let mut values = Vec::new();
    for _ in 0..w.rng.random_range(1..12) {
        let sub = if w.rng.random() { "a" } else { "b" };
        values.push(format!("({}, {}, '{sub}', 1.{})", w.live(), bucket(w), values.len()));
    }
    w.run(&format!("INSERT INTO part (id, bucket, sub, body) VALUES {}", values.join(", ")))
}

/// Runs an INSERT … ON CONFLICT … RETURNING id; the live rows from `mark` on that it does not return have not landed.
fn landed(w: &mut Worker, mark: usize, sql: &str) -> Outcome {
    w.rows.partial = true;
    let outcome = w.ids(sql);
    match outcome {
        Ok(ids) => {
            w.rows.partial = false;
            let (there, not) = w.rows.live.drain(mark..).partition(|id| ids.contains(id));
            let (there, not): (Vec<i64>, Vec<i64>) = (there, not);
            w.rows.live.extend(there);
            w.rows.gone.extend(not);
            Ok(())
        }
        Err(Trouble::Error(error)) => {
            w.rows.partial = false;
            Err(Trouble::Error(error))
        }
        Err(Trouble::Lost) => Err(Trouble::Lost),
    }
}

fn on_conflict_own(w: &mut Worker) -> Outcome {
    let mark = w.rows.live.len();
    let mut values = Vec::new();
    let key = -w.shared.new_ids(1);
    for _ in 0..w.rng.random_range(2..6) {
        // Some rows meet the key of a row before them.
        let key = if w.rng.random() { key } else { -w.shared.new_ids(1) };
        values.push(format!("({}, 'conflict', {key})", w.live()));
    }
    let target = if w.rng.random() { " (k)" } else { "" };
    let values = values.join(", ");
    landed(
        w,
        mark,
        &format!("INSERT INTO plain (id, kind, k) VALUES {values} ON CONFLICT{target} DO NOTHING RETURNING id"),
    )
}

/// Others use the same keys at the same time.
fn on_conflict_any(w: &mut Worker) -> Outcome {
    let mark = w.rows.live.len();
    let id = w.live();
    let key = id / 200 * 200 + w.rng.random_range(0..5);
    let target = if w.rng.random() { " (k)" } else { "" };
    landed(
        w,
        mark,
        &format!("INSERT INTO plain (id, k) VALUES ({id}, {key}) ON CONFLICT{target} DO NOTHING RETURNING id"),
    )
}

fn returning(w: &mut Worker) -> Outcome {
    let id = w.live();
    let sql = format!(
        "INSERT INTO plain (id) VALUES ({id}) RETURNING
         CASE WHEN notary_chain > 0 AND notary_seq > 0 AND length(notary_hash) = 32 THEN id END"
    );
    if w.ids(&sql)? != [id] {
        w.shared.failure(format!("RETURNING gave no place: {sql}"));
    }
    Ok(())
}

fn two_inserts(w: &mut Worker) -> Outcome {
    let count = w.rng.random_range(1..5);
    let (first, second) = (w.live_range(count), w.live_range(count));
    w.run(&format!(
        "WITH one AS (INSERT INTO plain (id) SELECT generate_series({first}, {}) RETURNING id)
         INSERT INTO plain (id) SELECT id + {second} - {first} FROM one",
        first + count - 1
    ))
}

fn check_inserts(w: &mut Worker) -> Outcome {
    let (a, b, c, d) = (w.live(), w.live(), w.live(), w.live());
    w.run(&format!("INSERT INTO plain (id, kind, nested) VALUES ({a}, 'nest', {b}), ({c}, 'nest_part', {d})"))
}

fn check_inserts_and_fails(w: &mut Worker) -> Outcome {
    let (a, b, c) = (w.live(), w.live(), w.live());
    let (x, y) = (w.gone(), w.live());
    w.run(&format!(
        "INSERT INTO plain (id, kind, nested) VALUES
         ({a}, 'nest_and_fail', {x}), ({b}, 'nest', {y}), ({c}, 'nest_and_fail', {x})"
    ))
}

fn check_inserts_before_conflict(w: &mut Worker) -> Outcome {
    let key = -w.shared.new_ids(1);
    let (a, nested_a, b, nested_b) = (w.live(), w.live(), w.gone(), w.live());
    w.run(&format!(
        "INSERT INTO plain (id, kind, nested, k) VALUES ({a}, 'nest', {nested_a}, {key}), ({b}, 'nest', {nested_b}, {key})
         ON CONFLICT DO NOTHING"
    ))
}

fn after_trigger(w: &mut Worker) -> Outcome {
    let (a, also_a, b, also_b) = (w.live(), w.live(), w.live(), w.live());
    w.run(&format!("INSERT INTO plain (id, kind, nested) VALUES ({a}, 'after', {also_a}), ({b}, 'after', {also_b})"))
}

/// Values in TOAST.
fn long_row(w: &mut Worker) -> Outcome {
    let id = w.live();
    w.run(&format!(
        "INSERT INTO plain (id, body) SELECT {id}, jsonb_agg(md5(i::text)) FROM generate_series(1, 300) AS i"
    ))
}

fn cursor(w: &mut Worker) -> Outcome {
    let name = format!("c{}", w.shared.new_ids(1));
    let count = w.rng.random_range(2..6);
    let first = w.shared.new_ids(count);
    let put = if w.rng.random() { "put" } else { "put_sql" };
    w.run(&format!(
        "DECLARE {name} CURSOR FOR SELECT {put}(i) FROM generate_series({first}, {}) AS i",
        first + count - 1
    ))?;
    w.rows.gone.extend(first + count / 2..first + count);
    for id in first..first + count / 2 {
        w.rows.live.push(id);
        if id == first && w.rng.random() {
            // Fetched inside a savepoint that is rolled back: the cursor moves on all the same.
            w.run(&format!("SAVEPOINT c; FETCH {name}; ROLLBACK TO c; RELEASE c"))?;
            let mark = w.rows.live.len() - 1;
            w.rows.roll_back_to(mark);
        } else {
            w.run(&format!("FETCH {name}"))?;
        }
    }
    if w.rng.random() { w.run(&format!("CLOSE {name}")) } else { Ok(()) }
}

fn failing_row(w: &mut Worker) -> Outcome {
    let first = w.live_range(10);
    let outcome = w.run(&format!(
        "INSERT INTO plain (id, nested) SELECT i, 1 / (i - {}) FROM generate_series({first}, {}) AS i",
        first + 7,
        first + 9
    ));
    must_fail(w, outcome)
}

fn failing_copy(w: &mut Worker) -> Outcome {
    let lines = format!("{}\tcopy\n{}\tcopy\nnot a number\tcopy\n", w.live(), w.live());
    let outcome = copy_lines(w, "COPY plain (id, kind) FROM STDIN", &lines);
    must_fail(w, outcome)
}

fn duplicate_key(w: &mut Worker) -> Outcome {
    let key = -w.shared.new_ids(1);
    let (a, b) = (w.live(), w.live());
    let outcome = w.run(&format!("INSERT INTO plain (id, k) VALUES ({a}, {key}), ({b}, {key})"));
    if let Err(Trouble::Error(error)) = &outcome
        && error.code == "23505"
        // REINDEX CONCURRENTLY has the constraint's index under other names besides.
        && !error.constraint.starts_with("plain_k_key")
    {
        w.shared.failure(format!("another key than ours is double: {error}"));
    }
    must_fail(w, outcome)
}

fn no_partition(w: &mut Worker) -> Outcome {
    let (a, b) = (w.live(), w.live());
    let outcome = w.run(&format!("INSERT INTO part (id, bucket) VALUES ({a}, 0), ({b}, -1)"));
    must_fail(w, outcome)
}

fn own_place(w: &mut Worker) -> Outcome {
    let (a, b) = (w.live(), w.live());
    let outcome =
        w.run(&format!("INSERT INTO plain (id, notary_chain, notary_seq) VALUES ({a}, NULL, NULL), ({b}, 1, 1)"));
    must_fail(w, outcome)
}

fn change(w: &mut Worker) -> Outcome {
    let log = ["plain", "part", "narrow"][w.rng.random_range(0..3)];
    let id = w.rng.random_range(1..1_000);
    let outcome = match w.rng.random_range(0..3) {
        0 => w.run(&format!("UPDATE {log} SET id = 0 WHERE id = {id}")),
        1 => w.run(&format!("DELETE FROM {log} WHERE id = {id}")),
        _ => w.run("INSERT INTO plain (id, k) VALUES (0, 0) ON CONFLICT (k) DO UPDATE SET id = 0"),
    };
    must_fail(w, outcome)
}

fn timeout(w: &mut Worker) -> Outcome {
    let count = 30;
    let first = w.live_range(count);
    w.run("SET LOCAL statement_timeout = '30ms'")?;
    let outcome = w.run(&format!(
        "INSERT INTO plain (id) SELECT i FROM generate_series({first}, {}) AS i, LATERAL (SELECT pg_sleep(i * 0 + 0.01)) AS s",
        first + count - 1
    ));
    must_fail(w, outcome)
}
