//! The three shapes that applications write, and mixes of them.

use serde_json::json;

use super::{UUID, reads};
use crate::event::{Event, What};

#[test]
fn shape_1_change_of_an_entity() {
    let context = json!({"ip": "192.0.2.7", "userAgent": "curl/8", "session_id": "s1", "request_id": 77,
        "user_id": "u9", "region": "eu"});
    reads(
        json!({"timestamp": "2026-11-20T17:07:00.5+01:00", "event_type": "account.update", "actor": "alice",
            "entity_id": 42, "old_value": {"n": 1}, "new_value": {"n": 2}, "context": context}),
        json!({"occurred_at": "2026-11-20T16:07:00.500000Z", "action": "account.update", "actor": "alice",
            "resource_id": "42", "old_value": {"n": 1}, "new_value": {"n": 2}, "ip": "192.0.2.7",
            "user_agent": "curl/8", "session_id": "s1", "request_id": "77",
            "details": {"context": {"user_id": "u9", "region": "eu"}}}),
    );
}

#[test]
fn shape_2_actor_action_resource() {
    let actor = json!({"userId": "u1", "email": "a@example.com", "role": "admin", "ipAddress": "2001:DB8::7",
        "userAgent": "Mozilla/5.0"});
    reads(
        json!({"eventId": UUID.to_uppercase(), "timestamp": "2026-11-20T16:07:00Z", "actor": actor,
            "action": "customer.export", "resource": {"type": "customer", "id": "c1", "name": "ACME", "tier": 3},
            "details": {"rows": 10}, "result": "OK", "checksum": "ab12"}),
        json!({"id": UUID, "occurred_at": "2026-11-20T16:07:00.000000Z", "action": "customer.export", "actor": "u1",
            "actor_role": "admin", "ip": "2001:db8::7", "user_agent": "Mozilla/5.0", "resource_type": "customer",
            "resource_id": "c1", "resource_name": "ACME", "result": "success",
            "details": {"rows": 10, "actor": {"email": "a@example.com"}, "resource": {"tier": 3}, "checksum": "ab12"}}),
    );
}

#[test]
fn shape_3_a_type_and_data() {
    let data = json!({"eventId": UUID, "time": 1_763_654_820, "user": {"id": 7, "type": "Bot", "team": "x"},
        "resource": {"type": "order", "id": 8}, "amount": "10", "ip": "10.0.0.1:80",
        "context": {"traceId": "t1", "host": "h"}});
    reads(
        json!({"event_type": "order.created", "event_data": data}),
        json!({"id": UUID, "occurred_at": "2025-11-20T16:07:00.000000Z", "action": "order.created", "actor": "7",
            "actor_type": "service", "resource_type": "order", "resource_id": "8", "ip": "10.0.0.1", "trace_id": "t1",
            "details": {"event_data": {"user": {"team": "x"}, "amount": "10", "ip": "10.0.0.1:80",
                "context": {"host": "h"}}}}),
    );
}

#[test]
fn shapes_mix_and_what_is_nearer_to_the_top_wins() {
    reads(
        json!({"event_type": "x", "timestamp": "2026-01-01", "ip": "10.0.0.1", "actor": {"id": "a", "ip": "10.0.0.2"},
            "context": {"ip": "10.0.0.3", "actor": {"id": "b", "role": "r"}, "session_id": "s1"},
            "event_data": {"action": "y", "actor": {"id": "c", "role": "q"}, "sessionId": "s2", "tags": "t"}}),
        json!({"action": "x", "occurred_at": "2026-01-01T00:00:00.000000Z", "ip": "10.0.0.1", "actor": "a",
            "actor_role": "r", "session_id": "s1", "tags": ["t"],
            "details": {"actor": {"ip": "10.0.0.2"}, "context": {"ip": "10.0.0.3", "actor": {"id": "b"}},
                "event_data": {"action": "y", "actor": {"id": "c", "role": "q"}, "sessionId": "s2"}}}),
    );
    // Of two objects at one level, `actor` comes before `user` in the table, and after it in the text.
    reads(
        json!({"action": "x", "user": {"id": 1, "z": 1}, "actor": {"name": "n"}}),
        json!({"action": "x", "actor": "n", "details": {"user": {"id": 1, "z": 1}}}),
    );
}

#[test]
fn values_keep_their_exact_text() {
    let event = r#"{"action":"x","old_value":1e400,"new_value":[0.10, {"a" : -0}],"entity_id":007e0,"more":1.50}"#;
    assert_eq!(Event::read(event).unwrap_err().what, What::NotJson);
    let event = Event::read(&event.replace("007e0", "100000000000000000000.0")).unwrap();
    assert_eq!(event.old_value.as_deref(), Some("1e400"));
    assert_eq!(event.new_value.as_deref(), Some(r#"[0.10, {"a" : -0}]"#));
    assert_eq!(event.resource_id.as_deref(), Some("100000000000000000000.0"));
    assert_eq!(event.details.as_deref(), Some(r#"{"more":1.50}"#));
    let event = Event::read(r#"{"action":"a\u00e9\"\n","x\u0001\"":"\u00e9","details":{"deep":[1e400]}}"#).unwrap();
    assert_eq!(event.action, "aé\"\n");
    assert_eq!(event.details.as_deref(), Some(r#"{"deep":[1e400],"x\u0001\"":"\u00e9"}"#));
}
