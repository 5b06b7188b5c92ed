//! Verifier keys (C2SP signed-note): the public half, which whoever checks a note brings along.
//!
//! ```text
//! db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
//! <name>+<hex of the key id>+<base64(0x01 ‖ public key)>
//! ```
//!
//! The id is SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)\[:4\]. A retired key is handed on with its last
//! size, after a space: in a note of a larger tree it is an unknown key.
//!
//! Invariants: Ed25519 alone; a key is a point in its only encoding and of large order, and a
//! signature is checked by `verify_strict`, so that every verifier of Ed25519 agrees.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::Digest;
use crate::digest::{hex_pair, nibble};
use crate::text::{base64_decode, base64_encode, decimal};

/// The byte that stands for Ed25519.
const ED25519: u8 = 1;

/// Four bytes that, with the name, say which key made a signature. Not a hash to rely on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

/// A key that verifies notes.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    key: VerifyingKey,
}

/// A key that its holder trusts, up to its last size if it is retired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedKey {
    /// The key.
    pub key: VerifierKey,
    /// The size of the largest tree that it may speak for; `None` for a key in use.
    pub last_size: Option<u64>,
}

/// The keys that whoever checks a note brings along; no two share name and id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keys(Vec<TrustedKey>);

/// Why a text is not a verifier key, or not one that may be trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyError {
    /// Not three parts with a plus between them.
    NotThreeParts,
    /// A name that is empty or has a space, a plus or a control character.
    BadName,
    /// Not eight lower-case hex digits.
    BadId,
    /// Not base64 of a byte and a key.
    BadBase64,
    /// A kind of key other than Ed25519.
    OtherAlgorithm(u8),
    /// Not 32 bytes that encode a point of large order in the only way.
    BadPoint,
    /// The id does not belong to this name and key.
    WrongId(KeyId),
    /// The last size is not a plain number up to 2^63-1.
    BadLastSize,
    /// Two keys of one name and id.
    Twice(String, KeyId),
    /// A signing key could not be derived.
    NotDerived,
}

impl KeyId {
    /// The id as it stands before a signature.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl VerifierKey {
    /// A key from its name and the 32 bytes of an Ed25519 public key.
    ///
    /// # Errors
    /// The name cannot stand in a note, or the bytes are no key, or a weak one.
    pub fn new(name: &str, public: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::BadName);
        }
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::BadPoint)?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != public {
            return Err(KeyError::BadPoint);
        }
        let hashed = [name.as_bytes(), b"\n", &[ED25519], public].concat();
        let [a, b, c, d, ..] = *Digest::of(&hashed).as_bytes();
        Ok(Self { name: name.to_owned(), id: KeyId([a, b, c, d]), key })
    }

    /// The key's name: for a log's key, the origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl Keys {
    /// A set of keys.
    ///
    /// # Errors
    /// Two share name and id: which one would a signature be checked with, and up to which size?
    pub fn new(keys: impl IntoIterator<Item = TrustedKey>) -> Result<Self, KeyError> {
        let mut all = Self::default();
        keys.into_iter().try_for_each(|key| all.add(key))?;
        Ok(all)
    }

    /// Reads a list of keys as [`TrustedKey`] reads each: one a line, empty lines aside.
    ///
    /// # Errors
    /// Which line, and why.
    pub fn parse(text: &str) -> Result<Self, (usize, KeyError)> {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
        let mut keys = Self::default();
        for (number, line) in lines {
            line.parse().and_then(|key| keys.add(key)).map_err(|error| (number, error))?;
        }
        Ok(keys)
    }

    /// All of them, in the order given.
    #[must_use]
    pub fn as_slice(&self) -> &[TrustedKey] {
        &self.0
    }

    /// The key of this name and id, unless it was retired before the tree had `size` leaves.
    #[must_use]
    pub fn find(&self, name: &str, id: KeyId, size: u64) -> Option<&VerifierKey> {
        let of_this_name = |trusted: &&TrustedKey| trusted.key.id() == id && trusted.key.name() == name;
        let found = self.0.iter().find(of_this_name)?;
        found.last_size.is_none_or(|last| size <= last).then_some(&found.key)
    }

    fn add(&mut self, added: TrustedKey) -> Result<(), KeyError> {
        let VerifierKey { name, id, .. } = &added.key;
        if self.0.iter().any(|other| other.key.name == *name && other.key.id == *id) {
            return Err(KeyError::Twice(name.clone(), *id));
        }
        self.0.push(added);
        Ok(())
    }
}

