//! What errors say, arrays of events, and the table against its documentation.

mod deed;
mod properties;
mod rest;
mod shapes;
mod times;
mod words;

use serde_json::{Value, json};

use super::table::{Level, TABLE};
use super::*;
use crate::{LogId, Timestamp};

/// An event as a flat JSON object with the names of its columns.
fn flat(event: &Event) -> String {
    let quoted = |text: &Option<String>| text.as_ref().map(|text| json!(text).to_string());
    let members = [
        ("id", event.id.map(|id| json!(LogId::from_bytes(id).to_string()).to_string())),
        ("occurred_at", event.occurred_at.map(|t| json!(Timestamp(t).to_string()).to_string())),
        ("action", Some(json!(event.action).to_string())),
        ("actor", quoted(&event.actor)),
        ("actor_type", quoted(&event.actor_type)),
        ("actor_role", quoted(&event.actor_role)),
        ("resource_type", quoted(&event.resource_type)),
        ("resource_id", quoted(&event.resource_id)),
        ("resource_name", quoted(&event.resource_name)),
        ("result", quoted(&event.result)),
        ("ip", quoted(&event.ip)),
        ("user_agent", quoted(&event.user_agent)),
        ("session_id", quoted(&event.session_id)),
        ("request_id", quoted(&event.request_id)),
        ("trace_id", quoted(&event.trace_id)),
        ("pii", event.pii.map(|pii| pii.to_string())),
        ("pii_fields", event.pii_fields.as_ref().map(|fields| json!(fields).to_string())),
        ("old_value", event.old_value.clone()),
        ("new_value", event.new_value.clone()),
        ("details", event.details.clone()),
        ("tags", event.tags.as_ref().map(|tags| json!(tags).to_string())),
    ];
    let said = members.iter().filter_map(|(name, json)| Some(format!("\"{name}\":{}", json.as_ref()?)));
    format!("{{{}}}", said.collect::<Vec<_>>().join(","))
}

/// These columns and no others.
fn reads(event: Value, columns: Value) {
    let read = Event::read(&event.to_string()).unwrap_or_else(|error| panic!("{event}: {error}"));
    let read: Value = serde_json::from_str(&flat(&read)).unwrap();
    assert_eq!(read, columns, "{event}");
}

/// The member that is malformed, and how.
fn refuses(event: Value, member: &str, what: What) {
    let error = Event::read(&event.to_string()).expect_err(&event.to_string());
    assert_eq!((error.member.as_str(), error.what), (member, what), "{event}");
}

const UUID: &str = "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

/// An action and these members.
fn with(members: Value) -> Value {
    let mut event = json!({"action": "x"});
    event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    event
}

/// Members that fill one column.
fn fills(members: Value, column: &str, value: Value) {
    reads(with(members), with(json!({column: value})));
}

/// Members of which nothing fills a column.
fn stays(members: Value) {
    reads(with(members.clone()), with(json!({"details": members})));
}

fn is_refused(members: Value, member: &str, what: What) {
    refuses(with(members), member, what);
}

