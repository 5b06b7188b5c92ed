//! The arguments of triggers, changed together with what they name: while the command that changes it is under way.

use super::relation;
use pgrx::datum::IntoDatum as _;
use pgrx::pg_sys;

/// Gives a table's triggers that call `function` other arguments. `change` makes them of the old ones, each of which is followed
/// by a zero byte; None: they stay. They count from where the command's own changes do, and are taken back with them.
pub fn change(table: pg_sys::Oid, function: pg_sys::Oid, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    // SAFETY: an ordinary scan of a catalog, and updates of rows that were copied from it; all of it belongs to the resource
    // owner and the memory context should anything raise. SnapshotSelf sees the newest version of each row, which alone can be
    // updated. The values are of the columns' types.
    unsafe {
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(pg_sys::TriggerRelationId, lock);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_trigger_tgrelid as i16,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::F_OIDEQ.into(),
            pg_sys::Datum::from(table),
        );
        let (index, snapshot) = (pg_sys::TriggerRelidNameIndexId.into(), &raw mut pg_sys::SnapshotSelfData);
        let scan = pg_sys::systable_beginscan(catalog, index, true, snapshot, 1, &mut key);
        let mut found = Vec::new();
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            if (*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_trigger>(tuple)).tgfoid == function {
                found.push(pg_sys::heap_copytuple(tuple));
            }
        }
        pg_sys::systable_endscan(scan);
        let column = pg_sys::Anum_pg_trigger_tgargs as i32;
        for old in found {
            let mut is_null = false;
            let args = pg_sys::heap_getattr(old, column, (*catalog).rd_att, &mut is_null);
            if is_null {
                continue;
            }
            let Some(args) = change(pgrx::varlena_to_byte_slice(pg_sys::pg_detoast_datum(args.cast_mut_ptr()))) else {
                continue;
            };
            let (mut columns, mut nulls) = ([column], [false]);
            let mut values = [args.into_datum().unwrap_or(pg_sys::Datum::from(0))];
            let new = pg_sys::heap_modify_tuple_by_cols(
                old,
                (*catalog).rd_att,
                1,
                columns.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
            pg_sys::CatalogTupleUpdate(catalog, &raw mut (*new).t_self, new);
        }
        pg_sys::table_close(catalog, lock);
    }
    relation::invalidate(table);
}
