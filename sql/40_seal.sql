-- Seals: what is remembered of a log's Merkle tree, and what outsiders check it by. Nothing in these tables is evidence:
-- each use of them ends in a root that a seal has.
CREATE TABLE notary.tree (
    log         uuid NOT NULL,
    incarnation integer NOT NULL,
    origin      text NOT NULL,
    home        text NOT NULL,
    timeline    bigint NOT NULL,
    size        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (log, incarnation)
);
REVOKE ALL ON notary.tree FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('notary.tree', '');
COMMENT ON TABLE notary.tree IS 'The tree of each log that was ever sealed, and where it may be signed. Internal.';
COMMENT ON COLUMN notary.tree.log IS 'The log.';
COMMENT ON COLUMN notary.tree.incarnation IS 'From 1; a new one after a restore whose history differs from what was published.';
COMMENT ON COLUMN notary.tree.origin IS 'The tree''s name in its seals, fixed at the first.';
COMMENT ON COLUMN notary.tree.home IS 'System identifier, OID of the database and OID of the extension where it may be signed; elsewhere, also in a database restored in its place, notary.resume comes first.';
COMMENT ON COLUMN notary.tree.timeline IS 'The server''s timeline on which it may be signed.';
COMMENT ON COLUMN notary.tree.size IS 'The size of its newest seal; 0 before the first.';

CREATE TABLE notary.leaf_range (
    log         uuid NOT NULL,
    incarnation integer NOT NULL,
    first_leaf  bigint NOT NULL,
    segment     bigint NOT NULL,
    chain       integer NOT NULL,
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    PRIMARY KEY (log, incarnation, first_leaf)
);
CREATE INDEX leaf_range_by_place ON notary.leaf_range (log, incarnation, segment, chain, first_seq);
REVOKE ALL ON notary.leaf_range FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('notary.leaf_range', '');
COMMENT ON TABLE notary.leaf_range IS 'Which lines are which leaves of a log''s tree. Internal.';
COMMENT ON COLUMN notary.leaf_range.log IS 'The log.';
COMMENT ON COLUMN notary.leaf_range.incarnation IS 'Which of the log''s trees.';
COMMENT ON COLUMN notary.leaf_range.first_leaf IS 'The leaf of the first of these lines, from 0.';
COMMENT ON COLUMN notary.leaf_range.segment IS 'The segment.';
COMMENT ON COLUMN notary.leaf_range.chain IS 'The chain; 0: the segment''s header line, one leaf.';
COMMENT ON COLUMN notary.leaf_range.first_seq IS 'The seq of the first line.';
COMMENT ON COLUMN notary.leaf_range.last_seq IS 'The seq of the last line.';

CREATE TABLE notary.subtree (
    log         uuid NOT NULL,
    incarnation integer NOT NULL,
    level       smallint NOT NULL,
    first       bigint NOT NULL,
    hashes      bytea NOT NULL,
    PRIMARY KEY (log, incarnation, level, first)
);
ALTER TABLE notary.subtree ALTER COLUMN hashes SET STORAGE EXTERNAL;
REVOKE ALL ON notary.subtree FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('notary.subtree', '');
COMMENT ON TABLE notary.subtree IS 'Hashes of complete subtrees of a log''s tree, so that a proof need not read all lines. Internal.';
COMMENT ON COLUMN notary.subtree.log IS 'The log.';
COMMENT ON COLUMN notary.subtree.incarnation IS 'Which of the log''s trees.';
COMMENT ON COLUMN notary.subtree.level IS 'Each hash is that of 256^level leaves; 0, leaves themselves, those that were sealed when protection ended.';
COMMENT ON COLUMN notary.subtree.first IS 'The number of the first of these subtrees on its level, from 0.';
COMMENT ON COLUMN notary.subtree.hashes IS 'Their hashes, 32 bytes each, at most 32 of them.';

CREATE TABLE notary.seal_store (
    log         uuid NOT NULL,
    incarnation integer NOT NULL,
    size        bigint NOT NULL,
    root        bytea NOT NULL,
    sealed_at   timestamptz NOT NULL,
    note        text NOT NULL,
    keys        text[] NOT NULL,
    PRIMARY KEY (log, incarnation, size)
);
REVOKE ALL ON notary.seal_store FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('notary.seal_store', '');
COMMENT ON TABLE notary.seal_store IS 'Every seal that was made. Read it through notary.seals.';
COMMENT ON COLUMN notary.seal_store.log IS 'The log.';
COMMENT ON COLUMN notary.seal_store.incarnation IS 'Which of the log''s trees.';
COMMENT ON COLUMN notary.seal_store.size IS 'How many leaves the tree had.';
COMMENT ON COLUMN notary.seal_store.root IS 'Its root, 32 bytes.';
COMMENT ON COLUMN notary.seal_store.sealed_at IS 'When, by the server''s clock.';
COMMENT ON COLUMN notary.seal_store.note IS 'The seal as it was handed out.';
COMMENT ON COLUMN notary.seal_store.keys IS 'The verifier keys that signed it; empty: unsigned.';

