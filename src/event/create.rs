//! `notary.create_log`: an event log, ready to be written to, and the indexes that it is searched by.
//!
//! Invariants:
//! * What a log answers does not depend on which of these indexes it has, nor on their names. An index is known by what it
//!   says but for its WITH, as PostgreSQL writes it: the table's script says it in the same words.

use crate::error::{Error, OrRaise as _};
use crate::event_table;
use crate::pg::inval_map::PerTable;
use crate::pg::relation::Rel;
use crate::pg::spi::{self, quote_qualified};
use crate::pg::{context, names};
use crate::{access, journal};
use pgrx::{Array, pg_extern, pg_sys};

/// The table, with %LOG% for its name and others for those of its indexes. There is no other % in it.
const TABLE: &str = include_str!("../../sql/event_log_table.sql");

/// The indexes that a log can be without, as arguments name them (placeholders in capitals), and what their names end in.
const INDEXES: [(&str, &str); 10] = [
    ("time", "occurred_at"),
    ("actor", "actor"),
    ("role", "actor_role"),
    ("action", "action"),
    ("resource", "resource"),
    ("type", "resource_type"),
    ("result", "result"),
    ("pii", "pii"),
    ("tags", "tags"),
    ("words", "words"),
];

thread_local! {
    /// Asked before every search.
    static THERE: PerTable<Vec<&'static str>> = PerTable::new();
}

/// The columns that protection adds, and what is said of them; there is no quote in it.
const PLACE: [(&str, &str); 5] = [
    ("notary_chain", "Which of the hash chains the entry is in. Set by the database."),
    ("notary_seq", "Which place it has in the chain, from 1. Set by the database."),
    ("notary_time", "When the entry was made, by the clock of the server. Set by the database."),
    ("notary_prev", "The hash of the entry before it in the chain. Set by the database."),
    ("notary_hash", "The SHA-256 of its line (notary.line), which holds notary_prev. Set by the database."),
];

/// `notary.create_log(name, writer, reader, indexes)`.
#[pg_extern(sql = false)]
fn create_log(
    name: Option<&str>,
    writer: Option<pg_sys::Oid>,
    reader: Option<pg_sys::Oid>,
    indexes: Option<Array<'_, &str>>,
) -> pg_sys::Oid {
    journal::must_be_writable("notary.create_log()").or_raise();
    let indexes = chosen(indexes).or_raise();
    create(name, writer, reader, &indexes).or_raise()
}

/// `notary.index_log(log, indexes)`.
#[pg_extern(sql = false)]
fn index_log(log: Option<pg_sys::Oid>, indexes: Option<Array<'_, &str>>) -> Vec<&'static str> {
    let indexes = chosen(indexes).or_raise();
    make_missing(log, &indexes).or_raise()
}

/// `notary.log_indexes(log)`, with a search_path in which functions are written with their schema.
#[pg_extern(sql = false)]
fn log_indexes(log: pg_sys::Oid) -> Vec<&'static str> {
    // Who may not read it may not lock it either.
    let open = || context::may_select_every_column(log).then(|| Rel::try_open(log, pg_sys::AccessShareLock)).flatten();
    let Some(table) = open() else { return Vec::new() };
    if table.is_partitioned() {
        // Nobody says so when its index becomes valid, as its partitions' are attached.
        return there(log).or_raise();
    }
    THERE.with(|known| known.get(&table, |table| there(table.oid()))).or_raise().to_vec()
}

