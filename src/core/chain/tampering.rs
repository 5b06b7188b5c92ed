//! Property tests: whatever a superuser does to some rows, exactly that is found, where it was done.

use proptest::prelude::*;

use super::model::{Found, Row, Table, everything, short};
use crate::{Digest, Problem};

/// One thing that a superuser does; the numbers pick rows and places, modulo what there is.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Value,
    ValueAndHash,
    Hash(Option<u8>),
    OddHash,
    Prev(Option<u8>),
    OddPrev,
    PrevAndHash(Option<u8>),
    Time(Option<i64>),
    Seq(Option<i64>),
    Chain(Option<i32>),
    NoPlace,
    Delete(i64),
    ExchangePlaces(usize),
    ExchangeValues(usize),
    Copy(i64),
    CopyToChain(i32, i64),
    CopyBeside(usize),
    Rehash,
    RehashStretch(i64),
    RehashPrev,
    RehashAll,
    Fork,
    Unchain,
    UnchainedRow,
    Forge(i64),
    LateStart,
    OtherStart,
}

const GARBAGE: Digest = Digest::new([0xaa; 32]);

pub(super) fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    let garbage = || prop_oneof![Just(None), Just(Some(1))];
    let far = prop_oneof![Just(None), (1..6_i64).prop_map(Some), (-3..=0_i64).prop_map(Some)];
    let chain = prop_oneof![
        Just(None),
        (1..=6).prop_map(Some),
        prop_oneof![Just(-1), Just(0), Just(40), Just(65_536), Just(i32::MAX)].prop_map(Some)
    ];
    let time = prop_oneof![Just(None), any::<i64>().prop_map(Some), Just(Some(i64::MAX)), Just(Some(0))];
    prop_oneof![
        Just(Value),
        Just(ValueAndHash),
        garbage().prop_map(Hash),
        Just(OddHash),
        garbage().prop_map(Prev),
        Just(OddPrev),
        garbage().prop_map(PrevAndHash),
        time.prop_map(Time),
        far.prop_map(Seq),
        chain.prop_map(Chain),
        Just(NoPlace),
        (1..4_i64).prop_map(Delete),
        any::<usize>().prop_map(ExchangePlaces),
        any::<usize>().prop_map(ExchangeValues),
        (1..4_i64).prop_map(Copy),
        (1..9_i32, 1..4_i64).prop_map(|(chain, far)| CopyToChain(chain, far)),
        any::<usize>().prop_map(CopyBeside),
        Just(Rehash),
        (1..4_i64).prop_map(RehashStretch),
        Just(RehashPrev),
        Just(RehashAll),
        Just(Fork),
        Just(Unchain),
        Just(UnchainedRow),
        (2..5_i64).prop_map(Forge),
        Just(LateStart),
        Just(OtherStart),
    ]
}

