//! Who is recorded, and that nobody needs rights on the log for it.

use crate::{events, scene};
use notary_tests::Cluster;
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use postgres::Client;
use std::time::{Duration, Instant};

#[test]
fn an_application_without_rights_on_the_log_is_recorded() {
    let db = scene("app");
    let (owner, app) = (db.role("owner"), db.role("app"));
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "CREATE SCHEMA locked; ALTER TABLE audit SET SCHEMA locked; GRANT USAGE ON SCHEMA locked TO \"{owner}\"; GRANT INSERT ON locked.audit TO \"{owner}\""
        ),
    );
    let mut owning = db.client_as(&owner);
    run(
        &mut owning,
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, email text); SELECT notary.track('t', 'locked.audit', pii => '{{email}}'); GRANT ALL ON t TO \"{app}\""
        ),
    );
    let mut theirs = db.client_as(&app);
    run(
        &mut theirs,
        "SET application_name = 'the app'; BEGIN; SELECT notary.set_context('ann', 'admin', '10.0.0.1', request_id => 'r1');
         INSERT INTO t VALUES (1, 'x'), (2, 'y'); UPDATE t SET email = 'z' WHERE id = 1; COMMIT; DELETE FROM t WHERE id = 2; TRUNCATE t",
    );
    for sql in
        ["SELECT * FROM locked.audit", "INSERT INTO locked.audit (action) VALUES ('x')", "SELECT * FROM notary.pii_key"]
    {
        assert_eq!(refused(&mut theirs, sql).code, "42501", "{sql}");
    }
    let said = "SELECT concat_ws('|', replace(action, 'public.', ''), actor, actor_role, host(ip), request_id, application_name) FROM locked.audit ORDER BY id";
    assert_eq!(
        texts(&mut client, said),
        [
            "t.insert|ann|admin|10.0.0.1|r1|the app".to_owned(),
            "t.insert|ann|admin|10.0.0.1|r1|the app".to_owned(),
            "t.update|ann|admin|10.0.0.1|r1|the app".to_owned(),
            format!("t.delete|{app}|the app"),
            format!("t.truncate|{app}|the app"),
        ]
    );
    assert_eq!(
        texts(&mut client, "SELECT DISTINCT db_user || '|' || db_session_user FROM locked.audit"),
        [format!("{app}|{app}")]
    );
    // What the owner may do in the log does not matter later.
    run(
        &mut client,
        &format!("REVOKE ALL ON locked.audit FROM \"{owner}\"; REVOKE ALL ON SCHEMA locked FROM \"{owner}\""),
    );
    run(&mut owning, "INSERT INTO t VALUES (3, 'x')");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM locked.audit"), ["6"]);
    assert_found(&mut client, "locked.audit", &[]);
}

