//! Rules for who did what to what, when, and how it went.

use serde_json::json;

use super::{UUID, fills, is_refused, reads, refuses, stays, with};
use crate::event::{Kind, What};

#[test]
fn ids() {
    let bare = UUID.replace('-', "");
    for text in
        [UUID, &UUID.to_uppercase(), &bare, &format!("{{{UUID}}}"), &format!("{{{bare}}}"), &format!("URN:uuid:{UUID}")]
    {
        for name in ["id", "eventId", "event_id"] {
            fills(json!({name: text}), "id", json!(UUID));
        }
    }
    let short = &bare[1..];
    let moved = "6f1c2b1e0-a0b-4c0d-8e0f-00112233aabb";
    for other in [
        json!("evt_1"),
        json!(17),
        json!(""),
        json!(short),
        json!(moved),
        json!(format!("+{short}")),
        json!("é".repeat(16)),
    ] {
        for name in ["id", "eventId", "event_id"] {
            stays(json!({name: other}));
        }
    }
    reads(with(json!({"id": "evt", "eventId": UUID})), with(json!({"id": UUID, "details": {"id": "evt"}})));
    reads(with(json!({"id": UUID, "eventId": bare})), with(json!({"id": UUID, "details": {"eventId": bare}})));
    is_refused(json!({"id": true}), "id", What::Is(Kind::Boolean));
}

#[test]
fn times() {
    let at = json!("2026-11-20T16:07:00.250000Z");
    for name in ["timestamp", "@timestamp", "occurred_at", "occurredAt", "time", "event_time", "eventTime", "ts"] {
        for time in [json!("2026-11-20 16:07:00,25"), json!(1_795_190_820_250_i64), json!(1_795_190_820.25), at.clone()]
        {
            fills(json!({name: time}), "occurred_at", at.clone());
        }
        is_refused(json!({name: "today"}), name, What::OtherString);
        is_refused(json!({name: true}), name, What::Is(Kind::Boolean));
    }
    reads(
        with(json!({"ts": at, "time": 1})),
        with(json!({"occurred_at": "1970-01-01T00:00:01.000000Z", "details": {"ts": at}})),
    );
    // What was cut off is not lost.
    let fine = "2026-11-20T16:07:00.250000001Z";
    reads(with(json!({"ts": fine})), with(json!({"occurred_at": at, "details": {"ts": fine}})));
    fills(json!({"ts": "2026-11-20T16:07:00.250000000Z"}), "occurred_at", at);
}

#[test]
fn actions() {
    let names = ["action", "event_type", "eventType", "event", "event_name", "eventName"];
    for (at, first) in names.iter().enumerate() {
        reads(json!({*first: "a"}), json!({"action": "a"}));
        for later in &names[at + 1..] {
            reads(json!({*first: "a", *later: "b"}), json!({"action": "a", "details": {*later: "b"}}));
        }
        refuses(json!({*first: 1}), first, What::Is(Kind::Number));
        refuses(json!({*first: ""}), first, What::Empty);
    }
    reads(json!({"event_data": {"action": "a"}}), json!({"action": "a"}));
}

#[test]
fn actors() {
    for name in ["actor", "actor_id", "actorId", "user", "user_id", "userId", "username"] {
        fills(json!({name: "u1"}), "actor", json!("u1"));
        fills(json!({name: 12}), "actor", json!("12"));
        is_refused(json!({name: true}), name, What::Is(Kind::Boolean));
        is_refused(json!({name: ["u1"]}), name, What::Is(Kind::Array));
    }
    let names = ["user_id", "userId", "id", "sub", "username", "name", "email"];
    for outer in ["actor", "user"] {
        for (at, first) in names.iter().enumerate() {
            fills(json!({outer: {*first: 1}}), "actor", json!("1"));
            for later in &names[at + 1..] {
                let (both, left) = (json!({*first: "a", *later: "b"}), json!({outer: {*later: "b"}}));
                reads(with(json!({outer: both})), with(json!({"actor": "a", "details": left})));
            }
        }
    }
    let actor = json!({"sub": "s", "type": "AI-agent", "role": "r", "ip": "10.0.0.1", "userAgent": "ua", "sessionId": 5,
        "roles": ["a"], "name": "n", "id": null});
    reads(
        with(json!({"actor": actor})),
        with(json!({"actor": "s", "actor_type": "ai_agent", "actor_role": "r", "ip": "10.0.0.1", "user_agent": "ua",
            "session_id": "5", "details": {"actor": {"name": "n", "roles": ["a"]}}})),
    );
    reads(with(json!({"actor": {"x": {"id": 1}}})), with(json!({"details": {"actor": {"x": {"id": 1}}}})));
    stays(json!({"actor": {}, "roles": ["a"]}));
    is_refused(json!({"actor_id": {"id": 1}}), "actor_id", What::Is(Kind::Object));
    for name in ["actor_role", "actorRole", "role"] {
        fills(json!({name: "r"}), "actor_role", json!("r"));
    }
}

