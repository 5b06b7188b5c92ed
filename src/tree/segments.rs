//! The tables in which a log's lines are, and their rows in the order of their chains.

use super::store::{Range, signed};
use crate::error::Error;
use crate::journal;
use crate::log::{self, Functions, Mark};
use crate::pg::chain_rows::ChainRows;
use crate::pg::context::as_superuser;
use crate::pg::relation::Rel;
use crate::pg::row::RowWriter;
use crate::pg::{rewrite, spi};
use notary_core::Digest;
use notary_core::chain::Segments as Headers;
use notary_core::header::Header;
use notary_core::id::LogId;
use notary_core::line::{self, Place};
use pgrx::pg_sys;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A log's segments.
pub struct Segments {
    /// The log.
    pub log: LogId,
    headers: BTreeMap<u32, Header>,
    tables: BTreeMap<u32, pg_sys::Oid>,
}

/// A table with entries, open.
pub struct Table {
    /// Its rows.
    pub rows: ChainRows,
    /// Its headers.
    pub headers: Headers,
}

/// A line as its row gives it, and what the row says of its hashes.
pub struct Line<'a> {
    /// Its place.
    pub place: Place,
    /// Its bytes, whose SHA-256 the hash should be.
    pub bytes: &'a [u8],
    /// notary_hash.
    pub hash: Option<Digest>,
}

impl Table {
    /// Hands out the lines of the entries `first` to `last` of a chain, made anew from their rows. A line that cannot be
    /// had ends it.
    pub fn lines(
        &self,
        chain: u32,
        first: u64,
        last: u64,
        mut each: impl FnMut(&Line<'_>) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let table = self.rows.table();
        let mut writer = RowWriter::of_stored(table).map_err(|why| why.to_string())?;
        let (mut next, mut damage, mut bytes) = (first, None, Vec::new());
        self.rows.each(chain, first, last, |row| {
            let mut one = || {
                let at = |why: &str| format!("{}: chain {chain}, seq {next} {why}", table.qualified());
                let (values, nulls) = row.values.map_err(|why| at(&format!("cannot be read: {why}")))?;
                let stored = rewrite::stored_place(self.rows.columns(), table, values, nulls);
                if stored.chain.and_then(|c| u32::try_from(c).ok()) != Some(chain) || stored.seq != Some(signed(next)) {
                    return Err(at("is missing"));
                }
                let (Some(time), Some(prev)) = (stored.time, stored.prev) else {
                    return Err(at("has no time or no prev"));
                };
                let place = self.headers.place(i32::try_from(chain).unwrap_or(0), signed(next), time, prev);
                let place = place.ok_or_else(|| at("is no place of a line"))?;
                bytes.clear();
                line::begin(&mut bytes, &place);
                writer.write_read(&mut bytes, values, nulls).map_err(|why| at(&format!("cannot be read: {why}")))?;
                line::end(&mut bytes);
                each(&Line { place, bytes: &bytes, hash: stored.hash })
            };
            match one() {
                Ok(()) => next += 1,
                Err(why) => damage = Some(why),
            }
            damage.is_none()
        });
        match damage {
            Some(why) => Err(why),
            None if next <= last => Err(format!("{}: chain {chain}, seq {next} is missing", table.qualified())),
            None => Ok(()),
        }
    }
}

/// Why a line cannot be had: what is wrong with the log, in words.
pub type Damage = String;

impl Segments {
    /// The segments of the log that is on this table, by its triggers, and by what is remembered of those whose table is
    /// gone.
    pub fn of(root: &Rel, functions: &Functions) -> Result<Self, Error> {
        let (mut headers, mut tables, mut id) = (BTreeMap::new(), BTreeMap::new(), None);
        for leaf in log::leaves(root, pg_sys::AccessShareLock) {
            let rel = Rel::open(leaf, pg_sys::AccessShareLock);
            let Some(Mark::Segment(segment)) = log::mark(&rel, functions)? else { continue };
            id.get_or_insert(segment.log());
            for header in segment.headers {
                tables.insert(header.segment, leaf);
                headers.insert(header.segment, header);
            }
        }
        if let (None, Some(Mark::Partitioned { log, .. })) = (id, log::mark(root, functions)?) {
            id = Some(log);
        }
        let Some(log) = id else { return Err(Error::NotALog { table: root.qualified() }) };
        for header in remembered(log)? {
            if let Entry::Vacant(slot) = headers.entry(header.segment) {
                slot.insert(header);
            }
        }
        Ok(Self { log, headers, tables })
    }

    /// All headers, by number.
    pub fn headers(&self) -> impl Iterator<Item = &Header> {
        self.headers.values()
    }

    /// The first number of which there is no header, though there are later ones.
    pub fn gap(&self) -> Option<u32> {
        (1..).zip(self.headers.keys()).find(|(number, segment)| number != *segment).map(|(number, _)| number)
    }

    /// The header of a segment.
    pub fn header(&self, segment: u32) -> Option<&Header> {
        self.headers.get(&segment)
    }

    /// The tables, each with its segments' numbers.
    pub fn tables(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut all: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (segment, table) in &self.tables {
            all.entry(table.to_u32()).or_default().push(*segment);
        }
        all
    }

