//! The extension's tables about trees. Written only by `seal`.

use super::Tree;
use crate::error::Error;
use crate::pg::context::as_superuser;
use crate::pg::spi;
use notary_core::Digest;
use notary_core::id::LogId;
use notary_core::merkle::Frontier;
use notary_core::seal::Seal;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::SpiHeapTupleData;
use std::collections::BTreeMap;

/// Consecutive lines that are consecutive leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The leaf of the first.
    pub first_leaf: u64,
    /// Their segment.
    pub segment: u32,
    /// Their chain; 0: the segment's header line, which is one leaf with seq 0.
    pub chain: u32,
    /// The first one's seq.
    pub first_seq: u64,
    /// The last one's.
    pub last_seq: u64,
}

impl Range {
    /// How many leaves.
    pub fn len(&self) -> u64 {
        (self.last_seq - self.first_seq).saturating_add(1)
    }

    /// The first leaf after it.
    pub fn end(&self) -> u64 {
        self.first_leaf.saturating_add(self.len())
    }

    /// The leaf of the last.
    pub fn last_leaf(&self) -> u64 {
        self.first_leaf + (self.last_seq - self.first_seq)
    }

    /// The first and the last seq of what of it is in the leaves `from` to `to`, which is not empty.
    pub fn seqs_in(&self, from: u64, to: u64) -> (u64, u64) {
        let first = self.first_seq + from.saturating_sub(self.first_leaf);
        (first, self.last_seq.min(self.first_seq.saturating_add(to - 1 - self.first_leaf)))
    }
}

/// A seal that was made.
#[derive(Clone, Debug)]
pub struct StoredSeal {
    /// How many leaves.
    pub size: u64,
    /// Their root.
    pub root: Digest,
    /// When, in microseconds since 2000.
    pub at: i64,
    /// As it was handed out.
    pub note: String,
}

impl StoredSeal {
    /// Its note, which must be of this tree and say what the columns beside it say.
    pub fn read(&self, tree: &Tree) -> Result<Seal, String> {
        let seal = Seal::parse(self.note.as_bytes()).map_err(|why| why.to_string())?;
        let says = seal.checkpoint();
        let fits = *says.origin() == tree.origin && says.size() == self.size && *says.root() == self.root;
        if fits { Ok(seal) } else { Err("its note says something else than its columns".into()) }
    }
}

/// How many hashes one row of notary.subtree holds at most: a row of a kilobyte stays out of TOAST.
const HASHES_PER_ROW: u64 = 32;

fn number(row: &SpiHeapTupleData<'_>, ordinal: usize) -> Result<u64, Error> {
    Ok(spi::get::<i64>(row, ordinal)?.and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX))
}

fn small(row: &SpiHeapTupleData<'_>, ordinal: usize) -> Result<u32, Error> {
    number(row, ordinal).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// Sizes and sequence numbers end at 2^63 - 1.
#[allow(clippy::cast_possible_wrap)]
pub fn signed(n: u64) -> i64 {
    n.min(i64::MAX as u64) as i64
}

fn args<'a>(tree: &Tree) -> [DatumWithOid<'a>; 2] {
    [pgrx::Uuid::from_bytes(*tree.log.as_bytes()).into(), signed(tree.incarnation.into()).into()]
}

/// The tree of a log's newest incarnation.
pub fn newest_tree(log: LogId) -> Result<Option<Tree>, Error> {
    let sql = "SELECT incarnation::int8, origin, home, timeline, size FROM notary.tree WHERE log = $1
               ORDER BY incarnation DESC LIMIT 1";
    let rows = as_superuser(|| {
        spi::kept_rows(sql, &[pgrx::Uuid::from_bytes(*log.as_bytes()).into()], |row| {
            let text = |i| spi::get::<String>(row, i).map(Option::unwrap_or_default);
            Ok((small(row, 1)?, text(2)?, text(3)?, spi::get::<i64>(row, 4)?.unwrap_or(0), number(row, 5)?))
        })
    })?;
    let Some((incarnation, origin, home, timeline, size)) = rows.into_iter().next() else { return Ok(None) };
    let origin: notary_core::Origin =
        origin.parse().map_err(|e| damaged("notary.tree", format!("Of the log {log}: the {e}.")))?;
    if origin.log() != log || origin.incarnation() != incarnation {
        return Err(damaged("notary.tree", format!("The log {log} has the origin {origin}.")));
    }
    Ok(Some(Tree { log, incarnation, origin, home, timeline, size }))
}

