//! Rules for requests, personal data, values, tags, and for all that nobody knows.

use serde_json::json;

use super::{fills, is_refused, reads, stays, with};
use crate::event::{Event, Kind, What};

#[test]
fn addresses() {
    for name in
        ["ip", "ipAddress", "ip_address", "source_ip", "sourceIp", "client_ip", "clientIp", "remote_addr", "remoteAddr"]
    {
        fills(json!({name: "192.0.2.7"}), "ip", json!("192.0.2.7"));
        fills(json!({"context": {name: "192.0.2.7"}}), "ip", json!("192.0.2.7"));
    }
    for (text, ip) in [(" 10.1.2.3/8 ", "10.1.2.3/8"), ("2001:DB8:0::7/64", "2001:db8::7/64"), ("[::1]", "::1")] {
        fills(json!({"ip": text}), "ip", json!(ip));
    }
    for (text, ip) in [
        ("1.2.3.4:555", "1.2.3.4"),
        ("[::1]:555", "::1"),
        ("1.2.3.4, 5.6.7.8", "1.2.3.4"),
        ("[2001:db8::1]:80,unknown", "2001:db8::1"),
    ] {
        reads(with(json!({"ip": text})), with(json!({"ip": ip, "details": {"ip": text}})));
    }
    for bad in [
        "",
        "localhost",
        "1.2.3",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4/33",
        "::1/129",
        "1.2.3.4/+8",
        "1.2.3.4/",
        "unknown, 1.2.3.4",
        "1.2.3.4:99999",
        "[1.2.3.4]",
        "::1%",
    ] {
        is_refused(json!({"clientIp": bad}), "clientIp", What::OtherString);
        stays(json!({"context": {"ip": bad}}));
    }
    is_refused(json!({"ip": ["1.2.3.4"]}), "ip", What::Is(Kind::Array));
}

#[test]
fn requests() {
    for (names, column) in [
        (&["user_agent", "userAgent"][..], "user_agent"),
        (&["session_id", "sessionId"], "session_id"),
        (&["request_id", "requestId", "correlation_id", "correlationId"], "request_id"),
        (&["trace_id", "traceId", "traceparent"], "trace_id"),
    ] {
        for name in names {
            fills(json!({*name: "a"}), column, json!("a"));
            fills(json!({*name: 1}), column, json!("1"));
            fills(json!({"context": {*name: "a"}}), column, json!("a"));
            is_refused(json!({*name: {}}), name, What::Is(Kind::Object));
        }
    }
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let whole = format!("00-{trace}-b7ad6b7169203331-01");
    for name in ["traceparent", "traceId"] {
        reads(with(json!({name: whole})), with(json!({"trace_id": trace, "details": {name: whole}})));
    }
    fills(json!({"traceparent": format!("{whole}-")}), "trace_id", json!(format!("{whole}-")));
    reads(
        with(json!({"traceparent": whole, "traceId": "t"})),
        with(json!({"trace_id": "t", "details": {"traceparent": whole}})),
    );
    stays(json!({"context": {"role": "r", "action": "y", "entity_id": 1, "timestamp": "2026-01-01"}}));
    stays(json!({"context": "web"}));
    stays(json!({"context": {}}));
}

#[test]
fn personal_data() {
    for name in ["pii", "contains_pii", "containsPii"] {
        fills(json!({name: true}), "pii", json!(true));
        fills(json!({name: "False"}), "pii", json!(false));
        is_refused(json!({name: "yes"}), name, What::OtherString);
        is_refused(json!({name: 1}), name, What::Is(Kind::Number));
    }
    reads(with(json!({"piiFields": ["a"]})), with(json!({"pii_fields": ["a"], "pii": true})));
    reads(with(json!({"pii_fields": ["a"], "pii": false})), with(json!({"pii_fields": ["a"], "pii": false})));
    fills(json!({"pii_fields": []}), "pii_fields", json!([]));
    is_refused(json!({"pii_fields": "a"}), "pii_fields", What::Is(Kind::String));
    is_refused(json!({"pii_fields": ["a", null]}), "pii_fields[1]", What::Is(Kind::Null));
}

