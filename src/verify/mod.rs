//! The read path: is a log what it was?
//!
//! Invariants:
//! * Nothing of the write path is used: rows are read from the heap, hashed again, and judged by `notary_core::chain`.
//! * A finding names where and what kind, in hashes and column names, never in values.
//! * Works in a read-only transaction and on a standby: writes nothing, locks nothing beyond AccessShareLock, takes no
//!   predicate locks.

mod adopted;
mod blocks;
mod check;
mod closed;
mod gathered;
mod guard_state;
mod headers;
mod index;
mod known;
mod logs;
mod open_end;
mod parallel;
mod parallel_index;
mod parallel_rows;
mod places;
mod progress;
mod record;
mod rehash;
mod rows;
mod sealed;
mod tracking;

use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::journal::{self, Action, Entry};
use crate::log::{self, Functions};
use crate::pg::context;
use crate::pg::entry::entry_point;
use crate::pg::relation::Rel;
use crate::pg::results::{Results, argument, datum};
use crate::tree;
use check::{Report, Said, Scope, check};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::{pg_extern, pg_sys};
use serde_json::json;
use std::collections::HashSet;

entry_point!(notary_verify, pg_finfo_notary_verify, verify);
entry_point!(notary_findings, pg_finfo_notary_findings, findings);
entry_point!(notary_notices, pg_finfo_notary_notices, notices);
entry_point!(notary_damage, pg_finfo_notary_damage, damage);
entry_point!(notary_log_list, pg_finfo_notary_log_list, log_list);

/// `notary.verify(log, since, note, workers)`: one row a log.
fn verify(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let mut results = Results::of(fcinfo);
    let scope = Scope { workers: workers(argument(fcinfo, 3)), ..scope(fcinfo) };
    let targets = Targets::of(argument(fcinfo, 0)).or_raise();
    if scope.note.is_some() && argument::<pg_sys::Oid>(fcinfo, 0).is_none() {
        one_log().raise();
    }
    for root in &targets.roots {
        let Some(rel) = targets.open(*root).or_raise() else { continue };
        let report = check(&rel, &targets.functions, &scope, &mut |_| {}).or_raise();
        results.put(answer(&rel, &report, &scope));
    }
    for lost in targets.lost {
        results.put(vec![
            None,
            datum(false),
            datum(0_i64),
            datum(0_i32),
            datum(1_i64),
            datum(lost),
            None,
            datum("the whole log".to_owned()),
            None,
        ]);
    }
    pg_sys::Datum::from(0)
}

fn answer(rel: &Rel, report: &Report, scope: &Scope) -> Vec<Option<pg_sys::Datum>> {
    vec![
        datum(rel.oid()),
        datum(report.findings == 0),
        datum(i64::try_from(report.entries).unwrap_or(i64::MAX)),
        datum(i32::try_from(report.chains).unwrap_or(i32::MAX)),
        datum(i64::try_from(report.findings).unwrap_or(i64::MAX)),
        report.first_finding.clone().and_then(datum),
        report.sealed.as_ref().and_then(|sealed| datum(tree::store::signed(sealed.size))),
        datum(in_words(report, scope)),
        Interval::new(0, 0, report.elapsed_micros).ok().and_then(datum),
    ]
}

