//! Progress: one line on a terminal, written over and over, and gone in the end.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often it is written.
const EVERY: Duration = Duration::from_millis(200);

/// How far the reading of a file is.
pub struct Progress {
    shown: bool,
    total: Option<u64>,
    started: Instant,
    next: Instant,
}

impl Progress {
    /// Shows something only if it is wanted and standard error is a terminal.
    pub fn new(wanted: bool, total: Option<u64>) -> Self {
        let started = Instant::now();
        Self { shown: wanted && io::stderr().is_terminal(), total, started, next: started + EVERY }
    }

    /// So many bytes and lines were checked.
    pub fn update(&mut self, bytes: u64, lines: u64) {
        if !self.shown || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        let rate = bytes / u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let share = self.total.filter(|&total| total > 0);
        let share = share.map(|total| format!("{:3} %  ", bytes.min(total).saturating_mul(100) / total));
        let share = share.unwrap_or_default();
        // A terminal that is gone is no reason to stop.
        let _ = write!(io::stderr(), "\r{share}{} MB  {lines} lines  {} MB/s\x1b[K", bytes / 1_000_000, rate / 1_000);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
