//! What the catalogs say at this moment, past the relcache: PostgreSQL does not invalidate a relation's cached triggers
//! when somebody edits pg_trigger by hand, so a checker must not ask the cache.

use super::context::as_superuser;
use super::relation::Trigger;
use super::spi;
use crate::error::Error;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::SpiHeapTupleData;

/// `spi::rows` on catalogs alone, whatever the caller's rights on them are: somebody may have taken PUBLIC's away, and
/// what a check says must not depend on that.
pub fn rows<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    as_superuser(|| spi::rows(sql, args, map))
}

/// The triggers of a table in the order in which they fire, disabled ones included.
pub fn triggers(relid: pg_sys::Oid) -> Result<Vec<Trigger>, Error> {
    let sql = "SELECT tgname::text, tgfoid, tgtype, tgenabled::text,
                      tgqual IS NOT NULL OR tgattr::text <> '', tgnargs, tgargs, tgisinternal, tgparentid <> 0::oid
               FROM pg_catalog.pg_trigger WHERE tgrelid = $1";
    let mut triggers = rows(sql, &[relid.into()], |row| {
        let count = usize::try_from(spi::get::<i16>(row, 6)?.unwrap_or(0)).unwrap_or(0);
        let args = spi::get::<Vec<u8>>(row, 7)?.unwrap_or_default();
        Ok(Trigger {
            name: spi::get::<String>(row, 1)?.unwrap_or_default(),
            function: spi::get::<pg_sys::Oid>(row, 2)?.unwrap_or(pg_sys::InvalidOid),
            kind: spi::get::<i16>(row, 3)?.unwrap_or(0),
            enabled: spi::get::<String>(row, 4)?.and_then(|e| e.bytes().next()).unwrap_or(b'D'),
            conditional: spi::get::<bool>(row, 5)?.unwrap_or(true),
            internal: spi::get::<bool>(row, 8)?.unwrap_or(false),
            cloned: spi::get::<bool>(row, 9)?.unwrap_or(false),
            // Each argument is followed by a zero byte.
            args: args.split(|b| *b == 0).take(count).map(<[u8]>::to_vec).collect(),
        })
    })?;
    triggers.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    Ok(triggers)
}
