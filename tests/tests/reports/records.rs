//! What `notary.integrity` and `notary.access` say of logs that something is wrong with, and to whom.

use notary_tests::fresh_db;
use notary_tests::talk::{refused, run, texts};

#[test]
fn damaged_logs_are_shown_and_not_hidden() {
    let db = fresh_db("records");
    let mut client = db.client();
    for log in ["fine", "ended", "disabled", "lost"] {
        run(&mut client, &format!("SELECT notary.create_log('{log}'); INSERT INTO {log} (action) VALUES ('a.b')"));
    }
    run(
        &mut client,
        "SELECT notary.unprotect('ended', 'a test');
         UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname = '~notary_about' AND tgrelid = 'disabled'::regclass;
         DELETE FROM pg_trigger WHERE tgname = '~notary_about' AND tgrelid = 'lost'::regclass;
         UPDATE pg_class SET reltuples = reltuples",
    );
    let rows = "SELECT concat_ws('|', log, coalesce(entries::text, '-'), guard)";
    let expected = [
        "disabled|1|Its trigger ~notary_about is disabled.",
        "ended|-|not protected",
        "fine|1|complete",
        "lost|1|It has no trigger ~notary_about.",
    ];
    assert_eq!(texts(&mut client, &format!("{rows} FROM notary.integrity ORDER BY log::text")), expected);
    for (log, expected) in ["disabled", "ended", "fine", "lost"].iter().zip(expected) {
        assert_eq!(texts(&mut client, &format!("{rows} FROM notary.integrity('{log}')")), [expected]);
        assert_eq!(texts(&mut client, &format!("SELECT count(*) > 0 FROM notary.access('{log}')")), ["t"]);
    }
    let ended = "SELECT concat_ws('|', unattested, coalesce(lines, sealed_lines, unsealed_lines)::text) FROM notary.integrity('ended')";
    assert_eq!(texts(&mut client, ended), ["not protected"]);
    let left_out = "SELECT log || ': ' || left_out FROM notary.event_logs WHERE left_out IS NOT NULL ORDER BY 1";
    let said = ["disabled: Its trigger ~notary_about is disabled.", "lost: It has no trigger ~notary_about."];
    assert_eq!(texts(&mut client, left_out), said);
    let (mut reader, notices) = db.client_with_notices("postgres");
    assert_eq!(texts(&mut reader, "SELECT DISTINCT log::text FROM notary.activity ORDER BY 1"), ["ended", "fine"]);
    let warned = notices.take().join("\n");
    assert!(warned.contains("public.disabled is left out") && warned.contains("public.lost is left out"), "{warned}");
    // One that lost all its triggers is no event log to anybody, but still a log.
    run(
        &mut client,
        "DELETE FROM pg_trigger WHERE tgrelid = 'lost'::regclass; UPDATE pg_class SET reltuples = reltuples",
    );
    let bare = "SELECT i.log || i.guard FROM notary.integrity('lost') AS i";
    assert!(texts(&mut client, bare)[0].starts_with("losttrigger "), "{:?}", texts(&mut client, bare));
    assert_eq!(
        texts(
            &mut client,
            "SELECT count(*) > 0 FROM notary.logs AS l, notary.access(l.log) WHERE l.log = 'lost'::regclass"
        ),
        ["t"]
    );
    run(&mut client, "CREATE TABLE plain (a int)");
    assert_eq!(refused(&mut client, "SELECT * FROM notary.integrity('plain')").code, "55000");
    assert_eq!(refused(&mut client, "SELECT * FROM notary.integrity(1::oid::regclass)").code, "22023");
}

#[test]
fn a_partition_is_named_by_its_table() {
    let db = fresh_db("records_parts");
    let mut client = db.client();
    run(
        &mut client,
        "SELECT notary.create_log('one'); SELECT notary.unprotect('one', 'a test');
         CREATE TABLE parted (LIKE one INCLUDING DEFAULTS) PARTITION BY RANGE (occurred_at);
         CREATE TABLE part PARTITION OF parted DEFAULT;
         CREATE TRIGGER \"~notary_about\" BEFORE INSERT ON parted FOR EACH ROW EXECUTE FUNCTION notary.about();
         ALTER TABLE parted ENABLE ALWAYS TRIGGER \"~notary_about\"",
    );
    let refused = refused(&mut client, "SELECT * FROM notary.integrity('part')");
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("42809", "public.part is a partition of public.parted")
    );
    assert_eq!(refused.hint, "Name public.parted instead.");
    assert_eq!(texts(&mut client, "SELECT guard FROM notary.integrity('parted')"), ["not protected"]);
    assert_eq!(texts(&mut client, "SELECT count(*) > 0 FROM notary.access('part')"), ["t"]);
}

#[test]
fn from_whom_rows_are_hidden_their_number_is_too() {
    let db = fresh_db("records_tenants");
    let (mut client, red) = (db.client(), db.role("red"));
    run(
        &mut client,
        &format!(
            "SELECT notary.create_log('one', reader => '{red}'); INSERT INTO one (action, actor) SELECT 'a.b', 'x' FROM generate_series(1, 9);
             SELECT notary.attest('one'); GRANT SELECT ON notary.journal TO \"{red}\""
        ),
    );
    let (volume, rest) = (
        "SELECT concat_ws(',', i.entries, i.last_entry, i.attested_entries, i.lines, i.sealed_lines, i.unsealed_lines,
             i.unsealed_since, i.sealed_share, l.chains, l.entries, l.last_entry)
         FROM notary.integrity AS i JOIN notary.logs AS l USING (log)",
        "SELECT concat_ws(',', i.log, i.intact, i.guard, l.guard) FROM notary.integrity('one') AS i JOIN notary.logs AS l USING (log)",
    );
    let mut theirs = db.client_as(&red);
    assert!(texts(&mut theirs, volume)[0].matches(',').count() > 5);
    run(
        &mut client,
        "ALTER TABLE one ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON one USING (actor = current_user)",
    );
    assert_eq!(texts(&mut theirs, volume), [""]);
    assert_eq!(texts(&mut theirs, rest), ["one,t,complete,complete"]);
    // To its owner, whom policies do not bind, it is what it was.
    assert!(texts(&mut client, volume)[0].matches(',').count() > 5);
}
