//! Reading a heap page by page, as a checker must: with an MVCC snapshot but without predicate locks (so that a
//! SERIALIZABLE transaction makes no writer fail), every line pointer and every tuple header looked at before it is
//! believed, so that bytes changed on disk give a finding and not a crash.
//!
//! A pin is held while a page's rows are looked at, the content lock only while their visibility is.

use super::compat;
use super::page::{self, BLOCK_SIZE};
use super::relation::Rel;
use super::snapshot::Fresh;
use pgrx::pg_sys;

/// How the columns of a table lie in its tuples.
pub struct Layout {
    attributes: Vec<Attribute>,
}

struct Attribute {
    len: i16,
    align: usize,
    by_value: bool,
    dropped: bool,
}

/// Where a row is: page and line pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tid {
    /// The page.
    pub block: u32,
    /// The line pointer on it, from 1.
    pub offset: u16,
}

impl Tid {
    /// As one number.
    pub fn pack(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }

    /// The reverse of `pack`.
    pub fn unpack(packed: u64) -> Self {
        Self { block: (packed >> 16) as u32, offset: packed as u16 }
    }
}

impl std::fmt::Display for Tid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ctid ({},{})", self.block, self.offset)
    }
}

/// A visible row.
pub struct Row<'a> {
    /// Where it is.
    pub tid: Tid,
    /// What an index entry for it points at: itself, or the root of its update chain.
    pub root: Tid,
    /// Its values, or what is wrong with its bytes.
    pub values: Result<(&'a [pg_sys::Datum], &'a [bool]), &'static str>,
}

/// Reads pages of one table.
pub struct Reader<'a> {
    table: &'a Rel,
    layout: &'a Layout,
    snapshot: &'a Fresh,
    strategy: pg_sys::BufferAccessStrategy,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    roots: Vec<u16>,
    visible: Vec<u16>,
    settled: u16,
}

const ITEM_SIZE: usize = size_of::<pg_sys::ItemIdData>();
/// MaxHeapTuplesPerPage of access/htup_details.h: a page's header, then for each tuple a line pointer and an aligned
/// header. At most 1,362, even for pages of 32 KiB.
const MAX_TUPLES: u16 = ((BLOCK_SIZE - 24) / (24 + ITEM_SIZE)) as u16;

impl Layout {
    /// Reads a table's descriptor.
    pub fn of(table: &Rel) -> Self {
        // SAFETY: an open relation's descriptor; indexes below natts.
        let attributes = unsafe {
            let desc = (*table.raw()).rd_att;
            let attribute = |i| {
                let a = compat::attribute(desc, i);
                let align = alignment(a.attalign);
                Attribute { len: a.attlen, align, by_value: a.attbyval, dropped: a.attisdropped }
            };
            (0..table.attribute_count()).map(attribute).collect()
        };
        Self { attributes }
    }

    /// Takes a tuple apart, never reading outside `data` (the bytes after its header). Columns beyond the tuple's own
    /// count are NULL: a value that ADD COLUMN … DEFAULT left in the catalog is in no row.
    fn deform(
        &self,
        data: &[u8],
        count: usize,
        null_bits: Option<&[u8]>,
        values: &mut [pg_sys::Datum],
        nulls: &mut [bool],
    ) -> Result<(), &'static str> {
        if count > self.attributes.len() {
            return Err("the row has more columns than the table");
        }
        let mut offset = 0;
        for (i, attribute) in self.attributes.iter().enumerate() {
            let is_null = i >= count || null_bits.is_some_and(|bits| bits[i / 8] & (1 << (i % 8)) == 0);
            nulls[i] = is_null || attribute.dropped;
            if is_null {
                continue;
            }
            let len = attribute.place(data, &mut offset)?;
            if offset + len > data.len() {
                return Err("a value reaches beyond its row");
            }
            values[i] = attribute.datum(&data[offset..offset + len]);
            offset += len;
        }
        Ok(())
    }
}

/// A typalign as a number of bytes.
pub fn alignment(code: core::ffi::c_char) -> usize {
    match code as u8 {
        b'd' => 8,
        b'i' => 4,
        b's' => 2,
        _ => 1,
    }
}

