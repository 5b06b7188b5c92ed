//! Rows that were adopted are counted by the header, so that a cut from the end of their chain shows.

use notary_tests::fresh_db;
use notary_tests::verdict::{assert_found, behind_the_guard, findings};

#[test]
fn adopted_rows_cut_from_the_end_of_their_chain_are_missing() {
    let db = fresh_db("adopted_cut");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int); INSERT INTO audit SELECT generate_series(1, 5);
             SELECT notary.protect('audit'); INSERT INTO audit SELECT generate_series(6, 9)",
        )
        .unwrap();
    assert_found(&mut client, "audit", &[]);
    // What came after protection can be cut unseen as long as nothing outside commits to it.
    behind_the_guard(&db, &["DELETE FROM audit WHERE id > 5"]);
    assert_found(&mut client, "audit", &[]);
    behind_the_guard(&db, &["DELETE FROM audit WHERE id > 3"]);
    assert_found(&mut client, "audit", &["missing 1/4"]);
    assert!(findings(&mut client, "audit")[0].detail.contains("entries 4 to 5 are missing"));
    behind_the_guard(&db, &["DELETE FROM audit"]);
    assert_found(&mut client, "audit", &["missing 1/1"]);
}

#[test]
fn a_last_adopted_row_that_was_changed_is_one_finding() {
    let db = fresh_db("adopted_changed");
    let mut client = db.client();
    client
        .batch_execute("CREATE TABLE audit (id int); INSERT INTO audit SELECT generate_series(1, 5); SELECT notary.protect('audit')")
        .unwrap();
    behind_the_guard(&db, &["UPDATE audit SET notary_chain = 7 WHERE id = 5"]);
    assert_found(&mut client, "audit", &["value_changed 1/5"]);
}

#[test]
fn adopted_rows_cut_while_unprotected_are_no_finding() {
    let db = fresh_db("adopted_between");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int); INSERT INTO audit SELECT generate_series(1, 5); SELECT notary.protect('audit');
             SELECT notary.unprotect('audit', 'retention'); DELETE FROM audit WHERE id > 3; SELECT notary.protect('audit')",
        )
        .unwrap();
    assert_found(&mut client, "audit", &[]);
    // More than was cut then.
    behind_the_guard(&db, &["DELETE FROM audit WHERE id = 3"]);
    assert_found(&mut client, "audit", &["missing 1/3"]);
}
