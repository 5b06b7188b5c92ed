//! The consistency proof: that a newer seal's log is what an older one's grew to.
//!
//! ```text
//! <base64 of a hash>
//! …
//! ```
//!
//! One hash a line, in the order of RFC 9162's `PROOF`, each line with its newline; the empty text
//! where no hash is needed. It is what C2SP tlog-witness puts between the old size and the seal.
//!
//! Invariant of checking: both seals are believed, of one origin, and the newer one is not smaller.

use std::fmt;
use std::str::FromStr;

use crate::Digest;
use crate::merkle::{self, MAX_CONSISTENCY, ProofError};
use crate::note::EMPTY_LAST_LINE;
use crate::seal::{Seal, SealError, Standing, Trust};
use crate::text::{base64_digest, base64_encode};

/// The hashes between two trees.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsistencyProof(pub Vec<Digest>);

/// What stands behind two seals that are consistent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consistent<'k> {
    /// Behind the older one.
    pub old: Standing<'k>,
    /// Behind the newer one.
    pub new: Standing<'k>,
}

/// Why a text is not a consistency proof, or two seals are not consistent. Lines count from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConsistencyError {
    /// Not a hash in base64 on this line.
    BadHash(usize),
    /// The last line is empty, as psql leaves it.
    EmptyLastLine(usize),
    /// More than 64 hashes.
    TooManyHashes,
    /// The last line does not end in a newline.
    NoFinalNewline,
    /// The older seal is not to be believed.
    OldSeal(SealError),
    /// The newer seal is not to be believed.
    NewSeal(SealError),
    /// The two are of different logs, or of two incarnations of one.
    OtherOrigin {
        /// The older seal's origin.
        old: String,
        /// The newer seal's origin.
        new: String,
    },
    /// The hashes do not lead from one tree to the other.
    Proof(ProofError),
}

impl ConsistencyProof {
    /// Checks that both seals are to be believed and that `new` holds all that `old` held.
    ///
    /// # Errors
    /// Why the proof does not show it. [`ProofError::Shrunk`] and [`ProofError::TwoRoots`] between
    /// two signed seals convict whoever signed them.
    pub fn verify<'k>(&self, old: &Seal, new: &Seal, trust: Trust<'k>) -> Result<Consistent<'k>, ConsistencyError> {
        let standing = Consistent {
            old: old.verify(trust).map_err(ConsistencyError::OldSeal)?,
            new: new.verify(trust).map_err(ConsistencyError::NewSeal)?,
        };
        let (old, new) = (old.checkpoint(), new.checkpoint());
        if old.origin() != new.origin() {
            let (old, new) = (old.origin().to_string(), new.origin().to_string());
            return Err(ConsistencyError::OtherOrigin { old, new });
        }
        merkle::verify_consistency(old.size(), old.root(), new.size(), new.root(), &self.0)
            .map_err(ConsistencyError::Proof)?;
        Ok(standing)
    }
}

impl FromStr for ConsistencyProof {
    type Err = ConsistencyError;

    /// Reads one hash a line.
    fn from_str(text: &str) -> Result<Self, ConsistencyError> {
        let mut hashes = Vec::new();
        if text.is_empty() {
            return Ok(Self(hashes));
        }
        let lines = text.strip_suffix('\n').ok_or(ConsistencyError::NoFinalNewline)?;
        for (number, line) in (1..).zip(lines.split('\n')) {
            if hashes.len() == MAX_CONSISTENCY {
                return Err(ConsistencyError::TooManyHashes);
            }
            let is_last = || lines.matches('\n').count() + 1 == number;
            let wrong = || match line {
                "" if is_last() => ConsistencyError::EmptyLastLine(number),
                _ => ConsistencyError::BadHash(number),
            };
            hashes.push(base64_digest(line).ok_or_else(wrong)?);
        }
        Ok(Self(hashes))
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|hash| writeln!(f, "{}", base64_encode(hash.as_bytes())))
    }
}

