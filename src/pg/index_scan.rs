//! Walking a whole unique index, entry by entry, without looking at the table.

use super::heap::{self, Tid};
use super::page::{self, BLOCK_SIZE};
use super::parallel::Shared;
use super::relation::Rel;
use super::snapshot::Fresh;
use super::{compat, snapshot};
use pgrx::pg_sys;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// An entry of the index over (notary_chain, notary_seq).
#[derive(Clone, Copy)]
pub struct IndexEntry {
    /// Its chain.
    pub chain: Option<i32>,
    /// Its seq.
    pub seq: Option<i64>,
    /// What it points at.
    pub root: Tid,
}

/// The keys of the index over (notary_chain, notary_seq).
pub const CHAIN_KEYS: [usize; 2] = [4, 16];
/// The keys of a TOAST table's index over (chunk_id, chunk_seq).
pub const CHUNK_KEYS: [usize; 2] = [4, 8];

/// More entries than a page can hold, even as lists of rows.
const PATIENCE: u64 = 2048;
/// BTPageOpaqueData of access/nbtree.h at the end of each page: left and right sibling, level, flags.
pub(super) const OPAQUE: usize = 16;
pub(super) const LEAF: u16 = 1;
pub(super) const DELETED: u16 = 1 << 2;
pub(super) const HALF_DEAD: u16 = 1 << 4;
/// In an index tuple's t_info: its size, and that t_tid says something else than where a row is.
const SIZE: u16 = 0x1fff;
const HAS_NULLS: u16 = 0x8000;
pub(super) const ALTERNATIVE: u16 = 0x2000;
/// In t_tid's offset then: a list of rows follows; otherwise, how many columns a separating key has kept.
const POSTING: u16 = 0x2000;
const COUNT: u16 = 0x0fff;

/// Looks at every page of a b-tree before it is scanned: a scan believes line pointers and tuple sizes, and copies what
/// they say into a buffer of one page, whatever bytes were changed on disk. The error names the first page that
/// contradicts itself. Raises what reading raises.
///
/// Each page is looked at by itself: what pages say of one another changes while others write to the index, and a check
/// of that would cry wolf. Pages that lead in a circle are noticed by the scan, which counts what it gets.
///
/// `keys`: where the index's two columns end in a tuple, counted from the end of its header.
pub fn check_pages(index: pg_sys::Oid, keys: [usize; 2]) -> Result<(), String> {
    let index = Rel::open(index, pg_sys::AccessShareLock);
    check_some_pages(&index, keys, 0..index.blocks())
}

/// The same of some pages of the index, below its length.
pub fn check_some_pages(index: &Rel, keys: [usize; 2], pages: Range<u32>) -> Result<(), String> {
    let mut copy = vec![0; BLOCK_SIZE];
    for block in pages {
        // SAFETY: the block is below the relation's length; the page is copied under its lock, and released.
        unsafe {
            let (buffer, page) = page::pin(index, block, core::ptr::null_mut());
            copy.copy_from_slice(page);
            pg_sys::UnlockReleaseBuffer(buffer);
        }
        let whole = if block == 0 { check_meta(&copy) } else { check_page(&copy, block, keys) };
        whole.ok_or_else(|| format!("page {block} contradicts itself"))?;
        pgrx::check_for_interrupts!();
    }
    Ok(())
}

pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

/// BTMetaPageData of access/nbtree.h, the first page: the root, and the page that a scan starts from in its place. An
/// empty index has neither. A scan that was sent to this very page would go down from it to itself for ever, deaf to
/// cancels and taking memory at each turn.
fn check_meta(page: &[u8]) -> Option<()> {
    let (root, start) = (word(page, 32)?, word(page, 40)?);
    let real = |block: u32| block != 0 && block != u32::MAX;
    ((root == 0 && start == 0) || (real(root) && real(start))).then_some(())
}

