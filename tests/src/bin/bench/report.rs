//! What a run has found out.

use crate::measure::{Runs, Spread};
use crate::sizes::Sizes;
use crate::targets::target;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A figure, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    Measured(Spread),
    Missing(String),
}

/// How fast the contenders of one work were.
#[derive(Clone, Debug)]
pub struct Rates {
    pub work: String,
    /// What is counted in a second.
    pub unit: &'static str,
    pub contenders: Vec<(&'static str, f64)>,
}

/// All of it.
pub struct Report {
    pub sizes: Sizes,
    pub figures: BTreeMap<&'static str, Figure>,
    pub rates: Vec<Rates>,
    /// On what, and how.
    pub facts: Vec<String>,
    /// How many processes wanted to run when it began, and for how many there is room.
    pub load: (f64, usize),
    begin: Instant,
}

impl Report {
    pub fn new(sizes: Sizes) -> Self {
        let average = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = average.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            sizes,
            figures: BTreeMap::new(),
            rates: Vec::new(),
            facts: Vec::new(),
            load: (load, cores),
            begin: Instant::now(),
        }
    }

    /// Says on stderr what is measured now.
    pub fn begin(&self, work: &str) {
        eprintln!("{:5.0} s  {}", self.elapsed().as_secs_f64(), self.sizes.put_into(work));
    }

    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// One figure of a target.
    pub fn set(&mut self, key: &str, spread: Spread) {
        self.figures.insert(target(key).key, Figure::Measured(spread));
    }

    /// One that was measured once.
    pub fn set_once(&mut self, key: &str, figure: f64) {
        self.set(key, Spread::of(&[figure]));
    }

    /// Why there is none.
    pub fn missing(&mut self, key: &str, why: &str) {
        self.figures.insert(target(key).key, Figure::Missing(why.to_owned()));
    }

    /// What contenders reached, for the second table.
    pub fn rates(&mut self, work: &str, unit: &'static str, runs: &Runs) {
        self.rates.push(Rates { work: self.sizes.put_into(work), unit, contenders: runs.medians() });
    }
}
