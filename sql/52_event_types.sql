-- What events are called. A vocabulary, not a fence: an event log takes any action.
CREATE TABLE notary.event_type (
    name        text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    category    text COLLATE "C" NOT NULL CONSTRAINT category_is_in_lower_case CHECK (category ~ '^[^[:upper:][:space:]]+$'),
    severity    text NOT NULL DEFAULT 'info' CHECK (severity IN ('info', 'notice', 'warning', 'critical')),
    description text NOT NULL CONSTRAINT description_is_given CHECK (description <> ''),
    built_in    boolean NOT NULL DEFAULT false
);
REVOKE ALL ON notary.event_type FROM PUBLIC;
GRANT SELECT ON notary.event_type TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('notary.event_type', 'WHERE NOT built_in');
COMMENT ON TABLE notary.event_type IS 'Actions that events commonly have. The reports go by the category. Add your own with INSERT, which superusers may and whom they grant it; changing one with UPDATE, or inserting one of a name that is built in (this needs DELETE as well), makes it yours. Your own are dumped and restored; a built-in one that was deleted is there again after a restore.';
COMMENT ON COLUMN notary.event_type.name IS 'The action as events have it, dotted from the general to the special: auth.login.';
COMMENT ON COLUMN notary.event_type.category IS 'What reports take it for: auth, pii, admin, data, export, ai, system, or one of your own; in lower case.';
COMMENT ON COLUMN notary.event_type.severity IS 'info, notice, warning or critical.';
COMMENT ON COLUMN notary.event_type.description IS 'What happened, for readers.';
COMMENT ON COLUMN notary.event_type.built_in IS 'Came with pg_notary and is unchanged. Set by the database.';

