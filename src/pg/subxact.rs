//! Running something that may raise, and going on afterwards.

use pgrx::PgTryBuilder;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;

/// Runs `work` in a subtransaction; the error's message when it raised. Cancels and terminations are raised again.
///
/// Locks, pins and memory that the failed work held are released; what `work` changed in Rust stays changed, so it
/// must build its result anew on every call.
pub fn attempt<T>(work: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, String> {
    // SAFETY: an internal subtransaction around the work, ended on both paths; the memory context and resource owner of
    // the caller are put back, as PL/pgSQL does.
    let (context, owner) = unsafe {
        let before = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(core::ptr::null());
        pg_sys::MemoryContextSwitchTo(before.0);
        before
    };
    let result = PgTryBuilder::new(|| Ok(work())).catch_others(|error| Err(Caught::of(error))).execute();
    // SAFETY: see above.
    unsafe {
        if result.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
    match result {
        Ok(value) => Ok(value),
        Err(Caught { message, interrupt: None }) => Err(message),
        Err(Caught { message, interrupt: Some(code) }) => {
            pgrx::ereport!(ERROR, code, message);
        }
    }
}

struct Caught {
    message: String,
    /// The SQLSTATE of an error that is no fault of what was read.
    interrupt: Option<pgrx::PgSqlErrorCode>,
}

impl Caught {
    fn of(error: CaughtError) -> Self {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = error;
        let code = report.sql_error_code();
        let interrupt = matches!(
            code,
            pgrx::PgSqlErrorCode::ERRCODE_QUERY_CANCELED
                | pgrx::PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN
                | pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY
                | pgrx::PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE
                | pgrx::PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED
        );
        Self { message: report.message().to_owned(), interrupt: interrupt.then_some(code) }
    }
}
