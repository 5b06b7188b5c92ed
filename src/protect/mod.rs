//! Making a table a log and back.
//!
//! Invariants:
//! * Whatever touches the table's rows runs as its owner in a security-restricted operation, so that no function of
//!   his (in an index, say) gets the rights of a superuser who protects his table.
//! * What is written to the catalogs runs no code of any user.
//! * A segment's header is fixed before its first row is chained, and never changes afterwards.
//! * Everything, the journal's entry included, is one transaction.

mod checks;
mod memory;
mod partitions;
mod segment;

use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::journal::{self, Action, Entry};
use crate::log::{self, Functions, Mark};
use crate::pg::relation::Rel;
use crate::pg::row::NotaryColumns;
use crate::pg::{catalog_scan, context, lock, spi};
use crate::tracked;
use notary_core::id::LogId;
use pgrx::iter::SetOfIterator;
use pgrx::{Uuid, pg_extern, pg_sys};
use serde_json::json;

#[pg_extern(sql = false)]
fn protect(log: Option<pg_sys::Oid>, max_chains: Option<i32>) -> Uuid {
    journal::must_be_writable("notary.protect()").or_raise();
    let log = protect_table(log, max_chains).or_raise();
    Uuid::from_bytes(*log.as_bytes())
}

#[pg_extern(sql = false)]
fn unprotect(log: Option<pg_sys::Oid>, reason: Option<&str>) {
    journal::must_be_writable("notary.unprotect()").or_raise();
    unprotect_table(log, reason).or_raise();
}

#[pg_extern(sql = false)]
fn forget(log: Option<Uuid>, reason: Option<&str>) {
    journal::must_be_writable("notary.forget()").or_raise();
    forget_log(log, reason).or_raise();
}

/// `notary.make_journal()`: for other parts of the crate that have something to write to it.
#[pg_extern(sql = false)]
fn make_journal() {
    access::trigger_functions().and_then(|functions| journal_if_missing(pg_sys::InvalidOid, &functions)).or_raise();
}

#[pg_extern(sql = false)]
fn header(segment: pg_sys::Oid) -> SetOfIterator<'static, String> {
    SetOfIterator::new(header_lines(segment).or_raise())
}

fn protect_table(relid: Option<pg_sys::Oid>, max_chains: Option<i32>) -> Result<LogId, Error> {
    let relid = required(relid, "log", "the table to protect")?;
    let max_chains = parse_max_chains(max_chains)?;
    let functions = access::trigger_functions()?;
    access::ownership(relid, "protect it")?;
    let rel = Rel::open(relid, pg_sys::AccessExclusiveLock);
    // Again, now that nobody can give the table away any more.
    access::ownership(relid, "protect it")?;
    rel.check_not_in_use(c"notary.protect");
    checks::log_root(&rel, &functions)?;
    ensure_journal(relid, &functions)?;
    let name = rel.qualified();
    let was_a_log = NotaryColumns::of(&rel).is_some();
    let busy = if was_a_log { 0 } else { busy_statistics(relid)? };
    let (log, adopted) = if rel.is_partitioned() {
        partitions::protect_tree(rel, max_chains, &functions)?
    } else {
        drop(rel);
        segment::protect_alone(relid, max_chains, &functions)?
    };
    announce(&name, was_a_log, adopted, busy);
    Ok(log)
}

/// Makes the journal where there is none: a log that was restored alone has come without it.
fn journal_if_missing(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if journal::exists()? { Ok(()) } else { ensure_journal(relid, functions) }
}

/// The journal is a log itself, made (or protected again) by the first protect.
fn ensure_journal(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if !journal::exists()? {
        // Of several who are first at the same time one makes it, and the others wait for him.
        lock::lock_journal();
        if !journal::exists()? {
            journal::create()?;
        }
    }
    let oid = journal_oid()?;
    let rel = Rel::open(oid, pg_sys::AccessShareLock);
    if log::is_log(&rel, functions) {
        return Ok(());
    }
    checks::journal(&rel, functions)?;
    if oid == relid {
        return Ok(());
    }
    drop(rel);
    segment::protect_alone(oid, None, functions).map(|_| ())
}

fn journal_oid() -> Result<pg_sys::Oid, Error> {
    spi::rows("SELECT 'notary.journal'::pg_catalog.regclass::pg_catalog.oid", &[], |row| {
        spi::get::<pg_sys::Oid>(row, 1)
    })?
    .into_iter()
    .flatten()
    .next()
    .ok_or_else(|| Error::Spi("notary.journal has no OID".into()))
}

/// Updates and deletes that the statistics counted so far.
fn busy_statistics(relid: pg_sys::Oid) -> Result<i64, Error> {
    let sql = "SELECT pg_catalog.sum(pg_catalog.pg_stat_get_tuples_updated(t) + pg_catalog.pg_stat_get_tuples_deleted(t))::int8
               FROM (SELECT $1 AS t UNION SELECT relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.regclass)) AS tables";
    Ok(spi::rows(sql, &[relid.into()], |row| spi::get::<i64>(row, 1))?.into_iter().flatten().next().unwrap_or(0))
}