INSERT INTO notary.event_type (name, category, severity, description, built_in)
SELECT name, category, severity, description, true
FROM (VALUES
    ('auth.login', 'auth', 'info', 'Somebody logged in.'),
    ('auth.logout', 'auth', 'info', 'Somebody logged out.'),
    ('auth.login.failure', 'auth', 'warning', 'A login failed.'),
    ('auth.failure', 'auth', 'warning', 'Somebody could not be authenticated, or was not allowed what he asked for.'),
    ('auth.lockout', 'auth', 'warning', 'An account was locked after failed attempts.'),
    ('auth.password.change', 'auth', 'notice', 'Somebody changed the own password.'),
    ('auth.password.reset', 'auth', 'notice', 'A password was reset.'),
    ('auth.password.reset.request', 'auth', 'info', 'A password reset was asked for.'),
    ('auth.mfa.enroll', 'auth', 'notice', 'A second factor was enrolled.'),
    ('auth.mfa.disable', 'auth', 'warning', 'A second factor was removed.'),
    ('auth.mfa.challenge', 'auth', 'info', 'A second factor was asked for.'),
    ('auth.mfa.failure', 'auth', 'warning', 'The second factor was wrong.'),
    ('auth.session.start', 'auth', 'info', 'A session began.'),
    ('auth.session.end', 'auth', 'info', 'A session ended.'),
    ('auth.session.revoke', 'auth', 'notice', 'A session was ended by somebody else.'),
    ('auth.token.issue', 'auth', 'notice', 'A token or API key was issued.'),
    ('auth.token.refresh', 'auth', 'info', 'A token was renewed.'),
    ('auth.token.revoke', 'auth', 'notice', 'A token or API key was revoked.'),
    ('pii.view', 'pii', 'info', 'Personal data were looked at.'),
    ('pii.search', 'pii', 'info', 'Personal data were searched.'),
    ('pii.create', 'pii', 'info', 'Personal data were recorded.'),
    ('pii.update', 'pii', 'notice', 'Personal data were changed.'),
    ('pii.export', 'pii', 'warning', 'Personal data were exported.'),
    ('pii.share', 'pii', 'warning', 'Personal data were handed to a third party.'),
    ('pii.delete', 'pii', 'notice', 'Personal data were deleted.'),
    ('pii.consent.grant', 'pii', 'info', 'A data subject consented.'),
    ('pii.consent.withdraw', 'pii', 'notice', 'A data subject withdrew consent.'),
    ('pii.subject.request', 'pii', 'notice', 'A data subject asked for access, rectification or erasure.'),
    ('admin.user.create', 'admin', 'notice', 'A user was created.'),
    ('admin.user.update', 'admin', 'notice', 'A user was changed.'),
    ('admin.user.disable', 'admin', 'notice', 'A user was disabled.'),
    ('admin.user.delete', 'admin', 'warning', 'A user was deleted.'),
    ('admin.user.impersonate', 'admin', 'critical', 'An administrator acted as another user.'),
    ('admin.role.grant', 'admin', 'warning', 'A role was granted.'),
    ('admin.role.revoke', 'admin', 'notice', 'A role was revoked.'),
    ('admin.role.change', 'admin', 'warning', 'What a role may do was changed.'),
    ('admin.permission.grant', 'admin', 'warning', 'A permission was granted.'),
    ('admin.permission.revoke', 'admin', 'notice', 'A permission was revoked.'),
    ('admin.configuration.change', 'admin', 'warning', 'A setting was changed.'),
    ('admin.key.rotate', 'admin', 'notice', 'A key or secret was replaced.'),
    ('data.import', 'data', 'notice', 'Data were imported.'),
    ('data.transform', 'data', 'info', 'Data were transformed.'),
    ('data.export', 'export', 'notice', 'Data were exported.'),
    ('data.delete', 'data', 'notice', 'Data were deleted.'),
    ('data.retention', 'data', 'notice', 'Data were deleted because their time was over.'),
    ('data.archive', 'data', 'info', 'Data were archived.'),
    ('ai.inference', 'ai', 'info', 'A model answered. details: model, model_version, confidence, input_hash, output_hash.'),
    ('ai.override', 'ai', 'warning', 'Somebody decided otherwise than the model. details.inference_id or resource_id: the id of its event.'),
    ('ai.training', 'ai', 'notice', 'A model was trained.'),
    ('ai.retraining', 'ai', 'notice', 'A model was trained again.'),
    ('ai.drift', 'ai', 'warning', 'A model was found to drift.'),
    ('ai.approval', 'ai', 'notice', 'A model was approved for use.'),
    ('ai.deployment', 'ai', 'notice', 'A model went into use.'),
    ('ai.rollback', 'ai', 'warning', 'A model was replaced by an earlier version.'),
    ('ai.summary', 'ai', 'info', 'A model summarised something.'),
    ('ai.tag', 'ai', 'info', 'A model tagged or classified something.'),
    ('system.start', 'system', 'info', 'A system started.'),
    ('system.stop', 'system', 'info', 'A system stopped.'),
    ('system.backup', 'system', 'info', 'A backup was made.'),
    ('system.restore', 'system', 'warning', 'A backup was restored.'),
    ('system.update', 'system', 'notice', 'A system was updated.'),
    ('system.job', 'system', 'info', 'A scheduled job ran.'),
    ('system.error', 'system', 'warning', 'A system failed at something.'),
    ('system.alert', 'system', 'critical', 'A system raised an alarm.')
) AS type (name, category, severity, description);

CREATE FUNCTION notary.own_event_type() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    NEW.built_in := false;
    IF TG_OP = 'INSERT' AND EXISTS (SELECT FROM notary.event_type AS t WHERE t.name = NEW.name AND t.built_in) THEN
        DELETE FROM notary.event_type AS t WHERE t.name = NEW.name AND t.built_in;
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION notary.own_event_type() FROM PUBLIC;
COMMENT ON FUNCTION notary.own_event_type() IS 'Trigger function of notary.event_type: what is added or changed is not built in any more, and takes the place of what was, so that a dump of it can be restored.';
CREATE TRIGGER own_event_type BEFORE INSERT OR UPDATE ON notary.event_type
    FOR EACH ROW EXECUTE FUNCTION notary.own_event_type();
ALTER TABLE notary.event_type ENABLE ALWAYS TRIGGER own_event_type;
