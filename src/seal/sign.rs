//! The second step of a seal: the lines that were planned are hashed again from their rows, and the tree is signed.
//!
//! Invariants: the tree of the last seal is believed only because its root is in that seal, which our own key signed; a
//! new entry follows one that is in that tree, or is the first of its chain; no line is signed whose stored hash is not
//! its own.

use super::keys::LogKeys;
use super::{damaged, not_at_home};
use crate::error::Error;
use crate::pg::context::{self, as_superuser};
use crate::pg::relation::Rel;
use crate::pg::spi;
use crate::tree::Tree;
use crate::tree::nodes::{NoNode, Nodes};
use crate::tree::segments::{Damage, Segments, Table};
use crate::tree::store::{self, Range, StoredSeal};
use notary_core::Digest;
use notary_core::checkpoint::Checkpoint;
use notary_core::merkle::{self, Frontier};
use notary_core::seal::Seal;
use serde_json::json;
use std::collections::BTreeMap;

/// Signs what was planned, and returns the seal; the last one where nothing is new.
pub fn sign(rel: &Rel, segments: &Segments) -> Result<String, Error> {
    let tree = super::sealed_tree(rel, segments)?;
    if !tree.is_at_home()? {
        return Err(not_at_home(rel, "The server's timeline changed meanwhile.".into()));
    }
    let last = store::newest_seal(&tree)?;
    let keys = LogKeys::of(&tree.origin)?;
    let old = last.as_ref().map(|last| believed(rel, &tree, last)).transpose()?;
    let signers = match (&keys, &old) {
        (Some(keys), old) => keys.to_sign_after(old.as_ref())?,
        (None, Some(old)) if old.note().is_some() => return Err(no_key(rel)),
        (None, _) => Vec::new(),
    };
    let mut grown = Grown::from(rel, segments, &tree, last.as_ref())?;
    grown.by(rel, u64::MAX).map_err(|why| damaged(rel, "was not sealed", why))?;
    let unchanged = last.as_ref().filter(|last| last.size == grown.frontier.size());
    // With nothing new the last seal is given again; but with another secret it is signed by that too, so that every log
    // that is sealed once has done with the old one.
    if let (Some(last), Some(seal)) = (unchanged, &old)
        && keys.as_ref().is_none_or(|keys| keys.has_signed(seal))
    {
        return Ok(last.note.clone());
    }
    let (size, root) = (grown.frontier.size(), grown.frontier.root());
    let checkpoint =
        Checkpoint::new(tree.origin.clone(), size, root).map_err(|why| damaged(rel, "was not sealed", why))?;
    let seal = match signers.as_slice() {
        [] => Seal::unsigned(checkpoint),
        signers => Seal::sign(checkpoint, signers).map_err(|why| Error::KeyFile {
            message: format!("{} was not sealed", rel.qualified()),
            detail: format!("The signature failed: {why}."),
            hint: "The key file, or the machine, is faulty.".into(),
        })?,
    };
    let note = seal.to_string();
    let signed_by = signers.iter().map(|key| key.verifier().to_string()).collect();
    if unchanged.is_some() {
        store::put_note(&tree, size, &note, signed_by)?;
    } else {
        grown.store()?;
        store::put_seal(&tree, &grown.frontier, &note, signed_by)?;
    }
    notify(rel, &tree, size)?;
    Ok(note)
}

fn no_key(rel: &Rel) -> Error {
    Error::KeyFile {
        message: format!("{} was not sealed: its seals are signed, and there is no key now", rel.qualified()),
        detail: "notary.signing_key_file is not set.".into(),
        hint: "Set it to the file that the last seal was signed with.".into(),
    }
}

/// The last seal, as its note says it.
fn believed(rel: &Rel, tree: &Tree, last: &StoredSeal) -> Result<Seal, Error> {
    last.read(tree)
        .map_err(|why| damaged(rel, "was not sealed", format!("the last seal in notary.seals is damaged: {why}")))
}

/// `NOTIFY notary_seal`, which goes out with the commit.
fn notify(rel: &Rel, tree: &Tree, size: u64) -> Result<(), Error> {
    let payload = json!({ "log": rel.qualified(), "uuid": tree.log.to_string(), "size": size }).to_string();
    as_superuser(|| spi::run("SELECT pg_catalog.pg_notify('notary_seal', $1)", &[payload.as_str().into()])).map(|_| ())
}

/// A tree that grows by what was planned.
pub struct Grown<'a> {
    tree: &'a Tree,
    segments: &'a Segments,
    pub frontier: Frontier,
    /// The hash of the last sealed entry of each chain of each segment.
    ends: BTreeMap<(u32, u32), Digest>,
    /// New complete subtrees of 256^level leaves: the first one's number, and their hashes.
    subtrees: BTreeMap<u8, (u64, Vec<Digest>)>,
}

impl<'a> Grown<'a> {
    /// Begins with the tree of the last seal.
    pub fn from(rel: &Rel, segments: &'a Segments, tree: &'a Tree, last: Option<&StoredSeal>) -> Result<Self, Error> {
        let mut grown =
            Self { tree, segments, frontier: Frontier::new(), ends: BTreeMap::new(), subtrees: BTreeMap::new() };
        if let Some(last) = last {
            grown.begin(last).map_err(|why| match why {
                NoNode::Damage(why) => damaged(rel, "was not sealed", why),
                NoNode::Failed(error) => error,
            })?;
        }
        Ok(grown)
    }

