//! Nobody's code runs with the rights of somebody who asks about all logs.

use crate::rows;
use notary_tests::talk::{run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// Whatever goes over all logs without being asked for one.
const OVER_ALL: [&str; 21] = [
    "notary.event_logs",
    "notary.pii_access",
    "notary.failed_auth",
    "notary.auth_bursts",
    "notary.admin_actions",
    "notary.data_exports",
    "notary.ai_decisions",
    "notary.resource_history",
    "notary.resource_history('order', '5')",
    "notary.activity",
    "notary.integrity",
    "notary.access",
    // Named, but not by choice: neither is planned to be read.
    "notary.logs AS l, notary.integrity(l.log)",
    "notary.logs AS l, notary.access(l.log)",
    "notary.actions()",
    "notary.activity(since => '2000-01-01')",
    "notary.logs",
    "notary.seals",
    "notary.tracked",
    "notary.untracked",
    "notary.verify()",
];

/// A log of everybody's trust, a stranger with a schema of his own, and an auditor who may read all that he makes. His function
/// leaves a row in `loot` with the name of whoever's rights it got, and for a superuser makes him one.
fn scene(name: &str) -> (Database<'static>, Client, String, String) {
    let db = fresh_db(name);
    let mut client = db.client();
    let (low, auditor) = (db.role("low"), db.role("auditor"));
    run(
        &mut client,
        &format!(
            "SELECT notary.create_log('good', reader => '{auditor}'); INSERT INTO good (action, actor) VALUES ('auth.login.failure', 'ann');
             CREATE SCHEMA evil AUTHORIZATION \"{low}\"; GRANT USAGE ON SCHEMA evil TO PUBLIC"
        ),
    );
    run(
        &mut db.client_as(&low),
        &format!(
            "CREATE TABLE evil.loot (who text); GRANT ALL ON evil.loot TO PUBLIC;
             CREATE FUNCTION evil.leave() RETURNS void LANGUAGE plpgsql AS $$BEGIN
                 INSERT INTO evil.loot VALUES (current_user);
                 IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN EXECUTE 'ALTER ROLE \"{low}\" SUPERUSER'; END IF;
             END$$;
             CREATE FUNCTION evil.f(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM evil.leave(); RETURN true; END$$;
             CREATE FUNCTION evil.raises(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
                 IF current_user <> '{low}' THEN RAISE 'no report for you'; END IF; RETURN true; END$$;
             SELECT notary.create_log('evil.plain', reader => '{auditor}');
             INSERT INTO evil.plain (action, actor) VALUES ('auth.login.failure', 'low')"
        ),
    );
    (db, client, low, auditor)
}

#[test]
fn what_a_stranger_hangs_on_his_log_runs_with_nobody_s_rights() {
    let (db, mut client, low, auditor) = scene("trust");
    let mut theirs = db.client_as(&low);
    let log = |name: &str, more: &str| {
        format!(
            "SELECT notary.create_log('evil.{name}', reader => '{auditor}'); {}",
            more.replace("%", &format!("evil.{name}"))
        )
    };
    let child = "CREATE TABLE %_child () INHERITS (%)";
    let logs = [
        ("predicate", "CREATE INDEX ON % (id) WHERE evil.f(1)".to_owned(), "function evil.f(integer)"),
        ("expression", "CREATE INDEX ON % ((evil.f(1) AND pii))".into(), "function evil.f(integer)"),
        ("statistics", "CREATE STATISTICS evil.s ON ((evil.f(1)::text || action)) FROM %".into(), "function evil.f(integer)"),
        ("checked", "ALTER TABLE % ADD CHECK (evil.f(1) OR pii)".into(), "function evil.f(integer)"),
        ("generated", "SELECT notary.unprotect('%', 'a test'); ALTER TABLE % ADD COLUMN g boolean GENERATED ALWAYS AS (evil.f(1) OR pii) STORED".into(), "function evil.f(integer)"),
        ("operator", "CREATE OPERATOR evil.@@@ (FUNCTION = evil.f, RIGHTARG = int); CREATE INDEX ON % (id) WHERE OPERATOR(evil.@@@) 1".into(), "evil.@@@(NONE,integer)"),
        ("domain", "CREATE DOMAIN evil.dom AS int CHECK (evil.f(VALUE)); CREATE INDEX ON % (id) WHERE (1::evil.dom) > 0".into(), "type evil.dom"),
        ("policy", "CREATE POLICY p ON % USING (evil.f(1)); ALTER TABLE % ENABLE ROW LEVEL SECURITY".into(), "row-level security"),
        // PostgreSQL's own function that runs SQL.
        ("xml", "CREATE POLICY p ON % USING (query_to_xml('SELECT evil.leave()', true, true, '') IS NOT NULL); ALTER TABLE % ENABLE ROW LEVEL SECURITY".into(), "row-level security"),
        ("raising", "CREATE INDEX ON % (id) WHERE evil.raises(1)".into(), "function evil.raises(integer)"),
    ];
    for (name, more, _) in &logs {
        run(&mut theirs, &log(name, more));
    }
    // As children of a log that has nothing of the kind.
    run(&mut client, &format!("SELECT notary.create_log('evil.parent', reader => '{auditor}')"));
    run(
        &mut client,
        &format!("SELECT notary.unprotect('evil.parent', 'a test'); ALTER TABLE evil.parent OWNER TO \"{low}\""),
    );
    run(&mut theirs, &child.replace('%', "evil.parent"));
    run(
        &mut theirs,
        "CREATE TABLE evil.parent_child_child () INHERITS (evil.parent_child); CREATE INDEX ON evil.parent_child_child (id) WHERE evil.f(1)",
    );
    run(&mut theirs, "DELETE FROM evil.loot");
    for role in [None, Some(auditor.as_str())] {
        let mut reader = role.map_or_else(|| db.client(), |role| db.client_as(role));
        for asked in OVER_ALL {
            texts(&mut reader, &format!("SELECT * FROM {asked}"));
        }
        assert_eq!(
            texts(&mut reader, "SELECT DISTINCT log::text FROM notary.activity ORDER BY 1"),
            ["evil.plain", "good"]
        );
        assert_eq!(texts(&mut reader, "SELECT actor FROM notary.failed_auth ORDER BY 1"), ["ann", "low"]);
        for (name, _, says) in &logs {
            let left_out = format!("SELECT left_out FROM notary.event_logs WHERE log = 'evil.{name}'::regclass");
            let left_out = texts(&mut reader, &left_out).remove(0);
            assert!(
                left_out.starts_with(&format!("evil.{name} belongs to {low}")) && left_out.contains(says),
                "{left_out}"
            );
        }
        let of_child =
            texts(&mut reader, "SELECT left_out FROM notary.event_logs WHERE log = 'evil.parent'::regclass").remove(0);
        assert!(of_child.starts_with("evil.parent_child_child belongs to"), "{of_child}");
    }
    assert_eq!(texts(&mut client, "SELECT who FROM evil.loot"), Vec::<String>::new());
    assert_eq!(texts(&mut client, &format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{low}'")), ["f"]);
    // Whoever names the log has asked for it. To its owner it is his own.
    texts(&mut db.client_as(&auditor), "SELECT * FROM notary.failed_auth('evil.predicate')");
    assert_eq!(texts(&mut client, "SELECT DISTINCT who FROM evil.loot"), [auditor]);
    assert_eq!(texts(&mut theirs, "SELECT count(*) FROM notary.event_logs WHERE left_out IS NOT NULL"), ["0"]);
    // A superuser's functions may be used.
    run(
        &mut client,
        "CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE INDEX ON evil.plain (id) WHERE fine(1)",
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.activity WHERE log = 'evil.plain'::regclass"), ["1"]);
}

#[test]
fn partitions_are_asked_too() {
    let (db, mut client, low, auditor) = scene("trust_parts");
    run(
        &mut client,
        &format!(
            "CREATE TABLE evil.parted (LIKE good INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE (occurred_at);
             ALTER TABLE evil.parted DROP COLUMN notary_chain, DROP COLUMN notary_seq, DROP COLUMN notary_time, DROP COLUMN notary_prev, DROP COLUMN notary_hash;
             CREATE TRIGGER \"~notary_about\" BEFORE INSERT ON evil.parted FOR EACH ROW EXECUTE FUNCTION notary.about();
             ALTER TABLE evil.parted ENABLE ALWAYS TRIGGER \"~notary_about\";
             SELECT notary.protect('evil.parted'); GRANT SELECT ON evil.parted TO \"{auditor}\";
             CREATE TABLE evil.part PARTITION OF evil.parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
        ),
    );
    run(&mut client, "INSERT INTO evil.parted (occurred_at, action) VALUES ('2026-02-02', 'auth.login.failure')");
    let asked = "SELECT coalesce(left_out, 'asked') FROM notary.event_logs WHERE log = 'evil.parted'::regclass";
    assert_eq!(texts(&mut client, asked), ["asked"]);
    run(&mut client, &format!("ALTER TABLE evil.part OWNER TO \"{low}\"; ALTER TABLE evil.parted OWNER TO \"{low}\""));
    assert_eq!(texts(&mut db.client_as(&auditor), asked), ["asked"]);
    run(&mut db.client_as(&low), "CREATE INDEX ON evil.part (id) WHERE evil.f(1); DELETE FROM evil.loot");
    for role in [None, Some(auditor.as_str())] {
        let mut reader = role.map_or_else(|| db.client(), |role| db.client_as(role));
        assert!(texts(&mut reader, asked)[0].starts_with("evil.part belongs to"));
        for over_all in OVER_ALL {
            texts(&mut reader, &format!("SELECT * FROM {over_all}"));
        }
        assert_eq!(
            texts(&mut reader, "SELECT log FROM notary.integrity ORDER BY log::text"),
            ["evil.parted", "evil.plain", "good"]
        );
    }
    assert_eq!(texts(&mut client, "SELECT who FROM evil.loot"), Vec::<String>::new());
}

#[test]
fn the_logs_that_are_left_out_are_named() {
    let (db, _client, low, auditor) = scene("trust_warned");
    run(
        &mut db.client_as(&low),
        &format!(
            "SELECT notary.create_log('evil.l', reader => '{auditor}'); CREATE INDEX ON evil.l (id) WHERE evil.f(1)"
        ),
    );
    let (mut reader, notices) = db.client_with_notices(&auditor);
    for asked in [
        "notary.activity",
        "notary.data_exports",
        "notary.pii_access()",
        "notary.actions()",
        "notary.resource_history(NULL, '5')",
    ] {
        texts(&mut reader, &format!("SELECT * FROM {asked}"));
        let expected = format!(
            "WARNING: evil.l is left out\nDETAIL: evil.l belongs to {low} and uses function evil.f(integer) of {low}.\n\
             HINT: Name the log to ask about it, if you trust its owner."
        );
        assert_eq!(notices.take(), [expected], "{asked}");
    }
    texts(&mut reader, "SELECT * FROM notary.activity('good')");
    assert!(notices.take().is_empty());
}

#[test]
fn an_index_that_comes_between_the_question_and_the_plan_has_no_rights() {
    let (db, mut client, low, auditor) = scene("trust_races");
    run(
        &mut db.client_as(&low),
        "DELETE FROM evil.loot; CREATE INDEX ON evil.plain (id) WHERE evil.f(1); DELETE FROM evil.loot",
    );
    // What reports run once they have asked: as if the index had come later.
    let planned = "DO $$DECLARE n int; BEGIN EXECUTE notary.plan_apart('SELECT count(*) FROM evil.plain WHERE pii') INTO n; END$$";
    for role in [None, Some(auditor.as_str())] {
        let mut reader = role.map_or_else(|| db.client(), |role| db.client_as(role));
        run(&mut reader, "SET search_path = public");
        run(&mut reader, planned);
        assert_eq!(texts(&mut client, "SELECT DISTINCT who FROM evil.loot"), ["pg_checkpoint"]);
        assert_eq!(texts(&mut client, &format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{low}'")), ["f"]);
        // Nor does it leave anything behind in the session.
        run(
            &mut db.client_as(&low),
            "CREATE OR REPLACE FUNCTION evil.leave() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'evil', false); END$$",
        );
        run(&mut reader, planned);
        assert_eq!(texts(&mut reader, "SHOW search_path"), ["public"]);
        assert_eq!(rows(&mut reader, "SELECT current_user = session_user AS same"), [r#"{"same":true}"#]);
        run(
            &mut db.client_as(&low),
            "CREATE OR REPLACE FUNCTION evil.leave() RETURNS void LANGUAGE plpgsql AS $$BEGIN INSERT INTO evil.loot VALUES (current_user); END$$",
        );
        // A statement of another text is not meant.
        run(&mut reader, "SELECT notary.plan_apart('SELECT 1')");
        run(&mut db.client_as(&low), "DELETE FROM evil.loot");
        run(&mut reader, "SELECT count(*) FROM evil.plain WHERE pii");
        let who = role.map_or_else(|| "postgres".to_owned(), str::to_owned);
        assert_eq!(texts(&mut client, "SELECT DISTINCT who FROM evil.loot"), [who]);
        run(&mut db.client_as(&low), "DELETE FROM evil.loot");
    }
}

#[test]
fn a_log_that_a_stranger_keeps_locked_keeps_nobody_waiting() {
    let (db, mut client, low, auditor) = scene("trust_locked");
    let mut theirs = db.client_as(&low);
    run(&mut theirs, "BEGIN; LOCK TABLE evil.plain IN ACCESS EXCLUSIVE MODE");
    for role in [None, Some(auditor.as_str())] {
        let mut reader = role.map_or_else(|| db.client(), |role| db.client_as(role));
        run(&mut reader, "SET statement_timeout = '20s'");
        assert_eq!(texts(&mut reader, "SELECT actor FROM notary.failed_auth"), ["ann"]);
    }
    run(&mut theirs, "ROLLBACK");
    assert_eq!(texts(&mut client, "SELECT actor FROM notary.failed_auth ORDER BY 1"), ["ann", "low"]);
}
