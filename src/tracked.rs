//! Tracked tables: their triggers, and what these say. Made and dropped by `capture`, guarded by `guard`, looked at by `verify`.
//!
//! A tracked table carries `!notary_track` (AFTER INSERT, UPDATE, DELETE, row) and `!notary_track_all` (AFTER TRUNCATE,
//! statement), ENABLE ALWAYS, with the log and the columns as arguments. PostgreSQL clones the first to partitions; each of
//! them gets the second by itself.
//!
//! Invariant: columns that are named as PII, or excluded, stay that under any name they get.

use crate::error::Error;
use crate::log::Functions;
use crate::pg::relation::{self, Rel, Trigger};
use crate::pg::{catalog, compat, context, spi};
use notary_core::id::LogId;
use pgrx::pg_sys;
use serde_json::{Value, json};
use std::cell::RefCell;

/// The trigger for rows. Triggers fire in the order of their names' bytes, and this one first: a change is told before those
/// that the table's own triggers make because of it.
pub const ROWS: &str = "!notary_track";
/// The trigger for TRUNCATE.
pub const ALL: &str = "!notary_track_all";

/// What the triggers have as arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The log that events go to.
    pub log: LogId,
    /// Columns whose values are hashed.
    pub pii: Vec<String>,
    /// Columns that do not appear.
    pub exclude: Vec<String>,
    /// Of an UPDATE all columns, not only those that changed.
    pub full_rows: bool,
}

impl Arguments {
    /// As the triggers have them.
    pub fn to_strings(&self) -> [String; 4] {
        [
            format!("log={}", self.log),
            format!("pii={}", json!(self.pii)),
            format!("exclude={}", json!(self.exclude)),
            format!("full_rows={}", self.full_rows),
        ]
    }

    /// The same for SQL.
    pub fn to_sql(&self) -> String {
        self.to_strings().map(|text| spi::quote_literal(&text)).join(", ")
    }

    /// Reads what `to_strings` writes.
    pub fn parse(args: &[Vec<u8>]) -> Option<Self> {
        let [log, pii, exclude, full_rows] = args else { return None };
        let text = |arg: &[u8], name: &str| Some(std::str::from_utf8(arg).ok()?.strip_prefix(name)?.to_owned());
        let names = |text: String| match serde_json::from_str(&text) {
            Ok(Value::Array(names)) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        Some(Self {
            log: text(log, "log=")?.parse().ok()?,
            pii: names(text(pii, "pii=")?)?,
            exclude: names(text(exclude, "exclude=")?)?,
            full_rows: text(full_rows, "full_rows=")?.parse().ok()?,
        })
    }
}

/// A table's triggers of tracking.
pub fn triggers(rel: &Rel, functions: &Functions) -> Vec<Trigger> {
    let mut all = rel.triggers();
    all.retain(|trigger| trigger.function == functions.capture);
    all
}

/// Makes the trigger for TRUNCATE on one table: that of a partition fires nothing of the partitioned table's.
pub fn make_truncate_trigger(table: &str, arguments: &Arguments) -> Result<(), Error> {
    let name = spi::quote_ident(ALL);
    let sql = format!(
        "CREATE TRIGGER {name} AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION notary.capture({})",
        arguments.to_sql()
    );
    context::as_superuser(|| {
        spi::run(&sql, &[])?;
        spi::run(&format!("ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER {name}"), &[])
    })
    .map(|_| ())
}

/// A column that got another name.
struct Renamed {
    table: pg_sys::Oid,
    number: i16,
    from: String,
}

thread_local! {
    /// Not followed up yet. What a command left here that failed does no harm: what counts is what there is then.
    static RENAMED: RefCell<Vec<Renamed>> = const { RefCell::new(Vec::new()) };
    static PARTITIONS: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
}

/// A column of a tracked table gets another name.
pub fn renamed(table: pg_sys::Oid, number: i16, from: &str) {
    RENAMED.with_borrow_mut(|all| all.push(Renamed { table, number, from: from.to_owned() }));
}

/// A table was made or attached below a tracked one.
pub fn note_partition(table: pg_sys::Oid) {
    PARTITIONS.with_borrow_mut(|all| all.push(table));
}

/// A command has ended: triggers follow columns to their new names, and new partitions get the trigger for TRUNCATE.
pub fn command_ends(functions: &Functions) -> Result<(), Error> {
    let renamed = RENAMED.take();
    let mut tables: Vec<_> = renamed.iter().map(|column| column.table).collect();
    tables.sort_by_key(|table| table.to_u32());
    tables.dedup();
    for table in tables {
        rename_in_triggers(table, renamed.iter().filter(|column| column.table == table), functions)?;
    }
    for table in PARTITIONS.take() {
        let Some(rel) = Rel::try_open(table, pg_sys::AccessShareLock) else { continue };
        let arguments = triggers(&rel, functions).iter().find_map(|t| Arguments::parse(&t.args));
        // ALTER TABLE wants nobody else to use it.
        drop(rel);
        let Some(arguments) = arguments else { continue };
        for leaf in compat::all_inheritors(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE) {
            let rel = Rel::open(leaf, pg_sys::AccessShareLock);
            if !triggers(&rel, functions).iter().any(|t| t.name == ALL) {
                let name = rel.qualified();
                drop(rel);
                make_truncate_trigger(&name, &arguments)?;
            }
        }
    }
    Ok(())
}

fn rename_in_triggers<'a>(
    table: pg_sys::Oid,
    renamed: impl Iterator<Item = &'a Renamed>,
    functions: &Functions,
) -> Result<(), Error> {
    let now =
        "SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum = $2 AND NOT attisdropped";
    let mut names = Vec::new();
    for Renamed { number, from, .. } in renamed {
        let found = catalog::rows(now, &[table.into(), (*number).into()], |row| spi::get::<String>(row, 1))?;
        names.extend(found.into_iter().flatten().map(|to| (from, to)));
    }
    let sql = "SELECT oid, tgargs FROM pg_catalog.pg_trigger WHERE tgrelid = $1 AND tgfoid = $2";
    let found = catalog::rows(sql, &[table.into(), functions.capture.into()], |row| {
        Ok((spi::get::<pg_sys::Oid>(row, 1)?, spi::get::<Vec<u8>>(row, 2)?))
    })?;
    for (oid, args) in found {
        let (Some(oid), Some(args)) = (oid, args) else { continue };
        let args: Vec<Vec<u8>> = args.split(|b| *b == 0).take(4).map(<[u8]>::to_vec).collect();
        let Some(mut arguments) = Arguments::parse(&args) else { continue };
        for name in arguments.pii.iter_mut().chain(&mut arguments.exclude) {
            if let Some((_, to)) = names.iter().find(|(from, _)| *from == name) {
                to.clone_into(name);
            }
        }
        let bytes: Vec<u8> = arguments.to_strings().iter().flat_map(|text| text.bytes().chain([0])).collect();
        let update = "UPDATE pg_catalog.pg_trigger SET tgargs = $2 WHERE oid = $1";
        context::as_superuser(|| spi::run(update, &[oid.into(), bytes.into()]))?;
    }
    relation::invalidate(table);
    Ok(())
}

