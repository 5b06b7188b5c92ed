//! Tracked tables: their triggers, and what these say. Made and dropped by `capture`, guarded by `guard`, looked at by `verify`.
//!
//! A tracked table carries `!notary_track` (AFTER INSERT, UPDATE, DELETE, row) and `!notary_track_all` (AFTER TRUNCATE,
//! statement), ENABLE ALWAYS, with the log and the columns as arguments. A partitioned table has no rows and carries the
//! second alone; each partition gets its triggers by itself, at the end of the command that makes or attaches it. (A trigger
//! for rows on the partitioned table would be cloned by PostgreSQL with the rights of whoever makes the partition, and nobody
//! may execute notary.capture().)
//!
//! Invariants:
//! * Columns that are named as PII, or excluded, stay that under any name they get.
//! * The name of one that is dropped stays, as PII: what is made anew under it is not told. So every excluded name is one of a
//!   column that is there.

use crate::error::Error;
use crate::log::{self, Functions};
use crate::pg::relation::{Rel, Trigger};
use crate::pg::{catalog, compat, context, spi, trigger_args};
use crate::told::Told;
use crate::{access, gucs, journal};
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

    /// As far as they name columns that are there; in the order of their names.
    pub fn of(&self, columns: &[(i16, String)]) -> Self {
        let mut here = self.clone();
        for names in [&mut here.pii, &mut here.exclude] {
            names.retain(|name| columns.iter().any(|(_, column)| column == name));
            names.sort();
        }
        here
    }

    /// The numbers of the columns that are kept out, in the order of their names; 0 for one that is not there any more.
    pub fn numbers(&self, columns: &[(i16, String)]) -> Value {
        let number = |name: &String| columns.iter().find(|(_, column)| column == name).map_or(0, |(number, _)| *number);
        let of = |names: &[String]| names.iter().map(number).collect::<Vec<_>>();
        json!({ "pii": of(&self.pii), "exclude": of(&self.exclude) })
    }

    /// What notary.track is called with.
    pub fn as_call(&self, table: &str, log: &str) -> String {
        let names = |name, columns: &Vec<String>| match columns.as_slice() {
            [] => String::new(),
            columns => {
                let columns: Vec<_> = columns.iter().map(|column| spi::quote_literal(column)).collect();
                format!(", {name} => ARRAY[{}]", columns.join(", "))
            }
        };
        let full_rows = if self.full_rows { ", full_rows => true" } else { "" };
        let (table, log) = (spi::quote_literal(table), spi::quote_literal(log));
        format!("{table}, {log}{}{}{full_rows}", names("pii", &self.pii), names("exclude", &self.exclude))
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

/// Makes the triggers that one table of a tree lacks, as the superuser who may call their function; they always fire.
pub fn make_triggers(table: pg_sys::Oid, arguments: &Arguments, functions: &Functions) -> Result<(), Error> {
    let rel = Rel::open(table, pg_sys::AccessShareLock);
    let (name, has_rows, there) = (rel.qualified(), !rel.is_partitioned(), triggers(&rel, functions));
    // ALTER TABLE wants nobody else to use it.
    drop(rel);
    let rows = has_rows.then_some((ROWS, "INSERT OR UPDATE OR DELETE", "ROW"));
    for (trigger, event, each) in rows.into_iter().chain([(ALL, "TRUNCATE", "STATEMENT")]) {
        if there.iter().any(|t| t.name == trigger) {
            continue;
        }
        let (trigger, args) = (spi::quote_ident(trigger), arguments.to_sql());
        context::as_superuser(|| {
            spi::run(
                &format!(
                    "CREATE TRIGGER {trigger} AFTER {event} ON {name} FOR EACH {each} EXECUTE FUNCTION notary.capture({args})"
                ),
                &[],
            )?;
            spi::run(&format!("ALTER TABLE ONLY {name} ENABLE ALWAYS TRIGGER {trigger}"), &[])
        })?;
    }
    Ok(())
}

/// Columns whose generated values rows hold, each with the columns that it is computed from, whose values it repeats.
pub fn generated(rel: &Rel) -> Result<Vec<(String, Vec<String>)>, Error> {
    let columns = rel.columns();
    if !columns.iter().any(|column| column.generated) {
        return Ok(Vec::new());
    }
    let sql = "SELECT adnum, adbin::text FROM pg_catalog.pg_attrdef WHERE adrelid = $1";
    let expressions = catalog::rows(sql, &[rel.oid().into()], |row| {
        Ok((spi::get::<i16>(row, 1)?, spi::get::<String>(row, 2)?.unwrap_or_default()))
    })?;
    let of = |expression: &str| {
        let words: Vec<_> = expression.split_ascii_whitespace().collect();
        let numbers =
            words.windows(2).filter(|pair| pair[0] == ":varattno").filter_map(|pair| pair[1].parse::<i16>().ok());
        let numbers: Vec<_> = numbers.collect();
        // 0 is the whole row.
        columns.iter().filter(|c| numbers.contains(&c.number) || numbers.contains(&0)).map(|c| c.name.clone()).collect()
    };
    let generated = columns.iter().filter(|column| column.generated && !column.is_virtual);
    Ok(generated
        .filter_map(|column| {
            expressions.iter().find(|(number, _)| *number == Some(column.number)).map(|e| (column, &e.1))
        })
        .map(|(column, expression)| (column.name.clone(), of(expression)))
        .collect())
}

/// The table with all its partitions, locked.
pub fn tree(rel: &Rel, lock: u32) -> Vec<pg_sys::Oid> {
    if !rel.is_partitioned() {
        return vec![rel.oid()];
    }
    #[allow(clippy::cast_possible_wrap)] // lock modes are 0 to 8
    compat::all_inheritors(rel.oid(), lock as pg_sys::LOCKMODE)
}

/// Why a table, or a partition, is of a kind whose changes cannot be recorded, and what to do instead.
pub fn unfit(rel: &Rel) -> Result<Option<(&'static str, &'static str)>, Error> {
    if !rel.is_table() {
        return Ok(Some(("It is no table.", "Track the tables that it is made of.")));
    }
    Ok(match rel.persistence() {
        pg_sys::RELPERSISTENCE_TEMP => Some(("It is a temporary table, which no other session sees.", "")),
        pg_sys::RELPERSISTENCE_UNLOGGED => {
            Some(("It is unlogged: a crash empties it, and nothing would tell of that.", "ALTER TABLE … SET LOGGED."))
        }
        _ if has_heirs(rel) => Some((
            "Tables inherit from it: their rows can be changed through it, and its triggers do not see that.",
            "Track the tables that inherit, which hold the rows.",
        )),
        _ if needs_temporary(rel)? => Some((NEEDS_TEMPORARY, "Use permanent types, collations and functions.")),
        _ => None,
    })
}

/// Why nothing temporary is in the definition of a tracked table: when the session ends that it belongs to, the table would have
/// to go, which is refused, and nobody who comes into that session's place could make temporary tables; or columns would go
/// without a command of anybody's.
pub const NEEDS_TEMPORARY: &str = "Something temporary, such as a type, is in its definition, and would take a part of it along when that session ends.";

/// Is anything that it depends on, however far, in a schema of temporary objects?
fn needs_temporary(rel: &Rel) -> Result<bool, Error> {
    // A generated column goes with what its expression needs, and a default alone with its own.
    let sql = "WITH RECURSIVE needed (class, object) AS (
                   (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, $1
                    UNION SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
                    FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_attribute AS a ON a.attrelid = adrelid AND a.attnum = adnum
                    WHERE adrelid = $1 AND a.attgenerated <> '')
                   UNION SELECT d.refclassid, d.refobjid FROM needed
                   JOIN pg_catalog.pg_depend AS d ON d.classid = needed.class AND d.objid = needed.object)
               SELECT EXISTS (SELECT FROM needed JOIN pg_catalog.pg_namespace AS n ON n.oid = needed.object
                   WHERE needed.class = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND n.nspname ~ '^pg_(toast_)?temp_')";
    let found = catalog::rows(sql, &[rel.oid().into()], |row| spi::get::<bool>(row, 1))?;
    Ok(found.into_iter().flatten().next().unwrap_or(false))
}

