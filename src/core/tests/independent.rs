//! The tree and the notes against implementations that nobody here wrote: they accept ours, we
//! accept theirs, and what was tampered with fails in both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_imports)]

use std::collections::BTreeMap;
use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use notary_core::key::{Keys, VerifierKey};
use notary_core::merkle::{self, Frontier, Node};
use notary_core::note::Note;
use notary_core::seal::{Standing, Trust};
use notary_core::secret::SigningKey;
use notary_core::tile::{self, Tile};
use notary_core::{Checkpoint, Digest, Seal};
use sha2::Sha256;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{Hash, HashReader};

const ORIGIN: &str = "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

/// Our tree and both of theirs, over the hashes of the same lines.
struct Trees {
    lines: Vec<Digest>,
    nodes: BTreeMap<Node, Digest>,
    roots: Vec<Digest>,
    stored: Stored,
}

/// `tlog_tiles` keeps its hashes in a list.
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|&index| self.0[usize::try_from(index).unwrap()]).collect())
    }
}

impl Trees {
    fn new(size: u64) -> Self {
        let lines: Vec<Digest> = (0..size).map(|number| Digest::of(&number.to_le_bytes())).collect();
        let (mut tree, mut nodes, mut stored) = (Frontier::new(), BTreeMap::new(), Stored(Vec::new()));
        let mut roots = vec![tree.root()];
        for (number, line) in (0..).zip(&lines) {
            tree.append_noting(merkle::leaf(line), |node, hash| assert_eq!(nodes.insert(node, *hash), None)).unwrap();
            roots.push(tree.root());
            let added = tlog_tiles::stored_hashes(number, line.as_bytes(), &stored).unwrap();
            stored.0.extend(added);
        }
        Self { lines, nodes, roots, stored }
    }

    fn root(&self, size: u64) -> Digest {
        self.roots[usize::try_from(size).unwrap()]
    }

    fn line(&self, index: u64) -> Digest {
        self.lines[usize::try_from(index).unwrap()]
    }

    fn node(&self, node: Node) -> Result<Digest, Infallible> {
        Ok(self.nodes[&node])
    }

    /// What each of the three says of an inclusion proof: ours, `tlog_tiles`, `ct_merkle`.
    fn included(&self, index: u64, size: u64, proof: &[Digest]) -> [bool; 3] {
        let (line, root) = (self.line(index), self.root(size));
        let ours = merkle::verify_inclusion(&merkle::leaf(&line), index, size, &root, proof);
        let record = tlog_tiles::record_hash(line.as_bytes());
        let tiles = tlog_tiles::check_record(&theirs(proof), size, Hash(*root.as_bytes()), index, record);
        let ct = InclusionProof::<Sha256>::from_bytes(bytes(proof));
        let ct = RootHash::new((*root.as_bytes()).into(), size).verify_inclusion(line.as_bytes(), index, &ct);
        [ours.is_ok(), tiles.is_ok(), ct.is_ok()]
    }

    /// The same of a consistency proof.
    fn consistent(&self, old: u64, new: u64, proof: &[Digest]) -> [bool; 3] {
        let (old_root, new_root) = (self.root(old), self.root(new));
        let ours = merkle::verify_consistency(old, &old_root, new, &new_root, proof);
        let [old_hash, new_hash] = [old_root, new_root].map(|root| Hash(*root.as_bytes()));
        let tiles = tlog_tiles::check_tree(&theirs(proof), new, new_hash, old, old_hash);
        let [old_ct, new_ct] = [(old_root, old), (new_root, new)]
            .map(|(root, size)| RootHash::<Sha256>::new((*root.as_bytes()).into(), size));
        let ct = ConsistencyProof::try_from_bytes(bytes(proof)).unwrap();
        [ours.is_ok(), tiles.is_ok(), new_ct.verify_consistency(&old_ct, &ct).is_ok()]
    }
}

fn theirs(proof: &[Digest]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(*hash.as_bytes())).collect()
}

fn ours(proof: &[Hash]) -> Vec<Digest> {
    proof.iter().map(|hash| Digest::new(hash.0)).collect()
}

