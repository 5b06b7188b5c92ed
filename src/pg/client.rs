//! What the server knows of the client: nothing of it can be claimed.

use super::relation;
use pgrx::pg_sys;
use std::cell::Cell;

/// The role that logged in, also behind SET ROLE and SET SESSION AUTHORIZATION.
pub fn authenticated_user() -> String {
    // SAFETY: reads backend state; a background worker has logged in as the role that it was started with.
    relation::role_name(unsafe { pg_sys::GetAuthenticatedUserId() })
}

/// The setting application_name.
pub fn application_name() -> String {
    // SAFETY: the server's own C string, or null before it is set.
    unsafe {
        if pg_sys::application_name.is_null() { String::new() } else { relation::c_string(pg_sys::application_name) }
    }
}

thread_local! {
    /// The connection's address never changes: an inet in the backend's own memory. None: not asked yet.
    static ADDRESS: Cell<Option<Option<pg_sys::Datum>>> = const { Cell::new(None) };
}

/// The address that the connection came from, an inet; None for a Unix socket and for a background worker.
pub fn address() -> Option<pg_sys::Datum> {
    if let Some(known) = ADDRESS.get() {
        return known;
    }
    // SAFETY: inet_client_addr takes no arguments; the copy is allocated where it stays.
    let address = unsafe {
        let found = pgrx::direct_function_call_as_datum(pg_sys::inet_client_addr, &[]);
        found.map(|address| {
            let outer = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            let kept = pg_sys::pg_detoast_datum_copy(address.cast_mut_ptr()).into();
            pg_sys::MemoryContextSwitchTo(outer);
            kept
        })
    };
    ADDRESS.set(Some(address));
    address
}

/// The transaction's full id, which it gets now if it has none.
pub fn transaction() -> u64 {
    // SAFETY: in a transaction that may write: a row is being inserted.
    unsafe { pg_sys::GetTopFullTransactionId() }.value
}
