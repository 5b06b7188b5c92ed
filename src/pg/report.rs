//! The line that a refusal leaves in the server log:
//!
//! `pg_notary: refused sqlstate=55000 log="public.app_audit" role="alice" attempt="DELETE"`
//!
//! Always one line; within quotes `"` and `\` have a backslash before them and control characters are escaped.
//! `session_role` follows where it differs from the role whose rights were used.

use super::{context, relation};
use pgrx::PgSqlErrorCode;
use std::ffi::CString;

unsafe extern "C-unwind" {
    fn errstart(elevel: core::ffi::c_int, domain: *const core::ffi::c_char) -> bool;
    fn errcode(code: core::ffi::c_int) -> core::ffi::c_int;
    fn errmsg_internal(format: *const core::ffi::c_char, ...) -> core::ffi::c_int;
    fn errhidestmt(hide: bool) -> core::ffi::c_int;
    fn errhidecontext(hide: bool) -> core::ffi::c_int;
    fn errfinish(file: *const core::ffi::c_char, line: core::ffi::c_int, function: *const core::ffi::c_char);
}

/// Says that `attempt` on `log` was refused.
pub fn refused(code: PgSqlErrorCode, log: &str, attempt: &str) {
    let (role, session) = (relation::role_name(context::current_user()), context::session_user());
    let mut line = format!(
        "pg_notary: refused sqlstate={} log={} role={} attempt={}",
        sqlstate(code as i32),
        quoted(log),
        quoted(&role),
        quoted(attempt)
    );
    if session != role {
        line.push_str(&format!(" session_role={}", quoted(&session)));
    }
    server_log(code as i32, &line);
}

/// The five characters that PostgreSQL packs into an int, six bits each.
fn sqlstate(code: i32) -> String {
    (0..5_i32).filter_map(|i| u8::try_from((code >> (6 * i)) & 0x3f).ok()).map(|six| char::from(b'0' + six)).collect()
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes one line to the server log, with an SQLSTATE (for `%e` and csvlog) and without STATEMENT and CONTEXT; the
/// client does not see it.
fn server_log(sqlstate: i32, line: &str) {
    let Ok(line) = CString::new(line) else {
        return; // a line made of names, which hold no NUL
    };
    // SAFETY: the sequence that ereport(LOG_SERVER_ONLY, …) expands to; one %s for one string. Below ERROR errfinish
    // returns; what a logging hook might raise passes the boundary as any error does.
    unsafe {
        pgrx::pg_sys::ffi::pg_guard_ffi_boundary(|| {
            if errstart(pgrx::pg_sys::LOG_SERVER_ONLY as i32, core::ptr::null()) {
                errcode(sqlstate);
                errmsg_internal(c"%s".as_ptr(), line.as_ptr());
                errhidestmt(true);
                errhidecontext(true);
                errfinish(c"error.rs".as_ptr(), 0, c"raise".as_ptr());
            }
        });
    }
}
