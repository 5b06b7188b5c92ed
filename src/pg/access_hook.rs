//! `object_access_hook`: PostgreSQL's word that an object is being made, altered or dropped, whatever command does it.
//!
//! A drop is announced before anything of it is done; a change after its catalog row was written and before the command
//! counter moves (see `catalog_scan::View`). An error raised in the listener takes the whole command back.

use pgrx::pg_sys;
use std::cell::Cell;

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It was made, or replaced.
    Created,
    /// It was altered.
    Altered,
    /// It is about to be dropped.
    Dropped,
}

/// An object and what happens to it.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// What happens.
    pub deed: Deed,
    /// The catalog that the object's row is in.
    pub class: pg_sys::Oid,
    /// The object.
    pub object: pg_sys::Oid,
    /// The column's number, 0 for the whole object.
    pub column: i16,
    /// For pg_inherits: the parent.
    pub other: pg_sys::Oid,
}

thread_local! {
    static LISTENER: Cell<Option<fn(Access)>> = const { Cell::new(None) };
    static PREVIOUS: Cell<pg_sys::object_access_hook_type> = const { Cell::new(None) };
}

/// Calls `listener` for everything from now on, after whoever had the hook before. Once per backend; later calls do
/// nothing.
pub fn install(listener: fn(Access)) {
    if LISTENER.replace(Some(listener)).is_none() {
        // SAFETY: the hook is a variable of this backend, which has one thread.
        unsafe {
            PREVIOUS.set(pg_sys::object_access_hook);
            pg_sys::object_access_hook = Some(on_access);
        }
    }
}

/// PostgreSQL calls this for every function looked up too, so what is not for us leaves at once.
unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub: core::ffi::c_int,
    arg: *mut core::ffi::c_void,
) {
    if deed(access).is_some() || PREVIOUS.get().is_some() {
        // SAFETY: PostgreSQL's own arguments, handed on.
        unsafe { announce(access, class, object, sub, arg) };
    }
}

fn deed(access: pg_sys::ObjectAccessType::Type) -> Option<Deed> {
    match access {
        pg_sys::ObjectAccessType::OAT_POST_CREATE => Some(Deed::Created),
        pg_sys::ObjectAccessType::OAT_POST_ALTER => Some(Deed::Altered),
        pg_sys::ObjectAccessType::OAT_DROP => Some(Deed::Dropped),
        _ => None,
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn announce(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub: core::ffi::c_int,
    arg: *mut core::ffi::c_void,
) {
    if let Some(previous) = PREVIOUS.get() {
        // SAFETY: the hook that was there before, with the arguments it expects; it may raise, hence the boundary.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous(access, class, object, sub, arg)) };
    }
    let (Some(deed), Some(listener)) = (deed(access), LISTENER.get()) else {
        return;
    };
    let other = if deed == Deed::Altered && !arg.is_null() {
        // SAFETY: for OAT_POST_ALTER the argument is of this type.
        unsafe { (*arg.cast::<pg_sys::ObjectAccessPostAlter>()).auxiliary_id }
    } else {
        pg_sys::InvalidOid
    };
    listener(Access { deed, class, object, column: i16::try_from(sub).unwrap_or(0), other });
}
