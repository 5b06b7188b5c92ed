//! The report: what was found, as text and as JSON.
//!
//! Invariant: the verdict follows from what was noted, and whatever is a problem is counted even if it is
//! not printed.

use std::fmt::Write as _;

use notary_core::export::Finding;
use notary_core::{Checkpoint, Digest, Origin};
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::input::shown_json;

/// What all of it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All is right, and keys of the caller's vouch for all of it.
    Good,
    /// Something is not right.
    Wrong,
    /// Nothing is wrong, but not all is vouched for.
    Unvouched,
}

/// What was found.
pub struct Report {
    /// The origin that all of it is of.
    pub origin: Option<Origin>,
    /// The export, once it was read.
    pub export: Option<ExportFacts>,
    /// The notes that are believed, those in proofs included.
    pub notes: Vec<NoteFacts>,
    /// The proofs that hold.
    pub proofs: Vec<ProofFacts>,
    /// The consistency proofs that hold.
    pub consistency: Vec<ConsistencyFacts>,
    problems: Vec<Complaint>,
    found: u64,
    most: usize,
    unvouched: Vec<String>,
    warnings: Vec<String>,
    remarks: Vec<String>,
}

/// An export that was read to its end.
pub struct ExportFacts {
    pub file: String,
    pub bytes: u64,
    pub lines: u64,
    pub segments: usize,
    pub chains: usize,
    pub root: Digest,
}

/// A note that is believed.
pub struct NoteFacts {
    pub file: String,
    pub checkpoint: Checkpoint,
    /// Known keys that signed, as name and id; none if it is unsigned.
    pub signers: Vec<String>,
}

/// A proof that holds.
pub struct ProofFacts {
    pub file: String,
    pub index: u64,
    /// Segment, chain and seq.
    pub place: (u32, u32, u64),
    pub time: String,
    pub hash: Digest,
    /// Only if it is to be shown.
    pub line: Option<String>,
}

/// A consistency proof that holds.
pub struct ConsistencyFacts {
    pub file: String,
    pub old: u64,
    pub new: u64,
}

/// A problem.
pub struct Complaint {
    /// The file that has it.
    pub file: String,
    /// The line of an export, from 1.
    pub line: Option<u64>,
    /// Segment, chain and seq, if the line names them.
    pub place: Option<(u32, u32, u64)>,
    /// Its name for programs.
    pub kind: &'static str,
    /// Why, in words.
    pub why: String,
}

impl Complaint {
    /// A problem of a file as a whole.
    pub fn of_file(file: &str, kind: &'static str, why: String) -> Self {
        Self { file: file.to_owned(), line: None, place: None, kind, why }
    }

    /// A problem of one line of an export.
    pub fn of(file: &str, finding: Finding) -> Self {
        let Finding { line, place, problem } = finding;
        Self { file: file.to_owned(), line: Some(line), place, kind: problem.name(), why: problem.to_string() }
    }

    fn text(&self) -> String {
        let line = self.line.map(|line| format!(" line {line}")).unwrap_or_default();
        let place = self.place.map(|(segment, chain, seq)| match (chain, seq) {
            (0, 0) => format!(" header of segment {segment}:"),
            _ => format!(" segment {segment} chain {chain} seq {seq}:"),
        });
        format!("{}{line}:{} {}", self.file, place.unwrap_or_default(), self.why)
    }

    fn json(&self) -> Value {
        let Self { file, line, place, kind, why } = self;
        let (segment, chain, seq) = place.map_or((None, None, None), |(a, b, c)| (Some(a), Some(b), Some(c)));
        json!({
            "file": file, "line": line, "segment": segment, "chain": chain, "seq": seq, "problem": kind, "why": why,
        })
    }
}

impl Verdict {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Wrong => 1,
            Self::Unvouched => 3,
        }
    }

    /// The verdict's name for programs.
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wrong => "wrong",
            Self::Unvouched => "unvouched",
        }
    }
}