    /// The tree of the last seal: its root must be the seal's, and each chain must end in it where it is said to. A chain
    /// that were said to be longer than it is in the tree would not; so, with the right sum, none is said to be shorter.
    fn begin(&mut self, last: &StoredSeal) -> Result<(), NoNode> {
        let (tree, segments) = (self.tree, self.segments);
        let mut nodes = Nodes::of(tree, segments, last.size);
        self.frontier = Frontier::load(last.size, |node| nodes.get(node))?;
        if self.frontier.root() != last.root {
            return Err(NoNode::Damage(format!(
                "the sealed part has another root: at size {} the seal has {}, and the entries have {}",
                last.size,
                last.root,
                self.frontier.root()
            )));
        }
        let ends = store::last_ranges(tree, last.size).map_err(NoNode::Failed)?;
        let lines: u64 = ends.iter().map(|end| if end.chain == 0 { 1 } else { end.last_seq }).sum();
        if lines != last.size {
            let why = format!("what is remembered of the tree has {lines} lines, and the last seal has {}", last.size);
            return Err(NoNode::Damage(why));
        }
        for end in ends {
            context::check_for_interrupts();
            let leaf = end.last_leaf();
            let proved = segments.hashes(&end, leaf, leaf + 1).map_err(NoNode::Damage).and_then(|hashes| {
                let hash = hashes.first().copied().unwrap_or(Digest::new([0; 32]));
                match nodes.path(&merkle::leaf(&hash), leaf, &last.root)? {
                    Some(_) => Ok(hash),
                    None => {
                        let place = format!("segment {}, chain {}, seq {}", end.segment, end.chain, end.last_seq);
                        let why = format!("{place} has the hash {hash}, which is not the one that was sealed");
                        Err(NoNode::Damage(why))
                    }
                }
            });
            match proved {
                Ok(hash) => {
                    self.ends.insert((end.segment, end.chain), hash);
                }
                // Of segments that ended entries may have gone, while the log was not protected; none follows them.
                Err(NoNode::Damage(_)) if !segments.is_current(end.segment) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Adds the lines that were planned, up to this size.
    pub fn by(&mut self, rel: &Rel, size: u64) -> Result<(), Damage> {
        let mut open: BTreeMap<u32, Table> = BTreeMap::new();
        let start = self.frontier.size();
        let ranges = store::ranges(self.tree, start, size).map_err(|why| why.to_string())?;
        for range in ranges.into_iter().filter(|range| range.end() > start) {
            if range.first_leaf != self.frontier.size() || range.end() > size {
                return Err(format!("what is planned does not go on at leaf {} of the tree", self.frontier.size()));
            }
            let header = self.segments.header(range.segment);
            let header = header.ok_or_else(|| format!("the header of segment {} is not known", range.segment))?;
            if range.chain == 0 {
                self.append(&header.hash())?;
                continue;
            }
            let table = match open.entry(range.segment) {
                std::collections::btree_map::Entry::Occupied(table) => table.into_mut(),
                std::collections::btree_map::Entry::Vacant(slot) => slot.insert(self.segments.open(range.segment)?),
            };
            let before = match range.first_seq {
                1 => header.hash(),
                seq => *self.ends.get(&(range.segment, range.chain)).ok_or_else(|| {
                    format!("{}: chain {}, seq {} is in no seal", rel.qualified(), range.chain, seq - 1)
                })?,
            };
            self.lines(table, &range, before)?;
        }
        Ok(())
    }

    fn lines(&mut self, table: &Table, range: &Range, before: Digest) -> Result<(), Damage> {
        let mut prev = before;
        table.lines(range.chain, range.first_seq, range.last_seq, |line| {
            let place = &line.place;
            let at = || format!("{}: chain {}, seq {}", table.rows.table().qualified(), place.chain, place.seq);
            if place.segment != range.segment {
                return Err(format!("{} belongs to segment {}, not {}", at(), place.segment, range.segment));
            }
            if place.prev != prev {
                return Err(format!("{} follows {}, and the entry before it is {prev}", at(), place.prev));
            }
            let computed = Digest::of(line.bytes);
            if line.hash != Some(computed) {
                let stored = line.hash.map_or_else(|| "no hash".to_owned(), |hash| format!("the hash {hash}"));
                return Err(format!("{} hashes to {computed} and has {stored}", at()));
            }
            prev = computed;
            self.append(&computed)
        })
    }

    fn append(&mut self, line: &Digest) -> Result<(), Damage> {
        let subtrees = &mut self.subtrees;
        self.frontier
            .append_noting(merkle::leaf(line), |node, hash| {
                if node.level > 0 && node.level % 8 == 0 {
                    subtrees.entry(node.level / 8).or_insert_with(|| (node.index, Vec::new())).1.push(*hash);
                }
            })
            .map_err(|why| why.to_string())?;
        Ok(())
    }

    /// Stores the subtrees that are complete now.
    pub fn store(&self) -> Result<(), Error> {
        for (level, (first, hashes)) in &self.subtrees {
            store::put_subtrees(self.tree, *level, *first, hashes)?;
        }
        Ok(())
    }
}