#[test]
fn values_before_and_after() {
    for (names, column) in [
        (["old_value", "oldValue", "before", "old_values", "oldValues"], "old_value"),
        (["new_value", "newValue", "after", "new_values", "newValues"], "new_value"),
    ] {
        for value in [json!(false), json!(0), json!("s"), json!([null]), json!({"old_value": null})] {
            for (at, name) in names.iter().enumerate() {
                fills(json!({*name: value}), column, value.clone());
                fills(json!({"event_data": {*name: value}}), column, value.clone());
                if let Some(later) = names.get(at + 1) {
                    reads(with(json!({*name: 1, *later: value})), with(json!({column: 1, "details": {*later: value}})));
                }
            }
        }
    }
}

#[test]
fn tags_and_labels() {
    for name in ["tags", "labels"] {
        fills(json!({name: ["a", "b"]}), "tags", json!(["a", "b"]));
        fills(json!({name: "a"}), "tags", json!(["a"]));
        fills(json!({name: []}), "tags", json!([]));
    }
    stays(json!({"labels": {"a": "b"}}));
    stays(json!({"labels": [1]}));
    is_refused(json!({"tags": {"a": "b"}}), "tags", What::Is(Kind::Object));
    is_refused(json!({"tags": ["a", 1]}), "tags[1]", What::Is(Kind::Number));
    reads(with(json!({"labels": ["a"], "tags": "b"})), with(json!({"tags": ["b"], "details": {"labels": ["a"]}})));
}

#[test]
fn details_and_what_nobody_knows() {
    reads(
        with(json!({"details": {"a": 1}, "b": null, "data": {"ip": "x"}, "metadata": {"ip": "::1"}})),
        with(json!({"details": {"a": 1, "b": null, "data": {"ip": "x"}, "metadata": {"ip": "::1"}}})),
    );
    for other in [json!("text"), json!([1]), json!(1), json!(false)] {
        stays(json!({"details": other}));
        stays(json!({"event_data": other}));
    }
    // Known names in details are what they are there.
    reads(
        with(json!({"details": {"actor": {"id": 1}, "ip": null}})),
        with(json!({"details": {"actor": {"id": 1}, "ip": null}})),
    );
    fills(json!({"details": {}}), "details", json!({}));
    stays(json!({"event_data": {}}));
    stays(json!({"event_data": {"details": {"a": 1}, "event_data": {"ip": "::1"}, "x": null}}));
}

#[test]
fn details_keep_their_names_and_the_events_give_way() {
    reads(
        with(json!({"details": {"checksum": 1}, "checksum": 2})),
        with(json!({"details": {"checksum": 1, "event.checksum": 2}})),
    );
    reads(
        with(json!({"details": {"a": 1, "event.a": 2}, "a": 3, "event.a": 4, "event.event.a": 5})),
        with(json!({"details": {"a": 1, "event.a": 2, "event.event.event.a": 3,
            "event.event.event.event.a": 4, "event.event.a": 5}})),
    );
    reads(
        with(json!({"details": {"actor": "d", "context": 1}, "actor": {"id": "u", "x": 1}, "context": {"y": 2}})),
        with(json!({"actor": "u", "details": {"actor": "d", "context": 1,
            "event.actor": {"x": 1}, "event.context": {"y": 2}}})),
    );
}

#[test]
fn null_is_as_if_it_were_not_there() {
    let known = [
        "id",
        "timestamp",
        "actor",
        "user",
        "actor_type",
        "role",
        "resource",
        "entityId",
        "result",
        "outcome",
        "ip",
        "userAgent",
        "traceId",
        "pii",
        "piiFields",
        "old_value",
        "after",
        "tags",
        "labels",
        "details",
        "context",
        "eventData",
    ];
    for name in known {
        reads(with(json!({name: null})), json!({"action": "x"}));
    }
    reads(
        json!({"action": null, "event": "y", "actor": {"id": null, "name": "n"}}),
        json!({"action": "y", "actor": "n"}),
    );
    stays(json!({"unknown": {"old_value": null}, "other": null}));
}

#[test]
fn camel_case_is_exact() {
    for name in [
        "EventType",
        "eventtype",
        "event_Type",
        "event__type",
        "event-type",
        "eventType_",
        "ÉventType",
        "eventÉype",
        "event",
    ] {
        let read = Event::read(&json!({"action": "x", name: "y"}).to_string()).unwrap();
        assert_eq!(read.details, Some(json!({name: "y"}).to_string()), "{name}");
    }
}
