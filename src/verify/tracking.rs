//! Are the changes recorded that the journal says are recorded in a log?

use crate::error::Error;
use crate::journal;
use crate::log::Functions;
use crate::pg::context::as_superuser;
use crate::pg::relation::Rel;
use crate::pg::spi;
use crate::tracked;
use notary_core::id::LogId;
use notary_core::{Finding, Problem};
use pgrx::pg_sys;

/// What is wrong with tables that were tracked into this log in this database, and not untracked since.
pub fn problems(log: LogId, functions: &Functions) -> Result<Vec<Finding>, Error> {
    if !journal::exists()? {
        return Ok(Vec::new());
    }
    let sql = "SELECT relation, (details ->> 'table_oid')::int8 FROM notary.journal AS j
               WHERE log = $1::pg_catalog.uuid AND action = 'track' AND details ->> 'home' = $2
               AND details ->> 'table_oid' ~ '^[0-9]{1,10}$' AND NOT EXISTS (
                   SELECT FROM notary.journal AS later WHERE later.action = 'untrack' AND later.details ->> 'home' = $2
                   AND later.details ->> 'table_oid' = j.details ->> 'table_oid' AND later.at > j.at)
               ORDER BY 2";
    let (log, home) = (log.to_string(), journal::home()?);
    let tables = as_superuser(|| {
        spi::rows(sql, &[log.as_str().into(), home.as_str().into()], |row| {
            Ok((spi::get::<String>(row, 1)?.unwrap_or_default(), spi::get::<i64>(row, 2)?))
        })
    })?;
    let mut findings = Vec::new();
    for (name, oid) in tables {
        let oid = oid.and_then(|oid| u32::try_from(oid).ok()).map(pg_sys::Oid::from);
        let rel = oid.and_then(|oid| Rel::try_open(oid, pg_sys::AccessShareLock));
        let problem = match &rel {
            None => Some("the table is not here any more".to_owned()),
            Some(rel) => tracked::problem(rel, functions)?,
        };
        if let Some(problem) = problem {
            let name = rel.map_or(name, |rel| rel.qualified());
            findings.push(Finding::general(
                Problem::GuardOff,
                format!("changes of {name} are not all recorded, as notary.track had it: {problem}"),
            ));
        }
    }
    Ok(findings)
}
