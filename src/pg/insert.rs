//! A row goes into a table by way of the executor, without SQL: through its triggers, constraints, indexes and partitions.
//! As logical replication does it; rights and row-level security are not asked.

use super::compat;
use super::relation::Rel;
use super::trigger::Values;
use pgrx::pg_sys;

/// Inserts a row into a table that is open with RowExclusiveLock; a partitioned one passes it on.
///
/// The values are as many as the table has attributes, and of their types; those that are NULL get their defaults. False: a
/// trigger left it out.
pub fn insert(rel: &Rel, row: &Values) -> bool {
    let (values, nulls) = (row.all(), row.nulls());
    // SAFETY: the executor's own sequence for rows that come from no plan (see apply_handle_insert in PostgreSQL's worker.c).
    // Everything is allocated in the state that is freed at the end; on error PostgreSQL frees it with the transaction.
    unsafe {
        let estate = pg_sys::CreateExecutorState();
        let outer = pg_sys::MemoryContextSwitchTo((*estate).es_query_cxt);
        let raw = rel.raw();
        compat::init_range_table(estate, raw);
        let target = new_result_rel();
        pg_sys::InitResultRelInfo(target, raw, 1, core::ptr::null_mut(), 0);
        (*estate).es_output_cid = pg_sys::GetCurrentCommandId(true);
        pg_sys::AfterTriggerBeginQuery();

        let slot = pg_sys::ExecInitExtraTupleSlot(estate, (*raw).rd_att, &raw const pg_sys::TTSOpsVirtual);
        let width = usize::try_from((*(*raw).rd_att).natts).unwrap_or(0).min(values.len()).min(nulls.len());
        core::ptr::copy_nonoverlapping(values.as_ptr(), (*slot).tts_values, width);
        core::ptr::copy_nonoverlapping(nulls.as_ptr(), (*slot).tts_isnull, width);
        fill_in_defaults(estate, raw, slot);
        pg_sys::ExecStoreVirtualTuple(slot);

        let stored = if rel.is_partitioned() {
            insert_into_partition(estate, target, slot, raw)
        } else {
            pg_sys::ExecOpenIndices(target, false);
            pg_sys::ExecSimpleRelationInsert(target, estate, slot);
            pg_sys::ExecCloseIndices(target);
            is_stored(slot)
        };

        pg_sys::AfterTriggerEndQuery(estate);
        pg_sys::ExecResetTupleTable((*estate).es_tupleTable, false);
        pg_sys::MemoryContextSwitchTo(outer);
        pg_sys::FreeExecutorState(estate);
        stored
    }
}

/// As an INSERT does that leaves these columns out.
unsafe fn fill_in_defaults(estate: *mut pg_sys::EState, rel: pg_sys::Relation, slot: *mut pg_sys::TupleTableSlot) {
    // SAFETY: a slot of the relation's width; the expressions are made ready and evaluated in the state that is freed later.
    unsafe {
        let desc = (*rel).rd_att;
        for index in 0..usize::try_from((*desc).natts).unwrap_or(0) {
            let attribute = compat::attribute(desc, index);
            let is_filled = !*(*slot).tts_isnull.add(index);
            if is_filled || attribute.attisdropped || attribute.attgenerated != 0 {
                continue;
            }
            let default = pg_sys::build_column_default(rel, attribute.attnum.into());
            if !default.is_null() {
                let ready = pg_sys::ExecPrepareExpr(default.cast(), estate);
                let context = match (*estate).es_per_tuple_exprcontext {
                    made if made.is_null() => pg_sys::MakePerTupleExprContext(estate),
                    made => made,
                };
                let evaluate = (*ready).evalfunc;
                if let Some(evaluate) = evaluate {
                    let (value, is_null) = ((*slot).tts_values.add(index), (*slot).tts_isnull.add(index));
                    *value = evaluate(ready, context, is_null);
                }
            }
        }
    }
}

/// The place that a row got is noted in its slot.
unsafe fn is_stored(slot: *mut pg_sys::TupleTableSlot) -> bool {
    // SAFETY: a live slot.
    unsafe { (*slot).tts_tid.ip_posid != pg_sys::InvalidOffsetNumber }
}

unsafe fn new_result_rel() -> *mut pg_sys::ResultRelInfo {
    // SAFETY: zeroed memory of the node's size, tagged as such: what makeNode does.
    unsafe {
        let node = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
        (*node).type_ = pg_sys::NodeTag::T_ResultRelInfo;
        node
    }
}

unsafe fn insert_into_partition(
    estate: *mut pg_sys::EState,
    root: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    rel: pg_sys::Relation,
) -> bool {
    // SAFETY: as in apply_handle_tuple_routing of worker.c: a ModifyTableState without a plan.
    unsafe {
        let state = pg_sys::palloc0(size_of::<pg_sys::ModifyTableState>()).cast::<pg_sys::ModifyTableState>();
        (*state).ps.type_ = pg_sys::NodeTag::T_ModifyTableState;
        (*state).ps.state = estate;
        (*state).operation = pg_sys::CmdType::CMD_INSERT;
        (*state).resultRelInfo = root;
        (*state).rootResultRelInfo = root;
        let routing = compat::setup_partition_routing(estate, rel);
        // In a context that is reset for each row: the only one there is here.
        let outer = pg_sys::MemoryContextSwitchTo(per_tuple_memory(estate));
        let leaf = compat::find_partition(state, root, routing, slot, estate);
        // The row itself lives as long as the state.
        pg_sys::MemoryContextSwitchTo(outer);
        let map = compat::root_to_child_map(leaf, estate);
        let slot = if map.is_null() {
            slot
        } else {
            let attributes = (*map).attrMap;
            let desc = (*(*leaf).ri_RelationDesc).rd_att;
            let of_leaf = pg_sys::ExecInitExtraTupleSlot(estate, desc, &raw const pg_sys::TTSOpsVirtual);
            pg_sys::execute_attr_map_slot(attributes, slot, of_leaf)
        };
        pg_sys::ExecSimpleRelationInsert(leaf, estate, slot);
        compat::cleanup_partition_routing(state, routing);
        is_stored(slot)
    }
}

unsafe fn per_tuple_memory(estate: *mut pg_sys::EState) -> pg_sys::MemoryContext {
    // SAFETY: GetPerTupleMemoryContext, a macro: the context of the state's expression context, made if need be.
    unsafe {
        let context = if (*estate).es_per_tuple_exprcontext.is_null() {
            pg_sys::MakePerTupleExprContext(estate)
        } else {
            (*estate).es_per_tuple_exprcontext
        };
        (*context).ecxt_per_tuple_memory
    }
}
