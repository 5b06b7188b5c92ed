//! PostgreSQL's external sort, for records of bytes in memcmp order: bounded by work_mem, spilling to temporary files.

use super::compat;
use pgrx::pg_sys;

/// A sort under way.
pub struct Sort(*mut pg_sys::Tuplesortstate);

/// `bytea < bytea` of pg_operator.
const BYTEA_LESS: u32 = 1957;

impl Sort {
    /// Begins a sort.
    pub fn begin() -> Self {
        // SAFETY: a single-process sort of bytea; its memory belongs to the current context, its files to the resource
        // owner, so an error leaves nothing behind.
        Self(unsafe {
            pg_sys::tuplesort_begin_datum(
                pg_sys::BYTEAOID,
                BYTEA_LESS.into(),
                pg_sys::InvalidOid,
                false,
                pg_sys::work_mem,
                core::ptr::null_mut(),
                pg_sys::TUPLESORT_NONE as i32,
            )
        })
    }

    /// Adds a record.
    pub fn put(&mut self, record: &[u8]) {
        // SAFETY: a varlena with a 4-byte header and room for the record; the sort copies it.
        unsafe {
            let size = record.len() + 4;
            let raw = pg_sys::palloc(size).cast::<u8>();
            pgrx::set_varsize_4b(raw.cast(), i32::try_from(size).unwrap_or(i32::MAX));
            core::ptr::copy_nonoverlapping(record.as_ptr(), raw.add(4), record.len());
            pg_sys::tuplesort_putdatum(self.0, pg_sys::Datum::from(raw), false);
            pg_sys::pfree(raw.cast());
        }
    }

    /// Sorts; then the records come out in order.
    pub fn finish(self) -> Sorted {
        // SAFETY: begun above, all records put.
        unsafe { pg_sys::tuplesort_performsort(self.0) };
        Sorted(self.0)
    }
}

/// The sorted records.
pub struct Sorted(*mut pg_sys::Tuplesortstate);

impl Iterator for Sorted {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        // SAFETY: the sort was performed; the Datum it gives is a bytea.
        unsafe {
            let datum = compat::tuplesort_next(self.0)?;
            let raw = datum.cast_mut_ptr::<pg_sys::varlena>();
            let bytes = std::slice::from_raw_parts(pgrx::vardata_any(raw).cast::<u8>(), pgrx::varsize_any_exhdr(raw));
            let record = bytes.to_vec();
            pg_sys::pfree(raw.cast());
            Some(record)
        }
    }
}

impl Drop for Sorted {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the sort's own end; on error its memory and files go with context and resource owner.
            unsafe { pg_sys::tuplesort_end(self.0) };
        }
    }
}
