//! Is everything that guards a log in place, and does its table still read as its headers say?
//!
//! Looked up in the catalogs at the time of the check: triggers, event triggers, functions, constraint, columns, rules,
//! inheritance. Says what is missing; refuses nothing.

use crate::error::Error;
use crate::journal;
use crate::log::{self, Functions};
use crate::pg::relation::{self, Column, Rel, Trigger};
use crate::pg::row::{self, NOTARY_COLUMNS, NotaryColumns};
use crate::pg::{catalog, index, spi, types};
use notary_core::header::Header;
use notary_core::{Finding, Problem};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};

/// The event triggers that the extension's script makes: name (that of the function too, `notary.guard_start`), event,
/// tags.
const EVENT_TRIGGERS: [(&str, &str, &str); 4] = [
    ("notary_guard_start", "ddl_command_start", ""),
    (
        "notary_guard_end",
        "ddl_command_end",
        "ALTER FOREIGN TABLE,ALTER MATERIALIZED VIEW,ALTER TABLE,ALTER TYPE,ALTER VIEW",
    ),
    ("notary_guard_rewrite", "table_rewrite", ""),
    ("notary_new_partitions", "ddl_command_end", "ALTER TABLE,CREATE SCHEMA,CREATE TABLE"),
];

/// The functions that the extension's script makes: name, C symbol, and whether they pin their search_path.
const FUNCTIONS: [(&str, &str, bool); 23] = [
    ("append", "notary_append", false),
    ("refuse", "notary_refuse", false),
    ("about", "notary_about", false),
    ("capture", "notary_capture", false),
    ("track", "track_wrapper", true),
    ("untrack", "untrack_wrapper", true),
    ("forget_tracked", "forget_tracked_wrapper", true),
    ("guard_start", "notary_guard_start", false),
    ("guard_end", "notary_guard_end", false),
    ("guard_rewrite", "notary_guard_rewrite", false),
    ("new_partitions", "notary_new_partitions", true),
    ("protect", "protect_wrapper", true),
    ("unprotect", "unprotect_wrapper", true),
    ("forget", "forget_wrapper", true),
    ("header", "header_wrapper", true),
    ("verify", "notary_verify", true),
    ("findings", "notary_findings", true),
    ("notices", "notary_notices", true),
    ("assert_intact", "assert_intact_wrapper", true),
    ("attest", "attest_wrapper", true),
    ("damage", "notary_damage", true),
    ("line", "line_wrapper", true),
    ("log_list", "notary_log_list", true),
];

const BEFORE: u32 = pg_sys::TRIGGER_TYPE_BEFORE;
const ROW: u32 = pg_sys::TRIGGER_TYPE_ROW;
const INSERT: u32 = pg_sys::TRIGGER_TYPE_INSERT;
const CHANGES: u32 = pg_sys::TRIGGER_TYPE_UPDATE | pg_sys::TRIGGER_TYPE_DELETE;
const TRUNCATE: u32 = pg_sys::TRIGGER_TYPE_TRUNCATE;

fn off(detail: impl Into<String>) -> Finding {
    Finding::general(Problem::GuardOff, detail.into())
}

