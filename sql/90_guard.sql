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
