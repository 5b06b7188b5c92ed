//! What an INSERT leaves out: defaults, the session's settings, a JWT's claims; and that nothing outlives its transaction.

use crate::{last, scene, writer};
use notary_tests::Cluster;
use notary_tests::pooler::Pooler;
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use std::collections::BTreeSet;

/// The columns that settings fill in.
const CONTEXT: [&str; 7] = ["actor", "actor_role", "ip", "user_agent", "session_id", "request_id", "trace_id"];
const INSERT: &str = "INSERT INTO audit (action) VALUES ('a')";

#[test]
fn what_nobody_says_has_a_default() {
    let db = scene("defaults");
    let mut client = db.client();
    run(&mut client, INSERT);
    assert_eq!(
        last(
            &mut client,
            &["actor", "actor_type", "actor_role", "resource_type", "result", "ip", "pii", "details", "tags"]
        ),
        "postgres|NULL|NULL|NULL|success|NULL|false|NULL|NULL"
    );
    assert_eq!(last(&mut client, &["abs(extract(epoch FROM notary_time - occurred_at)) < 5"]), "true");
    // NULL is as good as nothing.
    run(
        &mut client,
        "INSERT INTO audit (action, id, occurred_at, actor, result, pii) VALUES ('b', NULL, NULL, NULL, NULL, NULL)",
    );
    assert_eq!(last(&mut client, &["actor", "result", "pii", "id IS NOT NULL"]), "postgres|success|false|true");
    // What is said, stands.
    run(
        &mut client,
        "INSERT INTO audit (id, occurred_at, action, actor, actor_type, actor_role, result, ip, pii) VALUES
         ('6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb', '1999-12-31 23:59:59.999999Z', 'c', '', 'ai_agent', '', 'denied', '2001:db8::/32', true)",
    );
    assert_eq!(
        last(
            &mut client,
            &["id", "occurred_at AT TIME ZONE 'UTC'", "actor", "actor_type", "actor_role", "result", "ip", "pii"]
        ),
        "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb|1999-12-31 23:59:59.999999||ai_agent||denied|2001:db8::/32|true"
    );
    let again = "INSERT INTO audit (id, action) VALUES ('6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb', 'd')";
    assert_eq!(refused(&mut client, again).code, "23505");
    run(&mut client, &format!("{again} ON CONFLICT DO NOTHING"));
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["3"]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn ids_come_in_the_order_of_time() {
    let db = scene("ids");
    let mut client = db.client();
    run(&mut client, "INSERT INTO audit (action) SELECT 'a' FROM generate_series(1, 3000)");
    let (ordered, versions) = (
        "SELECT bool_and(id > before) FROM (SELECT id, lag(id) OVER (ORDER BY notary_seq) AS before FROM audit) AS s",
        "SELECT DISTINCT substr(id::text, 15, 1) || CASE WHEN substr(id::text, 20, 1) ~ '[89ab]' THEN ' RFC' END FROM audit",
    );
    assert_eq!(texts(&mut client, ordered), ["t"]);
    assert_eq!(texts(&mut client, versions), ["7 RFC"]);
    let off = "SELECT max(abs(('x' || lpad(replace(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::int8 -
               extract(epoch FROM notary_time) * 1000)) < 5000 FROM audit";
    assert_eq!(texts(&mut client, off), ["t"]);
    let many = "SELECT count(DISTINCT u), bool_and(u > before) FROM (SELECT u, lag(u) OVER (ORDER BY n) AS before
                FROM (SELECT n, notary.uuid_v7() AS u FROM generate_series(1, 50000) AS n OFFSET 0) AS s) AS t";
    let row = client.query_one(many, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1)), (50_000, true));
    // From session to session.
    let mut before = String::new();
    for _ in 0..5 {
        let id = texts(&mut db.client(), "SELECT notary.uuid_v7()").remove(0);
        assert!(id > before, "{before} {id}");
        before = id;
    }
}

