//! pg_notary's own objects. They are guarded as long as any log exists, the journal included.

use super::{facts, start};
use crate::error::Error;
use crate::log::Functions;
use crate::pg::catalog_scan::{self, View};
use crate::pg::relation;
use pgrx::pg_sys;

const WHY: &str = "What guards the logs would be weakened.";

/// The refusal to touch pg_notary itself, if there is a log to guard.
pub fn refuse_while_logs_exist(attempt: &str, functions: &Functions) -> Result<(), Error> {
    match facts::any_log(functions) {
        None => Ok(()),
        Some(log) => {
            Err(facts::refusal(log, attempt, WHY, "Every log must be unprotected first, notary.journal last."))
        }
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
    if owner(View::Before) != owner(View::After) {
        return Ok(()); // OWNER TO changes nothing else
    }
    refuse_while_logs_exist("changing a function of pg_notary", functions)
}

/// DROP FUNCTION of a trigger's function.
pub fn function_dropped(function: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if function == functions.append || function == functions.refuse {
        return refuse_while_logs_exist(&start::drop_command("DROP FUNCTION"), functions);
    }
    Ok(())
}

/// RENAME and SET SCHEMA of the extension's table and view, which are found by their names.
pub fn relation_changed(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let class = |view| {
        catalog_scan::row(&catalog_scan::CLASS, relid, view, |row| (row.name("relname"), row.oid("relnamespace")))
    };
    let (Some(before), Some(after)) = (class(View::Before), class(View::After)) else {
        return Ok(());
    };
    if before == after || Some(before.1) != facts::our_schema() {
        return Ok(());
    }
    if facts::is_our_member(pg_sys::RelationRelationId, relid) {
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