impl Attribute {
    /// Moves `offset` to where the value starts and returns its length.
    fn place(&self, data: &[u8], offset: &mut usize) -> Result<usize, &'static str> {
        match self.len {
            -1 => {
                // A zero byte is padding; anything else is a header of one byte, which needs no alignment.
                if data.get(*offset).is_some_and(|b| *b == 0) {
                    *offset = offset.next_multiple_of(self.align);
                }
                varlena_len(data.get(*offset..).unwrap_or_default())
            }
            -2 => {
                let rest = data.get(*offset..).unwrap_or_default();
                rest.iter().position(|b| *b == 0).map(|n| n + 1).ok_or("a string has no end")
            }
            len => {
                *offset = offset.next_multiple_of(self.align);
                usize::try_from(len).map_err(|_| "a column has no known length")
            }
        }
    }

    /// A Datum for a value's bytes, which have the attribute's length.
    fn datum(&self, bytes: &[u8]) -> pg_sys::Datum {
        match (self.by_value, bytes) {
            (true, &[a]) => pg_sys::Datum::from(i8::from_ne_bytes([a])),
            (true, &[a, b]) => pg_sys::Datum::from(i16::from_ne_bytes([a, b])),
            (true, &[a, b, c, d]) => pg_sys::Datum::from(i32::from_ne_bytes([a, b, c, d])),
            (true, &[a, b, c, d, e, f, g, h]) => pg_sys::Datum::from(i64::from_ne_bytes([a, b, c, d, e, f, g, h])),
            _ => pg_sys::Datum::from(bytes.as_ptr()),
        }
    }
}

/// The length of a varlena as it lies in a tuple, header included, from its first bytes.
fn varlena_len(data: &[u8]) -> Result<usize, &'static str> {
    #[cfg(target_endian = "big")]
    compile_error!("the varlena headers below are those of little-endian machines");
    match *data {
        // One header byte: a pointer to TOAST (tag 18: on disk, 16 bytes), anything else cannot be in a table.
        [0x01, 18, ..] => Ok(2 + 16),
        [0x01, ..] => Err("a value has an unknown kind of header"),
        [first, ..] if first & 1 == 1 => Ok(usize::from(first >> 1)),
        [a, b, c, d, ..] => {
            let len = (u32::from_le_bytes([a, b, c, d]) >> 2) as usize;
            if len < 4 { Err("a value is shorter than its header") } else { Ok(len) }
        }
        _ => Err("a value reaches beyond its row"),
    }
}

