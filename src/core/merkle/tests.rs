//! The tree against the RFC's definitions, written down as they stand there.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::*;

/// RFC 9162 section 2.1.1: `MTH`, over leaf hashes.
fn mth(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(k(leaves.len()));
            node(&mth(left), &mth(right))
        }
    }
}

/// RFC 9162 section 2.1.3.1: `PATH`.
fn path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return vec![];
    }
    let (left, right) = leaves.split_at(k(leaves.len()));
    if m < left.len() {
        [path(m, left), vec![mth(right)]].concat()
    } else {
        [path(m - left.len(), right), vec![mth(left)]].concat()
    }
}

/// RFC 9162 section 2.1.4.1: `SUBPROOF`; `PROOF(m, D)` is `SUBPROOF(m, D, true)`.
fn subproof(m: usize, leaves: &[Digest], b: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if b { vec![] } else { vec![mth(leaves)] };
    }
    let (left, right) = leaves.split_at(k(leaves.len()));
    if m <= left.len() {
        [subproof(m, left, b), vec![mth(right)]].concat()
    } else {
        [subproof(m - left.len(), right, false), vec![mth(left)]].concat()
    }
}

/// The largest power of two smaller than `n`.
fn k(n: usize) -> usize {
    (0..).map(|bit| 1 << bit).take_while(|&power| power < n).last().unwrap()
}

/// Leaf hashes of `n` different lines.
fn leaves(n: usize) -> Vec<Digest> {
    (0..n).map(|i| leaf(&Digest::of(&i.to_le_bytes()))).collect()
}

/// Every complete subtree of these leaves, as a growing tree names them.
fn stored(leaves: &[Digest]) -> BTreeMap<Node, Digest> {
    let mut nodes = BTreeMap::new();
    let mut tree = Frontier::new();
    for leaf in leaves {
        let added = tree.append_noting(*leaf, |node, hash| assert_eq!(nodes.insert(node, *hash), None));
        assert_eq!(added, Ok(tree.size() - 1));
    }
    nodes
}

fn from(nodes: &BTreeMap<Node, Digest>) -> impl FnMut(Node) -> Result<Digest, Infallible> {
    |node| Ok(nodes[&node])
}

/// Every proof that differs from this one in one thing.
fn tampered(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = Vec::new();
    for at in 0..=proof.len() {
        for added in [proof.first(), proof.last(), proof.get(at), Some(&empty_root())].into_iter().flatten() {
            let mut longer = proof.to_vec();
            longer.insert(at, *added);
            all.push(longer);
        }
        all.push(proof[..at].to_vec());
        all.push(proof[at..].to_vec());
    }
    for at in 0..proof.len() {
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        let mut flipped = proof.to_vec();
        let mut bytes = *proof[at].as_bytes();
        bytes[at % 32] ^= 1 << (at % 8);
        flipped[at] = Digest::new(bytes);
        let mut swapped = proof.to_vec();
        swapped.swap(at, (at + 1) % proof.len());
        let mut rotated = proof.to_vec();
        rotated.rotate_left(at);
        all.extend([shorter, flipped, swapped, rotated]);
    }
    all.retain(|other| other != proof);
    all
}

#[test]
fn roots_are_those_of_the_definition_at_every_size() {
    let big = [255, 256, 257, 65_535, 65_536, 65_537];
    let leaves = leaves(65_537);
    let nodes = stored(&leaves);
    let mut tree = Frontier::new();
    for size in 0..=leaves.len() {
        if size <= 300 || big.contains(&size) {
            let expected = mth(&leaves[..size]);
            let size = u64::try_from(size).unwrap();
            assert_eq!(tree.root(), expected, "{size}");
            assert_eq!(root(size, from(&nodes)), Ok(expected), "{size}");
            assert_eq!(Frontier::load(size, from(&nodes)), Ok(tree.clone()), "{size}");
        }
        if let Some(leaf) = leaves.get(size) {
            tree.append(*leaf).unwrap();
        }
    }
}

