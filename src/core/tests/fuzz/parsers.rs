//! Each parser: no panic, one spelling, and nothing read that others refuse.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use notary_core::consistency::ConsistencyProof;
use notary_core::event::{self, Event};
use notary_core::key::{KeyId, Keys, TrustedKey, VerifierKey};
use notary_core::latest::Latest;
use notary_core::line::{self, EntryLine, Line, Sealed};
use notary_core::merkle::{self, MAX_SIZE, Node};
use notary_core::note::Note;
use notary_core::proof::Proof;
use notary_core::secret::Secret;
use notary_core::tile::{self, Tile};
use notary_core::{Checkpoint, Digest, Header, LogId, Origin, Seal, Timestamp, time};
use serde_json::Value;

use crate::corpus::{self, SECRETS, World};
use crate::{READ, Said, Target, refused, shape};

/// Events in the shapes that applications write.
const EVENTS: [&str; 5] = [
    r#"{"timestamp":"2026-11-20T16:07:00.5+01:00","event_type":"a.b","actor":"u","entity_id":42,"old_value":{"n":1e400},"new_value":[0.10],"context":{"ip":"192.0.2.7","user_id":"v","x":"\u00e9"}}"#,
    r#"{"eventId":"6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb","timestamp":1763654820.25,"actor":{"userId":"u","role":"r","type":"bot","ipAddress":"[::1]:80"},"action":"a","resource":{"type":"t","id":1,"name":"n","x":{}},"details":{"checksum":1},"result":"ok","checksum":2}"#,
    r#"{"event_type":"a","event_data":{"time":"2026-11-20","user":{"id":7,"x":[1]},"context":{"actor":{"name":"n"},"traceId":"t"},"result":"?"}}"#,
    r#"{"event":"a","piiFields":["x"],"tags":"t","labels":{"a":"b"},"status":"ok","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","ip":"1.2.3.4, 5.6.7.8"}"#,
    r#"{"action":"a","details":{"a":1,"event.a":2},"a":3,"event.a":4,"id":null}"#,
];

pub fn targets() -> Vec<Target> {
    let world = World::new();
    let bodies: Vec<Vec<u8>> = world.signed.iter().map(|body| body.clone().into_bytes()).collect();
    let headers = corpus::lines().into_iter().filter(|line| matches!(line::read(line), Ok(Line::Header(_))));
    let owned = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let origins = owned(&[
        "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb",
        "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb/2",
        "a/~b/_.-/00000000-0000-0000-0000-000000000000/2147483647",
    ]);
    let keys: Vec<Vec<u8>> = world.trusted.lines().map(|key| key.as_bytes().to_vec()).collect();
    let mut key_lists: Vec<Vec<u8>> = vec![world.trusted.clone().into_bytes()];
    key_lists.push(corpus::keys().join(&b'\n'));
    let secrets = owned(&[SECRETS[0], SECRETS[1], &SECRETS.concat()]);
    let numbers = owned(&["0 0 1", "0 1234067 9223372036854775807", "1 1 70000", "7 0 9223372036854775807", "3 8 5"]);
    let ids = owned(&["6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb", &"0123456789abcdef".repeat(4), "530d903a"]);
    vec![
        Target::parser("line", [corpus::lines(), corpus::bad_lines()].concat(), line),
        Target::parser("header", headers.collect(), header),
        Target::parser("time", corpus::times(), time),
        Target::parser("event", owned(&EVENTS), event),
        Target::parser("ids", ids, ids_),
        Target::parser("origin", origins, origin),
        Target::parser("checkpoint", bodies, checkpoint),
        Target::parser("state", states(&world.signed), state),
        Target::parser("note", [corpus::notes(), world.seal_texts()].concat(), note),
        Target::parser("seal", world.seal_texts(), seal),
        Target::parser("proof", world.proof_texts(), proof),
        Target::parser("consistency", world.consistency_texts(), consistency),
        Target::parser("key", [corpus::keys(), keys].concat(), key),
        Target::parser("key list", key_lists, key_list),
        Target::parser("secret", secrets, secret),
        Target::parser("tile", numbers.clone(), tile_),
        Target::parser("tree", numbers, tree),
    ]
}

