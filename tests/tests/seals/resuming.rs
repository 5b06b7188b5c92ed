//! After a restore or failover signing stops until the newest published note was compared: the same tree goes on, another
//! gets another name.

use crate::tree::assert_exports;
use crate::{export, literal, seal, set_up, size};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Cluster, Database};
use postgres::Client;

const LOG: &str = "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit');
    INSERT INTO audit SELECT i, 'w' || i FROM generate_series(1, 700) AS i";

#[track_caller]
fn resume(client: &mut Client, note: &str) -> String {
    texts(client, &format!("SELECT notary.resume('audit', {})", literal(note))).remove(0)
}

fn incarnation(note: &str) -> Option<&str> {
    note.lines().next().expect("an origin").split('/').nth(2)
}

/// Copies the key file to where the other server looks for it: it belongs to the server, not to the database.
fn with_the_key(from: &Database<'_>, to: &Cluster) {
    let name = format!("{}.key", from.name());
    let (source, target) = (from.cluster().data_dir().join(&name), to.data_dir().join(&name));
    if !target.exists() {
        std::fs::copy(&source, &target).expect("we or root may");
        let about = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&source).expect("it is there"));
        std::os::unix::fs::chown(&target, Some(about), None).expect("root may");
    }
}

#[track_caller]
fn must_resume(client: &mut Client) {
    let error = refused(client, "CALL notary.seal('audit')");
    assert_eq!(error.code, "55000", "{error}");
    assert!(error.message.contains("cannot be sealed before notary.resume"), "{error}");
    assert!(error.hint.contains("SELECT notary.resume('public.audit', note)"), "{error}");
}

#[test]
fn a_promoted_standby_goes_on_with_the_newest_note() {
    let primary = Cluster::start();
    let db = primary.fresh_db("promoted");
    set_up(&db);
    run(&mut db.client(), LOG);
    let first = seal(&mut db.client(), "audit");
    let standby = primary.standby();
    run(&mut db.client(), "INSERT INTO audit VALUES (701)");
    let newest = seal(&mut db.client(), "audit");
    primary.wait_for(&standby);
    let there = standby.database(db.name());
    with_the_key(&db, &standby);
    assert_eq!(refused(&mut there.client(), "CALL notary.seal('audit')").code, "25006");
    assert_eq!(there.value("SELECT sealed_size FROM notary.verify('audit')"), "702");
    assert_eq!(there.value("SELECT count(notary.proof('audit', 1, 5))"), "1");
    there.client().batch_execute("SELECT pg_promote()").unwrap();
    let mut client = there.client();
    run(&mut client, "INSERT INTO audit VALUES (702)");
    must_resume(&mut client);
    // An older one is known to be that, no note at all will not do, and another log's is none of this one's.
    for (bad, why) in
        [(literal(&first), "not the newest"), ("NULL".into(), "a note is needed"), ("'x'".into(), "no seal")]
    {
        let error = refused(&mut client, &format!("SELECT notary.resume('audit', {bad})"));
        assert_eq!(error.code, "22023", "{error}");
        assert!(error.message.contains(why), "{error}");
    }
    let forged = newest.replace("\n702\n", "\n703\n");
    assert_eq!(refused(&mut client, &format!("SELECT notary.resume('audit', {})", literal(&forged))).code, "F0000");
    must_resume(&mut client);
    let origin = resume(&mut client, &newest);
    assert_eq!(Some(origin.as_str()), newest.lines().next());
    let note = seal(&mut client, "audit");
    assert_eq!((size(&note), incarnation(&note)), (703, None));
    assert_exports(&export(&mut client, "audit"), &note);
    assert_found(&mut client, "audit", &[]);
    let told = "SELECT details ->> 'goes_on' FROM notary.journal WHERE action = 'resume'";
    assert_eq!(texts(&mut client, told), ["true"]);
    assert_eq!(refused(&mut client, &format!("SELECT notary.resume('audit', {})", literal(&newest))).code, "55000");
    let proof = texts(&mut client, "SELECT notary.consistency_proof('audit', 702)").remove(0);
    let key = crate::key(&mut client, "audit");
    let args = [&newest, &note, &proof, &key].map(|text| literal(text)).join(", ");
    assert_eq!(texts(&mut client, &format!("SELECT valid FROM notary.verify_consistency({args})")), ["t"]);
}

