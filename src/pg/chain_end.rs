//! Is this entry still the last one of its chain? Asked once in each transaction, where a scan of the index would cost more
//! than the rest of the trigger: it makes room for a page's worth of entries before it looks at one. Mostly the entry is on the
//! page where its predecessor was; else the way there goes down from the root.
//!
//! Invariants:
//! * How a page was come to does not matter: what it says of its own entries and of what follows on it is right as long as it
//!   is part of the tree, and a page that is not says so.
//! * Only a clear yes counts. Whatever is odd, or only less simple (an entry twice, a page that was split just now, a row that
//!   was moved), is for a scan to say.
//! * A yes is what a scan would say: the entry stands in the index once, nothing of its chain stands behind it, not even an
//!   entry of a row that was rolled back, and its row is visible under SnapshotSelf and has this hash.

use super::heap::Tid;
use super::index_scan::{ALTERNATIVE, DELETED, HALF_DEAD, KeyPart, LEAF, OPAQUE, first_row, half, key_of, word};
use super::page::BLOCK_SIZE;
use super::relation::Rel;
use super::{snapshot, text};
use notary_core::digest::Digest;
use pgrx::pg_sys;

// As pgrx has them, but for what it does at each call to catch an error: that is done once for all of them.
unsafe extern "C-unwind" {
    fn ReadBuffer(rel: pg_sys::Relation, block: pg_sys::BlockNumber) -> pg_sys::Buffer;
    fn LockBuffer(buffer: pg_sys::Buffer, mode: core::ffi::c_int);
    fn UnlockReleaseBuffer(buffer: pg_sys::Buffer);
    fn ReleaseBuffer(buffer: pg_sys::Buffer);
    fn heap_fetch(
        rel: pg_sys::Relation,
        snapshot: pg_sys::Snapshot,
        tuple: pg_sys::HeapTuple,
        buffer: *mut pg_sys::Buffer,
        keep: bool,
    ) -> bool;
}

/// More pages than a way from the root to a leaf has, with some steps to the right.
const MAX_STEPS: usize = 24;

/// A leaf of an index, in the file that it was when this was one. That has no fewer pages since, but for a table whose file is
/// new in its transaction and that is emptied behind the guard: then reading raises, and whoever asked forgets the leaf.
#[derive(Clone, Copy)]
pub struct Leaf {
    file: pg_sys::Oid,
    block: u32,
}

/// An entry that may end its chain.
pub struct Entry<'h> {
    pub chain: i32,
    pub seq: i64,
    pub hash: &'h Digest,
    /// Where its table has hashes, from 0.
    pub column: usize,
}

/// Does its chain end with this entry? None: perhaps not. Else on which leaf; `near` is where it may be.
///
/// `index` is the table's unique index over (notary_chain, notary_seq); both are open with a lock.
pub fn leaf_of(table: &Rel, index: pg_sys::Relation, entry: &Entry<'_>, near: Option<Leaf>) -> Option<Leaf> {
    let mut leaf = None;
    // SAFETY: open relations. What is on the closure's stack when PostgreSQL jumps out of it needs no Drop, and nothing in it
    // panics; pins and locks are the resource owner's then.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let file = (*(*index).rd_rel).relfilenode;
            let near = near.filter(|near| near.file == file).and_then(|near| last(index, entry, near.block));
            leaf = near
                .or_else(|| last(index, entry, 0))
                .filter(|(_, tid)| has_hash(table.raw(), *tid, entry))
                .map(|(block, _)| Leaf { file, block });
        });
    }
    leaf
}

/// Where a page leads.
enum Step {
    Page(u32),
    /// The entry is here, and it is its chain's last one.
    Last(Tid),
}

/// Goes from a page, 0 for the first one that tells of the root, to where the entry has to be; the leaf and where its row is, if
/// it ends its chain.
///
/// # Safety
/// An open b-tree over (int4, int8) with such a page, and PostgreSQL's errors are caught.
unsafe fn last(index: pg_sys::Relation, entry: &Entry<'_>, start: u32) -> Option<(u32, Tid)> {
    let mut block = start;
    for _ in 0..MAX_STEPS {
        // SAFETY: the first page is always there, and the tree does not lead behind the index's end; if it did, reading raises.
        let step = unsafe {
            let buffer = ReadBuffer(index, block);
            LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let page = std::slice::from_raw_parts(pg_sys::BufferGetPage(buffer).cast::<u8>(), BLOCK_SIZE);
            let step = if block == 0 { root(page) } else { follow(page, entry.chain, entry.seq) };
            UnlockReleaseBuffer(buffer);
            step?
        };
        match step {
            Step::Page(next) => block = next,
            Step::Last(tid) => return Some((block, tid)),
        }
    }
    None
}

