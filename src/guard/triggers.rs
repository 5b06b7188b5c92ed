//! The triggers of a log: ours stay as they are, and nothing runs after the one that chains.

use super::facts::{self, Trigger};
use crate::error::{Error, untrack};
use crate::journal;
use crate::log::{self, Functions};
use crate::pg::catalog_scan::{self, View};
use crate::pg::relation::Rel;
use crate::pg::spi::quote_ident;
use crate::tracked::{self, Arguments};
use pgrx::pg_sys;

/// CREATE TRIGGER, and CREATE OR REPLACE over one that was there.
pub fn created(oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let Some(new) = facts::trigger(oid, View::After) else {
        return Ok(());
    };
    // The first trigger of a table is made in two steps, so that the new row may be found in both views.
    let old = facts::trigger(oid, View::Before).filter(|old| new.replaces(old));
    if let Some(old) = &old {
        takes_changes(old, || format!("CREATE OR REPLACE TRIGGER {}", quote_ident(&old.name)), functions)?;
    }
    if let Some(old) = old.filter(|old| old.is_guarded(functions)) {
        let attempt = format!("CREATE OR REPLACE TRIGGER {}", quote_ident(&old.name));
        if old.function == functions.capture {
            return Err(end_of_tracking(&old, attempt));
        }
        return Err(facts::refusal(old.table, attempt, "The trigger is what makes the table a log.", ""));
    }
    if !facts::is_log(new.table, functions) {
        return Ok(());
    }
    let create = || format!("CREATE TRIGGER {}", quote_ident(&new.name));
    if new.is_ours(functions) && !functions.triggers_of(new.function).contains(&new.name.as_str()) {
        let why = "Triggers that call pg_notary's functions say which log a table is; only notary.protect makes them.";
        return Err(facts::refusal(new.table, create(), why, ""));
    }
    if journal::is_table(new.table) && !new.is_ours(functions) && !new.internal {
        let why = "It could change or swallow what is written to the journal of what is done to logs.";
        return Err(facts::refusal(new.table, create(), why, ""));
    }
    let chains_twice = new.function == functions.append
        && facts::triggers(new.table, View::Before).iter().any(|t| t.function == functions.append && t.oid != oid);
    if chains_twice {
        return Err(facts::refusal(
            new.table,
            create(),
            "The log has its append trigger; a second one would refuse every row.",
            "",
        ));
    }
    in_time(&new, "CREATE TRIGGER", functions)
}

/// ENABLE, DISABLE and RENAME.
pub fn altered(oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let (Some(old), Some(new)) = (facts::trigger(oid, View::Before), facts::trigger(oid, View::After)) else {
        return Ok(());
    };
    if old.name != new.name || strength(new.enabled) < strength(old.enabled) {
        takes_changes(&old, || format!("ALTER TRIGGER {}", quote_ident(&old.name)), functions)?;
    }
    if old.is_guarded(functions) {
        let attempt = if old.name != new.name {
            "RENAME TRIGGER"
        } else if strength(new.enabled) >= strength(old.enabled) {
            return Ok(());
        } else if new.enabled == b'D' {
            "DISABLE TRIGGER"
        } else {
            "ENABLE TRIGGER"
        };
        let attempt = format!("{attempt} {}", quote_ident(&old.name));
        if old.function == functions.capture {
            return Err(end_of_tracking(&old, attempt));
        }
        return Err(facts::refusal(
            old.table,
            attempt,
            "The triggers that make the table a log fire always, and last.",
            "Name the other triggers one by one instead of ALL or USER.",
        ));
    }
    if old.name != new.name && facts::is_log(new.table, functions) {
        return in_time(&new, "RENAME TRIGGER", functions);
    }
    Ok(())
}

/// ALWAYS fires most often, ORIGIN in ordinary sessions, REPLICA hardly ever.
fn strength(enabled: u8) -> u8 {
    match enabled {
        b'A' => 3,
        b'O' => 2,
        b'R' => 1,
        _ => 0,
    }
}

