//! Writes a table anew with values put into some of its columns, as ALTER TABLE does when a type changes: new storage,
//! rows in physical order, indexes rebuilt. No trigger or rule fires, logical decoding skips it, and the old storage goes
//! when the transaction commits. The caller holds AccessExclusiveLock.

use super::relation::Rel;
use super::row::NotaryColumns;
use super::snapshot::Fresh;
use super::trigger::bytea32;
use super::validate::Shape;
use notary_core::digest::Digest;
use pgrx::pg_sys;

unsafe extern "C-unwind" {
    fn make_new_heap(
        old: pg_sys::Oid,
        tablespace: pg_sys::Oid,
        access_method: pg_sys::Oid,
        persistence: core::ffi::c_char,
        lock: pg_sys::LOCKMODE,
    ) -> pg_sys::Oid;
    fn finish_heap_swap(
        old: pg_sys::Oid,
        new: pg_sys::Oid,
        is_system_catalog: bool,
        swap_toast_by_content: bool,
        check_constraints: bool,
        is_internal: bool,
        frozen_xid: pg_sys::TransactionId,
        cutoff_multi: pg_sys::MultiXactId,
        persistence: core::ffi::c_char,
    );
}

/// A row that is being copied.
pub struct Row<'a> {
    /// Its values; the callback may replace them.
    pub values: &'a mut [pg_sys::Datum],
    /// Which are NULL.
    pub nulls: &'a mut [bool],
}

impl Row<'_> {
    /// Sets a value that is passed by value.
    pub fn set(&mut self, index: usize, value: pg_sys::Datum) {
        self.values[index] = value;
        self.nulls[index] = false;
    }

    /// Sets a hash.
    pub fn set_digest(&mut self, index: usize, digest: &Digest) {
        self.set(index, bytea32(digest.as_bytes()));
    }
}

/// Calls `each` for every row in physical order, then stores what it left in the row. The caller has no reference to the
/// table open, only its lock.
pub fn rewrite<E>(relid: pg_sys::Oid, mut each: impl FnMut(&mut Row<'_>) -> Result<(), E>) -> Result<(), E> {
    let table = Rel::open(relid, pg_sys::AccessExclusiveLock);
    // SAFETY: the table is open under AccessExclusiveLock; make_new_heap makes an empty twin with the same descriptor,
    // which nobody else can see.
    let (new, persistence) = unsafe {
        let class = &*(*table.raw()).rd_rel;
        let persistence = class.relpersistence;
        let new = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            make_new_heap(
                relid,
                class.reltablespace,
                class.relam,
                persistence,
                pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE,
            )
        });
        (new, persistence)
    };
    let twin = Rel::open(new, pg_sys::AccessExclusiveLock);
    copy(&table, &twin, &mut each)?;
    drop((twin, table));
    // SAFETY: both are closed; exchanging their storage also rebuilds the indexes, as the table's owner.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let (frozen, multi) = (pg_sys::RecentXmin, pg_sys::ReadNextMultiXactId());
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            finish_heap_swap(relid, new, false, false, false, true, frozen, multi, persistence);
        });
    }
    Ok(())
}

