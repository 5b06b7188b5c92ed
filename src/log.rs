//! What makes a table a log: its triggers. No registry has to agree with them, so a table dumped and restored alone
//! still is the log it was.
//!
//! A table with rows carries `~notary_append` (BEFORE INSERT, row; its arguments are `max_chains=N` and then the header
//! lines of all the table's segments, oldest first), `~notary_keep` (BEFORE UPDATE OR DELETE, row) and `~notary_block`
//! (BEFORE UPDATE OR DELETE OR TRUNCATE, statement). A partitioned table has no rows; it carries `~notary_block` alone,
//! with `log=<uuid>` and `max_chains=N` as arguments, and each of its leaves is a segment with triggers of its own.

use crate::error::Error;
use crate::pg::relation::{Rel, Trigger};
use crate::pg::types::PinnedSettings;
use crate::pg::{catalog, catalog_scan, compat, spi, trigger};
use notary_core::header::Header;
use notary_core::id::LogId;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};

/// The trigger that chains rows. Triggers fire in the order of their names' bytes: this one must be last.
pub const APPEND_TRIGGER: &str = "~notary_append";
/// The trigger that refuses changes row by row (logical replication fires row triggers only).
pub const KEEP_TRIGGER: &str = "~notary_keep";
/// The trigger that refuses changing statements, also those that touch no row.
pub const BLOCK_TRIGGER: &str = "~notary_block";

/// The trigger of event logs that fills in who and from where: before the one that chains, and after all others.
pub const ABOUT_TRIGGER: &str = "~notary_about";

/// OIDs of the functions our triggers call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Functions {
    /// notary.append()
    pub append: pg_sys::Oid,
    /// notary.refuse()
    pub refuse: pg_sys::Oid,
    /// notary.about(), which makes no table a log
    pub about: pg_sys::Oid,
    /// notary.capture(), which makes a table a tracked one
    pub capture: pg_sys::Oid,
}

thread_local! {
    /// Functions that were found to belong to the extension. It drops them with itself, and OIDs do not come back.
    static OURS: Cell<Option<Functions>> = const { Cell::new(None) };
}

impl Functions {
    /// Looks them up; None while the extension is being created or dropped, or was damaged, and where it is not in this
    /// database: anybody may make functions of these names there.
    pub fn find() -> Option<Self> {
        let found = Self {
            append: trigger::function(c"append")?,
            refuse: trigger::function(c"refuse")?,
            about: trigger::function(c"about")?,
            capture: trigger::function(c"capture")?,
        };
        if OURS.get() == Some(found) {
            return Some(found);
        }
        let extension = catalog_scan::extension(c"pg_notary")?;
        let is_ours = |function| catalog_scan::is_member(pg_sys::ProcedureRelationId, function, extension);
        [found.append, found.refuse, found.about, found.capture].into_iter().all(is_ours).then(|| {
            OURS.set(Some(found));
            found
        })
    }

    /// Is it one of them?
    pub fn has(&self, function: pg_sys::Oid) -> bool {
        function == self.append || function == self.refuse
    }

    /// The names of the triggers that call the function.
    pub fn triggers_of(&self, function: pg_sys::Oid) -> &'static [&'static str] {
        match function {
            _ if function == self.append => &[APPEND_TRIGGER],
            _ if function == self.refuse => &[KEEP_TRIGGER, BLOCK_TRIGGER],
            _ => &[],
        }
    }
}

/// What a table's triggers say of its log.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A table with entries: a plain log, or a leaf of a partitioned one.
    Segment(Segment),
    /// A partitioned table of a log.
    Partitioned {
        /// The log.
        log: LogId,
        /// The most chains a segment may use at once.
        max_chains: Option<u32>,
    },
}

/// A table whose rows are entries.
#[derive(Clone, Debug)]
pub struct Segment {
    /// All its headers, oldest first; never empty.
    pub headers: Vec<Header>,
    /// The most chains it may use at once; None: as many as there are writers.
    pub max_chains: Option<u32>,
}

