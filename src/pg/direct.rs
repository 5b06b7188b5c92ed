//! A row goes into a plain table and its indexes without the executor: for rows that are written one by one in the middle of
//! other statements, where making the executor ready costs several times what the row does.
//!
//! Invariants:
//! * It is done for tables only where the executor would do nothing else: no triggers but those that the caller stands in
//!   for, no CHECK constraints, no generated columns, and indexes whose values and conditions are understood here.
//! * Whatever else there is, now or after the next DDL, makes the caller go by `insert`.

use super::compat;
use super::relation::Rel;
use super::trigger::Values;
use pgrx::pg_sys;

/// An expression of an index whose value the caller makes: a function over columns, or over their texts.
pub struct Known {
    /// The function.
    pub function: pg_sys::Oid,
    /// Its arguments: indexes of columns from 0.
    pub arguments: Vec<usize>,
}

/// How rows get into one table.
pub struct Direct {
    indexes: Vec<Index>,
}

struct Index {
    oid: pg_sys::Oid,
    keys: Vec<Key>,
    unique: bool,
    condition: Condition,
}

/// What an index holds of a row.
enum Key {
    Column(usize),
    Known,
}

/// Which rows an index holds.
enum Condition {
    All,
    NotNull(usize),
    True(usize),
    TextDiffers(usize, String),
}

impl Direct {
    /// Looks at a table; None where the executor has to be asked. `triggers`: the functions of the BEFORE INSERT row triggers
    /// that the caller stands in for, in the order in which they fire.
    pub fn of(rel: &Rel, triggers: &[pg_sys::Oid], known: &Known) -> Option<Self> {
        let columns = rel.columns();
        let is_plain = rel.kind() == pg_sys::RELKIND_RELATION
            && !rel.is_partition()
            && rel.access_method() == pg_sys::HEAP_TABLE_AM_OID
            && !columns.iter().any(|column| column.generated)
            && !compat::has_checks(rel);
        let on_insert: Vec<_> = rel.triggers().into_iter().filter(|trigger| trigger.on_insert()).collect();
        let stands_in = on_insert.iter().map(|trigger| trigger.function).eq(triggers.iter().copied())
            && on_insert.iter().all(|t| t.before_row() && t.enabled == b'A' && !t.conditional);
        if !is_plain || !stands_in {
            return None;
        }
        let indexes = rel.indexes().into_iter().map(|oid| Index::of(oid, known)).collect::<Option<_>>()?;
        Some(Self { indexes })
    }

    /// Puts a row into the table, which is open with RowExclusiveLock. The values are of the table's types, those that are
    /// NOT NULL are there, and defaults are filled in; `make` makes the value of the known expression.
    pub fn insert(&self, rel: &Rel, row: &mut Values, make: impl FnOnce(&Values) -> pg_sys::Datum) {
        let made = if self.indexes.iter().any(Index::has_known) { make(row) } else { pg_sys::Datum::from(0) };
        let raw = rel.raw();
        let holds: Vec<bool> = self.indexes.iter().map(|index| index.condition.holds(row)).collect();
        let (values, nulls) = row.raw();
        // SAFETY: an open heap table, values of its types; the indexes are its own, opened as the executor opens them. The
        // tuple is formed in the current memory context. What is on the closure's stack when PostgreSQL jumps out of it needs
        // no Drop, and nothing in it panics.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let tuple = heap_form_tuple((*raw).rd_att, values, nulls);
                (*tuple).t_tableOid = (*raw).rd_id;
                heap_insert(raw, tuple, GetCurrentCommandId(true), 0, core::ptr::null_mut());
                for (index, holds) in self.indexes.iter().zip(&holds) {
                    if *holds {
                        index.insert(raw, (values, nulls), &raw mut (*tuple).t_self, made);
                    }
                }
                heap_freetuple(tuple);
            });
        }
    }
}