/// What is wrong with the guard of the whole database.
pub fn of_database() -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    // By the function's own name: another one can have the same text.
    let triggers = catalog::rows(
        "SELECT t.evtname::text, t.evtevent::text, t.evtenabled::text, n.nspname || '.' || p.proname,
                (SELECT coalesce(string_agg(tag, ',' ORDER BY tag COLLATE \"C\"), '') FROM unnest(t.evttags) AS tag)
         FROM pg_catalog.pg_event_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.evtfoid
         JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace",
        &[],
        |row| {
            let text = |i| spi::get::<String>(row, i).map(Option::unwrap_or_default);
            Ok((text(1)?, (text(2)?, text(3)?, text(4)?, text(5)?)))
        },
    )?;
    let triggers: BTreeMap<_, _> = triggers.into_iter().collect();
    for (name, event, tags) in EVENT_TRIGGERS {
        match triggers.get(name) {
            None => findings.push(off(format!("event trigger {name} is missing"))),
            Some((e, _, function, t)) if e != event || *function != name.replacen('_', ".", 1) || t != tags => {
                findings.push(off(format!("event trigger {name} is not the one that pg_notary made")));
            }
            Some((_, enabled, ..)) if enabled != "A" => {
                findings.push(off(format!("event trigger {name} is not ENABLE ALWAYS")));
            }
            Some(_) => {}
        }
    }
    findings.extend(functions()?);
    findings.extend(members()?);
    Ok(findings)
}

/// What pg_depend does not say to belong to the extension can be dropped and changed like anybody's.
fn members() -> Result<Vec<Finding>, Error> {
    let rows = catalog::rows(
        "SELECT what FROM (
             SELECT 'function notary.' || proname || '()', 'pg_catalog.pg_proc'::regclass, oid FROM pg_catalog.pg_proc
             WHERE pronamespace = 'notary'::regnamespace AND probin = '$libdir/pg_notary'
             UNION ALL SELECT 'event trigger ' || evtname, 'pg_catalog.pg_event_trigger'::regclass, t.oid
             FROM pg_catalog.pg_event_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = evtfoid
             WHERE pronamespace = 'notary'::regnamespace
             UNION ALL SELECT 'relation notary.' || relname, 'pg_catalog.pg_class'::regclass, oid FROM pg_catalog.pg_class
             WHERE relnamespace = 'notary'::regnamespace AND relname IN ('segment', 'logs')) AS ours (what, class, object)
         WHERE NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
             WHERE d.classid = class AND d.objid = object AND d.refclassid = 'pg_catalog.pg_extension'::regclass
             AND d.deptype = 'e' AND e.extname = 'pg_notary')
         ORDER BY what",
        &[],
        |row| spi::get::<String>(row, 1),
    )?;
    Ok(rows.into_iter().flatten().map(|what| off(format!("{what} does not belong to the extension"))).collect())
}

fn functions() -> Result<Vec<Finding>, Error> {
    let rows = catalog::rows(
        // 13 is C, whatever pg_language calls it.
        "SELECT p.proname::text, p.prosrc, coalesce(p.probin, ''), p.prolang::text,
                coalesce(array_to_string(p.proconfig, ';'), '')
         FROM pg_catalog.pg_proc AS p
         JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
         WHERE n.nspname = 'notary'",
        &[],
        |row| {
            let text = |i| spi::get::<String>(row, i).map(Option::unwrap_or_default);
            Ok((text(1)?, [text(2)?, text(3)?, text(4)?, text(5)?]))
        },
    )?;
    const C_LANGUAGE: &str = "13";
    let library = "$libdir/pg_notary";
    let mut findings = Vec::new();
    for (name, symbol, pinned) in FUNCTIONS {
        let path = if pinned { "search_path=pg_catalog, pg_temp" } else { "" };
        let mut ours = rows.iter().filter(|(n, _)| n == name);
        let is_ours =
            ours.next().is_some_and(|(_, is)| *is == [symbol, library, C_LANGUAGE, path]) && ours.next().is_none();
        if !is_ours {
            findings.push(off(format!("function notary.{name}() is not the one of pg_notary's library")));
        }
    }
    Ok(findings)
}

