//! UUIDs of version 7 (RFC 9562): 48 bits of milliseconds, 12 of the rest of the millisecond, 62 random.

use crate::error::{Error, OrRaise as _};
use crate::pg::context;
use pgrx::{Uuid, pg_extern};
use std::cell::{Cell, RefCell};

/// Microseconds between 1970 and 2000.
const SINCE_1970: i64 = 946_684_800_000_000;

thread_local! {
    /// The 60 bits of time of the last one: within a session they only rise.
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// `notary.uuid_v7()`.
#[pg_extern(sql = false)]
fn uuid_v7() -> Uuid {
    Uuid::from_bytes(fresh().or_raise())
}

/// A new one.
pub fn fresh() -> Result<[u8; 16], Error> {
    let micros = u64::try_from(context::clock().saturating_add(SINCE_1970)).unwrap_or(0);
    let (millis, rest) = (micros / 1000, micros % 1000);
    // 4096 steps in a millisecond, of which the clock tells 1000 apart.
    let time = ((millis << 12) | (rest * 4096 / 1000)).max(LAST.get() + 1);
    LAST.set(time);
    let mut id = random()?;
    let [.., a, b, c, d, e, f] = (time >> 12).to_be_bytes();
    id[..6].copy_from_slice(&[a, b, c, d, e, f]);
    let [.., high, low] = time.to_be_bytes();
    id[6] = 0x70 | (high & 0x0f);
    id[7] = low;
    id[8] = 0x80 | (id[8] & 0x3f);
    Ok(id)
}

/// As many at once as the source gives for the price of one.
const STORE: usize = 512;

/// Sixteen random bytes, each given out once.
fn random() -> Result<[u8; 16], Error> {
    thread_local! {
        static LEFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    LEFT.with_borrow_mut(|left| {
        if left.is_empty() {
            left.extend_from_slice(&context::random_bytes::<STORE>("A UUID is made of time and random bytes.")?);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&left[left.len() - 16..]); // STORE is a multiple of 16
        left.truncate(left.len() - 16);
        Ok(bytes)
    })
}
