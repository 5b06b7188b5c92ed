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

/// An array of texts without NULLs, in the current memory context. Laid out here: PostgreSQL wants each text by itself first.
pub fn array<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> TextArray {
    let (mut count, mut size) = (0_usize, HEAD);
    for text in texts.clone() {
        count += 1;
        size += (pg_sys::VARHDRSZ + text.len()).next_multiple_of(ALIGN);
    }
    if count == 0 {
        // SAFETY: a fresh array of this element type.
        return TextArray(unsafe { pg_sys::construct_empty_array(pg_sys::TEXTOID) }.into());
    }
    // SAFETY: as many zeros as are written over; palloc refuses a size that no array has.
    unsafe {
        let start = pg_sys::palloc0(size).cast::<u8>();
        let array = std::slice::from_raw_parts_mut(start, size);
        let mut put = |at: usize, word: u32| array[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        put(0, (size as u32) << 2);
        put(4, 1); // dimensions
        put(8, 0); // no NULLs
        put(12, pg_sys::TEXTOID.to_u32());
        put(16, count as u32);
        put(20, 1); // the first one's number
        let mut at = HEAD;
        for text in texts {
            let length = pg_sys::VARHDRSZ + text.len();
            array[at..at + 4].copy_from_slice(&((length as u32) << 2).to_ne_bytes());
            array[at + 4..at + length].copy_from_slice(text.as_bytes());
            at += length.next_multiple_of(ALIGN);
        }
        TextArray(start.into())
    }
}

/// Of an array (utils/array.h): size, dimensions, where the values start if there are NULLs, type, and how many from which number.
const HEAD: usize = 24;
/// A text is aligned as an integer.
const ALIGN: usize = 4;

/// The bytes of a text or a bytea as it lies in a row or in memory; None where it is compressed or stored elsewhere. Cannot raise.
///
/// # Safety
/// A value of variable length that is not NULL, which outlives what is given back.
pub unsafe fn bytes<'v>(value: pg_sys::Datum) -> Option<&'v [u8]> {
    // SAFETY: as many bytes as the header says, of which two bits say what kind of header it is.
    unsafe {
        let start = value.cast_mut_ptr::<u8>();
        match *start {
            0x01 => None,
            short if short & 1 == 1 => Some(std::slice::from_raw_parts(start.add(1), usize::from(short >> 1) - 1)),
            plain if plain & 3 == 0 => {
                let size = (start.cast::<u32>().read_unaligned() >> 2) as usize;
                Some(std::slice::from_raw_parts(start.add(pg_sys::VARHDRSZ), size.saturating_sub(pg_sys::VARHDRSZ)))
            }
            _ => None,
        }
    }
}

/// How many bytes a text or an array has, without reading it from where it is stored.
pub fn length(value: pg_sys::Datum) -> usize {
    // SAFETY: as below; only the length is kept.
    if let Some(bytes) = unsafe { bytes(value) } {
        return bytes.len();
    }
    // SAFETY: callers pass a value that is not NULL, of a type of variable length.
    unsafe { pg_sys::toast_raw_datum_size(value) }.saturating_sub(pg_sys::VARHDRSZ)
}

/// The elements of a text[].
pub fn elements(array: pg_sys::Datum, is_null: bool) -> Vec<Option<String>> {
    // SAFETY: callers looked up that the value is a text[]; NULL is None.
    let elements: Option<Vec<Option<String>>> = unsafe { pgrx::FromDatum::from_datum(array, is_null) };
    elements.unwrap_or_default()
}
