//! What a role may not read it does not learn through search, reports, samples or views either.

use crate::{fill, rows, scene};
use notary_tests::fresh_db;
use notary_tests::talk::{refused, run, texts};

/// Every way to ask about events, of one log (`%LOG%`) or all.
const ASKING: [&str; 22] = [
    "notary.search(%LOG%, page_size => 1000)",
    "notary.search(%LOG%, action => 'a.*', page_size => 1000)",
    "notary.search(%LOG%, resource_id => '1')",
    "notary.search(%LOG%, resource_type => 'thing')",
    "notary.search(%LOG%, tag => 'batch')",
    "notary.search(%LOG%, text => 'common')",
    "notary.search(%LOG%, actor_role => 'admin', pii => true, since => '2020-01-01')",
    "notary.sample(%LOG%, 1000, 'seed')",
    "notary.actions(%LOG%)",
    "notary.pii_access(%LOG%)",
    "notary.failed_auth(%LOG%)",
    "notary.auth_bursts(%LOG%, min_count => 1)",
    "notary.admin_actions(%LOG%)",
    "notary.data_exports(%LOG%)",
    "notary.ai_decisions(%LOG%)",
    "notary.resource_history(log => %LOG%)",
    "notary.activity(%LOG%)",
    "notary.pii_access",
    "notary.admin_actions",
    "notary.data_exports",
    "notary.ai_decisions",
    "notary.activity",
];

#[test]
fn a_role_that_may_read_one_log_sees_nothing_of_others() {
    let (db, mut client) = scene("rights", 300);
    fill(&mut client, "two", 300);
    let reader = db.role("reader");
    run(&mut client, &format!("GRANT SELECT ON one TO \"{reader}\""));
    let mut theirs = db.client_as(&reader);
    assert_eq!(texts(&mut theirs, "SELECT log FROM notary.event_logs"), ["one"]);
    for asking in ASKING {
        if asking.contains("%LOG%") {
            let error = refused(&mut theirs, &format!("SELECT * FROM {}", asking.replace("%LOG%", "'two'")));
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                ("42501", "permission denied for table two"),
                "{asking}"
            );
        }
        // As a superuser sees that log alone, if the other is no event log for the moment.
        let asked = format!("SELECT * FROM {}", asking.replace("%LOG%", "'one'"));
        let came = rows(&mut theirs, &asked);
        let all = rows(&mut client, &asked);
        let expected: Vec<_> = all.into_iter().filter(|row| !row.contains("\"log\":\"two\"")).collect();
        assert_eq!(came, expected, "{asking}");
    }
    for view in ["integrity", "access"] {
        assert_eq!(texts(&mut theirs, &format!("SELECT DISTINCT log::text FROM notary.{view}")), ["one"]);
        let error = refused(&mut theirs, &format!("SELECT * FROM notary.{view}('two')"));
        assert_eq!(error.code, "42501", "{view}");
    }
    // A writer reads ids alone, which is not enough; somebody else reads nothing.
    let (writer, nobody) = (db.role("writer"), db.role("nobody"));
    run(&mut client, &format!("GRANT INSERT, SELECT (id) ON one TO \"{writer}\""));
    for role in [&writer, &nobody] {
        let mut theirs = db.client_as(role);
        assert_eq!(texts(&mut theirs, "SELECT log FROM notary.event_logs"), Vec::<String>::new());
        for asking in ASKING {
            let asked = format!("SELECT * FROM {}", asking.replace("%LOG%", "'one'"));
            match asking.contains("%LOG%") {
                true => assert_eq!(refused(&mut theirs, &asked).code, "42501", "{asking}"),
                false => assert_eq!(rows(&mut theirs, &asked).len(), 0, "{asking}"),
            }
        }
    }
    // Nor without the schema.
    run(&mut client, &format!("CREATE SCHEMA closed; SELECT notary.create_log('closed.log', NULL, '{reader}')"));
    assert_eq!(texts(&mut theirs, "SELECT log FROM notary.event_logs"), ["one"]);
    assert_eq!(texts(&mut theirs, "SELECT count(*) > 0 FROM notary.activity"), ["t"]);
}

