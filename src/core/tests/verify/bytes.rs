//! Every byte of an export, changed in several ways: the library finds it, in the line or right after it.

use std::collections::BTreeSet;

use notary_core::export::{ExportCheck, Finding, Leaf};
use proptest::prelude::*;

use crate::log::{Draft, Log, drafts};
use crate::program::Dir;

/// Findings of an export, and whether it has the root of the log's note.
fn check(log: &Log, export: &[u8]) -> (Vec<Finding>, bool) {
    let note = log.checkpoint(crate::log::ORIGIN, log.size());
    let mut check = ExportCheck::new(Some(note.origin().log()), [note.size()]);
    let mut findings = Vec::new();
    for line in export.strip_suffix(b"\n").unwrap_or(export).split(|&byte| byte == b'\n') {
        check.add(&Leaf::read(line), |finding| findings.push(finding)).unwrap();
    }
    let same =
        export.ends_with(b"\n") && check.root_at(note.size()) == Some(*note.root()) && check.size() == note.size();
    (findings, same)
}

/// The lines that hold the hash of a line, from 0: the next of its chain, or the first of each chain.
fn next(of: usize) -> BTreeSet<u64> {
    let drafts = drafts();
    let follows = |later: &Draft| match (&drafts[of], later) {
        (Draft::Header { segment: a, .. }, Draft::Entry { segment: b, seq: 1, .. }) => a == b,
        (Draft::Entry { segment: a, chain: c, seq }, Draft::Entry { segment: b, chain: d, seq: after }) => {
            (a, c, *seq + 1) == (b, d, *after)
        }
        _ => false,
    };
    (1..).zip(&drafts).filter(|(_, later)| follows(later)).map(|(line, _)| line).collect()
}

#[test]
fn every_changed_byte_is_found_where_it_is() {
    let log = Log::good();
    let good = log.export();
    assert_eq!(check(&log, &good), (Vec::new(), true));
    let mut only_root = 0;
    for at in 0..good.len() {
        let of = good[..at].iter().filter(|&&byte| byte == b'\n').count();
        let mut places = next(of);
        places.insert(of as u64 + 1);
        for byte in [good[at] ^ 1, good[at] ^ 0x20, good[at].wrapping_add(1), b'"', b'\n', b'\r', b'0', b' ', 0xff, 0] {
            if byte == good[at] {
                continue;
            }
            let mut export = good.clone();
            export[at] = byte;
            let (findings, same) = check(&log, &export);
            assert!(!same, "byte {at} as {byte}");
            match findings.first() {
                Some(first) => assert!(places.contains(&first.line), "byte {at} as {byte}: {first:?}"),
                // Only the root tells what no later line knows of.
                None => {
                    assert!(next(of).is_empty(), "byte {at} as {byte}");
                    only_root += 1;
                }
            }
        }
    }
    assert!(only_root > 0);
}

#[test]
fn every_line_deleted_doubled_or_swapped_is_found() {
    let log = Log::good();
    let find = |lines: Vec<Vec<u8>>| check(&log, &Log::from_lines(lines).export());
    for at in 0..log.lines.len() {
        let mut lines = log.lines.clone();
        lines.remove(at);
        let (findings, same) = find(lines);
        // The next of its chain has moved up by one.
        let expected = next(at).first().map(|line| line - 1);
        let first = findings.first().map(|finding| finding.line);
        assert!(!same, "{at}");
        assert!(first == expected || matches!(first, Some(line) if at == 4 && line == 5), "{at}: {findings:?}");

        for to in 0..=log.lines.len() {
            let mut lines = log.lines.clone();
            lines.insert(to, log.lines[at].clone());
            let (findings, same) = find(lines);
            assert!(!same && !findings.is_empty(), "{at} again at {to}");
        }
        for other in at + 1..log.lines.len() {
            let mut lines = log.lines.clone();
            lines.swap(at, other);
            assert!(!find(lines).1, "{at} and {other}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_program_finds_random_changes(at: prop::sample::Index, what in 0..3, byte: u8) {
        let dir = Dir::good();
        let mut export = Log::good().export();
        let at = at.index(export.len());
        match what {
            0 if export[at] != byte => export[at] = byte,
            1 => drop(export.remove(at)),
            _ => export.insert(at, byte),
        }
        dir.put("export.jsonl", &export);
        let outcome = dir.run("export --keys keys --note full.note export.jsonl");
        prop_assert_eq!(outcome.code, 1, "{:?}", outcome);
    }
}
