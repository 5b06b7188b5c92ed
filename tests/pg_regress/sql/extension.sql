-- What CREATE EXTENSION brings, and who may use it.
SELECT extname, extnamespace::regnamespace, extrelocatable FROM pg_extension WHERE extname = 'pg_notary';
SELECT nspname, nspowner::regrole FROM pg_namespace WHERE nspname = 'notary';
-- Nothing of it is open to everybody by accident: every function has a comment.
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'notary'::regnamespace
    AND obj_description(p.oid, 'pg_proc') IS NULL
    AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
ORDER BY 1;
-- So has everything else.
SELECT pg_describe_object(d.classid, d.objid, 0)
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'pg_notary' AND d.deptype = 'e' AND obj_description(d.objid, d.classid::regclass::name) IS NULL
    AND d.classid <> 'pg_type'::regclass
ORDER BY 1;
CREATE TABLE journaled (a int);
SELECT notary.protect('journaled') IS NOT NULL AS protected;
SELECT c.oid::regclass, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'notary'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND a.attname NOT LIKE 'notary\_%'
    AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
ORDER BY 1, 2;
-- What PUBLIC may call.
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'notary'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY 1;
-- A definer function looks nowhere but in pg_catalog.
SELECT p.oid::regprocedure, p.proconfig
FROM pg_proc p
WHERE p.pronamespace = 'notary'::regnamespace
    AND p.prosecdef
    AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']
ORDER BY 1;
-- Called otherwise than by their triggers.
SELECT notary.append();
SELECT notary.guard_start();
