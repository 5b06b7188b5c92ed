CREATE TABLE notary.journal (
    at           timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    action       text NOT NULL,
    log          uuid,
    segment      bigint,
    relation     text,
    session_role text NOT NULL,
    role         text NOT NULL,
    reason       text,
    details      jsonb NOT NULL
);
REVOKE ALL ON notary.journal FROM PUBLIC;
COMMENT ON TABLE notary.journal IS 'What was done to logs: protect, unprotect, attest, forget, resume, track, untrack. An append-only log itself; entries are written in the transaction of the deed. Grant SELECT on it to auditors.';
COMMENT ON COLUMN notary.journal.at IS 'When, by the server''s clock.';
COMMENT ON COLUMN notary.journal.action IS 'protect, unprotect, attest, forget, resume, track or untrack.';
COMMENT ON COLUMN notary.journal.log IS 'The log''s uuid; NULL when the entry concerns all logs.';
COMMENT ON COLUMN notary.journal.segment IS 'The segment''s number within the log.';
COMMENT ON COLUMN notary.journal.relation IS 'The table as it was named then, schema.table.';
COMMENT ON COLUMN notary.journal.session_role IS 'Who had logged in.';
COMMENT ON COLUMN notary.journal.role IS 'Whose rights were used.';
COMMENT ON COLUMN notary.journal.reason IS 'The reason given.';
COMMENT ON COLUMN notary.journal.details IS 'The rest: the header line and adopted rows (protect), what was found, the chains'' ends and how far they were sealed (unprotect), the answer (attest), and the database it was done in.';
