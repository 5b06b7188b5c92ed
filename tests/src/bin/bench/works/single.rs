//! Rows that come one by one, each in a transaction of its own.

use crate::contenders::{EVENTS, Kind, insert_event, settle};
use crate::load::Load;
use crate::measure::{Contender, alternate};
use crate::report::Report;
use crate::servers::Servers;
use notary_tests::{Cluster, Database};
use std::time::Duration;

pub fn run(servers: &Servers, report: &mut Report) {
    let db = servers.main.fresh_db("single");
    // The quick run has time for those alone whose ratios are asked.
    let all = report.sizes.name != "quick";
    let kinds: Vec<Kind> =
        [Kind::Bare, Kind::Plain, Kind::Log, Kind::Diy].into_iter().filter(|kind| all || *kind != Kind::Bare).collect();
    for kind in kinds.clone() {
        kind.make(&mut db.client(), &table(kind), EVENTS);
    }
    let audited = servers.audited.as_ref().ok().filter(|_| all).map(|cluster| cluster.bare_db("single"));
    if let Some(db) = &audited {
        Kind::Bare.make(&mut db.client(), "bare_events", EVENTS);
    }
    for (clients, work) in
        [(1, "single-row INSERT, autocommit, 1 client"), (16, "single-row INSERT, autocommit, 16 clients")]
    {
        report.begin(work);
        settle(&db);
        let mut contenders: Vec<_> =
            kinds.iter().map(|kind| inserts(kind.name(), &db, &table(*kind), clients, report.sizes.load)).collect();
        contenders.extend(audited.as_ref().map(|db| inserts("pgaudit", db, "bare_events", clients, report.sizes.load)));
        let runs = alternate(report.sizes.rounds, contenders);
        report.rates(work, "transactions", &runs);
        if clients == 1 {
            report.set("insert 1", runs.ratio("log", "plain"));
        } else {
            report.set("insert 16", runs.ratio("log", "plain"));
            report.set("insert 16 diy", runs.ratio("log", "DIY"));
        }
    }

    let work = "transactions that hold 5 ms, 32 clients";
    report.begin(work);
    let held = |kind: Kind| -> Contender<'_> {
        let load = Load::of(32, &format!("BEGIN;\n{}\\sleep 5 ms\nCOMMIT;\n", insert_event(&table(kind))));
        let (cluster, name, time) = (db.cluster(), db.name().to_owned(), report.sizes.load);
        (kind.name(), Box::new(move || load.tps(cluster, &name, time)))
    };
    let runs = alternate(report.sizes.rounds, vec![held(Kind::Plain), held(Kind::Log), held(Kind::Diy)]);
    report.rates(work, "transactions", &runs);
    report.set("hold", runs.ratio("log", "plain"));
    report.set("hold diy", runs.ratio("log", "DIY"));
}

fn table(kind: Kind) -> String {
    format!("{}_events", kind.name().to_lowercase())
}

/// Clients that insert rows into a table, one a transaction.
pub fn inserts<'a>(name: &'static str, db: &Database<'a>, table: &str, clients: u32, time: Duration) -> Contender<'a> {
    let load = Load::of(clients, &insert_event(table));
    let (cluster, db): (&'a Cluster, _) = (db.cluster(), db.name().to_owned());
    (name, Box::new(move || load.tps(cluster, &db, time)))
}
