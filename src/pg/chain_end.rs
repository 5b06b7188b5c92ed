//! Is this entry still the last one of its chain? Asked once in each transaction, where a scan of the index would cost more
//! than the rest of the trigger: it makes room for a page's worth of entries before it looks at one. Mostly the entry is on the
//! page where its predecessor was; else the way there goes down from the root.
//!
//! Invariants:
//! * How a page was come to does not matter: what it says of its own entries and of what follows on it is right as long as it
//!   is part of the tree, and a page that is not says so.
//! * Only a clear yes counts. Whatever is odd, or only less simple (a list of rows, a page that was split just now, a row that
//!   was moved), is for a scan to say.
//! * A yes is what scans would say: the entry's row is visible under SnapshotSelf and has this hash, and no row is visible that
//!   the index has at the chain's next place, nor the first one that it has behind the entry. After a large rollback these are
//!   rows that never were, and each transaction comes by them.

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
    fn heap_hot_search_buffer(
        tid: pg_sys::ItemPointer,
        rel: pg_sys::Relation,
        buffer: pg_sys::Buffer,
        snapshot: pg_sys::Snapshot,
        tuple: pg_sys::HeapTuple,
        all_dead: *mut bool,
        first: bool,
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

/// What is found where a chain ends with an entry.
#[derive(Clone, Copy)]
pub struct Ending {
    pub leaf: Leaf,
    /// Perhaps more than [`MANY`] entries of rows that were rolled back follow; false: not so many.
    pub crowded: bool,
}

/// How many entries behind the last one are many: with more that are dead a chain is littered.
pub const MANY: u32 = 64;

/// Does its chain end with this entry? None: perhaps not. `near` is where it may be.
///
/// `index` is the table's unique index over (notary_chain, notary_seq); both are open with a lock.
pub fn ending(table: &Rel, index: pg_sys::Relation, entry: &Entry<'_>, near: Option<Leaf>) -> Option<Ending> {
    let mut ending = None;
    // SAFETY: open relations. What is on the closure's stack when PostgreSQL jumps out of it needs no Drop, and nothing in it
    // panics; pins and locks are the resource owner's then.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let file = (*(*index).rd_rel).relfilenode;
            let near = near.filter(|near| near.file == file).and_then(|near| last(index, entry, near.block));
            let Some(found) = near.or_else(|| last(index, entry, 0)) else {
                return;
            };
            let Some((block, row)) = found.entry else {
                return;
            };
            let is_last = has_hash(table.raw(), row, entry)
                && !found.followers.iter().flatten().any(|row| is_visible(table.raw(), *row));
            ending = is_last.then_some(Ending { leaf: Leaf { file, block }, crowded: found.crowded });
        });
    }
    ending
}

/// Where a page leads.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Page(u32),
    /// All that matters was seen.
    End,
}

/// Looks for a chain's last entry and what follows it.
struct Search {
    wanted: [KeyPart; 2],
    /// The chain's next place.
    next: [KeyPart; 2],
    /// The leaf that has the entry, and the entry's row.
    entry: Option<(u32, Tid)>,
    /// If one of these is visible, it is not the last.
    followers: [Option<Tid>; MAX_FOLLOWERS],
    /// Perhaps many follow.
    crowded: bool,
}

/// One place is given out again and again to rows that are rolled back, until a scan or VACUUM comes by. With more of them a scan
/// it is.
const MAX_FOLLOWERS: usize = 4;

