//! Notes of the Go checksum database's tests and of C2SP signed-note, and what must not pass for one.

use proptest::prelude::*;

use super::*;
use crate::key::Keys;

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SEED: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const BY_PETER: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const BY_ENOCH: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

/// Whose signatures count, by name, for a caller who knows these keys.
fn signers(note: &str, keys: &[&str]) -> Result<Vec<String>, NoteError> {
    let keys = Keys::new(keys.iter().map(|key| key.parse().unwrap())).unwrap();
    let note = Note::parse(note.as_bytes())?;
    let signers = note.verify(|name, id| keys.find(name, id, 0))?;
    Ok(signers.into_iter().map(|key| key.name().to_owned()).collect())
}

fn peter() -> SigningKey {
    SigningKey::from_seed("PeterNeumann", &base64_decode(PETER_SEED).unwrap().try_into().unwrap()).unwrap()
}

#[test]
fn notes_of_others_are_verified() {
    let note = format!("{TEXT}\n{BY_PETER}{BY_ENOCH}");
    assert_eq!(Note::parse(note.as_bytes()).unwrap().to_string(), note);
    assert_eq!(signers(&note, &[PETER]), Ok(vec!["PeterNeumann".into()]));
    assert_eq!(signers(&note, &[ENOCH]), Ok(vec!["EnochRoot".into()]));
    assert_eq!(signers(&note, &[ENOCH, PETER]), Ok(vec!["PeterNeumann".into(), "EnochRoot".into()]));
    assert_eq!(signers(&note, &[]), Err(NoteError::NoKnownKey));

    let example = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    assert_eq!(signers(example, &[key]), Ok(vec!["example.com/foo".into()]));
}

#[test]
fn what_is_signed_is_what_others_sign() {
    let note = Note::sign(TEXT, &[&peter()]).unwrap();
    assert_eq!(peter().verifier().to_string(), PETER);
    assert_eq!(note.to_string(), format!("{TEXT}\n{BY_PETER}"));
    assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note));
    for text in ["", "abc", "a\r\n", "a\0\n"] {
        assert_eq!(Note::sign(text, &[&peter()]), Err(NoteError::CannotSign), "{text:?}");
    }
    assert_eq!(Note::sign(TEXT, &[]), Err(NoteError::CannotSign));
    assert_eq!(Note::sign(TEXT, &[&peter(), &peter()]), Err(NoteError::CannotSign));
}

#[test]
fn the_last_empty_line_ends_the_text() {
    let text = format!("{TEXT}\n{BY_ENOCH}\n\n");
    let note = Note::sign(&text, &[&peter()]).unwrap().to_string();
    assert_eq!(Note::parse(note.as_bytes()).unwrap().text(), text);
    assert_eq!(signers(&note, &[PETER]), Ok(vec!["PeterNeumann".into()]));
    // What looks like a signature in the text is none.
    assert_eq!(signers(&note, &[ENOCH]), Err(NoteError::NoKnownKey));
}

#[test]
fn a_known_key_that_fails_rejects_the_note_wherever_it_stands() {
    let forged = BY_PETER.replace("SffcvIAQ", "SffcvIAR");
    let failed = |line| {
        let (name, id) = ("PeterNeumann".to_owned(), "c74f20a3".parse().unwrap());
        Err(NoteError::BadSignature { line, name, id })
    };
    for (signatures, line) in [
        (forged.clone(), 4),
        (format!("{BY_ENOCH}{forged}"), 5),
        (format!("{forged}{BY_ENOCH}"), 4),
        (format!("{BY_PETER}{forged}"), 5),
        (format!("{forged}{BY_PETER}"), 4),
        (format!("{BY_PETER}{BY_ENOCH}{forged}"), 6),
    ] {
        assert_eq!(signers(&format!("{TEXT}\n{signatures}"), &[PETER, ENOCH]), failed(line));
    }
    // One more or less of what base64 spells.
    let long = format!("{TEXT}\n{}ABCD{}", &BY_PETER[..60], &BY_PETER[60..]);
    assert_eq!(signers(&long, &[PETER]), failed(4));
    let short = format!("{TEXT}\n{}", BY_PETER.replace("UG/S", ""));
    assert_eq!(signers(&short, &[PETER]), failed(4));
}

#[test]
fn unknown_signatures_are_ignored_and_a_key_counts_once() {
    let many = format!("{TEXT}\n{}{BY_PETER}", BY_ENOCH.repeat(99));
    assert_eq!(signers(&many, &[PETER]), Ok(vec!["PeterNeumann".into()]));
    let twice = format!("{TEXT}\n{BY_PETER}{BY_PETER}");
    assert_eq!(signers(&twice, &[PETER]), Ok(vec!["PeterNeumann".into()]));
    // The name of a known key with another id, and its id with another name.
    let other_id = BY_PETER.replace("x08go", "x08gp");
    let other_name = BY_PETER.replace("PeterNeumann", "PetraNeumann");
    for unknown in [&other_id, &other_name, "— a AAAAAAA=\n"] {
        assert_eq!(signers(&format!("{TEXT}\n{unknown}"), &[PETER]), Err(NoteError::NoKnownKey));
        assert_eq!(signers(&format!("{TEXT}\n{unknown}{BY_PETER}"), &[PETER]).map(|all| all.len()), Ok(1));
    }
    // A look-up that gives a key of another name or id.
    let enoch: VerifierKey = ENOCH.parse().unwrap();
    let note = Note::parse(format!("{TEXT}\n{BY_PETER}").as_bytes()).unwrap();
    assert_eq!(note.verify(|_, _| Some(&enoch)), Err(NoteError::NoKnownKey));
}

