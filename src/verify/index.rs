//! Does the unique index hold exactly what the table holds?
//!
//! Both sides add up a keyed hash of (chain, seq, where the row is) for every visible row; equal sums mean equal sets. The
//! key is a secret of this run: sums of an unkeyed hash could be made to fit. Only on a difference is each side looked
//! through for what the other lacks. Where they are equal, searches must find what the index has: an index whose pages lead
//! elsewhere keeps queries from seeing rows.

use super::parallel::{self, Workers};
use super::rows::{At, Subject};
use crate::error::Error;
use crate::pg::heap::{Layout, Reader, Tid};
use crate::pg::index_scan::{self, IndexEntry, Together};
use crate::pg::relation::Rel;
use crate::pg::snapshot::Fresh;
use crate::pg::{context, rewrite, subxact};
use notary_core::wire::Wire;
use notary_core::{Finding, Problem};
use pgrx::pg_sys;
use siphasher::sip128::SipHasher13;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;

/// A secret key for sums.
pub struct Key([u8; 16], SipHasher13);

impl Key {
    /// A fresh one.
    pub fn new() -> Result<Self, Error> {
        context::random_bytes("A check compares sums under a key of its own.").map(Self::of)
    }

    /// The one that another process made.
    pub fn of(bytes: [u8; 16]) -> Self {
        Self(bytes, SipHasher13::new_with_key(&bytes))
    }

    /// For another process.
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }

    fn term(&self, chain: Option<i32>, seq: Option<i64>, root: Tid) -> u128 {
        // Two bits above the 48 of the root.
        let there = u64::from(chain.is_some()) | u64::from(seq.is_some()) << 1;
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&(root.pack() | there << 48).to_ne_bytes());
        bytes[8..16].copy_from_slice(&seq.unwrap_or(0).to_ne_bytes());
        bytes[16..].copy_from_slice(&chain.unwrap_or(0).to_ne_bytes());
        self.1.hash(&bytes).as_u128()
    }
}

/// One side's sum over what it holds.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u128);

impl Wire for Sum {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Wire::take(from).map(Self)
    }
}

impl Sum {
    /// Adds a row.
    pub fn add(&mut self, key: &Key, chain: Option<i32>, seq: Option<i64>, root: Tid) {
        self.0 = self.0.wrapping_add(key.term(chain, seq, root));
    }

    /// Adds what another process added up.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// Findings that are listed one by one; what is beyond is counted.
const LISTED: u64 = 100;

/// Compares the index with the sum over the table's rows.
pub fn check(
    subject: &mut Subject<'_>,
    index: pg_sys::Oid,
    workers: &Workers<'_>,
    key: &Key,
    heap: Sum,
    report: &mut dyn FnMut(Finding),
) {
    if parallel::confirms(subject, index, heap, workers) {
        return;
    }
    let whole = subxact::attempt(AssertUnwindSafe(|| {
        index_scan::check_pages(index, index_scan::CHAIN_KEYS)?;
        // Equal sums mean that each entry is that of a row: then those for settled pages lead there. Only where the sums
        // differ is each of these looked at too.
        Ok([true, false].into_iter().any(|trusting| sum_of(subject, index, key, trusting) == heap))
    }))
    .and_then(|checked: Result<bool, String>| checked);
    match whole {
        Ok(true) => searches(subject, index, report),
        Ok(false) => differences(subject, index, report),
        Err(why) => report(Finding::general(
            Problem::IndexMismatch,
            format!("the unique index over (notary_chain, notary_seq) cannot be read: {why}"),
        )),
    }
}

/// The sum over the entries that lead to visible rows; `trusting`: those for settled pages are taken to do so.
fn sum_of(subject: &Subject<'_>, index: pg_sys::Oid, key: &Key, trusting: bool) -> Sum {
    let mut sum = Sum::default();
    let (is_settled, is_unread) = (|root| trusting && subject.is_settled(root), |root| subject.is_unread(root));
    Table::of(subject).each_entry(index, None, is_settled, is_unread, |entry| {
        sum.add(key, entry.chain, entry.seq, entry.root);
    });
    sum
}

/// The table, as an index leads to its rows.
pub struct Table<'a> {
    pub rel: &'a Rel,
    pub layout: &'a Layout,
    pub snapshot: &'a Fresh,
    pub blocks: u32,
}

impl<'a> Table<'a> {
    fn of(subject: &'a Subject<'_>) -> Self {
        let (rel, layout, snapshot) = (subject.rel, subject.layout(), subject.snapshot);
        Self { rel, layout, snapshot, blocks: subject.blocks() }
    }

    pub fn reader(&self) -> Reader<'a> {
        Reader::new(self.rel, self.layout, self.snapshot)
    }

    /// Calls `each` for the index's entries that are settled, and of the others, but for those that lead to what could not be
    /// read, for those that lead to visible rows. With others each gets some of them.
    pub fn each_entry(
        &self,
        index: pg_sys::Oid,
        together: Option<Together<'_>>,
        is_settled: impl Fn(Tid) -> bool,
        is_unread: impl Fn(Tid) -> bool,
        mut each: impl FnMut(&IndexEntry),
    ) {
        let reader = self.reader();
        index_scan::each_batch(self.rel, index, together, |entries| {
            entries.retain(|entry| {
                let settled = is_settled(entry.root);
                if settled {
                    each(entry);
                }
                !settled && !is_unread(entry.root)
            });
            // Where chains were written at the same time, the entries of a page need not follow one another.
            entries.sort_unstable_by_key(|entry| entry.root.pack());
            reader.each_leading_to_visible(entries, |entry| entry.root, self.blocks, &mut each);
        });
    }

    /// Does a search not find this entry, though the row that it leads to is visible?
    pub fn is_lost(&self, reader: &Reader<'_>, index: pg_sys::Oid, entry: &IndexEntry) -> bool {
        let IndexEntry { chain: Some(chain), seq: Some(seq), root } = *entry else { return false };
        !index_scan::roots_of(self.rel, index, chain, seq).contains(&root) && reader.leads_to_visible(root, self.blocks)
    }
}

