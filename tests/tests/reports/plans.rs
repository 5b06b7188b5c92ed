//! With a hundred thousand events every argument is answered from an index, whether it meets few events, many, or old ones
//! alone.

use crate::search::Search;
use notary_tests::fresh_db;
use notary_tests::talk::{run, texts};

#[test]
fn every_argument_is_answered_from_an_index() {
    let db = fresh_db("plans");
    let mut client = db.client();
    run(
        &mut client,
        "SELECT notary.create_log('one');
         INSERT INTO one (id, occurred_at, action, actor, actor_role, resource_type, resource_id, result, pii, details, tags)
         SELECT md5('e' || i)::uuid, timestamptz '2026-01-01 00:00+00' + i * interval '1 minute',
             CASE WHEN i <= 3000 THEN 'legacy.import.' || i % 3 WHEN i = 50000 THEN 'rare.one' WHEN i % 3 = 0 THEN 'customer.pii.view'
                  ELSE 'order.' || i % 5 END,
             CASE WHEN i <= 6000 THEN 'retired' ELSE 'user' || i % 200 END, CASE WHEN i % 10 = 0 THEN 'admin' END,
             CASE WHEN i <= 3000 THEN 'legacy' WHEN i % 2 = 0 THEN 'customer' ELSE 'order' END, (i % 5000)::text,
             CASE WHEN i <= 3000 THEN 'error' WHEN i % 50 = 0 THEN 'failure' ELSE 'success' END, i % 7 = 0,
             jsonb_build_object('note', CASE WHEN i <= 4000 THEN 'ancient' ELSE 'modern' END || ' word' || i % 1000),
             CASE WHEN i <= 3500 THEN ARRAY['old'] WHEN i % 20 = 0 THEN ARRAY['batch'] WHEN i = 70000 THEN ARRAY['single'] END
         FROM generate_series(1, 100000) AS i",
    );
    run(&mut client, "VACUUM ANALYZE one");
    let s = Search::default;
    let day = ("2026-02-01 00:00+00", "2026-02-01 06:00+00");
    for (search, index) in [
        (s(), "one_occurred_at_idx"),
        (s().with("since", day.0).with("until", day.1), "one_occurred_at_idx"),
        (s().with("until", "2026-01-02 00:00+00"), "one_occurred_at_idx"),
        (s().with("actor", "user7"), "one_actor_idx"),
        (s().with("actor", "retired"), "one_actor_idx"),
        (s().with("actor", "nobody"), "one_actor_idx"),
        (s().with("actor_role", "admin"), "one_actor_role_idx"),
        (s().with("action", "order.1"), "one_action_idx"),
        (s().with("action", "legacy.import.1"), "one_action_idx"),
        (s().with("action", "customer.pii.*"), "one_action_idx"),
        (s().with("action", "legacy.*"), "one_action_idx"),
        (s().with("action", "rare.*"), "one_action_idx"),
        (s().with("action", "nothing.*"), "one_action_idx"),
        (s().with("action", "legacy.*").with("result", "success"), "one_action_idx"),
        (s().with("resource_type", "customer"), "one_resource_type_idx"),
        (s().with("resource_type", "legacy"), "one_resource_type_idx"),
        (s().with("resource_type", "none"), "one_resource_type_idx"),
        (s().with("resource_id", "77"), "one_resource_idx"),
        (s().with("resource_type", "order").with("resource_id", "77"), "one_resource_idx"),
        (s().with("resource_id", "77").with("result", "failure"), "one_resource_idx"),
        (s().with("result", "failure"), "one_result_idx"),
        (s().with("result", "error"), "one_result_idx"),
        (s().with("result", "success"), "one_occurred_at_idx"),
        (s().with("pii", "true"), "one_pii_idx"),
        (s().with("pii", "false"), "one_occurred_at_idx"),
        (s().with("tag", "batch"), "one_occurred_at_idx"),
        (s().with("tag", "single"), "one_tags_idx"),
        (s().with("tag", "old"), "one_tags_idx"),
        (s().with("text", "modern"), "one_occurred_at_idx"),
        (s().with("text", "ancient"), "one_words_idx"),
        (s().with("text", "word77 ancient"), "one_words_idx"),
        (s().with("text", "unheard"), "one_words_idx"),
        (s().with("text", "word77").with("tag", "batch"), "one_occurred_at_idx"),
        (s().with("actor", "user7").with("action", "rare.one"), "one_action_idx"),
        (s().with("actor", "user7").with("pii", "true").with("action", "order.*"), "one_actor_idx"),
        (s().with("actor_role", "admin").with("text", "ancient"), "one_actor_role_idx"),
        (s().with("pii", "true").with("since", day.0).with("until", day.1), "one_pii_idx"),
        (s().with("action", "customer.*").with("actor_role", "admin").with("pii", "true"), "one_"),
    ] {
        let sql = search.sql(&mut client, "one");
        let plan =
            texts(&mut client, &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}")).join("\n");
        assert!(plan.contains(index), "{index} is not used:\n{sql}\n{plan}");
        for lines in plan.lines().collect::<Vec<_>>().windows(2) {
            // What an index would have to do in the end is not begun where a page was full before.
            let idle = plan.contains("never executed");
            assert!(!lines[0].contains("Seq Scan on one") || idle, "all of the log is read:\n{sql}\n{plan}");
            let removed = lines[1].trim().strip_prefix("Rows Removed by Filter: ").and_then(|n| n.parse::<u32>().ok());
            assert!(removed.is_none_or(|removed| removed <= 2000), "far too much is read:\n{sql}\n{plan}");
        }
        let expected = search.all(&mut client, "one");
        let came = search.page(&mut client, "one", 50, None);
        assert_eq!(came, expected[..expected.len().min(50)], "{sql}");
        // From somewhere in the middle on.
        if let Some(at) = expected.len().checked_sub(20) {
            let next = search.page(&mut client, "one", 7, Some(&expected[at]));
            assert_eq!(next, expected[at + 1..at + 8], "{sql}");
        }
    }
}

