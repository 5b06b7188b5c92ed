//! What is known of a log besides its triggers: the extension's memory and the journal. Never evidence that a log is
//! intact; only that something is missing, or that a change was made while the log was not protected.

use crate::error::Error;
use crate::journal;
use crate::log::{self, Functions, Mark};
use crate::pg::context::as_superuser;
use crate::pg::relation::Rel;
use crate::pg::row::NotaryColumns;
use crate::pg::{catalog, spi};
use notary_core::header::Header;
use notary_core::id::LogId;
use notary_core::{Finding, Problem};
use pgrx::pg_sys;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// What is known of a log's segments besides its triggers.
#[derive(Default)]
pub struct Known {
    /// Their headers, by number: what the journal says and what the extension remembers, which may differ where somebody
    /// changed one. Those that cannot be read are left out.
    pub headers: BTreeMap<u32, Vec<Header>>,
    /// What the journal says of their protection.
    pub protections: BTreeMap<u32, Protection>,
    /// What is damaged in either, in words.
    pub damage: Vec<String>,
}

impl Known {
    /// Reads the journal and the extension's memory.
    pub fn of(log: LogId) -> Result<Self, Error> {
        let mut known = Self::default();
        for (segment, details) in began(log)? {
            known.add(segment, details["header"].as_str().unwrap_or_default());
            let twice = known.protections.insert(segment, Protection::of(&details)).is_some();
            if twice {
                known.damage.push(format!("notary.journal says more than once how segment {segment} began"));
            }
        }
        for Noted { segment, header, table } in noted(log)? {
            let number = u32::try_from(segment).ok().filter(|segment| *segment > 0);
            let wrong = match (number, u32::try_from(table)) {
                (None, _) => Some("it has no such number".to_owned()),
                (_, Err(_)) => Some(format!("its table_oid is {table}")),
                _ => Header::parse(&header).err().map(|why| why.to_string()),
            };
            if let Some(why) = wrong {
                known.damage.push(format!("the extension's memory of segment {segment} is damaged: {why}"));
            }
            if let Some(segment) = number {
                known.add(segment, &header);
            }
        }
        Ok(known)
    }

    fn add(&mut self, segment: u32, line: &str) {
        let all = self.headers.entry(segment).or_default();
        if let Ok(header) = Header::parse(line)
            && !all.contains(&header)
        {
            all.push(header);
        }
    }
}

/// The entries of the journal that tell how a log's segments began.
fn began(log: LogId) -> Result<Vec<(u32, Value)>, Error> {
    if !journal::exists()? {
        return Ok(Vec::new());
    }
    let sql = "SELECT segment, details FROM notary.journal
               WHERE log = $1::pg_catalog.uuid AND action = 'protect' AND details ? 'header' ORDER BY notary_chain, notary_seq";
    let rows = as_superuser(|| {
        spi::rows(sql, &[log.to_string().into()], |row| {
            Ok((spi::get::<i64>(row, 1)?, spi::get::<pgrx::JsonB>(row, 2)?))
        })
    })?;
    Ok(rows.into_iter().filter_map(|(n, details)| Some((u32::try_from(n?).ok()?, details?.0))).collect())
}

/// A row of the extension's memory.
struct Noted {
    segment: i64,
    header: String,
    table: i64,
}

fn noted(log: LogId) -> Result<Vec<Noted>, Error> {
    let sql = "SELECT segment, header, table_oid FROM notary.segment WHERE log = $1::pg_catalog.uuid ORDER BY segment";
    as_superuser(|| {
        spi::rows(sql, &[log.to_string().into()], |row| {
            Ok(Noted {
                segment: spi::get::<i64>(row, 1)?.unwrap_or(0),
                header: spi::get::<String>(row, 2)?.unwrap_or_default(),
                table: spi::get::<i64>(row, 3)?.unwrap_or(0),
            })
        })
    })
}

/// The headers that the extension remembers for a table, of segments that have not ended, oldest first.
pub struct OfTable {
    /// The headers.
    pub headers: Vec<Header>,
    /// By the table's OID in this database. Otherwise by its name, which says less.
    pub by_oid: bool,
}

