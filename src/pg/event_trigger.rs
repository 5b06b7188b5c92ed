//! An event trigger's call.

use super::parse_tree::{self, Command};
use pgrx::pg_sys;

/// One call of an event trigger function.
pub struct Call {
    data: *mut pg_sys::EventTriggerData,
}

impl Call {
    /// Reads the call; None when the function was not called as an event trigger.
    pub fn of(fcinfo: pg_sys::FunctionCallInfo) -> Option<Self> {
        // SAFETY: PostgreSQL passes a valid fcinfo; context is checked before it is read as EventTriggerData.
        unsafe {
            let context = (*fcinfo).context;
            (!context.is_null() && (*context).type_ == pg_sys::NodeTag::T_EventTriggerData)
                .then(|| Self { data: context.cast() })
        }
    }

    /// The command's tag.
    pub fn tag(&self) -> Tag {
        // SAFETY: alive during the call.
        Tag(unsafe { (*self.data).tag })
    }

    /// The command, if it is of a kind that matters to us.
    pub fn command(&self) -> Option<Command> {
        // SAFETY: the parse tree is alive during the call.
        unsafe { parse_tree::command((*self.data).parsetree) }
    }

    /// What the command, if it is an ALTER TABLE, adds: columns by name, and whether each was written with a default.
    pub fn added_columns(&self) -> Option<Vec<(String, bool)>> {
        // SAFETY: the parse tree is alive during the call.
        unsafe { parse_tree::added_columns((*self.data).parsetree) }
    }

    /// May the command have made or attached a partition?
    pub fn may_bring_partitions(&self) -> bool {
        // SAFETY: the parse tree is alive during the call.
        unsafe { parse_tree::may_bring_partitions((*self.data).parsetree) }
    }
}

/// A command's tag, such as DROP TABLE.
#[derive(Clone, Copy)]
pub struct Tag(pg_sys::CommandTag::Type);

impl Tag {
    /// No command.
    pub const NONE: Self = Self(pg_sys::CommandTag::CMDTAG_UNKNOWN);

    /// Its text.
    pub fn name(self) -> String {
        // SAFETY: returns a static string for any tag.
        super::relation::c_string(unsafe { pg_sys::GetCommandTagName(self.0) })
    }
}

/// The table that is about to be rewritten and why (AT_REWRITE_* bits); in a table_rewrite trigger only.
pub fn rewritten() -> (pg_sys::Oid, u32) {
    // SAFETY: built-in functions without arguments, which raise outside a table_rewrite trigger.
    let (table, reason) = unsafe {
        (
            pg_sys::OidFunctionCall0Coll(pg_sys::F_PG_EVENT_TRIGGER_TABLE_REWRITE_OID, pg_sys::InvalidOid),
            pg_sys::OidFunctionCall0Coll(pg_sys::F_PG_EVENT_TRIGGER_TABLE_REWRITE_REASON.into(), pg_sys::InvalidOid),
        )
    };
    #[allow(clippy::cast_possible_truncation)] // an oid and an int4 are in the low bytes
    (pg_sys::Oid::from_u32(table.value() as u32), reason.value() as u32)
}
