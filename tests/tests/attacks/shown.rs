//! 30: rows that queries show though their transaction never committed, because a page or the visibility map says that
//! all are visible.

use notary_tests::verdict::{assert_found, findings, short};
use notary_tests::{Cluster, Shutdown};
use std::fs;
use std::path::{Path, PathBuf};

/// A log whose first page has a row that was rolled back; the file of its table.
fn rolled_back(cluster: &Cluster, name: &str) -> PathBuf {
    let mut client = cluster.client(name);
    for sql in [
        "CREATE TABLE audit (id int, what text) WITH (autovacuum_enabled = off); CREATE INDEX audit_what ON audit (what);
         SELECT notary.protect('audit'); INSERT INTO audit SELECT i, 'entry' FROM generate_series(1, 5) AS i",
        // So that there is a map.
        "VACUUM audit",
        "BEGIN; INSERT INTO audit VALUES (66, 'forged'); ROLLBACK; INSERT INTO audit VALUES (6, 'real')",
    ] {
        client.batch_execute(sql).unwrap();
    }
    assert_found(&mut client, "audit", &[]);
    cluster.relation_path(name, "audit")
}

fn set_bits(path: &Path, at: usize, bits: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] |= bits;
    fs::write(path, bytes).unwrap();
}

/// Edits the table's file while the server is down; then `query` counts the forged row, and the check finds it.
#[track_caller]
fn shown(edit: impl FnOnce(&Path), query: &str) {
    let mut cluster = Cluster::builder().without_checksums().start();
    let name = cluster.fresh_db("shown").name().to_owned();
    let path = rolled_back(&cluster, &name);
    cluster.stop(Shutdown::Fast);
    edit(&path);
    cluster.start_again();
    let mut client = cluster.client(&name);
    // So that the index is asked where it has all that the query wants.
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").unwrap();
    assert_eq!(client.query_one(query, &[]).unwrap().get::<_, i64>(0), 1, "PostgreSQL shows it");
    // Its index entry may be gone, which is said besides.
    let found = short(&findings(&mut client, "audit"));
    assert!(found.contains(&"fork 1/6".to_owned()), "{found:?}");
}

#[test]
fn a30_a_page_that_calls_all_its_rows_visible() {
    // Any scan of the table will do; what matters is that it does not ask the map.
    let flag = |path: &Path| set_bits(path, 10, 4);
    shown(flag, "SELECT count(*) FROM audit WHERE id = 66");
}

#[test]
fn a30_a_visibility_map_that_calls_a_page_all_visible() {
    let map = |path: &Path| {
        set_bits(&path.with_file_name(format!("{}_vm", path.file_name().unwrap().to_str().unwrap())), 24, 1)
    };
    shown(map, "SELECT count(*) FROM audit WHERE what = 'forged'");
}
