//! The logs that are tampered with, and a session that gets past their guard.

use notary_tests::verdict::{self, Said};
use notary_tests::workers::{By, Checker, Share};
use notary_tests::{Database, SqlError, shared};
use postgres::Client;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// Columns of many types; `id` tells every row's values from every other's.
const COLUMNS: &str =
    "id int, who text, what jsonb, at timestamptz, amount numeric, ok boolean, raw bytea, tags text[]";

pub const ALL: [fn(&Database<'_>); 3] = [one, two_segments, partitioned];

/// Stores the rows of `one` in an order of their own; rows with the same id come to stand side by side.
pub const SHUFFLE: &str =
    "CREATE INDEX shuffled ON one (hashint4(id)); CLUSTER one USING shuffled; DROP INDEX shuffled";

/// `count` rows into a table by a session that holds its chain while the others write, so that each gets its own.
fn fill(db: &Database<'_>, table: &str, counts: &[usize], next: &mut usize) {
    let mut sessions: Vec<Client> = counts.iter().map(|_| db.client()).collect();
    for (session, count) in sessions.iter_mut().zip(counts) {
        let rows = format!(
            "BEGIN; INSERT INTO {table} (id, who, what, at, amount, ok, raw, tags)
             SELECT i, 'user ' || i, jsonb_build_object('n', i), timestamptz '2026-01-01' + i * interval '1 hour',
                    i * 1.10, i % 2 = 0, convert_to('raw ' || i, 'UTF8'), ARRAY['a', i::text]
             FROM generate_series({}, {}) AS i",
            *next,
            *next + count - 1
        );
        run(session, &rows);
        *next += count;
    }
    sessions.iter_mut().for_each(|session| run(session, "COMMIT"));
}

fn one(db: &Database<'_>) {
    run(&mut db.client(), &format!("CREATE TABLE one ({COLUMNS}); SELECT notary.protect('one')"));
    fill(db, "one", &[60, 25, 11, 4, 2, 1, 30, 8], &mut 1);
    // Stored in no order, so that a check meets the entries of a chain as they come.
    run(&mut db.client(), SHUFFLE);
}

/// Rows from before the protection, a segment, rows from between, another segment.
fn two_segments(db: &Database<'_>) {
    let mut next = 1_001;
    run(&mut db.client(), &format!("CREATE TABLE two_segments ({COLUMNS})"));
    fill(db, "two_segments", &[7], &mut next);
    run(&mut db.client(), "SELECT notary.protect('two_segments')");
    fill(db, "two_segments", &[12, 3, 20], &mut next);
    run(&mut db.client(), "SELECT notary.unprotect('two_segments', 'a test')");
    fill(db, "two_segments", &[5], &mut next);
    run(&mut db.client(), "SELECT notary.protect('two_segments')");
    fill(db, "two_segments", &[9, 15, 2], &mut next);
}

fn partitioned(db: &Database<'_>) {
    let mut next = 2_001;
    run(
        &mut db.client(),
        &format!(
            "CREATE TABLE partitioned ({COLUMNS}) PARTITION BY RANGE (id);
             CREATE TABLE part_1 PARTITION OF partitioned FOR VALUES FROM (MINVALUE) TO (2030);
             CREATE TABLE part_2 PARTITION OF partitioned FOR VALUES FROM (2030) TO (MAXVALUE) PARTITION BY LIST (ok);
             CREATE TABLE part_2_t PARTITION OF part_2 FOR VALUES IN (true);
             CREATE TABLE part_2_f PARTITION OF part_2 FOR VALUES IN (false);
             SELECT notary.protect('partitioned')"
        ),
    );
    fill(db, "partitioned", &[10, 14, 40, 25, 6], &mut next);
}

fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {}", SqlError::of(&e)));
}

/// An entry: the table it is in, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub table: String,
    pub id: i32,
    pub chain: i32,
    pub seq: i64,
    /// Its chain's highest.
    pub last: i64,
}

impl Entry {
    pub fn is_last(&self) -> bool {
        self.seq == self.last
    }
}

/// The entries that one change may touch, so that several do not meet.
pub struct Territory {
    pub number: i32,
    /// All of one table, at least one.
    pub entries: Vec<Entry>,
    /// No other change is made beside the one in it.
    pub alone: bool,
}

/// A log in a session whose transaction has switched the guard off.
pub struct Log {
    checker: Checker,
    pub name: String,
    /// Columns that a change cannot alter without moving the row to another partition.
    pub fixed: &'static [&'static str],
    entries: Vec<Entry>,
    /// What is found of the guard alone.
    guard_off: Vec<Said>,
}

impl Log {
    pub fn behind_the_guard(db: &str, table: &str) -> Self {
        let mut checker = Checker::new(&shared().database(db));
        let client = &mut checker.client;
        let untouched = verdict::findings(client, table);
        assert!(untouched.is_empty(), "{untouched:#?}");
        let rows = client
            .query(
                &format!(
                    "SELECT tableoid::regclass::text, id, notary_chain, notary_seq,
                            max(notary_seq) OVER (PARTITION BY tableoid, notary_chain)
                     FROM {table} ORDER BY tableoid, notary_chain, notary_seq"
                ),
                &[],
            )
            .unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
        let entry = |row: &postgres::Row| Entry {
            table: row.get(0),
            id: row.get(1),
            chain: row.get(2),
            seq: row.get(3),
            last: row.get(4),
        };
        let entries = rows.iter().map(entry).collect();
        let fixed: &[&str] = if table == "partitioned" { &["id", "ok"] } else { &[] };
        let mut log = Self { checker, name: table.to_owned(), fixed, entries, guard_off: Vec::new() };
        log.begin();
        log.guard_off = verdict::findings(&mut log.checker.client, table);
        assert!(
            !log.guard_off.is_empty() && log.guard_off.iter().all(|s| s.what == "guard_off"),
            "{:#?}",
            log.guard_off
        );
        log.roll_back();
        log
    }

