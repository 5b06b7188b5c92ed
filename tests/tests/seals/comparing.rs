//! `notary.verify` with seals: what the chain alone cannot show.

use crate::{literal, scene, seal, set_up};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{Said, assert_found, behind_the_guard, notices, short};
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// Changes an entry of chain 1 and computes everything after it anew, so that the chain alone is perfect.
pub fn rewrite(seq: u32) -> String {
    format!(
        "DO $$DECLARE p bytea; h bytea; s bigint; BEGIN
         UPDATE audit SET what = 'forged' WHERE notary_chain = 1 AND notary_seq = {seq};
         FOR s IN SELECT notary_seq FROM audit WHERE notary_chain = 1 AND notary_seq >= {seq} ORDER BY 1 LOOP
             IF p IS NOT NULL THEN UPDATE audit SET notary_prev = p WHERE notary_chain = 1 AND notary_seq = s; END IF;
             h := sha256(convert_to(notary.line('audit', 1, s), 'UTF8'));
             UPDATE audit SET notary_hash = h WHERE notary_chain = 1 AND notary_seq = s;
             p := h;
         END LOOP; END$$"
    )
}

/// What verification says of a log against a note, in short.
#[track_caller]
pub fn against(client: &mut Client, note: &str) -> Vec<String> {
    of_log_against(client, "audit", note)
}

/// The same of another log.
#[track_caller]
pub fn of_log_against(client: &mut Client, log: &str, note: &str) -> Vec<String> {
    let query = format!(
        "SELECT segment::text, chain, seq, problem, detail FROM notary.findings('{log}', note => {})",
        literal(note)
    );
    let rows = client.query(&query, &[]).unwrap_or_else(|e| panic!("{}", notary_tests::SqlError::of(&e)));
    let said = |row: &postgres::Row| Said {
        segment: row.get(0),
        chain: row.get(1),
        seq: row.get(2),
        what: row.get(3),
        detail: row.get(4),
    };
    short(&rows.iter().map(said).collect::<Vec<_>>())
}

fn scope(db: &Database<'_>) -> String {
    db.value("SELECT scope FROM notary.verify('audit')")
}

#[test]
fn the_answer_says_how_far_the_log_is_sealed() {
    let db = scene("how_far", 10);
    let mut client = db.client();
    assert_eq!(db.value("SELECT sealed_size FROM notary.verify('audit')"), "NULL");
    assert!(!scope(&db).contains("sealed"));
    let note = seal(&mut client, "audit");
    assert_eq!(db.value("SELECT sealed_size FROM notary.verify('audit')"), "11");
    assert_eq!(db.value("SELECT last_seal IS NOT NULL FROM notary.logs WHERE log = 'audit'::regclass"), "t");
    let at =
        db.value("SELECT to_char(sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM notary.seals");
    assert!(scope(&db).contains(&format!("; sealed up to size 11 at {at}")), "{}", scope(&db));
    assert!(!scope(&db).contains("not sealed yet"));
    run(&mut client, "INSERT INTO audit VALUES (11)");
    let oldest = db.value(
        "SELECT to_char(notary_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM audit WHERE id = 11",
    );
    assert!(scope(&db).contains(&format!("; 1 entry is not sealed yet, from {oldest}")), "{}", scope(&db));
    run(&mut client, "INSERT INTO audit VALUES (12)");
    assert!(
        scope(&db).contains(&format!("; 2 entries are not sealed yet, the oldest from {oldest}")),
        "{}",
        scope(&db)
    );
    let with_note = db.value(&format!("SELECT scope FROM notary.verify('audit', note => {})", literal(&note)));
    assert!(with_note.contains("; compared with a note of size 11;"), "{with_note}");
    run(&mut client, &format!("SELECT notary.assert_intact('audit', {})", literal(&note)));
}