/// Those of INDEXES that an argument names; NULL: all.
fn chosen(indexes: Option<Array<'_, &str>>) -> Result<Vec<&'static str>, Error> {
    let known = INDEXES.map(|(name, _)| name);
    let bad = |message: String, hint: &str| Error::BadArgument {
        message,
        detail: format!("The indexes of event logs are {}.", known.join(", ")),
        hint: hint.into(),
    };
    let Some(given) = indexes else { return Ok(known.to_vec()) };
    let mut chosen = Vec::new();
    for name in given.iter() {
        let hint = "Name each one, or leave indexes out for all of them.";
        let name = name.ok_or_else(|| bad("indexes must not have a NULL in it".into(), hint))?;
        let index = known.into_iter().find(|known| *known == name).ok_or_else(|| {
            let hint =
                "For a log of a busy table's changes '{time,resource}' will do; leave indexes out for all of them.";
            bad(format!("\"{name}\" is no index of event logs"), hint)
        })?;
        if chosen.contains(&index) {
            return Err(bad(format!("index \"{name}\" is named twice in indexes"), "Name it once."));
        }
        chosen.push(index);
    }
    Ok(chosen)
}

fn create(
    name: Option<&str>,
    writer: Option<pg_sys::Oid>,
    reader: Option<pg_sys::Oid>,
    indexes: &[&str],
) -> Result<pg_sys::Oid, Error> {
    let name = name.ok_or_else(|| Error::BadArgument {
        message: "name must not be NULL".into(),
        detail: "It is the name of the table to be made.".into(),
        hint: "SELECT notary.create_log('app_audit');".into(),
    })?;
    // By the caller's search_path, which is set aside afterwards.
    let (schema, table) = names::to_create(name)?;
    if names::is_taken(&schema, &table) {
        return Err(Error::NameTaken { table: quote_qualified(&schema, &table) });
    }
    let log = quote_qualified(&schema, &table);
    context::with_safe_path(|| {
        for command in commands() {
            if index_of(command).is_some_and(|index| !indexes.contains(&index)) {
                continue;
            }
            let sql = fill(command, &schema, &table);
            if command.starts_with("CREATE TRIGGER") {
                // Only superusers may use its function.
                context::as_superuser(|| spi::run(&sql, &[]))?;
            } else {
                spi::run(&sql, &[])?;
            }
        }
        let grants = [(writer, "INSERT, SELECT (id)"), (reader, "SELECT")];
        for (role, rights) in grants.into_iter().filter_map(|(role, rights)| Some((role?, rights))) {
            let role = spi::quote_ident(&crate::pg::relation::role_name(role));
            spi::run(&format!("GRANT {rights} ON TABLE {log} TO {role}"), &[])?;
        }
        let made = spi::rows("SELECT $1::pg_catalog.regclass::pg_catalog.oid", &[log.as_str().into()], |row| {
            spi::get::<pg_sys::Oid>(row, 1)
        })?;
        let made = made.into_iter().flatten().next().ok_or_else(|| Error::Spi(format!("{log} has no OID")))?;
        spi::run("SELECT notary.protect($1::pg_catalog.regclass)", &[made.into()])?;
        for (column, text) in PLACE {
            spi::run(&format!("COMMENT ON COLUMN {log}.{column} IS '{text}'"), &[])?;
        }
        Ok(made)
    })
}

/// Makes those of the indexes that the log has not; their names.
fn make_missing(log: Option<pg_sys::Oid>, indexes: &[&'static str]) -> Result<Vec<&'static str>, Error> {
    let log = log.ok_or_else(|| Error::BadArgument {
        message: "log must not be NULL".into(),
        detail: "It is the event log.".into(),
        hint: "SELECT * FROM notary.event_logs shows every event log.".into(),
    })?;
    access::ownership(log, "index it")?;
    // CREATE INDEX's lock lets another of its kind in, which would make the same index.
    let rel = Rel::open(log, pg_sys::ShareRowExclusiveLock);
    access::ownership(log, "index it")?;
    if !event_table::is_event_log(&rel, &access::trigger_functions()?) {
        return Err(Error::NotAnEventLog { table: rel.qualified(), why: "It has no trigger ~notary_about.".into() });
    }
    let (schema, table) = (rel.schema(), rel.name());
    drop(rel);
    context::with_plain_definitions(|| {
        let there = there(log)?;
        let mut made = Vec::new();
        for command in commands() {
            if let Some(index) = index_of(command).filter(|index| indexes.contains(index) && !there.contains(index)) {
                spi::run(&fill(command, &schema, &table), &[])?;
                made.push(index);
            }
        }
        Ok(made)
    })
}

/// Those of INDEXES that a table has.
fn there(table: pg_sys::Oid) -> Result<Vec<&'static str>, Error> {
    let sql = "SELECT pg_catalog.pg_get_indexdef(x.indexrelid) FROM pg_catalog.pg_index AS x
               WHERE x.indrelid = $1 AND x.indisvalid AND NOT x.indisprimary";
    let there = spi::kept_rows(sql, &[table.into()], |row| spi::get::<String>(row, 1))?;
    let there: Vec<_> = there.iter().flatten().filter_map(|definition| says(definition)).collect();
    Ok(commands().filter(|command| says(command).is_some_and(|it| there.contains(&it))).filter_map(index_of).collect())
}

/// What an index is: its definition without names, which come first, and without how it is stored.
fn says(definition: &str) -> Option<String> {
    let (_, what) = definition.trim_end_matches(";\n").rsplit_once(" USING ")?;
    // In the condition anything may stand.
    let (what, condition) = what.split_at(what.find(" WHERE ").unwrap_or(what.len()));
    Some(what.split_once(" WITH (").map_or(what, |(columns, _)| columns).to_owned() + condition)
}

/// What makes the table, one by one.
fn commands() -> impl Iterator<Item = &'static str> {
    TABLE.split_inclusive(";\n").filter(|command| !command.trim().is_empty())
}

/// Which of INDEXES a command makes.
fn index_of(command: &str) -> Option<&'static str> {
    let placeholder = command.strip_prefix("CREATE INDEX %")?.split('%').next()?;
    INDEXES.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(placeholder))
}

/// A command with the names in the places of their placeholders; what a name itself holds is not looked at. The names of
/// indexes are such as are free.
fn fill(command: &str, schema: &str, table: &str) -> String {
    let name = |part: &str| match part {
        "LOG" => Some(quote_qualified(schema, table)),
        part => INDEXES
            .iter()
            .find(|(index, _)| index.to_ascii_uppercase() == part)
            .map(|(_, column)| spi::quote_ident(&names::of_index(schema, table, column))),
    };
    command.split('%').map(|part| name(part).unwrap_or_else(|| part.to_owned())).collect()
}