#[test]
fn what_is_no_event_is_refused() {
    for (text, what) in [
        ("", What::NotJson),
        ("{", What::NotJson),
        ("{} x", What::NotJson),
        (r#"{"action":"x",}"#, What::NotJson),
        (r#"{"action":"x","n":01}"#, What::NotJson),
        ("[]", What::Is(Kind::Array)),
        ("null", What::Is(Kind::Null)),
        (r#""action""#, What::Is(Kind::String)),
        (r#"{"action":"x","action":"y"}"#, What::Twice),
        (r#"{"action":"x","a":[{"b" :1,"c":2,"\u0062" :3}]}"#, What::Twice),
        (r#"{"action":"x","a":["\ud800"]}"#, What::NoText),
        (r#"{"action":"x","a":{"b\u0000":1}}"#, What::NoText),
    ] {
        let error = Event::read(text).unwrap_err();
        assert_eq!((error.member.as_str(), error.what), ("", what), "{text}");
    }
    // One name in two objects, and as a value, is none twice.
    reads(
        json!({"action": "x", "a": [{"b": "b"}, {"b": {"b": 1}}]}),
        json!({"action": "x", "details": {"a": [{"b": "b"}, {"b": {"b": 1}}]}}),
    );
}

#[test]
fn depth_costs_no_stack() {
    let deep = |left: &str, right: &str| format!("{}1{}", left.repeat(200_000), right.repeat(200_000));
    for value in [deep("[", "]"), deep("{\"actor\":", "}")] {
        for name in ["x", "old_value", "context", "event_data", "details"] {
            let event = Event::read(&format!("{{\"action\":\"x\",\"{name}\":{value}}}")).unwrap();
            let kept = [event.old_value, event.details].into_iter().flatten().map(|text| text.len()).max().unwrap();
            assert!(kept >= value.len() - 20, "{name}");
        }
    }
    assert_eq!(Event::read(&"[".repeat(1_000_000)).unwrap_err().what, What::NotJson);
}

#[test]
fn errors_name_the_member_and_never_tell_the_value() {
    let secret = "4000 0012 3456 7899";
    for (event, member, what) in [
        (json!({"x": secret}), "action", What::Missing),
        (json!({"action": null}), "action", What::Missing),
        (json!({"action": ""}), "action", What::Empty),
        (json!({"eventType": [secret]}), "eventType", What::Is(Kind::Array)),
        (json!({"action": "x", "actor": {"ipAddress": secret}}), "actor.ipAddress", What::OtherString),
        (json!({"action": "x", "actor": {"type": secret}}), "actor.type", What::OtherString),
        (json!({"action": "x", "resource": {"id": {"x": secret}}}), "resource.id", What::Is(Kind::Object)),
        (json!({"action": "x", "piiFields": ["a", {"x": secret}]}), "piiFields[1]", What::Is(Kind::Object)),
        (json!({"action": "x", "ts": secret}), "ts", What::OtherString),
        (json!({"action": "x", "ts": 1e17}), "ts", What::OtherNumber),
    ] {
        refuses(event.clone(), member, what);
        let told = Event::read(&event.to_string()).unwrap_err().to_string();
        assert!(told.contains(&format!("\"{member}\"")) && !told.contains(secret), "{told}");
    }
    let told = Event::read(r#"{"action":"x","actor":{"ip":[]}}"#).unwrap_err().to_string();
    let expected = "the event's member \"actor.ip\" is malformed: it is an array; \
                    expected an address of IPv4 or IPv6, such as \"192.0.2.7\" or \"2001:db8::7\"";
    assert_eq!(told, expected);
}

#[test]
fn arrays_of_events_name_the_event_that_is_malformed() {
    let read = read_all(r#" [{"action":"x"}, {"event":"y","n":1}] "#).unwrap();
    assert_eq!(read.iter().map(|event| event.action.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(read_all("[]").unwrap(), []);
    let refused = |text: &str| read_all(text).map_err(|error| (error.member, error.what)).unwrap_err();
    let of = |member: &str, what| (member.to_owned(), what);
    assert_eq!(
        refused(r#"[{"action":"x"},{"action":"x","actor":{"ip":1}}]"#),
        of("[1].actor.ip", What::Is(Kind::Number))
    );
    assert_eq!(refused(r#"[{"x":1}]"#), of("[0].action", What::Missing));
    assert_eq!(refused(r#"[{"action":"x"},[]]"#), of("[1]", What::Is(Kind::Array)));
    assert_eq!(refused(r#"{"action":"x"}"#), of("", What::Is(Kind::Object)));
    assert_eq!(refused("[1,]"), of("", What::NotJson));
}

/// The table of the documentation, from that of the code.
fn documented() -> String {
    let level = |level: &Level| match level {
        Level::Event => "event",
        Level::Actor => "actor",
        Level::Resource => "resource",
        Level::Context => "context",
        Level::EventData => "event_data",
    };
    let mut out = "| member | in | column |\n|---|---|---|\n".to_owned();
    for row in TABLE {
        let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
        let levels: Vec<&str> = row.levels.iter().map(level).collect();
        let column = row.column.map(|column| {
            let words = format!("{column:?}");
            let snake: String = words
                .chars()
                .map(|c| if c.is_uppercase() { format!("_{c}").to_lowercase() } else { c.into() })
                .collect();
            let what = if row.lenient { ", if it fits" } else { "" };
            format!("`{}`{what}", snake.trim_start_matches('_'))
        });
        let opens = row.opens.map(|opens| format!("an object: see *{}*", level(&opens)));
        let goes: Vec<String> = column.into_iter().chain(opens).collect();
        out += &format!("| {} | {} | {} |\n", names.join(", "), levels.join(", "), goes.join("; "));
    }
    out
}

#[test]
fn the_documentation_shows_the_table() {
    let documentation = include_str!("../../../../docs/events.md");
    assert!(documentation.contains(&documented()), "docs/events.md should hold:\n{}", documented());
}

#[test]
fn a_name_stands_once_for_each_level_and_in_snake_case() {
    for level in [Level::Event, Level::Actor, Level::Resource, Level::Context, Level::EventData] {
        let rows = TABLE.iter().filter(|row| row.levels.contains(&level));
        let names: Vec<&str> = rows.flat_map(|row| row.names).copied().collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{level:?} {name}");
            assert!(!name.contains(|c: char| c.is_ascii_uppercase()) && !name.contains("__"), "{name}");
        }
    }
}
