//! The trigger `!notary_track`: a changed row becomes an event.

use super::event::{Event, Target};
use super::plan::{Column, Plan, damaged};
use crate::error::{Error, OrRaise as _};
use crate::pg::change::{Change, Deed, Row};
use crate::pg::context;
use crate::pg::entry::entry_point;
use crate::pg::inval_map::PerTable;
use crate::pg::json;
use crate::pg::relation::Rel;
use crate::pg::types::PinnedSettings;
use crate::tracked;
use notary_core::{Digest, line};
use pgrx::datum::IntoDatum as _;
use pgrx::pg_sys;
use std::ops::Range;

entry_point!(notary_capture, pg_finfo_notary_capture, capture);

thread_local! {
    static PLANS: PerTable<Plan> = PerTable::new();
}

fn capture(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let Some(change) = Change::of(fcinfo) else {
        Error::Installation {
            message: "notary.capture() was not called as an AFTER trigger".into(),
            detail: "It makes events of what happens to a tracked table.".into(),
            hint: "SELECT notary.track(table, log) makes the triggers.".into(),
        }
        .raise()
    };
    if change.deed != Deed::Insert || !tracked::is_loading().or_raise() {
        record(&change).or_raise();
    }
    Change::done()
}

fn record(change: &Change) -> Result<(), Error> {
    let table = change.table();
    let plan = PLANS.with(|plans| plans.get(&table, |table| Plan::of(table, &change.args())))?;
    let (old, new) = (change.before(), change.after());
    let columns: Vec<&Column> = match (&old, &new) {
        (Some(old), Some(new)) => {
            let changed: Vec<_> =
                plan.columns.iter().filter(|c| old.differs(new, c.index, c.by_value, c.length)).collect();
            if changed.is_empty() {
                return Ok(());
            }
            if plan.full_rows { plan.columns.iter().collect() } else { changed }
        }
        _ => plan.columns.iter().collect(),
    };
    let _pins = plan.pinned.then(PinnedSettings::pin);
    let write = || {
        let values = |row: &Option<Row>| row.as_ref().map(|row| object(&plan, &columns, row)).transpose();
        let id = old.as_ref().or(new.as_ref()).map(|row| key(&plan, row)).transpose()?;
        Ok::<_, Error>((values(&old)?, values(&new)?, id.flatten()))
    };
    let (old_value, new_value, resource_id) =
        if plan.plain_texts { context::with_plain_texts(write)? } else { write()? };
    // jsonb would refuse it in words that say nothing of the log.
    if [&old_value, &new_value].into_iter().flatten().map(|object| object.text.len()).sum::<usize>() > line::MAX_LINE {
        return Err(Error::ChangeTooLong { table: table.qualified() });
    }
    let deed = match change.deed {
        Deed::Insert => "insert",
        Deed::Update => "update",
        Deed::Delete => "delete",
        Deed::Truncate => "truncate",
    };
    let pii: Vec<String> = columns
        .iter()
        .filter(|column| column.is_pii && change.deed != Deed::Truncate)
        .map(|column| column.name.clone())
        .collect();
    let log = Rel::try_open(plan.log, pg_sys::RowExclusiveLock)
        .ok_or_else(|| damaged(&table, "The log that its events go to is not in this database."))?;
    let resource_type = plan.resource_type(&table);
    let mut event = Event::new(Target::of(&log)?);
    event.put("action", format!("{resource_type}.{deed}").into_datum());
    event.put("resource_type", resource_type.into_datum());
    event.put("resource_id", resource_id.into_datum());
    if change.deed == Deed::Truncate {
        // Not all of the partitioned table was emptied.
        event.put("resource_name", plan.partition(&table).into_datum());
    }
    event.put("pii", (!pii.is_empty()).into_datum());
    event.put("pii_fields", if pii.is_empty() { None } else { pii.into_datum() });
    event.put("old_value", old_value.and_then(|object| object.to_datum()));
    event.put("new_value", new_value.and_then(|object| object.to_datum()));
    event.insert(&log)
}

/// A row's values as JSON: `{"column": value, …}`
struct Object<'p> {
    text: Vec<u8>,
    /// Each column's name, and where its value stands in the text.
    members: Vec<(&'p str, Range<usize>)>,
}

impl Object<'_> {
    /// As a jsonb.
    fn to_datum(&self) -> Option<pg_sys::Datum> {
        let members = self.members.iter().map(|(name, at)| (name.as_bytes(), &self.text[at.clone()]));
        json::to_datum(&self.text, members)
    }
}

fn object<'p>(plan: &Plan, columns: &[&'p Column], row: &Row) -> Result<Object<'p>, Error> {
    let mut text = vec![b'{'];
    let mut members = Vec::with_capacity(columns.len());
    for column in columns {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(&column.key);
        let start = text.len();
        value(plan, column, row, &mut text)?;
        members.push((column.name.as_str(), start..text.len()));
    }
    text.push(b'}');
    Ok(Object { text, members })
}

fn value(plan: &Plan, column: &Column, row: &Row, out: &mut Vec<u8>) -> Result<(), Error> {
    match &plan.hash {
        Some(key) if column.is_pii && !row.nulls[column.index] => {
            let mut plain = zeroize::Zeroizing::new(Vec::new());
            column.write(row, &mut plain)?;
            key.hash(&plain, out);
            Ok(())
        }
        _ => column.write(row, out),
    }
}

/// The primary key as text: of one column its value, of several a JSON array.
fn key(plan: &Plan, row: &Row) -> Result<Option<String>, Error> {
    let mut parts = Vec::new();
    for index in &plan.key {
        let Some(column) = plan.columns.get(*index) else { return Ok(None) };
        let mut part = Vec::new();
        value(plan, column, row, &mut part)?;
        parts.push(part);
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| Error::NotUtf8);
    let key = match parts.len() {
        0 => return Ok(None),
        1 => {
            let json = text(parts.remove(0))?;
            // A string stands for itself.
            match json.starts_with('"') {
                true => serde_json::from_str::<String>(&json).unwrap_or(json),
                false => json,
            }
        }
        _ => format!("[{}]", text(parts.join(&b", "[..]))?),
    };
    if key.len() <= MAX_KEY {
        return Ok(Some(key));
    }
    Ok(Some(format!("sha256:{}", Digest::of(key.as_bytes()))))
}

/// The log is indexed by it, and an index takes no more than a third of a page: a longer key is told by its hash.
const MAX_KEY: usize = 1000;
