//! `notary.track`, `notary.untrack`, `notary.forget_tracked`: the triggers of a tracked table, and what the journal says of them.

use super::pii::Key;
use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::event_table;
use crate::journal::{self, Action, Entry};
use crate::log::{self, Functions};
use crate::pg::relation::Rel;
use crate::pg::{context, index, spi};
use crate::told::{self, Told};
use crate::tracked::{self, Arguments, log_table};
use notary_core::id::LogId;
use pgrx::datum::Array;
use pgrx::{pg_extern, pg_sys};
use serde_json::json;
use std::ffi::CStr;

/// `notary.track(table, log, pii, exclude, full_rows)`.
#[pg_extern(sql = false)]
fn track(
    table: Option<pg_sys::Oid>,
    log: Option<pg_sys::Oid>,
    pii: Option<Array<'_, &CStr>>,
    exclude: Option<Array<'_, &CStr>>,
    full_rows: Option<bool>,
) {
    journal::must_be_writable("notary.track()").or_raise();
    let (pii, exclude) = (names("pii", pii).or_raise(), names("exclude", exclude).or_raise());
    let full_rows = required(full_rows, "full_rows", "Leave it out, or say true or false.").or_raise();
    begin(table, log, pii, exclude, full_rows).or_raise();
}

/// `notary.untrack(table, reason)`.
#[pg_extern(sql = false)]
fn untrack(table: Option<pg_sys::Oid>, reason: Option<&str>) {
    journal::must_be_writable("notary.untrack()").or_raise();
    end(table, reason).or_raise();
}

/// `notary.forget_tracked(relation, reason)`.
#[pg_extern(sql = false)]
fn forget_tracked(relation: Option<&str>, reason: Option<&str>) {
    journal::must_be_writable("notary.forget_tracked()").or_raise();
    forget(relation, reason).or_raise();
}

/// The columns that an argument names. A list that came out NULL, or has one in it, is a mistake, and to take it for an empty one
/// would tell what was to be kept out.
fn names(argument: &str, names: Option<Array<'_, &CStr>>) -> Result<Vec<String>, Error> {
    let given = required(names, argument, "Leave it out, or give '{}', where there are no such columns.")?;
    let bad = |message: String, hint: &str| Error::BadArgument { message, detail: String::new(), hint: hint.into() };
    let mut names = Vec::new();
    for name in given.iter() {
        let name = name.ok_or_else(|| bad(format!("{argument} must not have a NULL in it"), "Name each column."))?;
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(bad(format!("column \"{}\" is named twice in {argument}", pair[0]), "Name it once.")),
        None => Ok(names),
    }
}

fn required<T>(value: Option<T>, name: &str, hint: &str) -> Result<T, Error> {
    value.ok_or_else(|| Error::BadArgument {
        message: format!("{name} must not be NULL"),
        detail: String::new(),
        hint: hint.into(),
    })
}

fn begin(
    table: Option<pg_sys::Oid>,
    log: Option<pg_sys::Oid>,
    pii: Vec<String>,
    exclude: Vec<String>,
    full_rows: bool,
) -> Result<(), Error> {
    let call = "SELECT notary.track('customers', 'app_audit');";
    let (relid, log) = (required(table, "table", call)?, required(log, "log", call)?);
    let functions = access::trigger_functions()?;
    access::ownership(relid, "track it")?;
    // The lock of CREATE TRIGGER: no row changes meanwhile.
    let rel = Rel::open(relid, pg_sys::ShareRowExclusiveLock);
    access::ownership(relid, "track it")?;
    may_be_tracked(&rel, &functions)?;
    check_columns(&rel, &pii, &exclude)?;
    let target = access::open_table(log, pg_sys::AccessShareLock)?;
    let log = event_log(&target, &functions)?;
    if !context::may_insert(target.oid()) {
        return Err(Error::NoInsert { table: target.qualified() });
    }
    // What is excluded can become PII: see `tracked::column_dropped`.
    if !pii.is_empty() || !exclude.is_empty() {
        Key::make()?;
    }
    let arguments = Arguments { log, pii, exclude, full_rows };
    let (name, into) = (rel.qualified(), target.qualified());
    let key = without_key(&rel, &arguments.exclude);
    let columns: Vec<_> = rel.columns().into_iter().map(|column| (column.number, column.name)).collect();
    let tables = tracked::tree(&rel, pg_sys::ShareRowExclusiveLock);
    drop(rel);
    for table in tables {
        tracked::make_triggers(table, &arguments, &functions)?;
    }
    context::as_superuser(|| spi::run("SELECT notary.make_journal()", &[]))?;
    journal::write(&Entry {
        action: Action::Track,
        log: Some(log),
        segment: None,
        relation: Some(&name),
        reason: None,
        details: json!({
            "table_oid": relid.to_u32(),
            "into": into,
            "pii": arguments.pii,
            "exclude": arguments.exclude,
            "full_rows": full_rows,
            "numbers": arguments.numbers(&columns),
        }),
    })?;
    pgrx::notice!("changes of {name} are now recorded in {into}{key}");
    Ok(())
}

