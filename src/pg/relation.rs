//! An open relation and what its relcache entry says.

use super::compat;
use pgrx::pg_sys;
use std::ffi::CStr;

/// An open relation; closed (its lock kept to the end of the transaction) when dropped.
pub struct Rel {
    raw: pg_sys::Relation,
    close: bool,
}

/// A trigger as the relcache has it, disabled ones included.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The trigger's name.
    pub name: String,
    /// The function it calls.
    pub function: pg_sys::Oid,
    /// TRIGGER_TYPE_* bits.
    pub kind: i16,
    /// `O`, `D`, `R` or `A` (always).
    pub enabled: u8,
    /// Has a WHEN condition or a column list, so that it may not fire.
    pub conditional: bool,
    /// PostgreSQL made it itself, for a constraint.
    pub internal: bool,
    /// PostgreSQL made it itself, for a partition.
    pub cloned: bool,
    /// The arguments.
    pub args: Vec<Vec<u8>>,
}

impl Trigger {
    fn has(&self, bits: u32) -> bool {
        u32::try_from(self.kind).is_ok_and(|kind| kind & bits == bits)
    }
    /// Fires for each row, before.
    pub fn before_row(&self) -> bool {
        self.has(pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_ROW)
    }
    /// Fires on INSERT.
    pub fn on_insert(&self) -> bool {
        self.has(pg_sys::TRIGGER_TYPE_INSERT)
    }
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Attribute number, from 1.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: pg_sys::Oid,
    /// Its type modifier.
    pub typmod: i32,
    /// Its collation, or InvalidOid.
    pub collation: pg_sys::Oid,
    /// GENERATED … AS (…): stored or virtual.
    pub generated: bool,
    /// GENERATED … AS (…) VIRTUAL: rows do not hold it.
    pub is_virtual: bool,
    /// Passed by value.
    pub by_value: bool,
    /// Its type's length.
    pub length: i16,
    /// GENERATED … AS IDENTITY.
    pub identity: bool,
    /// NOT NULL.
    pub not_null: bool,
    /// Rows from before ADD COLUMN … DEFAULT read a value that no row holds.
    pub missing_value: bool,
    /// Has a default.
    pub has_default: bool,
}

impl Column {
    /// Where it is among a row's values: from 0.
    pub fn index(&self) -> usize {
        // Attributes of users are numbered from 1.
        usize::try_from(self.number - 1).unwrap_or(0)
    }
}

impl Rel {
    /// Opens with a lock, waiting for it. Raises when there is no such relation.
    pub fn open(relid: pg_sys::Oid, lock: u32) -> Self {
        // SAFETY: relation_open raises rather than return null; reference and lock belong to the resource owner.
        Self { raw: unsafe { pg_sys::relation_open(relid, lock as pg_sys::LOCKMODE) }, close: true }
    }

    /// Opens unless it is gone.
    pub fn try_open(relid: pg_sys::Oid, lock: u32) -> Option<Self> {
        // SAFETY: returns null when the relation does not exist.
        let raw = unsafe { pg_sys::try_relation_open(relid, lock as pg_sys::LOCKMODE) };
        (!raw.is_null()).then(|| Self { raw, close: true })
    }

    /// Borrows a relation that somebody else keeps open for longer than the returned value lives.
    ///
    /// # Safety
    /// `raw` is open and stays so.
    pub unsafe fn borrowed(raw: pg_sys::Relation) -> Self {
        Self { raw, close: false }
    }

    /// The raw relation, valid while `self` lives.
    pub fn raw(&self) -> pg_sys::Relation {
        self.raw
    }

    fn data(&self) -> &pg_sys::RelationData {
        // SAFETY: open for as long as self lives.
        unsafe { &*self.raw }
    }

    fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: rd_rel is set for every open relation.
        unsafe { &*self.data().rd_rel }
    }

    /// Its OID.
    pub fn oid(&self) -> pg_sys::Oid {
        self.data().rd_id
    }

    /// Its name, without schema.
    pub fn name(&self) -> String {
        name(&self.class().relname)
    }

    /// Its schema's name.
    pub fn schema(&self) -> String {
        // SAFETY: a syscache look-up returning a palloc'd name, or null for a schema that is gone.
        let raw = unsafe { pg_sys::get_namespace_name(self.class().relnamespace) };
        c_string(raw)
    }

    /// `schema.table`, quoted where needed.
    pub fn qualified(&self) -> String {
        super::spi::quote_qualified(&self.schema(), &self.name())
    }

    /// pg_class.relkind.
    pub fn kind(&self) -> u8 {
        self.class().relkind as u8
    }
    /// pg_class.relpersistence: `p`, `u` or `t`.
    pub fn persistence(&self) -> u8 {
        self.class().relpersistence as u8
    }
    /// Its TOAST table's OID, or InvalidOid.
    pub fn toast(&self) -> pg_sys::Oid {
        self.class().reltoastrelid
    }
    /// The access method's OID.
    pub fn access_method(&self) -> pg_sys::Oid {
        self.class().relam
    }
    /// The owner.
    pub fn owner(&self) -> pg_sys::Oid {
        self.class().relowner
    }
    /// Is it a partition?
    pub fn is_partition(&self) -> bool {
        self.class().relispartition
    }
    /// Is it a partitioned table?
    pub fn is_partitioned(&self) -> bool {
        self.kind() == pg_sys::RELKIND_PARTITIONED_TABLE
    }
    /// Is it a table, plain or partitioned?
    pub fn is_table(&self) -> bool {
        matches!(self.kind(), pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE)
    }
    /// The composite type that a typed table was made OF, or InvalidOid.
    pub fn of_type(&self) -> pg_sys::Oid {
        self.class().reloftype
    }
    /// The live columns.
    pub fn columns(&self) -> Vec<Column> {
        let desc = self.data().rd_att;
        // SAFETY: an open relation's descriptor; indexes below natts.
        let attributes =
            unsafe { (0..usize::try_from((*desc).natts).unwrap_or(0)).map(|i| compat::attribute(desc, i)) };
        attributes
            .filter(|a| !a.attisdropped)
            .map(|a| Column {
                number: a.attnum,
                name: name(&a.attname),
                type_oid: a.atttypid,
                typmod: a.atttypmod,
                collation: a.attcollation,
                generated: a.attgenerated != 0,
                is_virtual: a.attgenerated as u8 == b'v',
                by_value: a.attbyval,
                length: a.attlen,
                identity: a.attidentity != 0,
                not_null: a.attnotnull,
                missing_value: a.atthasmissing,
                has_default: a.atthasdef,
            })
            .collect()
    }

    /// The indexes (from 0) of dropped attributes.
    pub fn dropped(&self) -> Vec<usize> {
        let desc = self.data().rd_att;
        // SAFETY: indexes below natts.
        (0..self.attribute_count()).filter(|i| unsafe { compat::attribute(desc, *i) }.attisdropped).collect()
    }

    /// Raises unless nothing else in this session uses the table (an open cursor, pending trigger events).
    pub fn check_not_in_use(&self, what: &std::ffi::CStr) {
        // SAFETY: an open relation with one reference, ours.
        unsafe { pg_sys::CheckTableNotInUse(self.raw, what.as_ptr()) };
    }

    /// The number of attributes, dropped ones included.
    pub fn attribute_count(&self) -> usize {
        // SAFETY: an open relation has a descriptor.
        usize::try_from(unsafe { (*self.data().rd_att).natts }).unwrap_or(0)
    }

    /// The triggers in the order in which they fire.
    pub fn triggers(&self) -> Vec<Trigger> {
        let desc = self.data().trigdesc;
        if desc.is_null() {
            return Vec::new();
        }
        // SAFETY: trigdesc holds numtriggers triggers, each with tgnargs arguments that are C strings.
        unsafe {
            let count = usize::try_from((*desc).numtriggers).unwrap_or(0);
            (0..count)
                .map(|i| {
                    let t = &*(*desc).triggers.add(i);
                    Trigger {
                        name: c_string(t.tgname),
                        function: t.tgfoid,
                        kind: t.tgtype,
                        enabled: t.tgenabled as u8,
                        conditional: !t.tgqual.is_null() || t.tgnattr > 0,
                        internal: t.tgisinternal,
                        cloned: t.tgisclone,
                        args: (0..usize::try_from(t.tgnargs).unwrap_or(0))
                            .map(|k| CStr::from_ptr(*t.tgargs.add(k)).to_bytes().to_vec())
                            .collect(),
                    }
                })
                .collect()
        }
    }

    /// The OIDs of its indexes.
    pub fn indexes(&self) -> Vec<pg_sys::Oid> {
        // SAFETY: returns a fresh list.
        compat::oids(unsafe { pg_sys::RelationGetIndexList(self.raw) })
    }

    /// pg_class.relhastriggers: when false, PostgreSQL fires none.
    pub fn has_triggers(&self) -> bool {
        self.class().relhastriggers
    }
    /// pg_class.relhasindex: when false, PostgreSQL keeps none up.
    pub fn has_index(&self) -> bool {
        self.class().relhasindex
    }

    /// Its main fork's length in blocks.
    pub fn blocks(&self) -> u32 {
        // SAFETY: an open relation with storage.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.raw, pg_sys::ForkNumber::MAIN_FORKNUM) }
    }
}

impl Drop for Rel {
    fn drop(&mut self) {
        if self.close && !std::thread::panicking() {
            // SAFETY: opened by us; the lock stays to the end of the transaction.
            unsafe { pg_sys::relation_close(self.raw, pg_sys::NoLock as pg_sys::LOCKMODE) };
        }
    }
}

/// A NameData as a string.
pub fn name(data: &pg_sys::NameData) -> String {
    // SAFETY: NameData is NUL-terminated.
    unsafe { CStr::from_ptr(data.data.as_ptr()) }.to_string_lossy().into_owned()
}

/// A C string that PostgreSQL returned, empty for null.
pub fn c_string(raw: *const core::ffi::c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: non-null and NUL-terminated by PostgreSQL.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

/// A type's name as `format_type` prints it with nothing but pg_catalog in the search path: built-in types without a
/// schema, all others with theirs, whatever the session's search_path and quote_all_identifiers are.
pub fn type_name(type_oid: pg_sys::Oid, typmod: i32) -> String {
    let _plain = super::spi::PlainNames::begin();
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
    // SAFETY: returns a palloc'd string.
    let name = c_string(unsafe { pg_sys::format_type_extended(type_oid, typmod, flags as pg_sys::bits16) });
    name.strip_prefix("pg_catalog.").map(str::to_owned).unwrap_or(name)
}

/// A role's name, or its number when it is gone.
pub fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: with noerr, returns null for a role that is gone.
    let raw = unsafe { pg_sys::GetUserNameFromId(role, true) };
    if raw.is_null() { role.to_u32().to_string() } else { c_string(raw) }
}

/// The OID of a schema, if it exists.
pub fn schema_oid(name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: with missing_ok a syscache look-up that does not raise.
    let oid = unsafe { pg_sys::get_namespace_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// Tells all backends, at the end of the transaction, that the relation's definition changed.
pub fn invalidate(relid: pg_sys::Oid) {
    // SAFETY: a relation that exists, inside a transaction.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relid) };
}
