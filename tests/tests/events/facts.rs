//! What only the database knows: no client sets it, whatever it sends and by whatever way.

use crate::{last, scene, writer};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Cluster, Database};
use postgres::{Client, Config, NoTls};
use std::io::Write;

const FACTS: [&str; 6] = ["db_user", "db_session_user", "application_name", "client_addr", "backend_pid", "txid"];
/// The same columns, for an INSERT, and lies for them.
const COLUMNS: &str = "action, db_user, db_session_user, application_name, client_addr, backend_pid, txid";
const LIES: &str = "'a', 'liar', 'liar', 'lies', '192.0.2.1'::inet, 1, 1";

/// The facts of the last row are those of this session, and `txid` that of a transaction which has ended.
#[track_caller]
fn assert_facts(client: &mut Client, by: &mut Client, user: &str, session_user: &str) {
    let pid = texts(by, "SELECT pg_backend_pid()").remove(0);
    assert_eq!(last(client, &FACTS[..5]), format!("{user}|{session_user}|notary-tests|NULL|{pid}"));
    let ended = "SELECT pg_xact_status(txid::text::xid8) FROM audit ORDER BY notary_time DESC LIMIT 1";
    assert_eq!(texts(client, ended), ["committed"]);
}

#[test]
fn what_a_client_sends_for_them_counts_for_nothing() {
    let db = scene("claimed");
    let role = writer(&db, "app");
    let (mut client, mut theirs) = (db.client(), db.client_as(&role));
    run(&mut theirs, &format!("INSERT INTO audit ({COLUMNS}) VALUES ({LIES})"));
    assert_facts(&mut client, &mut theirs, &role, &role);
    run(&mut theirs, &format!("INSERT INTO audit ({COLUMNS}) SELECT {LIES} FROM generate_series(1, 3)"));
    assert_facts(&mut client, &mut theirs, &role, &role);
    let mut copy = theirs.copy_in(&format!("COPY audit ({COLUMNS}) FROM STDIN")).unwrap();
    copy.write_all(b"a\tliar\tliar\tlies\t192.0.2.1\t1\t1\na\tliar\tliar\tlies\t192.0.2.1\t1\t1\n").unwrap();
    assert_eq!(copy.finish().unwrap(), 2);
    assert_facts(&mut client, &mut theirs, &role, &role);
    let prepared = theirs.prepare(&format!("INSERT INTO audit ({COLUMNS}) VALUES ({LIES})")).unwrap();
    theirs.execute(&prepared, &[]).unwrap();
    assert_facts(&mut client, &mut theirs, &role, &role);
    run(
        &mut theirs,
        &format!("WITH w AS (INSERT INTO audit ({COLUMNS}) VALUES ({LIES}) RETURNING id) SELECT * FROM w"),
    );
    assert_facts(&mut client, &mut theirs, &role, &role);
    // As members of an event they are details.
    run(&mut theirs, r#"SELECT notary.log_event('{"action": "a", "db_user": "liar", "backend_pid": 1, "txid": "1"}')"#);
    assert_facts(&mut client, &mut theirs, &role, &role);
    assert_eq!(last(&mut client, &["details"]), r#"{"txid": "1", "db_user": "liar", "backend_pid": 1}"#);
    assert_eq!(
        texts(&mut client, "SELECT count(*) FROM audit WHERE db_user <> db_session_user OR db_user = 'liar'"),
        ["0"]
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn the_role_that_logged_in_stays_behind_every_mask() {
    let db = scene("masks");
    let (role, boss) = (writer(&db, "app"), writer(&db, "boss"));
    let mut client = db.client();
    run(&mut client, &format!("GRANT \"{boss}\" TO \"{role}\""));
    let insert = "INSERT INTO audit (action) VALUES ('a')";
    let mut theirs = db.client_as(&role);
    run(&mut theirs, &format!("SET ROLE \"{boss}\"; {insert}"));
    assert_facts(&mut client, &mut theirs, &boss, &role);
    assert_eq!(last(&mut client, &["actor"]), role, "nobody says who acts: the role that logged in");
    run(&mut theirs, &format!("RESET ROLE; {insert}"));
    assert_facts(&mut client, &mut theirs, &role, &role);

    let mut super_ = db.client();
    run(&mut super_, &format!("SET SESSION AUTHORIZATION \"{role}\"; {insert}"));
    assert_facts(&mut client, &mut super_, &role, "postgres");
    run(&mut super_, &format!("SET ROLE \"{boss}\"; {insert}"));
    assert_facts(&mut client, &mut super_, &boss, "postgres");

    run(
        &mut client,
        "CREATE FUNCTION put() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$INSERT INTO audit (action) VALUES ('by')$$;
         CREATE VIEW door AS SELECT action FROM audit; GRANT INSERT ON door TO PUBLIC",
    );
    run(&mut theirs, "SELECT put()");
    assert_facts(&mut client, &mut theirs, "postgres", &role);
    run(&mut theirs, "INSERT INTO door VALUES ('through a view')");
    assert_facts(&mut client, &mut theirs, &role, &role);
    // A role that was renamed meanwhile goes by its new name.
    run(&mut client, &format!("ALTER ROLE \"{role}\" RENAME TO \"{role} 2\""));
    run(&mut theirs, insert);
    assert_facts(&mut client, &mut theirs, &format!("{role} 2"), &format!("{role} 2"));
}

#[test]
fn the_transaction_is_one_for_all_its_rows_and_its_savepoints() {
    let db = scene("txid");
    let mut client = db.client();
    run(
        &mut client,
        "BEGIN; INSERT INTO audit (action) VALUES ('a'); SAVEPOINT s; INSERT INTO audit (action) VALUES ('b');
         RELEASE s; DO $$BEGIN INSERT INTO audit (action) VALUES ('c'); EXCEPTION WHEN division_by_zero THEN NULL; END$$",
    );
    let here = texts(&mut client, "SELECT pg_current_xact_id()").remove(0);
    run(&mut client, "COMMIT; INSERT INTO audit (action) VALUES ('d')");
    let same = format!("SELECT string_agg(action, '' ORDER BY action) FROM audit WHERE txid = {here}");
    assert_eq!(texts(&mut client, &same), ["abc"]);
}

#[test]
fn application_name_and_address_are_those_of_the_connection() {
    let address = "127.83.21.5";
    let cluster = Cluster::builder().setting("listen_addresses", address).start();
    let db = cluster.fresh_db("address");
    run(&mut db.client(), "SELECT notary.create_log('audit')");
    let mut config = Config::new();
    config.host(address).port(5432).user("postgres").dbname(db.name()).application_name("by TCP; 'quoted'");
    let mut remote = config.connect(NoTls).unwrap();
    run(&mut remote, "INSERT INTO audit (action, client_addr) VALUES ('a', '192.0.2.1')");
    let known = texts(&mut remote, "SELECT host(inet_client_addr())").remove(0);
    let mut client = db.client();
    assert_eq!(last(&mut client, &["host(client_addr)", "application_name"]), format!("{known}|by TCP; 'quoted'"));
    run(&mut remote, "SET application_name = ''; INSERT INTO audit (action) VALUES ('b'), ('c')");
    assert_eq!(last(&mut client, &["host(client_addr)", "application_name"]), format!("{known}|"));
    run(&mut client, "INSERT INTO audit (action) VALUES ('by a socket')");
    assert_eq!(last(&mut client, &["client_addr", "application_name"]), "NULL|notary-tests");
}

/// A trigger function of the owner's that lies.
fn with_liar(db: &Database<'_>) -> Client {
    let mut client = db.client();
    run(
        &mut client,
        "CREATE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN NEW.db_user := 'liar'; NEW.txid := 1; NEW.actor := 'lied'; RETURN NEW; END$$",
    );
    client
}

#[test]
fn a_trigger_of_the_owner_s_comes_too_early_or_not_at_all() {
    let db = scene("triggers");
    let mut client = with_liar(&db);
    for name in ["~notary_about2", "~notary_aboutX", "~notary_aboveall", "~notary_b", "~notary_z", "~z", "ä", "漢"] {
        for made in ["CREATE TRIGGER", "CREATE OR REPLACE TRIGGER"] {
            let sql = format!("{made} \"{name}\" BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION lie()");
            assert_eq!(refused(&mut client, &sql).code, "55000", "{sql}");
        }
    }
    run(&mut client, "CREATE TRIGGER \"~a\" BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION lie()");
    for name in ["~notary_b", "~z", "ä"] {
        let sql = format!("ALTER TRIGGER \"~a\" ON audit RENAME TO \"{name}\"");
        assert_eq!(refused(&mut client, &sql).code, "55000", "{sql}");
    }
    // What comes before may fill in what applications say, and nothing else.
    run(&mut client, "INSERT INTO audit (action) VALUES ('a')");
    assert_eq!(last(&mut client, &["actor", "db_user", "txid > 1"]), "lied|postgres|true");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_late_trigger_made_while_the_log_was_not_protected_is_not_taken_in() {
    let db = scene("late");
    let mut client = with_liar(&db);
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'a test');
         CREATE TRIGGER \"~notary_aboveall\" BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION lie()",
    );
    match client.batch_execute("SELECT notary.protect('audit')") {
        Err(_) => {}
        Ok(()) => {
            let found = notary_tests::verdict::findings(&mut client, "audit");
            assert!(found.iter().any(|f| f.what == "guard_off" && f.detail.contains("~notary_aboveall")), "{found:?}");
        }
    }
}
