//! The two spellings that notes, keys and proofs share: decimal numbers and base64 (RFC 4648
//! section 4). Each value has one spelling; every other one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Digest;

/// The bytes that `text` spells: padded, no spaces, no bits set beyond the last byte.
pub(crate) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The one spelling of `bytes`.
pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The digest whose 32 bytes `text` spells.
pub(crate) fn base64_digest(text: &str) -> Option<Digest> {
    // 32 bytes take 44 digits; nothing longer is worth decoding.
    if text.len() != 44 {
        return None;
    }
    Digest::from_slice(&base64_decode(text)?)
}

/// A number from 0 to 2^63-1: ASCII digits, no sign, no zero in front.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    // `parse` refuses the empty text and what passes 64 bits.
    text.parse().ok().filter(|&n: &u64| digits && canonical && n <= crate::merkle::MAX_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(base64_decode("YWI=").as_deref(), Some(&b"ab"[..]));
        for text in ["YWI", "YWI==", "YWJ=", "YW I=", "YWI=\n", " YWI=", "YWI=YWI=", "YW=I", "YW-_", "====", "="] {
            assert_eq!(base64_decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_digest_in_base64_has_exactly_32_bytes() {
        let digest = Digest::of(b"abc");
        assert_eq!(base64_digest(&base64_encode(digest.as_bytes())), Some(digest));
        for length in [0, 31, 33] {
            assert_eq!(base64_digest(&base64_encode(&vec![7; length])), None, "{length}");
        }
    }

    #[test]
    fn a_number_has_one_spelling_and_ends_at_2_to_the_63() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("9223372036854775807"), Some((1 << 63) - 1));
        for text in ["", "00", "01", "+1", "-0", "-1", " 1", "1 ", "1\n", "1e3", "0x1", "1_0", "1.0", "١"] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
        for text in ["9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999"] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_as_base64_is_written_the_same(text in "[A-Za-z0-9+/]{0,12}={0,3}") {
            if let Some(bytes) = base64_decode(&text) {
                prop_assert_eq!(base64_encode(&bytes), text);
            }
        }
    }
}