fn in_words(report: &Report, scope: &Scope) -> String {
    let mut words = match scope.since {
        None => "every entry".to_owned(),
        Some(_) => "partial: content only of entries since the given time, places and links of all".to_owned(),
    };
    let time = |micros: i64| notary_core::Timestamp(micros).to_string();
    if let Some(note) = &scope.note {
        words += &format!("; compared with a note of size {}", note.checkpoint().size());
    }
    if let Some(sealed) = &report.sealed {
        let at = sealed.at.map_or_else(String::new, |at| format!(" at {}", time(at)));
        let how = if sealed.signed { "sealed" } else { "sealed unsigned" };
        words += &format!("; {how} up to size {}{at}", sealed.size);
        match (sealed.unsealed, sealed.oldest) {
            (0, _) => {}
            (1, oldest) => {
                words += &format!("; 1 entry is not sealed yet, from {}", oldest.map_or_else(String::new, time))
            }
            (n, oldest) => {
                words += &format!(
                    "; {n} entries are not sealed yet, the oldest from {}",
                    oldest.map_or_else(String::new, time)
                );
            }
        }
        match sealed.left {
            0 => {}
            1 => words += "; 1 sealed line left the log while it was not protected, as notary.journal says",
            n => {
                words += &format!("; {n} sealed lines left the log while it was not protected, as notary.journal says")
            }
        }
        if sealed.partly {
            words +=
                "; what was changed or removed while the log was not protected could not be compared with the seals";
        }
    }
    match report.remarks {
        0 => {}
        1 => words += "; 1 notice, see notary.notices",
        n => words += &format!("; {n} notices, see notary.notices"),
    }
    words
}

/// `notary.findings(log, since, note)`.
fn findings(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    each_said(fcinfo, &scope(fcinfo), |results, said| {
        if let Said::Finding { table, finding, .. } = said {
            results.put(vec![
                datum(*table),
                finding.chain.and_then(|c| i32::try_from(c).ok()).and_then(datum),
                finding.seq.and_then(datum),
                datum(finding.problem.as_str()),
                datum(finding.detail.as_str()),
            ]);
        }
    })
}

/// `notary.notices(log)`.
fn notices(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    each_said(fcinfo, &Scope::default(), |results, said| {
        if let Said::Remark { table, remark } = said {
            results.put(vec![
                datum(*table),
                remark.chain.and_then(|c| i32::try_from(c).ok()).and_then(datum),
                remark.seq.and_then(datum),
                datum(remark.notice.as_str()),
                datum(remark.detail.as_str()),
            ]);
        }
    })
}

/// `notary.damage(log)`: fingerprints of findings, for the journal.
fn damage(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    each_said(fcinfo, &Scope::default(), |results, said| {
        if let Said::Finding { segment, finding, .. } = said {
            results.put(vec![datum(pgrx::JsonB(known::fingerprint(*segment, finding)))]);
        }
    })
}

fn each_said(
    fcinfo: pg_sys::FunctionCallInfo,
    scope: &Scope,
    mut put: impl FnMut(&mut Results, &Said),
) -> pg_sys::Datum {
    let mut results = Results::of(fcinfo);
    let Some(relid) = argument::<pg_sys::Oid>(fcinfo, 0) else {
        Error::BadArgument {
            message: "log must not be NULL".into(),
            detail: "It is the log to check.".into(),
            hint: "Name a log; SELECT * FROM notary.verify() checks all.".into(),
        }
        .raise()
    };
    let targets = Targets::of(Some(relid)).or_raise();
    for root in &targets.roots {
        let rel = Rel::open(*root, pg_sys::AccessShareLock);
        check(&rel, &targets.functions, scope, &mut |said| put(&mut results, said)).or_raise();
    }
    pg_sys::Datum::from(0)
}

fn log_list(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let mut results = Results::of(fcinfo);
    let functions = functions().or_raise();
    for root in logs::roots(&functions).or_raise() {
        if context::may_select(root) {
            results.put(logs::describe(root, &functions).or_raise());
        }
    }
    pg_sys::Datum::from(0)
}

/// `notary.assert_intact(log)`.
#[pg_extern(sql = false)]
fn assert_intact(relid: Option<pg_sys::Oid>, note: Option<&str>) {
    let scope = Scope { note: note.map(|note| tree::read_note(note).or_raise()), ..Scope::default() };
    if scope.note.is_some() && relid.is_none() {
        one_log().raise();
    }
    let (reports, lost) = check_all(relid, &scope).or_raise();
    let mut broken: Vec<_> = reports
        .iter()
        .filter(|(_, report)| report.findings > 0)
        .map(|(name, report)| {
            format!("{name}: {} finding(s); first: {}", report.findings, report.first_finding.as_deref().unwrap_or(""))
        })
        .collect();
    broken.extend(lost);
    if !broken.is_empty() {
        let summary = format!("{} of {} log(s) not intact", broken.len(), reports.len().max(broken.len()));
        Error::NotIntact { summary, detail: broken.join("\n") }.raise();
    }
}

