//! Differences between server versions, and server symbols that pgrx does not bind. All of both is here.

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    /// `bytea_output` of utils/bytea.h: 0 = escape, 1 = hex.
    #[link_name = "bytea_output"]
    pub static mut BYTEA_OUTPUT: core::ffi::c_int;
    fn get_partition_ancestors(relid: pg_sys::Oid) -> *mut pg_sys::List;
    fn find_all_inheritors(
        parent: pg_sys::Oid,
        lockmode: pg_sys::LOCKMODE,
        parents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
    fn datum_image_eq(one: pg_sys::Datum, other: pg_sys::Datum, by_value: bool, length: core::ffi::c_int) -> bool;
    fn ExecSetupPartitionTupleRouting(estate: *mut pg_sys::EState, rel: pg_sys::Relation) -> *mut core::ffi::c_void;
    fn ExecFindPartition(
        state: *mut pg_sys::ModifyTableState,
        root: *mut pg_sys::ResultRelInfo,
        routing: *mut core::ffi::c_void,
        slot: *mut pg_sys::TupleTableSlot,
        estate: *mut pg_sys::EState,
    ) -> *mut pg_sys::ResultRelInfo;
    // These read a variable or the clock and cannot raise an error, so they need no guard: it costs more than they do.
    #[link_name = "GetCurrentTimestamp"]
    pub safe fn clock() -> pg_sys::TimestampTz;
    #[link_name = "GetCurrentTransactionNestLevel"]
    pub safe fn nest_level() -> core::ffi::c_int;
    fn ExecCleanupTupleRouting(state: *mut pg_sys::ModifyTableState, routing: *mut core::ffi::c_void);
}

/// Do two values of a type of this length look the same, also one in TOAST and one that is not?
///
/// # Safety
/// Both are non-null values of one type, which is passed by value and of this length as `by_value` and `length` say.
pub unsafe fn image_eq(one: pg_sys::Datum, other: pg_sys::Datum, by_value: bool, length: i16) -> bool {
    // SAFETY: the caller's promise; through a guard, since TOAST may be damaged.
    unsafe {
        if !by_value && length == -1 && same_bytes(one, other) {
            return true;
        }
        pg_sys::ffi::pg_guard_ffi_boundary(|| datum_image_eq(one, other, by_value, length.into()))
    }
}

/// Are two varlenas the same as they stand in their rows? A pointer into TOAST stays what it is in an UPDATE that leaves the
/// value alone, so that nothing has to be read.
///
/// # Safety
/// Both are varlenas.
unsafe fn same_bytes(one: pg_sys::Datum, other: pg_sys::Datum) -> bool {
    let (one, other) = (one.cast_mut_ptr::<pg_sys::varlena>(), other.cast_mut_ptr::<pg_sys::varlena>());
    // SAFETY: the caller's promise: as many bytes as each says of itself.
    unsafe {
        let size = pgrx::varlena::varsize_any(one);
        size == pgrx::varlena::varsize_any(other)
            && core::slice::from_raw_parts(one.cast::<u8>(), size)
                == core::slice::from_raw_parts(other.cast::<u8>(), size)
    }
}

/// Gives an executor's state a range table of one relation, which is open with RowExclusiveLock.
///
/// # Safety
/// Both are live; in the state's own memory context.
pub unsafe fn init_range_table(estate: *mut pg_sys::EState, rel: pg_sys::Relation) {
    // SAFETY: zeroed memory of the node's size, tagged as such: what makeNode does; then the lists that it goes into.
    unsafe {
        let entry = pg_sys::palloc0(size_of::<pg_sys::RangeTblEntry>()).cast::<pg_sys::RangeTblEntry>();
        (*entry).type_ = pg_sys::NodeTag::T_RangeTblEntry;
        (*entry).rtekind = pg_sys::RTEKind::RTE_RELATION;
        (*entry).relid = (*rel).rd_id;
        (*entry).relkind = (*(*rel).rd_rel).relkind;
        (*entry).rellockmode = pg_sys::RowExclusiveLock as core::ffi::c_int;
        #[cfg(feature = "pg15")]
        {
            let table = pg_sys::lappend(core::ptr::null_mut(), entry.cast());
            pg_sys::ExecInitRangeTable(estate, table);
        }
        #[cfg(not(feature = "pg15"))]
        {
            let mut rights = core::ptr::null_mut();
            pg_sys::addRTEPermissionInfo(&raw mut rights, entry);
            let table = pg_sys::lappend(core::ptr::null_mut(), entry.cast());
            #[cfg(feature = "pg18")]
            pg_sys::ExecInitRangeTable(estate, table, rights, pg_sys::bms_make_singleton(1));
            #[cfg(not(feature = "pg18"))]
            pg_sys::ExecInitRangeTable(estate, table, rights);
        }
    }
}

