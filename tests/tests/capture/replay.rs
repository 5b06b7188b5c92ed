//! Replay: the events, one after the other, make the tables anew from nothing.

use notary_tests::Database;
use notary_tests::talk::{run, texts};
use notary_tests::verdict::assert_found;

/// Applies the events of `audit` in their order to `replayed`, a row for each row of each table, as jsonb.
///
/// `key_of` has the key's columns; a table that is not there has none, and full rows. DDL is told by events of its own,
/// which whoever alters a tracked table writes. What does not follow from what was before is an error.
const REPLAY: &str = "
    CREATE TABLE replayed (t text, k text, r jsonb NOT NULL);
    CREATE INDEX ON replayed (t, k);
    CREATE TABLE key_of (t text PRIMARY KEY, columns text[] NOT NULL);

    CREATE FUNCTION key_text(whose text, r jsonb) RETURNS text LANGUAGE sql STABLE AS $$
        SELECT CASE cardinality(columns) WHEN 1 THEN r ->> columns[1]
            ELSE '[' || (SELECT string_agg((r -> c)::text, ', ' ORDER BY n) FROM unnest(columns) WITH ORDINALITY AS u (c, n)) || ']' END
        FROM key_of WHERE t = whose
    $$;

    CREATE FUNCTION replay() RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
        e record;
        deed text;
        found_rows bigint;
        events bigint := 0;
        was text;
        becomes text;
    BEGIN
        DELETE FROM replayed;
        FOR e IN SELECT * FROM audit ORDER BY occurred_at, id LOOP
            events := events + 1;
            deed := regexp_replace(e.action, '^.*\\.', '');
            found_rows := 1;
            CASE deed
            WHEN 'insert' THEN
                INSERT INTO replayed VALUES (e.resource_type, e.resource_id, e.new_value);
            WHEN 'update' THEN
                IF e.resource_id IS NULL THEN
                    UPDATE replayed SET r = e.new_value WHERE ctid = (
                        SELECT min(ctid) FROM replayed WHERE t = e.resource_type AND r = e.old_value);
                ELSE
                    UPDATE replayed SET r = r || e.new_value, k = key_text(t, r || e.new_value)
                    WHERE t = e.resource_type AND k = e.resource_id AND r = r || e.old_value;
                END IF;
                GET DIAGNOSTICS found_rows = ROW_COUNT;
            WHEN 'delete' THEN
                DELETE FROM replayed WHERE ctid = (SELECT min(ctid) FROM replayed
                    WHERE t = e.resource_type AND k IS NOT DISTINCT FROM e.resource_id AND r = e.old_value);
                GET DIAGNOSTICS found_rows = ROW_COUNT;
            WHEN 'truncate' THEN
                DELETE FROM replayed WHERE t = e.resource_type
                    AND (e.resource_name IS NULL OR e.resource_name ~ ('_' || (r ->> 'bucket') || '$'));
            WHEN 'rename_table' THEN
                was := e.details ->> 'from';
                becomes := e.details ->> 'to';
                UPDATE replayed SET t = becomes WHERE t = was;
                UPDATE key_of SET t = becomes WHERE t = was;
            WHEN 'rename_column' THEN
                UPDATE replayed SET r = (r - (e.details ->> 'from')) || jsonb_build_object(e.details ->> 'to', r -> (e.details ->> 'from'))
                WHERE t = e.details ->> 'table';
                UPDATE key_of SET columns = array_replace(columns, e.details ->> 'from', e.details ->> 'to') WHERE t = e.details ->> 'table';
            WHEN 'add_column' THEN
                UPDATE replayed SET r = r || jsonb_build_object(e.details ->> 'column', e.details -> 'value') WHERE t = e.details ->> 'table';
            WHEN 'drop_column' THEN
                UPDATE replayed SET r = r - (e.details ->> 'column') WHERE t = e.details ->> 'table';
            END CASE;
            IF found_rows <> 1 THEN
                RAISE 'event % (%) % of % does not follow from those before: % row(s); % > %', events, e.id, e.action, e.resource_id, found_rows,
                    e.old_value, e.new_value;
            END IF;
        END LOOP;
        RETURN events;
    END $$;";

/// Makes what replaying takes; the keys' columns of each table, `public.t` and `id` or `a,b`.
pub fn prepare(db: &Database<'_>, keys: &[(&str, &str)]) {
    let mut client = db.client();
    run(&mut client, REPLAY);
    for (table, columns) in keys {
        run(&mut client, &format!("INSERT INTO key_of VALUES ('{table}', string_to_array('{columns}', ','))"));
    }
}

/// SQL for a time as events spell it: always to the microsecond, where `to_jsonb` leaves zeros out.
pub fn time(value: &str, zone: &str) -> String {
    format!("to_char({value}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"{zone}\"')")
}

/// Panics unless replaying gives these tables: the name in events, and a query that gives each row as jsonb. How many events
/// there were.
#[track_caller]
pub fn assert_replays(db: &Database<'_>, tables: &[(&str, &str)]) -> u64 {
    let mut client = db.client();
    let events = texts(&mut client, "SELECT replay()").remove(0);
    for (name, rows) in tables {
        let replayed = format!("SELECT r FROM replayed WHERE t = '{name}'");
        for (more, less) in [(*rows, replayed.as_str()), (replayed.as_str(), *rows)] {
            let differ = texts(&mut client, &format!("({more}) EXCEPT ALL ({less}) LIMIT 5"));
            assert_eq!(differ, [""; 0], "{name}: in ({more}), not in ({less})");
        }
    }
    assert_found(&mut client, "audit", &[]);
    events.parse().expect("a number")
}

#[test]
fn a_history_that_was_tampered_with_does_not_replay() {
    let db = crate::scene("tampered");
    prepare(&db, &[("public.t", "id")]);
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, n int); SELECT notary.track('t', 'audit'); INSERT INTO t VALUES (1, 1), (2, 2); UPDATE t SET n = n + 1",
    );
    let tables = [("public.t", "SELECT to_jsonb(t) FROM t")];
    assert_eq!(assert_replays(&db, &tables), 4);
    // Round the triggers: the log does not know of it, and the comparison shows it.
    run(&mut client, "SET session_replication_role = replica");
    notary_tests::verdict::behind_the_guard(&db, &["UPDATE t SET n = 99 WHERE id = 1"]);
    let unequal = std::panic::catch_unwind(|| assert_replays(&db, &tables));
    assert!(unequal.is_err(), "the replay notices nothing");
}
