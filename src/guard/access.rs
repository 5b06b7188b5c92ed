//! `object_access_hook`: which rule looks at which object.

use super::{columns, facts, ours, relations, triggers};
use crate::error::{Error, OrRaise as _};
use crate::log::Functions;
use crate::pg::access_hook::{Access, Deed};
use pgrx::pg_sys;

/// Catalogs that pgrx has no name for; their OIDs never change.
mod class {
    pub const ATTRDEF: u32 = 2604;
    pub const CONSTRAINT: u32 = 2606;
    pub const INHERITS: u32 = 2611;
    pub const REWRITE: u32 = 2618;
}

const CLASS: u32 = pg_sys::RelationRelationId.to_u32();
const EXTENSION: u32 = pg_sys::ExtensionRelationId.to_u32();
const NAMESPACE: u32 = pg_sys::NamespaceRelationId.to_u32();
const PROC: u32 = pg_sys::ProcedureRelationId.to_u32();
const TRIGGER: u32 = pg_sys::TriggerRelationId.to_u32();
const TYPE: u32 = pg_sys::TypeRelationId.to_u32();

/// Called for every object that is made, altered or dropped.
pub fn on_access(access: Access) {
    rule(access).or_raise();
}

fn rule(access: Access) -> Result<(), Error> {
    let Access { deed, class, object, column, other } = access;
    let check: &dyn Fn(&Functions) -> Result<(), Error> = match (class.to_u32(), deed) {
        (CLASS, Deed::Dropped) if column == 0 => &|f| relations::dropped(object, f),
        (CLASS, Deed::Altered) if column == 0 => &|f| {
            ours::relation_changed(object, f)?;
            relations::altered(object, f)
        },
        (CLASS, _) if column > 0 => &|f| {
            ours::columns_changed(object, f)?;
            match deed {
                Deed::Created => columns::added(object, column, f),
                Deed::Altered => columns::altered(object, column, f),
                Deed::Dropped => columns::dropped(object, column, f),
            }
        },
        (class::ATTRDEF, Deed::Created) => &|f| {
            ours::columns_changed(object, f)?;
            columns::default_made(object, column, f)
        },
        (class::CONSTRAINT, Deed::Created) => &|f| {
            relations::constraint_made(object, f)?;
            relations::check_made(object, f)
        },
        (class::REWRITE, Deed::Created) => &|f| relations::rule_made(object, f),
        (class::INHERITS, Deed::Altered) => &|f| relations::inheritance(object, other, f),
        (TRIGGER, Deed::Created) => &|f| {
            ours::trigger_made(object, f)?;
            triggers::created(object, f)
        },
        (TRIGGER, Deed::Altered) => &|f| triggers::altered(object, f),
        (TRIGGER, Deed::Dropped) => &|f| triggers::dropped(object, f),
        (TYPE, Deed::Altered) => &|f| columns::type_altered(object, f),
        (PROC, Deed::Created | Deed::Altered) => &|f| ours::function_changed(object, f),
        (PROC, Deed::Dropped) => &|f| ours::function_dropped(object, f),
        (EXTENSION, Deed::Dropped) => &|f| ours::extension_dropped(object, f),
        (EXTENSION, Deed::Altered) => &|f| ours::members_changed(object, f),
        (NAMESPACE, Deed::Altered) => &|f| ours::schema_altered(object, f),
        _ => return Ok(()),
    };
    // While the extension is being made or dropped, and where it is not installed, there is nothing to guard.
    let Some(functions) = Functions::find() else {
        return Ok(());
    };
    if facts::in_our_script() {
        return Ok(());
    }
    check(&functions)
}
