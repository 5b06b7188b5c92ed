//! Names of relations that are to be made, or are there.

use super::relation;
use crate::error::Error;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// Schema and name of a relation to be made: a name without a schema goes into the first one of the search_path, as in
/// CREATE TABLE. What is no name, and a schema that is not there or in which the caller may make nothing, is an error.
pub fn to_create(name: &str) -> Result<(String, String), Error> {
    let text = CString::new(name).unwrap_or_default();
    // SAFETY: a C string turned into a list of names and a RangeVar; all other errors are raised.
    unsafe {
        let text = pg_sys::cstring_to_text(text.as_ptr());
        let range = pg_sys::makeRangeVarFromNameList(pg_sys::textToQualifiedNameList(text));
        let said = (*range).schemaname;
        let is_there = if said.is_null() {
            !pg_sys::fetch_search_path(false).is_null()
        } else {
            CStr::from_ptr(said) == c"pg_temp" || pg_sys::get_namespace_oid(said, true) != pg_sys::InvalidOid
        };
        if !is_there && (*range).catalogname.is_null() {
            return Err(Error::NoSchema { schema: (!said.is_null()).then(|| relation::c_string(said)) });
        }
        let schema = pg_sys::RangeVarGetCreationNamespace(range);
        let name = relation::c_string((*range).relname);
        Ok((relation::c_string(pg_sys::get_namespace_name(schema)), name))
    }
}

/// Does a relation have this name already?
pub fn is_taken(schema: &str, name: &str) -> bool {
    let (schema, name) = (CString::new(schema).unwrap_or_default(), CString::new(name).unwrap_or_default());
    // SAFETY: C strings, looked up in the caches of the catalogs.
    unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema) != pg_sys::InvalidOid
    }
}

/// A name for an index of a table that is not taken: `table_column_idx`, cut and numbered as PostgreSQL does it.
pub fn of_index(schema: &str, table: &str, column: &str) -> String {
    let (schema, table, column) = (
        CString::new(schema).unwrap_or_default(),
        CString::new(table).unwrap_or_default(),
        CString::new(column).unwrap_or_default(),
    );
    // SAFETY: C strings; the result is palloc'd and copied at once.
    unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), false);
        let name = pg_sys::ChooseRelationName(table.as_ptr(), column.as_ptr(), c"idx".as_ptr(), schema, false);
        relation::c_string(name)
    }
}

/// The relation of a name that is there, by the search_path unless it has a schema.
pub fn existing(name: &str) -> pg_sys::Oid {
    let text = CString::new(name).unwrap_or_default();
    // SAFETY: as above; what is not there is raised as an error.
    unsafe {
        let text = pg_sys::cstring_to_text(text.as_ptr());
        let range = pg_sys::makeRangeVarFromNameList(pg_sys::textToQualifiedNameList(text));
        #[allow(clippy::cast_possible_wrap)] // NoLock is 0
        pg_sys::RangeVarGetRelidExtended(range, pg_sys::NoLock as i32, 0, None, core::ptr::null_mut())
    }
}
