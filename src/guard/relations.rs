//! A log as a table: that it stays, under which rules and keys, in which tree.

use super::{columns, facts, ours, start, triggers};
use crate::error::Error;
use crate::journal;
use crate::log::{self, Functions};
use crate::pg::catalog_scan::{self, Row, View};
use crate::pg::index::CHAIN_CLASSES;
use crate::pg::row::NOTARY_COLUMNS;
use crate::pg::spi::quote_ident;
use crate::pg::types;
use crate::tracked;
use pgrx::pg_sys;

/// DROP TABLE and DROP INDEX, however they come about.
pub fn dropped(oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    if facts::is_log(oid, functions) {
        return Err(table_drop(oid));
    }
    if catalog_scan::kind(oid) == pg_sys::RELKIND_INDEX {
        return index_dropped(oid, functions);
    }
    Ok(())
}

/// The refusal to drop a log.
pub fn table_drop(relid: pg_sys::Oid) -> Error {
    facts::refusal(relid, start::drop_command("DROP TABLE"), "It would drop entries that are to be kept.", "")
}

/// Refuses to drop the index that keeps a log's chains from forking, unless it has another.
pub fn index_dropped(index: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let table = catalog_scan::row(&catalog_scan::INDEX, index, View::After, |row| row.oid("indrelid"));
    let Some(table) = table.filter(|table| facts::is_log(*table, functions)) else {
        return Ok(());
    };
    let chain_indexes = chain_indexes(table, View::After);
    if !chain_indexes.contains(&index) || chain_indexes.len() > 1 {
        return Ok(());
    }
    Err(facts::refusal(
        table,
        start::drop_command("DROP CONSTRAINT"),
        &format!("It would drop the unique index {}, which keeps chains from forking.", catalog_scan::qualified(index)),
        "",
    ))
}

/// The unique indexes over exactly (notary_chain, notary_seq) that hold for every row at once.
fn chain_indexes(table: pg_sys::Oid, view: View) -> Vec<pg_sys::Oid> {
    let columns = catalog_scan::rows(&catalog_scan::COLUMNS, &[table.into()], view, |row| {
        (row.name("attname"), i16::try_from(row.number("attnum")).unwrap_or(0))
    });
    let number = |name: &str| columns.iter().find(|(n, _)| n == name).map_or(0, |(_, number)| *number);
    let wanted = [number(NOTARY_COLUMNS[0].0), number(NOTARY_COLUMNS[1].0)];
    let fits = |row: &Row| {
        ["indisunique", "indimmediate", "indisvalid", "indisready", "indislive"].iter().all(|column| row.is(column))
            // INCLUDE columns stand behind the key's.
            && row.number("indnkeyatts") == 2
            && row.numbers("indkey") == wanted
            && row.numbers("indoption").iter().all(|option| *option == 0)
            && row.oids("indclass") == CHAIN_CLASSES
            && row.is_null("indexprs")
            && row.is_null("indpred")
    };
    catalog_scan::rows(&catalog_scan::INDEXES, &[table.into()], view, |row| fits(row).then(|| row.oid("indexrelid")))
        .into_iter()
        .flatten()
        .collect()
}

/// RENAME, SET SCHEMA, OF and other changes of the pg_class row, of which few matter.
pub fn altered(relid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let is_log = facts::is_log(relid, functions);
    if !is_log && !facts::is_tracked(relid, functions) {
        return Ok(());
    }
    let class = |view| {
        catalog_scan::row(&catalog_scan::CLASS, relid, view, |row| {
            (row.oid("reloftype"), row.name("relname"), row.oid("relnamespace"))
        })
    };
    let (Some((old_type, old_name, old_schema)), Some((new_type, new_name, new_schema))) =
        (class(View::Before), class(View::After))
    else {
        return Ok(());
    };
    if !is_log {
        return match old_type != new_type && types::is_temporary(new_type, pg_sys::InvalidOid) {
            true => Err(tracked_relation(relid, "ALTER TABLE OF", tracked::NEEDS_TEMPORARY)),
            false => Ok(()),
        };
    }
    if old_type != new_type && new_type != pg_sys::InvalidOid {
        return Err(facts::refusal(relid, "ALTER TABLE OF", "A typed table's columns change with its type.", ""));
    }
    if (old_name != new_name || old_schema != new_schema) && journal::is_table(relid) {
        let attempt = if old_name == new_name { "SET SCHEMA" } else { "RENAME TABLE" };
        return Err(facts::refusal(relid, attempt, "The journal of what is done to logs is found by its name.", ""));
    }
    Ok(())
}

