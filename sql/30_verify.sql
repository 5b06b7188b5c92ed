-- Is a log what it was?
CREATE FUNCTION notary.verify(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL, note text DEFAULT NULL,
                              workers integer DEFAULT NULL)
    RETURNS TABLE (log regclass, intact boolean, entries bigint, chains integer, findings bigint, first_finding text,
                   sealed_size bigint, scope text, elapsed interval)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_verify';
COMMENT ON FUNCTION notary.verify(regclass, timestamptz, text, integer) IS 'Checks a log, or all that the caller may read, and answers in one row each: intact or not, entries and chains seen, the number of findings and the first one, and the scope of the check. Every row is read and hashed again, every link, the unique index, the headers and the guard are checked. since: the content of older entries is taken as it is (their places and links are checked all the same), and scope says "partial". note: a seal of this log that was kept elsewhere; the log is checked against it too, which is the strongest statement there is (whether the note itself is genuine is for notary.verify_note to say). sealed_size: how many lines, headers included, the newest seal (or the note) commits to, NULL without one; scope says since when, and how many entries came later. A log that should be in this database and is on no table gives a row with log NULL. Needs SELECT on the log; sees every row whatever row-level security says (so that who may SELECT learns how many there are, and nothing else of them); works in read-only transactions and on standbys; shows progress as NOTICEs every five seconds. workers: at most so many parallel workers read rows and index together with the session, as far as max_parallel_workers lets them; 0 for none; NULL, the default, for as many as PostgreSQL would take to make an index on the table, by its size, at most max_parallel_maintenance_workers (so do the other functions that check). The answer is the same. Errors: 42501 no SELECT privilege, 55000 not a log, 22023 the note is no seal of this log, or workers is negative.';

CREATE FUNCTION notary.findings(log regclass, since timestamptz DEFAULT NULL, note text DEFAULT NULL)
    RETURNS TABLE (segment regclass, chain integer, seq bigint, problem text, detail text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_findings';
COMMENT ON FUNCTION notary.findings(regclass, timestamptz, text) IS 'Checks a log and lists every problem, exactly where: the table (for a partitioned log the partition), chain and seq of the entry (NULL for problems of the whole table), the kind of problem, and what was expected and found in hashes, places and column names, never values. No rows: intact. The README lists the kinds. Needs SELECT on the log. since and note as for notary.verify. Errors: 42501 no SELECT privilege, 55000 not a log, 22023 NULL, or the note is no seal of this log.';

CREATE FUNCTION notary.notices(log regclass)
    RETURNS TABLE (segment regclass, chain integer, seq bigint, notice text, detail text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_notices';
COMMENT ON FUNCTION notary.notices(regclass) IS 'Checks a log and lists what is worth knowing and is no damage: clock_backwards, adopted, not_protected_between, backdated, unsealed. Errors as for notary.findings.';

CREATE FUNCTION notary.assert_intact(log regclass DEFAULT NULL, note text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'assert_intact_wrapper';
COMMENT ON FUNCTION notary.assert_intact(regclass, text) IS 'Checks a log, or all that the caller may read, and raises XX001 (data_corrupted) when one is not intact: for cron and CI. note as for notary.verify. Errors besides: 42501 no SELECT privilege on the log, or on none of them, 55000 not a log.';

CREATE FUNCTION notary.attest(log regclass DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'attest_wrapper';
COMMENT ON FUNCTION notary.attest(regclass) IS 'Checks a log, or all that the caller may read, and writes the answer to notary.journal; true when all is intact. In a restored copy the first one takes over the logs and the tracked tables that came along: from then on one that goes is missed. Errors: 42501 no SELECT privilege on the log, or on none of them, 55000 not a log or no journal yet, 25006 a read-only transaction.';

CREATE FUNCTION notary.damage(log regclass) RETURNS SETOF jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_damage';
REVOKE ALL ON FUNCTION notary.damage(regclass) FROM PUBLIC;
COMMENT ON FUNCTION notary.damage(regclass) IS 'Internal: the findings as notary.journal records them, one JSON object each with segment, chain, seq, to_seq, problem and found (the hash of what is there). Superusers only. Errors as for notary.findings.';

CREATE FUNCTION notary.line(segment regclass, chain integer, seq bigint) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'line_wrapper';
COMMENT ON FUNCTION notary.line(regclass, integer, bigint) IS 'The canonical line of an entry, whose SHA-256 is its hash: SELECT notary.line(tableoid, notary_chain, notary_seq) FROM the_log WHERE … works on plain and partitioned logs. With the caller''s rights and row-level security. Errors: P0002 no such entry or not visible to the caller, 42501 no SELECT privilege on all columns, 55000 not a log, XX001 a stored value that contradicts itself.';

CREATE FUNCTION notary.log_list()
    RETURNS TABLE (log regclass, uuid uuid, segments integer, chains integer, entries bigint, last_entry timestamptz,
                   last_seal timestamptz, max_chains integer, guard text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_log_list';
COMMENT ON FUNCTION notary.log_list() IS 'What the view notary.logs shows: a row for each log that the current user may read.';

CREATE VIEW notary.logs AS SELECT * FROM notary.log_list();
GRANT SELECT ON notary.logs TO PUBLIC;
COMMENT ON VIEW notary.logs IS 'Every log that the current user may read. chains, entries and last_entry are NULL where row-level security hides rows from him.';
COMMENT ON COLUMN notary.logs.log IS 'The table that was protected.';
COMMENT ON COLUMN notary.logs.uuid IS 'The log''s uuid.';
COMMENT ON COLUMN notary.logs.segments IS 'How many periods of protection it has had, summed over its partitions.';
COMMENT ON COLUMN notary.logs.chains IS 'How many chains have entries.';
COMMENT ON COLUMN notary.logs.entries IS 'How many entries, by the ends of the chains: exact for an intact log.';
COMMENT ON COLUMN notary.logs.last_entry IS 'When the last entry was made, by the server''s clock.';
COMMENT ON COLUMN notary.logs.last_seal IS 'When it was last sealed; NULL: never.';
COMMENT ON COLUMN notary.logs.max_chains IS 'The limit given to notary.protect; NULL: none.';
COMMENT ON COLUMN notary.logs.guard IS 'complete, or what is missing of triggers, constraint, functions and columns.';
