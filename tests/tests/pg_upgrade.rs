//! pg_upgrade moves the files and makes the catalogs anew, in a mode of its own: extension members one by one, with new
//! OIDs for most. It does so between two clusters of one version too, which is how PostgreSQL tests it.

use notary_tests::{Cluster, Database, Shutdown, err};

const LOGS: &str = "
    CREATE SCHEMA aaa;
    CREATE TYPE kind AS ENUM ('a', 'b');
    CREATE TABLE aaa.audit (id bigserial PRIMARY KEY, gone int, who text, k kind);
    INSERT INTO aaa.audit (who) VALUES ('here before');
    ALTER TABLE aaa.audit DROP COLUMN gone;
    CREATE TABLE parts (id int NOT NULL, k kind NOT NULL) PARTITION BY LIST (k);
    CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
    CREATE TABLE parts_b PARTITION OF parts DEFAULT;
    SELECT notary.protect('aaa.audit'), notary.protect('parts');
    INSERT INTO aaa.audit (who, k) SELECT repeat('u', i), 'a' FROM generate_series(1, 3000) i;
    INSERT INTO parts VALUES (1, 'a'), (2, 'b')";

fn entries(db: &Database<'_>, log: &str) -> String {
    db.value(&format!(
        "SELECT string_agg(md5(entry::text), ' ' ORDER BY tableoid::regclass::text, notary_chain, notary_seq) FROM {log} AS entry"
    ))
}

/// The ends of the logs that pg_upgrade leaves when it fails.
fn last_words(new: &Cluster) -> String {
    let mut words = String::new();
    let mut folders = vec![new.data_dir().join("pg_upgrade_output.d")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let lines: Vec<_> = text.lines().rev().take(8).collect();
                words += &format!("{}:\n{}\n", path.display(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
    }
    words
}

#[test]
fn upgraded_logs_are_what_they_were_and_go_on() {
    let mut old = Cluster::start();
    let name = old.fresh_db("upgraded").name().to_owned();
    old.database(&name).client().batch_execute(LOGS).unwrap();
    let before = ["aaa.audit", "parts", "notary.journal"].map(|log| entries(&old.database(&name), log));
    old.stop(Shutdown::Fast);

    let mut new = Cluster::builder().create();
    let bin = std::env::var("NOTARY_PGROOT").expect("the harness has started a server");
    let dir = |cluster: &Cluster| cluster.data_dir().display().to_string();
    let upgraded = new
        .foreign_command(&format!("{bin}/pg_upgrade"))
        .args(["-b", &bin, "-B", &bin, "-d", &dir(&old), "-D", &dir(&new), "-U", "postgres"])
        .args(["-s", &new.socket_dir().display().to_string()])
        .output()
        .unwrap();
    let said = [upgraded.stdout, upgraded.stderr].map(|out| String::from_utf8_lossy(&out).into_owned()).concat();
    assert!(upgraded.status.success(), "{said}\n{}", last_words(&new));

    new.start_again();
    let db = new.database(&name);
    assert_eq!(["aaa.audit", "parts", "notary.journal"].map(|log| entries(&db, log)), before);
    let all =
        "SELECT string_agg(log::text || ' ' || intact || ' ' || coalesce(first_finding, ''), E'\\n' ORDER BY log::text)
               FROM notary.verify()";
    let intact = "aaa.audit true \nnotary.journal true \nparts true ";
    assert_eq!(db.value(all), intact);
    assert_eq!(db.value("SELECT string_agg(DISTINCT guard, '; ') FROM notary.logs"), "complete");
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO aaa.audit (who, k) VALUES ('after', 'b'); INSERT INTO parts VALUES (3, 'a');
             CREATE TABLE more (a int); SELECT notary.protect('more')",
        )
        .unwrap();
    assert_eq!(db.value("SELECT notary_seq > 1 FROM aaa.audit WHERE who = 'after'"), "t");
    assert_eq!(err(client.batch_execute("DELETE FROM aaa.audit")).code, "55000");
    client
        .batch_execute("DROP TABLE IF EXISTS nothing; SELECT notary.unprotect('more', 'a test'); DROP TABLE more")
        .unwrap();
    assert_eq!(db.value(all), intact);
}

#[test]
fn no_column_has_a_type_that_pg_upgrade_refuses() {
    let cluster = Cluster::start();
    let db = cluster.fresh_db("types");
    db.client().batch_execute(LOGS).unwrap();
    // check.c and version.c of pg_upgrade: types whose values are OIDs or change their form, in tables, views and indexes
    // with storage.
    let refused = "SELECT coalesce(string_agg(attrelid::regclass || '.' || attname, ' '), 'none')
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relkind IN ('r', 'm', 'i') AND NOT attisdropped AND attrelid >= 16384
        AND atttypid::regtype::text IN ('regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper',
            'regoperator', 'regproc', 'regprocedure', 'unknown', 'sql_identifier', 'aclitem', 'abstime', 'reltime',
            'tinterval', 'line')";
    assert_eq!(db.value(refused), "none");
    // Nor OIDs under any other name: a dump keeps none.
    let oids = "SELECT coalesce(string_agg(attrelid::regclass || '.' || attname, ' '), 'none')
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname = 'notary' AND relkind = 'r' AND attnum > 0
        AND (atttypid::regtype::text LIKE 'reg%' OR atttypid = 'oid'::regtype)";
    assert_eq!(db.value(oids), "none");
}
