//! Looking for entries of a chain through the segment's own unique index.
//!
//! Under SnapshotSelf a probe sees what is committed and what this transaction wrote, and no more; a chain's lock is
//! held while its head is looked for, so nobody else can add to it meanwhile.

use super::catalog_scan;
use super::chain_end::{self, Ending, Entry, Leaf};
use super::relation::Rel;
use super::row::NotaryColumns;
use super::{compat, snapshot, text};
use notary_core::digest::Digest;
use pgrx::pg_sys;

/// A row that a probe found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Its chain, 0 for NULL.
    pub chain: i32,
    /// Its seq, 0 for NULL.
    pub seq: i64,
    /// Its hash; None when the column is NULL or not 32 bytes.
    pub hash: Option<Digest>,
    /// Its time, None for NULL.
    pub time: Option<i64>,
    /// Its prev; None when the column is NULL or not 32 bytes.
    pub prev: Option<Digest>,
    /// ON CONFLICT has put it there and may still take it back.
    pub speculative: bool,
}

/// A table's chain index, which is opened by the first probe.
pub struct ChainIndex<'a> {
    table: &'a Rel,
    oid: pg_sys::Oid,
    lock: u32,
    columns: NotaryColumns,
    index: Option<pg_sys::Relation>,
    slot: Option<*mut pg_sys::TupleTableSlot>,
}

impl<'a> ChainIndex<'a> {
    /// For an index of the table.
    pub fn new(table: &'a Rel, oid: pg_sys::Oid, columns: NotaryColumns) -> Self {
        Self { table, oid, lock: pg_sys::AccessShareLock, columns, index: None, slot: None }
    }

    /// For an index of a table that a row is being inserted into: the executor has this lock on it already, so that taking it
    /// again only counts.
    pub fn of_insert(table: &'a Rel, oid: pg_sys::Oid, columns: NotaryColumns) -> Self {
        Self { table, oid, lock: pg_sys::RowExclusiveLock, columns, index: None, slot: None }
    }

    /// The index, opened unless it is.
    fn index(&mut self) -> pg_sys::Relation {
        // SAFETY: an index of the table; it belongs to the resource owner until Drop.
        *self.index.get_or_insert_with(|| unsafe { pg_sys::index_open(self.oid, self.lock as pg_sys::LOCKMODE) })
    }

