-- The functions that protection's triggers call. Nobody but protect makes such triggers, so nobody may execute them.
CREATE FUNCTION notary.append() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'notary_append';
REVOKE ALL ON FUNCTION notary.append() FROM PUBLIC;
COMMENT ON FUNCTION notary.append() IS 'Trigger function: gives a row its place in a hash chain. Its arguments are max_chains=N and the header lines of the table''s segments.';

CREATE FUNCTION notary.refuse() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'notary_refuse';
REVOKE ALL ON FUNCTION notary.refuse() FROM PUBLIC;
COMMENT ON FUNCTION notary.refuse() IS 'Trigger function: refuses UPDATE, DELETE and TRUNCATE on a log with SQLSTATE 55000.';