#[test]
fn very_many_actions_and_types_are_not_gone_through_one_by_one() {
    let db = fresh_db("plans_many");
    let mut client = db.client();
    // Events of 'a' have as many actions as there are, and so have the types of resource 'r'; 'few' has two types and none.
    run(
        &mut client,
        "SELECT notary.create_log('one');
         INSERT INTO one (id, occurred_at, action, resource_type, resource_id)
         SELECT md5('e' || i)::uuid, timestamptz '2026-01-01 00:00+00' + i * interval '1 minute', 'a.' || i || '.login',
             CASE WHEN i % 3 > 0 THEN 'type' || CASE WHEN i % 1000 < 2 THEN i % 2 ELSE i END END,
             CASE WHEN i % 1000 < 3 THEN 'few' WHEN i % 2 = 0 THEN 'r' ELSE 'x' || i END
         FROM generate_series(1, 30000) AS i;
         INSERT INTO one (id, occurred_at, action, resource_type, resource_id)
         SELECT md5('o' || i)::uuid, timestamptz '2020-01-01 00:00+00' + i * interval '1 minute', 'old.' || i % 1500, 'old', 'o' || i % 2
         FROM generate_series(1, 3000) AS i",
    );
    run(&mut client, "VACUUM ANALYZE one");
    let s = Search::default;
    for (search, most) in [
        (s().with("action", "a.*"), 1200),
        (s().with("action", "old.*"), 50_000),
        (s().with("action", "old.1.*"), 1000),
        (s().with("action", "a.1.*"), 1000),
        (s().with("resource_id", "r"), 2000),
        (s().with("resource_id", "few"), 1000),
        (s().with("resource_id", "x5"), 1000),
        (s().with("resource_id", "o1"), 1000),
        (s().with("resource_id", "few").with("resource_type", "type1"), 1000),
        (s().with("resource_id", "o1").with("resource_type", "old"), 1000),
        (s().with("resource_type", "old"), 1000),
        (s().with("resource_id", "r").with("action", "a.*"), 2000),
    ] {
        search.assert_pages(&mut client, "one", 700);
        let sql = search.sql(&mut client, "one");
        let plan =
            texts(&mut client, &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}")).join("\n");
        let read = plan
            .lines()
            .filter(|line| line.contains("Scan") && line.contains(" on one ") && !line.contains("never executed"));
        let read = read.map(|line| {
            let number = |after: &str| {
                line.rsplit(after).next().and_then(|n| n.split([' ', ')']).next()?.parse::<u32>().ok()).unwrap_or(0)
            };
            number("rows=") * number("loops=")
        });
        let read: u32 = read.sum();
        assert!(read <= most, "{read} rows are read:\n{sql}\n{plan}");
    }
    // Nor for a report of a day without exports.
    let exports = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM notary.data_exports('one', '2027-01-01', '2027-01-02')";
    texts(&mut client, &format!("SET statement_timeout = '2s'; {exports}"));
    assert!(texts(&mut client, "SELECT notary.fits('one', '(^|[.])export$')")[0].contains('~'));
}
