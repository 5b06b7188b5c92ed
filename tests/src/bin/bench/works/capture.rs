//! What an application pays whose tables are tracked.

use crate::contenders::{audit_trigger, settle};
use crate::load::Load;
use crate::measure::{Contender, alternate};
use crate::report::Report;
use crate::servers::Servers;
use notary_tests::Database;
use notary_tests::talk::run as sql;

const TABLES: [&str; 4] = ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers"];

/// Logs that changes go to: with all that notary.search goes by, with what whose changes are asked for goes by, and with no more
/// than the PL/pgSQL trigger's table has. Against untracked, that trigger, and pgaudit.
const TRACKED: [(&str, &str, [&str; 3]); 3] = [
    ("tracked", "NULL", ["capture", "capture trigger", "capture pgaudit"]),
    ("tracked, lean", "'{time,resource}'", ["lean", "lean trigger", "lean pgaudit"]),
    ("tracked, bare", "'{}'", ["keyed", "keyed trigger", "keyed pgaudit"]),
];

pub fn run(servers: &Servers, report: &mut Report) {
    let sizes = report.sizes;
    let work = "pgbench TPC-B, scale {scale}, 8 clients";
    report.begin(work);
    let main = &servers.main;
    let mut dbs = vec![
        ("untracked", main.bare_db("untracked")),
        ("tracked", main.fresh_db("tracked")),
        ("tracked, lean", main.fresh_db("lean")),
        ("tracked, bare", main.fresh_db("keyed")),
        ("PL/pgSQL trigger", main.bare_db("trigger")),
    ];
    match &servers.audited {
        Ok(cluster) => dbs.push(("pgaudit", cluster.bare_db("audited"))),
        Err(why) => TRACKED.iter().for_each(|(_, _, [.., key])| report.missing(key, why)),
    }
    for (_, db) in &dbs {
        db.cluster().run("pgbench", &["-i", "-q", "-s", &sizes.scale.to_string(), db.name()]).ok();
        // A change is of a row that has a name.
        let key = "ALTER TABLE pgbench_history ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY";
        sql(&mut db.client(), key);
    }
    for ((_, db), (_, indexes, _)) in dbs[1..].iter().zip(TRACKED) {
        let client = &mut db.client();
        sql(client, &format!("SELECT notary.create_log('trail', indexes => {indexes})"));
        for table in TABLES {
            sql(client, &format!("SELECT notary.track('{table}', 'trail')"));
        }
    }
    audit_trigger(&mut dbs[4].1.client(), &TABLES);
    for (_, db) in &dbs {
        settle(db);
    }
    let runs = alternate(sizes.rounds, dbs.iter().map(|(name, db)| contender(name, db, report)).collect());
    report.rates(work, "transactions", &runs);
    for (ours, _, keys) in TRACKED {
        for (key, theirs) in keys.into_iter().zip(["untracked", "PL/pgSQL trigger", "pgaudit"]) {
            if theirs != "pgaudit" || servers.audited.is_ok() {
                report.set(key, runs.ratio(ours, theirs));
            }
        }
    }
    // An UPDATE that adds nought changes nothing, and is no event.
    let expected = "SELECT count(*) + 3 * count(*) FILTER (WHERE delta <> 0) FROM pgbench_history";
    for (name, db) in &dbs[1..=TRACKED.len()] {
        assert_eq!(db.value(&format!("SELECT count(*) = ({expected}) FROM trail")), "t", "{name}: changes are missing");
    }
    for (_, db) in dbs {
        db.remove();
    }
}

fn contender<'a>(name: &'static str, db: &Database<'a>, report: &Report) -> Contender<'a> {
    let (cluster, db, time) = (db.cluster(), db.name().to_owned(), report.sizes.load);
    let load = Load::tpcb(8);
    (name, Box::new(move || load.tps(cluster, &db, time)))
}
