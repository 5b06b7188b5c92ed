//! Snapshots: what is seen.

use pgrx::pg_sys;

/// A fresh MVCC snapshot, registered for as long as the value lives.
///
/// Not the transaction's own: under REPEATABLE READ and SERIALIZABLE that one does not see rows that others committed
/// below rows of one's own, so a chain would look as if it had gaps.
pub struct Fresh(pg_sys::Snapshot);

impl Fresh {
    /// Takes and registers a snapshot of now.
    pub fn take() -> Self {
        // SAFETY: inside a transaction; RegisterSnapshot copies and counts it, the resource owner drops it on error.
        Self(unsafe { pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot()) })
    }

    /// In a parallel worker: the one that its leader took, which is active here.
    pub fn of_leader() -> Self {
        // SAFETY: a worker begins with its leader's active snapshot as its own; registered as above.
        Self(unsafe { pg_sys::RegisterSnapshot(pg_sys::GetActiveSnapshot()) })
    }

    /// The raw snapshot, valid while `self` lives.
    pub fn raw(&self) -> pg_sys::Snapshot {
        self.0
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: registered in take(); not unwinding, so the resource owner has not released it.
            unsafe { pg_sys::UnregisterSnapshot(self.0) };
        }
    }
}

/// SnapshotSelf: committed rows and one's own, the current command's included, at every isolation level; no predicate
/// locks are taken under it.
pub fn own_and_committed() -> pg_sys::Snapshot {
    &raw mut pg_sys::SnapshotSelfData
}