impl<'a> Reader<'a> {
    /// A reader for a table, under a snapshot.
    pub fn new(table: &'a Rel, layout: &'a Layout, snapshot: &'a Fresh) -> Self {
        let width = layout.attributes.len();
        Self {
            table,
            layout,
            snapshot,
            // SAFETY: palloc'd; freed with the memory context.
            strategy: unsafe { pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKREAD) },
            values: vec![pg_sys::Datum::from(0); width],
            nulls: vec![true; width],
            roots: vec![0; usize::from(MAX_TUPLES) + 1],
            visible: Vec::new(),
            settled: 0,
        }
    }

    /// How many line pointers the page has that was read last, if each of them is that of a visible row which its index
    /// entry points at; else 0.
    pub fn settled(&self) -> u16 {
        self.settled
    }

    /// Calls `each` for every visible row of a page, or for the one at `only`. Raises what reading raises.
    pub fn page(&mut self, block: u32, only: Option<u16>, mut each: impl FnMut(Row<'_>)) {
        // SAFETY: the block is below the relation's length at some time after the snapshot was taken; the buffer is
        // pinned until the end of the function, or released by the (sub)transaction's resource owner on error.
        unsafe {
            let (buffer, page) = page::pin(self.table, block, self.strategy);
            self.find_visible(buffer, page, block, only);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            for offset in &self.visible {
                let tid = Tid { block, offset: *offset };
                let root = match self.roots.get(usize::from(*offset) - 1) {
                    Some(root) if *root > 0 => Tid { block, offset: *root },
                    _ => tid,
                };
                let values = match tuple(page, *offset) {
                    Ok(bytes) => take_apart(self.layout, bytes, &mut self.values, &mut self.nulls)
                        .map(|()| (self.values.as_slice(), self.nulls.as_slice())),
                    Err(why) => Err(why),
                };
                each(Row { tid, root, values });
            }
            pg_sys::ReleaseBuffer(buffer);
        }
    }

    /// Does an index entry that points at `root` lead to a visible row? Follows the update chain on its page as
    /// heap_hot_search_buffer does: what that does not find, no query finds through an index.
    pub fn leads_to_visible(&self, root: Tid, blocks: u32) -> bool {
        let mut leads = false;
        self.each_leading_to_visible(&[root], |root| *root, blocks, |_| leads = true);
        leads
    }

    /// Calls `each` for those of some index entries that lead to visible rows: where many in a row point at one page, it is
    /// looked up and locked once for all of them. `each` runs under that lock, so it calls nothing of PostgreSQL.
    pub fn each_leading_to_visible<E>(
        &self,
        entries: &[E],
        root: impl Fn(&E) -> Tid,
        blocks: u32,
        mut each: impl FnMut(&E),
    ) {
        for of_page in entries.chunk_by(|a, b| root(a).block == root(b).block) {
            let Some(block) = of_page.first().map(|first| root(first).block).filter(|block| *block < blocks) else {
                continue;
            };
            // SAFETY: as in page(); offsets are checked against the page before they are used.
            unsafe {
                let (buffer, page) = page::pin(self.table, block, core::ptr::null_mut());
                for entry in of_page {
                    if self.visible_behind(buffer, page, root(entry)).is_some() {
                        each(entry);
                    }
                }
                pg_sys::UnlockReleaseBuffer(buffer);
            }
        }
    }

    /// Calls `each` for the visible row that an index entry pointing at `root` leads to, if there is one. Raises what
    /// reading raises. The block is below the table's length.
    pub fn behind(&mut self, root: Tid, each: impl FnOnce(Row<'_>)) {
        // SAFETY: as in page().
        unsafe {
            let (buffer, page) = page::pin(self.table, root.block, core::ptr::null_mut());
            let found = self.visible_behind(buffer, page, root);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            if let Some(offset) = found {
                let tid = Tid { block: root.block, offset };
                each(Row { tid, root, values: self.values_at(page, offset) });
            }
            pg_sys::ReleaseBuffer(buffer);
        }
    }

    /// # Safety
    /// `page` is pinned.
    unsafe fn values_at(&mut self, page: &[u8], offset: u16) -> Result<(&[pg_sys::Datum], &[bool]), &'static str> {
        let bytes = tuple(page, offset)?;
        // SAFETY: the bytes came from tuple().
        unsafe { take_apart(self.layout, bytes, &mut self.values, &mut self.nulls)? };
        Ok((&self.values, &self.nulls))
    }

    /// The visible member of the update chain that begins at `root`.
    ///
    /// # Safety
    /// The buffer is pinned and locked, `page` is its content.
    unsafe fn visible_behind(&self, buffer: pg_sys::Buffer, page: &[u8], root: Tid) -> Option<u16> {
        let mut offset = root.offset;
        let mut reached = Reached::FromTheIndex;
        // A chain has no more members than the page has rows; a damaged one may be a circle.
        for _ in 0..=MAX_TUPLES {
            if offset == 0 || offset > line_pointers(page) {
                return None;
            }
            let item = item(page, offset);
            if item.lp_flags() == pg_sys::LP_REDIRECT && reached == Reached::FromTheIndex {
                (offset, reached) = (u16::try_from(item.lp_off()).unwrap_or(0), Reached::ByRedirect);
                continue;
            }
            let bytes = is_used(page, offset).then(|| tuple(page, offset).ok()).flatten()?;
            // SAFETY: tuple() checked that the bytes hold a header, and they live as long as the pin.
            unsafe {
                let header = &*bytes.as_ptr().cast::<pg_sys::HeapTupleHeaderData>();
                if !reached.allows(header) {
                    return None;
                }
                if self.is_visible(buffer, bytes, Tid { block: root.block, offset })
                    || self.is_shown_anyway(page, root.block)
                {
                    return Some(offset);
                }
                let next = hot_successor(header)?;
                (offset, reached) = (next, Reached::ByUpdate(updater(header)));
            }
        }
        None
    }

    /// # Safety
    /// The buffer is pinned and locked, `bytes` came from `tuple` on its page.
    unsafe fn is_visible(&self, buffer: pg_sys::Buffer, bytes: &[u8], tid: Tid) -> bool {
        // SAFETY: the bytes hold a header and live as long as the pin.
        unsafe {
            if self.is_plainly_visible(&*bytes.as_ptr().cast()) {
                return true;
            }
            let mut tuple = pg_sys::HeapTupleData {
                t_len: u32::try_from(bytes.len()).unwrap_or(0),
                t_self: pg_sys::ItemPointerData::default(),
                t_tableOid: self.table.oid(),
                t_data: bytes.as_ptr().cast_mut().cast(),
            };
            pgrx::itemptr::item_pointer_set_all(&mut tuple.t_self, tid.block, tid.offset);
            pg_sys::HeapTupleSatisfiesVisibility(&mut tuple, self.snapshot.raw(), buffer)
        }
    }

    /// What HeapTupleSatisfiesMVCC says of most rows, without the call: the page says that who made the row committed, which
    /// was over before the oldest transaction that ran when the snapshot was taken, and that nobody took the row away.
    fn is_plainly_visible(&self, header: &pg_sys::HeapTupleHeaderData) -> bool {
        const SETTLED: u32 = pg_sys::HEAP_XMIN_COMMITTED | pg_sys::HEAP_XMAX_INVALID;
        // SAFETY: a live snapshot.
        let oldest = unsafe { (*self.snapshot.raw()).xmin }.into_inner();
        u32::from(header.t_infomask) & SETTLED == SETTLED && precedes(creator(header), oldest)
    }

    /// Do queries show every row on this page, visible or not? They do where the page, or the visibility map, says that
    /// all are; PostgreSQL says so only where it is true, and takes it back under the page's lock. On a standby the page's
    /// own word does not count (heapgetpage).
    fn is_shown_anyway(&self, page: &[u8], block: u32) -> bool {
        let flags = u16::from_ne_bytes([page[10], page[11]]); // pd_flags
        // SAFETY: a live snapshot; the map is read by the relation's own function, and its page unpinned.
        unsafe {
            let on_a_standby = (*self.snapshot.raw()).takenDuringRecovery;
            if u32::from(flags) & pg_sys::PD_ALL_VISIBLE != 0 && !on_a_standby {
                return true;
            }
            let mut map = pg_sys::InvalidBuffer as pg_sys::Buffer;
            let status = pg_sys::visibilitymap_get_status(self.table.raw(), block, &mut map);
            if map != pg_sys::InvalidBuffer as pg_sys::Buffer {
                pg_sys::ReleaseBuffer(map);
            }
            u32::from(status) & pg_sys::VISIBILITYMAP_ALL_VISIBLE != 0
        }
    }

    /// The line pointers of a page that hold a row, visible or not. Raises when the page cannot be read.
    pub fn used(&self, block: u32) -> Vec<u16> {
        // SAFETY: as in page().
        unsafe {
            let (buffer, page) = page::pin(self.table, block, self.strategy);
            let used = (1..=line_pointers(page)).filter(|offset| is_used(page, *offset)).collect();
            pg_sys::UnlockReleaseBuffer(buffer);
            used
        }
    }

    /// Notes which line pointers have a row that the snapshot sees (or cannot be read), and the roots of update chains.
    ///
    /// # Safety
    /// The buffer is pinned and locked, `page` is its content.
    unsafe fn find_visible(&mut self, buffer: pg_sys::Buffer, page: &[u8], block: u32, only: Option<u16>) {
        self.visible.clear();
        self.roots.fill(0);
        let mut updated = false;
        let mut shown_anyway = None;
        let mut others = only.is_some();
        for offset in 1..=line_pointers(page) {
            if only.is_some_and(|only| only != offset) {
                continue;
            }
            if !is_used(page, offset) {
                others = true;
                continue;
            }
            let Ok(bytes) = tuple(page, offset) else {
                others = true;
                self.visible.push(offset);
                continue;
            };
            // SAFETY: tuple() checked that the bytes hold a header, and they live as long as the pin.
            unsafe {
                let header = &*bytes.as_ptr().cast::<pg_sys::HeapTupleHeaderData>();
                updated |= u32::from(header.t_infomask2) & pg_sys::HEAP_ONLY_TUPLE != 0;
                if self.is_visible(buffer, bytes, Tid { block, offset })
                    || *shown_anyway.get_or_insert_with(|| self.is_shown_anyway(page, block))
                {
                    self.visible.push(offset);
                } else {
                    others = true;
                }
            }
        }
        self.settled = if others || updated { 0 } else { line_pointers(page) };
        if updated {
            note_roots(page, &mut self.roots);
        }
    }
}

