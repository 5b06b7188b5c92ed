//! `notary-verify bundle`: a directory of evidence, and that all of it fits together.
//!
//! Invariants: every file is accounted for, so that nothing in a bundle looks checked and is not. No symbolic
//! link is followed, nothing but plain files is opened.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use notary_core::Seal;

use crate::Trouble;
use crate::args::BundleArgs;
use crate::input::{Source, shown};
use crate::report::Complaint;
use crate::session::Session;
use crate::{consistency, export, notes, proof};

/// What a bundle may hold for people.
const FOR_PEOPLE: [&str; 3] = ["README", "README.md", "README.txt"];

/// The files of a bundle, by what they are.
#[derive(Default)]
struct Bundle {
    export: Option<Source>,
    keys: Option<Source>,
    /// By name without the suffix.
    notes: BTreeMap<String, Source>,
    proofs: Vec<Source>,
    /// With the names of the older and the newer note.
    consistency: Vec<(Source, String, String)>,
}

/// Checks a bundle.
pub fn run(args: &BundleArgs, session: &mut Session) -> Result<(), Trouble> {
    let bundle = Bundle::list(&args.directory, session)?;
    if bundle.export.is_none() && bundle.notes.is_empty() && bundle.proofs.is_empty() {
        return Err(Trouble(format!("{}: no export, note or proof in it", shown(&args.directory))));
    }
    match &bundle.keys {
        Some(keys) if !session.has_keys() => session.use_keys_of_bundle(keys)?,
        Some(keys) => session.report.remark(format!("{}: not used, since keys were given", keys.name())),
        None if !session.has_keys() && !session.trust().unsigned => {
            return Err(Trouble("no key to check signatures with: give --keys or --key, or --unsigned".to_owned()));
        }
        None => {}
    }
    let mut seals: BTreeMap<&str, Option<Seal>> = BTreeMap::new();
    for (name, file) in &bundle.notes {
        seals.insert(name, notes::read(file, session)?.map(|(seal, _)| seal));
    }
    for file in &bundle.proofs {
        proof::check(file, None, false, session)?;
    }
    for (file, old, new) in &bundle.consistency {
        let missing = [old, new].into_iter().find(|name| !seals.contains_key(name.as_str()));
        if let Some(name) = missing {
            let why = format!("there is no notes/{name}.note");
            session.report.problem(Complaint::of_file(&file.name(), "no_such_note", why));
        } else if let (Some(Some(old)), Some(Some(new))) = (seals.get(old.as_str()), seals.get(new.as_str())) {
            consistency::check(file, old, new, session)?;
        }
    }
    match &bundle.export {
        Some(file) => {
            let notes_given = !bundle.notes.is_empty() || !bundle.proofs.is_empty();
            export::check(file, args.allow_uncovered, notes_given, session)
        }
        None => {
            session.report.remark("no export: of the log's lines only those in proofs were checked".to_owned());
            let size = |name: &String| seals.get(name.as_str())?.as_ref().map(|seal| seal.checkpoint().size());
            let links = bundle.consistency.iter().filter_map(|(_, old, new)| size(old).zip(size(new)));
            unlinked(&links.collect::<Vec<_>>(), session);
            Ok(())
        }
    }
}

/// Without an export, seals of different sizes belong to one history only as far as consistency proofs lead from one to
/// the other: where none does, that is said.
fn unlinked(links: &[(u64, u64)], session: &mut Session) {
    let mut apart: BTreeMap<u64, String> = BTreeMap::new();
    for believed in session.believed() {
        apart.entry(believed.checkpoint.size()).or_insert_with(|| believed.file.clone());
    }
    let Some(first) = apart.keys().next().copied() else { return };
    let mut reached = vec![first];
    while let Some(size) = reached.pop() {
        apart.remove(&size);
        let others = links.iter().filter_map(|&(old, new)| match size {
            size if size == old => Some(new),
            size if size == new => Some(old),
            _ => None,
        });
        reached.extend(others.filter(|other| apart.contains_key(other)));
    }
    for (size, file) in apart {
        session.report.unvouched(format!(
            "{file}: no consistency proof leads from it, size {size}, to the seal of size {first}: nothing shows that they \
             are of one history"
        ));
    }
}