/// The standby has what was planned, and not the seal that left the primary: the tree is the same.
#[test]
fn a_seal_that_the_standby_never_got_is_recognised_by_its_root() {
    let primary = Cluster::start();
    let db = primary.fresh_db("planned");
    set_up(&db);
    run(&mut db.client(), LOG);
    seal(&mut db.client(), "audit");
    run(&mut db.client(), "INSERT INTO audit SELECT i FROM generate_series(1, 500) AS i");
    let newest = seal(&mut db.client(), "audit");
    // What the standby would have, had it got the first of the two commits.
    run(
        &mut db.client(),
        "DELETE FROM notary.seal_store WHERE size = 1201; UPDATE notary.tree SET size = 701; DELETE FROM notary.subtree WHERE first >= 2",
    );
    let standby = primary.standby();
    let there = standby.database(db.name());
    with_the_key(&db, &standby);
    there.client().batch_execute("SELECT pg_promote()").unwrap();
    let mut client = there.client();
    must_resume(&mut client);
    resume(&mut client, &newest);
    run(&mut client, "INSERT INTO audit VALUES (9)");
    let note = seal(&mut client, "audit");
    assert_eq!((size(&note), incarnation(&note)), (1202, None));
    assert_found(&mut client, "audit", &[]);
    assert_exports(&export(&mut client, "audit"), &note);
    assert_eq!(texts(&mut client, "SELECT note FROM notary.seals WHERE size = 1201"), [newest]);
}

