//! A BEFORE INSERT row trigger's call: the row as it came, the row as it goes.

use super::relation::Rel;
use super::row::NotaryColumns;
use super::text;
use super::tuple::{Layout, Stamp};
use pgrx::pg_sys;

/// A row's values, as many as its table has attributes.
#[derive(Default)]
pub struct Values {
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Values {
    /// All of them NULL.
    pub fn clear(&mut self, width: usize) {
        self.values.clear();
        self.values.resize(width, pg_sys::Datum::from(0));
        self.nulls.clear();
        self.nulls.resize(width, true);
    }

    /// The values; those that are NULL hold nothing.
    pub fn all(&self) -> &[pg_sys::Datum] {
        &self.values
    }

    /// Which values are NULL.
    pub fn nulls(&self) -> &[bool] {
        &self.nulls
    }

    /// Replaces a value.
    pub fn set(&mut self, index: usize, value: pg_sys::Datum) {
        self.values[index] = value;
        self.nulls[index] = false;
    }

    /// Replaces a value; None for NULL.
    pub fn put(&mut self, index: usize, value: Option<pg_sys::Datum>) {
        self.values[index] = value.unwrap_or(pg_sys::Datum::from(0));
        self.nulls[index] = value.is_none();
    }

    /// Puts a stamp into our columns; its hashes are allocated in the current memory context.
    pub fn stamp(&mut self, columns: &NotaryColumns, stamp: &Stamp) {
        self.set(columns.chain, pg_sys::Datum::from(stamp.chain));
        self.set(columns.seq, pg_sys::Datum::from(stamp.seq));
        self.set(columns.time, pg_sys::Datum::from(stamp.time));
        self.set(columns.prev, bytea32(&stamp.prev));
        self.set(columns.hash, bytea32(&stamp.hash));
    }

    /// The value of a text column.
    pub fn text(&self, index: usize) -> Option<String> {
        // SAFETY: the caller looked up that the column is text; NULL is None.
        unsafe { pgrx::FromDatum::from_datum(self.values[index], self.nulls[index]) }
    }

    /// Is the text column's value this one? None for NULL.
    pub fn is_text(&self, index: usize, wanted: &str) -> Option<bool> {
        if self.nulls[index] {
            return None;
        }
        // SAFETY: the caller looked up that the column is text; the bytes are looked at while the row is there.
        match unsafe { text::bytes(self.values[index]) } {
            Some(bytes) => Some(bytes == wanted.as_bytes()),
            None => self.text(index).map(|text| text == wanted),
        }
    }

    /// The values and which of them are NULL, for PostgreSQL.
    pub fn raw(&mut self) -> (*mut pg_sys::Datum, *mut bool) {
        (self.values.as_mut_ptr(), self.nulls.as_mut_ptr())
    }
}

/// One call of a BEFORE INSERT row trigger.
pub struct Insert {
    data: *mut pg_sys::TriggerData,
    flinfo: *mut pg_sys::FmgrInfo,
    /// The row.
    pub row: Values,
}

impl Insert {
    /// Reads the call and its row; None when the function was not called as a BEFORE INSERT row trigger.
    pub fn new(fcinfo: pg_sys::FunctionCallInfo, row: Values) -> Option<Self> {
        let mut insert = Self::unread(fcinfo, row)?;
        insert.read(None);
        Some(insert)
    }

