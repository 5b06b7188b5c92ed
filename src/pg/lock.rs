//! The lock that makes one transaction at a time the writer of a chain.
//!
//! It is a heavyweight lock of kind `object` on (pg_class, table, chain): no SQL command can take it, it is held to the
//! end of the transaction (or of the savepoint it was taken in), goes into PREPARE TRANSACTION, and shows in pg_locks
//! as `locktype = object, classid = 1259, objid = <table>, objsubid = <chain>`.

use pgrx::pg_sys;

/// The lock of one chain of one table.
#[derive(Clone, Copy)]
pub struct ChainLock(pg_sys::LOCKTAG);

impl ChainLock {
    /// The lock of `chain` of the table `relid`. A lock tag holds 16 bits of the chain number, which is what bounds
    /// chain numbers to `notary_core::chain::MAX_CHAIN`.
    pub fn new(relid: pg_sys::Oid, chain: u16) -> Self {
        // SAFETY: MyDatabaseId is set once at connection time.
        let database = unsafe { pg_sys::MyDatabaseId };
        Self(tag(database, pg_sys::RelationRelationId, relid.to_u32(), chain))
    }

    /// Takes the lock if it is free or already held by this backend; never waits.
    pub fn try_acquire(&self) -> bool {
        self.take(true) != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// Takes the lock, waiting for its holder. PostgreSQL's deadlock detection and lock_timeout apply.
    pub fn acquire(&self) {
        self.take(false);
    }

    /// Gives back a lock that this (sub)transaction has taken and made no use of.
    pub fn release(&self) {
        // SAFETY: a well-formed tag.
        of_transaction(|| unsafe { pg_sys::LockRelease(&self.0, pg_sys::ExclusiveLock as i32, false) });
    }

    fn take(&self, dont_wait: bool) -> pg_sys::LockAcquireResult::Type {
        // SAFETY: a well-formed tag.
        of_transaction(|| unsafe { pg_sys::LockAcquire(&self.0, pg_sys::ExclusiveLock as i32, false, dont_wait) })
    }
}

/// A chain's lock is to live and die with the (sub)transaction, so it is put into that one's resource owner: the current one may
/// be a portal's that was opened outside a savepoint, which a failure inside would release too early.
fn of_transaction<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: a transaction is open, since a trigger runs. When `work` raises, transaction abort sets CurrentResourceOwner anew.
    unsafe {
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::CurrentResourceOwner = pg_sys::CurTransactionResourceOwner;
        let result = work();
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}

/// Locks a relation as SELECT does, to the end of the transaction, waiting for whoever alters it.
pub fn share(relid: pg_sys::Oid) {
    // SAFETY: any OID can be locked.
    unsafe { pg_sys::LockRelationOid(relid, pg_sys::AccessShareLock as pg_sys::LOCKMODE) };
}

/// The same without waiting; false: it would have to.
pub fn try_share(relid: pg_sys::Oid) -> bool {
    // SAFETY: any OID can be locked.
    unsafe { pg_sys::ConditionalLockRelationOid(relid, pg_sys::AccessShareLock as pg_sys::LOCKMODE) }
}

/// Takes the lock under which a log gives out segment numbers, held to the end of the transaction.
pub fn lock_log_numbers(log: &[u8; 16]) {
    lock_log(log, pg_sys::RelationRelationId);
}

/// Takes the lock under which a log's tree grows and is signed, held to the end of the transaction.
pub fn lock_tree(log: &[u8; 16]) {
    lock_log(log, pg_sys::ExtensionRelationId);
}

/// Takes the lock under which the journal is made, held to the end of the transaction.
pub fn lock_journal() {
    lock_log(&[0; 16], pg_sys::NamespaceRelationId);
    // Whoever had it before may have made what the caches say is not there.
    // SAFETY: inside a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

fn lock_log(log: &[u8; 16], class: pg_sys::Oid) {
    let word = |i: usize| u32::from_ne_bytes([log[i], log[i + 1], log[i + 2], log[i + 3]]);
    // SAFETY: MyDatabaseId is set once at connection time.
    let database = unsafe { pg_sys::MyDatabaseId };
    // A uuid's 128 bits folded into the tag; two logs that share a lock only wait for each other.
    let tag = tag(database, class, word(0) ^ word(4) ^ word(8) ^ word(12), 0);
    // SAFETY: a well-formed tag inside a transaction.
    unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, false) };
}

fn tag(database: pg_sys::Oid, class: pg_sys::Oid, object: u32, sub: u16) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        locktag_field1: database.to_u32(),
        locktag_field2: class.to_u32(),
        locktag_field3: object,
        locktag_field4: sub,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}