/// None when a scan could read outside the page, or more than a page from it, or come to it from itself.
fn check_page(page: &[u8], block: u32, keys: [usize; 2]) -> Option<()> {
    let (lower, upper, special) = (half(page, 12)?, half(page, 14)?, half(page, 16)?);
    if upper == 0 {
        return Some(()); // new, not yet in the tree
    }
    let limit = BLOCK_SIZE - OPAQUE;
    if usize::from(special) != limit || upper > special || lower > upper || lower < 24 {
        return None;
    }
    // Asked for a page of the highest number of all, the server would add one.
    if word(page, limit)? == u32::MAX || word(page, limit + 4)? == u32::MAX {
        return None;
    }
    let (level, flags) = (word(page, limit + 8)?, half(page, limit + 12)?);
    if flags & DELETED != 0 {
        return Some(());
    }
    if (level == 0) != (flags & LEAF != 0) {
        return None;
    }
    let mut total = 0;
    let next = word(page, limit + 4)?;
    for (number, at) in (24..usize::from(lower)).step_by(4).enumerate() {
        let pointer = word(page, at)?;
        let (start, state, len) = ((pointer & 0x7fff) as usize, pointer >> 15 & 3, (pointer >> 17) as usize);
        let is_in_use = state == pg_sys::LP_NORMAL || state == pg_sys::LP_DEAD;
        if !is_in_use || start < usize::from(upper) || start + len > limit || !start.is_multiple_of(8) {
            return None;
        }
        let tuple = page.get(start..start + len)?;
        total += check_tuple(tuple, keys)?;
        // The first tuple of a page with a right sibling is the page's own limit and leads nowhere.
        if level > 0 && (number > 0 || next == 0) {
            let child = u32::from(half(tuple, 0)?) << 16 | u32::from(half(tuple, 2)?);
            if [0, block, u32::MAX].contains(&child) {
                return None;
            }
        }
    }
    // Tuples do not overlap.
    (total <= limit).then_some(())
}

/// A tuple's size, if all that is read of it lies within it.
fn check_tuple(tuple: &[u8], keys: [usize; 2]) -> Option<usize> {
    let (block_high, block_low, offset, info) = (half(tuple, 0)?, half(tuple, 2)?, half(tuple, 4)?, half(tuple, 6)?);
    let size = usize::from(info & SIZE);
    if size < 8 || size > tuple.len() {
        return None;
    }
    let [first, both] = if info & HAS_NULLS == 0 {
        keys.map(|end| 8 + end)
    } else {
        // At most one of the two has a value, of at most eight bytes; a set bit says that it has.
        let end = if tuple.get(8)? & 3 == 0 { 16 } else { 24 };
        [end, end]
    };
    let needed = match info & ALTERNATIVE != 0 {
        false => both,
        true if offset & POSTING != 0 => {
            let list = usize::from(block_high) << 16 | usize::from(block_low);
            let end = list.checked_add(usize::from(offset & COUNT) * 6)?;
            if list < both || offset & COUNT == 0 { return None } else { end }
        }
        true => match offset & COUNT {
            0 => 8,
            1 => first,
            2 => both,
            _ => return None,
        },
    };
    (needed <= size).then_some(size)
}

/// Looks at what a search relies on and a scan does not: on each page of the index over (notary_chain, notary_seq) the
/// tuples are in order and below the page's own limit. Calls `probe` with the first and the last entry of every leaf that
/// is not marked dead: where a search finds these, the pages above lead to that leaf. The error names the first page out
/// of order. Raises what reading raises; to be called when `check_pages` found nothing.
///
/// Other sessions' writing does no harm: each page is looked at by itself, and whether a search must find an entry is for
/// `probe` to say.
///
/// From page `from` to the index's end, wherever that is by then.
pub fn check_order(index: &Rel, from: u32, mut probe: impl FnMut(&IndexEntry)) -> Result<(), String> {
    let mut next = from;
    while next < index.blocks() {
        check_order_of(index, next..next + 1, &mut probe)?;
        next += 1;
    }
    Ok(())
}

/// The same of some pages of the index, below its length.
pub fn check_order_of(index: &Rel, pages: Range<u32>, mut probe: impl FnMut(&IndexEntry)) -> Result<(), String> {
    let mut copy = vec![0; BLOCK_SIZE];
    // The first page is no part of the tree.
    for block in pages.filter(|block| *block > 0) {
        // SAFETY: as in check_pages.
        unsafe {
            let (buffer, page) = page::pin(index, block, core::ptr::null_mut());
            copy.copy_from_slice(page);
            pg_sys::UnlockReleaseBuffer(buffer);
        }
        let ends = ordered(&copy).ok_or_else(|| format!("page {block} is out of order"))?;
        ends.iter().flatten().for_each(&mut probe);
        pgrx::check_for_interrupts!();
    }
    Ok(())
}