#[test]
fn settings_count_as_long_as_postgresql_says() {
    let db = scene("settings");
    let mut client = db.client();
    let set = "SET LOCAL notary.actor = 'ann'; SET LOCAL notary.actor_role = 'admin'; SET LOCAL notary.ip = '203.0.113.7';
               SET LOCAL notary.user_agent = 'curl'; SET LOCAL notary.session_id = 's'; SET LOCAL notary.request_id = 'r';
               SET LOCAL notary.trace_id = 't'";
    let (said, nothing) = ("ann|admin|203.0.113.7|curl|s|r|t", "postgres|NULL|NULL|NULL|NULL|NULL|NULL");
    run(&mut client, &format!("BEGIN; {set}; {INSERT}; COMMIT"));
    assert_eq!(last(&mut client, &CONTEXT), said.replace("203.0.113.7", "203.0.113.7/32"));
    run(&mut client, INSERT);
    assert_eq!(last(&mut client, &CONTEXT), nothing);
    run(&mut client, &format!("BEGIN; {set}; ROLLBACK; {INSERT}"));
    assert_eq!(last(&mut client, &CONTEXT), nothing);
    run(&mut client, &format!("BEGIN; SAVEPOINT s; {set}; ROLLBACK TO s; {INSERT}; COMMIT"));
    assert_eq!(last(&mut client, &CONTEXT), nothing);
    run(&mut client, &format!("BEGIN; SAVEPOINT s; {set}; RELEASE s; {INSERT}; COMMIT"));
    assert_eq!(last(&mut client, &["actor", "trace_id"]), "ann|t");
    assert_eq!(refused(&mut client, &format!("BEGIN; {set}; SELECT 1/0")).code, "22012");
    run(&mut client, &format!("ROLLBACK; {INSERT}"));
    assert_eq!(last(&mut client, &CONTEXT), nothing);
    // For the session, and with the three ways to end it.
    for end in
        ["RESET notary.actor", "RESET ALL", "DISCARD ALL", "SET notary.actor = ''", "SET notary.actor TO DEFAULT"]
    {
        run(&mut client, "SET notary.actor = 'ben'");
        run(&mut client, INSERT);
        assert_eq!(last(&mut client, &["actor"]), "ben");
        run(&mut client, end);
        run(&mut client, INSERT);
        assert_eq!(last(&mut client, &["actor"]), "postgres", "{end}");
    }
    // The INSERT's own word goes before.
    run(
        &mut client,
        &format!("BEGIN; {set}; INSERT INTO audit (action, actor, ip) VALUES ('a', 'eve', '::1'); COMMIT"),
    );
    assert_eq!(last(&mut client, &["actor", "host(ip)", "request_id"]), "eve|::1|r");
    // A misspelt one is an error.
    assert_eq!(refused(&mut client, "SET notary.actr = 'x'").code, "42602");
}

#[test]
fn set_context_says_all_seven_at_once() {
    let db = scene("set_context");
    let role = writer(&db, "app");
    let (mut client, mut theirs) = (db.client(), db.client_as(&role));
    let all = "notary.set_context('ann', 'admin', '203.0.113.7', 'curl', 's', 'r', 't'";
    let nothing = format!("{role}|NULL|NULL|NULL|NULL|NULL|NULL");
    run(&mut theirs, &format!("BEGIN; SELECT {all}); {INSERT}; COMMIT"));
    assert_eq!(last(&mut client, &CONTEXT), "ann|admin|203.0.113.7/32|curl|s|r|t");
    run(&mut theirs, INSERT);
    assert_eq!(last(&mut client, &CONTEXT), nothing, "it was local");
    run(&mut theirs, &format!("BEGIN; SELECT {all}); SELECT notary.set_context(request_id => 'r2'); {INSERT}; COMMIT"));
    assert_eq!(last(&mut client, &CONTEXT), format!("{role}|NULL|NULL|NULL|NULL|r2|NULL"), "what is left out is unset");
    run(&mut theirs, &format!("SELECT {all}, local => false)"));
    run(&mut theirs, INSERT);
    assert_eq!(last(&mut client, &CONTEXT), "ann|admin|203.0.113.7/32|curl|s|r|t");
    run(&mut theirs, &format!("BEGIN; SELECT notary.set_context('eve'); {INSERT}; COMMIT"));
    assert_eq!(last(&mut client, &["actor", "request_id"]), "eve|NULL");
    run(&mut theirs, INSERT);
    assert_eq!(last(&mut client, &["actor", "request_id"]), "ann|r", "what was the session's is so again");
    run(&mut theirs, "SELECT notary.set_context(local => false)");
    run(&mut theirs, INSERT);
    assert_eq!(last(&mut client, &CONTEXT), nothing);
    run(
        &mut theirs,
        &format!("BEGIN; SELECT notary.set_context('a''; DROP TABLE audit; --', ip => '10.0.0.0/8'); {INSERT}; COMMIT"),
    );
    assert_eq!(last(&mut client, &["actor", "ip"]), "a'; DROP TABLE audit; --|10.0.0.0/8");
}

