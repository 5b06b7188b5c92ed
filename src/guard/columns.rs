//! A log's columns: what old lines say of them stays true.
//!
//! Refused is what changes how stored rows read: another type or name, a column gone, a rewrite that computes values,
//! and ADD COLUMN with a default, which makes old rows read a value that no line holds, even where the default is taken
//! back in the same command.

use super::{facts, relations};
use crate::error::Error;
use crate::log::Functions;
use crate::pg::catalog_scan::{self, Key, View};
use crate::pg::event_trigger::{self, Call};
use crate::pg::row::{NOTARY_COLUMNS, is_notary_column};
use crate::pg::spi::quote_ident;
use crate::pg::{context, relation, types};
use crate::tracked;
use pgrx::pg_sys;
use std::cell::RefCell;

const ADD_HINT: &str = "Add the column nullable and without a default first, then run ALTER COLUMN … SET DEFAULT for \
                        the rows to come.";

const FILLED_IN: &str = "The notary_* columns are filled in by the append trigger.";

/// A column that the transaction under way added to a log.
struct Added {
    table: pg_sys::Oid,
    number: i16,
    has_default: bool,
}

thread_local! {
    /// The transaction, and what it added. Kept for all of it, not for one command: a default may call a function that
    /// runs commands of its own.
    static ADDED: RefCell<(u32, Vec<Added>)> = const { RefCell::new((0, Vec::new())) };
}

fn with_added<T>(work: impl FnOnce(&mut Vec<Added>) -> T) -> T {
    let current = context::transaction();
    ADDED.with_borrow_mut(|(transaction, all)| {
        if std::mem::replace(transaction, current) != current {
            all.clear();
        }
        work(all)
    })
}

struct Column {
    name: String,
    type_oid: pg_sys::Oid,
    typmod: i32,
    collation: pg_sys::Oid,
    generated: u8,
    identity: u8,
    not_null: bool,
    missing_value: bool,
}

fn column(table: pg_sys::Oid, number: i16, view: View) -> Option<Column> {
    catalog_scan::rows(&catalog_scan::COLUMN, &[Key::Oid(table), Key::Number(number)], view, |row| Column {
        name: row.name("attname"),
        type_oid: row.oid("atttypid"),
        typmod: row.number("atttypmod"),
        collation: row.oid("attcollation"),
        generated: row.letter("attgenerated"),
        identity: row.letter("attidentity"),
        not_null: row.is("attnotnull"),
        missing_value: row.is("atthasmissing"),
    })
    .pop()
}

/// ADD COLUMN, before its default is stored.
pub fn added(table: pg_sys::Oid, number: i16, functions: &Functions) -> Result<(), Error> {
    let is_log = facts::is_log(table, functions);
    if !is_log && !facts::is_tracked(table, functions) {
        return Ok(());
    }
    let Some(new) = column(table, number, View::After) else {
        return Ok(());
    };
    if !is_log {
        return not_temporary(table, &new, "ADD COLUMN");
    }
    let no = |why: &str, hint: &str| {
        let attempt = format!("ADD COLUMN {}", quote_ident(&new.name));
        Err(facts::refusal(table, attempt, why, hint))
    };
    if new.generated != 0 {
        return no("Old entries would read values that no line holds.", "Use a view.");
    }
    if new.identity != 0 || new.not_null {
        return no("Old entries have no value for it.", ADD_HINT);
    }
    if is_notary_column(&new.name) {
        let type_name = relation::type_name(new.type_oid, new.typmod);
        return if NOTARY_COLUMNS.contains(&(new.name.as_str(), type_name.as_str())) {
            Ok(())
        } else {
            no("Names that begin with notary_ are pg_notary's.", "Use another name.")
        };
    }
    if types::writer(new.type_oid).is_none() {
        return no(
            &format!(
                "Type {} is not in pg_notary's format, so the entries could not be hashed.",
                relation::type_name(new.type_oid, new.typmod)
            ),
            "Use a listed type, for example text; the README's page \"Types\" has the list.",
        );
    }
    if types::is_temporary(new.type_oid, new.collation) {
        return no(
            "Its type or its collation is temporary: the column would have to go when the session ends.",
            "Use a permanent type and collation.",
        );
    }
    if domain_fills_in(new.type_oid) {
        return no(
            "Its domain has a default or is NOT NULL: old entries would read a value that no line holds.",
            "Use the domain's base type.",
        );
    }
    with_added(|all| {
        all.push(Added { table, number, has_default: false });
    });
    Ok(())
}

/// A tracked table's column stays when a session ends.
fn not_temporary(table: pg_sys::Oid, new: &Column, attempt: &str) -> Result<(), Error> {
    if types::is_temporary(new.type_oid, new.collation) {
        let attempt = format!("{attempt} {}", quote_ident(&new.name));
        return Err(relations::tracked_relation(table, &attempt, tracked::NEEDS_TEMPORARY));
    }
    Ok(())
}

