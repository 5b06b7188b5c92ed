//! `planner_hook`: one statement is planned with the rights of a role that has next to none.
//!
//! The planner calls immutable functions in the conditions of indexes and in statistics, with the rights of whoever's
//! statement it is. A reader has no lock that would keep a table's owner from making such an index meanwhile: those that would
//! are not to be had on a standby, and would keep others out.

use super::context;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};

thread_local! {
    /// The text of the statement.
    static APART: RefCell<Option<CString>> = const { RefCell::new(None) };
    static IS_INSTALLED: Cell<bool> = const { Cell::new(false) };
    static PREVIOUS: Cell<pg_sys::planner_hook_type> = const { Cell::new(None) };
}

/// pg_checkpoint, which may have a checkpoint made, and what everybody may.
const ALMOST_NOBODY: pg_sys::Oid = pg_sys::Oid::from_u32(4544);

/// Plans the next statement of this text apart. One of the same text that somebody else runs is planned no worse for it.
pub fn plan_apart(statement: &CStr) {
    if !IS_INSTALLED.replace(true) {
        // SAFETY: the hook is a variable of this backend, which has one thread.
        unsafe {
            PREVIOUS.set(pg_sys::planner_hook);
            pg_sys::planner_hook = Some(on_plan);
        }
    }
    APART.set(Some(statement.to_owned()));
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_plan(
    query: *mut pg_sys::Query,
    text: *const core::ffi::c_char,
    options: core::ffi::c_int,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: PostgreSQL's own arguments, handed on; the hook that was there before may raise, hence the boundary.
    let plan = || unsafe {
        match PREVIOUS.get() {
            Some(previous) => pg_sys::ffi::pg_guard_ffi_boundary(|| previous(query, text, options, params)),
            None => pg_sys::standard_planner(query, text, options, params),
        }
    };
    // SAFETY: a C string, or null.
    let is_meant = !text.is_null()
        && APART.with_borrow(|apart| apart.as_deref().is_some_and(|apart| apart == unsafe { CStr::from_ptr(text) }));
    if !is_meant {
        return plan();
    }
    APART.set(None);
    // SAFETY: a nest level of settings, ended below: what code that is called meanwhile has set does not outlive it.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let planned = context::as_role(ALMOST_NOBODY, true, plan);
    // SAFETY: the level that was begun above.
    unsafe { pg_sys::AtEOXact_GUC(false, level) };
    planned
}
