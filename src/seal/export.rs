//! All lines of a log in the order of its tree's leaves: what `notary-verify` reads.
//!
//! Invariants: memory is bounded by one batch, whatever is exported; nothing of PostgreSQL's stays open between two lines;
//! the caller could have read every row himself.

use super::{damaged, never_sealed, sealed_tree};
use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::pg::context;
use crate::pg::relation::Rel;
use crate::tree::Tree;
use crate::tree::segments::Segments;
use crate::tree::store::{self, signed};
use notary_core::Digest;
use pgrx::iter::SetOfIterator;
use pgrx::{pg_extern, pg_sys};
use std::collections::VecDeque;

/// Lines read at a time, unless they are long.
const BATCH: u64 = 1000;
/// A batch ends when it has this many bytes.
const BATCH_BYTES: usize = 4 << 20;

/// `notary.export(log, from_leaf, to_leaf)`.
#[pg_extern(sql = false)]
fn export(log: Option<pg_sys::Oid>, from_leaf: Option<i64>, to_leaf: Option<i64>) -> SetOfIterator<'static, String> {
    let lines = context::with_safe_path(|| Lines::begin(log, from_leaf, to_leaf)).or_raise();
    SetOfIterator::new(lines)
}

/// The lines that are still to come.
struct Lines {
    log: pg_sys::Oid,
    tree: Tree,
    next: u64,
    end: u64,
    batch: VecDeque<String>,
}

impl Lines {
    fn begin(log: Option<pg_sys::Oid>, from_leaf: Option<i64>, to_leaf: Option<i64>) -> Result<Self, Error> {
        let functions = access::trigger_functions()?;
        let rel = access::open_log(log, &functions)?;
        if context::rows_are_hidden(rel.oid()) {
            return Err(Error::RowsHidden { table: rel.qualified() });
        }
        let tree = sealed_tree(&rel, &Segments::of(&rel, &functions)?)?;
        let size = store::newest_seal(&tree)?.ok_or_else(|| never_sealed(&rel))?.size;
        let end = to_leaf.unwrap_or_else(|| signed(size));
        let wanted = u64::try_from(from_leaf.unwrap_or(0)).ok().zip(u64::try_from(end).ok());
        let Some((next, end)) = wanted.filter(|(from, to)| from <= to && *to <= size) else {
            return Err(Error::BadArgument {
                message: format!("there are no leaves {} to {end}", from_leaf.unwrap_or(0)),
                detail: format!("The newest seal of {} has size {size}.", rel.qualified()),
                hint: "Leaves count from 0; to_leaf is the first that is left out.".into(),
            });
        };
        Ok(Self { log: rel.oid(), tree, next, end, batch: VecDeque::new() })
    }

    fn read_batch(&mut self) -> Result<(), Error> {
        let functions = access::trigger_functions()?;
        let rel = access::open_log(Some(self.log), &functions)?;
        let segments = Segments::of(&rel, &functions)?;
        let until = self.end.min(self.next + BATCH);
        let ranges = store::ranges(&self.tree, self.next, until)?;
        let mut bytes = 0;
        for range in ranges {
            if range.end() <= self.next {
                continue;
            }
            self.read_range(&rel, &segments, &range, until, &mut bytes)
                .map_err(|why| damaged(&rel, "cannot be exported", why))?;
            if self.next == until || bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(())
    }

    fn read_range(
        &mut self,
        rel: &Rel,
        segments: &Segments,
        range: &store::Range,
        until: u64,
        bytes: &mut usize,
    ) -> Result<(), String> {
        if range.first_leaf > self.next {
            return Err(format!("{}: which line is leaf {} is not known", rel.qualified(), self.next));
        }
        if range.chain == 0 {
            let header = segments.header(range.segment);
            let header = header.ok_or_else(|| format!("the header of segment {} is not known", range.segment))?;
            self.batch.push_back(header.line());
            self.next += 1;
            return Ok(());
        }
        let (first, last) = range.seqs_in(self.next, until);
        let table = segments.open(range.segment)?;
        let mut full = None;
        let read = table.lines(range.chain, first, last, |line| {
            if line.hash != Some(Digest::of(line.bytes)) {
                return Err(format!(
                    "chain {}, seq {} does not hold what its hash says any more: changed, or read by other columns",
                    line.place.chain, line.place.seq
                ));
            }
            let text = std::str::from_utf8(line.bytes).map_err(|_| "a line is not UTF-8".to_owned())?;
            *bytes += text.len();
            self.batch.push_back(text.to_owned());
            self.next += 1;
            // What is enough ends the reading as damage would.
            if *bytes >= BATCH_BYTES {
                full = Some(());
                return Err(String::new());
            }
            Ok(())
        });
        if full.is_some() { Ok(()) } else { read }
    }
}

impl Iterator for Lines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.batch.is_empty() && self.next < self.end {
            context::with_safe_path(|| self.read_batch()).or_raise();
            if self.batch.is_empty() {
                let table = Rel::open(self.log, pg_sys::AccessShareLock);
                damaged(&table, "cannot be exported", format!("which line is leaf {} is not known", self.next)).raise();
            }
        }
        self.batch.pop_front()
    }
}
