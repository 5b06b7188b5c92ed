//! Each check: what was tampered with is never believed. The invariants name what was signed; that a hash or a signature
//! is found by chance is not among the things that happen.

use std::rc::Rc;

use notary_core::Seal;
use notary_core::consistency::ConsistencyProof;
use notary_core::key::Keys;
use notary_core::proof::Proof;
use notary_core::seal::{Standing, Trust};
use signed_note::{StandardVerifier, Verifier, VerifierList};

use crate::corpus::World;
use crate::{Case, READ, Said, Target, refused};

pub fn targets() -> Vec<Target> {
    let world = Rc::new(World::new());
    let keys = world.trusted.clone().into_bytes();
    let seals = world.seal_texts().into_iter().map(|seal| vec![seal, keys.clone()]).collect();
    let proofs = world.proof_texts().into_iter().map(|proof| {
        let index = Proof::parse(&proof).unwrap().index;
        vec![world.lines[usize::try_from(index).unwrap()].clone(), proof]
    });
    let mut pairs = Vec::new();
    for (at, new) in world.seals.iter().enumerate() {
        for old in &world.seals[..=at] {
            let sizes = (old.checkpoint().size(), new.checkpoint().size());
            if sizes.0 > 0 && old.checkpoint().origin() == new.checkpoint().origin() {
                let proof = world.between(sizes.0, sizes.1).to_string().into_bytes();
                pairs.push(vec![old.to_string().into_bytes(), new.to_string().into_bytes(), proof]);
            }
        }
    }
    let proofs = proofs.collect();
    let [for_seals, for_proofs, for_pairs] = [(); 3].map(|()| Rc::clone(&world));
    vec![
        Target { name: "seals", seeds: seals, check: Box::new(move |case| seal(&for_seals, case)) },
        Target { name: "proofs", seeds: proofs, check: Box::new(move |case| proof(&for_proofs, case)) },
        Target { name: "consistency", seeds: pairs, check: Box::new(move |case| consistency(&for_pairs, case)) },
    ]
}

fn believed(standing: &Standing<'_>) -> String {
    match standing {
        Standing::Signed(keys) => format!("{READ}signed by {}", keys.len()),
        Standing::Unsigned => format!("{READ}unsigned"),
    }
}

/// Whether a seal that was believed is one that the log's keys signed.
fn was_signed(world: &World, seal: &Seal, standing: &Standing<'_>) -> Result<(), String> {
    let Standing::Signed(signers) = standing else {
        return Err("unsigned, and believed".to_owned());
    };
    let (checkpoint, known) = (seal.checkpoint(), world.keys());
    if !world.signed.contains(&checkpoint.to_string()) {
        return Err(format!("nobody signed {checkpoint}"));
    }
    for signer in signers {
        if !known.as_slice().iter().any(|trusted| trusted.key == **signer) {
            return Err(format!("signed by {signer}, which is no key of ours"));
        }
    }
    let of_the_log = signers.iter().any(|signer| signer.name() == checkpoint.origin().as_str());
    if of_the_log { Ok(()) } else { Err("signed by no key of its log".to_owned()) }
}

/// A note and a list of keys.
fn seal(world: &World, case: &Case) -> Said {
    let Ok(keys) = Keys::parse(&String::from_utf8_lossy(&case[1])) else {
        return Ok("no keys".to_owned());
    };
    let seal = match Seal::parse(&case[0]) {
        Ok(seal) => seal,
        Err(error) => return refused(&error),
    };
    let (strict, lax) = [false, true].map(|unsigned| seal.verify(Trust { keys: &keys, unsigned })).into();
    // Who puts up with unsigned seals believes no signature more than others do.
    let lax_signed = matches!(lax, Ok(Standing::Signed(_)));
    if strict.is_ok() != lax_signed {
        return Err("to take unsigned seals makes a signature good or bad".to_owned());
    }
    let standing = match strict {
        Ok(standing) => standing,
        Err(error) => return refused(&error),
    };
    was_signed(world, &seal, &standing)?;
    let size = seal.checkpoint().size();
    let in_use = keys.as_slice().iter().filter(|key| key.last_size.is_none_or(|last| size <= last));
    let theirs: Vec<Box<dyn Verifier>> =
        in_use.map(|key| Box::new(StandardVerifier::new(&key.key.to_string()).unwrap()) as Box<dyn Verifier>).collect();
    let note = signed_note::Note::from_bytes(&case[0]).map_err(|_| "others refuse the note")?;
    note.verify(&VerifierList::new(theirs)).map_err(|error| format!("others do not believe it: {error}"))?;
    Ok(believed(&standing))
}

/// A line and a proof file.
fn proof(world: &World, case: &Case) -> Said {
    let proof = match Proof::parse(&case[1]) {
        Ok(proof) => proof,
        Err(error) => return refused(&error),
    };
    let keys = world.keys();
    let trust = Trust { keys: &keys, unsigned: false };
    // The line of the file stands for itself; the other is the caller's.
    let own = proof.verify_own_line(trust);
    for (line, proven) in [(proof.line.as_ref(), &own), (Some(&case[0]), &proof.verify(&case[0], trust))] {
        let (Ok(proven), Some(line)) = (proven, line) else {
            continue;
        };
        was_signed(world, &proof.seal, &proven.standing)?;
        let size = proof.seal.checkpoint().size();
        if proof.index >= size || world.lines[usize::try_from(proof.index).unwrap()] != *line {
            return Err(format!("another line is leaf {} of {size}", proof.index));
        }
        if proof.path != world.path(proof.index, size) {
            return Err(format!("another path leads from leaf {} to size {size}", proof.index));
        }
    }
    match own {
        Ok(proven) => Ok(believed(&proven.standing)),
        Err(error) => refused(&error),
    }
}

/// Two notes and what is between them.
fn consistency(world: &World, case: &Case) -> Said {
    let [old, new] = [&case[0], &case[1]].map(|note| Seal::parse(note));
    let proof = std::str::from_utf8(&case[2]).map(str::parse::<ConsistencyProof>);
    let (Ok(old), Ok(new), Ok(Ok(proof))) = (old, new, proof) else {
        return Ok("not read".to_owned());
    };
    let keys = world.keys();
    let consistent = match proof.verify(&old, &new, Trust { keys: &keys, unsigned: false }) {
        Ok(consistent) => consistent,
        Err(error) => return refused(&error),
    };
    was_signed(world, &old, &consistent.old)?;
    was_signed(world, &new, &consistent.new)?;
    let sizes = (old.checkpoint().size(), new.checkpoint().size());
    if proof != world.between(sizes.0, sizes.1) {
        return Err(format!("another proof leads from {} to {}", sizes.0, sizes.1));
    }
    Ok(format!("{} {}", believed(&consistent.old), believed(&consistent.new)))
}