/// Does the type, or a domain under it, bring a default or NOT NULL along?
fn domain_fills_in(type_oid: pg_sys::Oid) -> bool {
    let mut current = type_oid;
    while let Some((fills_in, base)) = catalog_scan::row(&catalog_scan::TYPE, current, View::After, |row| {
        let fills_in = row.is("typnotnull") || !row.is_null("typdefaultbin") || !row.is_null("typdefault");
        (fills_in && row.letter("typtype") == pg_sys::TYPTYPE_DOMAIN, row.oid("typbasetype"))
    }) {
        if fills_in {
            return true;
        }
        current = base;
    }
    false
}

/// A default or generation expression was stored, by SET DEFAULT or as part of ADD COLUMN.
pub fn default_made(table: pg_sys::Oid, number: i16, functions: &Functions) -> Result<(), Error> {
    if !facts::is_log(table, functions) {
        return Ok(());
    }
    let Some(new) = column(table, number, View::After) else {
        return Ok(());
    };
    let no = |attempt: &str, why: &str, hint: &str| {
        let attempt = format!("{attempt} {}", quote_ident(&new.name));
        Err(facts::refusal(table, attempt, why, hint))
    };
    if is_notary_column(&new.name) {
        return no("SET DEFAULT for column", FILLED_IN, "");
    }
    if new.generated != 0 {
        return no("SET EXPRESSION for column", "Old entries would read other values.", "");
    }
    with_added(|all| {
        for added in all.iter_mut().filter(|a| a.table == table && a.number == number) {
            added.has_default = true;
        }
    });
    Ok(())
}

/// ddl_command_end: a constant default of ADD COLUMN is stored last of all, beside the column, and stays
/// there when the default is dropped.
pub fn command_ends() -> Result<(), Error> {
    if let Some(functions) = Functions::find() {
        tracked::command_ends(&functions)?;
    }
    let added: Vec<_> = with_added(|all| all.iter().map(|a| (a.table, a.number)).collect());
    if added.is_empty() {
        return Ok(());
    }
    let Some(functions) = Functions::find() else {
        return Ok(());
    };
    for (table, number) in added {
        if let Some(new) = column(table, number, View::After)
            && new.missing_value
            && facts::is_log(table, &functions)
        {
            return Err(with_default(table, &new.name));
        }
    }
    Ok(())
}

fn with_default(table: pg_sys::Oid, name: &str) -> Error {
    facts::refusal(
        table,
        format!("ADD COLUMN {} with a default", quote_ident(name)),
        "Old entries would read a value that no line holds.",
        ADD_HINT,
    )
}

/// RENAME COLUMN, ALTER COLUMN … .
pub fn altered(table: pg_sys::Oid, number: i16, functions: &Functions) -> Result<(), Error> {
    let (is_log, is_tracked) = (facts::is_log(table, functions), facts::is_tracked(table, functions));
    if !is_log && !is_tracked {
        return Ok(());
    }
    let (Some(old), Some(new)) = (column(table, number, View::Before), column(table, number, View::After)) else {
        return Ok(());
    };
    if !is_log {
        if old.name != new.name {
            tracked::renamed(table, &old.name, &new.name, functions);
        }
        if (old.type_oid, old.collation) != (new.type_oid, new.collation) {
            return not_temporary(table, &new, "ALTER COLUMN TYPE");
        }
        return Ok(());
    }
    let no = |attempt: &str, why: &str| {
        let attempt = format!("{attempt} {}", quote_ident(&old.name));
        Err(facts::refusal(table, attempt, why, ""))
    };
    if old.name != new.name {
        return no("RENAME COLUMN", "Lines name their columns.");
    }
    if (old.type_oid, old.typmod, old.collation) != (new.type_oid, new.typmod, new.collation) {
        return Err(retyping(table, &old.name));
    }
    if old.generated != new.generated {
        return no("DROP EXPRESSION for column", "Which columns lines hold would change.");
    }
    // Not compared with what was: protect never makes them so.
    if is_notary_column(&old.name) && (new.identity != 0 || new.not_null) {
        return no("ALTER COLUMN", FILLED_IN);
    }
    Ok(())
}

/// A log's column got a NOT NULL constraint.
pub fn not_null_made(table: pg_sys::Oid, number: i16) -> Result<(), Error> {
    match column(table, number, View::After) {
        Some(new) if is_notary_column(&new.name) => {
            Err(facts::refusal(table, format!("ALTER COLUMN {}", quote_ident(&new.name)), FILLED_IN, ""))
        }
        _ => Ok(()),
    }
}

