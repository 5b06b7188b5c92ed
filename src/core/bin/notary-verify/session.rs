//! One run: whom the caller trusts, what is remembered, and the report so far.
//!
//! Invariants: keys come from the caller; those of a bundle are used only if he brought none, and are never
//! enough for exit code 0. A note is remembered only if a key of the caller's signed it and nothing was wrong.

use std::collections::{BTreeMap, BTreeSet};

use notary_core::key::{Keys, TrustedKey};
use notary_core::note::{NoteError, Signature};
use notary_core::seal::{SealError, Standing, Trust};
use notary_core::{Checkpoint, Origin, Seal};

use crate::Trouble;
use crate::args::{Args, Command};
use crate::input::{Source, altered};
use crate::report::{Complaint, NoteFacts, Report, Verdict};
use crate::state::State;

/// The longest file of keys that is read.
const MAX_KEYS: usize = 1 << 24;

/// One run.
pub struct Session {
    /// What was found so far.
    pub report: Report,
    /// Whether to show progress.
    pub progress: bool,
    keys: Keys,
    unsigned: bool,
    origin: Option<Origin>,
    state: Option<State>,
    /// The export was compared with what the state had in the beginning.
    compared: bool,
    believed: Vec<Believed>,
    /// The keys are those of the bundle that is checked.
    keys_of_bundle: bool,
}

/// A checkpoint that holds, as far as signatures go.
#[derive(Clone)]
pub struct Believed {
    /// The file it stood in.
    pub file: String,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Whether a key that the caller brought signed it.
    signed: bool,
}

impl Session {
    /// Reads keys and state.
    pub fn new(args: &Args) -> Result<Self, Trouble> {
        if args.reads_stdin_twice() {
            return Err(Trouble("standard input can be read only once".to_owned()));
        }
        let mut keys = args.key.clone();
        for file in &args.keys {
            keys.extend(read_keys(file)?.as_slice().iter().cloned());
        }
        let keys = keys_of(keys)?;
        let none = keys.as_slice().is_empty();
        if none && !args.unsigned && !matches!(args.command, Command::Bundle(_)) {
            return Err(Trouble("no key to check signatures with: give --keys or --key, or --unsigned".to_owned()));
        }
        Ok(Self {
            report: Report::new(args.max_problems),
            progress: !args.quiet,
            keys,
            unsigned: args.unsigned,
            origin: args.origin.clone(),
            state: args.state.as_deref().map(State::read).transpose()?,
            compared: false,
            believed: Vec::new(),
            keys_of_bundle: false,
        })
    }

    /// Whether the caller brought any key.
    pub fn has_keys(&self) -> bool {
        !self.keys.as_slice().is_empty()
    }

    /// Takes the keys of a bundle, for want of others.
    pub fn use_keys_of_bundle(&mut self, file: &Source) -> Result<(), Trouble> {
        self.keys = read_keys(file)?;
        self.keys_of_bundle = true;
        self.report.unvouched(format!(
            "the keys are those of the bundle itself, {}: whoever made the bundle can have made them. \
             Get the key from the log's owner and give it with --keys",
            file.name()
        ));
        Ok(())
    }

