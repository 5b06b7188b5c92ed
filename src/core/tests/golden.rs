//! What the specifications themselves show, and the tests of those who wrote them first: `tests/vectors/rfc6962.jsonl`
//! and `tests/vectors/c2sp.jsonl`. A vector names its source.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notary_core::checkpoint::CheckpointError;
use notary_core::key::{Keys, VerifierKey};
use notary_core::merkle::{self, Frontier, MAX_SIZE, Node};
use notary_core::note::{Note, NoteError};
use notary_core::origin::OriginError;
use notary_core::proof::Proof;
use notary_core::secret::SigningKey;
use notary_core::tile::Tile;
use notary_core::{Checkpoint, Digest, Seal};
use serde_json::Value;

const TREES: &str = include_str!("../../../tests/vectors/rfc6962.jsonl");
const NOTES: &str = include_str!("../../../tests/vectors/c2sp.jsonl");

/// The vectors of a file that have this member; at least one.
fn vectors(file: &str, member: &str) -> Vec<Value> {
    let all = file.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let with: Vec<Value> = all.filter(|vector| vector.get(member).is_some()).collect();
    assert!(!with.is_empty(), "{member}");
    with
}

fn text(vector: &Value, member: &str) -> String {
    vector[member].as_str().unwrap_or_else(|| panic!("{member} of {vector}")).to_owned()
}

fn number(vector: &Value, member: &str) -> u64 {
    vector[member].as_u64().unwrap_or_else(|| panic!("{member} of {vector}"))
}

