//! Rows of the system catalogs by column name, as they were before the command under way and as it has left them.
//!
//! `object_access_hook` runs after a catalog was changed and before the command counter moves, so both can be read:
//! a catalog snapshot still shows the old row, SnapshotSelf the new one. No relation but the catalog is opened.

use super::compat;
use super::relation;
use pgrx::pg_sys;

/// Which state of the catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As the last finished command left them.
    Before,
    /// With everything that the command under way has done so far.
    After,
}

/// A way into a catalog: an index and the columns it is asked for, in its order; without an index (0) all of the catalog
/// is read.
pub struct Path {
    catalog: u32,
    index: u32,
    columns: &'static [&'static str],
}

/// pg_class by OID.
pub const CLASS: Path = path(1259, 2662, &["oid"]);
/// pg_attribute by table.
pub const COLUMNS: Path = path(1249, 2659, &["attrelid"]);
/// pg_attribute by table and number.
pub const COLUMN: Path = path(1249, 2659, &["attrelid", "attnum"]);
/// pg_trigger by table.
pub const TRIGGERS: Path = path(2620, 2701, &["tgrelid"]);
/// pg_trigger by OID.
pub const TRIGGER: Path = path(2620, 2702, &["oid"]);
/// pg_trigger by function, which reads all of it.
pub const TRIGGERS_CALLING: Path = path(2620, 0, &["tgfoid"]);
/// pg_index by table.
pub const INDEXES: Path = path(2610, 2678, &["indrelid"]);
/// pg_index by index.
pub const INDEX: Path = path(2610, 2679, &["indexrelid"]);
/// pg_constraint by OID.
pub const CONSTRAINT: Path = path(2606, 2667, &["oid"]);
/// pg_rewrite by OID.
pub const RULE: Path = path(2618, 2692, &["oid"]);
/// pg_inherits by child.
pub const PARENTS: Path = path(2611, 2680, &["inhrelid"]);
/// pg_type by OID.
pub const TYPE: Path = path(1247, 2703, &["oid"]);
/// pg_collation by OID.
pub const COLLATION: Path = path(3456, 3085, &["oid"]);
/// pg_enum by type.
pub const LABELS: Path = path(3501, 3503, &["enumtypid"]);
/// pg_namespace by OID.
pub const SCHEMA: Path = path(2615, 2685, &["oid"]);
/// pg_proc by OID.
pub const FUNCTION: Path = path(1255, 2690, &["oid"]);
/// pg_extension by OID.
pub const EXTENSION: Path = path(3079, 3080, &["oid"]);
/// pg_depend by what depends.
pub const NEEDS: Path = path(2608, 2673, &["classid", "objid"]);
/// pg_depend by what is depended on.
pub const NEEDED_BY: Path = path(2608, 2674, &["refclassid", "refobjid"]);

const fn path(catalog: u32, index: u32, columns: &'static [&'static str]) -> Path {
    Path { catalog, index, columns }
}

/// A value to look for.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    /// An OID.
    Oid(pg_sys::Oid),
    /// A column's number.
    Number(i16),
}

impl From<pg_sys::Oid> for Key {
    fn from(oid: pg_sys::Oid) -> Self {
        Self::Oid(oid)
    }
}