    /// Whom to trust.
    pub const fn trust(&self) -> Trust<'_> {
        Trust { keys: &self.keys, unsigned: self.unsigned }
    }

    /// Whether a seal is to be believed; if not, the report has a problem.
    pub fn believe(&mut self, file: &str, seal: &Seal) -> Option<Believed> {
        let standing = seal.verify(self.trust()).map(|standing| match standing {
            Standing::Signed(signers) => signers.iter().map(|key| format!("{}+{}", key.name(), key.id())).collect(),
            Standing::Unsigned => Vec::new(),
        });
        let signers: Vec<String> = match standing {
            Ok(signers) => signers,
            Err(error) => {
                let why = match error {
                    SealError::Note(NoteError::NoKnownKey) => self.strangers(seal),
                    _ => error.to_string(),
                };
                self.report.problem(Complaint::of_file(file, seal_problem(&error), why));
                return None;
            }
        };
        let checkpoint = seal.checkpoint().clone();
        let expected = self.origin.get_or_insert_with(|| checkpoint.origin().clone());
        if checkpoint.origin() != expected {
            let why = format!("it is of {}, not of {expected}", checkpoint.origin());
            self.report.problem(Complaint::of_file(file, "other_origin", why));
            return None;
        }
        if signers.is_empty() {
            self.report.unvouched(format!("{file}: unsigned, as far as the keys go that were given"));
        }
        let other = |other: &&Believed| {
            other.checkpoint.size() == checkpoint.size() && other.checkpoint.root() != checkpoint.root()
        };
        if let Some(Believed { file: other, .. }) = self.believed.iter().find(other) {
            let why =
                format!("{other} has another root for size {}: the log was forked or rewritten", checkpoint.size());
            self.report.problem(Complaint::of_file(file, "two_roots", why));
        }
        self.report.origin = Some(checkpoint.origin().clone());
        let believed = Believed { file: file.to_owned(), signed: !signers.is_empty(), checkpoint };
        self.report.notes.push(NoteFacts { file: file.to_owned(), checkpoint: believed.checkpoint.clone(), signers });
        self.believed.push(believed.clone());
        Some(believed)
    }

    /// Who signed a note that no key vouches for, and why the keys that were given do not.
    fn strangers(&self, seal: &Seal) -> String {
        let (origin, size) = (seal.checkpoint().origin().as_str(), seal.checkpoint().size());
        let signatures = seal.note().map_or(&[][..], |note| note.signatures());
        let given = self.keys.as_slice();
        for Signature { name, id, .. } in signatures {
            let same = |trusted: &&TrustedKey| trusted.key.name() == name && trusted.key.id() == *id;
            if let Some(last) = given.iter().find(same).and_then(|trusted| trusted.last_size) {
                return format!("no known key signed the note: {id} counts up to size {last}, and this is size {size}");
            }
        }
        // What others have signed besides, witnesses for one, is of interest only if the log has not.
        let is_own = |signature: &Signature| signature.name == origin;
        let has_own = signatures.iter().any(is_own);
        let ids: BTreeSet<String> = signatures
            .iter()
            .filter(|signature| !has_own || is_own(signature))
            .map(|signature| signature.id.to_string())
            .collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let one = if ids.len() == 1 { "that one" } else { "one of them" };
        let keys = if given.len() == 1 {
            "the 1 key given is not".to_owned()
        } else {
            format!("none of the {} keys given is", given.len())
        };
        format!("no known key signed the note: it bears a signature by {}; {keys} {one}", ids.join(" and "))
    }

    /// All checkpoints that are believed so far.
    pub fn believed(&self) -> &[Believed] {
        &self.believed
    }

    /// The newest checkpoint that is remembered of the origin at hand, and the file it is remembered in: for an export to
    /// be compared with, so that another one will not do at the end.
    pub fn remembered(&mut self) -> Option<(String, Checkpoint)> {
        self.compared = true;
        let state = self.state.as_ref()?;
        let checkpoint = state.get(self.report.origin.as_ref()?)?;
        Some((state.name(), checkpoint.clone()))
    }

    /// The report, after what is remembered was compared and brought up to date.
    pub fn finish(mut self) -> Result<Report, Trouble> {
        let Some(before) = self.state.take() else {
            return Ok(self.report);
        };
        // Held to the end, so that of two runs at once the later sees what the earlier wrote.
        let mut state = before.lock()?;
        let changed = |origin| before.get(origin) != state.get(origin);
        if self.compared && self.report.verdict() != Verdict::Wrong && self.report.origin.as_ref().is_some_and(changed)
        {
            return Err(Trouble(format!("{}: the state changed meanwhile: run it again", state.name())));
        }
        let mut newest: BTreeMap<&Origin, &Believed> = BTreeMap::new();
        for believed in &self.believed {
            if let Some(why) = state.contradicts(&believed.checkpoint) {
                self.report.problem(Complaint::of_file(&believed.file, "other_root_than_remembered", why));
            }
            let entry = newest.entry(believed.checkpoint.origin()).or_insert(believed);
            if entry.checkpoint.size() < believed.checkpoint.size() {
                *entry = believed;
            }
        }
        for believed in newest.values() {
            self.report.incarnations(&state, believed);
            if let Some(why) = state.larger_than(&believed.checkpoint) {
                self.report.problem(Complaint::of_file(&believed.file, "smaller_than_remembered", why));
            }
        }
        if self.report.verdict() != Verdict::Wrong {
            let signed = self.believed.iter().filter(|believed| believed.signed && !self.keys_of_bundle);
            state.remember(signed.map(|believed| &believed.checkpoint))?;
        }
        Ok(self.report)
    }
}

impl Report {
    /// A log under another incarnation's name has no past that the remembered note could be held against: an earlier one
    /// is refused, and of a later one it is said, once.
    fn incarnations(&mut self, state: &State, believed: &Believed) {
        let seen = &believed.checkpoint;
        let Some(known) = state.other_incarnation(seen) else { return };
        let file = state.name();
        if known.origin().incarnation() > seen.origin().incarnation() {
            let why = format!("{file} remembers a later incarnation of the log, {}", known.origin());
            self.problem(Complaint::of_file(&believed.file, "smaller_than_remembered", why));
        } else if state.get(seen.origin()).is_none() {
            self.unvouched(format!(
                "{}: the log was begun anew as {}. Nothing here shows that it holds what {file} remembers of {}, size {}; ask \
                 why, and keep that note",
                believed.file,
                seen.origin(),
                known.origin(),
                known.size()
            ));
        }
    }
}

fn read_keys(file: &Source) -> Result<Keys, Trouble> {
    let bytes = file.read_text(MAX_KEYS)?;
    let text = String::from_utf8(bytes).map_err(|_| file.trouble("not UTF-8"))?;
    let keys = Keys::parse(&text).map_err(|(line, error)| match altered(text.as_bytes()) {
        Some(what) => file.trouble(what),
        None => Trouble(format!("{} line {line}: {error}", file.name())),
    })?;
    if keys.as_slice().is_empty() { Err(file.trouble("no key in it")) } else { Ok(keys) }
}

fn keys_of(keys: Vec<TrustedKey>) -> Result<Keys, Trouble> {
    Keys::new(keys).map_err(|error| Trouble(error.to_string()))
}

/// The name for programs of why a seal is not believed.
const fn seal_problem(error: &SealError) -> &'static str {
    match error {
        SealError::Unsigned => "unsigned",
        SealError::NotByTheLog | SealError::Note(NoteError::NoKnownKey) => "no_known_key",
        SealError::Note(NoteError::BadSignature { .. }) => "bad_signature",
        _ => "bad_note",
    }
}
