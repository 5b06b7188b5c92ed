-- The schema. Made plainly, so that one which somebody prepared beforehand makes CREATE EXTENSION fail.
CREATE SCHEMA notary;
GRANT USAGE ON SCHEMA notary TO PUBLIC;
COMMENT ON SCHEMA notary IS 'pg_notary: append-only, tamper-evident logs. Start with: SELECT notary.protect(''table'')';

-- The extension's memory: header lines of all segments ever begun. Names are text, never OIDs, so that any dump of it
-- can be restored. It is a help, never evidence: the triggers of a table say what log it is.
CREATE TABLE notary.segment (
    log         uuid NOT NULL,
    segment     bigint NOT NULL,
    header      text NOT NULL,
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    max_chains  integer,
    database    text NOT NULL,
    table_oid   bigint NOT NULL,
    ended_at    timestamptz,
    PRIMARY KEY (log, segment)
);
REVOKE ALL ON notary.segment FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('notary.segment', '');
COMMENT ON TABLE notary.segment IS 'Header lines of all segments that were begun in this database, so that a table protected again goes on as the same log. Internal.';
COMMENT ON COLUMN notary.segment.log IS 'The log.';
COMMENT ON COLUMN notary.segment.segment IS 'The segment''s number within the log, from 1.';
COMMENT ON COLUMN notary.segment.header IS 'The header line, as it is hashed.';
COMMENT ON COLUMN notary.segment.schema_name IS 'The table''s schema when the segment began or ended.';
COMMENT ON COLUMN notary.segment.table_name IS 'The table''s name when the segment began or ended.';
COMMENT ON COLUMN notary.segment.max_chains IS 'The limit given to notary.protect, NULL for none.';
COMMENT ON COLUMN notary.segment.database IS 'System identifier and database OID where it was noted: tells this database from a restored copy.';
COMMENT ON COLUMN notary.segment.table_oid IS 'The table''s OID in that database; means nothing in a restored copy.';
COMMENT ON COLUMN notary.segment.ended_at IS 'When notary.unprotect ended it; NULL while it goes on.';