fn texts(vector: &Value, member: &str) -> Vec<String> {
    vector[member].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The tree of the reference tests, whose leaves have data of any length. Ours is always a hash, so its leaves are
/// hashed here.
struct Tree {
    leaves: Vec<Digest>,
    nodes: BTreeMap<Node, Digest>,
}

impl Tree {
    fn new() -> Self {
        let data = vectors(TREES, "leaf").into_iter().map(|vector| hex::decode(text(&vector, "leaf")).unwrap());
        let leaves: Vec<Digest> = data.map(|data| Digest::of(&[&[0], &data[..]].concat())).collect();
        let (mut tree, mut nodes) = (Frontier::new(), BTreeMap::new());
        for leaf in &leaves {
            tree.append_noting(*leaf, |node, hash| assert_eq!(nodes.insert(node, *hash), None)).unwrap();
        }
        Self { leaves, nodes }
    }

    fn node(&self, node: Node) -> Result<Digest, Infallible> {
        Ok(self.nodes[&node])
    }

    /// A node of the figure in RFC 6962 section 2.1.3: a tree of seven leaves, and what it grew from.
    fn named(&self, name: &str) -> Digest {
        let (level, index) = match name {
            "a" => (0, 0),
            "b" => (0, 1),
            "c" => (0, 2),
            "d" => (0, 3),
            "e" => (0, 4),
            "f" => (0, 5),
            "j" => (0, 6),
            "g" => (1, 0),
            "h" => (1, 1),
            "i" => (1, 2),
            "k" => (2, 0),
            "l" => return merkle::node(&self.named("i"), &self.named("j")),
            _ => panic!("the figure has no {name}"),
        };
        self.nodes[&Node { level, index }]
    }

    /// The hashes that a vector spells or names.
    fn path(&self, vector: &Value) -> Vec<Digest> {
        if vector.get("nodes").is_some() {
            return texts(vector, "nodes").iter().map(|name| self.named(name)).collect();
        }
        texts(vector, "path").iter().map(|hash| hash.parse().unwrap()).collect()
    }

    fn root(size: u64) -> Digest {
        let of_size = |vector: &Value| number(vector, "size") == size;
        let vector = vectors(TREES, "root").into_iter().find(of_size).unwrap();
        text(&vector, "root").parse().unwrap()
    }
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let (tree, mut growing) = (Tree::new(), Frontier::new());
    assert_eq!(tree.leaves.len(), 8);
    for size in 0..=8 {
        assert_eq!(growing.root(), Tree::root(size), "{size}");
        assert_eq!(merkle::root(size, |node| tree.node(node)), Ok(Tree::root(size)), "{size}");
        if let Some(leaf) = tree.leaves.get(usize::try_from(size).unwrap()) {
            growing.append(*leaf).unwrap();
        }
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_rfc_and_of_certificate_transparency() {
    let tree = Tree::new();
    let vectors = vectors(TREES, "index");
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let (index, size, path) = (number(&vector, "index"), number(&vector, "size"), tree.path(&vector));
        assert_eq!(merkle::prove_inclusion(index, size, |node| tree.node(node)), Ok(path.clone()), "{vector}");
        let leaf = tree.leaves[usize::try_from(index).unwrap()];
        assert_eq!(merkle::verify_inclusion(&leaf, index, size, &Tree::root(size), &path), Ok(()), "{vector}");
        for at in 0..path.len() {
            let mut other = path.clone();
            other[at] = Digest::of(b"");
            assert!(merkle::verify_inclusion(&leaf, index, size, &Tree::root(size), &other).is_err(), "{vector}");
        }
    }
}

#[test]
fn consistency_proofs_are_those_of_the_rfc_and_of_certificate_transparency() {
    let tree = Tree::new();
    let vectors = vectors(TREES, "old");
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let (old, new, path) = (number(&vector, "old"), number(&vector, "new"), tree.path(&vector));
        assert_eq!(merkle::prove_consistency(old, new, |node| tree.node(node)), Ok(path.clone()), "{vector}");
        let verify = |path: &[Digest]| merkle::verify_consistency(old, &Tree::root(old), new, &Tree::root(new), path);
        assert_eq!(verify(&path), Ok(()), "{vector}");
        for at in 0..path.len() {
            let mut other = path.clone();
            other[at] = Digest::of(b"");
            assert!(verify(&other).is_err(), "{vector}");
        }
    }
}

#[test]
fn notes_are_read_and_believed_as_their_authors_say() {
    for vector in vectors(NOTES, "note") {
        let spelt = text(&vector, "note");
        let note = Note::parse(spelt.as_bytes()).unwrap_or_else(|error| panic!("{vector}: {error}"));
        assert_eq!(note.to_string(), spelt);
        assert_eq!(note.text(), text(&vector, "text"));
        let keys: Vec<VerifierKey> = texts(&vector, "keys").iter().map(|key| key.parse().unwrap()).collect();
        for (key, spelt) in keys.iter().zip(texts(&vector, "keys")) {
            assert_eq!(key.to_string(), spelt);
        }
        let trusted = Keys::new(keys.into_iter().map(Into::into)).unwrap();
        let by = |note: &Note| {
            let signers = note.verify(|name, id| trusted.find(name, id, 0));
            signers.map(|keys| keys.iter().map(|key| key.name().to_owned()).collect::<Vec<_>>())
        };
        let signers = texts(&vector, "signers");
        if signers.is_empty() {
            assert_eq!(by(&note), Err(NoteError::NoKnownKey), "{vector}");
            continue;
        }
        assert_eq!(by(&note), Ok(signers), "{vector}");
        let forged = Note::parse(format!(" {spelt}").as_bytes()).unwrap();
        assert!(matches!(by(&forged), Err(NoteError::BadSignature { .. })), "{vector}");
    }
}

#[test]
fn what_we_sign_is_what_the_author_signed() {
    for vector in vectors(NOTES, "seed") {
        let seed = STANDARD.decode(text(&vector, "seed")).unwrap().try_into().unwrap();
        let key = SigningKey::from_seed(&texts(&vector, "signers")[0], &seed).unwrap();
        assert_eq!(key.verifier().to_string(), texts(&vector, "keys")[0]);
        assert_eq!(Note::sign(&text(&vector, "text"), &[&key]).unwrap().to_string(), text(&vector, "note"));
    }
}

/// The checkpoints are of other logs, whose origins are none of ours; size and root are read alike.
#[test]
fn checkpoints_of_others_have_their_size_and_root() {
    const ORIGIN: &str = "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";
    for vector in vectors(NOTES, "root") {
        let spelt = text(&vector, "text");
        let refused = spelt.parse::<Checkpoint>().unwrap_err();
        let no_log = |error| matches!(error, OriginError::NoLog | OriginError::BadCharacter(' ', _));
        assert!(matches!(refused, CheckpointError::BadOrigin(error) if no_log(error)), "{vector}");
        let (_, rest) = spelt.split_once('\n').unwrap();
        let ours: Checkpoint = format!("{ORIGIN}\n{rest}").parse().unwrap();
        assert_eq!(ours.size(), number(&vector, "size"));
        assert_eq!(ours.root().to_string(), text(&vector, "root"));
        assert_eq!(ours.to_string(), format!("{ORIGIN}\n{rest}"));
    }
}

#[test]
fn tiles_are_where_the_specification_puts_them() {
    for vector in vectors(NOTES, "tile") {
        let tile = Tile::new(0, number(&vector, "tile"), MAX_SIZE).unwrap();
        assert_eq!(tile.path(), format!("tile/0/{}", text(&vector, "path")));
        assert_eq!(tile.entries_path().unwrap(), format!("tile/entries/{}", text(&vector, "path")));
    }
    for vector in vectors(NOTES, "tiles") {
        let size = number(&vector, "size");
        let levels = vector["tiles"].as_array().unwrap();
        for (level, wanted) in (0..8).zip(levels.iter().map(Some).chain(std::iter::repeat(None))) {
            let widths: Vec<u16> =
                (0..).map_while(|index| Tile::new(level, index, size)).map(|tile| tile.width()).collect();
            let full = widths.iter().filter(|&&width| width == 256).count();
            let partial: u16 = widths.iter().filter(|&&width| width < 256).sum();
            let wanted = wanted.map_or((0, 0), |level| (level[0].as_u64().unwrap(), level[1].as_u64().unwrap()));
            assert_eq!((full as u64, u64::from(partial)), wanted, "level {level} of {vector}");
        }
    }
}

/// The specification shortens the signatures of its example, so it stands on a seal of ours.
#[test]
fn a_proof_file_is_laid_out_as_the_specification_shows() {
    let body =
        "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n";
    for vector in vectors(NOTES, "proof") {
        let spelt = format!("{}\n{body}", text(&vector, "proof"));
        let proof = Proof::parse(spelt.as_bytes()).unwrap();
        assert_eq!(proof.to_string(), spelt);
        assert_eq!((proof.index, &proof.line), (number(&vector, "index"), &None));
        let hashes: Vec<String> = proof.path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        assert_eq!(hashes, texts(&vector, "hashes"));
        assert_eq!(proof.seal, Seal::parse(body.as_bytes()).unwrap());
    }
}