/// AFTER … FOR EACH ROW has neither bit of the timing.
const ROW_KIND: u32 =
    pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE | pg_sys::TRIGGER_TYPE_DELETE;

/// What is wrong with the tracking of a table, by the catalogs as they are now; None where every change is recorded.
pub fn problem(rel: &Rel, functions: &Functions) -> Result<Option<String>, Error> {
    #[allow(clippy::cast_possible_wrap)] // lock modes are 0 to 8
    let tables = match rel.is_partitioned() {
        true => compat::all_inheritors(rel.oid(), pg_sys::AccessShareLock as pg_sys::LOCKMODE),
        false => vec![rel.oid()],
    };
    for table in tables {
        let rel = Rel::open(table, pg_sys::NoLock);
        let triggers = catalog::triggers(table)?;
        for (name, kind) in [(ROWS, ROW_KIND), (ALL, pg_sys::TRIGGER_TYPE_TRUNCATE)] {
            let wrong = match triggers.iter().find(|t| t.name == name) {
                None => "is missing",
                Some(t) if t.function != functions.capture || u32::try_from(t.kind) != Ok(kind) || t.conditional => {
                    "is not the one that pg_notary made"
                }
                Some(t) if Arguments::parse(&t.args).is_none() => "does not say which log it is for",
                Some(t) if t.enabled == b'D' => "is disabled",
                Some(t) if t.enabled != b'A' => "is not ENABLE ALWAYS",
                Some(_) => continue,
            };
            return Ok(Some(format!("trigger \"{name}\" of {} {wrong}", rel.qualified())));
        }
        if !rel.has_triggers() {
            return Ok(Some(format!("pg_class says that {} has no triggers, so that none fires", rel.qualified())));
        }
    }
    Ok(None)
}

/// The tables that carry the trigger for rows, partitions left out.
pub fn tables(functions: &Functions) -> Result<Vec<pg_sys::Oid>, Error> {
    let sql =
        "SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger WHERE tgfoid = $1 AND tgparentid = 0::oid AND tgname = $2
               ORDER BY 1";
    let tables = catalog::rows(sql, &[functions.capture.into(), ROWS.into()], |row| spi::get::<pg_sys::Oid>(row, 1))?;
    Ok(tables.into_iter().flatten().collect())
}
