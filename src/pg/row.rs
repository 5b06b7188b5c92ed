//! From a row's values to the members of `row` in its line.

use super::relation::{Column, Rel};
use super::types::{self, PinnedSettings, Writer};
use super::validate::Shape;
use crate::error::Error;
use notary_core::digest::Hasher;
use notary_core::line;
use pgrx::pg_sys;
use std::ops::Range;

/// The five columns that protection adds, in the order of docs/format.md section 4.
pub const NOTARY_COLUMNS: [(&str, &str); 5] = [
    ("notary_chain", "integer"),
    ("notary_seq", "bigint"),
    ("notary_time", "timestamp with time zone"),
    ("notary_prev", "bytea"),
    ("notary_hash", "bytea"),
];

/// Where the five columns are: indexes from 0 into a row's values.
#[derive(Clone, Copy, Debug)]
pub struct NotaryColumns {
    /// notary_chain
    pub chain: usize,
    /// notary_seq
    pub seq: usize,
    /// notary_time
    pub time: usize,
    /// notary_prev
    pub prev: usize,
    /// notary_hash
    pub hash: usize,
}

impl NotaryColumns {
    /// Finds them; None when one is missing or has another type.
    pub fn of(rel: &Rel) -> Option<Self> {
        let columns = rel.columns();
        let find = |wanted: &str, type_oid: pg_sys::Oid| {
            columns.iter().find(|c| c.name == wanted && c.type_oid == type_oid).map(Column::index)
        };
        Some(Self {
            chain: find("notary_chain", pg_sys::INT4OID)?,
            seq: find("notary_seq", pg_sys::INT8OID)?,
            time: find("notary_time", pg_sys::TIMESTAMPTZOID)?,
            prev: find("notary_prev", pg_sys::BYTEAOID)?,
            hash: find("notary_hash", pg_sys::BYTEAOID)?,
        })
    }

    /// The five indexes.
    pub fn all(&self) -> [usize; 5] {
        [self.chain, self.seq, self.time, self.prev, self.hash]
    }
}

/// Empties a line's buffer for the next row, and gives back what one long row made it larger than a buffer needs to be.
pub fn clear_line(line: &mut Vec<u8>) {
    const KEEP: usize = 1 << 20;
    line.clear();
    line.shrink_to(KEEP);
}

struct Member {
    index: usize,
    key: Vec<u8>,
    writer: Writer,
    /// What to look at before the value is believed; None: nothing, it was made just now.
    shape: Option<Shape>,
    /// Where its value stands in the line that was written last; empty for NULL.
    span: Range<usize>,
}

impl Member {
    fn damaged(&self, why: &'static str) -> Error {
        let key = String::from_utf8_lossy(&self.key);
        Error::DamagedValue { column: key.trim_end_matches(':').trim_matches('"').to_owned(), why }
    }
}

/// Writes the `row` member of lines of one table.
pub struct RowWriter {
    members: Vec<Member>,
    pinned: bool,
    /// The table's TOAST table.
    toast: pg_sys::Oid,
}

impl RowWriter {
    /// Reads the table's columns: all but ours and generated ones, sorted by name. The error names a column whose type
    /// the format does not list.
    pub fn of(rel: &Rel) -> Result<Self, Error> {
        Self::new(rel, |_| None)
    }

    /// The same for rows that were stored, whose values are not believed before they were looked at.
    pub fn of_stored(rel: &Rel) -> Result<Self, Error> {
        Self::new(rel, |type_oid| Some(Shape::of(type_oid)))
    }

