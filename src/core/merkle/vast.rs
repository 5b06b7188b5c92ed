//! Trees of any size up to 2^63-1 leaves, which no memory holds.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// A tree of 2^63-1 leaves that differ in one place only, so that any node is quickly had.
struct Vast {
    other: u64,
    same: Vec<Digest>,
    looked_up: u32,
}

impl Vast {
    fn new(other: u64) -> Self {
        let mut same = vec![leaf(&Digest::of(b"same"))];
        while same.len() < 64 {
            let last = same.last().unwrap();
            same.push(node(last, last));
        }
        Self { other, same, looked_up: 0 }
    }

    fn leaf(&self, index: u64) -> Digest {
        if index == self.other { leaf(&Digest::of(b"other")) } else { self.same[0] }
    }

    fn node(&mut self, place: Node) -> Result<Digest, Infallible> {
        self.looked_up += 1;
        if self.other >> place.level != place.index {
            return Ok(self.same[usize::from(place.level)]);
        }
        let mut hash = self.leaf(self.other);
        for level in 0..place.level {
            let same = &self.same[usize::from(level)];
            hash = if self.other >> level & 1 == 1 { node(same, &hash) } else { node(&hash, same) };
        }
        Ok(hash)
    }
}

#[test]
fn a_tree_ends_at_2_to_the_63_leaves() {
    let mut vast = Vast::new(MAX_SIZE - 1);
    let mut tree = Frontier::load(MAX_SIZE - 1, |node| vast.node(node)).unwrap();
    assert_eq!(tree.append(vast.leaf(MAX_SIZE - 1)), Ok(MAX_SIZE - 1));
    assert_eq!(Ok(tree.root()), root(MAX_SIZE, |node| vast.node(node)));
    assert_eq!(tree.append(Digest::of(b"")), Err(TreeFull));
    assert_eq!(tree.size(), MAX_SIZE);

    for size in [MAX_SIZE + 1, u64::MAX] {
        let any = Digest::of(b"");
        assert_eq!(Frontier::load(size, |node| vast.node(node)), Err(ProveError::TooLarge(size)));
        assert_eq!(root(size, |node| vast.node(node)), Err(ProveError::TooLarge(size)));
        assert_eq!(prove_inclusion(0, size, |node| vast.node(node)), Err(ProveError::TooLarge(size)));
        assert_eq!(prove_consistency(1, size, |node| vast.node(node)), Err(ProveError::TooLarge(size)));
        assert_eq!(verify_inclusion(&any, 0, size, &any, &[any; 64]), Err(ProofError::TooLarge(size)));
        assert_eq!(verify_consistency(size, &any, size, &any, &[]), Err(ProofError::TooLarge(size)));
        assert_eq!(verify_consistency(1, &any, size, &any, &[any; 64]), Err(ProofError::TooLarge(size)));
    }
}

fn size() -> impl Strategy<Value = u64> {
    // Any number of bits, and the neighbours of powers of two.
    (0_u32..63, any::<u64>(), -1_i64..=1, any::<bool>()).prop_map(|(bits, any, near, power)| {
        let size = if power { (1_u64 << bits).checked_add_signed(near).unwrap() } else { any >> 1 >> bits };
        size.clamp(1, MAX_SIZE)
    })
}

proptest! {
    #[test]
    fn trees_of_any_size_prove_every_leaf_in_few_look_ups(size in size(), index: u64) {
        let index = index % size;
        let mut vast = Vast::new(index);
        let root = root(size, |node| vast.node(node)).unwrap();
        vast.looked_up = 0;
        let proof = prove_inclusion(index, size, |node| vast.node(node)).unwrap();
        prop_assert!(vast.looked_up <= 2 * size.ilog2() + 1);
        prop_assert!(proof.len() <= MAX_INCLUSION);
        let leaf = vast.leaf(index);
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &root, &proof), Ok(()));
        prop_assert!(verify_inclusion(&vast.same[0], index, size, &root, &proof).is_err());
        for other in [index ^ 1, index >> 1, size - 1 - index, index.wrapping_add(1 << 63)] {
            prop_assert!(other == index || verify_inclusion(&leaf, other, size, &root, &proof).is_err());
        }
        for at in 0..=proof.len() {
            prop_assert!(at == proof.len() || verify_inclusion(&leaf, index, size, &root, &proof[..at]).is_err());
            let mut longer = proof.clone();
            longer.insert(at, vast.same[0]);
            prop_assert!(verify_inclusion(&leaf, index, size, &root, &longer).is_err());
        }
    }

    #[test]
    fn trees_of_any_size_prove_what_they_grew_from(old in size(), new in size(), other: u64) {
        let (old, new) = (old.min(new), old.max(new));
        let mut vast = Vast::new(other % new);
        let old_root = root(old, |node| vast.node(node)).unwrap();
        let new_root = root(new, |node| vast.node(node)).unwrap();
        vast.looked_up = 0;
        let proof = prove_consistency(old, new, |node| vast.node(node)).unwrap();
        prop_assert!(vast.looked_up <= 2 * new.ilog2() + 1);
        prop_assert!(proof.len() <= MAX_CONSISTENCY);
        prop_assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));

        let mut forged = Vast::new((other + 1) % new);
        let forged_root = root(new, |node| forged.node(node)).unwrap();
        prop_assert!(new < 2 || verify_consistency(old, &old_root, new, &forged_root, &proof).is_err());
        for at in 0..=proof.len() {
            prop_assert!(at == proof.len() || verify_consistency(old, &old_root, new, &new_root, &proof[..at]).is_err());
            let mut longer = proof.clone();
            longer.insert(at, vast.same[0]);
            prop_assert!(verify_consistency(old, &old_root, new, &new_root, &longer).is_err());
        }
    }

    #[test]
    fn no_input_makes_verification_panic(
        numbers in prop::collection::vec(any::<u64>(), 3),
        shift in 0_u32..64,
        hashes in prop::collection::vec(any::<[u8; 32]>().prop_map(Digest::new), 0..70),
    ) {
        let [a, b, c] = [0, 1, 2].map(|i| numbers[i] >> shift);
        // The one leaf of a tree is its root, so the two must differ.
        let [leaf, root] = [b"leaf", b"root"].map(|text| Digest::of(text));
        prop_assert!(verify_inclusion(&leaf, a, b, &root, &hashes).is_err());
        prop_assert!(verify_consistency(b, &leaf, c, &root, &hashes).is_err());
    }
}
