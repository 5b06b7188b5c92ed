//! `notary.tracked_list()`: which tables are tracked, and whether every change of theirs is recorded.

use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::pg::catalog;
use crate::pg::entry::entry_point;
use crate::pg::results::{Results, datum};
use crate::told;
use crate::tracked::{self, Arguments, log_table};
use pgrx::{Uuid, pg_sys};

entry_point!(notary_tracked_list, pg_finfo_notary_tracked_list, tracked_list);

fn tracked_list(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let mut results = Results::of(fcinfo);
    each(&mut results).or_raise();
    pg_sys::Datum::from(0)
}

fn each(results: &mut Results) -> Result<(), Error> {
    let functions = access::trigger_functions()?;
    let told: Vec<_> = told::tracked()?.into_iter().filter(|told| told.here).collect();
    // Of those whose triggers were taken away round the guard the journal still knows.
    let mut tables = tracked::tables(&functions)?;
    tables.extend(told.iter().map(|told| told.table));
    tables.sort_by_key(|table| table.to_u32());
    tables.dedup();
    for table in tables {
        let told = told.iter().find(|told| told.table == table);
        let Some((_, of_table)) = tracked::problem(table, told, &functions)? else { continue };
        // Of a partitioned table there is the second only.
        let args = catalog::triggers(table)?
            .into_iter()
            .find(|t| t.function == functions.capture && [tracked::ROWS, tracked::ALL].contains(&t.name.as_str()))
            .map(|t| t.args);
        let arguments = args.and_then(|args| Arguments::parse(&args));
        let id = arguments.as_ref().map(|arguments| arguments.log).or(told.and_then(|told| told.log));
        let log = id.map(log_table).transpose()?.flatten();
        let of_log = id.map(|log| tracked::log_problem(log, &functions)).transpose()?;
        let problem = of_table.or(of_log.flatten().map(str::to_owned));
        results.put(vec![
            datum(table),
            log.and_then(datum),
            id.and_then(|log| datum(Uuid::from_bytes(*log.as_bytes()))),
            arguments.as_ref().and_then(|a| datum(a.pii.clone())),
            arguments.as_ref().and_then(|a| datum(a.exclude.clone())),
            arguments.as_ref().and_then(|a| datum(a.full_rows)),
            problem.and_then(datum),
        ]);
    }
    Ok(())
}
