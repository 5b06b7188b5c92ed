//! What is remembered of logs beyond their triggers: `notary.segment`, and what the journal says happened while a log
//! was not protected. Names are text. A table is recognised by its OID where it was noted in this very database, and in a
//! restored copy by its name: never by its entries alone, which anybody who may read them can put into a table of his own.

use crate::error::Error;
use crate::log::{self, Functions, Mark};
use crate::pg::context;
use crate::pg::context::as_superuser;
use crate::pg::relation::Rel;
use crate::pg::row::NotaryColumns;
use crate::pg::{rewrite, spi};
use crate::tree::segments::Segments;
use crate::tree::{Tree, store};
use notary_core::digest::Digest;
use notary_core::header::Header;
use notary_core::id::LogId;
use notary_core::merkle;
use notary_core::stretch::{Stretches, gaps};
use pgrx::pg_sys;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// How many changed rows one entry of the journal names.
pub const CHANGES_PER_ENTRY: usize = 10_000;

struct Remembered {
    log: LogId,
    header: Header,
    schema: String,
    table: String,
    /// The table's OID, if it was noted in this database.
    oid: Option<u32>,
}

impl Remembered {
    /// Is it this table that the header was noted for?
    fn is_of(&self, rel: &Rel) -> bool {
        self.oid
            .map_or_else(|| self.schema == rel.schema() && self.table == rel.name(), |oid| oid == rel.oid().to_u32())
    }
}

fn remembered(condition: &str, args: &[pgrx::datum::DatumWithOid<'_>]) -> Result<Vec<Remembered>, Error> {
    let sql = format!(
        "SELECT log::text, header, schema_name, table_name, database, table_oid FROM notary.segment WHERE {condition}
         ORDER BY log, segment"
    );
    let here = crate::journal::database()?;
    let rows = as_superuser(|| {
        spi::rows(&sql, args, |row| {
            let text = |i| spi::get::<String>(row, i).map(Option::unwrap_or_default);
            let oid = spi::get::<i64>(row, 6)?.filter(|_| text(5).is_ok_and(|database| database == here));
            Ok((text(1)?, text(2)?, text(3)?, text(4)?, oid.and_then(|oid| u32::try_from(oid).ok())))
        })
    })?;
    // A row that somebody damaged is no help; verification reports it.
    Ok(rows
        .into_iter()
        .filter_map(|(log, header, schema, table, oid)| {
            Some(Remembered { log: log.parse().ok()?, header: Header::parse(&header).ok()?, schema, table, oid })
        })
        .collect())
}

/// The log that a table belonged to.
pub fn log_of_table(relid: pg_sys::Oid) -> Result<Option<LogId>, Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let mut known = remembered("true", &[])?;
    known.sort_by_key(|r| r.header.time);
    Ok(known.iter().rev().find(|r| r.is_of(&rel)).map(|r| r.log))
}

/// The log that a partitioned table was, by its leaves, unless another table is that log now.
pub fn log_of_tree(leaves: &[pg_sys::Oid], functions: &Functions) -> Result<Option<LogId>, Error> {
    for leaf in leaves {
        if let Some(log) = log_of_table(*leaf)? {
            return Ok(if table_with(log, functions)?.is_none() { Some(log) } else { None });
        }
    }
    Ok(None)
}

/// The tables of a log that are not among its leaves any more, by name.
pub fn left(log: LogId, leaves: &[pg_sys::Oid]) -> Result<Vec<String>, Error> {
    let rels: Vec<_> = leaves.iter().map(|leaf| Rel::open(*leaf, pg_sys::NoLock)).collect();
    let known = remembered("log = $1::pg_catalog.uuid", &[log.to_string().into()])?;
    let gone = known.iter().filter(|known| !rels.iter().any(|rel| known.is_of(rel)));
    let mut names: Vec<_> = gone.map(|known| spi::quote_qualified(&known.schema, &known.table)).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The headers of a table's earlier segments of `log`, oldest first.
pub fn past(relid: pg_sys::Oid, log: LogId) -> Result<Vec<Header>, Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    Ok(remembered("log = $1::pg_catalog.uuid", &[log.to_string().into()])?
        .into_iter()
        .filter(|r| r.is_of(&rel))
        .map(|r| r.header)
        .collect())
}