#[test]
fn tenants_under_row_level_security_see_nothing_of_each_other() {
    let db = fresh_db("tenants");
    let mut client = db.client();
    let (red, blue) = (db.role("red"), db.role("blue"));
    run(
        &mut client,
        &format!(
            "SELECT notary.create_log('one'); GRANT SELECT ON one TO \"{red}\", \"{blue}\";
             ALTER TABLE one ADD COLUMN tenant text; ALTER TABLE one ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON one FOR SELECT USING (tenant = current_user)"
        ),
    );
    for (tenant, color) in [(&red, "scarlet"), (&blue, "azure")] {
        run(
            &mut client,
            &format!(
                "INSERT INTO one (id, occurred_at, tenant, action, actor, actor_role, resource_type, resource_id, result, ip, pii, pii_fields,
                     old_value, new_value, details, tags)
                 SELECT md5('{color}' || i)::uuid, timestamptz '2026-01-01 00:00+00' + i * interval '1 minute', '{tenant}',
                     (ARRAY['a.{color}', 'auth.{color}.failure', 'admin.{color}', '{color}.export', 'ai.inference', 'ai.override'])[1 + i % 6],
                     '{color}-' || i % 3, 'admin', 'thing', '1', 'failure', '192.0.2.1', true, ARRAY['{color}'], '{{\"x\": \"{color}\"}}',
                     '{{\"y\": \"{color}\"}}', jsonb_build_object('c', 'common {color}', 'inference_id', md5('scarlet' || i - 1)::uuid),
                     ARRAY['batch', '{color}']
                 FROM generate_series(1, 120) AS i"
            ),
        );
    }
    run(&mut client, "ANALYZE one");
    for (role, own, other) in [(&red, "scarlet", "azure"), (&blue, "azure", "scarlet")] {
        let mut theirs = db.client_as(role);
        for asking in ASKING {
            let came = rows(&mut theirs, &format!("SELECT * FROM {}", asking.replace("%LOG%", "'one'"))).join("\n");
            assert!(!came.is_empty(), "{asking}");
            assert!(!came.contains(other), "{own} sees something of {other} by {asking}:\n{came}");
        }
        // Nobody learns by an error, a count or a place in the order that the other's event is there.
        let theirs_id = texts(&mut client, &format!("SELECT md5('{other}1')::uuid")).remove(0);
        let unknown = refused(&mut theirs, &format!("SELECT * FROM notary.search('one', after => '{theirs_id}')"));
        assert_eq!((unknown.code.as_str(), unknown.message), ("22023", format!("there is no event {theirs_id}")));
        for given in [
            format!("actor => '{other}-1'"),
            format!("action => 'a.{other}'"),
            format!("action => '{other}.*'"),
            format!("tag => '{other}'"),
            format!("text => '{other}'"),
        ] {
            let found = format!("SELECT count(*) FROM notary.search('one', {given})");
            assert_eq!(texts(&mut theirs, &found), ["0"], "{given}");
        }
        assert_eq!(
            texts(&mut theirs, "SELECT count(*) FROM notary.search('one', text => 'common', page_size => 1000)"),
            ["120"]
        );
        // An override by the other tenant does not show, though it names the same inference.
        let by =
            texts(&mut theirs, "SELECT DISTINCT overridden_by FROM notary.ai_decisions WHERE overrides > 0").join(" ");
        assert!(!by.contains(other), "{by}");
        let statement =
            texts(&mut theirs, &format!("SELECT notary.search_sql('one', text => '{own}', actor_role => 'admin')"))
                .remove(0);
        assert_eq!(texts(&mut theirs, &statement).len(), 50);
    }
    // The owner of a view does not lend its rights: the reports' views are the caller's.
    run(&mut client, &format!("REVOKE SELECT ON one FROM \"{blue}\""));
    assert_eq!(rows(&mut db.client_as(&blue), "SELECT * FROM notary.activity").len(), 0);
}

#[test]
fn the_internal_functions_lend_nobody_rights() {
    let (db, mut client) = scene("lent", 10);
    let definers = "SELECT proname FROM pg_proc WHERE pronamespace = 'notary'::regnamespace AND prosecdef";
    assert_eq!(texts(&mut client, definers), Vec::<String>::new());
    let nobody = db.role("nobody");
    let mut theirs = db.client_as(&nobody);
    for sql in [
        "SELECT * FROM notary.run('SELECT id FROM public.one') AS r (id uuid)",
        "SELECT * FROM notary.report('SELECT id FROM events', 'one', NULL, NULL) AS r (id uuid)",
        "SELECT * FROM notary.report('SELECT id FROM public.one', NULL, NULL, NULL) AS r (id uuid)",
    ] {
        match theirs.simple_query(sql) {
            // Without a log that he may read a report has nothing to run.
            Ok(said) => assert!(!said.iter().any(|m| matches!(m, postgres::SimpleQueryMessage::Row(_))), "{sql}"),
            Err(error) => assert_eq!(notary_tests::SqlError::of(&error).code, "42501", "{sql}"),
        }
    }
    let share = "SELECT notary.share('one', 'action', 'auth.login') IS NULL";
    assert_eq!(texts(&mut theirs, share), ["t"]);
    // STABLE: whoever puts a change into the internal function is refused.
    assert_eq!(
        refused(
            &mut client,
            "SELECT * FROM notary.run('DELETE FROM notary.event_type RETURNING name') AS r (name text)"
        )
        .code,
        "0A000"
    );
}
