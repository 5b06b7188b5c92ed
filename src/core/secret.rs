//! Secrets and the keys that sign. One secret serves all logs: each origin's Ed25519 seed is
//! HKDF-SHA256(secret, salt "pg_notary", info = origin), so that no two logs share a key.
//!
//! A key file holds one secret a line, one line or two:
//!
//! ```text
//! pg_notary-secret-1+<base64 of 32 random bytes>
//! ```
//!
//! The first line's secret signs. A second line is the secret before it, kept until every log has
//! a seal that both signed.
//!
//! Invariants: a secret is zeroed when it is dropped and never printed but by [`Secret::text`].

use std::fmt;

use ed25519_dalek::Signer as _;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Origin;
use crate::key::{KeyError, VerifierKey};
use crate::text::{base64_decode, base64_encode};

const PREFIX: &str = "pg_notary-secret-1+";
const SALT: &[u8] = b"pg_notary";

/// 32 random bytes that all keys of a server come from.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

/// A key that signs notes.
pub struct SigningKey {
    verifier: VerifierKey,
    key: ed25519_dalek::SigningKey,
}

/// Why a text is not a key file. It never says what the text holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretError {
    /// This line, from 1, is not `pg_notary-secret-1+` and 32 bytes in base64.
    BadLine(usize),
    /// Nothing in it, or no newline at the end.
    CutShort,
    /// More than two lines.
    TooManyLines,
    /// Both lines hold the same secret.
    Twice,
}

impl Secret {
    /// A secret from 32 bytes of a cryptographic random number generator.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads a key file: the secret that signs, then the one before it, if it is still there.
    ///
    /// # Errors
    /// Which line is not a secret.
    pub fn parse_file(text: &str) -> Result<(Self, Option<Self>), SecretError> {
        let mut lines = text.strip_suffix('\n').ok_or(SecretError::CutShort)?.split('\n');
        let mut next = |number| lines.next().map(|line| Self::parse_line(line).ok_or(SecretError::BadLine(number)));
        let current = next(1).ok_or(SecretError::CutShort)??;
        let previous = next(2).transpose()?;
        if lines.next().is_some() {
            return Err(SecretError::TooManyLines);
        }
        // Not in constant time: whoever may choose one line may read the other.
        if previous.as_ref().is_some_and(|previous| previous.0 == current.0) {
            return Err(SecretError::Twice);
        }
        Ok((current, previous))
    }

    /// The secret's line in a key file, with its newline.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(base64_encode(&self.0[..]));
        Zeroizing::new([PREFIX, &digits, "\n"].concat())
    }

    /// The key of one origin.
    ///
    /// # Errors
    /// Never in practice: HKDF gives up to 8160 bytes, and a seed takes 32.
    pub fn key(&self, origin: &Origin) -> Result<SigningKey, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        let kdf = Hkdf::<Sha256>::new(Some(SALT), &self.0[..]);
        kdf.expand(origin.as_str().as_bytes(), &mut seed[..]).map_err(|_| KeyError::NotDerived)?;
        SigningKey::from_seed(origin.as_str(), &seed)
    }

    fn parse_line(line: &str) -> Option<Self> {
        let digits = line.strip_prefix(PREFIX).filter(|digits| digits.len() == 44)?;
        let bytes = Zeroizing::new(base64_decode(digits)?);
        let mut secret = Zeroizing::new([0; 32]);
        // The lengths differ only if the digits spell 31 or 33 bytes.
        if bytes.len() != secret.len() {
            return None;
        }
        secret.copy_from_slice(&bytes);
        Some(Self(secret))
    }
}

impl SigningKey {
    /// A key of any name from an Ed25519 seed.
    ///
    /// # Errors
    /// The name cannot stand in a note.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        Ok(Self { verifier: VerifierKey::new(name, key.verifying_key().as_bytes())?, key })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A key whose halves do not belong together, as after a flipped bit.
    #[cfg(test)]
    pub(crate) fn faulty(public: &Self, private: Self) -> Self {
        Self { verifier: public.verifier.clone(), key: private.key }
    }

    /// The 64 bytes of a signature.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLine(number) => write!(f, "line {number} of the key file is not {PREFIX}<base64 of 32 bytes>"),
            Self::CutShort => f.write_str("key file is empty or does not end in a newline"),
            Self::TooManyLines => f.write_str("key file has more than two lines"),
            Self::Twice => f.write_str("key file holds one secret twice"),
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "pg_notary-secret-1+AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    const OTHER: &str = "pg_notary-secret-1+BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";

    fn secret() -> Secret {
        Secret::new(Zeroizing::new(std::array::from_fn(|i| u8::try_from(i).unwrap())))
    }

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_file_holds_one_secret_or_two() {
        assert_eq!(*secret().text(), LINE);
        let (current, previous) = Secret::parse_file(LINE).unwrap();
        assert_eq!((&*current.text(), previous.is_none()), (&LINE.to_owned(), true));
        let (current, previous) = Secret::parse_file(&format!("{OTHER}{LINE}")).unwrap();
        assert_eq!((current.text().as_str(), previous.unwrap().text().as_str()), (OTHER, LINE));
    }

    #[test]
    fn any_other_spelling_is_refused() {
        let bare = LINE.trim_end();
        let cases = [
            (String::new(), SecretError::CutShort),
            (bare.to_owned(), SecretError::CutShort),
            ("\n".to_owned(), SecretError::BadLine(1)),
            (format!("{LINE}\n"), SecretError::BadLine(2)),
            (format!("\n{LINE}"), SecretError::BadLine(1)),
            (format!("{bare}\r\n"), SecretError::BadLine(1)),
            (format!("{bare} \n"), SecretError::BadLine(1)),
            (format!(" {LINE}"), SecretError::BadLine(1)),
            (LINE.replace("8=", "9="), SecretError::BadLine(1)),
            (LINE.replace("8=", "8"), SecretError::BadLine(1)),
            (LINE.replace("Hh8=", "Hh8A"), SecretError::BadLine(1)),
            (LINE.replace("Hh8=", "Hg=="), SecretError::BadLine(1)),
            (LINE.replace("-1+", "-2+"), SecretError::BadLine(1)),
            (format!("{LINE}{LINE}"), SecretError::Twice),
            (format!("{LINE}{OTHER}{OTHER}"), SecretError::TooManyLines),
        ];
        for (text, error) in cases {
            assert_eq!(Secret::parse_file(&text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn each_origin_has_a_key_of_its_own_as_hkdf_derives_it() {
        let log = "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";
        let [first, second] = [log.to_owned(), format!("{log}/2")].map(|text| secret().key(&origin(&text)).unwrap());
        assert_ne!(first.verifier().public(), second.verifier().public());
        assert_eq!(first.verifier().name(), log);
        assert_eq!(first.verifier().to_string(), VERIFIER);
        let (other, _) = Secret::parse_file(OTHER).unwrap();
        assert_ne!(other.key(&origin(log)).unwrap().verifier(), first.verifier());
    }

    /// Made of the same secret and origin with Python's HMAC and OpenSSL's Ed25519.
    const VERIFIER: &str =
        "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb+b9a63d6d+Adss4G2yw3YY4FzLjZLMmFe8aGX5rvTbX/x0AcDmw+FM";

    #[test]
    fn nothing_printed_holds_a_secret() {
        let key = secret().key(&origin("a/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb")).unwrap();
        assert_eq!(format!("{:?}", secret()), "Secret(…)");
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.verifier()));
        let wrong = LINE.replace("-1+", "-2+");
        assert!(!Secret::parse_file(&wrong).unwrap_err().to_string().contains("AAEC"));
    }
}
