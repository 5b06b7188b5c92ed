//! RFC 6962 as its text has it, so that what the server says of trees is held against something else than its own code;
//! and what a well-formed export is.

use crate::size;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The Merkle tree hash of section 2.1 over the hashes of lines.
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest(b"").into(),
        [leaf] => Sha256::new().chain_update([0]).chain_update(leaf).finalize().into(),
        _ => {
            let left = 1 << (leaves.len() - 1).ilog2();
            let halves = (root(&leaves[..left]), root(&leaves[left..]));
            Sha256::new().chain_update([1]).chain_update(halves.0).chain_update(halves.1).finalize().into()
        }
    }
}

/// The root of a tree over lines, in base64 as a note has it.
pub fn root_of_lines(lines: &[String]) -> Vec<u8> {
    let leaves: Vec<[u8; 32]> = lines.iter().map(|line| Sha256::digest(line.as_bytes()).into()).collect();
    root(&leaves).to_vec()
}

/// The root that a note states.
pub fn root_of_note(note: &str) -> Vec<u8> {
    let digits = note.lines().nth(2).expect("a third line");
    let mut bytes = Vec::new();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut word, mut bits) = (0_u32, 0);
    for digit in digits.bytes().filter(|digit| *digit != b'=') {
        let value = alphabet.iter().position(|known| *known == digit).expect("base64");
        word = word << 6 | u32::try_from(value).expect("six bits");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 0xff).expect("eight bits"));
        }
    }
    bytes
}

/// Panics unless the lines are a whole, well-formed tree with the size and root of the note.
#[track_caller]
pub fn assert_exports(lines: &[String], note: &str) {
    assert_eq!(lines.len() as u64, size(note));
    assert_eq!(root_of_lines(lines), root_of_note(note));
    let log = note.lines().next().and_then(|origin| origin.split('/').nth(1)).expect("an origin").to_owned();
    let mut headers: HashMap<u64, String> = HashMap::new();
    let mut heads: HashMap<(u64, u64), (u64, String)> = HashMap::new();
    for line in lines {
        let hash = hex::encode(Sha256::digest(line.as_bytes()));
        let entry: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(entry["log"], log.as_str());
        let segment = entry["segment"].as_u64().expect("a segment");
        let chain = entry["chain"].as_u64().expect("a chain");
        if chain == 0 {
            assert_eq!(segment, headers.len() as u64 + 1, "headers come as segment 1, 2, 3");
            headers.insert(segment, hash);
            continue;
        }
        let (seq, prev) = heads.get(&(segment, chain)).cloned().unwrap_or_else(|| (0, headers[&segment].clone()));
        assert_eq!(entry["seq"], seq + 1, "{line}");
        assert_eq!(entry["prev"], prev.as_str(), "{line}");
        heads.insert((segment, chain), (seq + 1, hash));
    }
}
