//! The words that an event is found by.

use pgrx::pg_extern;
use std::collections::HashSet;

/// Longer words are cut off.
const MAX_LENGTH: usize = 64;
/// Words of one event.
const MAX_WORDS: usize = 500;

/// `notary.words(text)`.
#[pg_extern(sql = false)]
fn words(text: &str) -> Vec<String> {
    let mut words = Words::default();
    words.add(text);
    words.all
}

/// `notary.event_words(…)`.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)] // the columns of an event log that are searched
fn event_words(
    action: Option<&str>,
    actor: Option<&str>,
    resource_type: Option<&str>,
    resource_id: Option<&str>,
    resource_name: Option<&str>,
    old_value: Option<&str>,
    new_value: Option<&str>,
    details: Option<&str>,
    tags: Option<Vec<Option<String>>>,
) -> Vec<String> {
    let mut words = Words::default();
    for text in [action, actor, resource_type, resource_id, resource_name, details, new_value, old_value] {
        words.add(text.unwrap_or_default());
    }
    for tag in tags.into_iter().flatten().flatten() {
        words.add(&tag);
    }
    words.all
}

/// Distinct words in the order in which they came.
#[derive(Default)]
struct Words {
    all: Vec<String>,
    seen: HashSet<String>,
}

impl Words {
    fn add(&mut self, text: &str) {
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            if self.all.len() == MAX_WORDS {
                return;
            }
            let word: String = word.chars().flat_map(char::to_lowercase).take(MAX_LENGTH).collect();
            if self.seen.insert(word.clone()) {
                self.all.push(word);
            }
        }
    }
}