/// One row, while the scan stands at it.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Row {
    /// The column's value; None for NULL, and for a column that this server version does not have.
    fn value(&self, column: &str) -> Option<pg_sys::Datum> {
        position(self.desc, column).filter(|i| !self.nulls[*i]).map(|i| self.values[i])
    }

    /// Where this version of the row is: another one after every change.
    pub fn version(&self) -> u64 {
        // SAFETY: the tuple that the scan stands at.
        pgrx::itemptr::item_pointer_to_u64(unsafe { (*self.tuple).t_self })
    }

    /// An oid column; InvalidOid where it has no value.
    pub fn oid(&self, column: &str) -> pg_sys::Oid {
        #[allow(clippy::cast_possible_truncation)] // an oid Datum holds its value in the low bytes
        self.value(column).map_or(pg_sys::InvalidOid, |v| pg_sys::Oid::from_u32(v.value() as u32))
    }

    /// A bool column.
    pub fn is(&self, column: &str) -> bool {
        self.value(column).is_some_and(|v| v.value() & 0xff != 0)
    }

    /// A "char" column; 0 where it is empty.
    pub fn letter(&self, column: &str) -> u8 {
        #[allow(clippy::cast_possible_truncation)] // a "char" Datum holds its value in the low byte
        self.value(column).map_or(0, |v| v.value() as u8)
    }

    /// An int2 or int4 column.
    pub fn number(&self, column: &str) -> i32 {
        #[allow(clippy::cast_possible_truncation)] // both are sign-extended into a Datum
        self.value(column).map_or(0, |v| v.value() as i32)
    }

    /// A name column.
    pub fn name(&self, column: &str) -> String {
        self.value(column).map_or_else(String::new, |v| {
            // SAFETY: asked for name columns only; the value points into the row that the scan stands at.
            relation::name(unsafe { &*v.cast_mut_ptr::<pg_sys::NameData>() })
        })
    }

    /// A text or pg_node_tree column.
    pub fn text(&self, column: &str) -> String {
        self.value(column).map_or_else(String::new, |v| {
            // SAFETY: asked for such columns only; TextDatumGetCString detoasts and returns a palloc'd string.
            relation::c_string(unsafe { pg_sys::text_to_cstring(v.cast_mut_ptr()) })
        })
    }

    /// An int2vector column.
    pub fn numbers(&self, column: &str) -> Vec<i16> {
        self.value(column).map_or_else(Vec::new, |v| {
            // SAFETY: asked for int2vector columns only, which are stored plain; dim1 members are there.
            unsafe {
                let vector = &*v.cast_mut_ptr::<pg_sys::int2vector>();
                vector.values.as_slice(usize::try_from(vector.dim1).unwrap_or(0)).to_vec()
            }
        })
    }

    /// An oidvector column.
    pub fn oids(&self, column: &str) -> Vec<pg_sys::Oid> {
        self.value(column).map_or_else(Vec::new, |v| {
            // SAFETY: asked for oidvector columns only, which are stored plain; dim1 members are there.
            unsafe {
                let vector = &*v.cast_mut_ptr::<pg_sys::oidvector>();
                vector.values.as_slice(usize::try_from(vector.dim1).unwrap_or(0)).to_vec()
            }
        })
    }

    /// A smallint[] column.
    pub fn small_ints(&self, column: &str) -> Vec<i16> {
        self.value(column).map_or_else(Vec::new, |v| {
            // SAFETY: asked for catalog columns of one dimension and without NULLs only, which are laid out as an
            // int2vector is once they are detoasted.
            unsafe {
                let vector = &*pg_sys::pg_detoast_datum(v.cast_mut_ptr()).cast::<pg_sys::int2vector>();
                vector.values.as_slice(usize::try_from(vector.dim1).unwrap_or(0)).to_vec()
            }
        })
    }

    /// Is the column NULL?
    pub fn is_null(&self, column: &str) -> bool {
        self.value(column).is_none()
    }
}

fn position(desc: pg_sys::TupleDesc, column: &str) -> Option<usize> {
    // SAFETY: the descriptor of an open catalog; indexes below natts.
    unsafe {
        (0..usize::try_from((*desc).natts).unwrap_or(0)).find(|i| {
            std::ffi::CStr::from_ptr(compat::attribute(desc, *i).attname.data.as_ptr()).to_bytes() == column.as_bytes()
        })
    }
}

/// All rows under the keys, through `map`.
pub fn rows<T>(path: &Path, keys: &[Key], view: View, mut map: impl FnMut(&Row) -> T) -> Vec<T> {
    let mut found = Vec::new();
    scan(path, keys, view, &mut |row| found.push(map(row)));
    found
}

/// The row under the keys of a unique path.
pub fn row<T>(path: &Path, key: impl Into<Key>, view: View, map: impl Fn(&Row) -> T) -> Option<T> {
    rows(path, &[key.into()], view, map).into_iter().next()
}

