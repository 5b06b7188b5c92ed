//! One log, checked whole: guard, headers, columns, rows, index.

use super::index::{self, Key};
use super::known::{self, Changes, Expected, Known, Protection};
use super::parallel::Workers;
use super::places::Places;
use super::rows::Subject;
use super::sealed::{self, Besides, Sealed};
use super::{guard_state, headers, logs, tracking};
use crate::error::Error;
use crate::log::{self, Functions, Mark, Segment};
use crate::pg::index as chain_index;
use crate::pg::relation::Rel;
use crate::pg::row::{NotaryColumns, RowWriter};
use crate::pg::snapshot::Fresh;
use crate::pg::{compat, subxact, types, validate};
use crate::tree::ended::Ended;
use notary_core::chain::Segments;
use notary_core::header::Header;
use notary_core::id::LogId;
use notary_core::seal::Seal;
use notary_core::{Finding, Notice, Problem, Remark};
use pgrx::pg_sys;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// What a check says, piece by piece, with the table it is about.
pub enum Said {
    Finding {
        table: pg_sys::Oid,
        /// The number of the segment that the finding's chain belongs to.
        segment: Option<u32>,
        finding: Finding,
    },
    Remark {
        table: pg_sys::Oid,
        remark: Remark,
    },
}

/// The sum of a check.
#[derive(Default)]
pub struct Report {
    pub log: Option<LogId>,
    /// The highest number of a segment whose header was seen.
    pub last_segment: u32,
    pub entries: u64,
    pub chains: u32,
    pub findings: u64,
    pub remarks: u64,
    pub first_finding: Option<String>,
    /// How far it is sealed; None: it never was, or that could not be looked at.
    pub sealed: Option<Sealed>,
    pub elapsed_micros: i64,
}

/// What is to be checked besides all that is there.
#[derive(Default)]
pub struct Scope {
    /// The content of older entries is taken as it is.
    pub since: Option<i64>,
    /// A note that was kept elsewhere.
    pub note: Option<Seal>,
    /// At most so many processes help; None: as many as a table is worth.
    pub workers: Option<u32>,
}

/// Checks a log, named by its (root) table, and says everything it finds to `say`.
pub fn check(root: &Rel, functions: &Functions, scope: &Scope, say: &mut dyn FnMut(&Said)) -> Result<Report, Error> {
    let started = Instant::now();
    #[cfg(feature = "omissions")]
    notary_core::chain::omit(&crate::gucs::omit()).map_err(|names| Error::BadArgument {
        message: "notary.omit names no check".into(),
        detail: names.join(" "),
        hint: "Name one of these.".into(),
    })?;
    let mut check = Check {
        functions,
        since: scope.since,
        workers: scope.workers,
        places: Places::default(),
        index_is_damaged: false,
        changes: None,
        known: Known::default(),
        ended: Ended::default(),
        read: HashSet::new(),
        unknown: HashSet::new(),
        oldest: None,
        excuses: Vec::new(),
        limit: None,
        newest: None,
        present: HashMap::new(),
        columns_changed: HashSet::new(),
        columns_said: HashSet::new(),
        report: Report::default(),
        first_is_of_guard: false,
        say,
    };
    // Before the partitions are listed: one that comes meanwhile is no longer expected, and none can go.
    let log = logs::log_id(root.oid(), functions);
    // By pg_inherits: what pg_class says of a partition is for the guard's state to judge.
    let expected = match log.filter(|_| log::root(root) == root.oid()) {
        Some(log) => Some(known::Segments::of(log)?),
        None => None,
    };
    check.report.log = log;
    check.database(root)?;
    let tables = tables(root);
    // Now that they are locked: what their triggers carry is known by now.
    if let Some(log) = log {
        check.known = Known::of(log)?;
        check.ended = Ended::of(log)?;
    }
    for detail in std::mem::take(&mut check.known.damage) {
        check.finding(root.oid(), None, Finding::general(Problem::HeaderChanged, detail));
    }
    for table in tables.iter().copied() {
        let rel = Rel::open(table, pg_sys::AccessShareLock);
        if !rel.is_table() {
            let detail = "pg_class says that the log is no table: its entries cannot be read".to_owned();
            check.unknown.insert(table);
            check.finding(table, None, Finding::general(Problem::GuardOff, detail));
        } else if rel.is_partitioned() {
            check.partitioned(&rel)?;
        } else {
            check.segment(&rel)?;
        }
    }
    if let Some(expected) = expected {
        for absent in expected.all.values() {
            check.absent(root.oid(), absent, expected.lives(absent, check.oldest));
        }
    }
    for table in tables {
        // The table above the root of the check, if there is one, is not locked and not looked at.
        let is_below = table != root.oid();
        check.columns_of_tree(&Rel::open(table, pg_sys::AccessShareLock), is_below);
    }
    check.tracking(root)?;
    check.seals(root, scope.note.as_ref())?;
    let last_segment = check.present.keys().max().copied().unwrap_or(0);
    let mut report = check.report;
    report.last_segment = last_segment;
    report.elapsed_micros = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    Ok(report)
}