impl fmt::Display for ConsistencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadHash(line) => write!(f, "line {line}: not a hash in base64"),
            Self::EmptyLastLine(line) => write!(f, "line {line}: {EMPTY_LAST_LINE}"),
            Self::TooManyHashes => write!(f, "proof has more than {MAX_CONSISTENCY} hashes"),
            Self::NoFinalNewline => f.write_str("the last line does not end in a newline"),
            Self::OldSeal(error) => write!(f, "in the older seal: {error}"),
            Self::NewSeal(error) => write!(f, "in the newer seal: {error}"),
            Self::OtherOrigin { old, new } => write!(f, "the older seal is of {old}, the newer one of {new}"),
            Self::Proof(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConsistencyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Keys;
    use crate::merkle::prove_consistency;
    use crate::sample::{Log, key, keys, line, origin, signed};

    fn proof(log: &Log, old: u64, new: u64) -> ConsistencyProof {
        ConsistencyProof(prove_consistency(old, new, |node| log.node(node)).unwrap())
    }

    #[test]
    fn every_seal_is_consistent_with_every_later_one() {
        let (log, key) = (Log::new(20, &[]), key(1, &origin(1)));
        let keys = keys(&[&key]);
        let seals: Vec<Seal> = (1..=20).map(|size| log.seal(size, &[&key])).collect();
        for (new, later) in (1..).zip(&seals) {
            for (old, earlier) in (1..new).zip(&seals) {
                let proof = proof(&log, old, new);
                assert_eq!(proof.to_string().parse(), Ok(proof.clone()));
                assert!(proof.verify(earlier, later, signed(&keys)).is_ok(), "{old} to {new}");
                let turned = proof.verify(later, earlier, signed(&keys));
                assert_eq!(turned, Err(ConsistencyError::Proof(ProofError::Shrunk { old: new, new: old })));
                let mut longer = proof.clone();
                longer.0.push(Digest::of(b""));
                assert!(longer.verify(earlier, later, signed(&keys)).is_err(), "{old} to {new}");
                for at in 0..proof.0.len() {
                    let shorter = ConsistencyProof(proof.0[..at].to_vec());
                    assert!(shorter.verify(earlier, later, signed(&keys)).is_err(), "{old} to {new}");
                }
            }
            assert!(ConsistencyProof::default().verify(later, later, signed(&keys)).is_ok());
            let from_nothing = ConsistencyProof::default().verify(&log.seal(0, &[&key]), later, signed(&keys));
            assert_eq!(from_nothing, Err(ConsistencyError::Proof(ProofError::FromNothing)));
        }
    }

    #[test]
    fn a_fork_is_convicted_by_its_own_notes() {
        let key = key(1, &origin(1));
        let keys = keys(&[&key]);
        let [ours, forked] = [30, 31].map(|number| Log::new(8, &[line(origin(1).log(), number)]));
        let (kept, shown) = (ours.seal(9, &[&key]), forked.seal(9, &[&key]));
        let two_roots = ConsistencyProof::default().verify(&kept, &shown, signed(&keys));
        assert_eq!(two_roots, Err(ConsistencyError::Proof(ProofError::TwoRoots(9))));
        let grown = Log::new(8, &[line(origin(1).log(), 31), line(origin(1).log(), 32)]);
        let later = proof(&grown, 9, 10).verify(&kept, &grown.seal(10, &[&key]), signed(&keys));
        assert_eq!(later, Err(ConsistencyError::Proof(ProofError::WrongOldRoot)));
        assert!(proof(&grown, 8, 10).verify(&ours.seal(8, &[&key]), &grown.seal(10, &[&key]), signed(&keys)).is_ok());
    }

    #[test]
    fn both_seals_must_be_of_one_origin_and_believed() {
        let log = Log::new(9, &[]);
        let [first, second] = [1, 2].map(|incarnation| key(1, &origin(incarnation)));
        let both = keys(&[&first, &second]);
        let old = log.seal(5, &[&first]);
        let new = log.seal(9, &[&first]);
        let reborn = Seal::sign(log.checkpoint(origin(2), 9), &[&second]).unwrap();
        let proof = proof(&log, 5, 9);
        assert!(proof.verify(&old, &new, signed(&both)).is_ok());
        let other = proof.verify(&old, &reborn, signed(&both));
        assert!(matches!(other, Err(ConsistencyError::OtherOrigin { .. })));
        let bare = |seal: &Seal| Seal::unsigned(seal.checkpoint().clone());
        assert_eq!(proof.verify(&bare(&old), &new, signed(&both)), Err(ConsistencyError::OldSeal(SealError::Unsigned)));
        assert_eq!(proof.verify(&old, &bare(&new), signed(&both)), Err(ConsistencyError::NewSeal(SealError::Unsigned)));
        let stranger = Keys::default();
        assert!(proof.verify(&old, &new, signed(&stranger)).is_err());
        let lax = Trust { keys: &stranger, unsigned: true };
        let consistent = Consistent { old: Standing::Unsigned, new: Standing::Unsigned };
        assert_eq!(proof.verify(&bare(&old), &bare(&new), lax), Ok(consistent));
        let other = proof.verify(&bare(&old), &bare(&reborn), lax);
        assert!(matches!(other, Err(ConsistencyError::OtherOrigin { .. })));
    }

    #[test]
    fn any_other_spelling_is_refused() {
        let parse = |text: &str| text.parse::<ConsistencyProof>();
        let line = base64_encode(Digest::of(b"abc").as_bytes()) + "\n";
        assert_eq!(parse(""), Ok(ConsistencyProof::default()));
        assert_eq!(parse(&line), Ok(ConsistencyProof(vec![Digest::of(b"abc")])));
        assert_eq!(parse(&line.repeat(64)).map(|proof| proof.0.len()), Ok(64));
        assert_eq!(parse(&line.repeat(65)), Err(ConsistencyError::TooManyHashes));
        assert_eq!(parse(line.trim_end()), Err(ConsistencyError::NoFinalNewline));
        assert_eq!(parse("\n"), Err(ConsistencyError::EmptyLastLine(1)));
        assert_eq!(parse(&format!("{line}\n")), Err(ConsistencyError::EmptyLastLine(2)));
        assert_eq!(parse(&format!("{line}\n{line}")), Err(ConsistencyError::BadHash(2)));
        assert_eq!(parse(&line.replace('\n', "\r\n")), Err(ConsistencyError::BadHash(1)));
        assert_eq!(parse(&format!(" {line}")), Err(ConsistencyError::BadHash(1)));
        assert_eq!(parse(&line.replace("0=", "1=")), Err(ConsistencyError::BadHash(1)));
    }
}
