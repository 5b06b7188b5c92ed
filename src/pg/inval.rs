//! Word from PostgreSQL that a relation's definition changed.
//!
//! The callback runs in places where nothing may be done, so it only notes which. Whoever keeps something about relations
//! compares the epoch that it saw last, and asks what changed since. An invalidation of everything (relid 0), and more of them
//! than are noted, change all.

use pgrx::pg_sys;
use std::cell::{Cell, RefCell};

/// How many are noted.
const MAX_NOTED: usize = 1024;

thread_local! {
    /// The relations that changed, from epoch BASE on.
    static NOTED: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
    static BASE: Cell<u64> = const { Cell::new(0) };
    static EPOCH: Cell<u64> = const { Cell::new(0) };
}

/// Registers the callback; once per backend.
pub fn init() {
    // SAFETY: a static function with the callback's signature; registration lasts for the backend's life.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_relcache), pg_sys::Datum::from(0)) };
}

/// Changes whenever any relation does.
pub fn epoch() -> u64 {
    EPOCH.get()
}

/// The relations that changed since an epoch, or None when it may have been all of them.
pub fn changed_since(epoch: u64) -> Option<Vec<pg_sys::Oid>> {
    let since = usize::try_from(epoch.checked_sub(BASE.get())?).ok()?;
    NOTED.with_borrow(|noted| noted.get(since..).map(<[_]>::to_vec))
}

unsafe extern "C-unwind" fn on_relcache(_arg: pg_sys::Datum, relid: pg_sys::Oid) {
    let epoch = EPOCH.get().wrapping_add(1);
    EPOCH.set(epoch);
    // A re-entrant call would find the list borrowed: then everything changed, which is always safe to say.
    let is_noted = relid != pg_sys::InvalidOid
        && NOTED.with(|noted| {
            noted.try_borrow_mut().is_ok_and(|mut noted| {
                let fits = noted.len() < MAX_NOTED && BASE.get() + noted.len() as u64 + 1 == epoch;
                if fits {
                    noted.push(relid);
                }
                fits
            })
        });
    if !is_noted {
        // Nothing before this is told any more.
        BASE.set(epoch);
        NOTED.with(|noted| {
            if let Ok(mut noted) = noted.try_borrow_mut() {
                noted.clear();
            }
        });
    }
}
