//! What can be a log, and who may make it one.

use crate::error::Error;
use crate::log::{self, Functions};
use crate::pg::relation::Rel;
use crate::pg::row::{NOTARY_COLUMNS, NotaryColumns, RowWriter, is_notary_column};
use crate::pg::{context, spi, types};
use pgrx::pg_sys;

/// The most columns a table can have in PostgreSQL, dropped ones included.
const MAX_COLUMNS: usize = 1600;

/// Checks a relation that somebody wants to be a log.
pub fn log_root(rel: &Rel, functions: &Functions) -> Result<(), Error> {
    if !context::database_is_utf8() {
        return Err(Error::NotUtf8Database);
    }
    kind(rel)?;
    if log::is_log(rel, functions) {
        return Err(already(rel));
    }
    if rel.is_partition() {
        let root = Rel::open(log::root(rel), pg_sys::AccessShareLock);
        return Err(Error::IsPartition { table: rel.qualified(), root: root.qualified() });
    }
    if rel.is_partitioned() { partitioned(rel) } else { table(rel) }
}

/// Refuses a journal with triggers of others, which could change or swallow what is written to it.
pub fn journal(rel: &Rel, functions: &Functions) -> Result<(), Error> {
    match rel.triggers().into_iter().find(|t| !t.internal && !functions.has(t.function)) {
        None => Ok(()),
        Some(trigger) => Err(cannot(
            rel,
            format!("Its trigger \"{}\" could change or swallow what is written to it.", trigger.name),
            format!("Drop it: DROP TRIGGER {} ON {}.", spi::quote_ident(&trigger.name), rel.qualified()),
        )),
    }
}

/// The refusal to protect what is a log, or a part of one.
pub fn already(rel: &Rel) -> Error {
    let part_of = rel.is_partition().then(|| Rel::open(log::root(rel), pg_sys::AccessShareLock).qualified());
    Error::AlreadyProtected { table: rel.qualified(), part_of }
}

fn cannot(rel: &Rel, why: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::CannotProtect { table: rel.qualified(), why: why.into(), hint: hint.into() }
}

/// Refuses relations that are no ordinary or partitioned table of a user's.
fn kind(rel: &Rel) -> Result<(), Error> {
    let ordinary = "Protect an ordinary or a partitioned table.";
    match rel.kind() {
        pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE => {}
        pg_sys::RELKIND_VIEW => {
            return Err(cannot(rel, "It is a view.", "Protect the table under it."));
        }
        pg_sys::RELKIND_MATVIEW => return Err(cannot(rel, "It is a materialized view.", ordinary)),
        pg_sys::RELKIND_FOREIGN_TABLE => {
            return Err(cannot(rel, "It is a foreign table: its rows are on another server.", "Protect it there."));
        }
        pg_sys::RELKIND_TOASTVALUE => return Err(cannot(rel, "It is a TOAST table.", ordinary)),
        _ => return Err(cannot(rel, "It is not a table.", ordinary)),
    }
    let schema = rel.schema();
    if rel.oid().to_u32() < pg_sys::FirstNormalObjectId || schema == "pg_catalog" || schema == "information_schema" {
        return Err(cannot(rel, "It is a system catalog.", ordinary));
    }
    if is_extension_member(rel)? {
        return Err(cannot(
            rel,
            "It belongs to an extension, so pg_dump would restore its rows with triggers active.",
            "Copy it into a table of your own, or run ALTER EXTENSION … DROP TABLE first.",
        ));
    }
    Ok(())
}

fn is_extension_member(rel: &Rel) -> Result<bool, Error> {
    exists(
        "SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = $1 AND deptype = 'e'",
        rel,
    )
}

fn exists(sql: &str, rel: &Rel) -> Result<bool, Error> {
    Ok(!spi::rows(sql, &[rel.oid().into()], |_| Ok(()))?.is_empty())
}

/// A partitioned table, not yet its partitions.
fn partitioned(rel: &Rel) -> Result<(), Error> {
    common(rel)?;
    if exists("SELECT FROM pg_catalog.pg_partitioned_table WHERE partrelid = $1 AND partstrat = 'h'", rel)? {
        return Err(cannot(
            rel,
            "It is partitioned by HASH: a restore may put rows into other partitions.",
            "Partition it by RANGE or LIST.",
        ));
    }
    Ok(())
}

/// A partitioned table within a log's tree.
pub fn inner_table(rel: &Rel) -> Result<(), Error> {
    kind(rel)?;
    partitioned(rel)
}

/// A partition that is to be a segment.
pub fn leaf(rel: &Rel) -> Result<(), Error> {
    kind(rel)?;
    table(rel)?;
    generated_as_above(rel)
}

/// What is inserted through the log into a column that a partition generates would be stored otherwise, and not hashed.
fn generated_as_above(rel: &Rel) -> Result<(), Error> {
    if !rel.is_partition() {
        return Ok(());
    }
    let root = Rel::open(log::root(rel), pg_sys::AccessShareLock);
    let ordinary = |name: &str| root.columns().iter().any(|c| c.name == name && !c.generated);
    match rel.columns().into_iter().find(|c| c.generated && ordinary(&c.name)) {
        None => Ok(()),
        Some(column) => Err(cannot(
            rel,
            format!("Its column \"{}\" is generated, and that of {} is not.", column.name, root.qualified()),
            "Give the partition the same columns, for example by CREATE TABLE … (LIKE …).",
        )),
    }
}