impl Bundle {
    fn list(directory: &Path, session: &mut Session) -> Result<Self, Trouble> {
        let mut bundle = Self::default();
        for path in entries(directory)? {
            let Some(name) = file_name(&path, session) else { continue };
            let is_directory = kind(&path)?.is_dir();
            let file = Source::File(path.clone());
            match name {
                "notes" | "proofs" | "consistency" if is_directory => {
                    for inner in entries(&path)? {
                        bundle.sort(name, &inner, session)?;
                    }
                }
                _ if !is_plain(&path, session)? => {}
                "export.jsonl" => bundle.export = Some(file),
                "keys" => bundle.keys = Some(file),
                name if FOR_PEOPLE.contains(&name) => {
                    session.report.remark(format!("{}: for people, not checked", file.name()));
                }
                _ => unknown(&path, session),
            }
        }
        Ok(bundle)
    }

    /// A file in one of the three directories.
    fn sort(&mut self, directory: &str, path: &Path, session: &mut Session) -> Result<(), Trouble> {
        if !is_plain(path, session)? {
            return Ok(());
        }
        let Some(name) = file_name(path, session) else { return Ok(()) };
        let file = Source::File(path.to_owned());
        let stem = |suffix| name.strip_suffix(suffix).filter(|stem| !stem.is_empty());
        match directory {
            "notes" if let Some(stem) = stem(".note") => {
                if let Some(other) = self.notes.insert(stem.to_owned(), file) {
                    let why = format!("its name is that of {}, which was not checked", other.name());
                    session.report.problem(Complaint::of_file(&shown(path), "unknown_file", why));
                }
            }
            "proofs" if stem(".proof").is_some() => self.proofs.push(file),
            "consistency" if let Some((old, new)) = stem(".consistency").and_then(|stem| stem.split_once("..")) => {
                self.consistency.push((file, old.to_owned(), new.to_owned()));
            }
            _ => unknown(path, session),
        }
        Ok(())
    }
}

/// What is in a directory, by name.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let unreadable = |error| Trouble(format!("cannot read {}: {error}", shown(directory)));
    let entries = fs::read_dir(directory).map_err(unreadable)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// A name that is not UTF-8 is none that a bundle knows: two of them could look like one.
fn file_name<'p>(path: &'p Path, session: &mut Session) -> Option<&'p str> {
    let name = path.file_name().and_then(OsStr::to_str);
    if name.is_none() {
        let why = "its name is not UTF-8: no part of a bundle, and it was not checked";
        session.report.problem(Complaint::of_file(&shown(path), "unknown_file", why.to_owned()));
    }
    name
}

/// What stands there itself, not what a link leads to.
fn kind(path: &Path) -> Result<fs::FileType, Trouble> {
    let about = fs::symlink_metadata(path);
    about.map(|about| about.file_type()).map_err(|error| Trouble(format!("cannot read {}: {error}", shown(path))))
}

fn is_plain(path: &Path, session: &mut Session) -> Result<bool, Trouble> {
    let kind = kind(path)?;
    let why = match kind {
        kind if kind.is_file() => return Ok(true),
        kind if kind.is_symlink() => "a symbolic link: a bundle holds all that belongs to it",
        kind if kind.is_dir() => "a directory that a bundle does not have",
        _ => "not a plain file",
    };
    session.report.problem(Complaint::of_file(&shown(path), "not_a_file", why.to_owned()));
    Ok(false)
}

fn unknown(path: &Path, session: &mut Session) {
    let why = "no part of a bundle: nothing says what it is, and it was not checked";
    session.report.problem(Complaint::of_file(&shown(path), "unknown_file", why.to_owned()));
}
