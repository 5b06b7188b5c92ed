//! SQL run from inside the server, for what is not on a hot path.

use crate::error::Error;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient, SpiHeapTupleData};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

/// Runs one command; the number of rows it touched.
pub fn run(sql: &str, args: &[DatumWithOid<'_>]) -> Result<u64, Error> {
    Spi::connect_mut(|client| Ok(client.update(sql, None, args).map_err(Error::from)?.len() as u64))
}

/// Runs a read-only query and maps every row. It sees what is committed by now and what this transaction did, at every
/// isolation level: the statement's own snapshot may be older than a lock that was waited for since, and what it shows
/// of the catalogs would not fit the tables that are locked.
pub fn rows<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    read(sql, args, false, map)
}

/// The same, for a query that is asked again and again: its plan is kept for the session. For texts of our own, of which
/// there are few.
pub fn kept_rows<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    read(sql, args, true, map)
}

thread_local! {
    /// Plans of `kept_rows`, which live as long as the session.
    static PLANS: RefCell<HashMap<String, pg_sys::SPIPlanPtr>> = RefCell::default();
}

/// More texts than `kept_rows` is ever called with.
const MAX_PLANS: usize = 100;

fn read<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    keep: bool,
    mut map: impl FnMut(&SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let query = CString::new(sql).map_err(|e| Error::Spi(e.to_string()))?;
    let count = i32::try_from(args.len()).unwrap_or(i32::MAX);
    let mut types: Vec<_> = args.iter().map(DatumWithOid::oid).collect();
    let mut values: Vec<_> =
        args.iter().map(|a| a.datum().map_or(pg_sys::Datum::from(0), |d| d.sans_lifetime())).collect();
    let nulls: Vec<_> = args.iter().map(|a| if a.datum().is_some() { b' ' } else { b'n' }).collect();
    Spi::connect(|_: &SpiClient<'_>| {
        // SAFETY: inside an SPI connection; the arrays have `count` members and outlive the call; a plan that was kept
        // lives on. On error PostgreSQL drops the active snapshot. The result stays in the connection's memory until it
        // ends.
        unsafe {
            if pg_sys::GetCurrentTransactionIdIfAny() != pg_sys::InvalidTransactionId {
                pg_sys::CommandCounterIncrement();
            }
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            let kept = keep.then(|| plan(sql, &query, &mut types)).flatten();
            let status = match kept {
                Some(plan) => pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr().cast(), true, 0),
                None => pg_sys::SPI_execute_with_args(
                    query.as_ptr(),
                    count,
                    types.as_mut_ptr(),
                    values.as_mut_ptr(),
                    nulls.as_ptr().cast(),
                    true,
                    0,
                ),
            };
            pg_sys::PopActiveSnapshot();
            Spi::check_status(status).map_err(Error::from)?;
            let Some(table) = pg_sys::SPI_tuptable.as_ref() else { return Ok(Vec::new()) };
            let mut out = Vec::new();
            for i in 0..usize::try_from(table.numvals).unwrap_or(0) {
                if let Some(row) = SpiHeapTupleData::new(table.tupdesc, *table.vals.add(i)).map_err(Error::from)? {
                    out.push(map(&row)?);
                }
            }
            Ok(out)
        }
    })
}

/// The plan of a query, made at its first use; None when too many are kept already.
///
/// # Safety
/// Inside an SPI connection.
unsafe fn plan(sql: &str, query: &CString, types: &mut [pg_sys::Oid]) -> Option<pg_sys::SPIPlanPtr> {
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(sql).copied()) {
        return Some(plan);
    }
    if PLANS.with_borrow(HashMap::len) >= MAX_PLANS {
        return None;
    }
    let count = i32::try_from(types.len()).unwrap_or(i32::MAX);
    // SAFETY: the array has `count` members; a plan that is kept lives on without the connection.
    let plan = unsafe {
        let plan = pg_sys::SPI_prepare(query.as_ptr(), count, types.as_mut_ptr());
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            return None;
        }
        plan
    };
    PLANS.with_borrow_mut(|plans| plans.insert(sql.to_owned(), plan));
    Some(plan)
}

/// Column `ordinal` (from 1) of a row as `T`, or None for NULL.
pub fn get<T: pgrx::FromDatum + pgrx::IntoDatum>(
    row: &SpiHeapTupleData<'_>,
    ordinal: usize,
) -> Result<Option<T>, Error> {
    row.get::<T>(ordinal).map_err(Error::from)
}

/// While this lives, names are quoted only where they need it: headers and the journal hold printed names, which must not
/// depend on the session's quote_all_identifiers.
pub struct PlainNames(bool);

impl PlainNames {
    /// Sets the session's quote_all_identifiers aside.
    pub fn begin() -> Self {
        // SAFETY: the backend's own setting, a plain C variable read and written by its only thread.
        Self(unsafe { core::ptr::replace(&raw mut pg_sys::quote_all_identifiers, false) })
    }
}

impl Drop for PlainNames {
    fn drop(&mut self) {
        // SAFETY: as above; no PostgreSQL function is called, so this is sound while unwinding too.
        unsafe { pg_sys::quote_all_identifiers = self.0 };
    }
}

/// Quotes an identifier where it needs quotes.
pub fn quote_ident(name: &str) -> String {
    let _plain = PlainNames::begin();
    pgrx::spi::quote_identifier(name)
}

/// Quotes a literal.
pub fn quote_literal(text: &str) -> String {
    pgrx::spi::quote_literal(text)
}

/// `schema.table`, quoted where needed.
pub fn quote_qualified(schema: &str, name: &str) -> String {
    let _plain = PlainNames::begin();
    pgrx::spi::quote_qualified_identifier(schema, name)
}