/// Do tables inherit from it, other than as partitions?
fn has_heirs(rel: &Rel) -> bool {
    #[allow(clippy::cast_possible_wrap)] // lock modes are 0 to 8
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    !rel.is_partitioned() && compat::all_inheritors(rel.oid(), lock).len() > 1
}

thread_local! {
    /// The transaction, and what came below tracked tables in it and is not followed up yet. What a command left here that failed
    /// does no harm: what counts is what there is then.
    static PARTITIONS: RefCell<(u32, Vec<pg_sys::Oid>)> = const { RefCell::new((0, Vec::new())) };
}

fn with_partitions<T>(work: impl FnOnce(&mut Vec<pg_sys::Oid>) -> T) -> T {
    let current = context::transaction();
    PARTITIONS.with_borrow_mut(|(transaction, all)| {
        if std::mem::replace(transaction, current) != current {
            all.clear();
        }
        work(all)
    })
}

/// A column of a tracked table gets another name. The triggers follow at once: what an event trigger of anybody's writes before
/// the command ends is kept out of the log as well, and a command that fails takes all of it back.
pub fn renamed(table: pg_sys::Oid, from: &str, to: &str, functions: &Functions) {
    change_arguments(table, functions, |arguments| {
        if !arguments.pii.iter().chain(&arguments.exclude).any(|name| name == from) {
            return;
        }
        // A column that was dropped may have left it.
        arguments.pii.retain(|name| name != to);
        for name in arguments.pii.iter_mut().chain(&mut arguments.exclude).filter(|name| *name == from) {
            to.clone_into(name);
        }
    });
}