/// What was read must be printed as it was.
fn again(text: &[u8], printed: &[u8]) -> Said {
    if text == printed {
        Ok(format!("{READ}{}", shape(text)))
    } else {
        Err(format!("read, and printed as b\"{}\"", printed.escape_ascii()))
    }
}

fn holds(what: bool, why: &str) -> Result<(), String> {
    if what { Ok(()) } else { Err(why.to_owned()) }
}

fn spelt<T: FromStr<Err: Display> + Display>(text: &[u8]) -> Said {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok("not UTF-8".to_owned());
    };
    match text.parse::<T>() {
        Ok(value) => again(text.as_bytes(), value.to_string().as_bytes()),
        Err(error) => refused(&error),
    }
}

fn line(text: &[u8]) -> Said {
    let read = match line::read(text) {
        Ok(read) => read,
        Err(error) => return refused(&error),
    };
    let printed = match &read {
        Line::Header(header) => header.line().into_bytes(),
        Line::Entry(entry) => {
            same_story(text, entry)?;
            print_entry(entry)
        }
    };
    again(text, &printed)
}

/// The bytes of an entry's line from what was read of it.
fn print_entry(entry: &EntryLine<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    line::begin(&mut out, &entry.place);
    if !entry.redactable.is_empty() {
        out.truncate(out.len() - "\"row\":{".len());
        out.extend_from_slice(b"\"redactable\":");
        members(&mut out, &entry.redactable, |out, sealed| match sealed {
            Sealed::Value(digest) => line::write_string(out, &digest.to_string()),
            Sealed::Members(inner) => members(out, inner, |out, digest| line::write_string(out, &digest.to_string())),
        });
        out.extend_from_slice(b",\"row\":{");
    }
    for (index, (name, value)) in entry.row.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        line::write_key(&mut out, name);
        out.extend_from_slice(value);
    }
    line::end(&mut out);
    out
}

fn members<T>(out: &mut Vec<u8>, all: &[(Cow<'_, str>, T)], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'{');
    for (index, (name, value)) in all.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        line::write_key(out, name);
        write(out, value);
    }
    out.push(b'}');
}

/// A parser of JSON that others wrote must read the same names and values.
fn same_story(text: &[u8], entry: &EntryLine<'_>) -> Result<(), String> {
    let theirs: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        // What it cannot hold is still JSON.
        Err(error) if error.to_string().starts_with("recursion limit") => return Ok(()),
        Err(error) if error.to_string().starts_with("number out of range") => return Ok(()),
        Err(error) => return Err(format!("read, and no JSON to others: {error}")),
    };
    let row = theirs["row"].as_object().ok_or("row is no object to others")?;
    holds(row.len() == entry.row.len(), "others read another number of columns")?;
    let in_row = |name: &str| entry.row.iter().any(|(other, _)| other == name);
    holds(!entry.redactable.iter().any(|(name, _)| in_row(name)), "a column stands in both places")?;
    for (name, raw) in &entry.row {
        let value: Value = serde_json::from_slice(raw).map_err(|error| format!("a value is no JSON: {error}"))?;
        holds(row.get(name.as_ref()) == Some(&value), "others read another value")?;
        holds(count_members(&value) == count_colons(raw), "a name stands twice, and others read the last")?;
        // Others hold what is no integer of 64 bits in binary floating point, minus zero among them.
        let integer = value.is_number() && !raw.contains(&b'.');
        let exact = value.is_i64() || value.is_u64();
        let alike = if exact { value.to_string().as_bytes() == *raw } else { raw.len() > 18 };
        holds(!integer || alike, "an integer is spelt in another way")?;
    }
    holds(theirs["seq"] == entry.place.seq && theirs["chain"] == entry.place.chain, "others read another place")
}

/// The members of all objects in a value, where of two with one name one is left.
fn count_members(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(count_members).sum(),
        Value::Object(members) => members.len() + members.values().map(count_members).sum::<usize>(),
        _ => 0,
    }
}

