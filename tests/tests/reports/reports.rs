//! Every report against plain SQL over random events.

use crate::{assert_same, fill, rows, scene};
use notary_tests::talk::{refused, run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;

const VIEWS: [&str; 10] = [
    "pii_access",
    "failed_auth",
    "auth_bursts",
    "admin_actions",
    "data_exports",
    "ai_decisions",
    "resource_history",
    "activity",
    "integrity",
    "access",
];

/// Two logs of random events; the model's source has both, with the log's name.
fn two_logs(name: &str) -> (Database<'static>, Client) {
    let (db, mut client) = scene(name, 2500);
    fill(&mut client, "two", 1500);
    run(
        &mut client,
        "INSERT INTO notary.event_type (name, category, description) VALUES ('order.create', 'pii', 'Touches.'),
             ('authentic', 'auth', 'Counts.'), ('authz.login.failure', 'auth', 'Counts.'), ('customer.pii', 'export', 'Counts.');
         CREATE VIEW either AS SELECT 'one'::regclass AS log, * FROM one UNION ALL SELECT 'two'::regclass, * FROM two",
    );
    (db, client)
}

/// Asked of each log, of all, and of periods, a function answers as the model: `(arguments, condition on events)`.
fn askings() -> Vec<(&'static str, &'static str)> {
    vec![
        ("", "true"),
        ("'one'", "log = 'one'::regclass"),
        (
            "NULL, '2026-02-01 05:00+00', '2026-03-01 07:00+00'",
            "occurred_at >= '2026-02-01 05:00+00' AND occurred_at < '2026-03-01 07:00+00'",
        ),
        ("'two', '2026-04-01 00:00+00'", "log = 'two'::regclass AND occurred_at >= '2026-04-01 00:00+00'"),
        ("'two', NULL, '2026-01-20 00:00+00'", "log = 'two'::regclass AND occurred_at < '2026-01-20 00:00+00'"),
        ("'one', '2030-01-01'", "false"),
    ]
}

/// `model` has %EVENTS% for its source.
#[track_caller]
fn check(client: &mut Client, report: &str, more: &str, model: &str) {
    let mut seen = 0;
    for (arguments, condition) in askings() {
        let events = format!("(SELECT * FROM either WHERE {condition})");
        let model = model.replace("%EVENTS%", &events);
        let more = if arguments.is_empty() || more.is_empty() { more.to_owned() } else { format!(", {more}") };
        assert_same(client, &format!("SELECT * FROM notary.{report}({arguments}{more})"), &model);
        if condition == "true" {
            seen = rows(client, &model).len();
            if more.is_empty() {
                assert_same(client, &format!("SELECT * FROM notary.{report}"), &model);
            }
        } else if condition == "false" {
            assert_eq!(rows(client, &model).len(), 0);
        }
    }
    assert!(seen > 1, "the model of {report} has only {seen} rows");
}

const IS_PII: &str = "(pii OR 'pii' = ANY (string_to_array(action, '.'))
                       OR action IN (SELECT name FROM notary.event_type WHERE category = 'pii'))";
const IS_AUTH: &str = "(action LIKE 'auth.%' OR action IN ('authentic', 'authz.login.failure')) AND (result <> 'success' OR action LIKE '%.failure')";

