//! An AFTER trigger's call: what happened to a row, or that a table was emptied.

use super::compat;
use super::json::JsonWriter;
use super::relation::Rel;
use crate::error::Error;
use pgrx::pg_sys;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    Insert,
    Update,
    Delete,
    Truncate,
}

/// One call of an AFTER trigger.
pub struct Change {
    data: *mut pg_sys::TriggerData,
    /// What happened.
    pub deed: Deed,
}

/// A row taken apart.
#[derive(Default)]
pub struct Row {
    pub values: Vec<pg_sys::Datum>,
    pub nulls: Vec<bool>,
}

impl Row {
    /// Is a column's value another one there? `by_value` and `length` are those of its type.
    pub fn differs(&self, there: &Self, index: usize, by_value: bool, length: i16) -> bool {
        match (self.nulls[index], there.nulls[index]) {
            (true, true) => false,
            // SAFETY: two values of one column, neither of them null: both rows were taken apart by one descriptor.
            (false, false) => unsafe { !compat::image_eq(self.values[index], there.values[index], by_value, length) },
            _ => true,
        }
    }

    /// Appends a column's value as JSON, by the writer that was made for its type; `null` for NULL.
    pub fn write(&self, index: usize, writer: &mut JsonWriter, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.nulls[index] {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        // SAFETY: a value of the column, which is not null.
        unsafe { writer.write(out, self.values[index]) }
    }
}

impl Change {
    /// Reads the call; None when the function was not called as an AFTER trigger for a row, or for a TRUNCATE.
    pub fn of(fcinfo: pg_sys::FunctionCallInfo) -> Option<Self> {
        // SAFETY: PostgreSQL passes a valid fcinfo; context is checked to be TriggerData before it is read as such.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return None;
            }
            let data = context.cast::<pg_sys::TriggerData>();
            let event = (*data).tg_event;
            let is_after = event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_AFTER;
            let is_row = event & pg_sys::TRIGGER_EVENT_ROW != 0;
            let deed = match event & pg_sys::TRIGGER_EVENT_OPMASK {
                pg_sys::TRIGGER_EVENT_INSERT => Deed::Insert,
                pg_sys::TRIGGER_EVENT_UPDATE => Deed::Update,
                pg_sys::TRIGGER_EVENT_DELETE => Deed::Delete,
                _ => Deed::Truncate,
            };
            (is_after && is_row == (deed != Deed::Truncate)).then_some(Self { data, deed })
        }
    }

    /// The table; it stays open for longer than this call.
    pub fn table(&self) -> Rel {
        // SAFETY: the executor keeps the relation open during the trigger.
        unsafe { Rel::borrowed((*self.data).tg_relation) }
    }

    /// The row as it was before: of an UPDATE and a DELETE.
    pub fn before(&self) -> Option<Row> {
        // SAFETY: the trigger's own tuple.
        matches!(self.deed, Deed::Update | Deed::Delete).then(|| self.row(unsafe { (*self.data).tg_trigtuple }))
    }

    /// The row as it is now: of an INSERT and an UPDATE.
    pub fn after(&self) -> Option<Row> {
        // SAFETY: the trigger's own tuples.
        let (tuple, new_tuple) = unsafe { ((*self.data).tg_trigtuple, (*self.data).tg_newtuple) };
        match self.deed {
            Deed::Insert => Some(self.row(tuple)),
            Deed::Update => Some(self.row(new_tuple)),
            Deed::Delete | Deed::Truncate => None,
        }
    }

    fn row(&self, tuple: pg_sys::HeapTuple) -> Row {
        // SAFETY: a tuple of the table that the trigger is on.
        unsafe {
            let desc = (*(*self.data).tg_relation).rd_att;
            let width = usize::try_from((*desc).natts).unwrap_or(0);
            let mut row = Row { values: vec![pg_sys::Datum::from(0); width], nulls: vec![true; width] };
            pg_sys::heap_deform_tuple(tuple, desc, row.values.as_mut_ptr(), row.nulls.as_mut_ptr());
            row
        }
    }

    /// The trigger's arguments.
    pub fn args(&self) -> Vec<Vec<u8>> {
        // SAFETY: tgargs holds tgnargs C strings.
        unsafe { super::trigger::args((*self.data).tg_trigger) }
    }

    /// What an AFTER trigger gives back: nothing.
    pub fn done() -> pg_sys::Datum {
        pg_sys::Datum::from(0)
    }
}
