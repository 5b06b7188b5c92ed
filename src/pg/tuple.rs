//! The row of a trigger's call, taken apart and put together without a call into PostgreSQL, where it is of the usual make: our
//! columns last and NULL, all attributes there. A row of another make is left to PostgreSQL.

use super::compat;
use super::heap::alignment;
use super::relation::Rel;
use super::row::NotaryColumns;
use super::trigger::Values;
use pgrx::pg_sys;

/// How rows of a table lie in memory.
pub struct Layout {
    attributes: Vec<Attribute>,
    /// Our columns are the last ones, in their usual order, and hashes are stored with a header of one byte.
    ours_last: bool,
}

struct Attribute {
    /// Its length; -1 for a varlena.
    len: i16,
    align: usize,
    by_value: bool,
}

/// What our columns hold.
#[derive(Clone, Copy)]
pub struct Stamp {
    /// notary_chain
    pub chain: i32,
    /// notary_seq
    pub seq: i64,
    /// notary_time
    pub time: i64,
    /// notary_prev
    pub prev: [u8; 32],
    /// notary_hash
    pub hash: [u8; 32],
}

impl Layout {
    /// That of a table; None where it has attributes that only PostgreSQL is to read.
    pub fn of(table: &Rel, columns: &NotaryColumns) -> Option<Self> {
        let count = table.attribute_count();
        let ours: Vec<_> = (count.checked_sub(columns.all().len())?..count).collect();
        let mut ours_last = columns.all().as_slice() == ours;
        // SAFETY: an open relation's descriptor; indexes below natts.
        let attributes = unsafe {
            let desc = (*table.raw()).rd_att;
            for column in [columns.prev, columns.hash] {
                ours_last &= compat::attribute(desc, column).attstorage as u8 != pg_sys::TYPSTORAGE_PLAIN;
            }
            let attribute = |i| {
                let a = compat::attribute(desc, i);
                let is_known = a.attlen == -1 || (a.attlen > 0 && (!a.attbyval || matches!(a.attlen, 1 | 2 | 4 | 8)));
                is_known.then(|| Attribute { len: a.attlen, align: alignment(a.attalign), by_value: a.attbyval })
            };
            (0..count).map(attribute).collect::<Option<_>>()?
        };
        Some(Self { attributes, ours_last })
    }

    /// Takes a row apart; false where it is for PostgreSQL to do so.
    ///
    /// # Safety
    /// A row that PostgreSQL formed by the descriptor of the table, which has not changed since.
    pub unsafe fn take_apart(&self, tuple: pg_sys::HeapTuple, row: &mut Values) -> bool {
        // SAFETY: the caller's promise: header, a bit for each attribute where there are NULLs, and the values that the
        // header says are there, aligned as heap_fill_tuple aligns them.
        unsafe {
            let header = (*tuple).t_data;
            if natts(header) != self.attributes.len() {
                return false;
            }
            row.clear(self.attributes.len());
            let has_nulls = (*header).t_infomask & pg_sys::HEAP_HASNULL as u16 != 0;
            let bits = (&raw const (*header).t_bits).cast::<u8>();
            let data = header.cast::<u8>().add((*header).t_hoff.into());
            let mut at = 0_usize;
            for (i, attribute) in self.attributes.iter().enumerate() {
                if has_nulls && *bits.add(i / 8) & (1 << (i % 8)) == 0 {
                    continue;
                }
                // A varlena's first byte is not zero where it needs no alignment.
                if attribute.len != -1 || *data.add(at) == 0 {
                    at = at.next_multiple_of(attribute.align);
                }
                let value = data.add(at);
                at += match attribute.len {
                    -1 => pgrx::varsize_any(value.cast()),
                    len => len as usize,
                };
                let datum = match (attribute.by_value, attribute.len) {
                    (false, _) => pg_sys::Datum::from(value),
                    (_, 1) => pg_sys::Datum::from(value.cast::<i8>().read()),
                    (_, 2) => pg_sys::Datum::from(value.cast::<i16>().read()),
                    (_, 4) => pg_sys::Datum::from(value.cast::<i32>().read()),
                    _ => pg_sys::Datum::from(value.cast::<i64>().read()),
                };
                row.set(i, datum);
            }
            true
        }
    }

