//! What is known of a log besides its triggers: the extension's memory and the journal. Never evidence that a log is
//! intact; only that something is missing, or that a change was made while the log was not protected.

use crate::error::Error;
use crate::journal;
use crate::log::Functions;
use crate::pg::context::as_superuser;
use crate::pg::relation::Rel;
use crate::pg::spi;
use notary_core::header::Header;
use notary_core::id::LogId;
use notary_core::{Finding, Problem};
use pgrx::pg_sys;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Header lines that the extension remembers, by segment number.
pub fn headers(log: LogId) -> Result<BTreeMap<u32, String>, Error> {
    let rows = as_superuser(|| {
        spi::rows(
            "SELECT segment, header FROM notary.segment WHERE log = $1::pg_catalog.uuid",
            &[log.to_string().into()],
            |row| Ok((spi::get::<i64>(row, 1)?, spi::get::<String>(row, 2)?)),
        )
    })?;
    Ok(rows.into_iter().filter_map(|(n, h)| Some((u32::try_from(n?).ok()?, h?))).collect())
}

/// The headers that the extension remembers for a table by its name, of segments that have not ended, oldest first.
pub fn headers_of_table(rel: &Rel) -> Result<Vec<Header>, Error> {
    let (schema, table, here) = (rel.schema(), rel.name(), journal::database()?);
    // By OID where it was noted in this database and the table is still there; by name otherwise.
    let sql = "WITH its AS (
                   SELECT * FROM notary.segment AS s
                   WHERE CASE WHEN s.database = $3 AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = s.table_oid::oid)
                         THEN s.table_oid = $4 ELSE s.schema_name = $1 AND s.table_name = $2 END)
               SELECT header FROM its WHERE EXISTS (
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
            ],
            |row| spi::get::<String>(row, 1),
        )
    })?;
    Ok(rows.into_iter().flatten().filter_map(|line| Header::parse(&line).ok()).collect())
}

/// Changes that were made while a log was not protected, as the journal recorded them when protection began again.
///
/// An entry of the journal excuses nothing by itself: the protection that it tells of must be in the table's headers, an
/// unprotect must stand before it, and what it names must be older.
pub struct Changes {
    known: Vec<Excuse>,
    /// Entries that were cut from the ends of chains then.
    pub cut: Vec<CutEnd>,
}

struct Excuse {
    /// The segment that began when the changes were found.
    segment: u32,
    /// Its header line; None where an entry only goes on with the list of another.
    header: Option<String>,
    places: HashSet<String>,
}

impl Excuse {
    /// Does it speak of the table with these headers, and of a segment before its own?
    fn is_for(&self, headers: &[Header], segment: Option<u32>) -> bool {
        segment.is_some_and(|segment| segment < self.segment)
            && headers
                .iter()
                .any(|h| h.segment == self.segment && self.header.as_ref().is_none_or(|line| *line == h.line()))
    }
}

/// The entries `seq` to `to_seq` of a chain, which were its last.
#[derive(Clone, Copy, Debug)]
pub struct CutEnd {
    /// The segment that the chain belongs to.
    pub segment: i64,
    pub chain: i64,
    pub seq: i64,
    pub to_seq: i64,
}

impl Changes {
    /// Reads the journal.
    pub fn of(log: LogId) -> Result<Self, Error> {
        let mut changes = Self { known: Vec::new(), cut: Vec::new() };
        if !journal::exists()? {
            return Ok(changes);
        }
        let rows = as_superuser(|| {
            spi::rows(
                "SELECT segment, details ->> 'header', details -> 'changed' FROM notary.journal AS j
                 WHERE log = $1::pg_catalog.uuid AND action = 'protect' AND details ? 'changed' AND EXISTS (
                     SELECT FROM notary.journal AS before WHERE before.log = j.log AND before.action = 'unprotect'
                     AND (before.details ->> 'last_segment')::int8 < j.segment)",
                &[log.to_string().into()],
                |row| {
                    let segment = spi::get::<i64>(row, 1)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
                    let header = spi::get::<String>(row, 2)?;
                    Ok((segment, header, spi::get::<pgrx::JsonB>(row, 3)?.map_or(Value::Null, |json| json.0)))
                },
            )
        })?;
        for (segment, header, list) in rows {
            let list = list.as_array().map_or(&[][..], Vec::as_slice);
            changes.cut.extend(list.iter().filter_map(cut_end));
            changes.known.push(Excuse { segment, header, places: list.iter().map(ToString::to_string).collect() });
        }
        Ok(changes)
    }