#[test]
fn a_restore_to_an_earlier_time_gets_another_name() {
    let archive = tempfile::Builder::new().prefix("notary-wal").tempdir().unwrap();
    std::fs::set_permissions(archive.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let folder = archive.path().display();
    let primary = Cluster::builder()
        .setting("wal_level", "replica")
        .setting("archive_mode", "on")
        .setting("archive_command", &format!("cp %p {folder}/%f"))
        .start();
    let db = primary.fresh_db("restored");
    set_up(&db);
    run(&mut db.client(), LOG);
    let first = seal(&mut db.client(), "audit");
    let mut copy = primary.backup();
    run(&mut db.client(), "SELECT pg_create_restore_point('here')");
    run(&mut db.client(), "INSERT INTO audit VALUES (701, 'lost by the restore')");
    let newest = seal(&mut db.client(), "audit");
    run(&mut db.client(), "SELECT pg_switch_wal()");
    std::fs::write(copy.data_dir().join("recovery.signal"), "").unwrap();
    for (name, value) in [
        ("restore_command", format!("cp {folder}/%f %p")),
        ("recovery_target_name", "here".to_owned()),
        ("recovery_target_action", "promote".to_owned()),
        ("archive_mode", "off".to_owned()),
    ] {
        copy.configure(name, &value);
    }
    // The segment that the restore point is in must have been archived.
    let archived = || std::fs::read_dir(archive.path()).unwrap().count() > 1;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !archived() {
        assert!(std::time::Instant::now() < end, "nothing is archived");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    copy.start_again();
    let there = copy.database(db.name());
    let mut client = there.client();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while texts(&mut client, "SELECT pg_is_in_recovery()") != ["f"] {
        assert!(std::time::Instant::now() < end, "recovery does not end");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["700"]);
    run(&mut client, "INSERT INTO audit VALUES (701, 'another history')");
    must_resume(&mut client);
    let verdict = format!("SELECT detail FROM notary.findings('audit', note => {})", literal(&newest));
    assert!(!texts(&mut client, &verdict).is_empty(), "the note shows that something is missing");
    assert_eq!(resume(&mut client, &newest), format!("{}/2", newest.lines().next().unwrap()));
    let note = seal(&mut client, "audit");
    assert_eq!((size(&note), incarnation(&note)), (702, Some("2")));
    assert_exports(&export(&mut client, "audit"), &note);
    assert_found(&mut client, "audit", &[]);
    // The key of the first incarnation does not speak for the second.
    let key = crate::key(&mut client, "audit");
    let judged = |client: &mut Client, note: &str| {
        texts(client, &format!("SELECT valid FROM notary.verify_note({}, {})", literal(note), literal(&key))).remove(0)
    };
    assert_eq!((judged(&mut client, &note), judged(&mut client, &newest)), ("t".into(), "f".into()));
    let told =
        "SELECT concat_ws(' ', details ->> 'goes_on', details ->> 'published_size', details ->> 'published_origin')
        FROM notary.journal WHERE action = 'resume'";
    assert_eq!(texts(&mut client, told), [format!("false 702 {}", newest.lines().next().unwrap())]);
    assert_eq!(
        refused(&mut client, &format!("SELECT notary.findings('audit', note => {})", literal(&first))).code,
        "22023"
    );
    run(&mut client, "SELECT notary.assert_intact()");
}

#[test]
fn a_dump_that_was_restored_elsewhere_must_resume_too() {
    let source = Cluster::start();
    let db = source.fresh_db("dumped");
    set_up(&db);
    run(&mut db.client(), LOG);
    let newest = seal(&mut db.client(), "audit");
    let dumps = [("whole", &["-Fc"][..]), ("alone", &["-Fc", "-t", "audit"])]
        .map(|(which, args)| (which, source.pg_dump(db.name(), args).ok().stdout_bytes));
    for (which, dump) in dumps {
        let copy = source.bare_db(&format!("copy_{which}"));
        if which == "alone" {
            run(&mut copy.client(), "CREATE EXTENSION pg_notary");
        }
        source.pg_restore(copy.name(), &[], &dump).ok();
        let key = format!("{}.key", db.name());
        let mut client = copy.client();
        run(&mut client, &format!("SET notary.origin = 'db.example.com'; SET notary.signing_key_file = '{key}'"));
        must_resume(&mut client);
        run(&mut client, "INSERT INTO audit VALUES (1000)");
        if which == "whole" {
            // The original is still there, and seals under that name.
            let error = refused(&mut client, &format!("SELECT notary.resume('audit', {})", literal(&newest)));
            assert_eq!(error.code, "55000");
            assert!(error.message.contains("sealed in another database"), "{error}");
            run(&mut source.client("postgres"), &format!("DROP DATABASE \"{}\" WITH (FORCE)", db.name()));
        }
        let bare = newest.split("\n\n").next().unwrap().to_owned() + "\n";
        let error = refused(&mut client, &format!("SELECT notary.resume('audit', {})", literal(&bare)));
        assert_eq!((error.code.as_str(), error.message.as_str()), ("22023", "the note is not signed"));
        resume(&mut client, &newest);
        let note = seal(&mut client, "audit");
        // Alone it has come without its tree, so that nobody can say whether it is the one that was published.
        let expected = if which == "alone" { Some("2") } else { None };
        assert_eq!((size(&note), incarnation(&note)), (702, expected), "{which}");
        assert_exports(&export(&mut client, "audit"), &note);
        assert_found(&mut client, "audit", &[]);
    }
}

#[test]
fn a_log_that_was_never_sealed_says_so_itself() {
    let primary = Cluster::start();
    let db = primary.fresh_db("never");
    set_up(&db);
    run(&mut db.client(), LOG);
    let standby = primary.standby();
    let there = standby.database(db.name());
    with_the_key(&db, &standby);
    there.client().batch_execute("SELECT pg_promote()").unwrap();
    let mut client = there.client();
    must_resume(&mut client);
    let role = there.role("reader");
    run(&mut client, &format!("GRANT SELECT ON audit TO \"{role}\""));
    assert_eq!(refused(&mut there.client_as(&role), "SELECT notary.resume('audit', NULL)").code, "42501");
    run(&mut client, "SELECT notary.resume('audit', NULL)");
    let note = seal(&mut client, "audit");
    // Its original may live on and be sealed under the first name.
    assert_eq!((size(&note), incarnation(&note)), (701, Some("2")));
}

/// An older dump in place of the database that it is of: what was published since is not in it.
#[test]
fn a_dump_restored_in_its_own_place_must_resume_too() {
    let cluster = Cluster::start();
    let db = cluster.fresh_db("in_place");
    set_up(&db);
    run(&mut db.client(), LOG);
    let first = seal(&mut db.client(), "audit");
    let dump = cluster.pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    run(&mut db.client(), "INSERT INTO audit VALUES (701, 'published')");
    let newest = seal(&mut db.client(), "audit");
    run(&mut db.client(), "SELECT notary.unprotect('audit', 'x'); SELECT notary.unprotect('notary.journal', 'x')");
    cluster.pg_restore(db.name(), &["--clean", "--if-exists"], &dump).ok();
    let (mut client, said) = db.client_with_notices("postgres");
    run(&mut client, "INSERT INTO audit VALUES (701, 'another')");
    must_resume(&mut client);
    // What the restored database has itself is taken with a warning, since only a person can know of more.
    run(&mut client, "BEGIN");
    resume(&mut client, &first);
    assert!(said.take().iter().any(|line| line.contains("was nothing newer published?")));
    run(&mut client, "ROLLBACK");
    assert_eq!(resume(&mut client, &newest), format!("{}/2", newest.lines().next().unwrap()));
    seal(&mut client, "audit");
    assert_found(&mut client, "audit", &[]);
}

/// A copy of a log that was never sealed: its original may be sealed at any time.
#[test]
fn a_copy_of_what_was_never_sealed_has_another_name_than_its_original() {
    let cluster = Cluster::start();
    let db = cluster.fresh_db("original");
    set_up(&db);
    run(&mut db.client(), LOG);
    let error = refused(&mut db.client(), "SELECT notary.resume('audit', NULL)");
    assert!(error.code == "55000" && error.message.contains("nothing to resume"), "{error}");
    for args in [&["-Fc"][..], &["-Fc", "-t", "audit"]] {
        let dump = cluster.pg_dump(db.name(), args).ok().stdout_bytes;
        let copy = cluster.bare_db("beside");
        if args.len() > 1 {
            run(&mut copy.client(), "CREATE EXTENSION pg_notary");
        }
        cluster.pg_restore(copy.name(), &[], &dump).ok();
        let mut client = copy.client();
        let key = format!("SET notary.origin = 'db.example.com'; SET notary.signing_key_file = '{}.key'", db.name());
        run(&mut client, &key);
        must_resume(&mut client);
        run(&mut client, "SELECT notary.resume('audit', NULL)");
        assert_eq!(incarnation(&seal(&mut client, "audit")), Some("2"));
        assert_eq!(incarnation(&seal(&mut db.client(), "audit")), None);
    }
}

#[test]
fn a_log_that_lost_a_partition_needs_its_journal() {
    let cluster = Cluster::start();
    let db = cluster.fresh_db("lost_part");
    set_up(&db);
    run(
        &mut db.client(),
        "CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
         CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN (2); SELECT notary.protect('parts');
         INSERT INTO parts VALUES (1), (2); SELECT notary.unprotect('parts', 'x'); DROP TABLE part_1;
         SELECT notary.protect('parts')",
    );
    let dump = cluster.pg_dump(db.name(), &["-Fc", "-t", "part*"]).ok().stdout_bytes;
    let copy = cluster.bare_db("part_alone");
    run(&mut copy.client(), "CREATE EXTENSION pg_notary");
    cluster.pg_restore(copy.name(), &[], &dump).ok();
    let mut client = copy.client();
    run(&mut client, "SET notary.origin = 'db.example.com'");
    let error = refused(&mut client, "SELECT notary.resume('parts', NULL)");
    assert_eq!(error.code, "55000", "{error}");
    assert!(error.detail.contains("header of segment 1") && error.hint.contains("notary.journal"), "{error}");
}