impl Report {
    /// Nothing found yet; it will print at most so many problems.
    pub const fn new(most: usize) -> Self {
        Self {
            origin: None,
            export: None,
            notes: Vec::new(),
            proofs: Vec::new(),
            consistency: Vec::new(),
            problems: Vec::new(),
            found: 0,
            most,
            unvouched: Vec::new(),
            warnings: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Something is wrong.
    pub fn problem(&mut self, complaint: Complaint) {
        self.found += 1;
        if self.problems.len() < self.most {
            self.problems.push(complaint);
        }
    }

    /// Something is not vouched for by a key of the caller's.
    pub fn unvouched(&mut self, why: String) {
        self.unvouched.push(why);
    }

    /// Something that a reader must know beside the problems.
    pub fn warning(&mut self, why: String) {
        self.warnings.push(why);
    }

    /// Something that was not looked at, and need not be.
    pub fn remark(&mut self, what: String) {
        self.remarks.push(what);
    }

    /// What all of it comes to.
    pub const fn verdict(&self) -> Verdict {
        match (self.found, self.unvouched.is_empty()) {
            (0, true) => Verdict::Good,
            (0, false) => Verdict::Unvouched,
            _ => Verdict::Wrong,
        }
    }

    /// One fact, problem or warning a line, the verdict last.
    pub fn text(&self, quiet: bool) -> String {
        let mut lines = if quiet { Vec::new() } else { self.facts() };
        lines.extend(self.warnings.iter().chain(&self.unvouched).map(|why| format!("warning: {why}")));
        lines.extend(self.problems.iter().map(Complaint::text));
        let hidden = self.found - self.problems.len() as u64;
        if hidden > 0 {
            let problems = if hidden == 1 { "problem" } else { "problems" };
            lines.push(format!("… and {hidden} more {problems}"));
        }
        let verdict = match self.verdict() {
            Verdict::Good if quiet => String::new(),
            Verdict::Good => "good".to_owned(),
            Verdict::Unvouched => "nothing is wrong, but not all of it is vouched for: see the warnings".to_owned(),
            Verdict::Wrong if self.found == 1 => "WRONG: 1 problem".to_owned(),
            Verdict::Wrong => format!("WRONG: {} problems", self.found),
        };
        lines.push(verdict);
        lines.iter().filter(|line| !line.is_empty()).fold(String::new(), |all, line| all + line + "\n")
    }

    /// One object, on one line.
    pub fn json(&self, command: &str) -> String {
        let export = self.export.as_ref().map(|export| {
            let ExportFacts { file, bytes, lines, segments, chains, root } = export;
            json!({
                "file": file, "bytes": bytes, "lines": lines, "segments": segments, "chains": chains,
                "root": base64(root),
            })
        });
        let notes = self.notes.iter().map(|NoteFacts { file, checkpoint, signers }| {
            json!({
                "file": file, "origin": checkpoint.origin().as_str(), "size": checkpoint.size(),
                "root": base64(checkpoint.root()), "signers": signers,
            })
        });
        let proofs = self.proofs.iter().map(|proof| {
            let ProofFacts { file, index, place: (segment, chain, seq), time, hash, line } = proof;
            json!({
                "file": file, "index": index, "segment": segment, "chain": chain, "seq": seq, "time": time,
                "hash": hash.to_string(), "line": line,
            })
        });
        let consistency = self
            .consistency
            .iter()
            .map(|ConsistencyFacts { file, old, new }| json!({ "file": file, "old_size": old, "new_size": new }));
        let warnings: Vec<_> = self.warnings.iter().chain(&self.unvouched).collect();
        let object = json!({
            "program": "notary-verify",
            "version": env!("CARGO_PKG_VERSION"),
            "command": command,
            "verdict": self.verdict().name(),
            "exit_code": self.verdict().code(),
            "origin": self.origin.as_ref().map(Origin::as_str),
            "export": export,
            "notes": notes.collect::<Vec<_>>(),
            "proofs": proofs.collect::<Vec<_>>(),
            "consistency": consistency.collect::<Vec<_>>(),
            "problems": self.problems.iter().map(Complaint::json).collect::<Vec<_>>(),
            "problem_count": self.found,
            "warnings": warnings,
            "remarks": self.remarks,
            "error": null,
        });
        json_line(&object)
    }

    fn facts(&self) -> Vec<String> {
        let mut lines = self.remarks.clone();
        for NoteFacts { file, checkpoint, signers } in &self.notes {
            let origin = checkpoint.origin();
            // Of the log's own keys the id will do: their name is the origin.
            let own = format!("{origin}+");
            let keys: Vec<_> = signers.iter().map(|key| key.strip_prefix(&own).unwrap_or(key)).collect();
            let by = if keys.is_empty() { "unsigned".into() } else { format!("signed by key {}", keys.join(", ")) };
            lines.push(format!("{file}: note of {origin}, size {}, {by}", checkpoint.size()));
        }
        for ProofFacts { file, index, place: (segment, chain, seq), time, hash, line } in &self.proofs {
            let what = match (chain, seq) {
                (0, 0) => format!("the header of segment {segment}"),
                _ => format!("segment {segment} chain {chain} seq {seq}"),
            };
            let mut said = format!("{file}: leaf {index} is {what}, chained at {time}, SHA-256 {hash}");
            if let Some(line) = line {
                // Writing to a string cannot fail.
                let _ = write!(said, "\n{}", shown_json(line));
            }
            lines.push(said);
        }
        for ConsistencyFacts { file, old, new } in &self.consistency {
            lines.push(format!("{file}: the log of size {new} begins with the one of size {old}"));
        }
        if let Some(ExportFacts { file, bytes, lines: count, segments, chains, root }) = &self.export {
            let root = base64(root);
            let what = format!("{count} lines, {bytes} bytes; segments: {segments}, chains: {chains}; root {root}");
            lines.push(format!("{file}: {what}"));
        }
        lines
    }
}

/// The JSON object of a run that came to no verdict.
pub fn trouble_json(command: &str, why: &str) -> String {
    let object = json!({
        "program": "notary-verify",
        "version": env!("CARGO_PKG_VERSION"),
        "command": command,
        "verdict": "error",
        "exit_code": 2,
        "origin": null,
        "export": null,
        "notes": [],
        "proofs": [],
        "consistency": [],
        "problems": [],
        "problem_count": 0,
        "warnings": [],
        "remarks": [],
        "error": why,
    });
    json_line(&object)
}

fn json_line(object: &Value) -> String {
    shown_json(&object.to_string()) + "\n"
}

fn base64(digest: &Digest) -> String {
    STANDARD.encode(digest.as_bytes())
}
