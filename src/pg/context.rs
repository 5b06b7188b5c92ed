//! The surroundings of a call: transaction and statement ends, the current user, the server's settings.

use super::{catalog_scan, compat};
use crate::error::Error;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::ffi::CStr;

/// Keeps `prefix.*` settings to those that are defined, so that a misspelt one is an error.
pub fn reserve_setting_prefix(prefix: &CStr) {
    // SAFETY: a C string; the server copies it.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

/// What happened to the transaction or to one of its savepoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The transaction committed.
    Committed,
    /// The transaction was rolled back.
    RolledBack,
    /// PREPARE TRANSACTION: its locks live on without this backend.
    Prepared,
    /// A savepoint (or PL/pgSQL block) was released: what it held goes to its parent.
    SubReleased {
        /// The subtransaction.
        sub: u32,
        /// The one around it.
        parent: u32,
    },
    /// A savepoint was rolled back, its locks with it.
    SubRolledBack {
        /// The subtransaction.
        sub: u32,
    },
}

thread_local! {
    static LISTENER: Cell<Option<fn(End)>> = const { Cell::new(None) };
}

/// Calls `listener` at each end. It must only change its own memory: no PostgreSQL call, no panic.
pub fn on_transaction_end(listener: fn(End)) {
    LISTENER.set(Some(listener));
    // SAFETY: static functions with the callbacks' signatures, registered once per backend.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_xact), core::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subxact), core::ptr::null_mut());
    }
}

unsafe extern "C-unwind" fn on_xact(event: pg_sys::XactEvent::Type, _arg: *mut core::ffi::c_void) {
    let end = match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT => End::Committed,
        pg_sys::XactEvent::XACT_EVENT_ABORT => End::RolledBack,
        pg_sys::XactEvent::XACT_EVENT_PREPARE => End::Prepared,
        _ => return,
    };
    if let Some(listener) = LISTENER.get() {
        listener(end);
    }
}

unsafe extern "C-unwind" fn on_subxact(
    event: pg_sys::SubXactEvent::Type,
    sub: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _arg: *mut core::ffi::c_void,
) {
    let end = match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => End::SubReleased { sub, parent },
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => End::SubRolledBack { sub },
        _ => return,
    };
    if let Some(listener) = LISTENER.get() {
        listener(end);
    }
}

/// The transaction's id, 0 as long as it has none.
pub fn transaction() -> u32 {
    // SAFETY: reads backend state.
    unsafe { pg_sys::GetTopTransactionIdIfAny() }.into_inner()
}

/// The transaction in which something was found, and what; for `once`.
pub type Found = Cell<(u32, bool)>;

/// What `find` finds, asked once in a transaction that has an id.
pub fn once<E>(found: &Found, find: impl FnOnce() -> Result<bool, E>) -> Result<bool, E> {
    let current = transaction();
    let (asked, known) = found.get();
    if current != 0 && asked == current {
        return Ok(known);
    }
    let known = find()?;
    found.set((current, known));
    Ok(known)
}

/// The current subtransaction's number; 1 is the transaction itself.
pub fn subtransaction() -> u32 {
    // SAFETY: reads backend state.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

thread_local! {
    /// Tokens of statements under way, a small set.
    static RUNNING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static NEXT_TOKEN: Cell<u64> = const { Cell::new(1) };
}

/// A statement under way, known by the memory context that lives as long as it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statement(u64);

impl Statement {
    /// Begins to watch the statement whose per-query memory context is `context`.
    ///
    /// # Safety
    /// `context` is a live memory context.
    pub unsafe fn watch(context: pg_sys::MemoryContext) -> Self {
        let token = NEXT_TOKEN.replace(NEXT_TOKEN.get() + 1);
        // SAFETY: the callback record is allocated in the context it watches, so it lives exactly as long as needed.
        unsafe {
            let callback = pg_sys::MemoryContextAlloc(context, size_of::<pg_sys::MemoryContextCallback>())
                .cast::<pg_sys::MemoryContextCallback>();
            (*callback).func = Some(on_context_reset);
            (*callback).arg = token as *mut core::ffi::c_void;
            pg_sys::MemoryContextRegisterResetCallback(context, callback);
        }
        RUNNING.with_borrow_mut(|r| r.push(token));
        Self(token)
    }

    /// Is it still under way?
    pub fn running(self) -> bool {
        RUNNING.with_borrow(|r| r.contains(&self.0))
    }
}

unsafe extern "C-unwind" fn on_context_reset(arg: *mut core::ffi::c_void) {
    let token = arg as u64;
    // Reached only from PostgreSQL, never while RUNNING is borrowed above (no PostgreSQL call is made there).
    RUNNING.with(|r| {
        if let Ok(mut r) = r.try_borrow_mut() {
            r.retain(|t| *t != token);
        }
    });
}

/// `session_replication_role = replica`?
pub fn replica_role() -> bool {
    // SAFETY: a plain setting of this backend.
    (unsafe { pg_sys::SessionReplicationRole }) == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32
}

/// Is the role a superuser?
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up, false for what is not there.
    unsafe { pg_sys::superuser_arg(role) }
}

