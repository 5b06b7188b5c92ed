//! The shortest way through: protect a table, append, verify, be refused.

use notary_tests::{err, fresh_db};

#[test]
fn a_protected_table_takes_rows_verifies_and_refuses_updates() {
    let db = fresh_db("smoke");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (who text, what text);
             SELECT notary.protect('audit');
             INSERT INTO audit (who, what) VALUES ('ann', 'logged in'), ('bob', 'paid');
             INSERT INTO audit (who, what) VALUES ('ann', 'logged out');",
        )
        .unwrap();
    let answer = client.query_one("SELECT intact, entries, findings FROM notary.verify('audit')", &[]).unwrap();
    assert_eq!((answer.get(0), answer.get(1), answer.get(2)), (true, 3_i64, 0_i64));
    let refused = err(client.execute("UPDATE audit SET what = 'nothing'", &[]));
    assert_eq!(refused.code, "55000");
    assert!(refused.hint.contains("notary.unprotect"), "{refused}");
}
