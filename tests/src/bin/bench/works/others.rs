//! Tables that are no logs, beside some that are.

use super::single::inserts;
use crate::contenders::{EVENTS, Kind, settle};
use crate::measure::alternate;
use crate::report::Report;
use crate::servers::Servers;

pub fn run(servers: &Servers, report: &mut Report) {
    let work = "INSERT into a table that is no log, 1 client";
    report.begin(work);
    let (with, without) = (servers.main.fresh_db("with"), servers.main.bare_db("without"));
    Kind::Log.make(&mut with.client(), "log", EVENTS);
    for db in [&with, &without] {
        Kind::Bare.make(&mut db.client(), "events", EVENTS);
    }
    settle(&with);
    let time = report.sizes.load;
    let contenders = vec![inserts("with", &with, "events", 1, time), inserts("without", &without, "events", 1, time)];
    let runs = alternate(report.sizes.many_rounds, contenders);
    report.rates(work, "transactions", &runs);
    report.set("others", runs.ratio("with", "without"));
    with.remove();
    without.remove();
}
