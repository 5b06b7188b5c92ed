//! What may not happen to a log.

use crate::error::Error;
use crate::pg::entry::entry_point;
use pgrx::pg_sys;

pub fn init() {}

entry_point!(notary_refuse, pg_finfo_notary_refuse, refuse);

fn refuse(_fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    Error::Refused { attempt: "a change".into(), log: "?".into(), detail: String::new(), hint: String::new() }.raise()
}