/// Says which entries a search does not find: with each leaf's first and last entry found, and the entries in order, all
/// of them are. An entry whose row is not visible may go at any time; one whose row is visible stays, and is found
/// wherever other sessions move it.
fn searches(subject: &Subject<'_>, index: pg_sys::Oid, report: &mut dyn FnMut(Finding)) {
    let lost = subxact::attempt(AssertUnwindSafe(|| {
        let table = Table::of(subject);
        let reader = table.reader();
        let mut lost = Vec::new();
        let opened = Rel::open(index, pg_sys::AccessShareLock);
        let ordered = index_scan::check_order(&opened, 0, |entry| {
            let IndexEntry { chain: Some(chain), seq: Some(seq), root } = *entry else { return };
            let is_new = lost.len() < 100_000 && lost.last() != Some(&(chain, seq));
            if is_new && !subject.is_unread(root) && table.is_lost(&reader, index, entry) {
                lost.push((chain, seq));
            }
        });
        ordered.map(|()| lost)
    }))
    .and_then(|checked: Result<Vec<_>, String>| checked);
    match lost {
        Ok(lost) if lost.is_empty() => {}
        Ok(lost) => {
            let mut list = List { report, count: 0 };
            for (chain, seq) in lost {
                list.add(chain, seq, "the unique index has this entry, but a search for it does not find it");
            }
            list.finish(true);
        }
        Err(why) => report(Finding::general(
            Problem::IndexMismatch,
            format!("the unique index over (notary_chain, notary_seq) cannot be searched: {why}"),
        )),
    }
}

/// Says which rows the index does not have, and which of its entries fit no row.
fn differences(subject: &mut Subject<'_>, index: pg_sys::Oid, report: &mut dyn FnMut(Finding)) {
    let mut list = List { report, count: 0 };
    let mut rows_without = HashSet::new();
    let (rel, blocks, layout) = (subject.rel, subject.blocks(), Layout::of(subject.rel));
    let reader = Reader::new(rel, &layout, subject.snapshot);
    let finds = |chain, seq, root| {
        index_scan::roots_of(rel, index, chain, seq).contains(&root) && reader.leads_to_visible(root, blocks)
    };
    subject.each_row("comparing the index", |entry| {
        let (Some(chain), Some(seq)) = (entry.chain, entry.seq) else {
            return;
        };
        let root = At(entry.at).root();
        if subxact::attempt(AssertUnwindSafe(|| finds(chain, seq, root))).is_ok_and(|found| found) {
            return;
        }
        if rows_without.len() < 100_000 {
            rows_without.insert(root.pack());
        }
        // A row whose own content is wrong is a finding already; that the index keeps its old place is no second one.
        if entry.computed == entry.hash {
            list.add(chain, seq, "the table's row is not found through the unique index under its chain and seq");
        }
    });
    let entries = subxact::attempt(AssertUnwindSafe(|| {
        let reader = Reader::new(subject.rel, subject.layout(), subject.snapshot);
        let mut wrong = Vec::new();
        index_scan::each_batch(subject.rel, index, None, |entries| {
            for IndexEntry { chain, seq, root } in entries {
                if rows_without.contains(&root.pack())
                    || subject.is_unread(*root)
                    || !reader.leads_to_visible(*root, subject.blocks())
                {
                    continue;
                }
                if place_at(subject, *root) != Some((*chain, *seq)) && wrong.len() < 100_000 {
                    wrong.push((chain.unwrap_or(0), seq.unwrap_or(0)));
                }
            }
        });
        wrong
    }));
    for (chain, seq) in entries.unwrap_or_default() {
        list.add(chain, seq, "the unique index has an entry for this place that leads to another row");
    }
    let explained = !rows_without.is_empty();
    list.finish(explained);
}

/// The chain and seq of the visible row that an index entry leads to.
fn place_at(subject: &Subject<'_>, root: Tid) -> Option<(Option<i32>, Option<i64>)> {
    let mut found = None;
    Reader::new(subject.rel, subject.layout(), subject.snapshot).page(root.block, None, |row| {
        if row.root == root
            && let Ok((values, nulls)) = row.values
        {
            let place = rewrite::stored_place(&subject.columns, subject.rel, values, nulls);
            found = Some((place.chain, place.seq));
        }
    });
    found
}

struct List<'a> {
    report: &'a mut dyn FnMut(Finding),
    count: u64,
}

impl List<'_> {
    fn add(&mut self, chain: i32, seq: i64, detail: &str) {
        self.count += 1;
        if self.count <= LISTED {
            let mut finding = Finding::general(Problem::IndexMismatch, detail.into());
            finding.chain = Some(i64::from(chain));
            finding.seq = Some(seq);
            (self.report)(finding);
        }
    }

    fn finish(self, explained: bool) {
        if self.count > LISTED {
            let more = self.count - LISTED;
            (self.report)(Finding::general(Problem::IndexMismatch, format!("{more} more rows or entries like these")));
        } else if self.count == 0 && !explained {
            let detail = "the unique index holds an entry more than once";
            (self.report)(Finding::general(Problem::IndexMismatch, detail.into()));
        }
    }
}
