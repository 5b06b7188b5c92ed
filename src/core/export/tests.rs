//! What the check keeps and where it goes on; every kind of tampering is in `tests/verify`.

use proptest::prelude::*;

use super::*;
use crate::line::LineError;
use crate::sample::{line, origin};

fn entry(segment: u32, chain: u32, seq: u64, prev: Digest) -> Leaf {
    let place = Place { log: origin(1).log(), segment, chain, seq, time: 0, prev };
    Leaf { hash: Digest::of(format!("{segment} {chain} {seq}").as_bytes()), kind: Ok(Kind::Entry(place)) }
}

fn find(leaves: &[Leaf]) -> Vec<(u64, Problem)> {
    let mut check = ExportCheck::new(None, []);
    let mut found = Vec::new();
    for leaf in leaves {
        check.add(leaf, |finding| found.push((finding.line, finding.problem))).unwrap();
    }
    found
}

#[test]
fn a_leaf_is_read_whatever_the_line_is() {
    let header = line(origin(1).log(), 2);
    let leaf = Leaf::read(&header);
    assert_eq!(leaf.hash, Digest::of(&header));
    assert_eq!(leaf.kind, Ok(Kind::Header { log: origin(1).log(), segment: 2, first_chain: 1 }));
    assert_eq!(Leaf::read(b"x").hash, Digest::of(b"x"));
    assert!(matches!(Leaf::read(b"").kind, Err(LineError::Expected(0, _))));
}

#[test]
fn after_a_problem_the_check_goes_on_from_what_the_line_says() {
    let header = Leaf::read(&line(origin(1).log(), 1));
    let after = |leaf: &Leaf, seq| entry(1, 1, seq, leaf.hash);
    let first = after(&header, 1);
    let gap = entry(1, 1, 5, Digest::of(b"anything"));
    let next = after(&gap, 6);
    assert_eq!(find(&[header.clone(), first.clone(), gap, next]), [(3, Problem::SeqMissing { expected: 2 })]);

    let changed = entry(1, 1, 2, Digest::of(b"anything"));
    let next = after(&changed, 3);
    let late = after(&first, 2);
    let last = after(&next, 4);
    let found = find(&[header, first, changed, next, late, last]);
    assert_eq!(found, [(3, Problem::WrongPrev { line: 2 }), (5, Problem::SeqAgain { last: 3, line: 4 })]);
}

#[test]
fn chains_that_cannot_be_are_not_kept() {
    let mut check = ExportCheck::new(None, []);
    check.add(&Leaf::read(&line(origin(1).log(), 1)), |_| ()).unwrap();
    let mut found = 0;
    for chain in MAX_CHAIN + 1..MAX_CHAIN + 1_000 {
        check.add(&entry(1, chain, 1, Digest::of(b"")), |_| found += 1).unwrap();
    }
    assert_eq!((found, check.chains()), (999, 0));
}

proptest! {
    #[test]
    fn roots_are_those_of_the_tree_at_each_size(count in 0..40_u64, sizes in prop::collection::vec(0..50_u64, 0..6)) {
        let mut check = ExportCheck::new(None, sizes.clone());
        let (mut tree, mut roots) = (Frontier::new(), vec![Frontier::new().root()]);
        for number in 0..count {
            let leaf = Leaf::read(&number.to_le_bytes());
            check.add(&leaf, |_| ()).unwrap();
            tree.append(merkle::leaf(&leaf.hash)).unwrap();
            roots.push(tree.root());
        }
        prop_assert_eq!((check.size(), check.root()), (count, tree.root()));
        for size in sizes {
            let known = usize::try_from(size).ok().and_then(|size| roots.get(size)).copied();
            prop_assert_eq!(check.root_at(size), known);
        }
        prop_assert_eq!(check.root_at(60), None);
    }
}