fn may_be_tracked(rel: &Rel, functions: &Functions) -> Result<(), Error> {
    let cannot =
        |why: &str, hint: &str| Err(Error::CannotTrack { table: rel.qualified(), why: why.into(), hint: hint.into() });
    if let Some((why, hint)) = tracked::unfit(rel)? {
        return cannot(why, hint);
    }
    if log::is_log(rel, functions) || event_table::is_event_log(rel, functions) {
        return cannot("It is a log: its entries never change.", "");
    }
    if rel.schema() == "notary" || rel.oid().to_u32() < pg_sys::FirstNormalObjectId {
        return cannot("It belongs to PostgreSQL or to pg_notary.", "");
    }
    if !tracked::triggers(rel, functions).is_empty() {
        return cannot(
            "It is tracked already.",
            "SELECT * FROM notary.tracked shows how; notary.untrack(table, reason) ends it, so that it can begin otherwise.",
        );
    }
    if rel.is_partition() {
        return cannot("It is a partition.", "Track the partitioned table.");
    }
    for partition in tracked::tree(rel, pg_sys::AccessShareLock) {
        let partition = Rel::open(partition, pg_sys::NoLock);
        if let Some((why, hint)) = tracked::unfit(&partition)? {
            return cannot(&format!("Of its partition {}: {why}", partition.qualified()), hint);
        }
    }
    Ok(())
}

/// Why events do not name the row, for the notice; empty where they do.
fn without_key(rel: &Rel, exclude: &[String]) -> String {
    let key = index::primary_key(rel);
    if key.is_empty() {
        return "; it has no primary key, so that events do not name the row".into();
    }
    let columns = rel.columns();
    match columns.iter().find(|column| key.contains(&column.number) && exclude.contains(&column.name)) {
        Some(column) => {
            format!("; \"{}\" of its primary key is excluded, so that events do not name the row", column.name)
        }
        None => String::new(),
    }
}

fn check_columns(rel: &Rel, pii: &[String], exclude: &[String]) -> Result<(), Error> {
    let columns = rel.columns();
    for name in pii.iter().chain(exclude) {
        if !columns.iter().any(|column| column.name == *name) {
            return Err(Error::NoColumn { table: rel.qualified(), column: name.clone() });
        }
    }
    for partition in tracked::tree(rel, pg_sys::AccessShareLock) {
        let partition = Rel::open(partition, pg_sys::NoLock);
        for (column, from) in tracked::generated(&partition)? {
            let source = from.iter().find(|from| pii.contains(from) || exclude.contains(from));
            if let Some(source) = source.filter(|_| !pii.contains(&column) && !exclude.contains(&column)) {
                return Err(Error::CannotTrack {
                    table: partition.qualified(),
                    why: format!(
                        "Column \"{column}\" is generated from \"{source}\", which is to be kept out of the log."
                    ),
                    hint: format!("Name \"{column}\" as pii too, or exclude it."),
                });
            }
        }
    }
    match pii.iter().find(|name| exclude.contains(name)) {
        None => Ok(()),
        Some(both) => Err(Error::BadArgument {
            message: format!("column \"{both}\" is named as PII and excluded"),
            detail: "What is excluded does not appear in events at all.".into(),
            hint: "Name it once.".into(),
        }),
    }
}

fn event_log(target: &Rel, functions: &Functions) -> Result<LogId, Error> {
    let not = |why: &str| Error::NotAnEventLog { table: target.qualified(), why: why.into() };
    if !event_table::is_event_log(target, functions) {
        return Err(not("It has no trigger ~notary_about."));
    }
    access::is_root_of_log(target, functions)?;
    let id = log::id(target, functions)?.ok_or_else(|| not("Its triggers do not say which log it is."))?;
    match log_table(id)? {
        Some(table) if table == target.oid() => Ok(id),
        _ => Err(not("Another table carries the same log.")),
    }
}