/// ADD FOREIGN KEY with an action, a unique constraint that is made of our index and checked late, and NOT NULL, which
/// is a constraint since PostgreSQL 18: ADD PRIMARY KEY makes it without altering the column by itself.
pub fn constraint_made(oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    struct Constraint {
        table: pg_sys::Oid,
        name: String,
        changes_rows: bool,
        late: bool,
        not_null: Vec<i16>,
        index: pg_sys::Oid,
    }
    let made = catalog_scan::row(&catalog_scan::CONSTRAINT, oid, View::After, |row| Constraint {
        table: row.oid("conrelid"),
        name: row.name("conname"),
        changes_rows: row.letter("contype") == b'f'
            && ["confdeltype", "confupdtype"].iter().any(|action| matches!(row.letter(action), b'c' | b'n' | b'd')),
        late: matches!(row.letter("contype"), b'u' | b'p') && row.is("condeferrable"),
        not_null: if row.letter("contype") == b'n' { row.small_ints("conkey") } else { Vec::new() },
        index: row.oid("conindid"),
    });
    let concerns_us = |c: &Constraint| c.changes_rows || c.late || !c.not_null.is_empty();
    let Some(made) = made.filter(|c| concerns_us(c) && facts::is_log(c.table, functions)) else {
        return Ok(());
    };
    for number in made.not_null {
        columns::not_null_made(made.table, number)?;
    }
    if made.changes_rows {
        return Err(facts::refusal(
            made.table,
            format!("ADD FOREIGN KEY {}", quote_ident(&made.name)),
            "Its action CASCADE, SET NULL or SET DEFAULT would delete or change entries.",
            "Make the key's actions NO ACTION or RESTRICT.",
        ));
    }
    if chain_indexes(made.table, View::Before) == [made.index] {
        return Err(facts::refusal(
            made.table,
            format!("ADD CONSTRAINT {} DEFERRABLE", quote_ident(&made.name)),
            "The unique index that keeps chains from forking would be checked too late.",
            "",
        ));
    }
    Ok(())
}

/// ADD CHECK on a partitioned log: see `log::calls_foreign_code`.
pub fn check_made(oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let check = catalog_scan::row(&catalog_scan::CONSTRAINT, oid, View::After, |row| {
        let of = || (row.oid("conrelid"), row.name("conname"), row.text("conbin"));
        (row.letter("contype") == b'c').then(of)
    });
    let Some((table, name, expression)) = check.flatten() else { return Ok(()) };
    let is_partitioned =
        catalog_scan::is_partition(table) || catalog_scan::kind(table) == pg_sys::RELKIND_PARTITIONED_TABLE;
    if !is_partitioned || !log::calls_foreign_code(&expression) || !facts::is_log(table, functions) {
        return Ok(());
    }
    Err(facts::refusal(
        table,
        format!("ADD CHECK {}", quote_ident(&name)),
        "It calls a function that is not PostgreSQL's own: which partitions a query looks at would depend on what that \
         function says then.",
        "Use a BEFORE INSERT trigger, or a domain with that constraint.",
    ))
}

/// CREATE RULE.
pub fn rule_made(oid: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let Some((table, name)) =
        catalog_scan::row(&catalog_scan::RULE, oid, View::After, |row| (row.oid("ev_class"), row.name("rulename")))
    else {
        return Ok(());
    };
    if facts::is_log(table, functions) {
        return Err(facts::refusal(
            table,
            format!("CREATE RULE {}", quote_ident(&name)),
            "A rule can swallow or redirect rows.",
            "Use a trigger, or a view with INSTEAD OF triggers.",
        ));
    }
    ours::view_changed(table, functions)
}