/// The refusal of ALTER COLUMN … TYPE.
pub fn retyping(table: pg_sys::Oid, name: &str) -> Error {
    facts::refusal(
        table,
        format!("ALTER COLUMN {} TYPE", quote_ident(name)),
        "Old entries would read other values than their lines hold.",
        "A new column can hold what comes from now on.",
    )
}

/// DROP COLUMN, directly or with its type.
pub fn dropped(table: pg_sys::Oid, number: i16, functions: &Functions) -> Result<(), Error> {
    let (is_log, is_tracked) = (facts::is_log(table, functions), facts::is_tracked(table, functions));
    if !is_log && !is_tracked {
        return Ok(());
    }
    let name = column(table, number, View::Before).map_or_else(String::new, |c| c.name);
    if !is_log {
        tracked::column_dropped(table, &name, functions);
        return Ok(());
    }
    Err(facts::refusal(
        table,
        super::start::drop_command("DROP COLUMN"),
        &format!("It would drop the column {}, whose values lines hold.", quote_ident(&name)),
        "",
    ))
}

/// table_rewrite: ALTER TABLE is about to compute every row anew.
pub fn rewrite(call: &Call) -> Result<(), Error> {
    let Some(functions) = Functions::find() else {
        return Ok(());
    };
    let (table, reason) = event_trigger::rewritten();
    if reason & pg_sys::AT_REWRITE_ALTER_PERSISTENCE != 0 && facts::is_tracked(table, &functions) {
        // SET LOGGED puts right what was done round the guard.
        let is = catalog_scan::row(&catalog_scan::CLASS, table, View::Before, |row| row.letter("relpersistence"));
        if is == Some(pg_sys::RELPERSISTENCE_PERMANENT) {
            let why = "A crash would empty the table, and no event would say so.";
            return Err(relations::tracked_relation(table, "SET UNLOGGED", why));
        }
    }
    if !facts::is_log(table, &functions) {
        return Ok(());
    }
    if reason & pg_sys::AT_REWRITE_ALTER_PERSISTENCE != 0 {
        return Err(facts::refusal(table, "SET UNLOGGED", "A crash would empty the log.", ""));
    }
    if reason & pg_sys::AT_REWRITE_COLUMN_REWRITE != 0 {
        return Err(facts::refusal(
            table,
            "ALTER COLUMN TYPE",
            "Old entries would read other values than their lines hold.",
            "A new column can hold what comes from now on.",
        ));
    }
    if reason & pg_sys::AT_REWRITE_DEFAULT_VAL != 0 {
        return default_rewrite(table, &call.added_columns().unwrap_or_default());
    }
    Err(facts::refusal(table, "SET ACCESS METHOD", "Logs are kept in heap tables.", ""))
}

/// `adds`: what the command adds, and whether each column was written with a default. New columns without one need a
/// rewrite only where a domain's constraint is to be checked: every row gets NULL. A default that an earlier command of
/// the transaction gave to a column fills nothing in; one written as DEFAULT NULL is none (see `default_made`).
fn default_rewrite(table: pg_sys::Oid, adds: &[(String, bool)]) -> Result<(), Error> {
    let given: Vec<_> =
        with_added(|all| all.iter().filter(|a| a.table == table && a.has_default).map(|a| a.number).collect());
    let given = given.into_iter().filter_map(|number| column(table, number, View::After));
    for new in given {
        if adds.iter().any(|(name, with_default)| *with_default && *name == new.name) {
            return Err(with_default(table, &new.name));
        }
    }
    if !adds.is_empty() {
        return Ok(());
    }
    Err(facts::refusal(
        table,
        "a rewrite that computes values",
        "Old entries would read other values than their lines hold.",
        ADD_HINT,
    ))
}

/// ALTER TYPE and ALTER DOMAIN: a label renamed reads differently in old rows, a type renamed no longer is the one that
/// headers name.
pub fn type_altered(type_oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let name = |view| {
        catalog_scan::row(&catalog_scan::TYPE, type_oid, view, |row| (row.name("typname"), row.oid("typnamespace")))
    };
    let labels = |view| {
        catalog_scan::rows(&catalog_scan::LABELS, &[type_oid.into()], view, |row| {
            (row.oid("oid"), row.name("enumlabel"))
        })
    };
    let attempt = if name(View::Before) != name(View::After) {
        "renaming the type"
    } else {
        let (old, new) = (labels(View::Before), labels(View::After));
        if old.iter().all(|label| new.contains(label)) {
            return Ok(());
        }
        "ALTER TYPE RENAME VALUE of"
    };
    let Some(log) = facts::log_using(type_oid, functions) else {
        return Ok(());
    };
    Err(facts::refusal(
        log,
        format!("{attempt} {}", relation::type_name(type_oid, -1)),
        "Columns of the log have this type: lines hold its labels, headers its name.",
        "",
    ))
}