/// What is wrong with the guard of a table with entries.
pub fn of_segment(rel: &Rel, functions: &Functions) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let triggers = catalog::triggers(rel.oid())?;
    let find = |name: &str| triggers.iter().find(|t| t.name == name);
    let wanted = [
        (log::APPEND_TRIGGER, functions.append, BEFORE | ROW | INSERT),
        (log::KEEP_TRIGGER, functions.refuse, BEFORE | ROW | CHANGES),
        (log::BLOCK_TRIGGER, functions.refuse, BEFORE | CHANGES | TRUNCATE),
    ];
    for (name, function, kind) in wanted {
        findings.extend(trigger_problem(name, find(name), function, kind));
    }
    let later = |t: &&Trigger| {
        t.before_row() && t.on_insert() && t.name.as_bytes() > log::APPEND_TRIGGER.as_bytes() && t.enabled != b'D'
    };
    for trigger in triggers.iter().filter(later) {
        findings.push(off(format!("trigger \"{}\" runs after the append trigger and can change rows", trigger.name)));
    }
    match NotaryColumns::of(rel) {
        None => findings
            .push(Finding::general(Problem::ColumnChanged, "a notary_* column is missing or has another type".into())),
        Some(columns) if index::chain_index(rel, &columns).is_none() => {
            findings.push(off("the unique constraint over (notary_chain, notary_seq) is missing or not valid"));
        }
        Some(_) if !rel.has_index() => {
            findings.push(off("pg_class says that the table has no index, so that none is kept up"));
        }
        Some(_) => {}
    }
    findings.extend(strangers(&triggers, &wanted.map(|(name, ..)| name), functions));
    if journal::is_table(rel.oid()) {
        findings.extend(on_the_journal(&triggers, functions));
    }
    findings.extend(hidden_triggers(rel, &triggers));
    findings.extend(loose_triggers(rel, functions)?);
    findings.extend(partition_flag(rel)?);
    if rel.persistence() != pg_sys::RELPERSISTENCE_PERMANENT {
        findings.push(off("the table is unlogged: a crash empties it"));
    }
    findings.extend(foreign(rel)?);
    Ok(findings)
}

/// What is wrong with what makes a log an event log.
pub fn of_event_log(rel: &Rel, functions: &Functions) -> Result<Vec<Finding>, Error> {
    let triggers = catalog::triggers(rel.oid())?;
    let about = triggers.iter().find(|t| t.name == log::ABOUT_TRIGGER);
    let mut findings: Vec<_> =
        trigger_problem(log::ABOUT_TRIGGER, about, functions.about, BEFORE | ROW | INSERT).into_iter().collect();
    let between = |t: &&Trigger| {
        t.before_row()
            && t.on_insert()
            && (log::ABOUT_TRIGGER.as_bytes()..log::APPEND_TRIGGER.as_bytes()).contains(&t.name.as_bytes())
            && t.name != log::ABOUT_TRIGGER
            && t.enabled != b'D'
    };
    for trigger in triggers.iter().filter(between) {
        findings.push(off(format!(
            "trigger \"{}\" runs after the one that fills in what the database knows, and can change it",
            trigger.name
        )));
    }
    Ok(findings)
}

/// What is wrong with the guard of a partitioned table above segments.
pub fn of_partitioned(rel: &Rel, functions: &Functions) -> Result<Vec<Finding>, Error> {
    let triggers = catalog::triggers(rel.oid())?;
    let block = triggers.iter().find(|t| t.name == log::BLOCK_TRIGGER);
    let mut findings: Vec<_> =
        trigger_problem(log::BLOCK_TRIGGER, block, functions.refuse, BEFORE | CHANGES | TRUNCATE).into_iter().collect();
    // A segment that pg_class calls partitioned has all its triggers, and is a finding by itself.
    if log::append_trigger(&triggers, functions).is_none_or(|append| append.name != log::APPEND_TRIGGER) {
        findings.extend(strangers(&triggers, &[log::BLOCK_TRIGGER], functions));
    }
    findings.extend(hidden_triggers(rel, &triggers));
    findings.extend(loose_triggers(rel, functions)?);
    findings.extend(partition_flag(rel)?);
    findings.extend(foreign(rel)?);
    Ok(findings)
}

/// Triggers of ours that pg_depend does not tie to their table and function: what they call could be dropped from under
/// them.
fn loose_triggers(rel: &Rel, functions: &Functions) -> Result<Vec<Finding>, Error> {
    let tied = |class: &str, column: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_trigger'::regclass
             AND d.objid = t.oid AND d.refclassid = 'pg_catalog.{class}'::regclass AND d.refobjid = t.{column})"
        )
    };
    let sql = format!(
        "SELECT tgname::text FROM pg_catalog.pg_trigger AS t WHERE tgrelid = $1 AND tgfoid IN ($2, $3)
         AND NOT ({} AND {}) ORDER BY tgname",
        tied("pg_proc", "tgfoid"),
        tied("pg_class", "tgrelid")
    );
    let args = [rel.oid().into(), functions.append.into(), functions.refuse.into()];
    let names = catalog::rows(&sql, &args, |row| spi::get::<String>(row, 1))?;
    let loose = |name| off(format!("pg_depend does not tie trigger \"{name}\" to its table and its function"));
    Ok(names.into_iter().flatten().map(loose).collect())
}

