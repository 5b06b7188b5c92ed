//! `notary.log_event`: events as applications emit them, read by `notary_core::event` and written with the caller's rights.

use super::ids;
use crate::access;
use crate::error::{Error, OrRaise as _, sentence};
use crate::event_table;
use crate::gucs;
use crate::pg::entry::entry_point;
use crate::pg::relation::Rel;
use crate::pg::results::{Results, argument, datum, jsonb_text};
use crate::pg::{context, names, spi};
use notary_core::event::{self, Event, EventError, What};
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::{Uuid, pg_sys};

entry_point!(notary_log_event, pg_finfo_notary_log_event, log_event);
entry_point!(notary_log_event_to, pg_finfo_notary_log_event_to, log_event_to);
entry_point!(notary_log_events, pg_finfo_notary_log_events, log_events);
entry_point!(notary_log_events_to, pg_finfo_notary_log_events_to, log_events_to);

/// `notary.log_event(event)`.
fn log_event(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    log_one(default_log(), jsonb_text(fcinfo, 0)).or_raise()
}

/// `notary.log_event(log, event)`.
fn log_event_to(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    log_one(named(argument(fcinfo, 0)), jsonb_text(fcinfo, 1)).or_raise()
}

/// `notary.log_events(events)`.
fn log_events(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    log_all(fcinfo, default_log(), jsonb_text(fcinfo, 0)).or_raise()
}

/// `notary.log_events(log, events)`.
fn log_events_to(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    log_all(fcinfo, named(argument(fcinfo, 0)), jsonb_text(fcinfo, 1)).or_raise()
}

fn log_one(log: Result<Rel, Error>, json: Option<String>) -> Result<pg_sys::Datum, Error> {
    let log = log?;
    let event = Event::read(&json.ok_or_else(|| no_event("event"))?).map_err(malformed)?;
    Ok(datum(insert(&log, event)?).unwrap_or(pg_sys::Datum::from(0)))
}

fn log_all(
    fcinfo: pg_sys::FunctionCallInfo,
    log: Result<Rel, Error>,
    json: Option<String>,
) -> Result<pg_sys::Datum, Error> {
    let log = log?;
    let mut results = Results::of(fcinfo);
    // Read before any is written; what fails on the way in takes the statement with it.
    let events = event::read_all(&json.ok_or_else(|| no_event("events"))?).map_err(malformed)?;
    for event in events {
        results.put(vec![datum(insert(&log, event)?)]);
    }
    Ok(pg_sys::Datum::from(0))
}

/// The log that `notary.default_log` names.
fn default_log() -> Result<Rel, Error> {
    let name = gucs::default_log().ok_or_else(|| Error::BadArgument {
        message: "notary.default_log is not set".into(),
        detail: "It names the event log that events without one go to.".into(),
        hint: "SET notary.default_log = 'app_audit', or name the log: SELECT notary.log_event('app_audit', …).".into(),
    })?;
    open(names::existing(&name))
}

fn named(log: Option<pg_sys::Oid>) -> Result<Rel, Error> {
    open(log.ok_or_else(|| Error::BadArgument {
        message: "log must not be NULL".into(),
        detail: "It is the event log to write to.".into(),
        hint: "SELECT notary.log_event('app_audit', …).".into(),
    })?)
}

fn open(relid: pg_sys::Oid) -> Result<Rel, Error> {
    let rel = access::open_table(relid, pg_sys::RowExclusiveLock)?;
    if event_table::is_event_log(&rel, &access::trigger_functions()?) {
        return Ok(rel);
    }
    Err(Error::NotAnEventLog { table: rel.qualified(), why: "It has no trigger ~notary_about.".into() })
}

fn no_event(name: &str) -> Error {
    Error::BadArgument {
        message: format!("{name} must not be NULL"),
        detail: "It is what is written to the log.".into(),
        hint: r#"SELECT notary.log_event('{"action": "user.login", "actor": "ann"}')."#.into(),
    }
}

fn malformed(why: EventError) -> Error {
    Error::BadArgument {
        message: match why.member.as_str() {
            "" => "the event is malformed".into(),
            member if why.what == What::Missing => format!("the event's member \"{member}\" is missing"),
            member => format!("the event's member \"{member}\" is malformed"),
        },
        detail: match why.what {
            What::Missing => "An event says at least what was done.".into(),
            what => sentence(&what.to_string()),
        },
        hint: format!("Expected: {}.", why.expected),
    }
}

/// The columns, in the order of the arguments.
const COLUMNS: &str =
    "id, occurred_at, action, actor, actor_type, actor_role, resource_type, resource_id, resource_name,
    result, ip, user_agent, session_id, request_id, trace_id, pii, pii_fields, old_value, new_value, details, tags";

fn insert(log: &Rel, event: Event) -> Result<Uuid, Error> {
    let id = Uuid::from_bytes(event.id.map_or_else(ids::fresh, Ok)?);
    // Said here, since a partitioned log wants it before any trigger fills it in.
    let at = TimestampWithTimeZone::try_from(event.occurred_at.unwrap_or_else(context::clock)).ok();
    let args: [DatumWithOid<'_>; 21] = [
        id.into(),
        at.into(),
        event.action.into(),
        event.actor.into(),
        event.actor_type.into(),
        event.actor_role.into(),
        event.resource_type.into(),
        event.resource_id.into(),
        event.resource_name.into(),
        event.result.into(),
        event.ip.into(),
        event.user_agent.into(),
        event.session_id.into(),
        event.request_id.into(),
        event.trace_id.into(),
        event.pii.into(),
        event.pii_fields.into(),
        event.old_value.into(),
        event.new_value.into(),
        event.details.into(),
        event.tags.into(),
    ];
    let sql = format!(
        "INSERT INTO {} ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::pg_catalog.inet, $12, $13, $14, $15,
             $16, $17, $18::pg_catalog.jsonb, $19::pg_catalog.jsonb, $20::pg_catalog.jsonb, $21)",
        log.qualified()
    );
    if spi::run(&sql, &args)? == 1 { Ok(id) } else { Err(event_table::swallowed(log)) }
}