    /// A slot for the table's rows.
    fn slot(&mut self) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: it fits the table, and belongs to the resource owner until Drop.
        *self.slot.get_or_insert_with(|| unsafe { pg_sys::table_slot_create(self.table.raw(), core::ptr::null_mut()) })
    }

    /// The table.
    pub fn table(&self) -> &Rel {
        self.table
    }

    /// The entry (chain, seq), if it is visible.
    pub fn get(&mut self, chain: i32, seq: i64) -> Option<Found> {
        let mut keys = [
            equal(1, pg_sys::F_INT4EQ, pg_sys::Datum::from(chain)),
            equal(2, pg_sys::F_INT8EQ, pg_sys::Datum::from(seq)),
        ];
        self.scan(&mut keys, pg_sys::ScanDirection::ForwardScanDirection, None).found()
    }

    /// The only visible entry of a chain from this seq on, giving up after `limit` entries that turned out not to be visible.
    pub fn only_from(&mut self, chain: i32, seq: i64, limit: u32) -> Only {
        let mut keys = [equal(1, pg_sys::F_INT4EQ, pg_sys::Datum::from(chain)), at_least(2, seq)];
        let (mut found, mut more) = (None, false);
        let ended = self.scan_each(&mut keys, pg_sys::ScanDirection::ForwardScanDirection, Some(limit), |entry| {
            more = found.replace(entry).is_some();
            more
        });
        match found {
            _ if !ended => Only::GaveUp,
            Some(found) if !more => Only::Entry(found),
            _ => Only::NoneOrMore,
        }
    }

    /// Is this entry, with this hash, the last one of its chain? A look at some pages, or at one where it is `near`, instead of a
    /// scan. None: perhaps not.
    pub fn ends_with(&mut self, chain: i32, seq: i64, hash: &Digest, near: Option<Leaf>) -> Option<Ending> {
        let entry = Entry { chain, seq, hash, column: self.columns.hash };
        let index = self.index();
        chain_end::ending(self.table, index, &entry, near)
    }

    /// The highest visible entry of a chain, giving up after `limit` entries that turned out not to be visible.
    pub fn last(&mut self, chain: i32, limit: u32) -> Last {
        let mut keys = [equal(1, pg_sys::F_INT4EQ, pg_sys::Datum::from(chain))];
        self.scan(&mut keys, pg_sys::ScanDirection::BackwardScanDirection, Some(limit))
    }

    /// The lowest chain number above `before` that is visible. NULLs, which rows without a place have, are none.
    pub fn next_chain(&mut self, before: i32) -> Option<i32> {
        let mut keys = [above(1, before)];
        let next = self.scan(&mut keys, pg_sys::ScanDirection::ForwardScanDirection, None).found()?;
        // Upwards at every step, whatever a damaged index gives.
        Some(next.chain).filter(|chain| *chain > before)
    }

    /// The prev of a chain's first entry.
    pub fn first_prev(&mut self, chain: i32) -> Option<Digest> {
        self.get(chain, 1)?.prev
    }

    /// The first visible entry.
    fn scan(
        &mut self,
        keys: &mut [pg_sys::ScanKeyData],
        direction: pg_sys::ScanDirection::Type,
        limit: Option<u32>,
    ) -> Last {
        let mut first = None;
        let ended = self.scan_each(keys, direction, limit, |entry| {
            first = Some(entry);
            true
        });
        match first {
            Some(first) => Last::Entry(first),
            None if ended => Last::None,
            None => Last::GaveUp,
        }
    }

    /// Calls `is_enough` for each visible entry until it says so; false when it gave up before.
    fn scan_each(
        &mut self,
        keys: &mut [pg_sys::ScanKeyData],
        direction: pg_sys::ScanDirection::Type,
        limit: Option<u32>,
        mut is_enough: impl FnMut(Found) -> bool,
    ) -> bool {
        let (index, slot) = (self.index(), self.slot());
        // SAFETY: table and index are open, SnapshotSelf is static, the slot is the table's; the scan ends in this
        // function, so that its pin on the index leaf is gone before the row is inserted.
        unsafe {
            let count = i32::try_from(keys.len()).unwrap_or(0);
            let scan = compat::index_beginscan(self.table.raw(), index, snapshot::own_and_committed(), count);
            pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, core::ptr::null_mut(), 0);
            let mut dead = 0;
            let ended = loop {
                if pg_sys::index_getnext_tid(scan, direction).is_null() {
                    break true;
                }
                pgrx::check_for_interrupts!();
                if pg_sys::index_fetch_heap(scan, slot) {
                    if is_enough(self.read(slot)) {
                        break true;
                    }
                    continue;
                }
                dead += 1;
                if limit.is_some_and(|limit| dead >= limit) {
                    break false;
                }
            };
            pg_sys::index_endscan(scan);
            pg_sys::ExecClearTuple(slot);
            ended
        }
    }

    /// # Safety
    /// The slot holds a row of the table.
    unsafe fn read(&self, raw: *mut pg_sys::TupleTableSlot) -> Found {
        // SAFETY: the slot holds a buffer tuple of a heap table (other access methods are refused at protection).
        unsafe {
            pg_sys::slot_getallattrs(raw);
            let slot = &*raw;
            let is_null = |i: usize| *slot.tts_isnull.add(i);
            let chain =
                if is_null(self.columns.chain) { 0 } else { (*slot.tts_values.add(self.columns.chain)).value() as i32 };
            let seq =
                if is_null(self.columns.seq) { 0 } else { (*slot.tts_values.add(self.columns.seq)).value() as i64 };
            let bytes = |i: usize| {
                if is_null(i) { None } else { digest(*slot.tts_values.add(i)) }
            };
            let (prev, hash) = (bytes(self.columns.prev), bytes(self.columns.hash));
            let time = (!is_null(self.columns.time)).then(|| (*slot.tts_values.add(self.columns.time)).value() as i64);
            let tuple = (*raw.cast::<pg_sys::BufferHeapTupleTableSlot>()).base.tuple;
            let speculative = (*(*tuple).t_data).t_ctid.ip_posid == pg_sys::SpecTokenOffsetNumber as u16;
            Found { chain, seq, time, prev, hash, speculative }
        }
    }
}

