-- Events found by what one knows of them.
CREATE FUNCTION notary.lacks_column(log regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Its column "%s" is missing or has another type.', split_part(c.it, ' ', 1))
    FROM regexp_split_to_table('id uuid, occurred_at timestamptz, action text, actor text, actor_type text, actor_role text, '
        'resource_type text, resource_id text, resource_name text, result text, ip inet, user_agent text, '
        'session_id text, request_id text, trace_id text, pii boolean, pii_fields text[], old_value jsonb, '
        'new_value jsonb, details jsonb, tags text[], db_user text, db_session_user text, application_name text, '
        'client_addr inet, backend_pid integer, txid bigint, notary_chain integer, notary_seq bigint', ', ') WITH ORDINALITY AS c (it, number)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = $1 AND a.attname = split_part(c.it, ' ', 1) AND NOT a.attisdropped
                        AND a.atttypid = split_part(c.it, ' ', 2)::regtype)
    ORDER BY c.number LIMIT 1
$$;
COMMENT ON FUNCTION notary.lacks_column(regclass) IS 'Internal: which column of an event log a table has not; NULL: it has all. Columns of other types are none of an event log''s: what casts and operators they bring would run with the reader''s rights.';

CREATE FUNCTION notary.lacks(log regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(CASE WHEN count(*) = 0 THEN 'It has no trigger ~notary_about.'
                         WHEN NOT bool_or(t.tgenabled IN ('O', 'A')) THEN 'Its trigger ~notary_about is disabled.' END,
                    notary.lacks_column($1))
    FROM pg_trigger AS t WHERE t.tgrelid = $1 AND t.tgfoid = 'notary.about'::regproc
$$;
COMMENT ON FUNCTION notary.lacks(regclass) IS 'Internal: what a table lacks to be searched and reported on as an event log; NULL: nothing.';

CREATE FUNCTION notary.distrust(log regclass) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'distrust_wrapper';
COMMENT ON FUNCTION notary.distrust(regclass) IS 'Internal: by what a log could run code of its owner''s with the rights of whoever asks about all logs; NULL: by nothing, or the owner is a superuser or the current user. Asked of the catalogs alone. Locks the log as SELECT does, to the end of the transaction; one of other owners only if it need not wait.';

CREATE FUNCTION notary.plan_apart(statement text) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'plan_apart_wrapper';
COMMENT ON FUNCTION notary.plan_apart(text) IS 'Internal: returns the statement, and has this session plan it with the rights of pg_checkpoint, which has next to none, when it comes to it. Planning folds immutable functions in conditions of indexes and in statistics, and no lock that a reader could hold keeps the owner of a log from making new ones.';

CREATE VIEW notary.event_logs AS
    SELECT c.oid::pg_catalog.regclass AS log, coalesce(notary.lacks(c.oid), notary.distrust(c.oid)) AS left_out
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT pg_catalog.pg_is_other_temp_schema(n.oid)
      AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
      AND (EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                   WHERE t.tgrelid = c.oid AND t.tgfoid = 'notary.about'::pg_catalog.regproc)
           -- One that lost that trigger is to be seen, too.
           OR EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                      WHERE t.tgrelid = c.oid AND t.tgfoid = 'notary.append'::pg_catalog.regproc)
              AND notary.lacks_column(c.oid) IS NULL);
GRANT SELECT ON notary.event_logs TO PUBLIC;
COMMENT ON VIEW notary.event_logs IS 'Every event log that the current user may read, damaged ones included. The reports are about those of which nothing is said in left_out, when none is named.';
COMMENT ON COLUMN notary.event_logs.log IS 'The table: one with a trigger that calls notary.about(), or a log with the columns of an event log.';
COMMENT ON COLUMN notary.event_logs.left_out IS 'Why reports leave it out when no log is named: what it lacks of an event log, or how it could run code of its owner''s with the current user''s rights. NULL: they do not.';