#[test]
fn too_much_is_refused() {
    let note = |count| format!("{TEXT}\n{}", BY_PETER.repeat(count));
    assert!(signers(&note(MAX_SIGNATURES), &[PETER]).is_ok());
    assert_eq!(signers(&note(MAX_SIGNATURES + 1), &[PETER]), Err(NoteError::TooManySignatures));
    let longest = "x".repeat(MAX_NOTE - BY_PETER.len() - 2);
    let note = |text: &str| format!("{text}\n\n{BY_PETER}");
    assert_eq!(note(&longest).len(), MAX_NOTE);
    assert!(Note::parse(note(&longest).as_bytes()).is_ok());
    assert_eq!(Note::parse(note(&(longest + "x")).as_bytes()), Err(NoteError::TooLong));
}

#[test]
fn any_other_spelling_is_refused() {
    let good = format!("{TEXT}\n{BY_PETER}");
    assert!(signers(&good, &[PETER]).is_ok());
    let cases = [
        (TEXT.to_owned(), NoteError::NotSigned),
        (String::new(), NoteError::NoFinalNewline),
        (format!("{TEXT}\n"), NoteError::EmptyLastLine(3)),
        (format!("{TEXT}\n\n"), NoteError::EmptyLastLine(4)),
        (good.trim_end().to_owned(), NoteError::NoFinalNewline),
        (good.replace('\n', "\r\n"), NoteError::ControlCharacter(1)),
        (good.replace("=\n", "=\r\n"), NoteError::ControlCharacter(4)),
        (good.replace("is.", "is\t."), NoteError::ControlCharacter(2)),
        (good.replace("is.", "is\0."), NoteError::ControlCharacter(2)),
        (good.replace("— ", "- "), NoteError::BadSignatureLine(4)),
        (good.replace("— ", "—"), NoteError::BadSignatureLine(4)),
        (good.replace("— ", "—  "), NoteError::BadSignatureLine(4)),
        (good.replace("n x0", "n  x0"), NoteError::BadSignatureLine(4)),
        (good.replace("n x0", "n+ x0"), NoteError::BadSignatureLine(4)),
        (good.replace("PeterN", "Peter N"), NoteError::BadSignatureLine(4)),
        (good.replace("AM=", "AM"), NoteError::BadSignatureLine(4)),
        (good.replace("AM=", "AN="), NoteError::BadSignatureLine(4)),
        (good.replace("AM=", "AM= "), NoteError::BadSignatureLine(4)),
        (good.replace("AM=", "AM=="), NoteError::BadSignatureLine(4)),
        (good.replace('/', "_"), NoteError::BadSignatureLine(4)),
        (format!("{TEXT}\n— PeterNeumann x08gow==\n"), NoteError::BadSignatureLine(4)),
        (format!("{TEXT}\n— PeterNeumann \n"), NoteError::BadSignatureLine(4)),
        (format!("{TEXT}\n— PeterNeumann\n"), NoteError::BadSignatureLine(4)),
        (format!("{good}Unexpected line.\n"), NoteError::BadSignatureLine(5)),
        (format!("{good}\n"), NoteError::EmptyLastLine(5)),
        (format!("{good}\n\n"), NoteError::EmptyLastLine(6)),
    ];
    for (note, error) in cases {
        assert_eq!(signers(&note, &[PETER]), Err(error), "{note:?}");
    }
    for (at, byte) in [(0, 0xff), (60, 0xc3), (130, 0x80)] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = byte;
        assert!(matches!(Note::parse(&bytes), Err(NoteError::NotUtf8(_))));
    }
}

#[test]
fn no_byte_of_a_signed_note_can_change() {
    let good = format!("{TEXT}\n{BY_PETER}");
    for at in 0..good.len() {
        for byte in b"\0\n\r +-=/09AZaz\x7f\x80\xe2\xff" {
            let mut bytes = good.clone().into_bytes();
            if bytes[at] != *byte {
                bytes[at] = *byte;
                let keys = Keys::parse(PETER).unwrap();
                let verified = Note::parse(&bytes)
                    .and_then(|note| note.verify(|name, id| keys.find(name, id, 0)).map(|keys| keys.len()));
                assert!(verified.is_err(), "byte {at} as {byte:#x}");
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_back(
        text in "[a—\n ]{0,20}\n",
        lines in prop::collection::vec(("[a-c/—]{0,3}", "[AB+/]{0,12}={0,2}"), 0..4),
        rest in "[—\n aA=]{0,6}",
    ) {
        let lines: String = lines.into_iter().map(|(name, digits)| format!("— {name} {digits}\n")).collect();
        let whole = format!("{text}\n{lines}{rest}");
        if let Ok(note) = Note::parse(whole.as_bytes()) {
            prop_assert_eq!(note.to_string(), whole);
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
        prop_assert!(Note::parse(&bytes).is_err());
    }
}
