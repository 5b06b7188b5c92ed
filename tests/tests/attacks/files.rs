//! 29 to 32: bytes of files changed while the server is down.

use crate::five_on;
use notary_tests::verdict::{assert_found, findings, short};
use notary_tests::{Cluster, Shutdown};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: usize = 8192;

/// A page's line pointer: offset, flags, length.
fn pointer(page: &[u8], number: usize) -> (usize, u32, usize) {
    let at = 24 + (number - 1) * 4;
    let word = u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
    ((word & 0x7fff) as usize, word >> 15 & 3, (word >> 17) as usize)
}

fn set_pointer(page: &mut [u8], number: usize, (offset, flags, len): (usize, u32, usize)) {
    let at = 24 + (number - 1) * 4;
    let word = u32::try_from(offset | len << 17).unwrap() | flags << 15;
    page[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Changes the first page of the log's table, whose entries 1 to 5 are at line pointers 1 to 5, while the server is down.
#[track_caller]
fn edited(change: impl FnOnce(&mut Vec<u8>), expected: &[&str]) {
    edited_at("audit", change, expected, "");
}

#[track_caller]
fn edited_at(relation: &str, change: impl FnOnce(&mut Vec<u8>), expected: &[&str], after: &str) {
    let mut cluster = Cluster::builder().without_checksums().start();
    let name = five_on(&cluster, "files").name().to_owned();
    let mut client = cluster.client(&name);
    assert_found(&mut client, "audit", &[]);
    let relation = client.query_one(&format!("SELECT ({relation})::text"), &[]);
    let relation = relation.map_or_else(|_| "audit".to_owned(), |row| row.get(0));
    drop(client);
    let path = cluster.relation_path(&name, &relation);
    cluster.stop(Shutdown::Fast);
    edit(&path, change);
    cluster.start_again();
    let mut client = cluster.client(&name);
    if !after.is_empty() {
        client.batch_execute(after).unwrap();
    }
    assert_found(&mut client, "audit", expected);
}

/// Changes the header of the entry at line pointer `number`.
fn header(number: usize, change: impl FnOnce(&mut [u8])) -> impl FnOnce(&mut Vec<u8>) {
    move |page| {
        let (offset, _, len) = pointer(page, number);
        change(&mut page[offset..offset + len]);
    }
}

const XMIN: std::ops::Range<usize> = 0..4;
const XMAX: std::ops::Range<usize> = 4..8;
const INFOMASK2: std::ops::Range<usize> = 18..20;
const INFOMASK: std::ops::Range<usize> = 20..22;
const HOFF: usize = 22;
const XMIN_COMMITTED: u16 = 0x0100;
const XMIN_INVALID: u16 = 0x0200;
const XMAX_COMMITTED: u16 = 0x0400;
const XMAX_INVALID: u16 = 0x0800;

fn set_hints(tuple: &mut [u8], clear: u16, set: u16) {
    let mask = u16::from_le_bytes(tuple[INFOMASK].try_into().unwrap());
    tuple[INFOMASK].copy_from_slice(&(mask & !clear | set).to_le_bytes());
}

#[test]
fn a29_a_value_s_bytes() {
    let change = |page: &mut Vec<u8>| {
        let at = page.windows(7).position(|w| w == b"entry 3").unwrap();
        page[at + 6] = b'9';
    };
    edited(change, &["value_changed 1/3"]);
}

#[test]
fn a29_bytes_that_are_no_utf8() {
    let change = |page: &mut Vec<u8>| {
        let at = page.windows(7).position(|w| w == b"entry 3").unwrap();
        page[at + 6] = 0xff;
    };
    edited(change, &["unreadable 1/3"]);
}

#[test]
fn a29_a_line_pointer_taken_away() {
    edited(|page| set_pointer(page, 3, (0, 0, 0)), &["missing 1/3"]);
}

#[test]
fn a29_a_line_pointer_that_leads_nowhere() {
    // Where the entry's place cannot be read either, it is missing besides.
    edited(|page| set_pointer(page, 3, (0x7ff8, 1, 200)), &["missing 1/3", "unreadable"]);
    edited(|page| set_pointer(page, 3, (8, 1, 0x7fff)), &["missing 1/3", "unreadable"]);
    edited(|page| set_pointer(page, 3, (8184, 1, 8)), &["missing 1/3", "unreadable"]);
}

#[test]
fn a29_a_line_pointer_to_another_row() {
    edited(
        |page| {
            let other = pointer(page, 2);
            set_pointer(page, 3, other);
        },
        &["index_mismatch 1/2", "inserted 1/2", "missing 1/3"],
    );
}

#[test]
fn a29_a_row_s_header() {
    edited(header(3, |tuple| tuple[HOFF] = 255), &["missing 1/3", "unreadable"]);
    edited(header(3, |tuple| tuple[HOFF] = 0), &["missing 1/3", "unreadable"]);
    edited(header(3, |tuple| tuple[INFOMASK2].copy_from_slice(&[0xff, 0x07])), &["missing 1/3", "unreadable"]);
}

#[test]
fn a29_a_transaction_that_never_was() {
    let change = header(3, |tuple| {
        tuple[XMIN].copy_from_slice(&[0xff, 0xff, 0xff, 0x3f]);
        set_hints(tuple, XMIN_COMMITTED | XMIN_INVALID, 0);
    });
    edited(change, &["missing 1/3"]);
}

#[test]
fn a29_a_row_marked_deleted() {
    let change = header(3, |tuple| {
        tuple[XMAX].copy_from_slice(&3_u32.to_le_bytes());
        set_hints(tuple, XMAX_INVALID, XMAX_COMMITTED);
    });
    edited(change, &["missing 1/3"]);
}

#[test]
fn a29_an_update_chain_that_runs_in_a_circle() {
    // Entry 3 says that it was updated to itself; a reader that follows chains must not do so for ever.
    let change = header(3, |tuple| {
        let xmin: [u8; 4] = tuple[XMIN].try_into().unwrap();
        tuple[XMAX].copy_from_slice(&xmin);
        set_hints(tuple, XMAX_INVALID, 0);
        let mask = u16::from_le_bytes(tuple[INFOMASK2].try_into().unwrap());
        tuple[INFOMASK2].copy_from_slice(&(mask | 0xc000).to_le_bytes());
    });
    edited(change, &["missing 1/3"]);
}

#[test]
fn a29_a_page_s_header() {
    edited(|page| page[12..14].copy_from_slice(&[0xff, 0xff]), &["unreadable"]);
    // More line pointers than there are: tuples' bytes are taken for them.
    let mut cluster = Cluster::builder().without_checksums().start();
    let name = five_on(&cluster, "lower").name().to_owned();
    let path = cluster.relation_path(&name, "audit");
    cluster.stop(Shutdown::Fast);
    edit(&path, |page| {
        let upper: [u8; 2] = page[14..16].try_into().unwrap();
        page[12..14].copy_from_slice(&upper);
        header(3, |tuple| tuple[INFOMASK2.start + 1] |= 0x80)(page);
    });
    cluster.start_again();
    // What stands there is zero, no row; and entry 3 is a member of a chain without a root, which no index leads to.
    assert_found(&mut cluster.client(&name), "audit", &["index_mismatch 1/3"]);
}

#[test]
fn a29_a_row_that_no_index_leads_to() {
    let hide = header(3, |tuple| tuple[INFOMASK2.start + 1] |= 0x80);
    edited(hide, &["index_mismatch 1/3"]);
}

/// Entry 3 was updated on its page while the log was not protected, and put back as it was: it is at line pointer 6 now,
/// found by way of line pointer 3.
#[track_caller]
fn updated(change: impl FnOnce(&mut Vec<u8>), expected: &[&str]) {
    let mut cluster = Cluster::builder().without_checksums().setting("autovacuum", "off").start();
    let db = five_on(&cluster, "updated");
    let (name, path) = (db.name().to_owned(), cluster.relation_path(db.name(), "audit"));
    let update = "SELECT notary.unprotect('audit', 'a test'); UPDATE audit SET what = what WHERE id = 3;
        SELECT notary.protect('audit')";
    // Not in one transaction, whose other rows would be of the same one.
    update.split(';').for_each(|sql| db.client().batch_execute(sql).unwrap());
    assert_found(&mut db.client(), "audit", &[]);
    drop(db);
    cluster.stop(Shutdown::Fast);
    edit(&path, change);
    cluster.start_again();
    assert_found(&mut cluster.client(&name), "audit", expected);
}

#[test]
fn a29_an_update_chain_that_is_broken() {
    updated(|_| (), &[]);
    // Made by a transaction that did not update the one before it.
    let other = |page: &mut Vec<u8>| {
        let xmin: [u8; 4] = page[pointer(page, 1).0..][XMIN].try_into().unwrap();
        header(6, |tuple| tuple[XMIN].copy_from_slice(&xmin))(page);
    };
    updated(other, &["index_mismatch 1/3"]);
}

#[test]
fn a30_hint_bits_that_make_a_row_disappear() {
    edited(header(3, |tuple| set_hints(tuple, XMIN_COMMITTED, XMIN_INVALID)), &["missing 1/3"]);
}

#[test]
fn a30_n_hint_bits_that_make_the_tail_disappear() {
    edited(header(5, |tuple| set_hints(tuple, XMIN_COMMITTED, XMIN_INVALID)), &[]);
}

#[test]
fn a30_hint_bits_that_are_only_gone_are_no_alarm() {
    edited(header(3, |tuple| set_hints(tuple, XMIN_COMMITTED, 0)), &[]);
}

const INDEX: &str = "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'audit'::regclass";

/// The leaf of a small index is its second page; its entries are in order, seq at byte 16 of each.
fn entry_of(bytes: &[u8], number: usize) -> usize {
    PAGE + pointer(&bytes[PAGE..], number).0
}

#[test]
fn a32_an_index_entry_with_another_seq() {
    let change = |bytes: &mut Vec<u8>| {
        let at = entry_of(bytes, 5);
        assert_eq!(bytes[at + 16], 5);
        bytes[at + 16] = 50;
    };
    edited_at(INDEX, change, &["index_mismatch 1/5"], "");
}

/// Flags 3: dead.
fn kill_entry(bytes: &mut [u8]) {
    let (offset, _, len) = pointer(&bytes[PAGE..], 5);
    set_pointer(&mut bytes[PAGE..], 5, (offset, 3, len));
}

#[test]
fn a32_an_index_entry_marked_dead() {
    edited_at(INDEX, |bytes| kill_entry(bytes), &["index_mismatch 1/5"], "");
}

#[test]
fn a32_a_head_that_looks_older_forks_the_chain() {
    let insert = "INSERT INTO audit (id, what) VALUES (6, 'entry 6')";
    let mut cluster = Cluster::builder().without_checksums().start();
    let name = five_on(&cluster, "fork").name().to_owned();
    let index = cluster.client(&name).query_one(&format!("SELECT ({INDEX})::text"), &[]).unwrap().get::<_, String>(0);
    let path = cluster.relation_path(&name, &index);
    cluster.stop(Shutdown::Fast);
    edit(&path, |bytes| kill_entry(bytes));
    cluster.start_again();
    let mut client = cluster.client(&name);
    client.batch_execute(insert).unwrap();
    let found = findings(&mut client, "audit");
    assert!(short(&found).contains(&"fork 1/5".to_owned()), "{found:#?}");
}

#[test]
fn a32_an_index_whose_root_is_nowhere() {
    // Without a look at it, a scan would go from the first page to the first page for ever.
    let found = ["index_mismatch"];
    edited_at(INDEX, |bytes| bytes[40..44].fill(0), &found, "");
    edited_at(INDEX, |bytes| bytes[32..36].fill(0), &found, "");
    edited_at(INDEX, |bytes| bytes[32..48].fill(0xff), &found, "");
}

/// Changes the file of the unique index over 2,000 entries while the server is down; what was found before `change`, and
/// after it what verify says.
#[track_caller]
fn many(change: impl FnOnce(&mut Vec<u8>) -> i64, expected: impl FnOnce(i64) -> Vec<String>) {
    let mut cluster = Cluster::builder().without_checksums().start();
    let name = cluster.fresh_db("many").name().to_owned();
    let mut client = cluster.client(&name);
    client
        .batch_execute(
            "CREATE TABLE audit (id int); SELECT notary.protect('audit');
             INSERT INTO audit SELECT generate_series(1, 2000)",
        )
        .unwrap();
    assert_found(&mut client, "audit", &[]);
    drop(client);
    let path = cluster.relation_path(&name, "audit_notary_chain_notary_seq_key");
    cluster.stop(Shutdown::Fast);
    let mut lost = 0;
    edit(&path, |bytes| lost = change(bytes));
    cluster.start_again();
    let mut client = cluster.client(&name);
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").unwrap();
    let search = "SELECT count(*) FROM audit WHERE notary_chain = 1 AND notary_seq = $1";
    assert_eq!(client.query_one(search, &[&lost]).unwrap().get::<_, i64>(0), 0, "a search does not find it");
    let expected = expected(lost);
    assert_found(&mut client, "audit", &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// The place of the tuple at a line pointer of the index's page.
fn index_tuple(bytes: &[u8], page: usize, number: usize) -> usize {
    page * PAGE + pointer(&bytes[page * PAGE..], number).0
}

fn seq(bytes: &[u8], tuple: usize) -> i64 {
    i64::from_le_bytes(bytes[tuple + 16..tuple + 24].try_into().unwrap())
}

#[test]
fn a32_an_index_whose_root_leads_elsewhere() {
    let root = |bytes: &[u8]| usize::try_from(u32::from_le_bytes(bytes[32..36].try_into().unwrap())).unwrap();
    let lower = |bytes: &mut Vec<u8>| {
        // The first key that separates two leaves.
        let tuple = index_tuple(bytes, root(bytes), 2);
        let limit = seq(bytes, tuple);
        bytes[tuple + 16..tuple + 24].copy_from_slice(&50_i64.to_le_bytes());
        limit - 1
    };
    many(lower, |last| vec![format!("index_mismatch 1/{last}")]);
    let out_of_order = |bytes: &mut Vec<u8>| {
        let tuple = index_tuple(bytes, root(bytes), 4);
        let limit = seq(bytes, tuple);
        bytes[tuple + 16..tuple + 24].copy_from_slice(&50_i64.to_le_bytes());
        limit - 1
    };
    many(out_of_order, |_| vec!["index_mismatch".to_owned()]);
}

#[test]
fn a32_an_index_whose_entries_are_out_of_order() {
    let exchange = |bytes: &mut Vec<u8>| {
        // On a leaf that is not the last the first line pointer is the page's limit.
        let (one, other) = (pointer(&bytes[PAGE..], 20), pointer(&bytes[PAGE..], 180));
        let lost = seq(bytes, index_tuple(bytes, 1, 20));
        set_pointer(&mut bytes[PAGE..], 20, other);
        set_pointer(&mut bytes[PAGE..], 180, one);
        lost
    };
    many(exchange, |_| vec!["index_mismatch".to_owned()]);
}

#[test]
fn a31_a_toast_table_s_index_whose_root_is_nowhere() {
    let toast = "SELECT i.indexrelid::regclass FROM pg_index AS i JOIN pg_class AS c ON c.reltoastrelid = i.indrelid
        WHERE c.relname = 'audit'";
    edited_at(toast, |bytes| bytes[40..44].copy_from_slice(&[0xff; 4]), &["unreadable"], "");
}

#[test]
fn a31_a_toast_chunk_s_bytes() {
    let mut cluster = Cluster::builder().without_checksums().start();
    let db = cluster.fresh_db("toast");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int, what text); ALTER TABLE audit ALTER what SET STORAGE EXTERNAL;
             SELECT notary.protect('audit');
             INSERT INTO audit (id, what) SELECT i, repeat('entry ' || i || ' ', 1000) FROM generate_series(1, 3) AS i",
        )
        .unwrap();
    let toast: String = client
        .query_one("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'audit'", &[])
        .unwrap()
        .get(0);
    let (name, path) = (db.name().to_owned(), cluster.relation_path(db.name(), &toast));
    drop((client, db));
    cluster.stop(Shutdown::Fast);
    edit(&path, |bytes| {
        let at = bytes.windows(7).rposition(|w| w == b"entry 2").unwrap();
        bytes[at + 6] = b'9';
    });
    cluster.start_again();
    assert_found(&mut cluster.client(&name), "audit", &["value_changed 1/2"]);
}

/// What is damaged, one log at a time, all on one server.
struct Victim {
    table: String,
    entries: i64,
    path: PathBuf,
}

const VICTIMS: usize = 150;

fn victims(cluster: &Cluster, name: &str, relation: &str) -> Vec<Victim> {
    let mut client = cluster.client(name);
    let wide = "CREATE TABLE @ (id int, what text, j jsonb, n numeric, a text[], r numrange, b varbit, i inet, f bool, m name);
        ALTER TABLE @ ALTER what SET STORAGE EXTERNAL;
        SELECT notary.protect('@');
        INSERT INTO @ (id, what, j, n, a, r, b, i, f, m) SELECT i, CASE WHEN i % 5 = 0 THEN repeat('long ', 600) ELSE 'short' END,
            jsonb_build_object('k', i, 'a', jsonb_build_array(i, 'x')), i / 7.0, ARRAY['a', NULL, 'b' || i],
            numrange(i, i + 1.5), B'1011010', '10.0.0.1', i % 2 = 0, 'name' FROM generate_series(1, 30) AS i";
    let one = |number: usize| {
        let table = format!("log_{number}");
        client.batch_execute(&wide.replace('@', &table)).unwrap();
        let sql = format!("SELECT pg_relation_filepath({})", relation.replace('@', &table));
        let path = cluster.data_dir().join(client.query_one(&sql, &[]).unwrap().get::<_, String>(0));
        Victim { table, entries: 30, path }
    };
    (0..VICTIMS).map(one).collect()
}

/// Random bytes at random places, more of them where pages and rows have their headers.
fn damage(random: &mut StdRng, path: &Path) {
    edit(path, |bytes| {
        let pages = bytes.len() / PAGE;
        let page = random.random_range(0..pages) * PAGE;
        let (lower, upper) = {
            let word = |at: usize| usize::from(u16::from_le_bytes([bytes[page + at], bytes[page + at + 1]]));
            (word(12).clamp(24, PAGE - 1), word(14).clamp(24, PAGE - 1))
        };
        let at = match random.random_range(0..10) {
            0 => random.random_range(8..24),
            1..=3 if lower > 24 => random.random_range(24..lower),
            _ => random.random_range(upper..PAGE),
        };
        let len = [1, 1, 1, 2, 4, 16, 200][random.random_range(0..7)].min(PAGE - at);
        let target = &mut bytes[page + at..page + at + len];
        match random.random_range(0..4) {
            0 => target[0] ^= 1 << random.random_range(0..8),
            1 => target.fill(0xff),
            2 => target.fill(0),
            _ => random.fill(target),
        }
    });
}

/// The server survives the check of whatever is on its disk; and the check says so, or has read every entry as it was.
/// `SELECT` would tell what else there is to see, but reads the disk with less care.
#[track_caller]
fn survives(relation: &str) {
    let seed = std::env::var("NOTARY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("NOTARY_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::builder()
        .without_checksums()
        .setting("autovacuum", "off")
        .setting("restart_after_crash", "off")
        .start();
    let name = cluster.fresh_db("random").name().to_owned();
    let victims = victims(&cluster, &name, relation);
    cluster.stop(Shutdown::Fast);
    victims.iter().for_each(|victim| damage(&mut random, &victim.path));
    cluster.start_again();
    let mut client = cluster.client(&name);
    client.batch_execute("SET statement_timeout = '120s'").unwrap();
    let mut found = 0;
    for Victim { table, entries, .. } in &victims {
        let query = format!("SELECT intact, entries FROM notary.verify('{table}')");
        let row = client.query_one(&query, &[]).unwrap_or_else(|e| panic!("seed {seed}, {table}: {e:?}"));
        let (intact, seen): (bool, i64) = (row.get(0), row.get(1));
        found += usize::from(!intact);
        // Entries cut from a chain's end cannot be missed; anything else can.
        assert!(!intact || seen <= *entries, "seed {seed}, {table}: {seen} entries");
    }
    assert!(found > VICTIMS / 4, "seed {seed}: only {found} of {VICTIMS} were found");
}

#[test]
fn a29_random_bytes_of_the_table() {
    survives("'@'");
}

#[test]
fn a31_random_bytes_of_the_toast_table() {
    survives("(SELECT reltoastrelid FROM pg_class WHERE oid = '@'::regclass)");
}

#[test]
fn a32_random_bytes_of_the_index() {
    survives("(SELECT indexrelid FROM pg_index WHERE indrelid = '@'::regclass)");
}

#[test]
fn a31_random_bytes_of_the_toast_table_s_index() {
    survives(
        "(SELECT i.indexrelid FROM pg_index AS i JOIN pg_class AS c ON i.indrelid = c.reltoastrelid WHERE c.oid = '@'::regclass)",
    );
}

#[test]
fn a34_n_an_older_copy_of_the_server_written_to() {
    let mut cluster = Cluster::start();
    let name = five_on(&cluster, "older").name().to_owned();
    let (data, older) = (cluster.data_dir(), cluster.scratch_dir().join("older"));
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    cluster.stop(Shutdown::Fast);
    copy(&data, &older);
    cluster.start_again();
    cluster.client(&name).batch_execute("INSERT INTO audit (id) VALUES (6), (7)").unwrap();
    cluster.stop(Shutdown::Fast);
    fs::remove_dir_all(&data).unwrap();
    copy(&older, &data);
    cluster.start_again();
    let mut client = cluster.client(&name);
    client.batch_execute("INSERT INTO audit (id) VALUES (66)").unwrap();
    assert_found(&mut client, "audit", &[]);
}