    /// Reads the call, but not yet its row.
    pub fn unread(fcinfo: pg_sys::FunctionCallInfo, row: Values) -> Option<Self> {
        // SAFETY: PostgreSQL passes a valid fcinfo; context is checked to be TriggerData before it is read as such.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return None;
            }
            let data = context.cast::<pg_sys::TriggerData>();
            let wanted = pg_sys::TRIGGER_EVENT_INSERT | pg_sys::TRIGGER_EVENT_ROW | pg_sys::TRIGGER_EVENT_BEFORE;
            let mask = pg_sys::TRIGGER_EVENT_OPMASK | pg_sys::TRIGGER_EVENT_ROW | pg_sys::TRIGGER_EVENT_TIMINGMASK;
            if (*data).tg_event & mask != wanted {
                return None;
            }
            Some(Self { data, flinfo: (*fcinfo).flinfo, row })
        }
    }

    /// Reads the row, by its table's layout where that is known.
    pub fn read(&mut self, layout: Option<&Layout>) {
        // SAFETY: the trigger's own tuple, of its table's descriptor, and room for as many values as that has attributes; a
        // layout is made anew whenever the descriptor changes.
        unsafe {
            let tuple = (*self.data).tg_trigtuple;
            if layout.is_some_and(|layout| layout.take_apart(tuple, &mut self.row)) {
                return;
            }
            let desc = (*(*self.data).tg_relation).rd_att;
            self.row.clear(usize::try_from((*desc).natts).unwrap_or(0));
            pg_sys::heap_deform_tuple(tuple, desc, self.row.values.as_mut_ptr(), self.row.nulls.as_mut_ptr());
        }
    }

    /// The row with a stamp in our columns, which are NULL, for PostgreSQL to go on with.
    pub fn stamped(&mut self, layout: Option<&Layout>, columns: &NotaryColumns, stamp: &Stamp) -> pg_sys::Datum {
        // SAFETY: as above, and the row was read.
        let tuple = unsafe {
            let desc = (*(*self.data).tg_relation).rd_att;
            layout.and_then(|layout| layout.stamp(desc, (*self.data).tg_trigtuple, &self.row.nulls, stamp))
        };
        match tuple {
            Some(tuple) => pg_sys::Datum::from(tuple),
            None => {
                self.row.stamp(columns, stamp);
                self.form()
            }
        }
    }

    /// The table; it stays open for longer than this call.
    pub fn table(&self) -> Rel {
        // SAFETY: the executor keeps the relation open during the trigger.
        unsafe { Rel::borrowed((*self.data).tg_relation) }
    }

    /// The trigger's arguments.
    pub fn args(&self) -> Vec<Vec<u8>> {
        // SAFETY: the executor's own trigger.
        unsafe { args((*self.data).tg_trigger) }
    }

    /// What tells one statement's calls from another's while either is under way.
    pub fn caller(&self) -> usize {
        self.flinfo.addr()
    }

    /// Begins to watch the calling statement, by the memory context that the executor looked its triggers' functions up
    /// in: that of the query, which goes when the statement ends.
    pub fn watch_statement(&self) -> super::context::Statement {
        // SAFETY: flinfo is set for every call through the function manager, and its context outlives the call.
        unsafe { super::context::Statement::watch((*self.flinfo).fn_mcxt) }
    }

    /// The row as it came, for PostgreSQL to go on with; and the buffer for the next call.
    pub fn unchanged(self) -> (pg_sys::Datum, Values) {
        (self.as_it_came(), self.row)
    }

    /// The row with the values set, for PostgreSQL to go on with; and the buffer for the next call.
    pub fn changed(mut self) -> (pg_sys::Datum, Values) {
        (self.form(), self.row)
    }

    /// The row as it came, for PostgreSQL to go on with.
    pub fn as_it_came(&self) -> pg_sys::Datum {
        // SAFETY: the trigger's own tuple.
        pg_sys::Datum::from(unsafe { (*self.data).tg_trigtuple })
    }

    fn form(&mut self) -> pg_sys::Datum {
        // SAFETY: values and nulls have the descriptor's width and hold values of its types.
        let tuple = unsafe {
            let old = (*self.data).tg_trigtuple;
            let (values, nulls) = self.row.raw();
            let new = pg_sys::heap_form_tuple((*(*self.data).tg_relation).rd_att, values, nulls);
            (*new).t_tableOid = (*old).t_tableOid;
            new
        };
        pg_sys::Datum::from(tuple)
    }
}

/// A trigger's arguments.
///
/// # Safety
/// A live trigger.
pub unsafe fn args(trigger: *const pg_sys::Trigger) -> Vec<Vec<u8>> {
    // SAFETY: tgargs holds tgnargs C strings.
    unsafe {
        let trigger = &*trigger;
        (0..usize::try_from(trigger.tgnargs).unwrap_or(0))
            .map(|i| std::ffi::CStr::from_ptr(*trigger.tgargs.add(i)).to_bytes().to_vec())
            .collect()
    }
}

/// The table and the event (UPDATE, DELETE, TRUNCATE, INSERT) of a trigger's call; None when the function was not called
/// as a trigger.
pub fn fired(fcinfo: pg_sys::FunctionCallInfo) -> Option<(pg_sys::Oid, &'static str)> {
    // SAFETY: PostgreSQL passes a valid fcinfo; context is checked to be TriggerData before it is read as such.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            return None;
        }
        let data = &*context.cast::<pg_sys::TriggerData>();
        let event = match data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_UPDATE => "UPDATE",
            pg_sys::TRIGGER_EVENT_DELETE => "DELETE",
            pg_sys::TRIGGER_EVENT_TRUNCATE => "TRUNCATE",
            _ => "INSERT",
        };
        Some(((*data.tg_relation).rd_id, event))
    }
}

/// A bytea of 32 bytes, allocated in the current memory context.
pub fn bytea32(bytes: &[u8; 32]) -> pg_sys::Datum {
    const SIZE: usize = 32 + 4;
    // SAFETY: a freshly allocated varlena with a 4-byte header and exactly SIZE bytes.
    unsafe {
        let raw = pg_sys::palloc(SIZE).cast::<u8>();
        pgrx::set_varsize_4b(raw.cast(), SIZE as i32);
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), raw.add(4), 32);
        pg_sys::Datum::from(raw)
    }
}

/// The OID of the function `notary.<name>()` that returns a trigger, if it exists.
pub fn function(name: &std::ffi::CStr) -> Option<pg_sys::Oid> {
    let schema = super::relation::schema_oid(c"notary")?;
    // SAFETY: a syscache look-up by (name, argument types, schema); the empty vector is palloc'd.
    let oid = unsafe {
        let no_args = pg_sys::buildoidvector(core::ptr::null(), 0);
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as i16,
            pg_sys::Datum::from(name.as_ptr()),
            pg_sys::Datum::from(no_args),
            pg_sys::Datum::from(schema),
            pg_sys::Datum::from(0),
        )
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}
