//! An event that is put together from a change, and the way into its log.
//!
//! Invariants:
//! * The row is the one that an INSERT of the same values would have left, with all that triggers, defaults and constraints of
//!   the log's owner do to it: where there are any, it goes by way of the executor (`pg::insert`).
//! * The short way (`pg::direct`) does what the log's own two triggers do, by the same code.

use crate::append;
use crate::error::Error;
use crate::event::{self, about};
use crate::event_table::{self, column};
use crate::log;
use crate::pg::direct::{Direct, Known};
use crate::pg::inval_map::PerTable;
use crate::pg::relation::{Column, Rel};
use crate::pg::row::NotaryColumns;
use crate::pg::trigger::Values;
use crate::pg::{context, insert};
use crate::{access, journal};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::rc::Rc;

/// What a change says, with its types.
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
    static BUFFER: RefCell<Values> = RefCell::default();
}

/// An event log that events are put into.
pub struct Target {
    /// Indexes from 0, in the order of COLUMNS.
    at: [usize; COLUMNS.len()],
    width: usize,
    /// None: by way of the executor.
    short: Option<Short>,
}

/// The short way into a log.
struct Short {
    direct: Direct,
    /// What its words are made of, in the order of `event::words::ARGUMENTS`.
    words: [usize; 9],
}

/// An event that is being put together.
pub struct Event {
    target: Rc<Target>,
    row: Values,
}

impl Target {
    /// What is known of this table; an error where it lacks a column.
    pub fn of(log: &Rel) -> Result<Rc<Self>, Error> {
        TARGETS.with(|targets| targets.get(log, Self::look_up))
    }

    fn look_up(log: &Rel) -> Result<Self, Error> {
        let columns = log.columns();
        let mut at = [0; COLUMNS.len()];
        for (slot, (name, type_oid)) in at.iter_mut().zip(COLUMNS) {
            *slot = column(log, &columns, name, type_oid)?;
        }
        Ok(Self { at, width: log.attribute_count(), short: Short::into(log)? })
    }
}

impl Short {
    fn into(log: &Rel) -> Result<Option<Self>, Error> {
        let functions = access::trigger_functions()?;
        let columns = log.columns();
        let find = |name: &str| columns.iter().find(|c| c.name == name).map(Column::index);
        let words: Option<Vec<usize>> = event::words::ARGUMENTS.iter().map(|name| find(name)).collect();
        let words = words.and_then(|words| <[usize; 9]>::try_from(words).ok());
        let (Some(words), Some(places)) = (words, NotaryColumns::of(log)) else { return Ok(None) };
        let Some(function) = event::words::function()? else { return Ok(None) };
        let mut filled: Vec<usize> = about::always_filled().filter_map(find).chain(places.all()).collect();
        filled.extend(["occurred_at", "action", "resource_type"].into_iter().filter_map(find));
        let mut others = columns.iter().filter(|column| !filled.contains(&column.index()));
        // What nobody gives a value here would be given one by its default, or be refused.
        if others.any(|column| column.has_default || column.not_null) || journal::is_table(log.oid()) {
            return Ok(None);
        }
        let known = Known { function, arguments: words.to_vec() };
        Ok(Direct::of(log, &[functions.about, functions.append], &known).map(|direct| Self { direct, words }))
    }

    fn insert(&self, log: &Rel, row: &mut Values) -> Result<(), Error> {
        about::fill(log, row)?;
        let entry = append::Entry::of(log, || append_arguments(log), row)?;
        let words = |row: &Values| {
            let [action, actor, kind, id, name, old, new, details, _tags] = self.words;
            let texts = [action, actor, kind, id, name].map(|index| row.text(index).unwrap_or_default());
            let [action, actor, kind, id, name] = texts.each_ref().map(String::as_str);
            let json = |index: usize| std::str::from_utf8(entry.said(index)).unwrap_or_default();
            // A change has no tags.
            event::words::of_event([action, actor, kind, id, name, json(old), json(new), json(details)], []).0
        };
        self.direct.insert(log, row, words);
        entry.stored();
        Ok(())
    }
}

fn append_arguments(log: &Rel) -> Vec<Vec<u8>> {
    log.triggers().into_iter().find(|trigger| trigger.name == log::APPEND_TRIGGER).map_or_else(Vec::new, |t| t.args)
}

impl Event {
    /// One of now, with nothing else said.
    pub fn new(target: Rc<Target>) -> Self {
        let mut row = BUFFER.take();
        row.clear(target.width);
        let mut event = Self { target, row };
        // Also what a partitioned log may be divided by, before any trigger fills it in.
        event.put("occurred_at", Some(pg_sys::Datum::from(context::clock())));
        event
    }

    /// Says something: the name is one of COLUMNS, the value of its type.
    pub fn put(&mut self, name: &str, value: Option<pg_sys::Datum>) {
        let Some(column) = COLUMNS.iter().position(|(known, _)| *known == name) else { return };
        if let (Some(at), Some(value)) = (self.target.at.get(column), value) {
            self.row.set(*at, value);
        }
    }

    /// Puts it into the log, which is open with RowExclusiveLock.
    pub fn insert(mut self, log: &Rel) -> Result<(), Error> {
        // As many values as the table has attributes, of the types that were looked up.
        let is_stored = match &self.target.short {
            Some(short) => short.insert(log, &mut self.row).map(|()| true)?,
            None => insert::insert(log, &self.row),
        };
        BUFFER.set(self.row);
        if is_stored { Ok(()) } else { Err(event_table::swallowed(log)) }
    }
}
