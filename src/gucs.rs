//! The settings. Each has a page in the README's reference; the texts here are what `SHOW` and `pg_settings` print.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::{CStr, CString};

static RESTORE: GucSetting<bool> = GucSetting::<bool>::new(false);

#[cfg(feature = "omissions")]
static OMIT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

static ORIGIN: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static SIGNING_KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

static DEFAULT_LOG: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static CONTEXT_CLAIMS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// A setting that says something of who acts.
pub struct ContextSetting {
    /// Its name.
    pub name: &'static CStr,
    about: &'static CStr,
    value: GucSetting<Option<CString>>,
}

impl ContextSetting {
    const fn new(name: &'static CStr, about: &'static CStr) -> Self {
        Self { name, about, value: GucSetting::<Option<CString>>::new(None) }
    }

    /// What it says now; None where it says nothing.
    pub fn get(&self) -> Option<String> {
        text(&self.value)
    }
}

/// Who acts, in the order of the arguments of `notary.set_context`.
pub static CONTEXT: [ContextSetting; 7] = [
    ContextSetting::new(c"notary.actor", c"Who acts, for events that leave it out."),
    ContextSetting::new(c"notary.actor_role", c"In which role he acts, for events that leave it out."),
    ContextSetting::new(c"notary.ip", c"The address that the request came from, for events that leave it out."),
    ContextSetting::new(c"notary.user_agent", c"The client's program, for events that leave it out."),
    ContextSetting::new(c"notary.session_id", c"The application's session, for events that leave it out."),
    ContextSetting::new(c"notary.request_id", c"The request, for events that leave it out."),
    ContextSetting::new(c"notary.trace_id", c"The trace (W3C trace context), for events that leave it out."),
];

pub fn init() {
    for setting in &CONTEXT {
        GucRegistry::define_string_guc(
            setting.name,
            setting.about,
            c"Set it with SET LOCAL, or with notary.set_context(), in the transaction of each request.",
            &setting.value,
            GucContext::Userset,
            GucFlags::default(),
        );
    }
    GucRegistry::define_string_guc(
        c"notary.default_log",
        c"The event log that notary.log_event(event) writes to.",
        c"A table's name, with its schema unless the search_path finds it.",
        &DEFAULT_LOG,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"notary.context_claims",
        c"The setting that holds the claims of a JWT, such as request.jwt.claims.",
        c"Its sub, role and session_id stand for notary.actor, notary.actor_role and notary.session_id where these are not \
          set.",
        &CONTEXT_CLAIMS,
        GucContext::Suset,
        GucFlags::default(),
    );
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
          In a copy that nothing was done in yet, rows for tracked tables make no events. Only superusers can set it; set it \
          with SET LOCAL, in the transaction that loads.",
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

/// `notary.default_log`, None where it is not set.
pub fn default_log() -> Option<String> {
    text(&DEFAULT_LOG)
}

/// `notary.context_claims`, None where it is not set.
pub fn context_claims() -> Option<String> {
    text(&CONTEXT_CLAIMS)
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

fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    setting.get().and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty())
}

/// The check to be left out; empty for none.
#[cfg(feature = "omissions")]
pub fn omit() -> String {
    OMIT.get().and_then(|name| name.into_string().ok()).unwrap_or_default()
}
