//! Events made at random: what `notary_core::event` reads in one is what its row holds. `NOTARY_SEED` repeats a run.

use crate::{said, scene};
use notary_core::Timestamp;
use notary_core::event::Event;
use notary_tests::err;
use notary_tests::verdict::assert_found;
use postgres::Client;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

const EVENTS: usize = 1500;

const NAMES: [&str; 44] = [
    "id",
    "event_id",
    "eventId",
    "timestamp",
    "@timestamp",
    "occurredAt",
    "ts",
    "action",
    "event_type",
    "eventName",
    "actor",
    "user",
    "user_id",
    "userId",
    "username",
    "actor_type",
    "actorRole",
    "role",
    "resource",
    "resource_type",
    "entity_id",
    "targetName",
    "result",
    "outcome",
    "status",
    "ip",
    "ipAddress",
    "remote_addr",
    "userAgent",
    "session_id",
    "requestId",
    "traceparent",
    "pii",
    "pii_fields",
    "old_value",
    "after",
    "tags",
    "labels",
    "context",
    "event_data",
    "details",
    "type",
    "name",
    "email",
];
const WORDS: [&str; 22] = [
    "ann",
    "",
    "success",
    "Denied",
    "bot",
    "USER",
    "ai-agent",
    "192.0.2.7",
    "2001:DB8::7",
    "10.0.0.1:80",
    "1.2.3.4, 5.6.7.8",
    "2026-11-20T16:07:00.5+01:00",
    "2026-11-20",
    "6F1C2B1E-0A0B-4C0D-8E0F-00112233AABB",
    "true",
    "false",
    "é'\"\\\n漢",
    "NULL",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "a,b",
    "{}",
    "0",
];

struct Source(StdRng);

impl Source {
    fn value(&mut self, depth: u32) -> Value {
        match self.0.random_range(0..14) {
            0 => Value::Null,
            1 => json!(self.0.random::<bool>()),
            2 => json!(self.0.random_range(-5..2_000_000_000_000_i64)),
            3 => json!(f64::from(self.0.random_range(-1000..1000)) / 8.0),
            4 if depth > 0 => (0..self.0.random_range(0..4)).map(|_| self.value(depth - 1)).collect(),
            5 => (0..self.0.random_range(0..3)).map(|_| json!(self.word())).collect(),
            6 | 7 if depth > 0 => self.object(depth - 1, 4),
            _ => json!(self.word()),
        }
    }

    fn word(&mut self) -> String {
        if self.0.random_range(0..4) == 0 {
            return (0..self.0.random_range(0..12)).map(|_| self.0.random_range('\u{1}'..'\u{d7ff}')).collect();
        }
        (*WORDS.choose(&mut self.0).unwrap()).to_owned()
    }

    fn object(&mut self, depth: u32, most: usize) -> Value {
        let mut members = Map::new();
        for _ in 0..self.0.random_range(0..=most) {
            let name = if self.0.random_range(0..8) == 0 {
                self.word()
            } else {
                (*NAMES.choose(&mut self.0).unwrap()).to_owned()
            };
            let value = self.value(depth);
            members.insert(name, value);
        }
        members.into()
    }

    fn event(&mut self) -> Value {
        let mut event = self.object(3, 7);
        if self.0.random_range(0..10) > 0 {
            event["action"] = json!("x");
        }
        // So that few are refused.
        for (name, fit) in [
            ("ip", json!("10.0.0.1")),
            ("ts", json!(1_763_654_820)),
            ("actor_type", json!("user")),
            ("result", json!("ok")),
        ] {
            if event.get(name).is_some() && self.0.random_range(0..10) > 0 {
                event[name] = fit;
            }
        }
        event
    }
}

/// The row that an event is to become, by the library.
fn expected(event: &Event, row: &Value) -> Value {
    let mut columns = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            columns.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let json = |text: &Option<String>| text.as_ref().map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
    // What the event does not say, the database does.
    let default = |name: &str| row.get(name).cloned();
    put("id", event.id.map(|id| json!(uuid::Uuid::from_bytes(id).to_string())).or_else(|| default("id")));
    put("occurred_at", event.occurred_at.map(|at| json!(Timestamp(at).to_string())).or_else(|| default("occurred_at")));
    put("action", Some(json!(event.action)));
    put("actor", text(&event.actor).or_else(|| Some(json!("postgres"))));
    put("actor_type", text(&event.actor_type));
    put("actor_role", text(&event.actor_role));
    put("resource_type", text(&event.resource_type));
    put("resource_id", text(&event.resource_id));
    put("resource_name", text(&event.resource_name));
    put("result", text(&event.result).or_else(|| Some(json!("success"))));
    put("ip", text(&event.ip));
    put("user_agent", text(&event.user_agent));
    put("session_id", text(&event.session_id));
    put("request_id", text(&event.request_id));
    put("trace_id", text(&event.trace_id));
    put("pii", Some(json!(event.pii.unwrap_or(false))));
    put("pii_fields", event.pii_fields.clone().map(|fields| json!(fields)));
    put("old_value", json(&event.old_value));
    put("new_value", json(&event.new_value));
    put("details", json(&event.details));
    put("tags", event.tags.clone().map(|tags| json!(tags)));
    columns.into()
}

/// jsonb_strip_nulls takes nulls within, too, and times are spelt otherwise: one spelling for both sides.
fn plain(client: &mut Client, row: &Value) -> Value {
    let sql = "SELECT jsonb_strip_nulls($1) || CASE WHEN $1 ? 'occurred_at' THEN
               jsonb_build_object('occurred_at', ($1 ->> 'occurred_at')::timestamptz) ELSE '{}' END";
    client.query_one(sql, &[row]).unwrap().get(0)
}

#[test]
fn a_row_holds_what_the_library_reads() {
    let db = scene("random");
    let mut client = db.client();
    let seed = std::env::var("NOTARY_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("NOTARY_SEED={seed}");
    let mut source = Source(StdRng::seed_from_u64(seed));
    let (mut written, mut refused) = (0, 0);
    for number in 0..EVENTS {
        let event = source.event();
        // As jsonb has it: the order of members is its own.
        let text: String = client.query_one("SELECT $1::jsonb::text", &[&event]).unwrap().get(0);
        let answer = client.query_one("SELECT notary.log_event($1)", &[&event]);
        match Event::read(&text) {
            Err(why) => {
                let error = err(answer);
                assert_eq!(error.code, "22023", "seed {seed}, event {number}: {event}: {error}");
                assert!(why.member.is_empty() || error.message.contains(&why.member), "{event}: {error}, {why}");
                refused += 1;
            }
            // Two events of one id are not both written.
            Ok(_) if answer.as_ref().err().is_some_and(|e| e.code().is_some_and(|c| c.code() == "23505")) => {
                refused += 1
            }
            Ok(model) => {
                let id: uuid::Uuid =
                    answer.unwrap_or_else(|e| panic!("seed {seed}, event {number}: {event}: {e}")).get(0);
                let row = said(&mut client, &id.to_string());
                let expected = plain(&mut client, &expected(&model, &row));
                assert_eq!(plain(&mut client, &row), expected, "seed {seed}, event {number}: {event}");
                written += 1;
            }
        }
    }
    assert!(written > EVENTS / 10 && refused > EVENTS / 50, "{written} written, {refused} refused: the mix is no good");
    assert_found(&mut client, "audit", &[]);
}