#[test]
fn types_of_actors() {
    for (words, value) in [
        (&["user", "User", "HUMAN"][..], "user"),
        (&["service", "bot", "Machine"], "service"),
        (&["ai_agent", "AI-Agent", "agent"], "ai_agent"),
        (&["system", "SYSTEM"], "system"),
    ] {
        for word in words {
            fills(json!({"actor_type": word}), "actor_type", json!(value));
            fills(json!({"actorType": word}), "actor_type", json!(value));
            fills(json!({"actor": {"type": word}}), "actor_type", json!(value));
        }
    }
    is_refused(json!({"actorType": "robot"}), "actorType", What::OtherString);
    is_refused(json!({"actor": {"type": 1}}), "actor.type", What::Is(Kind::Number));
    stays(json!({"event_data": {"actor_type": "robot", "actor": {"type": 1}}}));
}

#[test]
fn resources() {
    for what in ["type", "id", "name"] {
        let column = format!("resource_{what}");
        for of in ["resource", "entity", "target"] {
            let (snake, camel) = (format!("{of}_{what}"), format!("{of}{}{}", what[..1].to_uppercase(), &what[1..]));
            fills(json!({snake: "a"}), &column, json!("a"));
            fills(json!({camel.clone(): 10}), &column, json!("10"));
            is_refused(json!({camel.clone(): {}}), &camel, What::Is(Kind::Object));
        }
        fills(json!({"resource": {what: "a"}}), &column, json!("a"));
        is_refused(json!({"resource": {what: true}}), &format!("resource.{what}"), What::Is(Kind::Boolean));
    }
    fills(json!({"resource": "a"}), "resource_id", json!("a"));
    fills(json!({"resource": 5}), "resource_id", json!("5"));
    is_refused(json!({"resource": true}), "resource", What::Is(Kind::Boolean));
    let both = json!({"resource": {"id": 1, "type": "t"}, "entity_id": 2});
    reads(with(both), with(json!({"resource_type": "t", "resource_id": "2", "details": {"resource": {"id": 1}}})));
}

#[test]
fn results() {
    for (words, value) in [
        (&["success", "OK", "succeeded", "Successful"][..], "success"),
        (&["failure", "FAIL", "failed"], "failure"),
        (&["denied", "forbidden", "unauthorized", "rejected", "blocked"], "denied"),
        (&["error", "Exception"], "error"),
    ] {
        for word in words {
            for name in ["result", "outcome", "status"] {
                fills(json!({name: word}), "result", json!(value));
            }
        }
    }
    fills(json!({"result": true}), "result", json!("success"));
    fills(json!({"result": false}), "result", json!("failure"));
    is_refused(json!({"result": "partly"}), "result", What::OtherString);
    is_refused(json!({"result": {}}), "result", What::Is(Kind::Object));
    stays(json!({"outcome": "partly", "status": 200}));
    stays(json!({"status": true}));
    reads(
        with(json!({"outcome": "?", "status": "ok"})),
        with(json!({"result": "success", "details": {"outcome": "?"}})),
    );
    reads(
        with(json!({"result": "ok", "status": "error"})),
        with(json!({"result": "success", "details": {"status": "error"}})),
    );
}
