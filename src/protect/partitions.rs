//! Partitioned logs: every leaf is a segment, every partitioned table above carries the statement trigger and the
//! log's uuid. New partitions become segments in the transaction that makes or attaches them.

use super::{checks, memory, segment};
use crate::error::{Error, OrRaise as _};
use crate::log::{self, Functions, Mark};
use crate::pg::entry::entry_point;
use crate::pg::event_trigger::Call;
use crate::pg::relation::Rel;
use crate::pg::{compat, context, rewrite, spi};
use crate::tracked;
use notary_core::id::LogId;
use pgrx::pg_sys;

/// Protects a partitioned table with everything below it; the log's uuid and the number of rows adopted.
pub fn protect_tree(root: Rel, max_chains: Option<u32>, functions: &Functions) -> Result<(LogId, u64), Error> {
    let root_oid = root.oid();
    let tables = all_tables(&root);
    drop(root);
    for table in &tables {
        check_member(*table, functions)?;
    }
    let were = segment::add_columns(root_oid)?;
    let leaves = leaves_of(&tables);
    let log = match were {
        segment::ColumnsWere::Missing => None,
        segment::ColumnsWere::There => memory::log_of_tree(&leaves, functions)?,
    };
    let log = log.map_or_else(segment::new_log, Ok)?;
    let gone = memory::left(log, &leaves)?;
    if !gone.is_empty() {
        pgrx::notice!("partitions that the log had and has no more: {}; notary.notices names them", gone.join(", "));
    }
    let mut adopted = 0;
    for leaf in leaves {
        adopted += segment::protect_segment(leaf, log, max_chains, functions)?.1;
    }
    for table in tables.into_iter().filter(|t| is_partitioned(*t)) {
        mark_inner(table, log, max_chains)?;
    }
    Ok((log, adopted))
}

/// A relation and everything below it, partitioned tables too, top first, locked against everything.
pub fn all_tables(rel: &Rel) -> Vec<pg_sys::Oid> {
    if rel.is_partitioned() {
        compat::all_inheritors(rel.oid(), pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE)
    } else {
        vec![rel.oid()]
    }
}

fn check_member(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    if log::is_log(&rel, functions) {
        return Err(checks::already(&rel));
    }
    if !compat::owns_relation(relid) {
        return Err(Error::NotOwner { table: rel.qualified(), what: "protect the log that it is a partition of" });
    }
    rel.check_not_in_use(c"notary.protect");
    if rel.is_partitioned() { checks::inner_table(&rel) } else { checks::leaf(&rel) }
}

fn is_partitioned(relid: pg_sys::Oid) -> bool {
    Rel::open(relid, pg_sys::NoLock).is_partitioned()
}

fn leaves_of(tables: &[pg_sys::Oid]) -> Vec<pg_sys::Oid> {
    tables.iter().copied().filter(|t| !is_partitioned(*t)).collect()
}

fn mark_inner(relid: pg_sys::Oid, log: LogId, max_chains: Option<u32>) -> Result<(), Error> {
    let args = [format!("log={log}"), log::max_chains_argument(max_chains)].map(|a| spi::quote_literal(&a));
    segment::add_block_trigger(relid, &args.join(", "))
}

entry_point!(notary_new_partitions, pg_finfo_notary_new_partitions, new_partitions);

/// Event trigger at ddl_command_end of CREATE TABLE, ALTER TABLE, CREATE SCHEMA.
///
/// A restore makes partitions first, loads their rows, and only then makes our triggers, each enabled by an ALTER TABLE:
/// between the parent's and the partition's, a partition with rows is not a new one. The same goes for our own commands.
fn new_partitions(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    if let Some(functions) = Functions::find() {
        tracked::command_ends(&functions).or_raise();
    }
    match log::noted_partitions() {
        Some(noted) if noted.is_empty() => {}
        noted if Call::of(fcinfo).is_some_and(|call| call.may_bring_partitions()) => {
            protect_new_partitions(noted).or_raise()
        }
        _ => {}
    }
    pg_sys::Datum::from(0)
}