/// Triggers that call functions of ours and are not ours: what they carry is not what protect wrote.
fn strangers(triggers: &[Trigger], ours: &[&str], functions: &Functions) -> Vec<Finding> {
    let strangers = triggers.iter().filter(|t| functions.has(t.function) && !ours.contains(&t.name.as_str()));
    strangers
        .map(|t| {
            off(format!("trigger \"{}\" calls a function of pg_notary, and protect makes none of that name", t.name))
        })
        .collect()
}

/// Triggers of users on the journal, enabled or not: they could change or swallow what is written to it.
fn on_the_journal(triggers: &[Trigger], functions: &Functions) -> Vec<Finding> {
    let theirs = triggers.iter().filter(|t| !t.internal && !functions.has(t.function));
    theirs
        .map(|t| off(format!("trigger \"{}\" can change or swallow what is written to the journal", t.name)))
        .collect()
}

/// pg_class says that the table is a partition, and PostgreSQL believes it, though pg_inherits has none above it. (That it
/// says the opposite of one is found as an inheritance.)
fn partition_flag(rel: &Rel) -> Result<Option<Finding>, Error> {
    let sql = "SELECT FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class ON oid = inhparent WHERE inhrelid = $1";
    let orphan = rel.is_partition() && catalog::rows(sql, &[rel.oid().into()], |_| Ok(()))?.is_empty();
    Ok(orphan.then(|| off("pg_class says that the table is a partition, and it is one of no table")))
}

/// pg_class says that there are no triggers, and PostgreSQL believes it, though pg_trigger has some.
fn hidden_triggers(rel: &Rel, triggers: &[Trigger]) -> Option<Finding> {
    let hidden = !rel.has_triggers() && !triggers.is_empty();
    hidden.then(|| off("pg_class says that the table has no triggers, so that none fires"))
}

fn trigger_problem(name: &str, trigger: Option<&Trigger>, function: pg_sys::Oid, kind: u32) -> Option<Finding> {
    let Some(trigger) = trigger else {
        return Some(off(format!("trigger \"{name}\" is missing")));
    };
    if trigger.function != function || u32::try_from(trigger.kind) != Ok(kind) || trigger.conditional {
        return Some(off(format!("trigger \"{name}\" is not the one that pg_notary made")));
    }
    match trigger.enabled {
        b'A' => None,
        b'D' => Some(off(format!("trigger \"{name}\" is disabled"))),
        _ => Some(off(format!("trigger \"{name}\" is not ENABLE ALWAYS"))),
    }
}

/// Rows that come in or go out another way.
fn foreign(rel: &Rel) -> Result<Vec<Finding>, Error> {
    let foreign = |detail: String| Finding::general(Problem::ForeignRows, detail);
    let names = |sql: &str| {
        catalog::rows(sql, &[rel.oid().into()], |row| spi::get::<String>(row, 1))
            .map(|names| names.into_iter().flatten().collect::<Vec<_>>())
    };
    let mut findings = Vec::new();
    for rule in names("SELECT rulename::text FROM pg_catalog.pg_rewrite WHERE ev_class = $1")? {
        findings.push(foreign(format!("rule \"{rule}\" can swallow or redirect rows")));
    }
    if !rel.is_partitioned() {
        for child in names("SELECT inhrelid::regclass::text FROM pg_catalog.pg_inherits WHERE inhparent = $1")? {
            findings.push(foreign(format!("rows of the inheriting table {child} appear as this log's")));
        }
    }
    if let Some(check) = log::foreign_check(rel)? {
        findings.push(foreign(format!(
            "{check} calls a function that is not PostgreSQL's own, and queries leave out rows by what it says"
        )));
    }
    if !rel.is_partition() {
        for parent in names("SELECT inhparent::regclass::text FROM pg_catalog.pg_inherits WHERE inhrelid = $1")? {
            findings.push(foreign(format!("the table inherits from {parent}, so that its rows can be changed there")));
        }
    }
    Ok(findings)
}

