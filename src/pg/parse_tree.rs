//! The few commands that are looked at before they start, out of their parse trees.
//!
//! Names are looked up without a lock and without raising: what is not found is the command's own business. They may
//! change before the command looks them up itself, so whatever matters is seen again by `object_access_hook`.

use super::relation::{c_string, schema_oid};
use pgrx::pg_sys;
use std::ffi::CString;

/// A command of interest.
#[derive(Debug)]
pub enum Command {
    /// ALTER TABLE, with what matters of it.
    AlterTable {
        /// The table.
        table: Name,
        /// Columns in ALTER COLUMN … TYPE.
        retyped: Vec<String>,
        /// DETACH PARTITION … CONCURRENTLY is among its parts.
        detach_concurrently: bool,
    },
    /// DROP TABLE, DROP INDEX.
    DropRelations(Vec<Name>),
    /// DROP EXTENSION.
    DropExtensions(Vec<String>),
    /// ALTER EXTENSION … DROP.
    ShrinkExtension(String),
    /// DROP SCHEMA.
    DropSchemas(Vec<String>),
    /// DROP FUNCTION: those that are found in our schema.
    DropFunctions(Vec<pg_sys::Oid>),
    /// ALTER EXTENSION … SET SCHEMA.
    MoveExtension(String),
    /// ALTER TRIGGER … DEPENDS ON EXTENSION.
    TriggerDepends {
        /// The table.
        table: Name,
        /// The trigger.
        trigger: String,
    },
}

/// A relation's name as it was written.
#[derive(Debug)]
pub struct Name {
    schema: Option<CString>,
    relation: CString,
}

impl Name {
    /// The relation that it means now.
    pub fn find(&self) -> Option<pg_sys::Oid> {
        // SAFETY: look-ups that return InvalidOid for what is not there.
        let oid = unsafe {
            match &self.schema {
                Some(schema) => pg_sys::get_relname_relid(self.relation.as_ptr(), schema_oid(schema)?),
                None => pg_sys::RelnameGetRelid(self.relation.as_ptr()),
            }
        };
        (oid != pg_sys::InvalidOid).then_some(oid)
    }

    /// The same, locked so that it keeps its name until the transaction ends. DETACH CONCURRENTLY is one of its own.
    pub fn find_locked(&self) -> Option<pg_sys::Oid> {
        loop {
            let oid = self.find()?;
            // SAFETY: a weak lock on a relation's OID, whether or not it still exists; taken and given up in pairs.
            unsafe {
                pg_sys::LockRelationOid(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
                // LockRelationOid has processed what others committed meanwhile.
                if self.find() == Some(oid) {
                    return Some(oid);
                }
                pg_sys::UnlockRelationOid(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            }
        }
    }
}

/// Reads a utility command.
///
/// # Safety
/// `node` is null or a live parse tree.
pub unsafe fn command(node: *mut pg_sys::Node) -> Option<Command> {
    if node.is_null() {
        return None;
    }
    // SAFETY: each node is cast to the type that its tag names.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_AlterTableStmt => alter_table(&*node.cast()),
            pg_sys::NodeTag::T_DropStmt => drop(&*node.cast()),
            pg_sys::NodeTag::T_AlterObjectSchemaStmt => {
                let statement = &*node.cast::<pg_sys::AlterObjectSchemaStmt>();
                (statement.objectType == pg_sys::ObjectType::OBJECT_EXTENSION)
                    .then(|| string(statement.object).map(Command::MoveExtension))?
            }
            pg_sys::NodeTag::T_AlterExtensionContentsStmt => {
                let statement = &*node.cast::<pg_sys::AlterExtensionContentsStmt>();
                (statement.action < 0).then(|| Command::ShrinkExtension(c_string(statement.extname)))
            }
            pg_sys::NodeTag::T_AlterObjectDependsStmt => {
                let statement = &*node.cast::<pg_sys::AlterObjectDependsStmt>();
                if statement.objectType != pg_sys::ObjectType::OBJECT_TRIGGER || statement.remove {
                    return None;
                }
                Some(Command::TriggerDepends {
                    table: range_var(statement.relation)?,
                    trigger: names(statement.object)?.pop()?,
                })
            }
            _ => None,
        }
    }
}

/// What an ALTER TABLE adds: the columns' names, and whether each was written with a default. None for another command.
///
/// # Safety
/// `node` is null or a live parse tree.
pub unsafe fn added_columns(node: *mut pg_sys::Node) -> Option<Vec<(String, bool)>> {
    // SAFETY: the tag says what the node is; ADD COLUMN's def is a ColumnDef, whose constraints are Constraints.
    unsafe {
        let added = parts(node)?.filter(|part| part.subtype == pg_sys::AlterTableType::AT_AddColumn);
        let columns = added.filter(|part| !part.def.is_null()).map(|part| {
            let column = &*part.def.cast::<pg_sys::ColumnDef>();
            let is_default = |node: *mut pg_sys::Node| {
                (*node.cast::<pg_sys::Constraint>()).contype == pg_sys::ConstrType::CONSTR_DEFAULT
            };
            let with_default = !column.raw_default.is_null() || members(column.constraints).any(is_default);
            (c_string(column.colname), with_default)
        });
        Some(columns.collect())
    }
}

/// May this command have made or attached a partition? CREATE TABLE, CREATE SCHEMA with its elements, and ALTER TABLE …
/// ATTACH PARTITION may; any other ALTER TABLE may not.
///
/// # Safety
/// `node` is null or a live parse tree.
pub unsafe fn may_bring_partitions(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the caller's promise.
    unsafe { parts(node) }
        .is_none_or(|mut parts| parts.any(|part| part.subtype == pg_sys::AlterTableType::AT_AttachPartition))
}

