//! Word from PostgreSQL that a relation's definition changed.
//!
//! The callback runs in places where nothing may be done, so it only bumps counters; whoever keeps something about a
//! relation compares the counter it saw. An invalidation of everything (relid 0) bumps all.

use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

thread_local! {
    static DIRTY: RefCell<HashSet<pg_sys::Oid>> = RefCell::new(HashSet::new());
    static ALL: Cell<u64> = const { Cell::new(0) };
    static ANY: Cell<u64> = const { Cell::new(0) };
}

/// Registers the callback; once per backend.
pub fn init() {
    // SAFETY: a static function with the callback's signature; registration lasts for the backend's life.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_relcache), pg_sys::Datum::from(0)) };
}

/// Changes whenever any relation that `watch` named, or all of them, was invalidated.
pub fn epoch() -> u64 {
    ANY.get()
}

/// The relations invalidated since the last call, or `None` when it was all of them.
pub fn take_dirty() -> Option<Vec<pg_sys::Oid>> {
    let all = ALL.replace(0);
    let dirty: Vec<_> = DIRTY.with_borrow_mut(|d| d.drain().collect());
    if all > 0 { None } else { Some(dirty) }
}

unsafe extern "C-unwind" fn on_relcache(_arg: pg_sys::Datum, relid: pg_sys::Oid) {
    ANY.set(ANY.get().wrapping_add(1));
    if relid == pg_sys::InvalidOid {
        ALL.set(ALL.get() + 1);
        return;
    }
    // A re-entrant call would find the set borrowed: then everything is dirty, which is always safe to say.
    let noted = DIRTY.with(|d| {
        d.try_borrow_mut().map(|mut d| {
            if d.len() < 1024 {
                d.insert(relid);
                true
            } else {
                false
            }
        })
    });
    if !matches!(noted, Ok(true)) {
        ALL.set(ALL.get() + 1);
    }
}