/// Notes a new tree, or where one may be signed from now on.
pub fn put_tree(tree: &Tree) -> Result<(), Error> {
    let [log, incarnation] = args(tree);
    let sql = "INSERT INTO notary.tree (log, incarnation, origin, home, timeline) VALUES ($1, $2::int4, $3, $4, $5)
               ON CONFLICT (log, incarnation) DO UPDATE SET home = excluded.home, timeline = excluded.timeline";
    let args = [log, incarnation, tree.origin.as_str().into(), tree.home.as_str().into(), tree.timeline.into()];
    as_superuser(|| spi::run(sql, &args)).map(|_| ())
}

/// More lines than any log has: what is above was not written by pg_notary.
const MAX: u64 = 1 << 60;

fn read_range(row: &SpiHeapTupleData<'_>) -> Result<Range, Error> {
    let range = Range {
        first_leaf: number(row, 1)?,
        segment: small(row, 2)?,
        chain: small(row, 3)?,
        first_seq: number(row, 4)?,
        last_seq: number(row, 5)?,
    };
    let is_header = range.chain == 0 && range.first_seq == 0 && range.last_seq == 0;
    let is_stretch = (1..=notary_core::chain::MAX_CHAIN).contains(&range.chain)
        && range.first_seq >= 1
        && range.first_seq <= range.last_seq;
    let is_range = range.first_leaf < MAX && range.last_seq < MAX && range.segment < u32::MAX;
    if is_range && (is_header || is_stretch) {
        return Ok(range);
    }
    Err(damaged("notary.leaf_range", format!("It has a row that is no stretch of a chain: {range:?}.")))
}

/// What somebody changed in the extension's tables.
const fn damaged(table: &'static str, detail: String) -> Error {
    Error::Remembered { table, detail }
}

const RANGE: &str = "SELECT first_leaf, segment, chain::int8, first_seq, last_seq FROM notary.leaf_range WHERE log = $1 AND incarnation = $2::int4";

/// The ranges that hold any of the leaves `from` to `to`, in their order. Each is whole, also where it reaches beyond.
pub fn ranges(tree: &Tree, from: u64, to: u64) -> Result<Vec<Range>, Error> {
    let [log, incarnation] = args(tree);
    // The last that begins at or before the first leaf, and all after it.
    let sql = format!(
        "{RANGE} AND first_leaf < $4 AND first_leaf >= coalesce((SELECT max(first_leaf) FROM notary.leaf_range
         WHERE log = $1 AND incarnation = $2::int4 AND first_leaf <= $3), 0) ORDER BY first_leaf"
    );
    as_superuser(|| spi::kept_rows(&sql, &[log, incarnation, signed(from).into(), signed(to).into()], read_range))
}

/// The range with an entry: chain 0 and seq 0 for a header.
pub fn range_of(tree: &Tree, segment: u32, chain: u32, seq: u64) -> Result<Option<Range>, Error> {
    let [log, incarnation] = args(tree);
    let sql =
        format!("{RANGE} AND segment = $3 AND chain = $4::int4 AND first_seq <= $5 ORDER BY first_seq DESC LIMIT 1");
    let args = [log, incarnation, signed(segment.into()).into(), signed(chain.into()).into(), signed(seq).into()];
    let found = as_superuser(|| spi::kept_rows(&sql, &args, read_range))?;
    Ok(found.into_iter().next().filter(|range| seq <= range.last_seq))
}

