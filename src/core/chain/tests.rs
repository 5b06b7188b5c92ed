//! Single cases: what the tally and the walk say, and in what bounds.

use std::collections::BTreeSet;

use super::model::{Found, Row, Table, everything, header, short};
use super::*;
use crate::{Digest, Finding, Header, Notice, Problem};

const GARBAGE: Digest = Digest::new([0xaa; 32]);

/// Chains 1 to 3 of ten entries each, the third in a segment of its own.
fn table() -> Table {
    Table::new(&[10, 10, 10], 3)
}

fn all_rows(table: &Table) -> Vec<usize> {
    (0..table.rows.len()).collect()
}

fn row(table: &mut Table, chain: i32, seq: i64) -> &mut Row {
    let at = table.find(chain, seq).unwrap();
    &mut table.rows[at]
}

fn findings(table: &Table) -> Vec<Finding> {
    table.walk(&table.tally(&all_rows(table))).0
}

fn at(problem: Problem, chain: i64, seq: i64) -> Found {
    (problem, Some(chain), Some(seq), None)
}

#[test]
fn an_empty_table_is_clean() {
    assert_eq!(Table::new(&[], 1).verdict(), []);
}

#[test]
fn a_changed_header_is_one_finding() {
    let mut table = table();
    let changed = Header { by: "mallory".into(), ..header(1, 1) };
    table.segments = Segments::new([changed, header(3, 3)]).unwrap();
    assert_eq!(table.verdict(), [(Problem::HeaderChanged, None, None, None)]);

    row(&mut table, 2, 5).value = 99;
    let general = (Problem::HeaderChanged, None, None, None);
    assert_eq!(table.verdict(), [general, at(Problem::ValueChanged, 2, 5)]);
}

#[test]
fn a_header_with_another_log_or_segment_is_one_finding_and_links_are_checked_still() {
    for changed in
        [Header { log: crate::LogId::from_bytes([8; 16]), ..header(1, 1) }, Header { segment: 2, ..header(1, 1) }]
    {
        let mut table = table();
        table.segments = Segments::new([changed, header(3, 3)]).unwrap();
        let general = (Problem::HeaderChanged, None, None, None);
        assert_eq!(table.verdict(), [general]);

        let lost = table.find(1, 5).unwrap();
        table.rows[lost].gone = true;
        assert_eq!(table.verdict(), [general, (Problem::Missing, Some(1), Some(5), Some(5))]);
    }
}

#[test]
fn a_chain_that_starts_from_something_else_than_the_others_is_a_changed_first_entry() {
    let mut table = table();
    row(&mut table, 2, 1).prev = Some(GARBAGE);
    for seq in 1..=10 {
        let at = table.find(2, seq).unwrap();
        if seq > 1 {
            table.rows[at].prev = table.rows[table.find(2, seq - 1).unwrap()].hash;
        }
        table.seal(at);
    }
    assert_eq!(table.verdict(), [at(Problem::ValueChanged, 2, 1)]);
}

#[test]
fn a_whole_chain_that_is_hashed_again_from_the_header_cannot_be_seen() {
    let mut table = table();
    row(&mut table, 2, 1).value = 99;
    for seq in 1..=10 {
        let at = table.find(2, seq).unwrap();
        if seq > 1 {
            table.rows[at].prev = table.rows[table.find(2, seq - 1).unwrap()].hash;
        }
        table.seal(at);
    }
    assert_eq!(table.verdict(), []);
}

#[test]
fn a_tail_that_is_cut_cannot_be_seen() {
    let mut table = table();
    for seq in 6..=10 {
        row(&mut table, 1, seq).gone = true;
    }
    assert_eq!(table.verdict(), []);
}

#[test]
fn a_missing_range_says_from_where_to_where() {
    let mut table = table();
    for seq in 4..=6 {
        row(&mut table, 1, seq).gone = true;
    }
    let [finding] = &findings(&table)[..] else { panic!("one finding") };
    assert_eq!((finding.seq, finding.to_seq), (Some(4), Some(6)));
    let before = row(&mut table, 1, 3).hash.unwrap();
    let after = row(&mut table, 1, 7).prev.unwrap();
    let detail = format!("entries 4 to 6 (3) are missing: entry 3 has hash {before}, entry 7 commits to {after}");
    assert_eq!(finding.detail, detail);
}

#[test]
fn rows_missing_from_the_start_are_one_range() {
    let mut table = table();
    for seq in 1..=3 {
        row(&mut table, 3, seq).gone = true;
    }
    assert_eq!(table.verdict(), [(Problem::Missing, Some(3), Some(1), Some(3))]);
}