#[test]
fn pii_access_says_who_touched_what_and_from_where() {
    let (_db, mut client) = two_logs("pii_access");
    let model = |role: &str| {
        format!(
            "SELECT log, actor, actor_role, action, count(*) AS events, sum((result <> 'success')::int) AS refused,
                 count(DISTINCT coalesce(resource_type, 'none') || '/' || resource_id) AS resources,
                 (SELECT array_agg(DISTINCT f ORDER BY f) FROM %EVENTS% AS i, unnest(i.pii_fields) AS f
                  WHERE (i.log, i.action) = (e.log, e.action) AND i.actor IS NOT DISTINCT FROM e.actor
                    AND i.actor_role IS NOT DISTINCT FROM e.actor_role AND {}) AS fields,
                 (SELECT array_agg(DISTINCT s ORDER BY s) FROM unnest(array_agg(coalesce(ip, client_addr))) AS s WHERE s IS NOT NULL) AS sources,
                 min(occurred_at) AS first_at, max(occurred_at) AS last_at
             FROM %EVENTS% AS e WHERE {IS_PII}{role} GROUP BY log, actor, actor_role, action",
            IS_PII.replace("pii OR", "i.pii OR").replace("(action", "(i.action").replace(" action", " i.action"),
        )
    };
    check(&mut client, "pii_access", "", &model(""));
    check(&mut client, "pii_access", "actor_role => 'admin'", &model(" AND actor_role = 'admin'"));
    check(&mut client, "pii_access", "actor_role => '\\'", &model(" AND actor_role = '\\'"));
    run(
        &mut client,
        "INSERT INTO one (actor, action, pii_fields) VALUES ('square', 'a.pii', '{{email,iban},{name,email}}')",
    );
    let fields = texts(&mut client, "SELECT fields::text FROM notary.pii_access('one') WHERE actor = 'square'");
    assert_eq!(fields, ["{email,iban,name}"], "of an array of two dimensions, too");
    // Whoever leaves pii out, and says so in the action, or names the fields.
    run(
        &mut client,
        "INSERT INTO one (actor, action, pii, pii_fields) VALUES ('said', 'customer.pii.view', NULL, NULL), ('said', 'x.pii', false, NULL),
             ('said', 'pii', NULL, NULL), ('said', 'shown', NULL, '{email}'), ('said', 'hidden', false, '{email}'),
             ('said', 'none', NULL, '{}'), ('said', 'nothing', NULL, '{NULL}'), ('said', 'x.piix', NULL, NULL)",
    );
    let said = "SELECT action FROM notary.pii_access WHERE actor = 'said' ORDER BY action";
    assert_eq!(texts(&mut client, said), ["customer.pii.view", "pii", "shown", "x.pii"]);
    assert_eq!(texts(&mut client, "SELECT action FROM one WHERE actor = 'said' AND pii"), ["shown"]);
    run(&mut client, "SELECT notary.create_log('three'); INSERT INTO three (action, actor) VALUES ('a.pii.b', 'said')");
    assert_eq!(texts(&mut client, "SELECT log FROM notary.pii_access('three')"), ["three"]);
    // Also where there are more actions than a report cares to look up.
    run(
        &mut client,
        "INSERT INTO three (action, actor) SELECT 'request.' || i, 'many' FROM generate_series(1, 10000) AS i; ANALYZE three;
         INSERT INTO three (action, actor) VALUES ('zebra.pii.feed', 'said'), ('zebra.export', 'said')",
    );
    assert_eq!(texts(&mut client, "SELECT sum(events) FROM notary.pii_access('three')"), ["2"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.data_exports('three')"), ["1"]);
    // All access of admins in the first quarter is one call.
    let quarter = "SELECT sum(events) FROM notary.pii_access(since => '2026-01-01', until => '2026-04-01', actor_role => 'admin')";
    let model = format!(
        "SELECT count(*) FROM either WHERE {IS_PII} AND actor_role = 'admin' AND extract(quarter FROM occurred_at) = 1"
    );
    assert_eq!(texts(&mut client, quarter), texts(&mut client, &model));
}

#[test]
fn failed_auth_counts_by_actor_and_source() {
    let (_db, mut client) = two_logs("failed_auth");
    let model = |least: u32| {
        format!(
            "SELECT * FROM (SELECT log, actor, coalesce(ip, client_addr) AS source, count(*) AS failures,
                 (SELECT array_agg(DISTINCT a ORDER BY a) FROM unnest(array_agg(action::text)) AS a) AS actions,
                 min(occurred_at) AS first_at, max(occurred_at) AS last_at
             FROM %EVENTS% AS e WHERE {IS_AUTH} GROUP BY log, actor, coalesce(ip, client_addr)) AS g WHERE failures >= {least}"
        )
    };
    check(&mut client, "failed_auth", "", &model(1));
    check(&mut client, "failed_auth", "min_count => 10", &model(10));
}

#[test]
fn auth_bursts_are_where_failures_are_dense() {
    let (_db, mut client) = scene("auth_bursts", 3000);
    let failures = format!(
        "SELECT actor, abbrev(coalesce(ip, client_addr)) AS source, extract(epoch FROM occurred_at)::bigint FROM one
         WHERE {} ORDER BY occurred_at",
        IS_AUTH.replace("('authentic', 'authz.login.failure')", "('')")
    );
    let all: Vec<(Option<String>, Option<String>, i64)> =
        client.query(&failures, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    for (hours, least) in [(12_i64, 3_usize), (48, 5), (1, 2), (3, 1)] {
        let mut expected = Vec::new();
        for kind in ["actor", "source"] {
            let subject =
                |f: &(Option<String>, Option<String>, i64)| if kind == "actor" { f.0.clone() } else { f.1.clone() };
            let mut subjects: Vec<String> = all.iter().filter_map(subject).collect();
            subjects.sort();
            subjects.dedup();
            for one in subjects {
                let times: Vec<i64> = all.iter().filter(|f| subject(f).as_ref() == Some(&one)).map(|f| f.2).collect();
                // Every window that is full, then those that overlap as one.
                let mut windows: Vec<(i64, i64)> = Vec::new();
                for end in &times {
                    let inside: Vec<i64> =
                        times.iter().copied().filter(|t| t <= end && *t >= end - hours * 3600).collect();
                    if inside.len() >= least {
                        let begun = inside[0];
                        match windows.last_mut() {
                            Some(last) if begun <= last.1 => last.1 = *end,
                            _ => windows.push((begun, *end)),
                        }
                    }
                }
                for (begun, end) in windows {
                    let count = times.iter().filter(|t| (begun..=end).contains(t)).count();
                    expected.push(format!("{kind} {begun} {end} {count}"));
                }
            }
        }
        let sql = format!(
            "SELECT concat_ws(' ', kind, extract(epoch FROM burst_start)::bigint, extract(epoch FROM burst_end)::bigint, failures)
             FROM notary.auth_bursts('one', width => '{hours} hours', min_count => {least})"
        );
        let mut came = texts(&mut client, &sql);
        came.sort();
        expected.sort();
        assert!(!expected.is_empty());
        assert_eq!(came, expected, "{hours} {least}");
    }
    // A real one, seen from both sides.
    run(
        &mut client,
        "SELECT notary.create_log('quiet');
         INSERT INTO quiet (occurred_at, action, actor, ip, result)
         SELECT timestamptz '2026-05-01 10:00+00' + i * interval '7 seconds', 'auth.login', 'user' || i % 8, '203.0.113.9', 'failure'
         FROM generate_series(1, 40) AS i;
         INSERT INTO quiet (occurred_at, action, actor, ip, result)
         SELECT timestamptz '2026-05-02 10:00+00' + i * interval '5 minutes 1 second', 'auth.login', 'slow', '203.0.113.8', 'failure'
         FROM generate_series(1, 40) AS i",
    );
    let sources = "SELECT concat_ws(' ', kind, failures, actors, sources, burst_end - burst_start) FROM notary.auth_bursts('quiet')
                   ORDER BY kind, actors";
    assert_eq!(
        texts(&mut client, sources),
        ["source 40 {user0,user1,user2,user3,user4,user5,user6,user7} {203.0.113.9} 00:04:33"],
        "eight actors failed five times each, from one source"
    );
}

#[test]
fn admin_actions_have_old_and_new_values() {
    let (_db, mut client) = two_logs("admin_actions");
    check(
        &mut client,
        "admin_actions",
        "",
        "SELECT log, occurred_at, actor, actor_role, action::text, (SELECT severity FROM notary.event_type WHERE name = e.action) AS severity,
             resource_type, resource_id, result, old_value, new_value, coalesce(ip, client_addr) AS source, id
         FROM %EVENTS% AS e WHERE starts_with(action, 'admin.')",
    );
}

#[test]
fn data_exports_have_the_number_of_records_where_it_is_a_number() {
    let (_db, mut client) = two_logs("data_exports");
    check(
        &mut client,
        "data_exports",
        "",
        "SELECT log, occurred_at, actor, actor_role, action::text, resource_type, resource_id, result,
             CASE WHEN details->>'records' ~ '^[0-9.]+$' THEN (details->>'records')::numeric
                  WHEN details->>'record_count' ~ '^[0-9.]+$' THEN (details->>'record_count')::numeric
                  WHEN details->>'rows' = '7' THEN 7 END AS records,
             pii, pii_fields AS fields, coalesce(ip, client_addr) AS source, id
         FROM %EVENTS% AS e WHERE action LIKE '%.export' OR action LIKE 'export.%' OR action = 'customer.pii'",
    );
    run(
        &mut client,
        "INSERT INTO one (action, actor, details) VALUES ('export', 'last', '{\"records\": \"12\", \"rows\": 1e3}'),
             ('x.exports', 'last', '{}'), ('a.export', 'last', '[1]'), ('b.export', 'last', '{\"event_data\": {\"recordCount\": \"1200\"}}'),
             ('c.export', 'last', '{\"eventData\": {\"rowCount\": 3}, \"data\": {\"records\": 4}}'),
             ('d.export', 'last', '{\"data\": {\"records\": 5}, \"records\": \"all\", \"row_count\": 6, \"rowCount\": 7}'),
             ('e.export', 'last', '{\"records\": [1, 2], \"rows\": \"1e999999999\", \"record_count\": \"0x1F\", \"row_count\": true}'),
             ('f.export', 'last', '{\"records\": \"NaN\"}'), ('g.export', 'last', '{\"records\": \"-1.5e2\"}')",
    );
    let last = "SELECT action || coalesce(records::text, '?') FROM notary.data_exports('one') WHERE actor = 'last' ORDER BY action";
    assert_eq!(
        texts(&mut client, last),
        ["a.export?", "b.export1200", "c.export3", "d.export6", "e.export?", "export12", "f.export?", "g.export-150"]
    );
}

#[test]
fn ai_decisions_know_who_overrode_them() {
    let (_db, mut client) = two_logs("ai_decisions");
    let model = "
        SELECT e.log, e.occurred_at, e.actor, e.actor_type, e.details->>'model' AS model, e.details->>'model_version' AS model_version,
            (e.details->>'confidence')::numeric AS confidence, e.resource_type, e.resource_id, e.result,
            (SELECT o.actor FROM either AS o WHERE o.log = e.log AND o.action = 'ai.override' AND o.result = 'success' AND o.actor_type IS DISTINCT FROM 'ai_agent' AND o.actor_type IS DISTINCT FROM 'system' AND o.details->>'inference_id' IN (e.id::text, e.details->>'inference_id')
             ORDER BY o.occurred_at DESC, o.id DESC LIMIT 1) AS overridden_by,
            (SELECT max(o.occurred_at) FROM either AS o WHERE o.log = e.log AND o.action = 'ai.override' AND o.result = 'success'
                AND o.actor_type IS DISTINCT FROM 'ai_agent' AND o.actor_type IS DISTINCT FROM 'system' AND o.details->>'inference_id' IN (e.id::text, e.details->>'inference_id')) AS overridden_at,
            (SELECT count(*) FROM either AS o WHERE o.log = e.log AND o.action = 'ai.override' AND o.result = 'success'
                AND o.actor_type IS DISTINCT FROM 'ai_agent' AND o.actor_type IS DISTINCT FROM 'system' AND o.details->>'inference_id' IN (e.id::text, e.details->>'inference_id')) AS overrides, e.id
        FROM %EVENTS% AS e WHERE action = 'ai.inference'";
    check(&mut client, "ai_decisions", "", model);
    let overridden = texts(&mut client, "SELECT count(*) FROM notary.ai_decisions WHERE overrides > 0").remove(0);
    assert_ne!(overridden, "0");
    run(
        &mut client,
        "INSERT INTO one (id, occurred_at, action, actor, details) VALUES
             ('00000000-0000-4000-8000-000000000001', '2026-01-01', 'ai.inference', 'model', '{\"confidence\": \"high\"}');
         INSERT INTO one (occurred_at, action, actor, resource_id) VALUES
             ('2027-01-01', 'ai.override', 'a human', '00000000-0000-4000-8000-000000000001')",
    );
    let last =
        "SELECT overridden_by || coalesce(confidence::text, '?') FROM notary.ai_decisions('one', until => '2026-12-01')
                WHERE id = '00000000-0000-4000-8000-000000000001'";
    assert_eq!(texts(&mut client, last), ["a human?"]);
}

#[test]
fn decisions_are_read_in_the_shapes_that_applications_emit() {
    let db = fresh_db("ai_shapes");
    let mut client = db.client();
    let (id, other) = ("6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb", "7f1c2b1e-0a0b-4c0d-8e0f-00112233aabb");
    run(&mut client, "SELECT notary.create_log('one'); SET notary.default_log = 'one'");
    for event in [
        format!(r#"{{"event_type": "ai.inference", "event_data": {{"event_id": "{id}", "model": "m1", "modelVersion": 3, "confidence": "0.87"}}}}"#),
        format!(r#"{{"action": "ai.decision", "id": "{other}", "data": {{"modelName": "m2", "model_version": "v2", "confidenceScore": 0.5}}}}"#),
        r#"{"eventType": "ai.inference", "eventData": {"decisionId": "d-17", "model": {"name": "m3", "version": "v3"}, "confidence": "high"}}"#.into(),
        r#"{"action": "ai.inference", "model": "m4", "version": "v4", "confidence": 1, "event_data": {"model": "other"}}"#.into(),
        r#"{"action": "ai.inference", "details": {"model": ["m5"], "modelVersion": "v5", "model_version": null}}"#.into(),
        format!(r#"{{"action": "ai.override", "actor": "ann", "event_data": {{"inferenceId": "{}"}}}}"#, id.to_uppercase()),
        format!(r#"{{"action": "ai.override", "actor": "ben", "decision_id": "{other}"}}"#),
        r#"{"action": "ai.override", "actor": "cy", "data": {"decisionId": "d-17"}}"#.into(),
        r#"{"action": "ai.override", "actor": "dee", "details": {"decision_id": "d-17"}, "resource_id": "x"}"#.into(),
        r#"{"action": "ai.override", "actor": "eve", "details": {"decision_id": "D-17"}}"#.into(),
        // Neither a person nor done.
        r#"{"action": "ai.override", "actor": "bot", "actorType": "ai_agent", "decision_id": "d-17"}"#.into(),
        r#"{"action": "ai.override", "actor": "fay", "result": "denied", "decision_id": "d-17"}"#.into(),
    ] {
        run(&mut client, &format!("SELECT notary.log_event('{event}')"));
    }
    let sql = "SELECT concat_ws(' ', coalesce(model, '-'), coalesce(model_version, '-'), coalesce(confidence::text, '-'), overrides,
                   overridden_by) FROM notary.ai_decisions";
    assert_eq!(
        texts(&mut client, sql),
        ["m1 3 0.87 1 ann", "m2 v2 0.5 1 ben", "m3 v3 - 2 dee", "m4 v4 1 0", "- v5 - 0"]
    );
}

#[test]
fn resource_history_shows_before_and_after() {
    let (_db, mut client) = two_logs("resource_history");
    let columns = "log, occurred_at, action::text, actor, actor_role, db_user, db_session_user, application_name, result,
        (SELECT array_agg(k ORDER BY k) FROM unnest(ARRAY['a', 'b', 'c']) AS k
         WHERE (old_value->k) IS DISTINCT FROM (new_value->k)) AS changed, old_value, new_value, resource_type, resource_id, id";
    for (arguments, condition) in [
        ("", "(resource_type IS NOT NULL OR resource_id IS NOT NULL)"),
        ("'customer', '7'", "resource_type = 'customer' AND resource_id = '7'"),
        ("'{}', '7', 'two'", "resource_type = '{}' AND resource_id = '7' AND log = 'two'::regclass"),
        (
            "'order', log => 'one', until => '2026-02-01'",
            "resource_type = 'order' AND log = 'one'::regclass AND occurred_at < '2026-02-01'",
        ),
        ("'customer', 'o''brien'", "resource_type = 'customer' AND resource_id = 'o''brien'"),
        ("'x'' OR true --', '\\'", "false"),
    ] {
        let model = format!("SELECT {columns} FROM either WHERE {condition}");
        assert_same(&mut client, &format!("SELECT * FROM notary.resource_history({arguments})"), &model);
    }
    run(
        &mut client,
        "INSERT INTO one (action, resource_type, resource_id, old_value, new_value) VALUES
             ('a', 'odd', '1', '[1]', '\"text\"'), ('b', 'odd', '1', '{\"a\": 1}', 'null'), ('c', 'odd', '1', NULL, '{\"n\": {\"x\": 1}}')",
    );
    let changed = "SELECT coalesce(changed::text, '-') FROM notary.resource_history('odd', '1') ORDER BY action";
    assert_eq!(texts(&mut client, changed), ["-", "{a}", "{n}"]);
}

#[test]
fn a_resource_type_that_nothing_is_about_is_told() {
    let db = fresh_db("kinds");
    let reader = db.role("reader");
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "SELECT notary.create_log('one', reader => '{reader}'), notary.create_log('two');
             CREATE TABLE customers (id int PRIMARY KEY); CREATE SCHEMA shop; CREATE TABLE shop.\"Customers\" (id int PRIMARY KEY);
             SELECT notary.track('customers', 'one'), notary.track('shop.\"Customers\"', 'two');
             INSERT INTO customers VALUES (12); INSERT INTO shop.\"Customers\" VALUES (12); INSERT INTO one (action) VALUES ('a')"
        ),
    );
    for (call, expected) in [
        ("'customers', '12'", "There are events about public.customers, shop.Customers."),
        ("'shop.customers', '12', 'two'", "There are events about shop.Customers."),
        ("'customers', '12', 'one'", "There are events about public.customers."),
        ("'order', '12'", "None that you may see has this resource_type."),
        ("'''; DROP TABLE one; --'", "None that you may see has this resource_type."),
        // Known, whatever the id.
        ("'public.customers', '13'", ""),
        ("'public.customers', NULL, 'one'", ""),
        ("NULL, '12'", ""),
        ("'shop.Customers'", ""),
    ] {
        let (mut client, notices) = db.client_with_notices("postgres");
        run(&mut client, &format!("SELECT * FROM notary.resource_history({call})"));
        let said = notices.take().join("\n");
        assert_eq!(said.is_empty(), expected.is_empty(), "{call}: {said}");
        assert!(said.contains(expected), "{call}: {said}");
    }
    // The application's own customer is another history; a search for the id finds both.
    run(
        &mut client,
        "INSERT INTO one (action, resource_type, resource_id) VALUES ('customer.update', 'customer', '12')",
    );
    let both = "SELECT resource_type FROM notary.search('one', resource_id => '12') ORDER BY 1";
    assert_eq!(texts(&mut client, both), ["customer", "public.customers"]);
    for kind in ["customer", "public.customers"] {
        let own = format!("SELECT DISTINCT resource_type FROM notary.resource_history('{kind}', '12')");
        assert_eq!(texts(&mut client, &own), [kind]);
    }
    // Nobody is told of what he may not see.
    let (mut theirs, notices) = db.client_with_notices(&reader);
    run(&mut theirs, "SELECT * FROM notary.resource_history('customers')");
    let said = notices.take().join("\n");
    assert!(said.contains("about public.customers."), "{said}");
}

#[test]
fn rows_come_in_the_order_that_the_documentation_says() {
    let (_db, mut client) = two_logs("orders");
    for (report, order) in [
        ("pii_access", "log::text, events DESC, actor, actor_role, action COLLATE \"C\""),
        ("failed_auth", "log::text, failures DESC, actor, source"),
        (
            "auth_bursts(width => '12 hours', min_count => 3)",
            "log::text, burst_start, kind, CASE kind WHEN 'actor' THEN actors[1] ELSE host(sources[1]) END",
        ),
        ("admin_actions", "occurred_at, id, log::text"),
        ("data_exports", "occurred_at, id, log::text"),
        ("ai_decisions", "occurred_at, id, log::text"),
        ("resource_history", "occurred_at, id, log::text"),
        ("activity", "hour, log::text, actor, action COLLATE \"C\""),
        ("integrity", "log::text"),
    ] {
        let came = rows(&mut client, &format!("SELECT * FROM notary.{report}"));
        assert!(came.len() > 1, "{report}");
        assert_eq!(came, rows(&mut client, &format!("SELECT * FROM notary.{report} ORDER BY {order}")), "{report}");
    }
}

#[test]
fn activity_counts_by_the_hour() {
    let (_db, mut client) = two_logs("activity");
    for zone in ["UTC", "Asia/Kathmandu"] {
        run(&mut client, &format!("SET timezone = '{zone}'"));
        check(
            &mut client,
            "activity",
            "",
            "SELECT log, to_timestamp(floor(extract(epoch FROM occurred_at) / 3600) * 3600) AS hour, actor, action::text, count(*) AS events,
                 sum((result <> 'success')::int) AS failures
             FROM %EVENTS% AS e GROUP BY 1, 2, 3, 4",
        );
    }
}

#[test]
fn integrity_says_what_is_on_record() {
    let db = fresh_db("integrity");
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "ALTER DATABASE \"{}\" SET notary.origin = 'db.example.com'; SET notary.origin = 'db.example.com'",
            db.name()
        ),
    );
    fill(&mut client, "one", 30);
    fill(&mut client, "two", 20);
    run(&mut client, "SELECT notary.attest('one')");
    run(&mut client, "CALL notary.seal('one')");
    let all = "SELECT concat_ws(' ', log, intact, attested_entries, entries, lines, sealed_lines, unsealed_lines, sealed_share, tracked,
                   guard, unsealed_since IS NULL, attested_at IS NULL, sealed_at IS NULL, unattested) FROM notary.integrity";
    let one = "one t 30 30 31 31 0 1.0000 {} complete t f f";
    assert_eq!(
        texts(&mut client, all),
        [one, "two 20 21 0 21 0.0000 {} complete f t t notary.attest was never called"]
    );
    run(&mut client, "INSERT INTO one (action) VALUES ('a'); CREATE TABLE t (i int); SELECT notary.track('t', 'one')");
    assert_eq!(texts(&mut client, all)[0], "one t 30 31 32 31 1 0.9688 {public.t} complete f f f");
    // Of a log that is named, whatever it is.
    run(&mut client, "CREATE TABLE plain (i int); SELECT notary.protect('plain'); INSERT INTO plain VALUES (1)");
    let named = "SELECT concat_ws(' ', log, entries, lines, guard) FROM notary.integrity";
    assert_eq!(texts(&mut client, &format!("{named}('plain')")), ["plain 1 2 complete"]);
    assert_eq!(texts(&mut client, &format!("{named}('notary.journal')")).len(), 1);
    assert_eq!(
        texts(&mut client, "SELECT log FROM notary.integrity"),
        ["one", "two"],
        "event logs, where none is named"
    );
    let since = "SELECT unsealed_since = sealed_at FROM notary.integrity('one')";
    assert_eq!(texts(&mut client, since), ["t"]);
    assert_eq!(texts(&mut client, "SELECT unsealed_since <= last_entry FROM notary.integrity('two')"), ["t"]);
    // What notary.attest found is there for those who may read the journal.
    let reader = db.role("reader");
    run(&mut client, &format!("GRANT SELECT ON one TO \"{reader}\""));
    let intact = "SELECT concat_ws(' ', log, coalesce(intact::text, '?'), entries, unattested) FROM notary.integrity";
    assert_eq!(texts(&mut db.client_as(&reader), intact), ["one ? 31 no SELECT on notary.journal"]);
    let error = refused(&mut db.client_as(&reader), "SELECT * FROM notary.coverage()");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("42501", "permission denied for table notary.journal"));
    assert_eq!(error.hint, "A superuser can run: GRANT SELECT ON notary.journal TO your_role.");
    run(&mut client, &format!("GRANT SELECT ON notary.journal TO \"{reader}\""));
    assert_eq!(texts(&mut db.client_as(&reader), intact), ["one true 31"]);
    assert_eq!(texts(&mut db.client_as(&reader), "SELECT relation FROM notary.coverage()"), ["public.t"]);
    notary_tests::verdict::behind_the_guard(&db, &["DELETE FROM one WHERE notary_seq = 3"]);
    run(&mut client, "SELECT notary.attest('one')");
    assert_eq!(texts(&mut client, "SELECT intact FROM notary.integrity('one')"), ["f"]);
}

