//! The command that an event trigger was called for.

use pgrx::pg_sys;

/// May this command have made or attached a partition? CREATE TABLE, CREATE SCHEMA with its elements, and ALTER TABLE …
/// ATTACH PARTITION may; any other ALTER TABLE may not. True for what is not known.
pub fn may_bring_partitions(fcinfo: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: PostgreSQL passes a valid fcinfo; context is checked to be EventTriggerData before it is read as such, and
    // the parse tree in it is alive during the call. A node's tag says what it is; cmds is a list of AlterTableCmd.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_EventTriggerData {
            return false;
        }
        let tree = (*context.cast::<pg_sys::EventTriggerData>()).parsetree;
        if tree.is_null() || (*tree).type_ != pg_sys::NodeTag::T_AlterTableStmt {
            return true;
        }
        let commands = (*tree.cast::<pg_sys::AlterTableStmt>()).cmds;
        if commands.is_null() {
            return false;
        }
        (0..usize::try_from((*commands).length).unwrap_or(0)).any(|i| {
            let command = (*(*commands).elements.add(i)).ptr_value.cast::<pg_sys::AlterTableCmd>();
            (*command).subtype == pg_sys::AlterTableType::AT_AttachPartition
        })
    }
}
