//! Going on after a restore or failover: does this log hold what was published, or does it need another name?
//!
//! Invariants: two trees that differ never bear one origin. Whoever cannot show that this log holds all that was ever
//! published gets a new incarnation.

use super::keys::{LogKeys, is_signed_by};
use super::sign::Grown;
use super::{first_origin, grow, new_origin};
use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::journal::{self, Action, Entry};
use crate::pg::relation::Rel;
use crate::pg::{context, lock, spi};
use crate::tree::segments::Segments;
use crate::tree::{self, Tree, store, timeline};
use notary_core::key::VerifierKey;
use notary_core::origin::Origin;
use notary_core::seal::Seal;
use pgrx::{pg_extern, pg_sys};
use serde_json::json;

/// `notary.resume(log, note)`.
#[pg_extern(sql = false)]
fn resume(log: Option<pg_sys::Oid>, note: Option<&str>) -> String {
    journal::must_be_writable("notary.resume()").or_raise();
    resume_log(log, note).or_raise().to_string()
}

fn resume_log(relid: Option<pg_sys::Oid>, note: Option<&str>) -> Result<Origin, Error> {
    let functions = access::trigger_functions()?;
    let rel = access::open_log(relid, &functions)?;
    if !context::superuser() {
        return Err(Error::SuperuserOnly {
            call: "notary.resume()",
            why: "Whoever is wrong about what was published forks the log.",
        });
    }
    let log = Segments::of(&rel, &functions)?.log;
    lock::lock_tree(log.as_bytes());
    let segments = Segments::of(&rel, &functions)?;
    let published = note.map(|note| read(note, &segments)).transpose()?;
    let known = Tree::newest(log)?;
    if let Some(gap) = segments.gap() {
        return Err(Error::NotSealable {
            message: format!("{} cannot be sealed", rel.qualified()),
            detail: format!("The header of segment {gap} is nowhere to be found: its table left the log."),
            hint: "notary.journal has it: restore that table together with the log.".into(),
        });
    }
    let is_at_home = match &known {
        Some(tree) => tree.is_at_home()?,
        None => grow::began_here(&segments)?,
    };
    let verdict = if is_at_home {
        secret_lost(&rel, &segments, known.as_ref(), published.as_ref())?
    } else {
        if let Some(tree) = &known {
            sealed_next_door(&rel, tree)?;
        }
        let signers = match &published {
            Some(published) => check_signature(published, known.as_ref())?,
            None => Vec::new(),
        };
        compare(&rel, &segments, known.as_ref(), published.as_ref(), &signers)?
    };
    let (home, timeline) = (journal::home()?, timeline()?);
    let incarnation = verdict.origin.incarnation();
    // The size of one that goes on is stored already, and stays.
    let tree = Tree { log, incarnation, origin: verdict.origin, home, timeline, size: 0 };
    store::put_tree(&tree)?;
    context::as_superuser(|| spi::run("SELECT notary.make_journal()", &[]))?;
    let checkpoint = published.as_ref().map(Seal::checkpoint);
    let name = rel.qualified();
    journal::write(&Entry {
        action: Action::Resume,
        log: Some(log),
        segment: None,
        relation: Some(&name),
        reason: None,
        details: json!({
            "origin": tree.origin.as_str(),
            "goes_on": verdict.goes_on,
            "why": verdict.why,
            "published_origin": checkpoint.map(|c| c.origin().as_str().to_owned()),
            "published_size": checkpoint.map(notary_core::Checkpoint::size),
            "published_root": checkpoint.map(|c| c.root().to_string()),
        }),
    })?;
    let what = if verdict.goes_on { "goes on as" } else { "is sealed from its first line again, as" };
    pgrx::notice!("{name} {what} {}: {}", tree.origin, verdict.why);
    if verdict.is_own_newest {
        pgrx::warning!("the note is the newest that this database itself holds: was nothing newer published?");
    }
    Ok(tree.origin)
}

