//! A BEFORE INSERT row trigger's call: the row as it came, the row as it goes.

use super::relation::Rel;
use pgrx::pg_sys;

/// One call of a BEFORE INSERT row trigger.
pub struct Insert {
    data: *mut pg_sys::TriggerData,
    flinfo: *mut pg_sys::FmgrInfo,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Insert {
    /// Reads the call; None when the function was not called as a BEFORE INSERT row trigger.
    pub fn new(fcinfo: pg_sys::FunctionCallInfo, mut values: Vec<pg_sys::Datum>, mut nulls: Vec<bool>) -> Option<Self> {
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
            let desc = (*(*data).tg_relation).rd_att;
            let width = usize::try_from((*desc).natts).unwrap_or(0);
            values.clear();
            values.resize(width, pg_sys::Datum::from(0));
            nulls.clear();
            nulls.resize(width, true);
            pg_sys::heap_deform_tuple((*data).tg_trigtuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
            Some(Self { data, flinfo: (*fcinfo).flinfo, values, nulls })
        }
    }

    /// The table; it stays open for longer than this call.
    pub fn table(&self) -> Rel {
        // SAFETY: the executor keeps the relation open during the trigger.
        unsafe { Rel::borrowed((*self.data).tg_relation) }
    }

    /// The table's OID.
    pub fn table_oid(&self) -> pg_sys::Oid {
        // SAFETY: as above.
        unsafe { (*(*self.data).tg_relation).rd_id }
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

    /// The row's values; those that are NULL hold nothing.
    pub fn values(&self) -> &[pg_sys::Datum] {
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

    /// The value of a text column.
    pub fn text(&self, index: usize) -> Option<String> {
        // SAFETY: the caller looked up that the column is text; NULL is None.
        unsafe { pgrx::FromDatum::from_datum(self.values[index], self.nulls[index]) }
    }

    /// Replaces a value; None for NULL.
    pub fn put(&mut self, index: usize, value: Option<pg_sys::Datum>) {
        self.values[index] = value.unwrap_or(pg_sys::Datum::from(0));
        self.nulls[index] = value.is_none();
    }

    /// Replaces a value by a bytea of 32 bytes, allocated in the trigger's own memory context.
    pub fn set_bytes(&mut self, index: usize, bytes: &[u8; 32]) {
        self.set(index, bytea32(bytes));
    }

    /// The row as it came, for PostgreSQL to go on with; and the two buffers for the next call.
    pub fn unchanged(self) -> (pg_sys::Datum, Vec<pg_sys::Datum>, Vec<bool>) {
        // SAFETY: the trigger's own tuple.
        (pg_sys::Datum::from(unsafe { (*self.data).tg_trigtuple }), self.values, self.nulls)
    }

    /// The row with the values set, for PostgreSQL to go on with; and the two buffers for the next call.
    pub fn changed(mut self) -> (pg_sys::Datum, Vec<pg_sys::Datum>, Vec<bool>) {
        // SAFETY: values and nulls have the descriptor's width and hold values of its types.
        let tuple = unsafe {
            let old = (*self.data).tg_trigtuple;
            let new = pg_sys::heap_form_tuple(
                (*(*self.data).tg_relation).rd_att,
                self.values.as_mut_ptr(),
                self.nulls.as_mut_ptr(),
            );
            (*new).t_tableOid = (*old).t_tableOid;
            new
        };
        (pg_sys::Datum::from(tuple), self.values, self.nulls)
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
