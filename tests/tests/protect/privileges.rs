//! Who may protect and unprotect.

use super::{assert_intact, assert_untouched, refused, run};
use notary_tests::fresh_db;

#[test]
fn protect_and_unprotect_want_the_owner_or_a_superuser() {
    let db = fresh_db("privileges");
    let mut superuser = db.client();
    let (owner, other, member) = (db.role("owner"), db.role("other"), db.role("member"));
    run(&mut superuser, &format!("GRANT \"{owner}\" TO \"{member}\""));
    let mut owners = db.client_as(&owner);
    run(&mut owners, &format!("CREATE TABLE t (a int); INSERT INTO t VALUES (1); GRANT ALL ON t TO \"{other}\""));
    let mut others = db.client_as(&other);
    let expected = |what| {
        format!(
            "42501: must be owner of public.t\nDETAIL: Only the table's owner or a superuser may {what}.\n\
             HINT: Ask the owner, or SET ROLE to a role that owns the table."
        )
    };
    assert_eq!(refused(&mut others, "SELECT notary.protect('t')").to_string(), expected("protect it"));
    assert_untouched(&mut superuser, "t");
    run(&mut owners, "SELECT notary.protect('t'); INSERT INTO t (a) VALUES (2)");
    assert_intact(&mut superuser, "t", 2);
    assert_eq!(refused(&mut others, "SELECT notary.unprotect('t', 'because')").to_string(), expected("unprotect it"));
    // A member of the owning role is an owner; so is a superuser.
    let mut members = db.client_as(&member);
    run(&mut members, "SELECT notary.unprotect('t', 'because'); SELECT notary.protect('t')");
    run(&mut superuser, "SELECT notary.unprotect('t', 'because'); SELECT notary.protect('t')");
    // Everything that was added belongs to the owner, who needs no superuser to go on.
    run(&mut owners, "INSERT INTO t (a) VALUES (3); CREATE INDEX ON t (a)");
    assert_intact(&mut superuser, "t", 3);
    let index = "SELECT relowner::regrole::text FROM pg_class WHERE relname LIKE 't_notary_chain%'";
    assert_eq!(db.value(index).trim_matches('"'), owner);
}

#[test]
fn the_owner_of_a_partitioned_table_cannot_protect_other_peoples_partitions() {
    let db = fresh_db("privileges_partition");
    let mut superuser = db.client();
    let owner = db.role("owner");
    let mut owners = db.client_as(&owner);
    run(&mut owners, "CREATE TABLE root (a int) PARTITION BY RANGE (a)");
    run(&mut superuser, "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (1) TO (2)");
    let error = refused(&mut owners, "SELECT notary.protect('root')");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("42501", "must be owner of public.leaf"));
    assert_untouched(&mut superuser, "leaf");
}

#[test]
fn a_writer_needs_no_more_than_insert() {
    let db = fresh_db("privileges_writer");
    let (owner, writer) = (db.role("owner"), db.role("writer"));
    let mut owners = db.client_as(&owner);
    run(
        &mut owners,
        &format!("CREATE TABLE t (a int); SELECT notary.protect('t'); GRANT INSERT (a) ON t TO \"{writer}\""),
    );
    let mut writers = db.client_as(&writer);
    run(&mut writers, "INSERT INTO t (a) VALUES (1); INSERT INTO t (a) SELECT generate_series(2, 5)");
    assert_eq!(refused(&mut writers, "SELECT * FROM t").code, "42501");
    for call in ["verify('t')", "findings('t')", "header('t')", "line('t', 1, 1)"] {
        assert_eq!(refused(&mut writers, &format!("SELECT * FROM notary.{call}")).code, "42501", "{call}");
    }
    assert_intact(&mut db.client(), "t", 5);
}

#[test]
fn row_level_security_hides_rows_from_line_and_not_from_the_check() {
    let db = fresh_db("privileges_rls");
    let (owner, auditor) = (db.role("owner"), db.role("auditor"));
    run(
        &mut db.client_as(&owner),
        &format!(
            "CREATE TABLE t (a int); SELECT notary.protect('t'); INSERT INTO t (a) VALUES (1), (2);
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t FOR SELECT USING (a = 1);
             GRANT SELECT ON t TO \"{auditor}\""
        ),
    );
    let mut auditors = db.client_as(&auditor);
    assert_intact(&mut auditors, "t", 2);
    run(&mut auditors, "SELECT notary.line('t', 1, 1)");
    assert_eq!(refused(&mut auditors, "SELECT notary.line('t', 1, 2)").code, "P0002");
}

#[test]
fn nobody_but_protect_makes_the_triggers() {
    let db = fresh_db("privileges_trigger");
    let mut owners = db.client_as(&db.role("owner"));
    run(&mut owners, "CREATE TABLE t (a int)");
    for function in ["append", "refuse"] {
        let sql = format!("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION notary.{function}()");
        assert_eq!(refused(&mut owners, &sql).code, "42501");
    }
    for table in ["segment", "journal"] {
        let error = refused(&mut owners, &format!("SELECT * FROM notary.{table}"));
        assert!(["42501", "42P01"].contains(&error.code.as_str()), "{error}");
    }
}