CREATE PROCEDURE notary.seal(log regclass, INOUT note text DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'notary_seal';
COMMENT ON PROCEDURE notary.seal(regclass, text) IS 'Seals a log: commits to all its entries so far with one Merkle root and returns the seal, a signed note (C2SP tlog-checkpoint) or, without notary.signing_key_file, its bare body. The argument note is only where the answer comes back. Reads what is new and hashes it again; waits for no writer. Nothing new: the last seal is returned. NOTIFY notary_seal carries log and size. Outside of transaction blocks only. Needs SELECT on the log. Errors: 25001 in a transaction block, 42501 no SELECT privilege, 55000 not a log, no notary.origin, or the server is not where the log was sealed last (see notary.resume), XX001 the log is not intact, F0000 the key file cannot be used, 25006 a read-only transaction.';

CREATE FUNCTION notary.seal_list()
    RETURNS TABLE (log regclass, uuid uuid, incarnation integer, size bigint, root bytea, sealed_at timestamptz,
                   from_size bigint, note text, keys text[])
    LANGUAGE c STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_seal_list';
COMMENT ON FUNCTION notary.seal_list() IS 'What the view notary.seals shows: the seals of each log that the current user may read, and for superusers those of logs that are no longer here.';

CREATE VIEW notary.seals AS SELECT * FROM notary.seal_list();
GRANT SELECT ON notary.seals TO PUBLIC;
COMMENT ON VIEW notary.seals IS 'Every seal of every log that the current user may read. Compare it with the notes that are kept outside.';
COMMENT ON COLUMN notary.seals.log IS 'The log; NULL: no table of this database is it any more.';
COMMENT ON COLUMN notary.seals.uuid IS 'The log''s uuid.';
COMMENT ON COLUMN notary.seals.incarnation IS 'Which of the log''s trees: 1, or more after a restore (notary.resume).';
COMMENT ON COLUMN notary.seals.size IS 'How many lines it commits to, header lines included.';
COMMENT ON COLUMN notary.seals.root IS 'The root of the tree over them, 32 bytes.';
COMMENT ON COLUMN notary.seals.sealed_at IS 'When, by the server''s clock.';
COMMENT ON COLUMN notary.seals.from_size IS 'The size of the seal before it: what is new in this one are the leaves from there on.';
COMMENT ON COLUMN notary.seals.note IS 'The seal as it was handed out.';
COMMENT ON COLUMN notary.seals.keys IS 'The verifier keys that signed it; empty: unsigned.';

CREATE FUNCTION notary.generate_key() RETURNS TABLE (log regclass, verifier_key text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'notary_generate_key';
REVOKE ALL ON FUNCTION notary.generate_key() FROM PUBLIC;
COMMENT ON FUNCTION notary.generate_key() IS 'Writes a new secret to the file that notary.signing_key_file names (mode 0600; never over a file that is there) and returns each log''s verifier key. Superusers only. Errors: 42501 not a superuser, 55000 notary.signing_key_file is not set, 58P02 the file exists, F0000 it cannot be written, 22023 notary.origin cannot be part of a key''s name.';

CREATE FUNCTION notary.verifier_key(log regclass) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'verifier_key_wrapper';
COMMENT ON FUNCTION notary.verifier_key(regclass) IS 'The key to hand out, by which others check the log''s seals: name+hash+base64 (C2SP signed-note). Needs SELECT on the log. Errors: 42501 no SELECT privilege, 55000 not a log, no notary.origin, or no notary.signing_key_file, F0000 the key file cannot be used.';

CREATE FUNCTION notary.resume(log regclass, note text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'resume_wrapper';
COMMENT ON FUNCTION notary.resume(regclass, text) IS 'Lets a log be sealed again after a restore or failover, given the newest seal that ever left the old server (NULL: none ever did). If this log holds exactly what that seal says, sealing goes on; otherwise, and with NULL, a new incarnation begins, with an origin and a key of its own. So it does on a server whose key file has lost the secret that signed the newest seal, given that seal. Returns the origin, and writes to notary.journal what was found. Superusers only. Errors: 42501 not a superuser, 55000 not a log, nothing to resume, or the log is still sealed in another database of this server, 22023 the text is no seal of this log or older than one that is known here, 25006 a read-only transaction.';

REVOKE ALL ON FUNCTION notary.resume(regclass, text) FROM PUBLIC;

CREATE FUNCTION notary.keep_leaves(log regclass) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'keep_leaves_wrapper';
REVOKE ALL ON FUNCTION notary.keep_leaves(regclass) FROM PUBLIC;
COMMENT ON FUNCTION notary.keep_leaves(regclass) IS 'Internal: keeps the hash of every sealed leaf, before a log''s protection ends. Superusers only.';

CREATE FUNCTION notary.proof(segment regclass, chain integer, seq bigint, size bigint DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'proof_wrapper';
COMMENT ON FUNCTION notary.proof(regclass, integer, bigint, bigint) IS 'A proof file (C2SP tlog-proof) that one entry is in the log: its line, the hashes that lead to the root, and the seal. SELECT notary.proof(tableoid, notary_chain, notary_seq) FROM the_log WHERE … works on plain and partitioned logs. size: the seal to prove it against, NULL for the newest. With the caller''s rights and row-level security. Errors: P0002 no such entry, not visible to the caller, or not in that seal, 42501 no SELECT privilege on all columns, 55000 not a log, XX001 the tree does not lead to the seal''s root.';

CREATE FUNCTION notary.consistency_proof(log regclass, old_size bigint, new_size bigint DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'consistency_proof_wrapper';
COMMENT ON FUNCTION notary.consistency_proof(regclass, bigint, bigint) IS 'Proves that the seal of new_size (NULL: the newest) holds all that the one of old_size held, in the same order: base64 of a hash per line. Needs SELECT on the log. Errors: 22023 no such sizes, 42501 no SELECT privilege, 55000 not a log or never sealed, XX001 the tree does not lead to the seal''s root.';

CREATE FUNCTION notary.export(log regclass, from_leaf bigint DEFAULT 0, to_leaf bigint DEFAULT NULL) RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'export_wrapper';
COMMENT ON FUNCTION notary.export(regclass, bigint, bigint) IS 'The lines of the tree''s leaves from_leaf (from 0) up to, not including, to_leaf (NULL: the size of the newest seal), in leaf order, header lines included. In the SELECT list it streams: \copy (SELECT notary.export(''the_log'')) TO ''the_log.jsonl'' WITH (FORMAT csv, QUOTE E''\x01'', DELIMITER E''\x02''). Needs SELECT on all columns; refused where row-level security would hide rows. Errors: 42501 missing privilege or row-level security, 55000 not a log or never sealed, 22023 no such leaves, XX001 an entry is missing.';

CREATE FUNCTION notary.verify_note(note text, keys text,
        OUT valid boolean, OUT origin text, OUT size bigint, OUT root bytea, OUT signed_by text[], OUT problem text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'notary_verify_note';
COMMENT ON FUNCTION notary.verify_note(text, text) IS 'Checks a seal by the caller''s keys (verifier keys, one per line). valid: signed by one of them that is named as the seal''s origin; problem says why not. A pure function. Errors: 22023 keys is not a list of verifier keys.';

CREATE FUNCTION notary.verify_proof(line text, proof text, keys text,
        OUT valid boolean, OUT origin text, OUT size bigint, OUT leaf bigint, OUT signed_by text[], OUT problem text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'notary_verify_proof';
COMMENT ON FUNCTION notary.verify_proof(text, text, text) IS 'Checks that a line is in the log whose seal the proof file holds, by the caller''s keys (verifier keys, one per line); problem says why not. A pure function. Errors: 22023 keys is not a list of verifier keys.';

CREATE FUNCTION notary.verify_consistency(old_note text, new_note text, proof text, keys text,
        OUT valid boolean, OUT origin text, OUT old_size bigint, OUT new_size bigint, OUT problem text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'notary_verify_consistency';
COMMENT ON FUNCTION notary.verify_consistency(text, text, text, text) IS 'Checks that the newer seal''s log holds all that the older one''s held, by the caller''s keys (verifier keys, one per line); problem says why not. A pure function. Errors: 22023 keys is not a list of verifier keys.';
