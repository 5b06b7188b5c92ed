//! `notary.create_log`: an event log, ready to be written to.

use crate::error::{Error, OrRaise as _};
use crate::journal;
use crate::pg::spi::{self, quote_qualified};
use crate::pg::{context, names};
use pgrx::{pg_extern, pg_sys};

/// The table, with %LOG% for its name and others for those of its indexes. There is no other % in it.
const TABLE: &str = include_str!("../../sql/event_log_table.sql");

/// The indexes' placeholders and what their names end in.
const INDEXES: [(&str, &str); 10] = [
    ("TIME", "occurred_at"),
    ("ACTOR", "actor"),
    ("ROLE", "actor_role"),
    ("ACTION", "action"),
    ("RESOURCE", "resource"),
    ("TYPE", "resource_type"),
    ("RESULT", "result"),
    ("PII", "pii"),
    ("TAGS", "tags"),
    ("WORDS", "words"),
];

/// The columns that protection adds, and what is said of them; there is no quote in it.
const PLACE: [(&str, &str); 5] = [
    ("notary_chain", "Which of the hash chains the entry is in. Set by the database."),
    ("notary_seq", "Which place it has in the chain, from 1. Set by the database."),
    ("notary_time", "When the entry was made, by the clock of the server. Set by the database."),
    ("notary_prev", "The hash of the entry before it in the chain. Set by the database."),
    ("notary_hash", "The SHA-256 of its line (notary.line), which holds notary_prev. Set by the database."),
];

/// `notary.create_log(name, writer, reader)`.
#[pg_extern(sql = false)]
fn create_log(name: Option<&str>, writer: Option<pg_sys::Oid>, reader: Option<pg_sys::Oid>) -> pg_sys::Oid {
    journal::must_be_writable("notary.create_log()").or_raise();
    create(name, writer, reader).or_raise()
}

fn create(name: Option<&str>, writer: Option<pg_sys::Oid>, reader: Option<pg_sys::Oid>) -> Result<pg_sys::Oid, Error> {
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
        let index = |column| spi::quote_ident(&names::of_index(&schema, &table, column));
        let mut names = INDEXES.map(|(placeholder, column)| (placeholder, index(column))).to_vec();
        names.push(("LOG", log.clone()));
        for command in TABLE.split_inclusive(";\n").filter(|command| !command.trim().is_empty()) {
            let sql = fill(command, &names);
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

/// A command with the names in the places of their placeholders; what a name itself holds is not looked at.
fn fill(command: &str, names: &[(&str, String)]) -> String {
    let parts = command.split('%');
    parts
        .map(|part| names.iter().find(|(placeholder, _)| *placeholder == part).map_or(part, |(_, name)| name))
        .collect()
}
