//! Seals under load: while clients write, roll back and are killed, and the server is killed between any two steps. Every
//! note that a client ever held stays provable, and consistent with every later one.

use crate::tree::assert_exports;
use crate::{export, key, literal, set_up, size};
use notary_tests::talk::{run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Cluster, Shutdown};
use postgres::{Client, Config, NoTls};
use rand::Rng;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WRITERS: usize = 16;

/// How long: half a minute, or what NOTARY_SOAK_SECONDS says.
fn duration() -> Duration {
    let seconds = std::env::var("NOTARY_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

fn connect(config: &Config, stop: &AtomicBool) -> Option<Client> {
    while !stop.load(Ordering::SeqCst) {
        if let Ok(client) = config.connect(NoTls) {
            return Some(client);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// One transaction of a writer; an error means that the session, or the server, was killed.
fn write(client: &mut Client, rng: &mut impl Rng) -> Result<(), postgres::Error> {
    let rows = rng.random_range(1..20);
    let insert = format!("INSERT INTO audit SELECT i, 'x' FROM generate_series(1, {rows}) AS i");
    match rng.random_range(0..200) {
        0..100 => client.batch_execute(&insert),
        100..140 => client.batch_execute(&format!("BEGIN; {insert}; ROLLBACK")),
        140..170 => {
            client.batch_execute(&format!("BEGIN; {insert}; SAVEPOINT s; {insert}; ROLLBACK TO s; {insert}; COMMIT"))
        }
        170..199 => client.batch_execute(&format!("BEGIN; {insert}; SELECT pg_sleep(0.05); COMMIT")),
        _ => client.batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1",
        ),
    }
}

#[test]
fn every_note_that_was_ever_held_stays_true() {
    let mut cluster = Cluster::builder().fsync().setting("max_connections", "60").start();
    let name = {
        let db = cluster.fresh_db("load");
        set_up(&db);
        run(&mut db.client(), "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit')");
        db.name().to_owned()
    };
    let (stop, transactions, notes) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Vec::<String>::new()));
    let config = cluster.config(&name);
    let mut crashes = 0;
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let mut rng = rand::rng();
                while let Some(mut client) = connect(&config, &stop) {
                    while !stop.load(Ordering::SeqCst) && write(&mut client, &mut rng).is_ok() {
                        transactions.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut rng = rand::rng();
                while let Some(mut client) = connect(&config, &stop) {
                    while !stop.load(Ordering::SeqCst) {
                        let answer = client.simple_query("CALL notary.seal('audit')");
                        let Ok(messages) = answer else { break };
                        for message in messages {
                            if let postgres::SimpleQueryMessage::Row(row) = message {
                                notes.lock().unwrap().push(row.get(0).unwrap().to_owned());
                            }
                        }
                        std::thread::sleep(Duration::from_millis(rng.random_range(0..60)));
                    }
                }
            });
        }
        let (end, patience) = (Instant::now() + duration(), Instant::now() + duration() * 5);
        let enough = |crashes| crashes >= 4 && notes.lock().unwrap().len() > 20;
        while Instant::now() < end || !enough(crashes) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(rand::rng().random_range(2500..5000)));
            if crashes % 2 == 0 {
                cluster.kill9_postmaster();
                cluster.start_again();
            } else {
                cluster.restart(Shutdown::Immediate);
            }
            crashes += 1;
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::SeqCst);
    });
    let mut notes = notes.into_inner().unwrap();
    assert!(crashes >= 4 && notes.len() > 20, "{crashes} crashes, {} notes", notes.len());
    assert!(transactions.load(Ordering::Relaxed) > 200);
    let mut client = cluster.client(&name);
    notes.push(texts(&mut client, "CALL notary.seal('audit')").remove(0));
    notes.sort_by_key(|note| size(note));
    notes.dedup();
    let lines = export(&mut client, "audit");
    assert_exports(&lines, notes.last().unwrap());
    // Two notes of one size are one note.
    let sizes: std::collections::BTreeSet<u64> = notes.iter().map(|note| size(note)).collect();
    assert_eq!(sizes.len(), notes.len());
    let key = key(&mut client, "audit");
    for (i, old) in notes.iter().enumerate() {
        let at = usize::try_from(size(old)).unwrap();
        let sampled = i % (notes.len() / 8 + 1) == 0;
        if sampled {
            assert_exports(&lines[..at], old);
        }
        let new = &notes[(i + 1 + i * 7 % 5).min(notes.len() - 1)];
        let proof =
            texts(&mut client, &format!("SELECT notary.consistency_proof('audit', {}, {})", size(old), size(new)))
                .remove(0);
        let args = [old, new, &proof, &key].map(|text| literal(text)).join(", ");
        let judged = format!("SELECT concat(valid, ' ', problem) FROM notary.verify_consistency({args})");
        assert_eq!(texts(&mut client, &judged), ["t "], "{} to {}", size(old), size(new));
        if sampled {
            let against = format!(
                "SELECT concat(intact, ' ', first_finding) FROM notary.verify('audit', note => {})",
                literal(old)
            );
            assert_eq!(texts(&mut client, &against), ["t "]);
        }
    }
    assert_found(&mut client, "audit", &[]);
}
