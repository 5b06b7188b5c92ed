-- What an application meets.
SET client_min_messages = warning;
CREATE TABLE app_audit (id int PRIMARY KEY, action text);
SELECT notary.protect('app_audit') IS NOT NULL AS protected;
INSERT INTO app_audit VALUES (1, 'login') RETURNING id, notary_chain, notary_seq;
INSERT INTO app_audit (id, action) SELECT n, 'read' FROM generate_series(2, 4) AS n RETURNING id, notary_seq;
INSERT INTO app_audit (id, action) VALUES (1, 'again') ON CONFLICT DO NOTHING;
INSERT INTO app_audit (id, action) VALUES (5, 'next') RETURNING id, notary_seq;
INSERT INTO app_audit VALUES (6, 'nulls are fine', NULL, NULL, NULL, NULL, NULL) RETURNING id, notary_seq;
COPY app_audit (id, action) FROM stdin;
7	copied
8	too
\.
INSERT INTO app_audit (id, action, notary_seq) VALUES (9, 'forged', 1);
INSERT INTO app_audit (id, action, notary_hash) VALUES (9, 'forged', '\x00');
UPDATE app_audit SET action = 'forged' WHERE id = 1;
UPDATE app_audit SET action = 'forged' WHERE false;
DELETE FROM app_audit WHERE id = 1;
TRUNCATE app_audit;
INSERT INTO app_audit (id, action) VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET action = excluded.action;
MERGE INTO app_audit AS a USING (VALUES (1)) AS v (id) ON a.id = v.id WHEN MATCHED THEN DELETE;
MERGE INTO app_audit AS a USING (VALUES (10)) AS v (id) ON a.id = v.id WHEN NOT MATCHED THEN INSERT (id, action) VALUES (v.id, 'merged');
-- Loading a dump: values are kept as they are, rows without any are chained.
SHOW notary.restore;
BEGIN;
SET LOCAL notary.restore = on;
INSERT INTO app_audit VALUES (20, 'kept', 7, 1, '2026-01-01', '\x00', '\x01') RETURNING id, notary_chain, notary_hash;
INSERT INTO app_audit VALUES (21, 'chained') RETURNING id, notary_chain;
ROLLBACK;
CREATE ROLE regress_writer;
GRANT INSERT ON app_audit TO regress_writer;
SET ROLE regress_writer;
SET notary.restore = on;
SET notary.restart = on;
INSERT INTO app_audit VALUES (22, 'INSERT is enough');
INSERT INTO app_audit VALUES (23, 'unless one asks back') RETURNING id;
RESET ROLE;
SELECT id, action, notary_chain, notary_seq FROM app_audit ORDER BY notary_chain, notary_seq;
SELECT intact, entries, findings FROM notary.verify('app_audit');
DROP OWNED BY regress_writer;
DROP ROLE regress_writer;