/// Goes from a page, 0 for the first one that tells of the root, to where the entry has to be, and as far behind it as may matter.
///
/// # Safety
/// An open b-tree over (int4, int8) with such a page, and PostgreSQL's errors are caught.
unsafe fn last(index: pg_sys::Relation, entry: &Entry<'_>, start: u32) -> Option<Search> {
    let mut search = Search::of(entry.chain, entry.seq)?;
    let mut block = start;
    for _ in 0..MAX_STEPS {
        // SAFETY: the first page is always there, and the tree does not lead behind the index's end; if it did, reading raises.
        let step = unsafe {
            let buffer = ReadBuffer(index, block);
            LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let page = std::slice::from_raw_parts(pg_sys::BufferGetPage(buffer).cast::<u8>(), BLOCK_SIZE);
            let step = if block == 0 { root(page) } else { search.follow(block, page) };
            UnlockReleaseBuffer(buffer);
            step?
        };
        match step {
            Step::Page(next) => block = next,
            Step::End => return Some(search),
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

/// A page of the tree that is in use.
struct Page<'p> {
    /// As far as tuples are.
    bytes: &'p [u8],
    pointers: &'p [u8],
    right: u32,
    is_leaf: bool,
}

impl<'p> Page<'p> {
    fn of(page: &'p [u8]) -> Option<Self> {
        let limit = BLOCK_SIZE - OPAQUE;
        let (right, flags) = (word(page, limit + 4)?, half(page, limit + 12)?);
        let pointers = page.get(24..usize::from(half(page, 12)?))?;
        let in_use = half(page, 14)? != 0 && flags & (DELETED | HALF_DEAD) == 0;
        in_use.then_some(Self { bytes: page.get(..limit)?, pointers, right, is_leaf: flags & LEAF != 0 })
    }

    fn count(&self) -> usize {
        self.pointers.len() / 4
    }

    fn pointer(&self, number: usize) -> Option<u32> {
        word(self.pointers, number * 4)
    }

    fn item(&self, number: usize) -> Option<&'p [u8]> {
        self.bytes.get((self.pointer(number)? & 0x7fff) as usize..)
    }

    fn key(&self, number: usize) -> Option<[KeyPart; 2]> {
        key_of(self.item(number)?)
    }

    /// Not what scans pass over, since one of them found it dead.
    fn is_live(&self, number: usize) -> bool {
        self.pointer(number).is_none_or(|pointer| pointer >> 15 & 3 != pg_sys::LP_DEAD)
    }

    /// The row of a leaf's entry; None for a list of rows.
    fn row(&self, number: usize) -> Option<Tid> {
        let item = self.item(number)?;
        let is_row = self.pointer(number)? >> 15 & 3 == pg_sys::LP_NORMAL && half(item, 6)? & ALTERNATIVE == 0;
        is_row.then_some(first_row(item)?).filter(|row| row.block != u32::MAX)
    }
}

impl Search {
    fn of(chain: i32, seq: i64) -> Option<Self> {
        let place = |seq| [KeyPart::Value(i64::from(chain)), KeyPart::Value(seq)];
        let (wanted, next) = (place(seq), place(seq.checked_add(1)?));
        Some(Self { wanted, next, entry: None, followers: [None; MAX_FOLLOWERS], crowded: false })
    }

    /// From a page of the tree to the next.
    fn follow(&mut self, block: u32, page: &[u8]) -> Option<Step> {
        let page = Page::of(page)?;
        // What is on a page with a right sibling is below its first item.
        let (first, above) = match page.right {
            0 => (0, None),
            _ => (1, Some(page.key(0)?)),
        };
        let behind = if self.entry.is_some() {
            first
        } else {
            if above.is_some_and(|above| self.wanted >= above) {
                return page_of(page.right); // split since we came from above
            }
            // The last item that is not above what is wanted; an inner page's first item stands for whatever is below the
            // second.
            let (mut low, mut high) = (first, page.count());
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if page.key(middle)? <= self.wanted { low = middle } else { high = middle }
            }
            if !page.is_leaf {
                let found = page.item(low)?;
                let child = u32::from(half(found, 0)?) << 16 | u32::from(half(found, 2)?);
                return page_of(child);
            }
            let same = (first..=low).rev().take_while(|number| page.key(*number) == Some(self.wanted));
            let mut live = same.filter(|number| page.is_live(*number));
            let (Some(entry), None) = (live.next(), live.next()) else {
                return None;
            };
            self.entry = Some((block, page.row(entry)?));
            low + 1
        };
        let is_enough = self.gather(&page, behind)? || above.is_none_or(|above| self.is_enough(above));
        if self.followers[0].is_some() {
            // Those that were found dead already count too: whoever comes by them has less to do, but not nothing.
            let far = page.key(behind + MANY as usize).or(above);
            self.crowded |= far.is_some_and(|key| key[0] == self.wanted[0]);
        }
        if is_enough { Some(Step::End) } else { page_of(page.right) }
    }

    /// Notes what follows the entry, from this item of a leaf on; was it all that matters?
    fn gather(&mut self, page: &Page<'_>, from: usize) -> Option<bool> {
        for number in (from..page.count()).filter(|number| page.is_live(*number)) {
            if self.is_enough(page.key(number)?) {
                return Some(true);
            }
            *self.followers.iter_mut().find(|follower| follower.is_none())? = Some(page.row(number)?);
        }
        Some(false)
    }

    /// Does nothing matter any more from this key on? It is another chain's, or behind the next place, and something was seen.
    fn is_enough(&self, key: [KeyPart; 2]) -> bool {
        key[0] > self.next[0] || (key > self.next && self.followers[0].is_some())
    }
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

/// Is a row visible that an index's entry leads to?
///
/// # Safety
/// An open heap table, and PostgreSQL's errors are caught.
unsafe fn is_visible(table: pg_sys::Relation, row: Tid) -> bool {
    // SAFETY: a page of the table, or reading raises; a line pointer that the page has not got leads nowhere.
    unsafe {
        let mut tid = pg_sys::ItemPointerData::default();
        pgrx::itemptr::item_pointer_set_all(&mut tid, row.block, row.offset);
        let mut tuple = pg_sys::HeapTupleData::default();
        let buffer = ReadBuffer(table, row.block);
        LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let snapshot = snapshot::own_and_committed();
        let found = heap_hot_search_buffer(&mut tid, table, buffer, snapshot, &mut tuple, core::ptr::null_mut(), true);
        UnlockReleaseBuffer(buffer);
        found
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
        where_both(&[page], chain, seq)
    }

    /// The same of a leaf and those that follow it.
    fn where_both(pages: &[&[u8]], chain: i32, seq: i64) -> String {
        let Some(mut search) = Search::of(chain, seq) else {
            return "perhaps".to_owned();
        };
        let mut step = None;
        for (page, block) in pages.iter().zip(5..) {
            step = search.follow(block, page);
        }
        assert!(search.entry.is_none_or(|(block, _)| block == 5), "the leaf that has the entry");
        let followers = search.followers.iter().flatten().map(|row| format!(", unless {}", row.block));
        let entry = search.entry.map(|(_, row)| format!("row on {}{}", row.block, followers.collect::<String>()));
        match (entry, step) {
            (_, None) => "perhaps".to_owned(),
            (None, Some(Step::Page(block))) => format!("page {block}"),
            (Some(entry), Some(Step::Page(block))) => format!("{entry}, then page {block}"),
            (entry, Some(Step::End)) => entry.unwrap_or_default(),
        }
    }

    /// What a scan does that found the entry's row dead.
    fn kill(page: &mut [u8], number: usize) {
        let at = 24 + number * 4;
        let pointer = word(page, at).map(|pointer| pointer | pg_sys::LP_DEAD << 15);
        page[at..at + 4].copy_from_slice(&pointer.unwrap_or_default().to_ne_bytes());
    }

    #[test]
    fn only_the_last_entry_of_a_chain_is_its_end() {
        let leaf = page(&[(1, 1, 10), (1, 2, 11), (2, 1, 12), (4, 1, 13), (4, 1, 14)], 0, LEAF_AND_ROOT);
        assert_eq!(where_to(&leaf, 1, 2), "row on 11");
        assert_eq!(where_to(&leaf, 2, 1), "row on 12");
        // Another follows.
        assert_eq!(where_to(&leaf, 1, 1), "row on 10, unless 11");
        // None is there, it is there twice, none can follow.
        for (chain, seq) in [(1, 3), (0, 1), (3, 1), (4, 1), (5, 1), (1, i64::MAX)] {
            assert_eq!(where_to(&leaf, chain, seq), "perhaps", "{chain} {seq}");
        }
        for flags in [LEAF_AND_ROOT | DELETED, LEAF_AND_ROOT | HALF_DEAD] {
            assert_eq!(where_to(&page(&[(1, 1, 10)], 0, flags), 1, 1), "perhaps");
        }
        assert_eq!(where_to(&page(&[], 0, LEAF_AND_ROOT), 1, 1), "perhaps");
        assert_eq!(where_to(&page(&[(1, 1, u32::MAX)], 0, LEAF_AND_ROOT), 1, 1), "perhaps");
    }

    #[test]
    fn what_follows_is_looked_at_as_far_as_the_next_place() {
        let keys = [(1, 1, 10), (1, 2, 20), (1, 2, 21), (1, 3, 30), (1, 4, 40), (2, 1, 50)];
        let mut leaf = page(&keys, 0, LEAF_AND_ROOT);
        assert_eq!(where_to(&leaf, 1, 1), "row on 10, unless 20, unless 21");
        assert_eq!(where_to(&leaf, 1, 2), "perhaps");
        // What was found dead counts for nothing.
        kill(&mut leaf, 1);
        assert_eq!(where_to(&leaf, 1, 1), "row on 10, unless 21");
        assert_eq!(where_to(&leaf, 1, 2), "row on 21, unless 30");
        // The first one behind, if there is none at the next place.
        kill(&mut leaf, 3);
        assert_eq!(where_to(&leaf, 1, 2), "row on 21, unless 40");
        kill(&mut leaf, 4);
        assert_eq!(where_to(&leaf, 1, 2), "row on 21");
        assert_eq!(where_to(&leaf, 1, 4), "perhaps");
        // A list of rows, or too many.
        let mut list = page(&keys[3..], 0, LEAF_AND_ROOT);
        let tuple = BLOCK_SIZE - OPAQUE - 2 * 24;
        list[tuple + 6..][..2].copy_from_slice(&(24 | ALTERNATIVE).to_ne_bytes());
        assert_eq!(where_to(&list, 1, 3), "perhaps");
        let many = |count| {
            let next = (0..count).map(|i| (1, 2, 20 + i));
            let keys: Vec<_> = [(1, 1, 10)].into_iter().chain(next).chain([(1, 3, 30)]).collect();
            where_to(&page(&keys, 0, LEAF_AND_ROOT), 1, 1)
        };
        assert_eq!(many(4), "row on 10, unless 20, unless 21, unless 22, unless 23");
        assert_eq!(many(5), "perhaps");
    }

    #[test]
    fn many_that_follow_are_a_crowd() {
        let crowded = |dead: i64, limit: Option<(i32, i64, u32)>| {
            let behind = (0..dead).map(|i| (1, 2 + i, 20));
            let keys: Vec<_> = [(1, 1, 10)].into_iter().chain(behind).chain(limit).collect();
            let page = page(&keys, if limit.is_some() { 7 } else { 0 }, LEAF_AND_ROOT);
            let mut search = Search::of(1, 1)?;
            (search.follow(5, &page)? == Step::End).then_some(search.crowded)
        };
        assert_eq!([0, 1, 64].map(|dead| crowded(dead, None)), [Some(false); 3]);
        assert_eq!([65, 200].map(|dead| crowded(dead, None)), [Some(true); 2]);
        // It may go on on the next page, or does not.
        assert_eq!([1, 64, 65].map(|dead| crowded(dead, Some((1, 500, 0)))), [Some(true); 3]);
        assert_eq!([1, 64, 65].map(|dead| crowded(dead, Some((2, 1, 0)))), [Some(false), Some(false), Some(true)]);
    }

    #[test]
    fn what_may_stand_on_the_next_page_is_looked_for_there() {
        let leaf = |limit| page(&[(1, 1, 10), (1, 2, 11), limit], 7, LEAF_AND_ROOT);
        // The chain may go on there, or does not.
        assert_eq!(where_to(&leaf((1, 3, 0)), 1, 2), "row on 11, then page 7");
        assert_eq!(where_to(&leaf((1, 9, 0)), 1, 2), "row on 11, then page 7");
        assert_eq!(where_to(&leaf((2, 1, 0)), 1, 2), "row on 11");
        assert_eq!(where_to(&leaf((1, 2, 0)), 1, 2), "page 7");
        assert_eq!(where_to(&leaf((1, 3, 0)), 1, 3), "page 7");
        // It does, but behind what was seen of the next place; or there may be more of it there.
        assert_eq!(where_to(&leaf((1, 3, 0)), 1, 1), "row on 10, unless 11");
        let next = page(&[(1, 1, 10), (1, 2, 11), (1, 2, 0)], 7, LEAF_AND_ROOT);
        assert_eq!(where_to(&next, 1, 1), "row on 10, unless 11, then page 7");
        assert_eq!(where_to(&page(&[(1, 1, 10), (1, 2, 0)], u32::MAX, LEAF_AND_ROOT), 1, 2), "perhaps");

        let then = |right: &[u8]| where_both(&[&leaf((1, 3, 0)), right], 1, 2);
        assert_eq!(
            then(&page(&[(1, 3, 20), (1, 3, 21), (1, 4, 22)], 0, LEAF_AND_ROOT)),
            "row on 11, unless 20, unless 21"
        );
        assert_eq!(then(&page(&[(1, 9, 20), (1, 10, 21)], 0, LEAF_AND_ROOT)), "row on 11, unless 20");
        assert_eq!(then(&page(&[(2, 1, 20)], 0, LEAF_AND_ROOT)), "row on 11");
        assert_eq!(then(&page(&[(1, 3, 20), (1, 4, 0)], 8, LEAF_AND_ROOT)), "row on 11, unless 20");
        assert_eq!(then(&page(&[(1, 3, 20), (1, 3, 0)], 8, LEAF_AND_ROOT)), "row on 11, unless 20, then page 8");
        assert_eq!(then(&page(&[(1, 3, 20)], 0, LEAF_AND_ROOT | DELETED)), "perhaps");
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
