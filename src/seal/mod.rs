//! Seals, and what outsiders check them with.
//!
//! | file | subject |
//! |---|---|
//! | `grow` | which new lines become which leaves |
//! | `sign` | the new leaves hashed again from their rows, and the seal |
//! | `keys` | the file with the secret; keys to hand out |
//! | `keep` | what is kept of a sealed log when its protection ends |
//! | `resume` | going on after a restore or failover |
//! | `prove` | proofs for outsiders |
//! | `export` | all lines in the order of the leaves |
//! | `check` | what an outsider does, as SQL functions: pure ones, with the caller's keys |
//!
//! Invariants:
//! * A seal is given out only when it is committed, on disk and on synchronous standbys: what somebody holds can never be
//!   rolled back, and no second seal can contradict it.
//! * What is signed was hashed from the rows in this very call, and follows from the seal before it.
//! * Secrets are in no table, no message, and no server log.

mod check;
mod export;
mod grow;
mod keep;
mod keys;
mod prove;
mod resume;
mod sign;

use crate::error::{Error, OrRaise as _};
use crate::pg::context;
use crate::pg::entry::entry_point;
use crate::pg::lock;
use crate::pg::procedure::Procedure;
use crate::pg::relation::Rel;
use crate::pg::results::{Results, argument, datum};
use crate::tree::Tree;
use crate::tree::segments::Segments;
use crate::{access, journal, log};
use notary_core::origin::Origin;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;

entry_point!(notary_seal, pg_finfo_notary_seal, seal);
entry_point!(notary_seal_list, pg_finfo_notary_seal_list, seal_list);

/// `CALL notary.seal(log)`, in two transactions of its own.
fn seal(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let call = "CALL notary.seal()";
    let log = argument::<pg_sys::Oid>(fcinfo, 0);
    let Some(procedure) = Procedure::begin(fcinfo) else { Error::InTransactionBlock { call }.raise() };
    journal::must_be_writable(call).or_raise();
    procedure.commit();
    step(log, grow::grow).or_raise();
    procedure.commit();
    let note = step(log, sign::sign).or_raise();
    procedure.commit();
    procedure.finish(&note)
}

/// One of the two transactions, under the lock of the log's tree.
fn step<T>(relid: Option<pg_sys::Oid>, work: impl FnOnce(&Rel, &Segments) -> Result<T, Error>) -> Result<T, Error> {
    context::commit_safely();
    context::with_safe_path(|| {
        let functions = access::trigger_functions()?;
        let rel = access::open_log(relid, &functions)?;
        let log = Segments::of(&rel, &functions)?.log;
        lock::lock_tree(log.as_bytes());
        // Again, now that nobody else is at it.
        work(&rel, &Segments::of(&rel, &functions)?)
    })
}

/// A log that is not what it says, so that it is neither sealed nor proved.
fn damaged(rel: &Rel, what: &str, why: impl std::fmt::Display) -> Error {
    Error::NotIntact { summary: format!("{} is not intact and {what}", rel.qualified()), detail: format!("{why}.") }
}

/// Where this log's tree would be signed, and where it is now.
fn not_at_home(rel: &Rel, detail: String) -> Error {
    Error::NotSealable {
        message: format!("{} cannot be sealed before notary.resume", rel.qualified()),
        detail,
        hint: format!(
            "Find the newest seal that ever left the old server, and run SELECT notary.resume('{}', note); NULL if none \
             ever did.",
            rel.qualified().replace('\'', "''")
        ),
    }
}

/// The origin of a log's first tree.
fn first_origin(segments: &Segments) -> Result<Origin, Error> {
    new_origin(segments, 1, None)
}

/// The origin of a new tree of a log; `base` is notary.origin unless given.
fn new_origin(segments: &Segments, incarnation: u32, base: Option<&str>) -> Result<Origin, Error> {
    let base = match base {
        Some(base) => base.to_owned(),
        None => crate::gucs::origin().ok_or_else(|| Error::NotSealable {
            message: "notary.origin is not set".into(),
            detail: "Seals bear the name of the server that they come from.".into(),
            hint: "ALTER SYSTEM SET notary.origin = 'db.example.com'; then SELECT pg_reload_conf(). It is fixed for a \
                   log by its first seal."
                .into(),
        })?,
    };
    Origin::new(&base, segments.log, incarnation).map_err(|why| Error::BadArgument {
        message: format!("notary.origin is \"{base}\", which cannot be part of a log's origin"),
        detail: format!("The {why}."),
        hint: "Use letters, digits, and . _ ~ / -, with nothing empty between slashes: a host name, say.".into(),
    })
}

/// The newest tree of a log that was sealed.
fn sealed_tree(rel: &Rel, segments: &Segments) -> Result<Tree, Error> {
    Tree::newest(segments.log)?.ok_or_else(|| never_sealed(rel))
}

fn never_sealed(rel: &Rel) -> Error {
    Error::NotSealable {
        message: format!("{} has never been sealed", rel.qualified()),
        detail: "Which line is which leaf is fixed by a seal.".into(),
        hint: format!("CALL notary.seal('{}') makes one.", rel.qualified().replace('\'', "''")),
    }
}

/// `notary.seal_list()`.
fn seal_list(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let mut results = Results::of(fcinfo);
    each_seal(&mut results).or_raise();
    pg_sys::Datum::from(0)
}

fn each_seal(results: &mut Results) -> Result<(), Error> {
    let functions = access::trigger_functions()?;
    for (log, seals) in crate::tree::store::all_seals()? {
        let table = log::table_of(log, &functions)?;
        let may_read = table.map_or_else(context::superuser, context::may_select);
        for seal in seals.into_iter().filter(|_| may_read) {
            results.put(vec![
                table.and_then(datum),
                datum(pgrx::Uuid::from_bytes(*log.as_bytes())),
                datum(seal.incarnation),
                datum(crate::tree::store::signed(seal.seal.size)),
                datum(seal.seal.root.as_bytes().to_vec()),
                TimestampWithTimeZone::try_from(seal.seal.at).ok().and_then(datum),
                datum(crate::tree::store::signed(seal.from_size)),
                datum(seal.seal.note),
                datum(seal.keys),
            ]);
        }
    }
    Ok(())
}
