//! Work that several processes share: a leader, and workers that PostgreSQL starts for it (access/parallel.h). They have the
//! leader's user, settings and transaction, and see what its snapshot sees.
//!
//! Invariants:
//! * In parallel mode there are no subtransactions. What raises, in whichever process, ends the work of all and comes out of
//!   `lead`. So `lead` runs in a subtransaction (`subxact::attempt`), at whose end PostgreSQL ends the workers too.
//! * There may be fewer workers than were asked for, or none: nothing waits for one that may never begin.
//! * An entry point is a C symbol and no SQL function; in a process that is no worker it only raises.

use super::relation::Rel;
use super::snapshot::Fresh;
use super::{compat, context};
use core::ffi::{CStr, c_int, c_void};
use pgrx::pg_sys;
use std::sync::atomic::{AtomicU8, AtomicU64};

/// Defines the C function `$symbol` that workers begin with: it calls `$body`, whose answer goes to the leader.
macro_rules! worker_entry {
    ($symbol:ident, $body:path) => {
        #[allow(unsafe_code, missing_docs)]
        #[unsafe(no_mangle)]
        #[pgrx::pg_guard]
        pub extern "C-unwind" fn $symbol(segment: *mut pgrx::pg_sys::dsm_segment, toc: *mut pgrx::pg_sys::shm_toc) {
            // SAFETY: PostgreSQL calls it with the shared memory that `lead` laid out.
            unsafe { crate::pg::parallel::work(segment, toc, $body) }
        }
    };
}
pub(crate) use worker_entry;

/// What is asked of workers.
pub struct Plan<'a> {
    /// The name of their entry point.
    pub entry: &'static CStr,
    /// At most so many.
    pub workers: u32,
    /// What each has to know.
    pub input: &'a [u8],
    /// How many zero bytes they share besides.
    pub bytes: usize,
    /// How many bytes they share for something of PostgreSQL's own.
    pub area: usize,
}

/// The memory that leader and workers share.
#[derive(Clone, Copy)]
pub struct Shared<'s> {
    /// What the leader wrote for all.
    pub input: &'s [u8],
    /// They begin at 0.
    pub counters: &'s [AtomicU64; COUNTERS],
    /// They begin at 0 too.
    pub bytes: &'s [AtomicU8],
    /// At least eight bytes aligned; null where none was asked for.
    pub(super) area: *mut c_void,
}

/// How many counters there are.
pub const COUNTERS: usize = 4;

/// How the shared memory is laid out.
#[repr(C)]
struct Head {
    /// The library may have been replaced since the leader loaded it.
    version: [u8; 16],
    input: usize,
    bytes: usize,
    counters: [AtomicU64; COUNTERS],
}

const HEAD: u64 = 1;
const INPUT: u64 = 2;
const BYTES: u64 = 3;
const AREA: u64 = 4;
const QUEUES: u64 = 5;
const KEYS: usize = 5;

/// For the answer of one worker, which passes through it piece by piece.
const QUEUE: usize = 1 << 16;

fn version() -> [u8; 16] {
    let text = env!("CARGO_PKG_VERSION").bytes().chain(std::iter::repeat(0));
    let mut version = [0; 16];
    version.iter_mut().zip(text).for_each(|(to, from)| *to = from);
    version
}

/// How many workers to ask for with a table: `wanted`, or, without, as many as PostgreSQL would to make an index on it. None
/// where there can be none.
pub fn workers(table: &Rel, wanted: Option<u32>) -> u32 {
    // SAFETY: plain variables of this backend.
    let (can, automatic, all, smallest) = unsafe {
        let can = pg_sys::IsUnderPostmaster && !pg_sys::IsInParallelMode();
        let limits = [pg_sys::max_parallel_maintenance_workers, pg_sys::max_parallel_workers];
        let [automatic, all] = limits.map(|limit| u32::try_from(limit).unwrap_or(0));
        (can, automatic, all, u32::try_from(pg_sys::min_parallel_table_scan_size).unwrap_or(0))
    };
    // Other processes do not see temporary tables.
    if !can || table.persistence() == pg_sys::RELPERSISTENCE_TEMP {
        return 0;
    }
    let blocks = table.blocks();
    let fits = || compat::parallel_workers(table).unwrap_or_else(|| for_size(blocks, smallest)).min(automatic);
    wanted.unwrap_or_else(fits).min(all).min(blocks)
}

/// compute_parallel_worker: one from the smallest size that is worth it, and one more for each time that it is three times as
/// much.
fn for_size(blocks: u32, smallest: u32) -> u32 {
    let times = std::iter::successors(Some(u64::from(smallest.max(1))), |size| size.checked_mul(3));
    let enough = times.take_while(|size| u64::from(blocks) >= *size).count();
    if blocks < smallest { 0 } else { u32::try_from(enough.max(1)).unwrap_or(0) }
}

