//! The note (C2SP signed-note): a text and the signatures over it.
//!
//! ```text
//! This is an example message.
//!
//! — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
//! — <name> <base64(4-byte key id ‖ signature)>
//! ```
//!
//! The text ends in a newline, which is signed; the last empty line of the note divides it from the
//! signatures. Invariants: UTF-8 without control characters but newlines; what is read is written
//! back byte for byte; at most [`MAX_NOTE`] bytes and [`MAX_SIGNATURES`] signatures.
//!
//! Verifying: a signature counts for the key of its name *and* id. One by a key that is not known is
//! ignored, for it may be a witness's; one by a known key that fails rejects the note, wherever it
//! stands; a key counts once.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::key::{KeyId, VerifierKey, is_name};
use crate::secret::SigningKey;
use crate::text::{base64_decode, base64_encode};

/// The longest note in bytes, as in other implementations.
pub const MAX_NOTE: usize = 1_000_000;

/// The most signatures of a note, as in other implementations; the specification asks for 16.
pub const MAX_SIGNATURES: usize = 100;

/// What is said of an empty line at the end of a file.
pub(crate) const EMPTY_LAST_LINE: &str = "an empty line at the end (psql adds one): remove it";

/// What each signature line starts with.
const DASH: &str = "— ";

/// A text with at least one signature, which may be anyone's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The name of the key that is said to have signed.
    pub name: String,
    /// The id of that key.
    pub id: KeyId,
    /// What the algorithm of that key makes; at least one byte.
    pub bytes: Vec<u8>,
}

/// Why a text is not a note, or a note is not to be believed. Lines count from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoteError {
    /// More than [`MAX_NOTE`] bytes.
    TooLong,
    /// Not UTF-8 on this line.
    NotUtf8(usize),
    /// A control character, such as a carriage return, on this line.
    ControlCharacter(usize),
    /// No newline at the end.
    NoFinalNewline,
    /// No empty line with signatures after it.
    NotSigned,
    /// The last line is empty, as psql leaves it.
    EmptyLastLine(usize),
    /// A line after the empty one is not a dash, a name and base64.
    BadSignatureLine(usize),
    /// More than [`MAX_SIGNATURES`].
    TooManySignatures,
    /// A known key's signature does not fit the text.
    BadSignature {
        /// The line in the note.
        line: usize,
        /// The key's name.
        name: String,
        /// The key's id.
        id: KeyId,
    },
    /// No signature is by a known key.
    NoKnownKey,
    /// A text to sign must be whole lines of UTF-8, and not empty; each key signs once.
    CannotSign,
}

impl Note {
    /// Reads a note in its only spelling.
    ///
    /// # Errors
    /// Which line is wrong, and how.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let whole = plain_lines(bytes)?;
        if whole.ends_with("\n\n") {
            return Err(NoteError::EmptyLastLine(whole.matches('\n').count()));
        }
        let at = whole.rfind("\n\n").ok_or(NoteError::NotSigned)?;
        // The empty line is two bytes of ASCII: the first still ends the text.
        let (text, rest) = whole.split_at(at + 1);
        let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n')).ok_or(NoteError::NotSigned)?;
        let first = text.matches('\n').count() + 2;
        let mut signatures = Vec::new();
        for (number, line) in (first..).zip(lines.split('\n')) {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(Signature::parse(line).ok_or(NoteError::BadSignatureLine(number))?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Signs a text with each key.
    ///
    /// # Errors
    /// The text is no note's, or a key is given twice, or none.
    pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<Self, NoteError> {
        let sound = plain_lines(text.as_bytes()).is_ok() && !keys.is_empty() && keys.len() <= MAX_SIGNATURES;
        if !sound {
            return Err(NoteError::CannotSign);
        }
        let mut signatures: Vec<Signature> = Vec::new();
        for key in keys {
            let (name, id) = (key.verifier().name(), key.verifier().id());
            if signatures.iter().any(|other| other.name == name && other.id == id) {
                return Err(NoteError::CannotSign);
            }
            let bytes = key.sign(text.as_bytes()).into();
            signatures.push(Signature { name: name.to_owned(), id, bytes });
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The signed text, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, known or not, in their order.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The keys that signed, each once, of those that `known` has: at least one.
    ///
    /// # Errors
    /// No known key signed, or the signature of one does not fit.
    pub fn verify<'k>(
        &self,
        known: impl Fn(&str, KeyId) -> Option<&'k VerifierKey>,
    ) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signers: Vec<&VerifierKey> = Vec::new();
        let first = self.text.matches('\n').count() + 2;
        for (line, signature) in (first..).zip(&self.signatures) {
            let Signature { name, id, bytes } = signature;
            // A key that is not this one is as good as unknown, whatever the caller's look-up does.
            let Some(key) = known(name, *id).filter(|key| key.name() == name && key.id() == *id) else {
                continue;
            };
            if !key.verify(self.text.as_bytes(), bytes) {
                return Err(NoteError::BadSignature { line, name: name.clone(), id: *id });
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() { Err(NoteError::NoKnownKey) } else { Ok(signers) }
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, digits) = line.strip_prefix(DASH)?.split_once(' ')?;
        let all = base64_decode(digits)?;
        let (id, bytes) = all.split_first_chunk()?;
        let sound = is_name(name) && !bytes.is_empty();
        sound.then(|| Self { name: name.to_owned(), id: KeyId::from_bytes(*id), bytes: bytes.to_vec() })
    }
}

/// The text of a note or of its body: whole lines, UTF-8, no control character but newlines.
pub(crate) fn plain_lines(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > MAX_NOTE {
        return Err(NoteError::TooLong);
    }
    let line_of = |at: usize| 1 + bytes.iter().take(at).filter(|&&byte| byte == b'\n').count();
    let text = std::str::from_utf8(bytes).map_err(|e| NoteError::NotUtf8(line_of(e.valid_up_to())))?;
    if let Some(at) = text.bytes().position(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::ControlCharacter(line_of(at)));
    }
    if text.ends_with('\n') { Ok(text) } else { Err(NoteError::NoFinalNewline) }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [&self.id.as_bytes()[..], &self.bytes].concat();
        write!(f, "{DASH}{} {}", self.name, base64_encode(&all))
    }
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "note is longer than {MAX_NOTE} bytes"),
            Self::NotUtf8(line) => write!(f, "line {line}: invalid UTF-8"),
            Self::ControlCharacter(line) => write!(f, "line {line}: control character (a carriage return?)"),
            Self::NoFinalNewline => f.write_str("the last line does not end in a newline"),
            Self::NotSigned => f.write_str("note has no signatures"),
            Self::EmptyLastLine(line) => write!(f, "line {line}: {EMPTY_LAST_LINE}"),
            Self::BadSignatureLine(line) => write!(f, "line {line}: not a signature line"),
            Self::TooManySignatures => write!(f, "note has more than {MAX_SIGNATURES} signatures"),
            Self::BadSignature { line, name, id } => {
                write!(f, "line {line}: the signature of key {name}+{id} does not fit the text")
            }
            Self::NoKnownKey => f.write_str("no known key signed the note"),
            Self::CannotSign => f.write_str("text or keys cannot make a note"),
        }
    }
}

impl std::error::Error for NoteError {}