#[test]
fn access_lists_owner_members_grants_and_superusers() {
    let db = fresh_db("access");
    let mut client = db.client();
    let [owner, member, indirect, writer, reader, other, column] =
        ["owner", "member", "indirect", "writer", "reader", "other", "column"].map(|name| db.role(name));
    run(
        &mut client,
        &format!(
            "GRANT \"{owner}\" TO \"{member}\"; GRANT \"{member}\" TO \"{indirect}\"; ALTER ROLE \"{indirect}\" NOINHERIT NOLOGIN;
SELECT notary.create_log('one', '{writer}', '{reader}'); ALTER TABLE one OWNER TO \"{owner}\";
             GRANT SELECT (actor) ON one TO \"{column}\""
        ),
    );
    let of = |role: &str| {
        format!(
            "SELECT concat_ws(', ', may, how, login) FROM notary.access('one') WHERE role = '{role}' ORDER BY may, how"
        )
    };
    let mut says = |role: &str| texts(&mut client, &of(role));
    assert_eq!(says(&owner), ["own, owner, t", "read, owner, t", "switch protection off, owner, t", "write, owner, t"]);
    let as_member = |login: &str, of: &str| {
        ["own", "read", "switch protection off", "write"].map(|may| format!("{may}, member of {of}, {login}")).to_vec()
    };
    assert_eq!(says(&member), as_member("t", &owner));
    let mut expected = as_member("f", &owner);
    expected.sort();
    assert_eq!(says(&indirect), expected);
    assert_eq!(says(&writer), ["read, grant on columns, t", "write, grant, t"]);
    assert_eq!(says(&reader), ["read, grant, t"]);
    assert_eq!(says(&column), ["read, grant on columns, t"]);
    assert_eq!(says(&other), Vec::<String>::new());
    assert_eq!(says("postgres").len(), 4);
    assert_eq!(says("PUBLIC"), Vec::<String>::new());
    run(&mut client, "GRANT SELECT ON one TO PUBLIC");
    assert_eq!(texts(&mut client, &of("PUBLIC")), ["read, grant"]);
    // It agrees with what PostgreSQL would do, role by role.
    let disagree = "SELECT r.rolname FROM pg_roles AS r
        WHERE (has_table_privilege(r.oid, 'one', 'INSERT') AND NOT EXISTS (SELECT FROM notary.access('one') AS a
                   WHERE a.may = 'write' AND a.role IN (r.rolname, 'PUBLIC')))
           OR (pg_has_role(r.oid, (SELECT relowner FROM pg_class WHERE oid = 'one'::regclass), 'MEMBER')
               <> EXISTS (SELECT FROM notary.access('one') AS a WHERE a.may = 'switch protection off' AND a.role = r.rolname))";
    assert_eq!(texts(&mut client, disagree), Vec::<String>::new());
}