/// The number of the next segment of a log: above all that memory and journal know, either of which may have come to a
/// copy without the other.
pub fn next_number(log: LogId) -> Result<u32, Error> {
    let remembered = remembered("log = $1::pg_catalog.uuid", &[log.to_string().into()])?;
    let remembered = remembered.iter().map(|r| r.header.segment).max();
    let sql = "SELECT max(segment) FROM notary.journal
               WHERE log = $1::pg_catalog.uuid AND action = 'protect' AND segment BETWEEN 1 AND 2147483647";
    let journaled = as_superuser(|| spi::rows(sql, &[log.to_string().into()], |row| spi::get::<i64>(row, 1)))?;
    let journaled = journaled.into_iter().flatten().next().and_then(|n| u32::try_from(n).ok());
    Ok(remembered.max(journaled).unwrap_or(0).saturating_add(1))
}

/// The segment whose header has this hash, as far as the extension remembers.
pub struct Owner {
    /// The log.
    pub log: LogId,
    /// The segment's number.
    pub segment: u32,
    /// The table that it was on.
    pub table: String,
}

/// The segment that a chain which begins with this hash belongs to.
pub fn owner_of(header_hashes: &[Digest]) -> Result<Option<Owner>, Error> {
    // Of several the oldest: they are sorted by log and segment.
    let known = remembered("true", &[])?.into_iter().find(|known| header_hashes.contains(&known.header.hash()));
    Ok(known.map(|known| Owner {
        log: known.log,
        segment: known.header.segment,
        table: spi::quote_qualified(&known.schema, &known.table),
    }))
}

/// Notes the segments of a partitioned log that are not known here: a log that was restored alone has come without its
/// memory, and a new partition must not get a number that is taken.
pub fn learn(log: LogId, partition: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let known: HashSet<u32> =
        remembered("log = $1::pg_catalog.uuid", &[log.to_string().into()])?.iter().map(|r| r.header.segment).collect();
    let root = log::root(&Rel::open(partition, pg_sys::NoLock));
    for leaf in log::leaves(&Rel::open(root, pg_sys::AccessShareLock), pg_sys::AccessShareLock) {
        let rel = Rel::open(leaf, pg_sys::NoLock);
        let Ok(Some(Mark::Segment(segment))) = log::mark(&rel, functions) else {
            continue;
        };
        let unknown: Vec<_> = segment.headers.into_iter().filter(|h| !known.contains(&h.segment)).collect();
        store(&rel, &unknown, segment.max_chains)?;
    }
    Ok(())
}

/// Notes all headers of a table that was just protected; returns the newest.
pub fn remember(relid: pg_sys::Oid, max_chains: Option<u32>, functions: &Functions) -> Result<Header, Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let Some(Mark::Segment(segment)) = log::mark(&rel, functions)? else {
        return Err(Error::NotALog { table: rel.qualified() });
    };
    store(&rel, &segment.headers, max_chains)?;
    Ok(segment.current().clone())
}

fn store(rel: &Rel, headers: &[Header], max_chains: Option<u32>) -> Result<(), Error> {
    let (schema, table) = (rel.schema(), rel.name());
    let database = crate::journal::database()?;
    for header in headers {
        as_superuser(|| {
            spi::run(
                "INSERT INTO notary.segment (log, segment, header, schema_name, table_name, max_chains, database,
                     table_oid)
                 VALUES ($1::pg_catalog.uuid, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (log, segment) DO UPDATE
                 SET schema_name = excluded.schema_name, table_name = excluded.table_name,
                     database = excluded.database, table_oid = excluded.table_oid",
                &[
                    header.log.to_string().into(),
                    i64::from(header.segment).into(),
                    header.line().into(),
                    schema.as_str().into(),
                    table.as_str().into(),
                    max_chains.and_then(|n| i32::try_from(n).ok()).into(),
                    database.as_str().into(),
                    i64::from(rel.oid().to_u32()).into(),
                ],
            )
        })?;
    }
    Ok(())
}