/// A column of a tracked table is dropped.
pub fn column_dropped(table: pg_sys::Oid, name: &str, functions: &Functions) {
    change_arguments(table, functions, |arguments| {
        if arguments.exclude.iter().any(|excluded| excluded == name) {
            arguments.exclude.retain(|excluded| excluded != name);
            arguments.pii.push(name.to_owned());
        }
    });
}

/// What a table's triggers say, changed by the command under way.
fn change_arguments(table: pg_sys::Oid, functions: &Functions, change: impl Fn(&mut Arguments)) {
    trigger_args::change(table, functions.capture, |args| {
        let args: Vec<Vec<u8>> = args.split(|b| *b == 0).take(4).map(<[u8]>::to_vec).collect();
        let old = Arguments::parse(&args)?;
        let mut new = old.clone();
        change(&mut new);
        (new != old).then(|| new.to_strings().iter().flat_map(|text| text.bytes().chain([0])).collect())
    });
}

/// A table was made or attached below a tracked one.
pub fn note_partition(table: pg_sys::Oid) {
    with_partitions(|all| all.push(table));
}

/// A command has ended: new partitions get their triggers.
pub fn command_ends(functions: &Functions) -> Result<(), Error> {
    for table in with_partitions(std::mem::take) {
        let Some(rel) = Rel::try_open(table, pg_sys::AccessShareLock) else { continue };
        let Some((arguments, above)) = arguments_above(&rel, functions)? else { continue };
        let tables = tree(&rel, pg_sys::AccessShareLock);
        drop(rel);
        for table in tables {
            let rel = Rel::open(table, pg_sys::AccessShareLock);
            if let Some((why, _)) = unfit(&rel)? {
                return Err(Error::CannotTrack {
                    table: rel.qualified(),
                    why: why.into(),
                    hint: format!("It would become a part of {above}, whose changes are tracked."),
                });
            }
            drop(rel);
            make_triggers(table, &arguments, functions)?;
        }
    }
    Ok(())
}

/// What the triggers of the nearest tracked table above a partition say, and that table's name.
fn arguments_above(rel: &Rel, functions: &Functions) -> Result<Option<(Arguments, String)>, Error> {
    if !rel.is_partition() {
        return Ok(None);
    }
    for above in compat::partition_ancestors(rel.oid()) {
        let above = Rel::open(above, pg_sys::AccessShareLock);
        if let Some(trigger) = triggers(&above, functions).first() {
            let arguments = Arguments::parse(&trigger.args).ok_or_else(|| Error::TrackingDamaged {
                table: above.qualified(),
                why: "The trigger's arguments are not those that notary.track gave it.".into(),
            })?;
            return Ok(Some((arguments, above.qualified())));
        }
    }
    Ok(None)
}

/// AFTER … FOR EACH ROW has neither bit of the timing.
const ROW_KIND: u32 =
    pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE | pg_sys::TRIGGER_TYPE_DELETE;

/// A table, or one of its partitions, as pg_class has it.
struct Member {
    oid: pg_sys::Oid,
    name: String,
    has_rows: bool,
    permanent: bool,
    has_triggers: bool,
    has_heirs: bool,
}

