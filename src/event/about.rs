//! The trigger `~notary_about` of event logs: what an INSERT leaves out comes from the context, and what only the database
//! knows from the database. It also sees to it that words from lists are from them: a CHECK constraint would be made ready anew
//! for each captured change, at several times the cost.
//!
//! Invariants:
//! * Rows that bring places in a chain with them (a restore) go by untouched: their hashes are of what they say.
//! * It runs before the trigger that chains, so that what it sets is hashed; by its name, and nothing of anybody's runs
//!   between the two.

use super::limits::Limits;
use super::{context, ids};
use crate::error::{Error, OrRaise as _};
use crate::event_table;
use crate::gucs;
use crate::pg::entry::entry_point;
use crate::pg::relation::Rel;
use crate::pg::row::NotaryColumns;
use crate::pg::trigger::{Insert, Values};
use crate::pg::{client, context as backend, inval_map::PerTable};
use pgrx::datum::IntoDatum as _;
use pgrx::pg_sys;
use std::cell::RefCell;

entry_point!(notary_about, pg_finfo_notary_about, about);

/// The columns that only the database sets, with their types.
pub const FACTS: [(&str, pg_sys::Oid); 6] = [
    ("db_user", pg_sys::TEXTOID),
    ("db_session_user", pg_sys::TEXTOID),
    ("application_name", pg_sys::TEXTOID),
    ("client_addr", pg_sys::INETOID),
    ("backend_pid", pg_sys::INT4OID),
    ("txid", pg_sys::INT8OID),
];

/// The columns that are filled in where the INSERT leaves them out; the first seven from `gucs::CONTEXT`, in its order.
const FILLED: [(&str, pg_sys::Oid); 11] = [
    ("actor", pg_sys::TEXTOID),
    ("actor_role", pg_sys::TEXTOID),
    ("ip", pg_sys::INETOID),
    ("user_agent", pg_sys::TEXTOID),
    ("session_id", pg_sys::TEXTOID),
    ("request_id", pg_sys::TEXTOID),
    ("trace_id", pg_sys::TEXTOID),
    ("id", pg_sys::UUIDOID),
    ("occurred_at", pg_sys::TIMESTAMPTZOID),
    ("result", pg_sys::TEXTOID),
    ("pii", pg_sys::BOOLOID),
];

/// The columns that take only some words, and these; an action may be any but the empty one.
const LISTED: [(&str, &[&str]); 3] = [
    ("action", &[]),
    ("actor_type", &["user", "service", "ai_agent", "system"]),
    ("result", &["success", "failure", "denied", "error"]),
];

/// Where an event log has its columns: indexes from 0.
struct Columns {
    facts: [usize; FACTS.len()],
    filled: [usize; FILLED.len()],
    listed: [usize; LISTED.len()],
    limits: Limits,
    /// Of a table that is protected.
    chain: Option<usize>,
}

thread_local! {
    static COLUMNS: PerTable<Columns> = PerTable::new();
    static BUFFER: RefCell<Values> = RefCell::default();
}

impl Columns {
    fn of(rel: &Rel) -> Result<Self, Error> {
        let columns = rel.columns();
        let find = |(name, type_oid): (&str, pg_sys::Oid)| event_table::column(rel, &columns, name, type_oid);
        let (mut facts, mut filled, mut listed) = ([0; FACTS.len()], [0; FILLED.len()], [0; LISTED.len()]);
        for (slot, (name, _)) in listed.iter_mut().zip(LISTED) {
            *slot = find((name, pg_sys::TEXTOID))?;
        }
        for (slot, column) in facts.iter_mut().zip(FACTS) {
            *slot = find(column)?;
        }
        for (slot, column) in filled.iter_mut().zip(FILLED) {
            *slot = find(column)?;
        }
        let limits = Limits::of(rel)?;
        Ok(Self { facts, filled, listed, limits, chain: NotaryColumns::of(rel).map(|columns| columns.chain) })
    }
}

/// The columns that are never NULL when this is done.
pub fn always_filled() -> impl Iterator<Item = &'static str> {
    let filled = FILLED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| matches!(*name, "id" | "occurred_at" | "result" | "pii" | "actor"));
    filled.chain(FACTS.iter().map(|(name, _)| *name).filter(|name| *name != "client_addr"))
}

