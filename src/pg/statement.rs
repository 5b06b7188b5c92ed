//! The statement that a function was called by.

use pgrx::pg_sys;

/// Is the call all that a statement of the client's does, `SELECT f()`, with no transaction block around it? What the call leaves
/// to the transaction is then gone before anybody can use it. Not so in functions, procedures and statements that do more.
pub fn is_all_of_the_transaction(fcinfo: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: PostgreSQL passes a valid fcinfo. The portal that runs and what it runs are live; a function that is called from
    // elsewhere was looked up in another memory context than that of the portal's query.
    unsafe {
        if pg_sys::IsTransactionBlock() || pg_sys::ActivePortal.is_null() || (*fcinfo).flinfo.is_null() {
            return false;
        }
        let query = (*pg_sys::ActivePortal).queryDesc;
        if query.is_null() || (*query).estate.is_null() || (*query).plannedstmt.is_null() {
            return false;
        }
        let plan = (*(*query).plannedstmt).planTree;
        let one_row = [pg_sys::NodeTag::T_Result, pg_sys::NodeTag::T_FunctionScan].contains(&(*plan).type_);
        one_row
            && (*plan).lefttree.is_null()
            // An empty list is no list at all: SELECT FROM f().
            && !(*plan).targetlist.is_null()
            && (*(*plan).targetlist).length == 1
            && (*(*fcinfo).flinfo).fn_mcxt == (*(*query).estate).es_query_cxt
    }
}