#[test]
fn inclusion_is_proved_for_every_leaf_and_nothing_else_passes() {
    let leaves = leaves(65_537);
    let nodes = stored(&leaves);
    for size in (1..=300).chain([65_535, 65_536, 65_537]) {
        let root = mth(&leaves[..size]);
        let indexes: Vec<usize> = match size {
            ..=72 => (0..size).collect(),
            _ => vec![0, 1, size / 2 - 1, size / 2, size - 2, size - 1],
        };
        for index in indexes {
            let (size_64, index_64) = (size as u64, index as u64);
            let proof = prove_inclusion(index_64, size_64, from(&nodes)).unwrap();
            assert_eq!(proof, path(index, &leaves[..size]), "{index} in {size}");
            assert!(proof.len() <= MAX_INCLUSION);
            let check = |leaf, index, proof: &[Digest]| verify_inclusion(leaf, index, size_64, &root, proof);
            assert_eq!(check(&leaves[index], index_64, &proof), Ok(()), "{index} in {size}");

            for other in tampered(&proof) {
                assert!(check(&leaves[index], index_64, &other).is_err(), "{index} in {size}: {other:?}");
            }
            assert!(check(&leaves[(index + 1) % leaves.len()], index_64, &proof).is_err());
            assert!(check(&root, index_64, &proof).is_err() || size == 1);
            for wrong in (0..size_64.min(80)).chain([size_64 - 1]).filter(|&wrong| wrong != index_64) {
                assert!(check(&leaves[index], wrong, &proof).is_err(), "{index} as {wrong} in {size}");
            }
            for wrong in [size_64, size_64 + 1, u64::MAX] {
                let error = ProofError::NoSuchLeaf { index: wrong, size: size_64 };
                assert_eq!(check(&leaves[index], wrong, &proof), Err(error));
            }
        }
    }
}

#[test]
fn a_proof_for_another_size_fails_against_that_sizes_root() {
    let leaves = leaves(40);
    let nodes = stored(&leaves);
    for size in 1..=40_u64 {
        for index in 0..size {
            let proof = prove_inclusion(index, size, from(&nodes)).unwrap();
            for other in (0..=40).filter(|&other| other != size) {
                let root = root(other, from(&nodes)).unwrap();
                let leaf = &leaves[usize::try_from(index).unwrap()];
                assert!(verify_inclusion(leaf, index, other, &root, &proof).is_err(), "{index}: {size} as {other}");
            }
        }
    }
}

#[test]
fn a_proof_that_leads_to_its_root_too_early_is_too_short() {
    let leaves = leaves(32);
    let nodes = stored(&leaves);
    for size in 1..=32 {
        let (larger, new_root) = (size + 64, root(size, from(&nodes)).unwrap());
        for index in 0..size {
            let proof = prove_inclusion(index, size, from(&nodes)).unwrap();
            let leaf = &leaves[usize::try_from(index).unwrap()];
            assert_eq!(verify_inclusion(leaf, index, size, &new_root, &proof), Ok(()));
            assert_eq!(verify_inclusion(leaf, index, larger, &new_root, &proof), Err(ProofError::TooShort));
        }
        for old in 1..size {
            let proof = prove_consistency(old, size, from(&nodes)).unwrap();
            let old_root = root(old, from(&nodes)).unwrap();
            assert_eq!(verify_consistency(old, &old_root, size, &new_root, &proof), Ok(()));
            let early = verify_consistency(old, &old_root, larger, &new_root, &proof);
            assert_eq!(early, Err(ProofError::TooShort), "{old} to {size}");
        }
    }
}