/// A key column of an index tuple, as it sorts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyPart {
    /// Left out of a separating key: below every value.
    Absent,
    Value(i64),
    Null,
}

impl KeyPart {
    fn value(self) -> Option<i64> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

/// The first and last entries of a leaf that are not marked dead, none for another page; None when the page's tuples are
/// not in order, or cannot be read.
fn ordered(page: &[u8]) -> Option<[Option<IndexEntry>; 2]> {
    let limit = BLOCK_SIZE - OPAQUE;
    let flags = half(page, limit + 12)?;
    let mut ends = [None, None];
    if half(page, 14)? == 0 || flags & (DELETED | HALF_DEAD) != 0 {
        return Some(ends);
    }
    let (is_leaf, has_limit) = (flags & LEAF != 0, word(page, limit + 4)? != 0);
    let (mut before, mut highest) = (None, None);
    for (number, at) in (24..usize::from(half(page, 12)?)).step_by(4).enumerate() {
        let pointer = word(page, at)?;
        let tuple = page.get((pointer & 0x7fff) as usize..)?;
        if has_limit && number == 0 {
            highest = Some(key_of(tuple)?);
            continue;
        }
        // A search takes an inner page's first tuple for lower than everything, whatever it holds.
        let is_lowest = !is_leaf && number == usize::from(has_limit);
        let key = if is_lowest { [KeyPart::Absent; 2] } else { key_of(tuple)? };
        if before.is_some_and(|before| key < before) || highest.is_some_and(|highest| key > highest) {
            return None;
        }
        before = Some(key);
        if is_leaf && pointer >> 15 & 3 == pg_sys::LP_NORMAL {
            let chain = key[0].value().and_then(|chain| i32::try_from(chain).ok());
            let entry = IndexEntry { chain, seq: key[1].value(), root: first_row(tuple)? };
            ends[0].get_or_insert(entry);
            ends[1] = Some(entry);
        }
    }
    Some(ends)
}

/// (chain, seq) of a tuple, which check_tuple looked at.
pub(super) fn key_of(tuple: &[u8]) -> Option<[KeyPart; 2]> {
    let (offset, info) = (half(tuple, 4)?, half(tuple, 6)?);
    let kept = if info & ALTERNATIVE != 0 && offset & POSTING == 0 { offset & COUNT } else { 2 };
    let int4 = |at| Some(KeyPart::Value(i64::from(word(tuple, at)?.cast_signed())));
    let int8 = |at: usize| Some(KeyPart::Value(i64::from_ne_bytes(*tuple.get(at..)?.first_chunk()?)));
    let has = if info & HAS_NULLS == 0 { 3 } else { *tuple.get(8)? };
    let start = if info & HAS_NULLS == 0 { 8 } else { 16 };
    let chain = match (kept, has & 1) {
        (0, _) => KeyPart::Absent,
        (_, 0) => KeyPart::Null,
        _ => int4(start)?,
    };
    let seq = match (kept, has & 2) {
        (0 | 1, _) => KeyPart::Absent,
        (_, 0) => KeyPart::Null,
        // Aligned to eight bytes behind a chain.
        _ => int8(if has & 1 == 0 { start } else { start + 8 })?,
    };
    Some([chain, seq])
}

/// The row that a leaf's tuple points at, the first one of a list.
pub(super) fn first_row(tuple: &[u8]) -> Option<Tid> {
    let (offset, info) = (half(tuple, 4)?, half(tuple, 6)?);
    let at = if info & ALTERNATIVE != 0 && offset & POSTING != 0 {
        (usize::from(half(tuple, 0)?) << 16) | usize::from(half(tuple, 2)?)
    } else {
        0
    };
    let block = u32::from(half(tuple, at)?) << 16 | u32::from(half(tuple, at + 2)?);
    Some(Tid { block, offset: half(tuple, at + 4)? })
}

/// How many entries are handed out at once.
const BATCH: usize = 1024;

/// What several processes share that walk one index together, each entry being handed to one of them.
#[derive(Clone, Copy)]
pub struct Together<'s> {
    shared: Shared<'s>,
    /// How many entries all of them got.
    count: &'s AtomicU64,
}