/// What is wrong with the tracking of a table, by the catalogs as they are now; None where every change is recorded. The
/// table's name, and the problem; None for a table that is not there.
///
/// `told`: what this database's journal says of it, which must be what the triggers say.
///
/// No table is locked: whoever changes one waits for its log, and a check of the log, or its unprotection, would wait for him.
pub fn problem(
    table: pg_sys::Oid,
    told: Option<&Told>,
    functions: &Functions,
) -> Result<Option<(String, Option<String>)>, Error> {
    let sql = "WITH RECURSIVE tree (oid) AS (
                   SELECT oid FROM pg_catalog.pg_class WHERE oid = $1
                   UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.oid AND c.relkind = 'p'
                   JOIN pg_catalog.pg_inherits AS i ON i.inhparent = c.oid)
               SELECT c.oid, n.nspname::text, c.relname::text, c.relkind <> 'p', c.relpersistence = 'p', c.relhastriggers,
                      c.relkind <> 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid)
               FROM tree JOIN pg_catalog.pg_class AS c USING (oid) JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               ORDER BY c.oid <> $1, c.oid";
    let members = catalog::rows(sql, &[table.into()], |row| {
        let (text, is) = (|i| spi::get::<String>(row, i), |i| spi::get::<bool>(row, i));
        Ok(Member {
            oid: spi::get::<pg_sys::Oid>(row, 1)?.unwrap_or(pg_sys::InvalidOid),
            name: spi::quote_qualified(&text(2)?.unwrap_or_default(), &text(3)?.unwrap_or_default()),
            has_rows: is(4)?.unwrap_or(true),
            permanent: is(5)?.unwrap_or(false),
            has_triggers: is(6)?.unwrap_or(false),
            has_heirs: is(7)?.unwrap_or(true),
        })
    })?;
    let Some(top) = members.first().map(|top| top.name.clone()) else { return Ok(None) };
    let mut first: Option<Arguments> = None;
    for member in members {
        let triggers = catalog::triggers(member.oid)?;
        if let Some(problem) = member.problem(&triggers, functions) {
            return Ok(Some((top, Some(problem))));
        }
        let columns = columns(member.oid)?;
        for trigger in triggers.iter().filter(|trigger| trigger.function == functions.capture) {
            let Some(arguments) = Arguments::parse(&trigger.args) else { continue };
            let name = &member.name;
            if let Some(gone) = arguments.exclude.iter().find(|name| !columns.iter().any(|(_, column)| column == *name))
            {
                let problem = format!("trigger \"{}\" of {name} excludes \"{gone}\", which is no column", trigger.name);
                return Ok(Some((top, Some(problem))));
            }
            if first.is_none()
                && let Some(what) = told.and_then(|told| told.differs(&arguments, &columns))
            {
                let problem = format!("the journal has another {what} than the triggers of {name}");
                return Ok(Some((top, Some(problem))));
            }
            let here = arguments.of(&columns);
            if *first.get_or_insert_with(|| here.clone()) != here {
                let problem = format!("trigger \"{}\" of {name} says otherwise than the table's first", trigger.name);
                return Ok(Some((top, Some(problem))));
            }
        }
    }
    Ok(Some((top, None)))
}

/// A table's columns, by number.
pub fn columns(table: pg_sys::Oid) -> Result<Vec<(i16, String)>, Error> {
    let sql = "SELECT attnum, attname::text FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped";
    let columns =
        catalog::rows(sql, &[table.into()], |row| Ok((spi::get::<i16>(row, 1)?, spi::get::<String>(row, 2)?)))?;
    Ok(columns.into_iter().filter_map(|(number, name)| number.zip(name)).collect())
}

impl Member {
    fn problem(&self, triggers: &[Trigger], functions: &Functions) -> Option<String> {
        let name = &self.name;
        let rows = self.has_rows.then_some((ROWS, ROW_KIND));
        for (trigger, kind) in rows.into_iter().chain([(ALL, pg_sys::TRIGGER_TYPE_TRUNCATE)]) {
            let wrong = match triggers.iter().find(|t| t.name == trigger) {
                None => "is missing",
                Some(t) if t.function != functions.capture || u32::try_from(t.kind) != Ok(kind) || t.conditional => {
                    "is not the one that pg_notary made"
                }
                Some(t) if Arguments::parse(&t.args).is_none() => "does not say which log it is for",
                Some(t) if t.enabled == b'D' => "is disabled",
                Some(t) if t.enabled != b'A' => "is not ENABLE ALWAYS",
                Some(_) => continue,
            };
            return Some(format!("trigger \"{trigger}\" of {name} {wrong}"));
        }
        match (self.has_triggers, self.permanent, self.has_heirs) {
            (false, ..) => Some(format!("pg_class says that {name} has no triggers, so that none fires")),
            (_, false, _) => Some(format!("{name} is unlogged, and a crash empties it without an event")),
            (.., true) => Some(format!("{name} has tables that inherit from it, whose rows make no events")),
            _ => None,
        }
    }
}

