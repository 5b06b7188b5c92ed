//! The two passes over a segment's table: every row is hashed again, and what does not fit is sorted and walked.
//!
//! Invariants:
//! * A row counts only once, also when reading it raises: a stretch of pages is read in a subtransaction, and what it
//!   gave is used only when the whole stretch could be read; otherwise it is read again page by page, then row by row.
//! * Memory is bounded: one stretch of pages, the tally's runs, a byte for each page up to 16 MiB, and work_mem for the
//!   sort.
//! * Workers may share the first pass out (`parallel`). They never report: a stretch that they cannot read is read again here.

use super::gathered::Whole;
use super::index::Sum;
use super::parallel;
use super::progress::Progress;
use super::record::{decode, encode};
use super::rehash::Rehash;
use crate::error::Error;
use crate::log::{self, Functions, Mark, Segment};
use crate::pg::heap::{Layout, Reader, Tid};
use crate::pg::relation::Rel;
use crate::pg::rewrite::{self, NotaryValues};
use crate::pg::row::{NotaryColumns, RowWriter};
use crate::pg::snapshot::Fresh;
use crate::pg::sort::{Sort, Sorted};
use crate::pg::{context, subxact};
use notary_core::chain::{self, Entry, Evidence, Segments, Suspects};
use notary_core::digest::Digest;
use notary_core::line::{self, Place};
use notary_core::{Finding, Problem, Remark};
use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;
use std::panic::AssertUnwindSafe;

/// Pages that are read in one subtransaction.
pub const STRETCH: u32 = 64;
/// Pages of which it is remembered that they are settled, a byte for each: those of 128 GB.
pub const MAX_SETTLED: usize = 1 << 24;

/// A table whose rows are checked.
pub struct Subject<'a> {
    pub rel: &'a Rel,
    pub columns: NotaryColumns,
    pub segments: &'a Segments,
    pub snapshot: &'a Fresh,
    /// Rows older than this have their content taken as it is; their places and links are checked all the same.
    pub since: Option<i64>,
    layout: Layout,
    rehash: Rehash,
    blocks: u32,
    unread: Unread,
    /// For each page how many rows it has, if these are all that is there (see `Reader::settled`), or else 0.
    pub settled: Vec<u8>,
    /// The rows of the stretch that was read last: what they take is kept for the next.
    entries: Vec<Entry>,
}

/// What could not be read, and was reported: an index entry that leads there is no second finding.
#[derive(Default)]
struct Unread {
    pages: HashSet<u32>,
    rows: HashSet<u64>,
}

/// The rows of some pages, and of each page how many are settled.
type Read = (Vec<Entry>, Vec<(u32, u16)>);

/// What both passes came to.
pub struct Outcome {
    pub entries: u64,
    pub chains: u32,
    pub remarks: Vec<Remark>,
    /// Over chain, seq and place of all rows.
    pub sum: Sum,
}

