-- The event log: who did what to what, with which result, from where.
CREATE FUNCTION notary.about() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'notary_about';
REVOKE ALL ON FUNCTION notary.about() FROM PUBLIC;
COMMENT ON FUNCTION notary.about() IS 'Trigger function of event logs: fills in what an INSERT leaves out from the session''s context (notary.actor and the other settings), and sets what the database knows and nobody can claim: db_user, db_session_user, application_name, client_addr, backend_pid, txid.';

CREATE FUNCTION notary.words("text" text) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'words_wrapper';
COMMENT ON FUNCTION notary.words(text) IS 'The distinct words of a text in lower case: runs of letters and digits, cut off at 64 characters, at most 500. What notary.search compares its argument text by.';

CREATE FUNCTION notary.event_words(action text, actor text, resource_type text, resource_id text, resource_name text, old_value text, new_value text, details text, tags text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'event_words_wrapper';
COMMENT ON FUNCTION notary.event_words(text, text, text, text, text, text, text, text, text[]) IS 'The words of an event, as notary.words gives them: what event logs are indexed by.';

CREATE FUNCTION notary.uuid_v7() RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'uuid_v7_wrapper';
COMMENT ON FUNCTION notary.uuid_v7() IS 'A new UUID of version 7 (RFC 9562): in the order of time, and within one session strictly so.';

CREATE FUNCTION notary.create_log(name text, writer regrole DEFAULT NULL, reader regrole DEFAULT NULL, indexes text[] DEFAULT NULL) RETURNS regclass
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'create_log_wrapper';
COMMENT ON FUNCTION notary.create_log(text, regrole, regrole, text[]) IS 'Makes an event log: a table of this name (with or without a schema), indexed for notary.search, and protected. writer gets INSERT, and SELECT on id for RETURNING; reader gets SELECT. indexes: which of time, actor, role, action, resource, type, result, pii, tags, words it gets; NULL: all of them. Each costs what it is to keep for every event. Without one notary.search and the reports answer the same, but slower; notary.index_log adds it. For changes of busy tables ''{time,resource}'' is advised. Errors: 42P07 the name is taken, 42602 no name, 42501 no CREATE privilege on the schema, 22023 name is NULL, or indexes has an unknown name, one twice, or NULL, 25006 a read-only transaction.';

CREATE FUNCTION notary.index_log(log regclass, indexes text[] DEFAULT NULL) RETURNS text[]
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'index_log_wrapper';
COMMENT ON FUNCTION notary.index_log(regclass, text[]) IS 'Makes those of the indexes of an event log that it has not (see notary.create_log; NULL: of all), and returns which it made. For its owner. Like CREATE INDEX it waits for transactions that write to the log, and keeps others from writing until its own ends. Errors: 22023 log is NULL, or indexes has an unknown name, one twice, or NULL, 42501 not the owner, 55000 not an event log.';

CREATE FUNCTION notary.log_indexes(log regclass) RETURNS text[]
    LANGUAGE c STABLE PARALLEL UNSAFE STRICT
    SET search_path = pg_catalog, pg_temp
    SET quote_all_identifiers = off
    AS 'MODULE_PATHNAME', 'log_indexes_wrapper';
COMMENT ON FUNCTION notary.log_indexes(regclass) IS 'Which of the indexes that notary.create_log can make a table has, by what they are and not by their names: time, actor and so on. Valid ones only; none for who may not read the table.';

CREATE FUNCTION notary.set_context(actor text DEFAULT NULL, actor_role text DEFAULT NULL, ip inet DEFAULT NULL, user_agent text DEFAULT NULL, session_id text DEFAULT NULL, request_id text DEFAULT NULL, trace_id text DEFAULT NULL, local boolean DEFAULT true) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'set_context_wrapper';
COMMENT ON FUNCTION notary.set_context(text, text, inet, text, text, text, text, boolean) IS 'Says who acts from now on, for the events that the INSERTs of this transaction (local => false: of this session) leave it out of. All seven at once: what is left out here is unset. The same as SET LOCAL notary.actor = … and so on.';

CREATE FUNCTION notary.log_event(event jsonb) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'notary_log_event';
COMMENT ON FUNCTION notary.log_event(jsonb) IS 'Writes an event, as applications emit them, to the log that the setting notary.default_log names; returns its id. The documentation has the table of which member goes where; what is unknown goes to details. Errors: 22023 a malformed event (the message names the member), or no notary.default_log, 42P01 no such table, 42501 no INSERT privilege, 55000 not an event log.';

CREATE FUNCTION notary.log_event(log regclass, event jsonb) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'notary_log_event_to';
COMMENT ON FUNCTION notary.log_event(regclass, jsonb) IS 'Writes an event, as applications emit them, to an event log; returns its id. Errors as for notary.log_event(jsonb).';

CREATE FUNCTION notary.log_events(events jsonb) RETURNS SETOF uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'notary_log_events';
COMMENT ON FUNCTION notary.log_events(jsonb) IS 'Writes an array of events, all or none, to the log that notary.default_log names; returns their ids in the same order. Errors as for notary.log_event(jsonb).';

CREATE FUNCTION notary.log_events(log regclass, events jsonb) RETURNS SETOF uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'notary_log_events_to';
COMMENT ON FUNCTION notary.log_events(regclass, jsonb) IS 'Writes an array of events, all or none, to an event log; returns their ids in the same order. Errors as for notary.log_event(jsonb).';
