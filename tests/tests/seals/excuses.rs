//! What the journal and the extension's tables can be made to say, it must not excuse entries that are gone: a superuser
//! who adds to the journal, hashed rightly, against a note that was kept.

use crate::{scene, seal, set_up};
use notary_tests::talk::{run, texts};
use notary_tests::verdict::{assert_found, behind_the_guard};
use notary_tests::{Database, fresh_db};

/// A function that appends an entry to the journal's first chain as pg_notary would.
const FORGE: &str = "CREATE FUNCTION forge(act text, seg bigint, d jsonb) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE s bigint; p bytea; BEGIN
    SELECT notary_seq, notary_hash INTO s, p FROM notary.journal WHERE notary_chain = 1 ORDER BY notary_seq DESC LIMIT 1;
    INSERT INTO notary.journal (at, action, log, segment, relation, session_role, role, reason, details, notary_chain,
        notary_seq, notary_time, notary_prev, notary_hash)
    VALUES (clock_timestamp(), act, (SELECT log FROM notary.tree), seg, 'public.audit', 'postgres', 'postgres', 'x', d, 1,
        s + 1, clock_timestamp(), p, p);
    UPDATE notary.journal SET notary_hash = sha256(convert_to(notary.line('notary.journal', 1, s + 1), 'UTF8'))
    WHERE notary_chain = 1 AND notary_seq = s + 1;
    END $$";

/// He does what he does; the note of before must show it, and his traces in the journal must not.
#[track_caller]
fn shows(db: &Database<'_>, note: &str, log: &str, deeds: &[&str]) {
    let mut deeds = deeds.to_vec();
    deeds.insert(0, FORGE);
    deeds.push("DROP FUNCTION forge");
    behind_the_guard(db, &deeds);
    assert_found(&mut db.client(), "notary.journal", &[]);
    let said = crate::comparing::of_log_against(&mut db.client(), log, note);
    assert!(!said.is_empty(), "entries are gone, and the note shows nothing");
    let said = texts(&mut db.client(), &format!("SELECT problem FROM notary.findings('{log}')"));
    assert!(!said.is_empty(), "entries are gone, and the seals show nothing");
}

#[test]
fn a_chain_is_not_counted_twice_under_two_segments() {
    let db = scene("twice", 10);
    let mut client = db.client();
    run(&mut client, "SELECT notary.unprotect('audit', 'x'); SELECT notary.protect('audit')");
    let mut other = db.client();
    run(&mut client, "BEGIN; INSERT INTO audit SELECT generate_series(1, 30)");
    run(&mut other, "INSERT INTO audit SELECT generate_series(1, 10)");
    run(&mut client, "COMMIT");
    let note = seal(&mut client, "audit");
    assert_eq!(crate::size(&note), 52);
    // Chain 2 of segment 2 once more, as if it were of segment 1; chain 3 goes.
    shows(
        &db,
        &note,
        "audit",
        &["SELECT notary.keep_leaves('audit'); DELETE FROM audit WHERE notary_chain = 3;
             DELETE FROM notary.leaf_range WHERE first_leaf = 42;
             INSERT INTO notary.leaf_range SELECT log, 1, 21, 1, 2, 10, 10 FROM notary.tree;
             INSERT INTO notary.leaf_range SELECT log, 1, 42, 1, 2, 1, 9 FROM notary.tree;
             INSERT INTO notary.leaf_range SELECT log, 1, 51, 1, 2, 9, 9 FROM notary.tree"],
    );
}

#[test]
fn a_segment_that_never_was_did_not_leave() {
    let db = scene("never_was", 50);
    let note = seal(&mut db.client(), "audit");
    shows(
        &db,
        &note,
        "audit",
        &["SELECT forge('protect', 2, jsonb_build_object('header', replace(replace(notary.header('audit'),
               '\"segment\":1', '\"segment\":2'), '\"first_chain\":1', '\"first_chain\":2')));
           SELECT forge('unprotect', NULL, '{\"last_segment\":2,\"chain_ends\":[[2,2,20]],\"sealed_ends\":[[2,2,20]]}');
           SELECT notary.keep_leaves('audit'); DELETE FROM audit WHERE notary_seq > 30;
           UPDATE notary.leaf_range SET last_seq = 30 WHERE chain = 1;
           INSERT INTO notary.leaf_range SELECT log, 1, size - 20, 2, 2, 1, 20 FROM notary.tree"],
    );
}

#[test]
fn a_cut_that_no_protection_tells_of_excuses_nothing() {
    let db = scene("forged_cut", 50);
    let note = seal(&mut db.client(), "audit");
    shows(
        &db,
        &note,
        "audit",
        &["SELECT forge('unprotect', NULL, '{\"last_segment\":1}');
           SELECT forge('protect', 2, '{\"header\":\"x\",\"changed_while_unprotected\":1,
               \"changed\":[{\"cut\":true,\"segment\":1,\"chain\":1,\"seq\":31,\"to_seq\":50}]}');
           SELECT notary.keep_leaves('audit'); DELETE FROM audit WHERE notary_seq > 30"],
    );
}

/// A log of two partitions, `audit` and `gone`, of 50 entries each.
fn parts(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    set_up(&db);
    run(
        &mut db.client(),
        "CREATE TABLE parts (id int, what text) PARTITION BY LIST (id);
         CREATE TABLE gone PARTITION OF parts FOR VALUES IN (1);
         CREATE TABLE audit PARTITION OF parts FOR VALUES IN (2); SELECT notary.protect('parts');
         INSERT INTO parts SELECT 1, 'w' FROM generate_series(1, 50);
         INSERT INTO parts SELECT 2, 'w' FROM generate_series(1, 50)",
    );
    db
}

#[test]
fn what_left_unsealed_does_not_stand_in_for_what_was_sealed() {
    let db = parts("stand_in");
    let mut client = db.client();
    seal(&mut client, "parts");
    run(
        &mut client,
        "INSERT INTO parts SELECT 1, 'unsealed' FROM generate_series(1, 20);
         SELECT notary.unprotect('parts', 'retention'); DROP TABLE gone; SELECT notary.protect('parts');
         INSERT INTO parts SELECT 2, 'later' FROM generate_series(1, 50)",
    );
    let note = seal(&mut client, "parts");
    assert_found(&mut client, "parts", &[]);
    shows(
        &db,
        &note,
        "parts",
        &["SELECT notary.keep_leaves('parts');
           DELETE FROM audit WHERE notary_chain = 2 AND notary_seq > 30;
           UPDATE notary.leaf_range SET last_seq = 30 WHERE segment = 3 AND chain = 2;
           INSERT INTO notary.leaf_range SELECT log, 1, size - 20, 1, 1, 51, 70 FROM notary.tree"],
    );
}

#[test]
fn a_partition_that_was_dropped_while_protected_did_not_leave_lawfully() {
    let db = parts("dropped");
    let note = seal(&mut db.client(), "parts");
    let switch = |enabled: &str| {
        let update = format!("UPDATE pg_event_trigger SET evtenabled = '{enabled}' WHERE evtname LIKE 'notary%'");
        run(&mut db.client(), &update);
    };
    switch("D");
    // In a session that has not loaded the library.
    run(&mut db.client(), "DROP TABLE gone");
    switch("A");
    shows(
        &db,
        &note,
        "parts",
        &["SELECT forge('unprotect', NULL, '{\"last_segment\":1,\"chain_ends\":[[1,1,50]],\"sealed_ends\":[[1,1,50]]}');
           SELECT notary.keep_leaves('parts');
           UPDATE notary.segment SET ended_at = clock_timestamp() WHERE segment = 1"],
    );
}