#[test]
fn row_level_security_hides_no_change() {
    let db = scene("rls");
    let app = db.role("app");
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, who text); GRANT ALL ON t TO \"{app}\"; SELECT notary.track('t', 'audit');
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
             CREATE POLICY own ON t USING (who = current_user) WITH CHECK (true); INSERT INTO t VALUES (1, 'other');
             ALTER TABLE audit ENABLE ROW LEVEL SECURITY; ALTER TABLE audit FORCE ROW LEVEL SECURITY; CREATE POLICY none ON audit USING (false) WITH CHECK (false)"
        ),
    );
    let mut theirs = db.client_as(&app);
    run(
        &mut theirs,
        &format!("INSERT INTO t VALUES (2, '{app}'), (3, 'other'); UPDATE t SET id = id + 10; DELETE FROM t"),
    );
    assert_eq!(
        events(&mut client),
        [
            r#"t.insert 1 > {"id": 1, "who": "other"}"#.to_owned(),
            format!(r#"t.insert 2 > {{"id": 2, "who": "{app}"}}"#),
            r#"t.insert 3 > {"id": 3, "who": "other"}"#.to_owned(),
            r#"t.update 2 {"id": 2} > {"id": 12}"#.to_owned(),
            format!(r#"t.delete 12 {{"id": 12, "who": "{app}"}} >"#),
        ]
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn the_role_that_acts_is_told_apart_from_the_one_whose_rights_count() {
    let db = scene("roles");
    let (owner, app) = (db.role("owner"), db.role("app"));
    let mut client = db.client();
    run(&mut client, &format!("GRANT INSERT ON audit TO \"{owner}\""));
    let mut owning = db.client_as(&owner);
    run(
        &mut owning,
        &format!(
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE);
             SELECT notary.track('p', 'audit'); SELECT notary.track('c', 'audit'); INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1);
             CREATE FUNCTION wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE c SET id = 2'; GRANT DELETE, SELECT ON p TO \"{app}\""
        ),
    );
    let mut theirs = db.client_as(&app);
    run(&mut theirs, "SELECT wipe(); DELETE FROM p");
    let said = "SELECT concat_ws('|', replace(action, 'public.', ''), db_user, db_session_user, actor) FROM audit ORDER BY id OFFSET 2";
    assert_eq!(
        texts(&mut client, said),
        [
            format!("c.update|{owner}|{app}|{app}"),
            format!("p.delete|{app}|{app}|{app}"),
            // Which PostgreSQL itself does with the rights of the table's owner.
            format!("c.delete|{app}|{app}|{app}"),
        ]
    );
}

/// Triggers run with the search_path of whoever changes the table, and look into catalogs with a superuser's rights.
#[test]
fn an_operator_of_the_application_gets_no_rights() {
    let db = scene("operators");
    let app = db.role("app");
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, email text); SELECT notary.track('t', 'audit', pii => '{{email}}'); GRANT ALL ON t TO \"{app}\";
             CREATE TABLE p (id int) PARTITION BY LIST (id); SELECT notary.track('p', 'audit'); CREATE SCHEMA evil AUTHORIZATION \"{app}\";
             ALTER TABLE p OWNER TO \"{app}\"; GRANT CREATE ON SCHEMA public TO \"{app}\"; GRANT INSERT ON audit TO \"{app}\""
        ),
    );
    let mut theirs = db.client_as(&app);
    for (left, name) in [
        ("oid", "eq_oid"),
        ("name", "eq_name"),
        ("text", "eq_text"),
        ("int2", "eq_int2"),
        ("char", "eq_char"),
        ("int8", "eq_int8"),
    ] {
        let kind = if left == "char" { "\"char\"" } else { left };
        run(
            &mut theirs,
            &format!(
                "CREATE FUNCTION evil.{name}({kind}, {kind}) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                     IF current_user <> '{app}' THEN RAISE 'I am %', current_user; END IF; RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
                 CREATE OPERATOR evil.= (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = evil.{name})"
            ),
        );
    }
    let mut theirs = db.client_as(&app);
    run(
        &mut theirs,
        "SET search_path = evil, pg_catalog; INSERT INTO public.t VALUES (1, 'x'); UPDATE public.t SET email = 'y'; TRUNCATE public.t;
         CREATE TABLE public.p1 PARTITION OF public.p DEFAULT; INSERT INTO public.p VALUES (1); ALTER TABLE public.p RENAME id TO n;
         INSERT INTO public.p VALUES (2)",
    );
    for sql in ["DROP TABLE public.p1", "ALTER TABLE public.p DETACH PARTITION public.p1"] {
        let error = refused(&mut theirs, sql);
        assert_eq!(error.code, "55000", "{error}");
    }
    run(
        &mut theirs,
        "SELECT notary.untrack('public.p', 'a test'); SELECT notary.track('public.p', 'public.audit'); SELECT notary.create_log('public.mine');
         INSERT INTO public.mine (action) VALUES ('x'); SELECT notary.unprotect('public.mine', 'a test'); DROP TABLE public.mine",
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["5"]);
    assert_found(&mut client, "audit", &[]);
}

