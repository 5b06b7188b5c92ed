//! One table becomes a segment: columns, adopted rows, constraint, triggers, memory, journal.

use super::{as_superuser, checks, memory};
use crate::access;
use crate::error::Error;
use crate::event_table;
use crate::journal::{self, Action, Entry};
use crate::log::{self, Functions, Segment};
use crate::pg::relation::{self, Rel};
use crate::pg::row::{NOTARY_COLUMNS, NotaryColumns, RowWriter};
use crate::pg::{context, index, lock, rewrite, spi};
use notary_core::chain::MAX_CHAIN;
use notary_core::digest::Digest;
use notary_core::header::Header;
use notary_core::id::LogId;
use notary_core::line::{self, Place};
use pgrx::pg_sys;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Protects a table that is a whole log; its uuid and the number of rows adopted.
pub fn protect_alone(
    relid: pg_sys::Oid,
    max_chains: Option<u32>,
    functions: &Functions,
) -> Result<(LogId, u64), Error> {
    let columns = add_columns(relid)?;
    if columns == ColumnsWere::Missing {
        return protect_segment(relid, new_log()?, max_chains, functions);
    }
    let log = match memory::log_of_table(relid)? {
        Some(log) if memory::table_with(log, functions)?.is_none() => log,
        _ => new_log()?,
    };
    protect_segment(relid, log, max_chains, functions)
}

/// Protects a table that has the notary_* columns as a segment of `log`.
pub fn protect_segment(
    relid: pg_sys::Oid,
    log: LogId,
    max_chains: Option<u32>,
    functions: &Functions,
) -> Result<(LogId, u64), Error> {
    lock::lock_log_numbers(log.as_bytes());
    let headers_before = memory::past(relid, log)?;
    let census = census(relid)?;
    let is_strange = |prev: &&Digest| headers_before.iter().all(|h| h.hash() != **prev);
    let strange: Vec<_> = census.first_prevs.iter().filter(is_strange).copied().collect();
    if let Some(any) = strange.first() {
        return Err(strange_entries(relid, any, memory::owner_of(&strange)?, functions)?);
    }
    if headers_before.is_empty() && census.placed > 0 {
        return Err(Error::CannotProtect {
            table: Rel::open(relid, pg_sys::NoLock).qualified(),
            why: format!("Rows with values in the notary_* columns that pg_notary did not write: {}.", census.placed),
            hint: "Set these columns to NULL in all rows, or drop or rename them if they are your own.".into(),
        });
    }
    let header = header(relid, log, &headers_before, &census)?;
    if census.unchained > 0 || census.missing_values {
        adopt(relid, &header)?;
    }
    add_constraint(relid)?;
    let past: Vec<_> = headers_before.iter().map(|h| h.segment).collect();
    let mut headers = headers_before;
    let since_unprotect = was_unprotected(relid, headers.last())?;
    headers.push(header);
    add_triggers(relid, &Segment { headers, max_chains })?;
    let header = memory::remember(relid, max_chains, functions)?;
    write_to_journal(relid, &header, &past, max_chains, since_unprotect)?;
    Ok((log, header.adopted))
}

/// Were the columns there before?
#[derive(PartialEq, Eq)]
pub enum ColumnsWere {
    /// The table was never protected.
    Missing,
    /// It was, or somebody copied it, or it is to be attached.
    There,
}

