-- Captured changes: what happens to a tracked table becomes an event.
CREATE FUNCTION notary.capture() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'notary_capture';
REVOKE ALL ON FUNCTION notary.capture() FROM PUBLIC;
COMMENT ON FUNCTION notary.capture() IS 'Trigger function of tracked tables: makes an event of a changed row, or of a TRUNCATE. Its arguments are the log, the columns named as PII, the excluded ones, and full_rows.';

CREATE TABLE notary.pii_key (
    key bytea NOT NULL CHECK (length(key) >= 32),
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
REVOKE ALL ON notary.pii_key FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('notary.pii_key', '');
COMMENT ON TABLE notary.pii_key IS 'The key that values of columns named as PII are hashed with: HMAC-SHA256 of a value''s JSON text. Dumped with the database; whoever has it can try values. Superusers only.';
COMMENT ON COLUMN notary.pii_key.key IS 'At least 32 bytes.';
COMMENT ON COLUMN notary.pii_key.one IS 'There is one row.';

CREATE FUNCTION notary.track("table" regclass, log regclass, pii name[] DEFAULT '{}', exclude name[] DEFAULT '{}', full_rows boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'track_wrapper';
COMMENT ON FUNCTION notary.track(regclass, regclass, name[], name[], boolean) IS 'From now on every INSERT, UPDATE, DELETE and TRUNCATE of the table is an event of the log, in the same transaction: action schema.table.insert and so on, resource_type schema.table, resource_id the primary key (of several columns a JSON array), old_value and new_value with the columns; of an UPDATE with those that changed, unless full_rows. Values of columns named as pii stand there as hmac: and 64 hex digits (see notary.pii_key), and the event is flagged; excluded columns do not appear. An UPDATE that changes nothing else makes no event. The table''s owner, who needs INSERT on the log. Errors: 42501 not the owner or no INSERT, 55000 cannot be tracked, is tracked, or not an event log, 42703 no such column, 22023 a column named twice or a NULL, 25006 a read-only transaction.';

CREATE FUNCTION notary.untrack("table" regclass, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'untrack_wrapper';
COMMENT ON FUNCTION notary.untrack(regclass, text) IS 'Ends the recording of a table''s changes and writes that to notary.journal, with the reason. Errors: 42501 not the owner, 55000 not tracked, neither by its triggers nor by the journal, 42809 a partition (name the partitioned table), 22023 no reason given, 25006 a read-only transaction.';

CREATE FUNCTION notary.forget_tracked(relation text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'forget_tracked_wrapper';
REVOKE ALL ON FUNCTION notary.forget_tracked(text, text) FROM PUBLIC;
COMMENT ON FUNCTION notary.forget_tracked(text, text) IS 'Writes to notary.journal that a tracked table which is no longer in this database, or was left out of this copy, was given up on purpose, so that it is not missed any more. relation is its name as the journal has it. Superusers only by default. Errors: 55000 the table is still here, 22023 no such table is tracked by the journal, or no reason given, 25006 a read-only transaction.';

CREATE FUNCTION notary.tracked_list(OUT "table" regclass, OUT log regclass, OUT log_uuid uuid, OUT pii text[], OUT exclude text[], OUT full_rows boolean, OUT problem text) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_tracked_list';
COMMENT ON FUNCTION notary.tracked_list() IS 'What the view notary.tracked shows.';

CREATE VIEW notary.tracked AS SELECT * FROM notary.tracked_list();
GRANT SELECT ON notary.tracked TO PUBLIC;
COMMENT ON VIEW notary.tracked IS 'The tables whose changes are recorded, by their triggers, and those that should be, by notary.journal.';
COMMENT ON COLUMN notary.tracked."table" IS 'The table.';
COMMENT ON COLUMN notary.tracked.log IS 'The log that its changes go to; NULL: it is not in this database.';
COMMENT ON COLUMN notary.tracked.log_uuid IS 'The log''s uuid.';
COMMENT ON COLUMN notary.tracked.pii IS 'Columns whose values are hashed.';
COMMENT ON COLUMN notary.tracked.exclude IS 'Columns that do not appear.';
COMMENT ON COLUMN notary.tracked.full_rows IS 'Of an UPDATE all columns are recorded, not only those that changed.';
COMMENT ON COLUMN notary.tracked.problem IS 'Why not every change is recorded, or not as notary.journal has it; NULL: every change is.';

CREATE VIEW notary.untracked AS
SELECT c.oid::pg_catalog.regclass AS "table",
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       CASE c.relkind WHEN 'p' THEN 'partitioned table' ELSE 'table' END AS kind,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'notary') AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
      WHERE t.tgrelid = c.oid AND p.pronamespace = 'notary'::pg_catalog.regnamespace AND p.proname IN ('capture', 'append', 'refuse'));
GRANT SELECT ON notary.untracked TO PUBLIC;
COMMENT ON VIEW notary.untracked IS 'The tables whose changes are not recorded, logs and the system''s own left out.';
COMMENT ON COLUMN notary.untracked."table" IS 'The table.';
COMMENT ON COLUMN notary.untracked.owner IS 'The role that can have it tracked.';
COMMENT ON COLUMN notary.untracked.kind IS 'table or partitioned table.';
COMMENT ON COLUMN notary.untracked.rows IS 'How many rows, as the planner estimates; NULL: not known yet.';

CREATE FUNCTION notary.coverage(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
    RETURNS TABLE (relation text, log text, began timestamptz, ended timestamptz, began_by text, ended_by text, reason text, pii text[], exclude text[], here boolean, "table" regclass)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this text := (SELECT c.system_identifier || '/' || d.oid || '/' || e.oid
        FROM pg_control_system() AS c, pg_database AS d, pg_extension AS e WHERE d.datname = current_database() AND e.extname = 'pg_notary');
BEGIN
    IF since >= until THEN
        RAISE invalid_parameter_value USING MESSAGE = 'since is not before until',
            DETAIL = format('since is %s, until is %s.', since, until), HINT = 'until is the first moment that is left out.';
    END IF;
    IF to_regclass('notary.journal') IS NULL THEN
        RETURN;
    ELSIF NOT has_table_privilege('notary.journal', 'SELECT') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for table notary.journal',
            DETAIL = 'It tells when changes of which table were recorded.',
            HINT = 'A superuser can run: GRANT SELECT ON notary.journal TO your_role.';
    END IF;
    RETURN QUERY
    -- What notary.attest took over in a restored copy is as if it were tracked then, as it was before.
    WITH said AS (
        SELECT j.action, j.relation, j.at, j.session_role, j.reason, j.details ->> 'home' AS home, j.details ->> 'table_oid' AS oid, j.details
        FROM notary.journal AS j WHERE j.action IN ('track', 'untrack')
        UNION ALL
        SELECT 'track', f ->> 'relation', j.at, j.session_role, j.reason, j.details ->> 'home', f ->> 'table_oid', f || jsonb_build_object('into', j.relation)
        FROM notary.journal AS j, jsonb_array_elements(j.details -> 'tracked') AS f WHERE j.action = 'attest')
    SELECT t.relation, t.details ->> 'into', t.at, u.at, t.session_role, u.session_role, u.reason,
           ARRAY(SELECT jsonb_array_elements_text(t.details -> 'pii')), ARRAY(SELECT jsonb_array_elements_text(t.details -> 'exclude')), t.home = this,
           CASE WHEN t.home = this THEN (SELECT c.oid::regclass FROM pg_class AS c WHERE c.oid::text = t.oid) END
    FROM said AS t LEFT JOIN LATERAL (
        SELECT l.at, l.session_role, l.reason FROM said AS l
        WHERE l.at > t.at AND CASE WHEN l.details ? 'ends' THEN l.details -> 'ends' ->> 'home' = t.home AND l.details -> 'ends' ->> 'table_oid' = t.oid
            WHEN l.home = t.home THEN l.oid = t.oid ELSE l.relation = t.relation END
        ORDER BY l.at LIMIT 1) AS u ON true
    WHERE t.action = 'track' AND (coverage.until IS NULL OR t.at < coverage.until)
      AND (coverage.since IS NULL OR u.at IS NULL OR u.at > coverage.since)
    ORDER BY t.relation, t.at;
END $$;
COMMENT ON FUNCTION notary.coverage(timestamptz, timestamptz) IS 'When changes of which table were recorded, by notary.journal: each period that meets since to until, its beginning and end (NULL: it goes on), who began and ended it, and why. here: it was begun in this database, or taken over by notary.attest, so that verification misses it when it ends otherwise than by notary.untrack; false in a restored copy for what nobody watches there. relation is the name that the table had then, table what it is called now; NULL: it is gone, or it was another database''s. For roles that may read notary.journal. Errors: 42501 no SELECT on notary.journal, 22023 since is not before until.';
