//! What an outsider checks, as SQL functions: of texts alone, with the caller's keys.
//!
//! Invariant: pure functions. They read no table, no setting, no clock and no file.

use crate::error::{Error, OrRaise as _};
use crate::pg::entry::entry_point;
use crate::pg::results::{argument, datum, record};
use crate::tree::store::signed;
use notary_core::consistency::ConsistencyProof;
use notary_core::key::Keys;
use notary_core::proof::Proof;
use notary_core::seal::{Seal, Standing, Trust};
use pgrx::pg_sys;

entry_point!(notary_verify_note, pg_finfo_notary_verify_note, verify_note);
entry_point!(notary_verify_proof, pg_finfo_notary_verify_proof, verify_proof);
entry_point!(notary_verify_consistency, pg_finfo_notary_verify_consistency, verify_consistency);

fn text(fcinfo: pg_sys::FunctionCallInfo, index: usize) -> String {
    // The functions are STRICT.
    argument::<String>(fcinfo, index).unwrap_or_default()
}

/// The caller's keys.
fn keys(text: &str) -> Keys {
    Keys::parse(text)
        .map_err(|(line, why)| Error::BadArgument {
            message: "keys is not a list of verifier keys".into(),
            detail: format!("Line {line}: {why}."),
            hint:
                "Give verifier keys as notary.verifier_key(log) prints them, one per line, each with a newline or not."
                    .into(),
        })
        .or_raise()
}

fn signers(standing: &Standing<'_>) -> Vec<String> {
    match standing {
        Standing::Signed(keys) => keys.iter().map(ToString::to_string).collect(),
        Standing::Unsigned => Vec::new(),
    }
}

type Row = Vec<Option<pg_sys::Datum>>;

fn answer(fcinfo: pg_sys::FunctionCallInfo, problem: Option<String>, facts: Row) -> pg_sys::Datum {
    let mut row = vec![datum(problem.is_none())];
    row.extend(facts);
    row.push(problem.and_then(datum));
    record(fcinfo, row)
}

/// `notary.verify_note(note, keys)`.
fn verify_note(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let keys = keys(&text(fcinfo, 1));
    match Seal::parse(text(fcinfo, 0).as_bytes()) {
        Err(why) => answer(fcinfo, Some(why.to_string()), vec![None, None, None, None]),
        Ok(seal) => {
            let standing = seal.verify(Trust { keys: &keys, unsigned: false });
            let says = seal.checkpoint();
            let facts = vec![
                datum(says.origin().to_string()),
                datum(signed(says.size())),
                datum(says.root().as_bytes().to_vec()),
                standing.as_ref().ok().map(signers).and_then(datum),
            ];
            answer(fcinfo, standing.err().map(|why| why.to_string()), facts)
        }
    }
}

/// `notary.verify_proof(line, proof, keys)`.
fn verify_proof(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let (line, keys) = (text(fcinfo, 0), keys(&text(fcinfo, 2)));
    match Proof::parse(text(fcinfo, 1).as_bytes()) {
        Err(why) => answer(fcinfo, Some(why.to_string()), vec![None, None, None, None]),
        Ok(proof) => {
            let proven = proof.verify(line.as_bytes(), Trust { keys: &keys, unsigned: false });
            let says = proof.seal.checkpoint();
            let facts = vec![
                datum(says.origin().to_string()),
                datum(signed(says.size())),
                datum(signed(proof.index)),
                proven.as_ref().ok().map(|proven| signers(&proven.standing)).and_then(datum),
            ];
            answer(fcinfo, proven.err().map(|why| why.to_string()), facts)
        }
    }
}

/// `notary.verify_consistency(old_note, new_note, proof, keys)`.
fn verify_consistency(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let keys = keys(&text(fcinfo, 3));
    let read = |index, which: &str| {
        Seal::parse(text(fcinfo, index).as_bytes()).map_err(|why| format!("the {which} note: {why}"))
    };
    let proof = || text(fcinfo, 2).parse::<ConsistencyProof>().map_err(|why| format!("the proof: {why}"));
    let all = read(0, "old").and_then(|old| Ok((old, read(1, "new")?, proof()?)));
    match all {
        Err(why) => answer(fcinfo, Some(why), vec![None, None, None]),
        Ok((old, new, proof)) => {
            let consistent = proof.verify(&old, &new, Trust { keys: &keys, unsigned: false });
            let facts = vec![
                datum(new.checkpoint().origin().to_string()),
                datum(signed(old.checkpoint().size())),
                datum(signed(new.checkpoint().size())),
            ];
            answer(fcinfo, consistent.err().map(|why| why.to_string()), facts)
        }
    }
}