/// `busy`: changes that the table's statistics know of. A table that was a log before was changed when it was not.
fn announce(name: &str, was_a_log: bool, adopted: u64, busy: i64) {
    let which = if was_a_log { "next" } else { "first" };
    let rows = match adopted {
        0 => String::new(),
        1 => format!("; 1 row that was there is its {which} entry"),
        n => format!("; {n} rows that were there are its {which} entries"),
    };
    pgrx::notice!("{name} is now append-only: UPDATE, DELETE and TRUNCATE are refused{rows}");
    if busy > 0 {
        pgrx::pg_sys::panic::ErrorReport::new(
            pgrx::PgSqlErrorCode::ERRCODE_WARNING,
            format!("rows of {name} have been updated or deleted: {busy} by its statistics"),
            "pg_notary",
        )
        .set_hint(format!(
            "Such statements are refused from now on. If the application needs them, run SELECT \
             notary.unprotect('{name}', 'why') and keep a log of the table's changes beside it."
        ))
        .report(pgrx::PgLogLevel::WARNING);
    }
}

fn unprotect_table(relid: Option<pg_sys::Oid>, reason: Option<&str>) -> Result<(), Error> {
    let relid = required(relid, "log", "the log")?;
    let reason =
        journal::reason_given(reason, "notary.unprotect('app_audit', 'ticket 4711: correct a column''s type')")?;
    let functions = access::trigger_functions()?;
    access::ownership(relid, "unprotect it")?;
    let rel = Rel::open(relid, pg_sys::AccessExclusiveLock);
    access::ownership(relid, "unprotect it")?;
    rel.check_not_in_use(c"notary.unprotect");
    access::is_root_of_log(&rel, &functions)?;
    let name = rel.qualified();
    let leaves = log::leaves(&rel, pg_sys::AccessExclusiveLock);
    let tables = partitions::all_tables(&rel);
    drop(rel);
    journal_comes_last(relid, &functions)?;
    journal_if_missing(relid, &functions)?;
    let log = leaves.first().map_or(Ok(None), |leaf| log_of(*leaf, &functions))?.or(log_of(relid, &functions)?);
    let log = log.map_or_else(|| memory::log_of_table(relid), |log| Ok(Some(log)))?;
    // Rows may go from now on; what was sealed of them is kept.
    let keep = "SELECT notary.keep_leaves($1::pg_catalog.regclass)";
    context::as_superuser(|| spi::run(keep, &[relid.into()]))?;
    let states = memory::state_of(relid, log, &leaves, &functions)?;
    let findings = states.first().and_then(|state| state["findings"].as_u64()).unwrap_or(0);
    for leaf in &leaves {
        memory::remember_ended(*leaf, &functions)?;
    }
    if let Some(log) = log {
        memory::remember_ended_elsewhere(log)?;
    }
    let tracked = log.map_or(Ok(Vec::new()), |log| tracked_into(log, &functions))?;
    for mut details in states {
        if !tracked.is_empty() {
            details["tracked"] = json!(tracked);
        }
        journal::write(&Entry {
            action: Action::Unprotect,
            log,
            segment: None,
            relation: Some(&name),
            reason: Some(reason),
            details,
        })?;
    }
    for table in tables {
        segment::drop_triggers(table, &functions)?;
    }
    pgrx::notice!("{name} is no longer protected; its notary_* columns and their values stay");
    if !tracked.is_empty() {
        pgrx::warning!(
            "changes of {} go on being recorded in {name}, where they can be changed now: protect it again, or end that with \
             notary.untrack",
            tracked.join(", ")
        );
    }
    if findings > 0 {
        pgrx::warning!(
            "{name} was not intact: {findings} finding(s) were written to notary.journal; what was changed or is missing stays \
             a finding, and rows without a place are adopted when it is protected again"
        );
    }
    Ok(())
}

/// The names of the tables whose changes are recorded in a log. None is locked: one that is being emptied waits for the log.
fn tracked_into(log: LogId, functions: &Functions) -> Result<Vec<String>, Error> {
    Ok(tracked::into(log, functions)?.into_iter().map(catalog_scan::qualified).collect())
}

