//! The harness itself, on servers without pg_notary: what the other tests take for granted.

use notary_tests::{Cluster, Shutdown, err, psql_lines, shared};
use std::path::Path;
use std::process::Command;

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_directory() {
    let cluster = Cluster::start();
    let (dir, pid) = (cluster.socket_dir().to_owned(), cluster.postmaster_pid());
    assert!(dir.exists() && Path::new(&format!("/proc/{pid}")).exists());
    drop(cluster);
    assert!(!dir.exists() && !Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_panic_takes_the_cluster_along() {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let cluster = Cluster::start();
        send.send((cluster.socket_dir().to_owned(), cluster.postmaster_pid())).unwrap();
        panic!("as a failing test would");
    });
    assert!(thread.join().is_err());
    let (dir, pid) = receive.recv().unwrap();
    assert!(!dir.exists() && !Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn committed_rows_survive_every_way_down() {
    let mut cluster = Cluster::builder().fsync().start();
    let db = cluster.bare_db("crash").name().to_owned();
    cluster.client(&db).batch_execute("CREATE TABLE t (how text)").unwrap();
    for how in [Shutdown::Fast, Shutdown::Immediate, Shutdown::Kill] {
        let mut client = cluster.client(&db);
        client.execute("INSERT INTO t VALUES ($1)", &[&format!("{how:?}")]).unwrap();
        cluster.restart(how);
    }
    let all = cluster.psql(&db, "SELECT how FROM t").ok();
    assert_eq!(psql_lines(&all), ["Fast", "Immediate", "Kill"]);
    assert!(cluster.log_contents().contains("redo done"));
}

#[test]
fn settings_reach_the_server() {
    let cluster = Cluster::builder().setting("log_line_prefix", "it's ").start();
    let shown = cluster.psql("postgres", "SHOW log_line_prefix; SHOW fsync").ok();
    assert_eq!(psql_lines(&shown), ["it's ", "off"]);
}

#[test]
fn single_user_mode_reaches_the_same_database() {
    let mut cluster = Cluster::start();
    cluster.stop(Shutdown::Fast);
    cluster.single_user("postgres", "CREATE TABLE alone (a int)\nINSERT INTO alone VALUES (7)\n");
    cluster.start_again();
    let seen = cluster.psql("postgres", "SELECT a FROM alone").ok();
    assert_eq!(psql_lines(&seen), ["7"]);
}

#[test]
fn a_standby_follows_and_a_backup_starts() {
    let primary = Cluster::start();
    let standby = primary.standby();
    primary.client("postgres").batch_execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a").unwrap();
    primary.wait_for(&standby);
    let count = "SELECT count(*), pg_is_in_recovery() FROM t";
    assert_eq!(standby.psql("postgres", count).ok().stdout, "1000|t\n");
    let mut backup = primary.backup();
    backup.start_again();
    assert_eq!(backup.psql("postgres", count).ok().stdout, "1000|f\n");
}

#[test]
fn a_dump_goes_into_another_database() {
    let (from, to) = (shared().bare_db("dump"), shared().bare_db("restore"));
    from.psql("CREATE TABLE t AS SELECT 'ü' AS a").ok();
    let dump = shared().pg_dump(from.name(), &["-Fc"]).ok();
    shared().pg_restore(to.name(), &["--exit-on-error"], &dump.stdout_bytes).ok();
    assert_eq!(to.value("SELECT a FROM t"), "ü");
}

#[test]
fn errors_and_notices_show_their_fields() {
    let db = shared().bare_db("fields");
    let role = db.role("nobody");
    let (mut client, notices) = db.client_with_notices(&role);
    let refused = err(client.batch_execute(
        "DO $$BEGIN RAISE NOTICE 'n' USING HINT = 'h';
         RAISE 'no' USING ERRCODE = '55000', DETAIL = 'd', HINT = 'i'; END$$",
    ));
    assert_eq!(refused.to_string(), "55000: no\nDETAIL: d\nHINT: i");
    assert_eq!(notices.take(), ["NOTICE: n\nHINT: h"]);
    let psql = db.psql("SELECT 1/0");
    assert_eq!(psql.status, 3);
    assert!(psql.stderr.contains("ERROR:  22012: division by zero"), "{}", psql.stderr);
}

#[test]
fn clients_in_other_languages_reach_the_server() {
    let db = shared().bare_db("clients");
    let python = "import psycopg, sqlalchemy, django
with psycopg.connect() as c: print(c.execute('SELECT current_database()').fetchone()[0])
with sqlalchemy.create_engine('postgresql+psycopg://').connect() as c:
    print(c.exec_driver_sql('SELECT current_database()').scalar_one())";
    let node = "const { Client } = require('pg');
(async () => { const c = new Client(); await c.connect();
console.log((await c.query('SELECT current_database()')).rows[0].current_database);
await c.end() })()";
    let run = |command: &mut Command| {
        let output = command.env("PGDATABASE", db.name()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let name = db.name();
    assert_eq!(run(shared().python().args(["-c", python])), format!("{name}\n{name}\n"));
    assert_eq!(run(shared().node().args(["-e", node])), format!("{name}\n"));
}