/// A table with rows.
fn table(rel: &Rel) -> Result<(), Error> {
    if rel.access_method() != pg_sys::HEAP_TABLE_AM_OID {
        return Err(cannot(
            rel,
            "Its access method is not heap.",
            "Run ALTER TABLE … SET ACCESS METHOD heap, or copy it.",
        ));
    }
    common(rel)?;
    let missing = NOTARY_COLUMNS.iter().filter(|(name, _)| rel.columns().iter().all(|c| c.name != *name)).count();
    if rel.attribute_count() + missing > MAX_COLUMNS {
        return Err(cannot(
            rel,
            format!(
                "It has {} columns, dropped ones included; with {missing} more it would pass PostgreSQL's limit of \
                 {MAX_COLUMNS}.",
                rel.attribute_count()
            ),
            "Copy it into a table with fewer columns.",
        ));
    }
    Ok(())
}

/// What holds for partitioned and plain tables alike.
fn common(rel: &Rel) -> Result<(), Error> {
    match rel.persistence() {
        pg_sys::RELPERSISTENCE_TEMP => {
            return Err(cannot(rel, "It is temporary: it ends with the session.", "Protect a permanent table."));
        }
        pg_sys::RELPERSISTENCE_UNLOGGED => {
            return Err(cannot(
                rel,
                "It is unlogged: a crash empties it.",
                format!("Run ALTER TABLE {} SET LOGGED first.", rel.qualified()),
            ));
        }
        _ => {}
    }
    if rel.of_type() != pg_sys::InvalidOid {
        return Err(cannot(
            rel,
            "It is a typed table (CREATE TABLE … OF): it cannot get columns of its own.",
            format!("Run ALTER TABLE {} NOT OF first.", rel.qualified()),
        ));
    }
    if exists("SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = $1", rel)? {
        return Err(cannot(
            rel,
            "It has rules, which can swallow or redirect rows.",
            "Drop the rules, or use triggers.",
        ));
    }
    if !rel.is_partition() && exists("SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = $1", rel)? {
        return Err(cannot(
            rel,
            "It inherits from another table.",
            format!("Run ALTER TABLE {} NO INHERIT … first.", rel.qualified()),
        ));
    }
    if !rel.is_partitioned() && exists("SELECT FROM pg_catalog.pg_inherits WHERE inhparent = $1", rel)? {
        return Err(cannot(
            rel,
            "Other tables inherit from it: their rows would appear as its own.",
            "Use declarative partitioning, or end the inheritance.",
        ));
    }
    if let Some(key) = changing_foreign_key(rel)? {
        return Err(cannot(
            rel,
            format!(
                "Its foreign key \"{key}\" has an action CASCADE, SET NULL or SET DEFAULT, which would change or delete entries."
            ),
            "Make the key's actions NO ACTION or RESTRICT.",
        ));
    }
    if let Some(check) = log::foreign_check(rel)? {
        return Err(cannot(
            rel,
            format!(
                "Its {check} calls a function that is not PostgreSQL's own: which partitions a query looks at \
                 would depend on what that function says then."
            ),
            "For a constraint use a BEFORE INSERT trigger, or a domain with it; for a key a column, or PostgreSQL's own functions.",
        ));
    }
    columns(rel)?;
    if let Some(trigger) = later_trigger(rel) {
        return Err(cannot(
            rel,
            format!("Its BEFORE INSERT trigger \"{trigger}\" would run after pg_notary's and could change the row."),
            format!(
                "Rename it so that its name sorts before \"{}\": ALTER TRIGGER … RENAME TO ….",
                log::APPEND_TRIGGER
            ),
        ));
    }
    Ok(())
}

fn changing_foreign_key(rel: &Rel) -> Result<Option<String>, Error> {
    let sql = "SELECT conname::text FROM pg_catalog.pg_constraint WHERE conrelid = $1 AND contype = 'f'
               AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))";
    Ok(spi::rows(sql, &[rel.oid().into()], |row| spi::get::<String>(row, 1))?.into_iter().flatten().next())
}

fn columns(rel: &Rel) -> Result<(), Error> {
    // Finds a type outside the format.
    RowWriter::of(rel)?;
    if let Some(column) = rel.columns().into_iter().find(|c| types::is_temporary(c.type_oid, c.collation)) {
        return Err(cannot(
            rel,
            format!(
                "The type or the collation of its column \"{}\" is temporary: it ends with a session.",
                column.name
            ),
            "Give the column a permanent type and collation first.",
        ));
    }
    let ours: Vec<_> = rel.columns().into_iter().filter(|c| is_notary_column(&c.name)).collect();
    for column in &ours {
        if !NOTARY_COLUMNS.iter().any(|(name, _)| *name == column.name) {
            return Err(cannot(
                rel,
                format!("It has a column \"{}\"; names that begin with notary_ are pg_notary's.", column.name),
                format!(
                    "Rename it: ALTER TABLE {} RENAME COLUMN {} TO ….",
                    rel.qualified(),
                    spi::quote_ident(&column.name)
                ),
            ));
        }
        if column.generated || column.identity || column.has_default || column.not_null {
            return Err(cannot(
                rel,
                format!("Its column \"{}\" is generated, has a default or is NOT NULL.", column.name),
                "pg_notary fills it in itself: drop the expression, default or constraint.",
            ));
        }
    }
    let all_there = ours.len() == NOTARY_COLUMNS.len();
    if !ours.is_empty() && all_there && NotaryColumns::of(rel).is_none() {
        return Err(cannot(
            rel,
            "Its notary_* columns have other types than pg_notary's.",
            "They are integer, bigint, timestamp with time zone, bytea and bytea; drop or rename yours.",
        ));
    }
    Ok(())
}

fn later_trigger(rel: &Rel) -> Option<String> {
    rel.triggers()
        .into_iter()
        .find(|t| t.before_row() && t.on_insert() && t.name.as_bytes() > log::APPEND_TRIGGER.as_bytes())
        .map(|t| t.name)
}