/// Rows that come by logical replication are changes like others.
#[test]
fn a_subscriber_s_rows_are_recorded() {
    let cluster = Cluster::builder().setting("wal_level", "logical").start();
    let (from, to) = (cluster.fresh_db("publisher"), cluster.fresh_db("subscriber"));
    let (mut there, mut client) = (from.client(), to.client());
    run(
        &mut there,
        "CREATE TABLE t (id int PRIMARY KEY, email text); INSERT INTO t VALUES (1, 'x@example.com'); CREATE PUBLICATION p FOR TABLE t",
    );
    run(&mut there, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
    run(
        &mut client,
        "SELECT notary.create_log('audit'); CREATE TABLE t (id int PRIMARY KEY, email text); SELECT notary.track('t', 'audit', pii => '{email}')",
    );
    let conninfo = cluster.conninfo(from.name());
    let subscribe = format!(
        "CREATE SUBSCRIPTION s CONNECTION '{conninfo}' PUBLICATION p WITH (create_slot = false, slot_name = 's')"
    );
    run(&mut client, &subscribe);
    let wait = |client: &mut Client, deed: &str| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while texts(client, &format!("SELECT count(*) FROM audit WHERE action ~ '{deed}'")) == ["0"] {
            assert!(Instant::now() < deadline, "nothing comes: {}", cluster.log_contents());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait(&mut client, "insert");
    run(
        &mut there,
        "UPDATE t SET email = 'y@example.com'; INSERT INTO t VALUES (2, NULL); DELETE FROM t WHERE id = 1; TRUNCATE t",
    );
    wait(&mut client, "truncate");
    let said = "SELECT replace(action, 'public.t.', '') || ' ' || coalesce(resource_id, '-') FROM audit ORDER BY occurred_at, id";
    assert_eq!(texts(&mut client, said), ["insert 1", "update 1", "insert 2", "delete 1", "truncate -"]);
    let who = "SELECT DISTINCT concat_ws('|', db_user, db_session_user, client_addr) FROM audit";
    assert_eq!(texts(&mut client, who), ["postgres|postgres"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit AS e WHERE e::text ~ 'example'"), ["0"]);
    assert_found(&mut client, "audit", &[]);
    // Or its workers would keep the databases busy.
    run(&mut client, "ALTER SUBSCRIPTION s DISABLE");
    run(&mut client, "ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s");
}

#[test]
fn operators_of_somebody_else_get_no_rights() {
    let db = scene("operators");
    let eve = db.role("eve");
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "CREATE SCHEMA eve AUTHORIZATION \"{eve}\"; CREATE TABLE t (id int PRIMARY KEY, email text);
             SELECT notary.track('t', 'audit', pii => '{{email}}'); GRANT INSERT ON t TO \"{eve}\""
        ),
    );
    let mut hers = db.client_as(&eve);
    let types = ["oid", "text", "name", "uuid", "int4", "int8", "int2", "bool", "\"char\""];
    for (number, kind) in types.iter().enumerate() {
        run(
            &mut hers,
            &format!(
                "CREATE FUNCTION eve.eq{number}({kind}, {kind}) RETURNS bool LANGUAGE plpgsql AS $$BEGIN
                     IF current_user <> session_user THEN EXECUTE 'ALTER ROLE \"{eve}\" SUPERUSER'; END IF;
                     RETURN $1 OPERATOR(pg_catalog.=) $2; END$$;
                 CREATE OPERATOR eve.= (FUNCTION = eve.eq{number}, LEFTARG = {kind}, RIGHTARG = {kind})"
            ),
        );
    }
    run(
        &mut hers,
        "SET search_path = eve, pg_catalog; INSERT INTO public.t VALUES (1, 'x'); CREATE TABLE eve.own (id int PRIMARY KEY, a int, b int)",
    );
    run(&mut client, &format!("GRANT INSERT ON audit TO \"{eve}\""));
    // The guard's own way, and all others that she may go.
    run(
        &mut hers,
        "SELECT notary.track('eve.own', 'public.audit', exclude => '{a}'); ALTER TABLE eve.own RENAME COLUMN a TO c;
         INSERT INTO eve.own VALUES (1, 2, 3); ALTER TABLE eve.own ADD COLUMN d int; SELECT notary.untrack('eve.own', 'x');
         CREATE TABLE eve.log (a int); SELECT notary.protect('eve.log'); INSERT INTO eve.log VALUES (1); ALTER TABLE eve.log ADD COLUMN b int;
         SELECT notary.verify('eve.log'); SELECT notary.attest('eve.log'); SELECT notary.unprotect('eve.log', 'x'); DROP TABLE eve.own",
    );
    let rights = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{eve}'");
    assert_eq!(texts(&mut client, &rights), ["f"]);
    let said = "SELECT resource_id FROM audit WHERE action = 'public.t.insert'";
    assert_eq!(texts(&mut client, said), ["1"]);
}
