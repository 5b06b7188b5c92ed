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
    /// How many processors were in use before it began, and how many there are.
    pub busy: (f64, usize),
    begin: Instant,
}

/// Since the machine began, summed up over its processors: ticks in which there was nothing to do, and all.
fn idle_ticks() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let all: Vec<u64> = stat.lines().next()?.split(' ').filter_map(|ticks| ticks.parse().ok()).collect();
    // user, nice, system, idle, waiting for the disk, …
    Some((all.get(3)? + all.get(4)?, all.iter().take(8).sum()))
}

impl Report {
    pub fn new(sizes: Sizes) -> Self {
        Self {
            sizes,
            figures: BTreeMap::new(),
            rates: Vec::new(),
            facts: Vec::new(),
            busy: (0.0, 1),
            begin: Instant::now(),
        }
    }

    /// Looks for two seconds how busy the machine is with other work. Not at its load, which remembers the build of this.
    pub fn look_around(&mut self) {
        let before = idle_ticks();
        std::thread::sleep(Duration::from_secs(2));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if let Some((before, now)) = before.zip(idle_ticks()) {
            let [idle, all] = [now.0 - before.0, now.1 - before.1].map(|ticks| ticks as f64);
            self.busy = ((1.0 - idle / all.max(1.0)) * cores as f64, cores);
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
