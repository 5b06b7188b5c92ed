//! Rows that bring their notary_* values: refused from clients, kept in a restore and from a replication stream.

use super::{assert_sound, log, refused, run, texts};

#[test]
fn values_for_any_notary_column_are_refused() {
    let (_db, mut client) = log("restore_refused");
    for (column, value) in [
        ("notary_chain", "1"),
        ("notary_seq", "1"),
        ("notary_time", "now()"),
        ("notary_prev", "'\\x00'"),
        ("notary_hash", "sha256('x')"),
    ] {
        let error = refused(&mut client, &format!("INSERT INTO t (a, {column}) VALUES (1, {value})"));
        assert_eq!(
            error.to_string(),
            format!(
                "55000: a value for {column} was supplied in an INSERT into the log public.t\n\
                 DETAIL: The notary_* columns are filled in by the database.\n\
                 HINT: Leave the notary_* columns out of the INSERT, or set them to NULL. To load a dump, a superuser may \
                 SET LOCAL notary.restore = on; notary.unprotect(table, reason) ends the protection."
            )
        );
    }
    run(
        &mut client,
        "INSERT INTO t (a, notary_chain, notary_seq, notary_time, notary_prev, notary_hash) VALUES (1, NULL, NULL, NULL, NULL, NULL)",
    );
    run(&mut client, "INSERT INTO t (a, notary_chain) VALUES (2, DEFAULT)");
    assert_sound(&mut client, "t", 2);
    // A default that somebody put there, or a trigger, supplies too.
    run(
        &mut client,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.notary_seq := 7; RETURN NEW; END';
         CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    );
    assert_eq!(refused(&mut client, "INSERT INTO t (a) VALUES (3)").code, "55000");
}

#[test]
fn an_entry_copied_from_the_log_into_itself_is_refused() {
    let (_db, mut client) = log("restore_copy");
    run(&mut client, "INSERT INTO t VALUES (1, 'x')");
    let all = "INSERT INTO t SELECT a + 1, b, notary_chain, notary_seq, notary_time, notary_prev, notary_hash FROM t";
    assert_eq!(refused(&mut client, all).code, "55000");
    assert_sound(&mut client, "t", 1);
}

#[test]
fn ordinary_users_cannot_turn_restoring_on() {
    let (db, mut client) = log("restore_privilege");
    let writer = db.role("writer");
    run(&mut client, &format!("GRANT ALL ON t TO \"{writer}\""));
    let with_values = "INSERT INTO t (a, notary_seq) VALUES (1, 1)";
    // Before a session has met pg_notary PostgreSQL takes a setting of its name for anybody's: it counts for nothing.
    let mut early = db.client_as(&writer);
    run(&mut early, "SET notary.restore = on");
    assert_eq!(refused(&mut early, with_values).code, "55000");
    assert_eq!(refused(&mut early, with_values).code, "55000");
    assert_eq!(texts(&mut early, "SHOW notary.restore"), ["off"]);
    let mut writers = db.client_as(&writer);
    run(&mut writers, "INSERT INTO t (a) VALUES (0)");
    for sql in [
        "SET notary.restore = on",
        "SET LOCAL notary.restore = on",
        "SELECT set_config('notary.restore', 'on', true)",
        "SET session_replication_role = replica",
    ] {
        assert_eq!(refused(&mut writers, sql).code, "42501", "{sql}");
    }
    let options = "-c notary.restore=on";
    let mut connected = db.cluster().config_as(db.name(), &writer).options(options).connect(postgres::NoTls).unwrap();
    assert_eq!(refused(&mut connected, with_values).code, "55000");
    // Turned on by a superuser who then becomes somebody else, it counts for nothing.
    run(&mut client, &format!("SET notary.restore = on; SET ROLE \"{writer}\""));
    assert_eq!(refused(&mut client, "INSERT INTO t (a, notary_seq) VALUES (1, 1)").code, "55000");
    run(&mut client, "RESET ROLE");
    // A misspelt setting is an error and not silence.
    assert_eq!(refused(&mut client, "SET notary.restor = on").code, "42602");
}

/// The log's rows with their values, as SQL.
fn values(client: &mut postgres::Client) -> Vec<String> {
    texts(
        client,
        "SELECT format('(%s, %L, %s, %s, %L, %L, %L)', a, b, notary_chain, notary_seq, notary_time, notary_prev, notary_hash)
         FROM t ORDER BY notary_chain, notary_seq",
    )
}

/// The log as a superuser who restores it alone would have it: no rows, triggers in place.
fn emptied(db: &notary_tests::Database<'_>) {
    notary_tests::verdict::behind_the_guard(db, &["DELETE FROM t"]);
}

#[test]
fn restored_rows_are_kept_as_they_are_and_others_are_chained_after_them() {
    for how in ["notary.restore = on", "session_replication_role = replica"] {
        let (db, mut client) = log(&format!("restore_kept_{}", &how[..7].replace('.', "_")));
        run(&mut client, "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL)");
        let rows = values(&mut client);
        emptied(&db);
        // Backwards, from another session, with rows that bring nothing in between.
        let mut restorer = db.client();
        run(
            &mut restorer,
            &format!(
                "BEGIN; SET LOCAL {how};
                 INSERT INTO t VALUES {}; INSERT INTO t VALUES {}, {}; INSERT INTO t (a) VALUES (4); COMMIT",
                rows[2], rows[1], rows[0]
            ),
        );
        assert_sound(&mut client, "t", 4);
        assert_eq!(values(&mut client)[..3], rows[..]);
        // A session that had a head in mind from before goes on after what was restored.
        run(&mut client, "INSERT INTO t VALUES (5, 'z')");
        run(&mut restorer, "INSERT INTO t VALUES (6, 'z')");
        assert_sound(&mut client, "t", 6);
        assert_eq!(refused(&mut restorer, "INSERT INTO t (a, notary_seq) VALUES (9, 9)").code, "55000", "it was LOCAL");
    }
}

#[test]
fn a_forged_row_that_a_superuser_restores_is_found() {
    let (_db, mut client) = log("restore_forged");
    run(&mut client, "INSERT INTO t VALUES (1, 'x')");
    run(
        &mut client,
        "BEGIN; SET LOCAL notary.restore = on; INSERT INTO t (a, notary_chain, notary_seq, notary_time, notary_prev, notary_hash)
         SELECT 2, 1, 2, now(), notary_hash, sha256('a guess') FROM t; COMMIT",
    );
    let said = notary_tests::verdict::findings(&mut client, "t");
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!((said[0].chain, said[0].seq), (Some(1), Some(2)), "{said:#?}");
}
