//! `notary-verify consistency`: that a newer note's log has grown out of an older one's.

use notary_core::Seal;
use notary_core::consistency::{ConsistencyError, ConsistencyProof};
use notary_core::merkle::ProofError;

use crate::Trouble;
use crate::args::ConsistencyArgs;
use crate::input::{EMPTY, Source, foreign, instead};
use crate::notes;
use crate::report::{Complaint, ConsistencyFacts};
use crate::session::Session;

/// The longest proof that is read: more than 64 hashes take.
const MAX_PROOF: usize = 1 << 16;

/// Checks one proof between two notes.
pub fn run(args: &ConsistencyArgs, session: &mut Session) -> Result<(), Trouble> {
    let old = notes::read(&args.old, session)?;
    let new = notes::read(&args.new, session)?;
    match (old, new) {
        (Some((old, _)), Some((new, _))) => check(&args.proof, &old, &new, session),
        // Notes that are not believed are problems already.
        _ => Ok(()),
    }
}

/// Checks a proof between two notes that are believed.
pub fn check(file: &Source, old: &Seal, new: &Seal, session: &mut Session) -> Result<(), Trouble> {
    let bytes = file.read(MAX_PROOF)?;
    if let Some(what) = foreign(&bytes) {
        return Err(file.trouble(what));
    }
    let name = file.name();
    match judge(&bytes, old, new, session) {
        Ok(facts) => session.report.consistency.push(ConsistencyFacts { file: name, ..facts }),
        // Two roots for one size were noticed when the second note was read.
        Err(("two_roots", _)) => {}
        // A file without a byte is the whole proof where the sizes are the same, and else shows nothing either way.
        Err(("not_consistent", _)) if bytes.is_empty() => return Err(file.trouble(EMPTY)),
        Err(("bad_proof", why)) => {
            let why = instead(&bytes, "a consistency proof", why);
            session.report.problem(Complaint::of_file(&name, "bad_proof", why));
        }
        Err((kind, why)) => session.report.problem(Complaint::of_file(&name, kind, why)),
    }
    Ok(())
}

fn judge(bytes: &[u8], old: &Seal, new: &Seal, session: &Session) -> Result<ConsistencyFacts, (&'static str, String)> {
    let text = std::str::from_utf8(bytes).map_err(|_| ("bad_proof", "not UTF-8".to_owned()))?;
    let proof: ConsistencyProof = text.parse().map_err(|error: ConsistencyError| ("bad_proof", error.to_string()))?;
    proof.verify(old, new, session.trust()).map_err(|error| (problem(&error), error.to_string()))?;
    Ok(ConsistencyFacts { file: String::new(), old: old.checkpoint().size(), new: new.checkpoint().size() })
}

/// The name for programs of why two notes are not consistent.
const fn problem(error: &ConsistencyError) -> &'static str {
    match error {
        ConsistencyError::Proof(ProofError::Shrunk { .. }) => "shrunk",
        ConsistencyError::Proof(ProofError::TwoRoots(_)) => "two_roots",
        _ => "not_consistent",
    }
}
