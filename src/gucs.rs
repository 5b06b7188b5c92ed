//! The settings. Each has a page in the README's reference; the texts here are what `SHOW` and `pg_settings` print.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static RESTORE: GucSetting<bool> = GucSetting::<bool>::new(false);

#[cfg(feature = "omissions")]
static OMIT: GucSetting<Option<std::ffi::CString>> = GucSetting::<Option<std::ffi::CString>>::new(None);

static ORIGIN: GucSetting<Option<std::ffi::CString>> = GucSetting::<Option<std::ffi::CString>>::new(None);
static SIGNING_KEY_FILE: GucSetting<Option<std::ffi::CString>> = GucSetting::<Option<std::ffi::CString>>::new(None);

pub fn init() {
    GucRegistry::define_string_guc(
        c"notary.origin",
        c"The name under which this server's logs are sealed, such as db.example.com.",
        c"A log's seals bear <notary.origin>/<uuid of the log>. It is fixed for a log by its first seal.",
        &ORIGIN,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"notary.signing_key_file",
        c"The file with the secret that seals are signed with.",
        c"Written by notary.generate_key(). Belongs to the server's user, or to root, and to nobody else; a path that is \
          not absolute starts in the data directory. Without it seals are unsigned.",
        &SIGNING_KEY_FILE,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
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

/// `notary.origin`, None where it is not set.
pub fn origin() -> Option<String> {
    text(&ORIGIN)
}

/// `notary.signing_key_file`, None where it is not set.
pub fn signing_key_file() -> Option<String> {
    text(&SIGNING_KEY_FILE)
}

fn text(setting: &GucSetting<Option<std::ffi::CString>>) -> Option<String> {
    setting.get().and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty())
}

/// The check to be left out; empty for none.
#[cfg(feature = "omissions")]
pub fn omit() -> String {
    OMIT.get().and_then(|name| name.into_string().ok()).unwrap_or_default()
}
