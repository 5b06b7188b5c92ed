//! Walking a whole unique index, entry by entry, without looking at the table.

use super::heap::Tid;
use super::relation::Rel;
use super::{compat, snapshot};
use pgrx::pg_sys;

/// An entry of the index over (notary_chain, notary_seq).
pub struct IndexEntry {
    /// Its chain.
    pub chain: Option<i32>,
    /// Its seq.
    pub seq: Option<i64>,
    /// What it points at.
    pub root: Tid,
}

/// Calls `each` for every entry that is not marked dead. Raises what reading raises. SnapshotSelf, so that no predicate
/// lock is taken; whether an entry's row is visible is for the caller to find out.
pub fn each(table: &Rel, index: pg_sys::Oid, mut each: impl FnMut(IndexEntry)) {
    // SAFETY: table and index are open for the whole scan; xs_itup is valid until the next entry is asked for, and has
    // the two key columns that index::chain_index checked.
    unsafe {
        let index = pg_sys::index_open(index, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let scan = compat::index_beginscan(table.raw(), index, snapshot::own_and_committed(), 0);
        (*scan).xs_want_itup = true;
        pg_sys::index_rescan(scan, core::ptr::null_mut(), 0, core::ptr::null_mut(), 0);
        loop {
            let tid = pg_sys::index_getnext_tid(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tid.is_null() {
                break;
            }
            let (mut values, mut nulls) = ([pg_sys::Datum::from(0); 2], [true; 2]);
            pg_sys::index_deform_tuple((*scan).xs_itup, (*scan).xs_itupdesc, values.as_mut_ptr(), nulls.as_mut_ptr());
            let (block, offset) = pgrx::itemptr::item_pointer_get_both(*tid);
            each(IndexEntry {
                chain: (!nulls[0]).then(|| values[0].value() as i32),
                seq: (!nulls[1]).then(|| values[1].value() as i64),
                root: Tid { block, offset },
            });
            pgrx::check_for_interrupts!();
        }
        pg_sys::index_endscan(scan);
        pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
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
