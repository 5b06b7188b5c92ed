//! The words that an event is found by: `notary.words`, `notary.event_words`, and the same for a row that is put together
//! here.

use crate::error::Error;
use crate::pg::text::{self, TextArray};
use crate::pg::{catalog, spi};
use notary_core::event::Words;
use pgrx::{pg_extern, pg_sys};
use std::cell::RefCell;

thread_local! {
    static WORDS: RefCell<Words> = RefCell::default();
}

/// The arguments of `notary.event_words`: columns of an event log, all but the last as text.
pub const ARGUMENTS: [&str; 9] =
    ["action", "actor", "resource_type", "resource_id", "resource_name", "old_value", "new_value", "details", "tags"];

/// The OID of `notary.event_words`; None where somebody made another function of it.
pub fn function() -> Result<Option<pg_sys::Oid>, Error> {
    let sql = "SELECT p.oid FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
               JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
               WHERE n.nspname = 'notary' AND p.proname = 'event_words' AND l.lanname = 'c' AND p.prosrc = 'event_words_wrapper'";
    Ok(catalog::rows(sql, &[], |row| spi::get::<pg_sys::Oid>(row, 1))?.into_iter().flatten().next())
}

/// `notary.words(text)`.
#[pg_extern(sql = false)]
fn words(text: &str) -> TextArray {
    WORDS.with_borrow_mut(|words| {
        words.clear();
        words.add(text);
        text::array(words.iter())
    })
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
) -> TextArray {
    let columns = [action, actor, resource_type, resource_id, resource_name, old_value, new_value, details];
    let tags = tags.unwrap_or_default();
    of_event(columns.map(Option::unwrap_or_default), tags.iter().flatten().map(String::as_str))
}

/// The words of an event, of whose columns these are the texts, in the order of ARGUMENTS; empty for NULL. Where there are too
/// many, those of the long columns are left out, and of these the old value's first.
pub fn of_event<'a>(columns: [&str; 8], tags: impl IntoIterator<Item = &'a str>) -> TextArray {
    let [action, actor, kind, id, name, old_value, new_value, details] = columns;
    WORDS.with_borrow_mut(|words| {
        words.clear();
        [action, actor, kind, id, name].into_iter().for_each(|text| words.add(text));
        tags.into_iter().for_each(|text| words.add(text));
        [details, new_value, old_value].into_iter().for_each(|text| words.add_json(text));
        text::array(words.iter())
    })
}