/// A name that can stand in a note.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c != '+' && !c.is_whitespace() && !c.is_control();
    !name.is_empty() && name.chars().all(allowed)
}

impl FromStr for KeyId {
    type Err = KeyError;

    /// Reads eight lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut id = [0; 4];
        let mut digits = text.bytes().map(nibble);
        for byte in &mut id {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(KeyError::BadId);
            };
            *byte = high << 4 | low;
        }
        if digits.next().is_none() { Ok(Self(id)) } else { Err(KeyError::BadId) }
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    /// Reads `name+id+base64` in its only spelling.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::NotThreeParts)?;
        // Base64 may hold a plus itself.
        let (id, key) = rest.split_once('+').ok_or(KeyError::NotThreeParts)?;
        if !is_name(name) {
            return Err(KeyError::BadName);
        }
        let id: KeyId = id.parse()?;
        let bytes = base64_decode(key).ok_or(KeyError::BadBase64)?;
        let (&algorithm, public) = bytes.split_first().ok_or(KeyError::BadBase64)?;
        if algorithm != ED25519 {
            return Err(KeyError::OtherAlgorithm(algorithm));
        }
        let key = Self::new(name, public.try_into().map_err(|_| KeyError::BadPoint)?)?;
        if key.id == id { Ok(key) } else { Err(KeyError::WrongId(key.id)) }
    }
}

impl FromStr for TrustedKey {
    type Err = KeyError;

    /// Reads a verifier key, or one with a space and its last size after it.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (key, last_size) = match text.split_once(' ') {
            None => (text, None),
            Some((key, size)) => (key, Some(decimal(size).ok_or(KeyError::BadLastSize)?)),
        };
        Ok(Self { key: key.parse()?, last_size })
    }
}

impl From<VerifierKey> for TrustedKey {
    fn from(key: VerifierKey) -> Self {
        Self { key, last_size: None }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pairs = self.0.into_iter().flat_map(hex_pair);
        pairs.try_for_each(|digit| write!(f, "{}", char::from(digit)))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[ED25519], &self.public()[..]].concat();
        write!(f, "{}+{}+{}", self.name, self.id, base64_encode(&bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last_size {
            None => self.key.fmt(f),
            Some(size) => write!(f, "{} {size}", self.key),
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThreeParts => f.write_str("verifier key is not of the form name+id+base64"),
            Self::BadName => f.write_str("verifier key's name is empty or has a space, a plus or a control character"),
            Self::BadId => f.write_str("verifier key's id is not eight lower-case hex digits"),
            Self::BadBase64 => f.write_str("verifier key's last part is not base64"),
            Self::OtherAlgorithm(byte) => write!(f, "verifier key is of kind {byte}, not Ed25519"),
            Self::BadPoint => f.write_str("verifier key is not a sound Ed25519 public key"),
            Self::WrongId(id) => write!(f, "verifier key's id does not match its name and key, which make {id}"),
            Self::BadLastSize => f.write_str("verifier key's last size is not a plain number up to 2^63-1"),
            Self::Twice(name, id) => write!(f, "verifier key {name}+{id} is given twice"),
            Self::NotDerived => f.write_str("signing key cannot be derived"),
        }
    }
}

impl std::error::Error for KeyError {}
