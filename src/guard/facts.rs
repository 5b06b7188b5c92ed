//! What the catalogs say of logs, and how a refusal names them.

use crate::error::Error;
use crate::journal;
use crate::log::{self, Functions};
use crate::pg::catalog_scan::{self, Key, Row, View};
use crate::pg::{compat, relation};
use pgrx::pg_sys;

/// A row of pg_trigger.
#[derive(Clone, Debug)]
pub struct Trigger {
    pub oid: pg_sys::Oid,
    pub table: pg_sys::Oid,
    pub name: String,
    pub function: pg_sys::Oid,
    pub enabled: u8,
    pub kind: u32,
    /// PostgreSQL made it itself, for a constraint.
    pub internal: bool,
    version: u64,
}

impl Trigger {
    fn of(row: &Row) -> Self {
        Self {
            oid: row.oid("oid"),
            table: row.oid("tgrelid"),
            name: row.name("tgname"),
            function: row.oid("tgfoid"),
            enabled: row.letter("tgenabled"),
            kind: u32::try_from(row.number("tgtype")).unwrap_or(0),
            internal: row.is("tgisinternal"),
            version: row.version(),
        }
    }

    /// Are these one trigger before and after a change, as opposed to the same row read twice?
    pub fn replaces(&self, old: &Self) -> bool {
        self.version != old.version
    }

    /// Is it one that nobody takes away or weakens: of a log, of an event log that is protected, of a tracked table?
    pub fn is_guarded(&self, functions: &Functions) -> bool {
        self.is_ours(functions)
            || self.function == functions.capture
            || (self.function == functions.about && is_log(self.table, functions))
    }

    /// Does it call a function of ours?
    pub fn is_ours(&self, functions: &Functions) -> bool {
        functions.has(self.function)
    }

    /// Would it run after the append trigger, where it could change a row that is hashed already?
    pub fn comes_too_late(&self, functions: &Functions) -> bool {
        const BEFORE_ROW_INSERT: u32 =
            pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_INSERT;
        !self.is_ours(functions)
            && self.function != functions.about
            && self.kind & BEFORE_ROW_INSERT == BEFORE_ROW_INSERT
            && self.name.as_bytes() > last(self.table, functions).as_bytes()
    }
}

/// The trigger that no BEFORE INSERT trigger of anybody's may come after.
fn last(table: pg_sys::Oid, functions: &Functions) -> &'static str {
    let is_event_log = triggers(table, View::Before).iter().any(|t| t.function == functions.about);
    if is_event_log { log::ABOUT_TRIGGER } else { log::APPEND_TRIGGER }
}

/// A trigger by its OID.
pub fn trigger(oid: pg_sys::Oid, view: View) -> Option<Trigger> {
    catalog_scan::row(&catalog_scan::TRIGGER, oid, view, Trigger::of)
}

/// A relation's triggers.
pub fn triggers(relid: pg_sys::Oid, view: View) -> Vec<Trigger> {
    catalog_scan::rows(&catalog_scan::TRIGGERS, &[relid.into()], view, Trigger::of)
}

/// Was the relation part of a log before the command under way?
pub fn is_log(relid: pg_sys::Oid, functions: &Functions) -> bool {
    catalog_scan::has_triggers(relid) && triggers(relid, View::Before).iter().any(|t| t.is_ours(functions))
}

/// Were changes of the table tracked before the command under way?
pub fn is_tracked(relid: pg_sys::Oid, functions: &Functions) -> bool {
    catalog_scan::has_triggers(relid)
        && triggers(relid, View::Before).iter().any(|trigger| trigger.function == functions.capture)
}

/// Any log of this database, `notary.journal` only if there is no other. By pg_trigger itself, all of which is read:
/// what pg_depend says of triggers can be gone. Asked only for the few commands that touch pg_notary's own objects.
pub fn any_log(functions: &Functions) -> Option<pg_sys::Oid> {
    let mut found = None;
    for function in [functions.append, functions.refuse] {
        for table in catalog_scan::rows(&catalog_scan::TRIGGERS_CALLING, &[function.into()], View::Before, |row| {
            row.oid("tgrelid")
        }) {
            found = Some(table);
            if !journal::is_table(table) {
                return found;
            }
        }
    }
    found
}

/// Any table of this database whose changes are tracked.
pub fn any_tracked(functions: &Functions) -> Option<pg_sys::Oid> {
    let tables =
        catalog_scan::rows(&catalog_scan::TRIGGERS_CALLING, &[functions.capture.into()], View::Before, |row| {
            row.oid("tgrelid")
        });
    tables.first().map(|table| root(*table))
}

/// What depends on something.
#[derive(Clone, Copy, Debug)]
pub struct Dependent {
    pub class: pg_sys::Oid,
    pub object: pg_sys::Oid,
    pub column: i32,
    pub kind: u8,
}

/// Everything that depends on an object directly.
pub fn needed_by(class: pg_sys::Oid, object: pg_sys::Oid, view: View) -> Vec<Dependent> {
    catalog_scan::rows(&catalog_scan::NEEDED_BY, &[Key::Oid(class), Key::Oid(object)], view, |row| Dependent {
        class: row.oid("classid"),
        object: row.oid("objid"),
        column: row.number("objsubid"),
        kind: row.letter("deptype"),
    })
}

/// A log that has a column of the type: directly, in an array or a range, or through a domain.
pub fn log_using(type_oid: pg_sys::Oid, functions: &Functions) -> Option<pg_sys::Oid> {
    let (mut types, mut next) = (vec![type_oid], 0);
    while let Some(current) = types.get(next).copied() {
        next += 1;
        for user in needed_by(pg_sys::TypeRelationId, current, View::Before) {
            if user.class == pg_sys::TypeRelationId && !types.contains(&user.object) {
                types.push(user.object);
            } else if user.class == pg_sys::RelationRelationId && user.column > 0 && is_log(user.object, functions) {
                return Some(user.object);
            }
        }
    }
    None
}

/// pg_notary's own extension, if the object belongs to it.
pub fn is_our_member(class: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    our_extension().is_some_and(|extension| catalog_scan::is_member(class, object, extension))
}

/// The extension's OID.
pub fn our_extension() -> Option<pg_sys::Oid> {
    catalog_scan::extension(c"pg_notary")
}

/// Does the extension's own script run?
pub fn in_our_script() -> bool {
    catalog_scan::extension_being_made().is_some_and(|extension| Some(extension) == our_extension())
}

/// The schema's OID.
pub fn our_schema() -> Option<pg_sys::Oid> {
    relation::schema_oid(c"notary")
}

/// The log that a relation is part of: itself, or the partitioned table at the top.
pub fn root(relid: pg_sys::Oid) -> pg_sys::Oid {
    if !catalog_scan::is_partition(relid) {
        return relid;
    }
    compat::partition_ancestors(relid).last().copied().unwrap_or(relid)
}

/// The refusal of `attempt` on a relation of a log. `why` is a sentence; `hint`, a sentence or empty, says what to do
/// instead of unprotecting.
pub fn refusal(relid: pg_sys::Oid, attempt: impl Into<String>, why: &str, hint: &str) -> Error {
    let root = root(relid);
    let log = catalog_scan::qualified(root);
    let detail = if root == relid {
        why.to_owned()
    } else {
        format!("{} is a partition of {log}. {why}", catalog_scan::qualified(relid))
    };
    Error::Refused { attempt: attempt.into(), log, detail, hint: hint.into() }
}
