//! `notary.log_event`: the shapes that applications emit, the columns that they become, and what is refused.

use crate::{last, literal, said, scene, writer};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{SECRET, assert_found};
use postgres::Client;
use serde_json::{Value, json};

/// Writes an event; what its row says, without its id and what else the event did not say.
#[track_caller]
fn logged(client: &mut Client, event: &Value) -> Value {
    let id = texts(client, &format!("SELECT notary.log_event({})", literal(&event.to_string()))).remove(0);
    let mut row = said(client, &id);
    let columns = row.as_object_mut().expect("an object");
    columns.remove("id");
    for (column, default) in [("result", json!("success")), ("pii", json!(false)), ("actor", json!("postgres"))] {
        if columns.get(column) == Some(&default) {
            columns.remove(column);
        }
    }
    if !["timestamp", "ts", "time", "occurred_at", "occurredAt"].iter().any(|name| event.to_string().contains(name)) {
        columns.remove("occurred_at");
    }
    row
}

#[test]
fn the_shapes_of_applications_become_columns() {
    let db = scene("shapes");
    let mut client = db.client();
    run(&mut client, "SET timezone = 'America/New_York'");
    let cases = [
        // A change of an entity.
        (
            json!({"timestamp": "2026-11-20T17:07:00.5+01:00", "event_type": "account.update", "actor": "alice", "entity_id": 42,
                "old_value": {"n": 1}, "new_value": {"n": 2}, "context": {"ip": "192.0.2.7", "userAgent": "curl/8",
                "session_id": "s1", "request_id": 77, "region": "eu"}}),
            json!({"occurred_at": "2026-11-20T11:07:00.5-05:00", "action": "account.update", "actor": "alice",
                "resource_id": "42", "old_value": {"n": 1}, "new_value": {"n": 2}, "ip": "192.0.2.7", "user_agent": "curl/8",
                "session_id": "s1", "request_id": "77", "details": {"context": {"region": "eu"}}}),
        ),
        // An actor, an action and a resource.
        (
            json!({"timestamp": "2026-11-20T16:07:00Z", "actor": {"userId": "u1", "email": "a@example.com", "role": "admin",
                "ipAddress": "2001:DB8::7", "userAgent": "Mozilla/5.0"}, "action": "customer.export",
                "resource": {"type": "customer", "id": "c1", "name": "ACME", "tier": 3}, "details": {"rows": 10},
                "result": "DENIED", "checksum": "ab12", "pii_fields": ["email"]}),
            json!({"occurred_at": "2026-11-20T11:07:00-05:00", "action": "customer.export", "actor": "u1",
                "actor_role": "admin", "ip": "2001:db8::7", "user_agent": "Mozilla/5.0", "resource_type": "customer",
                "resource_id": "c1", "resource_name": "ACME", "result": "denied", "pii": true, "pii_fields": ["email"],
                "details": {"rows": 10, "actor": {"email": "a@example.com"}, "resource": {"tier": 3}, "checksum": "ab12"}}),
        ),
        // A type and data.
        (
            json!({"event_type": "order.created", "event_data": {"time": 1_763_654_820, "user": {"id": 7, "type": "Bot", "team": "x"},
                "resource": {"type": "order", "id": 8}, "amount": "10", "ip": "10.0.0.1:80", "context": {"traceId": "t1", "host": "h"}}}),
            json!({"occurred_at": "2025-11-20T11:07:00-05:00", "action": "order.created", "actor": "7", "actor_type": "service",
                "resource_type": "order", "resource_id": "8", "ip": "10.0.0.1", "trace_id": "t1", "details": {"event_data":
                {"user": {"team": "x"}, "amount": "10", "ip": "10.0.0.1:80", "context": {"host": "h"}}}}),
        ),
        // Mixes.
        (
            json!({"event_type": "x", "ip": "10.0.0.1", "actor": {"id": "a", "ip": "10.0.0.2"}, "context": {"ip": "10.0.0.3",
                "actor": {"id": "b", "role": "r"}, "session_id": "s1"}, "event_data": {"action": "y", "tags": "t"}}),
            json!({"action": "x", "ip": "10.0.0.1", "actor": "a", "actor_role": "r", "session_id": "s1", "tags": ["t"],
                "details": {"actor": {"ip": "10.0.0.2"}, "context": {"ip": "10.0.0.3", "actor": {"id": "b"}},
                "event_data": {"action": "y"}}}),
        ),
        (
            json!({"action": "x", "actor": null, "details": null, "metadata": {"a": [1, 2]}, "outcome": "shipped", "labels": {"a": 1},
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}),
            json!({"action": "x", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "details": {"metadata": {"a": [1, 2]},
                "outcome": "shipped", "labels": {"a": 1}, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}),
        ),
        (
            json!({"action": "x", "details": {"actor": "theirs", "note": 1}, "note": 2, "data": [3]}),
            json!({"action": "x", "details": {"actor": "theirs", "note": 1, "event.note": 2, "data": [3]}}),
        ),
        (
            json!({"action": "x", "details": [1], "tags": []}),
            json!({"action": "x", "details": {"details": [1]}, "tags": []}),
        ),
        (
            json!({"action": "x", "old_value": false, "after": "text"}),
            json!({"action": "x", "old_value": false, "new_value": "text"}),
        ),
    ];
    for (event, columns) in cases {
        assert_eq!(logged(&mut client, &event), columns, "{event}");
    }
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn json_values_and_times_keep_what_they_say() {
    let db = scene("exact");
    let mut client = db.client();
    let event = r#"{"action": "x", "old_value": 0.10, "new_value": 1e400, "entity_id": 100000000000000000000.0, "n": 1.50,
                    "ts": "2026-11-20T16:07:00.123456789Z"}"#;
    run(&mut client, &format!("SELECT notary.log_event('{event}')"));
    assert_eq!(
        last(
            &mut client,
            &["old_value", "new_value = '1e400'", "resource_id", "details", "occurred_at AT TIME ZONE 'UTC'"]
        ),
        r#"0.10|true|100000000000000000000.0|{"n": 1.50, "ts": "2026-11-20T16:07:00.123456789Z"}|2026-11-20 16:07:00.123456"#
    );
    for (said, is) in [
        (r#""0001-01-01""#, "0001-01-01 00:00:00"),
        (r#""9999-12-31T23:59:59.999999Z""#, "9999-12-31 23:59:59.999999"),
        ("0", "1970-01-01 00:00:00"),
        ("-1", "1969-12-31 23:59:59"),
        ("1763654820123", "2025-11-20 16:07:00.123"),
    ] {
        run(&mut client, &format!(r#"SELECT notary.log_event('{{"action": "x", "ts": {said}}}')"#));
        assert_eq!(last(&mut client, &["occurred_at AT TIME ZONE 'UTC'"]), is, "{said}");
    }
    // An id that is a uuid is the row's; any other is a detail of a row with an id of its own.
    let id = "6F1C2B1E0A0B4C0D8E0F00112233AABB";
    let made = texts(&mut client, &format!(r#"SELECT notary.log_event('{{"action": "x", "eventId": "{id}"}}')"#));
    assert_eq!(made, ["6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb"]);
    let made = texts(&mut client, r#"SELECT notary.log_event('{"action": "x", "id": "evt_1"}')"#).remove(0);
    assert_eq!(last(&mut client, &["id", "details"]), format!(r#"{made}|{{"id": "evt_1"}}"#));
}

#[test]
fn what_an_event_leaves_out_comes_from_the_context() {
    let db = scene("filled");
    let mut client = db.client();
    run(
        &mut client,
        r#"BEGIN; SELECT notary.set_context('ann', 'admin', '10.0.0.1', request_id => 'r');
           SELECT notary.log_event('{"action": "x", "actor_role": "other"}'); COMMIT"#,
    );
    assert_eq!(last(&mut client, &["actor", "actor_role", "ip", "request_id"]), "ann|other|10.0.0.1/32|r");
}

#[test]
fn an_error_names_the_member_and_not_its_value() {
    let db = scene("errors");
    let mut client = db.client();
    for (event, member) in [
        (format!(r#"{{"actor": "{SECRET}"}}"#), "\"action\""),
        (format!(r#"{{"action": {{"{SECRET}": 1}}}}"#), "\"action\""),
        (r#"{"action": ""}"#.into(), "\"action\""),
        (format!(r#"{{"action": "x", "timestamp": "{SECRET}"}}"#), "\"timestamp\""),
        (format!(r#"{{"action": "x", "actor": {{"ipAddress": "{SECRET}"}}}}"#), "\"actor.ipAddress\""),
        (format!(r#"{{"action": "x", "result": "{SECRET}"}}"#), "\"result\""),
        (format!(r#"{{"action": "x", "resource": {{"id": ["{SECRET}"]}}}}"#), "\"resource.id\""),
        (format!(r#"{{"action": "x", "tags": ["a", {{"{SECRET}": 1}}]}}"#), "\"tags[1]\""),
        (format!(r#"["{SECRET}"]"#), "the event is malformed"),
        (format!(r#""{SECRET}""#), "the event is malformed"),
        ("null".into(), "the event is malformed"),
    ] {
        let error = refused(&mut client, &format!("SELECT notary.log_event({})", literal(&event)));
        assert_eq!(error.code, "22023", "{event}: {error}");
        assert!(error.message.contains(member), "{event}: {error}");
        assert!(error.hint.starts_with("Expected: ") && !error.to_string().contains(SECRET), "{event}: {error}");
    }
    let error = refused(
        &mut client,
        &format!(r#"SELECT notary.log_events('[{{"action": "x"}}, {{"action": "x", "ip": "{SECRET}"}}]')"#),
    );
    assert!(
        error.code == "22023" && error.message.contains("\"[1].ip\"") && !error.to_string().contains(SECRET),
        "{error}"
    );
    for (call, code) in [
        ("notary.log_event(NULL)", "22023"),
        ("notary.log_event('audit', NULL)", "22023"),
        (r#"notary.log_event(NULL, '{"action": "x"}')"#, "22023"),
        ("notary.log_events(NULL)", "22023"),
        (r#"notary.log_events('{"action": "x"}')"#, "22023"),
        ("notary.log_events('[1]')", "22023"),
        (r#"notary.log_event('{"action": "x"')"#, "22P02"),
        (r#"notary.log_event('nowhere', '{"action": "x"}')"#, "42P01"),
        (r#"notary.log_event(0, '{"action": "x"}')"#, "22023"),
    ] {
        let error = refused(&mut client, &format!("SELECT {call}"));
        assert_eq!(error.code, code, "{call}: {error}");
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["0"]);
}

#[test]
fn events_go_to_the_log_that_is_named_or_to_the_default_one() {
    let db = scene("default_log");
    let mut client = db.client();
    run(&mut client, r#"CREATE SCHEMA app; SELECT notary.create_log('app."Other Log"')"#);
    let event = r#"SELECT notary.log_event('{"action": "x"}')"#;
    run(&mut client, r#"SET notary.default_log = 'app."Other Log"'"#);
    run(&mut client, event);
    assert_eq!(texts(&mut client, r#"SELECT count(*) FROM app."Other Log""#), ["1"]);
    run(&mut client, r#"SET search_path = app; SET notary.default_log = '"Other Log"'"#);
    run(&mut client, r#"SELECT * FROM notary.log_events('[{"action": "x"}, {"action": "y"}]')"#);
    run(&mut client, r#"SELECT notary.log_event('"Other Log"', '{"action": "x"}')"#);
    assert_eq!(texts(&mut client, r#"SELECT count(*) FROM app."Other Log""#), ["4"]);
    for (name, code) in [
        ("", "22023"),
        ("nowhere", "42P01"),
        ("nowhere.x", "3F000"),
        ("a b", "42602"),
        ("\"", "42602"),
        ("a'b; --", "42602"),
    ] {
        run(&mut client, &format!("SET notary.default_log = {}", literal(name)));
        assert_eq!(refused(&mut client, event).code, code, "{name}");
    }
    run(&mut client, "RESET notary.default_log");
    run(&mut client, event);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM public.audit"), ["1"]);
}

#[test]
fn what_is_no_event_log_takes_no_events() {
    let db = scene("not_a_log");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE plain (action text); CREATE TABLE a_log (action text); SELECT notary.protect('a_log');
         CREATE VIEW a_view AS SELECT * FROM audit; CREATE INDEX an_index ON plain (action); CREATE SEQUENCE a_seq;
         CREATE TABLE like_it (LIKE audit INCLUDING ALL)",
    );
    for name in ["plain", "a_log", "a_view", "a_seq", "like_it", "notary.journal", "pg_class"] {
        for call in [
            format!(r#"log_event('{name}', '{{"action": "x"}}')"#),
            format!(r#"log_events('{name}', '[{{"action": "x"}}]')"#),
        ] {
            let error = refused(&mut client, &format!("SELECT notary.{call}"));
            assert_eq!(error.code, "55000", "{call}: {error}");
        }
    }
    // Also when it was one.
    run(
        &mut client,
        r#"SELECT notary.unprotect('audit', 'a test'); DROP TRIGGER "~notary_about" ON audit; SELECT notary.protect('audit')"#,
    );
    assert_eq!(refused(&mut client, r#"SELECT notary.log_event('{"action": "x"}')"#).code, "55000");
}

#[test]
fn of_many_events_all_are_written_or_none() {
    let db = scene("many");
    let role = writer(&db, "app");
    let mut client = db.client_as(&role);
    let ids = texts(
        &mut client,
        r#"SELECT * FROM notary.log_events('[{"action": "a", "id": "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb"}, {"action": "b"}, {"action": "c"}]')"#,
    );
    assert_eq!(ids.len(), 3);
    let mut all = db.client();
    for (id, action) in ids.iter().zip(["a", "b", "c"]) {
        assert_eq!(said(&mut all, id)["action"], action);
    }
    assert_eq!(texts(&mut client, "SELECT * FROM notary.log_events('[]')"), [""; 0]);
    for (events, code) in [
        (r#"[{"action": "d"}, {"actor": "x"}]"#, "22023"),
        (r#"[{"action": "d"}, {"action": "e", "id": "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb"}]"#, "23505"),
        (r#"[{"action": "d"}, null]"#, "22023"),
    ] {
        assert_eq!(
            refused(&mut client, &format!("SELECT * FROM notary.log_events('{events}')")).code,
            code,
            "{events}"
        );
    }
    assert_eq!(texts(&mut all, "SELECT count(*) FROM audit"), ["3"]);
    let many = format!(
        "[{}]",
        (0..2000).map(|n| format!(r#"{{"action": "bulk", "entity_id": {n}}}"#)).collect::<Vec<_>>().join(",")
    );
    let count = format!("SELECT count(*) FROM notary.log_events({})", literal(&many));
    assert_eq!(texts(&mut client, &count), ["2000"]);
    let in_order = "SELECT array_agg(resource_id::int ORDER BY id) = array_agg(n ORDER BY n) FROM audit, generate_series(0, 0) AS g,
                    LATERAL (SELECT resource_id::int AS n) AS s WHERE action = 'bulk'";
    assert_eq!(texts(&mut all, in_order), ["t"]);
    assert_found(&mut all, "audit", &[]);
}

/// What an attacker writes into a field stays in that field.
#[test]
fn text_stays_text_wherever_it_stands() {
    let db = scene("injection");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE victim (i int); INSERT INTO victim VALUES (1)");
    let attacks = [
        "'; DROP TABLE victim; --",
        "\"; DELETE FROM victim; --",
        "'); SELECT 1/0; --",
        "\\'; DROP TABLE victim; --",
        "$$; DROP TABLE victim; $$",
        "%LOG% %s %1$s {0} ${jndi:ldap://x} {{7*7}}",
        "NULL",
        "\u{202e}\u{feff}ﷺ\u{10ffff}",
        "a\nb\r\tc\u{1}\u{7f}",
        "{\"action\": \"forged\"}",
        "]}, {\"action\": \"forged\"}",
        "<script>alert(1)</script>",
    ];
    let columns = [
        "action",
        "actor",
        "actor_role",
        "resource_type",
        "resource_id",
        "resource_name",
        "user_agent",
        "session_id",
        "request_id",
        "trace_id",
    ];
    for attack in attacks {
        let mut event: Value = columns
            .iter()
            .map(|column| ((*column).to_owned(), json!(attack)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        event["tags"] = json!([attack, attack]);
        event["pii_fields"] = json!([attack]);
        event["old_value"] = json!({attack: attack});
        event["new_value"] = json!(attack);
        event[format!("x {attack}")] = json!([attack]);
        let id: uuid::Uuid = client.query_one("SELECT notary.log_event($1)", &[&event]).unwrap().get(0);
        let row = said(&mut client, &id.to_string());
        for column in columns.iter().chain(&["tags", "pii_fields", "old_value", "new_value"]) {
            assert_eq!(row[*column], event[*column], "{column}");
        }
        assert_eq!(row["details"], json!({format!("x {attack}"): [attack]}));
        // The same by parameters of an INSERT, and by settings.
        let insert = "INSERT INTO audit (action, actor, resource_id, details) VALUES ($1, $1, $1, $2) RETURNING actor";
        assert_eq!(client.query_one(insert, &[&attack, &event]).unwrap().get::<_, String>(0), attack);
        client.query_one("SELECT notary.set_context($1, $1, NULL, $1, $1, $1, $1, false)", &[&attack]).unwrap();
        run(&mut client, "INSERT INTO audit (action) VALUES ('by context')");
        assert_eq!(last(&mut client, &["actor", "actor_role", "user_agent", "trace_id"]), [attack; 4].join("|"));
        run(&mut client, "RESET ALL");
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM victim"), ["1"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), [(3 * attacks.len()).to_string()]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE action = 'forged'"), ["0"]);
    assert_found(&mut client, "audit", &[]);
}

/// Texts that no index holds may be as long as any; words are cut off for `notary.search` alone.
#[test]
fn long_values_are_written() {
    let db = scene("long");
    let mut client = db.client();
    for column in ["resource_name", "user_agent", "session_id", "request_id", "trace_id"] {
        let long = "string_agg(md5(i::text), '')";
        run(
            &mut client,
            &format!("INSERT INTO audit (action, {column}) SELECT 'a', {long} FROM generate_series(1, 300) AS i"),
        );
        assert_eq!(last(&mut client, &[&format!("length({column})")]), "9600");
    }
    run(
        &mut client,
        "INSERT INTO audit (action, details) SELECT 'a', jsonb_build_object('words', string_agg(md5(i::text), ' '), 'word',
             string_agg(md5(i::text), '')) FROM generate_series(1, 20000) AS i",
    );
    assert_found(&mut client, "audit", &[]);
}
