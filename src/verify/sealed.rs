//! Does the log hold what its seals say, and what a note says that was kept elsewhere?
//!
//! A chain that fits together is fixed by its last entry: so it is enough to prove that the last sealed entry of each
//! chain is in the tree that was sealed, and that all of these together are as many lines as the tree has leaves. That
//! costs a handful of hashes a chain. Only where it fails are all sealed lines read in their order, to say where.
//!
//! Invariant: what the extension remembers of the tree is believed only as far as it leads to the root in a seal.

use super::blocks::{Blocks, Compared};
use super::known::Changes;
use super::places::{Incomparable, Places};
use crate::error::Error;
use crate::log::Functions;
use crate::pg::context;
use crate::pg::index::{ChainIndex, Last, chain_index};
use crate::pg::relation::Rel;
use crate::pg::row::NotaryColumns;
use crate::tree::ended::Ended;
use crate::tree::nodes::{NoNode, Nodes};
use crate::tree::segments::Segments;
use crate::tree::store::{self, Range, StoredSeal, signed};
use crate::tree::{self, Tree};
use notary_core::merkle;
use notary_core::seal::Seal;
use notary_core::stretch::gaps;
use notary_core::{Digest, Finding, Problem, Remark, Timestamp};
use pgrx::pg_sys;
use std::collections::{BTreeMap, HashSet};

/// What is known besides the seals.
pub struct Besides<'a> {
    pub functions: &'a Functions,
    pub places: Places,
    /// What the journal says was changed while the log was not protected.
    pub changes: Option<&'a Changes>,
    /// Segments whose headers were seen.
    pub present: HashSet<u32>,
    /// How many entries were read.
    pub entries: u64,
    /// Where the chains of ended segments ended.
    pub ended: &'a Ended,
}

/// How far the log is sealed.
pub struct Sealed {
    /// The size of the newest seal, or of the note.
    pub size: u64,
    /// When it was made, where that is known.
    pub at: Option<i64>,
    /// It bears signatures.
    pub signed: bool,
    /// Entries that came later.
    pub unsealed: u64,
    /// The time of the oldest of them.
    pub oldest: Option<i64>,
    /// Sealed lines that left the log with their table while it was not protected.
    pub left: u64,
    /// Others that were changed or removed then, so that not everything could be compared.
    pub partly: bool,
}

/// What the comparison came to.
#[derive(Default)]
pub struct Outcome {
    pub sealed: Option<Sealed>,
    pub findings: Vec<(pg_sys::Oid, Option<u32>, Finding)>,
    pub remarks: Vec<(pg_sys::Oid, Remark)>,
}

/// A tree's root that the log is held against.
struct Reference {
    size: u64,
    root: Digest,
    what: String,
}

/// Compares a log with its newest seal, and with `note`.
pub fn check(root: &Rel, known: Besides<'_>, note: Option<&Seal>) -> Result<Outcome, Error> {
    // Without headers there is nothing to compare; that was reported.
    let Ok(segments) = Segments::of(root, known.functions) else { return Ok(Outcome::default()) };
    match compare(root, known, note, &segments) {
        // What somebody changed in the extension's tables, so that nothing can be compared.
        Err(Error::Remembered { table, detail }) => {
            let finding = Finding::general(Problem::Rewritten, format!("what {table} says is damaged: {detail}"));
            Ok(Outcome { findings: vec![(root.oid(), None, finding)], ..Outcome::default() })
        }
        other => other,
    }
}