#[test]
fn access_tells_who_may_end_tracking_and_knows_every_log() {
    let db = fresh_db("access_tracking");
    let mut client = db.client();
    let [keeper, member, stranger] = ["keeper", "member", "stranger"].map(|name| db.role(name));
    run(
        &mut client,
        &format!(
            "SELECT notary.create_log('one'), notary.create_log('two'); GRANT \"{keeper}\" TO \"{member}\";
             CREATE TABLE customers (id int); ALTER TABLE customers OWNER TO \"{keeper}\"; CREATE TABLE \"Odd one\" (id int);
             GRANT INSERT ON one TO \"{keeper}\"; SELECT notary.track('customers', 'one'), notary.track('\"Odd one\"', 'one');
             CREATE TABLE plain (i int); SELECT notary.protect('plain');
             CREATE TABLE parts (i int) PARTITION BY RANGE (i); CREATE TABLE part PARTITION OF parts DEFAULT; SELECT notary.protect('parts')"
        ),
    );
    let of = |log: &str| {
        format!(
            "SELECT concat_ws(', ', role, may, how) FROM notary.access({log}) WHERE may LIKE 'end %' OR role = '{member}'"
        )
    };
    let customers = "end tracking of public.customers";
    let expected = vec![
        "postgres, end tracking of public.\"Odd one\", superuser".to_owned(),
        format!("{keeper}, {customers}, owner"),
        format!("{member}, {customers}, member of {keeper}"),
        format!("postgres, {customers}, superuser"),
    ];
    let mut came = texts(&mut client, &of("'one'"));
    // A member of who may insert, may.
    came.retain(|row| !row.contains(", write, "));
    came.sort();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(came, sorted);
    assert_eq!(texts(&mut client, &of("'two'")), Vec::<String>::new());
    // They are those whom notary.untrack lets.
    for (role, may) in [(&stranger, false), (&member, true)] {
        let ended = db.client_as(role).batch_execute("BEGIN; SELECT notary.untrack('customers', 'a test'); ROLLBACK");
        assert_eq!(ended.is_ok(), may, "{role}");
    }
    run(&mut client, "SELECT notary.untrack('customers', 'why'), notary.untrack('\"Odd one\"', 'why')");
    assert_eq!(texts(&mut client, "SELECT may FROM notary.access('one') WHERE may LIKE 'end %'"), Vec::<String>::new());
    // Logs of every kind where one is named, event logs where none is.
    for log in ["plain", "parts", "notary.journal"] {
        let owner = format!("SELECT role FROM notary.access('{log}') WHERE may = 'switch protection off'");
        assert_eq!(texts(&mut client, &owner), ["postgres"], "{log}");
        let error = refused(&mut db.client_as(&stranger), &format!("SELECT * FROM notary.access('{log}')"));
        assert_eq!(error.code, "42501", "{log}: {error}");
    }
    assert_eq!(texts(&mut client, "SELECT DISTINCT log::text FROM notary.access ORDER BY 1"), ["one", "two"]);
    for log in ["customers", "notary.logs"] {
        let error = refused(&mut client, &format!("SELECT * FROM notary.access('{log}')"));
        assert_eq!((error.code.as_str(), error.message.ends_with("is not a log")), ("55000", true), "{log}: {error}");
    }
    // Rights on a partition are its own.
    let part = "SELECT role FROM notary.access('part') WHERE may = 'read' AND how = 'grant'";
    assert_eq!(texts(&mut client, part), Vec::<String>::new());
    run(&mut client, &format!("GRANT SELECT ON part TO \"{stranger}\""));
    assert_eq!(texts(&mut client, part), [stranger.as_str()]);
    assert_eq!(refused(&mut client, "SELECT * FROM notary.access(1::regclass)").code, "22023");
}