#[test]
fn consistency_is_proved_for_every_pair_and_nothing_else_passes() {
    let leaves = leaves(300);
    let nodes = stored(&leaves);
    let roots: Vec<Digest> = (0..=300).map(|size| mth(&leaves[..size])).collect();
    let small = (1..=80).flat_map(|new| (1..=new).map(move |old| (old, new)));
    let large = [1, 2, 63, 64, 127, 128, 129, 255, 256, 257, 299];
    let large = large.into_iter().flat_map(|old| [257, 299, 300].map(|new| (old, new)));
    for (old, new) in small.chain(large).filter(|(old, new)| old <= new) {
        let (old_64, new_64) = (old as u64, new as u64);
        let proof = prove_consistency(old_64, new_64, from(&nodes)).unwrap();
        assert_eq!(proof, subproof(old, &leaves[..new], true), "{old} to {new}");
        assert!(proof.len() <= MAX_CONSISTENCY);
        let check =
            |old_root, new_root, proof: &[Digest]| verify_consistency(old_64, old_root, new_64, new_root, proof);
        assert_eq!(check(&roots[old], &roots[new], &proof), Ok(()), "{old} to {new}");

        for other in tampered(&proof) {
            assert!(check(&roots[old], &roots[new], &other).is_err(), "{old} to {new}: {other:?}");
        }
        assert!(check(&roots[old - 1], &roots[new], &proof).is_err(), "{old} to {new}");
        assert!(check(&roots[old], &roots[new - 1], &proof).is_err(), "{old} to {new}");
        if old < new {
            assert!(check(&roots[new], &roots[new], &proof).is_err(), "{old} to {new}");
            assert!(check(&roots[old], &roots[old], &proof).is_err(), "{old} to {new}");
            let shrunk = verify_consistency(new_64, &roots[new], old_64, &roots[old], &proof);
            assert_eq!(shrunk, Err(ProofError::Shrunk { old: new_64, new: old_64 }));
        }
        for wrong in (1..=80).filter(|&wrong| wrong != old) {
            let wrong_old = verify_consistency(wrong as u64, &roots[wrong], new_64, &roots[new], &proof);
            assert!(wrong_old.is_err(), "{old} as {wrong} to {new}");
            if wrong != new {
                let wrong_new = verify_consistency(old_64, &roots[old], wrong as u64, &roots[wrong], &proof);
                assert!(wrong_new.is_err(), "{old} to {new} as {wrong}");
            }
        }
    }
}

#[test]
fn equal_trees_take_no_hash_and_one_root_and_the_empty_one_shows_nothing() {
    let [a, b] = [Digest::of(b"a"), Digest::of(b"b")];
    let empty = empty_root();
    let cases = [
        (5, a, 5, a, &[][..], Ok(())),
        (5, a, 5, b, &[], Err(ProofError::TwoRoots(5))),
        (5, a, 5, a, &[a], Err(ProofError::TooLong)),
        (5, a, 5, b, &[b], Err(ProofError::TooLong)),
        (0, empty, 5, a, &[], Err(ProofError::FromNothing)),
        (0, empty, 5, a, &[a], Err(ProofError::FromNothing)),
        (0, empty, 0, empty, &[], Err(ProofError::FromNothing)),
        (0, a, 0, a, &[], Err(ProofError::FromNothing)),
        (1, a, 0, empty, &[], Err(ProofError::Shrunk { old: 1, new: 0 })),
        (1, a, 2, b, &[], Err(ProofError::TooShort)),
    ];
    for (old, old_root, new, new_root, proof, expected) in cases {
        assert_eq!(verify_consistency(old, &old_root, new, &new_root, proof), expected, "{old} to {new}");
    }
    assert_eq!(verify_inclusion(&empty, 0, 0, &empty, &[]), Err(ProofError::NoSuchLeaf { index: 0, size: 0 }));
    let nodes = stored(&leaves(3));
    assert_eq!(prove_consistency(0, 3, from(&nodes)), Err(ProveError::FromNothing));
    assert_eq!(prove_consistency(3, 3, from(&nodes)), Ok(vec![]));
    assert_eq!(prove_consistency(3, 2, from(&nodes)), Err(ProveError::Shrunk { old: 3, new: 2 }));
    assert_eq!(prove_inclusion(3, 3, from(&nodes)), Err(ProveError::NoSuchLeaf { index: 3, size: 3 }));
}

#[test]
fn a_leaf_is_no_node_and_an_odd_node_is_not_doubled() {
    let [a, b, c] = [b"a", b"b", b"c"].map(|line| leaf(&Digest::of(line)));
    let both = [*a.as_bytes(), *b.as_bytes()].concat();
    assert_ne!(leaf_hash(&both), node(&a, &b));
    assert_ne!(mth(&[a, b, c]), mth(&[a, b, c, c]));
    assert_ne!(Digest::of(b"a"), a);
}

#[test]
fn a_source_that_fails_is_passed_on() {
    let fail = |_| Err("gone");
    assert_eq!(root(3, fail), Err(ProveError::Source("gone")));
    assert_eq!(prove_inclusion(0, 3, fail), Err(ProveError::Source("gone")));
    assert_eq!(prove_consistency(1, 3, fail), Err(ProveError::Source("gone")));
    assert_eq!(Frontier::load(3, fail), Err(ProveError::Source("gone")));
}