/// The parts of an ALTER TABLE; None for another command.
///
/// # Safety
/// `node` is null or a parse tree that lives as long as what is returned.
unsafe fn parts<'a>(node: *mut pg_sys::Node) -> Option<impl Iterator<Item = &'a pg_sys::AlterTableCmd>> {
    // SAFETY: the tag says what the node is; cmds is a list of AlterTableCmd.
    unsafe {
        (!node.is_null() && (*node).type_ == pg_sys::NodeTag::T_AlterTableStmt).then(|| {
            members((*node.cast::<pg_sys::AlterTableStmt>()).cmds).map(|part| &*part.cast::<pg_sys::AlterTableCmd>())
        })
    }
}

/// # Safety
/// A live parse tree.
unsafe fn alter_table(statement: &pg_sys::AlterTableStmt) -> Option<Command> {
    let mut retyped = Vec::new();
    let mut detach_concurrently = false;
    // SAFETY: cmds is a list of AlterTableCmd; DETACH's def is a PartitionCmd.
    unsafe {
        for part in members(statement.cmds) {
            let part = &*part.cast::<pg_sys::AlterTableCmd>();
            match part.subtype {
                pg_sys::AlterTableType::AT_AlterColumnType => retyped.push(c_string(part.name)),
                pg_sys::AlterTableType::AT_DetachPartition if !part.def.is_null() => {
                    detach_concurrently |= (*part.def.cast::<pg_sys::PartitionCmd>()).concurrent;
                }
                _ => {}
            }
        }
        if retyped.is_empty() && !detach_concurrently {
            return None;
        }
        Some(Command::AlterTable { table: range_var(statement.relation)?, retyped, detach_concurrently })
    }
}

/// # Safety
/// A live parse tree.
unsafe fn drop(statement: &pg_sys::DropStmt) -> Option<Command> {
    use pg_sys::ObjectType as Kind;
    // SAFETY: objects is a list whose members' type goes with removeType.
    unsafe {
        let objects = members(statement.objects);
        match statement.removeType {
            Kind::OBJECT_TABLE | Kind::OBJECT_INDEX => {
                Some(Command::DropRelations(objects.filter_map(|o| names(o)).filter_map(relation_name).collect()))
            }
            Kind::OBJECT_EXTENSION => Some(Command::DropExtensions(objects.filter_map(|o| string(o)).collect())),
            Kind::OBJECT_SCHEMA => Some(Command::DropSchemas(objects.filter_map(|o| string(o)).collect())),
            kind @ (Kind::OBJECT_FUNCTION | Kind::OBJECT_ROUTINE) => {
                Some(Command::DropFunctions(objects.filter_map(|o| our_function(kind, o.cast())).collect()))
            }
            _ => None,
        }
    }
}

/// # Safety
/// `object` is a live ObjectWithArgs.
unsafe fn our_function(kind: pg_sys::ObjectType::Type, object: *mut pg_sys::ObjectWithArgs) -> Option<pg_sys::Oid> {
    // SAFETY: the caller's promise. The look-up may raise what DROP FUNCTION itself would raise (an ambiguous name), and
    // is made only for names in our own schema.
    unsafe {
        let name = names((*object).objname.cast())?;
        if name.len() < 2 || name[name.len() - 2] != "notary" {
            return None;
        }
        let oid = pg_sys::LookupFuncWithArgs(kind, object, true);
        (oid != pg_sys::InvalidOid).then_some(oid)
    }
}

fn relation_name(mut names: Vec<String>) -> Option<Name> {
    let relation = names.pop()?;
    Some(Name {
        // A name with three parts begins with the database.
        schema: names.pop().and_then(|s| CString::new(s).ok()),
        relation: CString::new(relation).ok()?,
    })
}

/// # Safety
/// Null or a live RangeVar.
unsafe fn range_var(var: *const pg_sys::RangeVar) -> Option<Name> {
    if var.is_null() {
        return None;
    }
    // SAFETY: the caller's promise; names are C strings or null.
    let (schema, relation) = unsafe { ((*var).schemaname, (*var).relname) };
    Some(Name {
        schema: (!schema.is_null()).then(|| CString::new(c_string(schema)).ok()).flatten(),
        relation: CString::new(c_string(relation)).ok()?,
    })
}

/// # Safety
/// Null or a live list of nodes, which stays so while the iterator is used.
unsafe fn members(list: *mut pg_sys::List) -> impl Iterator<Item = *mut pg_sys::Node> {
    // SAFETY: the caller's promise.
    let length = if list.is_null() { 0 } else { unsafe { (*list).length } };
    (0..usize::try_from(length).unwrap_or(0)).map(move |i| {
        // SAFETY: i is below the list's length, and its members are pointers.
        unsafe { (*(*list).elements.add(i)).ptr_value.cast() }
    })
}

/// # Safety
/// Null or a live node.
unsafe fn string(node: *mut pg_sys::Node) -> Option<String> {
    // SAFETY: read as a String only when its tag says so.
    unsafe {
        (!node.is_null() && (*node).type_ == pg_sys::NodeTag::T_String)
            .then(|| c_string((*node.cast::<pg_sys::String>()).sval))
    }
}

/// # Safety
/// Null or a live node.
unsafe fn names(node: *mut pg_sys::Node) -> Option<Vec<String>> {
    // SAFETY: read as a List only when its tag says so.
    unsafe {
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_List {
            return None;
        }
        Some(members(node.cast()).filter_map(|n| string(n)).collect())
    }
}