    /// The row with the stamp in our columns, which are NULL in it, as heap_form_tuple forms it: what comes before our columns
    /// is copied as it is. In the current memory context; None where it is for PostgreSQL to form it.
    ///
    /// # Safety
    /// As above; `nulls` are those of the row.
    pub unsafe fn stamp(
        &self,
        desc: pg_sys::TupleDesc,
        tuple: pg_sys::HeapTuple,
        nulls: &[bool],
        stamp: &Stamp,
    ) -> Option<pg_sys::HeapTuple> {
        let count = self.attributes.len();
        let others = nulls.get(..count.checked_sub(5)?)?;
        // SAFETY: the caller's promise.
        unsafe {
            let old = (*tuple).t_data;
            if !self.ours_last || nulls.len() != count || natts(old) != count {
                return None;
            }
            let from = usize::from((*old).t_hoff);
            let len = ((*tuple).t_len as usize).checked_sub(from)?;
            let has_nulls = others.contains(&true);
            let bitmap = if has_nulls { count.div_ceil(8) } else { 0 };
            let start = (BITS + bitmap).next_multiple_of(MAX_ALIGN);
            let chain = len.next_multiple_of(align_of::<i32>());
            let seq = (chain + size_of::<i32>()).next_multiple_of(align_of::<i64>());
            let hashes = seq + 2 * size_of::<i64>();
            let end = start + hashes + 2 * HASH;
            let total = i32::try_from(end).ok()?;

            let new = pg_sys::palloc(TUPLE + end).cast::<pg_sys::HeapTupleData>();
            let header = new.cast::<u8>().add(TUPLE).cast::<pg_sys::HeapTupleHeaderData>();
            header.cast::<u8>().write_bytes(0, start);
            (*new).t_len = total as u32;
            (*new).t_tableOid = (*tuple).t_tableOid;
            (*new).t_data = header;
            pgrx::itemptr::item_pointer_set_all(&mut (*new).t_self, NO_BLOCK, 0);
            pgrx::itemptr::item_pointer_set_all(&mut (*header).t_ctid, NO_BLOCK, 0);
            pgrx::set_varsize_4b(header.cast(), total);
            (*header).t_choice.t_datum.datum_typeid = (*desc).tdtypeid;
            (*header).t_choice.t_datum.datum_typmod = (*desc).tdtypmod;
            (*header).t_infomask2 = count as u16;
            (*header).t_infomask =
                (*old).t_infomask & pg_sys::HEAP_HASEXTERNAL as u16 | pg_sys::HEAP_HASVARWIDTH as u16;
            (*header).t_hoff = start as u8;
            if has_nulls {
                (*header).t_infomask |= pg_sys::HEAP_HASNULL as u16;
                let bits = header.cast::<u8>().add(BITS);
                for (i, _) in nulls.iter().enumerate().filter(|(i, null)| *i >= others.len() || !**null) {
                    *bits.add(i / 8) |= 1 << (i % 8);
                }
            }
            let data = header.cast::<u8>().add(start);
            core::ptr::copy_nonoverlapping(old.cast::<u8>().add(from), data, len);
            data.add(len).write_bytes(0, seq - len);
            data.add(chain).cast::<i32>().write(stamp.chain);
            data.add(seq).cast::<i64>().write(stamp.seq);
            data.add(seq).cast::<i64>().add(1).write(stamp.time);
            for (hash, at) in [(&stamp.prev, hashes), (&stamp.hash, hashes + HASH)] {
                data.add(at).write(HASH_HEADER);
                core::ptr::copy_nonoverlapping(hash.as_ptr(), data.add(at + 1), hash.len());
            }
            Some(new)
        }
    }
}

const MAX_ALIGN: usize = pg_sys::MAXIMUM_ALIGNOF as usize;
/// Where a formed tuple's header starts, HEAPTUPLESIZE.
const TUPLE: usize = size_of::<pg_sys::HeapTupleData>().next_multiple_of(MAX_ALIGN);
/// Where the bitmap of what is not NULL starts.
const BITS: usize = std::mem::offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
/// InvalidBlockNumber.
const NO_BLOCK: u32 = u32::MAX;
/// A bytea of 32 bytes with a header of one byte, which is its length and a bit that says so.
const HASH: usize = 33;
const HASH_HEADER: u8 = (HASH as u8) << 1 | 1;

/// How many attributes a tuple has.
///
/// # Safety
/// A live tuple's header.
unsafe fn natts(header: *const pg_sys::HeapTupleHeaderData) -> usize {
    // SAFETY: the caller's promise.
    usize::from(unsafe { (*header).t_infomask2 } & pg_sys::HEAP_NATTS_MASK as u16)
}