fn copy<E>(table: &Rel, twin: &Rel, each: &mut impl FnMut(&mut Row<'_>) -> Result<(), E>) -> Result<(), E> {
    let dropped = table.dropped();
    let mut per_row = pgrx::memcxt::PgMemoryContexts::new("pg_notary row");
    // SAFETY: bulk insert state is freed below, or by the resource owner and memory context on error.
    let (command, bulk) = unsafe { (pg_sys::GetCurrentCommandId(true), pg_sys::GetBulkInsertState()) };
    let result = scan(table, |desc, tuple, values, nulls| {
        // SAFETY: a row is taken apart and put together by the table's own descriptor, which its twin shares, in a
        // memory context that is reset after it.
        unsafe {
            let stored = per_row.switch_to(|_| {
                pg_sys::heap_deform_tuple(tuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
                for index in &dropped {
                    nulls[*index] = true;
                }
                each(&mut Row { values, nulls })?;
                let formed = pg_sys::heap_form_tuple(desc, values.as_mut_ptr(), nulls.as_mut_ptr());
                pg_sys::heap_insert(twin.raw(), formed, command, pg_sys::TABLE_INSERT_SKIP_FSM as i32, bulk);
                Ok(())
            });
            per_row.reset();
            stored
        }
    });
    // SAFETY: made above.
    unsafe { pg_sys::FreeBulkInsertState(bulk) };
    result
}

/// Calls `each` with the values of every row in physical order, changing nothing.
pub fn read<E>(table: &Rel, mut each: impl FnMut(&[pg_sys::Datum], &[bool]) -> Result<(), E>) -> Result<(), E> {
    scan(table, |desc, tuple, values, nulls| {
        // SAFETY: the row is taken apart by the table's own descriptor.
        unsafe { pg_sys::heap_deform_tuple(tuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr()) };
        each(values, nulls)
    })
}

/// One pass over what is visible now, in physical order (no synchronised start in the middle).
fn scan<E>(
    table: &Rel,
    mut each: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple, &mut [pg_sys::Datum], &mut [bool]) -> Result<(), E>,
) -> Result<(), E> {
    let snapshot = Fresh::take();
    // SAFETY: an ordinary scan of an open heap under a registered snapshot.
    unsafe {
        let desc = (*table.raw()).rd_att;
        let width = table.attribute_count();
        let (mut values, mut nulls) = (vec![pg_sys::Datum::from(0); width], vec![true; width]);
        let scan = pg_sys::table_beginscan_strat(table.raw(), snapshot.raw(), 0, core::ptr::null_mut(), true, false);
        let mut result = Ok(());
        while result.is_ok() {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            result = each(desc, tuple, &mut values, &mut nulls);
            pgrx::check_for_interrupts!();
        }
        pg_sys::table_endscan(scan);
        result
    }
}

/// The notary values of a row.
pub struct NotaryValues {
    /// notary_chain
    pub chain: Option<i32>,
    /// notary_seq
    pub seq: Option<i64>,
    /// notary_time
    pub time: Option<i64>,
    /// notary_prev, None also when it is not 32 bytes
    pub prev: Option<Digest>,
    /// notary_hash, None also when it is not 32 bytes
    pub hash: Option<Digest>,
    /// notary_prev or notary_hash is there and not 32 bytes
    pub odd: bool,
}

/// Reads the notary values of a row of a table whose columns are at `at`.
pub fn place(at: &NotaryColumns, values: &[pg_sys::Datum], nulls: &[bool]) -> NotaryValues {
    place_if(at, values, nulls, |_| true)
}

/// The same of a row that may be damaged; a hash that cannot be one is none.
pub fn stored_place(at: &NotaryColumns, table: &Rel, values: &[pg_sys::Datum], nulls: &[bool]) -> NotaryValues {
    let toast = table.toast();
    // SAFETY: a heap::Reader bounded every value by its row.
    place_if(at, values, nulls, |value| unsafe { Shape::Bytes.check(value, toast).is_ok() })
}

fn place_if(
    at: &NotaryColumns,
    values: &[pg_sys::Datum],
    nulls: &[bool],
    is_whole: impl Fn(pg_sys::Datum) -> bool,
) -> NotaryValues {
    let value = |i: usize| (!nulls[i]).then(|| values[i]);
    // SAFETY: NotaryColumns::of checked that these two columns are bytea.
    let bytes = |i: usize| value(i).filter(|v| is_whole(*v)).and_then(|v| unsafe { super::index::digest(v) });
    let (prev, hash) = (bytes(at.prev), bytes(at.hash));
    NotaryValues {
        odd: (prev.is_none() && !nulls[at.prev]) || (hash.is_none() && !nulls[at.hash]),
        chain: value(at.chain).map(|v| v.value() as i32),
        seq: value(at.seq).map(|v| v.value() as i64),
        time: value(at.time).map(|v| v.value() as i64),
        prev,
        hash,
    }
}