fn compare(root: &Rel, known: Besides<'_>, note: Option<&Seal>, segments: &Segments) -> Result<Outcome, Error> {
    let of = note.map(|note| note.checkpoint().origin().log());
    if let Some(other) = of.filter(|of| *of != segments.log) {
        return Err(tree::no_note(format!("It is of the log {other}, and {} is {}.", root.qualified(), segments.log)));
    }
    let Some(tree) = Tree::newest(segments.log)? else {
        let mut outcome = Outcome::default();
        if let Some(note) = note {
            let detail = format!(
                "a note of size {} was published, and this database knows no seal of the log",
                note.checkpoint().size()
            );
            outcome.findings.push((root.oid(), None, Finding::general(Problem::TailCut, detail)));
        }
        return Ok(outcome);
    };
    if let Some(note) = note.filter(|note| *note.checkpoint().origin() != tree.origin) {
        return Err(Error::BadArgument {
            message: "the note is not of this log's tree".into(),
            detail: format!("It is of {}, and the log is sealed as {}.", note.checkpoint().origin(), tree.origin),
            hint: "Give a note of that origin; after a restore a log goes on under another (notary.resume).".into(),
        });
    }
    let newest = store::newest_seal(&tree)?;
    let incomparable = Incomparable::of(segments, known.changes);
    let mut comparison = Comparison {
        root: root.oid(),
        known,
        segments,
        tree: &tree,
        partly: false,
        left: 0,
        in_tree: HashSet::new(),
        last_entries: BTreeMap::new(),
        explained: false,
        said: Places::default(),
        incomparable,
        outcome: Outcome::default(),
    };
    comparison.all(newest.as_ref(), note)?;
    Ok(comparison.outcome)
}

pub struct Comparison<'a> {
    pub root: pg_sys::Oid,
    known: Besides<'a>,
    pub segments: &'a Segments,
    pub tree: &'a Tree,
    pub partly: bool,
    pub left: u64,
    in_tree: HashSet<u32>,
    last_entries: BTreeMap<(u32, u32), u64>,
    /// What does not fit was said before, or happened while the log was not protected.
    explained: bool,
    /// What was found here.
    said: Places,
    /// What the journal says cannot be compared any more.
    incomparable: Incomparable,
    pub outcome: Outcome,
}