/// Notes that a table's segments have ended, with the names it has now.
pub fn remember_ended(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    if let Ok(Some(Mark::Segment(segment))) = log::mark(&rel, functions) {
        store(&rel, &segment.headers, segment.max_chains)?;
        for header in &segment.headers {
            as_superuser(|| {
                spi::run(
                    "UPDATE notary.segment SET ended_at = pg_catalog.clock_timestamp()
                     WHERE log = $1::pg_catalog.uuid AND segment = $2 AND ended_at IS NULL",
                    &[header.log.to_string().into(), i64::from(header.segment).into()],
                )
            })?;
        }
    }
    Ok(())
}

/// Notes that a log's segments have ended that were noted in the database which this one was restored from: what was left
/// out of the copy is not missing for ever.
pub fn remember_ended_elsewhere(log: LogId) -> Result<(), Error> {
    let here = crate::journal::database()?;
    as_superuser(|| {
        spi::run(
            "UPDATE notary.segment SET ended_at = pg_catalog.clock_timestamp()
             WHERE log = $1::pg_catalog.uuid AND ended_at IS NULL AND database IS DISTINCT FROM $2",
            &[log.to_string().into(), here.as_str().into()],
        )
    })
    .map(|_| ())
}

/// Did the segment end by `notary.unprotect`? The journal says so: by segments, whose numbers only grow, and not by
/// times, since clocks are set back.
pub fn has_ended(header: &Header) -> Result<bool, Error> {
    let sql = format!(
        "SELECT EXISTS (
             SELECT FROM notary.journal AS u WHERE u.log = $1::pg_catalog.uuid AND u.action = 'unprotect' AND {} >= $2)",
        crate::journal::last_segment("u")
    );
    let args = [header.log.to_string().into(), i64::from(header.segment).into()];
    let ended = as_superuser(|| spi::rows(&sql, &args, |row| spi::get::<bool>(row, 1)))?;
    Ok(ended.into_iter().flatten().next().unwrap_or(false))
}

/// Ends what is remembered of a log that is gone.
pub fn end(log: LogId) -> Result<(), Error> {
    as_superuser(|| {
        spi::run(
            "UPDATE notary.segment SET ended_at = pg_catalog.clock_timestamp()
             WHERE log = $1::pg_catalog.uuid AND ended_at IS NULL",
            &[log.to_string().into()],
        )
    })
    .map(|_| ())
}

/// The name that a log was last known by.
pub fn name_of(log: LogId) -> Result<Option<String>, Error> {
    let sql = "SELECT relation FROM notary.journal WHERE log = $1::pg_catalog.uuid AND relation IS NOT NULL
               UNION ALL SELECT schema_name || '.' || table_name FROM notary.segment WHERE log = $1::pg_catalog.uuid";
    let names = as_superuser(|| spi::rows(sql, &[log.to_string().into()], |row| spi::get::<String>(row, 1)))?;
    Ok(names.into_iter().flatten().next())
}

/// A table in this database that carries triggers of `log`.
pub fn table_with(log: LogId, functions: &Functions) -> Result<Option<String>, Error> {
    Ok(log::table_of(log, functions)?.map(|table| Rel::open(table, pg_sys::AccessShareLock).qualified()))
}