/// Columns that are not what the newest header tells of, or read what no entry holds.
pub fn columns(rel: &Rel, header: &Header) -> Vec<Finding> {
    let changed = |detail: String| Finding::general(Problem::ColumnChanged, detail);
    let columns = rel.columns();
    let mut findings = Vec::new();
    for (name, type_name) in &header.columns {
        match columns.iter().find(|c| c.name == *name) {
            None => findings.push(changed(format!("column \"{name}\" of the header is missing or renamed"))),
            Some(column) if column.generated => {
                findings.push(changed(format!("column \"{name}\" has become a generated column")));
            }
            Some(column) => {
                let now = relation::type_name(column.type_oid, column.typmod);
                if now != *type_name {
                    findings.push(changed(format!("column \"{name}\" had type {type_name} and now has type {now}")));
                }
            }
        }
    }
    findings.extend(columns.iter().filter_map(|c| unexpected(c, header)).map(changed));
    let misprinted = columns.iter().filter(|c| types::is_misprinted(c.type_oid));
    for name in misprinted.map(|c| relation::type_name(c.type_oid, -1)).collect::<BTreeSet<_>>() {
        findings.push(changed(format!("values of type {name} are shown by another function than PostgreSQL's own")));
    }
    findings
}

/// Columns that a partitioned table lacks, or has otherwise, and its partitions' header tells of.
pub fn columns_of_partitioned(rel: &Rel, header: &Header) -> Vec<Finding> {
    let columns = rel.columns();
    let ours = NOTARY_COLUMNS.iter().map(|(name, type_name)| (*name, *type_name));
    let theirs = header.columns.iter().map(|(name, type_name)| (name.as_str(), type_name.as_str()));
    let wrong = ours.chain(theirs).filter(|(name, type_name)| {
        let column = columns.iter().find(|c| c.name == *name);
        column.is_none_or(|c| c.generated || relation::type_name(c.type_oid, c.typmod) != *type_name)
    });
    wrong
        .map(|(name, _)| format!("column \"{name}\" of the partitions is missing or another one here"))
        .map(|detail| Finding::general(Problem::ColumnChanged, detail))
        .collect()
}

/// Columns that a table and the partitioned table above it do not have alike, though PostgreSQL makes them so: what is
/// wrong with each of the two.
pub fn columns_apart(above: &Rel, below: &Rel) -> [Vec<Finding>; 2] {
    let (above, below) = (above.columns(), below.columns());
    let same = |a: &Column, b: &Column| {
        a.name == b.name && (a.type_oid, a.typmod, a.collation) == (b.type_oid, b.typmod, b.collation)
    };
    let lacking = below.iter().filter(|theirs| !above.iter().any(|c| same(c, theirs)));
    let missing = above.iter().filter(|theirs| !below.iter().any(|c| c.name == theirs.name));
    let changed = |detail: String| Finding::general(Problem::ColumnChanged, detail);
    [
        lacking
            .map(|c| changed(format!("column \"{}\" of the partitions is missing or another one here", c.name)))
            .collect(),
        missing.map(|c| changed(format!("column \"{}\" of the partitioned table is missing here", c.name))).collect(),
    ]
}

fn unexpected(column: &Column, header: &Header) -> Option<String> {
    let name = &column.name;
    if row::is_notary_column(name) {
        let known = NOTARY_COLUMNS.iter().any(|(ours, _)| ours == name);
        if !known {
            return Some(format!("column \"{name}\" has a name that belongs to pg_notary"));
        }
        let altered = column.generated || column.identity || column.has_default || column.not_null;
        return altered.then(|| format!("column \"{name}\" has a default, is generated or is NOT NULL"));
    }
    if column.missing_value {
        return Some(format!(
            "column \"{name}\" was added with a default: older entries read a value that they do not hold"
        ));
    }
    let later = !column.generated && !header.columns.contains_key(name);
    (later && types::writer(column.type_oid).is_none())
        .then(|| format!("column \"{name}\" has a type that the format does not list"))
}
