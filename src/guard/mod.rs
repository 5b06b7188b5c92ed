//! What may not happen to a log.
//!
//! Three ways in, and one way out, `Error::raise`, which also writes the refusal to the server log:
//! * the triggers on a log call `notary.refuse()` for UPDATE, DELETE and TRUNCATE;
//! * `object_access_hook` sees every object that a command makes, alters or drops, cascades included (`access.rs`);
//! * three event triggers see what the hook cannot: a command before it starts (`start.rs`), a table about to be
//!   rewritten and a value stored beside a new column (`columns.rs`). The first call loads the library and so puts the
//!   hook in place in every backend before its first DDL does anything.
//!
//! Invariants:
//! * What is there is not taken away or weakened; adding what is missing is allowed. No log is ever asked whether it is
//!   complete, since a restore builds it up step by step with all this active.
//! * Whatever `start.rs` refuses by name and could do harm is refused by OID later too: names change in between.
//! * Where the functions of the triggers are not there (the extension is being made or dropped, or is not in this
//!   database) nothing is done. A relation without triggers costs one look-up in the syscache.
//! * Nobody is exempt but the extension's own script and, for one table's triggers, `notary.unprotect`.

mod access;
mod columns;
mod facts;
mod ours;
mod relations;
mod start;
mod triggers;

use crate::error::{Error, OrRaise as _};
use crate::pg::entry::entry_point;
use crate::pg::event_trigger::Call;
use crate::pg::{access_hook, trigger};
use pgrx::pg_sys;

/// Puts the hook in place. Once per backend, when the library is loaded.
pub fn init() {
    access_hook::install(access::on_access);
}

entry_point!(notary_refuse, pg_finfo_notary_refuse, refuse);
entry_point!(notary_guard_start, pg_finfo_notary_guard_start, guard_start);
entry_point!(notary_guard_end, pg_finfo_notary_guard_end, guard_end);
entry_point!(notary_guard_rewrite, pg_finfo_notary_guard_rewrite, guard_rewrite);

/// BEFORE UPDATE, DELETE (row and statement) and TRUNCATE of a log; also for the arms of MERGE and of ON CONFLICT that
/// change rows, whose statement triggers PostgreSQL fires.
fn refuse(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let Some((table, event)) = trigger::fired(fcinfo) else { not_called_as("notary.refuse()", "a trigger") };
    facts::refusal(table, event, "Entries of a log are never changed or removed.", "").raise()
}

/// ddl_command_start of every command.
fn guard_start(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let Some(call) = Call::of(fcinfo) else { not_called_as("notary.guard_start()", "an event trigger") };
    start::before(&call).or_raise();
    pg_sys::Datum::from(0)
}

/// ddl_command_end of what alters tables: ALTER TYPE adds columns to typed ones.
fn guard_end(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    if Call::of(fcinfo).is_none() {
        not_called_as("notary.guard_end()", "an event trigger")
    }
    columns::command_ends().or_raise();
    pg_sys::Datum::from(0)
}

/// table_rewrite.
fn guard_rewrite(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let Some(call) = Call::of(fcinfo) else { not_called_as("notary.guard_rewrite()", "an event trigger") };
    columns::rewrite(&call).or_raise();
    pg_sys::Datum::from(0)
}

fn not_called_as(function: &str, what: &str) -> ! {
    Error::BadArgument {
        message: format!("{function} is not called as {what}"),
        detail: "It guards logs, and is no use by itself.".into(),
        hint: "The extension's script and notary.protect make what calls it.".into(),
    }
    .raise()
}