fn about(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let Some(mut insert) = Insert::new(fcinfo, BUFFER.take()) else {
        Error::Installation {
            message: "notary.about() was not called as a BEFORE INSERT row trigger".into(),
            detail: "It fills in the columns of events that are being inserted into an event log.".into(),
            hint: "notary.create_log(name) makes an event log.".into(),
        }
        .raise()
    };
    let changed = fill(&insert.table(), &mut insert.row).or_raise();
    let (tuple, row) = if changed { insert.changed() } else { insert.unchanged() };
    BUFFER.set(row);
    tuple
}

/// Fills in what is left out, and what only the database knows; false: the row brings its place along and stays as it is.
pub fn fill(table: &Rel, row: &mut Values) -> Result<bool, Error> {
    let columns = COLUMNS.with(|known| known.get(table, Columns::of))?;
    if columns.chain.is_some_and(|chain| !row.nulls()[chain]) {
        return Ok(false);
    }
    let login = client::authenticated_user();
    from_context(row, &columns, &login)?;
    check_words(table, row, &columns)?;
    columns.limits.check(row).map_err(|fault| fault.of(table.qualified()))?;
    let text = |text: String| text.into_datum();
    let facts = [
        text(backend::current_user_name()),
        login.into_datum(),
        text(client::application_name()),
        client::address(),
        backend::process_id().cast_signed().into_datum(),
        client::transaction().cast_signed().into_datum(),
    ];
    for (index, fact) in columns.facts.into_iter().zip(facts) {
        row.put(index, fact);
    }
    Ok(true)
}

/// Words from lists are from them.
fn check_words(table: &Rel, row: &Values, columns: &Columns) -> Result<(), Error> {
    for (index, (name, words)) in columns.listed.iter().zip(LISTED) {
        let Some(is_empty) = row.is_text(*index, "") else { continue };
        let is_listed = || words.iter().any(|word| row.is_text(*index, word) == Some(true));
        let is_right = if words.is_empty() { !is_empty } else { is_listed() };
        if !is_right {
            return Err(Error::NotFromList { table: table.qualified(), column: name, words });
        }
    }
    Ok(())
}

/// Fills in what the INSERT leaves out; `login` is the role that logged in.
fn from_context(row: &mut Values, columns: &Columns, login: &str) -> Result<(), Error> {
    let missing = |row: &Values, index: usize| row.nulls()[columns.filled[index]];
    let mut claims = None;
    for (index, setting) in gucs::CONTEXT.iter().enumerate() {
        if !missing(row, index) {
            continue;
        }
        let said = match (setting.get(), FILLED[index].0) {
            (Some(said), _) => Some(said),
            (None, name @ ("actor" | "actor_role" | "session_id")) => {
                if claims.is_none() {
                    claims = Some(context::claims()?);
                }
                claims.as_ref().and_then(Option::as_ref).and_then(|claims| match name {
                    "actor" => claims.actor.clone(),
                    "actor_role" => claims.actor_role.clone(),
                    _ => claims.session_id.clone(),
                })
            }
            _ => None,
        };
        let value = match said {
            None if FILLED[index].0 == "actor" => login.into_datum(),
            Some(said) if FILLED[index].1 == pg_sys::INETOID => Some(address(&said)?),
            Some(said) => said.into_datum(),
            None => None,
        };
        row.put(columns.filled[index], value);
    }
    let [.., id, at, result, pii] = columns.filled;
    if row.nulls()[id] {
        row.put(id, pgrx::Uuid::from_bytes(ids::fresh()?).into_datum());
    }
    if row.nulls()[at] {
        row.set(at, pg_sys::Datum::from(backend::clock()));
    }
    if row.nulls()[result] {
        row.put(result, "success".into_datum());
    }
    if row.nulls()[pii] {
        row.put(pii, columns.limits.names_pii(row).into_datum());
    }
    Ok(())
}

fn address(text: &str) -> Result<pg_sys::Datum, Error> {
    let is_address = text.split_once('/').map_or(text, |(address, _)| address).parse::<std::net::IpAddr>().is_ok();
    let address = if is_address { pgrx::Inet(text.to_owned()).into_datum() } else { None };
    address.ok_or_else(|| Error::BadArgument {
        message: "the setting notary.ip is no address".into(),
        detail: "It is filled in as the ip of events that leave it out.".into(),
        hint: "SET LOCAL notary.ip = '203.0.113.7', one address; '' for none.".into(),
    })
}
