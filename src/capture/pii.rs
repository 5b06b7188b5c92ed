//! Values that are kept out of the log, and the keyed hash that stands there instead: `hmac:` and 64 hex digits, HMAC-SHA256
//! of the value's JSON text. Equal values have equal hashes, in all tables of a database.

use crate::error::Error;
use crate::pg::context::{self, as_superuser};
use crate::pg::spi;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The database's key.
pub struct Key(zeroize::Zeroizing<Vec<u8>>);

impl Key {
    /// The key in notary.pii_key.
    pub fn read() -> Result<Self, Error> {
        let sql = "SELECT key FROM notary.pii_key WHERE pg_catalog.length(key) >= 32 LIMIT 1";
        let found = as_superuser(|| spi::rows(sql, &[], |row| spi::get::<Vec<u8>>(row, 1)))?;
        let key = found.into_iter().flatten().next().ok_or_else(|| Error::Installation {
            message: "notary.pii_key holds no key".into(),
            detail:
                "Columns that are named as PII are hashed with it. The first notary.track with such columns makes it."
                    .into(),
            hint: "Restore the row from a dump: with another key the hashes in the log match no more.".into(),
        })?;
        Ok(Self(zeroize::Zeroizing::new(key)))
    }

    /// Makes the key where there is none.
    pub fn make() -> Result<(), Error> {
        let key: [u8; 32] = context::random_bytes("The key for PII is made of random bytes.")?;
        let key = zeroize::Zeroizing::new(key);
        let sql = "INSERT INTO notary.pii_key (key) VALUES ($1) ON CONFLICT DO NOTHING";
        as_superuser(|| spi::run(sql, &[key.to_vec().into()])).map(|_| ())
    }

    /// The hash of a value's JSON text, as a JSON string.
    pub fn hash(&self, value: &[u8], out: &mut Vec<u8>) {
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return };
        mac.update(value);
        out.extend_from_slice(b"\"hmac:");
        out.extend_from_slice(hex::encode(mac.finalize().into_bytes()).as_bytes());
        out.push(b'"');
    }
}