fn in_time(new: &Trigger, attempt: &str, functions: &Functions) -> Result<(), Error> {
    if !new.comes_too_late(functions) {
        return Ok(());
    }
    Err(facts::refusal(
        new.table,
        format!("{attempt} {}", quote_ident(&new.name)),
        "A BEFORE INSERT trigger of this name would run after the row was hashed, and could change it.",
        &format!("Give it a name that sorts before {} by bytes.", quote_ident(log::APPEND_TRIGGER)),
    ))
}

/// DROP TRIGGER, directly or with something that it depends on.
pub fn dropped(oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let Some(old) = facts::trigger(oid, View::Before) else {
        return Ok(());
    };
    takes_changes(&old, || super::start::drop_command("DROP TRIGGER"), functions)?;
    if !old.is_guarded(functions) {
        return Ok(());
    }
    if log::permitted(old.table) {
        return Ok(());
    }
    if old.function == functions.capture {
        return Err(end_of_tracking(&old, super::start::drop_command("DROP TRIGGER")));
    }
    Err(facts::refusal(
        old.table,
        super::start::drop_command("DROP TRIGGER"),
        &format!(
            "It would drop the trigger {}, which makes {} a log.",
            quote_ident(&old.name),
            catalog_scan::qualified(old.table)
        ),
        "",
    ))
}

/// An event log that is not protected, and that changes of tables are recorded in, keeps the trigger that events need. So
/// it is not dropped either, since its triggers go with it.
fn takes_changes(old: &Trigger, attempt: impl Fn() -> String, functions: &Functions) -> Result<(), Error> {
    if old.function != functions.about || facts::is_log(old.table, functions) {
        return Ok(());
    }
    let Some(table) = tracked::recorded_in(old.table, functions)? else {
        return Ok(());
    };
    Err(Error::Tracked {
        attempt: attempt(),
        table: catalog_scan::qualified(table),
        detail: format!(
            "They are recorded in {}, and without that the table takes no changes.",
            catalog_scan::qualified(old.table)
        ),
        hint: String::new(),
    })
}

/// The refusal to end a table's tracking in another way than by notary.untrack.
pub fn end_of_tracking(old: &Trigger, attempt: String) -> Error {
    let root = facts::root(old.table);
    let table = catalog_scan::qualified(root);
    let drops_table = attempt.starts_with("DROP TABLE");
    let detail = match drops_table {
        true => "Its rows would go with it, and no event would say so.".into(),
        false => format!("Its trigger {} would not record them any more.", quote_ident(&old.name)),
    };
    let partition = (root != old.table && drops_table).then(|| catalog_scan::qualified(old.table));
    let hint = partition.and_then(|partition| around(root, &format!("DROP TABLE {partition}"))).unwrap_or_default();
    Error::Tracked { attempt, table, detail, hint }
}

/// How to run a command on a tracked table so that nothing is missed: the whole transaction, ready to be typed. None where
/// the table's triggers do not say how it is tracked.
pub fn around(table: pg_sys::Oid, command: &str) -> Option<String> {
    let functions = Functions::find()?;
    let rel = Rel::try_open(table, pg_sys::AccessShareLock)?;
    let arguments = tracked::triggers(&rel, &functions).iter().find_map(|t| Arguments::parse(&t.args))?;
    let columns: Vec<_> = rel.columns().into_iter().map(|column| (column.number, column.name)).collect();
    let (name, log) = (rel.qualified(), tracked::log_table(arguments.log).ok()??);
    let log = Rel::try_open(log, pg_sys::AccessShareLock)?.qualified();
    Some(format!(
        "In one transaction nothing is missed: BEGIN; {}; {command}; SELECT notary.track({}); COMMIT;",
        untrack(&name),
        arguments.of(&columns).as_call(&name, &log)
    ))
}