    /// Is this finding, in a table with these headers, such a change?
    pub fn explain(&self, headers: &[Header], segment: Option<u32>, finding: &Finding) -> bool {
        let mut excuses = self.known.iter().filter(|excuse| excuse.is_for(headers, segment)).peekable();
        if excuses.peek().is_none() || !is_pinned_down(finding) {
            return false;
        }
        let place = fingerprint(segment, finding).to_string();
        excuses.any(|excuse| excuse.places.contains(&place))
    }
}

fn cut_end(change: &Value) -> Option<CutEnd> {
    let number = |key: &str| change[key].as_i64();
    change["cut"].as_bool().filter(|cut| *cut)?;
    Some(CutEnd {
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
}

/// The protections of a log's segments. Entries that only go on with the list of another have none.
pub fn protections(log: LogId) -> Result<BTreeMap<u32, Protection>, Error> {
    if !journal::exists()? {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT segment, details FROM notary.journal
               WHERE log = $1::pg_catalog.uuid AND action = 'protect' AND details ? 'bounds'";
    let rows = as_superuser(|| {
        spi::rows(sql, &[log.to_string().into()], |row| {
            Ok((spi::get::<i64>(row, 1)?, spi::get::<pgrx::JsonB>(row, 2)?))
        })
    })?;
    let one = |(segment, details): (Option<i64>, Option<pgrx::JsonB>)| {
        let (segment, mut details) = (u32::try_from(segment?).ok()?, details?.0);
        Some((segment, Protection { bounds: details["bounds"].take(), max_chains: details["max_chains"].take() }))
    };
    Ok(rows.into_iter().filter_map(one).collect())
}

/// A segment that a log was given.
pub struct Expected {
    pub segment: u32,
    /// The table's name, when it was last noted.
    pub name: String,
    /// Its OID, if it was noted in this database.
    pub table: Option<pg_sys::Oid>,
    /// It has not ended by `notary.unprotect`.
    pub lives: bool,
}

/// All segments of a log, by the extension's memory and by the journal: either can be without the other, and what
/// either says is live has not ended.
pub fn segments(log: LogId) -> Result<BTreeMap<u32, Expected>, Error> {
    let here = journal::database()?;
    let memory =
        "SELECT segment, schema_name || '.' || table_name, CASE WHEN database = $2 THEN table_oid END, ended_at IS NULL
                  FROM notary.segment WHERE log = $1::pg_catalog.uuid";
    let journaled = "SELECT segment, max(relation), NULL::int8, bool_or(NOT EXISTS (
                         SELECT FROM notary.journal AS later WHERE later.log = j.log
                         AND later.action IN ('unprotect', 'forget') AND (later.details ->> 'last_segment')::int8 >= j.segment))
                     FROM notary.journal AS j WHERE log = $1::pg_catalog.uuid AND action = 'protect' AND details ->> 'database' = $2
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
                        lives: spi::get::<bool>(row, 4)?.unwrap_or(true),
                    })
                }))
            })
        })
    };
    let mut all = BTreeMap::new();
    let mut found = read(memory)?;
    if journal::exists()? {
        found.extend(read(journaled)?);
    }
    for expected in found.into_iter().flatten() {
        let expected = expected?;
        let lives = expected.lives;
        all.entry(expected.segment).or_insert(expected).lives |= lives;
    }
    Ok(all)
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
    let sql = "SELECT DISTINCT s.log::text, c.oid FROM notary.segment AS s JOIN pg_catalog.pg_class AS c
               ON c.oid = CASE WHEN s.database = $1 AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = s.table_oid::oid)
                          THEN s.table_oid::oid ELSE pg_catalog.to_regclass(pg_catalog.format('%I.%I', s.schema_name, s.table_name))::oid END
               WHERE s.ended_at IS NULL";
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
    let carried = "EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgfoid IN ($2, $3)
                   AND pg_catalog.position(tgargs, pg_catalog.convert_to(log::text, 'UTF8')) > 0)";
    let memory = format!(
        "SELECT log::text, max(schema_name || '.' || table_name), bool_or(database = $1) FROM notary.segment
         WHERE ended_at IS NULL AND NOT {carried} GROUP BY log"
    );
    let journaled = format!(
        "SELECT log::text, max(relation), bool_or(details ->> 'database' = $1) FROM notary.journal AS j
         WHERE action IN ('protect', 'attest') AND log IS NOT NULL AND NOT EXISTS (
             SELECT FROM notary.journal AS later WHERE later.log = j.log
             AND later.action IN ('unprotect', 'forget')
             AND (later.details ->> 'last_segment')::int8 >= coalesce(j.segment, (j.details ->> 'last_segment')::int8, 0))
         AND NOT {carried}
         GROUP BY log"
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