/// The colons of a JSON text outside its strings: one for each member.
fn count_colons(raw: &[u8]) -> usize {
    let (mut count, mut within, mut escaped) = (0, false, false);
    for &byte in raw {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => within = !within,
            b':' if !within => count += 1,
            _ => {}
        }
    }
    count
}

fn header(text: &[u8]) -> Said {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok("not UTF-8".to_owned());
    };
    let parsed = Header::parse(text);
    let as_line = match line::read(text.as_bytes()) {
        Ok(Line::Header(header)) => Some(header),
        _ => None,
    };
    holds(parsed.as_ref().ok() == as_line.as_ref(), "one reader takes it for a header, the other does not")?;
    match parsed {
        Ok(header) => again(text.as_bytes(), header.line().as_bytes()),
        Err(error) => refused(&error),
    }
}

fn time(text: &[u8]) -> Said {
    if let Ok(text) = std::str::from_utf8(text)
        && let Some(micros) = time::parse_timestamptz(text)
    {
        let mut printed = Vec::new();
        time::write_timestamptz(&mut printed, micros);
        again(text.as_bytes(), &printed)?;
    }
    spelt::<Timestamp>(text)
}

fn event(text: &[u8]) -> Said {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok("not UTF-8".to_owned());
    };
    if let Some(micros) = event::parse_time(text) {
        holds(event::parse_time(&Timestamp(micros).to_string()) == Some(micros), "its time is read as another")?;
    }
    let read = match Event::read(text) {
        Ok(read) => read,
        Err(error) => return refused(&error),
    };
    for json in [&read.details, &read.old_value, &read.new_value].into_iter().flatten() {
        match serde_json::from_str::<Value>(json) {
            Ok(value) => holds(count_members(&value) == count_colons(json.as_bytes()), "a name stands twice")?,
            // What it cannot hold is still JSON.
            Err(error) if error.to_string().starts_with("recursion limit") => {}
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(error) => return Err(format!("no JSON to others: {error}")),
        }
    }
    holds(read.details.as_ref().is_none_or(|details| details.starts_with('{')), "details are no object")?;
    holds(event::read_all(&format!("[{text}]")) == Ok(vec![read.clone()]), "in an array it is another event")?;
    Ok(format!("{READ}{}", shape(format!("{read:?}").as_bytes())))
}

fn ids_(text: &[u8]) -> Said {
    let said = [spelt::<LogId>(text)?, spelt::<Digest>(text)?, spelt::<KeyId>(text)?];
    // None can be taken for another.
    holds(said.iter().filter(|said| said.starts_with(READ)).count() <= 1, "two readers took it")?;
    Ok(said.into_iter().min_by_key(|said| !said.starts_with(READ)).unwrap())
}

fn origin(text: &[u8]) -> Said {
    let said = spelt::<Origin>(text)?;
    if said.starts_with(READ) {
        let read: Origin = std::str::from_utf8(text).unwrap().parse().unwrap();
        let tail = if read.incarnation() == 1 { String::new() } else { format!("/{}", read.incarnation()) };
        let base =
            read.as_str().strip_suffix(&format!("/{}{tail}", read.log())).ok_or("log and incarnation do not end it")?;
        holds(Origin::new(base, read.log(), read.incarnation()) == Ok(read.clone()), "made anew it is another")?;
    }
    Ok(said)
}

fn checkpoint(text: &[u8]) -> Said {
    let said = spelt::<Checkpoint>(text)?;
    if said.starts_with(READ) {
        let ours: Checkpoint = std::str::from_utf8(text).unwrap().parse().unwrap();
        let theirs = tlog_tiles::Checkpoint::from_bytes(text).map_err(|_| "others refuse it")?;
        let same = theirs.origin() == ours.origin().as_str()
            && theirs.size() == ours.size()
            && theirs.hash().0 == *ours.root().as_bytes()
            && theirs.extension().is_empty();
        holds(same, "others read another checkpoint")?;
    }
    Ok(said)
}