/// What verification finds wrong with a log now, one object a finding.
fn damage(root: pg_sys::Oid) -> Result<Vec<Value>, Error> {
    let found = as_superuser(|| {
        spi::rows("SELECT damage FROM notary.damage($1::pg_catalog.regclass) AS damage", &[root.into()], |row| {
            spi::get::<pgrx::JsonB>(row, 1)
        })
    })?;
    Ok(found.into_iter().flatten().map(|json| json.0).collect())
}

/// The state in which a log's protection ends, for the journal: what is wrong with it now, and where its chains end. More
/// findings than one entry should name go on in further ones.
pub fn state_of(
    root: pg_sys::Oid,
    log: Option<LogId>,
    leaves: &[pg_sys::Oid],
    functions: &Functions,
) -> Result<Vec<Value>, Error> {
    let damage = damage(root)?;
    let mut ends = Vec::new();
    let mut last_segment = match log {
        Some(log) => next_number(log)? - 1,
        None => 0,
    };
    for leaf in leaves {
        let mark = log::mark(&Rel::open(*leaf, pg_sys::NoLock), functions);
        if let Ok(Some(Mark::Segment(segment))) = mark {
            last_segment = last_segment.max(segment.current().segment);
            ends.extend(all_ends(*leaf, &segment.headers)?);
        }
    }
    let ends: Vec<_> = ends.into_iter().map(|((segment, chain), last)| json!([segment, chain, last])).collect();
    let mut parts = damage.chunks(CHANGES_PER_ENTRY);
    let first = parts.next().unwrap_or_default();
    let sealed = log.map_or(Ok(Vec::new()), sealed_ends)?;
    let mut states = vec![json!({
        "findings": damage.len(),
        "found": first,
        "chain_ends": ends,
        "sealed_ends": sealed,
        "last_segment": last_segment,
    })];
    states.extend(parts.map(|more| json!({ "found": more, "last_segment": last_segment })));
    Ok(states)
}

/// How far each chain is sealed; nothing where what is remembered of the tree is damaged, which verification says.
fn sealed_ends(log: LogId) -> Result<Vec<Value>, Error> {
    let ranges = Tree::newest(log).and_then(|tree| match tree {
        Some(tree) => store::last_ranges(&tree, tree.size),
        None => Ok(Vec::new()),
    });
    match ranges {
        Ok(ranges) => {
            let of_chains = ranges.iter().filter(|range| range.chain > 0);
            Ok(of_chains.map(|range| json!([range.segment, range.chain, range.last_seq])).collect())
        }
        Err(Error::Remembered { .. }) => Ok(Vec::new()),
        Err(other) => Err(other),
    }
}

/// The same as `chain_ends`, and 0 for the first chain of a segment without entries: that there were none is to be noted
/// too.
fn all_ends(relid: pg_sys::Oid, headers: &[Header]) -> Result<BTreeMap<(u32, i64), i64>, Error> {
    let mut ends = chain_ends(relid, headers)?;
    for header in headers {
        let of_segment = (header.segment, 0)..=(header.segment, i64::MAX);
        if ends.range(of_segment).next().is_none() {
            ends.insert((header.segment, i64::from(header.first_chain)), 0);
        }
    }
    Ok(ends)
}

/// The highest seq of each chain of a table, by segment and chain.
///
/// Read row by row and not by a query: to plan one, PostgreSQL evaluates what is constant in the table's index
/// expressions, CHECK constraints and statistics, and would run the owner's functions with whatever rights we have here.
fn chain_ends(relid: pg_sys::Oid, headers: &[Header]) -> Result<BTreeMap<(u32, i64), i64>, Error> {
    let rel = Rel::open(relid, pg_sys::NoLock);
    let mut ends = BTreeMap::new();
    if let Some(at) = NotaryColumns::of(&rel).filter(|_| !rel.is_partitioned()) {
        rewrite::read(&rel, |values, nulls| {
            let entry = rewrite::place(&at, values, nulls);
            if let (Some(chain), Some(seq)) = (entry.chain, entry.seq) {
                let chain = i64::from(chain);
                if let Some(header) = headers.iter().rev().find(|h| i64::from(h.first_chain) <= chain) {
                    let end = ends.entry((header.segment, chain)).or_insert(seq);
                    *end = seq.max(*end);
                }
            }
            Ok::<(), Error>(())
        })?;
    }
    Ok(ends)
}