/// The routing of rows of a partitioned table.
///
/// # Safety
/// Both are live; in the state's own memory context.
pub unsafe fn setup_partition_routing(estate: *mut pg_sys::EState, rel: pg_sys::Relation) -> *mut core::ffi::c_void {
    // SAFETY: the caller's promise.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| ExecSetupPartitionTupleRouting(estate, rel)) }
}

/// The partition that a row goes into; an error where there is none.
///
/// # Safety
/// What was set up together.
pub unsafe fn find_partition(
    state: *mut pg_sys::ModifyTableState,
    root: *mut pg_sys::ResultRelInfo,
    routing: *mut core::ffi::c_void,
    slot: *mut pg_sys::TupleTableSlot,
    estate: *mut pg_sys::EState,
) -> *mut pg_sys::ResultRelInfo {
    // SAFETY: the caller's promise.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| ExecFindPartition(state, root, routing, slot, estate)) }
}

/// Ends what `setup_partition_routing` began.
///
/// # Safety
/// What was set up together.
pub unsafe fn cleanup_partition_routing(state: *mut pg_sys::ModifyTableState, routing: *mut core::ffi::c_void) {
    // SAFETY: the caller's promise.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| ExecCleanupTupleRouting(state, routing)) }
}

/// How a row of the partitioned table reads in its partition; null where alike.
///
/// # Safety
/// Found by `find_partition`.
pub unsafe fn root_to_child_map(
    leaf: *mut pg_sys::ResultRelInfo,
    estate: *mut pg_sys::EState,
) -> *mut pg_sys::TupleConversionMap {
    #[cfg(feature = "pg15")]
    // SAFETY: the caller's promise.
    unsafe {
        let _ = estate;
        (*leaf).ri_RootToPartitionMap
    }
    #[cfg(not(feature = "pg15"))]
    // SAFETY: the caller's promise.
    unsafe {
        pg_sys::ExecGetRootToChildMap(leaf, estate)
    }
}

/// The attribute at `index` (from 0) of a tuple descriptor.
///
/// # Safety
/// `desc` is a live descriptor and `index < (*desc).natts`.
pub unsafe fn attribute<'a>(desc: pg_sys::TupleDesc, index: usize) -> &'a pg_sys::FormData_pg_attribute {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    // SAFETY: the caller's promise; attrs is a flexible array of natts members.
    unsafe {
        &*(*desc).attrs.as_ptr().add(index)
    }
    #[cfg(feature = "pg18")]
    // SAFETY: the caller's promise.
    unsafe {
        &*pg_sys::TupleDescAttr(desc, index as core::ffi::c_int)
    }
}

/// Starts an index scan with `keys` scan keys.
///
/// # Safety
/// Both relations are open, `snapshot` outlives the scan.
pub unsafe fn index_beginscan(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    keys: i32,
) -> pg_sys::IndexScanDesc {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    // SAFETY: the caller's promise.
    unsafe {
        pg_sys::index_beginscan(heap, index, snapshot, keys, 0)
    }
    #[cfg(feature = "pg18")]
    // SAFETY: the caller's promise; no instrumentation.
    unsafe {
        pg_sys::index_beginscan(heap, index, snapshot, core::ptr::null_mut(), keys, 0)
    }
}

/// How many bytes leader and workers share for one scan of a whole index.
///
/// # Safety
/// The index is open, the snapshot live.
pub unsafe fn parallel_scan_size(index: pg_sys::Relation, snapshot: pg_sys::Snapshot) -> usize {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    // SAFETY: the caller's promise.
    unsafe {
        pg_sys::index_parallelscan_estimate(index, snapshot)
    }
    #[cfg(feature = "pg17")]
    // SAFETY: the caller's promise; no keys.
    unsafe {
        pg_sys::index_parallelscan_estimate(index, 0, 0, snapshot)
    }
    #[cfg(feature = "pg18")]
    // SAFETY: the caller's promise; no keys, no instrumentation.
    unsafe {
        pg_sys::index_parallelscan_estimate(index, 0, 0, snapshot, false, true, 0)
    }
}

/// Lays such a scan out.
///
/// # Safety
/// Both relations are open, the snapshot live, and there is as much memory as `parallel_scan_size` said.
pub unsafe fn parallel_scan_begin(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    target: pg_sys::ParallelIndexScanDesc,
) {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    // SAFETY: the caller's promise.
    unsafe {
        pg_sys::index_parallelscan_initialize(heap, index, snapshot, target);
    }
    #[cfg(feature = "pg18")]
    // SAFETY: the caller's promise; no instrumentation, so nothing is written where that would be.
    unsafe {
        let mut none = core::ptr::null_mut();
        pg_sys::index_parallelscan_initialize(heap, index, snapshot, false, true, 0, &raw mut none, target);
    }
}

