//! A large log: three things wrong in a million entries are three findings.

use notary_tests::verdict::{assert_found, behind_the_guard};
use notary_tests::{SqlError, fresh_db};

#[test]
fn a_million_entries_with_three_things_wrong_give_three_findings() {
    let db = fresh_db("million");
    db.client()
        .batch_execute("CREATE TABLE million (id int, note text); SELECT notary.protect('million')")
        .unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
    // Two sessions at once, so that there are two chains and both processors are used.
    std::thread::scope(|scope| {
        for half in 0..2 {
            let mut client = db.client();
            scope.spawn(move || {
                let (from, to) = (half * 500_000 + 1, (half + 1) * 500_000);
                let rows =
                    format!("INSERT INTO million SELECT i, 'note ' || i FROM generate_series({from}, {to}) AS i");
                client.batch_execute(&rows).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
            });
        }
    });
    let mut client = db.client();
    let answer = client.query_one("SELECT intact, entries, chains FROM notary.verify('million')", &[]).unwrap();
    assert_eq!((answer.get(0), answer.get(1)), (true, 1_000_000_i64));
    let chains: i32 = answer.get(2);
    assert!((1..=2).contains(&chains));
    // At places that do not depend on which session was the first.
    let row = |chain: i32, seq: i64| format!("notary_chain = {chain} AND notary_seq = {seq}");
    behind_the_guard(
        &db,
        &[
            &format!("UPDATE million SET note = 'forged' WHERE {}", row(1, 77_777)),
            &format!("DELETE FROM million WHERE {}", row(1, 299_999)),
            &format!("UPDATE million SET notary_hash = sha256('forged') WHERE {}", row(chains, 400_001)),
        ],
    );
    let hash = format!("hash_changed {chains}/400001");
    assert_found(&mut client, "million", &[hash.as_str(), "missing 1/299999", "value_changed 1/77777"]);
}