#[test]
fn a_changed_value_says_what_the_row_hashes_to() {
    let mut table = table();
    row(&mut table, 1, 4).value = 99;
    let place = table.find(1, 4).unwrap();
    let [finding] = &findings(&table)[..] else { panic!("one finding") };
    let (stored, found) = (table.rows[place].hash.unwrap(), table.entry(place).computed.unwrap());
    assert_eq!(finding.found, Some(found));
    let detail = format!("notary_hash is {stored}, the row hashes to {found}; row {place}");
    assert_eq!(finding.detail, detail);
}

#[test]
fn exchanged_rows_name_each_other() {
    let mut table = table();
    row(&mut table, 1, 3).seq = Some(700);
    row(&mut table, 1, 8).seq = Some(3);
    row(&mut table, 1, 700).seq = Some(8);
    let found = findings(&table);
    assert_eq!(short(&found), [at(Problem::Swapped, 1, 3), at(Problem::Swapped, 1, 8)]);
    assert!(found[0].detail.contains("exchanged with chain 1 seq 8"), "{}", found[0].detail);
    assert!(found[1].detail.contains("exchanged with chain 1 seq 3"), "{}", found[1].detail);
}

#[test]
fn rows_exchanged_in_a_ring_are_changed_and_say_where_they_stand() {
    let mut table = table();
    let rows = [3, 5, 8].map(|seq| table.find(1, seq).unwrap());
    for (row, seq) in rows.into_iter().zip([5, 8, 3]) {
        table.rows[row].seq = Some(seq);
    }
    let found = findings(&table);
    assert_eq!(short(&found), [3, 5, 8].map(|seq| at(Problem::ValueChanged, 1, seq)));
    assert!(found[0].detail.contains("stands at chain 1 seq 5 now"), "{}", found[0].detail);
}

#[test]
fn a_copy_names_the_entry_it_is_a_copy_of() {
    for copied in [4, 10] {
        let mut table = table();
        let copy = Row { chain: Some(2), seq: Some(11), ..row(&mut table, 1, copied).clone() };
        table.rows.push(copy);
        let found = table.walk(&everything(&table.tally(&all_rows(&table)))).0;
        assert_eq!(short(&found), [at(Problem::Inserted, 2, 11)]);
        let detail = format!("a copy of the entry at chain 1 seq {copied}");
        assert!(found[0].detail.starts_with(&detail), "{}", found[0].detail);
    }
}

#[test]
fn a_copy_in_the_place_of_a_lost_entry_is_one_finding() {
    let mut table = table();
    row(&mut table, 1, 6).gone = true;
    let copy = Row { seq: Some(6), ..row(&mut table, 1, 3).clone() };
    table.rows.push(copy);
    assert_eq!(table.verdict(), [at(Problem::Inserted, 1, 6)]);
}

#[test]
fn a_copy_in_a_range_of_lost_entries_does_not_hide_them() {
    let mut table = table();
    for seq in 4..=6 {
        row(&mut table, 1, seq).gone = true;
    }
    let copy = Row { seq: Some(5), ..row(&mut table, 1, 9).clone() };
    table.rows.push(copy);
    let missing = (Problem::Missing, Some(1), Some(4), Some(6));
    assert_eq!(table.verdict(), [missing, at(Problem::Inserted, 1, 5)]);
}

#[test]
fn lost_entries_that_stand_elsewhere_are_found_one_after_the_other() {
    let mut table = table();
    for seq in 4..=7 {
        row(&mut table, 1, seq).chain = None;
    }
    let found = [4, 5, 6, 7].map(|seq| at(Problem::ValueChanged, 1, seq));
    assert_eq!(table.verdict(), found);
}

#[test]
fn a_fork_of_two_long_branches_is_one_finding_where_they_part() {
    let mut table = table();
    let mut prev = row(&mut table, 1, 4).hash;
    for seq in 5..=10 {
        let twin = Row { prev, value: 500, ..row(&mut table, 1, seq).clone() };
        table.rows.push(twin);
        table.seal(table.rows.len() - 1);
        prev = table.rows.last().unwrap().hash;
    }
    assert_eq!(table.verdict(), [at(Problem::Fork, 1, 5)]);
}

#[test]
fn a_time_of_infinity_is_a_change_even_if_it_was_hashed() {
    let mut table = table();
    row(&mut table, 1, 10).time = Some(i64::MAX);
    let last = table.find(1, 10).unwrap();
    table.seal(last);
    let [finding] = &findings(&table)[..] else { panic!("one finding") };
    assert_eq!(short(std::slice::from_ref(finding)), [at(Problem::ValueChanged, 1, 10)]);
    assert!(finding.detail.contains("notary_time is infinite"), "{}", finding.detail);
}