fn tables(root: &Rel) -> Vec<pg_sys::Oid> {
    if root.is_partitioned() {
        compat::all_inheritors(root.oid(), pg_sys::AccessShareLock as pg_sys::LOCKMODE)
    } else {
        vec![root.oid()]
    }
}

struct Check<'a> {
    functions: &'a Functions,
    since: Option<i64>,
    workers: Option<u32>,
    places: Places,
    index_is_damaged: bool,
    changes: Option<Changes>,
    /// What is known of the log's segments.
    known: Known,
    /// Where the chains of its ended segments ended.
    ended: Ended,
    /// The tables with rows that were looked at.
    read: HashSet<pg_sys::Oid>,
    /// The tables of which no headers could be read, which is a finding by itself.
    unknown: HashSet<pg_sys::Oid>,
    /// The lowest number of a segment that is the newest of its table.
    oldest: Option<u32>,
    /// What the journal excuses of the table that is being checked: see `Changes::on`.
    excuses: Vec<usize>,
    /// What the trigger of the partitioned table above says of max_chains.
    limit: Option<Option<u32>>,
    /// The newest header of the table with rows that was looked at last.
    newest: Option<Header>,
    /// The segments whose headers were seen, and on which table first.
    present: HashMap<u32, pg_sys::Oid>,
    /// The tables whose columns are not what their headers tell of.
    columns_changed: HashSet<pg_sys::Oid>,
    /// What was said of columns that tables of a partition tree do not have alike.
    columns_said: HashSet<(pg_sys::Oid, String)>,
    report: Report,
    /// Is the first finding of the report about the guard?
    first_is_of_guard: bool,
    say: &'a mut dyn FnMut(&Said),
}