// As pgrx has them, but for what it does at each call to catch an error: that is done once for all of them.
unsafe extern "C-unwind" {
    fn heap_form_tuple(desc: pg_sys::TupleDesc, values: *mut pg_sys::Datum, nulls: *mut bool) -> pg_sys::HeapTuple;
    fn heap_insert(
        rel: pg_sys::Relation,
        tuple: pg_sys::HeapTuple,
        command: pg_sys::CommandId,
        options: core::ffi::c_int,
        state: pg_sys::BulkInsertState,
    );
    fn heap_freetuple(tuple: pg_sys::HeapTuple);
    fn GetCurrentCommandId(used: bool) -> pg_sys::CommandId;
    fn index_open(index: pg_sys::Oid, lock: pg_sys::LOCKMODE) -> pg_sys::Relation;
    fn index_insert(
        index: pg_sys::Relation,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
        tid: pg_sys::ItemPointer,
        table: pg_sys::Relation,
        unique: pg_sys::IndexUniqueCheck::Type,
        unchanged: bool,
        info: *mut pg_sys::IndexInfo,
    ) -> bool;
    fn index_close(index: pg_sys::Relation, lock: pg_sys::LOCKMODE);
    fn palloc0(size: pg_sys::Size) -> *mut core::ffi::c_void;
    fn pfree(pointer: *mut core::ffi::c_void);
}

impl Condition {
    fn holds(&self, row: &Values) -> bool {
        match self {
            Self::All => true,
            Self::NotNull(column) => !row.nulls()[*column],
            Self::True(column) => !row.nulls()[*column] && row.all()[*column].value() & 0xff != 0,
            Self::TextDiffers(column, from) => row.is_text(*column, from) == Some(false),
        }
    }
}

/// The most columns of an index.
const MAX_KEYS: usize = pg_sys::INDEX_MAX_KEYS as usize;

impl Index {
    fn of(oid: pg_sys::Oid, known: &Known) -> Option<Self> {
        let rel = Rel::open(oid, pg_sys::AccessShareLock);
        let raw = rel.raw();
        // SAFETY: an open index has its row of pg_index; the lists are fresh copies of node trees.
        unsafe {
            let form = &*(*raw).rd_index;
            let method = rel.access_method();
            let is_plain = form.indisvalid
                && form.indisready
                && form.indislive
                && form.indimmediate
                && !form.indisexclusion
                && (method == pg_sys::BTREE_AM_OID || method == pg_sys::GIN_AM_OID || method == pg_sys::HASH_AM_OID);
            let expressions = compat::nodes(pg_sys::RelationGetIndexExpressions(raw));
            let condition = Condition::of(&compat::nodes(pg_sys::RelationGetIndexPredicate(raw)))?;
            if !is_plain || expressions.iter().any(|node| !is_known(*node, known)) {
                return None;
            }
            let count = usize::try_from(form.indnatts).ok().filter(|count| *count <= MAX_KEYS)?;
            let keys = form.indkey.values.as_slice(count).iter().map(|number| match number {
                0 => Some(Key::Known),
                number => usize::try_from(number - 1).ok().map(Key::Column),
            });
            Some(Self { oid, keys: keys.collect::<Option<_>>()?, unique: form.indisunique, condition })
        }
    }

    fn has_known(&self) -> bool {
        self.keys.iter().any(|key| matches!(key, Key::Known))
    }