#[test]
fn rows_in_chains_that_cannot_be_are_found() {
    let mut table = table();
    for chain in [0, -5, 65_536, i32::MAX] {
        let row = Row { chain: Some(chain), ..row(&mut table, 1, 1).clone() };
        table.rows.push(row);
    }
    let found = table.verdict();
    let chains: BTreeSet<_> = found.iter().map(|found| found.1).collect();
    assert_eq!(chains, [0, -5, 65_536, i32::MAX].map(|chain| Some(i64::from(chain))).into());
    assert!(found.iter().all(|found| found.0 == Problem::Inserted));
}

#[test]
fn a_header_that_starts_above_its_own_chains_is_one_finding() {
    let mut table = table();
    table.segments = Segments::new([header(1, 2), header(3, 3)]).unwrap();
    assert_eq!(table.verdict(), [(Problem::HeaderChanged, None, None, None)]);
}

#[test]
fn clocks_that_step_back_are_remarks_and_no_damage_in_either_pass() {
    let mut table = Table::new(&[3, 3], 2);
    for (chain, seq, time) in [(1, 4, 100), (1, 5, 90), (1, 6, 91), (2, 4, 1)] {
        table.append(chain);
        row(&mut table, chain, seq).time = Some(time);
        let at = table.find(chain, seq).unwrap();
        table.seal(at);
    }
    let expected = [(Some(1), Some(4)), (Some(1), Some(5)), (Some(2), Some(4))];
    let places = |remarks: &[crate::Remark]| -> Vec<_> {
        assert!(remarks.iter().all(|remark| remark.notice == Notice::ClockBackwards));
        remarks.iter().map(|remark| (remark.chain, remark.seq)).collect()
    };
    for reverse in [false, true] {
        let mut order = all_rows(&table);
        if reverse {
            order.reverse();
        }
        let tallied = table.tally(&order);
        assert!(tallied.suspects.is_empty());
        assert_eq!(places(&tallied.remarks), expected);
        assert_eq!(places(&table.walk(&everything(&tallied)).1), expected);
    }
    row(&mut table, 1, 2).value = 99;
    let tallied = table.tally(&all_rows(&table));
    let walked = table.walk(&tallied).1;
    assert_eq!(places(&[walked, tallied.remarks].concat()), expected);
}

#[test]
fn many_clocks_that_step_back_are_counted() {
    let mut table = Table::new(&[0], 2);
    for seq in 1..=1_500 {
        table.append(1);
        let last = table.rows.len() - 1;
        table.rows[last].time = Some(-seq);
        table.seal(last);
    }
    let remarks = table.tally(&all_rows(&table)).remarks;
    assert_eq!(remarks.len(), 1_001);
    assert!(remarks[1_000].detail.starts_with("499 more entries"), "{}", remarks[1_000].detail);
}

#[test]
fn adopted_rows_are_a_remark() {
    let header = Header { adopted: 12, ..header(1, 1) };
    let segments = Segments::new([header]).unwrap();
    let remarks = Tally::new(&segments, 10).finish().remarks;
    let [remark] = &remarks[..] else { panic!("one remark") };
    assert_eq!((remark.notice, remark.chain), (Notice::Adopted, Some(1)));
}

#[test]
fn a_table_too_disordered_to_say_is_all_suspect_and_walks_clean() {
    let table = Table::new(&[300], 2);
    let odd_first: Vec<usize> = (0..300).step_by(2).chain((1..300).step_by(2)).collect();
    let mut tally = Tally::new(&table.segments, 100);
    table.entries(&odd_first).iter().for_each(|entry| tally.add(entry));
    let tallied = tally.finish();
    assert_eq!((tallied.entries, tallied.chains), (300, 1));
    assert_eq!(tallied.suspects, Suspects::All);
    assert_eq!(table.walk(&tallied).0, []);
}

#[test]
fn suspects_of_either_worker_are_suspects_of_both() {
    let mut table = table();
    row(&mut table, 1, 4).value = 99;
    let (some, others): (Vec<_>, Vec<_>) = all_rows(&table).into_iter().partition(|at| at % 2 == 0);
    let tallied = table.tally_apart(&[&some, &others]);
    assert_eq!(tallied, table.tally(&all_rows(&table)));
    assert!(tallied.suspects.contains(Some(1)) && !tallied.suspects.contains(Some(2)));
    assert!(!tallied.suspects.contains(None) && !tallied.suspects.contains(Some(70_000)));
}

#[test]
fn headers_out_of_order_or_none_are_no_segments() {
    assert_eq!(Segments::new([]), Err(SegmentsError::Empty));
    assert_eq!(Segments::new([header(1, 5), header(2, 4)]), Err(SegmentsError::OutOfOrder(1)));
    assert!(Segments::new([header(1, 5), header(2, 5)]).is_ok());
}

#[test]
fn thousands_of_changed_rows_are_each_found_and_matched_as_far_as_room_allows() {
    let mut table = Table::new(&[6_000, 5], 2);
    for at in 0..6_000 {
        table.rows[at].value += 1_000_000;
    }
    let found = findings(&table);
    assert_eq!(found.len(), 6_000);
    assert!(found.iter().all(|finding| finding.problem == Problem::ValueChanged));
}

