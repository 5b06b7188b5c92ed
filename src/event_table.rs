//! Event logs as tables: which are, and where they have their columns.

use crate::error::Error;
use crate::log::{self, Functions};
use crate::pg::relation::{Column, Rel};
use pgrx::pg_sys;

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

/// Where an event log has a column of this name and type: an index from 0.
pub fn column(log: &Rel, columns: &[Column], name: &str, type_oid: pg_sys::Oid) -> Result<usize, Error> {
    let found = columns.iter().find(|c| c.name == name && c.type_oid == type_oid && !c.generated);
    found.map(Column::index).ok_or_else(|| Error::NotAnEventLog {
        table: log.qualified(),
        why: format!("Its column \"{name}\" is missing or has another type."),
    })
}
