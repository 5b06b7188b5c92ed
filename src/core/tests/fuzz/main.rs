//! Every parser against texts that are almost right, and every check against proofs that are almost true.
//!
//! Texts are made from valid ones (`corpus`, `mutate`). A parser must not panic; what it reads it must print byte for
//! byte; and it must read no more than others read (`parsers`). Nothing may be believed but what was signed (`belief`).
//! A text that a parser answers in a new way is kept and changed further, so that the search goes deeper than its start.
//!
//! `NOTARY_FUZZ_SECONDS` says for how long (6 by default; `make fuzz` for ten minutes), `NOTARY_SEED` repeats a run. A
//! failure prints the shortest text that still shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_imports)]

mod belief;
mod corpus;
mod mutate;
mod parsers;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

use mutate::Mutator;

/// What a check reads: one text, or some that belong together.
type Case = Vec<Vec<u8>>;

/// What a check says of a case: a word for what came out, or which invariant is broken.
type Said = Result<String, String>;

/// A parser or a check, with valid texts to start from.
struct Target {
    name: &'static str,
    seeds: Vec<Case>,
    check: Box<dyn Fn(&Case) -> Said>,
}

impl Target {
    /// A parser of one text.
    fn parser(name: &'static str, seeds: Vec<Vec<u8>>, check: fn(&[u8]) -> Said) -> Self {
        let seeds = seeds.into_iter().map(|text| vec![text]).collect();
        Self { name, seeds, check: Box::new(move |case| check(&case[0])) }
    }

    /// A panic is a broken invariant too.
    fn run(&self, case: &Case) -> Said {
        quietly(|| {
            catch_unwind(AssertUnwindSafe(|| (self.check)(case))).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
                Err(format!("panic: {}", text.unwrap_or_default()))
            })
        })
    }

    /// The shortest case near this one that fails as well.
    fn shorten(&self, mut case: Case) -> Case {
        let until = Instant::now() + Duration::from_secs(5);
        for at in 0..case.len() {
            let mut piece = case[at].len().div_ceil(2);
            while piece > 0 && Instant::now() < until {
                let mut start = 0;
                while start < case[at].len() {
                    let mut shorter = case.clone();
                    shorter[at].drain(start..(start + piece).min(case[at].len()));
                    if self.run(&shorter).is_err() { case = shorter } else { start += piece }
                }
                piece /= 2;
            }
        }
        case
    }
}

/// Without a word of panics on standard error: they are caught, and there may be thousands.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = work();
    QUIET.set(false);
    done
}

/// A word for a refusal: what it says, but for the places and the names in it.
fn refused(error: &impl Display) -> Said {
    Ok(shape(error.to_string().as_bytes()))
}

/// A text with each run of letters and each of digits as one.
fn shape(text: &[u8]) -> String {
    let mut shape = String::new();
    for &byte in text.iter().take(400) {
        let class = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => 'a',
            b'0'..=b'9' => '0',
            0x80.. => 'é',
            _ => char::from(byte),
        };
        if !shape.ends_with(class) {
            shape.push(class);
        }
    }
    shape
}

/// Takes turns with the targets until time is up.
fn fuzz(targets: &[Target]) {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = variable("NOTARY_SEED").unwrap_or_else(rand::random);
    let until = Instant::now() + Duration::from_secs(variable("NOTARY_FUZZ_SECONDS").unwrap_or(6));
    println!("NOTARY_SEED={seed}");
    let mut random = Mutator::new(seed);
    let mut states: Vec<State> = targets.iter().map(State::new).collect();
    // At least one turn each, however short the time.
    loop {
        states.iter_mut().for_each(|state| state.turn(&mut random, seed));
        if Instant::now() >= until {
            break;
        }
    }
    for state in states {
        let State { target, tried, read, kept, .. } = state;
        println!("{:>12}: {tried} texts, {read} read, {} kept", target.name, kept.len());
        // Else the changes would be too wild to get past the first line of a parser.
        assert!(read > 0, "{}: nothing but refusals", target.name);
    }
}

/// How far one target has come.
struct State<'t> {
    target: &'t Target,
    tried: u64,
    read: u64,
    /// Cases that were answered in a way of their own.
    kept: Vec<Case>,
    answers: BTreeSet<String>,
}

impl<'t> State<'t> {
    /// How many cases are kept at most.
    const ENOUGH: usize = 4000;

    fn new(target: &'t Target) -> Self {
        for seed in &target.seeds {
            target.run(seed).unwrap_or_else(|why| panic!("{}: a valid text: {why}: {}", target.name, spell(seed)));
        }
        Self { target, tried: 0, read: 0, kept: Vec::new(), answers: BTreeSet::new() }
    }

    /// Some cases, for about as long as other targets have.
    fn turn(&mut self, random: &mut Mutator, seed: u64) {
        let until = Instant::now() + Duration::from_millis(25);
        while Instant::now() < until {
            let case = self.next(random);
            self.tried += 1;
            let answer = match self.target.run(&case) {
                Ok(answer) => answer,
                Err(why) => self.fail(case, &why, seed),
            };
            self.read += u64::from(answer.starts_with(READ));
            if self.kept.len() < Self::ENOUGH && self.answers.insert(answer) {
                self.kept.push(case);
            }
        }
    }

    fn next(&self, random: &mut Mutator) -> Case {
        let from_seeds = self.kept.is_empty() || random.below(2) == 0;
        let mut case = random.pick(if from_seeds { &self.target.seeds } else { &self.kept }).clone();
        let other = random.pick(&self.target.seeds);
        let (at, of) = (random.below(case.len()), random.below(other.len()));
        // Now and then the text of another case as it is: two halves that do not belong together.
        case[at] = match random.below(16) {
            0 if case.len() > 1 => other[at].clone(),
            _ => random.mutate(&case[at], &other[of]),
        };
        case
    }

    fn fail(&self, case: Case, why: &str, seed: u64) -> ! {
        let shortest = self.target.shorten(case.clone());
        let shortest_why = self.target.run(&shortest).unwrap_err();
        panic!(
            "{}, NOTARY_SEED={seed}, text {}\n{shortest_why}\n{}\nat first: {why}\n{}",
            self.target.name,
            self.tried,
            spell(&shortest),
            spell(&case)
        );
    }
}

/// What an answer starts with if the text was read, or the proof believed.
const READ: &str = "read ";

fn spell(case: &Case) -> String {
    let texts: Vec<String> = case.iter().map(|text| format!("b\"{}\"", text.escape_ascii())).collect();
    texts.join("\n")
}

#[test]
fn every_parser_refuses_a_text_or_prints_it_again() {
    fuzz(&parsers::targets());
}

#[test]
fn nothing_is_believed_but_what_was_signed() {
    fuzz(&belief::targets());
}