#[test]
fn thousands_of_rows_at_one_place_are_each_found() {
    let mut table = table();
    let copied = row(&mut table, 1, 5).clone();
    table.rows.extend((0..6_000).map(|_| copied.clone()));
    let found = findings(&table);
    assert_eq!(found.len(), 6_000);
    assert!(short(&found).iter().all(|found| *found == at(Problem::Inserted, 1, 5)));
}

#[test]
fn a_table_without_a_single_place_is_found_row_by_row() {
    let mut table = table();
    for row in &mut table.rows {
        (row.chain, row.seq, row.time, row.prev, row.hash) = (None, None, None, None, None);
    }
    let found = findings(&table);
    assert_eq!(found.len(), 30);
    assert!(found.iter().all(|finding| finding.problem == Problem::Unchained));
    assert_eq!(found[3].detail, "the row's notary columns are null; row 3");
}

#[test]
fn an_error_of_the_reader_ends_the_walk() {
    let mut table = table();
    let tallied = table.tally(&all_rows(&table));
    let rows = [Ok(table.entry(0)), Err("page 3 cannot be read")];
    let segments = table.segments.clone();
    let end = walk(&segments, &tallied, rows.into_iter(), &mut table, &mut |_| {});
    assert_eq!(end, Err("page 3 cannot be read"));
}

#[test]
fn a_chain_that_claims_to_start_later_is_missing_its_start() {
    let mut table = Table::new(&[10, 1], 3);
    row(&mut table, 2, 1).seq = Some(5);
    let forged = table.find(2, 5).unwrap();
    table.seal(forged);
    assert_eq!(table.verdict(), [(Problem::Missing, Some(2), Some(1), Some(4))]);
}

#[test]
fn an_entry_with_a_time_of_infinity_is_never_consistent() {
    let entry = table().entry(0);
    assert!(entry.is_consistent());
    for time in [None, Some(i64::MAX), Some(i64::MIN)] {
        assert!(!Entry { time, ..entry.clone() }.is_consistent());
    }
    assert!(!Entry { odd: true, ..entry.clone() }.is_consistent());
    assert!(!Entry { hash: None, computed: None, ..entry }.is_consistent());
}

#[test]
fn a_row_damaged_twice_is_one_finding() {
    let mut table = table();
    let at_four = table.find(1, 4).unwrap();
    table.rows[at_four].value = 99;
    table.seal(at_four);
    table.rows[at_four].prev = Some(GARBAGE);
    assert_eq!(table.verdict(), [at(Problem::ValueChanged, 1, 4)]);
}

#[test]
fn a_fork_of_which_the_next_entry_knows_no_branch_is_one_finding() {
    let mut table = table();
    for value in [98, 99] {
        let place = table.find(1, 4).unwrap();
        let twin = Row { value, ..table.rows[place].clone() };
        table.rows.push(twin);
        table.seal(table.rows.len() - 1);
    }
    row(&mut table, 1, 4).gone = true;
    assert_eq!(table.verdict(), [at(Problem::Fork, 1, 4)]);
}

#[test]
fn values_exchanged_in_a_ring_are_changed_rows() {
    let mut table = table();
    let rows = [3, 5, 8].map(|seq| table.find(1, seq).unwrap());
    let values = rows.map(|at| table.rows[at].value);
    for (index, at) in rows.into_iter().enumerate() {
        table.rows[at].value = values[(index + 1) % 3];
    }
    assert_eq!(table.verdict(), [3, 5, 8].map(|seq| at(Problem::ValueChanged, 1, seq)));
}

#[test]
fn a_chain_moved_into_a_segment_with_good_rows_does_not_put_its_header_in_doubt() {
    let mut table = Table::new(&[10, 0, 2], 3);
    for seq in 1..=2 {
        row(&mut table, 3, seq).chain = Some(2);
    }
    assert_eq!(table.verdict(), [1, 2].map(|seq| at(Problem::ValueChanged, 2, seq)));
}

#[test]
fn a_first_row_hashed_under_the_header_clears_it() {
    let mut table = Table::new(&[2], 2);
    row(&mut table, 1, 1).prev = Some(GARBAGE);
    row(&mut table, 1, 2).value = 99;
    assert_eq!(table.verdict(), [at(Problem::HashChanged, 1, 1), at(Problem::ValueChanged, 1, 2)]);
}

#[test]
fn a_damaged_row_that_one_worker_saw_alone_is_not_forgotten() {
    let mut table = table();
    let good = all_rows(&table);
    let copy = Row { value: 99, ..row(&mut table, 1, 4).clone() };
    table.rows.push(copy);
    assert!(table.tally_apart(&[&good, &[good.len()]]).suspects.contains(Some(1)));
}
