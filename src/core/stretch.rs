//! Stretches of a chain: the entries from one `seq` to another, both included.

/// A set of entries of one chain, as stretches.
#[derive(Clone, Debug, Default)]
pub struct Stretches {
    all: Vec<(i64, i64)>,
    /// In their order, and none meets or touches the next one?
    unsorted: bool,
}

impl Stretches {
    /// Adds a stretch; how many more there are by that, which for those that come in their order is 0 or 1.
    pub fn add(&mut self, from: i64, to: i64) -> usize {
        if let Some((_, end)) = self.all.last_mut()
            && end.checked_add(1) == Some(from)
        {
            *end = to.max(*end);
            return 0;
        }
        self.all.push((from, to));
        self.unsorted = true;
        1
    }

    /// Those that meet the stretch from `first` to `last`, cut to it, in their order.
    pub fn within(&mut self, first: i64, last: i64) -> Vec<(i64, i64)> {
        if std::mem::take(&mut self.unsorted) {
            self.all.sort_unstable();
            self.all.dedup_by(|next, kept| {
                let meets = next.0 <= kept.1.saturating_add(1);
                if meets {
                    kept.1 = kept.1.max(next.1);
                }
                meets
            });
        }
        let start = self.all.partition_point(|(_, to)| *to < first);
        let meeting = self.all.iter().skip(start).take_while(|(from, _)| *from <= last);
        meeting.map(|(from, to)| (first.max(*from), last.min(*to))).collect()
    }
}

/// What of the stretch from `first` to `last` is in none of `covered`, which are in the order of their beginnings.
pub fn gaps(covered: impl IntoIterator<Item = (i64, i64)>, first: i64, last: i64) -> Vec<(i64, i64)> {
    let mut gaps = Vec::new();
    // None: what comes next is beyond all numbers.
    let mut next = Some(first);
    for (from, to) in covered {
        let Some(start) = next.filter(|next| *next <= last) else { break };
        if from > start {
            gaps.push((start, last.min(from.saturating_sub(1))));
        }
        if to >= start {
            next = to.checked_add(1);
        }
    }
    gaps.extend(next.filter(|next| *next <= last).map(|next| (next, last)));
    gaps
}

#[cfg(test)]
mod tests {
    use super::{Stretches, gaps};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn entries(all: &[(i64, i64)]) -> BTreeSet<i64> {
        all.iter().flat_map(|(from, to)| *from..=*to).collect()
    }

    fn stretch() -> impl Strategy<Value = (i64, i64)> {
        (0_i64..60, 0_i64..12).prop_map(|(from, more)| (from, from + more))
    }

    proptest! {
        #[test]
        fn are_the_sets_that_they_stand_for(
            added in prop::collection::vec(stretch(), 0..12), (first, last) in stretch(), later in stretch(),
        ) {
            let mut stretches = Stretches::default();
            for round in [&added[..], &[later]] {
                for (from, to) in round {
                    stretches.add(*from, *to);
                }
                let asked = entries(&[(first, last)]);
                let inside = stretches.within(first, last);
                prop_assert!(inside.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", inside);
                let known = entries(&added);
                let known = if round.len() == 1 && round[0] == later { &known | &entries(&[later]) } else { known };
                prop_assert_eq!(entries(&inside), &known & &asked);
                prop_assert_eq!(entries(&gaps(inside, first, last)), &asked - &known);
            }
        }

        #[test]
        fn gaps_of_any_that_are_sorted(mut covered in prop::collection::vec(stretch(), 0..12), (first, last) in stretch()) {
            covered.sort_unstable();
            let found = gaps(covered.iter().copied(), first, last);
            prop_assert!(found.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", found);
            prop_assert_eq!(entries(&found), &entries(&[(first, last)]) - &entries(&covered));
        }
    }

    #[test]
    fn end_where_numbers_end() {
        let mut all = Stretches::default();
        assert_eq!((all.add(5, i64::MAX), all.add(1, 3)), (1, 1));
        assert_eq!(all.within(2, i64::MAX), [(2, 3), (5, i64::MAX)]);
        assert_eq!(gaps(all.within(2, i64::MAX), 2, i64::MAX), [(4, 4)]);
        assert_eq!(gaps([], i64::MAX, i64::MAX), [(i64::MAX, i64::MAX)]);
        assert_eq!(gaps([(3, 4)], 5, 4), []);
    }
}