fn scan(path: &Path, keys: &[Key], view: View, each: &mut dyn FnMut(&Row)) {
    // SAFETY: an ordinary scan of a catalog: relation and scan belong to the resource owner should anything raise.
    // A null snapshot means a catalog snapshot. Each tuple is taken apart by the catalog's own descriptor and used before
    // the scan moves on.
    unsafe {
        let catalog = pg_sys::table_open(path.catalog.into(), pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let desc = (*catalog).rd_att;
        let mut scan_keys: Vec<_> = keys
            .iter()
            .zip(path.columns)
            .filter_map(|(key, column)| Some(scan_key(position(desc, column)?, *key)))
            .collect();
        let snapshot = match view {
            View::Before => core::ptr::null_mut(),
            View::After => &raw mut pg_sys::SnapshotSelfData,
        };
        let width = usize::try_from((*desc).natts).unwrap_or(0);
        let mut row = Row {
            tuple: core::ptr::null_mut(),
            desc,
            values: vec![pg_sys::Datum::from(0); width],
            nulls: vec![true; width],
        };
        let count = i32::try_from(scan_keys.len()).unwrap_or(0);
        let by_index = path.index != 0;
        let scan =
            pg_sys::systable_beginscan(catalog, path.index.into(), by_index, snapshot, count, scan_keys.as_mut_ptr());
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            row.tuple = tuple;
            pg_sys::heap_deform_tuple(tuple, desc, row.values.as_mut_ptr(), row.nulls.as_mut_ptr());
            each(&row);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    }
}

fn scan_key(position: usize, key: Key) -> pg_sys::ScanKeyData {
    let (function, value) = match key {
        Key::Oid(oid) => (pg_sys::F_OIDEQ, pg_sys::Datum::from(oid)),
        Key::Number(number) => (pg_sys::F_INT2EQ, pg_sys::Datum::from(number)),
    };
    let mut filled = pg_sys::ScanKeyData::default();
    #[allow(clippy::cast_possible_truncation)] // strategies are 1 to 5
    // SAFETY: fills the key; the function is a built-in one for the column's type.
    unsafe {
        pg_sys::ScanKeyInit(
            &mut filled,
            i16::try_from(position + 1).unwrap_or(0),
            pg_sys::BTEqualStrategyNumber as u16,
            function.into(),
            value,
        );
    }
    filled
}

/// Does the relation have triggers at all, internal ones included? From the syscache: the quick way to see that a
/// relation is no log.
pub fn has_triggers(relid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up; the tuple is read before it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
        if tuple.is_null() {
            return false;
        }
        let class = pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_class>(tuple);
        let has = (*class).relhastriggers;
        pg_sys::ReleaseSysCache(tuple);
        has
    }
}

/// `schema.table`, quoted where needed, of a relation that exists.
pub fn qualified(relid: pg_sys::Oid) -> String {
    // SAFETY: syscache look-ups that return null for what is not there.
    let (schema, name) =
        unsafe { (pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relid)), pg_sys::get_rel_name(relid)) };
    super::spi::quote_qualified(&relation::c_string(schema), &relation::c_string(name))
}

/// Is the relation a partition?
pub fn is_partition(relid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up, false for what is not there.
    unsafe { pg_sys::get_rel_relispartition(relid) }
}

/// pg_class.relkind, 0 for what is not there.
pub fn kind(relid: pg_sys::Oid) -> u8 {
    // SAFETY: a syscache look-up.
    (unsafe { pg_sys::get_rel_relkind(relid) }).cast_unsigned()
}

/// A relation's schema, or InvalidOid for what is not there.
pub fn schema(relid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a syscache look-up.
    unsafe { pg_sys::get_rel_namespace(relid) }
}

/// The schema of a function that the command under way did not make, or InvalidOid.
pub fn function_schema(function: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a syscache look-up.
    unsafe { pg_sys::get_func_namespace(function) }
}

/// The OID of an extension, if it is there.
pub fn extension(name: &std::ffi::CStr) -> Option<pg_sys::Oid> {
    // SAFETY: with missing_ok a look-up that does not raise.
    let oid = unsafe { pg_sys::get_extension_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// An extension's owner.
pub fn extension_owner(extension: pg_sys::Oid) -> Option<pg_sys::Oid> {
    row(&EXTENSION, extension, View::Before, |row| row.oid("extowner"))
}

/// Does the object belong to the extension?
pub fn is_member(class: pg_sys::Oid, object: pg_sys::Oid, extension: pg_sys::Oid) -> bool {
    rows(&NEEDS, &[Key::Oid(class), Key::Oid(object)], View::Before, |row| {
        row.letter("deptype") == b'e' && row.oid("refobjid") == extension
    })
    .contains(&true)
}

/// The extension whose script (CREATE or ALTER EXTENSION … UPDATE) runs now, if one does.
pub fn extension_being_made() -> Option<pg_sys::Oid> {
    // SAFETY: plain variables of this backend.
    unsafe { pg_sys::creating_extension.then_some(pg_sys::CurrentExtensionObject) }
}
