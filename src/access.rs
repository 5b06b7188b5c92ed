//! Who may do what to a log: questions that more than one part of the crate asks before it does anything.

use crate::error::Error;
use crate::log::{self, Functions};
use crate::pg::heap::Tid;
use crate::pg::relation::Rel;
use crate::pg::{compat, context, spi};
use pgrx::pg_sys;

/// The functions that protection's triggers call; an error when someone damaged the installation.
pub fn trigger_functions() -> Result<Functions, Error> {
    Functions::find().ok_or_else(|| Error::Installation {
        message: "the trigger functions notary.append() and notary.refuse() are missing".into(),
        detail: "Someone damaged the installation: DROP EXTENSION is refused while logs exist.".into(),
        hint: "Make the functions again as the extension's script does.".into(),
    })
}

/// Opens the log that a caller names, for one who may read it; a partition of a log is refused.
pub fn open_log(relid: Option<pg_sys::Oid>, functions: &Functions) -> Result<Rel, Error> {
    let relid = relid.ok_or_else(|| Error::BadArgument {
        message: "log must not be NULL".into(),
        detail: "It is the log.".into(),
        hint: "SELECT * FROM notary.logs shows every log.".into(),
    })?;
    let rel = Rel::try_open(relid, pg_sys::AccessShareLock).ok_or_else(|| no_relation(relid))?;
    may_select(&rel)?;
    is_root_of_log(&rel, functions)?;
    Ok(rel)
}

fn no_relation(relid: pg_sys::Oid) -> Error {
    Error::BadArgument {
        message: format!("relation with OID {} does not exist", relid.to_u32()),
        detail: String::new(),
        hint: "Name a table.".into(),
    }
}

/// Opens a table that a caller names.
pub fn open_table(relid: pg_sys::Oid, lock: u32) -> Result<Rel, Error> {
    Rel::try_open(relid, lock).ok_or_else(|| no_relation(relid))
}

/// Refuses all but the table's owner and superusers.
pub fn ownership(relid: pg_sys::Oid, what: &'static str) -> Result<(), Error> {
    let rel = Rel::try_open(relid, pg_sys::AccessShareLock).ok_or_else(|| no_relation(relid))?;
    if compat::owns_relation(relid) { Ok(()) } else { Err(Error::NotOwner { table: rel.qualified(), what }) }
}

/// Refuses those who may not read the table.
pub fn may_select(rel: &Rel) -> Result<(), Error> {
    if context::may_select(rel.oid()) { Ok(()) } else { Err(Error::NoSelect { table: rel.qualified() }) }
}

/// Is it a table that has entries itself?
pub fn has_rows(rel: &Rel) -> Result<(), Error> {
    if rel.is_partitioned() { Err(Error::HasPartitions { table: rel.qualified() }) } else { Ok(()) }
}

/// Is this the relation that was protected: not a partition of it, and a log at all?
pub fn is_root_of_log(rel: &Rel, functions: &Functions) -> Result<(), Error> {
    not_a_partition_of_a_log(rel, functions)?;
    if log::is_log(rel, functions) { Ok(()) } else { Err(Error::NotALog { table: rel.qualified() }) }
}

fn not_a_partition_of_a_log(rel: &Rel, functions: &Functions) -> Result<(), Error> {
    let root = Rel::open(log::root(rel), pg_sys::AccessShareLock);
    if root.oid() != rel.oid() && log::is_log(&root, functions) {
        return Err(Error::IsPartition { table: rel.qualified(), root: root.qualified() });
    }
    Ok(())
}

/// Where the entry is, if the caller may see all of the row.
pub fn visible_to_caller(rel: &Rel, chain: i32, seq: i64) -> Result<Option<Tid>, Error> {
    if !context::may_select_every_column(rel.oid()) {
        return Err(Error::NoSelect { table: rel.qualified() });
    }
    // The whole-row test asks for SELECT on every column.
    let sql = format!(
        "SELECT e.ctid, (e.*) IS NULL FROM ONLY {} AS e WHERE e.notary_chain = $1 AND e.notary_seq = $2",
        rel.qualified()
    );
    let tids = spi::rows(&sql, &[chain.into(), seq.into()], |row| spi::get::<pg_sys::ItemPointerData>(row, 1))?;
    Ok(tids.into_iter().flatten().next().map(|tid| {
        let (block, offset) = pgrx::itemptr::item_pointer_get_both(tid);
        Tid { block, offset }
    }))
}