impl<'a> Subject<'a> {
    pub fn new(
        rel: &'a Rel,
        columns: NotaryColumns,
        writer: RowWriter,
        segments: &'a Segments,
        snapshot: &'a Fresh,
        since: Option<i64>,
        blocks: u32,
    ) -> Self {
        Self {
            rel,
            columns,
            segments,
            snapshot,
            since,
            layout: Layout::of(rel),
            rehash: Rehash::of(writer),
            blocks,
            unread: Unread::default(),
            settled: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Checks every row.
    pub fn check(
        &mut self,
        workers: &parallel::Workers<'a>,
        report: &mut dyn FnMut(Finding),
    ) -> Result<Outcome, Error> {
        let mut whole = self.gather(workers, report);
        let tallied = whole.tallied.clone();
        let mut remarks = tallied.remarks.clone();
        if !tallied.suspects.is_empty() {
            let sorted = self.sort(&tallied.suspects);
            let entries = sorted.map(|record| Ok::<_, Error>(decode(&record)));
            let segments = self.segments;
            let mut evidence = Rows { subject: self };
            let mut report = |finding: Finding| {
                whole.reported(&finding);
                report(finding);
            };
            remarks.extend(chain::walk(segments, &tallied, entries, &mut evidence, &mut report)?);
        }
        let sum = whole.sum;
        whole.at_the_ends().for_each(report);
        Ok(Outcome { entries: tallied.entries, chains: tallied.chains, remarks, sum })
    }

    /// Hands out every visible row that can be read, a stretch of pages at a time.
    pub fn each_row(&mut self, what: &'static str, mut each: impl FnMut(&Entry)) {
        let mut progress = Progress::begin(self.rel.qualified(), what, self.blocks);
        self.each_stretch(&self.all(), &mut progress, &mut |_| {}, &mut |entries| entries.iter().for_each(&mut each));
    }

    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    fn all(&self) -> Vec<Range<u32>> {
        std::iter::once(0..self.blocks).collect()
    }

    /// Could all be read?
    pub fn is_whole(&self) -> bool {
        self.unread.pages.is_empty() && self.unread.rows.is_empty()
    }

    /// Was this row, or its page, reported as unreadable, and its place is not known?
    pub fn is_unread(&self, tid: Tid) -> bool {
        self.unread.pages.contains(&tid.block) || self.unread.rows.contains(&tid.pack())
    }

    /// If an index entry with this root is that of a row that was read, does it lead to it without a look at its page?
    pub fn is_settled(&self, root: Tid) -> bool {
        self.settled.get(root.block as usize).is_some_and(|rows| is_settled(*rows, root))
    }

    fn settle(&mut self, block: u32, rows: u16) {
        let index = block as usize;
        if index >= MAX_SETTLED || rows == 0 {
            return;
        }
        if index >= self.settled.len() {
            self.settled.resize(index + 1, 0);
        }
        self.settled[index] = u8::try_from(rows).unwrap_or(0);
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn gather(&mut self, workers: &parallel::Workers<'a>, report: &mut dyn FnMut(Finding)) -> Whole<'a> {
        let (gathered, left) =
            parallel::rows(self, workers).unwrap_or_else(|| (workers.gathered(self.segments, 1), self.all()));
        let gathered = RefCell::new(gathered);
        let mut progress = Progress::begin(self.rel.qualified(), "hashing", self.blocks);
        let mut unreadable = |finding: Finding| {
            gathered.borrow_mut().reported(&finding);
            report(finding);
        };
        self.each_stretch(&left, &mut progress, &mut unreadable, &mut |entries| {
            let mut gathered = gathered.borrow_mut();
            entries.iter().for_each(|entry| gathered.see(entry));
        });
        gathered.into_inner().finish()
    }

    fn sort(&mut self, suspects: &Suspects) -> Sorted {
        let mut sort = Sort::begin();
        let mut progress = Progress::begin(self.rel.qualified(), "locating", self.blocks);
        // What cannot be read was reported by the first pass.
        self.each_stretch(&self.all(), &mut progress, &mut |_| {}, &mut |entries| {
            for entry in entries.iter().filter(|e| suspects.contains(e.chain)) {
                sort.put(&encode(entry));
            }
        });
        sort.finish()
    }

    /// Reads these pages and hands out their rows, a stretch at a time.
    fn each_stretch(
        &mut self,
        pages: &[Range<u32>],
        progress: &mut Progress,
        unreadable: &mut dyn FnMut(Finding),
        use_entries: &mut dyn FnMut(&[Entry]),
    ) {
        for stretch in pages.iter().cloned().flat_map(stretches) {
            context::check_for_interrupts();
            match self.attempt(stretch.clone(), None) {
                Ok(entries) => {
                    use_entries(&entries);
                    self.entries = entries;
                }
                Err(_) => {
                    for block in stretch.clone() {
                        use_entries(&self.page_with_damage(block, unreadable));
                    }
                }
            }
            progress.at(stretch.end);
        }
    }

    /// A page on which something cannot be read: row by row, so that the rest of it is checked.
    fn page_with_damage(&mut self, block: u32, unreadable: &mut dyn FnMut(Finding)) -> Vec<Entry> {
        if let Ok(entries) = self.attempt(block..block + 1, None) {
            return entries;
        }
        let offsets = match subxact::attempt(AssertUnwindSafe(|| self.reader().used(block))) {
            Ok(offsets) => offsets,
            Err(why) => {
                let detail = format!("page {block} cannot be read, nor any row on it: {why}");
                unreadable(Finding::general(Problem::Unreadable, detail));
                self.unread.pages.insert(block);
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for offset in offsets {
            let why = match self.attempt(block..block + 1, Some(offset)) {
                Ok(some) => {
                    entries.extend(some);
                    continue;
                }
                Err(why) => why,
            };
            // Its place is taken all the same, so that it is not reported as missing or changed besides.
            let stand_in = self.place_only(Tid { block, offset });
            let mut finding = Finding::general(Problem::Unreadable, format!("{}: {why}", Tid { block, offset }));
            if let Some(entry) = stand_in {
                finding.chain = entry.chain.map(i64::from);
                finding.seq = entry.seq;
                entries.push(entry);
            } else {
                self.unread.rows.insert(Tid { block, offset }.pack());
            }
            unreadable(finding);
        }
        entries
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(self.rel, &self.layout, self.snapshot)
    }

    /// A row's place and stored hash, the hash taken as right.
    fn place_only(&self, tid: Tid) -> Option<Entry> {
        let mut found = None;
        let read = subxact::attempt(AssertUnwindSafe(|| {
            self.reader().page(tid.block, Some(tid.offset), |row| {
                if let Ok((values, nulls)) = row.values {
                    found = Some(entry(
                        rewrite::stored_place(&self.columns, self.rel, values, nulls),
                        At::new(row.tid, row.root),
                    ));
                }
            });
        }));
        read.ok()?;
        found.map(|entry| Entry { computed: entry.hash, ..entry })
    }

    /// Reads pages, or one row of a page, in a subtransaction; why it cannot be read otherwise.
    fn attempt(&mut self, blocks: Range<u32>, only: Option<u16>) -> Result<Vec<Entry>, String> {
        let this = AssertUnwindSafe(&mut *self);
        let (entries, settled) = subxact::attempt(AssertUnwindSafe(move || {
            let AssertUnwindSafe(this) = this;
            this.read(blocks, only)
        }))
        .and_then(|result| result)?;
        settled.into_iter().for_each(|(block, rows)| self.settle(block, rows));
        Ok(entries)
    }

    /// Reads a stretch as `attempt` does, where there can be no subtransaction. Raises what reading raises; None where a row
    /// cannot be read besides. Of each page `settled` is told how many rows it has, or 0.
    pub fn read_raising(
        &mut self,
        blocks: Range<u32>,
        use_entries: &mut dyn FnMut(&[Entry]),
        settled: &mut dyn FnMut(u32, u8),
    ) -> Option<()> {
        let (entries, of_pages) = self.read(blocks, None).ok()?;
        use_entries(&entries);
        of_pages.into_iter().for_each(|(block, rows)| settled(block, u8::try_from(rows).unwrap_or(0)));
        self.entries = entries;
        Some(())
    }

    /// The rows of pages, and of each page how many are settled. Raises what reading raises; the error says why a row cannot
    /// be read besides.
    fn read(&mut self, blocks: Range<u32>, only: Option<u16>) -> Result<Read, String> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        let mut settled = Vec::new();
        let mut reader = Reader::new(self.rel, &self.layout, self.snapshot);
        for block in blocks {
            let mut failed = None;
            reader.page(block, only, |row| {
                let read = row.values.map_err(str::to_owned).and_then(|(values, nulls)| {
                    let at = At::new(row.tid, row.root);
                    let stored = rewrite::stored_place(&self.columns, self.rel, values, nulls);
                    let mut hash = |place: &Place| self.rehash.digest(place, values, nulls);
                    hashed(self.segments, self.since, entry(stored, at), &mut hash)
                });
                match read {
                    Ok(entry) => entries.push(entry),
                    Err(why) => failed = Some(why),
                }
            });
            if let Some(why) = failed {
                return Err(why);
            }
            settled.push((block, reader.settled()));
        }
        Ok((entries, settled))
    }
}

/// Is a root one of a page with so many settled rows?
pub fn is_settled(rows: u8, root: Tid) -> bool {
    (1..=u16::from(rows)).contains(&root.offset)
}

/// Pages, some at a time.
pub fn stretches(pages: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let Range { start, end } = pages;
    let step = STRETCH as usize;
    (start..end).step_by(step).map(move |from| from..end.min(from.saturating_add(STRETCH)))
}

/// A row with its hash recomputed from its values and its stored place.
fn hashed(
    segments: &Segments,
    since: Option<i64>,
    stored: Entry,
    hash: &mut impl FnMut(&Place) -> Result<Digest, String>,
) -> Result<Entry, String> {
    let place = match (stored.chain, stored.seq, stored.time, stored.prev) {
        (Some(chain), Some(seq), Some(time), Some(prev)) => segments.place(chain, seq, time, prev),
        _ => None,
    };
    let Some(place) = place else { return Ok(stored) };
    if since.is_some_and(|since| place.time < since) {
        return Ok(Entry { computed: stored.hash, ..stored });
    }
    let computed = hash(&place)?;
    Ok(Entry { computed: Some(computed), ..stored })
}

fn entry(stored: NotaryValues, at: At) -> Entry {
    Entry {
        chain: stored.chain,
        seq: stored.seq,
        time: stored.time,
        prev: stored.prev,
        hash: stored.hash,
        computed: None,
        at: at.0,
        odd: stored.odd,
    }
}

/// Where a row is, and what an index entry for it points at, which is on the same page: 16, 32 and 16 bits.
#[derive(Clone, Copy)]
pub struct At(pub u64);

impl At {
    fn new(tid: Tid, root: Tid) -> Self {
        Self(u64::from(root.offset) << 48 | tid.pack())
    }

    pub fn tid(self) -> Tid {
        Tid::unpack(self.0 & 0xffff_ffff_ffff)
    }

    pub fn root(self) -> Tid {
        Tid { block: self.tid().block, offset: (self.0 >> 48) as u16 }
    }
}

/// What the walk may ask about rows.
struct Rows<'s, 'a> {
    subject: &'s mut Subject<'a>,
}

impl Evidence for Rows<'_, '_> {
    fn rehash(&mut self, at: u64, place: &Place) -> Option<Digest> {
        let tid = At(at).tid();
        let subject = AssertUnwindSafe(&mut *self.subject);
        let found = subxact::attempt(AssertUnwindSafe(move || {
            let AssertUnwindSafe(subject) = subject;
            let mut found = None;
            let Subject { rel, layout, snapshot, rehash, .. } = &mut *subject;
            let mut reader = Reader::new(rel, layout, snapshot);
            reader.page(tid.block, Some(tid.offset), |row| {
                if let Ok((values, nulls)) = row.values {
                    found = rehash.digest(place, values, nulls).ok();
                }
            });
            found
        }));
        found.ok().flatten()
    }

    fn locate(&self, at: u64) -> String {
        At(at).tid().to_string()
    }
}

/// The canonical line of the row at `tid`, from its stored place.
pub fn line_at(rel: &Rel, functions: &Functions, tid: Tid) -> Result<String, Error> {
    let Some(Mark::Segment(Segment { headers, .. })) = log::mark(rel, functions)? else {
        return Err(Error::NotALog { table: rel.qualified() });
    };
    let damaged = |why: &str| Error::BadTrigger { table: rel.qualified(), why: why.to_owned() };
    let segments = Segments::new(headers).map_err(|why| damaged(&why.to_string()))?;
    let columns = NotaryColumns::of(rel).ok_or_else(|| damaged("A notary_* column is missing."))?;
    let (mut writer, snapshot, layout) = (RowWriter::of_stored(rel)?, Fresh::take(), Layout::of(rel));
    let mut text = Err(damaged("The row cannot be read."));
    Reader::new(rel, &layout, &snapshot).page(tid.block, Some(tid.offset), |row| {
        let Ok((values, nulls)) = row.values else { return };
        let stored = rewrite::stored_place(&columns, rel, values, nulls);
        let (Some(chain), Some(seq), Some(time), Some(prev)) = (stored.chain, stored.seq, stored.time, stored.prev)
        else {
            return;
        };
        let Some(place) = segments.place(chain, seq, time, prev) else {
            return;
        };
        let mut line = Vec::new();
        line::begin(&mut line, &place);
        let written = writer.write_read(&mut line, values, nulls);
        line::end(&mut line);
        text = written.and_then(|()| String::from_utf8(line).map_err(|_| Error::NotUtf8));
    });
    text
}