    /// # Safety
    /// An index of the open table, in which the row of these values and nulls is stored at `tid`; PostgreSQL's errors are
    /// caught.
    unsafe fn insert(
        &self,
        table: pg_sys::Relation,
        row: (*const pg_sys::Datum, *const bool),
        tid: pg_sys::ItemPointer,
        made: pg_sys::Datum,
    ) {
        let (mut values, mut nulls) = ([pg_sys::Datum::from(0); MAX_KEYS], [false; MAX_KEYS]);
        for ((key, value), null) in self.keys.iter().zip(&mut values).zip(&mut nulls) {
            (*value, *null) = match key {
                // SAFETY: a column of the table.
                Key::Column(column) => unsafe { (*row.0.add(*column), *row.1.add(*column)) },
                Key::Known => (made, false),
            };
        }
        let unique = match self.unique {
            true => pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES,
            false => pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO,
        };
        // SAFETY: the caller's promise; values as many as the index has columns. The info is what an access method may keep
        // something of its own in, for as long as this lasts.
        unsafe {
            let index = index_open(self.oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            let info = palloc0(size_of::<pg_sys::IndexInfo>()).cast::<pg_sys::IndexInfo>();
            (*info).type_ = pg_sys::NodeTag::T_IndexInfo;
            (*info).ii_Context = pg_sys::CurrentMemoryContext;
            index_insert(index, values.as_mut_ptr(), nulls.as_mut_ptr(), tid, table, unique, false, info);
            pfree(info.cast());
            index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
}

/// The column that a node is; None for anything else.
///
/// # Safety
/// A node of an index's expression.
unsafe fn column(node: *mut pg_sys::Node) -> Option<usize> {
    // SAFETY: the caller's promise; the type is looked at before the node is read as such.
    unsafe {
        let var = node.cast::<pg_sys::Var>();
        ((*node).type_ == pg_sys::NodeTag::T_Var).then(|| usize::try_from((*var).varattno - 1).ok()).flatten()
    }
}

/// # Safety
/// As above.
unsafe fn is_known(node: *mut pg_sys::Node, known: &Known) -> bool {
    // SAFETY: as above.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_FuncExpr {
            return false;
        }
        let call = node.cast::<pg_sys::FuncExpr>();
        let arguments = compat::nodes((*call).args).into_iter().map(|node| match (*node).type_ {
            // A column's text, by its type's output function.
            pg_sys::NodeTag::T_CoerceViaIO => column((*node.cast::<pg_sys::CoerceViaIO>()).arg.cast()),
            _ => column(node),
        });
        (*call).funcid == known.function && arguments.eq(known.arguments.iter().map(|column| Some(*column)))
    }
}

impl Condition {
    /// # Safety
    /// The predicate of an index.
    unsafe fn of(nodes: &[*mut pg_sys::Node]) -> Option<Self> {
        let node = match nodes {
            [] => return Some(Self::All),
            [one] => *one,
            _ => return None,
        };
        // SAFETY: the caller's promise; types are looked at before nodes are read as such.
        unsafe {
            match (*node).type_ {
                pg_sys::NodeTag::T_Var => Some(Self::True(column(node)?)),
                pg_sys::NodeTag::T_NullTest => {
                    let test = node.cast::<pg_sys::NullTest>();
                    let is_not_null = (*test).nulltesttype == pg_sys::NullTestType::IS_NOT_NULL && !(*test).argisrow;
                    is_not_null.then(|| column((*test).arg.cast())).flatten().map(Self::NotNull)
                }
                pg_sys::NodeTag::T_OpExpr => {
                    let operation = node.cast::<pg_sys::OpExpr>();
                    let arguments = compat::nodes((*operation).args);
                    let [left, right] = arguments[..] else { return None };
                    let constant = right.cast::<pg_sys::Const>();
                    let is_text = (*right).type_ == pg_sys::NodeTag::T_Const
                        && (*constant).consttype == pg_sys::TEXTOID
                        && (*operation).opno.to_u32() == TEXT_DIFFERS
                        && bytes_decide((*operation).inputcollid);
                    let from = pgrx::FromDatum::from_datum((*constant).constvalue, !is_text || (*constant).constisnull);
                    Some(Self::TextDiffers(column(left)?, from?))
                }
                _ => None,
            }
        }
    }
}

/// `text <> text`
const TEXT_DIFFERS: u32 = 531;

/// Are texts equal under a collation only where their bytes are?
fn bytes_decide(collation: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up for the collation of an existing expression.
    collation != pg_sys::InvalidOid && unsafe { pg_sys::get_collation_isdeterministic(collation) }
}