/// INHERIT, NO INHERIT, ATTACH and DETACH PARTITION, and tables made as children or partitions.
pub fn inheritance(child: pg_sys::Oid, parent: pg_sys::Oid, functions: &Functions) -> Result<(), Error> {
    let (child_is_log, parent_is_log) = (facts::is_log(child, functions), facts::is_log(parent, functions));
    let (child_is_tracked, parent_is_tracked) =
        (facts::is_tracked(child, functions), facts::is_tracked(parent, functions));
    if !child_is_log && !parent_is_log && !child_is_tracked && !parent_is_tracked {
        return Ok(());
    }
    let partitioned = catalog_scan::kind(parent) == pg_sys::RELKIND_PARTITIONED_TABLE;
    let added = catalog_scan::rows(&catalog_scan::PARENTS, &[child.into()], View::After, |row| row.oid("inhparent"))
        .contains(&parent);
    if child_is_tracked && partitioned && added {
        return Err(tracked_relation(
            child,
            "ATTACH PARTITION",
            "As a partition it is tracked together with the partitioned table, or not at all.",
        ));
    }
    if parent_is_tracked {
        heirs_of_tracked(child, parent, partitioned, added)?;
    }
    if !child_is_log && !parent_is_log {
        return Ok(());
    }
    match (added, partitioned) {
        (true, false) if parent_is_log => {
            Err(facts::refusal(parent, "INHERIT", "Rows of an inheriting table would appear as entries.", ""))
        }
        (true, false) => {
            Err(facts::refusal(child, "INHERIT", "A log's columns would change with those of its parent.", ""))
        }
        (true, true) if !parent_is_log => Err(facts::refusal(
            child,
            "ATTACH PARTITION",
            "The log would become a part of a table that is none; a partitioned table is protected as a whole.",
            "",
        )),
        // That a new partition is an empty, ordinary table is seen to when it becomes a segment; a foreign table comes
        // by another command.
        (true, true) => {
            match catalog_scan::row(&catalog_scan::CLASS, child, View::After, |row| row.letter("relkind")) {
                Some(pg_sys::RELKIND_FOREIGN_TABLE) => Err(facts::refusal(
                    parent,
                    "CREATE FOREIGN TABLE PARTITION OF",
                    "A foreign table's rows are on another server, where nothing guards them.",
                    "",
                )),
                _ => {
                    log::note_partition(child);
                    Ok(())
                }
            }
        }
        (false, true) if child_is_log => Err(detach(child)),
        // Ending a plain inheritance that should not be there, or the detachment of something that is no segment.
        (false, _) => Ok(()),
    }
}

/// The refusal to detach a partition.
pub fn detach(partition: pg_sys::Oid) -> Error {
    facts::refusal(partition, "DETACH PARTITION", "Its entries would leave the log.", "")
}

/// A tracked table gets a partition, or loses one; or a table that inherits from it.
fn heirs_of_tracked(child: pg_sys::Oid, parent: pg_sys::Oid, partitioned: bool, added: bool) -> Result<(), Error> {
    let kind = catalog_scan::row(&catalog_scan::CLASS, child, View::After, |row| row.letter("relkind"));
    match (added, partitioned) {
        (false, true) => Err(detach_tracked(parent, Some(child))),
        // Ending an inheritance that should not be there.
        (false, false) => Ok(()),
        (true, false) => Err(tracked_relation(
            parent,
            "INHERIT",
            "Rows of an inheriting table can be changed through it, and its triggers do not see that.",
        )),
        (true, true) if kind == Some(pg_sys::RELKIND_FOREIGN_TABLE) => Err(tracked_relation(
            parent,
            "a foreign table as a partition",
            "Its rows are on another server, where they change without a trigger here.",
        )),
        (true, true) => {
            tracked::note_partition(child);
            Ok(())
        }
    }
}

/// The refusal to make of a tracked table what cannot be tracked.
pub fn tracked_relation(table: pg_sys::Oid, attempt: &str, why: &str) -> Error {
    Error::Tracked {
        attempt: attempt.into(),
        table: catalog_scan::qualified(facts::root(table)),
        detail: why.into(),
        hint: String::new(),
    }
}

/// The refusal to detach a partition of a tracked table.
pub fn detach_tracked(parent: pg_sys::Oid, partition: Option<pg_sys::Oid>) -> Error {
    let root = facts::root(parent);
    let hint = partition.and_then(|partition| {
        let [above, partition] = [parent, partition].map(catalog_scan::qualified);
        triggers::around(root, &format!("ALTER TABLE {above} DETACH PARTITION {partition}"))
    });
    Error::Tracked {
        attempt: "DETACH PARTITION".into(),
        table: catalog_scan::qualified(root),
        detail: "The partition's rows would leave the table, and no event would say so.".into(),
        hint: hint.unwrap_or_default(),
    }
}
