//! Who signed, for which log, up to which size: and what must not pass for a seal.

use super::*;
use crate::key::TrustedKey;
use crate::sample::{Log, key, keys, origin, signed};
use crate::{Digest, Origin};

fn log() -> Log {
    Log::new(20, &[])
}

/// The names of the keys that stand behind a seal.
fn signers(standing: &Standing<'_>) -> usize {
    match standing {
        Standing::Signed(keys) => keys.len(),
        Standing::Unsigned => 0,
    }
}

#[test]
fn a_seal_is_signed_read_back_and_verified() {
    let key = key(1, &origin(1));
    let seal = log().seal(20, &[&key]);
    let text = seal.to_string();
    assert!(text.starts_with("db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb\n20\n"));
    assert!(text.contains("=\n\n— db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb "));
    assert_eq!(text.lines().count(), 5);
    let read = Seal::parse(text.as_bytes()).unwrap();
    assert_eq!(read, seal);
    assert_eq!(read.verify(signed(&keys(&[&key]))).map(|standing| signers(&standing)), Ok(1));
    // Ed25519 has no chance in it: the same state makes the same note.
    assert_eq!(log().seal(20, &[&key]).to_string(), text);
}

#[test]
fn a_signature_that_does_not_verify_is_not_given_out() {
    let [key, other] = [1, 2].map(|secret| key(secret, &origin(1)));
    let faulty = SigningKey::faulty(&key, other);
    assert_eq!(Seal::sign(log().checkpoint(origin(1), 20), &[&faulty]), Err(SealError::SelfCheck));
    assert!(Seal::sign(log().checkpoint(origin(1), 20), &[]).is_err());
}

#[test]
fn no_byte_of_a_seal_can_change() {
    let key = key(1, &origin(1));
    let (text, keys) = (log().seal(20, &[&key]).to_string(), keys(&[&key]));
    let accepts = |bytes: &[u8]| Seal::parse(bytes).is_ok_and(|seal| seal.verify(signed(&keys)).is_ok());
    assert!(accepts(text.as_bytes()));
    for at in 0..text.len() {
        assert!(!accepts(&text.as_bytes()[..at]), "cut at {at}");
        for byte in b"\0\n\r +-=/0129Aaz\x80" {
            let mut changed = text.clone().into_bytes();
            if changed[at] != *byte {
                changed[at] = *byte;
                assert!(!accepts(&changed), "byte {at} as {byte:#x}");
            }
            let mut longer = text.clone().into_bytes();
            longer.insert(at, *byte);
            assert!(longer == text.as_bytes() || !accepts(&longer), "{byte:#x} before {at}");
        }
    }
    for more in ["\n", " ", "x", "\r\n", "\0"] {
        assert!(!accepts(format!("{text}{more}").as_bytes()), "{more:?}");
    }
}

#[test]
fn an_extension_line_is_refused_though_signed() {
    let key = key(1, &origin(1));
    let body = log().checkpoint(origin(1), 20).to_string();
    for text in [format!("{body}extension\n"), body.replace("\n20\n", "\n020\n"), format!("{body}\nmore\n")] {
        let note = Note::sign(&text, &[&key]).unwrap().to_string();
        assert!(matches!(Seal::parse(note.as_bytes()), Err(SealError::Checkpoint(_))), "{text}");
    }
}

#[test]
fn keys_come_from_the_caller() {
    let log = log();
    let [ours, other] = [1, 2].map(|secret| key(secret, &origin(1)));
    let seal = log.seal(20, &[&ours]);
    let unknown = Err(SealError::Note(NoteError::NoKnownKey));
    assert_eq!(seal.verify(signed(&Keys::default())), unknown);
    assert_eq!(seal.verify(signed(&keys(&[&other]))), unknown);
    assert_eq!(seal.verify(signed(&keys(&[&other, &ours]))).map(|standing| signers(&standing)), Ok(1));
}