/// Is the current user a superuser?
pub fn superuser() -> bool {
    // SAFETY: a cached catalog look-up.
    unsafe { pg_sys::superuser() }
}

/// The user who logged in (or whom SET SESSION AUTHORIZATION named).
pub fn session_user() -> String {
    // SAFETY: reads backend state.
    super::relation::role_name(unsafe { pg_sys::GetSessionUserId() })
}

/// The user whose rights count now.
pub fn current_user() -> pg_sys::Oid {
    // SAFETY: reads backend state.
    unsafe { pg_sys::GetUserId() }
}

/// Its name.
pub fn current_user_name() -> String {
    super::relation::role_name(current_user())
}

/// Bytes from the server's strong random source; `what` says what needs them.
pub fn random_bytes<const N: usize>(what: &str) -> Result<[u8; N], Error> {
    let mut bytes = [0_u8; N];
    // SAFETY: fills exactly the bytes of the array.
    let done = unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) };
    done.then_some(bytes).ok_or_else(|| Error::Installation {
        message: "the server has no random bytes".into(),
        detail: what.into(),
        hint: "Check the server's source of randomness.".into(),
    })
}

/// Makes what this transaction did so far visible to its next command.
pub fn command_counter_increment() {
    // SAFETY: inside a transaction.
    unsafe { pg_sys::CommandCounterIncrement() };
}

/// This backend's process id.
pub fn process_id() -> u32 {
    // SAFETY: set once at backend start.
    u32::try_from(unsafe { pg_sys::MyProcPid }).unwrap_or(0)
}

/// Microseconds since 2000-01-01 UTC by the clock, not by the transaction's start.
pub fn clock() -> i64 {
    compat::clock()
}

/// Runs `work` as another role in a security-restricted operation: functions that the work happens to call get that
/// role's rights and cannot leave anything behind that runs with the caller's.
///
/// On error PostgreSQL itself resets the user id at (sub)transaction abort, so nothing needs to be undone by a Drop.
pub fn as_role<T>(role: pg_sys::Oid, restricted: bool, work: impl FnOnce() -> T) -> T {
    let (mut user, mut flags) = (pg_sys::InvalidOid, 0);
    // SAFETY: reads and sets backend state; the mask only ever grows until it is put back.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut flags);
        let extra =
            if restricted { pg_sys::SECURITY_RESTRICTED_OPERATION } else { pg_sys::SECURITY_LOCAL_USERID_CHANGE };
        pg_sys::SetUserIdAndSecContext(role, flags | extra as i32);
    }
    let result = work();
    // SAFETY: puts back what was read above.
    unsafe { pg_sys::SetUserIdAndSecContext(user, flags) };
    result
}

/// The role that exists in every cluster and owns the catalogs.
const BOOTSTRAP_SUPERUSER: pg_sys::Oid = pg_sys::Oid::from_u32(10);

