//! Texts and arrays of texts as PostgreSQL has them.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// A `text[]`, palloc'd.
pub struct TextArray(pub pg_sys::Datum);

// SAFETY: what the type is called in SQL; our own scripts declare the functions.
unsafe impl SqlTranslatable for TextArray {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(TextArray);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("text[]"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("text[]")));
}

// SAFETY: the array is what the function is declared to return.
unsafe impl BoxRet for TextArray {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: a Datum in the caller's memory context.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

/// An array of texts without NULLs, in the current memory context.
pub fn array<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> TextArray {
    let mut elements: Vec<pg_sys::Datum> = texts.map(text).collect();
    let count = i32::try_from(elements.len()).unwrap_or(i32::MAX);
    // SAFETY: as many text Datums as said, which are copied; text has any length, and is aligned as an integer.
    unsafe {
        let array = pg_sys::construct_array(
            elements.as_mut_ptr(),
            count,
            pg_sys::TEXTOID,
            -1,
            false,
            pg_sys::TYPALIGN_INT as _,
        );
        elements.into_iter().for_each(|text| pg_sys::pfree(text.cast_mut_ptr()));
        TextArray(array.into())
    }
}

/// A text, in the current memory context.
fn text(text: &str) -> pg_sys::Datum {
    // SAFETY: as many bytes as said, which are copied.
    unsafe {
        pg_sys::cstring_to_text_with_len(text.as_ptr().cast(), i32::try_from(text.len()).unwrap_or(i32::MAX)).into()
    }
}

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