/// `notary.attest(log)`: verifies and writes the answer to the journal; true when all is intact.
#[pg_extern(sql = false)]
fn attest(relid: Option<pg_sys::Oid>) -> bool {
    journal::must_be_writable("notary.attest()").or_raise();
    attest_and_write(relid).or_raise()
}

fn attest_and_write(relid: Option<pg_sys::Oid>) -> Result<bool, Error> {
    if !journal::exists()? {
        return Err(Error::Installation {
            message: "there is no journal yet".into(),
            detail: "The answer would be written to notary.journal.".into(),
            hint: "The first notary.protect makes it.".into(),
        });
    }
    let (reports, lost) = check_all(relid, &Scope::default())?;
    for (name, report) in &reports {
        let mut details = json!({
                "last_segment": report.last_segment,
                "sealed_size": report.sealed.as_ref().map(|sealed| sealed.size),
                "intact": report.findings == 0,
                "entries": report.entries,
                "chains": report.chains,
                "findings": report.findings,
                "first_finding": report.first_finding,
                "notices": report.remarks,
        });
        // A copy becomes the database that counts, for what is tracked in it too.
        let found = report.log.map_or(Ok(Vec::new()), |log| tracking::found(log, &functions()?))?;
        if !found.is_empty() {
            details["tracked"] = found.into();
        }
        journal::write(&Entry {
            action: Action::Attest,
            log: report.log,
            segment: None,
            relation: Some(name),
            reason: None,
            details,
        })?;
        report.log.map_or(Ok(()), tracking::tell_of_those_left_out)?;
    }
    for detail in &lost {
        journal::write(&Entry {
            action: Action::Attest,
            log: None,
            segment: None,
            relation: None,
            reason: None,
            details: json!({ "intact": false, "first_finding": detail }),
        })?;
    }
    Ok(lost.is_empty() && reports.iter().all(|(_, report)| report.findings == 0))
}

/// Each log's name and report, and the logs that are lost, in words.
type Checked = (Vec<(String, Report)>, Vec<String>);

fn check_all(relid: Option<pg_sys::Oid>, scope: &Scope) -> Result<Checked, Error> {
    let targets = Targets::of(relid)?;
    // To have checked nothing is not to have found nothing.
    if let (true, Some(table)) = (targets.roots.is_empty(), targets.hidden.first()) {
        return Err(Error::NoSelect { table: table.clone() });
    }
    let mut reports = Vec::new();
    for root in &targets.roots {
        let Some(rel) = targets.open(*root)? else { continue };
        reports.push((rel.qualified(), check(&rel, &targets.functions, scope, &mut |_| {})?));
    }
    Ok((reports, targets.lost))
}

/// What is to be checked.
struct Targets {
    functions: Functions,
    roots: Vec<pg_sys::Oid>,
    /// Logs that should be here and are not, in words.
    lost: Vec<String>,
    /// Logs that the caller may not read.
    hidden: Vec<String>,
}

impl Targets {
    /// Opens a log. Waiting for its lock may have taken until its protection ended, or it was dropped: then None.
    fn open(&self, root: pg_sys::Oid) -> Result<Option<Rel>, Error> {
        let Some(rel) = Rel::try_open(root, pg_sys::AccessShareLock) else { return Ok(None) };
        let is_log = logs::log_id(root, &self.functions).is_some() || log::is_log(&rel, &self.functions);
        Ok(is_log.then_some(rel))
    }