/// What the comparison came to.
struct Verdict {
    /// The origin of the seals to come.
    origin: Origin,
    /// The tree that was published goes on.
    goes_on: bool,
    /// In words.
    why: String,
    /// The note that was given is the newest that this database holds itself.
    is_own_newest: bool,
}

/// On the server where it is sealed a log needs no resuming, unless the secret that signed it last is lost: whoever gives
/// that very seal goes on under another name.
fn secret_lost(
    rel: &Rel,
    segments: &Segments,
    known: Option<&Tree>,
    published: Option<&Seal>,
) -> Result<Verdict, Error> {
    let not_needed = |why: String| Error::NotSealable {
        message: format!("{} can be sealed: there is nothing to resume", rel.qualified()),
        detail: why,
        hint: "CALL notary.seal(log).".into(),
    };
    let Some(tree) = known else { return Err(not_needed("It began here and on this timeline.".into())) };
    let here = || not_needed(format!("It is sealed as {}, here and on this timeline.", tree.origin));
    let newest = store::newest_seal(tree)?.ok_or_else(here)?;
    let seal = newest.read(tree).map_err(|_| here())?;
    let keys = LogKeys::of(&tree.origin)?.ok_or_else(here)?;
    if seal.note().is_none() || keys.to_sign_after(Some(&seal)).is_ok() {
        return Err(here());
    }
    if published.is_none_or(|published| published.to_string() != newest.note) {
        return Err(Error::BadArgument {
            message: "the note is not the newest seal of this log".into(),
            detail: "The key file does not hold the secret that signed it. If that is lost, sealing begins anew under another \
                     name, for whoever gives the newest seal."
                .into(),
            hint: "Give the note of the largest size of this log in notary.seals, unchanged, with its last newline.".into(),
        });
    }
    Ok(Verdict {
        origin: after(segments, &tree.origin)?,
        goes_on: false,
        why: "the secret that signed its newest seal is not in the key file".into(),
        is_own_newest: false,
    })
}

fn compare(
    rel: &Rel,
    segments: &Segments,
    known: Option<&Tree>,
    published: Option<&Seal>,
    signers: &[VerifierKey],
) -> Result<Verdict, Error> {
    let verdict = |origin: Origin, goes_on: bool, why: &str| {
        Ok(Verdict { origin, goes_on, why: why.to_owned(), is_own_newest: false })
    };
    // What was copied may live on elsewhere and be sealed there from its first line: this one never has that name.
    let never = "no seal of it was ever published, and its original may yet be sealed under the first name";
    let (tree, published) = match (known, published) {
        (None, None) => return verdict(after(segments, &first_origin(segments)?)?, false, never),
        (None, Some(seal)) => {
            let origin = after(segments, seal.checkpoint().origin())?;
            return verdict(origin, false, "this database does not know the tree that was published");
        }
        (Some(tree), None) => match store::newest_seal(tree)? {
            None => return verdict(after(segments, &tree.origin)?, false, never),
            Some(seal) => {
                return Err(Error::BadArgument {
                    message: format!("{} was sealed: a note is needed", rel.qualified()),
                    detail: format!("notary.seals has a seal of size {}, which may have been published.", seal.size),
                    hint: "Give the newest note that ever left the old server; it may be larger than that.".into(),
                });
            }
        },
        (Some(tree), Some(published)) => (tree, published),
    };
    let checkpoint = published.checkpoint();
    let last = store::newest_seal(tree)?;
    let older = checkpoint.origin().incarnation() < tree.incarnation
        || *checkpoint.origin() == tree.origin && last.as_ref().is_some_and(|last| checkpoint.size() < last.size);
    if older {
        return Err(Error::BadArgument {
            message: "the note is not the newest".into(),
            detail: format!(
                "It has the origin {} and size {}; notary.seals has {} and size {}.",
                checkpoint.origin(),
                checkpoint.size(),
                tree.origin,
                last.map_or(0, |last| last.size)
            ),
            hint: "Give the newest note that ever left the old server.".into(),
        });
    }
    if *checkpoint.origin() != tree.origin {
        let why = "the tree that was published is of another incarnation than the one that this database knows";
        return verdict(after(segments, checkpoint.origin())?, false, why);
    }
    // Damage is no reason to stop: then it is not the tree that was published.
    let grown = Grown::from(rel, segments, tree, last.as_ref());
    let grown = grown.ok().and_then(|mut grown| grown.by(rel, checkpoint.size()).ok().map(|()| grown));
    match grown {
        Some(grown) if grown.frontier.size() == checkpoint.size() && grown.frontier.root() == *checkpoint.root() => {
            if last.as_ref().is_none_or(|last| last.size < checkpoint.size()) {
                grown.store()?;
                let keys = signers.iter().map(ToString::to_string).collect();
                store::put_seal(tree, &grown.frontier, &published.to_string(), keys)?;
            }
            Ok(Verdict {
                origin: tree.origin.clone(),
                goes_on: true,
                why: "the log holds all that was published".into(),
                is_own_newest: last.is_some_and(|last| last.size == checkpoint.size()),
            })
        }
        _ => verdict(after(segments, &tree.origin)?, false, "the log does not hold all that was published"),
    }
}

