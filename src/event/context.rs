//! Who acts: the settings `notary.actor` and its like, then the claims of a JWT in the setting that
//! `notary.context_claims` names.
//!
//! Invariant: nothing is kept from one event to the next but the claims' text with what was read from it: what the
//! settings say now is what counts, whoever used the session before.

use crate::error::{Error, OrRaise as _};
use crate::gucs;
use crate::pg::{settings, statement};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_extern, pg_sys};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;

/// What a JWT says of its bearer.
#[derive(Default)]
pub struct Claims {
    pub actor: Option<String>,
    pub actor_role: Option<String>,
    pub session_id: Option<String>,
}

thread_local! {
    static READ: RefCell<(String, Rc<Claims>)> = RefCell::default();
}

/// The claims of now; none where `notary.context_claims` names no setting or an empty one.
pub fn claims() -> Result<Option<Rc<Claims>>, Error> {
    let Some(setting) = gucs::context_claims() else { return Ok(None) };
    let Some(text) = settings::value(&setting).filter(|text| !text.is_empty()) else { return Ok(None) };
    if let Some(known) = READ.with_borrow(|(known, claims)| (*known == text).then(|| claims.clone())) {
        return Ok(Some(known));
    }
    let claims = Rc::new(read(&setting, &text)?);
    READ.set((text, claims.clone()));
    Ok(Some(claims))
}

fn read(setting: &str, text: &str) -> Result<Claims, Error> {
    let Ok(Value::Object(claims)) = serde_json::from_str(text) else {
        return Err(Error::BadArgument {
            message: format!("the setting {setting} holds no claims"),
            detail: "notary.context_claims names it, and what it holds is no JSON object.".into(),
            hint: "It is the payload of a JWT, as PostgREST sets request.jwt.claims.".into(),
        });
    };
    let text = |names: &[&str]| {
        names.iter().find_map(|name| match claims.get(*name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    Ok(Claims {
        actor: text(&["sub", "user_id", "preferred_username", "email"]),
        actor_role: text(&["role"]),
        session_id: text(&["session_id", "sid"]),
    })
}

/// `notary.set_context(…)`.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)] // the settings, as SQL names them
fn set_context(
    actor: Option<&str>,
    actor_role: Option<&str>,
    ip: Option<pgrx::Inet>,
    user_agent: Option<&str>,
    session_id: Option<&str>,
    request_id: Option<&str>,
    trace_id: Option<&str>,
    local: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let local = local.unwrap_or(true);
    if local && statement::is_all_of_the_transaction(fcinfo) {
        // As SET LOCAL does.
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_NO_ACTIVE_SQL_TRANSACTION,
            "notary.set_context() has no effect outside a transaction block",
            "pg_notary",
        )
        .set_detail("What it says holds to the end of the transaction, which is this call alone.")
        .set_hint("BEGIN before it, or say local => false, which lasts for the session.")
        .report(PgLogLevel::WARNING);
    }
    let values = [actor, actor_role, ip.as_ref().map(|ip| ip.0.as_str()), user_agent, session_id, request_id, trace_id];
    for (setting, value) in gucs::CONTEXT.iter().zip(values) {
        set(setting, value.unwrap_or_default(), local).or_raise();
    }
}

fn set(setting: &gucs::ContextSetting, value: &str, local: bool) -> Result<(), Error> {
    let value = std::ffi::CString::new(value).map_err(|_| Error::NotUtf8)?;
    settings::set(setting.name, &value, local);
    Ok(())
}
