//! Which tables the journal says are tracked: for `capture`, which ends that, and for `verify`, which misses them.
//!
//! Entries count for the database that they were made in (`journal::home`). A restored copy takes over what is tracked in it
//! with the first `notary.attest`, as it takes over logs: until then nobody can tell what was left out on purpose.

use crate::error::Error;
use crate::journal;
use crate::pg::context::as_superuser;
use crate::pg::spi;
use crate::tracked::Arguments;
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
    /// The database where that was written (`journal::home`).
    pub home: String,
    /// Is it this one?
    pub here: bool,
    /// Which columns are kept out; None where that was not written.
    columns: Option<Columns>,
}

/// The columns that are kept out of a log, by number: a dump renumbers them, but entries count for one database alone, and there
/// a column keeps its number under any name. So no name that changes by the rules needs an entry of its own.
#[derive(Clone, Debug)]
struct Columns {
    pii: Vec<i16>,
    exclude: Vec<i16>,
    full_rows: bool,
}

impl Columns {
    fn of(entry: &Value) -> Option<Self> {
        let numbers = |name: &str| {
            let numbers = entry["numbers"][name].as_array()?;
            numbers.iter().map(|number| i16::try_from(number.as_i64()?).ok()).collect::<Option<Vec<_>>>()
        };
        Some(Self { pii: numbers("pii")?, exclude: numbers("exclude")?, full_rows: entry["full_rows"].as_bool()? })
    }
}

impl Told {
    /// What the triggers say otherwise, given the columns that the table has now.
    ///
    /// A column that was dropped leaves its name as PII, and what it was called last nobody knows: for each of those one column
    /// more may be PII. Its changes are told all the same. Excluded is exactly what was.
    pub fn differs(&self, arguments: &Arguments, columns: &[(i16, String)]) -> Option<&'static str> {
        if self.log != Some(arguments.log) {
            return Some("log");
        }
        let told = self.columns.as_ref()?;
        let is_there = |number: &&i16| columns.iter().any(|(there, _)| there == *number);
        let names = |numbers: &[i16]| {
            let there = columns.iter().filter(|(number, _)| numbers.contains(number));
            let mut names: Vec<_> = there.map(|(_, name)| name.clone()).collect();
            names.sort();
            names
        };
        let now = arguments.of(columns);
        if now.full_rows != told.full_rows {
            return Some("full_rows");
        }
        if now.exclude != names(&told.exclude) {
            return Some("exclude");
        }
        let (pii, all) = (names(&told.pii), told.pii.iter().chain(&told.exclude));
        let dropped = all.filter(|number| !is_there(number)).count();
        (pii.iter().any(|name| !now.pii.contains(name)) || now.pii.len() > pii.len() + dropped).then_some("pii")
    }
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
    let mut all: Vec<Told> = Vec::new();
    for (action, relation, log, details, here) in entries {
        let log = log.and_then(|log| log.parse().ok());
        let home = details["home"].as_str().unwrap_or_default().to_owned();
        let tables = if action.as_deref() == Some("attest") {
            let tables = details["tracked"].as_array().cloned().unwrap_or_default();
            tables.into_iter().map(|table| (table["relation"].as_str().unwrap_or_default().to_owned(), table)).collect()
        } else {
            vec![(relation.unwrap_or_default(), details)]
        };
        for (relation, entry) in tables {
            let table = entry["table_oid"]
                .as_u64()
                .and_then(|oid| u32::try_from(oid).ok())
                .map_or(pg_sys::InvalidOid, Into::into);
            let ends = &entry["ends"];
            // In its own database a table is known by its OID, in others by its name, unless the entry says which it ends.
            all.retain(|told| match ends["home"].as_str() {
                Some(there) => told.home != there || Some(u64::from(told.table.to_u32())) != ends["table_oid"].as_u64(),
                None if told.home == home => told.table != table,
                None => told.relation != relation,
            });
            if action.as_deref() != Some("untrack") {
                let columns = Columns::of(&entry);
                all.push(Told { relation, table, log, home: home.clone(), here, columns });
            }
        }
    }
    Ok(all)
}