    // ---- the transaction ----

    /// Rows that bring their places are kept by the append trigger under the replica role; all else is switched off in
    /// the catalog, in this transaction alone.
    pub fn begin(&mut self) {
        let tables = format!("(SELECT relid FROM pg_partition_tree('{0}') UNION SELECT '{0}'::regclass)", self.name);
        self.run(&format!(
            "BEGIN; SET LOCAL session_replication_role = replica;
             UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname LIKE '~notary%' AND tgrelid IN {tables};
             UPDATE pg_class SET reltuples = reltuples WHERE oid IN {tables}"
        ));
    }

    pub fn roll_back(&mut self) {
        self.run("ROLLBACK");
    }

    pub fn savepoint(&mut self) {
        self.run("SAVEPOINT change");
    }

    pub fn back_to_savepoint(&mut self) {
        self.run("ROLLBACK TO change");
    }

    #[track_caller]
    pub fn run(&mut self, sql: &str) {
        run(&mut self.checker.client, sql);
    }

    /// Runs what puts a row where another one stands, which the unique index would refuse.
    #[track_caller]
    pub fn run_without_uniqueness(&mut self, table: &str, sql: &str) {
        let unique = |is: bool| {
            format!(
                "UPDATE pg_index SET indisunique = {is} WHERE indexrelid = '{table}_notary_chain_notary_seq_key'::regclass"
            )
        };
        self.run(&unique(false));
        self.run(sql);
        self.run(&unique(true));
    }

    /// How many rows a condition holds for.
    #[track_caller]
    pub fn count(&mut self, table: &str, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        self.checker.client.query_one(&sql, &[]).unwrap_or_else(|e| panic!("{sql}: {}", SqlError::of(&e))).get(0)
    }

    // ---- what is found ----

    /// What is found now, less what is only about the guard.
    pub fn findings(&mut self) -> Vec<Said> {
        let mut found = verdict::findings(&mut self.checker.client, &self.name);
        for off in &self.guard_off {
            let at = found.iter().position(|said| said == off);
            found.remove(at.unwrap_or_else(|| panic!("{off:?} is not found any more: {found:#?}")));
        }
        found.sort_by_key(|said| (said.segment.clone(), said.to_string()));
        found
    }

    /// Do several processes say what one says? How they shared the work.
    pub fn assert_shared_alike(&mut self, by: By, what: &str) -> Vec<Share> {
        let one = self.checker.all_of(&self.name, By::One);
        drop(self.checker.said());
        assert_eq!(self.checker.all_of(&self.name, by), one, "{what}: {by:?} say something else");
        self.checker.shares()
    }

    /// All that was done has been undone.
    pub fn assert_untouched(&mut self) {
        let found = verdict::findings(&mut self.checker.client, &self.name);
        assert!(found.is_empty(), "{found:#?}");
    }

    // ---- what is there ----

    /// The entry, if it is there.
    pub fn find(&self, table: &str, chain: i32, seq: i64) -> Option<Entry> {
        self.entries.iter().find(|e| e.table == table && e.chain == chain && e.seq == seq).cloned()
    }

    /// The highest seq of a chain, 0 if it has none.
    pub fn last(&self, table: &str, chain: i32) -> i64 {
        self.entries.iter().find(|e| e.table == table && e.chain == chain).map_or(0, |e| e.last)
    }

    /// Its chains.
    pub fn chains(&self, table: &str) -> Vec<i32> {
        let mut chains: Vec<i32> = self.entries.iter().filter(|e| e.table == table).map(|e| e.chain).collect();
        chains.dedup();
        chains
    }

    /// So many sets of chains that do not overlap; a single one is all of a table.
    pub fn territories(&self, count: usize, rng: &mut StdRng) -> Vec<Territory> {
        let mut tables: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        for entry in &self.entries {
            tables.entry(&entry.table).or_default().push(entry.clone());
        }
        let tables: Vec<_> = tables.into_values().collect();
        if count == 1 {
            let entries = tables[rng.random_range(0..tables.len())].clone();
            return vec![Territory { number: 0, entries, alone: true }];
        }
        let mut sets: Vec<Vec<Entry>> = Vec::new();
        for entries in tables {
            let mut chains = self.chains(&entries[0].table);
            chains.shuffle(rng);
            let some = chains.len().div_ceil(count);
            sets.extend(
                chains.chunks(some).map(|c| entries.iter().filter(|e| c.contains(&e.chain)).cloned().collect()),
            );
        }
        sets.shuffle(rng);
        (0..).zip(sets).take(count).map(|(number, entries)| Territory { number, entries, alone: false }).collect()
    }
}
