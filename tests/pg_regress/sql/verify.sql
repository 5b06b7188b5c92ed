-- The auditor's functions: what one sees.
SET client_min_messages = warning;
CREATE TABLE app_audit (id int, secret text);
INSERT INTO app_audit VALUES (0, 'there before');
SELECT notary.protect('app_audit') IS NOT NULL AS protected;
INSERT INTO app_audit SELECT n, 'word ' || n FROM generate_series(1, 9) AS n;
SELECT log, intact, entries, chains, findings, first_finding, sealed_size, scope, elapsed > interval '0' AS took FROM notary.verify('app_audit');
SELECT log, intact FROM notary.verify() ORDER BY log::text;
SELECT intact, scope FROM notary.verify('app_audit', since => 'tomorrow');
SELECT * FROM notary.findings('app_audit');
SELECT chain, seq, notice, regexp_replace(detail, '\d{4}-\S+Z', '<time>') AS detail FROM notary.notices('app_audit');
SELECT notary.assert_intact();
SELECT notary.attest();
SELECT action, relation, details - '{database,home,timeline}'::text[] AS details FROM notary.journal WHERE action = 'attest' ORDER BY relation;
SELECT regexp_replace(notary.line(tableoid, notary_chain, notary_seq), '"(log|time|prev)":"[^"]*"', '"\1":"…"', 'g') AS line,
    sha256(convert_to(notary.line(tableoid, notary_chain, notary_seq), 'UTF8')) = notary_hash AS is_its_hash
FROM app_audit WHERE id = 3;
SELECT notary.line('app_audit', 1, 1000);
-- A superuser goes round the guard.
UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'app_audit'::regclass AND tgname LIKE '~%';
SELECT problem, detail FROM notary.findings('app_audit');
SELECT notary.assert_intact('app_audit');
SELECT jsonb_object_keys(d) FROM notary.damage('app_audit') AS d LIMIT 6;
SELECT count(*) = (SELECT count(*) FROM notary.logs) AS same FROM notary.log_list();
\c -
SET client_min_messages = warning;
UPDATE app_audit SET secret = 'forged' WHERE id = 3;
DELETE FROM app_audit WHERE id = 6;
INSERT INTO app_audit VALUES (10, 'slipped in');
SELECT intact, entries, findings, regexp_replace(first_finding, '[0-9a-f]{64}', '<hash>', 'g') AS first_finding FROM notary.verify('app_audit');
SELECT segment, chain, seq, problem, regexp_replace(detail, '[0-9a-f]{64}', '<hash>', 'g') AS detail FROM notary.findings('app_audit');
SELECT guard FROM notary.logs WHERE log = 'app_audit'::regclass;
\set VERBOSITY sqlstate
SELECT notary.assert_intact('app_audit');
\set VERBOSITY verbose
SELECT notary.attest('app_audit');
-- Wrong arguments, wanting rights.
SELECT * FROM notary.verify('pg_class');
SELECT * FROM notary.findings(NULL);
SELECT * FROM notary.notices(NULL);
SELECT notary.attest('pg_class');
SELECT notary.assert_intact('pg_class');
SELECT notary.line('pg_class', 1, 1);
SET default_transaction_read_only = on;
SELECT notary.attest();
SELECT notary.protect('pg_class');
SELECT notary.unprotect('app_audit', 'why');
SELECT notary.forget(gen_random_uuid(), 'why');
RESET default_transaction_read_only;
SELECT notary.findings('app_audit') IS NULL AS called_outside_from LIMIT 1;
CREATE ROLE regress_nobody;
SET ROLE regress_nobody;
SET client_min_messages = notice;
SELECT * FROM notary.verify('app_audit');
SELECT * FROM notary.verify();
SELECT * FROM notary.findings('app_audit');
SELECT * FROM notary.notices('app_audit');
SELECT notary.assert_intact('app_audit');
SELECT notary.attest('app_audit');
SELECT notary.line('app_audit', 1, 1);
SELECT * FROM notary.damage('app_audit');
RESET ROLE;
DROP ROLE regress_nobody;