/// Takes part in such a scan.
///
/// # Safety
/// Both relations are open, `shared` was laid out for them and outlives the scan.
pub unsafe fn index_beginscan_parallel(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    shared: pg_sys::ParallelIndexScanDesc,
) -> pg_sys::IndexScanDesc {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    // SAFETY: the caller's promise.
    unsafe {
        pg_sys::index_beginscan_parallel(heap, index, 0, 0, shared)
    }
    #[cfg(feature = "pg18")]
    // SAFETY: the caller's promise; no instrumentation.
    unsafe {
        pg_sys::index_beginscan_parallel(heap, index, core::ptr::null_mut(), 0, 0, shared)
    }
}

/// RelationGetParallelWorkers: what ALTER TABLE … SET (parallel_workers) said, if it did.
pub fn parallel_workers(table: &super::relation::Rel) -> Option<u32> {
    // SAFETY: the options of an open table, if it has any, are these.
    unsafe {
        let options = (*table.raw()).rd_options.cast::<pg_sys::StdRdOptions>();
        if options.is_null() { None } else { u32::try_from((*options).parallel_workers).ok() }
    }
}

/// Does the current user own the relation (directly, by membership, or as a superuser)?
pub fn owns_relation(relid: pg_sys::Oid) -> bool {
    #[cfg(feature = "pg15")]
    // SAFETY: a catalog look-up; raises for an OID that is no relation, which pg_guard turns into an unwind.
    unsafe {
        pg_sys::pg_class_ownercheck(relid, pg_sys::GetUserId())
    }
    #[cfg(not(feature = "pg15"))]
    // SAFETY: as above.
    unsafe {
        pg_sys::object_ownercheck(pg_sys::RelationRelationId, relid, pg_sys::GetUserId())
    }
}

/// The partitioned tables above a partition, nearest first; empty for a table that is no partition.
pub fn partition_ancestors(relid: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: called through a guard, since it may raise; the list is palloc'd and read at once.
    let list = unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| get_partition_ancestors(relid)) };
    oids(list)
}

/// The relation and everything that inherits from it, at any depth, locked in `lockmode`.
pub fn all_inheritors(relid: pg_sys::Oid, lockmode: pg_sys::LOCKMODE) -> Vec<pg_sys::Oid> {
    // SAFETY: as above.
    let list =
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| find_all_inheritors(relid, lockmode, core::ptr::null_mut())) };
    oids(list)
}

/// The OIDs in a PostgreSQL OidList.
pub fn oids(list: *mut pg_sys::List) -> Vec<pg_sys::Oid> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: a non-null List of OIDs made by PostgreSQL; length elements are there.
    unsafe {
        (0..(*list).length)
            .filter_map(|i| usize::try_from(i).ok())
            .map(|i| (*(*list).elements.add(i)).oid_value)
            .collect()
    }
}

/// The nodes in a PostgreSQL List.
///
/// # Safety
/// A list of nodes, or null.
pub unsafe fn nodes(list: *mut pg_sys::List) -> Vec<*mut pg_sys::Node> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise; length elements are there.
    unsafe {
        let count = usize::try_from((*list).length).unwrap_or(0);
        (0..count).map(|i| (*(*list).elements.add(i)).ptr_value.cast()).collect()
    }
}

/// Has the table CHECK constraints?
pub fn has_checks(rel: &super::relation::Rel) -> bool {
    // SAFETY: an open relation has a descriptor; its constraints are null where there are none.
    unsafe {
        let constraints = (*(*rel.raw()).rd_att).constr;
        !constraints.is_null() && (*constraints).num_check > 0
    }
}

/// The next Datum of a finished datum sort, a palloc'd copy, or None at its end.
///
/// # Safety
/// The sort was made by tuplesort_begin_datum over a pass-by-reference type and performed.
pub unsafe fn tuplesort_next(state: *mut pg_sys::Tuplesortstate) -> Option<pg_sys::Datum> {
    let (mut value, mut is_null) = (pg_sys::Datum::from(0), false);
    #[cfg(feature = "pg15")]
    // SAFETY: the caller's promise. Up to 15 the copy is always made.
    let more = unsafe { pg_sys::tuplesort_getdatum(state, true, &mut value, &mut is_null, core::ptr::null_mut()) };
    #[cfg(not(feature = "pg15"))]
    // SAFETY: the caller's promise.
    let more =
        unsafe { pg_sys::tuplesort_getdatum(state, true, true, &mut value, &mut is_null, core::ptr::null_mut()) };
    more.then_some(value)
}
