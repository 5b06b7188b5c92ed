//! A small log in memory: three segments, two of which share a table's number of chains, and its key.

use std::collections::BTreeMap;
use std::convert::Infallible;

use notary_core::consistency::ConsistencyProof;
use notary_core::merkle::{self, Frontier, Node};
use notary_core::proof::Proof;
use notary_core::secret::SigningKey;
use notary_core::{Checkpoint, Digest, Origin, Seal};

pub const LOG: &str = "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";
pub const OTHER_LOG: &str = "7f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";
pub const ORIGIN: &str = "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

/// What a row holds; its number stands in each, so that no two lines are the same.
const ROWS: [&str; 4] = [
    r#""action":"login","actor":"usr_a1""#,
    r#""action":"caf\u001f\"é\\","amount":-12.50"#,
    r#""details":{"a": 1, "b": [], "ab": {"x": null, "y": [true, 1.0, "é"]}},"ok":false"#,
    r#""empty":"","text":"one\ntwo""#,
];

/// A line before it is hashed: an entry without its `prev`, or a header.
#[derive(Clone)]
pub enum Draft {
    Header { segment: u32, first_chain: u32 },
    Entry { segment: u32, chain: u32, seq: u64 },
}

/// Lines, and the tree over them.
#[derive(Clone)]
pub struct Log {
    pub lines: Vec<Vec<u8>>,
    nodes: BTreeMap<Node, Digest>,
}

pub fn header(segment: u32, first_chain: u32) -> Draft {
    Draft::Header { segment, first_chain }
}

pub fn entry(segment: u32, chain: u32, seq: u64) -> Draft {
    Draft::Entry { segment, chain, seq }
}

/// The drafts of a log in which all that can be is there.
pub fn drafts() -> Vec<Draft> {
    vec![
        header(1, 1),
        entry(1, 1, 1),
        entry(1, 1, 2),
        entry(1, 2, 1),
        // A partition: its chains are numbered from 1 again.
        header(2, 1),
        entry(2, 1, 1),
        entry(1, 1, 3),
        entry(1, 2, 2),
        entry(2, 1, 2),
        header(3, 3),
        entry(3, 3, 1),
        entry(1, 1, 4),
    ]
}

pub fn key(secret: u8, origin: &str) -> SigningKey {
    SigningKey::from_seed(origin, &[secret; 32]).unwrap()
}

impl Log {
    /// The log that is well-formed.
    pub fn good() -> Self {
        Self::of(&drafts(), |_, _| ())
    }

    /// A log of these drafts in which every hash is right, after `change` was made to each line with its index.
    pub fn of(drafts: &[Draft], change: impl Fn(usize, &mut String)) -> Self {
        let mut lines = Vec::new();
        let mut last: BTreeMap<(u32, u32), Digest> = BTreeMap::new();
        for (index, draft) in drafts.iter().enumerate() {
            let (mut line, place) = match draft {
                Draft::Header { segment, first_chain } => (
                    format!(
                        r#"{{"v":1,"log":"{LOG}","segment":{segment},"chain":0,"seq":0,"time":"2026-11-20T16:00:00.000000Z","by":"alice","schema":"public","table":"app_audit","first_chain":{first_chain},"adopted":0,"columns":{{"action":"text"}},"redactable":[]}}"#
                    ),
                    (*segment, 0),
                ),
                Draft::Entry { segment, chain, seq } => {
                    let opened = last.get(&(*segment, 0)).copied().unwrap_or(Digest::of(b"none"));
                    let prev = last.get(&(*segment, *chain)).copied().unwrap_or(opened);
                    let row = ROWS[index % ROWS.len()];
                    (
                        format!(
                            r#"{{"v":1,"log":"{LOG}","segment":{segment},"chain":{chain},"seq":{seq},"time":"2026-11-20T16:07:00.{index:06}Z","prev":"{prev}","row":{{{row}}}}}"#
                        ),
                        (*segment, *chain),
                    )
                }
            };
            change(index, &mut line);
            last.insert(place, Digest::of(line.as_bytes()));
            lines.push(line.into_bytes());
        }
        Self::from_lines(lines)
    }

    pub fn from_lines(lines: Vec<Vec<u8>>) -> Self {
        let (mut tree, mut nodes) = (Frontier::new(), BTreeMap::new());
        for line in &lines {
            tree.append_noting(merkle::leaf(&Digest::of(line)), |node, hash| {
                assert_eq!(nodes.insert(node, *hash), None)
            })
            .unwrap();
        }
        Self { lines, nodes }
    }

    pub fn size(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The export: each line with its newline.
    pub fn export(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect()
    }

    pub fn checkpoint(&self, origin: &str, size: u64) -> Checkpoint {
        let root = merkle::root(size, |node| self.node(node)).unwrap();
        Checkpoint::new(origin.parse::<Origin>().unwrap(), size, root).unwrap()
    }

    pub fn seal(&self, size: u64) -> Seal {
        Seal::sign(self.checkpoint(ORIGIN, size), &[&key(1, ORIGIN)]).unwrap()
    }

    /// A note of all lines.
    pub fn note(&self) -> String {
        self.seal(self.size()).to_string()
    }

    pub fn proof(&self, index: u64, size: u64) -> Proof {
        Proof {
            line: Some(self.lines[usize::try_from(index).unwrap()].clone()),
            index,
            path: merkle::prove_inclusion(index, size, |node| self.node(node)).unwrap(),
            seal: self.seal(size),
        }
    }

    pub fn consistency(&self, old: u64, new: u64) -> ConsistencyProof {
        ConsistencyProof(merkle::prove_consistency(old, new, |node| self.node(node)).unwrap())
    }

    fn node(&self, node: Node) -> Result<Digest, Infallible> {
        Ok(self.nodes[&node])
    }
}

/// The key file that everyone here trusts.
pub fn keys() -> String {
    format!("{}\n", key(1, ORIGIN).verifier())
}
