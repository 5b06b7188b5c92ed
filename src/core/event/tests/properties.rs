//! Events made at random: nothing of them is lost, whatever they hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::flat;
use crate::event::check::{elements, members, string};
use crate::event::table::{Column, Level, Row, TABLE};
use crate::event::{Event, Kind, check, read_all, spelling, when};

/// One of these texts.
fn any_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    select(texts).prop_map(str::to_owned).boxed()
}

/// A string of its own, so that it can be found again.
fn word() -> BoxedStrategy<String> {
    prop_oneof![4 => "[a-z]{9}", 1 => "[^\0]{9}"].prop_map(|text| json!(text).to_string()).boxed()
}

fn number() -> BoxedStrategy<String> {
    prop_oneof!["-?[1-9][0-9]{9}", "[1-9]\\.[0-9]{9}0", "[1-9][0-9]{5}e[1-9]{3}"].boxed()
}

fn anything() -> BoxedStrategy<String> {
    let leaf = prop_oneof![4 => word(), 2 => number(), 1 => any_of(&["null", "true", "false", "{}", "[]", "\"\""])];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop_oneof![any_of(&["id", "ip", "actor", "old_value", "timestamp"]), "[a-z]{1,3}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(" ,"))),
            prop::collection::btree_map(name, inner, 0..4).prop_map(|all| print(&all)),
        ]
    })
    .boxed()
}

