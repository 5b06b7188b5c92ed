//! Many rows in one statement, into a table that was empty.

use super::rate_of;
use crate::contenders::{Kind, WIDE, WIDE_NAMES, settle, wide_rows};
use crate::measure::{Contender, alternate};
use crate::report::Report;
use crate::servers::Servers;
use notary_tests::Database;
use notary_tests::talk::run as sql;

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Plain, Kind::Log];

pub fn run(servers: &Servers, report: &mut Report) {
    let db = servers.main.fresh_db("bulk");
    let sizes = report.sizes;

    let work = "INSERT … SELECT of {bulk} rows";
    report.begin(work);
    sql(&mut db.client(), &format!("CREATE TABLE source AS {}", wide_rows(sizes.bulk)));
    sql(&mut db.client(), "VACUUM ANALYZE source");
    let insert = |kind| {
        contender(kind, &db, sizes.bulk, format!("INSERT INTO {} ({WIDE_NAMES}) SELECT * FROM source", table(kind)))
    };
    let runs = alternate(sizes.rounds, KINDS.map(insert).into());
    report.rates(work, "rows", &runs);
    report.set("bulk", runs.ratio("log", "plain"));

    report.begin("storage");
    let taken = KINDS.map(|kind| {
        let mut client = db.client();
        kind.make(&mut client, &table(kind), WIDE);
        sql(&mut client, &format!("INSERT INTO {} ({WIDE_NAMES}) SELECT * FROM source", table(kind)));
        let query = format!(
            "SELECT pg_total_relation_size('{0}')::float8 / count(*) FROM {0}",
            table(kind)
        );
        let bytes: f64 = client.query_one(&query, &[]).unwrap().get(0);
        if kind == Kind::Log {
            let query = format!("SELECT avg(length(notary.line(tableoid, notary_chain, notary_seq)))::float8 FROM {} WHERE id <= 1000", table(kind));
            let length: f64 = client.query_one(&query, &[]).unwrap().get(0);
            report.facts.push(format!("rows of INSERT … SELECT and COPY: eight columns, one of them jsonb, no index; their lines have {length:.0} bytes"));
        }
        kind.drop(&mut client, &table(kind));
        bytes
    });
    report.set_once("storage", taken[2] - taken[0]);
    report.set_once("storage plain", taken[1] - taken[0]);

    let work = "COPY of {copy} rows";
    report.begin(work);
    let file = servers.main.scratch_dir().join("rows.csv");
    sql(&mut db.client(), &format!("COPY ({}) TO '{}'", wide_rows(sizes.copy), file.display()));
    let copy = |kind| {
        contender(kind, &db, sizes.copy, format!("COPY {} ({WIDE_NAMES}) FROM '{}'", table(kind), file.display()))
    };
    let runs = alternate(sizes.few_rounds, KINDS.map(copy).into());
    report.rates(work, "rows", &runs);
    report.set("copy", runs.ratio("log", "plain"));
    std::fs::remove_file(file).unwrap();
    db.remove();
}

fn table(kind: Kind) -> String {
    format!("{}_rows", kind.name())
}

/// Each time into a new table, which is dropped afterwards: a log cannot be emptied.
fn contender<'a>(kind: Kind, db: &'a Database<'_>, rows: u64, statement: String) -> Contender<'a> {
    let work = move || {
        let mut client = db.client();
        kind.make(&mut client, &table(kind), WIDE);
        settle(db);
        let rate = rate_of(rows, || sql(&mut client, &statement));
        kind.drop(&mut client, &table(kind));
        rate
    };
    (kind.name(), Box::new(work))
}
