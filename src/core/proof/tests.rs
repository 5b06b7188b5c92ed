//! One line's proof: each is accepted, and nothing that differs from it is.

use proptest::prelude::*;

use super::*;
use crate::sample::{Log, key, keys, line, origin, signed};
use crate::{LogId, Seal};

#[test]
fn every_line_is_proved_and_its_file_read_back() {
    let (log, key) = (Log::new(20, &[]), key(1, &origin(1)));
    let keys = keys(&[&key]);
    for size in 1..=20 {
        for index in 0..size {
            let proof = log.proof(index, size, &[&key]);
            let text = proof.to_string();
            let read = Proof::parse(text.as_bytes()).unwrap();
            assert_eq!((&read, read.to_string()), (&proof, text));
            let own = &log.lines[usize::try_from(index).unwrap()];
            assert!(matches!(read.verify(own, signed(&keys)), Ok(Proven { line: Line::Header(_), .. })));
            assert!(read.verify_own_line(signed(&keys)).is_ok());
            let bare = Proof { line: None, ..proof };
            let bare = Proof::parse(bare.to_string().as_bytes()).unwrap();
            assert!(bare.verify(own, signed(&keys)).is_ok());
            assert_eq!(bare.verify_own_line(signed(&keys)), Err(ProofFileError::NoLine));
        }
    }
}

#[test]
fn the_file_is_that_of_the_format() {
    let (log, key) = (Log::new(3, &[]), key(1, &origin(1)));
    let proof = log.proof(0, 3, &[&key]);
    let hash =
        |at: u64| base64_encode(crate::merkle::leaf(&Digest::of(&log.lines[usize::try_from(at).unwrap()])).as_bytes());
    let expected = format!(
        "c2sp.org/tlog-proof@v1\nextra {}\nindex 0\n{}\n{}\n\n{}",
        base64_encode(&log.lines[0]),
        hash(1),
        hash(2),
        log.seal(3, &[&key])
    );
    assert_eq!(proof.to_string(), expected);
    let alone = Log::new(1, &[]).proof(0, 1, &[&key]).to_string();
    assert!(alone.contains("\nindex 0\n\ndb.example.com/"));
}

#[test]
fn no_byte_of_a_proof_can_change() {
    let (log, key) = (Log::new(11, &[]), key(1, &origin(1)));
    let keys = keys(&[&key]);
    let text = log.proof(6, 11, &[&key]).to_string();
    let accepts = |bytes: &[u8]| Proof::parse(bytes).is_ok_and(|proof| proof.verify_own_line(signed(&keys)).is_ok());
    assert!(accepts(text.as_bytes()));
    for at in 0..text.len() {
        assert!(!accepts(&text.as_bytes()[..at]), "cut at {at}");
        for byte in b"\0\n\r +=/06Aaz\x80" {
            let mut changed = text.clone().into_bytes();
            if changed[at] != *byte {
                changed[at] = *byte;
                assert!(!accepts(&changed), "byte {at} as {byte:#x}");
            }
        }
    }
}

#[test]
fn another_line_index_path_or_seal_fails() {
    let (log, key) = (Log::new(20, &[]), key(1, &origin(1)));
    let keys = keys(&[&key]);
    let good = Proof { line: None, ..log.proof(6, 13, &[&key]) };
    let own = &log.lines[6];
    let fails = |proof: &Proof| matches!(proof.verify(own, signed(&keys)), Err(ProofFileError::Proof(_)));
    assert!(good.verify(own, signed(&keys)).is_ok());
    for index in (0..20).filter(|&index| index != 6) {
        assert!(fails(&Proof { index, ..good.clone() }), "{index}");
        assert!(good.verify(&log.lines[usize::try_from(index).unwrap()], signed(&keys)).is_err(), "{index}");
    }
    for size in (1..=20).filter(|&size| size != 13) {
        assert!(fails(&Proof { seal: log.seal(size, &[&key]), ..good.clone() }), "{size}");
    }
    for at in 0..good.path.len() {
        let mut shorter = good.clone();
        shorter.path.remove(at);
        let mut twice = good.clone();
        twice.path.insert(at, good.path[at]);
        let mut swapped = good.clone();
        swapped.path.swap(at, (at + 1) % good.path.len());
        assert!(fails(&shorter) && fails(&twice) && fails(&swapped), "{at}");
    }
    let held = Proof { line: Some(log.lines[7].clone()), ..good.clone() };
    assert_eq!(held.verify(own, signed(&keys)), Err(ProofFileError::OtherLine));
    let stripped = Seal::unsigned(good.seal.checkpoint().clone());
    let unsigned = Proof { seal: stripped, ..good };
    assert_eq!(unsigned.verify(own, signed(&keys)), Err(ProofFileError::Seal(SealError::Unsigned)));
    let lax = Trust { keys: &keys, unsigned: true };
    assert_eq!(unsigned.verify(own, lax).map(|proven| proven.standing), Ok(Standing::Unsigned));
}

