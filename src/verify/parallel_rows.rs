//! The first pass over a table's rows, shared out.

use super::gathered::Gathered;
use super::index::Key;
use super::parallel::{Workers, next_pages};
use super::progress::Progress;
use super::rows::{MAX_SETTLED, Subject, stretches};
use crate::pg::parallel::{self, Plan, Shared, worker_entry};
use crate::pg::relation::Rel;
use crate::pg::row::{NotaryColumns, RowWriter};
use crate::pg::snapshot::Fresh;
use crate::pg::{context, subxact};
use crate::tree::ended::Ends;
use notary_core::chain::{Entry, Segments};
use notary_core::header::Header;
use notary_core::wire::Wire;
use pgrx::pg_sys;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;

worker_entry!(notary_verify_rows, work);

/// What a worker has to know.
struct Task {
    table: u32,
    blocks: u32,
    processes: u32,
    since: Option<i64>,
    key: [u8; 16],
    headers: Vec<String>,
    ends: Ends,
}

impl Wire for Task {
    fn put(&self, out: &mut Vec<u8>) {
        [self.table, self.blocks, self.processes].iter().for_each(|number| number.put(out));
        (self.since, self.key).put(out);
        self.headers.put(out);
        self.ends.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (table, blocks, processes) = (u32::take(from)?, u32::take(from)?, u32::take(from)?);
        let (since, key) = Wire::take(from)?;
        let (headers, ends) = (Wire::take(from)?, Wire::take(from)?);
        Some(Self { table, blocks, processes, since, key, headers, ends })
    }
}

/// What one process did.
struct Part<'a> {
    gathered: Gathered<'a>,
    /// How many pages it took, and how many entries it saw.
    pages: u64,
    entries: u64,
    /// Where each stretch that it could not read begins and ends.
    failed: Vec<(u32, u32)>,
}

impl<'a> Part<'a> {
    fn new(gathered: Gathered<'a>) -> Self {
        Self { gathered, pages: 0, entries: 0, failed: Vec::new() }
    }

    fn put(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.gathered.put(&mut out);
        (self.pages, self.entries).put(&mut out);
        self.failed.put(&mut out);
        out
    }
}

/// What all gathered of a table's rows, and the stretches of pages that are left to be read. None: all is left, since nobody
/// shares the work, or it did not come to its end.
pub fn rows<'a>(subject: &mut Subject<'a>, workers: &Workers<'a>) -> Option<(Gathered<'a>, Vec<Range<u32>>)> {
    if workers.count == 0 {
        return None;
    }
    let name = subject.rel.qualified();
    let mut input = Vec::new();
    let task = Task {
        table: subject.rel.oid().to_u32(),
        blocks: subject.blocks(),
        processes: workers.processes(),
        since: subject.since,
        key: workers.key.bytes(),
        headers: subject.segments.headers().map(Header::line).collect(),
        ends: workers.ends.clone(),
    };
    task.put(&mut input);
    let plan = Plan {
        entry: c"notary_verify_rows",
        workers: workers.count,
        input: &input,
        bytes: MAX_SETTLED.min(subject.blocks() as usize),
        area: 0,
    };
    let shared_out = subxact::attempt(AssertUnwindSafe(|| {
        let mut progress = Progress::begin(name.clone(), "hashing", subject.blocks());
        parallel::lead(
            &plan,
            subject.snapshot,
            |_| {},
            |team| {
                let mut part = Part::new(workers.gathered(subject.segments, workers.processes()));
                let helpers = team.workers();
                if parallel::leader_takes_part(helpers) {
                    share(subject, &task, &mut part, team.shared, &mut |done| progress.at(done));
                }
                let mut parts = vec![part.put()];
                parts.extend(team.answers());
                let settled = team.shared.bytes.iter().map(|rows| rows.load(Ordering::Relaxed)).collect();
                (helpers, parts, settled)
            },
        )
    }));
    let merged = shared_out.and_then(|(helpers, parts, settled): (u32, Vec<Vec<u8>>, Vec<u8>)| {
        let (gathered, left, entries) =
            merge(workers.gathered(subject.segments, 1), &parts, task.blocks).ok_or("its parts do not make a whole")?;
        subject.settled = settled;
        pgrx::debug1!("{name}: {helpers} of {} workers shared the rows: {entries:?}", workers.count);
        Ok((gathered, left))
    });
    merged.map_err(|why| pgrx::debug1!("{name}: one process reads all rows: {why}")).ok()
}