fn end(table: Option<pg_sys::Oid>, reason: Option<&str>) -> Result<(), Error> {
    let relid = required(table, "table", "SELECT notary.untrack('customers', 'why');")?;
    let reason = journal::reason_given(reason, "notary.untrack('customers', 'the table moves to another system')")?;
    let functions = access::trigger_functions()?;
    access::ownership(relid, "untrack it")?;
    let rel = Rel::open(relid, pg_sys::AccessExclusiveLock);
    access::ownership(relid, "untrack it")?;
    let name = rel.qualified();
    if rel.is_partition() {
        let root = Rel::open(log::root(&rel), pg_sys::NoLock).qualified();
        return Err(Error::IsPartition { table: name, root });
    }
    let mut arguments = None;
    let tables = tracked::tree(&rel, pg_sys::AccessExclusiveLock);
    drop(rel);
    let _permits: Vec<_> = tables.iter().map(|table| log::permit(*table)).collect();
    let mut dropped = 0;
    for table in &tables {
        let rel = Rel::open(*table, pg_sys::NoLock);
        let (qualified, triggers) = (rel.qualified(), tracked::triggers(&rel, &functions));
        drop(rel);
        // Clones go with their original: somebody may have made one round the guard.
        for trigger in triggers.into_iter().filter(|trigger| !trigger.cloned) {
            arguments = arguments.or_else(|| Arguments::parse(&trigger.args));
            let sql = format!("DROP TRIGGER {} ON {qualified}", spi::quote_ident(&trigger.name));
            context::as_superuser(|| spi::run(&sql, &[]))?;
            dropped += 1;
        }
    }
    // What the journal says is tracked ends by an entry of it, also where the triggers were taken away round the guard. What it
    // says of another database's table is of this one if it has its name: of several the last, since the others got another.
    let told = told::tracked()?.into_iter().rev().find(|told| told.here && told.table == relid);
    let told = match told {
        None => told::tracked()?.into_iter().rev().find(|told| !told.here && told.relation == name),
        here => here,
    };
    if dropped == 0 && told.is_none() {
        return Err(Error::NotTracked { table: name });
    }
    let log = arguments.map(|arguments| arguments.log).or(told.as_ref().and_then(|told| told.log));
    write_end(&name, relid, told.as_ref(), log, reason)?;
    let gone = if dropped == 0 { "; its triggers were gone already" } else { "" };
    pgrx::notice!("changes of {name} are no longer recorded{gone}");
    Ok(())
}

/// `told`: what the entry ends, so that it ends no other table's of the same name.
fn write_end(
    relation: &str,
    table: pg_sys::Oid,
    told: Option<&Told>,
    log: Option<LogId>,
    reason: &str,
) -> Result<(), Error> {
    let ends = told.map(|told| json!({ "home": told.home, "table_oid": told.table.to_u32() }));
    // A table that was restored alone has come without it.
    context::as_superuser(|| spi::run("SELECT notary.make_journal()", &[]))?;
    journal::write(&Entry {
        action: Action::Untrack,
        log,
        segment: None,
        relation: Some(relation),
        reason: Some(reason),
        details: json!({ "table_oid": table.to_u32(), "ends": ends.unwrap_or_else(|| json!({})) }),
    })
}

/// Ends the tracking of tables that are gone, so that they are not missed any more.
fn forget(relation: Option<&str>, reason: Option<&str>) -> Result<(), Error> {
    let relation = required(relation, "relation", "SELECT notary.forget_tracked('public.customers', 'why');")?;
    let reason = journal::reason_given(reason, "notary.forget_tracked('public.customers', 'ticket 4711: dropped')")?;
    let told: Vec<_> = told::tracked()?.into_iter().filter(|told| told.relation == relation).collect();
    let gone = |told: &Told| !told.here || Rel::try_open(told.table, pg_sys::AccessShareLock).is_none();
    let (gone, there): (Vec<_>, Vec<_>) = told.into_iter().partition(gone);
    match (gone.is_empty(), there.first()) {
        (false, _) => {}
        (true, None) => {
            return Err(Error::BadArgument {
                message: format!("notary.journal does not say that {relation} is tracked"),
                detail: "Names are as it has them: schema.table, quoted where needed.".into(),
                hint: "SELECT DISTINCT relation FROM notary.journal WHERE action = 'track' shows them.".into(),
            });
        }
        (true, Some(told)) => {
            let table = Rel::open(told.table, pg_sys::AccessShareLock).qualified();
            return Err(Error::Tracked {
                attempt: "forgetting".into(),
                table,
                detail: "Only a table that is gone can be forgotten, and this one is still in this database.".into(),
                hint: String::new(),
            });
        }
    }
    for told in gone {
        write_end(&told.relation, told.table, Some(&told), told.log, reason)?;
    }
    pgrx::notice!("{relation}, which is gone, is not missed any more");
    Ok(())
}