/// The last range of each chain of each segment (and each header) among the first `size` leaves, cut off there.
pub fn last_ranges(tree: &Tree, size: u64) -> Result<Vec<Range>, Error> {
    let [log, incarnation] = args(tree);
    let sql = "SELECT DISTINCT ON (segment, chain) first_leaf, segment, chain::int8, first_seq, last_seq FROM notary.leaf_range
               WHERE log = $1 AND incarnation = $2::int4 AND first_leaf < $3 ORDER BY segment, chain, first_seq DESC";
    let mut last = as_superuser(|| spi::kept_rows(sql, &[log, incarnation, signed(size).into()], read_range))?;
    for range in &mut last {
        range.last_seq = range.last_seq.min(range.first_seq.saturating_add(size - range.first_leaf - 1));
    }
    Ok(last)
}

/// Forgets the ranges from this leaf on: what was planned and never signed.
pub fn drop_ranges(tree: &Tree, from: u64) -> Result<(), Error> {
    let [log, incarnation] = args(tree);
    let args = [log, incarnation, signed(from).into()];
    let planned = "DELETE FROM notary.leaf_range WHERE log = $1 AND incarnation = $2::int4 AND first_leaf >= $3";
    // No seal ends within a range, unless somebody was at them.
    let beyond = "UPDATE notary.leaf_range SET last_seq = first_seq + ($3 - first_leaf) - 1
                  WHERE log = $1 AND incarnation = $2::int4 AND first_leaf >= (SELECT max(first_leaf) FROM notary.leaf_range
                      WHERE log = $1 AND incarnation = $2::int4 AND first_leaf < $3)
                  AND first_leaf < $3 AND last_seq - first_seq >= $3 - first_leaf";
    as_superuser(|| {
        spi::run(planned, &args)?;
        spi::run(beyond, &args)
    })
    .map(|_| ())
}

/// Stores ranges.
pub fn put_ranges(tree: &Tree, ranges: &[Range]) -> Result<(), Error> {
    let column = |of: fn(&Range) -> u64| ranges.iter().map(|r| signed(of(r))).collect::<Vec<i64>>();
    let [log, incarnation] = args(tree);
    let sql = "INSERT INTO notary.leaf_range (log, incarnation, first_leaf, segment, chain, first_seq, last_seq)
               SELECT $1, $2::int4, * FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5::int4[]),
                   pg_catalog.unnest($6), pg_catalog.unnest($7))";
    let args = [
        log,
        incarnation,
        column(|r| r.first_leaf).into(),
        column(|r| r.segment.into()).into(),
        column(|r| r.chain.into()).into(),
        column(|r| r.first_seq).into(),
        column(|r| r.last_seq).into(),
    ];
    as_superuser(|| spi::run(sql, &args)).map(|_| ())
}

/// Hashes of subtrees of 256^level leaves (level 0: of leaves): those numbered `first` to `first + count`, as far as they are stored.
pub fn subtrees(tree: &Tree, level: u8, first: u64, count: u64) -> Result<Vec<Option<Digest>>, Error> {
    let [log, incarnation] = args(tree);
    let sql = "SELECT first, hashes FROM notary.subtree WHERE log = $1 AND incarnation = $2::int4 AND level = $3::int2
               AND first > $4 AND first < $5";
    let args = [
        log,
        incarnation,
        i64::from(level).into(),
        (signed(first) - signed(HASHES_PER_ROW)).into(),
        signed(first.saturating_add(count)).into(),
    ];
    let rows = as_superuser(|| {
        spi::kept_rows(sql, &args, |row| Ok((number(row, 1)?, spi::get::<Vec<u8>>(row, 2)?.unwrap_or_default())))
    })?;
    let mut found = vec![None; usize::try_from(count).unwrap_or(0)];
    for (start, hashes) in rows {
        for (number, hash) in (start..).zip(hashes.chunks_exact(32)) {
            let slot = number.checked_sub(first).and_then(|i| usize::try_from(i).ok());
            if let Some(slot) = slot.and_then(|i| found.get_mut(i)) {
                *slot = Digest::from_slice(hash);
            }
        }
    }
    Ok(found)
}