    /// Is it the newest segment of a table that is here? Its entries cannot leave it lawfully.
    pub fn is_current(&self, segment: u32) -> bool {
        let newer = |table| self.tables.range(segment + 1..).any(|(_, other)| *other == table);
        self.table_of(segment).is_some_and(|table| !newer(table))
    }

    /// The table of a segment.
    pub fn table_of(&self, segment: u32) -> Option<pg_sys::Oid> {
        self.tables.get(&segment).copied()
    }

    /// The table of a segment, open.
    pub fn open(&self, segment: u32) -> Result<Table, Damage> {
        let table = self.table_of(segment).ok_or_else(|| format!("the table of segment {segment} is not here"))?;
        self.open_table(table)
    }

    /// The headers of a table of this log.
    pub fn headers_of(&self, table: &Rel) -> Result<Headers, Damage> {
        let oid = table.oid();
        Headers::new(self.headers_on(Some(oid))).map_err(|why| format!("the headers of {}: {why}", table.qualified()))
    }

    /// The same as a list, oldest first; none of no table.
    pub fn headers_on(&self, table: Option<pg_sys::Oid>) -> Vec<Header> {
        let of_table = self.tables.iter().filter(|(_, of)| Some(**of) == table);
        of_table.filter_map(|(segment, _)| self.headers.get(segment)).cloned().collect()
    }

    /// A table of this log, open.
    pub fn open_table(&self, table: pg_sys::Oid) -> Result<Table, Damage> {
        let rel = Rel::open(table, pg_sys::AccessShareLock);
        let name = rel.qualified();
        if let Some(column) = crate::pg::validate::misplaced_column(&rel) {
            return Err(format!("column \"{column}\" of {name} is not stored as its type is"));
        }
        let headers = self.headers_of(&rel)?;
        let rows = ChainRows::open(rel)
            .ok_or_else(|| format!("the unique index of {name} over (notary_chain, notary_seq) is missing"))?;
        Ok(Table { rows, headers })
    }

    /// The stored hashes of the lines of a range that are leaves `from` to `to`, in their order.
    pub fn hashes(&self, range: &Range, from: u64, to: u64) -> Result<Vec<Digest>, Damage> {
        let hashes = self.hashes_there(range, from, to)?;
        let first = range.first_seq + from.saturating_sub(range.first_leaf);
        let gone = |seq: u64| format!("chain {}, seq {seq} is missing or has no hash", range.chain);
        (first..).zip(hashes).map(|(seq, hash)| hash.ok_or_else(|| gone(seq))).collect()
    }

    /// The same, with None for a line that is not there or has no hash that can be read.
    pub fn hashes_there(&self, range: &Range, from: u64, to: u64) -> Result<Vec<Option<Digest>>, Damage> {
        if range.chain == 0 {
            let header = self.header(range.segment);
            let header = header.ok_or_else(|| format!("the header of segment {} is not known", range.segment))?;
            return Ok(vec![Some(header.hash())]);
        }
        let table = self.open(range.segment)?;
        // A row's chain says which segment its line names.
        if table.headers.of_chain(range.chain).map(|(header, _)| header.segment) != Some(range.segment) {
            return Err(format!("chain {} is none of segment {}", range.chain, range.segment));
        }
        let skip = from.saturating_sub(range.first_leaf);
        let count = to.min(range.end()).saturating_sub(range.first_leaf + skip);
        let first = range.first_seq + skip;
        let mut hashes = vec![None; usize::try_from(count).unwrap_or(0)];
        table.rows.each(range.chain, first, first + count.saturating_sub(1), |row| {
            let Ok((values, nulls)) = row.values else { return true };
            let stored = rewrite::stored_place(table.rows.columns(), table.rows.table(), values, nulls);
            let slot = stored.seq.and_then(|seq| usize::try_from(seq).ok()?.checked_sub(usize::try_from(first).ok()?));
            if stored.chain == i32::try_from(range.chain).ok()
                && let Some(slot) = slot.and_then(|slot| hashes.get_mut(slot))
            {
                *slot = stored.hash;
            }
            true
        });
        Ok(hashes)
    }
}

/// The headers of a log's segments as the journal has them, in the entries of their protection; where it knows none of the
/// log, as the extension remembers them. One that somebody damaged is none.
fn remembered(log: LogId) -> Result<Vec<Header>, Error> {
    let id = || pgrx::Uuid::from_bytes(*log.as_bytes()).into();
    let read = |sql: &str| as_superuser(|| spi::kept_rows(sql, &[id()], |row| spi::get::<String>(row, 1)));
    let mut lines = Vec::new();
    if journal::exists()? {
        lines = read(
            "SELECT details ->> 'header' FROM notary.journal
             WHERE log = $1 AND action = 'protect' AND details ? 'header' ORDER BY segment",
        )?;
    }
    if lines.is_empty() {
        lines = read("SELECT header FROM notary.segment WHERE log = $1 ORDER BY segment")?;
    }
    Ok(lines.iter().flatten().filter_map(|line| Header::parse(line).ok()).filter(|header| header.log == log).collect())
}
