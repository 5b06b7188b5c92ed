//! Two who look on while all work: verification must never raise an alarm, and writers must never wait for each other
//! through a log, unless it has but one chain.

use crate::record::Shared;
use crate::worker::{Trouble, connect};
use notary_tests::SqlError;
use postgres::{Client, Config};
use rand::Rng;
use std::time::{Duration, Instant};

/// What is wrong with any log; empty when all are intact.
fn alarms(client: &mut Client) -> Result<Vec<String>, postgres::Error> {
    let mut alarms = Vec::new();
    for row in client.query("SELECT log::text, intact, findings, first_finding FROM notary.verify()", &[])? {
        let (log, intact): (Option<String>, bool) = (row.get(0), row.get(1));
        if !intact {
            let (count, first): (i64, Option<String>) = (row.get(2), row.get(3));
            alarms.push(format!("{log:?} is not intact, {count} findings: {}", first.unwrap_or_default()));
        }
    }
    Ok(alarms)
}

/// Every log, when nobody works any more, with all findings.
pub fn assert_all_intact(client: &mut Client) {
    let alarms = alarms(client).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
    let mut all = Vec::new();
    for log in ["plain", "part", "narrow", "notary.journal"] {
        let found = notary_tests::verdict::findings(client, log);
        all.extend(found.iter().take(50).map(|said| format!("{} {said}: {}", said.segment, said.detail)));
    }
    assert!(alarms.is_empty() && all.is_empty(), "{alarms:#?}\n{all:#?}");
    let logs = client.query_one("SELECT count(*) FROM notary.verify()", &[]).expect("a query");
    assert_eq!(logs.get::<_, i64>(0), 4, "not all logs were checked");
}

/// Verifies again and again, at every isolation level.
pub fn verify(config: &Config, shared: &Shared) {
    let mut rng = shared.rng(700);
    while let Some(mut client) = connect(config, shared) {
        while !shared.stopped() {
            let isolation = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"][rng.random_range(0..3)];
            let begun = Instant::now();
            let begin = format!("BEGIN ISOLATION LEVEL {isolation}, READ ONLY; SELECT 1");
            let result = client.batch_execute(&begin).and_then(|()| alarms(&mut client));
            match result.as_ref().map_err(Trouble::of) {
                Ok(found) if found.is_empty() => shared.done("verify"),
                Ok(found) => shared.failure(format!("a false alarm, {isolation}:\n{}", found.join("\n"))),
                Err(Trouble::Lost) => break,
                // A check of several logs, VACUUM FULL on one of them and REINDEX CONCURRENTLY on another can wait for each
                // other in a circle; PostgreSQL picks one to fail, and whoever asked asks again.
                Err(Trouble::Error(error)) if error.code == "40P01" => shared.done("verify (deadlock)"),
                Err(Trouble::Error(error)) => shared.failure(format!("verify failed, {isolation}: {error}")),
            }
            if client.batch_execute("COMMIT").is_err() {
                break;
            }
            // Leave some of the processors to those who work.
            std::thread::sleep(begun.elapsed().clamp(Duration::from_millis(50), Duration::from_secs(2)));
        }
    }
}

/// Chains are locks of kind `object` on pg_class whose sub-id is the chain.
const WAITS: &str = "
    SELECT l.objid::regclass::text, l.objsubid::int, a.wait_event, left(a.query, 200)
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'object' AND l.classid = 'pg_class'::regclass AND l.objsubid > 0 AND NOT l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Looks for writers that wait for a chain.
pub fn waits(config: &Config, shared: &Shared) {
    while let Some(mut client) = connect(config, shared) {
        while !shared.stopped() {
            let Ok(rows) = client.query(WAITS, &[]) else { break };
            for row in rows {
                let log: String = row.get(0);
                if log == "narrow" {
                    shared.done("wait in narrow");
                } else {
                    let (chain, query): (i32, String) = (row.get(1), row.get(3));
                    shared.failure(format!("a writer waits for chain {chain} of {log}: {query}"));
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