/// How a member of an update chain was come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    FromTheIndex,
    ByRedirect,
    /// From the member before it, which this transaction updated.
    ByUpdate(u32),
}

impl Reached {
    /// Would PostgreSQL take the tuple with this header for the chain's next member?
    fn allows(self, header: &pg_sys::HeapTupleHeaderData) -> bool {
        match self {
            Self::FromTheIndex => u32::from(header.t_infomask2) & pg_sys::HEAP_ONLY_TUPLE == 0,
            Self::ByRedirect => true,
            Self::ByUpdate(updater) => updater == 0 || updater == creator(header),
        }
    }
}

/// HeapTupleHeaderGetXmin: who made the tuple, as a number.
fn creator(header: &pg_sys::HeapTupleHeaderData) -> u32 {
    if u32::from(header.t_infomask) & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_FROZEN {
        return pg_sys::FrozenTransactionId.into_inner();
    }
    // SAFETY: a tuple on a page has transactions there, and not what one in memory has; any four bytes are one.
    unsafe { header.t_choice.t_heap.t_xmin }.into_inner()
}

/// TransactionIdPrecedes: the numbers of transactions go round, those below the first normal one are older than all.
fn precedes(a: u32, b: u32) -> bool {
    let first = pg_sys::FirstNormalTransactionId.into_inner();
    if a < first || b < first { a < b } else { a.wrapping_sub(b).cast_signed() < 0 }
}