/// Lists of checkpoints, whose three lines are one each.
fn states(signed: &std::collections::BTreeSet<String>) -> Vec<Vec<u8>> {
    let mut all = Latest::default();
    let mut states = vec![Vec::new()];
    for body in signed {
        all.update(&body.parse().unwrap());
        states.push(all.to_string().into_bytes());
    }
    states
}

fn state(text: &[u8]) -> Said {
    let Ok(text) = std::str::from_utf8(text) else { return Ok("not UTF-8".to_owned()) };
    match text.parse::<Latest>() {
        Ok(read) => {
            // Lines may come in any order.
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
                lines.sort_unstable();
                lines.concat()
            };
            again(sorted(text).as_bytes(), sorted(&read.to_string()).as_bytes())
        }
        Err(error) => {
            holds((1..=text.lines().count()).contains(&error.line()), "it names a line that is not there")?;
            refused(&error)
        }
    }
}

fn note(text: &[u8]) -> Said {
    let theirs = signed_note::Note::from_bytes(text);
    match Note::parse(text) {
        Ok(note) => {
            let theirs = theirs.map_err(|_| "others refuse it")?;
            holds(theirs.text() == note.text().as_bytes(), "others read another text")?;
            again(text, note.to_string().as_bytes())
        }
        Err(error) => {
            // A name with a control character beyond ASCII's is the one thing that they let through.
            let control = String::from_utf8_lossy(text).contains(|c: char| c >= '\u{7f}' && c.is_control());
            holds(theirs.is_err() || control, "others read it")?;
            refused(&error)
        }
    }
}

fn seal(text: &[u8]) -> Said {
    match Seal::parse(text) {
        Ok(seal) => {
            // Either kind says what its checkpoint says.
            let body = seal.note().map_or_else(|| text, |note| note.text().as_bytes());
            holds(body == seal.checkpoint().to_string().as_bytes(), "its text is not its checkpoint")?;
            again(text, seal.to_string().as_bytes())
        }
        Err(error) => refused(&error),
    }
}

fn proof(text: &[u8]) -> Said {
    match Proof::parse(text) {
        Ok(proof) => again(text, proof.to_string().as_bytes()),
        Err(error) => refused(&error),
    }
}

fn consistency(text: &[u8]) -> Said {
    spelt::<ConsistencyProof>(text)
}

fn key(text: &[u8]) -> Said {
    let trusted = spelt::<TrustedKey>(text)?;
    let said = spelt::<VerifierKey>(text)?;
    if said.starts_with(READ) {
        let text = std::str::from_utf8(text).unwrap();
        let ours: VerifierKey = text.parse().unwrap();
        let theirs = signed_note::StandardVerifier::new(text).map_err(|error| format!("others refuse it: {error}"))?;
        let id = signed_note::Verifier::key_id(&theirs).to_be_bytes();
        holds(signed_note::Verifier::name(&theirs) == ours.name() && id == *ours.id().as_bytes(), "another key")?;
        holds(trusted.starts_with(READ), "a key that cannot be trusted")?;
    }
    Ok(trusted)
}

fn key_list(text: &[u8]) -> Said {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok("not UTF-8".to_owned());
    };
    match Keys::parse(text) {
        Ok(keys) => {
            // Empty lines and the ends of lines are the caller's.
            let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            let printed: Vec<String> = keys.as_slice().iter().map(ToString::to_string).collect();
            holds(lines == printed, "the keys are not its lines")?;
            Ok(format!("{READ}{} {}", keys.as_slice().len(), shape(text.as_bytes())))
        }
        Err((line, error)) => refused(&format!("{line} {error}")),
    }
}