/// The tables that carry triggers of tracking, partitions left out.
pub fn tables(functions: &Functions) -> Result<Vec<pg_sys::Oid>, Error> {
    let sql = "SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = tgrelid
               WHERE tgfoid = $1 AND tgname IN ($2, $3) AND NOT relispartition ORDER BY 1";
    let args = [functions.capture.into(), ROWS.into(), ALL.into()];
    let tables = catalog::rows(sql, &args, |row| spi::get::<pg_sys::Oid>(row, 1))?;
    Ok(tables.into_iter().flatten().collect())
}

/// What the triggers of a table say, by the catalog as it is now, as far as they can be read.
pub fn said(table: pg_sys::Oid, functions: &Functions) -> Result<Vec<Arguments>, Error> {
    let triggers = catalog::triggers(table)?;
    let ours = triggers.iter().filter(|trigger| trigger.function == functions.capture);
    Ok(ours.filter_map(|trigger| Arguments::parse(&trigger.args)).collect())
}

/// The tables whose changes are recorded in a log.
pub fn into(log: LogId, functions: &Functions) -> Result<Vec<pg_sys::Oid>, Error> {
    let mut into = Vec::new();
    for table in tables(functions)? {
        if said(table, functions)?.iter().any(|arguments| arguments.log == log) {
            into.push(table);
        }
    }
    Ok(into)
}

/// A table whose changes are recorded in this one, protected or not.
pub fn recorded_in(table: pg_sys::Oid, functions: &Functions) -> Result<Option<pg_sys::Oid>, Error> {
    for tracked in tables(functions)? {
        if let Some(arguments) = said(tracked, functions)?.first()
            && log_table(arguments.log)? == Some(table)
        {
            return Ok(Some(tracked));
        }
    }
    Ok(None)
}

/// What is wrong with the log that a table's changes go to.
pub fn log_problem(log: LogId, functions: &Functions) -> Result<Option<&'static str>, Error> {
    Ok(match (log::table_of(log, functions)?, log_table(log)?) {
        (Some(_), _) => None,
        (None, Some(_)) => Some("the log that its events go to is not protected, so that they can be changed there"),
        (None, None) => Some("the log that its events go to is not in this database"),
    })
}

/// Are rows being loaded into a copy that is being restored? Then they bring their events along. Superusers alone say so,
/// by notary.restore, and it counts only as long as nothing was done here that the journal tells of.
pub fn is_loading() -> Result<bool, Error> {
    thread_local! {
        /// A load brings many rows.
        static FOUND: context::Found = const { context::Found::new((0, false)) };
    }
    if !gucs::restore() || !context::superuser() {
        return Ok(false);
    }
    FOUND.with(|found| context::once(found, || Ok(!(journal::exists()? && journal::is_begun()?))))
}

/// The table of a log: by its triggers; while it is not protected, as the extension remembers it.
pub fn log_table(log: LogId) -> Result<Option<pg_sys::Oid>, Error> {
    let functions = access::trigger_functions()?;
    if let Some(table) = log::table_of(log, &functions)? {
        return Ok(Some(table));
    }
    let sql =
        "SELECT table_oid FROM notary.segment WHERE log = $1::pg_catalog.uuid AND database = $2 ORDER BY segment DESC";
    let (log, here) = (log.to_string(), journal::database()?);
    let args = [log.as_str().into(), here.as_str().into()];
    let known = context::as_superuser(|| spi::rows(sql, &args, |row| spi::get::<i64>(row, 1)))?;
    let tables = known.into_iter().flatten().filter_map(|oid| u32::try_from(oid).ok()).map(pg_sys::Oid::from);
    for table in tables {
        if let Some(rel) = Rel::try_open(table, pg_sys::AccessShareLock) {
            return Ok(Some(log::root(&rel)));
        }
    }
    Ok(None)
}
