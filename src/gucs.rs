//! The settings. Each has a page in the README's reference; the texts here are what `SHOW` and `pg_settings` print.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static RESTORE: GucSetting<bool> = GucSetting::<bool>::new(false);

#[cfg(feature = "omissions")]
static OMIT: GucSetting<Option<std::ffi::CString>> = GucSetting::<Option<std::ffi::CString>>::new(None);

pub fn init() {
    GucRegistry::define_bool_guc(
        c"notary.restore",
        c"Keeps the notary_* values that inserted rows bring along, instead of refusing them.",
        c"For loading a dump into logs that are protected already; rows that bring no values are chained as always. \
          Only superusers can set it; set it with SET LOCAL, in the transaction that loads.",
        &RESTORE,
        GucContext::Suset,
        GucFlags::default(),
    );
    #[cfg(feature = "omissions")]
    GucRegistry::define_string_guc(
        c"notary.omit",
        c"The check that verification leaves out.",
        c"Only in builds for tests of the tests.",
        &OMIT,
        GucContext::Suset,
        GucFlags::default(),
    );
    crate::pg::context::reserve_setting_prefix(c"notary");
}

/// Is `notary.restore` on?
pub fn restore() -> bool {
    RESTORE.get()
}

/// The check to be left out; empty for none.
#[cfg(feature = "omissions")]
pub fn omit() -> String {
    OMIT.get().and_then(|name| name.into_string().ok()).unwrap_or_default()
}