/// From the first page (BTMetaPageData of access/nbtree.h) to where scans begin.
fn root(page: &[u8]) -> Option<Step> {
    word(page, 40).and_then(page_of)
}

/// To a page of the tree, which is never the first one. Asked for a page of the highest number of all, the server would add one.
fn page_of(block: u32) -> Option<Step> {
    (![0, u32::MAX].contains(&block)).then_some(Step::Page(block))
}

/// From a page of the tree to the next, or to the row.
fn follow(page: &[u8], chain: i32, seq: i64) -> Option<Step> {
    let wanted = [KeyPart::Value(i64::from(chain)), KeyPart::Value(seq)];
    let limit = BLOCK_SIZE - OPAQUE;
    let (right, flags) = (word(page, limit + 4)?, half(page, limit + 12)?);
    let items = page.get(24..usize::from(half(page, 12)?))?;
    if half(page, 14)? == 0 || flags & (DELETED | HALF_DEAD) != 0 {
        return None;
    }
    let item = |number: usize| {
        let pointer = word(items, number * 4)?;
        Some((page.get((pointer & 0x7fff) as usize..limit)?, pointer >> 15 & 3))
    };
    // What is on a page with a right sibling is below its first item.
    let (first, above) = match right {
        0 => (0, None),
        _ => (1, Some(key_of(item(0)?.0)?)),
    };
    if above.is_some_and(|above| wanted >= above) {
        return page_of(right); // split since we came from above
    }
    let is_leaf = flags & LEAF != 0;
    // The last item that is not above what is wanted; an inner page's first item stands for whatever is below the second.
    let (mut low, mut high) = (first, items.len() / 4);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if key_of(item(middle)?.0)? <= wanted { low = middle } else { high = middle }
    }
    let (found, state) = item(low)?;
    if !is_leaf {
        let child = u32::from(half(found, 0)?) << 16 | u32::from(half(found, 2)?);
        return page_of(child);
    }
    let is_it = state == pg_sys::LP_NORMAL && half(found, 6)? & ALTERNATIVE == 0 && key_of(found)? == wanted;
    let is_twice = low > first && key_of(item(low - 1)?.0)? == wanted;
    // Nothing of the chain stands behind it, neither here nor on pages to the right.
    let ends = match (low + 1 < items.len() / 4, above) {
        (true, _) => key_of(item(low + 1)?.0)?[0] > wanted[0],
        (false, Some(above)) => above[0] > wanted[0],
        (false, None) => true,
    };
    let row = first_row(found).filter(|row| row.block != u32::MAX)?;
    (is_it && !is_twice && ends).then_some(Step::Last(row))
}

