//! UUIDs of version 7 (RFC 9562): 48 bits of milliseconds, 12 of the rest of the millisecond, 62 random.

use crate::pg::context;
use pgrx::{Uuid, pg_extern};
use std::cell::Cell;

/// Microseconds between 1970 and 2000.
const SINCE_1970: i64 = 946_684_800_000_000;

thread_local! {
    /// The 60 bits of time of the last one: within a session they only rise.
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// `notary.uuid_v7()`.
#[pg_extern(sql = false)]
fn uuid_v7() -> Uuid {
    Uuid::from_bytes(fresh())
}

/// A new one.
pub fn fresh() -> [u8; 16] {
    let micros = u64::try_from(context::clock().saturating_add(SINCE_1970)).unwrap_or(0);
    let (millis, rest) = (micros / 1000, micros % 1000);
    // 4096 steps in a millisecond, of which the clock tells 1000 apart.
    let time = ((millis << 12) | (rest * 4096 / 1000)).max(LAST.get() + 1);
    LAST.set(time);
    let mut id = context::random_bytes().unwrap_or_default();
    let [.., a, b, c, d, e, f] = (time >> 12).to_be_bytes();
    id[..6].copy_from_slice(&[a, b, c, d, e, f]);
    let [.., high, low] = time.to_be_bytes();
    id[6] = 0x70 | (high & 0x0f);
    id[7] = low;
    id[8] = 0x80 | (id[8] & 0x3f);
    id
}
