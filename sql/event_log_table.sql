CREATE TABLE %LOG% (
    id               uuid PRIMARY KEY,
    occurred_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    action           text COLLATE "C" NOT NULL,
    actor            text,
    actor_type       text,
    actor_role       text,
    resource_type    text COLLATE "C",
    resource_id      text,
    resource_name    text,
    result           text COLLATE "C" NOT NULL,
    ip               inet,
    user_agent       text,
    session_id       text,
    request_id       text,
    trace_id         text,
    pii              boolean NOT NULL,
    pii_fields       text[],
    old_value        jsonb,
    new_value        jsonb,
    details          jsonb,
    tags             text[],
    db_user          text NOT NULL,
    db_session_user  text NOT NULL,
    application_name text NOT NULL,
    client_addr      inet,
    backend_pid      integer NOT NULL,
    txid             bigint NOT NULL
);
COMMENT ON TABLE %LOG% IS 'An event log of pg_notary: who did what to what, with which result, when and from where. Append-only. INSERT INTO … (actor, action) is enough; notary.log_event takes JSON.';
COMMENT ON COLUMN %LOG%.id IS 'The event: the application''s own id, or one in the order of time (UUID version 7).';
COMMENT ON COLUMN %LOG%.occurred_at IS 'When it happened, by whoever reports it; the time of the INSERT where nobody says. When the entry was made is notary_time.';
COMMENT ON COLUMN %LOG%.action IS 'What was done, dotted from the general to the special: customer.pii.export. notary.event_type lists common ones.';
COMMENT ON COLUMN %LOG%.actor IS 'Who did it: a user, a service or a model, as the application calls them. From notary.actor or the JWT''s claims where the INSERT leaves it out, else the role that logged in.';
COMMENT ON COLUMN %LOG%.actor_type IS 'user, service, ai_agent or system.';
COMMENT ON COLUMN %LOG%.actor_role IS 'In which role: admin. From notary.actor_role or the JWT''s claims where the INSERT leaves it out.';
COMMENT ON COLUMN %LOG%.resource_type IS 'What kind of thing it was done to: customer, or the table''s name of a captured change.';
COMMENT ON COLUMN %LOG%.resource_id IS 'Which one: its key.';
COMMENT ON COLUMN %LOG%.resource_name IS 'Its name, for readers.';
COMMENT ON COLUMN %LOG%.result IS 'success (the default), failure, denied or error.';
COMMENT ON COLUMN %LOG%.ip IS 'Where the request came from, as the application says. From notary.ip where the INSERT leaves it out.';
COMMENT ON COLUMN %LOG%.user_agent IS 'The client''s program. From notary.user_agent where the INSERT leaves it out.';
COMMENT ON COLUMN %LOG%.session_id IS 'The application''s session. From notary.session_id or the JWT''s claims where the INSERT leaves it out.';
COMMENT ON COLUMN %LOG%.request_id IS 'The request. From notary.request_id where the INSERT leaves it out.';
COMMENT ON COLUMN %LOG%.trace_id IS 'The trace (W3C trace context). From notary.trace_id where the INSERT leaves it out.';
COMMENT ON COLUMN %LOG%.pii IS 'Were personal data touched? False (the default) or true.';
COMMENT ON COLUMN %LOG%.pii_fields IS 'Which ones.';
COMMENT ON COLUMN %LOG%.old_value IS 'What it was before.';
COMMENT ON COLUMN %LOG%.new_value IS 'What it is now.';
COMMENT ON COLUMN %LOG%.details IS 'The rest, an object.';
COMMENT ON COLUMN %LOG%.tags IS 'Words to find it by.';
COMMENT ON COLUMN %LOG%.db_user IS 'The current role (current_user) when the event came. Set by the database, whatever the client sends.';
COMMENT ON COLUMN %LOG%.db_session_user IS 'The database role that logged in, also behind SET ROLE and SET SESSION AUTHORIZATION. Set by the database.';
COMMENT ON COLUMN %LOG%.application_name IS 'The setting application_name of the session. Set by the database.';
COMMENT ON COLUMN %LOG%.client_addr IS 'The address that the database was connected from; NULL for a Unix socket. Set by the database.';
COMMENT ON COLUMN %LOG%.backend_pid IS 'The server process. Set by the database.';
COMMENT ON COLUMN %LOG%.txid IS 'The transaction: entries of one transaction have the same. Set by the database.';
CREATE INDEX %TIME% ON %LOG% USING btree (occurred_at, id) WITH (deduplicate_items = off);
CREATE INDEX %ACTOR% ON %LOG% USING btree (actor, occurred_at, id) WITH (deduplicate_items = off);
CREATE INDEX %ROLE% ON %LOG% USING btree (actor_role, occurred_at, id) WITH (deduplicate_items = off) WHERE (actor_role IS NOT NULL);
CREATE INDEX %ACTION% ON %LOG% USING btree (action, occurred_at, id) WITH (deduplicate_items = off);
CREATE INDEX %RESOURCE% ON %LOG% USING btree (resource_id, resource_type, occurred_at, id) WITH (deduplicate_items = off) WHERE (resource_id IS NOT NULL);
CREATE INDEX %TYPE% ON %LOG% USING btree (resource_type, occurred_at, id) WITH (deduplicate_items = off) WHERE (resource_type IS NOT NULL);
CREATE INDEX %RESULT% ON %LOG% USING btree (result, occurred_at, id) WITH (deduplicate_items = off) WHERE (result <> 'success'::text);
CREATE INDEX %PII% ON %LOG% USING btree (occurred_at, id) WITH (deduplicate_items = off) WHERE pii;
CREATE INDEX %TAGS% ON %LOG% USING gin (tags) WHERE (tags IS NOT NULL);
CREATE INDEX %WORDS% ON %LOG% USING gin (notary.event_words(action, actor, resource_type, resource_id, resource_name, (old_value)::text, (new_value)::text, (details)::text, tags));
CREATE TRIGGER "~notary_about" BEFORE INSERT ON %LOG% FOR EACH ROW EXECUTE FUNCTION notary.about();
ALTER TABLE %LOG% ENABLE ALWAYS TRIGGER "~notary_about";