impl<'s> Together<'s> {
    /// How much of `Plan::area` it takes.
    pub fn size(index: &Rel, snapshot: &Fresh) -> usize {
        // SAFETY: an open index and a live snapshot.
        unsafe { compat::parallel_scan_size(index.raw(), snapshot.raw()) }
    }

    /// In the leader, before there are workers.
    pub fn lay_out(shared: &Shared<'_>, table: &Rel, index: &Rel, snapshot: &Fresh) {
        // SAFETY: the area is as large as `size` said, and aligned.
        unsafe { compat::parallel_scan_begin(table.raw(), index.raw(), snapshot.raw(), shared.area.cast()) };
    }

    /// In each process, once it is laid out.
    pub fn of(shared: Shared<'s>, count: &'s AtomicU64) -> Self {
        Self { shared, count }
    }
}

/// Calls `each` with every entry that is not marked dead, some at a time. Raises what reading raises. SnapshotSelf, so that
/// no predicate lock is taken; whether an entry's row is visible is for the caller to find out.
pub fn each_batch(
    table: &Rel,
    index: pg_sys::Oid,
    together: Option<Together<'_>>,
    mut each: impl FnMut(&mut Vec<IndexEntry>),
) {
    let none = IndexEntry { chain: None, seq: None, root: Tid { block: 0, offset: 0 } };
    let mut batch = Vec::new();
    let alone = AtomicU64::new(0);
    let count = together.map_or(&alone, |together| together.count);
    // SAFETY: table and index are open for the whole scan, whose index has the two key columns that index::chain_index
    // checked. A scan with others brings a snapshot of its own along, which has to be MVCC to be passed on: a walk that does
    // not look at the table uses it for predicate locks alone, so the other one stands in for it until it is let go.
    unsafe {
        let index = pg_sys::index_open(index, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let scan = match together {
            None => compat::index_beginscan(table.raw(), index, snapshot::own_and_committed(), 0),
            Some(together) => compat::index_beginscan_parallel(table.raw(), index, together.shared.area.cast()),
        };
        let passed_on = std::mem::replace(&mut (*scan).xs_snapshot, snapshot::own_and_committed());
        (*scan).xs_want_itup = true;
        pg_sys::index_rescan(scan, core::ptr::null_mut(), 0, core::ptr::null_mut(), 0);
        loop {
            batch.clear();
            batch.resize(BATCH, none);
            let filled = fill(scan, &mut batch);
            batch.truncate(filled);
            each(&mut batch);
            if filled < BATCH {
                break;
            }
            let so_far = count.fetch_add(BATCH as u64, Ordering::Relaxed) + BATCH as u64;
            if so_far / PATIENCE > u64::from(blocks(index)) {
                let why = "the index has more entries than room: its pages lead in a circle";
                pgrx::ereport!(ERROR, pgrx::PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED, why);
            }
            pgrx::check_for_interrupts!();
        }
        (*scan).xs_snapshot = passed_on;
        pg_sys::index_endscan(scan);
        pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
}

// As pgrx has them, but for what it does at each call to catch an error: that is done once for many.
unsafe extern "C-unwind" {
    fn index_getnext_tid(scan: pg_sys::IndexScanDesc, direction: pg_sys::ScanDirection::Type) -> pg_sys::ItemPointer;
    fn index_deform_tuple(
        tuple: pg_sys::IndexTuple,
        desc: pg_sys::TupleDesc,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
    );
}

/// Puts a scan's next entries into `batch`; how many.
///
/// # Safety
/// The scan has begun, wants the index's tuples, and the index has a chain and a seq.
unsafe fn fill(scan: pg_sys::IndexScanDesc, batch: &mut [IndexEntry]) -> usize {
    let mut filled = 0;
    // SAFETY: xs_itup is valid until the next entry is asked for. What is on the stack of the closure when PostgreSQL
    // jumps out of it needs no Drop, and nothing in it panics.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            for entry in batch {
                let tid = index_getnext_tid(scan, pg_sys::ScanDirection::ForwardScanDirection);
                if tid.is_null() {
                    break;
                }
                let (mut values, mut nulls) = ([pg_sys::Datum::from(0); 2], [true; 2]);
                index_deform_tuple((*scan).xs_itup, (*scan).xs_itupdesc, values.as_mut_ptr(), nulls.as_mut_ptr());
                let (block, offset) = pgrx::itemptr::item_pointer_get_both(*tid);
                *entry = IndexEntry {
                    chain: (!nulls[0]).then(|| values[0].value() as i32),
                    seq: (!nulls[1]).then(|| values[1].value() as i64),
                    root: Tid { block, offset },
                };
                filled += 1;
            }
        });
    }
    filled
}