/// Does a change to a row of a chain of `own`, whose rows are `rows`; returns what must be found.
/// `None` if the change cannot be done there, or cannot be seen there by anyone.
pub(super) fn apply(table: &mut Table, rows: &[usize], pick: usize, change: &Change) -> Option<Vec<Found>> {
    let at = rows[pick % rows.len()];
    let (chain, seq) = (table.rows[at].chain?, table.rows[at].seq?);
    let last = table.last(chain);
    let is_last = seq == last;
    let here = |problem| Some(vec![place(problem, chain, seq)]);
    let new_value = table.rows.iter().map(|row| row.value).max()? + 1_000;
    let row = &mut table.rows[at];
    match *change {
        Change::Value => {
            row.value = new_value;
            here(Problem::ValueChanged)
        }
        Change::ValueAndHash => {
            (row.value, row.hash) = (new_value, Some(GARBAGE));
            here(Problem::ValueChanged)
        }
        Change::Hash(garbage) => {
            row.hash = garbage.map(|_| GARBAGE);
            // Of a last entry nobody can say whether its values or its hash were changed.
            let value = is_last && garbage.is_some();
            here(if value { Problem::ValueChanged } else { Problem::HashChanged })
        }
        Change::OddHash => {
            (row.hash, row.odd) = (None, true);
            here(Problem::HashChanged)
        }
        Change::Prev(garbage) => {
            row.prev = garbage.map(|_| GARBAGE);
            here(Problem::HashChanged)
        }
        Change::OddPrev => {
            (row.prev, row.odd) = (None, true);
            here(Problem::HashChanged)
        }
        // Nothing is left that vouches for such a last entry.
        Change::PrevAndHash(Some(_)) if is_last => None,
        Change::PrevAndHash(garbage) => {
            (row.prev, row.hash) = (garbage.map(|_| GARBAGE), garbage.map(|_| GARBAGE));
            here(Problem::HashChanged)
        }
        Change::Time(time) => {
            if time == row.time {
                return None;
            }
            row.time = time;
            here(Problem::ValueChanged)
        }
        Change::Seq(far) => {
            row.seq = far.map(|far| if far > 0 { last + far } else { far });
            here(Problem::ValueChanged)
        }
        Change::Chain(to) => {
            if to == Some(chain) {
                return None;
            }
            row.chain = to;
            here(Problem::ValueChanged)
        }
        Change::NoPlace => {
            (row.chain, row.seq) = (None, None);
            here(Problem::ValueChanged)
        }
        Change::Delete(count) => {
            let to = (seq + count - 1).min(last - 1);
            let doomed: Vec<usize> = (seq..=to).filter_map(|seq| table.find(chain, seq)).collect();
            if doomed.is_empty() {
                return None;
            }
            doomed.iter().for_each(|&at| table.rows[at].gone = true);
            Some(vec![(Problem::Missing, Some(chain.into()), Some(seq), Some(to))])
        }
        Change::ExchangePlaces(other) | Change::ExchangeValues(other) => {
            let other = rows[other % rows.len()];
            if other == at {
                return None;
            }
            let mut pair = [table.rows[at].clone(), table.rows[other].clone()];
            let mut found = Vec::new();
            for row in &pair {
                found.push(place(Problem::Swapped, row.chain?, row.seq?));
            }
            let [a, b] = &mut pair;
            if matches!(change, Change::ExchangePlaces(_)) {
                std::mem::swap(&mut a.chain, &mut b.chain);
                std::mem::swap(&mut a.seq, &mut b.seq);
            } else {
                std::mem::swap(&mut a.value, &mut b.value);
            }
            let [a, b] = pair;
            (table.rows[at], table.rows[other]) = (a, b);
            Some(found)
        }
        Change::Copy(far) => {
            let seq = Some(last + far);
            let copy = Row { seq, ..row.clone() };
            table.rows.push(copy);
            Some(vec![place(Problem::Inserted, chain, last + far)])
        }
        Change::CopyToChain(to, far) => {
            let seq = table.last(to) + far;
            let copy = Row { chain: Some(to), seq: Some(seq), ..table.rows[at].clone() };
            // As the first entry of a new chain it has the right prev, which makes it a changed row.
            if to == chain || (seq == 1 && copy.prev == Some(table.segments.of_chain(to.cast_unsigned())?.1)) {
                return None;
            }
            table.rows.push(copy);
            Some(vec![place(Problem::Inserted, to, seq)])
        }
        Change::CopyBeside(other) => {
            let beside = table.rows[rows[other % rows.len()]].clone();
            let copy = Row { chain: beside.chain, seq: beside.seq, ..table.rows[at].clone() };
            table.rows.push(copy);
            Some(vec![place(Problem::Inserted, beside.chain?, beside.seq?)])
        }
        Change::Rehash | Change::RehashStretch(_) if is_last => None,
        Change::Rehash => {
            row.value = new_value;
            table.seal(at);
            here(Problem::ValueChanged)
        }
        Change::RehashStretch(count) => {
            let to = (seq + count).min(last - 1);
            table.rows[at].value = new_value;
            table.seal(at);
            for seq in seq + 1..=to {
                let (before, at) = (table.find(chain, seq - 1)?, table.find(chain, seq)?);
                table.rows[at].prev = table.rows[before].hash;
                table.seal(at);
            }
            Some(vec![place(Problem::ValueChanged, chain, to)])
        }
        // The last entry with another prev looks as if the one before it had been hashed again.
        Change::RehashPrev | Change::RehashAll if is_last => None,
        Change::RehashPrev => {
            row.prev = Some(GARBAGE);
            table.seal(at);
            here(Problem::HashChanged)
        }
        Change::RehashAll => {
            (row.prev, row.value) = (Some(GARBAGE), new_value);
            table.seal(at);
            here(Problem::ValueChanged)
        }
        Change::Fork => {
            let twin = Row { value: new_value, ..row.clone() };
            table.rows.push(twin);
            table.seal(table.rows.len() - 1);
            here(Problem::Fork)
        }
        Change::Unchain => {
            *row = Row { value: row.value, ..unchained() };
            let missing = (Problem::Missing, Some(chain.into()), Some(seq), Some(seq));
            let found = if is_last { vec![] } else { vec![missing] };
            Some([found, vec![(Problem::Unchained, None, None, None)]].concat())
        }
        Change::UnchainedRow => {
            table.rows.push(unchained());
            Some(vec![(Problem::Unchained, None, None, None)])
        }
        Change::Forge(far) => {
            // A forged row beyond the end that is hashed rightly claims that there were others before it.
            let forged = Row { seq: Some(last + far), prev: Some(GARBAGE), value: new_value, ..row.clone() };
            table.rows.push(forged);
            table.seal(table.rows.len() - 1);
            Some(vec![(Problem::Missing, Some(chain.into()), Some(last + 1), Some(last + far - 1))])
        }
        Change::LateStart if last < 2 => None,
        Change::LateStart => {
            // The last entry claims to be the first one.
            for seq in 1..last {
                let doomed = table.find(chain, seq)?;
                table.rows[doomed].gone = true;
            }
            let left = table.find(chain, last)?;
            table.rows[left].prev = Some(table.segments.of_chain(chain.cast_unsigned())?.1);
            table.seal(left);
            Some(vec![(Problem::Missing, Some(chain.into()), Some(1), Some(last - 1))])
        }
        Change::OtherStart => {
            // The whole chain is hashed again, from something else than the header.
            let mut prev = Some(GARBAGE);
            for seq in 1..=last {
                let at = table.find(chain, seq)?;
                table.rows[at].prev = prev;
                table.seal(at);
                prev = table.rows[at].hash;
            }
            let segment = |chain: i32| table.segments.index_of(chain.cast_unsigned());
            let others = table.rows.iter().any(|row| {
                row.seq == Some(1) && !row.gone && row.chain.is_some_and(|c| c != chain && segment(c) == segment(chain))
            });
            let header = (Problem::HeaderChanged, None, None, None);
            Some(vec![if others { place(Problem::ValueChanged, chain, 1) } else { header }])
        }
    }
}

