//! Contenders that take turns, and what is made of their figures.

/// Someone who does the work and says how fast, in units a second: more is better.
pub type Contender<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// A median with the least and the greatest that were measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// Of several figures; panics without any.
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Self { median, low: sorted[0], high: sorted[sorted.len() - 1] }
    }
}

/// How fast each contender was, round by round.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    names: Vec<&'static str>,
    rates: Vec<Vec<f64>>,
}

impl Runs {
    /// What a contender reached in one more round.
    pub fn push(&mut self, name: &'static str, rate: f64) {
        let at = self.names.iter().position(|n| *n == name).unwrap_or_else(|| {
            self.names.push(name);
            self.rates.push(Vec::new());
            self.names.len() - 1
        });
        self.rates[at].push(rate);
    }

    fn of(&self, name: &str) -> &[f64] {
        let at = self.names.iter().position(|n| *n == name);
        at.map_or(&[], |at| &self.rates[at])
    }

    /// Of one contender.
    pub fn spread(&self, name: &str) -> Spread {
        Spread::of(self.of(name))
    }

    /// Of all, in the order in which they came.
    pub fn medians(&self) -> Vec<(&'static str, f64)> {
        self.names.iter().map(|name| (*name, self.spread(name).median)).collect()
    }

    /// The ratio of two, formed round by round: what slows the machine for a while slows both.
    pub fn ratio(&self, ours: &str, theirs: &str) -> Spread {
        let ratios: Vec<_> = self.of(ours).iter().zip(self.of(theirs)).map(|(a, b)| a / b).collect();
        Spread::of(&ratios)
    }
}

/// Lets contenders take turns. Who begins changes from round to round.
pub fn alternate(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Runs {
    let mut runs = Runs::default();
    for (name, _) in &contenders {
        runs.names.push(name);
        runs.rates.push(Vec::new());
    }
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let at = (round + turn) % contenders.len();
            runs.rates[at].push(contenders[at].1());
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_median_is_the_middle_one() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of(&[7.0]), Spread { median: 7.0, low: 7.0, high: 7.0 });
    }

    #[test]
    fn a_ratio_is_formed_within_a_round() {
        let mut runs = Runs::default();
        // The machine was ten times as slow in the second round: no matter.
        for (a, b) in [(75.0, 100.0), (8.0, 10.0), (90.0, 100.0)] {
            runs.push("a", a);
            runs.push("b", b);
        }
        assert_eq!(runs.ratio("a", "b"), Spread { median: 0.8, low: 0.75, high: 0.9 });
        assert_eq!(runs.medians(), [("a", 75.0), ("b", 100.0)]);
    }

    #[test]
    fn everyone_begins_once_in_a_while() {
        let order = RefCell::new(String::new());
        let contender = |name: &'static str| -> Contender<'_> {
            let order = &order;
            (
                name,
                Box::new(move || {
                    order.borrow_mut().push_str(name);
                    1.0
                }),
            )
        };
        let runs = alternate(3, vec![contender("a"), contender("b"), contender("c")]);
        assert_eq!(*order.borrow(), "abcbcacab");
        assert_eq!(runs.of("b"), [1.0; 3]);
    }
}