impl Check<'_> {
    fn finding(&mut self, table: pg_sys::Oid, segment: Option<u32>, finding: Finding) {
        if self.changes.as_ref().is_some_and(|changes| changes.explain(&self.excuses, segment, &finding)) {
            self.places.note(table, &finding, false);
            let detail = format!("changed while the log was not protected ({}): {}", finding.problem, finding.detail);
            let notice = Notice::NotProtectedBetween;
            self.remark(table, Remark { notice, chain: finding.chain, seq: finding.seq, detail });
            return;
        }
        self.places.note(table, &finding, true);
        self.report.findings += 1;
        self.index_is_damaged |= finding.problem == Problem::IndexMismatch;
        // What was done to entries says more than how.
        let is_of_guard = finding.problem == Problem::GuardOff;
        if self.report.first_finding.is_none() || (self.first_is_of_guard && !is_of_guard) {
            self.report.first_finding = Some(in_words(table, &finding));
            self.first_is_of_guard = is_of_guard;
        }
        (self.say)(&Said::Finding { table, segment, finding });
    }

    fn remark(&mut self, table: pg_sys::Oid, remark: Remark) {
        self.report.remarks += 1;
        (self.say)(&Said::Remark { table, remark });
    }

    /// What is wrong with the guard of the database, which is that of every log.
    fn database(&mut self, root: &Rel) -> Result<(), Error> {
        for finding in guard_state::of_database()? {
            self.finding(root.oid(), None, finding);
        }
        if let Some(journal) = known::journal_elsewhere(self.functions)? {
            let detail =
                format!("the journal of what is done to logs is the table {journal}, and not found as notary.journal");
            self.finding(root.oid(), None, Finding::general(Problem::GuardOff, detail));
        }
        Ok(())
    }

    /// A segment that the log should have, unless its header was seen.
    fn absent(&mut self, root: pg_sys::Oid, expected: &Expected, lives: bool) {
        let Expected { segment, name, table, .. } = expected;
        let among = |tables: &HashSet<pg_sys::Oid>| table.is_some_and(|table| tables.contains(&table));
        if self.present.contains_key(segment) || among(&self.unknown) {
            return;
        }
        let elsewhere = match table.and_then(|table| Rel::try_open(table, pg_sys::NoLock)) {
            Some(rel) if among(&self.read) => format!("the table {} does not carry its header", rel.qualified()),
            Some(rel) => format!("the table {} is no partition of the log", rel.qualified()),
            None => "its table is not here".to_owned(),
        };
        if lives {
            let detail = format!("segment {segment} ({name}) is missing with all its entries: {elsewhere}");
            self.finding(root, Some(*segment), Finding::general(Problem::Missing, detail));
        } else if !among(&self.read) {
            let notice = Notice::NotProtectedBetween;
            let detail = format!("segment {segment} ({name}) left the log while it was not protected: {elsewhere}");
            self.remark(root, Remark { notice, chain: None, seq: None, detail });
        }
    }

    /// Does the log hold what its seals say? Not where the index that leads to entries is damaged, which was said.
    fn seals(&mut self, root: &Rel, note: Option<&Seal>) -> Result<(), Error> {
        if self.index_is_damaged {
            return Ok(());
        }
        // A partition's leaves are among those of the whole log.
        let whole = log::root(root);
        if whole != root.oid() {
            return match note {
                None => Ok(()),
                Some(_) => Err(Error::IsPartition {
                    table: root.qualified(),
                    root: Rel::open(whole, pg_sys::AccessShareLock).qualified(),
                }),
            };
        }
        let present = self.present.keys().copied().collect();
        let known = Besides {
            functions: self.functions,
            places: std::mem::take(&mut self.places),
            changes: self.changes.as_ref(),
            present,
            entries: self.report.entries,
            ended: &self.ended,
        };
        let outcome = sealed::check(root, known, note)?;
        self.report.sealed = outcome.sealed;
        for (table, segment, finding) in outcome.findings {
            self.finding(table, segment, finding);
        }
        for (table, remark) in outcome.remarks {
            self.remark(table, remark);
        }
        Ok(())
    }

    /// Are changes recorded in it that should be?
    fn tracking(&mut self, root: &Rel) -> Result<(), Error> {
        let Some(log) = self.report.log.filter(|_| log::root(root) == root.oid()) else { return Ok(()) };
        for finding in tracking::problems(log, self.functions)? {
            self.finding(root.oid(), None, finding);
        }
        Ok(())
    }

    fn partitioned(&mut self, rel: &Rel) -> Result<(), Error> {
        for finding in guard_state::of_partitioned(rel, self.functions)? {
            self.finding(rel.oid(), None, finding);
        }
        match log::mark_in_catalog(rel, self.functions) {
            Ok(Some(Mark::Partitioned { log, max_chains })) => {
                self.limit = Some(max_chains);
                self.belongs(rel, log);
            }
            Ok(Some(Mark::Segment(_))) => {
                let detail = "pg_class says that the table is partitioned: its entries cannot be read".to_owned();
                self.unknown.insert(rel.oid());
                self.finding(rel.oid(), None, Finding::general(Problem::GuardOff, detail));
            }
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }

    /// All tables of a partition tree are of one log.
    fn belongs(&mut self, rel: &Rel, log: LogId) {
        let of = *self.report.log.get_or_insert(log);
        if of != log && (rel.is_partition() || rel.is_partitioned()) {
            let detail = format!("the table belongs to the log {log}, and the one that it is a part of is {of}");
            self.finding(rel.oid(), None, Finding::general(Problem::HeaderChanged, detail));
        }
    }

    /// A partitioned table has the columns that its partitions' headers tell of and all that its partitions have, or
    /// queries do not show them.
    fn columns_of_tree(&mut self, rel: &Rel, is_below: bool) {
        if rel.is_partitioned() {
            let findings = self.newest.as_ref().map(|header| guard_state::columns_of_partitioned(rel, header));
            for finding in findings.into_iter().flatten() {
                self.column_finding(rel.oid(), finding);
            }
        }
        let above = compat::partition_ancestors(rel.oid()).first().copied();
        let Some(above) = above.filter(|_| is_below && rel.is_partition()) else { return };
        let above = Rel::open(above, pg_sys::AccessShareLock);
        let [of_above, of_below] = guard_state::columns_apart(&above, rel);
        for finding in of_above {
            self.column_finding(above.oid(), finding);
        }
        // What its own header tells of was said when its rows were read.
        if !self.columns_changed.contains(&rel.oid()) {
            for finding in of_below {
                self.column_finding(rel.oid(), finding);
            }
        }
    }

    /// Every partition says the same of a column that the table above lacks: that is one finding.
    fn column_finding(&mut self, table: pg_sys::Oid, finding: Finding) {
        if self.columns_said.insert((table, finding.detail.clone())) {
            self.finding(table, None, finding);
        }
    }

    /// The append trigger's max_chains and the partition's bounds against what the journal says of them. Bounds are
    /// not shown: they may be values.
    fn protection(&mut self, rel: &Rel, current: u32) -> Result<(), Error> {
        let limit = self.limit;
        let noted = self.known.protections.remove(&current);
        if let Ok(Some(Mark::Segment(segment))) = log::mark_in_catalog(rel, self.functions) {
            let now = log::max_chains_argument(segment.max_chains);
            let mut differs = |where_else: String| {
                let detail = format!("the append trigger has {now}, where {where_else}");
                self.finding(rel.oid(), None, Finding::general(Problem::GuardOff, detail));
            };
            if let Some(above) = limit.filter(|above| *above != segment.max_chains) {
                differs(format!("the partitioned table has {}", log::max_chains_argument(above)));
            }
            if let Some(noted) = noted.as_ref().filter(|noted| json!(segment.max_chains) != noted.max_chains) {
                differs(format!("the journal has {}", noted.max_chains));
            }
        }
        if noted.as_ref().is_some_and(|noted| noted.event_log) {
            for finding in guard_state::of_event_log(rel, self.functions)? {
                self.finding(rel.oid(), None, finding);
            }
        }
        // Bounds are printed by their types' functions.
        let noted = noted.filter(|_| !rel.columns().iter().any(|c| types::is_misprinted(c.type_oid)));
        if let Some(Protection { bounds, .. }) = noted
            && json!(log::bounds(rel.oid())?) != bounds
            && json!(log::bounds_by_oid(rel.oid())?) != bounds
        {
            let detail = "the partition's bounds, or those of a table above it, are not what notary.journal says: \
                          queries do not find its rows"
                .to_owned();
            self.finding(rel.oid(), None, Finding::general(Problem::ForeignRows, detail));
        }
        Ok(())
    }

    fn segment(&mut self, rel: &Rel) -> Result<(), Error> {
        self.excuses.clear();
        self.read.insert(rel.oid());
        for finding in guard_state::of_segment(rel, self.functions)? {
            self.finding(rel.oid(), None, finding);
        }
        let Some(headers) = self.headers(rel)? else {
            self.unknown.insert(rel.oid());
            return Ok(());
        };
        let Some(newest) = headers.last() else { return Ok(()) };
        let log = newest.log;
        self.belongs(rel, log);
        self.protection(rel, newest.segment)?;
        self.oldest = Some(self.oldest.map_or(newest.segment, |oldest| oldest.min(newest.segment)));
        self.newest = Some(newest.clone());
        for header in &headers {
            let first = *self.present.entry(header.segment).or_insert_with(|| rel.oid());
            if first != rel.oid() {
                let other = Rel::open(first, pg_sys::AccessShareLock).qualified();
                let detail = format!("segment {} is claimed by the table {other} too", header.segment);
                self.finding(rel.oid(), Some(header.segment), Finding::general(Problem::HeaderChanged, detail));
            }
        }
        if self.changes.is_none() {
            self.changes = Some(Changes::of(log)?);
        }
        self.excuses = self.changes.as_ref().map_or_else(Vec::new, |changes| changes.on(&headers));
        let columns = guard_state::columns(rel, newest);
        let columns_changed = !columns.is_empty();
        if columns_changed {
            self.columns_changed.insert(rel.oid());
        }
        for finding in columns {
            self.finding(rel.oid(), None, finding);
        }
        self.periods(rel, &headers)?;
        self.rows(rel, headers, columns_changed)
    }

    /// The headers to check the rows by: those of the append trigger; where it is gone or unreadable, the remembered
    /// ones. None, with a finding, when there are neither.
    fn headers(&mut self, rel: &Rel) -> Result<Option<Vec<Header>>, Error> {
        let (headers, trouble) = match log::mark_in_catalog(rel, self.functions) {
            Ok(Some(Mark::Segment(Segment { headers, .. }))) => (Some(headers), None),
            Ok(_) => (None, Some("the append trigger, which carries the header lines, is missing".to_owned())),
            Err(Error::BadTrigger { why, .. }) => (None, Some(why)),
            Err(other) => return Err(other),
        };
        if let Some(trouble) = trouble {
            let missing = trouble.contains("missing");
            if !missing {
                self.finding(rel.oid(), None, Finding::general(Problem::HeaderChanged, trouble));
            }
        }
        let Some(headers) = headers else {
            let remembered = known::headers_of_table(rel)?;
            if remembered.is_empty() {
                let detail = "no header line of the table is known, so its entries cannot be checked".to_owned();
                self.finding(rel.oid(), None, Finding::general(Problem::HeaderChanged, detail));
                return Ok(None);
            }
            return Ok(Some(remembered));
        };
        let other_log = headers.last().map(|newest| newest.log).filter(|log| Some(*log) != self.report.log);
        let (by, found) = match other_log {
            Some(log) => headers::compare(rel, headers, &Known::of(log)?)?,
            None => headers::compare(rel, headers, &self.known)?,
        };
        for (segment, finding) in found {
            self.finding(rel.oid(), segment, finding);
        }
        Ok(Some(by))
    }

    /// Periods in which the table was not protected.
    fn periods(&mut self, rel: &Rel, headers: &[Header]) -> Result<(), Error> {
        let Some(newest) = headers.last().filter(|_| headers.len() > 1) else {
            return Ok(());
        };
        let ends = known::unprotected_periods(newest.log)?;
        let text = |time: i64| notary_core::Timestamp(time).to_string();
        for (before, header) in headers.iter().zip(&headers[1..]) {
            let (from, began) = (text(before.time), text(header.time));
            let ended = ends.iter().rev().find(|(at, _)| (&from..=&began).contains(&at));
            let since = ended.map_or_else(String::new, |(at, why)| format!(" since {at} ({why})"));
            let detail =
                format!("segment {} began at {began}; before it the table was not protected{since}", header.segment);
            let notice = Notice::NotProtectedBetween;
            self.remark(rel.oid(), Remark { notice, chain: Some(i64::from(header.first_chain)), seq: None, detail });
        }
        let cut: Vec<_> = self.changes.iter().flat_map(|changes| changes.cut(&self.excuses)).copied().collect();
        for cut in cut {
            let (seq, to_seq) = (cut.seq, cut.to_seq);
            let detail =
                format!("entries {seq} to {to_seq} were cut from the end of the chain while the log was not protected");
            let notice = Notice::NotProtectedBetween;
            self.remark(rel.oid(), Remark { notice, chain: Some(cut.chain), seq: Some(seq), detail });
        }
        Ok(())
    }

    fn rows(&mut self, rel: &Rel, headers: Vec<Header>, columns_changed: bool) -> Result<(), Error> {
        let segments = match Segments::new(headers) {
            Ok(segments) => segments,
            Err(why) => {
                let detail = format!("the header lines do not fit together: {why}");
                self.finding(rel.oid(), None, Finding::general(Problem::HeaderChanged, detail));
                return Ok(());
            }
        };
        let Some(at) = NotaryColumns::of(rel) else {
            return Ok(());
        };
        if let Some(column) = validate::misplaced_column(rel) {
            let detail = format!("column \"{column}\" is not stored as its type is: no entry can be read");
            self.finding(rel.oid(), None, Finding::general(Problem::ColumnChanged, detail));
            return Ok(());
        }
        // Said with the columns.
        if rel.columns().iter().any(|c| !c.generated && types::cannot_be_printed(c.type_oid)) {
            return Ok(());
        }
        let toast = subxact::attempt(std::panic::AssertUnwindSafe(|| validate::check_toast_index(rel)));
        if let Err(why) = toast.and_then(|checked| checked) {
            let detail = format!("the index of the TOAST table cannot be read, so that no entry is: {why}");
            self.finding(rel.oid(), None, Finding::general(Problem::Unreadable, detail));
            return Ok(());
        }
        let writer = match RowWriter::of_stored(rel) {
            Ok(writer) => writer,
            Err(Error::UnlistedType { column, type_name, .. }) => {
                let detail = format!("column \"{column}\" has type {type_name}: the entries cannot be hashed");
                self.finding(rel.oid(), None, Finding::general(Problem::ColumnChanged, detail));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let snapshot = Fresh::take();
        let mut subject = Subject::new(rel, at, writer, &segments, &snapshot, self.since, rel.blocks());
        let key = Key::new()?;
        let ended = std::mem::take(&mut self.ended);
        let workers = Workers::of(rel, self.workers, &ended.chains, &key);
        let mut folded = 0_u64;
        let (table, of_chain) = (rel.oid(), |f: &Finding| segment_of(&segments, f));
        let outcome = subject.check(&workers, &mut |finding| {
            // A column that reads differently makes every row differ: that is one thing, not a million.
            if columns_changed && finding.problem == Problem::ValueChanged {
                folded += 1;
            } else {
                self.finding(table, of_chain(&finding), finding);
            }
        })?;
        if folded > 0 {
            let detail = format!("{folded} entries do not match, as is to be expected after the change of columns");
            self.finding(table, None, Finding::general(Problem::ColumnChanged, detail));
        }
        if let Some(oid) = chain_index::chain_index(rel, &at) {
            let mut report = |finding| self.finding(table, None, finding);
            index::check(&mut subject, oid, &workers, &key, outcome.sum, &mut report);
        }
        self.ended = ended;
        for remark in outcome.remarks {
            self.remark(table, remark);
        }
        self.report.entries += outcome.entries;
        self.report.chains = self.report.chains.saturating_add(outcome.chains);
        Ok(())
    }
}

fn segment_of(segments: &Segments, finding: &Finding) -> Option<u32> {
    let chain = finding.chain.and_then(|c| u32::try_from(c).ok())?;
    segments.of_chain(chain).map(|(header, _)| header.segment)
}

/// A finding in one line.
pub fn in_words(table: pg_sys::Oid, finding: &Finding) -> String {
    let name = Rel::try_open(table, pg_sys::NoLock).map_or_else(String::new, |rel| rel.qualified());
    let mut words = format!("{} in {name}", finding.problem);
    if let Some(chain) = finding.chain {
        words += &format!(", chain {chain}");
    }
    if let Some(seq) = finding.seq {
        words += &format!(", seq {seq}");
    }
    format!("{words}: {}", finding.detail)
}
