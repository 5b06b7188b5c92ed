-- What auditors ask of event logs. Each report is a function of a log and a period, and a view over all logs and times.
CREATE FUNCTION notary.period(since timestamptz, until timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF since >= until THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'since must be before until',
            DETAIL = 'since is part of the period, until is not.',
            HINT = 'The first quarter: since => ''2026-01-01'', until => ''2026-04-01''.';
    END IF;
    RETURN coalesce(' WHERE ' || nullif(concat_ws(' AND ', 'occurred_at >= ' || notary.literal(since),
                                                  'occurred_at < ' || notary.literal(until)), ''), '');
END
$$;
COMMENT ON FUNCTION notary.period(timestamptz, timestamptz) IS 'Internal: the condition that an event is of the period, as a clause of its own. Errors: 22023 since is not before until.';

CREATE FUNCTION notary.report(query text, log regclass, since timestamptz, until timestamptz) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    period constant text := notary.period(since, until);
    cols constant text := 'id, occurred_at, action, actor, actor_type, actor_role, resource_type, resource_id, resource_name, '
        'result, coalesce(ip, client_addr) AS source, pii, pii_fields, old_value, new_value, details, db_user, db_session_user, '
        'application_name';
    ever text;
    events text;
BEGIN
    SELECT string_agg(part, ' UNION ALL '), string_agg(part || period, ' UNION ALL ')
        INTO ever, events
        FROM (SELECT format('SELECT %s::oid::regclass AS log, %s FROM %s', l::oid, cols, notary.event_log_name(l)) AS part
              FROM unnest(notary.to_ask(log, false)) AS l) AS parts;
    IF ever IS NOT NULL THEN
        query := format('WITH ever AS NOT MATERIALIZED (%s), events AS NOT MATERIALIZED (%s) %s', ever, events, query);
        RETURN QUERY EXECUTE CASE WHEN log IS NULL THEN notary.plan_apart(query) ELSE query END;
    END IF;
END
$$;
COMMENT ON FUNCTION notary.report(text, regclass, timestamptz, timestamptz) IS 'Internal: runs a report''s query, with the caller''s rights and row-level security, over events: those of a log, or of all that the caller may read, of the period; and ever: those of all times. Errors: 22023 since is not before until, or no such relation, 55000 not an event log, 42501 no SELECT privilege.';

CREATE FUNCTION notary.checked(name text, given anyelement, lowest anyelement) RETURNS anyelement
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF given IS NULL OR given < lowest THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = CASE WHEN given IS NULL THEN format('%s must not be NULL', name)
                           ELSE format('%s must be at least %s', name, lowest) END,
            DETAIL = format('The least is %L.', lowest), HINT = 'Give a value; an argument that has a default can be left out.';
    END IF;
    RETURN given;
END
$$;
COMMENT ON FUNCTION notary.checked(text, anyelement, anyelement) IS 'Internal: an argument that must be there and not below its least value. Errors: 22023 if it is not.';

CREATE FUNCTION notary.is_of(category text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('(e.action >= %L AND e.action < %L OR e.action = ANY (%L::text[]))', $1 || '.', $1 || '/',
                  ARRAY(SELECT t.name FROM notary.event_type AS t WHERE t.category = $1 AND NOT t.name ^@ ($1 || '.')))
$$;
COMMENT ON FUNCTION notary.is_of(text) IS 'Internal: the condition that an event e is of a category: by the first part of its action, or by notary.event_type.';

CREATE FUNCTION notary.distinct_sql(name text, col text, most integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(CASE WHEN replace($2, 'resource_type', 'type') = ANY (notary.log_indexes($1::regclass)) THEN
        'WITH RECURSIVE v (v) AS ((SELECT %2$I FROM %1$s WHERE %2$I IS NOT NULL ORDER BY %2$I LIMIT 1) '
        'UNION ALL SELECT (SELECT %2$I FROM %1$s WHERE %2$I > v.v ORDER BY %2$I LIMIT 1) FROM v WHERE v.v IS NOT NULL) '
        'SELECT v::text FROM v WHERE v IS NOT NULL LIMIT %3$s'
    ELSE 'SELECT DISTINCT %2$I::text FROM %1$s WHERE %2$I IS NOT NULL ORDER BY 1 LIMIT %3$s' END, $1, $2, coalesce($3::text, 'ALL'))
$$;
COMMENT ON FUNCTION notary.distinct_sql(text, text, integer) IS 'Internal: the query for the first different values of an event log''s column, action or resource_type (most NULL: for all), by a look into its index for each; where the log has not that index, by one look at each event.';

CREATE FUNCTION notary.actions(log regclass DEFAULT NULL) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one regclass;
    query text;
BEGIN
    FOREACH one IN ARRAY notary.to_ask(log, false) LOOP
        query := notary.distinct_sql(notary.event_log_name(one), 'action', NULL);
        RETURN QUERY EXECUTE CASE WHEN log IS NULL THEN notary.plan_apart(query) ELSE query END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION notary.actions(regclass) IS 'The actions that an event log (NULL: any that notary.event_logs does not leave out) has events of, each once for each log, by one look into its index for each, or at each event where it has not that index. With the caller''s rights and row-level security. Errors: 22023 no such relation, 55000 not an event log, 42501 no SELECT privilege.';

CREATE FUNCTION notary.ends_in(last text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT format('e.action ~ %L', '(^|[.])(' || $1 || ')$') $$;
COMMENT ON FUNCTION notary.ends_in(text) IS 'Internal: the condition that the last part of an event''s action is one of these, with bars between them.';

CREATE FUNCTION notary.fits(log regclass, pattern text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most  constant integer := 10000;
    one   regclass;
    query text;
    there text[];
    fit   text[] := '{}';
BEGIN
    -- Of what is left out the report itself tells.
    FOREACH one IN ARRAY notary.to_ask(log, true) LOOP
        query := format('SELECT ARRAY(%s)', notary.distinct_sql(notary.event_log_name(one), 'action', most));
        EXECUTE CASE WHEN log IS NULL THEN notary.plan_apart(query) ELSE query END INTO there;
        -- With ids in its actions, say: looking at each event is less then.
        IF cardinality(there) = most THEN
            RETURN format('e.action ~ %L', pattern);
        END IF;
        fit := fit || ARRAY(SELECT a FROM unnest(there) AS a WHERE a ~ pattern);
    END LOOP;
    RETURN format('e.action = ANY (%L::text[])', fit);
END
$$;
COMMENT ON FUNCTION notary.fits(regclass, text) IS 'Internal: the condition that an event''s action is one of those in the log (NULL: in any that notary.event_logs does not leave out) that fit a regular expression, in words that an index answers where there are not very many.';

CREATE FUNCTION notary.member(details jsonb, as_number boolean, VARIADIC names text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    object jsonb;
    name   text;
    value  jsonb;
BEGIN
    FOREACH object IN ARRAY ARRAY[details, details -> 'event_data', details -> 'eventData', details -> 'data'] LOOP
        CONTINUE WHEN object IS NULL;
        FOREACH name IN ARRAY names LOOP
            value := CASE position('.' IN name) WHEN 0 THEN object -> name ELSE object #> string_to_array(name, '.') END;
            CONTINUE WHEN value IS NULL;
            IF jsonb_typeof(value) = 'number' OR jsonb_typeof(value) = 'string'
                    -- No more digits than make a number, so that none is too much for the cast.
                    AND (NOT as_number OR value #>> '{}' ~ '^[+-]?[0-9]{1,40}([.][0-9]{1,40})?([eE][+-]?[0-9]{1,2})?$') THEN
                RETURN value #>> '{}';
            END IF;
        END LOOP;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION notary.member(jsonb, boolean, text[]) IS 'Internal: what an event''s details say under one of these names: the first that is a string or a number (as_number: a number, also one in quotes), in details, else in its event_data, else in its data; a name with a dot is that of a member of a member.';

-- The reports.
CREATE FUNCTION notary.pii_access(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                  until timestamptz DEFAULT NULL, actor_role text DEFAULT NULL)
    RETURNS TABLE (log regclass, actor text, actor_role text, action text, events bigint, refused bigint,
                   resources bigint, fields text[], sources inet[], first_at timestamptz, last_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report(format($q$
            SELECT e.log, e.actor, e.actor_role, e.action, count(*), count(*) FILTER (WHERE e.result <> 'success'),
                   count(DISTINCT (e.resource_type, e.resource_id)) FILTER (WHERE e.resource_id IS NOT NULL),
                   (SELECT array_agg(DISTINCT field ORDER BY field)
                    FROM unnest(array_agg(DISTINCT array_to_json(ARRAY(SELECT unnest(e.pii_fields)))::text)) AS a (fields),
                         json_array_elements_text(a.fields::json) AS field WHERE field IS NOT NULL),
                   array_agg(DISTINCT e.source) FILTER (WHERE e.source IS NOT NULL), min(e.occurred_at), max(e.occurred_at)
            FROM events AS e WHERE (e.pii OR %s OR %s)%s
            GROUP BY e.log, e.actor, e.actor_role, e.action
            ORDER BY e.log::text, count(*) DESC, e.actor, e.actor_role, e.action
        $q$, notary.is_of('pii'), notary.fits($1, '(^|[.])pii([.]|$)'), ' AND e.actor_role = ' || quote_literal($4)), $1, $2, $3) AS r
        (log regclass, actor text, actor_role text, action text, events bigint, refused bigint, resources bigint,
         fields text[], sources inet[], first_at timestamptz, last_at timestamptz)
$$;
COMMENT ON FUNCTION notary.pii_access(regclass, timestamptz, timestamptz, text) IS 'Who touched personal data: a row for each log, actor, role and action. An event counts if its pii is true, a part of its action is pii (pii.view, customer.pii.export), or notary.event_type has the action in category pii. actor_role: of this role alone. log NULL: all event logs that the caller may read but those that notary.event_logs says are left out. since is part of the period, until is not; NULL is open. With the caller''s rights and row-level security. Errors: 22023 an argument out of its range (the message names it), 55000 not an event log, 42501 no SELECT privilege.';
CREATE VIEW notary.pii_access AS SELECT * FROM notary.pii_access();
GRANT SELECT ON notary.pii_access TO PUBLIC;
COMMENT ON VIEW notary.pii_access IS 'Who touched personal data, in all event logs that the current user may read.';
COMMENT ON COLUMN notary.pii_access.log IS 'The event log.';
COMMENT ON COLUMN notary.pii_access.actor IS 'Who.';
COMMENT ON COLUMN notary.pii_access.actor_role IS 'In which role.';
COMMENT ON COLUMN notary.pii_access.action IS 'What was done.';
COMMENT ON COLUMN notary.pii_access.events IS 'How many events.';
COMMENT ON COLUMN notary.pii_access.refused IS 'How many of them did not succeed.';
COMMENT ON COLUMN notary.pii_access.resources IS 'How many resources they touched.';
COMMENT ON COLUMN notary.pii_access.fields IS 'The fields that they name (pii_fields).';
COMMENT ON COLUMN notary.pii_access.sources IS 'From where: ip, else client_addr.';
COMMENT ON COLUMN notary.pii_access.first_at IS 'The first time.';
COMMENT ON COLUMN notary.pii_access.last_at IS 'The last time.';

CREATE FUNCTION notary.failed_auth(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                   until timestamptz DEFAULT NULL, min_count integer DEFAULT 1)
    RETURNS TABLE (log regclass, actor text, source inet, failures bigint, actions text[], first_at timestamptz,
                   last_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report(format($q$
            SELECT e.log, e.actor, e.source, count(*), array_agg(DISTINCT e.action::text ORDER BY e.action::text), min(e.occurred_at), max(e.occurred_at)
            FROM events AS e WHERE %s AND (e.result <> 'success' OR %s)
            GROUP BY e.log, e.actor, e.source HAVING count(*) >= %s
            ORDER BY e.log::text, count(*) DESC, e.actor, e.source
        $q$, notary.is_of('auth'), notary.ends_in('fail|failed|failure'), notary.checked('min_count', $4, 1)), $1, $2, $3) AS r
        (log regclass, actor text, source inet, failures bigint, actions text[], first_at timestamptz,
         last_at timestamptz)
$$;
COMMENT ON FUNCTION notary.failed_auth(regclass, timestamptz, timestamptz, integer) IS 'Failed attempts to get in: a row for each log, actor and source with at least min_count of them. An event counts if its action begins with auth. or notary.event_type has it in category auth, and its result is not success or its action ends in fail, failed or failure. log, since, until and errors as for notary.pii_access.';
CREATE VIEW notary.failed_auth AS SELECT * FROM notary.failed_auth();
GRANT SELECT ON notary.failed_auth TO PUBLIC;
COMMENT ON VIEW notary.failed_auth IS 'Failed attempts to get in, in all event logs that the current user may read.';
COMMENT ON COLUMN notary.failed_auth.log IS 'The event log.';
COMMENT ON COLUMN notary.failed_auth.actor IS 'Who.';
COMMENT ON COLUMN notary.failed_auth.source IS 'From where: ip, else client_addr.';
COMMENT ON COLUMN notary.failed_auth.failures IS 'How many.';
COMMENT ON COLUMN notary.failed_auth.actions IS 'Which actions.';
COMMENT ON COLUMN notary.failed_auth.first_at IS 'The first time.';
COMMENT ON COLUMN notary.failed_auth.last_at IS 'The last time.';

CREATE FUNCTION notary.auth_bursts(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                   until timestamptz DEFAULT NULL, width interval DEFAULT '5 minutes',
                                   min_count integer DEFAULT 10)
    RETURNS TABLE (log regclass, kind text, burst_start timestamptz, burst_end timestamptz, failures bigint,
                   actors text[], sources inet[])
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report(format($q$
            , failed AS MATERIALIZED (
                SELECT e.log, e.occurred_at, e.actor, e.source FROM events AS e WHERE %s AND (e.result <> 'success' OR %s)),
            tried AS MATERIALIZED (
                SELECT log, 'actor' AS kind, actor AS subject, occurred_at, actor, source FROM failed WHERE actor IS NOT NULL
                UNION ALL
                SELECT log, 'source', abbrev(source), occurred_at, actor, source FROM failed WHERE source IS NOT NULL),
            framed AS (
                SELECT log, kind, subject, occurred_at, count(*) OVER w AS n, min(occurred_at) OVER w AS begun FROM tried
                WINDOW w AS (PARTITION BY log, kind, subject ORDER BY occurred_at
                             RANGE BETWEEN interval %L PRECEDING AND CURRENT ROW)),
            dense AS (
                SELECT *, max(occurred_at) OVER (PARTITION BY log, kind, subject ORDER BY occurred_at
                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
                FROM framed WHERE n >= %s),
            numbered AS (
                SELECT *, count(*) FILTER (WHERE before IS NULL OR begun > before)
                              OVER (PARTITION BY log, kind, subject ORDER BY occurred_at) AS number
                FROM dense),
            bursts AS (
                SELECT log, kind, subject, min(begun) AS burst_start, max(occurred_at) AS burst_end
                FROM numbered GROUP BY log, kind, subject, number)
            SELECT b.log, b.kind, b.burst_start, b.burst_end, count(*), array_agg(DISTINCT t.actor) FILTER (WHERE t.actor IS NOT NULL),
                   array_agg(DISTINCT t.source) FILTER (WHERE t.source IS NOT NULL)
            FROM bursts AS b
            JOIN tried AS t ON t.log = b.log AND t.kind = b.kind AND t.subject = b.subject
                           AND t.occurred_at BETWEEN b.burst_start AND b.burst_end
            GROUP BY b.log, b.kind, b.subject, b.burst_start, b.burst_end
            ORDER BY b.log::text, b.burst_start, b.kind, b.subject
        $q$, notary.is_of('auth'), notary.ends_in('fail|failed|failure'), notary.checked('width', $4, '0'), notary.checked('min_count', $5, 1)), $1, $2, $3) AS r
        (log regclass, kind text, burst_start timestamptz, burst_end timestamptz, failures bigint, actors text[],
         sources inet[])
$$;
COMMENT ON FUNCTION notary.auth_bursts(regclass, timestamptz, timestamptz, interval, integer) IS 'What looks like brute force: times in which one actor, or one source, failed min_count times or more within width; such times that overlap are one. Which events count says notary.failed_auth. log, since, until and errors as for notary.pii_access.';
CREATE VIEW notary.auth_bursts AS SELECT * FROM notary.auth_bursts();
GRANT SELECT ON notary.auth_bursts TO PUBLIC;
COMMENT ON VIEW notary.auth_bursts IS 'What looks like brute force (ten failures within five minutes), in all event logs that the current user may read.';
COMMENT ON COLUMN notary.auth_bursts.log IS 'The event log.';
COMMENT ON COLUMN notary.auth_bursts.kind IS 'What the failures have in common: the actor or the source.';
COMMENT ON COLUMN notary.auth_bursts.burst_start IS 'The first of the failures.';
COMMENT ON COLUMN notary.auth_bursts.burst_end IS 'The last.';
COMMENT ON COLUMN notary.auth_bursts.failures IS 'How many.';
COMMENT ON COLUMN notary.auth_bursts.actors IS 'Whose accounts.';
COMMENT ON COLUMN notary.auth_bursts.sources IS 'From where: ip, else client_addr.';

CREATE FUNCTION notary.admin_actions(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                     until timestamptz DEFAULT NULL)
    RETURNS TABLE (log regclass, occurred_at timestamptz, actor text, actor_role text, action text, severity text,
                   resource_type text, resource_id text, result text, old_value jsonb, new_value jsonb, source inet,
                   id uuid)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report(format($q$
            SELECT e.log, e.occurred_at, e.actor, e.actor_role, e.action::text, t.severity, e.resource_type, e.resource_id, e.result,
                   e.old_value, e.new_value, e.source, e.id
            FROM events AS e LEFT JOIN notary.event_type AS t ON t.name = e.action
            WHERE %s
            ORDER BY e.occurred_at, e.id, e.log::text
        $q$, notary.is_of('admin')), $1, $2, $3) AS r
        (log regclass, occurred_at timestamptz, actor text, actor_role text, action text, severity text,
         resource_type text, resource_id text, result text, old_value jsonb, new_value jsonb, source inet, id uuid)
$$;
COMMENT ON FUNCTION notary.admin_actions(regclass, timestamptz, timestamptz) IS 'What was administered: each event whose action begins with admin., or that notary.event_type has in category admin, oldest first. log, since, until and errors as for notary.pii_access.';
CREATE VIEW notary.admin_actions AS SELECT * FROM notary.admin_actions();
GRANT SELECT ON notary.admin_actions TO PUBLIC;
COMMENT ON VIEW notary.admin_actions IS 'What was administered, in all event logs that the current user may read.';
COMMENT ON COLUMN notary.admin_actions.log IS 'The event log.';
COMMENT ON COLUMN notary.admin_actions.occurred_at IS 'When.';
COMMENT ON COLUMN notary.admin_actions.actor IS 'Who.';
COMMENT ON COLUMN notary.admin_actions.actor_role IS 'In which role.';
COMMENT ON COLUMN notary.admin_actions.action IS 'What was done.';
COMMENT ON COLUMN notary.admin_actions.severity IS 'As notary.event_type has it; NULL: it does not know the action.';
COMMENT ON COLUMN notary.admin_actions.resource_type IS 'What kind of thing it was done to.';
COMMENT ON COLUMN notary.admin_actions.resource_id IS 'Which one.';
COMMENT ON COLUMN notary.admin_actions.result IS 'success, failure, denied or error.';
COMMENT ON COLUMN notary.admin_actions.old_value IS 'What it was before.';
COMMENT ON COLUMN notary.admin_actions.new_value IS 'What it is then.';
COMMENT ON COLUMN notary.admin_actions.source IS 'From where: ip, else client_addr.';
COMMENT ON COLUMN notary.admin_actions.id IS 'The event.';

CREATE FUNCTION notary.data_exports(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                    until timestamptz DEFAULT NULL)
    RETURNS TABLE (log regclass, occurred_at timestamptz, actor text, actor_role text, action text,
                   resource_type text, resource_id text, result text, records numeric, pii boolean, fields text[],
                   source inet, id uuid)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report(format($q$
            SELECT e.log, e.occurred_at, e.actor, e.actor_role, e.action::text, e.resource_type, e.resource_id, e.result,
                   notary.member(e.details, true, 'records', 'record_count', 'recordCount', 'rows', 'row_count', 'rowCount')::numeric,
                   e.pii, e.pii_fields, e.source, e.id
            FROM events AS e
            WHERE %s OR %s
            ORDER BY e.occurred_at, e.id, e.log::text
        $q$, notary.is_of('export'), notary.fits($1, '(^|[.])export$')), $1, $2, $3) AS r
        (log regclass, occurred_at timestamptz, actor text, actor_role text, action text, resource_type text,
         resource_id text, result text, records numeric, pii boolean, fields text[], source inet, id uuid)
$$;
COMMENT ON FUNCTION notary.data_exports(regclass, timestamptz, timestamptz) IS 'What left: each event whose action ends in export or begins with export., or that notary.event_type has in category export, oldest first. log, since, until and errors as for notary.pii_access.';
CREATE VIEW notary.data_exports AS SELECT * FROM notary.data_exports();
GRANT SELECT ON notary.data_exports TO PUBLIC;
COMMENT ON VIEW notary.data_exports IS 'What left, in all event logs that the current user may read.';
COMMENT ON COLUMN notary.data_exports.log IS 'The event log.';
COMMENT ON COLUMN notary.data_exports.occurred_at IS 'When.';
COMMENT ON COLUMN notary.data_exports.actor IS 'Who.';
COMMENT ON COLUMN notary.data_exports.actor_role IS 'In which role.';
COMMENT ON COLUMN notary.data_exports.action IS 'What was done.';
COMMENT ON COLUMN notary.data_exports.resource_type IS 'What kind of thing it was done to.';
COMMENT ON COLUMN notary.data_exports.resource_id IS 'Which one.';
COMMENT ON COLUMN notary.data_exports.result IS 'success, failure, denied or error.';
COMMENT ON COLUMN notary.data_exports.records IS 'How many records: records, else record_count, rows or row_count, in details or in its event_data or data; NULL where none of them is a number.';
COMMENT ON COLUMN notary.data_exports.pii IS 'Were personal data among them?';
COMMENT ON COLUMN notary.data_exports.fields IS 'Which (pii_fields).';
COMMENT ON COLUMN notary.data_exports.source IS 'From where: ip, else client_addr.';
COMMENT ON COLUMN notary.data_exports.id IS 'The event.';

CREATE FUNCTION notary.ai_decisions(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                    until timestamptz DEFAULT NULL)
    RETURNS TABLE (log regclass, occurred_at timestamptz, actor text, actor_type text, model text,
                   model_version text, confidence numeric, resource_type text, resource_id text, result text,
                   overridden_by text, overridden_at timestamptz, overrides bigint, id uuid)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report(format($q$
            , overrides AS MATERIALIZED (
                SELECT e.log, e.actor, e.occurred_at, e.id,
                       coalesce(notary.member(e.details, false, 'inference_id', 'inferenceId', 'decision_id', 'decisionId'), e.resource_id) AS decision
                -- Of people, as far as is said, and not tried in vain.
                FROM ever AS e WHERE %1$s AND %3$s AND e.result = 'success'
                    AND coalesce(e.actor_type, '') NOT IN ('ai_agent', 'system')),
            decisions AS MATERIALIZED (SELECT e.* FROM events AS e WHERE %1$s AND %2$s),
            -- A decision goes by its event's id, and by the one that the application gave it.
            last AS (
                SELECT DISTINCT ON (n.log, n.id) n.log, n.id, o.actor, o.occurred_at, count(*) OVER (PARTITION BY n.log, n.id) AS n
                FROM (SELECT d.log, d.id, d.id::text FROM decisions AS d
                      UNION
                      SELECT d.log, d.id, notary.member(d.details, false, 'inference_id', 'inferenceId', 'decision_id', 'decisionId',
                                                        'event_id', 'eventId', 'id')
                      FROM decisions AS d) AS n (log, id, name)
                -- A uuid in either case.
                JOIN overrides AS o ON o.log = n.log AND n.name = CASE WHEN o.decision ~ '^[0-9A-Fa-f-]{36}$' THEN lower(o.decision)
                                                                       ELSE o.decision END
                ORDER BY n.log, n.id, o.occurred_at DESC, o.id DESC)
            SELECT e.log, e.occurred_at, e.actor, e.actor_type,
                   notary.member(e.details, false, 'model', 'model_name', 'modelName', 'model_id', 'modelId', 'model.name',
                                 'model.id'),
                   notary.member(e.details, false, 'model_version', 'modelVersion', 'model.version', 'version'),
                   notary.member(e.details, true, 'confidence', 'confidence_score', 'confidenceScore')::numeric,
                   e.resource_type, e.resource_id, e.result, o.actor, o.occurred_at, coalesce(o.n, 0), e.id
            FROM decisions AS e
            LEFT JOIN last AS o ON o.log = e.log AND o.id = e.id
            ORDER BY e.occurred_at, e.id, e.log::text
        $q$, notary.is_of('ai'), notary.ends_in('inference|decision'), notary.ends_in('override')), $1, $2, $3) AS r
        (log regclass, occurred_at timestamptz, actor text, actor_type text, model text, model_version text,
         confidence numeric, resource_type text, resource_id text, result text, overridden_by text,
         overridden_at timestamptz, overrides bigint, id uuid)
$$;
COMMENT ON FUNCTION notary.ai_decisions(regclass, timestamptz, timestamptz) IS 'What models decided, oldest first: each event whose action begins with ai. or that notary.event_type has in category ai, and that ends in inference or decision; with the last override of it, of whatever time, in the same log. An override is an event of the same kind whose action ends in override, with result success and not by an actor of type ai_agent or system, and names the decision in inference_id or decision_id, in details or in its event_data or data, else in resource_id: by the id of its event, or by the inference_id or decision_id that it has there itself. log, since, until and errors as for notary.pii_access.';
CREATE VIEW notary.ai_decisions AS SELECT * FROM notary.ai_decisions();
GRANT SELECT ON notary.ai_decisions TO PUBLIC;
COMMENT ON VIEW notary.ai_decisions IS 'What models decided, in all event logs that the current user may read.';
COMMENT ON COLUMN notary.ai_decisions.log IS 'The event log.';
COMMENT ON COLUMN notary.ai_decisions.occurred_at IS 'When.';
COMMENT ON COLUMN notary.ai_decisions.actor IS 'Who.';
COMMENT ON COLUMN notary.ai_decisions.actor_type IS 'user, service, ai_agent or system.';
COMMENT ON COLUMN notary.ai_decisions.model IS 'Which: model, else model_name or model_id, in details or in its event_data or data.';
COMMENT ON COLUMN notary.ai_decisions.model_version IS 'Of which version: model_version, else version, likewise; or the version of an object model.';
COMMENT ON COLUMN notary.ai_decisions.confidence IS 'How sure it was: confidence, else confidence_score, likewise, if it is a number.';
COMMENT ON COLUMN notary.ai_decisions.resource_type IS 'What kind of thing it was done to.';
COMMENT ON COLUMN notary.ai_decisions.resource_id IS 'Which one.';
COMMENT ON COLUMN notary.ai_decisions.result IS 'success, failure, denied or error.';
COMMENT ON COLUMN notary.ai_decisions.overridden_by IS 'Who decided otherwise, last.';
COMMENT ON COLUMN notary.ai_decisions.overridden_at IS 'When.';
COMMENT ON COLUMN notary.ai_decisions.overrides IS 'How many times.';
COMMENT ON COLUMN notary.ai_decisions.id IS 'The event.';

CREATE FUNCTION notary.kind(resource_type text, log regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one     regclass;
    name    text;
    query   text;
    there   boolean;
    kinds   text[];
    like_it text[] := '{}';
BEGIN
    IF resource_type IS NULL THEN
        RETURN NULL;
    END IF;
    -- Of what is left out the report itself tells.
    FOREACH one IN ARRAY notary.to_ask(log, true) LOOP
        name := notary.event_log_name(one);
        query := format('SELECT EXISTS (SELECT FROM %s WHERE resource_type = %L)', name, resource_type);
        EXECUTE CASE WHEN log IS NULL THEN notary.plan_apart(query) ELSE query END INTO there;
        IF there THEN
            RETURN resource_type;
        END IF;
        query := format('SELECT ARRAY(%s)', notary.distinct_sql(name, 'resource_type', 1000));
        EXECUTE CASE WHEN log IS NULL THEN notary.plan_apart(query) ELSE query END INTO kinds;
        -- customers, Customers or shop.customers, where it is public.customers.
        like_it := like_it || ARRAY(SELECT k FROM unnest(kinds) AS k
                                    WHERE lower(substring(k FROM '[^.]*$')) = lower(substring(resource_type FROM '[^.]*$')));
    END LOOP;
    RAISE NOTICE USING MESSAGE = format('no event is about a resource of type %L', resource_type),
        DETAIL = CASE like_it WHEN '{}' THEN 'None that you may see has this resource_type.'
                      ELSE format('There are events about %s.', (SELECT string_agg(DISTINCT k, ', ' ORDER BY k) FROM unnest(like_it) AS k)) END,
        HINT = 'A captured change is about its table, with the schema: public.customers.';
    RETURN resource_type;
END
$$;
COMMENT ON FUNCTION notary.kind(text, regclass) IS 'Internal: a resource_type, with a NOTICE where the log (NULL: any that notary.event_logs does not leave out) has no event about it: which there are that look like it, among the first thousand.';

CREATE FUNCTION notary.resource_history(resource_type text DEFAULT NULL, resource_id text DEFAULT NULL,
                                        log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                        until timestamptz DEFAULT NULL)
    RETURNS TABLE (log regclass, occurred_at timestamptz, action text, actor text, actor_role text, db_user text,
                   db_session_user text, application_name text, result text, changed text[], old_value jsonb,
                   new_value jsonb, resource_type text, resource_id text, id uuid)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report(format($q$
            SELECT e.log, e.occurred_at, e.action::text, e.actor, e.actor_role, e.db_user, e.db_session_user,
                   e.application_name, e.result,
                   (SELECT array_agg(k ORDER BY k) FROM (
                        SELECT jsonb_object_keys(CASE jsonb_typeof(e.old_value) WHEN 'object' THEN e.old_value ELSE '{}' END)
                        UNION SELECT jsonb_object_keys(CASE jsonb_typeof(e.new_value) WHEN 'object' THEN e.new_value ELSE '{}' END)) AS keys (k)
                    WHERE e.old_value -> k IS DISTINCT FROM e.new_value -> k),
                   e.old_value, e.new_value, e.resource_type, e.resource_id, e.id
            FROM events AS e
            WHERE %s
            ORDER BY e.occurred_at, e.id, e.log::text
        $q$, concat_ws(' AND ', CASE WHEN $1 IS NULL AND $2 IS NULL THEN '(e.resource_type IS NOT NULL OR e.resource_id IS NOT NULL)' END, 'e.resource_type = ' || quote_literal(notary.kind($1, $3)), 'e.resource_id = ' || quote_literal($2))), $3, $4, $5) AS r
        (log regclass, occurred_at timestamptz, action text, actor text, actor_role text, db_user text,
         db_session_user text, application_name text, result text, changed text[], old_value jsonb, new_value jsonb,
         resource_type text, resource_id text, id uuid)
$$;
COMMENT ON FUNCTION notary.resource_history(text, text, regclass, timestamptz, timestamptz) IS 'What happened to a resource: each event about it, oldest first, with what was before and what was then, and with which role and program of the database. A captured change is about its table, with the schema: public.customers. A NOTICE says so where nothing was ever logged about this resource_type. NULL for resource_id: of all of this type; for both: all events about any. log, since, until and errors as for notary.pii_access.';
CREATE VIEW notary.resource_history AS SELECT * FROM notary.resource_history();
GRANT SELECT ON notary.resource_history TO PUBLIC;
COMMENT ON VIEW notary.resource_history IS 'What happened to every resource, in all event logs that the current user may read. For one alone ask the function.';
COMMENT ON COLUMN notary.resource_history.log IS 'The event log.';
COMMENT ON COLUMN notary.resource_history.occurred_at IS 'When.';
COMMENT ON COLUMN notary.resource_history.action IS 'What was done.';
COMMENT ON COLUMN notary.resource_history.actor IS 'Who.';
COMMENT ON COLUMN notary.resource_history.actor_role IS 'In which role.';
COMMENT ON COLUMN notary.resource_history.db_user IS 'The database role whose rights were used: what the actor cannot choose.';
COMMENT ON COLUMN notary.resource_history.db_session_user IS 'The database role that logged in.';
COMMENT ON COLUMN notary.resource_history.application_name IS 'The program, as it calls itself.';
COMMENT ON COLUMN notary.resource_history.result IS 'success, failure, denied or error.';
COMMENT ON COLUMN notary.resource_history.changed IS 'The members in which old_value and new_value differ; NULL where these are no objects.';
COMMENT ON COLUMN notary.resource_history.old_value IS 'What it was before.';
COMMENT ON COLUMN notary.resource_history.new_value IS 'What it is then.';
COMMENT ON COLUMN notary.resource_history.resource_type IS 'What kind of thing it was done to.';
COMMENT ON COLUMN notary.resource_history.resource_id IS 'Which one.';
COMMENT ON COLUMN notary.resource_history.id IS 'The event.';

CREATE FUNCTION notary.activity(log regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                until timestamptz DEFAULT NULL)
    RETURNS TABLE (log regclass, hour timestamptz, actor text, action text, events bigint, failures bigint)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.report($q$
            SELECT e.log, date_trunc('hour', e.occurred_at, 'UTC'), e.actor, e.action::text, count(*), count(*) FILTER (WHERE e.result <> 'success')
            FROM events AS e
            GROUP BY 1, 2, 3, 4
            ORDER BY 2, e.log::text, 3, 4
        $q$, $1, $2, $3) AS r
        (log regclass, hour timestamptz, actor text, action text, events bigint, failures bigint)
$$;
COMMENT ON FUNCTION notary.activity(regclass, timestamptz, timestamptz) IS 'Who did what how often: events by hour (of UTC), actor and action. log, since, until and errors as for notary.pii_access.';
CREATE VIEW notary.activity AS SELECT * FROM notary.activity();
GRANT SELECT ON notary.activity TO PUBLIC;
COMMENT ON VIEW notary.activity IS 'Who did what how often, in all event logs that the current user may read.';
COMMENT ON COLUMN notary.activity.log IS 'The event log.';
COMMENT ON COLUMN notary.activity.hour IS 'The hours beginning.';
COMMENT ON COLUMN notary.activity.actor IS 'Who.';
COMMENT ON COLUMN notary.activity.action IS 'What was done.';
COMMENT ON COLUMN notary.activity.events IS 'How many events.';
COMMENT ON COLUMN notary.activity.failures IS 'How many of them did not succeed.';

CREATE FUNCTION notary.wanted(log regclass, parts boolean) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    root regclass;
BEGIN
    IF log IS NULL THEN
        RETURN 'SELECT log FROM notary.event_logs';
    END IF;
    SELECT CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END INTO root FROM pg_class AS c WHERE c.oid = log;
    IF root IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('relation with OID %s does not exist', log::oid),
            DETAIL = 'Nothing in this database has this number.', HINT = 'SELECT * FROM notary.logs shows every log.';
    ELSIF NOT EXISTS (SELECT FROM pg_trigger AS t
                      WHERE t.tgrelid IN (log, root) AND t.tgfoid IN ('notary.append'::regproc, 'notary.refuse'::regproc, 'notary.about'::regproc))
            -- One that lost all its triggers.
            AND NOT EXISTS (SELECT FROM notary.logs AS l WHERE l.log = root) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('%s is not a log', log),
            DETAIL = 'It has no triggers of pg_notary.', HINT = 'SELECT * FROM notary.logs shows every log.';
    ELSIF root <> log AND NOT parts THEN
        RAISE EXCEPTION USING ERRCODE = '42809', MESSAGE = format('%s is a partition of %s', log, root),
            DETAIL = 'A partitioned table is protected as a whole.', HINT = format('Name %s instead.', root);
    -- Not by a query of the log, which would be planned, and planning runs what its owner hung on it.
    ELSIF NOT has_table_privilege(log, 'SELECT') THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('permission denied for table %s', (SELECT c.relname FROM pg_class AS c WHERE c.oid = log)),
            DETAIL = 'What is on record of a log is for those who may read it.', HINT = 'It takes SELECT on the whole table.';
    END IF;
    RETURN format('SELECT %s::oid::regclass AS log', log::oid);
END
$$;
COMMENT ON FUNCTION notary.wanted(regclass, boolean) IS 'Internal: the query for the logs that integrity and access are about: one that is named, of any kind, also a damaged one (parts: or a partition of one), or for NULL every event log that the caller may read. None of them is read, nor planned to be. Errors: 22023 no such relation, 55000 not a log, 42809 a partition, unless parts, 42501 no SELECT privilege.';

CREATE FUNCTION notary.integrity(log regclass DEFAULT NULL)
    RETURNS TABLE (log regclass, uuid uuid, intact boolean, attested_at timestamptz, attested_entries bigint,
                   unattested text, entries bigint, last_entry timestamptz, lines bigint, sealed_lines bigint,
                   unsealed_lines bigint, sealed_share numeric, sealed_at timestamptz, unsealed_since timestamptz,
                   tracked text[], guard text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.run(format($q$
            SELECT wanted.log, l.uuid, a.intact, a.at, CASE WHEN NOT hidden THEN a.entries END,
                   CASE WHEN a.at IS NULL THEN CASE WHEN l.log IS NULL THEN 'not protected' ELSE %L END END,
                   l.entries, l.last_entry, l.entries + l.segments, open.sealed, open.lines,
                   round(open.sealed / nullif(l.entries + l.segments, 0)::numeric, 4), s.sealed_at,
                   CASE WHEN open.lines > 0 THEN coalesce(
                       s.sealed_at, (SELECT min((header::json ->> 'time')::timestamptz) FROM notary.header(l.log) AS header)) END,
                   ARRAY(SELECT t."table"::text FROM notary.tracked AS t WHERE t.log = wanted.log ORDER BY 1),
                   coalesce(nullif(concat_ws('; ', nullif(coalesce(l.guard, 'not protected'), 'complete'),
                                             CASE WHEN event_log THEN notary.lacks(wanted.log) END), ''), 'complete')
            FROM (%s) AS wanted
            CROSS JOIN row_security_active(wanted.log) AS hidden
            -- Without that column of it which locks logs.
            CROSS JOIN LATERAL (SELECT wanted.log IN (SELECT e.log FROM notary.event_logs AS e)) AS kind (event_log)
            LEFT JOIN notary.logs AS l ON l.log = wanted.log
            LEFT JOIN LATERAL (SELECT seal.size, seal.sealed_at FROM notary.seals AS seal WHERE seal.uuid = l.uuid
                               ORDER BY seal.incarnation DESC, seal.size DESC LIMIT 1) AS s ON true
            CROSS JOIN LATERAL (SELECT CASE WHEN l.entries IS NOT NULL THEN coalesce(s.size, 0) END AS sealed,
                                       CASE WHEN l.entries IS NOT NULL THEN greatest(l.entries + l.segments - coalesce(s.size, 0), 0) END AS lines) AS open
            LEFT JOIN LATERAL (%s) AS a ON true
            ORDER BY wanted.log::text
        $q$, CASE WHEN has_table_privilege(to_regclass('notary.journal'), 'SELECT') THEN 'notary.attest was never called' ELSE 'no SELECT on notary.journal' END, notary.wanted($1, false),
            CASE WHEN has_table_privilege(to_regclass('notary.journal'), 'SELECT')
                 THEN 'SELECT at, (details ->> ''intact'')::boolean AS intact, (details ->> ''entries'')::bigint AS entries '
                      'FROM notary.journal WHERE action = ''attest'' AND log = l.uuid ORDER BY at DESC LIMIT 1'
                 ELSE 'SELECT NULL::timestamptz AS at, NULL::boolean AS intact, NULL::bigint AS entries' END)) AS r
        (log regclass, uuid uuid, intact boolean, attested_at timestamptz, attested_entries bigint, unattested text,
         entries bigint, last_entry timestamptz, lines bigint, sealed_lines bigint, unsealed_lines bigint,
         sealed_share numeric, sealed_at timestamptz, unsealed_since timestamptz, tracked text[], guard text)
$$;
COMMENT ON FUNCTION notary.integrity(regclass) IS 'How far a log (NULL: each event log that the caller may read) can be relied on, from what is on record; it checks nothing itself (notary.verify does). Damaged logs and those that are not protected any more are shown, too. log may be any log, notary.journal too. Where row-level security hides rows from the caller, counts and the times of entries are NULL. Errors: 22023 no such relation, 55000 not a log, 42809 a partition, 42501 no SELECT privilege.';
CREATE VIEW notary.integrity AS SELECT * FROM notary.integrity();
GRANT SELECT ON notary.integrity TO PUBLIC;
COMMENT ON VIEW notary.integrity IS 'How far each event log that the current user may read can be relied on.';
COMMENT ON COLUMN notary.integrity.log IS 'The log.';
COMMENT ON COLUMN notary.integrity.uuid IS 'The log''s uuid.';
COMMENT ON COLUMN notary.integrity.intact IS 'What the last notary.attest found; NULL: unattested says why.';
COMMENT ON COLUMN notary.integrity.attested_at IS 'When that was.';
COMMENT ON COLUMN notary.integrity.attested_entries IS 'How many entries it had then.';
COMMENT ON COLUMN notary.integrity.unattested IS 'Why intact is not known: notary.attest was never called, the caller has no SELECT on notary.journal, which tells of it, or the log is not protected any more; NULL: it is known.';
COMMENT ON COLUMN notary.integrity.entries IS 'How many entries it has, by the ends of the chains; NULL: row-level security hides rows from the caller, or it is not protected.';
COMMENT ON COLUMN notary.integrity.last_entry IS 'When the last one was made.';
COMMENT ON COLUMN notary.integrity.lines IS 'How many lines it has, which is what seals count: an entry is one, and so is the header of each period of protection.';
COMMENT ON COLUMN notary.integrity.sealed_lines IS 'How many lines the last seal commits to.';
COMMENT ON COLUMN notary.integrity.unsealed_lines IS 'How many lines no seal commits to yet.';
COMMENT ON COLUMN notary.integrity.sealed_share IS 'The share of the lines that the last seal commits to, from 0 to 1.';
COMMENT ON COLUMN notary.integrity.sealed_at IS 'When it was last sealed; NULL: never.';
COMMENT ON COLUMN notary.integrity.unsealed_since IS 'Since when there may be unsealed lines: the last seal, or the beginning; NULL: there are none.';
COMMENT ON COLUMN notary.integrity.tracked IS 'The tables whose changes go to it now; since when, says notary.coverage.';
COMMENT ON COLUMN notary.integrity.guard IS 'complete, what is missing, or: not protected.';

CREATE FUNCTION notary.access(log regclass DEFAULT NULL)
    RETURNS TABLE (log regclass, role text, may text, how text, login boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.run(format($q$
            WITH logs AS (
                SELECT c.oid, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl
                FROM (%s) AS wanted JOIN pg_class AS c ON c.oid = wanted.log),
            tracked (oid, owner, may) AS (
                SELECT l.oid, c.relowner, 'end tracking of ' || t."table"::text
                FROM logs AS l JOIN notary.tracked AS t ON t.log = l.oid JOIN pg_class AS c ON c.oid = t."table"),
            grants (oid, grantee, privilege, how) AS (
                SELECT l.oid, g.grantee, g.privilege_type, CASE WHEN g.grantee = l.relowner THEN 'owner' ELSE 'grant' END
                FROM logs AS l, aclexplode(l.acl) AS g
                UNION ALL
                SELECT DISTINCT l.oid, g.grantee, g.privilege_type, 'grant on columns'
                FROM logs AS l JOIN pg_attribute AS a ON a.attrelid = l.oid AND NOT a.attisdropped, aclexplode(a.attacl) AS g
                UNION ALL
                SELECT l.oid, r.oid, p.privilege, 'predefined role'
                FROM logs AS l, (VALUES ('pg_read_all_data', 'SELECT'), ('pg_write_all_data', 'INSERT')) AS p (name, privilege)
                JOIN pg_roles AS r ON r.rolname = p.name),
            holders (oid, holder, may, how) AS (
                SELECT oid, grantee, CASE privilege WHEN 'SELECT' THEN 'read' ELSE 'write' END, how
                FROM grants WHERE privilege IN ('SELECT', 'INSERT')
                UNION ALL
                SELECT oid, relowner, may, 'owner' FROM logs, unnest(ARRAY['own', 'switch protection off']) AS may
                UNION ALL
                SELECT oid, owner, may, 'owner' FROM tracked),
            everyone (oid, role, may, how, login) AS (
                SELECT l.oid, r.rolname::text, may, 'superuser', r.rolcanlogin
                FROM logs AS l, pg_roles AS r, unnest(ARRAY['read', 'write', 'own', 'switch protection off']
                    || ARRAY(SELECT t.may FROM tracked AS t WHERE t.oid = l.oid)) AS may WHERE r.rolsuper
                UNION
                SELECT h.oid, 'PUBLIC', h.may, h.how, NULL FROM holders AS h WHERE h.holder = 0
                UNION
                SELECT h.oid, r.rolname::text, h.may, h.how, r.rolcanlogin
                FROM holders AS h JOIN pg_roles AS r ON r.oid = h.holder AND NOT r.rolsuper
                UNION
                SELECT h.oid, m.rolname::text, h.may, 'member of ' || r.rolname, m.rolcanlogin
                FROM holders AS h JOIN pg_roles AS r ON r.oid = h.holder
                JOIN pg_roles AS m ON m.oid <> r.oid AND NOT m.rolsuper AND pg_has_role(m.oid, r.oid, 'MEMBER'))
            SELECT oid::regclass, role, may, how, login FROM everyone
            ORDER BY oid::regclass::text, coalesce(array_position(ARRAY['switch protection off', '', 'own', 'write', 'read'], may), 2), may, role, how
        $q$, notary.wanted($1, true))) AS r
        (log regclass, role text, may text, how text, login boolean)
$$;
COMMENT ON FUNCTION notary.access(regclass) IS 'Who may read, write, own a log (NULL: each event log that the caller may read), switch its protection off (notary.unprotect), or end the tracking of a table whose changes go there (notary.untrack), and how: as its owner, by a grant (to the role or to PUBLIC), a predefined role, membership (direct or not, with or without inheriting), as superuser. Not shown: rights on the schema, row-level security, and roles that can make themselves superuser or a member (pg_execute_server_program, CREATEROLE before PostgreSQL 16). log may be any log, notary.journal too, and a partition, whose rights are its own. Errors: 22023 no such relation, 55000 not a log, 42501 no SELECT privilege.';
CREATE VIEW notary.access AS SELECT * FROM notary.access();
GRANT SELECT ON notary.access TO PUBLIC;
COMMENT ON VIEW notary.access IS 'Who may do what to each event log that the current user may read.';
COMMENT ON COLUMN notary.access.log IS 'The log.';
COMMENT ON COLUMN notary.access.role IS 'The role; PUBLIC: everybody.';
COMMENT ON COLUMN notary.access.may IS 'switch protection off, end tracking of a table, own, write or read.';
COMMENT ON COLUMN notary.access.how IS 'owner, grant, grant on columns, predefined role, member of …, or superuser. One role can have several.';
COMMENT ON COLUMN notary.access.login IS 'May it log in?';

CREATE FUNCTION notary.sample(log regclass, n integer, seed text, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
    RETURNS TABLE (id uuid, occurred_at timestamptz, action text, actor text, actor_type text, actor_role text,
                   resource_type text, resource_id text, resource_name text, result text, ip inet, user_agent text,
                   session_id text, request_id text, trace_id text, pii boolean, pii_fields text[], old_value jsonb,
                   new_value jsonb, details jsonb, tags text[], db_user text, db_session_user text,
                   application_name text, client_addr inet, backend_pid integer, txid bigint, notary_chain integer,
                   notary_seq bigint)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM notary.run(format(
        'SELECT id, occurred_at, action, actor, actor_type, actor_role, resource_type, resource_id, resource_name, result, ip, user_agent, session_id, request_id, trace_id, pii, pii_fields, old_value, new_value, details, tags, db_user, db_session_user, application_name, client_addr, backend_pid, txid, notary_chain, notary_seq FROM %s%s ORDER BY sha256(convert_to(%L || id::text, ''UTF8'')) LIMIT %s',
        notary.event_log_name($1),
        notary.period($4, $5), notary.checked('seed', $3, ''), notary.checked('n', $2, 1))) AS e
        (id uuid, occurred_at timestamptz, action text, actor text, actor_type text, actor_role text,
         resource_type text, resource_id text, resource_name text, result text, ip inet, user_agent text,
         session_id text, request_id text, trace_id text, pii boolean, pii_fields text[], old_value jsonb,
         new_value jsonb, details jsonb, tags text[], db_user text, db_session_user text, application_name text,
         client_addr inet, backend_pid integer, txid bigint, notary_chain integer, notary_seq bigint)
$$;
COMMENT ON FUNCTION notary.sample(regclass, integer, text, timestamptz, timestamptz) IS 'A sample of n events that nobody can steer and everybody can draw again: those whose SHA-256 of the seed followed by the id (as PostgreSQL writes it: 36 characters, lower case), in UTF-8, is least, in that order. The same log, seed and period give the same events everywhere. Let the auditor choose the seed. Reads the whole period. With the caller''s rights and row-level security. Errors: 22023 log, n or seed is NULL, n below 1, since is not before until, 55000 not an event log, 42501 no SELECT privilege.';
