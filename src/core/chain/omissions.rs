//! The proof that the property tests can fail: a verifier that lacks a single check is caught by them, each one.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use super::model::Table;
use super::omit::{Check, without};
use super::tampering::{apply, change, lengths, sorted};

/// Enough for the rarest change that only one check tells.
const CASES: u32 = 4_000;

/// One change, found where it was made by one process and told by two alike: the property that `tampering` tests, with the
/// same choices each time. The panic or the difference that shows a verifier to be wrong.
fn find_fault() -> Result<(), String> {
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 0,
        failure_persistence: None,
        max_global_rejects: CASES,
        ..ProptestConfig::default()
    };
    let order = || Just((0..90_usize).collect::<Vec<_>>()).prop_shuffle();
    let cases = (lengths(), 2..7_u32, any::<usize>(), change(), order(), 0..90_usize);
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let verdict = runner.run(&cases, |(lengths, second, pick, change, order, cut)| {
        let mut table = Table::new(&lengths, second);
        let rows: Vec<usize> = (0..table.rows.len()).collect();
        let Some(expected) = apply(&mut table, &rows, pick, &change) else {
            return Ok(());
        };
        let order: Vec<usize> = order.into_iter().filter(|&at| at < table.rows.len()).collect();
        prop_assert_eq!(table.verdict_in(&order), sorted(expected));
        let (some, others) = order.split_at(cut.min(order.len()));
        prop_assert_eq!(table.tally_apart(&[some, others]), table.tally(&order));
        Ok(())
    });
    verdict.map_err(|error| match error {
        TestError::Fail(why, _) => why.to_string(),
        TestError::Abort(why) => panic!("no verdict: {why}"),
    })
}

#[test]
fn the_verifier_as_it_is_has_no_fault() {
    assert_eq!(find_fault(), Ok(()));
}

#[test]
fn a_verifier_without_one_of_its_checks_is_caught() {
    let caught = |check: &Check| without(*check, find_fault).is_err();
    let missed: Vec<_> = Check::ALL.iter().filter(|check| !caught(check)).collect();
    assert!(missed.is_empty(), "nothing notices when these are gone: {missed:?}");
}
