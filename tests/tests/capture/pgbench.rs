//! TPC-B as pgbench has it, all four tables tracked, with savepoints, while backends and the server are killed: replaying the
//! events gives the four tables.

use crate::replay::{assert_replays, prepare, time};
use notary_tests::{Cluster, Database, SqlError};
use postgres::NoTls;
use postgres::types::FromSql;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const TABLES: [&str; 4] = ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers"];

/// pgbench's own transaction, which now and then takes a part of itself back.
const SCRIPT: &str = "
    \\set aid random(1, 3000)
    \\set bid random(1, 3)
    \\set tid random(1, 30)
    \\set delta random(-5000, 5000)
    \\set back random(1, 5)
    BEGIN;
    UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
    SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
    SAVEPOINT s;
    UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
    \\if :back = 1
    ROLLBACK TO s;
    UPDATE pgbench_tellers SET tbalance = tbalance - 1 WHERE tid = :tid;
    \\endif
    RELEASE s;
    UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
    INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
    END;";

fn set_up(cluster: &Cluster) -> String {
    let db = cluster.fresh_db("tpcb");
    let name = db.name().to_owned();
    cluster.run("pgbench", &["-i", "-I", "tp", "-q", &name]).ok();
    let mut client = db.client();
    let setup = "SELECT notary.create_log('audit');
        ALTER TABLE pgbench_history ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
        SELECT notary.track(t::regclass, 'audit') FROM unnest('{pgbench_accounts,pgbench_branches,pgbench_history,pgbench_tellers}'::text[]) AS t;
        INSERT INTO pgbench_branches SELECT i, 0 FROM generate_series(1, 3) AS i;
        INSERT INTO pgbench_tellers SELECT i, i % 3 + 1, 0 FROM generate_series(1, 30) AS i;
        INSERT INTO pgbench_accounts SELECT i, i % 3 + 1, 0, '' FROM generate_series(1, 3000) AS i";
    client.batch_execute(setup).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
    prepare(
        &db,
        &[
            ("public.pgbench_accounts", "aid"),
            ("public.pgbench_branches", "bid"),
            ("public.pgbench_history", "id"),
            ("public.pgbench_tellers", "tid"),
        ],
    );
    name
}

fn pgbench(cluster: &Cluster, db: &str) -> Child {
    let script = cluster.scratch_dir().join("tpcb.sql");
    std::fs::write(&script, SCRIPT).unwrap();
    let mut command = cluster.command("pgbench");
    command.args(["-n", "-c", "6", "-j", "2", "-T", "30", "-M", "prepared", "-f"]).arg(script).arg(db);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pgbench is PostgreSQL's own")
}

/// A number, as soon as the server tells it: after a backend was killed it recovers first.
fn ask<T: for<'a> FromSql<'a>>(cluster: &Cluster, db: &str, query: &str) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match cluster.config(db).connect(NoTls).and_then(|mut client| client.query_one(query, &[])) {
            Ok(row) => return row.get(0),
            Err(e) => assert!(Instant::now() < deadline, "no answer: {e}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn tpc_b_under_kills_replays() {
    let mut cluster = Cluster::start();
    let name = set_up(&cluster);
    let mut transactions = 0;
    for round in 0..6 {
        let mut work = pgbench(&cluster, &name);
        // In the midst of it, however busy the machine is.
        let enough = format!("SELECT count(*) >= {transactions} + 300 FROM pgbench_history");
        let deadline = Instant::now() + Duration::from_secs(25);
        while !ask::<bool>(&cluster, &name, &enough) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            // It gives up where the server is still recovering from the round before.
            if work.try_wait().unwrap().is_some() {
                work = pgbench(&cluster, &name);
            }
        }
        if round % 2 == 0 {
            // One backend, by SIGKILL: the postmaster ends all others and recovers.
            let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' ORDER BY random() LIMIT 1";
            let pid: i32 = ask(&cluster, &name, sql);
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        } else {
            cluster.kill9_postmaster();
        }
        let _ = work.kill();
        work.wait().unwrap();
        if round % 2 == 1 {
            cluster.start_again();
        }
        let done: i64 = ask(&cluster, &name, "SELECT count(*) FROM pgbench_history");
        assert!(done > transactions, "round {round}: nothing was done");
        transactions = done;
    }
    let db: Database<'_> = cluster.database(&name);
    let rows = TABLES.map(|table| {
        let times = match table {
            "pgbench_history" => format!(" || jsonb_build_object('mtime', {})", time("mtime", "")),
            _ => String::new(),
        };
        (format!("public.{table}"), format!("SELECT to_jsonb(t){times} FROM {table} AS t"))
    });
    let tables: Vec<_> = rows.iter().map(|(name, rows)| (name.as_str(), rows.as_str())).collect();
    let events = assert_replays(&db, &tables);
    println!("{transactions} transactions, {events} events");
    assert!(events > 3000 + u64::try_from(transactions).unwrap());
    let sums = "SELECT (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts)
                AND (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(bbalance) FROM pgbench_branches)";
    assert_eq!(db.value(sums), "t");
}
