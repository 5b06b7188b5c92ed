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

CREATE FUNCTION notary.untrack("table" regclass, reason text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'untrack_wrapper';
COMMENT ON FUNCTION notary.untrack(regclass, text) IS 'Ends the recording of a table''s changes and writes that to notary.journal, with the reason. Errors: 42501 not the owner, 55000 not tracked, 42809 a partition (name the partitioned table), 22023 no reason given, 25006 a read-only transaction.';