impl Segment {
    /// Reads the append trigger's arguments.
    pub fn parse(args: &[Vec<u8>]) -> Result<Self, String> {
        let text =
            |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).map_err(|_| "an argument is not UTF-8".to_owned());
        let (first, headers) = args.split_first().ok_or("the append trigger has no arguments")?;
        let max_chains = parse_max_chains(&text(first)?)?;
        let headers = headers
            .iter()
            .map(|line| Header::parse(&text(line)?).map_err(|e| format!("a header line is damaged: {e}")))
            .collect::<Result<Vec<_>, _>>()?;
        if headers.is_empty() {
            return Err("the append trigger has no header line".into());
        }
        Ok(Self { headers, max_chains })
    }

    /// The header of the segment that is being written.
    pub fn current(&self) -> &Header {
        &self.headers[self.headers.len() - 1] // never empty, see parse()
    }

    /// The log.
    pub fn log(&self) -> LogId {
        self.current().log
    }
}

fn parse_max_chains(text: &str) -> Result<Option<u32>, String> {
    match text.strip_prefix("max_chains=") {
        Some("unlimited") => Ok(None),
        Some(n) => match n.parse::<u32>() {
            Ok(n) if n > 0 && n.to_string() == text["max_chains=".len()..] => Ok(Some(n)),
            _ => Err("max_chains is not a number".into()),
        },
        None => Err("the first argument is not max_chains=…".into()),
    }
}

/// `max_chains` as the triggers carry it.
pub fn max_chains_argument(max_chains: Option<u32>) -> String {
    max_chains.map_or_else(|| "max_chains=unlimited".into(), |n| format!("max_chains={n}"))
}

thread_local! {
    static PERMITTED: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
}

/// Lets this backend take the protection of one table away while the returned value lives; the guard asks `permitted`.
/// Only `notary.unprotect` does this, around DROP TRIGGER commands that run no user's code.
pub fn permit(relid: pg_sys::Oid) -> Permit {
    PERMITTED.with_borrow_mut(|p| p.push(relid));
    Permit
}

/// May the protection of this table be taken away now?
pub fn permitted(relid: pg_sys::Oid) -> bool {
    PERMITTED.with_borrow(|p| p.contains(&relid))
}

/// See `permit`.
pub struct Permit;

impl Drop for Permit {
    fn drop(&mut self) {
        PERMITTED.with_borrow_mut(|p| p.pop());
    }
}

thread_local! {
    /// Tables made or attached below a partitioned log; None until the guard has seen a command start in this session,
    /// and so everything that came after.
    static NEW_PARTITIONS: RefCell<Option<Vec<pg_sys::Oid>>> = const { RefCell::new(None) };
}

/// From now on the guard notes every new partition of a log.
pub fn watch_partitions() {
    NEW_PARTITIONS.with_borrow_mut(|all| {
        all.get_or_insert_default();
    });
}

/// A table was made or attached below a partitioned log.
pub fn note_partition(relid: pg_sys::Oid) {
    NEW_PARTITIONS.with_borrow_mut(|all| {
        if let Some(all) = all {
            all.push(relid);
        }
    });
}

/// The tables noted since the last call, or None when nobody watched. What made them may have been rolled back since.
pub fn noted_partitions() -> Option<Vec<pg_sys::Oid>> {
    NEW_PARTITIONS.with_borrow_mut(|all| all.as_mut().map(std::mem::take))
}

/// The append trigger among a table's triggers.
pub fn append_trigger<'a>(triggers: &'a [Trigger], functions: &Functions) -> Option<&'a Trigger> {
    calling(triggers, functions.append, APPEND_TRIGGER)
}

/// The trigger that calls a function of ours: the one of our name, should there be others.
fn calling<'a>(triggers: &'a [Trigger], function: pg_sys::Oid, name: &str) -> Option<&'a Trigger> {
    let all = || triggers.iter().filter(|t| t.function == function);
    all().find(|t| t.name == name).or_else(|| all().next())
}

/// Is the relation part of a log: does it carry any trigger of ours, enabled or not, whole or damaged?
pub fn is_log(rel: &Rel, functions: &Functions) -> bool {
    rel.triggers().iter().any(|t| functions.has(t.function))
}

/// Which log the relation is part of, by its triggers.
pub fn id(rel: &Rel, functions: &Functions) -> Result<Option<LogId>, Error> {
    Ok(mark(rel, functions)?.map(|mark| match mark {
        Mark::Segment(segment) => segment.log(),
        Mark::Partitioned { log, .. } => log,
    }))
}

