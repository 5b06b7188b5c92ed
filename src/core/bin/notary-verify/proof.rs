//! `notary-verify proof`: that one line stands in a log.

use notary_core::line::{Line, MAX_LINE};
use notary_core::proof::{MAX_PROOF, Proof, ProofFileError};
use notary_core::{Digest, Timestamp};

use crate::Trouble;
use crate::args::ProofArgs;
use crate::input::{Source, instead};
use crate::report::{Complaint, ProofFacts};
use crate::session::Session;

/// Checks one proof.
pub fn run(args: &ProofArgs, session: &mut Session) -> Result<(), Trouble> {
    let line = args.line.as_ref().map(read_line).transpose()?;
    check(&args.proof, line.as_deref(), args.show_line, session)
}

/// Checks a proof of `line`, or of the line that it holds.
pub fn check(file: &Source, line: Option<&[u8]>, show: bool, session: &mut Session) -> Result<(), Trouble> {
    let bytes = file.read_text(MAX_PROOF)?;
    let name = file.name();
    if let Err(error) = judge(&name, &bytes, line, show, session) {
        let (kind, why) = (problem(&error), error.to_string());
        let why = if kind == "bad_proof" { instead(&bytes, "a proof", why) } else { why };
        session.report.problem(Complaint::of_file(&name, kind, why));
    }
    Ok(())
}

fn judge(
    name: &str,
    bytes: &[u8],
    line: Option<&[u8]>,
    show: bool,
    session: &mut Session,
) -> Result<(), ProofFileError> {
    let proof = Proof::parse(bytes)?;
    let line = line.or(proof.line.as_deref()).ok_or(ProofFileError::NoLine)?;
    // Who signed is said first, and once: a seal that is not believed is its own problem.
    if session.believe(name, &proof.seal).is_none() {
        return Ok(());
    }
    let proven = proof.verify(line, session.trust())?;
    let (segment, chain, seq, time) = match &proven.line {
        Line::Header(header) => (header.segment, 0, 0, header.time),
        Line::Entry(entry) => (entry.place.segment, entry.place.chain, entry.place.seq, entry.place.time),
    };
    let facts = ProofFacts {
        file: name.to_owned(),
        index: proof.index,
        place: (segment, chain, seq),
        time: Timestamp(time).to_string(),
        hash: Digest::of(line),
        // It was read as a line, so it is UTF-8.
        line: show.then(|| String::from_utf8_lossy(line).into_owned()),
    };
    session.report.proofs.push(facts);
    Ok(())
}

/// A line in a file of its own, with or without its newline.
fn read_line(file: &Source) -> Result<Vec<u8>, Trouble> {
    let mut line = file.read_text(MAX_LINE + 1)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}

/// The name for programs of why a proof shows nothing.
const fn problem(error: &ProofFileError) -> &'static str {
    match error {
        ProofFileError::OtherLine => "other_line",
        ProofFileError::OtherLog => "other_log",
        ProofFileError::NoLine => "no_line",
        ProofFileError::Line(_) => "bad_line",
        ProofFileError::Proof(_) => "not_proven",
        _ => "bad_proof",
    }
}