    fn new(rel: &Rel, shape: impl Fn(pg_sys::Oid) -> Option<Shape>) -> Result<Self, Error> {
        let mut columns: Vec<_> =
            rel.columns().into_iter().filter(|c| !c.generated && !is_notary_column(&c.name)).collect();
        columns.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let mut members = Vec::with_capacity(columns.len());
        for column in columns {
            let Some(writer) = types::writer(column.type_oid) else {
                return Err(Error::UnlistedType {
                    table: rel.qualified(),
                    type_name: types_name(&column),
                    column: column.name,
                });
            };
            let mut key = Vec::with_capacity(column.name.len() + 3);
            line::write_key(&mut key, &column.name);
            let (index, shape) = (column.index(), shape(column.type_oid));
            members.push(Member { index, key, writer, shape, span: 0..0 });
        }
        let pinned = members.iter().any(|m| m.writer.needs_pins());
        Ok(Self { members, pinned, toast: rel.toast() })
    }

    /// Appends the members of `row` for a row that is being inserted into the table this was made for.
    pub fn write_insert(
        &mut self,
        out: &mut Vec<u8>,
        row: &super::trigger::Values,
        hasher: &mut Hasher,
    ) -> Result<(), Error> {
        // SAFETY: the row was taken apart by the table's own descriptor, or put together by it; the writer is made anew
        // whenever that changes.
        unsafe { self.write(out, row.all(), row.nulls(), |line| hasher.feed(line)) }
    }

    /// Appends the members of `row` for a row of the table this was made for that is being copied.
    pub fn write_copied(&mut self, out: &mut Vec<u8>, row: &super::rewrite::Row<'_>) -> Result<(), Error> {
        // SAFETY: the row was taken apart by the table's own descriptor.
        unsafe { self.write(out, row.values, row.nulls, |_| {}) }
    }

    /// Appends the members of `row` for a row that a `heap::Reader` of the table took apart.
    pub fn write_read(&mut self, out: &mut Vec<u8>, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<(), Error> {
        // SAFETY: the reader bounded every value by its row, by the table's own descriptor.
        unsafe { self.write(out, values, nulls, |_| {}) }
    }

    /// The same for a line that is hashed.
    pub fn write_hashed(
        &mut self,
        out: &mut Vec<u8>,
        values: &[pg_sys::Datum],
        nulls: &[bool],
        hasher: &mut Hasher,
    ) -> Result<(), Error> {
        // SAFETY: as above.
        unsafe { self.write(out, values, nulls, |line| hasher.feed(line)) }
    }

    /// Where the value of the attribute with this index stands in the line that was written last; empty for NULL.
    pub fn span(&self, index: usize) -> Range<usize> {
        self.members.iter().find(|member| member.index == index).map_or(0..0, |member| member.span.clone())
    }

    /// Appends the members of `row`, without its braces; `written` is shown the line after each. Raises or returns an error
    /// when a value cannot be read or the line passes the limit.
    ///
    /// # Safety
    /// `values` and `nulls` are a row of the table this was made for.
    unsafe fn write(
        &mut self,
        out: &mut Vec<u8>,
        values: &[pg_sys::Datum],
        nulls: &[bool],
        mut written: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let _pins = self.pinned.then(PinnedSettings::pin);
        let mut first = true;
        for member in &mut self.members {
            // A row may be narrower than the table only through a bug of ours; such a column reads as NULL.
            if nulls.get(member.index).copied().unwrap_or(true) {
                member.span = 0..0;
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(&member.key);
            let start = out.len();
            let stored = values[member.index];
            // SAFETY: not null, of the column's type by the caller's promise; what check() returns is the same value,
            // or a palloc'd copy that nothing else points at.
            unsafe {
                let value = match &member.shape {
                    Some(shape) => shape.check(stored, self.toast).map_err(|why| member.damaged(why))?,
                    None => stored,
                };
                member.writer.write(out, value)?;
                if value != stored {
                    pg_sys::pfree(value.cast_mut_ptr());
                }
            }
            member.span = start..out.len();
            if out.len() > line::MAX_LINE {
                return Err(Error::LineTooLong);
            }
            written(out);
        }
        Ok(())
    }
}

/// Is it one of the columns that belong to us (or a name that is kept for one)?
pub fn is_notary_column(name: &str) -> bool {
    name.starts_with("notary_")
}

fn types_name(column: &super::relation::Column) -> String {
    super::relation::type_name(column.type_oid, column.typmod)
}
