//! A small log with a key, for the tests of what is built on its tree.

use std::collections::BTreeMap;
use std::convert::Infallible;

use zeroize::Zeroizing;

use crate::key::Keys;
use crate::merkle::{self, Frontier, Node};
use crate::proof::Proof;
use crate::seal::Trust;
use crate::secret::{Secret, SigningKey};
use crate::{Checkpoint, Digest, LogId, Origin, Seal};

const LOG: &str = "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

/// Header lines, which are leaves as any other, and the tree over them.
pub(crate) struct Log {
    pub(crate) lines: Vec<Vec<u8>>,
    nodes: BTreeMap<Node, Digest>,
}

/// The origin of an incarnation of the log.
pub(crate) fn origin(incarnation: u32) -> Origin {
    Origin::new("db.example.com", LOG.parse().unwrap(), incarnation).unwrap()
}

/// The key of an origin, from a secret that is made of one byte.
pub(crate) fn key(secret: u8, origin: &Origin) -> SigningKey {
    Secret::new(Zeroizing::new([secret; 32])).key(origin).unwrap()
}

/// The keys that verify what these sign.
pub(crate) fn keys(keys: &[&SigningKey]) -> Keys {
    Keys::new(keys.iter().map(|key| key.verifier().clone().into())).unwrap()
}

/// Trust in signatures alone.
pub(crate) fn signed(keys: &Keys) -> Trust<'_> {
    Trust { keys, unsigned: false }
}

/// A line of a log, each number another.
pub(crate) fn line(log: LogId, number: u32) -> Vec<u8> {
    let line = format!(
        r#"{{"v":1,"log":"{log}","segment":{number},"chain":0,"seq":0,"time":"2026-11-20T16:00:00.000000Z","by":"alice","schema":"public","table":"app_audit","first_chain":1,"adopted":0,"columns":{{}},"redactable":[]}}"#
    );
    line.into_bytes()
}

impl Log {
    /// A log of `size` lines, and whatever lines come after.
    pub(crate) fn new(size: u32, more: &[Vec<u8>]) -> Self {
        let mut lines: Vec<_> = (1..=size).map(|number| line(origin(1).log(), number)).collect();
        lines.extend_from_slice(more);
        let (mut tree, mut nodes) = (Frontier::new(), BTreeMap::new());
        for line in &lines {
            let leaf = merkle::leaf(&Digest::of(line));
            tree.append_noting(leaf, |node, hash| assert_eq!(nodes.insert(node, *hash), None)).unwrap();
        }
        Self { lines, nodes }
    }

    pub(crate) fn node(&self, node: Node) -> Result<Digest, Infallible> {
        Ok(self.nodes[&node])
    }

    pub(crate) fn checkpoint(&self, origin: Origin, size: u64) -> Checkpoint {
        let root = merkle::root(size, |node| self.node(node)).unwrap();
        Checkpoint::new(origin, size, root).unwrap()
    }

    pub(crate) fn seal(&self, size: u64, keys: &[&SigningKey]) -> Seal {
        Seal::sign(self.checkpoint(origin(1), size), keys).unwrap()
    }

    pub(crate) fn proof(&self, index: u64, size: u64, keys: &[&SigningKey]) -> Proof {
        Proof {
            line: Some(self.lines[usize::try_from(index).unwrap()].clone()),
            index,
            path: merkle::prove_inclusion(index, size, |node| self.node(node)).unwrap(),
            seal: self.seal(size, keys),
        }
    }
}
