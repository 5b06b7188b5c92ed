//! Protect and unprotect are entries of `notary.journal`, a log itself, in the transaction of the deed.

use super::{assert_intact, refused, run, texts};
use notary_tests::fresh_db;
use notary_tests::verdict::{assert_found, behind_the_guard};

#[test]
fn both_are_written_in_the_same_transaction_with_who_and_why() {
    let db = fresh_db("journal");
    let (ann, team) = (db.role("ann"), db.role("team"));
    let mut superuser = db.client();
    run(&mut superuser, &format!("GRANT \"{team}\" TO \"{ann}\"; GRANT CREATE ON SCHEMA public TO \"{team}\""));
    let mut client = db.client_as(&ann);
    run(&mut client, &format!("SET ROLE \"{team}\"; CREATE TABLE t (a int); INSERT INTO t VALUES (1)"));
    run(&mut client, "SELECT notary.protect('t'); SELECT notary.unprotect('t', '  ticket \"4711\"  ')");
    let entries =
        "SELECT concat_ws('|', action, log = (SELECT log FROM notary.segment WHERE table_name = 't'), segment,
                       relation, session_role, role, reason, details ->> 'adopted')
                   FROM notary.journal WHERE relation <> 'notary.journal' ORDER BY at";
    assert_eq!(
        texts(&mut superuser, entries),
        [format!("protect|t|1|public.t|{ann}|{team}|1"), format!("unprotect|t|public.t|{ann}|{team}|ticket \"4711\""),]
    );
    let header =
        "SELECT (j.details ->> 'header') = s.header FROM notary.journal j JOIN notary.segment s USING (log, segment)
                  WHERE action = 'protect'";
    assert_eq!(texts(&mut superuser, header), ["t", "t"]);
    // The entry goes with the deed, and never without it.
    let same = "SELECT bool_and(j.xmin = c.xmin) FROM notary.journal AS j, pg_trigger AS c
                WHERE relation = 'public.t' AND reason IS NULL AND tgrelid = 't'::regclass AND segment = 2";
    run(&mut client, "SELECT notary.protect('t')");
    assert_eq!(texts(&mut superuser, same), ["t"]);
    run(&mut client, "BEGIN; SELECT notary.unprotect('t', 'taken back'); ROLLBACK");
    assert_eq!(texts(&mut superuser, "SELECT count(*) FROM notary.journal WHERE reason = 'taken back'"), ["0"]);
}

#[test]
fn the_journal_is_a_log_like_any_other() {
    let db = fresh_db("journal_log");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int); SELECT notary.protect('t')");
    for sql in ["UPDATE notary.journal SET reason = 'x'", "DELETE FROM notary.journal", "TRUNCATE notary.journal"] {
        assert_eq!(refused(&mut client, sql).code, "55000", "{sql}");
    }
    // Its own beginning is in it, and then that of t.
    let entries = "SELECT action || ' ' || relation FROM notary.journal ORDER BY notary_chain, notary_seq";
    assert_eq!(texts(&mut client, entries), ["protect notary.journal", "protect public.t"]);
    assert_intact(&mut client, "notary.journal", 2);
}

#[test]
fn many_sessions_protect_first_at_the_same_time() {
    let db = fresh_db("journal_first");
    std::thread::scope(|scope| {
        for i in 0..6 {
            let db = &db;
            scope.spawn(move || {
                let mut client = db.client();
                run(&mut client, &format!("CREATE TABLE t{i} (a int); INSERT INTO t{i} VALUES (1)"));
                run(&mut client, &format!("SELECT notary.protect('t{i}')"));
            });
        }
    });
    let mut client = db.client();
    assert_eq!(texts(&mut client, "SELECT bool_and(intact) || ' ' || count(*) FROM notary.verify()"), ["true 7"]);
    let count = "SELECT count(*) FROM notary.journal WHERE action = 'protect' AND relation LIKE 'public.%'";
    assert_eq!(texts(&mut client, count), ["6"]);
}

#[test]
fn the_journal_can_be_unprotected_and_comes_back_with_the_next_protect() {
    let db = fresh_db("journal_again");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int); CREATE TABLE u (a int); SELECT notary.protect('t')");
    // Last of all: what happens to other logs is written to it.
    let error = refused(&mut client, "SELECT notary.unprotect('notary.journal', 'a test')");
    assert_eq!(error.code, "55000", "{error}");
    assert!(error.hint.contains("notary.unprotect(log"), "{error}");
    run(&mut client, "SELECT notary.unprotect('t', 'a test')");
    run(&mut client, "SELECT notary.unprotect('notary.journal', 'a test')");
    run(&mut client, "SELECT notary.protect('u')");
    let answer = "SELECT string_agg(intact || ' ' || coalesce(first_finding, ''), ',') FROM notary.verify()";
    assert_eq!(texts(&mut client, answer), ["true ,true "]);
    let entries = "SELECT action || ' ' || relation FROM notary.journal ORDER BY at";
    assert_eq!(
        texts(&mut client, entries),
        [
            "protect notary.journal",
            "protect public.t",
            "unprotect public.t",
            "unprotect notary.journal",
            "protect notary.journal",
            "protect public.u"
        ]
    );
}

#[test]
fn what_others_hang_on_the_journal_does_not_falsify_it() {
    let db = fresh_db("journal_falsified");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int); SELECT notary.protect('t');
         CREATE FUNCTION falsify() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN IF TG_ARGV[0] = ''swallow'' THEN RETURN NULL; END IF; NEW.session_role := ''nobody''; RETURN NEW; END';
         ALTER TABLE notary.journal ALTER at SET DEFAULT '2000-01-01'",
    );
    let trigger = |what: &str| {
        format!(
            "CREATE TRIGGER falsify BEFORE INSERT ON notary.journal FOR EACH ROW EXECUTE FUNCTION falsify('{what}')"
        )
    };
    for what in ["swallow", "change"] {
        assert_eq!(refused(&mut db.client(), &trigger(what)).code, "55000");
        behind_the_guard(&db, &[&trigger(what)]);
        assert_found(&mut client, "notary.journal", &["guard_off"]);
        run(&mut client, "ALTER TABLE notary.journal DISABLE TRIGGER falsify");
        assert_found(&mut client, "notary.journal", &["guard_off"]);
        run(&mut client, "ALTER TABLE notary.journal ENABLE TRIGGER falsify");
        if what == "swallow" {
            for command in ["SELECT notary.unprotect('t', 'why')", "SELECT notary.attest()"] {
                let error = refused(&mut db.client(), command);
                assert_eq!(
                    (error.code.as_str(), error.message.as_str()),
                    ("55000", "nothing could be written to notary.journal")
                );
            }
            run(&mut client, "DROP TRIGGER falsify ON notary.journal");
        }
    }
    run(&mut client, "DROP TRIGGER falsify ON notary.journal; SELECT notary.unprotect('t', 'why')");
    let late = "SELECT count(*) FROM notary.journal WHERE at < now() - interval '1 year' OR session_role = 'nobody'";
    assert_eq!(texts(&mut client, late), ["0"]);
    // Nor is it protected again with such a trigger.
    run(&mut client, "SELECT notary.unprotect('notary.journal', 'why')");
    run(&mut client, &trigger("change"));
    for table in ["t", "notary.journal"] {
        let error = refused(&mut db.client(), &format!("SELECT notary.protect('{table}')"));
        assert_eq!((error.code.as_str(), error.message.as_str()), ("42809", "notary.journal cannot become a log"));
    }
}