fn place(problem: Problem, chain: i32, seq: i64) -> Found {
    (problem, Some(chain.into()), Some(seq), None)
}

fn unchained() -> Row {
    let (chain, seq, time, prev, hash) = (None, None, None, None, None);
    Row { chain, seq, time, prev, hash, odd: false, value: 0, gone: false }
}

pub(super) fn sorted(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|f| (f.1, f.2, f.0));
    found
}

pub(super) fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..12_usize, 6)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A change that stays in its own chains, whatever is done to others.
fn confined(change: Change, own: i32) -> Change {
    match change {
        Change::Chain(Some(1..=6)) => Change::Chain(None),
        Change::Chain(Some(40)) => Change::Chain(Some(40 + own)),
        Change::CopyToChain(_, far) => Change::CopyToChain(40 + own, far),
        // Where the other chains' starts are damaged too, it is the header that is in doubt.
        Change::OtherStart => Change::Value,
        change => change,
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn chains_read_in_any_order_are_clean(
        lengths in prop::collection::vec(0..40_usize, 1..8),
        order in any::<prop::sample::Index>().prop_flat_map(|_| Just((0..320_usize).collect::<Vec<_>>()).prop_shuffle()),
        cut in 0..320_usize,
    ) {
        let table = Table::new(&lengths, 4);
        let order: Vec<usize> = order.into_iter().filter(|&at| at < table.rows.len()).collect();
        let tallied = table.tally(&order);
        prop_assert!(tallied.suspects.is_empty());
        prop_assert_eq!(&tallied.remarks, &[]);
        prop_assert_eq!(tallied.entries, table.rows.len() as u64);
        prop_assert_eq!(tallied.chains as usize, lengths.iter().filter(|&&length| length > 0).count());
        prop_assert_eq!(table.verdict_in(&order), vec![]);

        let (some, others) = order.split_at(cut.min(order.len()));
        prop_assert_eq!(table.tally_apart(&[some, others]), tallied);
    }

    #[test]
    fn one_change_is_found_where_it_was_made(
        lengths in lengths(),
        second in 2..7_u32,
        pick in any::<usize>(),
        change in change(),
        order in Just((0..90_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut table = Table::new(&lengths, second);
        let rows: Vec<usize> = (0..table.rows.len()).collect();
        if let Some(expected) = apply(&mut table, &rows, pick, &change) {
            let order: Vec<usize> = order.into_iter().filter(|&at| at < table.rows.len()).collect();
            prop_assert_eq!(table.verdict_in(&order), sorted(expected));
        }
    }

    #[test]
    fn three_changes_are_three_findings(
        lengths in lengths(),
        second in 2..7_u32,
        changes in prop::collection::vec((any::<usize>(), change()), 3),
    ) {
        let mut table = Table::new(&lengths, second);
        let mut expected = Vec::new();
        for (own, (pick, change)) in (0..).zip(changes) {
            let chains = [Some(2 * own + 1), Some(2 * own + 2)];
            let mine = |at: &usize| chains.contains(&table.rows[*at].chain);
            let rows: Vec<usize> = (0..table.rows.len()).filter(mine).collect();
            let untouched = table.clone();
            match apply(&mut table, &rows, pick, &confined(change, own)) {
                Some(found) => expected.extend(found),
                None => table = untouched,
            }
        }
        prop_assert_eq!(table.verdict(), sorted(expected));
    }

    #[test]
    fn changes_on_top_of_one_another_are_found_without_a_flood(
        lengths in lengths(),
        second in 2..7_u32,
        changes in prop::collection::vec((any::<usize>(), change()), 1..8),
    ) {
        let mut table = Table::new(&lengths, second);
        let mut done = 0;
        for (pick, change) in &changes {
            let rows: Vec<usize> = (0..table.rows.len()).filter(|&at| !table.rows[at].gone).collect();
            let untouched = table.clone();
            match apply(&mut table, &rows, *pick, change) {
                // These write every row of a chain anew.
                Some(_) if matches!(change, Change::OtherStart | Change::LateStart) => done += rows.len(),
                Some(_) => done += 1,
                None => table = untouched,
            }
        }
        let order: Vec<usize> = (0..table.rows.len()).collect();
        let tallied = table.tally(&order);
        let (findings, _) = table.walk(&tallied);
        let (all, _) = table.walk(&everything(&tallied));
        prop_assert_eq!(tallied.suspects.is_empty(), findings.is_empty());
        prop_assert_eq!(tallied.suspects.is_empty(), all.is_empty());
        prop_assert!(findings.len() <= 3 * done, "{:?}", short(&findings));
    }
}
