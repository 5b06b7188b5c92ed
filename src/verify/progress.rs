//! How far a long verification is: a NOTICE every few seconds, the first one only after that time.
//!
//! PostgreSQL's progress views need a command kind that the server knows, and shared memory of our own would need
//! shared_preload_libraries; a NOTICE reaches whoever waits, on a standby too.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(5);

/// One pass over one table.
pub struct Progress {
    table: String,
    what: &'static str,
    blocks: u32,
    next: Instant,
}

impl Progress {
    /// Begins a pass over `blocks` pages.
    pub fn begin(table: String, what: &'static str, blocks: u32) -> Self {
        Self { table, what, blocks, next: Instant::now() + EVERY }
    }

    /// So many pages are done.
    pub fn at(&mut self, done: u32) {
        if Instant::now() < self.next || self.blocks == 0 {
            return;
        }
        self.next += EVERY;
        let percent = u64::from(done) * 100 / u64::from(self.blocks);
        pgrx::notice!("verifying {}: {} {percent} % ({done} of {} pages)", self.table, self.what, self.blocks);
    }
}
