//! Inserts while somebody holds a snapshot, so that nothing dead can be removed, and while some transactions roll back.

use super::single::inserts;
use crate::contenders::{EVENTS, Kind, insert_event, settle};
use crate::load::Load;
use crate::measure::{Contender, alternate};
use crate::report::Report;
use crate::servers::Servers;
use notary_tests::Database;
use notary_tests::talk::run as sql;

pub fn run(servers: &Servers, report: &mut Report) {
    let sizes = report.sizes;
    // A snapshot keeps what is dead in its own database only, so the others are in another one.
    let (quiet, held) = (servers.main.fresh_db("quiet"), servers.main.fresh_db("held"));
    let dbs = [&quiet, &held];
    let mut snapshot = held.client();
    for &clients in sizes.clients {
        for db in dbs {
            for table in ["log", "some_abort"] {
                Kind::Log.make(&mut db.client(), table, EVENTS);
            }
        }
        sql(&mut snapshot, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM log");
        settle(&quiet);

        let work =
            format!("INSERT, {clients} clients, while a snapshot is held open").replace(" 1 clients", " 1 client");
        report.begin(&work);
        let contenders = vec![
            inserts("without", &quiet, "log", clients, sizes.load),
            inserts("snapshot", &held, "log", clients, sizes.load),
        ];
        let runs = alternate(sizes.rounds, contenders);
        report.rates(&work, "transactions", &runs);
        report.set(if clients == 1 { "snapshot 1" } else { "snapshot 16" }, runs.ratio("snapshot", "without"));

        let work =
            format!("INSERT, {clients} clients, 10 % of transactions rolled back").replace(" 1 clients", " 1 client");
        report.begin(&work);
        let tenth = |name, db: &Database<'_>, table: &str, end: &str| -> Contender<'_> {
            let insert = insert_event(table);
            // The same number of messages, whatever the end.
            let load = Load::mixed(clients, &[(&insert, 9), (&format!("BEGIN;\n{insert}{end};\n"), 1)]);
            let db = db.name().to_owned();
            (name, Box::new(move || load.tps(&servers.main, &db, sizes.load)))
        };
        let contenders = vec![
            tenth("all committed", &quiet, "log", "COMMIT"),
            tenth("10 % rolled back", &quiet, "some_abort", "ROLLBACK"),
            tenth("and a snapshot", &held, "some_abort", "ROLLBACK"),
        ];
        let runs = alternate(sizes.rounds, contenders);
        report.rates(&work, "transactions", &runs);
        report
            .set(if clients == 1 { "aborts 1" } else { "aborts 16" }, runs.ratio("10 % rolled back", "all committed"));
        report.set(if clients == 1 { "both 1" } else { "both 16" }, runs.ratio("and a snapshot", "all committed"));

        sql(&mut snapshot, "COMMIT");
        for db in dbs {
            for table in ["log", "some_abort"] {
                Kind::Log.drop(&mut db.client(), table);
            }
        }
    }
    drop(snapshot);
    quiet.remove();
    held.remove();
}
