//! `notary.journal`: what was done to logs, itself an ordinary log. Entries are written in the transaction of the deed.

use crate::error::Error;
use crate::pg::{catalog_scan, context, spi};
use notary_core::header::Header;
use notary_core::id::LogId;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use serde_json::Value;
use std::cell::{Cell, RefCell};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A table, or a new partition, became a segment.
    Protect,
    /// A log's protection ended.
    Unprotect,
    /// Somebody had logs verified and the answer written down.
    Attest,
    /// A log that is no longer in this database was given up on purpose.
    Forget,
    /// A log may be sealed again after a restore or failover.
    Resume,
    /// Changes of a table are recorded from now on.
    Track,
    /// They are no longer.
    Untrack,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Protect => "protect",
            Self::Unprotect => "unprotect",
            Self::Attest => "attest",
            Self::Forget => "forget",
            Self::Resume => "resume",
            Self::Track => "track",
            Self::Untrack => "untrack",
        }
    }
}

/// The reason that must be given for what is written down; `example`: a call that gives one.
pub fn reason_given<'r>(reason: Option<&'r str>, example: &str) -> Result<&'r str, Error> {
    reason.map(str::trim).filter(|reason| !reason.is_empty()).ok_or_else(|| Error::BadArgument {
        message: "a reason must be given".into(),
        detail: "It is written to notary.journal, for the auditors.".into(),
        hint: format!("For example: SELECT {example}."),
    })
}

/// An entry to be written.
pub struct Entry<'a> {
    /// What was done.
    pub action: Action,
    /// To which log; None: to all.
    pub log: Option<LogId>,
    /// The segment concerned, if it is one.
    pub segment: Option<u32>,
    /// The table, `schema.table`, as it was named then.
    pub relation: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The rest, an object.
    pub details: Value,
}

/// Is there a journal (protected or not)?
pub fn exists() -> Result<bool, Error> {
    spi::rows("SELECT pg_catalog.to_regclass('notary.journal') IS NOT NULL", &[], |row| spi::get::<bool>(row, 1))
        .map(|rows| rows.first().copied().flatten().unwrap_or(false))
}

/// Makes the journal's table. Not a member of the extension: pg_dump must treat it as the ordinary table it is.
pub fn create() -> Result<(), Error> {
    let commands = || {
        for command in include_str!("../sql/journal_table.sql").split_inclusive(";\n") {
            if !command.trim().is_empty() {
                spi::run(command, &[])?;
            }
        }
        Ok(())
    };
    context::as_superuser(|| context::with_plain_storage(commands))
}

/// Writes an entry.
pub fn write(entry: &Entry<'_>) -> Result<(), Error> {
    let role = crate::pg::relation::role_name(context::current_user());
    let session = context::session_user();
    let mut details = entry.details.clone();
    if let Some(object) = details.as_object_mut() {
        object.insert("database".into(), database()?.into());
        object.insert("home".into(), home()?.into());
        object.insert("timeline".into(), crate::tree::timeline()?.into());
    }
    let args: Vec<DatumWithOid<'_>> = vec![
        entry.action.as_str().into(),
        entry.log.map(|l| l.to_string()).into(),
        entry.segment.map(i64::from).into(),
        entry.relation.into(),
        session.as_str().into(),
        role.as_str().into(),
        entry.reason.into(),
        pgrx::JsonB(details).into(),
    ];
    let _writing = Writing::begin();
    let written = context::as_superuser(|| {
        spi::run(
            // No column's default is asked: those can be altered.
            "INSERT INTO notary.journal (at, action, log, segment, relation, session_role, role, reason, details)
             VALUES (pg_catalog.clock_timestamp(), $1, $2::pg_catalog.uuid, $3, $4, $5, $6, $7, $8)",
            &args,
        )
    })?;
    if written == 1 { Ok(()) } else { Err(swallowed()) }
}

/// The error for an entry that did not land: what is done to logs is not done unseen.
fn swallowed() -> Error {
    Error::Installation {
        message: "nothing could be written to notary.journal".into(),
        detail: "Something on the table swallows its rows, so that nothing is done that must be written to it.".into(),
        hint: "SELECT * FROM notary.findings('notary.journal') says what does not belong there.".into(),
    }
}

/// SQL for what an entry under this name says in `last_segment`; NULL where that is no number, which is no reason to fail.
pub fn last_segment(entry: &str) -> String {
    format!(
        "CASE WHEN {entry}.details ->> 'last_segment' ~ '^[0-9]{{1,10}}$' THEN ({entry}.details ->> 'last_segment')::int8 END"
    )
}

/// SQL for: does an entry under this name, on the end of a protection, stand where it could? Behind no entry of its chain that
/// begins a segment which it does not know.
pub fn in_order(entry: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM notary.journal AS begun WHERE begun.log = {entry}.log AND begun.action = 'protect'
             AND begun.notary_chain = {entry}.notary_chain AND begun.notary_seq < {entry}.notary_seq
             AND begun.segment > {})",
        last_segment(entry)
    )
}

/// Has an entry been made in this very database? Then it is no copy any more that its rows are still to come to.
pub fn is_begun() -> Result<bool, Error> {
    let here = database()?;
    let sql = "SELECT EXISTS (SELECT FROM notary.journal WHERE details OPERATOR(pg_catalog.->>) 'database' OPERATOR(pg_catalog.=) $1)";
    let found = context::as_superuser(|| spi::rows(sql, &[here.as_str().into()], |row| spi::get::<bool>(row, 1)))?;
    Ok(found.into_iter().flatten().next().unwrap_or(false))
}

thread_local! {
    static WRITING: Cell<bool> = const { Cell::new(false) };
    static DATABASE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Refuses to go on where nothing can be written to the journal: in a read-only transaction, and on a standby.
pub fn must_be_writable(call: &'static str) -> Result<(), Error> {
    if context::may_write() { Ok(()) } else { Err(Error::ReadOnly { call }) }
}

/// Is it the journal's table, by the name that it had before the command under way?
pub fn is_table(relid: pg_sys::Oid) -> bool {
    catalog_scan::qualified(relid) == "notary.journal"
}

/// Does a segment's header say that it is the journal's?
pub fn is_header(header: &Header) -> bool {
    header.schema == "notary" && header.table == "journal"
}

/// Is pg_notary itself writing an entry now? Nobody else may: what the journal says excuses changes.
pub fn is_writing() -> bool {
    WRITING.get()
}

struct Writing;

impl Writing {
    fn begin() -> Self {
        WRITING.set(true);
        Self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITING.set(false);
    }
}

/// What tells this database from every copy of it, also from one that was restored in its place: the database, and the OID of
/// the extension, which no dump brings along.
pub fn home() -> Result<String, Error> {
    let extension = catalog_scan::extension(c"pg_notary").map_or(0, pg_sys::Oid::to_u32);
    Ok(format!("{}/{extension}", database()?))
}

/// What tells this database from a restored copy of it: the cluster's system identifier and the database's OID. Neither
/// changes while a session lives, so they are looked up once.
pub fn database() -> Result<String, Error> {
    if let Some(known) = DATABASE.with_borrow(Clone::clone) {
        return Ok(known);
    }
    let sql = "SELECT s.system_identifier::text || '/' || d.oid::text
               FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d
               WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";
    let found = context::as_superuser(|| spi::rows(sql, &[], |row| spi::get::<String>(row, 1)))?;
    let found = found.into_iter().flatten().next().unwrap_or_default();
    DATABASE.set(Some(found.clone()));
    Ok(found)
}