/// What was changed in a log's older segments since the journal's last entry on its unprotection: what is wrong now,
/// less what was wrong then, and entries cut from the ends of chains.
pub fn changes_since_unprotect(relid: pg_sys::Oid, log: LogId) -> Result<Vec<Value>, Error> {
    // What was found at any unprotect stays a finding; the chains' ends are those of the last one.
    let sql = format!(
        "SELECT details FROM notary.journal AS u WHERE log = $1::pg_catalog.uuid AND action = 'unprotect'
         ORDER BY {} DESC NULLS LAST",
        crate::journal::last_segment("u")
    );
    let before = as_superuser(|| spi::rows(&sql, &[log.to_string().into()], |row| spi::get::<pgrx::JsonB>(row, 1)))?;
    let before: Vec<_> = before.into_iter().flatten().map(|json| json.0).collect();
    let found = before.iter().filter_map(|details| details["found"].as_array());
    let known: HashSet<String> = found.flatten().map(ToString::to_string).collect();
    let (mut changes, stay): (Vec<_>, Vec<_>) = damage(relid)?
        .into_iter()
        // What only seals show is told below, of the table alone.
        .filter(|d| !is_of_seals(d) && !known.contains(&d.to_string()))
        // What no hash pins down could become anything later, and be excused as this.
        .partition(|d| !d["chain"].is_null() && (!d["found"].is_null() || d["problem"] == "missing"));
    if !stay.is_empty() {
        pgrx::warning!("{} finding(s) cannot be told from later ones and stay findings", stay.len());
    }
    let ends = ends_by_segment(&before);
    let cut = cut_ends(relid, &past(relid, log)?, &ends)?;
    let told: Vec<_> = changes.iter().chain(&cut).filter_map(place).collect();
    let of_seals = before.iter().filter_map(|details| details["found"].as_array()).flatten().filter(|d| is_of_seals(d));
    changes.extend(differing(relid, log, told.into_iter().chain(of_seals.filter_map(place)))?);
    changes.extend(cut);
    Ok(changes)
}

/// Is this something that only a seal shows?
fn is_of_seals(found: &Value) -> bool {
    found["problem"] == "tail_cut" || found["problem"] == "rewritten"
}

/// Entries by segment and chain, from seq to seq.
type Place = ((u64, i64), i64, i64);

/// Where a change, or what was found, is.
fn place(of: &Value) -> Option<Place> {
    let from = of["seq"].as_i64()?;
    Some(((of["segment"].as_u64()?, of["chain"].as_i64()?), from, of["to_seq"].as_i64().unwrap_or(from)))
}

/// The ends of chains, of each segment by the newest of these entries on the end of a protection that names it: a partition
/// may have been elsewhere since.
fn ends_by_segment(before: &[Value]) -> BTreeMap<u64, Vec<(i64, i64)>> {
    let mut ends = BTreeMap::new();
    for details in before {
        let mut named: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
        for end in details["chain_ends"].as_array().map_or(&[][..], Vec::as_slice) {
            if let (Some(segment), Some(chain), Some(seq)) = (end[0].as_u64(), end[1].as_i64(), end[2].as_i64()) {
                named.entry(segment).or_default().push((chain, seq));
            }
        }
        for (segment, chains) in named {
            ends.entry(segment).or_insert(chains);
        }
    }
    ends
}