/// The journal is protected for as long as any other log is: their unprotection must be written to it.
fn journal_comes_last(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if !is_journal(relid, functions)? {
        return Ok(());
    }
    let sql = "SELECT FROM pg_catalog.pg_trigger WHERE tgfoid IN ($1, $2) AND tgrelid <> $3 LIMIT 1";
    let args = [functions.append.into(), functions.refuse.into(), relid.into()];
    if spi::rows(sql, &args, |_| Ok(()))?.is_empty() {
        return match tracked::tables(functions)?.is_empty() {
            true => Ok(()),
            false => Err(Error::Installation {
                message: "notary.journal cannot be unprotected while there are tracked tables".into(),
                detail: "What is done to their tracking must be written to it.".into(),
                hint: "Untrack them first: SELECT notary.untrack(\"table\", 'why') FROM notary.tracked".into(),
            }),
        };
    }
    Err(Error::Installation {
        message: "notary.journal cannot be unprotected while there are other logs".into(),
        detail: "What is done to them must be written to it.".into(),
        hint: "Unprotect them first: SELECT notary.unprotect(log, 'why') FROM notary.logs WHERE log <> \
               'notary.journal'::regclass"
            .into(),
    })
}

/// Is it the journal, by its name or by its header? Somebody may have renamed it round the guard.
fn is_journal(relid: pg_sys::Oid, functions: &Functions) -> Result<bool, Error> {
    let by_header = match log::mark(&Rel::open(relid, pg_sys::NoLock), functions) {
        Ok(Some(Mark::Segment(segment))) => journal::is_header(segment.current()),
        _ => false,
    };
    Ok(by_header || (journal::exists()? && journal_oid()? == relid))
}

fn log_of(relid: pg_sys::Oid, functions: &Functions) -> Result<Option<LogId>, Error> {
    // A damaged mark must not stand in the way of unprotect: it is the way to repair it.
    Ok(match log::mark(&Rel::open(relid, pg_sys::NoLock), functions) {
        Ok(Some(Mark::Segment(segment))) => Some(segment.log()),
        Ok(Some(Mark::Partitioned { log, .. })) => Some(log),
        Ok(None) | Err(_) => None,
    })
}

fn forget_log(log: Option<Uuid>, reason: Option<&str>) -> Result<(), Error> {
    let log = required(log, "log", "the log's uuid")?;
    let example = format!("notary.forget('{log}', 'ticket 4711: dropped, its export is in the archive')");
    let reason = journal::reason_given(reason, &example)?;
    let id = LogId::from_bytes(*log.as_bytes());
    let functions = access::trigger_functions()?;
    journal_if_missing(pg_sys::InvalidOid, &functions)?;
    if let Some(table) = memory::table_with(id, &functions)? {
        return Err(Error::Refused {
            attempt: "forgetting".into(),
            log: table,
            detail: "Only a log that is gone can be forgotten, and this one is still in this database.".into(),
            hint: "Leave it as it is: it goes on being checked.".into(),
        });
    }
    let Some(name) = memory::name_of(id)? else {
        return Err(Error::BadArgument {
            message: format!("no log {id} is known in this database"),
            detail: "Neither notary.journal nor the extension's memory names it.".into(),
            hint: "SELECT DISTINCT log, relation FROM notary.journal shows the logs that are known.".into(),
        });
    };
    memory::end(id)?;
    journal::write(&Entry {
        action: Action::Forget,
        log: Some(id),
        segment: None,
        relation: Some(&name),
        reason: Some(reason),
        details: json!({ "last_segment": memory::next_number(id)? - 1 }),
    })
}

fn header_lines(relid: pg_sys::Oid) -> Result<Vec<String>, Error> {
    let functions = access::trigger_functions()?;
    let rel = Rel::open(relid, pg_sys::AccessShareLock);
    access::may_select(&rel)?;
    if log::mark(&rel, &functions)?.is_none() {
        return Err(Error::NotALog { table: rel.qualified() });
    }
    let mut headers = Vec::new();
    for leaf in log::leaves(&rel, pg_sys::AccessShareLock) {
        if let Some(Mark::Segment(segment)) = log::mark(&Rel::open(leaf, pg_sys::AccessShareLock), &functions)? {
            headers.extend(segment.headers);
        }
    }
    headers.sort_by_key(|h| h.segment);
    Ok(headers.iter().map(notary_core::header::Header::line).collect())
}

fn required<T>(value: Option<T>, name: &str, what: &str) -> Result<T, Error> {
    value.ok_or_else(|| Error::BadArgument {
        message: format!("{name} must not be NULL"),
        detail: format!("It is {what}."),
        hint: format!("Name {what}."),
    })
}

fn parse_max_chains(max_chains: Option<i32>) -> Result<Option<u32>, Error> {
    match max_chains {
        None => Ok(None),
        Some(n) => match u32::try_from(n).ok().filter(|n| (1..=notary_core::chain::MAX_CHAIN).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(Error::BadArgument {
                message: format!("max_chains is {n}"),
                detail: format!("It must be NULL (no limit) or between 1 and {}.", notary_core::chain::MAX_CHAIN),
                hint: "Leave it out, unless all entries must stand in one strict order: then 1.".into(),
            }),
        },
    }
}

/// Runs SQL of ours on a table as the superuser who always exists: catalog changes that call no user's code.
fn as_superuser(sql: &str) -> Result<(), Error> {
    context::as_superuser(|| context::with_plain_storage(|| spi::run(sql, &[]))).map(|_| ())
}