    /// One log, or all that the caller may read.
    fn of(relid: Option<pg_sys::Oid>) -> Result<Self, Error> {
        let functions = functions()?;
        let Some(relid) = relid else {
            return Self::all(functions);
        };
        let rel = Rel::open(relid, pg_sys::AccessShareLock);
        if !context::may_select(relid) {
            return Err(Error::NoSelect { table: rel.qualified() });
        }
        let is_known = || known::headers_of_table(&rel).map(|h| !h.is_empty());
        let is_of_partitions = || rel.is_partitioned() && logs::log_id(relid, &functions).is_some();
        if !log::is_log(&rel, &functions) && !is_known()? && !is_of_partitions() {
            return Err(Error::NotALog { table: rel.qualified() });
        }
        Ok(Self { functions, roots: vec![relid], lost: Vec::new(), hidden: Vec::new() })
    }

    fn all(functions: Functions) -> Result<Self, Error> {
        let all = logs::roots(&functions)?;
        let present: HashSet<_> = all.iter().filter_map(|root| logs::log_id(*root, &functions)).collect();
        let (roots, hidden): (Vec<_>, Vec<_>) = all.into_iter().partition(|root| context::may_select(*root));
        let hidden: Vec<_> = hidden.iter().map(|oid| Rel::open(*oid, pg_sys::AccessShareLock).qualified()).collect();
        if !hidden.is_empty() {
            pgrx::warning!("not checked, because the SELECT privilege is missing: {}", hidden.join(", "));
        }
        tracking::warn_of_unprotected(&functions)?;
        let mut lost = Vec::new();
        for log in known::lost(&present, &functions)? {
            let words = format!(
                "guard_off: log {} ({}) is protected as far as the journal and the extension know, but its table is not in this database",
                log.log, log.name
            );
            if log.here {
                lost.push(words);
            } else {
                pgrx::notice!(
                    "{words}. It was protected in the database that this one was restored from, and not attested here. If it \
                     was left out on purpose: SELECT notary.forget('{}', 'why')",
                    log.log
                );
            }
        }
        Ok(Self { functions, roots, lost, hidden })
    }
}

fn functions() -> Result<Functions, Error> {
    Functions::find().ok_or_else(|| Error::NotIntact {
        summary: "the trigger functions notary.append() and notary.refuse() are missing".into(),
        detail: "guard_off: no log can be checked by its triggers.".into(),
    })
}

/// The arguments since and note.
fn scope(fcinfo: pg_sys::FunctionCallInfo) -> Scope {
    Scope {
        since: argument::<TimestampWithTimeZone>(fcinfo, 1).map(i64::from),
        note: argument::<String>(fcinfo, 2).map(|note| tree::read_note(&note).or_raise()),
        workers: None,
    }
}

/// The argument workers.
fn workers(wanted: Option<i32>) -> Option<u32> {
    let count = |wanted: i32| {
        u32::try_from(wanted).unwrap_or_else(|_| {
            Error::BadArgument {
                message: "workers must not be negative".into(),
                detail: format!("It is how many processes may help at most, and was {wanted}."),
                hint: "0 for none, NULL for as many as the table is worth.".into(),
            }
            .raise()
        })
    };
    wanted.map(count)
}

fn one_log() -> Error {
    Error::BadArgument {
        message: "a note is of one log".into(),
        detail: "No log was named.".into(),
        hint: "SELECT * FROM notary.verify('the_log', note => …)".into(),
    }
}

/// `notary.line(segment, chain, seq)`: with the caller's rights and row-level security.
#[pg_extern(sql = false)]
fn line(segment: pg_sys::Oid, chain: i32, seq: i64) -> String {
    let functions = functions().or_raise();
    let rel = Rel::open(segment, pg_sys::AccessShareLock);
    if !log::is_log(&rel, &functions) {
        Error::NotALog { table: rel.qualified() }.raise();
    }
    access::has_rows(&rel).or_raise();
    let found = access::visible_to_caller(&rel, chain, seq).or_raise();
    let Some(tid) = found else { Error::NoEntry { table: rel.qualified(), chain, seq }.raise() };
    rows::line_at(&rel, &functions, tid).or_raise()
}
