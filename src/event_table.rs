//! Event logs as tables: which are, and how a row gets into one without SQL.

use crate::error::Error;
use crate::log::{self, Functions};
use crate::pg::inval_map::PerTable;
use crate::pg::relation::Rel;
use crate::pg::{context, insert};
use pgrx::datum::IntoDatum as _;
use pgrx::pg_sys;
use std::rc::Rc;

/// Does the table have the trigger of event logs?
pub fn is_event_log(rel: &Rel, functions: &Functions) -> bool {
    rel.triggers().iter().any(|t| t.function == functions.about && t.name == log::ABOUT_TRIGGER)
}

/// The error for an event that a trigger of the log's owner left out.
pub fn swallowed(log: &Rel) -> Error {
    Error::Installation {
        message: format!("an event was not stored in {}", log.qualified()),
        detail: "A BEFORE INSERT trigger of the log returned NULL.".into(),
        hint: "Have the trigger return the row, or drop it.".into(),
    }
}

/// The columns that captured changes fill in, with their types.
const COLUMNS: [(&str, pg_sys::Oid); 9] = [
    ("occurred_at", pg_sys::TIMESTAMPTZOID),
    ("action", pg_sys::TEXTOID),
    ("resource_type", pg_sys::TEXTOID),
    ("resource_id", pg_sys::TEXTOID),
    ("resource_name", pg_sys::TEXTOID),
    ("pii", pg_sys::BOOLOID),
    ("pii_fields", pg_sys::TEXTARRAYOID),
    ("old_value", pg_sys::JSONBOID),
    ("new_value", pg_sys::JSONBOID),
];

thread_local! {
    static TARGETS: PerTable<Target> = PerTable::new();
}

/// An event log that events are put into.
pub struct Target {
    /// Indexes from 0, in the order of COLUMNS.
    at: [usize; COLUMNS.len()],
    width: usize,
}

/// An event that is being put together.
pub struct Event {
    target: Rc<Target>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Target {
    /// What is known of this table; an error where it lacks a column.
    pub fn of(rel: &Rel) -> Result<Rc<Self>, Error> {
        TARGETS.with(|targets| targets.get(rel, Self::look_up))
    }

    fn look_up(rel: &Rel) -> Result<Self, Error> {
        let columns = rel.columns();
        let mut at = [0; COLUMNS.len()];
        for (slot, (name, type_oid)) in at.iter_mut().zip(COLUMNS) {
            let found = columns.iter().find(|c| c.name == name && c.type_oid == type_oid && !c.generated);
            *slot = found.and_then(|c| usize::try_from(c.number - 1).ok()).ok_or_else(|| Error::NotAnEventLog {
                table: rel.qualified(),
                why: format!("Its column \"{name}\" is missing or has another type."),
            })?;
        }
        Ok(Self { at, width: rel.attribute_count() })
    }
}

impl Event {
    /// One of now, with nothing else said.
    pub fn new(target: Rc<Target>) -> Self {
        let (values, nulls) = (vec![pg_sys::Datum::from(0); target.width], vec![true; target.width]);
        let mut event = Self { target, values, nulls };
        // Also what a partitioned log may be divided by, before any trigger fills it in.
        event.put("occurred_at", context::clock().into_datum());
        event
    }

    /// Says something: the name is one of COLUMNS, the value of its type.
    pub fn put(&mut self, name: &str, value: Option<pg_sys::Datum>) {
        let Some(column) = COLUMNS.iter().position(|(known, _)| *known == name) else { return };
        if let (Some(at), Some(value)) = (self.target.at.get(column), value) {
            self.values[*at] = value;
            self.nulls[*at] = false;
        }
    }

    /// Puts it into the log, which is open with RowExclusiveLock.
    pub fn insert(self, log: &Rel) -> Result<(), Error> {
        // As many values as the table has attributes, of the types that were looked up.
        if insert::insert(log, &self.values, &self.nulls) { Ok(()) } else { Err(swallowed(log)) }
    }
}