fn print(members: &BTreeMap<String, String>) -> String {
    let members = members.iter().map(|(name, json)| format!("{} : {json}", json!(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// What fits a column.
fn fitting(column: Column) -> BoxedStrategy<String> {
    let text = || prop_oneof![word(), number()].boxed();
    let words = || prop::collection::vec(word(), 0..3).prop_map(|all| format!("[{}]", all.join(","))).boxed();
    match column {
        Column::Id => prop_oneof![text(), "[0-9A-Fa-f]{32}".prop_map(|hex| format!("\"{hex}\""))].boxed(),
        Column::OccurredAt => prop_oneof![
            "\"[12][0-9]{3}-0[1-9]-[12][0-8]T[01][0-9]:[0-5][0-9]:[0-5][0-9]([.,][0-9]{1,9})?(Z|[+-]0[0-9](:?30)?)?\"",
            "[1-9][0-9]{8,15}(\\.[0-9]{1,9})?"
        ]
        .boxed(),
        Column::Action => word(),
        Column::ActorType => any_of(&["\"Human\"", "\"ai-agent\"", "\"SYSTEM\"", "\"bot\""]),
        Column::Result => any_of(&["\"OK\"", "\"blocked\"", "\"exception\"", "true", "\"Failed\""]),
        Column::Ip => prop_oneof![
            "\"(1[0-9]{0,2}\\.){3}[1-9](:[1-9][0-9]{3}|/2[0-9])?(, ?[a-z]{3})?\"",
            "\"[1-9A-F]{4}::[1-9a-f]{4}\""
        ]
        .prop_filter("an address", |text| spelling::ip(text.trim_matches('"')).is_some())
        .boxed(),
        Column::TraceId => prop_oneof![text(), "\"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\""].boxed(),
        Column::Pii => any_of(&["true", "false", "\"True\"", "\"false\""]),
        Column::PiiFields => words(),
        Column::Tags => prop_oneof![word(), words()].boxed(),
        Column::OldValue | Column::NewValue | Column::Details => anything(),
        _ => text(),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| format!("{name}{}{}", word[..1].to_uppercase(), &word[1..]))
}

/// A known member: of a strict object only what fits.
fn known(level: Level, strict: bool) -> BoxedStrategy<(String, String)> {
    let rows: Vec<&'static Row> = TABLE.iter().filter(|row| row.levels.contains(&level)).collect();
    let member = (select(rows), any::<prop::sample::Index>(), any::<bool>()).prop_flat_map(move |(row, at, camel)| {
        let name = row.names[at.index(row.names.len())];
        let fits = row.column.map_or_else(anything, fitting);
        let value = match row.opens {
            Some(inner) => {
                let strict = strict && matches!(inner, Level::Actor | Level::Resource);
                prop_oneof![3 => object(inner, strict), 1 => fits].boxed()
            }
            None if strict && !row.lenient => fits,
            None => prop_oneof![3 => fits, 1 => anything()].boxed(),
        };
        let value = prop_oneof![15 => value, 1 => Just("null".to_owned())];
        value.prop_map(move |json| (if camel { camel_case(name) } else { name.to_owned() }, json))
    });
    member.boxed()
}

fn object(level: Level, strict: bool) -> BoxedStrategy<String> {
    let unknown = prop_oneof!["[a-c]", "event\\.[a-c]", any_of(&["data", "metadata", "roles", "é\"\\", ""])];
    let members = prop::collection::vec(known(level, strict), 0..7);
    let others = prop::collection::btree_map(unknown, anything(), 0..4);
    (members, others).prop_map(|(members, others)| print(&members.into_iter().chain(others).collect())).boxed()
}

/// An event that has an action and details that other names may run into.
fn event() -> BoxedStrategy<String> {
    let details = prop::collection::btree_map("(event\\.){0,2}[a-c]|actor|context", anything(), 0..5);
    (object(Level::Event, true), word(), prop::option::of(details))
        .prop_map(|(object, action, details)| {
            let mut all: BTreeMap<String, String> =
                members(&object).into_iter().map(|(name, json)| (name, json.to_owned())).collect();
            all.insert("action".to_owned(), action);
            all.extend(details.map(|details| ("details".to_owned(), print(&details))));
            print(&all)
        })
        .boxed()
}

/// Every string and number in a value.
fn leaves(json: &str, out: &mut Vec<String>) {
    match Kind::of(json) {
        Kind::Object => members(json).into_iter().for_each(|(_, json)| leaves(json, out)),
        Kind::Array => elements(json).unwrap().into_iter().for_each(|json| leaves(json, out)),
        Kind::String => out.push(string(json).unwrap()),
        Kind::Number => out.push(json.to_owned()),
        Kind::Null | Kind::Boolean => {}
    }
}

/// Whether a column holds this text in its own spelling, and all of it.
fn is_normalised(leaf: &str, event: &Event) -> bool {
    let time = [when::read_text(leaf), when::read_number(leaf)];
    let in_time = leaf.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && time.iter().flatten().any(|&(micros, exact)| exact && event.occurred_at == Some(micros));
    let in_ip = spelling::ip(leaf).is_some_and(|(address, whole)| whole && event.ip == Some(address));
    in_time
        || in_ip
        || spelling::uuid(leaf).is_some_and(|id| event.id == Some(id))
        || spelling::actor_type(leaf).is_some_and(|word| event.actor_type.as_deref() == Some(word))
        || spelling::result(leaf).is_some_and(|word| event.result.as_deref() == Some(word))
        || spelling::boolean(leaf).is_some_and(|pii| event.pii == Some(pii))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_is_dropped(json in event()) {
        let event = Event::read(&json).map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?;
        let (mut said, mut kept) = (Vec::new(), Vec::new());
        leaves(&json, &mut said);
        leaves(&flat(&event), &mut kept);
        let kept: BTreeSet<String> = kept.into_iter().collect();
        for leaf in said {
            prop_assert!(kept.contains(&leaf) || is_normalised(&leaf, &event), "{leaf:?} of {json} in {event:?}");
        }
    }

    #[test]
    fn columns_hold_what_they_may(json in event()) {
        let event = Event::read(&json).unwrap();
        for json in [&event.details, &event.old_value, &event.new_value].into_iter().flatten() {
            prop_assert_eq!(check::strict(json), Ok(json.as_str()));
        }
        let is_object = |details: &String| details.starts_with('{');
        prop_assert!(event.details.as_ref().is_none_or(is_object));
        prop_assert!(!event.action.is_empty());
        let words = ["user", "service", "ai_agent", "system", "success", "failure", "denied", "error"];
        prop_assert!(event.actor_type.as_deref().is_none_or(|word| words[..4].contains(&word)));
        prop_assert!(event.result.as_deref().is_none_or(|word| words[4..].contains(&word)));
    }

    #[test]
    fn columns_read_as_themselves(json in event()) {
        let event = Event::read(&json).unwrap();
        prop_assert_eq!(Event::read(&flat(&event)), Ok(event.clone()));
        let both = format!("[{json},{}]", flat(&event));
        prop_assert_eq!(read_all(&both), Ok(vec![event.clone(), event]));
    }

    #[test]
    fn any_object_is_read_or_refused(json in object(Level::Event, false)) {
        match Event::read(&json) {
            Ok(event) => prop_assert_eq!(Event::read(&flat(&event)), Ok(event)),
            Err(error) => prop_assert!(error.to_string().len() < 300),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|[{}\\[\\]\":,\\\\ua0-9 -]{0,60}") {
        let _ = (Event::read(&text), read_all(&text));
    }
}