/// Like SET LOCAL, which warns there too: said in a transaction of its own, it is gone before any INSERT.
#[test]
fn set_context_warns_where_it_has_no_effect() {
    let db = scene("no_block");
    run(
        &mut db.client(),
        "CREATE FUNCTION log_it() RETURNS uuid LANGUAGE plpgsql AS $$ BEGIN
             PERFORM notary.set_context('ann'); RETURN notary.log_event('{\"action\": \"a\"}'); END $$;
         CREATE FUNCTION in_sql() RETURNS uuid LANGUAGE sql AS $$
             SELECT notary.set_context('ann'); SELECT notary.log_event('{\"action\": \"a\"}') $$;
         CREATE PROCEDURE by_call() LANGUAGE plpgsql AS $$ BEGIN
             PERFORM notary.set_context('ann'); INSERT INTO audit (action) VALUES ('a'); END $$;
         CREATE TABLE t (i int); INSERT INTO t VALUES (1)",
    );
    let (mut client, notices) = db.client_with_notices("postgres");
    let warned = |client: &mut postgres::Client, sql: &str| {
        run(client, sql);
        notices.take().join("\n")
    };
    let said = warned(&mut client, "SELECT notary.set_context('ann')");
    assert!(
        said.starts_with("WARNING: notary.set_context() has no effect outside a transaction block\nDETAIL: "),
        "{said}"
    );
    assert!(said.contains("local => false"), "{said}");
    assert!(!warned(&mut client, "SELECT * FROM notary.set_context('ann')").is_empty());
    client.query("SELECT notary.set_context($1)", &[&"ann"]).unwrap();
    assert!(!notices.take().is_empty(), "by the extended protocol");
    run(&mut client, "PREPARE p AS SELECT notary.set_context('ann')");
    assert!(!warned(&mut client, "EXECUTE p").is_empty());
    for odd in [
        "SELECT FROM notary.set_context('ann')",
        "SELECT WHERE notary.set_context('ann') IS NOT NULL",
        "SELECT count(*) FROM notary.set_context('ann')",
        "SELECT (SELECT notary.set_context('ann'))",
        "EXPLAIN ANALYZE SELECT notary.set_context('ann')",
        "COPY (SELECT notary.set_context('ann')) TO '/dev/null'",
        "VALUES (notary.set_context('ann'))",
        "CREATE TABLE made AS SELECT 1 AS i FROM notary.set_context('ann')",
    ] {
        warned(&mut client, odd);
    }
    let code = db.psql("\\set VERBOSITY verbose\nSELECT notary.set_context('ann')").ok().stderr;
    assert!(code.contains("WARNING:  25P01: "), "{code}");
    let insert = "INSERT INTO audit (action) VALUES ('a')";
    for sql in [
        "SELECT notary.set_context('ann', local => false)".to_owned(),
        "SELECT notary.set_context(local => false)".to_owned(),
        format!("BEGIN; SELECT notary.set_context('ann'); {insert}; COMMIT"),
        "BEGIN; SAVEPOINT s; SELECT notary.set_context('ann'); COMMIT".to_owned(),
        // What a client sends at once is one transaction.
        format!("SELECT notary.set_context('ann'); {insert}"),
        // The statement goes on with it.
        "SELECT log_it()".to_owned(),
        "SELECT in_sql()".to_owned(),
        "CALL by_call()".to_owned(),
        format!("DO $$ BEGIN PERFORM notary.set_context('ann'); {insert}; END $$"),
        "SELECT notary.set_context('ann'), notary.log_event('{\"action\": \"a\"}')".to_owned(),
        "WITH who AS MATERIALIZED (SELECT notary.set_context('ann')) INSERT INTO audit (action) SELECT 'a' FROM who"
            .to_owned(),
    ] {
        assert_eq!(warned(&mut client, &sql), "", "{sql}");
    }
    let mut all = db.client();
    assert_eq!(texts(&mut all, "SELECT DISTINCT actor FROM audit"), ["ann"]);
    assert_eq!(texts(&mut all, "SELECT count(*) FROM audit"), ["8"]);
}