/// The index that a TOAST table's values are fetched by: the valid one. REINDEX CONCURRENTLY makes another, and leaves it
/// behind when it fails; where the two change places between the look at the list and the look at them, a second look
/// at the list tells.
pub fn chunk_index(toast: &Rel) -> Option<pg_sys::Oid> {
    let look = || {
        toast.indexes().into_iter().find(|oid| {
            let index = Rel::open(*oid, pg_sys::AccessShareLock);
            // SAFETY: an open index has its row of pg_index.
            unsafe { (*(*index.raw()).rd_index).indisvalid }
        })
    };
    look().or_else(look)
}

/// # Safety
/// The index is open.
unsafe fn blocks(index: pg_sys::Relation) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { pg_sys::RelationGetNumberOfBlocksInFork(index, pg_sys::ForkNumber::MAIN_FORKNUM) }
}

/// Looks at the chunks of a value in a TOAST table before they are put together: what fetches them takes their rows for
/// what a TOAST table's rows are. Raises what reading raises.
pub fn check_chunks(toast: pg_sys::Oid, value: pg_sys::Oid) -> Result<(), &'static str> {
    let table = Rel::open(toast, pg_sys::AccessShareLock);
    let index = chunk_index(&table).ok_or("the TOAST table has no index")?;
    let mut key = super::index::equal(1, pg_sys::F_OIDEQ, pg_sys::Datum::from(value));
    let blocks = table.blocks();
    // SAFETY: as above; check_pages looked at the index before.
    unsafe {
        let index = pg_sys::index_open(index, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let scan = compat::index_beginscan(table.raw(), index, snapshot::own_and_committed(), 1);
        pg_sys::index_rescan(scan, &raw mut key, 1, core::ptr::null_mut(), 0);
        let mut result = Ok(());
        while result.is_ok() {
            let tid = pg_sys::index_getnext_tid(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tid.is_null() {
                break;
            }
            let (block, offset) = pgrx::itemptr::item_pointer_get_both(*tid);
            let is_whole = block < blocks && heap::is_whole_chunk(&table, Tid { block, offset });
            result = if is_whole { Ok(()) } else { Err("a part of a value in TOAST is damaged") };
        }
        pg_sys::index_endscan(scan);
        pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
        result
    }
}

/// What the entries for (chain, seq) point at, dead ones included.
pub fn roots_of(table: &Rel, index: pg_sys::Oid, chain: i32, seq: i64) -> Vec<Tid> {
    let mut keys = [
        super::index::equal(1, pg_sys::F_INT4EQ, pg_sys::Datum::from(chain)),
        super::index::equal(2, pg_sys::F_INT8EQ, pg_sys::Datum::from(seq)),
    ];
    let mut roots = Vec::new();
    // SAFETY: as above.
    unsafe {
        let index = pg_sys::index_open(index, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let scan = compat::index_beginscan(table.raw(), index, snapshot::own_and_committed(), 2);
        pg_sys::index_rescan(scan, keys.as_mut_ptr(), 2, core::ptr::null_mut(), 0);
        loop {
            let tid = pg_sys::index_getnext_tid(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tid.is_null() {
                break;
            }
            let (block, offset) = pgrx::itemptr::item_pointer_get_both(*tid);
            roots.push(Tid { block, offset });
        }
        pg_sys::index_endscan(scan);
        pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
    roots
}
