//! A set-returning function's rows, written into a tuplestore (which spills to disk past work_mem), so that a million
//! findings cost no memory.

use crate::error::Error;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;

/// The result of the set-returning function that is being called.
pub struct Results {
    store: *mut pg_sys::Tuplestorestate,
    desc: pg_sys::TupleDesc,
}

impl Results {
    /// Prepares the result; None when the caller cannot take a set.
    fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Option<Self> {
        // SAFETY: the function manager's contract for set-returning functions in materialize mode: store and descriptor
        // live in the per-query context.
        unsafe {
            let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            if info.is_null() || (*info).type_ != pg_sys::NodeTag::T_ReturnSetInfo {
                return None;
            }
            let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize as i32;
            if (*info).allowedModes & materialize == 0 {
                return None;
            }
            let outer = pg_sys::MemoryContextSwitchTo((*(*info).econtext).ecxt_per_query_memory);
            let mut desc: pg_sys::TupleDesc = core::ptr::null_mut();
            let class = pg_sys::get_call_result_type(fcinfo, core::ptr::null_mut(), &mut desc);
            if class == pg_sys::TypeFuncClass::TYPEFUNC_SCALAR {
                let mut result_type = pg_sys::InvalidOid;
                pg_sys::get_call_result_type(fcinfo, &mut result_type, core::ptr::null_mut());
                desc = pg_sys::CreateTemplateTupleDesc(1);
                pg_sys::TupleDescInitEntry(desc, 1, c"value".as_ptr(), result_type, -1, 0);
            }
            let store = pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem);
            (*info).returnMode = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
            (*info).setResult = store;
            (*info).setDesc = desc;
            pg_sys::MemoryContextSwitchTo(outer);
            Some(Self { store, desc })
        }
    }

    /// Prepares the result, or raises where the caller cannot take a set.
    pub fn of(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        Self::begin(fcinfo).unwrap_or_else(|| {
            Error::BadArgument {
                message: "a set-returning function was called where no set is accepted".into(),
                detail: "It answers with rows.".into(),
                hint: "Call it in FROM: SELECT * FROM notary.verify().".into(),
            }
            .raise()
        })
    }

    /// Adds a row; as many values as the function has result columns.
    pub fn put(&mut self, row: Vec<Option<pg_sys::Datum>>) {
        let mut nulls: Vec<bool> = row.iter().map(Option::is_none).collect();
        let mut values: Vec<_> = row.into_iter().map(|v| v.unwrap_or(pg_sys::Datum::from(0))).collect();
        // SAFETY: desc and store belong together; the caller gives a value for each of its columns.
        unsafe {
            if usize::try_from((*self.desc).natts) == Ok(values.len()) {
                pg_sys::tuplestore_putvalues(self.store, self.desc, values.as_mut_ptr(), nulls.as_mut_ptr());
            }
        }
    }
}

/// A value as a Datum.
pub fn datum<T: IntoDatum>(value: T) -> Option<pg_sys::Datum> {
    value.into_datum()
}

/// Argument `index` of a call, None for NULL.
pub fn argument<T: pgrx::FromDatum>(fcinfo: pg_sys::FunctionCallInfo, index: usize) -> Option<T> {
    // SAFETY: the function is declared in SQL with an argument of that type at that place.
    unsafe { pgrx::fcinfo::pg_getarg(fcinfo, index) }
}

/// The row that a function with OUT arguments answers with; as many values as it has of them.
pub fn record(fcinfo: pg_sys::FunctionCallInfo, row: Vec<Option<pg_sys::Datum>>) -> pg_sys::Datum {
    let mut nulls: Vec<bool> = row.iter().map(Option::is_none).collect();
    let mut values: Vec<_> = row.into_iter().map(|v| v.unwrap_or(pg_sys::Datum::from(0))).collect();
    // SAFETY: the descriptor is the function's own; the tuple is made only of as many values as it has columns.
    unsafe {
        let mut desc: pg_sys::TupleDesc = core::ptr::null_mut();
        let class = pg_sys::get_call_result_type(fcinfo, core::ptr::null_mut(), &mut desc);
        if class != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE || usize::try_from((*desc).natts) != Ok(values.len()) {
            Error::Spi("a function's declaration in SQL is not the one that its library knows".into()).raise();
        }
        let desc = pg_sys::BlessTupleDesc(desc);
        let tuple = pg_sys::heap_form_tuple(desc, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
    }
}

/// The text of the jsonb argument `index` of a call, None for NULL: with every number as it is stored.
pub fn jsonb_text(fcinfo: pg_sys::FunctionCallInfo, index: usize) -> Option<String> {
    // SAFETY: the function is declared in SQL with a jsonb at that place; jsonb_out gives a C string.
    unsafe {
        let value = pgrx::fcinfo::pg_getarg_datum(fcinfo, index)?;
        let text = pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(value)])?;
        Some(super::relation::c_string(text.cast_mut_ptr()))
    }
}
