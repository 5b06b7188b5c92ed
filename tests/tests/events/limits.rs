//! What an event log does not take: values too long for its indexes, times that no calendar has, rows without an action.

use crate::{last, literal, scene};
use notary_tests::Database;
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{SECRET, assert_found};

const INDEXED: [&str; 5] = ["action", "actor", "actor_role", "resource_type", "resource_id"];

/// Text that does not get shorter when it is compressed.
fn noise(db: &Database<'_>, bytes: usize) -> String {
    let noise =
        format!("SELECT left((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) AS i), {bytes})");
    db.value(&noise)
}

#[test]
fn a_value_that_is_too_long_for_an_index_is_refused_by_its_columns_name() {
    let db = scene("too_long");
    let mut client = db.client();
    let (fits, long) = (noise(&db, 1000), format!("{SECRET}{}", noise(&db, 990)));
    assert!(long.len() > 1000);
    for column in INDEXED {
        let and = if column == "action" { "" } else { "action, " };
        let a = if column == "action" { "" } else { "'a', " };
        run(&mut client, &format!("INSERT INTO audit ({and}{column}) VALUES ({a}'{fits}')"));
        assert_eq!(last(&mut client, &[column]), fits);
        for value in [literal(&long), format!("repeat('{SECRET}', 100000)"), "repeat('ü', 501)".to_owned()] {
            let error = refused(&mut client, &format!("INSERT INTO audit ({and}{column}) VALUES ({a}{value})"));
            assert_eq!(error.code, "22001", "{column}: {error}");
            let message = format!("a value of column \"{column}\" of the event log public.audit is too long");
            assert_eq!(error.message, message);
            assert!(error.detail.contains("at most 1000 bytes") && error.hint.contains("details"), "{error}");
            assert!(!error.to_string().contains(SECRET), "{error}");
        }
        // As JSON, and from the context.
        let event = format!(r#"{{"action": "a", "{column}": "{long}"}}"#).replacen(
            r#""action": "a", "action""#,
            r#""action""#,
            1,
        );
        let error = refused(&mut client, &format!("SELECT notary.log_event('{event}')"));
        assert_eq!((error.code.as_str(), error.message.contains(column)), ("22001", true), "{error}");
    }
    for setting in ["actor", "actor_role"] {
        let error = refused(
            &mut client,
            &format!("BEGIN; SET LOCAL notary.{setting} = '{long}'; INSERT INTO audit (action) VALUES ('a')"),
        );
        assert_eq!((error.code.as_str(), error.message.contains(setting)), ("22001", true), "{error}");
        run(&mut client, "ROLLBACK");
    }
    // All of them at once, and what is in no index.
    run(
        &mut client,
        &format!(
            "INSERT INTO audit (action, actor, actor_role, resource_type, resource_id, resource_name, user_agent, session_id, request_id,
                 trace_id, pii_fields, details, tags)
             VALUES ('{fits}', '{fits}', '{fits}', '{fits}', '{fits}', repeat('n', 100000), repeat('u', 100000), repeat('s', 100000),
                 repeat('r', 100000), repeat('t', 100000), ARRAY[repeat('f', 100000)], jsonb_build_object('d', repeat('d', 100000)),
                 ARRAY(SELECT 'tag ' || i FROM generate_series(1, 2000) AS i) || ARRAY['{fits}'])"
        ),
    );
    assert_eq!(last(&mut client, &["length(user_agent)", "cardinality(tags)"]), "100000|2001");
    for tags in [format!("ARRAY['a', '{long}']"), format!("ARRAY[ARRAY['a'], ARRAY['{long}']]")] {
        let error = refused(&mut client, &format!("INSERT INTO audit (action, tags) VALUES ('a', {tags})"));
        assert_eq!((error.code.as_str(), error.message.contains("\"tags\"")), ("22001", true), "{error}");
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    run(
        &mut client,
        "INSERT INTO audit (action, tags) VALUES ('a', '{NULL}'), ('a', '{}'), ('a', ARRAY(SELECT NULL::text FROM generate_series(1, 3000)))",
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_time_that_would_head_every_search_for_ever_is_refused() {
    let db = scene("times");
    let mut client = db.client();
    run(&mut client, "SET timezone = 'UTC'");
    for time in
        ["infinity", "-infinity", "10000-01-01", "294276-12-31", "0001-12-31 23:59:59.999999 BC", "4713-01-01 BC"]
    {
        let error = refused(&mut client, &format!("INSERT INTO audit (action, occurred_at) VALUES ('a', '{time}')"));
        assert_eq!(error.code, "22008", "{time}: {error}");
        assert!(
            error.message.contains("\"occurred_at\"") && !error.detail.is_empty() && !error.hint.is_empty(),
            "{error}"
        );
    }
    for time in ["0001-01-01", "9999-12-31 23:59:59.999999"] {
        run(&mut client, &format!("INSERT INTO audit (action, occurred_at) VALUES ('a', '{time}')"));
        assert_eq!(
            last(&mut client, &["occurred_at::timestamp"]),
            if time.len() == 10 { format!("{time} 00:00:00") } else { time.into() }
        );
    }
    // By UTC, wherever one is.
    run(&mut client, "SET timezone = 'Pacific/Auckland'");
    run(&mut client, "INSERT INTO audit (action, occurred_at) VALUES ('a', '10000-01-01 05:00')");
}

#[test]
fn an_event_says_at_least_what_was_done() {
    let db = scene("no_action");
    let mut client = db.client();
    let error = refused(&mut client, &format!("INSERT INTO audit (actor, details) VALUES ('{SECRET}', '{{}}')"));
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("23502", "column \"action\" of the event log public.audit is missing")
    );
    assert!(!error.to_string().contains(SECRET) && error.hint.contains("customer.pii.export"), "{error}");
    let error = refused(&mut client, "INSERT INTO audit (action) VALUES ('')");
    assert_eq!((error.code.as_str(), error.detail.as_str()), ("23514", "It must not be empty."));
    assert!(error.hint.starts_with("Say what was done"), "{error}");
    let error = refused(&mut client, "INSERT INTO audit (action, result) VALUES ('a', 'ok')");
    assert!(error.hint.contains("tags or details"), "{error}");
    let error = refused(&mut client, r#"SELECT notary.log_event('{"actor": "ann"}')"#);
    assert_eq!((error.code.as_str(), error.message.as_str()), ("22023", "the event's member \"action\" is missing"));
    assert_eq!(error.hint, "Expected: a string that is not empty.");
    let error = refused(&mut client, r#"SELECT notary.log_events('[{"action": "a"}, {"action": null}]')"#);
    assert_eq!(error.message, "the event's member \"[1].action\" is missing");
}

#[test]
fn who_names_fields_of_personal_data_need_not_say_that_they_are() {
    let db = scene("pii");
    let mut client = db.client();
    for (columns, values, expected) in [
        ("pii_fields", "'{email}'", "true"),
        ("pii_fields", "'{NULL,email}'", "true"),
        ("pii_fields", "'{}'", "false"),
        ("pii_fields", "'{NULL}'", "false"),
        ("pii, pii_fields", "NULL, '{email}'", "true"),
        // What is said, stands.
        ("pii, pii_fields", "false, '{email}'", "false"),
        ("pii, pii_fields", "true, NULL", "true"),
    ] {
        run(&mut client, &format!("INSERT INTO audit (action, {columns}) VALUES ('a', {values})"));
        assert_eq!(last(&mut client, &["pii"]), expected, "{columns}: {values}");
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.search('audit', pii => true)"), ["4"]);
    assert_found(&mut client, "audit", &[]);
}
