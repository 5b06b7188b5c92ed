//! Chains: gap-free sequences of entries, and how a verifier judges them.
//!
//! Two passes. [`Tally`] sees every row once, in any order, and says which chains are whole: one run
//! from seq 1, each link compared. [`walk()`] sees the rows of the other chains only, sorted, and says
//! what is wrong and where. Both compare stored bytes with recomputed ones and trust nothing else;
//! neither knows where rows come from.
//!
//! Invariant: a tally without suspects and a walk without findings mean the same thing.

mod clock;
mod entry;
mod first;
mod group;
mod judge;
mod matching;
mod omit;
mod places;
mod run;
mod segments;
mod tally;
mod walk;
mod words;

#[cfg(test)]
mod merging;
#[cfg(test)]
mod model;
#[cfg(test)]
mod omissions;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod tests;

pub use entry::{Entry, Evidence};
#[cfg(feature = "omissions")]
pub use omit::omit;
pub use segments::{Segments, SegmentsError};
pub use tally::{Suspects, Tally, TallyReport};
pub use walk::walk;

/// The highest chain number that an entry may have; rows above it are findings, so that a
/// verifier's memory is bounded.
pub const MAX_CHAIN: u32 = 65_535;