#[test]
fn an_address_that_is_none_is_an_error_that_says_so() {
    let db = scene("ip");
    let mut client = db.client();
    for bad in ["nonsense", "300.1.1.1", "10.0.0.1, 10.0.0.2", "10.0.0.1:80", "1.2.3.4/99", "'; DROP TABLE audit; --"] {
        run(&mut client, &format!("SET notary.ip = {}", crate::literal(bad)));
        let error = refused(&mut client, INSERT);
        assert!(error.message.contains("notary.ip") || error.code == "22P02", "{bad}: {error}");
        assert!(error.code.starts_with("22"), "{bad}: {error}");
        // Who says one himself needs none from there.
        run(&mut client, "INSERT INTO audit (action, ip) VALUES ('a', '::1')");
    }
    run(&mut client, "SET notary.ip = ''");
    run(&mut client, INSERT);
    assert_eq!(last(&mut client, &["ip"]), "NULL");
}

#[test]
fn claims_of_a_jwt_stand_in_where_no_setting_does() {
    let db = scene("claims");
    let role = writer(&db, "authenticator");
    let mut client = db.client();
    run(&mut client, &format!("ALTER ROLE \"{role}\" SET notary.context_claims = 'request.jwt.claims'"));
    let mut theirs = db.client_as(&role);
    let columns = ["actor", "actor_role", "session_id"];
    for (claims, expected) in [
        (r#"{"sub": "u1", "role": "web", "session_id": "s1"}"#, "u1|web|s1"),
        (r#"{"user_id": 42, "email": "a@example.com", "sid": "s2"}"#, "42|NULL|s2"),
        (r#"{"sub": "", "preferred_username": "ann"}"#, "ann|NULL|NULL"),
        (r#"{"sub": null, "email": "a@example.com", "role": ["x"]}"#, "a@example.com|NULL|NULL"),
        (r#"{"sub": {"id": 1}}"#, &format!("{role}|NULL|NULL")),
        ("{}", &format!("{role}|NULL|NULL")),
        // As PostgREST leaves it behind.
        ("", &format!("{role}|NULL|NULL")),
        (r#"{"sub": "a'b\"c\\d\u00e9"}"#, r#"a'b"c\dé|NULL|NULL"#),
    ] {
        let set = format!("SELECT set_config('request.jwt.claims', {}, true)", crate::literal(claims));
        run(&mut theirs, &format!("BEGIN; {set}; {INSERT}; COMMIT"));
        assert_eq!(last(&mut client, &columns), expected, "{claims}");
        run(&mut theirs, INSERT);
        assert_eq!(last(&mut client, &columns), format!("{role}|NULL|NULL"), "after {claims}");
    }
    let claims = r#"SELECT set_config('request.jwt.claims', '{"sub": "u1", "role": "web", "sid": "s1"}', true)"#;
    run(&mut theirs, &format!("BEGIN; {claims}; SET LOCAL notary.actor = 'ann'; {INSERT}; COMMIT"));
    assert_eq!(last(&mut client, &columns), "ann|web|s1", "settings go before");
    run(&mut theirs, &format!("BEGIN; {claims}; INSERT INTO audit (action, actor_role) VALUES ('a', 'mine'); COMMIT"));
    assert_eq!(last(&mut client, &columns), "u1|mine|s1", "and the INSERT before all");
    for malformed in ["nonsense", "[]", "\"sub\"", "{\"sub\": ", "null", "17"] {
        let set = format!("SELECT set_config('request.jwt.claims', '{malformed}', true)");
        let error = refused(&mut theirs, &format!("BEGIN; {set}; {INSERT}"));
        assert_eq!(error.code, "22023", "{error}");
        assert!(error.message.contains("request.jwt.claims") && !error.to_string().contains("nonsense"), "{error}");
        run(&mut theirs, "ROLLBACK");
    }
    // Where nothing names the setting it is none of ours.
    let mut other = db.client();
    run(&mut other, &format!("BEGIN; SELECT set_config('request.jwt.claims', 'nonsense', true); {INSERT}; COMMIT"));
    // Who may write does not choose which setting is believed.
    assert_eq!(refused(&mut theirs, "SET notary.context_claims = 'application_name'").code, "42501");
}

/// Many clients take turns on one connection of the server's: each says who he is for his own transaction, or says nothing.
#[test]
fn behind_a_pooler_nobody_acts_in_another_s_name() {
    let cluster = Cluster::start();
    let db = cluster.fresh_db("pooled");
    run(&mut db.client(), "SELECT notary.create_log('audit')");
    let role = writer(&db, "app");
    let _pooler = Pooler::start(&cluster, &role, 1);
    let clients = 6;
    std::thread::scope(|scope| {
        for number in 0..clients {
            let (role, db) = (&role, &db);
            scope.spawn(move || {
                let mut config = postgres::Config::new();
                config.host_path(db.cluster().scratch_dir()).port(6432).user(role).dbname(db.name());
                let mut client = config.connect(postgres::NoTls).unwrap();
                for round in 0..40 {
                    let (me, request) = (format!("user {number}"), format!("{number}-{round}"));
                    let local = match round % 4 {
                        0 => format!("SELECT notary.set_context('{me}', request_id => '{request}')"),
                        1 => format!("SET LOCAL notary.actor = '{me}'; SET LOCAL notary.request_id = '{request}'"),
                        2 => format!("SELECT notary.set_context('{me}', request_id => '{request}'); SAVEPOINT s; SELECT notary.set_context('x'); ROLLBACK TO s"),
                        _ => String::new(),
                    };
                    run(&mut client, &format!("BEGIN; {local}"));
                    std::thread::yield_now();
                    run(&mut client, &format!("INSERT INTO audit (action, tags) VALUES ('{}', ARRAY['{me}', '{request}'])", if local.is_empty() { "silent" } else { "said" }));
                    run(&mut client, if round % 5 == 0 { "ROLLBACK" } else { "COMMIT" });
                }
            });
        }
    });
    let mut client = db.client();
    let pids: BTreeSet<_> = texts(&mut client, "SELECT DISTINCT backend_pid FROM audit").into_iter().collect();
    assert_eq!(pids.len(), 1, "they shared a connection");
    let wrong = format!(
        "SELECT count(*) FROM audit WHERE CASE action WHEN 'said' THEN (actor, request_id) IS DISTINCT FROM (tags[1], tags[2])
             ELSE (actor, request_id) IS DISTINCT FROM ('{role}', NULL::text) END"
    );
    assert_eq!(texts(&mut client, &wrong), ["0"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), [(clients * 32).to_string()]);
    assert_found(&mut client, "audit", &[]);
}