/// The origin after this one.
fn after(segments: &Segments, origin: &Origin) -> Result<Origin, Error> {
    let base = origin.as_str().strip_suffix(&format!("/{}", origin.incarnation())).filter(|_| origin.incarnation() > 1);
    let base = base.unwrap_or(origin.as_str());
    let base = base.strip_suffix(&format!("/{}", origin.log())).unwrap_or(base);
    new_origin(segments, origin.incarnation() + 1, Some(base))
}

fn read(note: &str, segments: &Segments) -> Result<Seal, Error> {
    let seal = tree::read_note(note)?;
    let log = seal.checkpoint().origin().log();
    if log == segments.log { Ok(seal) } else { Err(tree::no_note(format!("It is of the log {log}."))) }
}

/// The keys that signed a note. It counts only if this server's secret signed it, unless nothing here was ever signed: otherwise anybody's could
/// choose a name.
fn check_signature(published: &Seal, known: Option<&Tree>) -> Result<Vec<VerifierKey>, Error> {
    let keys = LogKeys::of(published.checkpoint().origin())?;
    if published.note().is_none() {
        let newest = known.map(store::newest_seal).transpose()?.flatten();
        let was_signed = newest.is_some_and(|seal| Seal::parse(seal.note.as_bytes()).is_ok_and(|s| s.note().is_some()));
        if !was_signed && keys.is_none() {
            return Ok(Vec::new());
        }
        return Err(Error::BadArgument {
            message: "the note is not signed".into(),
            detail: "This server signs its seals, so that the newest note that left it is signed.".into(),
            hint: "Give that note, with its signature.".into(),
        });
    }
    let keys = keys.ok_or_else(|| Error::KeyFile {
        message: "the note is signed, and there is no key to check it with".into(),
        detail: "notary.signing_key_file is not set.".into(),
        hint: "Set it to the file that the note was signed with.".into(),
    })?;
    is_signed_by(published, &keys.all())
}

/// A copy of a database beside the original must not sign under the original's name.
fn sealed_next_door(rel: &Rel, tree: &Tree) -> Result<(), Error> {
    let sql = "SELECT d.datname::text FROM pg_catalog.pg_control_system() AS s, pg_catalog.pg_database AS d
               WHERE pg_catalog.starts_with($1, s.system_identifier::text || '/' || d.oid::text || '/') AND d.datname <> pg_catalog.current_database()";
    let args = [tree.home.as_str().into()];
    let names = context::as_superuser(|| spi::rows(sql, &args, |row| spi::get::<String>(row, 1)))?;
    let Some(other) = names.into_iter().flatten().next() else { return Ok(()) };
    Err(Error::NotSealable {
        message: format!("{} is sealed in another database of this server", rel.qualified()),
        detail: format!("The database \"{other}\" seals it as {}, and two must not under one name.", tree.origin),
        hint: "Drop that database first, if this one takes its place. A copy that lives on beside it is another log: it cannot \
               be sealed."
            .into(),
    })
}
