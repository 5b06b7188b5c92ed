//! How much of everything a run does.

use std::time::Duration;

/// The sizes of a run. Rounds are odd, so that a median is a figure that was measured.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// What the report calls the run.
    pub name: &'static str,
    /// How often contenders take turns.
    pub rounds: usize,
    /// The same where the difference to be seen is small.
    pub many_rounds: usize,
    /// The same where each takes long.
    pub few_rounds: usize,
    /// How long pgbench runs each time.
    pub load: Duration,
    /// Rows of an INSERT … SELECT.
    pub bulk: u64,
    /// Rows of a COPY.
    pub copy: u64,
    /// Entries of the log that is large.
    pub large: u64,
    /// Entries of the log that memory at `large` is compared with, and of what is verified and exported.
    pub verified: u64,
    /// Rows that are rolled back at once.
    pub rolled_back: u64,
    /// With how many clients logs in different states are compared.
    pub clients: &'static [u32],
    /// pgbench's scale.
    pub scale: u32,
}

/// `make bench`.
pub const FULL: Sizes = Sizes {
    name: "full",
    rounds: 5,
    many_rounds: 21,
    few_rounds: 3,
    load: Duration::from_secs(2),
    bulk: 300_000,
    copy: 1_000_000,
    large: 10_000_000,
    verified: 1_000_000,
    rolled_back: 1_000_000,
    clients: &[1, 16],
    scale: 10,
};

/// `make bench-quick`.
pub const QUICK: Sizes = Sizes {
    name: "quick",
    rounds: 3,
    many_rounds: 3,
    few_rounds: 3,
    load: Duration::from_secs(1),
    bulk: 100_000,
    copy: 100_000,
    large: 300_000,
    verified: 100_000,
    rolled_back: 100_000,
    clients: &[1],
    scale: 10,
};

/// Does it run at all? Its figures say nothing.
pub const TINY: Sizes = Sizes {
    name: "tiny",
    rounds: 1,
    many_rounds: 1,
    few_rounds: 1,
    load: Duration::from_secs(1),
    bulk: 3_000,
    copy: 3_000,
    large: 20_000,
    verified: 10_000,
    rolled_back: 3_000,
    clients: &[1],
    scale: 1,
};

impl Sizes {
    /// A work's name with this run's sizes in it.
    pub fn put_into(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in [
            ("{bulk}", self.bulk),
            ("{copy}", self.copy),
            ("{large}", self.large),
            ("{verified}", self.verified),
            ("{rolled back}", self.rolled_back),
            ("{scale}", u64::from(self.scale)),
        ] {
            text = text.replace(name, &grouped(value));
        }
        text
    }
}

/// `1,000,000`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_odd() {
        for sizes in [FULL, QUICK, TINY] {
            let rounds = [sizes.few_rounds, sizes.rounds, sizes.many_rounds];
            assert!(rounds.is_sorted() && rounds.iter().all(|rounds| rounds % 2 == 1), "{}", sizes.name);
        }
    }

    #[test]
    fn sizes_stand_where_a_name_wants_them() {
        assert_eq!(FULL.put_into("COPY of {copy} rows"), "COPY of 1,000,000 rows");
        assert_eq!([0, 999, 1000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }
}
