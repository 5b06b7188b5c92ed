//! Are the changes recorded that the journal says are recorded in a log?

use crate::error::Error;
use crate::log::Functions;
use crate::pg::{catalog_scan, spi};
use crate::told;
use crate::tracked;
use notary_core::id::LogId;
use notary_core::{Finding, Problem};
use serde_json::{Value, json};

/// What is wrong with tables that were tracked into this log in this database, and not untracked since.
pub fn problems(log: LogId, functions: &Functions) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for told in told::tracked()?.into_iter().filter(|told| told.here && told.log == Some(log)) {
        let (name, problem) = tracked::problem(told.table, Some(&told), functions)?.unwrap_or_else(|| {
            let name = spi::quote_literal(&told.relation);
            let gone = format!(
                "the table is not here any more; notary.forget_tracked({name}, reason) says that this was meant"
            );
            (told.relation, Some(gone))
        });
        if let Some(problem) = problem {
            findings.push(Finding::general(
                Problem::GuardOff,
                format!("changes of {name} are not all recorded, as notary.track had it: {problem}"),
            ));
        }
    }
    Ok(findings)
}

/// Tables that carry the triggers of tracking into this log, and that no entry of this database's journal tells of: in a
/// restored copy, all that came along. For the entry that takes them over.
pub fn found(log: LogId, functions: &Functions) -> Result<Vec<Value>, Error> {
    let told = told::tracked()?;
    let mut found = Vec::new();
    for table in tracked::tables(functions)? {
        let said = tracked::said(table, functions)?;
        let Some(arguments) = said.into_iter().find(|arguments| arguments.log == log) else { continue };
        if told.iter().any(|told| told.here && told.table == table) {
            continue;
        }
        found.push(json!({
            "relation": catalog_scan::qualified(table),
            "table_oid": table.to_u32(),
            "pii": arguments.pii,
            "exclude": arguments.exclude,
            "full_rows": arguments.full_rows,
            "numbers": arguments.numbers(&tracked::columns(table)?),
        }));
    }
    Ok(found)
}

/// Warns of tables whose changes go to a log that is not protected: no check of any log would say so.
pub fn warn_of_unprotected(functions: &Functions) -> Result<(), Error> {
    for table in tracked::tables(functions)? {
        let said = tracked::said(table, functions)?;
        let Some(arguments) = said.first() else { continue };
        let Some(problem) = tracked::log_problem(arguments.log, functions)? else { continue };
        pgrx::warning!("changes of {} are tracked, and {problem}", catalog_scan::qualified(table));
    }
    Ok(())
}

/// Says which tables were tracked into this log in the database that this one was restored from, and are not here.
pub fn tell_of_those_left_out(log: LogId) -> Result<(), Error> {
    for told in told::tracked()?.into_iter().filter(|told| !told.here && told.log == Some(log)) {
        let name = spi::quote_literal(&told.relation);
        pgrx::notice!(
            "changes of {} were tracked in the database that this one was restored from, and are not under this name here. If \
             that is meant: SELECT notary.forget_tracked({name}, 'why')",
            told.relation
        );
    }
    Ok(())
}