/// Is an index so large that workers are worth starting for it? While they start, one process reads some hundred pages: so
/// sixteen times what is worth a worker that is to scan one for a query.
pub fn is_worth_sharing(index: &Rel) -> bool {
    // SAFETY: a plain variable of this backend.
    let smallest = unsafe { pg_sys::min_parallel_index_scan_size };
    u64::from(index.blocks()) >= 16 * u64::try_from(smallest).unwrap_or(0)
}

/// Does the leader do a part of the work? Not if it was told not to, and there are others.
pub fn leader_takes_part(workers: u32) -> bool {
    // SAFETY: a plain variable of this backend.
    workers == 0 || unsafe { pg_sys::parallel_leader_participation }
}

/// Ends the work of all processes: an error that `lead` raises, whichever of them it is.
pub fn fail(why: &'static str) -> ! {
    pgrx::ereport!(ERROR, pgrx::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, why);
}

/// Waits a moment for other processes; lets interrupts take effect, and what workers raise.
pub fn pause() {
    // SAFETY: sleeps.
    unsafe { pg_sys::pg_usleep(100) };
    context::check_for_interrupts();
}

/// A leader and the workers that were started.
pub struct Team<'s> {
    raw: *mut pg_sys::ParallelContext,
    queues: Vec<*mut pg_sys::shm_mq_handle>,
    /// What they share.
    pub shared: Shared<'s>,
}

impl Team<'_> {
    /// How many workers were started.
    pub fn workers(&self) -> u32 {
        u32::try_from(self.queues.len()).unwrap_or(0)
    }

    /// Waits until all workers are through, and takes their answers. Raises what they raised.
    pub fn answers(&mut self) -> Vec<Vec<u8>> {
        // SAFETY: queues that were attached to, in a context that is not destroyed before lead() ends. A message lies in the
        // queue's memory or the handle's until the next one, and is copied at once.
        unsafe {
            let answers = self.queues.drain(..).map(|queue| {
                let (mut len, mut data) = (0, core::ptr::null_mut());
                let result = pg_sys::shm_mq_receive(queue, &mut len, &mut data, false);
                (result == pg_sys::shm_mq_result::SHM_MQ_SUCCESS)
                    .then(|| core::slice::from_raw_parts(data.cast::<u8>(), len).to_vec())
            });
            let answers: Option<Vec<_>> = answers.collect();
            pg_sys::WaitForParallelWorkersToFinish(self.raw);
            answers.unwrap_or_else(|| fail("a worker ended without an answer"))
        }
    }
}

