//! However rows are shared out among processes, and in whatever order each meets its own: together they say what one says.

use proptest::prelude::*;

use super::model::{Row, Table};
use super::tally::MAX_WANTED;
use super::tampering::{apply, change, lengths};
use super::*;
use crate::Digest;

/// The rows' numbers, shared out by what `owners` says of each.
fn shares(order: &[usize], owners: &[usize], count: usize) -> Vec<Vec<usize>> {
    let of = |at: &usize| owners.get(*at).copied().unwrap_or(0) % count;
    (0..count).map(|owner| order.iter().copied().filter(|at| of(at) == owner).collect()).collect()
}

fn apart(table: &Table, shares: &[Vec<usize>]) -> TallyReport {
    table.tally_apart(&shares.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_tallies_make_one_whatever_was_done_to_the_rows(
        lengths in lengths(),
        second in 2..7_u32,
        changes in prop::collection::vec((any::<usize>(), change()), 0..8),
        order in Just((0..120_usize).collect::<Vec<_>>()).prop_shuffle(),
        owners in prop::collection::vec(0..60_usize, 120),
        count in 1..6_usize,
    ) {
        let mut table = Table::new(&lengths, second);
        for (pick, change) in &changes {
            let rows: Vec<usize> = (0..table.rows.len()).filter(|&at| !table.rows[at].gone).collect();
            let untouched = table.clone();
            if apply(&mut table, &rows, *pick, change).is_none() {
                table = untouched;
            }
        }
        let order: Vec<usize> = order.into_iter().filter(|&at| at < table.rows.len()).collect();
        let mut physical = order.clone();
        physical.sort_unstable();
        let whole = table.tally(&physical);
        prop_assert_eq!(&apart(&table, &shares(&order, &owners, count)), &whole);
        prop_assert_eq!(&apart(&table, &shares(&physical, &owners, count)), &whole);
        // Stretches of pages, as they are shared out.
        let stretches: Vec<usize> = owners.iter().enumerate().map(|(at, _)| owners[at / 7]).collect();
        prop_assert_eq!(&apart(&table, &shares(&physical, &stretches, count)), &whole);
    }
}

/// The same table told by one, by two halves, and by three that take turns.
fn assert_told_alike(table: &Table) {
    let all: Vec<usize> = (0..table.rows.len()).collect();
    let whole = table.tally(&all);
    let (some, others) = all.split_at(all.len() / 2);
    assert_eq!(table.tally_apart(&[others, some]), whole);
    assert_eq!(apart(table, &shares(&all, &all, 3)), whole);
}

#[test]
fn of_more_hashes_than_are_remembered_the_same_are() {
    let mut table = Table::new(&[MAX_WANTED + 500, 5], 2);
    for row in &mut table.rows {
        row.value += 1_000_000;
    }
    assert_told_alike(&table);
}

#[test]
fn of_more_clocks_that_went_back_than_are_named_the_same_are() {
    let mut table = Table::new(&[0], 2);
    for chain in [1, 2] {
        for seq in 1..=700 {
            table.append(chain);
            let last = table.rows.len() - 1;
            table.rows[last].time = Some(-seq);
            table.seal(last);
        }
    }
    assert_eq!(table.tally(&(0..1_400).collect::<Vec<_>>()).remarks.len(), 1_001);
    assert_told_alike(&table);
}

#[test]
fn of_many_rows_at_the_start_of_a_chain_the_same_count() {
    let mut table = Table::new(&[4, 4], 3);
    for n in 0..20 {
        let hash = |text: &str| Some(Digest::of(format!("{text} {n}").as_bytes()));
        for seq in [1, 2] {
            let first = table.find(1, seq).unwrap();
            let odd = Row { prev: hash("prev"), hash: hash("hash"), ..table.rows[first].clone() };
            table.rows.push(odd);
        }
    }
    assert_told_alike(&table);
}

#[test]
fn one_that_gives_up_gives_up_for_all() {
    let table = Table::new(&[300], 2);
    let every = |step: usize| table.entries(&(0..300).step_by(step).collect::<Vec<_>>());
    let (mut all, mut bytes) = (Tally::new(&table.segments, 1_000), Vec::new());
    let mut scattered = Tally::new(&table.segments, 100);
    every(2).iter().for_each(|entry| scattered.add(entry));
    scattered.put(&mut bytes);
    assert_eq!(all.merge_bytes(&mut bytes.as_slice()), Some(()));
    let tallied = all.finish();
    assert_eq!((tallied.entries, tallied.chains, tallied.suspects), (150, 1, Suspects::All));
}

#[test]
fn what_is_no_tally_is_refused_and_changes_nothing() {
    let table = Table::new(&[30, 5], 2);
    let (mut tally, mut bytes) = (Tally::new(&table.segments, 1_000), Vec::new());
    table.entries(&(0..35).collect::<Vec<_>>()).iter().for_each(|entry| tally.add(entry));
    tally.put(&mut bytes);
    let mut all = Tally::new(&table.segments, 1_000);
    for len in 0..bytes.len() {
        assert_eq!(all.merge_bytes(&mut &bytes[..len]), None, "{len} bytes");
    }
    assert_eq!(all.finish(), Tally::new(&table.segments, 1_000).finish());
}