/// HeapTupleHeaderGetUpdateXid: who updated the tuple, as a number. Raises where that is in a multixact that cannot be
/// read.
///
/// # Safety
/// The header lives as long as the call.
unsafe fn updater(header: &pg_sys::HeapTupleHeaderData) -> u32 {
    let mask = u32::from(header.t_infomask);
    let is_multi = mask & pg_sys::HEAP_XMAX_IS_MULTI != 0;
    // SAFETY: as above; the function only reads the header.
    unsafe {
        if is_multi && mask & (pg_sys::HEAP_XMAX_INVALID | pg_sys::HEAP_XMAX_LOCK_ONLY) == 0 {
            pg_sys::HeapTupleGetUpdateXid(core::ptr::from_ref(header).cast_mut())
        } else {
            header.t_choice.t_heap.t_xmax
        }
    }
    .into_inner()
}

/// HeapTupleHeaderIsHotUpdated: where on the page the tuple's update is, if it has one that did not fail.
fn hot_successor(header: &pg_sys::HeapTupleHeaderData) -> Option<u16> {
    let mask = u32::from(header.t_infomask);
    let updated = u32::from(header.t_infomask2) & pg_sys::HEAP_HOT_UPDATED != 0;
    let failed = mask & pg_sys::HEAP_XMAX_INVALID != 0 || mask & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_INVALID;
    (updated && !failed).then_some(header.t_ctid.ip_posid)
}

/// Notes the root of every member of an update chain on the page, as heap_get_root_tuples does; that one, though, trusts
/// the page's bytes with how many line pointers there are and whether a chain ends.
fn note_roots(page: &[u8], roots: &mut [u16]) {
    let next = |offset: u16| {
        let bytes = tuple(page, offset).ok().filter(|_| is_used(page, offset))?;
        // SAFETY: tuple() checked that the bytes hold a header.
        let header = unsafe { &*bytes.as_ptr().cast::<pg_sys::HeapTupleHeaderData>() };
        Some((u32::from(header.t_infomask2) & pg_sys::HEAP_ONLY_TUPLE != 0, hot_successor(header)))
    };
    let pointers = line_pointers(page);
    for root in 1..=pointers {
        let mut member = match next(root) {
            Some((false, Some(member))) => member,
            None if item(page, root).lp_flags() == pg_sys::LP_REDIRECT => {
                u16::try_from(item(page, root).lp_off()).unwrap_or(0)
            }
            _ => continue,
        };
        // A member that has a root already is where a damaged chain runs in a circle, or into another.
        while (1..=pointers).contains(&member)
            && let Some(slot) = roots.get_mut(usize::from(member) - 1).filter(|slot| **slot == 0)
            && let Some((true, after)) = next(member)
        {
            *slot = root;
            member = after.unwrap_or(0);
        }
    }
}