/// The refusal to begin a segment over entries that begin with a header which is none of the table's.
fn strange_entries(
    relid: pg_sys::Oid,
    header_hash: &Digest,
    owner: Option<memory::Owner>,
    functions: &Functions,
) -> Result<Error, Error> {
    let table = qualified(relid);
    let Some(owner) = owner else {
        return Ok(Error::CannotProtect {
            table,
            why: format!(
                "Its notary_* columns hold entries of a segment that this database does not know (its header's hash is \
                 {header_hash})."
            ),
            hint: "To begin a new log with these rows, set their notary_* columns to NULL first. To keep them as they \
                   are, restore the table together with its triggers."
                .into(),
        });
    };
    let memory::Owner { log, segment, table: noted } = owner;
    // The values of the notary_* columns are evidence: nobody is told to take them away.
    let copy = "For a log of its own, copy the other columns into a new table and protect that one.";
    let root = Rel::open(log::root(&Rel::open(relid, pg_sys::NoLock)), pg_sys::NoLock).qualified();
    let (carrier, hint) = match memory::table_with(log, functions)? {
        Some(other) if other == root => {
            let hint = "They came from another partition while the log was not protected. Set their notary_* columns to NULL, \
                        and they become new entries here; where they were, they are noted as removed.";
            ("has other partitions for them".to_owned(), hint.to_owned())
        }
        Some(other) => {
            let unprotect = format!("SELECT notary.unprotect({}, 'why')", spi::quote_literal(&other));
            let hint = format!(
                "A log is on one table. If it shall be on this one, end its protection there first: {unprotect}. {copy}"
            );
            (format!("{other} carries now"), hint)
        }
        None => (
            format!("was on {noted}"),
            format!("A log goes on in the table that it was on: if this is that table, give it its name again. {copy}"),
        ),
    };
    let why = format!("Its rows are entries of segment {segment} of the log {log}, which {carrier}.");
    Ok(Error::CannotProtect { table, why, hint })
}

/// Adds those of the five columns that are missing, to a partitioned table with all its partitions.
pub fn add_columns(relid: pg_sys::Oid) -> Result<ColumnsWere, Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let there = rel.columns();
    let missing: Vec<String> = NOTARY_COLUMNS
        .iter()
        .filter(|(name, _)| there.iter().all(|c| c.name != *name))
        .map(|(name, type_name)| format!("ADD COLUMN {name} {type_name}"))
        .collect();
    let name = rel.qualified();
    drop(rel);
    if missing.is_empty() {
        return Ok(ColumnsWere::There);
    }
    as_superuser(&format!("ALTER TABLE {name} {}", missing.join(", ")))?;
    Ok(if missing.len() == NOTARY_COLUMNS.len() { ColumnsWere::Missing } else { ColumnsWere::There })
}

/// What a table's rows say before it is protected.
struct Census {
    /// Rows without any notary value.
    unchained: u64,
    /// Rows with some.
    placed: u64,
    /// The highest chain number in it.
    max_chain: u32,
    /// The prevs of first entries: the hashes of the headers they belong to.
    first_prevs: BTreeSet<Digest>,
    /// Some column reads a value that no row holds (ADD COLUMN … DEFAULT).
    missing_values: bool,
}

fn census(relid: pg_sys::Oid) -> Result<Census, Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let at = notary_columns(&rel)?;
    let mut census =
        Census { unchained: 0, placed: 0, max_chain: 0, first_prevs: BTreeSet::new(), missing_values: false };
    rewrite::read(&rel, |values, nulls| {
        if at.all().into_iter().all(|i| nulls[i]) {
            census.unchained += 1;
            return Ok::<(), Error>(());
        }
        census.placed += 1;
        let entry = rewrite::place(&at, values, nulls);
        census.max_chain = census.max_chain.max(entry.chain.and_then(|c| u32::try_from(c).ok()).unwrap_or(0));
        if entry.seq == Some(1) {
            census.first_prevs.extend(entry.prev);
        }
        Ok(())
    })?;
    // Also where there are no rows: what comes in is checked against the same column.
    census.missing_values = rel.columns().iter().any(|c| c.missing_value);
    Ok(census)
}

fn notary_columns(rel: &Rel) -> Result<NotaryColumns, Error> {
    NotaryColumns::of(rel).ok_or_else(|| Error::CannotProtect {
        table: rel.qualified(),
        why: "Its notary_* columns have other types than pg_notary's.".into(),
        hint: "They are integer, bigint, timestamp with time zone, bytea and bytea; drop or rename yours.".into(),
    })
}