/// Stores hashes of subtrees of one level, consecutive from `first`.
pub fn put_subtrees(tree: &Tree, level: u8, first: u64, hashes: &[Digest]) -> Result<(), Error> {
    let pieces = hashes.chunks(usize::try_from(HASHES_PER_ROW).unwrap_or(1));
    let firsts: Vec<i64> = (0..pieces.len() as u64).map(|i| signed(first + i * HASHES_PER_ROW)).collect();
    let bytes: Vec<Vec<u8>> =
        pieces.map(|piece| piece.iter().flat_map(|hash| hash.as_bytes().iter().copied()).collect()).collect();
    let [log, incarnation] = args(tree);
    let sql = "INSERT INTO notary.subtree (log, incarnation, level, first, hashes)
               SELECT $1, $2::int4, $3::int2, * FROM ROWS FROM (pg_catalog.unnest($4), pg_catalog.unnest($5))
               ON CONFLICT (log, incarnation, level, first) DO UPDATE SET hashes = excluded.hashes";
    as_superuser(|| spi::run(sql, &[log, incarnation, i64::from(level).into(), firsts.into(), bytes.into()]))
        .map(|_| ())
}

fn read_seal(row: &SpiHeapTupleData<'_>) -> Result<Option<StoredSeal>, Error> {
    let size = spi::get::<i64>(row, 1)?.and_then(|n| u64::try_from(n).ok());
    let root = Digest::from_slice(&spi::get::<Vec<u8>>(row, 2)?.unwrap_or_default());
    let at = spi::get::<TimestampWithTimeZone>(row, 3)?.map_or(0, i64::from);
    let note = spi::get::<String>(row, 4)?.unwrap_or_default();
    Ok(size.zip(root).map(|(size, root)| StoredSeal { size, root, at, note }))
}

const SEAL: &str =
    "SELECT size, root, sealed_at, note FROM notary.seal_store WHERE log = $1 AND incarnation = $2::int4";

/// A seal with what notary.seals shows besides.
pub struct ListedSeal {
    /// The seal.
    pub seal: StoredSeal,
    /// Of which tree.
    pub incarnation: i32,
    /// The size of the one before it.
    pub from_size: u64,
    /// The verifier keys that signed it.
    pub keys: Vec<String>,
}

/// All seals, by log, in the order in which they were made.
pub fn all_seals() -> Result<BTreeMap<LogId, Vec<ListedSeal>>, Error> {
    let sql = "SELECT size, root, sealed_at, note, log::text, incarnation, keys,
                   coalesce(lag(size) OVER (PARTITION BY log, incarnation ORDER BY size), 0)
               FROM notary.seal_store ORDER BY log, incarnation, size";
    let rows = as_superuser(|| {
        spi::kept_rows(sql, &[], |row| {
            let log = spi::get::<String>(row, 5)?.and_then(|log| log.parse::<LogId>().ok());
            let incarnation = spi::get::<i32>(row, 6)?.unwrap_or(0);
            let keys = spi::get::<Vec<Option<String>>>(row, 7)?.unwrap_or_default().into_iter().flatten().collect();
            let from_size = number(row, 8)?;
            Ok(log.zip(read_seal(row)?.map(|seal| ListedSeal { seal, incarnation, from_size, keys })))
        })
    })?;
    let mut all: BTreeMap<LogId, Vec<ListedSeal>> = BTreeMap::new();
    for (log, seal) in rows.into_iter().flatten() {
        all.entry(log).or_default().push(seal);
    }
    Ok(all)
}