impl Comparison<'_> {
    fn all(&mut self, newest: Option<&StoredSeal>, note: Option<&Seal>) -> Result<(), Error> {
        let mut references = Vec::new();
        if let Some(note) = note.map(Seal::checkpoint) {
            let what = format!("the note of size {}", note.size());
            references.push(Reference { size: note.size(), root: *note.root(), what });
        }
        if let Some(seal) = newest.filter(|seal| self.is_what_its_note_says(seal)) {
            let what = format!("the seal of size {} from {}", seal.size, Timestamp(seal.at));
            references.push(Reference { size: seal.size, root: seal.root, what });
        }
        // The larger first: what it shows, the smaller need not say again.
        references.sort_by_key(|reference| std::cmp::Reverse(reference.size));
        for reference in &references {
            let before = self.outcome.findings.len();
            self.against(reference)?;
            if self.outcome.findings.len() > before {
                break;
            }
        }
        self.open_end(newest, note)
    }

    fn finding(&mut self, segment: Option<u32>, finding: Finding) {
        let table = segment.and_then(|segment| self.segments.table_of(segment)).unwrap_or(self.root);
        // Beside what was said before, which is searched while this is found.
        self.said.note(table, &finding, true);
        self.outcome.findings.push((table, segment, finding));
    }

    fn is_what_its_note_says(&mut self, seal: &StoredSeal) -> bool {
        let read = seal.read(self.tree);
        if let Err(why) = &read {
            let detail = format!("the seal of size {} in notary.seals is damaged: {why}", seal.size);
            self.finding(None, Finding::general(Problem::Rewritten, detail));
        }
        read.is_ok()
    }

    /// These lines left the log with their table, while it was not protected. The journal says so; a superuser can add to
    /// it, so that it counts only for a segment whose header was sealed, for no more than was sealed of it then, and is told
    /// with the answer.
    fn has_left(&self, range: &Range) -> bool {
        let Range { segment, chain, last_seq, .. } = *range;
        let is_gone = self.segments.table_of(segment).is_none() && !self.known.present.contains(&segment);
        is_gone
            && self.in_tree.contains(&segment)
            && self.known.ended.sealed_end(segment, chain).is_some_and(|end| last_seq <= end)
    }

    fn against(&mut self, reference: &Reference) -> Result<(), Error> {
        // Headers first: their chain is 0.
        let ends = store::last_ranges(self.tree, reference.size)?;
        let lines: u64 = ends.iter().map(|end| if end.chain == 0 { 1 } else { end.last_seq }).sum();
        if lines < reference.size {
            let detail = format!(
                "{} commits to {} lines, and only {lines} are known to be in the tree",
                reference.what, reference.size
            );
            self.finding(None, Finding::general(Problem::TailCut, detail));
            return Ok(());
        }
        let mut fits = lines == reference.size;
        let (mut without_end, mut left) = (Vec::new(), 0);
        let (tree, segments) = (self.tree, self.segments);
        let mut nodes = Nodes::of(tree, segments, reference.size);
        for end in &ends {
            context::check_for_interrupts();
            if end.chain > 0 && self.has_left(end) {
                left += end.last_seq;
                continue;
            }
            let leaf = end.last_leaf();
            let hash =
                segments.hashes_there(end, leaf, leaf + 1).ok().and_then(|hashes| hashes.first().copied().flatten());
            let Some(hash) = hash else {
                without_end.push(*end);
                continue;
            };
            let is_in_tree = is_in(&hash, leaf, reference, &mut nodes)?;
            fits &= is_in_tree;
            if end.chain == 0 && is_in_tree {
                self.in_tree.insert(end.segment);
            }
        }
        self.left = self.left.max(left);
        if fits && without_end.is_empty() {
            return Ok(());
        }
        let findings = self.outcome.findings.len();
        self.explained = false;
        self.locate(reference, &without_end)?;
        if self.outcome.findings.len() == findings && !self.explained {
            let detail =
                format!("{} commits to other lines than those that are known to be in the tree", reference.what);
            self.finding(None, Finding::general(Problem::Rewritten, detail));
        }
        Ok(())
    }

    /// The last sealed entry of a chain is not there.
    fn cut(&mut self, end: &Range, reference: &Reference) {
        let last = self.last_entry(end.segment, end.chain);
        // With later entries behind it, it is missing from the middle, which was said.
        if last < end.last_seq {
            self.not_there(end.segment, end.chain, last + 1, end.last_seq, reference);
        }
    }

    /// These entries are not what was sealed, or are not there: what of that was not said yet, and was not lawful, is a
    /// finding.
    fn not_there(&mut self, segment: u32, chain: u32, first: u64, last: u64, reference: &Reference) {
        let table = self.segments.table_of(segment);
        context::check_for_interrupts();
        let mut known = self.known.places.within(table, chain, first, last);
        known.extend(self.incomparable.within(segment, chain, first, last));
        known.sort_unstable();
        let present = self.last_entry(segment, chain);
        self.partly |= !known.is_empty();
        self.explained |= !known.is_empty();
        for gap in gaps(known, signed(first), signed(last)) {
            self.unlawful(segment, chain, gap, gap.0 > signed(present), reference);
        }
    }

    fn unlawful(&mut self, segment: u32, chain: u32, range: (i64, i64), is_cut: bool, reference: &Reference) {
        if self.known.places.overflowed {
            (self.partly, self.explained) = (true, true);
            return;
        }
        let (seq, to_seq) = range;
        let (problem, detail) = if is_cut {
            let why = format!("missing from the end of the chain: {} commits to them", reference.what);
            (Problem::TailCut, format!("entries {seq} to {to_seq} are {why}"))
        } else {
            let why = format!("not the ones that were sealed: {} commits to other entries", reference.what);
            (Problem::Rewritten, format!("entries {seq} to {to_seq} are {why}"))
        };
        let place = Finding {
            chain: Some(i64::from(chain)),
            seq: Some(seq),
            to_seq: Some(to_seq),
            ..Finding::general(problem, detail)
        };
        self.finding(Some(segment), place);
    }

    /// The seq of a chain's last entry; 0 without any.
    fn last_entry(&mut self, segment: u32, chain: u32) -> u64 {
        if let Some(known) = self.last_entries.get(&(segment, chain)) {
            return *known;
        }
        let last = self.find_last_entry(segment, chain);
        self.last_entries.insert((segment, chain), last);
        last
    }

    fn find_last_entry(&self, segment: u32, chain: u32) -> u64 {
        self.with_chains(segment, |chains| match chains.last(i32::try_from(chain).unwrap_or(0), u32::MAX) {
            Last::Entry(last) => u64::try_from(last.seq).unwrap_or(0),
            Last::None | Last::GaveUp => 0,
        })
        .unwrap_or(0)
    }

    pub fn with_chains<T>(&self, segment: u32, work: impl FnOnce(&mut ChainIndex<'_>) -> T) -> Option<T> {
        let rel = Rel::try_open(self.segments.table_of(segment)?, pg_sys::AccessShareLock)?;
        let columns = NotaryColumns::of(&rel)?;
        let index = chain_index(&rel, &columns)?;
        Some(work(&mut ChainIndex::new(&rel, index, columns)))
    }

    /// Reads all sealed lines in their order, and says which are not those that were sealed.
    fn locate(&mut self, reference: &Reference, without_end: &[Range]) -> Result<(), Error> {
        let kept: u64 = store::kept_tiles(self.tree)?.values().sum();
        let gone = reference.size.saturating_sub(self.known.entries.saturating_add(kept));
        if gone > MAX_SOUGHT {
            for end in without_end {
                self.cut(end, reference);
            }
            let detail =
                format!("{} commits to {} lines, and {gone} of them are nowhere", reference.what, reference.size);
            self.finding(None, Finding::general(Problem::TailCut, detail));
            return Ok(());
        }
        let Some(Compared { root, bad, differing }) = self.compare(reference)? else { return Ok(()) };
        if root == Some(reference.root) {
            let mut lines = BTreeMap::new();
            for (from, to) in &differing {
                self.differ_exactly(*from, *to, &mut lines)?;
            }
            for ((segment, chain), stretches) in lines {
                for (first, last) in stretches {
                    self.not_there(segment, chain, first, last, reference);
                }
            }
            if differing.is_empty() {
                let detail = format!(
                    "what is remembered of the tree, in notary.subtree or notary.leaf_range, was changed; the entries are \
                     those of {}",
                    reference.what
                );
                self.finding(None, Finding::general(Problem::Rewritten, detail));
            }
            return Ok(());
        }
        for end in without_end {
            self.cut(end, reference);
        }
        // Nothing differs from the hashes that are remembered, and yet the root does: they were changed along.
        let bad = if bad.is_empty() { vec![(0, reference.size)] } else { bad };
        for (from, to) in bad {
            self.differ(from, to, reference)?;
        }
        Ok(())
    }

    fn compare(&mut self, reference: &Reference) -> Result<Option<Compared>, Error> {
        let mut blocks = Blocks::new();
        let (tree, segments) = (self.tree, self.segments);
        while blocks.at() < reference.size {
            context::check_for_interrupts();
            let (from, until) = (blocks.at(), reference.size.min(blocks.at() + PIECE));
            let kept = store::subtrees(tree, 0, from, until - from)?;
            for range in &store::ranges(tree, from, until)? {
                let next = blocks.at();
                if range.end() <= next {
                    continue;
                }
                if range.first_leaf > next || next >= until {
                    break;
                }
                let to = until.min(range.end());
                let gone = || vec![None; usize::try_from(to - next).unwrap_or(0)];
                let rows = segments.hashes_there(range, next, to).unwrap_or_else(|_| gone());
                let skip = usize::try_from(next - from).unwrap_or(0);
                blocks.add(tree, &rows, kept.get(skip..).unwrap_or_default())?;
            }
            if blocks.at() < until {
                let leaf = blocks.at();
                let detail = format!("notary.leaf_range does not say which line is leaf {leaf} of {}", reference.what);
                self.finding(None, Finding::general(Problem::Rewritten, detail));
                return Ok(None);
            }
        }
        Ok(Some(blocks.finish()))
    }

    /// Rows do not have these leaves as they were sealed, and exactly these: noted by chain, in stretches.
    fn differ_exactly(&mut self, from: u64, to: u64, lines: &mut Stretches) -> Result<(), Error> {
        for range in store::ranges(self.tree, from, to)?.iter().filter(|range| range.end() > from) {
            if range.chain == 0 {
                let detail = format!("the header of segment {} is not the one that was sealed", range.segment);
                self.finding(Some(range.segment), Finding::general(Problem::Rewritten, detail));
            } else if self.has_left(range) {
                self.explained = true;
            } else {
                let (first, last) = range.seqs_in(from, to);
                let stretches = lines.entry((range.segment, range.chain)).or_default();
                match stretches.last_mut() {
                    Some((_, end)) if *end + 1 == first => *end = last,
                    _ => stretches.push((first, last)),
                }
            }
        }
        Ok(())
    }

    /// The lines of these leaves are not those that were sealed.
    fn differ(&mut self, from: u64, to: u64, reference: &Reference) -> Result<(), Error> {
        let mut chains: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
        for range in store::ranges(self.tree, from, to)?.iter().filter(|range| range.end() > from && range.chain > 0) {
            let (first, last) = range.seqs_in(from, to);
            context::check_for_interrupts();
            let table = self.segments.table_of(range.segment);
            if self.known.places.any_finding_in(table, range.chain, first, last)
                || self.said.any_finding_in(table, range.chain, first, last)
            {
                self.explained = true;
                return Ok(());
            }
            let known = chains.entry((range.segment, range.chain)).or_insert((first, last));
            *known = (known.0.min(first), known.1.max(last));
        }
        let root = format!("{} commits to other entries", reference.what);
        if let (1, Some((&(segment, chain), &(first, last)))) = (chains.len(), chains.first_key_value()) {
            let detail = format!(
                "entries {first} to {last} are not all the ones that were sealed: {root} (leaves {from} to {})",
                to - 1
            );
            let finding = Finding {
                chain: Some(i64::from(chain)),
                seq: Some(signed(first)),
                to_seq: Some(signed(last)),
                ..Finding::general(Problem::Rewritten, detail)
            };
            self.finding(Some(segment), finding);
            return Ok(());
        }
        let named: Vec<_> = chains
            .iter()
            .take(MAX_NAMED)
            .map(|((segment, chain), (first, last))| format!("segment {segment}, chain {chain}, seq {first} to {last}"))
            .collect();
        let more = if chains.len() > MAX_NAMED {
            format!("; and {} chains more", chains.len() - MAX_NAMED)
        } else {
            String::new()
        };
        let detail = format!(
            "some of the leaves {from} to {} are not the ones that were sealed: {root}. They are {}{more}",
            to - 1,
            named.join("; ")
        );
        self.finding(None, Finding::general(Problem::Rewritten, detail));
        Ok(())
    }
}

/// Entries by segment and chain: from seq, to seq.
type Stretches = BTreeMap<(u32, u32), Vec<(u64, u64)>>;

/// If more lines than these are gone, no hash of them is looked for one by one: a size can be made up.
const MAX_SOUGHT: u64 = 1 << 27;

/// Chains named in one finding.
const MAX_NAMED: usize = 10;
/// Leaves that are located at a time: full tiles.
const PIECE: u64 = 256 * 64;

/// Is the line with this hash the leaf that it should be?
fn is_in(hash: &Digest, leaf: u64, reference: &Reference, nodes: &mut Nodes<'_>) -> Result<bool, Error> {
    match nodes.path(&merkle::leaf(hash), leaf, &reference.root) {
        Ok(path) => Ok(path.is_some()),
        Err(NoNode::Damage(_)) => Ok(false),
        Err(NoNode::Failed(error)) => Err(error),
    }
}
