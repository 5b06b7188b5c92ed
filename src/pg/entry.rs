//! How PostgreSQL enters the crate: C functions with a version-1 finfo record, without pgrx's argument conversions.
//!
//! `#[pg_extern]` is used for ordinary functions; these macros are for what it does not know (event triggers,
//! set-returning functions that write into a tuplestore) or makes slow (the append trigger).

/// Defines the C function `$symbol` (and the record `$finfo`, named `pg_finfo_$symbol`) that calls
/// `$body(fcinfo) -> Datum` inside pgrx's guard, so that PostgreSQL errors and Rust panics cross as each other.
macro_rules! entry_point {
    ($symbol:ident, $finfo:ident, $body:path) => {
        #[allow(unsafe_code, missing_docs)]
        #[unsafe(no_mangle)]
        #[pgrx::pg_guard]
        pub extern "C-unwind" fn $symbol(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            $body(fcinfo)
        }

        #[allow(unsafe_code, missing_docs)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $finfo() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const RECORD: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }
    };
}
pub(crate) use entry_point;
