//! What a session remembers of a chain's end from one transaction to the next is believed only as far as the table says so too.

use super::{chains, log, run};
use notary_tests::verdict::{behind_the_guard, round_the_guard};

/// `seq` and whether `prev` is the hash of the row before, of the row with the highest id.
const LAST: &str =
    "SELECT notary_seq || ' ' || (notary_prev = (SELECT notary_hash FROM audit ORDER BY id DESC OFFSET 1 LIMIT 1))
                    FROM audit ORDER BY id DESC LIMIT 1";

#[test]
fn a_row_that_was_deleted_behind_the_guard_is_not_gone_on_from() {
    let (db, mut client) = log("deleted");
    run(&mut client, "INSERT INTO audit (id) VALUES (1)");
    run(&mut client, "INSERT INTO audit (id) VALUES (2)");
    behind_the_guard(&db, &["DELETE FROM audit WHERE id = 2"]);
    run(&mut client, "INSERT INTO audit (id) VALUES (3)");
    assert_eq!(chains(&mut client), ["1: 1 3"]);
    assert_eq!(db.value(LAST), "2 true");
}

#[test]
fn a_hash_that_was_changed_behind_the_guard_is_what_the_next_row_goes_on_from() {
    let (db, mut client) = log("changed");
    run(&mut client, "INSERT INTO audit (id) VALUES (1)");
    behind_the_guard(&db, &["UPDATE audit SET notary_hash = sha256('') WHERE id = 1"]);
    run(&mut client, "INSERT INTO audit (id) VALUES (2)");
    assert_eq!(db.value(LAST), "2 true");
}

/// A page that is gone is asked for once at most: no session goes on failing over what it remembers.
#[test]
fn an_index_that_was_emptied_in_its_file_is_no_lasting_trouble() {
    let (_db, mut client) = log("emptied");
    run(&mut client, "INSERT INTO audit (id) SELECT i FROM generate_series(1, 3000) AS i");
    run(&mut client, "INSERT INTO audit (id) VALUES (4001)");
    run(
        &mut client,
        "BEGIN; CLUSTER audit USING audit_notary_chain_notary_seq_key; INSERT INTO audit (id) VALUES (4002)",
    );
    for sql in round_the_guard(&["TRUNCATE audit"]) {
        run(&mut client, sql);
    }
    run(&mut client, "COMMIT");
    // PostgreSQL's own words, where the page is gone.
    drop(client.batch_execute("INSERT INTO audit (id) VALUES (1)"));
    run(&mut client, "INSERT INTO audit (id) VALUES (2)");
    run(&mut client, "INSERT INTO audit (id) VALUES (3)");
}

/// An index of many leaves, whose ends move from page to page while two sessions take turns at two chains.
#[test]
fn chains_go_on_over_page_splits_and_new_files_of_the_index() {
    let (db, mut one) = log("splits");
    let mut other = db.client();
    let mut id = 0;
    let mut insert = |client: &mut postgres::Client| {
        id += 1;
        run(client, &format!("INSERT INTO audit (id) VALUES ({id})"));
    };
    for round in 0..4 {
        for step in 0..400 {
            insert(if step % 3 == 0 { &mut other } else { &mut one });
            if step % 100 == 50 {
                // Both are open at once: a second chain.
                run(&mut one, "BEGIN");
                insert(&mut one);
                (0..5).for_each(|_| insert(&mut other));
                run(&mut one, "COMMIT");
            }
        }
        run(&mut db.client(), ["REINDEX TABLE audit", "VACUUM FULL audit", "VACUUM audit", "ANALYZE audit"][round]);
    }
    let places =
        "SELECT bool_and(in_order) FROM (SELECT notary_seq = row_number() OVER (PARTITION BY notary_chain ORDER BY id)
                  AS in_order FROM audit) AS placed";
    assert_eq!(db.value(places), "t");
    assert_eq!(
        db.value("SELECT intact || ' ' || entries || ' ' || chains FROM notary.verify('audit')"),
        format!("true {id} 2")
    );
}