#[test]
fn a_leaf_that_is_no_line_of_this_log_is_refused_though_in_the_tree() {
    let ours = line(origin(1).log(), 7);
    let text = String::from_utf8(ours.clone()).unwrap();
    let not_lines = [
        text.replace("\"by\":\"alice\"", "\"by\":\"alice\",\"by\":\"bob\""),
        text.replace("alice", "\\u0061lice"),
        text.replace(":1,", ": 1,"),
        format!("{text}\n"),
        String::new(),
        "x".repeat(64),
    ];
    let elsewhere = line(LogId::from_bytes([7; 16]), 7);
    let mut lines: Vec<_> = not_lines.into_iter().map(String::into_bytes).collect();
    lines.push(elsewhere.clone());
    let (log, key) = (Log::new(3, &lines), key(1, &origin(1)));
    let keys = keys(&[&key]);
    for index in 3..10 {
        let proof = Proof { line: None, ..log.proof(index, 10, &[&key]) };
        let found = proof.verify(&log.lines[usize::try_from(index).unwrap()], signed(&keys)).unwrap_err();
        let other_log = index == 9;
        assert_eq!(found == ProofFileError::OtherLog, other_log, "{index}: {found}");
        assert_eq!(matches!(found, ProofFileError::Line(_)), !other_log, "{index}: {found}");
    }
}

#[test]
fn any_other_spelling_is_refused() {
    let (log, key) = (Log::new(5, &[]), key(1, &origin(1)));
    let good = log.proof(2, 5, &[&key]).to_string();
    let hash = good.lines().nth(3).unwrap().to_owned();
    let cases = [
        (good.replace("@v1", "@v2"), ProofFileError::OtherFormat),
        (format!("\n{good}"), ProofFileError::OtherFormat),
        (format!("\u{feff}{good}"), ProofFileError::OtherFormat),
        (good.replace('\n', "\r\n"), ProofFileError::CutShort),
        (good.replace("extra ", "extra  "), ProofFileError::BadExtra),
        (good.replace("extra ", "extra"), ProofFileError::BadExtra),
        (good.replace("extra ", "Extra "), ProofFileError::BadIndex(2)),
        (good.replace("extra ", "extra =\nextra "), ProofFileError::BadExtra),
        (good.replace("extra ", "extra YQ==\nextra "), ProofFileError::BadIndex(3)),
        (good.replace("extra ", "extra \nextra "), ProofFileError::BadExtra),
        (good.replace("index 2", "index 02"), ProofFileError::BadIndex(3)),
        (good.replace("index 2", "index +2"), ProofFileError::BadIndex(3)),
        (good.replace("index 2", "index  2"), ProofFileError::BadIndex(3)),
        (good.replace("index 2", "index 2 "), ProofFileError::BadIndex(3)),
        (good.replace("index 2", "index 9223372036854775808"), ProofFileError::BadIndex(3)),
        (good.replace("index 2", "index 2\nindex 2"), ProofFileError::BadHash(4)),
        (good.replace(&hash, hash.trim_end_matches('=')), ProofFileError::BadHash(4)),
        (good.replace(&hash, &format!("{hash} ")), ProofFileError::BadHash(4)),
        (good.replace(&hash, &vec![hash.as_str(); 64].join("\n")), ProofFileError::TooManyHashes),
        (good.replace("\n\ndb", "\n\n\ndb"), ProofFileError::CutShort),
        (good.split_once("\n\n").unwrap().0.to_owned(), ProofFileError::CutShort),
        ("c2sp.org/tlog-proof@v1\n\n".to_owned(), ProofFileError::CutShort),
        (String::new(), ProofFileError::CutShort),
    ];
    for (text, error) in cases {
        let found = Proof::parse(text.as_bytes()).unwrap_err();
        let of_the_seal = matches!(found, ProofFileError::Seal(_));
        assert!(found == error || (of_the_seal && error == ProofFileError::CutShort), "{found}: {text}");
    }
    assert_eq!(Proof::parse(b"\xff"), Err(ProofFileError::NotUtf8));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes: Vec<u8>, text in "c2sp.org/tlog-proof@v1\n(extra [A-Z=]{0,9}\n)?(index [0-9]{0,3}\n)?([AB=]{0,45}\n){0,3}\n?.{0,9}") {
        prop_assert!(Proof::parse(&bytes).is_err());
        prop_assert!(Proof::parse(text.as_bytes()).is_err());
    }
}
