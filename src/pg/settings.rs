//! Settings by their names.

use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// What a setting holds now; None where there is none of that name. Whoever may not see it gets an error.
pub fn value(name: &str) -> Option<String> {
    let name = CString::new(name).ok()?;
    // SAFETY: C strings; the value is the server's own and is copied at once.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, true);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
    }
}

/// Sets a setting with the caller's rights: to the end of the transaction (`local`), or of the session.
pub fn set(name: &CStr, value: &CStr, local: bool) {
    // SAFETY: C strings, which the server copies; what is not allowed is raised as an error.
    unsafe {
        let context = if pg_sys::superuser() { pg_sys::GucContext::PGC_SUSET } else { pg_sys::GucContext::PGC_USERSET };
        let action = if local { pg_sys::GucAction::GUC_ACTION_LOCAL } else { pg_sys::GucAction::GUC_ACTION_SET };
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}