/// May the current user SELECT from the whole relation?
pub fn may_select(relid: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up.
    let result =
        unsafe { pg_sys::pg_class_aclcheck(relid, pg_sys::GetUserId(), pg_sys::ACL_SELECT as pg_sys::AclMode) };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// May the current user INSERT into the whole relation?
pub fn may_insert(relid: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up.
    let result =
        unsafe { pg_sys::pg_class_aclcheck(relid, pg_sys::GetUserId(), pg_sys::ACL_INSERT as pg_sys::AclMode) };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// May the current user SELECT every column of the relation, by rights on it or on each of them?
pub fn may_select_every_column(relid: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up.
    let of_columns = || unsafe {
        let all = pg_sys::AclMaskHow::ACLMASK_ALL;
        pg_sys::pg_attribute_aclcheck_all(relid, pg_sys::GetUserId(), pg_sys::ACL_SELECT as pg_sys::AclMode, all)
    };
    may_select(relid) || of_columns() == pg_sys::AclResult::ACLCHECK_OK
}

/// The database's encoding is UTF8?
pub fn database_is_utf8() -> bool {
    // SAFETY: reads backend state.
    (unsafe { pg_sys::GetDatabaseEncoding() }) == pg_sys::pg_enc::PG_UTF8 as i32
}

/// Lets a cancel or a termination take effect.
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}

/// Runs `work` as a superuser: what touches pg_notary's own tables, or catalogs, and runs no code of any user. So the
/// session's search_path is set aside too: by it, an operator `=` that anybody made would be called with these rights from
/// a trigger, where no function pins it.
pub fn as_superuser<T>(work: impl FnOnce() -> T) -> T {
    with_safe_path(|| as_role(some_superuser(), false, work))
}

/// The superuser who was there first, or the extension's owner where somebody took that one's rights away.
fn some_superuser() -> pg_sys::Oid {
    if is_superuser(BOOTSTRAP_SUPERUSER) {
        return BOOTSTRAP_SUPERUSER;
    }
    let owner = catalog_scan::extension(c"pg_notary").and_then(catalog_scan::extension_owner);
    owner.filter(|owner| is_superuser(*owner)).unwrap_or_else(|| {
        Error::Installation {
            message: "the owner of the extension pg_notary is no superuser".into(),
            detail: "Nor is the role that the cluster was made with: pg_notary's own tables cannot be read or written."
                .into(),
            hint: "A superuser can make the extension's owner one again: ALTER ROLE … SUPERUSER.".into(),
        }
        .raise()
    })
}

/// Settings of the session that say where and how new tables and indexes are stored, and the values that stand for "as
/// the database does".
const STORAGE: [(&CStr, &CStr); 2] = [(c"default_tablespace", c""), (c"default_table_access_method", c"heap")];

/// Runs `work`, DDL that runs with a superuser's rights, so that what it makes is stored where the database is: not in a
/// tablespace that the session's role named and has no right to.
pub fn with_plain_storage<T>(work: impl FnOnce() -> T) -> T {
    with_settings(&STORAGE, work)
}

/// Runs `work` with a search_path in which nobody but a superuser can put anything: what is called without one of its own.
pub fn with_safe_path<T>(work: impl FnOnce() -> T) -> T {
    with_settings(&[(c"search_path", c"pg_catalog, pg_temp")], work)
}

/// Runs `work` with texts of objects that name the schema, and of money that has no locale's signs.
pub fn with_plain_texts<T>(work: impl FnOnce() -> T) -> T {
    with_settings(&[(c"search_path", c"pg_catalog, pg_temp"), (c"lc_monetary", c"C")], work)
}

/// Runs `work` with definitions of objects in one spelling: names have quotes where they need them, and other schemas than
/// pg_catalog are named.
pub fn with_plain_definitions<T>(work: impl FnOnce() -> T) -> T {
    with_settings(&[(c"search_path", c"pg_catalog, pg_temp"), (c"quote_all_identifiers", c"off")], work)
}

/// Runs `work` with these settings, which anybody may set. On error PostgreSQL itself puts back what was before at the abort
/// of the (sub)transaction.
fn with_settings<T>(settings: &[(&CStr, &CStr)], work: impl FnOnce() -> T) -> T {
    // SAFETY: a nest level of settings, ended below.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
    }
    let result = work();
    // SAFETY: the level that was begun above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Sets a setting that anybody may set, for as long as `action` says.
fn set(name: &CStr, value: &CStr, action: pg_sys::GucAction::Type) {
    // SAFETY: C strings, which the server copies.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

/// May this transaction write? Not in a read-only one, and not on a standby.
pub fn may_write() -> bool {
    // SAFETY: plain variables of this backend.
    unsafe { !pg_sys::XactReadOnly && !pg_sys::RecoveryInProgress() }
}

/// From here to the end of the transaction: a commit waits until it is on disk, and with synchronous standbys on theirs.
pub fn commit_safely() {
    // SAFETY: a plain setting of this backend.
    let now = unsafe { pg_sys::synchronous_commit };
    if now < pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_REMOTE_FLUSH as i32 {
        set(c"synchronous_commit", c"on", pg_sys::GucAction::GUC_ACTION_LOCAL);
    }
}

/// Does row-level security keep rows of the table from the current user?
pub fn rows_are_hidden(relid: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up; no error is raised for what does not apply.
    let applies = unsafe { pg_sys::check_enable_rls(relid, pg_sys::InvalidOid, true) };
    applies == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
}
