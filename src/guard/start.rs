//! ddl_command_start: what is refused before the command does anything.
//!
//! DETACH PARTITION … CONCURRENTLY commits half-way and must not begin. The rest is refused here for a better answer than
//! PostgreSQL's own (that something depends on something), and to refuse ALTER COLUMN … TYPE alike whether or not it
//! would rewrite the table; where it does harm, the hook sees it too.

use super::{columns, facts, ours, relations, triggers};
use crate::error::Error;
use crate::log::{self, Functions};
use crate::pg::event_trigger::{Call, Tag};
use crate::pg::parse_tree::{Command, Name};
use crate::pg::{catalog_scan, spi};
use pgrx::pg_sys;
use std::cell::Cell;

thread_local! {
    static TAG: Cell<Tag> = const { Cell::new(Tag::NONE) };
}

/// What the refusal of a drop calls the command: its tag when that is a DROP, since the object that the hook sees first
/// may be anything that goes with what was named; else `part`.
pub fn drop_command(part: &str) -> String {
    let tag = TAG.get().name();
    if tag.starts_with("DROP ") { tag } else { part.to_owned() }
}

/// A command is about to start.
pub fn before(call: &Call) -> Result<(), Error> {
    TAG.set(call.tag());
    log::watch_partitions();
    let Some(command) = call.command() else {
        return Ok(());
    };
    let Some(functions) = Functions::find() else {
        return Ok(());
    };
    if facts::in_our_script() {
        return Ok(());
    }
    check(&command, &functions)
}

fn check(command: &Command, functions: &Functions) -> Result<(), Error> {
    let log = |name: &Name| name.find().filter(|relid| facts::is_log(*relid, functions));
    match command {
        Command::AlterTable { table, retyped, detach_concurrently } => {
            // Locked, so that nobody gives the name to a log before the command has it.
            if *detach_concurrently && let Some(relid) = table.find_locked() {
                if facts::is_log(relid, functions) {
                    return Err(relations::detach(relid));
                }
                if facts::is_tracked(relid, functions) {
                    return Err(relations::detach_tracked(relid, None));
                }
            }
            match (log(table), retyped.first()) {
                (Some(relid), Some(name)) => Err(columns::retyping(relid, name)),
                _ => Ok(()),
            }
        }
        Command::DropRelations(names) => names.iter().filter_map(Name::find).try_for_each(|relid| {
            if facts::is_log(relid, functions) {
                return Err(relations::table_drop(relid));
            }
            if catalog_scan::kind(relid) == pg_sys::RELKIND_INDEX {
                return relations::index_dropped(relid, functions);
            }
            Ok(())
        }),
        Command::DropExtensions(names) if names.iter().any(|n| n == "pg_notary") => {
            ours::refuse_while_logs_exist("DROP EXTENSION", functions)
        }
        Command::ShrinkExtension(name) if name == "pg_notary" => {
            ours::refuse_while_logs_exist("ALTER EXTENSION pg_notary DROP", functions)
        }
        Command::DropSchemas(names) if names.iter().any(|n| n == "notary") => {
            ours::refuse_while_logs_exist("DROP SCHEMA", functions)
        }
        Command::DropFunctions(oids) => {
            match oids.iter().find(|oid| facts::is_our_member(pg_sys::ProcedureRelationId, **oid)) {
                Some(_) => ours::refuse_while_logs_exist("DROP FUNCTION", functions),
                None => Ok(()),
            }
        }
        Command::MoveExtension(name) if name == "pg_notary" => {
            ours::refuse_while_logs_exist("ALTER EXTENSION SET SCHEMA", functions)
        }
        Command::TriggerDepends { table, trigger } => {
            let attempt = format!("ALTER TRIGGER {} DEPENDS ON EXTENSION", spi::quote_ident(trigger));
            let Some(relid) = table.find() else { return Ok(()) };
            match facts::triggers(relid, catalog_scan::View::Before).into_iter().find(|t| t.name == *trigger) {
                Some(ours) if ours.function == functions.capture => Err(triggers::end_of_tracking(&ours, attempt)),
                Some(ours) if ours.is_guarded(functions) => {
                    Err(facts::refusal(relid, attempt, "The trigger would go with that extension.", ""))
                }
                _ => Ok(()),
            }
        }
        Command::DropExtensions(_)
        | Command::ShrinkExtension(_)
        | Command::DropSchemas(_)
        | Command::MoveExtension(_) => Ok(()),
    }
}