fn bytes(proof: &[Digest]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// A hash flipped, removed, added, and two swapped.
fn tampered(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = vec![[proof, &[Digest::of(b"")]].concat()];
    if let Some((last, rest)) = proof.split_last() {
        let mut flipped = *last.as_bytes();
        flipped[31] ^= 1;
        all.extend([rest.to_vec(), proof[1..].to_vec(), [rest, &[Digest::new(flipped)]].concat()]);
        all.push([proof, &[*last]].concat());
        let mut swapped = proof.to_vec();
        swapped.rotate_left(1);
        all.push(swapped);
    }
    all.retain(|other| other != proof);
    all
}

/// Sizes around the second power of 256; those around the first are below 300.
const BIG: [u64; 3] = [65_535, 65_536, 65_537];

/// Up to this size every index and every older size is proved, beyond it those where something changes.
const SMALL: u64 = 64;

/// Indexes below `size` or older sizes, and those near powers of two and of 256.
fn samples(size: u64) -> Vec<u64> {
    if size <= SMALL {
        return (0..size).collect();
    }
    let half = 1 << (size - 1).ilog2();
    let near = [0, 1, 2, size / 3, half - 1, half, half + 1, size - 2, size - 1, 254, 255, 256, 257];
    let mut all: Vec<u64> = near.into_iter().chain(BIG).filter(|&index| index < size).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn roots_are_theirs_at_every_size() {
    let trees = Trees::new(65_537);
    let mut ct = MemoryBackedTree::<Sha256, [u8; 32]>::new();
    for size in 0..=65_537 {
        if size <= 300 || BIG.contains(&size) {
            let tiles = tlog_tiles::tree_hash(size, &trees.stored).unwrap();
            assert_eq!(tiles.0, *trees.root(size).as_bytes(), "{size}");
            assert_eq!(ct.root().as_bytes()[..], trees.root(size).as_bytes()[..], "{size}");
        }
        if size < 65_537 {
            ct.push(*trees.line(size).as_bytes());
        }
    }
}

#[test]
fn inclusion_proofs_pass_and_fail_alike() {
    let trees = Trees::new(65_537);
    let mut ct = MemoryBackedTree::<Sha256, [u8; 32]>::new();
    for size in (1..=300).chain(BIG) {
        while ct.len() < size {
            ct.push(*trees.line(ct.len()).as_bytes());
        }
        for index in samples(size) {
            let proof = merkle::prove_inclusion(index, size, |node| trees.node(node)).unwrap();
            assert_eq!(trees.included(index, size, &proof), [true; 3], "{index} in {size}");
            let tiles = tlog_tiles::prove_record(size, index, &trees.stored).unwrap();
            assert_eq!(ours(&tiles), proof, "{index} in {size}");
            let made = ct.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(made.as_bytes(), bytes(&proof), "{index} in {size}");
            for other in tampered(&proof) {
                assert_eq!(trees.included(index, size, &other), [false; 3], "{index} in {size}");
            }
            // Another line under the same proof.
            if size > 1 {
                assert_eq!(trees.included((index + 1) % size, size, &proof), [false; 3], "{index} in {size}");
            }
        }
    }
}

/// Without what was tampered with, so that there is time for each of them.
#[test]
fn every_leaf_of_every_size_is_included() {
    let trees = Trees::new(300);
    for size in 0..=300 {
        for index in 0..size {
            let proof = merkle::prove_inclusion(index, size, |node| trees.node(node)).unwrap();
            assert_eq!(trees.included(index, size, &proof), [true; 3], "{index} in {size}");
        }
        assert!(merkle::prove_inclusion(size, size, |node| trees.node(node)).is_err(), "no leaf {size} in {size}");
        assert!(tlog_tiles::prove_record(size, size, &trees.stored).is_err(), "no leaf {size} in {size}");
    }
}

#[test]
fn every_size_is_consistent_with_every_later_one() {
    let trees = Trees::new(300);
    for new in 1..=300 {
        for old in 1..=new {
            let proof = merkle::prove_consistency(old, new, |node| trees.node(node)).unwrap();
            assert_eq!(trees.consistent(old, new, &proof), [true; 3], "{old} to {new}");
        }
    }
}

#[test]
fn consistency_proofs_pass_and_fail_alike() {
    let trees = Trees::new(65_537);
    let mut ct = MemoryBackedTree::<Sha256, [u8; 32]>::new();
    for new in (1..=300).chain(BIG) {
        assert_eq!(trees.consistent(0, new, &[]), [false; 3], "0 to {new}");
        while ct.len() < new {
            ct.push(*trees.line(ct.len()).as_bytes());
        }
        for old in samples(new + 1).into_iter().filter(|&old| old > 0) {
            let proof = merkle::prove_consistency(old, new, |node| trees.node(node)).unwrap();
            assert_eq!(trees.consistent(old, new, &proof), [true; 3], "{old} to {new}");
            let tiles = tlog_tiles::prove_tree(new, old, &trees.stored).unwrap();
            assert_eq!(ours(&tiles), proof, "{old} to {new}");
            let made = ct.prove_consistency(usize::try_from(new - old).unwrap());
            assert_eq!(made.as_bytes(), bytes(&proof), "{old} to {new}");
            for other in tampered(&proof) {
                assert_eq!(trees.consistent(old, new, &other), [false; 3], "{old} to {new}");
            }
        }
    }
}

#[test]
fn tiles_have_their_paths_and_hashes() {
    let trees = Trees::new(65_537);
    for size in [1, 255, 256, 257, 511, 65_536, 65_537] {
        for level in 0..=2 {
            for tile in (0..).map_while(|index| Tile::new(level, index, size)) {
                let index = tile.nodes().next().unwrap().index / u64::from(tile::WIDTH);
                let theirs = tlog_tiles::Tile::new(8, level, index, tile.width().into(), false);
                // Their path also names the height.
                assert_eq!(theirs.path(), tile.path().replacen("tile/", "tile/8/", 1));
                let hashes: Vec<Digest> = tile.nodes().map(|node| trees.node(node).unwrap()).collect();
                assert_eq!(theirs.read_data(&trees.stored).unwrap(), bytes(&hashes));
            }
        }
    }
    for index in [0, 999, 1_000, 1_234_067, (1 << 55) - 2] {
        let tile = Tile::new(0, index, merkle::MAX_SIZE).unwrap();
        let theirs = tlog_tiles::Tile::new(8, 0, index, 256, false);
        assert_eq!(theirs.path(), tile.path().replacen("tile/", "tile/8/", 1));
    }
}

/// A verifier of theirs for a key of ours.
fn their_keys(keys: &[&VerifierKey]) -> VerifierList {
    let verifier = |key: &&VerifierKey| StandardVerifier::new(&key.to_string()).unwrap();
    VerifierList::new(keys.iter().map(|key| Box::new(verifier(key)) as Box<dyn signed_note::Verifier>).collect())
}

fn our_keys(keys: &[&VerifierKey]) -> Keys {
    Keys::new(keys.iter().map(|key| (*key).clone().into())).unwrap()
}

/// What each of the two says of a seal.
fn verified(seal: &[u8], keys: &[&VerifierKey]) -> [bool; 2] {
    let trusted = our_keys(keys);
    let trust = Trust { keys: &trusted, unsigned: false };
    let ours = Seal::parse(seal).is_ok_and(|seal| seal.verify(trust).is_ok());
    let theirs = signed_note::Note::from_bytes(seal).is_ok_and(|note| {
        note.verify(&their_keys(keys)).is_ok() && tlog_tiles::Checkpoint::from_bytes(note.text()).is_ok()
    });
    [ours, theirs]
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint::new(ORIGIN.parse().unwrap(), size, Digest::of(b"root")).unwrap()
}

#[test]
fn our_seals_pass_their_checks_and_tampered_ones_fail_in_both() {
    let [old, new] = [1, 2].map(|seed| SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap());
    for size in [1, 20_852_163, merkle::MAX_SIZE] {
        let seal = Seal::sign(checkpoint(size), &[&new, &old]).unwrap().to_string();
        for keys in [&[old.verifier()][..], &[new.verifier()], &[old.verifier(), new.verifier()]] {
            assert_eq!(verified(seal.as_bytes(), keys), [true; 2]);
        }
        let note = signed_note::Note::from_bytes(seal.as_bytes()).unwrap();
        let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        assert_eq!((read.origin(), read.size(), read.hash().0), (ORIGIN, size, *Digest::of(b"root").as_bytes()));
        for at in 0..seal.len() {
            for flip in [1, 0x80] {
                let mut changed = seal.clone().into_bytes();
                changed[at] ^= flip;
                let both = [old.verifier(), new.verifier()];
                let by_ours = verified(&changed, &both)[0];
                // A changed name or id leaves a signature by a key that is unknown, beside one that is not.
                assert!(!by_ours || verified(&changed, &both)[1], "byte {at}");
                let body = seal.find("\n\n").unwrap();
                assert!(at > body || verified(&changed, &both) == [false; 2], "byte {at}");
            }
        }
    }
}

/// Theirs, ours, and ours turned into one of theirs.
fn signers() -> (StandardSigner, SigningKey) {
    let seed = [3; 32];
    let ours = SigningKey::from_seed(ORIGIN, &seed).unwrap();
    let private = STANDARD.encode([&[1], &seed[..]].concat());
    let theirs = StandardSigner::new(&format!("PRIVATE+KEY+{ORIGIN}+{}+{private}", ours.verifier().id())).unwrap();
    (theirs, ours)
}

/// A seal of each size: ours in their hands, theirs in ours, and forgeries in both.
#[test]
fn seals_of_every_size_pass_both_checks_and_forged_ones_neither() {
    let trees = Trees::new(65_537);
    let (signer, ours) = signers();
    let keys = [ours.verifier()];
    for size in (0..=300).chain(BIG) {
        let checkpoint = Checkpoint::new(ORIGIN.parse().unwrap(), size, trees.root(size)).unwrap();
        let text = checkpoint.to_string();
        let theirs_text = tlog_tiles::Checkpoint::new(ORIGIN, size, Hash(*trees.root(size).as_bytes()), "").unwrap();
        assert_eq!(theirs_text.to_bytes(), text.as_bytes(), "{size}");
        let seal = Seal::sign(checkpoint, &[&ours]).unwrap().to_string();
        let mut note = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
        note.add_sigs(&[&signer]).unwrap();
        assert_eq!(note.to_bytes(), seal.as_bytes(), "{size}");
        assert_eq!(verified(seal.as_bytes(), &keys), [true; 2], "{size}");
        // The size or the root of another tree, and the signature of another note.
        let body = seal.find("\n\n").unwrap();
        for other in [size + 1, size + 256] {
            let forged = seal.replacen(&format!("\n{size}\n"), &format!("\n{other}\n"), 1);
            assert_eq!(verified(forged.as_bytes(), &keys), [false; 2], "{size} as {other}");
            let root = STANDARD.encode(Digest::of(&other.to_le_bytes()).as_bytes());
            let forged = format!("{ORIGIN}\n{size}\n{root}\n{}", &seal[body + 1..]);
            assert_eq!(verified(forged.as_bytes(), &keys), [false; 2], "{size} with another root");
        }
        for at in [seal.len() - 4, body + 70, body + 120] {
            let mut forged = seal.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(verified(&forged, &keys), [false; 2], "byte {at} at {size}");
        }
    }
}

#[test]
fn their_notes_pass_our_checks() {
    let (signer, ours) = signers();
    let text = checkpoint(7).to_string();
    let mut note = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    assert_eq!(verified(&note.to_bytes(), &[ours.verifier()]), [true; 2]);
    // Ed25519 has no chance in it, so the two are one note.
    assert_eq!(note.to_bytes(), Note::sign(&text, &[&ours]).unwrap().to_string().into_bytes());
    let trusted = our_keys(&[ours.verifier()]);
    let read = Seal::parse(&note.to_bytes()).unwrap();
    let standing = read.verify(Trust { keys: &trusted, unsigned: false }).unwrap();
    assert_eq!(standing, Standing::Signed(vec![ours.verifier()]));
}
