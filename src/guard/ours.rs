//! pg_notary's own objects. They are guarded as long as any log exists, the journal included, or any tracked table.

use super::{facts, start};
use crate::error::Error;
use crate::journal;
use crate::log::Functions;
use crate::pg::catalog_scan::{self, View};
use crate::pg::{context, relation};
use pgrx::pg_sys;

/// The refusal to touch pg_notary itself, if there is a log to guard, or a tracked table.
pub fn refuse_while_logs_exist(attempt: &str, functions: &Functions) -> Result<(), Error> {
    let tracked = facts::any_tracked(functions).map(catalog_scan::qualified);
    match (facts::any_log(functions), tracked) {
        (None, None) => Ok(()),
        (None, Some(table)) => Err(Error::Tracked {
            attempt: attempt.to_owned(),
            table,
            detail: "What records them would be weakened.".into(),
            hint: String::new(),
        }),
        (Some(log), tracked) => Err(Error::GuardRefused {
            attempt: attempt.to_owned(),
            log: catalog_scan::qualified(facts::root(log)),
            tracked: tracked.is_some(),
        }),
    }
}

/// CREATE OR REPLACE FUNCTION, ALTER FUNCTION.
pub fn function_changed(function: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    // A function that this command makes is not in the syscache yet.
    if Some(catalog_scan::function_schema(function)) != facts::our_schema()
        || !facts::is_our_member(pg_sys::ProcedureRelationId, function)
    {
        return Ok(());
    }
    let owner = |view| catalog_scan::row(&catalog_scan::FUNCTION, function, view, |row| row.oid("proowner"));
    match (owner(View::Before), owner(View::After)) {
        // OWNER TO, also by REASSIGN OWNED, changes nothing else.
        (before, Some(after)) if before != Some(after) => new_owner(after, functions),
        _ => refuse_while_logs_exist("changing a function of pg_notary", functions),
    }
}

/// DROP FUNCTION of a trigger's function.
pub fn function_dropped(function: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let ours = [functions.append, functions.refuse, functions.about, functions.capture];
    if ours.contains(&function) {
        return refuse_while_logs_exist(&start::drop_command("DROP FUNCTION"), functions);
    }
    Ok(())
}

/// What pg_notary owns may go from one superuser to another: an owner can take its own functions' rights away.
fn new_owner(owner: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if context::is_superuser(owner) {
        return Ok(());
    }
    refuse_while_logs_exist("giving an object of pg_notary to a role that is no superuser", functions)
}

/// ADD COLUMN, ALTER COLUMN and DROP COLUMN of the extension's table and view.
pub fn columns_changed(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if is_our_relation(relid) {
        return refuse_while_logs_exist("changing a relation of pg_notary", functions);
    }
    Ok(())
}

/// CREATE TRIGGER on the extension's table: what it remembers must not be changed on its way in.
pub fn trigger_made(trigger: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    match facts::trigger(trigger, View::After) {
        // Its own triggers come back in pg_upgrade.
        Some(made) if facts::is_our_member(pg_sys::ProcedureRelationId, made.function) => Ok(()),
        Some(made) => columns_changed(made.table, functions),
        None => Ok(()),
    }
}

/// Does the relation belong to the extension? The schema is looked at first: it is in a cache.
fn is_our_relation(relid: pg_sys::Oid) -> bool {
    Some(catalog_scan::schema(relid)) == facts::our_schema() && facts::is_our_member(pg_sys::RelationRelationId, relid)
}

/// RENAME and SET SCHEMA of the extension's table and view, which are found by their names, and OWNER TO of these and
/// of the journal.
pub fn relation_changed(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let class = |view| {
        catalog_scan::row(&catalog_scan::CLASS, relid, view, |row| {
            ((row.name("relname"), row.oid("relnamespace")), row.oid("relowner"))
        })
    };
    let (Some((before, old_owner)), Some((after, owner))) = (class(View::Before), class(View::After)) else {
        return Ok(());
    };
    if Some(before.1) != facts::our_schema() {
        return Ok(());
    }
    let is_ours = facts::is_our_member(pg_sys::RelationRelationId, relid);
    if old_owner != owner && (is_ours || journal::is_table(relid)) {
        return new_owner(owner, functions);
    }
    if before != after && is_ours {
        return refuse_while_logs_exist("renaming a relation of pg_notary", functions);
    }
    Ok(())
}

/// CREATE OR REPLACE VIEW.
pub fn view_changed(view: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if facts::is_our_member(pg_sys::RelationRelationId, view) {
        return refuse_while_logs_exist("changing a view of pg_notary", functions);
    }
    Ok(())
}

/// DROP EXTENSION.
pub fn extension_dropped(extension: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if Some(extension) == facts::our_extension() {
        return refuse_while_logs_exist(&start::drop_command("DROP EXTENSION"), functions);
    }
    Ok(())
}

/// ALTER EXTENSION … ADD, of any extension. That nothing is taken from ours is seen to before the command starts, since
/// its name cannot change.
pub fn members_changed(extension: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    for member in facts::needed_by(pg_sys::ExtensionRelationId, extension, View::After) {
        let is_table = member.kind == b'e' && member.class == pg_sys::RelationRelationId;
        if is_table && facts::is_log(member.object, functions) {
            return Err(facts::refusal(
                member.object,
                "ALTER EXTENSION ADD",
                "A table that belongs to an extension is dumped and restored in another way.",
                "",
            ));
        }
    }
    Ok(())
}

/// ALTER SCHEMA … RENAME.
pub fn schema_altered(schema: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let name = |view| catalog_scan::row(&catalog_scan::SCHEMA, schema, view, |row| row.name("nspname"));
    if name(View::Before) == name(View::After) {
        return Ok(());
    }
    if Some(schema) == facts::our_schema() {
        return refuse_while_logs_exist("ALTER SCHEMA notary RENAME", functions);
    }
    for member in facts::needed_by(pg_sys::NamespaceRelationId, schema, View::Before) {
        if member.class != pg_sys::TypeRelationId {
            continue;
        }
        if let Some(log) = facts::log_using(member.object, functions) {
            return Err(facts::refusal(
                log,
                "ALTER SCHEMA RENAME",
                &format!(
                    "The log's header names the type {}, which is in this schema.",
                    relation::type_name(member.object, -1)
                ),
                "",
            ));
        }
    }
    Ok(())
}