#[test]
fn a_sealed_tail_that_was_cut_is_found() {
    let db = scene("tail", 1000);
    seal(&mut db.client(), "audit");
    run(&mut db.client(), "INSERT INTO audit VALUES (1001), (1002)");
    behind_the_guard(&db, &["DELETE FROM audit WHERE notary_seq > 700"]);
    let mut client = db.client();
    assert_found(&mut client, "audit", &["tail_cut 1/701"]);
    let detail = texts(&mut client, "SELECT detail FROM notary.findings('audit')").remove(0);
    assert!(detail.starts_with("entries 701 to 1000 are missing from the end of the chain"), "{detail}");
}

#[test]
fn what_was_never_sealed_can_be_cut_unseen() {
    let db = scene("unseen", 100);
    seal(&mut db.client(), "audit");
    run(&mut db.client(), "INSERT INTO audit VALUES (101), (102)");
    behind_the_guard(&db, &["DELETE FROM audit WHERE notary_seq > 100"]);
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a_whole_sealed_chain_that_is_gone_is_found() {
    let db = scene("chain_gone", 500);
    let (mut one, mut two) = (db.client(), db.client());
    run(&mut one, "BEGIN; INSERT INTO audit VALUES (501)");
    run(&mut two, "INSERT INTO audit SELECT generate_series(1, 40)");
    run(&mut one, "COMMIT");
    seal(&mut one, "audit");
    assert_eq!(texts(&mut one, "SELECT DISTINCT notary_chain FROM audit ORDER BY 1"), ["1", "2"]);
    behind_the_guard(&db, &["DELETE FROM audit WHERE notary_chain = 2"]);
    assert_found(&mut db.client(), "audit", &["tail_cut 2/1"]);
}

#[test]
fn a_chain_that_was_computed_anew_is_convicted_by_the_seal() {
    let db = scene("anew", 1500);
    let note = seal(&mut db.client(), "audit");
    run(&mut db.client(), "INSERT INTO audit SELECT i, 'later' FROM generate_series(1, 300) AS i");
    behind_the_guard(&db, &[&rewrite(1000)]);
    let mut client = db.client();
    assert_found(&mut client, "audit", &["rewritten 1/768"]);
    let detail = texts(&mut client, "SELECT detail FROM notary.findings('audit')").remove(0);
    assert!(detail.starts_with("entries 768 to 1500 are not all the ones that were sealed"), "{detail}");
    assert_eq!(against(&mut client, &note), ["rewritten 1/768"]);
    assert_eq!(refused(&mut client, "SELECT notary.assert_intact('audit')").code, "XX001");
    // Without the seals nothing is amiss inside the database; the note that was kept outside convicts.
    behind_the_guard(&db, &["DELETE FROM notary.seal_store; UPDATE notary.tree SET size = 0"]);
    assert_found(&mut client, "audit", &[]);
    assert_eq!(against(&mut client, &note), ["rewritten 1/768"]);
    behind_the_guard(&db, &["DELETE FROM notary.leaf_range; DELETE FROM notary.subtree; DELETE FROM notary.tree"]);
    assert_found(&mut client, "audit", &[]);
    assert_eq!(against(&mut client, &note), ["tail_cut"]);
}

/// All that the database remembers is rewritten along with the rows: the tree is built and signed anew.
#[test]
fn seals_that_were_rolled_back_or_made_anew_are_convicted_by_a_note() {
    let db = scene("rolled_back", 500);
    let first = seal(&mut db.client(), "audit");
    run(&mut db.client(), "INSERT INTO audit SELECT generate_series(1, 500)");
    let second = seal(&mut db.client(), "audit");
    behind_the_guard(
        &db,
        &[
            "DELETE FROM audit WHERE notary_seq > 500; DELETE FROM notary.seal_store WHERE size > 501; UPDATE notary.tree SET size = 501;
             DELETE FROM notary.leaf_range WHERE first_leaf >= 501; DELETE FROM notary.subtree WHERE level = 1 AND first >= 1",
        ],
    );
    let mut client = db.client();
    assert_found(&mut client, "audit", &[]);
    assert_eq!(against(&mut client, &first), Vec::<String>::new());
    assert_eq!(against(&mut client, &second), ["tail_cut"]);
    // He goes on, and signs with the stolen key.
    run(&mut client, "INSERT INTO audit SELECT generate_series(1, 500)");
    let forged = seal(&mut client, "audit");
    assert_found(&mut client, "audit", &[]);
    assert_eq!(against(&mut client, &forged), Vec::<String>::new());
    assert_eq!(against(&mut client, &second).len(), 1, "the note of the same size has another root");
}

#[test]
fn what_is_remembered_of_the_tree_is_not_believed() {
    let db = scene("remembered", 70_000);
    seal(&mut db.client(), "audit");
    let cases = [
        (
            "UPDATE notary.subtree SET hashes = sha256('x') || substr(hashes, 33) WHERE level = 1 AND first = 256",
            "was changed",
        ),
        ("DELETE FROM notary.subtree", "was changed"),
        ("UPDATE notary.leaf_range SET first_seq = 2 WHERE first_leaf = 1", "does not say which line"),
        ("UPDATE notary.leaf_range SET last_seq = 69000 WHERE first_leaf = 1", "only 69001 are known"),
        ("UPDATE notary.leaf_range SET chain = 2 WHERE first_leaf = 1", ""),
        ("DELETE FROM notary.leaf_range", "only 0 are known"),
        ("UPDATE notary.seal_store SET root = sha256('x')", "its note says something else"),
        ("UPDATE notary.seal_store SET size = 5", "notary.seal_store says is damaged"),
        ("UPDATE notary.seal_store SET root = ''", "notary.seal_store says is damaged"),
        ("DELETE FROM notary.seal_store", "notary.seal_store says is damaged"),
        ("UPDATE notary.leaf_range SET first_leaf = -1 WHERE first_leaf = 1", "notary.leaf_range says is damaged"),
        ("UPDATE notary.leaf_range SET first_seq = 100, last_seq = 1 WHERE first_leaf = 1", "is damaged"),
        ("UPDATE notary.leaf_range SET chain = -3 WHERE first_leaf = 1", "is damaged"),
        ("UPDATE notary.leaf_range SET segment = 99 WHERE first_leaf = 1", ""),
        ("UPDATE notary.leaf_range SET segment = -9 WHERE first_leaf = 1", "is damaged"),
        ("UPDATE notary.seal_store SET note = 'nonsense'", "in notary.seals is damaged"),
        ("UPDATE notary.tree SET origin = 'nonsense'", "is damaged"),
        // More leaves than could be looked at in a lifetime.
        (
            "UPDATE notary.leaf_range SET last_seq = 1::int8 << 59 WHERE first_leaf = 1;
             UPDATE notary.tree SET size = (1::int8 << 59) + 1;
             UPDATE notary.seal_store SET size = (1::int8 << 59) + 1,
                 note = concat_ws(E'\n', (SELECT origin FROM notary.tree), (1::int8 << 59) + 1, encode(root, 'base64'), '')",
            "missing from the end of the chain",
        ),
    ];
    for (damage, why) in cases {
        let mut client = db.client();
        run(&mut client, "BEGIN");
        run(&mut client, damage);
        let said = texts(&mut client, "SELECT detail FROM notary.findings('audit')");
        assert!(!said.is_empty() && said[0].contains(why), "{damage}: {said:?}");
        assert_eq!(texts(&mut client, "SELECT intact FROM notary.verify('audit')"), ["f"], "{damage}");
    }
    assert_found(&mut db.client(), "audit", &[]);
    // What reaches beyond the seal says nothing, and the next one mends it.
    run(
        &mut db.client(),
        "UPDATE notary.leaf_range SET last_seq = 71000 WHERE first_leaf = 1; INSERT INTO audit VALUES (1)",
    );
    assert_eq!(crate::size(&seal(&mut db.client(), "audit")), 70_002);
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn one_changed_entry_is_one_finding_in_a_sealed_log_too() {
    let db = scene("one", 2000);
    seal(&mut db.client(), "audit");
    run(&mut db.client(), "INSERT INTO audit VALUES (2001)");
    for (damage, found) in [
        ("UPDATE audit SET what = 'forged' WHERE notary_seq = 77", "value_changed 1/77"),
        ("UPDATE audit SET notary_hash = sha256('x') WHERE notary_seq = 78", "hash_changed 1/78"),
        ("UPDATE audit SET notary_hash = sha256('x') WHERE notary_seq = 2000", "hash_changed 1/2000"),
        ("DELETE FROM audit WHERE notary_seq = 79", "missing 1/79"),
        ("DELETE FROM audit WHERE notary_seq BETWEEN 1900 AND 2000", "missing 1/1900"),
    ] {
        run(&mut db.client(), "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM audit");
        behind_the_guard(&db, &[damage]);
        assert_found(&mut db.client(), "audit", &[found]);
        behind_the_guard(&db, &["DELETE FROM audit; INSERT INTO audit SELECT * FROM kept"]);
    }
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn changes_while_not_protected_are_no_findings_of_the_seal() {
    let db = scene("excused", 1000);
    let mut client = db.client();
    seal(&mut client, "audit");
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'a test'); UPDATE audit SET what = 'corrected' WHERE notary_seq = 5;
         DELETE FROM audit WHERE notary_seq > 990; SELECT notary.protect('audit'); INSERT INTO audit VALUES (1)",
    );
    assert_found(&mut client, "audit", &[]);
    assert!(short(&notices(&mut client, "audit")).len() >= 3);
    // The tree goes on, without the rows that are gone from its end.
    assert_eq!(crate::size(&seal(&mut client, "audit")), 1003);
    run(&mut client, "INSERT INTO audit VALUES (2)");
    assert_eq!(crate::size(&seal(&mut client, "audit")), 1004);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_sealed_partition_that_left_lawfully_is_no_alarm() {
    let db = fresh_db("retention");
    set_up(&db);
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE audit (id int, what text) PARTITION BY RANGE (id);
         CREATE TABLE audit_1 PARTITION OF audit FOR VALUES FROM (0) TO (1000);
         CREATE TABLE audit_2 PARTITION OF audit FOR VALUES FROM (1000) TO (2000);
         SELECT notary.protect('audit'); INSERT INTO audit SELECT generate_series(0, 1999)",
    );
    seal(&mut client, "audit");
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'retention'); DROP TABLE audit_1; SELECT notary.protect('audit');
         INSERT INTO audit VALUES (1500)",
    );
    assert_found(&mut client, "audit", &[]);
    assert!(scope(&db).contains("1000 sealed lines left the log"), "{}", scope(&db));
    // And it can be sealed again.
    let note = seal(&mut client, "audit");
    assert_eq!(crate::size(&note), 2004, "2 headers and 2000 entries before; a header and an entry since");
    assert_found(&mut client, "audit", &[]);
    // A partition that leaves otherwise is missed.
    behind_the_guard(&db, &["DROP TABLE audit_2"]);
    assert!(!texts(&mut client, "SELECT problem FROM notary.findings('audit')").is_empty());
}