#[test]
fn a_key_of_another_log_or_incarnation_vouches_for_nothing() {
    let log = log();
    let body = log.checkpoint(origin(1), 20);
    let elsewhere = Origin::new("db.example.com", crate::LogId::from_bytes([7; 16]), 1).unwrap();
    for name in [origin(2), elsewhere] {
        let key = key(1, &name);
        assert_eq!(Seal::sign(body.clone(), &[&key]), Err(SealError::OtherName(name.to_string())));
        // Signed by hand, and by a key that the caller trusts for the other log.
        let note = Note::sign(&body.to_string(), &[&key]).unwrap();
        let seal = Seal::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(seal.verify(signed(&keys(&[&key]))), Err(SealError::NotByTheLog));
        let unsigned = Trust { keys: &keys(&[&key]), unsigned: true };
        assert_eq!(seal.verify(unsigned), Ok(Standing::Unsigned));
    }
    // A witness beside the log counts, but not alone.
    let [ours, witness] = [key(1, &origin(1)), SigningKey::from_seed("witness.example", &[9; 32]).unwrap()];
    let note = Note::sign(&body.to_string(), &[&witness, &ours]).unwrap();
    let seal = Seal::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(seal.verify(signed(&keys(&[&ours, &witness]))).map(|standing| signers(&standing)), Ok(2));
    assert_eq!(seal.verify(signed(&keys(&[&ours]))).map(|standing| signers(&standing)), Ok(1));
    assert_eq!(seal.verify(signed(&keys(&[&witness]))), Err(SealError::NotByTheLog));
}

#[test]
fn at_rotation_either_key_verifies_and_the_old_one_ends_there() {
    let log = log();
    let [old, new] = [1, 2].map(|secret| key(secret, &origin(1)));
    let retired = TrustedKey { key: old.verifier().clone(), last_size: Some(10) };
    let trusted = Keys::new([retired, new.verifier().clone().into()]).unwrap();
    let count = |seal: &Seal| seal.verify(signed(&trusted)).map(|standing| signers(&standing));
    assert_eq!(count(&log.seal(9, &[&old])), Ok(1));
    let both = log.seal(10, &[&new, &old]);
    assert_eq!(count(&both), Ok(2));
    for key in [&old, &new] {
        assert_eq!(both.verify(signed(&keys(&[key]))).map(|standing| signers(&standing)), Ok(1));
    }
    // The old key is unknown from then on, and so is a signature by it that fails.
    let unknown = Err(SealError::Note(NoteError::NoKnownKey));
    assert_eq!(count(&log.seal(11, &[&old])), unknown);
    let late = log.seal(11, &[&old, &new]).to_string();
    assert_eq!(count(&Seal::parse(late.as_bytes()).unwrap()), Ok(1));
    let at = late.find('—').unwrap() + 80;
    let forged = format!("{}{}{}", &late[..at], if &late[at..=at] == "A" { "B" } else { "A" }, &late[at + 1..]);
    assert_eq!(count(&Seal::parse(forged.as_bytes()).unwrap()), Ok(1));
    let early = keys(&[&old, &new]);
    let failed = Seal::parse(forged.as_bytes()).unwrap().verify(signed(&early));
    assert!(matches!(failed, Err(SealError::Note(NoteError::BadSignature { line: 5, .. }))));
}

#[test]
fn a_bare_body_passes_only_as_unsigned() {
    let key = key(1, &origin(1));
    let (seal, keys) = (log().seal(20, &[&key]), keys(&[&key]));
    let body = seal.checkpoint().to_string();
    let stripped = Seal::parse(body.as_bytes()).unwrap();
    assert_eq!(stripped, Seal::unsigned(seal.checkpoint().clone()));
    assert_eq!((stripped.to_string(), stripped.note()), (body.clone(), None));
    assert_eq!(stripped.verify(signed(&keys)), Err(SealError::Unsigned));
    let lax = Trust { keys: &keys, unsigned: true };
    assert_eq!(stripped.verify(lax), Ok(Standing::Unsigned));
    assert_eq!(seal.verify(lax).map(|standing| signers(&standing)), Ok(1));
    // With the empty line left, or with half a signature, it is neither.
    for half in [format!("{body}\n"), format!("{body}\n\n"), format!("{body}\n— a\n"), format!("{body}— a AAAAAAA=\n")]
    {
        assert!(Seal::parse(half.as_bytes()).is_err(), "{half:?}");
    }
    // Whoever puts up with no signature still does not put up with a false one.
    let forged = seal.to_string().replacen("\n20\n", "\n21\n", 1);
    let failed = Seal::parse(forged.as_bytes()).unwrap().verify(lax);
    assert!(matches!(failed, Err(SealError::Note(NoteError::BadSignature { .. }))));
    assert_eq!(
        Seal::parse(forged.as_bytes()).unwrap().verify(Trust { keys: &Keys::default(), ..lax }),
        Ok(Standing::Unsigned)
    );
}

#[test]
fn the_empty_log_can_be_sealed() {
    let key = key(1, &origin(1));
    let seal = log().seal(0, &[&key]);
    assert_eq!(*seal.checkpoint().root(), Digest::of(b""));
    assert!(Seal::parse(seal.to_string().as_bytes()).unwrap().verify(signed(&keys(&[&key]))).is_ok());
}
