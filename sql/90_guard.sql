-- What may not happen to a log. Last in the script: from here on the guard is active.
CREATE FUNCTION notary.new_partitions() RETURNS event_trigger
    LANGUAGE c SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_new_partitions';
REVOKE ALL ON FUNCTION notary.new_partitions() FROM PUBLIC;
COMMENT ON FUNCTION notary.new_partitions() IS 'Event trigger function: makes a new partition of a log a segment of it.';
CREATE EVENT TRIGGER notary_new_partitions ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE SCHEMA')
    EXECUTE FUNCTION notary.new_partitions();
ALTER EVENT TRIGGER notary_new_partitions ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER notary_new_partitions IS 'pg_notary: new partitions of a log are protected by themselves.';

-- The guard itself: three event triggers, and the hook that their library puts in place with the first call.
CREATE FUNCTION notary.guard_start() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'notary_guard_start';
REVOKE ALL ON FUNCTION notary.guard_start() FROM PUBLIC;
COMMENT ON FUNCTION notary.guard_start() IS 'Event trigger function: puts the guard in place in this session and refuses, before it starts, what must not happen to a log. SQLSTATE 55000.';

CREATE FUNCTION notary.guard_end() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'notary_guard_end';
REVOKE ALL ON FUNCTION notary.guard_end() FROM PUBLIC;
COMMENT ON FUNCTION notary.guard_end() IS 'Event trigger function: refuses to have old rows of a log read the default of a new column. SQLSTATE 55000.';

CREATE FUNCTION notary.guard_rewrite() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'notary_guard_rewrite';
REVOKE ALL ON FUNCTION notary.guard_rewrite() FROM PUBLIC;
COMMENT ON FUNCTION notary.guard_rewrite() IS 'Event trigger function: refuses to have a log''s values computed anew. SQLSTATE 55000.';

CREATE EVENT TRIGGER notary_guard_start ON ddl_command_start EXECUTE FUNCTION notary.guard_start();
ALTER EVENT TRIGGER notary_guard_start ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER notary_guard_start IS 'pg_notary: keeps DDL from harming logs.';

-- ALTER TYPE adds columns to typed tables.
CREATE EVENT TRIGGER notary_guard_end ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER FOREIGN TABLE', 'ALTER TYPE')
    EXECUTE FUNCTION notary.guard_end();
ALTER EVENT TRIGGER notary_guard_end ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER notary_guard_end IS 'pg_notary: keeps old entries from reading the defaults of new columns, and has changes of new partitions recorded.';

CREATE EVENT TRIGGER notary_guard_rewrite ON table_rewrite EXECUTE FUNCTION notary.guard_rewrite();
ALTER EVENT TRIGGER notary_guard_rewrite ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER notary_guard_rewrite IS 'pg_notary: keeps logs from being rewritten with other values.';
