//! What the hash of a stored row should be: its line written again, from its values and its place.

use crate::pg::row::{RowWriter, clear_line};
use notary_core::LogId;
use notary_core::digest::{Digest, Hasher};
use notary_core::line::{self, Opening, Place};
use pgrx::pg_sys;

/// For the rows of one table.
pub struct Rehash {
    writer: RowWriter,
    hasher: Hasher,
    opening: Opening,
    line: Vec<u8>,
}

impl Rehash {
    pub fn of(writer: RowWriter) -> Self {
        let opening = Opening::of(LogId::from_bytes([0; 16]), 0);
        Self { writer, hasher: Hasher::default(), opening, line: Vec::new() }
    }

    /// Of the values that a `heap::Reader` of the table took apart, at a place. Raises what reading them raises; the error says
    /// why they cannot be read besides.
    pub fn digest(&mut self, place: &Place, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<Digest, String> {
        let line = &mut self.line;
        line.clear();
        self.opening.begin_at(line, place);
        self.hasher.begin(line);
        self.writer.write_hashed(line, values, nulls, &mut self.hasher).map_err(|e| e.to_string())?;
        line::end(line);
        let digest = self.hasher.end(line);
        clear_line(line);
        Ok(digest)
    }
}
