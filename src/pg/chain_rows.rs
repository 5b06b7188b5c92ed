//! Reading a chain's rows in their order: by the unique index, each row looked at before it is believed (see `heap`).
//!
//! Only committed rows and those of this transaction are seen, by a snapshot of the reader's own, so that a SERIALIZABLE
//! transaction makes no writer fail.

use super::heap::{Layout, Reader, Row, Tid};
use super::index::{self, at_least, at_most, equal};
use super::relation::Rel;
use super::row::NotaryColumns;
use super::snapshot::Fresh;
use super::{compat, context};
use pgrx::pg_sys;

/// A table whose chains are read.
pub struct ChainRows {
    table: Rel,
    columns: NotaryColumns,
    index: pg_sys::Oid,
    layout: Layout,
    snapshot: Fresh,
}

impl ChainRows {
    /// Opens a table; None when a notary_* column or the unique index is missing.
    pub fn open(table: Rel) -> Option<Self> {
        let columns = NotaryColumns::of(&table)?;
        let index = index::chain_index(&table, &columns)?;
        let layout = Layout::of(&table);
        Some(Self { table, columns, index, layout, snapshot: Fresh::take() })
    }

    /// The table.
    pub fn table(&self) -> &Rel {
        &self.table
    }

    /// Where the notary_* columns are.
    pub fn columns(&self) -> &NotaryColumns {
        &self.columns
    }

    /// Calls `each` for the visible entries `first` to `last` of a chain, in the order of seq, until it returns false.
    /// What an index entry leads to is what stands there: the caller looks at the row's own chain and seq.
    pub fn each(&self, chain: u32, first: u64, last: u64, mut each: impl FnMut(Row<'_>) -> bool) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let chain = i32::try_from(chain).unwrap_or(i32::MAX);
        let mut keys = [
            equal(1, pg_sys::F_INT4EQ, pg_sys::Datum::from(chain)),
            at_least(2, number(first)),
            at_most(2, number(last)),
        ];
        let mut reader = Reader::new(&self.table, &self.layout, &self.snapshot);
        let blocks = self.table.blocks();
        // SAFETY: table and index are open, the snapshot lives as long as self; the scan ends in this function, or with
        // the resource owner on error.
        unsafe {
            let index = pg_sys::index_open(self.index, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            let count = keys.len() as i32;
            let scan = compat::index_beginscan(self.table.raw(), index, self.snapshot.raw(), count);
            pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, core::ptr::null_mut(), 0);
            let mut more = true;
            while more {
                let tid = pg_sys::index_getnext_tid(scan, pg_sys::ScanDirection::ForwardScanDirection);
                if tid.is_null() {
                    break;
                }
                context::check_for_interrupts();
                let (block, offset) = pgrx::itemptr::item_pointer_get_both(*tid);
                if block < blocks {
                    reader.behind(Tid { block, offset }, |row| more = each(row));
                }
            }
            pg_sys::index_endscan(scan);
            pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
}
