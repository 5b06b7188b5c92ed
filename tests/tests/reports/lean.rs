//! A log without some of its indexes, or without all of them, answers as one that has them.

use crate::search::{Search, random_search};
use crate::{rows, scene};
use notary_tests::talk::{run, texts};
use postgres::Client;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

const INDEXES: [&str; 10] = ["time", "actor", "role", "action", "resource", "type", "result", "pii", "tags", "words"];

/// A log with these indexes and the events of `one`.
fn copy(client: &mut Client, log: &str, indexes: &[&str]) {
    let columns = "SELECT string_agg(attname, ', ') FROM pg_attribute
                   WHERE attrelid = 'one'::regclass AND attnum > 0 AND attname NOT LIKE 'notary_%'";
    let columns = texts(client, columns).remove(0);
    run(client, &format!("SELECT notary.create_log('{log}', indexes => '{{{}}}')", indexes.join(",")));
    run(
        client,
        &format!(
            "INSERT INTO {log} ({columns}) SELECT {columns} FROM one ORDER BY notary_chain, notary_seq; ANALYZE {log}"
        ),
    );
}

#[test]
fn searches_find_the_same_whatever_indexes_there_are() {
    let (_db, mut client) = scene("lean_search", 1500);
    let mut rng = StdRng::seed_from_u64(20_261_122);
    let random: Vec<&str> = INDEXES.into_iter().filter(|_| rng.random_bool(0.5)).collect();
    let without_time: Vec<&str> = INDEXES.into_iter().filter(|name| *name != "time").collect();
    for (log, indexes) in [
        ("bare", &[][..]),
        ("time_only", &["time"]),
        ("lean", &["time", "resource"]),
        ("words_only", &["words", "tags"]),
        ("random", &random),
        ("without_time", &without_time),
    ] {
        copy(&mut client, log, indexes);
        let mut found = 0;
        for _ in 0..25 {
            let search = random_search(&mut rng);
            let page_size = *[7, 50, 333, 1000].choose(&mut rng).unwrap();
            found += usize::from(search.assert_pages(&mut client, log, page_size) > 0);
            assert_eq!(
                search.page(&mut client, log, 50, None),
                search.page(&mut client, "one", 50, None),
                "{indexes:?}"
            );
        }
        assert!(found > 5, "{indexes:?}: {found} searches found something");
    }
}

#[test]
fn reports_say_the_same_without_indexes() {
    let (_db, mut client) = scene("lean_reports", 2500);
    run(&mut client, "CREATE FUNCTION said(report text) RETURNS TABLE (line jsonb) LANGUAGE plpgsql AS $$BEGIN
         RETURN QUERY EXECUTE format('SELECT to_jsonb(r) - ''{log,notary_chain,notary_seq}''::text[] FROM notary.%s AS r', report); END$$");
    copy(&mut client, "bare", &[]);
    copy(&mut client, "lean", &["time", "resource"]);
    for report in [
        "pii_access(%)",
        "pii_access(%, actor_role => 'admin')",
        "failed_auth(%)",
        "auth_bursts(%, width => '2 days', min_count => 2)",
        "admin_actions(%)",
        "admin_actions(%, '2026-02-01', '2026-03-01')",
        "data_exports(%)",
        "data_exports(%, '2026-02-01', '2026-03-01')",
        "ai_decisions(%)",
        "resource_history('customer', '7', %)",
        "resource_history('Customer', NULL, %)",
        "activity(%)",
    ] {
        let of = |client: &mut Client, log: &str| {
            let report = report.replace('%', &format!("'{log}'")).replace('\'', "''");
            rows(client, &format!("SELECT line FROM said('{report}')"))
        };
        let expected = of(&mut client, "one");
        assert!(!expected.is_empty() || report.contains("Customer"), "{report}");
        for log in ["bare", "lean"] {
            assert_eq!(of(&mut client, log), expected, "{log}: {report}");
        }
    }
    for log in ["bare", "lean"] {
        let actions = |log: &str| format!("SELECT notary.actions('{log}')");
        assert_eq!(texts(&mut client, &actions(log)), texts(&mut client, &actions("one")), "{log}");
    }
}

/// How often tables and indexes are gone through to answer this.
fn scans(client: &mut Client, log: &str, search: &Search) -> u32 {
    let sql = search.sql(client, log);
    let plan = texts(client, &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}"));
    let scans = plan.iter().filter(|line| {
        line.contains(" Scan") && line.contains(&format!(" on {log}")) && !line.contains("never executed")
    });
    let loops = scans
        .map(|line| line.rsplit("loops=").next().and_then(|n| n.trim_end_matches(')').parse::<u32>().ok()).unwrap());
    loops.sum()
}

/// To go from one action to the next is a look into an index for each. Without it, it would be a look at the whole log for each.
#[test]
fn without_an_index_a_log_is_not_read_again_and_again() {
    let (_db, mut client) = scene("lean_plans", 6000);
    copy(&mut client, "bare", &[]);
    copy(&mut client, "lean", &["time", "resource"]);
    run(&mut client, "SET enable_seqscan = off");
    let s = Search::default;
    for search in [
        s().with("action", "auth.*"),
        s().with("action", "auth.*").with("resource_id", "7"),
        s().with("resource_id", "7"),
        s().with("actor", "ann").with("result", "denied").with("pii", "true"),
    ] {
        assert_eq!(scans(&mut client, "bare", &search), 1, "{}", search.sql(&mut client, "bare"));
    }
    let pattern = s().with("action", "auth.*");
    assert!(pattern.sql(&mut client, "one").contains("RECURSIVE"));
    assert!(scans(&mut client, "lean", &pattern) <= 6, "{}", pattern.sql(&mut client, "lean"));
    let actions =
        "SELECT notary.distinct_sql('public.%', 'action', 100), notary.distinct_sql('public.%', 'resource_type', 100)";
    for (log, steps) in [("one", true), ("lean", false)] {
        assert_eq!(texts(&mut client, &actions.replace('%', log))[0].contains("RECURSIVE"), steps, "{log}");
    }
}