/// What the relation's triggers say, or None for a table that is no log.
pub fn mark(rel: &Rel, functions: &Functions) -> Result<Option<Mark>, Error> {
    mark_by(rel, &rel.triggers(), functions)
}

/// The same by the catalog as it is now, also where pg_class denies the triggers.
pub fn mark_in_catalog(rel: &Rel, functions: &Functions) -> Result<Option<Mark>, Error> {
    mark_by(rel, &catalog::triggers(rel.oid())?, functions)
}

/// The same by triggers that were read otherwise.
pub fn mark_by(rel: &Rel, triggers: &[Trigger], functions: &Functions) -> Result<Option<Mark>, Error> {
    if let Some(append) = append_trigger(triggers, functions) {
        return Segment::parse(&append.args)
            .map(|s| Some(Mark::Segment(s)))
            .map_err(|why| Error::BadTrigger { table: rel.qualified(), why });
    }
    let Some(block) = calling(triggers, functions.refuse, BLOCK_TRIGGER) else {
        return Ok(None);
    };
    if !rel.is_partitioned() {
        return Err(Error::BadTrigger { table: rel.qualified(), why: "Its append trigger is missing.".into() });
    }
    parse_partitioned(&block.args).map(Some).map_err(|why| Error::BadTrigger { table: rel.qualified(), why })
}

fn parse_partitioned(args: &[Vec<u8>]) -> Result<Mark, String> {
    let text = |i: usize| args.get(i).and_then(|a| std::str::from_utf8(a).ok());
    let log = text(0)
        .and_then(|a| a.strip_prefix("log="))
        .and_then(|a| a.parse::<LogId>().ok())
        .ok_or("its trigger does not name the log")?;
    Ok(Mark::Partitioned { log, max_chains: parse_max_chains(text(1).unwrap_or_default())? })
}

/// The top of the partition tree that a relation is in; itself when it is no partition.
pub fn root(rel: &Rel) -> pg_sys::Oid {
    if !rel.is_partition() {
        return rel.oid();
    }
    let above = compat::partition_ancestors(rel.oid());
    // pg_inherits can be edited to name what is not there.
    above.into_iter().rev().find(|oid| catalog_scan::kind(*oid) != 0).unwrap_or_else(|| rel.oid())
}

/// The table in this database that carries triggers of `log`: the top of its partition tree.
pub fn table_of(log: LogId, functions: &Functions) -> Result<Option<pg_sys::Oid>, Error> {
    let sql = "SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger WHERE tgfoid IN ($1, $2)";
    let tables =
        catalog::rows(sql, &[functions.append.into(), functions.refuse.into()], |row| spi::get::<pg_sys::Oid>(row, 1))?;
    for relid in tables.into_iter().flatten() {
        let Some(rel) = Rel::try_open(relid, pg_sys::AccessShareLock) else { continue };
        // Not by the relcache, which believes pg_class when that denies the triggers.
        let found = match mark_in_catalog(&rel, functions) {
            Ok(Some(Mark::Segment(segment))) => segment.log() == log,
            Ok(Some(Mark::Partitioned { log: other, .. })) => other == log,
            Ok(None) | Err(_) => false,
        };
        if found {
            return Ok(Some(root(&rel)));
        }
    }
    Ok(None)
}

/// Every table with rows below (or at) a relation.
pub fn leaves(rel: &Rel, lock: u32) -> Vec<pg_sys::Oid> {
    if !rel.is_partitioned() {
        return vec![rel.oid()];
    }
    #[allow(clippy::cast_possible_wrap)] // lock modes are 0 to 8
    let all = compat::all_inheritors(rel.oid(), lock as i32);
    all.into_iter().filter(|oid| !Rel::open(*oid, pg_sys::NoLock).is_partitioned()).collect()
}

/// Which rows go into a partition: for itself and every table above it up to the top, the parent's key and its own
/// bounds, as text that does not depend on the session. Empty for a table that is no partition.
///
/// Of a collation that users made only whether it is the column's own is said: it can be renamed.
pub fn bounds(relid: pg_sys::Oid) -> Result<Vec<String>, Error> {
    bounds_text(
        relid,
        "CASE WHEN l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN l.collname::text
              WHEN k.coll = a.attcollation THEN 'own collation' WHEN k.coll <> 0::oid THEN 'another collation' END",
    )
}