/// The newest seal of a tree. It is looked up with what notary.tree says of it, by one statement: seals are made meanwhile.
pub fn newest_seal(tree: &Tree) -> Result<Option<StoredSeal>, Error> {
    let sql = "SELECT s.size, s.root, s.sealed_at, s.note, t.size FROM notary.tree AS t LEFT JOIN LATERAL (
                   SELECT * FROM notary.seal_store AS s WHERE s.log = t.log AND s.incarnation = t.incarnation
                   ORDER BY s.size DESC LIMIT 1) AS s ON true
               WHERE t.log = $1 AND t.incarnation = $2::int4";
    let newest = as_superuser(|| {
        spi::kept_rows(sql, &args(tree), |row| {
            let is_there = spi::get::<i64>(row, 1)?.is_some();
            Ok((is_there.then(|| read_seal(row)).transpose()?, number(row, 5)?))
        })
    })?;
    let Some((newest, known)) = newest.into_iter().next() else { return Ok(None) };
    let damaged = |detail| Err(damaged("notary.seal_store", detail));
    let newest = match newest {
        Some(None) => return damaged("Its newest seal has no size or no root.".into()),
        newest => newest.flatten(),
    };
    let size = newest.as_ref().map_or(0, |seal| seal.size);
    if size == known {
        return Ok(newest);
    }
    damaged(format!("Its newest seal has size {size}, and notary.tree knows of one of size {known}."))
}

/// The seal of a tree at this size.
pub fn seal_of_size(tree: &Tree, size: u64) -> Result<Option<StoredSeal>, Error> {
    let [log, incarnation] = args(tree);
    let sql = format!("{SEAL} AND size = $3");
    let found = as_superuser(|| spi::kept_rows(&sql, &[log, incarnation, signed(size).into()], read_seal))?;
    Ok(found.into_iter().flatten().next())
}

/// The newest seal of a tree that does not hold this leaf.
pub fn seal_before(tree: &Tree, leaf: u64) -> Result<Option<StoredSeal>, Error> {
    let [log, incarnation] = args(tree);
    let sql = format!("{SEAL} AND size <= $3 ORDER BY size DESC LIMIT 1");
    let found = as_superuser(|| spi::kept_rows(&sql, &[log, incarnation, signed(leaf).into()], read_seal))?;
    Ok(found.into_iter().flatten().next())
}

/// Stores a seal, made now, of the tree as far as it has grown.
pub fn put_seal(tree: &Tree, frontier: &Frontier, note: &str, keys: Vec<String>) -> Result<(), Error> {
    let [log, incarnation] = args(tree);
    let sql = "INSERT INTO notary.seal_store (log, incarnation, size, root, sealed_at, note, keys)
               VALUES ($1, $2::int4, $3, $4, pg_catalog.clock_timestamp(), $5, $6)";
    let root = frontier.root().as_bytes().to_vec();
    let size = signed(frontier.size());
    let args = [log, incarnation, size.into(), root.into(), note.into(), keys.into()];
    let [log, incarnation] = self::args(tree);
    let newest = "UPDATE notary.tree SET size = $3 WHERE log = $1 AND incarnation = $2::int4";
    as_superuser(|| {
        spi::run(sql, &args)?;
        spi::run(newest, &[log, incarnation, size.into()])
    })
    .map(|_| ())
}

/// Stores a seal's note anew, with other signatures under the same text.
pub fn put_note(tree: &Tree, size: u64, note: &str, keys: Vec<String>) -> Result<(), Error> {
    let [log, incarnation] = args(tree);
    let sql =
        "UPDATE notary.seal_store SET note = $4, keys = $5 WHERE log = $1 AND incarnation = $2::int4 AND size = $3";
    as_superuser(|| spi::run(sql, &[log, incarnation, signed(size).into(), note.into(), keys.into()])).map(|_| ())
}

/// The tiles of leaves that were kept: how many, by the first.
pub fn kept_tiles(tree: &Tree) -> Result<BTreeMap<u64, u64>, Error> {
    let [log, incarnation] = args(tree);
    let sql = "SELECT first / 256 * 256, sum(length(hashes) / 32)::int8 FROM notary.subtree
               WHERE log = $1 AND incarnation = $2::int4 AND level = 0 GROUP BY 1";
    let rows = as_superuser(|| spi::rows(sql, &[log, incarnation], |row| Ok((number(row, 1)?, number(row, 2)?))))?;
    Ok(rows.into_iter().collect())
}