/// What left lawfully, or was changed lawfully, excuses nothing else.
#[test]
fn behind_what_was_lawful_nothing_can_hide() {
    let db = fresh_db("hide_left");
    set_up(&db);
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE parts (id int, what text) PARTITION BY LIST (id);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
         CREATE TABLE audit PARTITION OF parts FOR VALUES IN (2); SELECT notary.protect('parts')",
    );
    for _ in 0..8 {
        run(&mut client, "INSERT INTO parts SELECT 1 + i % 2, 'w' FROM generate_series(1, 100) AS i");
        seal(&mut client, "parts");
    }
    let note = seal(&mut client, "parts");
    let parts_against = |problem: &str| {
        let said = format!("SELECT problem FROM notary.findings('parts', note => {})", literal(&note));
        assert_eq!(texts(&mut db.client(), &said), if problem.is_empty() { vec![] } else { vec![problem.to_owned()] });
    };
    run(
        &mut client,
        "SELECT notary.unprotect('parts', 'retention'); DROP TABLE parts_1; SELECT notary.protect('parts')",
    );
    parts_against("");
    behind_the_guard(&db, &[&rewrite(200)]);
    parts_against("rewritten");

    let db = scene("hide_changed", 400);
    let mut client = db.client();
    let note = seal(&mut client, "audit");
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'test'); UPDATE audit SET what = 'lawful' WHERE notary_seq = 5;
         DELETE FROM audit WHERE notary_seq > 390; SELECT notary.protect('audit')",
    );
    seal(&mut client, "audit");
    assert_found(&mut client, "audit", &[]);
    behind_the_guard(&db, &[&rewrite(100)]);
    assert_eq!(against(&mut client, &note), ["rewritten 1/100"]);
    assert_found(&mut client, "audit", &["rewritten 1/100"]);
}