/// `noted`: what the guard saw being made or attached. Without it, where the guard's own event trigger is off, the
/// command is asked, which takes longer than making an ordinary table should.
fn protect_new_partitions(noted: Option<Vec<pg_sys::Oid>>) -> Result<(), Error> {
    // While the extension is being made, or is damaged, there is nothing to protect with.
    let Some(functions) = Functions::find() else {
        return Ok(());
    };
    let tables = match noted {
        Some(noted) => trees(&noted),
        None => tables_of_command()?,
    };
    let mut fresh = Vec::new();
    for relid in tables {
        let Some(rel) = Rel::try_open(relid, pg_sys::AccessShareLock) else {
            continue;
        };
        if !rel.is_partition() {
            continue;
        }
        let Some(parent) = marked_parent(&rel, &functions)? else {
            continue;
        };
        match log::mark(&rel, &functions)? {
            None => fresh.push((relid, rel.is_partitioned(), parent)),
            Some(mark) if log_of(&mark) == parent.0 => {}
            Some(_) => {
                return Err(Error::Refused {
                    attempt: "ATTACH PARTITION".into(),
                    log: rel.qualified(),
                    detail: "It is a log of its own, and would become a part of another one.".into(),
                    hint: String::new(),
                });
            }
        }
    }
    // Partitioned tables last: a segment below one is looked for by the mark above it.
    fresh.sort_by_key(|(_, partitioned, _)| *partitioned);
    if !fresh.is_empty() {
        super::journal_if_missing(pg_sys::InvalidOid, &functions)?;
    }
    for (relid, partitioned, (log, max_chains)) in fresh {
        memory::learn(log, relid, &functions)?;
        add(relid, partitioned, log, max_chains, &functions)?;
    }
    Ok(())
}

/// The tables and everything below them; what made them may have been rolled back.
fn trees(roots: &[pg_sys::Oid]) -> Vec<pg_sys::Oid> {
    let mut tables = Vec::new();
    for rel in roots.iter().filter_map(|relid| Rel::try_open(*relid, pg_sys::AccessShareLock)) {
        let below = match rel.is_partitioned() {
            true => compat::all_inheritors(rel.oid(), pg_sys::AccessShareLock as pg_sys::LOCKMODE),
            false => vec![rel.oid()],
        };
        for relid in below {
            if !tables.contains(&relid) {
                tables.push(relid);
            }
        }
    }
    tables
}

fn tables_of_command() -> Result<Vec<pg_sys::Oid>, Error> {
    let sql = "SELECT DISTINCT t.relid::oid FROM pg_catalog.pg_event_trigger_ddl_commands() AS c,
               LATERAL pg_catalog.pg_partition_tree(c.objid::regclass) AS t
               WHERE c.classid = 'pg_catalog.pg_class'::regclass AND c.object_type = 'table'";
    Ok(spi::rows(sql, &[], |row| spi::get::<pg_sys::Oid>(row, 1))?.into_iter().flatten().collect())
}

fn log_of(mark: &Mark) -> LogId {
    match mark {
        Mark::Segment(segment) => segment.log(),
        Mark::Partitioned { log, .. } => *log,
    }
}

/// The log of the partitioned tables above a partition, if they are of one.
fn marked_parent(rel: &Rel, functions: &Functions) -> Result<Option<(LogId, Option<u32>)>, Error> {
    for ancestor in compat::partition_ancestors(rel.oid()) {
        let ancestor = Rel::open(ancestor, pg_sys::AccessShareLock);
        if let Some(Mark::Partitioned { log, max_chains }) = log::mark(&ancestor, functions)? {
            return Ok(Some((log, max_chains)));
        }
    }
    Ok(None)
}

fn add(
    relid: pg_sys::Oid,
    partitioned: bool,
    log: LogId,
    max_chains: Option<u32>,
    functions: &Functions,
) -> Result<(), Error> {
    let rel = Rel::open(relid, pg_sys::AccessExclusiveLock);
    if partitioned {
        checks::inner_table(&rel)?;
        drop(rel);
        return mark_inner(relid, log, max_chains);
    }
    segment::check_leaf(relid)?;
    rewrite::read(&rel, |_, _| {
        Err(refused(
            &rel,
            "It has rows, which would enter the log unseen.",
            "Attach an empty table and INSERT the rows through the log, or unprotect the log, attach, and protect again.",
        ))
    })?;
    drop(rel);
    // The command that made the partition still holds a reference to nothing of it: the command has ended.
    context::command_counter_increment();
    segment::protect_segment(relid, log, max_chains, functions).map(|_| ())
}

fn refused(rel: &Rel, why: &str, hint: &str) -> Error {
    let root = Rel::open(log::root(rel), pg_sys::AccessShareLock);
    Error::Refused {
        attempt: format!("attaching {}", rel.qualified()),
        log: root.qualified(),
        detail: why.into(),
        hint: hint.into(),
    }
}