CREATE FUNCTION notary.to_ask(log regclass, told boolean) RETURNS regclass[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one record;
    logs regclass[] := '{}';
BEGIN
    IF log IS NOT NULL THEN
        RETURN ARRAY[log];
    END IF;
    FOR one IN SELECT l.log, l.left_out FROM notary.event_logs AS l LOOP
        IF one.left_out IS NULL THEN
            logs := logs || one.log;
        ELSIF NOT told THEN
            RAISE WARNING USING ERRCODE = '01000', MESSAGE = format('%s is left out', one.log), DETAIL = one.left_out,
                HINT = 'Name the log to ask about it, if you trust its owner.';
        END IF;
    END LOOP;
    RETURN logs;
END
$$;
COMMENT ON FUNCTION notary.to_ask(regclass, boolean) IS 'Internal: this log, or NULL: those event logs that the caller may read and that can run nobody''s code with his rights; a WARNING names each other, unless it was told already. Not STABLE, or the planner would ask, too.';

CREATE FUNCTION notary.event_log_name(log regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name  text;
    lacks text := notary.lacks(log);
BEGIN
    IF log IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'log must not be NULL', DETAIL = 'It is the event log.',
            HINT = 'SELECT * FROM notary.event_logs shows every event log.';
    END IF;
    SELECT format('%I.%I', n.nspname, c.relname) INTO name
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = log;
    IF name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('relation with OID %s does not exist', log::oid),
            HINT = 'SELECT * FROM notary.event_logs shows every event log.';
    ELSIF lacks IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '55000', DETAIL = lacks,
            MESSAGE = format(CASE WHEN lacks LIKE '%disabled.' THEN '%s is a damaged event log' ELSE '%s is not an event log' END, name),
            HINT = CASE WHEN lacks LIKE '%disabled.'
                        THEN format('Its owner can mend it: ALTER TABLE %s ENABLE ALWAYS TRIGGER "~notary_about". Have notary.verify check it.', name)
                        ELSE 'notary.create_log(name) makes one.' END;
    END IF;
    RETURN name;
END
$$;
COMMENT ON FUNCTION notary.event_log_name(regclass) IS 'Internal: an event log''s name, quoted, with its schema. Errors: 22023 NULL or no such relation, 55000 not an event log, or a damaged one.';

CREATE FUNCTION notary.literal(at timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT quote_literal(to_jsonb($1) #>> '{}') || '::timestamptz' $$;
COMMENT ON FUNCTION notary.literal(timestamptz) IS 'Internal: a time as SQL, which means the same under any DateStyle.';

CREATE FUNCTION notary.run(statement text) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
BEGIN
    RETURN QUERY EXECUTE statement;
END
$$;
COMMENT ON FUNCTION notary.run(text) IS 'Internal: the rows of a query, as notary.search and the reports put it together. With the caller''s rights and row-level security, who may as well run it himself.';

CREATE FUNCTION notary.share(log regclass, col text, val text) RETURNS real
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        (SELECT m.share FROM unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS m (val, share) WHERE m.val = $3),
        CASE WHEN s.n_distinct < 0 THEN 0
             ELSE (1 - s.null_frac - coalesce((SELECT sum(f) FROM unnest(s.most_common_freqs) AS f), 0))
                  / greatest(s.n_distinct - coalesce(cardinality(s.most_common_freqs), 0), 1) END)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = $2 AND NOT s.inherited
    WHERE c.oid = $1
$$;
COMMENT ON FUNCTION notary.share(regclass, text, text) IS 'Internal: the share of a log''s entries with this value, as ANALYZE saw it; NULL where there are no statistics or the caller may not see them.';

CREATE FUNCTION notary.slice(key text, val text, also text, low text, high_keys text, high text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN key LIKE '%,%' THEN
        'WHERE ' || concat_ws(' AND ', '(' || key || CASE WHEN low IS NULL THEN '' ELSE ', occurred_at' END || ') >= (' || concat_ws(', ', val, low) || ')',
                              coalesce('(' || concat_ws(', ', key, high_keys) || ') < (' || val || ', ' || high || ')',
                                       '(' || key || ') <= (' || val || ')'), also)
        || ' ORDER BY ' || replace(key, ',', ' DESC,') || ' DESC, occurred_at DESC, id DESC'
    ELSE
        'WHERE ' || coalesce(nullif(concat_ws(' AND ', key || ' = ANY (ARRAY[' || val || '])', 'occurred_at >= ' || low,
                                                 '(' || high_keys || ') < (' || high || ')', also), ''), 'true')
        || ' ORDER BY ' || coalesce(key || ' DESC, ', '') || 'occurred_at DESC, id DESC'
    END
$$;
COMMENT ON FUNCTION notary.slice(text, text, text, text, text, text) IS 'Internal: the events of one key of an index that goes on with occurred_at and id, newest first. In words that leave the planner no other order: by an index on the time alone it would go through all that happened since. Of two columns (with a comma) rows are compared, which only an index that begins with both can do.';

CREATE FUNCTION notary.search_sql(log regclass, actor text DEFAULT NULL, actor_role text DEFAULT NULL,
        action text DEFAULT NULL, resource_type text DEFAULT NULL, resource_id text DEFAULT NULL,
        result text DEFAULT NULL, pii boolean DEFAULT NULL, tag text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, text text DEFAULT NULL, page_size integer DEFAULT 50, after uuid DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    name   text := notary.event_log_name(log);
    cols   constant text := 'id, occurred_at, action, actor, actor_type, actor_role, resource_type, resource_id, resource_name, result, ip, user_agent, session_id, request_id, trace_id, pii, pii_fields, old_value, new_value, details, tags, db_user, db_session_user, application_name, client_addr, backend_pid, txid, notary_chain, notary_seq';
    newest constant text := 'ORDER BY occurred_at DESC, id DESC';
    -- Which indexes there are: the way to the events depends on it, which events these are does not.
    there  constant text[] := notary.log_indexes(log);
    -- Conditions that an index finds in the order of time: which, its columns, their values, what a partial index asks
    -- for, the condition in plain words, and the share of entries that meet it.
    needs  text[] := '{}';
    keys   text[] := '{}';
    vals   text[] := '{}';
    also   text[] := '{}';
    equal  text[] := '{}';
    shares real[] := '{}';
    -- Those that an index finds in another order or none, those that none finds, and the pattern's range of actions.
    loose  text[] := '{}';
    plain  text[] := '{}';
    one_id text;
    range  text;
    -- The period, and what comes after the page before.
    after_at  timestamptz;
    low       text;
    high_keys text;
    high      text;
    times     text;
    -- Among several conditions one that few entries meet.
    slice  text;
    few    text;
    rows   bigint;
    fewest bigint := 1000;
    chosen int;
    rest   text;
    -- From one type or action to the next, and how many steps are too many.
    steps  text;
    most   constant int := 202;
BEGIN
    IF page_size IS NULL OR page_size NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'page_size must be from 1 to 1000',
            DETAIL = format('It is %s.', coalesce(page_size::text, 'NULL')),
            HINT = 'For more, ask for the next page: after => the id of the last row.';
    END IF;
    IF since >= until THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'since must be before until',
            DETAIL = 'since is part of the period, until is not.',
            HINT = 'The first quarter: since => ''2026-01-01'', until => ''2026-04-01''.';
    END IF;
    IF result NOT IN ('success', 'failure', 'denied', 'error') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%L is no result', result),
            DETAIL = 'Events have one of four.', HINT = 'It is success, failure, denied or error.';
    END IF;
    IF action = '' OR position('*' IN left(action, -1)) > 0 OR action ~ '[^.][*]$' OR action = '.*' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%L is no action and no pattern of actions', action),
            DETAIL = 'A star stands for all that may follow, and only as the last part after a dot.',
            HINT = 'Give one action, or a beginning with a star: customer.pii.*';
    END IF;
    IF text IS NOT NULL AND notary.words(text) = '{}' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'text has no words',
            DETAIL = 'Events are found by words: runs of letters and digits.', HINT = 'Leave text out to see all events.';
    END IF;
    IF after IS NOT NULL THEN
        EXECUTE format('SELECT occurred_at FROM %s WHERE id = $1', name) INTO after_at USING after;
        IF after_at IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('there is no event %s', after),
                DETAIL = format('%s has none of this id that you may see.', name),
                HINT = 'after is the id of the last row of the page before.';
        END IF;
    END IF;

    low := notary.literal(since);
    IF after IS NOT NULL AND (until IS NULL OR after_at < until) THEN
        high_keys := 'occurred_at, id';
        high := format('%s, %L::uuid', notary.literal(after_at), after);
    ELSIF until IS NOT NULL THEN
        high_keys := 'occurred_at';
        high := notary.literal(until);
    END IF;
    times := nullif(concat_ws(' AND ', 'occurred_at >= ' || low, '(' || high_keys || ') < (' || high || ')'), '');

    -- Where nothing is known of how many there are, those that come first are tried first.
    IF resource_type IS NOT NULL AND resource_id IS NOT NULL THEN
        needs := needs || text 'resource';
        keys := keys || text 'resource_id, resource_type';
        vals := vals || format('%L, %L', resource_id, resource_type);
        also := also || text 'resource_id IS NOT NULL';
        equal := equal || format('resource_type = %L AND resource_id = %L', resource_type, resource_id);
        shares := shares || coalesce(notary.share(log, 'resource_type', resource_type)
                                     * notary.share(log, 'resource_id', resource_id), 0.0001)::real;
    END IF;
    IF resource_type IS NOT NULL AND resource_id IS NULL THEN
        needs := needs || text 'type';
        keys := keys || text 'resource_type';
        vals := vals || quote_literal(resource_type);
        also := also || text 'resource_type IS NOT NULL';
        equal := equal || format('resource_type = %L', resource_type);
        shares := shares || coalesce(notary.share(log, 'resource_type', resource_type), 0.1)::real;
    END IF;
    IF actor IS NOT NULL THEN
        needs := needs || text 'actor';
        keys := keys || text 'actor';
        vals := vals || quote_literal(actor);
        also := also || NULL::text;
        equal := equal || format('actor = %L', actor);
        shares := shares || coalesce(notary.share(log, 'actor', actor), 0.001)::real;
    END IF;
    IF action IS NOT NULL AND action NOT LIKE '%*' THEN
        needs := needs || text 'action';
        keys := keys || text 'action';
        vals := vals || quote_literal(action);
        also := also || NULL::text;
        equal := equal || format('action = %L', action);
        shares := shares || coalesce(notary.share(log, 'action', action), 0.01)::real;
    END IF;
    IF actor_role IS NOT NULL THEN
        needs := needs || text 'role';
        keys := keys || text 'actor_role';
        vals := vals || quote_literal(actor_role);
        also := also || text 'actor_role IS NOT NULL';
        equal := equal || format('actor_role = %L', actor_role);
        shares := shares || coalesce(notary.share(log, 'actor_role', actor_role), 0.05)::real;
    END IF;
    IF result <> 'success' THEN
        needs := needs || text 'result';
        keys := keys || text 'result';
        vals := vals || quote_literal(result);
        also := also || text 'result <> ''success''';
        equal := equal || format('result = %L', result);
        shares := shares || coalesce(notary.share(log, 'result', result), 0.1)::real;
    ELSIF result IS NOT NULL THEN
        plain := plain || format('result = %L', result);
    END IF;
    IF pii THEN
        needs := needs || text 'pii';
        keys := keys || NULL::text;
        vals := vals || NULL::text;
        also := also || text 'pii';
        equal := equal || text 'pii';
        shares := shares || coalesce(notary.share(log, 'pii', 't'), 0.2)::real;
    ELSIF NOT pii THEN
        plain := plain || text 'NOT pii';
    END IF;
    IF action LIKE '%.*' THEN
        -- What begins with the prefix comes before the prefix with a slash, the dot's successor, in place of its dot.
        range := format('action >= %L AND action < %L', left(action, -1), left(action, -2) || '/');
        IF 'action' <> ALL (there) THEN
            loose := loose || range;
            range := NULL;
        END IF;
    END IF;
    IF resource_id IS NOT NULL AND resource_type IS NULL THEN
        -- In words that leave the planner only the index that begins with it.
        one_id := format('resource_id IS NOT NULL AND resource_id = ANY (ARRAY[%L])', resource_id);
        IF 'resource' <> ALL (there) THEN
            loose := loose || one_id;
            one_id := NULL;
        END IF;
    END IF;
    IF tag IS NOT NULL THEN
        loose := loose || format('tags @> ARRAY[%L]', tag);
    END IF;
    IF text IS NOT NULL THEN
        loose := loose || format('notary.event_words(action, actor, resource_type, resource_id, resource_name, '
                                 'old_value::text, new_value::text, details::text, tags) @> %L::text[]', notary.words(text));
    END IF;
    -- What has no index is found in no order.
    FOR i IN REVERSE cardinality(needs) .. 1 LOOP
        IF needs[i] <> ALL (there) THEN
            loose := loose || equal[i];
            keys := keys[:i - 1] || keys[i + 1:];
            vals := vals[:i - 1] || vals[i + 1:];
            also := also[:i - 1] || also[i + 1:];
            equal := equal[:i - 1] || equal[i + 1:];
            shares := shares[:i - 1] || shares[i + 1:];
        END IF;
    END LOOP;

    IF cardinality(equal || loose || plain) + num_nonnulls(one_id, range, times) > 1 THEN
        FOR i IN 1 .. cardinality(keys) LOOP
            slice := notary.slice(keys[i], vals[i], also[i], low, high_keys, high);
            EXECUTE format('SELECT count(*) FROM (SELECT FROM %s %s LIMIT %s) AS e', name, slice, fewest) INTO rows;
            IF rows < fewest THEN
                fewest := rows;
                few := slice;
                rest := concat_ws(' AND ', VARIADIC equal[:i - 1] || equal[i + 1:] || loose || plain || one_id || range);
            END IF;
        END LOOP;
        IF times IS NOT NULL AND 'time' = ANY (there) THEN
            slice := notary.slice(NULL, NULL, NULL, low, high_keys, high);
            EXECUTE format('SELECT count(*) FROM (SELECT FROM %s %s LIMIT %s) AS e', name, slice, fewest) INTO rows;
            IF rows < fewest THEN
                fewest := rows;
                few := slice;
                rest := concat_ws(' AND ', VARIADIC equal || loose || plain || one_id || range);
            END IF;
        END IF;
    END IF;
    -- These two also where they are all that is asked: what they find stands in no order of time.
    IF one_id IS NOT NULL THEN
        slice := 'ORDER BY resource_id, resource_type, occurred_at, id';
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %s WHERE %s %s LIMIT %s) AS e', name, one_id, slice, fewest) INTO rows;
        IF rows < fewest THEN
            fewest := rows;
            few := concat_ws(' ', 'WHERE', concat_ws(' AND ', one_id, times), slice);
            rest := concat_ws(' AND ', VARIADIC equal || loose || plain || range);
        END IF;
    END IF;
    IF range IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %s WHERE %s ORDER BY action LIMIT %s) AS e', name, range, fewest) INTO rows;
        IF rows < fewest THEN
            fewest := rows;
            few := 'WHERE ' || concat_ws(' AND ', range, times) || ' ORDER BY action';
            rest := concat_ws(' AND ', VARIADIC equal || loose || plain || one_id);
        END IF;
    END IF;
    IF few IS NOT NULL THEN
        -- The limit says to the planner what was just counted.
        RETURN format('WITH few AS MATERIALIZED (SELECT %1$s FROM %2$s %3$s LIMIT 1000) SELECT %1$s FROM few%4$s %5$s LIMIT %6$s',
                      cols, name, few, coalesce(' WHERE ' || nullif(rest, ''), ''), newest, page_size);
    END IF;

    -- A resource of any type: of each type that it has, the newest; of an id that has very many types, as below.
    IF one_id IS NOT NULL THEN
        steps := format(
            'WITH RECURSIVE kinds (kind) AS ('
            '(SELECT resource_type FROM %1$s WHERE %2$s ORDER BY resource_id, resource_type LIMIT 1) '
            'UNION ALL SELECT (SELECT resource_type FROM %1$s WHERE %2$s AND resource_type > kind ORDER BY resource_id, resource_type LIMIT 1) '
            'FROM kinds WHERE kind IS NOT NULL)', name, one_id);
        EXECUTE steps || format(' SELECT count(*) FROM (SELECT FROM kinds LIMIT %s) AS e', most) INTO rows;
        IF rows < most THEN
            rest := concat_ws(' AND ', VARIADIC equal || loose || plain || range);
            RETURN format(
                '%1$s SELECT * FROM (SELECT e.* FROM kinds CROSS JOIN LATERAL (SELECT %3$s FROM %2$s %4$s LIMIT %6$s) AS e '
                'WHERE kind IS NOT NULL UNION ALL (SELECT %3$s FROM %2$s %5$s LIMIT %6$s)) AS e %7$s LIMIT %6$s',
                steps, name, cols,
                notary.slice('resource_id, resource_type', quote_literal(resource_id) || ', kinds.kind',
                             concat_ws(' AND ', 'resource_id IS NOT NULL', nullif(rest, '')), low, high_keys, high),
                replace(notary.slice('resource_id', quote_literal(resource_id),
                                     concat_ws(' AND ', 'resource_id IS NOT NULL AND resource_type IS NULL', nullif(rest, '')), low, high_keys, high),
                        ' ORDER BY resource_id DESC, ', ' ORDER BY resource_id DESC, resource_type DESC, '),
                page_size, newest);
        END IF;
        loose := loose || one_id;
    END IF;

    -- A pattern: of each action that it fits, the newest; and only of those actions whose newest is among the newest. Where very
    -- many fit, as below.
    IF range IS NOT NULL AND keys = '{}' AND loose = '{}' THEN
        steps := format(
            'WITH RECURSIVE fits (this) AS ('
            '(SELECT action FROM %1$s WHERE %2$s ORDER BY action LIMIT 1) '
            'UNION ALL SELECT (SELECT action FROM %1$s WHERE action > this AND %2$s ORDER BY action LIMIT 1) '
            'FROM fits WHERE this IS NOT NULL)', name, range);
        EXECUTE steps || format(' SELECT count(*) FROM (SELECT FROM fits LIMIT %s) AS e', most) INTO rows;
        IF rows < most THEN
            slice := notary.slice('action', 'fits.this', nullif(array_to_string(plain, ' AND '), ''), low, high_keys, high);
            RETURN format(
                '%6$s, '
                'latest AS MATERIALIZED (SELECT this FROM fits CROSS JOIN LATERAL (SELECT occurred_at, id FROM %1$s %3$s LIMIT 1) AS e '
                'WHERE this IS NOT NULL %5$s LIMIT %4$s) '
                'SELECT e.* FROM latest AS fits CROSS JOIN LATERAL (SELECT %2$s FROM %1$s %3$s LIMIT %4$s) AS e %5$s LIMIT %4$s',
                name, cols, slice, page_size, newest, steps);
        END IF;
        loose := loose || range;
        range := NULL;
    END IF;

    SELECT i INTO chosen FROM unnest(shares) WITH ORDINALITY AS s (share, i) ORDER BY share, i LIMIT 1;
    rest := concat_ws(' AND ', VARIADIC
        CASE WHEN chosen IS NULL THEN '{}' ELSE equal[:chosen - 1] || equal[chosen + 1:] END || loose || plain || range);

    -- What is found in no order: first among the thousand newest, then among some more, then wherever it is. Without an
    -- order of time to go by, all that there is has to be looked at, and once is enough.
    IF loose <> '{}' AND (chosen IS NOT NULL OR 'time' = ANY (there)) THEN
        RETURN format(
            'WITH thousand AS MATERIALIZED (SELECT * FROM (SELECT %2$s FROM %1$s %3$s LIMIT 1000) AS e WHERE %7$s %5$s LIMIT %4$s), '
            'near AS MATERIALIZED (SELECT occurred_at, id FROM %1$s %3$s LIMIT 1 OFFSET 999), '
            'far AS MATERIALIZED (SELECT occurred_at, id FROM %1$s %3$s LIMIT 1 OFFSET 49999), '
            'more AS MATERIALIZED (SELECT * FROM (SELECT %2$s FROM %1$s WHERE %6$s '
            'AND (SELECT count(*) FROM thousand) < %4$s '
            'AND (occurred_at, id) < ((SELECT occurred_at FROM near), (SELECT id FROM near)) '
            'AND (occurred_at, id) >= (coalesce((SELECT occurred_at FROM far), ''-infinity''), '
            'coalesce((SELECT id FROM far), ''00000000-0000-0000-0000-000000000000'')) '
            'OFFSET 0) AS e %5$s LIMIT %4$s), '
            'old AS MATERIALIZED (SELECT * FROM (SELECT %2$s FROM %1$s WHERE %6$s '
            'AND (SELECT count(*) FROM thousand) + (SELECT count(*) FROM more) < %4$s '
            'AND (occurred_at, id) < ((SELECT occurred_at FROM far), (SELECT id FROM far)) '
            'OFFSET 0) AS e %5$s LIMIT %4$s) '
            'SELECT * FROM (SELECT * FROM thousand UNION ALL SELECT * FROM more UNION ALL SELECT * FROM old) AS e %5$s LIMIT %4$s',
            name, cols, notary.slice(keys[chosen], vals[chosen], also[chosen], low, high_keys, high), page_size, newest,
            concat_ws(' AND ', VARIADIC equal || loose || plain || range || times), rest);
    END IF;

    RETURN format('SELECT %s FROM %s %s LIMIT %s', cols, name,
                  notary.slice(keys[chosen], vals[chosen], nullif(concat_ws(' AND ', also[chosen], nullif(rest, '')), ''),
                               low, high_keys, high),
                  page_size);
END
$$;
COMMENT ON FUNCTION notary.search_sql(regclass, text, text, text, text, text, text, boolean, text, timestamptz, timestamptz, text, integer, uuid) IS 'The statement that notary.search runs for these arguments, to read, to EXPLAIN or to go on from. It depends on what the log holds now: among several conditions it begins with one that few entries meet. Errors as for notary.search.';

CREATE FUNCTION notary.search(log regclass, actor text DEFAULT NULL, actor_role text DEFAULT NULL,
        action text DEFAULT NULL, resource_type text DEFAULT NULL, resource_id text DEFAULT NULL,
        result text DEFAULT NULL, pii boolean DEFAULT NULL, tag text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, text text DEFAULT NULL, page_size integer DEFAULT 50, after uuid DEFAULT NULL)
    RETURNS TABLE (id uuid, occurred_at timestamptz, action text, actor text, actor_type text, actor_role text,
                   resource_type text, resource_id text, resource_name text, result text, ip inet, user_agent text,
                   session_id text, request_id text, trace_id text, pii boolean, pii_fields text[], old_value jsonb,
                   new_value jsonb, details jsonb, tags text[], db_user text, db_session_user text,
                   application_name text, client_addr inet, backend_pid integer, txid bigint, notary_chain integer,
                   notary_seq bigint)
    LANGUAGE sql STABLE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET max_parallel_workers_per_gather = 0
AS $$
    SELECT * FROM notary.run(notary.search_sql($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)) AS e
        (id uuid, occurred_at timestamptz, action text, actor text, actor_type text, actor_role text,
         resource_type text, resource_id text, resource_name text, result text, ip inet, user_agent text,
         session_id text, request_id text, trace_id text, pii boolean, pii_fields text[], old_value jsonb,
         new_value jsonb, details jsonb, tags text[], db_user text, db_session_user text, application_name text,
         client_addr inet, backend_pid integer, txid bigint, notary_chain integer, notary_seq bigint)
$$;
COMMENT ON FUNCTION notary.search(regclass, text, text, text, text, text, text, boolean, text, timestamptz, timestamptz, text, integer, uuid) IS 'The events of an event log that meet all conditions given, newest first (occurred_at, then id), a page at a time. All but log can be left out; name them: notary.search(''app_audit'', actor => ''ann''). action: one action, or all that begin so: customer.pii.* (the star only at the end, after a dot; * alone is any). resource_id alone: of any resource_type or none. tag: among the tags. since is part of the period, until is not. text: all its words (see notary.words) must be among the event''s. page_size: 1 to 1000. after: the id of the last row of the page before. notary_chain and notary_seq are the entry''s place, for notary.proof. With the caller''s rights and row-level security. Errors: 22023 log is NULL, or an argument is out of its range (the message names it), 55000 not an event log, 42501 no SELECT privilege.';
