//! The seal: a checkpoint, signed as a note or, without a key, bare.
//!
//! A bare body is a seal of another kind, not a note: whoever can write it can write any. So it is
//! refused unless the caller asks for unsigned seals, and then called [`Standing::Unsigned`].
//!
//! Invariants: keys come from the caller, never from what is checked. One of them, its name the
//! seal's origin, must have signed: a key that is trusted for one log vouches for no other.
//! A seal that is signed here was read back and verified by the path that verifiers use.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::key::{KeyError, Keys, VerifierKey};
use crate::note::{Note, NoteError, plain_lines};
use crate::secret::SigningKey;

/// A checkpoint with whatever signatures came with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    checkpoint: Checkpoint,
    note: Option<Note>,
}

/// What a caller believes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trust<'k> {
    /// The keys that may vouch for a seal.
    pub keys: &'k Keys,
    /// Whether a seal that no known key signed will do. One whose signature fails never does.
    pub unsigned: bool,
}

/// What stands behind a seal that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing<'k> {
    /// These keys signed, the log's own among them.
    Signed(Vec<&'k VerifierKey>),
    /// No key of the log that the caller knows; it shows no more than whoever handed it over.
    Unsigned,
}

/// Why a text is not a seal, or a seal is not to be believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SealError {
    /// The note around the checkpoint is wrong.
    Note(NoteError),
    /// The body is not a checkpoint.
    Checkpoint(CheckpointError),
    /// The bare body, where a signature is asked for.
    Unsigned,
    /// Signed by known keys, but by none of this origin.
    NotByTheLog,
    /// A key to sign with has another name than the origin.
    OtherName(String),
    /// The fresh signature does not verify: the key or the machine is faulty.
    SelfCheck,
}

impl Seal {
    /// Reads a note or a bare body.
    ///
    /// # Errors
    /// Which line is wrong, and how.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        let text = plain_lines(bytes)?;
        // A body has no empty line, a note has one.
        if !text.contains("\n\n") {
            return Ok(Self { checkpoint: text.parse()?, note: None });
        }
        let note = Note::parse(bytes)?;
        Ok(Self { checkpoint: note.text().parse()?, note: Some(note) })
    }

    /// A seal without a key.
    #[must_use]
    pub const fn unsigned(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, note: None }
    }

    /// Signs a checkpoint with the log's key, or with two where one takes over from the other, and
    /// reads the result back as a verifier would.
    ///
    /// # Errors
    /// A key is not this origin's, or what was signed does not verify.
    pub fn sign(checkpoint: Checkpoint, keys: &[&SigningKey]) -> Result<Self, SealError> {
        let others = |key: &&&SigningKey| key.verifier().name() != checkpoint.origin().as_str();
        if let Some(other) = keys.iter().find(others) {
            return Err(SealError::OtherName(other.verifier().name().to_owned()));
        }
        let note = Note::sign(&checkpoint.to_string(), keys)?;
        let seal = Self { checkpoint, note: Some(note) };

        let read = Self::parse(seal.to_string().as_bytes())?;
        let verifiers = Keys::new(keys.iter().map(|key| key.verifier().clone().into()));
        let verifiers = verifiers.map_err(|_: KeyError| SealError::SelfCheck)?;
        match read.verify(Trust { keys: &verifiers, unsigned: false }) {
            Ok(Standing::Signed(signers)) if signers.len() == keys.len() && read == seal => Ok(seal),
            _ => Err(SealError::SelfCheck),
        }
    }

    /// What the seal says, believed or not.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, unless the seal is a bare body.
    #[must_use]
    pub const fn note(&self) -> Option<&Note> {
        self.note.as_ref()
    }

    /// What stands behind the seal, for a caller who trusts these keys.
    ///
    /// # Errors
    /// A known key's signature fails, or no key of this origin signed and that will not do.
    pub fn verify<'k>(&self, trust: Trust<'k>) -> Result<Standing<'k>, SealError> {
        let known = |name: &str, id| trust.keys.find(name, id, self.checkpoint.size());
        let of_the_log = |key: &&VerifierKey| key.name() == self.checkpoint.origin().as_str();
        let refused = match self.note.as_ref().map(|note| note.verify(known)) {
            Some(Ok(signers)) if signers.iter().any(of_the_log) => return Ok(Standing::Signed(signers)),
            Some(Ok(_)) => SealError::NotByTheLog,
            Some(Err(NoteError::NoKnownKey)) => SealError::Note(NoteError::NoKnownKey),
            // A signature that fails is a lie, whatever the caller would put up with.
            Some(Err(failed)) => return Err(failed.into()),
            None => SealError::Unsigned,
        };
        if trust.unsigned { Ok(Standing::Unsigned) } else { Err(refused) }
    }
}

impl From<NoteError> for SealError {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

impl From<CheckpointError> for SealError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.note {
            None => self.checkpoint.fmt(f),
            Some(note) => note.fmt(f),
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Unsigned => f.write_str("seal is unsigned"),
            Self::NotByTheLog => {
                f.write_str("known keys signed the note, but none of the log that its first line names")
            }
            Self::OtherName(name) => write!(f, "key {name} is not named as the seal's origin"),
            Self::SelfCheck => f.write_str("fresh signature does not verify"),
        }
    }
}

impl std::error::Error for SealError {}
