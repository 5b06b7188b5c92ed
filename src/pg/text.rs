//! Values of type text, and arrays of them.

use pgrx::pg_sys;

/// How many bytes a text or an array has, without reading it from where it is stored.
pub fn length(value: pg_sys::Datum) -> usize {
    // SAFETY: callers pass a value that is not NULL, of a type of variable length.
    unsafe { pg_sys::toast_raw_datum_size(value) }.saturating_sub(pg_sys::VARHDRSZ)
}

/// The elements of a text[].
pub fn elements(array: pg_sys::Datum, is_null: bool) -> Vec<Option<String>> {
    // SAFETY: callers looked up that the value is a text[]; NULL is None.
    let elements: Option<Vec<Option<String>>> = unsafe { pgrx::FromDatum::from_datum(array, is_null) };
    elements.unwrap_or_default()
}
