//! What `jsonb` refuses and a parser of JSON lets through where it skips: two members of one name, U+0000 and halves of
//! surrogate pairs, at any depth. No recursion: nesting costs heap.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

use super::What;

/// The JSON value in a text, without the space around it, if `jsonb` could hold it.
pub(super) fn strict(text: &str) -> Result<&str, What> {
    let json = serde_json::from_str::<&RawValue>(text).map_err(|_| What::NotJson)?.get();
    let mut open: Vec<HashSet<Cow<'_, str>>> = Vec::new();
    let mut rest = json;
    while let Some(at) = rest.find(['"', '{', '[', '}', ']']) {
        let (found, after) = rest[at..].split_at(1);
        rest = after;
        match found {
            // An array has no names.
            "{" | "[" => open.push(HashSet::new()),
            "}" | "]" => drop(open.pop()),
            _ => {
                let (spelt, after) = after.split_at(string_length(after));
                rest = after.get(1..).ok_or(What::NotJson)?;
                let string = unescape(spelt)?;
                let is_name = rest.trim_ascii_start().starts_with(':');
                if is_name && !open.last_mut().is_some_and(|names| names.insert(string)) {
                    return Err(What::Twice);
                }
            }
        }
    }
    Ok(json)
}

/// How many bytes there are up to the quote that ends a string.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn unescape(spelt: &str) -> Result<Cow<'_, str>, What> {
    if !spelt.contains('\\') {
        return Ok(Cow::Borrowed(spelt));
    }
    match serde_json::from_str::<String>(&format!("\"{spelt}\"")) {
        Ok(string) if !string.contains('\0') => Ok(Cow::Owned(string)),
        _ => Err(What::NoText),
    }
}

/// The members of an object that [`strict`] let pass, by name.
pub(super) fn members(json: &str) -> Vec<(String, &str)> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
    members.into_iter().map(|(name, value)| (name, value.get())).collect()
}

/// The elements of an array.
pub(super) fn elements(json: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// The string that a JSON text is.
pub(super) fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}
