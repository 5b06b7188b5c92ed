//! One spelling for each key, and no signature that two verifiers of Ed25519 could disagree on.

use ed25519_dalek::Verifier as _;

use super::*;
use crate::secret::SigningKey;
use crate::text::base64_encode;

/// Keys of the Go checksum database's tests and of C2SP signed-note.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const EXAMPLE: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fn parse(text: &str) -> Result<VerifierKey, KeyError> {
    text.parse()
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

#[test]
fn keys_of_others_are_read_and_written_back() {
    for text in [PETER, ENOCH, EXAMPLE] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    let peter = parse(PETER).unwrap();
    assert_eq!((peter.name(), peter.id().to_string().as_str()), ("PeterNeumann", "c74f20a3"));
    assert_eq!(VerifierKey::new("PeterNeumann", peter.public()), Ok(peter));
}

#[test]
fn any_other_spelling_is_refused() {
    for start in 0..PETER.len() {
        for end in start..=PETER.len() {
            assert!((start, end) == (0, PETER.len()) || parse(&PETER[start..end]).is_err());
        }
        let mut changed = PETER.to_owned().into_bytes();
        changed[start] += 1;
        assert!(parse(&String::from_utf8(changed).unwrap()).is_err(), "byte {start}");
    }
    for (from, to) in
        [("c74f20a3", "C74F20A3"), ("+c7", "+ c7"), ("+AR", "++AR"), ("Peter", "Pe ter"), ("Peter", "Pe\u{a0}ter")]
    {
        assert!(parse(&PETER.replace(from, to)).is_err(), "{to}");
    }
    for more in ["\n", " ", "=", "+", "A", "AAAA"] {
        assert!(parse(&format!("{PETER}{more}")).is_err(), "{more:?}");
    }
    assert_eq!(
        parse(&PETER.replace("Peter", "Petra")).unwrap_err().to_string().split_once(',').unwrap().0,
        "verifier key's id does not match its name and key"
    );
    // A key that is too long and one of another kind, their ids adjusted.
    let long = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
    assert!(parse(long).is_err());
    let other = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(parse(other), Err(KeyError::OtherAlgorithm(0x65)));
}

#[test]
fn a_name_has_no_space_plus_or_control_character() {
    let public = *parse(PETER).unwrap().public();
    for bad in ["", " ", "a b", "a+b", "a\n", "a\r", "a\tb", "a\0", "a\u{7f}", "a\u{2003}b", "a\u{3000}"] {
        assert_eq!(VerifierKey::new(bad, &public), Err(KeyError::BadName), "{bad:?}");
    }
}

#[test]
fn a_retired_key_is_unknown_above_its_last_size() {
    let list = format!("{PETER} 100\n\n{ENOCH}\n");
    let keys = Keys::parse(&list).unwrap();
    let [peter, enoch] = [PETER, ENOCH].map(|text| parse(text).unwrap());
    let known = |key: &VerifierKey, size| keys.find(key.name(), key.id(), size) == Some(key);
    assert!(known(&peter, 0) && known(&peter, 100) && !known(&peter, 101));
    assert!(known(&enoch, 0) && known(&enoch, u64::MAX));
    assert_eq!(keys.find(peter.name(), enoch.id(), 0), None);
    assert_eq!(keys.find(enoch.name(), peter.id(), 0), None);
    let texts: Vec<String> = keys.as_slice().iter().map(ToString::to_string).collect();
    assert_eq!(texts, [format!("{PETER} 100"), ENOCH.to_owned()]);
}

#[test]
fn a_list_of_keys_says_which_line_is_wrong() {
    assert_eq!(Keys::parse(&format!("{ENOCH}\n{PETER} 01")), Err((2, KeyError::BadLastSize)));
    assert_eq!(Keys::parse(&format!("{PETER}\n\n{PETER} 7\n")).unwrap_err().0, 3);
    let twice = [PETER, PETER].map(|text| parse(text).unwrap().into());
    assert!(matches!(Keys::new(twice), Err(KeyError::Twice(..))));
}