/// What a backward scan came to.
#[derive(Clone, Copy, Debug)]
pub enum Last {
    /// The highest visible entry.
    Entry(Found),
    /// The chain has no visible entry.
    None,
    /// Too many dead entries at the end.
    GaveUp,
}

/// What a scan from one entry on came to.
#[derive(Clone, Copy, Debug)]
pub enum Only {
    /// The one visible entry.
    Entry(Found),
    /// There is none, or there are several.
    NoneOrMore,
    /// Too many dead entries.
    GaveUp,
}

impl Last {
    fn found(self) -> Option<Found> {
        if let Self::Entry(found) = self { Some(found) } else { None }
    }
}

impl Drop for ChainIndex<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: opened in index() and slot(); the lock stays to the end of the transaction.
        unsafe {
            self.slot.inspect(|slot| pg_sys::ExecDropSingleTupleTableSlot(*slot));
            self.index.inspect(|index| pg_sys::index_close(*index, pg_sys::NoLock as pg_sys::LOCKMODE));
        }
    }
}

/// The 32 bytes of a bytea Datum, or None when it has another length.
///
/// # Safety
/// `value` is a non-null bytea.
pub unsafe fn digest(value: pg_sys::Datum) -> Option<Digest> {
    // SAFETY: a varlena by the caller's promise; a copy is made only if it was toasted, which 32 bytes never are unless
    // somebody put something else there.
    unsafe {
        if let Some(bytes) = text::bytes(value) {
            return Digest::from_slice(bytes);
        }
        let packed = pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr());
        let bytes = std::slice::from_raw_parts(pgrx::vardata_any(packed).cast::<u8>(), pgrx::varsize_any_exhdr(packed));
        Digest::from_slice(bytes)
    }
}

/// A scan key for `column > argument` on an integer column.
fn above(attribute: i16, argument: i32) -> pg_sys::ScanKeyData {
    key(attribute, pg_sys::BTGreaterStrategyNumber, pg_sys::F_INT4GT, pg_sys::Datum::from(argument))
}

/// A scan key for `column >= argument` on a bigint column.
pub fn at_least(attribute: i16, argument: i64) -> pg_sys::ScanKeyData {
    key(attribute, pg_sys::BTGreaterEqualStrategyNumber, pg_sys::F_INT8GE, pg_sys::Datum::from(argument))
}

/// A scan key for `column <= argument` on a bigint column.
pub fn at_most(attribute: i16, argument: i64) -> pg_sys::ScanKeyData {
    key(attribute, pg_sys::BTLessEqualStrategyNumber, pg_sys::F_INT8LE, pg_sys::Datum::from(argument))
}

/// A scan key for equality.
pub fn equal(attribute: i16, function: u32, argument: pg_sys::Datum) -> pg_sys::ScanKeyData {
    key(attribute, pg_sys::BTEqualStrategyNumber, function, argument)
}

fn key(attribute: i16, strategy: u32, function: u32, argument: pg_sys::Datum) -> pg_sys::ScanKeyData {
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: fills the key; the function is a built-in one.
    unsafe { pg_sys::ScanKeyInit(&mut key, attribute, strategy as u16, function.into(), argument) };
    key
}

