//! The program `notary-verify` as its users run it: what is right passes, and each kind of tampering is
//! found where it is, with the exit code that scripts rely on.
#![cfg(feature = "tool")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bundle;
mod bytes;
mod cases;
mod export;
mod kinds;
mod log;
mod notes;
mod page;
mod program;
mod proofs;
mod python;
mod state;
