//! Procedures that end transactions: `CALL` outside of a transaction block.

use super::results::datum;
use pgrx::pg_sys;

/// A call that may commit. What it says of the session's settings holds until the next commit.
pub struct Procedure(());

impl Procedure {
    /// Begins; None inside a transaction block, a function, or a savepoint.
    pub fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Option<Self> {
        // SAFETY: the function manager's contract: for CALL, `context` is a CallContext.
        let may_commit = unsafe {
            let context = (*fcinfo).context;
            !context.is_null()
                && (*context).type_ == pg_sys::NodeTag::T_CallContext
                && !(*context.cast::<pg_sys::CallContext>()).atomic
        };
        if !may_commit {
            return None;
        }
        // SAFETY: ended by finish(), or by the transaction's abort.
        unsafe { pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32) };
        Some(Self(()))
    }

    /// Commits, waiting as synchronous_commit says, and begins the next transaction. Nothing of PostgreSQL's may be open.
    ///
    /// That one is READ COMMITTED, whatever the session's default: it sees what others did while it waited for a lock.
    pub fn commit(&self) {
        // SAFETY: connected without atomic; raises what committing raises. A new transaction has no snapshot yet, so that
        // its isolation level may still be set.
        unsafe {
            pg_sys::SPI_commit();
            pg_sys::XactIsoLevel = pg_sys::XACT_READ_COMMITTED as i32;
        }
    }

    /// Ends the call with its one INOUT argument.
    pub fn finish(self, answer: &str) -> pg_sys::Datum {
        // SAFETY: what begin() connected; a row of one text column, in the caller's memory context.
        unsafe {
            pg_sys::SPI_finish();
            let desc = pg_sys::CreateTemplateTupleDesc(1);
            pg_sys::TupleDescInitEntry(desc, 1, c"note".as_ptr(), pg_sys::TEXTOID, -1, 0);
            let desc = pg_sys::BlessTupleDesc(desc);
            let mut value = datum(answer.to_owned()).unwrap_or(pg_sys::Datum::from(0));
            let mut null = false;
            let tuple = pg_sys::heap_form_tuple(desc, &mut value, &mut null);
            pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
        }
    }
}