#[test]
fn a_sample_is_the_same_everywhere_and_can_be_drawn_by_hand() {
    let (_db, mut client) = scene("sample", 1000);
    for seed in ["2026-Q1", "o'brien \\ %s", ""] {
        let seed = crate::literal(seed);
        let asked = format!("SELECT id FROM notary.sample('one', 25, {seed}, '2026-01-01', '2026-04-01')");
        let by_hand = format!(
            "SELECT id FROM one WHERE occurred_at >= '2026-01-01' AND occurred_at < '2026-04-01'
             ORDER BY encode(sha256(convert_to({seed}, 'UTF8') || convert_to(lower(id::text), 'UTF8')), 'hex') COLLATE \"C\" LIMIT 25"
        );
        assert_eq!(texts(&mut client, &asked), texts(&mut client, &by_hand));
    }
    let other = texts(&mut client, "SELECT id FROM notary.sample('one', 25, 'a')");
    assert_ne!(other, texts(&mut client, "SELECT id FROM notary.sample('one', 25, 'b')"));
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.sample('one', 5000, 'a')"), ["1000"]);
}

#[test]
fn without_events_and_without_logs_there_is_nothing_to_report() {
    let db = fresh_db("empty");
    let mut client = db.client();
    for log in [false, true] {
        if log {
            run(&mut client, "SELECT notary.create_log('one')");
        }
        for view in VIEWS {
            if log && matches!(view, "integrity" | "access") {
                assert_ne!(rows(&mut client, &format!("SELECT * FROM notary.{view}")).len(), 0);
                continue;
            }
            for source in [format!("notary.{view}"), format!("notary.{view}()")] {
                assert_eq!(rows(&mut client, &format!("SELECT * FROM {source}")).len(), 0, "{source}");
            }
        }
    }
    assert_eq!(texts(&mut client, "SELECT id FROM notary.sample('one', 5, 'x')").len(), 0);
    assert_eq!(texts(&mut client, "SELECT notary.actions()").len(), 0);
}