fn header(relid: pg_sys::Oid, log: LogId, past: &[Header], census: &Census) -> Result<Header, Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let highest = past.iter().map(|h| h.first_chain).max().unwrap_or(0).max(census.max_chain);
    if highest >= MAX_CHAIN {
        return Err(Error::NoChain {
            table: rel.qualified(),
            why: format!("Chain numbers go up to {MAX_CHAIN}, and {highest} is in use."),
        });
    }
    let columns: BTreeMap<String, String> = rel
        .columns()
        .into_iter()
        .filter(|c| !c.generated && !crate::pg::row::is_notary_column(&c.name))
        .map(|c| (c.name, relation::type_name(c.type_oid, c.typmod)))
        .collect();
    Ok(Header {
        log,
        segment: memory::next_number(log)?,
        time: context::clock(),
        by: context::session_user(),
        schema: rel.schema(),
        table: rel.name(),
        first_chain: highest + 1,
        adopted: census.unchained,
        columns,
        redactable: BTreeSet::new(),
    })
}

/// Chains the rows that have no place yet, in physical order, by writing the table anew.
fn adopt(relid: pg_sys::Oid, header: &Header) -> Result<(), Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let (owner, at, mut writer) = (rel.owner(), notary_columns(&rel)?, RowWriter::of(&rel)?);
    drop(rel);
    let mut prev = header.hash();
    let mut seq = 0_u64;
    let mut text = Vec::new();
    context::as_role(owner, true, || {
        rewrite::rewrite(relid, |row| {
            if at.all().into_iter().any(|i| !row.nulls[i]) {
                return Ok::<(), Error>(());
            }
            seq += 1;
            let time = context::clock();
            let place = Place { log: header.log, segment: header.segment, chain: header.first_chain, seq, time, prev };
            text.clear();
            line::begin(&mut text, &place);
            writer.write_copied(&mut text, row)?;
            line::end(&mut text);
            if text.len() > line::MAX_LINE {
                return Err(Error::LineTooLong);
            }
            let hash = Digest::of(&text);
            row.set(at.chain, pg_sys::Datum::from(header.first_chain as i32)); // at most MAX_CHAIN, see header()
            row.set(at.seq, pg_sys::Datum::from(seq as i64)); // counts rows of one table
            row.set(at.time, pg_sys::Datum::from(time));
            row.set_digest(at.prev, &prev);
            row.set_digest(at.hash, &hash);
            prev = hash;
            Ok(())
        })
    })
}

fn add_constraint(relid: pg_sys::Oid) -> Result<(), Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let there = index::chain_index(&rel, &notary_columns(&rel)?).is_some();
    let name = rel.qualified();
    drop(rel);
    if there { Ok(()) } else { as_superuser(&format!("ALTER TABLE {name} ADD UNIQUE (notary_chain, notary_seq)")) }
}

fn add_triggers(relid: pg_sys::Oid, segment: &Segment) -> Result<(), Error> {
    let name = qualified(relid);
    let mut args = vec![log::max_chains_argument(segment.max_chains)];
    args.extend(segment.headers.iter().map(Header::line));
    let args: Vec<_> = args.iter().map(|a| spi::quote_literal(a)).collect();
    let (append, keep) = (spi::quote_ident(log::APPEND_TRIGGER), spi::quote_ident(log::KEEP_TRIGGER));
    as_superuser(&format!(
        "CREATE TRIGGER {append} BEFORE INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION notary.append({})",
        args.join(", ")
    ))?;
    as_superuser(&format!(
        "CREATE TRIGGER {keep} BEFORE UPDATE OR DELETE ON {name} FOR EACH ROW EXECUTE FUNCTION notary.refuse()"
    ))?;
    as_superuser(&format!("ALTER TABLE {name} ENABLE ALWAYS TRIGGER {append}, ENABLE ALWAYS TRIGGER {keep}"))?;
    add_block_trigger(relid, "")
}

