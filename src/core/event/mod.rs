//! The JSON events that applications emit, as the columns of an event log.
//!
//! ```text
//! {"eventId": "6f1c…", "timestamp": "2026-11-20T16:07:00Z", "actor": {"userId": "u1", "role": "admin"},
//!  "action": "customer.export", "resource": {"type": "customer", "id": 42}, "result": "success"}
//! ```
//!
//! `table` says which member goes to which column, `walk` does it, `value`, `when` and `spelling` read single values,
//! `check` refuses what `jsonb` would; `words` are what an event is found by.
//!
//! Invariants: nothing is dropped. What no column holds stands in `details`, at its path; numbers and JSON values keep
//! their exact text; known members that are null are as if they were not there. Any text gives an event or an error,
//! and an error tells no value.

mod check;
mod error;
mod spelling;
mod table;
mod value;
mod walk;
mod when;
mod words;

#[cfg(test)]
mod tests;

pub use error::{EventError, Kind, What};
pub use when::{TIMES, parse_time};
pub use words::Words;

/// An event: what an application said, by column. What it did not say is `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Event {
    /// The event's own uuid, in network order.
    pub id: Option<[u8; 16]>,
    /// Microseconds since 2000-01-01 UTC, in the years 0001 to 9999.
    pub occurred_at: Option<i64>,
    /// What was done; never empty in an event that was read.
    pub action: String,
    /// Who did it.
    pub actor: Option<String>,
    /// `user`, `service`, `ai_agent` or `system`.
    pub actor_type: Option<String>,
    /// The actor's role.
    pub actor_role: Option<String>,
    /// What kind of thing it was done to.
    pub resource_type: Option<String>,
    /// The thing's id.
    pub resource_id: Option<String>,
    /// The thing's name.
    pub resource_name: Option<String>,
    /// `success`, `failure`, `denied` or `error`.
    pub result: Option<String>,
    /// An address that `inet` takes.
    pub ip: Option<String>,
    /// The program that asked for it.
    pub user_agent: Option<String>,
    /// The session.
    pub session_id: Option<String>,
    /// The request, or what correlates several.
    pub request_id: Option<String>,
    /// The trace.
    pub trace_id: Option<String>,
    /// Whether personal data was touched.
    pub pii: Option<bool>,
    /// Which personal data.
    pub pii_fields: Option<Vec<String>>,
    /// The value before, as JSON text.
    pub old_value: Option<String>,
    /// The value after, as JSON text.
    pub new_value: Option<String>,
    /// Everything else: the text of a JSON object.
    pub details: Option<String>,
    /// Words to find it by.
    pub tags: Option<Vec<String>>,
}

impl Event {
    /// Reads one event, a JSON object.
    ///
    /// # Errors
    /// The text is no such object, has no action, or a member does not fit its column.
    pub fn read(json: &str) -> Result<Self, EventError> {
        walk::read(strict(json, "an event, a JSON object")?, "")
    }
}

/// Reads an array of events.
///
/// # Errors
/// As for one event, of the first that has one; its member starts with the place in the array, from 0: `[3].actor.ip`.
pub fn read_all(json: &str) -> Result<Vec<Event>, EventError> {
    const EXPECTED: &str = "a JSON array of events";
    let json = strict(json, EXPECTED)?;
    let refused = || EventError { member: String::new(), what: What::Is(Kind::of(json)), expected: EXPECTED };
    let elements = check::elements(json).ok_or_else(refused)?;
    elements.into_iter().enumerate().map(|(at, json)| walk::read(json, &format!("[{at}]"))).collect()
}

fn strict<'a>(json: &'a str, expected: &'static str) -> Result<&'a str, EventError> {
    check::strict(json).map_err(|what| EventError { member: String::new(), what, expected })
}