/// What the extension remembers for a table: by its OID where it was noted in this database and that table is still here,
/// by its name otherwise. What only has the name and no columns of ours is another relation.
pub fn of_table(rel: &Rel) -> Result<OfTable, Error> {
    let (schema, table, here) = (rel.schema(), rel.name(), journal::database()?);
    let may_be_named = rel.is_table() && NotaryColumns::of(rel).is_some();
    let sql = "WITH known AS (
                   SELECT *, database = $3 AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = CASE
                       WHEN table_oid BETWEEN 1 AND 4294967295 THEN table_oid::oid END) AS by_oid FROM notary.segment),
               its AS (
                   SELECT * FROM known
                   WHERE CASE WHEN by_oid THEN table_oid = $4 ELSE schema_name = $1 AND table_name = $2 AND $5 END)
               SELECT header, by_oid FROM its WHERE EXISTS (
                   SELECT FROM its AS live WHERE live.log = its.log AND live.ended_at IS NULL)
               ORDER BY segment";
    let rows = as_superuser(|| {
        spi::rows(
            sql,
            &[
                schema.as_str().into(),
                table.as_str().into(),
                here.as_str().into(),
                i64::from(rel.oid().to_u32()).into(),
                may_be_named.into(),
            ],
            |row| Ok((spi::get::<String>(row, 1)?, spi::get::<bool>(row, 2)?)),
        )
    })?;
    let by_oid = !rows.is_empty() && rows.iter().all(|(_, by_oid)| *by_oid == Some(true));
    let headers = rows.into_iter().filter_map(|(line, _)| Header::parse(&line?).ok()).collect();
    Ok(OfTable { headers, by_oid })
}

/// The headers that the extension remembers for a table.
pub fn headers_of_table(rel: &Rel) -> Result<Vec<Header>, Error> {
    of_table(rel).map(|known| known.headers)
}

/// Changes that were made while a log was not protected, as the journal recorded them when protection began again.
///
/// An entry of the journal excuses nothing by itself: the protection that it tells of must be in the table's headers, an
/// unprotect must stand before it, and what it names must be older. Nor do more entries than it says follow it, which a
/// transaction writes one behind the other.
pub struct Changes {
    known: Vec<Excuse>,
}

struct Excuse {
    /// The segment that began when the changes were found.
    segment: u32,
    /// Its header line.
    header: String,
    places: HashSet<String>,
    /// Entries that were cut from the ends of chains then.
    cut: Vec<Stretch>,
    /// Others that could not be compared with their seals any more, whatever became of them.
    differing: Vec<Stretch>,
}

impl Excuse {
    /// Does it speak of a segment before its own?
    fn is_about(&self, segment: i64) -> bool {
        (1..i64::from(self.segment)).contains(&segment)
    }
}

/// An entry of the journal that lists changes, or begins a segment.
struct Listing {
    place: (Option<i32>, Option<i64>),
    segment: u32,
    details: Value,
}

