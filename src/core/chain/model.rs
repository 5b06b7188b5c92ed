//! A log in memory, for tests: rows that a superuser can do anything to, and the verdict on them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Evidence, Segments, Suspects, Tally, TallyReport, walk};
use crate::line::{Place, begin, end, write_key};
use crate::{Digest, Finding, Header, LogId, Problem, Remark};

/// A stored row; `None` is NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub chain: Option<i32>,
    pub seq: Option<i64>,
    pub time: Option<i64>,
    pub prev: Option<Digest>,
    pub hash: Option<Digest>,
    pub odd: bool,
    pub value: u64,
    /// Deleted; rows keep their numbers.
    pub gone: bool,
}

/// A table with its headers.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub segments: Segments,
    pub rows: Vec<Row>,
}

/// What was found: problem, chain, seq, and the end of a missing range.
pub(super) type Found = (Problem, Option<i64>, Option<i64>, Option<i64>);

/// A header whose segment starts at a chain.
pub(super) fn header(segment: u32, first_chain: u32) -> Header {
    Header {
        log: LogId::from_bytes([7; 16]),
        segment,
        time: 1_000,
        by: "alice".into(),
        schema: "public".into(),
        table: "app_audit".into(),
        first_chain,
        adopted: 0,
        columns: BTreeMap::from([("v".into(), "bigint".into())]),
        redactable: BTreeSet::new(),
    }
}

impl Table {
    /// Chains of these lengths, numbered from 1; the second segment starts at `second`.
    pub fn new(lengths: &[usize], second: u32) -> Self {
        let segments = Segments::new([header(1, 1), header(3, second)]).unwrap();
        let mut table = Self { segments, rows: Vec::new() };
        for (chain, &length) in (1..).zip(lengths) {
            for _ in 0..length {
                table.append(chain);
            }
        }
        table
    }

    /// Adds an entry to a chain, as the trigger would.
    pub fn append(&mut self, chain: i32) {
        let seq = self.last(chain) + 1;
        let prev = match self.find(chain, seq - 1) {
            Some(at) => self.rows[at].hash.unwrap(),
            None => self.segments.of_chain(chain.cast_unsigned()).unwrap().1,
        };
        let value = self.rows.len() as u64;
        let (chain, seq, time) = (Some(chain), Some(seq), Some(5_000 + seq));
        self.rows.push(Row { chain, seq, time, prev: Some(prev), hash: None, odd: false, value, gone: false });
        self.seal(self.rows.len() - 1);
    }

    /// Stores the right hash for what a row holds.
    pub fn seal(&mut self, at: usize) {
        self.rows[at].hash = self.entry(at).computed;
    }

    /// The highest seq of a chain.
    pub fn last(&self, chain: i32) -> i64 {
        let rows = self.rows.iter().filter(|row| row.chain == Some(chain) && !row.gone);
        rows.filter_map(|row| row.seq).max().unwrap_or(0)
    }

    /// Where an entry is.
    pub fn find(&self, chain: i32, seq: i64) -> Option<usize> {
        self.rows.iter().position(|row| (row.chain, row.seq) == (Some(chain), Some(seq)))
    }

    /// A row as a verifier reads it.
    pub fn entry(&self, at: usize) -> Entry {
        let Row { chain, seq, time, prev, hash, odd, value, .. } = self.rows[at].clone();
        let place = || self.segments.place(chain?, seq?, time?, prev?);
        let computed = place().map(|place| hash_of(value, &place));
        Entry { chain, seq, time, prev, hash, computed, at: at as u64, odd }
    }

    /// The rows that are there, in this order.
    pub fn entries(&self, order: &[usize]) -> Vec<Entry> {
        order.iter().filter(|&&at| !self.rows[at].gone).map(|&at| self.entry(at)).collect()
    }

    /// The first pass, rows in this order.
    pub fn tally(&self, order: &[usize]) -> TallyReport {
        let mut tally = Tally::new(&self.segments, 1_000);
        self.entries(order).iter().for_each(|entry| tally.add(entry));
        tally.finish()
    }

    /// The first pass, by several processes: each its own rows, in their order.
    pub fn tally_apart(&self, shares: &[&[usize]]) -> TallyReport {
        let mut all = Tally::new(&self.segments, 1_000);
        for share in shares {
            let mut tally = Tally::new(&self.segments, 1_000);
            self.entries(share).iter().for_each(|entry| tally.add(entry));
            let mut bytes = Vec::new();
            tally.put(&mut bytes);
            let from = &mut bytes.as_slice();
            assert_eq!((all.merge_bytes(from), from.len()), (Some(()), 0));
        }
        all.finish()
    }

    /// The second pass over what the first one suspects.
    pub fn walk(&self, tallied: &TallyReport) -> (Vec<Finding>, Vec<Remark>) {
        let order: Vec<usize> = (0..self.rows.len()).collect();
        let mut entries = self.entries(&order);
        entries.retain(|entry| tallied.suspects.contains(entry.chain));
        entries.sort_by_key(|entry| (entry.chain, entry.seq, entry.hash));
        let mut findings = Vec::new();
        let stream = entries.into_iter().map(Ok::<_, ()>);
        let remarks = walk(&self.segments, tallied, stream, &mut self.clone(), &mut |finding| {
            findings.push(finding);
        });
        (findings, remarks.unwrap())
    }

    /// The verdict of both passes, rows read in this order; the same as that of a walk over all rows.
    pub fn verdict_in(&self, order: &[usize]) -> Vec<Found> {
        let tallied = self.tally(order);
        let found = short(&self.walk(&tallied).0);
        let all = short(&self.walk(&everything(&tallied)).0);
        assert_eq!(tallied.suspects.is_empty(), all.is_empty(), "tally and walk disagree: {all:?}");
        assert_eq!(found, all, "a walk over all rows says something else");
        found
    }

    /// The verdict, rows read in physical order.
    pub fn verdict(&self) -> Vec<Found> {
        self.verdict_in(&(0..self.rows.len()).collect::<Vec<_>>())
    }
}

/// The same report with every row suspected and nothing known to be clean.
pub(super) fn everything(tallied: &TallyReport) -> TallyReport {
    let clean = BTreeMap::new();
    TallyReport { suspects: Suspects::All, clean, ..tallied.clone() }
}

pub(super) fn short(findings: &[Finding]) -> Vec<Found> {
    let mut found: Vec<Found> = findings.iter().map(|f| (f.problem, f.chain, f.seq, f.to_seq)).collect();
    found.sort_by_key(|f| (f.1, f.2, f.0));
    found
}

impl Evidence for Table {
    fn rehash(&mut self, at: u64, place: &Place) -> Option<Digest> {
        let row = self.rows.get(usize::try_from(at).ok()?)?;
        Some(hash_of(row.value, place))
    }

    fn locate(&self, at: u64) -> String {
        format!("row {at}")
    }
}

fn hash_of(value: u64, place: &Place) -> Digest {
    let mut line = Vec::new();
    begin(&mut line, place);
    write_key(&mut line, "v");
    line.extend_from_slice(value.to_string().as_bytes());
    end(&mut line);
    Digest::of(&line)
}