/// Sealed entries of a table whose rows do not have the leaves that were kept of them when protection ended: these cannot be
/// compared with seals any more. Less what is told otherwise, and less what was found before: what was not lawful then does
/// not become so.
fn differing(relid: pg_sys::Oid, log: LogId, told: impl Iterator<Item = Place>) -> Result<Vec<Value>, Error> {
    let mut known: BTreeMap<(u64, i64), Stretches> = BTreeMap::new();
    for (chain, from, to) in told {
        known.entry(chain).or_default().add(from, to);
    }
    let changed = match changed_leaves(relid, log) {
        // What somebody changed in the extension's tables: verification says so.
        Err(Error::Remembered { .. }) => Vec::new(),
        other => other?,
    };
    let mut differing = Vec::new();
    for ((segment, chain), from, to) in changed {
        let told = known.get_mut(&(segment, chain)).map_or_else(Vec::new, |of_chain| of_chain.within(from, to));
        differing.extend(gaps(told, from, to).into_iter().map(|(seq, to_seq)| {
            json!({ "differs": true, "segment": segment, "chain": chain, "seq": seq, "to_seq": to_seq })
        }));
    }
    Ok(differing)
}

/// Leaves compared at a time.
const PIECE: u64 = 256 * 64;

/// Stretches of sealed entries of a table whose rows do not have the leaves that were kept.
fn changed_leaves(relid: pg_sys::Oid, log: LogId) -> Result<Vec<Place>, Error> {
    let Some(tree) = Tree::newest(log)? else { return Ok(Vec::new()) };
    let functions = crate::access::trigger_functions()?;
    let Ok(segments) = Segments::of(&Rel::open(relid, pg_sys::NoLock), &functions) else { return Ok(Vec::new()) };
    let mut changed: Vec<Place> = Vec::new();
    let mut next = 0;
    while next < tree.size {
        context::check_for_interrupts();
        let until = tree.size.min(next + PIECE);
        let kept = store::subtrees(&tree, 0, next, until - next)?;
        for range in store::ranges(&tree, next, until)? {
            let here = segments.table_of(range.segment) == Some(relid) && range.chain > 0 && range.end() > next;
            if !here || range.first_leaf >= until {
                continue;
            }
            let (from, to) = (next.max(range.first_leaf), until.min(range.end()));
            let Ok(rows) = segments.hashes_there(&range, from, to) else { continue };
            let first = range.first_seq + (from - range.first_leaf);
            for (seq, (leaf, row)) in (first..).zip((from..).zip(rows)) {
                let was = usize::try_from(leaf - next).ok().and_then(|i| kept.get(i).copied().flatten());
                if was.is_none_or(|was| row.map(|hash| merkle::leaf(&hash)) == Some(was)) {
                    continue;
                }
                let (chain, seq) = ((u64::from(range.segment), i64::from(range.chain)), store::signed(seq));
                match changed.last_mut() {
                    Some((last, _, end)) if *last == chain && *end + 1 == seq => *end = seq,
                    _ => changed.push((chain, seq, seq)),
                }
            }
        }
        next = until;
    }
    Ok(changed)
}

/// What is missing at the ends of the chains of a table's older segments, by the ends that the journal recorded.
fn cut_ends(
    relid: pg_sys::Oid,
    headers: &[Header],
    before: &BTreeMap<u64, Vec<(i64, i64)>>,
) -> Result<Vec<Value>, Error> {
    let now = chain_ends(relid, headers)?;
    let ended = headers.iter().flat_map(|h| {
        let of_segment = before.get(&u64::from(h.segment)).map_or(&[][..], Vec::as_slice);
        of_segment.iter().map(|(chain, then)| (h.segment, *chain, *then))
    });
    let cut = ended.filter_map(|(segment, chain, then)| {
        let last = now.get(&(segment, chain)).copied().unwrap_or(0);
        (last < then)
            .then(|| json!({ "cut": true, "segment": segment, "chain": chain, "seq": last + 1, "to_seq": then }))
    });
    Ok(cut.collect())
}