fn secret(text: &[u8]) -> Said {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok("not UTF-8".to_owned());
    };
    match Secret::parse_file(text) {
        Ok((current, previous)) => {
            let previous = previous.map(|secret| secret.text().to_string()).unwrap_or_default();
            again(text.as_bytes(), format!("{}{previous}", *current.text()).as_bytes())
        }
        Err(error) => {
            // A message goes into logs.
            let told = error.to_string();
            let secrets = SECRETS.iter().flat_map(|secret| secret.split('+').nth(1));
            holds(!secrets.into_iter().any(|digits| told.contains(digits.trim())), "the message tells the secret")?;
            refused(&error)
        }
    }
}

/// Three numbers, which need not be any that a tree has.
fn three(text: &[u8]) -> Option<[u64; 3]> {
    let text = std::str::from_utf8(text).ok()?;
    let numbers: Option<Vec<u64>> = text.split(' ').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// A level, an index and a size.
fn tile_(text: &[u8]) -> Said {
    let Some([level, index, size]) = three(text) else {
        return Ok("no numbers".to_owned());
    };
    let level = u8::try_from(level).unwrap_or(u8::MAX);
    let Some(tile) = Tile::new(level, index, size) else {
        holds(Tile::of(Node { level, index }, 0).is_none(), "an empty tree has a tile")?;
        return Ok(format!("no tile {}", Tile::of(Node { level, index }, size).is_some()));
    };
    // A path names the height for them.
    let theirs = tlog_tiles::Tile::from_path(&tile.path().replacen("tile/", "tile/8/", 1));
    let theirs = theirs.map_err(|_| "others refuse its path")?;
    let same = (theirs.level(), theirs.level_index(), theirs.width()) == (level, index, tile.width().into());
    holds(same, "others read another tile from its path")?;
    holds(tile.nodes().count() == usize::from(tile.width()), "it is not as wide as it is")?;
    let hashes: Vec<Digest> = tile.nodes().map(|node| Digest::of(&node.index.to_le_bytes())).collect();
    for (node, hash) in tile.nodes().zip(&hashes) {
        holds(Tile::of(node, size) == Some(tile), "its node is in another tile")?;
        holds(tile.hash(node, &hashes) == Some(*hash), "its node has another hash")?;
    }
    holds(u64::from(tile.width()) <= u64::from(tile::WIDTH).min(size), "it is too wide")?;
    Ok(format!("{READ}{level} {}", tile.width() == tile::WIDTH))
}

/// An index or an older size, a size, and how many hashes: made-up hashes prove nothing and never panic.
fn tree(text: &[u8]) -> Said {
    let Some([first, size, count]) = three(text) else {
        return Ok("no numbers".to_owned());
    };
    let proof: Vec<Digest> = (0..count % 80).map(|number| Digest::of(&number.to_le_bytes())).collect();
    let (root, leaf) = (Digest::of(b"root"), Digest::of(b"leaf"));
    let Err(inclusion) = merkle::verify_inclusion(&leaf, first, size, &root, &proof) else {
        return Err("made-up hashes include a leaf".to_owned());
    };
    let Err(consistency) = merkle::verify_consistency(first, &leaf, size, &root, &proof) else {
        return Err("made-up hashes are consistent".to_owned());
    };
    // Making proofs asks for few nodes, and only for complete ones.
    let mut asked = Vec::new();
    let mut source = |node: Node| {
        asked.push(node);
        Ok::<_, std::convert::Infallible>(Digest::of(&node.index.to_le_bytes()))
    };
    let made = merkle::prove_inclusion(first, size, &mut source).is_ok();
    let grown = merkle::prove_consistency(first, size, &mut source).is_ok();
    holds(made == (first < size && size <= MAX_SIZE), "a proof for a leaf that is not there, or none")?;
    holds(grown == (0 < first && first <= size && size <= MAX_SIZE), "a proof between sizes that are none, or none")?;
    holds(asked.len() <= 4 * 64, "too many nodes were asked for")?;
    for node in asked {
        let end = u128::from(node.index + 1) << node.level;
        holds(end <= u128::from(size), "a node was asked for that is not complete")?;
    }
    Ok(format!("{READ}{made} {grown} {inclusion} {consistency}").replace(char::is_numeric, ""))
}