#[test]
fn lawful_cuts_one_after_the_other_are_no_alarm() {
    let db = scene("cuts", 300);
    let (mut client, said) = db.client_with_notices("postgres");
    seal(&mut client, "audit");
    for last in [300, 299, 250, 2] {
        let cut = format!(
            "SELECT notary.unprotect('audit', 'test'); DELETE FROM audit WHERE id >= {last}; SELECT notary.protect('audit')"
        );
        run(&mut client, &cut);
        let warnings: Vec<_> = said.take().into_iter().filter(|line| line.starts_with("WARNING")).collect();
        assert_eq!(warnings, Vec::<String>::new());
        assert_found(&mut client, "audit", &[]);
        run(&mut client, "INSERT INTO audit VALUES (1)");
        seal(&mut client, "audit");
        assert_found(&mut client, "audit", &[]);
    }
}

/// Whatever an owner may do while the log is not protected, it can be sealed again afterwards.
#[test]
fn after_lawful_changes_a_log_can_be_sealed_again() {
    for (number, change) in [
        "UPDATE audit SET what = 'x' WHERE notary_seq = 310",
        "DELETE FROM audit WHERE notary_seq = 310",
        "DELETE FROM audit WHERE notary_seq > 250",
        "DELETE FROM audit WHERE notary_seq < 10",
        "TRUNCATE audit",
        "UPDATE audit SET notary_hash = sha256('x') WHERE notary_seq IN (3, 299, 300)",
    ]
    .into_iter()
    .enumerate()
    {
        let db = scene(&format!("again_{number}"), 300);
        let mut client = db.client();
        seal(&mut client, "audit");
        run(&mut client, "INSERT INTO audit SELECT i FROM generate_series(1, 20) AS i");
        run(
            &mut client,
            &format!("SELECT notary.unprotect('audit', 'test'); {change}; SELECT notary.protect('audit')"),
        );
        assert_found(&mut client, "audit", &[]);
        run(&mut client, "INSERT INTO audit VALUES (1), (2)");
        seal(&mut client, "audit");
        run(&mut client, "INSERT INTO audit VALUES (3)");
        seal(&mut client, "audit");
        assert_found(&mut client, "audit", &[]);
    }
}