/// The operator classes of an index over (notary_chain, notary_seq): PostgreSQL's own for integer and bigint.
pub const CHAIN_CLASSES: [pg_sys::Oid; 2] = [pg_sys::INT4_BTREE_OPS_OID, pg_sys::INT8_BTREE_OPS_OID];

/// The numbers of the columns of a table's primary key, in its order; empty without one.
pub fn primary_key(table: &Rel) -> Vec<i16> {
    // Not rd_pkindex, which leaves out a key that is deferrable.
    let columns = |row: &catalog_scan::Row| {
        row.is("indisprimary").then(|| {
            let mut numbers = row.numbers("indkey");
            numbers.truncate(usize::try_from(row.number("indnkeyatts")).unwrap_or(0));
            numbers
        })
    };
    let key = |index| catalog_scan::row(&catalog_scan::INDEX, index, catalog_scan::View::After, columns).flatten();
    table.indexes().into_iter().find_map(key).unwrap_or_default()
}

/// The valid, live, immediate unique btree index over exactly (notary_chain, notary_seq), whatever its name and OID: a
/// REINDEX CONCURRENTLY changes both and may leave others behind.
pub fn chain_index(table: &Rel, columns: &NotaryColumns) -> Option<pg_sys::Oid> {
    table.indexes().into_iter().find(|oid| {
        // SAFETY: an index of an open table; lock and reference are released at once, the executor has its own.
        unsafe {
            let index = pg_sys::index_open(*oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            let fits = is_chain_index(&*index, columns);
            pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
            fits
        }
    })
}

/// The same facts as the guard's `chain_indexes`, which reads them from the catalogs.
///
/// # Safety
/// An open index.
unsafe fn is_chain_index(index: &pg_sys::RelationData, columns: &NotaryColumns) -> bool {
    // SAFETY: an open index has its row of pg_index; indkey has indnatts members, indoption one for each key column.
    unsafe {
        let form = &*index.rd_index;
        let wanted = [columns.chain, columns.seq].map(|i| i16::try_from(i + 1).unwrap_or(0));
        form.indisunique
            && form.indimmediate
            && form.indisvalid
            && form.indisready
            && form.indislive
            && (form.indnkeyatts, form.indnatts) == (2, 2)
            && form.indkey.values.as_slice(wanted.len()) == wanted.as_slice()
            // Ascending, NULLs last: the head of a chain is looked for at its end.
            && (0..wanted.len()).all(|i| *index.rd_indoption.add(i) == 0)
            && (*index.rd_rel).relam == pg_sys::BTREE_AM_OID
            && key_oids(index, pg_sys::Anum_pg_index_indclass).is_some_and(|classes| classes == CHAIN_CLASSES)
            && key_oids(index, pg_sys::Anum_pg_index_indcollation)
                .is_some_and(|collations| collations == [pg_sys::InvalidOid; 2])
            // Not rd_indexprs and rd_indpred, which are null until somebody has asked for them.
            && pg_sys::heap_attisnull(index.rd_indextuple, pg_sys::Anum_pg_index_indexprs as i32, core::ptr::null_mut())
            && pg_sys::heap_attisnull(index.rd_indextuple, pg_sys::Anum_pg_index_indpred as i32, core::ptr::null_mut())
    }
}

/// An oidvector of the index's row of pg_index, with a member for each key column.
///
/// # Safety
/// An open index, and the number of an oidvector column of pg_index.
unsafe fn key_oids(index: &pg_sys::RelationData, column: u32) -> Option<Vec<pg_sys::Oid>> {
    let mut is_null = true;
    // SAFETY: rd_indextuple is a row of pg_index; an oidvector is stored plain, and dim1 members are there.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::INDEXRELID as i32;
        let value = pg_sys::SysCacheGetAttr(cache, index.rd_indextuple, column as pg_sys::AttrNumber, &mut is_null);
        (!is_null).then(|| {
            let vector = &*value.cast_mut_ptr::<pg_sys::oidvector>();
            vector.values.as_slice(usize::try_from(vector.dim1).unwrap_or(0)).to_vec()
        })
    }
}