/// "Taming the many EdDSAs", SSR 2020, table 6: the first ten. Message, public key, signature.
const EDGE_CASES: [[&str; 3]; 10] = [
    [
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
    ],
    [
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    ],
    [
        "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
    ],
    [
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
    ],
    [
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
    ],
    [
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
    ],
    [
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
    ],
    [
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
    ],
    [
        "fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607",
    ],
    [
        "84b698d39be126ff55fe45079e6c8bf64a0d7db6994560b4e96b7021eb39c1a1",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f084d5b99c2a9463d9c8bd5026916996984eeec87ddf1d3be329006ace1b37b09",
    ],
];

#[test]
fn signatures_that_verifiers_disagree_on_are_refused() {
    let accepted = EDGE_CASES.map(|[message, public, signature]| {
        let (message, signature) = (hex::decode(message).unwrap(), bytes::<64>(signature));
        let ours = VerifierKey::new("a", &bytes(public)).is_ok_and(|key| key.verify(&message, &signature));
        let lax = VerifyingKey::from_bytes(&bytes(public)).unwrap();
        (ours, lax.verify(&message, &Signature::from_bytes(&signature)).is_ok())
    });
    // The fourth alone has neither a small-order point nor another spelling, and no cofactor decides it.
    assert_eq!(accepted.map(|(ours, _)| ours), [false, false, false, true, false, false, false, false, false, false]);
    // The check that others make lets small-order points through: the vectors tell the two apart.
    assert_eq!(accepted.map(|(_, lax)| lax), [true, true, true, true, false, false, false, false, false, false]);
}

#[test]
fn a_signature_has_one_spelling() {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let key = SigningKey::from_seed("a", &[7; 32]).unwrap();
    let signature = key.sign(b"message");
    assert!(key.verifier().verify(b"message", &signature));
    let mut other = signature;
    let mut carry = 0;
    for (byte, added) in other[32..].iter_mut().zip(bytes::<32>(ORDER)) {
        carry += u16::from(*byte) + u16::from(added);
        [*byte, _] = carry.to_le_bytes();
        carry >>= 8;
    }
    assert!(!key.verifier().verify(b"message", &other));
    for at in 0..64 {
        let mut flipped = signature;
        flipped[at] ^= 1;
        assert!(!key.verifier().verify(b"message", &flipped), "{at}");
        assert!(!key.verifier().verify(b"message", &signature[..at]), "{at}");
    }
    assert!(!key.verifier().verify(b"message", &[&signature[..], &[0]].concat()));
    assert!(!key.verifier().verify(b"massage", &signature));
}

#[test]
fn weak_keys_and_other_spellings_of_points_are_refused() {
    let small_order = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let mut on_the_curve = 0;
    for point in small_order.map(bytes::<32>) {
        for sign in [0, 0x80] {
            let mut point = point;
            point[31] ^= sign;
            on_the_curve += u32::from(VerifyingKey::from_bytes(&point).is_ok());
            assert_eq!(VerifierKey::new("a", &point), Err(KeyError::BadPoint));
        }
    }
    assert!(on_the_curve >= 8, "the vectors are points");

    // 2^255 - 19 and the 18 numbers above it, which stand for 0 to 18.
    let mut large_order = 0;
    for low in 0xed..=0xff_u8 {
        for sign in [0x7f, 0xff] {
            let mut point = [0xff; 32];
            (point[0], point[31]) = (low, sign);
            large_order += u32::from(VerifyingKey::from_bytes(&point).is_ok_and(|key| !key.is_weak()));
            assert_eq!(VerifierKey::new("a", &point), Err(KeyError::BadPoint));
            let text = format!("a+00000000+{}", base64_encode(&[&[1], &point[..]].concat()));
            assert_eq!(parse(&text), Err(KeyError::BadPoint));
        }
    }
    assert!(large_order > 0, "some are keys but for their spelling");
}
