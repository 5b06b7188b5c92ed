//! What is known of a tracked table, from its trigger's arguments and the catalogs; kept until its definition changes.

use super::pii::Key;
use crate::error::Error;
use crate::log;
use crate::pg::change::Row;
use crate::pg::json::{self, JsonWriter};
use crate::pg::relation::Rel;
use crate::pg::{index, types};
use crate::tracked::{self, Arguments, log_table};
use notary_core::line;
use pgrx::pg_sys;
use std::cell::RefCell;

/// A column that appears in events.
pub struct Column {
    /// From 0.
    pub index: usize,
    pub name: String,
    /// `"name": `
    pub key: Vec<u8>,
    /// Of this type.
    type_oid: pg_sys::Oid,
    writer: RefCell<JsonWriter>,
    pub is_pii: bool,
    pub by_value: bool,
    pub length: i16,
}

impl Column {
    /// Appends the row's value as JSON.
    pub fn write(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.writer.try_borrow_mut() {
            Ok(mut writer) => row.write(self.index, &mut writer, out),
            // A cast to json of somebody's, called for a value of this column, changes the table.
            Err(_) => row.write(self.index, &mut json::writer(self.type_oid), out),
        }
    }
}

/// How changes of one table become events.
pub struct Plan {
    /// The log's table.
    pub log: pg_sys::Oid,
    /// The table that was tracked: of a partition the partitioned one. Names are looked up each time: a schema is renamed
    /// without a word to the tables in it, and a partitioned table to its partitions.
    named: pg_sys::Oid,
    is_partition: bool,
    pub columns: Vec<Column>,
    /// Where the primary key's columns are among these; empty without one, and where one of them is excluded.
    pub key: Vec<usize>,
    pub full_rows: bool,
    /// Some value is written by a function that looks at settings.
    pub pinned: bool,
    /// Some value's text depends on the search_path, or on the locale of money.
    pub plain_texts: bool,
    /// What PII is hashed with.
    pub hash: Option<Key>,
}

impl Plan {
    pub fn of(table: &Rel, args: &[Vec<u8>]) -> Result<Self, Error> {
        let damaged = |why| damaged(table, why);
        let arguments = Arguments::parse(args)
            .ok_or_else(|| damaged("The trigger's arguments are not those that notary.track gave it."))?;
        let log = log_table(arguments.log)?
            .ok_or_else(|| damaged("The log that its events go to is not in this database."))?;
        // What a column is kept out for, one that is generated from it does not show either; notary.track refuses those, and
        // they can come later.
        let generated = tracked::generated(table)?;
        let is_from = |name: &String, names: &[String]| {
            generated.iter().any(|(column, from)| column == name && from.iter().any(|from| names.contains(from)))
        };
        let mut columns = Vec::new();
        for column in table.columns() {
            let is_pii = arguments.pii.contains(&column.name);
            let is_left_out =
                arguments.exclude.contains(&column.name) || !is_pii && is_from(&column.name, &arguments.exclude);
            if column.is_virtual || is_left_out {
                continue;
            }
            let mut key = Vec::new();
            line::write_key(&mut key, &column.name);
            columns.push(Column {
                index: column.index(),
                key,
                type_oid: column.type_oid,
                writer: RefCell::new(json::writer(column.type_oid)),
                is_pii: is_pii || is_from(&column.name, &arguments.pii),
                by_value: column.by_value,
                length: column.length,
                name: column.name.clone(),
            });
        }
        let of_key: Vec<i16> = index::primary_key(table);
        let key: Option<Vec<usize>> = of_key
            .iter()
            .map(|number| columns.iter().position(|c| i64::try_from(c.index + 1) == Ok(i64::from(*number))))
            .collect();
        let types = table.columns();
        let plain_texts = types.iter().any(|column| types::depends_on_path(column.type_oid));
        let pinned = columns.iter().any(|c| c.writer.borrow().needs_pins());
        let hash = if columns.iter().any(|c| c.is_pii) { Some(Key::read()?) } else { None };
        Ok(Self {
            log,
            named: log::root(table),
            is_partition: table.is_partition(),
            columns,
            key: key.unwrap_or_default(),
            full_rows: arguments.full_rows,
            pinned,
            plain_texts,
            hash,
        })
    }

    /// `schema.table` of the table that this is the plan of, which is open: of a partition that of the partitioned table.
    pub fn resource_type(&self, table: &Rel) -> String {
        match table.oid() == self.named {
            true => dotted(table),
            false => dotted(&Rel::open(self.named, pg_sys::NoLock)),
        }
    }

    /// `schema.table` of a partition itself, which is open.
    pub fn partition(&self, table: &Rel) -> Option<String> {
        self.is_partition.then(|| dotted(table))
    }
}

fn dotted(table: &Rel) -> String {
    let mut name = table.schema();
    name.push('.');
    name.push_str(&table.name());
    name
}

/// A change cannot be recorded.
pub fn damaged(table: &Rel, why: &str) -> Error {
    Error::TrackingDamaged { table: table.qualified(), why: why.to_owned() }
}