/// Starts workers and runs `work` beside them; `prepare` runs before they start. Called in a subtransaction of its own.
pub fn lead<T>(
    plan: &Plan<'_>,
    snapshot: &Fresh,
    prepare: impl FnOnce(&Shared<'_>),
    work: impl FnOnce(&mut Team<'_>) -> T,
) -> T {
    // SAFETY: as access/transam/README.parallel has it. The memory is written before workers start. On error the
    // subtransaction's end pops the snapshot, ends parallel mode and destroys the context.
    unsafe {
        pg_sys::EnterParallelMode();
        pg_sys::PushActiveSnapshot(snapshot.raw());
        let workers = c_int::try_from(plan.workers).unwrap_or(c_int::MAX);
        let raw = pg_sys::CreateParallelContext(c"$libdir/pg_notary".as_ptr(), plan.entry.as_ptr(), workers);
        let sizes = [size_of::<Head>(), plan.input.len(), plan.bytes, plan.area, queues_size((*raw).nworkers)];
        for size in sizes {
            (*raw).estimator.space_for_chunks += size.next_multiple_of(ALIGNED);
        }
        (*raw).estimator.number_of_keys += KEYS;
        pg_sys::InitializeParallelDSM(raw);
        lay_out((*raw).toc, plan, (*raw).nworkers);
        let shared = Shared::of((*raw).toc);
        prepare(&shared);
        let queues = pg_sys::shm_toc_lookup((*raw).toc, QUEUES, false);
        let mut handles = Vec::new();
        for i in 0..usize::try_from((*raw).nworkers).unwrap_or(0) {
            let queue = pg_sys::shm_mq_create(queues.byte_add(i * QUEUE), QUEUE);
            pg_sys::shm_mq_set_receiver(queue, pg_sys::MyProc);
            handles.push(pg_sys::shm_mq_attach(queue, (*raw).seg, core::ptr::null_mut()));
        }
        pg_sys::LaunchParallelWorkers(raw);
        // Those that were started come first.
        handles.truncate(usize::try_from((*raw).nworkers_launched).unwrap_or(0));
        for (i, handle) in handles.iter().enumerate() {
            pg_sys::shm_mq_set_handle(*handle, (*(*raw).worker.add(i)).bgwhandle);
        }
        let mut team = Team { raw, queues: handles, shared };
        let result = work(&mut team);
        if !team.queues.is_empty() {
            drop(team.answers());
        }
        pg_sys::DestroyParallelContext(raw);
        pg_sys::PopActiveSnapshot();
        pg_sys::ExitParallelMode();
        result
    }
}

/// What shm_toc_allocate aligns to, at most.
const ALIGNED: usize = 128;

fn queues_size(workers: c_int) -> usize {
    usize::try_from(workers).unwrap_or(0) * QUEUE
}

/// # Safety
/// The table of contents has room for what the plan asks for, and nothing in it yet.
unsafe fn lay_out(toc: *mut pg_sys::shm_toc, plan: &Plan<'_>, workers: c_int) {
    // SAFETY: the caller's promise; each piece is written within what was allocated for it.
    unsafe {
        let place = |key, size: usize| {
            let at = pg_sys::shm_toc_allocate(toc, size.max(1));
            pg_sys::shm_toc_insert(toc, key, at);
            at
        };
        place(HEAD, size_of::<Head>()).cast::<Head>().write(Head {
            version: version(),
            input: plan.input.len(),
            bytes: plan.bytes,
            counters: [const { AtomicU64::new(0) }; COUNTERS],
        });
        let input = place(INPUT, plan.input.len()).cast::<u8>();
        input.copy_from_nonoverlapping(plan.input.as_ptr(), plan.input.len());
        place(BYTES, plan.bytes).cast::<u8>().write_bytes(0, plan.bytes);
        place(AREA, plan.area);
        place(QUEUES, queues_size(workers));
    }
}

impl<'s> Shared<'s> {
    /// # Safety
    /// `lay_out` filled it, and it is mapped for as long as the value is used.
    unsafe fn of(toc: *mut pg_sys::shm_toc) -> Self {
        // SAFETY: the caller's promise. Nobody writes to the input any more; the rest is atomic.
        unsafe {
            let head = &*pg_sys::shm_toc_lookup(toc, HEAD, false).cast::<Head>();
            if head.version != version() {
                fail("the library was replaced while the leader had it loaded");
            }
            let place = |key| pg_sys::shm_toc_lookup(toc, key, false);
            Self {
                input: core::slice::from_raw_parts(place(INPUT).cast(), head.input),
                counters: &head.counters,
                bytes: core::slice::from_raw_parts(place(BYTES).cast(), head.bytes),
                area: place(AREA),
            }
        }
    }
}

/// What an entry point does: `body`, and its answer to the leader.
///
/// # Safety
/// PostgreSQL called the entry point of a worker whose leader is in `lead`.
pub unsafe fn work(
    segment: *mut pg_sys::dsm_segment,
    toc: *mut pg_sys::shm_toc,
    body: impl FnOnce(Shared<'_>, &Fresh) -> Vec<u8>,
) {
    // SAFETY: the caller's promise, and the number says that this is a worker.
    unsafe {
        let Ok(number) = usize::try_from(pg_sys::ParallelWorkerNumber) else {
            fail("only a parallel worker begins here");
        };
        let shared = Shared::of(toc);
        let queue = pg_sys::shm_toc_lookup(toc, QUEUES, false).byte_add(number * QUEUE).cast();
        pg_sys::shm_mq_set_sender(queue, pg_sys::MyProc);
        let handle = pg_sys::shm_mq_attach(queue, segment, core::ptr::null_mut());
        let answer = body(shared, &Fresh::of_leader());
        // A leader that has gone needs no answer.
        pg_sys::shm_mq_send(handle, answer.len(), answer.as_ptr().cast(), false, true);
        pg_sys::shm_mq_detach(handle);
    }
}

#[cfg(test)]
mod tests {
    use super::for_size;

    #[test]
    fn a_table_three_times_as_large_has_one_worker_more() {
        let sizes = [(1_023, 0), (1_024, 1), (3_071, 1), (3_072, 2), (9_216, 3), (u32::MAX, 14)];
        assert_eq!(sizes.map(|(blocks, _)| for_size(blocks, 1_024)), sizes.map(|(_, workers)| workers));
        assert_eq!([0, 1, 3].map(|blocks| for_size(blocks, 0)), [1, 1, 2]);
    }
}
