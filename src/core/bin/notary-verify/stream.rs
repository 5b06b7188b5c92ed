//! An export, read by one thread and hashed by the others.
//!
//! The main thread reads batches of whole lines, hands them to workers in turn, and takes them back in the
//! same turn, so that leaves reach the check in their order. Workers read and hash lines; the check, which
//! needs the order, is the main thread's.
//!
//! Invariants: at most [`IN_WORK`] batches for each worker are in memory, each as long as [`BATCH`] or its one
//! longer line, and no line is kept beyond the longest that the format allows.

use std::io::{self, BufRead as _, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use notary_core::export::{ExportCheck, Finding, Leaf};
use notary_core::line::MAX_LINE;

use crate::input::{altered, foreign};
use crate::progress::Progress;

/// How many bytes are read at once.
const BATCH: u64 = 1 << 20;

/// How many batches each worker has at most.
const IN_WORK: usize = 2;

/// More workers than these would wait for the one thread that reads.
const MAX_WORKERS: usize = 6;

/// How the stream ended.
#[derive(Clone, Copy, Default)]
pub struct Ended {
    /// How many bytes were read.
    pub bytes: u64,
    /// The last line has no newline.
    pub cut_short: bool,
    /// A line is longer than any can be. What follows it was not read.
    pub too_long: bool,
    /// What it is instead of an export. Nothing was read beyond its first bytes.
    pub foreign: Option<&'static str>,
    /// What somebody's tool did to its first line.
    pub altered: Option<&'static str>,
}

/// Whole lines, and what a worker made of them.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    leaves: Vec<Leaf>,
}

/// The two ends of a worker's work.
type Worker = (SyncSender<Batch>, Receiver<Batch>);

/// Checks all lines of `input`.
pub fn check(
    input: &mut dyn Read,
    check: &mut ExportCheck,
    progress: &mut Progress,
    mut report: impl FnMut(Finding),
) -> io::Result<Ended> {
    let count = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_WORKERS);
    thread::scope(|scope| {
        let workers: Vec<Worker> = (0..count)
            .map(|_| {
                let (to_worker, work) = sync_channel::<Batch>(IN_WORK);
                let (done, from_worker) = sync_channel(IN_WORK);
                scope.spawn(move || work.into_iter().try_for_each(|batch| done.send(batch.read())));
                (to_worker, from_worker)
            })
            .collect();
        let mut reader = Reader { input, carried: Vec::new(), ended: false, state: Ended::default() };
        let mut spare = Vec::new();
        let (mut sent, mut taken) = (0, 0);
        let mut bytes = 0;
        loop {
            while sent - taken < count * IN_WORK
                && let Some(batch) = reader.next(spare.pop().unwrap_or_default())?
            {
                workers[sent % count].0.send(batch).map_err(|_| gone())?;
                sent += 1;
            }
            if sent == taken {
                return Ok(reader.state);
            }
            let batch = workers[taken % count].1.recv().map_err(|_| gone())?;
            taken += 1;
            for leaf in &batch.leaves {
                check.add(leaf, &mut report).map_err(io::Error::other)?;
            }
            bytes += batch.bytes.len() as u64;
            progress.update(bytes, check.size());
            spare.push(batch);
        }
    })
}

impl Batch {
    fn read(mut self) -> Self {
        self.leaves.clear();
        let mut rest = &self.bytes[..];
        while !rest.is_empty() {
            let mut after = rest;
            // Reading a slice cannot fail.
            let length = after.skip_until(b'\n').unwrap_or(rest.len());
            let line = &rest[..length];
            self.leaves.push(Leaf::read(line.strip_suffix(b"\n").unwrap_or(line)));
            rest = after;
        }
        self
    }
}

/// What is left of the input.
struct Reader<'i> {
    input: &'i mut dyn Read,
    /// The beginning of the next batch's first line.
    carried: Vec<u8>,
    ended: bool,
    state: Ended,
}

impl Reader<'_> {
    /// The next whole lines; `None` at the end. The last line may lack its newline.
    fn next(&mut self, mut batch: Batch) -> io::Result<Option<Batch>> {
        let bytes = &mut batch.bytes;
        bytes.clear();
        bytes.append(&mut self.carried);
        while !self.ended {
            let known = bytes.len();
            let read = (&mut *self.input).take(BATCH).read_to_end(bytes)?;
            if self.state.bytes == 0 {
                self.state.foreign = foreign(bytes);
                self.state.altered = altered(bytes);
                if self.state.foreign.is_some() {
                    bytes.clear();
                    self.ended = true;
                    break;
                }
            }
            self.state.bytes += read as u64;
            if (read as u64) < BATCH {
                self.ended = true;
                self.state.cut_short = bytes.last().is_some_and(|&last| last != b'\n');
                break;
            }
            if let Some(at) = bytes[known..].iter().rposition(|&byte| byte == b'\n') {
                self.carried.extend_from_slice(&bytes[known + at + 1..]);
                bytes.truncate(known + at + 1);
                break;
            }
            if bytes.len() > MAX_LINE {
                self.ended = true;
                self.state.too_long = true;
            }
        }
        Ok((!batch.bytes.is_empty()).then_some(batch))
    }
}

/// A worker can end early only by a panic.
fn gone() -> io::Error {
    io::Error::other("a thread has ended")
}