#[test]
fn a_chain_that_claims_an_old_time_is_noticed() {
    let db = scene("backdated", 10);
    let mut client = db.client();
    seal(&mut client, "audit");
    // What a superuser would write who wants an entry to have been there long ago: a chain of its own, well linked.
    behind_the_guard(
        &db,
        &["DO $$DECLARE h bytea; BEGIN
            h := sha256(convert_to((SELECT notary.header('audit')), 'UTF8'));
            INSERT INTO audit (id, notary_chain, notary_seq, notary_time, notary_prev) VALUES (99, 7, 1, '2020-01-01 UTC', h);
            UPDATE audit SET notary_hash = sha256(convert_to(notary.line(tableoid, 7, 1), 'UTF8')) WHERE id = 99; END$$"],
    );
    assert_found(&mut client, "audit", &[]);
    let before = notices(&mut client, "audit");
    assert_eq!(short(&before), ["unsealed 7/null"], "{before:#?}");
    assert!(before[0].detail.contains("the oldest from 2020-01-01T00:00:00.000000Z"), "{before:#?}");
    seal(&mut client, "audit");
    let after = notices(&mut client, "audit");
    assert_eq!(short(&after), ["backdated 7/1"], "{after:#?}");
    assert!(after[0].detail.contains("the seal of size 11"), "{after:#?}");
}

#[test]
fn entries_that_are_kept_out_of_seals_are_noticed() {
    let db = scene("kept_out", 10);
    let mut writer = db.client();
    run(&mut writer, "BEGIN; INSERT INTO audit VALUES (11), (12)");
    seal(&mut db.client(), "audit");
    assert_eq!(short(&notices(&mut db.client(), "audit")), Vec::<String>::new());
    run(&mut writer, "COMMIT");
    let said = notices(&mut db.client(), "audit");
    assert_eq!(short(&said), ["unsealed 1/null"], "{said:#?}");
    assert!(said[0].detail.starts_with("2 entries are in no seal"), "{said:#?}");
    seal(&mut db.client(), "audit");
    assert_eq!(short(&notices(&mut db.client(), "audit")), Vec::<String>::new());
}

#[test]
fn a_note_of_something_else_is_refused() {
    let db = scene("other_note", 3);
    let mut client = db.client();
    run(&mut client, "CREATE TABLE other (id int); SELECT notary.protect('other'); CREATE TABLE never (LIKE other)");
    run(&mut client, "SELECT notary.protect('never')");
    // Also where the log itself was never sealed, which would else be an accusation.
    let never = format!("SELECT * FROM notary.verify('never', note => {})", literal(&seal(&mut client, "other")));
    assert_eq!(refused(&mut client, &never).code, "22023");
    let (note, other) = (seal(&mut client, "audit"), seal(&mut client, "other"));
    for bad in ["", "nonsense", note.trim_end(), &format!("{note}\n"), &note.replace('\n', "\r\n"), &other] {
        for call in [
            "notary.verify('audit', note => {})",
            "notary.findings('audit', NULL, {})",
            "notary.assert_intact('audit', {})",
        ] {
            let error = refused(&mut client, &format!("SELECT * FROM {}", call.replace("{}", &literal(bad))));
            assert_eq!(error.code, "22023", "{bad:?}: {error}");
        }
    }
    for call in ["notary.verify(note => {})", "notary.assert_intact(note => {})"] {
        let error = refused(&mut client, &format!("SELECT * FROM {}", call.replace("{}", &literal(&note))));
        assert_eq!(error.code, "22023", "{error}");
    }
}

/// Seals are of a whole log: what verification says of one partition does not speak of them.
#[test]
fn a_partition_of_a_sealed_log_can_be_checked_alone() {
    let db = fresh_db("partition");
    set_up(&db);
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
         CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN (2); SELECT notary.protect('parts');
         INSERT INTO parts SELECT 1 + g % 2 FROM generate_series(1, 20) AS g",
    );
    let note = seal(&mut client, "parts");
    assert_found(&mut client, "part_1", &[]);
    let error = refused(&mut client, &format!("SELECT notary.verify('part_1', note => {})", literal(&note)));
    assert!(error.code == "42809" && error.hint.contains("public.parts"), "{error}");
    let error = refused(&mut client, "SELECT notary.proof('parts', 1, 1)");
    assert!(error.code == "42809" && error.hint.contains("tableoid"), "{error}");
}