#[test]
fn wrong_arguments_are_refused() {
    let (_db, mut client) = scene("reports_refused", 5);
    run(&mut client, "CREATE TABLE plain (a int)");
    for view in VIEWS {
        let log = if view == "resource_history" { "log => " } else { "" };
        let error = refused(&mut client, &format!("SELECT * FROM notary.{view}({log}'plain')"));
        let what = if matches!(view, "integrity" | "access") { "a log" } else { "an event log" };
        assert_eq!((error.code.as_str(), error.message), ("55000", format!("public.plain is not {what}")), "{view}");
        if !matches!(view, "integrity" | "access") {
            let period = "since => '2026-02-01', until => '2026-01-01'";
            let error = refused(&mut client, &format!("SELECT * FROM notary.{view}({period})"));
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                ("22023", "since must be before until"),
                "{view}"
            );
        }
    }
    for (call, code, message) in [
        ("failed_auth(min_count => 0)", "22023", "min_count must be at least 1"),
        ("failed_auth(min_count => NULL)", "22023", "min_count must not be NULL"),
        ("auth_bursts(min_count => 0)", "22023", "min_count must be at least 1"),
        ("auth_bursts(width => '-1 s')", "22023", "width must be at least 00:00:00"),
        ("auth_bursts(width => NULL)", "22023", "width must not be NULL"),
        ("sample(NULL, 1, 'x')", "22023", "log must not be NULL"),
        ("sample('one', 0, 'x')", "22023", "n must be at least 1"),
        ("sample('one', 1, 'x', '2026-01-02', '2026-01-02')", "22023", "since must be before until"),
        ("sample('one', NULL, 'x')", "22023", "n must not be NULL"),
        ("sample('one', 1, NULL)", "22023", "seed must not be NULL"),
        ("sample('plain', 1, 'x')", "55000", "public.plain is not an event log"),
    ] {
        let error = refused(&mut client, &format!("SELECT * FROM notary.{call}"));
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, message), "{call}");
    }
}
