//! Changes that go into a log with few indexes: the same events, by the same short way.

use crate::{scene, since};
use notary_tests::talk::{run, texts};
use notary_tests::verdict::assert_found;
use postgres::Client;

const WORK: &str = "INSERT INTO t SELECT i, 'Word' || i FROM generate_series(1, 20) AS i; UPDATE t SET s = 'two' WHERE id < 5; DELETE FROM t WHERE id = 1";

/// How often the log's own triggers were called since the last time. The short way stands in for them, and calls none.
fn calls(client: &mut Client) -> String {
    // They are counted at the end of this transaction.
    run(client, "SELECT pg_stat_force_next_flush()");
    let calls = "SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions
                 WHERE funcid IN ('notary.about'::regproc, 'notary.append'::regproc)";
    let calls = texts(client, calls).remove(0);
    run(client, "SELECT pg_stat_reset()");
    calls
}

#[test]
fn the_short_way_is_gone_whatever_indexes_the_log_has() {
    for indexes in ["{}", "{time,resource}", "{words,tags,pii}"] {
        let db = scene("lean_short");
        let (mut client, mut mark) = (db.client(), 0);
        run(
            &mut client,
            &format!(
                "SELECT notary.unprotect('audit', 'a test'); DROP TABLE audit; SELECT notary.create_log('audit', indexes => '{indexes}');
                 CREATE TABLE t (id int PRIMARY KEY, s text); SELECT notary.track('t', 'audit'); SET track_functions = 'all'"
            ),
        );
        calls(&mut client);
        run(&mut client, WORK);
        assert_eq!(calls(&mut client), "0", "{indexes}");
        let events = since(&mut client, &mut mark);
        assert_eq!(
            (events.len(), events[19].as_str()),
            (25, r#"t.insert 20 > {"s": "Word20", "id": 20}"#),
            "{indexes}"
        );
        let found =
            "SELECT count(*) FROM notary.search('audit', text => 'word7'), set_config('enable_seqscan', 'off', false)";
        assert_eq!(texts(&mut client, found), ["1"], "{indexes}");
        run(&mut client, "CREATE EXTENSION amcheck");
        let check = "SELECT count(bt_index_check(i.indexrelid, true)) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                     JOIN pg_am AS m ON m.oid = c.relam AND amname = 'btree' WHERE indrelid = 'audit'::regclass";
        run(&mut client, check);
        // Added and dropped while it goes on.
        run(&mut client, "SELECT notary.index_log('audit'); UPDATE t SET s = 'indexed' WHERE id = 2");
        run(&mut client, "DROP INDEX audit_actor_idx, audit_words_idx; UPDATE t SET s = 'dropped' WHERE id = 2");
        assert_eq!(calls(&mut client), "0", "{indexes}");
        for (word, count) in [("indexed", "2"), ("dropped", "1"), ("two", "6")] {
            let found = format!("SELECT count(*) FROM notary.search('audit', text => '{word}')");
            assert_eq!(texts(&mut client, &found), [count], "{indexes} {word}");
        }
        // What makes it the long one shows that the calls would be seen.
        run(&mut client, "ALTER TABLE audit ADD CHECK (action <> '') NOT VALID; UPDATE t SET s = 'long' WHERE id = 2");
        assert_eq!(calls(&mut client), "2", "{indexes}");
        assert_found(&mut client, "audit", &[]);
    }
}