/// The statement trigger that a segment and a partitioned table both have.
pub fn add_block_trigger(relid: pg_sys::Oid, args: &str) -> Result<(), Error> {
    let name = qualified(relid);
    let block = spi::quote_ident(log::BLOCK_TRIGGER);
    as_superuser(&format!(
        "CREATE TRIGGER {block} BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION \
         notary.refuse({args})"
    ))?;
    as_superuser(&format!("ALTER TABLE {name} ENABLE ALWAYS TRIGGER {block}"))
}

/// Takes our triggers away, whatever their names; the columns, the values and the constraint stay.
pub fn drop_triggers(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let rel = Rel::open(relid, pg_sys::AccessExclusiveLock);
    let name = rel.qualified();
    let ours: Vec<_> = rel
        .triggers()
        .into_iter()
        .filter(|t| t.function == functions.append || t.function == functions.refuse)
        .map(|t| t.name)
        .collect();
    drop(rel);
    let _permit = log::permit(relid);
    for trigger in ours {
        as_superuser(&format!("DROP TRIGGER {} ON {name}", spi::quote_ident(&trigger)))?;
    }
    Ok(())
}

/// Did the table's last protection end by `notary.unprotect`? Then what changed since is told apart from tampering. A
/// table that lost its triggers otherwise gets no such grace: what is wrong with it stays a finding.
fn was_unprotected(relid: pg_sys::Oid, last: Option<&Header>) -> Result<bool, Error> {
    let Some(last) = last else { return Ok(false) };
    let ended = memory::has_ended(last)?;
    if !ended {
        pgrx::warning!(
            "{} lost its protection, or its append trigger, without notary.unprotect: what is wrong with its older entries stays a \
             finding",
            qualified(relid)
        );
    }
    Ok(ended)
}

fn write_to_journal(
    relid: pg_sys::Oid,
    header: &Header,
    past: &[u32],
    max_chains: Option<u32>,
    since_unprotect: bool,
) -> Result<(), Error> {
    let name = qualified(relid);
    let entry = |details| Entry {
        action: Action::Protect,
        log: Some(header.log),
        segment: Some(header.segment),
        relation: Some(&name),
        reason: None,
        details,
    };
    let mut details = json!({
        "header": header.line(),
        "adopted": header.adopted,
        "max_chains": max_chains,
        "bounds": log::bounds(relid)?,
        "past": past,
        "event_log": event_table::is_event_log(&Rel::open(relid, pg_sys::NoLock), &access::trigger_functions()?),
    });
    let changed = if since_unprotect { memory::changes_since_unprotect(relid, header.log)? } else { Vec::new() };
    details["changed_while_unprotected"] = json!(changed.len());
    let mut parts = changed.chunks(memory::CHANGES_PER_ENTRY);
    if let Some(first) = parts.next() {
        details["changed"] = json!(first);
    }
    journal::write(&entry(details))?;
    if !changed.is_empty() {
        pgrx::notice!(
            "{} place(s) of {name} were changed while it was not protected; notary.notices names them",
            changed.len()
        );
    }
    for more in parts {
        journal::write(&entry(json!({ "changed": more })))?;
    }
    Ok(())
}

fn qualified(relid: pg_sys::Oid) -> String {
    Rel::open(relid, pg_sys::NoLock).qualified()
}

/// A new log's uuid.
pub fn new_log() -> Result<LogId, Error> {
    let mut bytes: [u8; 16] = context::random_bytes("A log's uuid is made of random bytes.")?;
    // A version 4 uuid (RFC 9562).
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(LogId::from_bytes(bytes))
}

/// Checks a partition that is to be a segment, and that it is empty unless the whole log is being protected now.
pub fn check_leaf(relid: pg_sys::Oid) -> Result<(), Error> {
    checks::leaf(&Rel::open(relid, pg_sys::NoLock))
}
