//! SQL run from inside the server, for what is not on a hot path.

use crate::error::Error;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{Spi, SpiClient, SpiHeapTupleData};

/// Runs one command; the number of rows it touched.
pub fn run(sql: &str, args: &[DatumWithOid<'_>]) -> Result<u64, Error> {
    Spi::connect_mut(|client| Ok(client.update(sql, None, args).map_err(Error::from)?.len() as u64))
}

/// Runs a query and maps every row.
pub fn rows<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    mut map: impl FnMut(&SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    Spi::connect(|client: &SpiClient<'_>| {
        let table = client.select(sql, None, args).map_err(Error::from)?;
        let mut out = Vec::with_capacity(table.len());
        for row in table {
            out.push(map(&row)?);
        }
        Ok(out)
    })
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
        Self(unsafe { core::mem::replace(&mut *(&raw mut pgrx::pg_sys::quote_all_identifiers), false) })
    }
}

impl Drop for PlainNames {
    fn drop(&mut self) {
        // SAFETY: as above; no PostgreSQL function is called, so this is sound while unwinding too.
        unsafe { pgrx::pg_sys::quote_all_identifiers = self.0 };
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
