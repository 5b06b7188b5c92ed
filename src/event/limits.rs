//! What the indexes of an event log cannot take, and times that would stand at the head of every search for ever: refused with
//! the column's name before PostgreSQL does without it.

use crate::error::Error;
use crate::event_table;
use crate::pg::relation::Rel;
use crate::pg::text;
use crate::pg::trigger::Values;
use notary_core::event::TIMES;
use pgrx::pg_sys;

/// The columns of an event log that are indexed, whole.
const INDEXED: [&str; 5] = ["action", "actor", "actor_role", "resource_type", "resource_id"];
/// Bytes of a value: two of them stand in one index row, which takes 2,704 with a time and an id.
const MOST: usize = 1000;

/// Where an event log has the columns that are looked at: indexes from 0.
pub struct Limits {
    indexed: [usize; INDEXED.len()],
    tags: usize,
    pii_fields: usize,
    occurred_at: usize,
}

/// What is wrong with a row.
pub enum Fault {
    /// It has no action.
    NoAction,
    /// A value of this column is too long.
    TooLong(&'static str),
    /// Its time is out of range.
    NoTime,
}

impl Fault {
    /// The error for a row of this log.
    pub fn of(self, table: String) -> Error {
        match self {
            Self::NoAction => Error::NoAction { table },
            Self::TooLong(column) => Error::TooLong { table, column, bytes: MOST },
            Self::NoTime => Error::NoTime { table },
        }
    }
}

impl Limits {
    /// Looks the columns up; an error where one is missing.
    pub fn of(rel: &Rel) -> Result<Self, Error> {
        let columns = rel.columns();
        let find = |name: &str, type_oid| event_table::column(rel, &columns, name, type_oid);
        let mut indexed = [0; INDEXED.len()];
        for (slot, name) in indexed.iter_mut().zip(INDEXED) {
            *slot = find(name, pg_sys::TEXTOID)?;
        }
        Ok(Self {
            indexed,
            tags: find("tags", pg_sys::TEXTARRAYOID)?,
            pii_fields: find("pii_fields", pg_sys::TEXTARRAYOID)?,
            occurred_at: find("occurred_at", pg_sys::TIMESTAMPTZOID)?,
        })
    }

    /// Is the row one that can be found again? It is complete by now, but for what the database knows.
    pub fn check(&self, row: &Values) -> Result<(), Fault> {
        if row.nulls()[self.indexed[0]] {
            return Err(Fault::NoAction);
        }
        let is_long = |index: usize| !row.nulls()[index] && text::length(row.all()[index]) > MOST;
        if let Some((_, name)) = self.indexed.iter().zip(INDEXED).find(|(index, _)| is_long(**index)) {
            return Err(Fault::TooLong(name));
        }
        // As many short ones as anybody likes.
        if is_long(self.tags) && texts(row, self.tags).any(|tag| tag.len() > MOST) {
            return Err(Fault::TooLong("tags"));
        }
        // Microseconds since 2000-01-01 UTC; an infinity is the last of them.
        let at = row.all()[self.occurred_at].value() as i64;
        if row.nulls()[self.occurred_at] || TIMES.contains(&at) { Ok(()) } else { Err(Fault::NoTime) }
    }

    /// Does the row name fields of personal data?
    pub fn names_pii(&self, row: &Values) -> bool {
        texts(row, self.pii_fields).next().is_some()
    }
}

/// The texts in a column of them.
fn texts(row: &Values, index: usize) -> impl Iterator<Item = String> {
    text::elements(row.all()[index], row.nulls()[index]).into_iter().flatten()
}