/// # Safety
/// `bytes` came from `tuple`.
unsafe fn take_apart(
    layout: &Layout,
    bytes: &[u8],
    values: &mut [pg_sys::Datum],
    nulls: &mut [bool],
) -> Result<(), &'static str> {
    // SAFETY: tuple() checked the length.
    let header = unsafe { &*bytes.as_ptr().cast::<pg_sys::HeapTupleHeaderData>() };
    let start = usize::from(header.t_hoff);
    let count = usize::from(header.t_infomask2 & pg_sys::HEAP_NATTS_MASK as u16);
    let fixed = std::mem::offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
    let has_nulls = u32::from(header.t_infomask) & pg_sys::HEAP_HASNULL != 0;
    let bitmap = if has_nulls { count.div_ceil(8) } else { 0 };
    if start < fixed + bitmap || start > bytes.len() || !start.is_multiple_of(8) {
        return Err("a row's header is damaged");
    }
    let null_bits = has_nulls.then(|| &bytes[fixed..fixed + bitmap]);
    layout.deform(&bytes[start..], count, null_bits, values, nulls)
}

/// Is the row of a TOAST table at `tid`, if one is there, laid out as rows of TOAST tables are? Raises what reading raises.
pub fn is_whole_chunk(toast: &Rel, tid: Tid) -> bool {
    // SAFETY: the block is below the relation's length, by the caller's check; the page is read under its lock.
    unsafe {
        let (buffer, page) = page::pin(toast, tid.block, core::ptr::null_mut());
        let is_whole = is_whole_chunk_on(page, tid.offset);
        pg_sys::UnlockReleaseBuffer(buffer);
        is_whole
    }
}

fn is_whole_chunk_on(page: &[u8], offset: u16) -> bool {
    if offset == 0 || offset > line_pointers(page) {
        return false;
    }
    if !is_used(page, offset) {
        // No row is there to be read, unless somewhere else; a TOAST table has no update chains.
        return item(page, offset).lp_flags() != pg_sys::LP_REDIRECT;
    }
    let Ok(bytes) = tuple(page, offset) else { return false };
    // SAFETY: tuple() checked that the bytes hold a header.
    let header = unsafe { &*bytes.as_ptr().cast::<pg_sys::HeapTupleHeaderData>() };
    let has_nulls = u32::from(header.t_infomask) & pg_sys::HEAP_HASNULL != 0;
    let columns = u32::from(header.t_infomask2) & pg_sys::HEAP_NATTS_MASK;
    let start = usize::from(header.t_hoff);
    // chunk_id, chunk_seq, then chunk_data, which is stored in place and as it is.
    let Some(data) = bytes.get(start + 8..).filter(|_| start == 24) else { return false };
    let is_plain = data.first().is_some_and(|first| *first != 0x01 && (first & 1 == 1 || first & 2 == 0));
    !has_nulls && columns == 3 && is_plain && varlena_len(data).is_ok_and(|len| len <= data.len())
}

/// The number of line pointers that a page's header claims, bounded by what fits.
fn line_pointers(page: &[u8]) -> u16 {
    let header = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp);
    let lower = usize::from(u16::from_ne_bytes([page[12], page[13]])); // pd_lower
    let count = lower.saturating_sub(header).min(BLOCK_SIZE - header) / ITEM_SIZE;
    u16::try_from(count).unwrap_or(0).min(MAX_TUPLES)
}

fn item(page: &[u8], offset: u16) -> pg_sys::ItemIdData {
    let at = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp) + (usize::from(offset) - 1) * ITEM_SIZE;
    // SAFETY: the offset is at most line_pointers(page), so the pointer lies within the page; any four bytes are one.
    unsafe { page.as_ptr().add(at).cast::<pg_sys::ItemIdData>().read_unaligned() }
}

fn is_used(page: &[u8], offset: u16) -> bool {
    item(page, offset).lp_flags() == pg_sys::LP_NORMAL
}

/// The bytes of the tuple at a used line pointer: within the page, and at least a header.
fn tuple(page: &[u8], offset: u16) -> Result<&[u8], &'static str> {
    let item = item(page, offset);
    let (start, len) = (item.lp_off() as usize, item.lp_len() as usize);
    let fixed = std::mem::offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
    if len < fixed || !start.is_multiple_of(8) {
        return Err("a line pointer is damaged");
    }
    page.get(start..start + len).ok_or("a line pointer is damaged")
}