impl Listing {
    fn changes(&self) -> &[Value] {
        self.details["changed"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// A list that is not complete yet: what the entry behind it must be.
struct Open {
    next: (Option<i32>, Option<i64>),
    segment: u32,
    left: usize,
}

impl Open {
    /// What comes behind an entry of which so many changes are still to come.
    fn behind(entry: &Listing, left: usize) -> Self {
        let (chain, seq) = entry.place;
        Self { next: (chain, seq.and_then(|seq| seq.checked_add(1))), segment: entry.segment, left }
    }

    fn goes_on_with(&self, entry: &Listing) -> bool {
        self.left > 0 && self.next == entry.place && self.next.1.is_some() && self.segment == entry.segment
    }
}

/// The entries `seq` to `to_seq` of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The segment that the chain belongs to.
    pub segment: i64,
    pub chain: i64,
    pub seq: i64,
    pub to_seq: i64,
}

impl Changes {
    /// Reads the journal.
    pub fn of(log: LogId) -> Result<Self, Error> {
        let mut changes = Self { known: Vec::new() };
        if !journal::exists()? {
            return Ok(changes);
        }
        let sql = format!(
            "SELECT notary_chain, notary_seq, segment, details FROM notary.journal AS j
             WHERE log = $1::pg_catalog.uuid AND action = 'protect' AND (details ? 'changed' OR details ? 'header') AND EXISTS (
                 SELECT FROM notary.journal AS before WHERE before.log = j.log AND before.action = 'unprotect'
                 AND {} < j.segment)
             ORDER BY notary_chain, notary_seq",
            journal::last_segment("before")
        );
        let entries = as_superuser(|| {
            spi::rows(&sql, &[log.to_string().into()], |row| {
                Ok(Listing {
                    place: (spi::get::<i32>(row, 1)?, spi::get::<i64>(row, 2)?),
                    segment: spi::get::<i64>(row, 3)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
                    details: spi::get::<pgrx::JsonB>(row, 4)?.map_or(Value::Null, |json| json.0),
                })
            })
        })?;
        let mut open: Option<Open> = None;
        for entry in &entries {
            let total = entry.details["changed_while_unprotected"].as_u64().and_then(|n| usize::try_from(n).ok());
            let left = if let Some(header) = entry.details["header"].as_str() {
                changes.known.push(Excuse {
                    segment: entry.segment,
                    header: header.to_owned(),
                    places: HashSet::new(),
                    cut: Vec::new(),
                    differing: Vec::new(),
                });
                total.unwrap_or(0)
            } else if let Some(open) = open.as_ref().filter(|open| open.goes_on_with(entry)) {
                open.left
            } else {
                continue;
            };
            let list = &entry.changes()[..entry.changes().len().min(left)];
            if let Some(excuse) = changes.known.last_mut() {
                excuse.cut.extend(list.iter().filter_map(|change| stretch("cut", change)));
                excuse.differing.extend(list.iter().filter_map(|change| stretch("differs", change)));
                excuse.places.extend(list.iter().map(ToString::to_string));
            }
            open = Some(Open::behind(entry, left - list.len()));
        }
        // Of two entries on one beginning, one was made by hand.
        let begun: Vec<u32> = changes.known.iter().map(|excuse| excuse.segment).collect();
        changes.known.retain(|excuse| begun.iter().filter(|segment| **segment == excuse.segment).count() == 1);
        Ok(changes)
    }

    /// The excuses that speak of the table with these headers: what the functions below are asked with.
    pub fn on(&self, headers: &[Header]) -> Vec<usize> {
        let lines: HashSet<(u32, String)> = headers.iter().map(|h| (h.segment, h.line())).collect();
        let speaks = |excuse: &Excuse| lines.contains(&(excuse.segment, excuse.header.clone()));
        (0..self.known.len()).filter(|i| self.known.get(*i).is_some_and(speaks)).collect()
    }

    fn those<'a>(&'a self, on: &'a [usize]) -> impl Iterator<Item = &'a Excuse> {
        on.iter().filter_map(|i| self.known.get(*i))
    }

    /// Entries that were cut from the ends of a table's chains.
    pub fn cut<'a>(&'a self, on: &'a [usize]) -> impl Iterator<Item = &'a Stretch> {
        self.those(on).flat_map(|excuse| excuse.cut.iter().filter(|of| excuse.is_about(of.segment)))
    }

    /// Entries of a table that cannot be compared with their seals any more.
    pub fn incomparable<'a>(&'a self, on: &'a [usize]) -> impl Iterator<Item = &'a Stretch> {
        let differing = self.those(on).flat_map(|e| e.differing.iter().filter(|of| e.is_about(of.segment)));
        self.cut(on).chain(differing)
    }

    /// Is this finding, in a table of which these speak, such a change?
    pub fn explain(&self, on: &[usize], segment: Option<u32>, finding: &Finding) -> bool {
        let about = |excuse: &&Excuse| segment.is_some_and(|segment| excuse.is_about(segment.into()));
        let mut excuses = self.those(on).filter(about).peekable();
        if excuses.peek().is_none() || !is_pinned_down(finding) {
            return false;
        }
        let place = fingerprint(segment, finding).to_string();
        excuses.any(|excuse| excuse.places.contains(&place))
    }
}

fn stretch(kind: &str, change: &Value) -> Option<Stretch> {
    let number = |key: &str| change[key].as_i64();
    change[kind].as_bool().filter(|is_of_kind| *is_of_kind)?;
    Some(Stretch {
        segment: number("segment")?,
        chain: number("chain")?,
        seq: number("seq")?,
        to_seq: number("to_seq")?,
    })
}

/// Can the same finding, with other content, be told from this one? Not where no hash says what is there now.
pub fn is_pinned_down(finding: &Finding) -> bool {
    finding.chain.is_some() && (finding.found.is_some() || finding.problem == Problem::Missing)
}

/// What tells a finding from others, also later and elsewhere: no place in files, no names that can change.
pub fn fingerprint(segment: Option<u32>, finding: &Finding) -> Value {
    json!({
        "segment": segment,
        "chain": finding.chain,
        "seq": finding.seq,
        "to_seq": finding.to_seq,
        "problem": finding.problem.as_str(),
        "found": finding.found.map(|d| d.to_string()),
    })
}

/// What the journal says of a segment's protection besides its header.
pub struct Protection {
    /// `log::bounds` of the table then.
    pub bounds: Value,
    /// A number or null.
    pub max_chains: Value,
    /// The table's segments before it, oldest first, if the entry says which.
    pub past: Option<Vec<u32>>,
    /// It was an event log.
    pub event_log: bool,
}

impl Protection {
    fn of(details: &Value) -> Self {
        let number = |n: &Value| n.as_u64().and_then(|n| u32::try_from(n).ok());
        let past = details["past"].as_array().and_then(|past| past.iter().map(number).collect());
        Self {
            bounds: details["bounds"].clone(),
            max_chains: details["max_chains"].clone(),
            past,
            event_log: details["event_log"] == true,
        }
    }
}

/// A segment that a log was given.
pub struct Expected {
    pub segment: u32,
    /// The table's name, when it was last noted.
    pub name: String,
    /// Its OID, if it was noted in this database.
    pub table: Option<pg_sys::Oid>,
    /// The extension remembers it, and no end of it.
    remembered: bool,
    /// The journal says that it began in this database.
    journaled: bool,
}

/// All segments of a log, by the extension's memory and by the journal: either can be without the other.
pub struct Segments {
    pub all: BTreeMap<u32, Expected>,
    /// The highest segments there were when the journal says that protection ended.
    ends: Vec<u32>,
}

impl Segments {
    /// Reads both.
    pub fn of(log: LogId) -> Result<Self, Error> {
        let here = journal::database()?;
        let memory = "SELECT segment, schema_name || '.' || table_name, CASE WHEN database = $2 THEN table_oid END,
                             ended_at IS NULL, false
                      FROM notary.segment WHERE log = $1::pg_catalog.uuid";
        let journaled = "SELECT segment, max(relation), NULL::int8, false, true
                         FROM notary.journal WHERE log = $1::pg_catalog.uuid AND action = 'protect' AND details ->> 'database' = $2
                         GROUP BY segment";
        let args = [log.to_string().into(), here.as_str().into()];
        let read = |sql: &str| {
            as_superuser(|| {
                spi::rows(sql, &args, |row| {
                    let number = |i| spi::get::<i64>(row, i).map(|n| n.and_then(|n| u32::try_from(n).ok()));
                    Ok(number(1)?.map(|segment| {
                        Ok::<_, Error>(Expected {
                            segment,
                            name: spi::get::<String>(row, 2)?.unwrap_or_default(),
                            table: number(3)?.map(pg_sys::Oid::from),
                            remembered: spi::get::<bool>(row, 4)?.unwrap_or(true),
                            journaled: spi::get::<bool>(row, 5)?.unwrap_or(false),
                        })
                    }))
                })
            })
        };
        let mut segments = Self { all: BTreeMap::new(), ends: Vec::new() };
        let mut found = read(memory)?;
        if journal::exists()? {
            found.extend(read(journaled)?);
            segments.ends = ends(log)?;
        }
        for expected in found.into_iter().flatten() {
            let expected = expected?;
            let (remembered, journaled) = (expected.remembered, expected.journaled);
            let known = segments.all.entry(expected.segment).or_insert(expected);
            known.remembered |= remembered;
            known.journaled |= journaled;
        }
        Ok(segments)
    }

    /// Has the segment not ended? What memory or journal says is live has not. `oldest`: the lowest number of those that
    /// the log's tables carry as their newest. Protection ends and begins for all of a log's tables at once, so nothing
    /// that began since then has ended, whatever was written down: a log can be forgotten while its triggers are hidden,
    /// or come back from a dump after it was given up.
    pub fn lives(&self, expected: &Expected, oldest: Option<u32>) -> bool {
        let Expected { segment, remembered, journaled, .. } = expected;
        let has_gone_on = |end: &u32| oldest.is_some_and(|oldest| oldest <= *end);
        let ended = self.ends.iter().any(|end| segment <= end && !has_gone_on(end));
        *remembered || (*journaled && !ended) || oldest.is_some_and(|oldest| oldest <= *segment)
    }
}

/// The highest segments there were at each end of a log's protection, as the journal says.
fn ends(log: LogId) -> Result<Vec<u32>, Error> {
    let sql = format!(
        "SELECT {} FROM notary.journal AS j WHERE log = $1::pg_catalog.uuid AND action IN ('unprotect', 'forget') AND {}",
        journal::last_segment("j"),
        journal::in_order("j")
    );
    let ends = as_superuser(|| spi::rows(&sql, &[log.to_string().into()], |row| spi::get::<i64>(row, 1)))?;
    Ok(ends.into_iter().flatten().filter_map(|end| u32::try_from(end).ok()).collect())
}

/// Periods without protection: when, by whom, why.
pub fn unprotected_periods(log: LogId) -> Result<Vec<(String, String)>, Error> {
    if !journal::exists()? {
        return Ok(Vec::new());
    }
    as_superuser(|| {
        spi::rows(
            "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), session_role, reason FROM notary.journal
             WHERE log = $1::pg_catalog.uuid AND action = 'unprotect' ORDER BY at",
            &[log.to_string().into()],
            |row| {
                let text = |i| spi::get::<String>(row, i).map(Option::unwrap_or_default);
                let (at, by, why) = (text(1)?, text(2)?, text(3)?);
                Ok((at, format!("{by}: {why}")))
            },
        )
    })
}

/// Tables that the extension remembers as logs, by their names, with the log each was.
pub fn remembered_tables() -> Result<Vec<(LogId, pg_sys::Oid)>, Error> {
    let here = journal::database()?;
    let sql = "WITH known AS (
                   SELECT log, schema_name, table_name, (
                       SELECT oid FROM pg_catalog.pg_class WHERE database = $1
                       AND oid = CASE WHEN table_oid BETWEEN 1 AND 4294967295 THEN table_oid::oid END) AS its
                   FROM notary.segment WHERE ended_at IS NULL)
               SELECT DISTINCT log::text, c.oid FROM known JOIN pg_catalog.pg_class AS c
               -- A view that has the name is another thing.
               ON CASE WHEN its IS NOT NULL THEN c.oid = its ELSE c.relkind IN ('r', 'p') AND c.oid =
                   pg_catalog.to_regclass(pg_catalog.format('%I.%I', schema_name, table_name))::oid END";
    let rows = as_superuser(|| {
        spi::rows(sql, &[here.as_str().into()], |row| {
            Ok((spi::get::<String>(row, 1)?, spi::get::<pg_sys::Oid>(row, 2)?))
        })
    })?;
    Ok(rows.into_iter().filter_map(|(log, table)| Some((log?.parse().ok()?, table?))).collect())
}

/// A log that should be in this database and is on no table.
pub struct Lost {
    pub log: String,
    pub name: String,
    /// It was protected or attested in this very database, not only in one that this was restored from.
    pub here: bool,
}

/// Logs that the journal says are protected, less those whose uuid is among `present`.
///
/// Triggers are looked for once more in the statement that reads what is remembered: `present` was read before, and a log
/// may have ended and begun again since.
pub fn lost(present: &HashSet<LogId>, functions: &Functions) -> Result<Vec<Lost>, Error> {
    let here = journal::database()?;
    // Only as protect writes it: in a header line, or as the log of a partitioned table.
    let carried = format!(
        "EXISTS (SELECT FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid WHERE
             t.tgfoid = $2 AND t.tgname = '{}'
             AND pg_catalog.position(tgargs, pg_catalog.convert_to('\"log\":\"' || log::text || '\"', 'UTF8')) > 0
             OR t.tgfoid = $3 AND t.tgname = '{}' AND c.relkind = 'p'
             AND pg_catalog.position(tgargs, pg_catalog.convert_to('log=' || log::text, 'UTF8')) = 1)",
        log::APPEND_TRIGGER,
        log::BLOCK_TRIGGER
    );
    let memory = format!(
        "SELECT log::text, max(schema_name || '.' || table_name), bool_or(database = $1) FROM notary.segment
         WHERE ended_at IS NULL AND NOT {carried} GROUP BY log"
    );
    let journaled = format!(
        "SELECT log::text, max(relation), bool_or(details ->> 'database' = $1) FROM notary.journal AS j
         WHERE action IN ('protect', 'attest') AND log IS NOT NULL AND NOT EXISTS (
             SELECT FROM notary.journal AS later WHERE later.log = j.log
             AND later.action IN ('unprotect', 'forget')
             AND {} >= coalesce(j.segment, {}, 0))
         AND NOT {carried}
         GROUP BY log",
        journal::last_segment("later"),
        journal::last_segment("j")
    );
    let args = [here.as_str().into(), functions.append.into(), functions.refuse.into()];
    let read = |sql: &str, args: &[pgrx::datum::DatumWithOid<'_>]| {
        as_superuser(|| {
            spi::rows(sql, args, |row| {
                let text = |i| spi::get::<String>(row, i).map(Option::unwrap_or_default);
                Ok((text(1)?, text(2)?, spi::get::<bool>(row, 3)?.unwrap_or(false)))
            })
        })
    };
    let mut all: BTreeMap<String, Lost> = BTreeMap::new();
    let mut note = |(log, name, here): (String, String, bool)| {
        let lost = all.entry(log.clone()).or_insert(Lost { log, name, here });
        lost.here |= here;
    };
    read(&memory, &args)?.into_iter().for_each(&mut note);
    if journal::exists()? {
        read(&journaled, &args)?.into_iter().for_each(&mut note);
    }
    Ok(all.into_values().filter(|lost| lost.log.parse().is_ok_and(|log| !present.contains(&log))).collect())
}

/// A table that is the journal by its header and not by its name, where it is not looked for.
pub fn journal_elsewhere(functions: &Functions) -> Result<Option<String>, Error> {
    let sql = "SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger WHERE tgfoid = $1
               AND pg_catalog.position(tgargs, pg_catalog.convert_to($2, 'UTF8')) > 0";
    let part = "\"schema\":\"notary\",\"table\":\"journal\"";
    let tables = catalog::rows(sql, &[functions.append.into(), part.into()], |row| spi::get::<pg_sys::Oid>(row, 1))?;
    for table in tables.into_iter().flatten() {
        let Some(rel) = Rel::try_open(table, pg_sys::AccessShareLock) else { continue };
        if let Ok(Some(Mark::Segment(segment))) = log::mark_in_catalog(&rel, functions)
            && journal::is_header(segment.current())
            && !journal::is_table(table)
        {
            return Ok(Some(rel.qualified()));
        }
    }
    Ok(None)
}