/// The same as journals had it at first: collations that came with `initdb` were told by their OIDs. Those that were
/// imported later have other OIDs, and after a restore they may be among the first.
pub fn bounds_by_oid(relid: pg_sys::Oid) -> Result<Vec<String>, Error> {
    bounds_text(relid, "CASE WHEN l.oid < 16384::oid THEN l.collname END")
}

fn bounds_text(relid: pg_sys::Oid, collation: &str) -> Result<Vec<String>, Error> {
    let _pins = PinnedSettings::pin();
    let sql = format!(
        "WITH RECURSIVE up (child, parent, level) AS (
             SELECT inhrelid, inhparent, 0 FROM pg_catalog.pg_inherits WHERE inhrelid = $1
             UNION ALL
             SELECT i.inhrelid, i.inhparent, level + 1 FROM up JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = up.parent)
         SELECT pg_catalog.concat_ws(' ', CASE p.partstrat WHEN 'l' THEN 'LIST' WHEN 'r' THEN 'RANGE' ELSE p.partstrat::text END,
             (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', coalesce(a.attname::text, 'expression'), {collation}, o.opcname),
                     ', ' ORDER BY k.n)
              FROM ROWS FROM (pg_catalog.unnest(p.partattrs::int2[]), pg_catalog.unnest(p.partcollation::oid[]),
                              pg_catalog.unnest(p.partclass::oid[])) WITH ORDINALITY AS k (num, coll, class, n)
              LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = k.num AND k.num > 0
              LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = k.coll
              -- Those of users can be renamed; that for hashing has the name of that for ordering.
              LEFT JOIN pg_catalog.pg_opclass AS o ON o.oid = k.class AND o.oid < 16384::oid
                  AND o.opcmethod = (SELECT oid FROM pg_catalog.pg_am WHERE amname = 'btree')),
             CASE WHEN c.relpartbound IS NULL THEN 'without bounds'
                  -- Of an expression's type nothing is guarded: its text may come to read otherwise.
                  WHEN 0 = ANY (p.partattrs::int2[]) THEN 'by an expression'
                  ELSE pg_catalog.pg_get_expr(c.relpartbound, c.oid) END)
         FROM up JOIN pg_catalog.pg_class AS c ON c.oid = up.child
         LEFT JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid = up.parent
         WHERE c.relispartition ORDER BY level"
    );
    Ok(catalog::rows(&sql, &[relid.into()], |row| spi::get::<String>(row, 1))?.into_iter().flatten().collect())
}

/// Does an expression, as the catalogs store it, call a function or an operator that did not come with PostgreSQL?
///
/// What CHECK constraints say decides which partitions a query looks at, with such functions inlined as they are by then.
/// So none of these may stand in one on a partitioned log; not even in one that is NOT VALID, since new partitions inherit
/// it as valid.
pub fn calls_foreign_code(expression: &str) -> bool {
    let words: Vec<_> = expression.split_ascii_whitespace().collect();
    words.windows(2).any(|pair| {
        matches!(pair[0], ":funcid" | ":opfuncid" | ":opno")
            && pair[1].parse::<u32>().is_ok_and(|oid| oid >= pg_sys::FirstNormalObjectId)
    })
}

/// What decides which partitions a query looks at, and calls such code: the first CHECK constraint of a partition, or of a
/// table with partitions, or that table's key; in words.
pub fn foreign_check(rel: &Rel) -> Result<Option<String>, Error> {
    if !rel.is_partition() && !rel.is_partitioned() {
        return Ok(None);
    }
    let sql = "SELECT pg_catalog.format('constraint \"%s\"', conname), conbin::text FROM pg_catalog.pg_constraint
               WHERE conrelid = $1 AND contype = 'c'
               UNION ALL SELECT 'partition key', partexprs::text FROM pg_catalog.pg_partitioned_table WHERE partrelid = $1
               ORDER BY 1";
    let checks = catalog::rows(sql, &[rel.oid().into()], |row| {
        Ok((spi::get::<String>(row, 1)?.unwrap_or_default(), spi::get::<String>(row, 2)?.unwrap_or_default()))
    })?;
    Ok(checks.into_iter().find(|(_, expression)| calls_foreign_code(expression)).map(|(what, _)| what))
}
