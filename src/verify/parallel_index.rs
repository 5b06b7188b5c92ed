//! The comparison of the index with the table, shared out. It only says whether all is well: where it is not, or that cannot
//! be said, one process looks at everything.

use super::index::{Key, Sum, Table};
use super::parallel::{Workers, next_pages};
use super::rows::{Subject, is_settled};
use crate::pg::heap::{Layout, Tid};
use crate::pg::index_scan::{self, Together};
use crate::pg::parallel::{self, Plan, Shared, worker_entry};
use crate::pg::relation::Rel;
use crate::pg::snapshot::Fresh;
use crate::pg::subxact;
use notary_core::wire::Wire;
use pgrx::pg_sys;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;

worker_entry!(notary_verify_index, work);

/// What a worker has to know.
struct Task {
    table: u32,
    index: u32,
    processes: u32,
    /// The table's pages.
    blocks: u32,
    /// The index's pages when all began.
    pages: u32,
    key: [u8; 16],
}

impl Wire for Task {
    fn put(&self, out: &mut Vec<u8>) {
        let numbers = [self.table, self.index, self.processes, self.blocks, self.pages];
        numbers.iter().for_each(|number| number.put(out));
        self.key.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let [table, index, processes, blocks, pages] = [(); 5].map(|()| u32::take(from));
        let (table, index, processes) = (table?, index?, processes?);
        Some(Self { table, index, processes, blocks: blocks?, pages: pages?, key: Wire::take(from)? })
    }
}

/// Does the index have what the sum over the table's rows says, and do searches find it? False also where that cannot be
/// said.
pub fn confirms(subject: &Subject<'_>, index: pg_sys::Oid, heap: Sum, workers: &Workers<'_>) -> bool {
    // Entries for what could not be read are looked at one by one.
    if workers.count == 0 || !subject.is_whole() {
        return false;
    }
    let name = subject.rel.qualified();
    let confirmed = subxact::attempt(AssertUnwindSafe(|| {
        let index = Rel::open(index, pg_sys::AccessShareLock);
        if !parallel::is_worth_sharing(&index) {
            return false;
        }
        let task = Task {
            table: subject.rel.oid().to_u32(),
            index: index.oid().to_u32(),
            processes: workers.processes(),
            blocks: subject.blocks(),
            pages: index.blocks(),
            key: workers.key.bytes(),
        };
        let mut input = Vec::new();
        task.put(&mut input);
        let plan = Plan {
            entry: c"notary_verify_index",
            workers: workers.count,
            input: &input,
            bytes: subject.settled.len(),
            area: Together::size(&index, subject.snapshot),
        };
        let table =
            Table { rel: subject.rel, layout: subject.layout(), snapshot: subject.snapshot, blocks: task.blocks };
        let prepare = |shared: &Shared<'_>| {
            shared.bytes.iter().zip(&subject.settled).for_each(|(byte, rows)| byte.store(*rows, Ordering::Relaxed));
            Together::lay_out(shared, subject.rel, &index, subject.snapshot);
        };
        let (helpers, parts) = parallel::lead(&plan, subject.snapshot, prepare, |team| {
            let helpers = team.workers();
            let takes_part = parallel::leader_takes_part(helpers);
            let own =
                if takes_part { share(&table, &index, &task, workers.key, team.shared) } else { Some(<_>::default()) };
            let mut parts = vec![own];
            let answers = team.answers();
            parts.extend(answers.iter().map(|answer| <Option<_> as Wire>::take(&mut answer.as_slice()).flatten()));
            (helpers, parts)
        });
        let whole: Option<Vec<(Sum, u64)>> = parts.into_iter().collect();
        let Some(whole) = whole else { return false };
        let entries: Vec<u64> = whole.iter().map(|(_, entries)| *entries).collect();
        pgrx::debug1!("{name}: {helpers} of {} workers shared the index: {entries:?}", workers.count);
        let mut sum = Sum::default();
        whole.into_iter().for_each(|(part, _)| sum.merge(part));
        // What other sessions' writing moved to new pages meanwhile.
        let reader = table.reader();
        let mut lost = false;
        let ordered =
            index_scan::check_order(&index, task.pages, |entry| lost |= table.is_lost(&reader, index.oid(), entry));
        sum == heap && ordered.is_ok() && !lost
    }));
    confirmed.unwrap_or_else(|why| {
        pgrx::debug1!("{name}: one process compares the index: {why}");
        false
    })
}

/// What every process does, the leader too: the sum over the entries that it got, and how many; None when something is
/// wrong.
fn share(table: &Table<'_>, index: &Rel, task: &Task, key: &Key, shared: Shared<'_>) -> Option<(Sum, u64)> {
    let [next_checked, checked, next_ordered, entries] = shared.counters;
    let mut whole = true;
    while let Some(pages) = next_pages(next_checked, task.pages, task.processes) {
        let count = pages.len() as u64;
        whole &= index_scan::check_some_pages(index, index_scan::CHAIN_KEYS, pages).is_ok();
        // A scan believes all pages, so nobody begins one where one is damaged: the mark is above all that can be counted.
        checked.fetch_add(if whole { count } else { DAMAGED }, Ordering::Release);
    }
    loop {
        match checked.load(Ordering::Acquire) {
            DAMAGED.. => return None,
            done if done >= u64::from(task.pages) => break,
            _ => parallel::pause(),
        }
    }
    let (mut sum, mut count) = (Sum::default(), 0);
    let settled = |root: Tid| {
        let rows = shared.bytes.get(root.block as usize);
        rows.is_some_and(|rows| is_settled(rows.load(Ordering::Relaxed), root))
    };
    let together = Some(Together::of(shared, entries));
    table.each_entry(
        index.oid(),
        together,
        settled,
        |_| false,
        |entry| {
            sum.add(key, entry.chain, entry.seq, entry.root);
            count += 1;
        },
    );
    let reader = table.reader();
    let mut lost = false;
    while let Some(pages) = next_pages(next_ordered, task.pages, task.processes) {
        index_scan::check_order_of(index, pages, |entry| lost |= table.is_lost(&reader, index.oid(), entry)).ok()?;
    }
    (!lost).then_some((sum, count))
}

/// More than there are pages, and many times that is no more than fits.
const DAMAGED: u64 = 1 << 40;

/// What a worker does.
fn work(shared: Shared<'_>, snapshot: &Fresh) -> Vec<u8> {
    let mut out = Vec::new();
    try_work(shared, snapshot).put(&mut out);
    out
}

fn try_work(shared: Shared<'_>, snapshot: &Fresh) -> Option<(Sum, u64)> {
    let task = Task::take(&mut &*shared.input)?;
    let [rel, index] =
        [task.table, task.index].map(|oid| Rel::open(pg_sys::Oid::from_u32(oid), pg_sys::AccessShareLock));
    let layout = Layout::of(&rel);
    let table = Table { rel: &rel, layout: &layout, snapshot, blocks: task.blocks };
    share(&table, &index, &task, &Key::of(task.key), shared)
}
