//! Valid texts to start from: the golden vectors, and a log with seals and proofs that is made of their lines.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notary_core::consistency::ConsistencyProof;
use notary_core::key::{Keys, TrustedKey};
use notary_core::merkle::{self, Frontier, Node};
use notary_core::note::Note;
use notary_core::proof::Proof;
use notary_core::secret::{Secret, SigningKey};
use notary_core::{Checkpoint, Digest, Origin, Seal};
use serde_json::Value;

const LINES: &str = include_str!("../../../../tests/vectors/lines.jsonl");
const BAD_LINES: &str = include_str!("../../../../tests/vectors/bad_lines.jsonl");
const TIMES: &str = include_str!("../../../../tests/vectors/timestamps.jsonl");
const NOTES: &str = include_str!("../../../../tests/vectors/c2sp.jsonl");

const LOG: &str = "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

pub const SECRETS: [&str; 2] = [
    "pg_notary-secret-1+AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
    "pg_notary-secret-1+BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
];

/// A signature of somebody whom nobody here knows.
pub const STRANGER: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn strings(file: &str, member: &str) -> Vec<Vec<u8>> {
    let vectors = file.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    vectors.filter_map(|vector| Some(vector.get(member)?.as_str()?.as_bytes().to_vec())).collect()
}

/// Lines of a log, all of them valid; the longest would only cost time.
pub fn lines() -> Vec<Vec<u8>> {
    strings(LINES, "line").into_iter().filter(|line| line.len() < 8_000).collect()
}

/// What others got wrong about lines: near to valid ones.
pub fn bad_lines() -> Vec<Vec<u8>> {
    let bad = strings(BAD_LINES, "base64").into_iter().map(|text| STANDARD.decode(text).unwrap());
    bad.filter(|line| line.len() < 8_000).collect()
}

pub fn times() -> Vec<Vec<u8>> {
    [strings(TIMES, "timestamptz"), strings(TIMES, "timestamp")].concat()
}

/// Notes of other logs and of none.
pub fn notes() -> Vec<Vec<u8>> {
    strings(NOTES, "note")
}

/// Keys of other logs.
pub fn keys() -> Vec<Vec<u8>> {
    let vectors = NOTES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lists = vectors.filter_map(|vector| vector.get("keys")?.as_array().cloned());
    lists.flatten().map(|key| key.as_str().unwrap().as_bytes().to_vec()).collect()
}

/// A log: its lines, its tree, its keys, and all that they ever signed.
pub struct World {
    pub lines: Vec<Vec<u8>>,
    nodes: BTreeMap<Node, Digest>,
    origins: [Origin; 2],
    /// Of the first origin the key in use and the one before it, then one of the second.
    keys: [SigningKey; 3],
    pub signed: BTreeSet<String>,
    pub seals: Vec<Seal>,
    /// What the caller trusts, one a line; the second is retired.
    pub trusted: String,
}

/// The last size that the retired key may speak for.
pub const LAST_SIZE: u64 = 9;

impl World {
    pub fn new() -> Self {
        let of_the_log = |line: &Vec<u8>| String::from_utf8_lossy(line).contains(&format!("\"log\":\"{LOG}\""));
        let lines: Vec<Vec<u8>> = lines().into_iter().filter(of_the_log).collect();
        assert!(lines.len() > 8, "the golden lines are of one log");
        let (mut tree, mut nodes) = (Frontier::new(), BTreeMap::new());
        for line in &lines {
            tree.append_noting(merkle::leaf(&Digest::of(line)), |node, hash| {
                nodes.insert(node, *hash);
            })
            .unwrap();
        }
        let origins = [1, 2].map(|number| Origin::new("db.example.com", LOG.parse().unwrap(), number).unwrap());
        let key = |secret: usize, origin: usize| {
            Secret::parse_file(SECRETS[secret]).unwrap().0.key(&origins[origin]).unwrap()
        };
        let keys = [key(0, 0), key(1, 0), key(0, 1)];
        let [new, old, other] = keys.each_ref().map(SigningKey::verifier);
        let trusted = format!("{new}\n{old} {LAST_SIZE}\n{other}\n");
        let mut world = Self { lines, nodes, origins, keys, signed: BTreeSet::new(), seals: Vec::new(), trusted };
        let size = world.lines.len() as u64;
        for size in [0, 1, 2, 7, 8, LAST_SIZE, LAST_SIZE + 1, size] {
            for (origin, signers) in [(0, &[0][..]), (0, &[0, 1]), (0, &[1]), (1, &[2])] {
                world.sign(size, origin, signers);
            }
        }
        world
    }

    fn sign(&mut self, size: u64, origin: usize, signers: &[usize]) {
        let checkpoint = Checkpoint::new(self.origins[origin].clone(), size, self.root(size)).unwrap();
        self.signed.insert(checkpoint.to_string());
        let keys: Vec<&SigningKey> = signers.iter().map(|&signer| &self.keys[signer]).collect();
        self.seals.push(Seal::sign(checkpoint, &keys).unwrap());
    }

    fn node(&self, node: Node) -> Result<Digest, Infallible> {
        Ok(self.nodes[&node])
    }

    pub fn root(&self, size: u64) -> Digest {
        merkle::root(size, |node| self.node(node)).unwrap()
    }

    pub fn path(&self, index: u64, size: u64) -> Vec<Digest> {
        merkle::prove_inclusion(index, size, |node| self.node(node)).unwrap()
    }

    pub fn between(&self, old: u64, new: u64) -> ConsistencyProof {
        ConsistencyProof(merkle::prove_consistency(old, new, |node| self.node(node)).unwrap())
    }

    /// Seals as they are handed out, with a stranger's signature, and bare; and what another log's key signed, which is
    /// trusted, but not for this one.
    pub fn seal_texts(&self) -> Vec<Vec<u8>> {
        let of_first = |body: &&String| !body.starts_with(&format!("{}\n", self.origins[1]));
        let by_other = |body: &String| Note::sign(body, &[&self.keys[2]]).unwrap().to_string().into_bytes();
        let mut all: Vec<Vec<u8>> = self.signed.iter().filter(of_first).map(by_other).collect();
        for seal in &self.seals {
            let (signed, bare) = (seal.to_string(), Seal::unsigned(seal.checkpoint().clone()).to_string());
            all.extend([format!("{signed}{STRANGER}"), signed, bare].map(String::into_bytes));
        }
        all
    }

    pub fn proof(&self, index: u64, seal: &Seal, with_line: bool) -> Proof {
        let line = with_line.then(|| self.lines[usize::try_from(index).unwrap()].clone());
        Proof { line, index, path: self.path(index, seal.checkpoint().size()), seal: seal.clone() }
    }

    pub fn proof_texts(&self) -> Vec<Vec<u8>> {
        let mut texts = Vec::new();
        for seal in self.seals.iter().filter(|seal| seal.checkpoint().size() > 0) {
            let size = seal.checkpoint().size();
            for index in BTreeSet::from([0, size / 2, size - 1]) {
                texts.extend([true, false].map(|with| self.proof(index, seal, with).to_string().into_bytes()));
            }
        }
        texts
    }

    pub fn consistency_texts(&self) -> Vec<Vec<u8>> {
        let size = self.lines.len() as u64;
        (1..=size).map(|old| self.between(old, size).to_string().into_bytes()).collect()
    }

    pub fn keys(&self) -> Keys {
        Keys::new(self.trusted.lines().map(|key| key.parse::<TrustedKey>().unwrap())).unwrap()
    }
}
