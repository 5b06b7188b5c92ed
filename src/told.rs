//! Which tables the journal says are tracked: for `capture`, which ends that, and for `verify`, which misses them.
//!
//! Entries count for the database that they were made in (`journal::home`). A restored copy takes over what is tracked in it
//! with the first `notary.attest`, as it takes over logs: until then nobody can tell what was left out on purpose.

use crate::error::Error;
use crate::journal;
use crate::pg::context::as_superuser;
use crate::pg::spi;
use notary_core::id::LogId;
use pgrx::pg_sys;
use serde_json::Value;

/// A table that is tracked as far as the journal tells.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its name when that was written.
    pub relation: String,
    /// It, in the database where that was written.
    pub table: pg_sys::Oid,
    /// The log that its changes go to.
    pub log: Option<LogId>,
    /// Was it written in this database?
    pub here: bool,
}

/// What is tracked, of all databases that the journal was in. A table that was tracked again, its triggers having gone in
/// between, is there once; so is one that another database's journal tells of and that this one took over.
pub fn tracked() -> Result<Vec<Told>, Error> {
    if !journal::exists()? {
        return Ok(Vec::new());
    }
    let sql = "SELECT action, relation, log::text, details, details ->> 'home' = $1 FROM notary.journal
               WHERE action IN ('track', 'untrack') OR action = 'attest' AND details ? 'tracked'
               ORDER BY at, notary_chain, notary_seq";
    let home = journal::home()?;
    let entries = as_superuser(|| {
        spi::rows(sql, &[home.as_str().into()], |row| {
            let text = |i| spi::get::<String>(row, i);
            let details = spi::get::<pgrx::JsonB>(row, 4)?.map_or(Value::Null, |details| details.0);
            Ok((text(1)?, text(2)?, text(3)?, details, spi::get::<bool>(row, 5)?.unwrap_or(false)))
        })
    })?;
    let mut all: Vec<(Value, Told)> = Vec::new();
    for (action, relation, log, details, here) in entries {
        let log = log.and_then(|log| log.parse().ok());
        let home = details["home"].clone();
        let of_this = vec![(relation.map(Value::String).unwrap_or_default(), details["table_oid"].clone())];
        let of_attest = details["tracked"].as_array().map(|tables| {
            tables.iter().map(|table| (table["relation"].clone(), table["table_oid"].clone())).collect::<Vec<_>>()
        });
        for (relation, table) in
            if action.as_deref() == Some("attest") { of_attest.unwrap_or_default() } else { of_this }
        {
            let relation = relation.as_str().unwrap_or_default().to_owned();
            let table = table.as_u64().and_then(|oid| u32::try_from(oid).ok()).map_or(pg_sys::InvalidOid, Into::into);
            // In its own database a table is known by its OID, in others by its name.
            all.retain(|(there, told)| if *there == home { told.table != table } else { told.relation != relation });
            if action.as_deref() != Some("untrack") {
                all.push((home.clone(), Told { relation, table, log, here }));
            }
        }
    }
    Ok(all.into_iter().map(|(_, told)| told).collect())
}
