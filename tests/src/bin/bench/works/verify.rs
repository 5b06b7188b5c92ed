//! Checking a log: in the database, with what people write today, and outside of it.

use super::{rate_of, seconds};
use crate::contenders::{EVENTS, Kind, diy_verification, insert_events, settle};
use crate::load::Load;
use crate::measure::{Contender, alternate};
use crate::report::Report;
use crate::servers::Servers;
use notary_tests::Database;
use notary_tests::talk::run as sql;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub fn run(servers: &Servers, report: &mut Report) {
    let db = servers.main.fresh_db("verify");
    let rows = report.sizes.verified;
    let mut client = db.client();

    report.begin("notary.protect of a table with {verified} rows");
    Kind::Bare.make(&mut client, "log", EVENTS);
    sql(&mut client, &insert_events("log", rows));
    settle(&db);
    report.set_once("protect", seconds(|| sql(&mut client, "SELECT notary.protect('log')")));
    sql(&mut client, "VACUUM ANALYZE log");

    report.begin("the same rows for DIY");
    Kind::Diy.make(&mut client, "diy", EVENTS);
    sql(&mut client, &insert_events("diy", rows));
    sql(&mut client, "VACUUM ANALYZE diy");

    in_the_database(&db, report);
    outside(&db, report, &servers.main.scratch_dir());
    drop(client);
    db.remove();
}

fn in_the_database(db: &Database<'_>, report: &mut Report) {
    let sizes = report.sizes;
    let work = "notary.verify, {verified} entries";
    report.begin(work);
    let with = |name, workers: u32| {
        let query = format!("SELECT intact::text FROM notary.verify('log', workers => {workers})");
        checked(name, db, sizes.verified, query, "true")
    };
    let log = with("log", 0);
    let diy = checked("DIY", db, sizes.verified, diy_verification("diy"), "0");
    let runs = alternate(sizes.rounds, vec![log, diy]);
    report.rates(work, "entries", &runs);
    report.set("verify", runs.spread("log"));
    report.set("verify diy", runs.ratio("log", "DIY"));

    // The session takes part, so two workers are three processes; one that has none to help it is what they are held to.
    let runs = alternate(sizes.rounds, vec![with("one", 0), with("two", 2)]);
    report.set("verify workers", runs.ratio("two", "one"));
}

/// A query whose only value has to be this one.
fn checked<'a>(
    name: &'static str,
    db: &'a Database<'_>,
    rows: u64,
    query: String,
    says: &'static str,
) -> Contender<'a> {
    let mut client = db.client();
    let work = move || {
        let mut said = Vec::new();
        let rate = rate_of(rows, || said = notary_tests::talk::texts(&mut client, &query));
        assert_eq!(said, [says], "{query}");
        rate
    };
    (name, Box::new(work))
}

fn outside(db: &Database<'_>, report: &mut Report, dir: &Path) {
    let sizes = report.sizes;
    let mut client = db.client();
    report.begin("a seal, proofs and an export");
    sql(&mut client, "SELECT notary.generate_key()");
    report.set_once("seal", seconds(|| sql(&mut client, "CALL notary.seal('log')")));
    let proofs =
        Load::of(1, &format!("\\set seq random(1, {})\nSELECT notary.proof('log', 1, :seq);\n", sizes.verified));
    report.set_once("proof", 1000.0 / proofs.tps(db.cluster(), db.name(), sizes.load));

    let file = dir.join("log.jsonl");
    // Characters that no line has, so that lines stay what they are.
    let export = format!(
        "COPY (SELECT notary.export('log')) TO '{}' WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')",
        file.display()
    );
    report.set_once("export", seconds(|| sql(&mut client, &export)));
    report.begin("notary-verify and sha256sum of the export");
    let (note, keys) = (dir.join("note"), dir.join("keys"));
    std::fs::write(&note, db.value("SELECT note FROM notary.seals ORDER BY size DESC LIMIT 1")).unwrap();
    std::fs::write(&keys, db.value("SELECT notary.verifier_key('log')") + "\n").unwrap();
    let verify = || {
        let mut command = Command::new(verifier());
        command.arg("export").arg("--note").arg(&note).arg("--keys").arg(&keys).arg(&file);
        command
    };
    let sum = || {
        let mut command = Command::new("sha256sum");
        command.arg(&file);
        command
    };
    let contenders: Vec<Contender<'_>> = vec![
        ("notary-verify", Box::new(move || rate_of(sizes.verified, || ends_well(verify())))),
        ("sha256sum", Box::new(move || rate_of(sizes.verified, || ends_well(sum())))),
    ];
    let runs = alternate(sizes.rounds, contenders);
    report.rates("check of an export of {verified} entries", "entries", &runs);
    report.set("sha256sum", runs.ratio("notary-verify", "sha256sum"));
    std::fs::remove_file(file).unwrap();
}

/// `make stage` builds it.
fn verifier() -> PathBuf {
    let target = std::env::var_os("NOTARY_TARGET").expect("NOTARY_TARGET is not set: run `make bench`");
    Path::new(&target).join("release/notary-verify")
}

fn ends_well(mut command: Command) {
    let said = command.stdout(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
}