/// Is there a visible row with the entry's hash?
///
/// # Safety
/// An open heap table, and PostgreSQL's errors are caught.
unsafe fn has_hash(table: pg_sys::Relation, tid: Tid, entry: &Entry<'_>) -> bool {
    // SAFETY: the tuple points into the page as long as the buffer is pinned; the column is one of the table's.
    unsafe {
        let mut tuple = pg_sys::HeapTupleData::default();
        pgrx::itemptr::item_pointer_set_all(&mut tuple.t_self, tid.block, tid.offset);
        let mut buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
        if !heap_fetch(table, snapshot::own_and_committed(), &mut tuple, &mut buffer, false) {
            return false;
        }
        let speculative = (*tuple.t_data).t_ctid.ip_posid == pg_sys::SpecTokenOffsetNumber as u16;
        let mut is_null = true;
        let number = i32::try_from(entry.column + 1).unwrap_or(0);
        let value = pg_sys::htup::heap_getattr(&mut tuple, number, (*table).rd_att, &mut is_null);
        let has = !speculative && !is_null && text::bytes(value).is_some_and(|found| found == entry.hash.as_bytes());
        ReleaseBuffer(buffer);
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF_AND_ROOT: u16 = 3;

    /// A page of these (chain, seq) and what they lead to; `right`: its sibling, whose first key is the last of these.
    fn page(keys: &[(i32, i64, u32)], right: u32, flags: u16) -> Vec<u8> {
        let mut page = vec![0; BLOCK_SIZE];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        let limit = BLOCK_SIZE - OPAQUE;
        let mut keys = keys.to_vec();
        if right != 0 {
            keys.rotate_right(1);
        }
        let mut upper = limit;
        for (number, (chain, seq, block)) in keys.iter().enumerate() {
            upper -= 24;
            put(24 + number * 4, &((upper as u32) | 1 << 15 | 24 << 17).to_ne_bytes());
            put(upper, &((*block >> 16) as u16).to_ne_bytes());
            put(upper + 2, &(*block as u16).to_ne_bytes());
            put(upper + 4, &1_u16.to_ne_bytes());
            put(upper + 6, &24_u16.to_ne_bytes());
            put(upper + 8, &chain.to_ne_bytes());
            put(upper + 16, &seq.to_ne_bytes());
        }
        put(12, &((24 + keys.len() * 4) as u16).to_ne_bytes());
        put(14, &(upper as u16).to_ne_bytes());
        put(limit + 4, &right.to_ne_bytes());
        put(limit + 12, &flags.to_ne_bytes());
        page
    }

    fn where_to(page: &[u8], chain: i32, seq: i64) -> String {
        match follow(page, chain, seq) {
            None => "perhaps".to_owned(),
            Some(Step::Page(block)) => format!("page {block}"),
            Some(Step::Last(row)) => format!("row on {}", row.block),
        }
    }

    #[test]
    fn only_the_last_entry_of_a_chain_is_its_end() {
        let leaf = page(&[(1, 1, 10), (1, 2, 11), (2, 1, 12), (4, 1, 13), (4, 1, 14)], 0, LEAF_AND_ROOT);
        assert_eq!(where_to(&leaf, 1, 2), "row on 11");
        assert_eq!(where_to(&leaf, 2, 1), "row on 12");
        // Another follows, none is there, it is there twice.
        for (chain, seq) in [(1, 1), (1, 3), (0, 1), (3, 1), (4, 1), (5, 1)] {
            assert_eq!(where_to(&leaf, chain, seq), "perhaps", "{chain} {seq}");
        }
        for flags in [LEAF_AND_ROOT | DELETED, LEAF_AND_ROOT | HALF_DEAD] {
            assert_eq!(where_to(&page(&[(1, 1, 10)], 0, flags), 1, 1), "perhaps");
        }
        assert_eq!(where_to(&page(&[], 0, LEAF_AND_ROOT), 1, 1), "perhaps");
        assert_eq!(where_to(&page(&[(1, 1, u32::MAX)], 0, LEAF_AND_ROOT), 1, 1), "perhaps");
    }

    #[test]
    fn what_may_stand_on_the_next_page_is_looked_for_there() {
        let leaf = |limit| page(&[(1, 1, 10), (1, 2, 11), limit], 7, LEAF_AND_ROOT);
        // The chain may go on there, or does not.
        assert_eq!(where_to(&leaf((1, 3, 0)), 1, 2), "perhaps");
        assert_eq!(where_to(&leaf((2, 1, 0)), 1, 2), "row on 11");
        assert_eq!(where_to(&leaf((1, 2, 0)), 1, 2), "page 7");
        assert_eq!(where_to(&leaf((1, 3, 0)), 1, 3), "page 7");
        assert_eq!(where_to(&page(&[(1, 1, 10), (1, 2, 0)], u32::MAX, LEAF_AND_ROOT), 1, 2), "perhaps");
    }

    #[test]
    fn from_above_the_way_goes_down() {
        let inner = page(&[(0, 0, 4), (1, 50, 5), (2, 1, 6)], 0, 2);
        let ways = [(1, 49), (1, 50), (1, 99), (2, 1), (3, 0)].map(|(chain, seq)| where_to(&inner, chain, seq));
        assert_eq!(ways, ["page 4", "page 5", "page 5", "page 6", "page 6"]);
        for block in [0, u32::MAX] {
            assert_eq!(where_to(&page(&[(0, 0, block)], 0, 2), 1, 1), "perhaps");
        }
    }
}
