-- Making a table a log, and back.
CREATE FUNCTION notary.protect(log regclass, max_chains integer DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'protect_wrapper';
COMMENT ON FUNCTION notary.protect(regclass, integer) IS 'Makes a table (plain, or partitioned by RANGE or LIST) an append-only, tamper-evident log and returns the log''s uuid. Rows already there are chained in physical order, under AccessExclusiveLock. max_chains: the most chains that may be written at once, NULL (the default) for as many as there are writers; with 1 all entries stand in one strict order and writers wait for each other. Errors: 42501 not the owner, 42809 a relation that cannot be a log, 0A000 a column type outside the format or a database not in UTF8, 55000 protected already, 22023 max_chains below 1 or above 65535, 54000 no chain number is left, 25006 a read-only transaction.';

CREATE FUNCTION notary.unprotect(log regclass, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'unprotect_wrapper';
COMMENT ON FUNCTION notary.unprotect(regclass, text) IS 'Ends a log''s protection: verifies it, writes what it found, the chains'' ends and the reason to notary.journal, and drops the triggers. The notary_* columns and their values stay, and changes of tables that are tracked into it go on being recorded in it, of which a WARNING tells; notary.protect goes on as the same log. Errors: 42501 not the owner, 55000 not a log, or the journal while there are others or tracked tables, 42809 a partition (name the partitioned table), 22023 no reason given, 25006 a read-only transaction.';

CREATE FUNCTION notary.forget(log uuid, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'forget_wrapper';
REVOKE ALL ON FUNCTION notary.forget(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION notary.forget(uuid, text) IS 'Writes to notary.journal that a log which is no longer in this database was given up on purpose, so that notary.verify() does not report it any more. Superusers only by default. Errors: 55000 the log is still here, 22023 an unknown log or no reason given, 25006 a read-only transaction.';

CREATE FUNCTION notary.header(segment regclass) RETURNS SETOF text
    LANGUAGE c STABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'header_wrapper';
COMMENT ON FUNCTION notary.header(regclass) IS 'The header lines of a log''s segments, oldest first: for a partitioned log those of all its partitions. One JSON object each; the SHA-256 of a header line is the prev of the first entry of every chain of its segment. Errors: 55000 not a log, 42501 no SELECT privilege.';

CREATE FUNCTION notary.make_journal() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'make_journal_wrapper';
REVOKE ALL ON FUNCTION notary.make_journal() FROM PUBLIC;
COMMENT ON FUNCTION notary.make_journal() IS 'Internal: makes notary.journal where there is none, as in a copy of one log alone. Superusers only.';
