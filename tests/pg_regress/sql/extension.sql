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
-- A definer function looks nowhere but in pg_catalog.
SELECT p.oid::regprocedure, p.proconfig
FROM pg_proc p
WHERE p.pronamespace = 'notary'::regnamespace
    AND p.prosecdef
    AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']
ORDER BY 1;
