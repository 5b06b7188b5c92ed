//! Entries as bytes, for a sort on disk.

use notary_core::chain::Entry;
use notary_core::digest::Digest;

/// The length of an encoded entry.
const RECORD: usize = 127;
const FLAG_CHAIN: u8 = 1;
const FLAG_SEQ: u8 = 2;
const FLAG_TIME: u8 = 4;
const FLAG_PREV: u8 = 8;
const FLAG_HASH: u8 = 16;
const FLAG_COMPUTED: u8 = 32;
const FLAG_ODD: u8 = 64;

/// An entry as bytes that sort by chain, seq and hash, NULLs first: sign bits flipped, big-endian.
pub fn encode(e: &Entry) -> [u8; RECORD] {
    let mut out = [0_u8; RECORD];
    let digest = |d: Option<Digest>| d.map_or([0; 32], |d| *d.as_bytes());
    let flag = |there: bool, bit: u8| if there { bit } else { 0 };
    out[0] = u8::from(e.chain.is_some());
    out[1..5].copy_from_slice(&(e.chain.unwrap_or(0) ^ i32::MIN).to_be_bytes());
    out[5] = u8::from(e.seq.is_some());
    out[6..14].copy_from_slice(&(e.seq.unwrap_or(0) ^ i64::MIN).to_be_bytes());
    out[14..46].copy_from_slice(&digest(e.hash));
    out[46..78].copy_from_slice(&digest(e.prev));
    out[78..110].copy_from_slice(&digest(e.computed));
    out[110..118].copy_from_slice(&e.time.unwrap_or(0).to_be_bytes());
    out[118..126].copy_from_slice(&e.at.to_be_bytes());
    out[126] = flag(e.chain.is_some(), FLAG_CHAIN)
        | flag(e.seq.is_some(), FLAG_SEQ)
        | flag(e.time.is_some(), FLAG_TIME)
        | flag(e.prev.is_some(), FLAG_PREV)
        | flag(e.hash.is_some(), FLAG_HASH)
        | flag(e.computed.is_some(), FLAG_COMPUTED)
        | flag(e.odd, FLAG_ODD);
    out
}

/// The reverse of `encode`; anything of another length, which the sort cannot give, is an empty entry.
pub fn decode(record: &[u8]) -> Entry {
    let Ok(r) = <&[u8; RECORD]>::try_from(record) else {
        return Entry::default();
    };
    let flag = |bit: u8| r[126] & bit != 0;
    let digest =
        |from: usize, bit: u8| flag(bit).then(|| r.get(from..from + 32).and_then(Digest::from_slice)).flatten();
    let eight = |from: usize| r.get(from..from + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
    Entry {
        chain: flag(FLAG_CHAIN).then(|| i32::from_be_bytes([r[1], r[2], r[3], r[4]]) ^ i32::MIN),
        seq: flag(FLAG_SEQ).then(|| eight(6) as i64 ^ i64::MIN),
        time: flag(FLAG_TIME).then(|| eight(110) as i64),
        prev: digest(46, FLAG_PREV),
        hash: digest(14, FLAG_HASH),
        computed: digest(78, FLAG_COMPUTED),
        at: eight(118),
        odd: flag(FLAG_ODD),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use notary_core::chain::Entry;
    use notary_core::digest::Digest;

    #[test]
    fn an_entry_survives_the_sort_s_encoding_and_sorts_by_place() {
        let full = Entry {
            chain: Some(-3),
            seq: Some(i64::MAX),
            time: Some(-1),
            prev: Some(Digest::of(b"p")),
            hash: Some(Digest::of(b"h")),
            computed: None,
            at: 0x1234_ffff_ffff_0123,
            odd: true,
        };
        assert_eq!(decode(&encode(&full)), full);
        assert_eq!(decode(&encode(&Entry::default())), Entry::default());
        let at = |chain, seq| encode(&Entry { chain, seq, ..Entry::default() });
        let order = [
            at(None, Some(9)),
            at(Some(-1), Some(9)),
            at(Some(1), None),
            at(Some(1), Some(-5)),
            at(Some(1), Some(2)),
            at(Some(2), Some(1)),
        ];
        assert!(order.is_sorted());
    }
}