/// Puts the parts together: what was gathered, what is left, and how many entries each process saw. None unless they are
/// parts of one table, each page in one of them.
fn merge<'a>(
    mut gathered: Gathered<'a>,
    parts: &[Vec<u8>],
    blocks: u32,
) -> Option<(Gathered<'a>, Vec<Range<u32>>, Vec<u64>)> {
    let (mut pages, mut failed, mut entries) = (0, Vec::new(), Vec::new());
    for part in parts {
        let from = &mut part.as_slice();
        gathered.merge_bytes(from)?;
        let (taken, seen): (u64, u64) = Wire::take(from)?;
        pages += taken;
        entries.push(seen);
        failed.extend(Vec::<(u32, u32)>::take(from)?);
    }
    // In the order of the table, in which one process reports.
    failed.sort_unstable();
    let left = failed.into_iter().map(|(start, end)| start..end).collect();
    (pages == u64::from(blocks)).then_some((gathered, left, entries))
}

/// What every process does, the leader too.
fn share(
    subject: &mut Subject<'_>,
    task: &Task,
    part: &mut Part<'_>,
    shared: Shared<'_>,
    progress: &mut dyn FnMut(u32),
) {
    let [next, done, ..] = shared.counters;
    while let Some(pages) = next_pages(next, task.blocks, task.processes) {
        for stretch in stretches(pages) {
            context::check_for_interrupts();
            let mut settle = |block: u32, rows: u8| {
                if let Some(byte) = shared.bytes.get(block as usize) {
                    byte.store(rows, Ordering::Relaxed);
                }
            };
            let Part { gathered, entries, .. } = &mut *part;
            let mut see = |read: &[Entry]| {
                *entries += read.len() as u64;
                read.iter().for_each(|entry| gathered.see(entry));
            };
            if subject.read_raising(stretch.clone(), &mut see, &mut settle).is_none() {
                part.failed.push((stretch.start, stretch.end));
            }
            part.pages += stretch.len() as u64;
            let before = done.fetch_add(stretch.len() as u64, Ordering::Relaxed);
            progress(u32::try_from(before + stretch.len() as u64).unwrap_or(task.blocks));
        }
    }
}

/// What a worker does.
fn work(shared: Shared<'_>, snapshot: &Fresh) -> Vec<u8> {
    #[cfg(feature = "omissions")]
    drop(notary_core::chain::omit(&crate::gucs::omit()));
    try_work(shared, snapshot).unwrap_or_else(|| parallel::fail("a worker cannot make out what it is to read"))
}

fn try_work(shared: Shared<'_>, snapshot: &Fresh) -> Option<Vec<u8>> {
    let task = Task::take(&mut &*shared.input)?;
    let headers: Option<Vec<_>> = task.headers.iter().map(|line| Header::parse(line).ok()).collect();
    let segments = Segments::new(headers?).ok()?;
    let rel = Rel::open(pg_sys::Oid::from_u32(task.table), pg_sys::AccessShareLock);
    let columns = NotaryColumns::of(&rel)?;
    let writer = RowWriter::of_stored(&rel).ok()?;
    let key = Key::of(task.key);
    let mut subject = Subject::new(&rel, columns, writer, &segments, snapshot, task.since, task.blocks);
    let mut part = Part::new(Gathered::new(&segments, &task.ends, &key, task.processes));
    share(&mut subject, &task, &mut part, shared, &mut |_| {});
    Some(part.put())
}
