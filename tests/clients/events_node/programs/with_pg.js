// node-postgres (`pg`): an application's events as it has them, with parameters. What it prints is compared with expected/.
const { Pool } = require('pg');

const pool = new Pool({ max: 4 });
const say = (what, ...result) => console.log(what + ':', ...result);
const COLUMNS = `action, actor, actor_role, resource_type, resource_id, resource_name, result, ip::text, user_agent, session_id,
    request_id, occurred_at, pii, pii_fields, old_value, new_value, details, tags`;

async function show(what, id) {
    const { rows: [row] } = await pool.query(`SELECT ${COLUMNS} FROM app_audit WHERE id = $1`, [id]);
    say(what, JSON.stringify(Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))));
}

async function log(event) {
    const { rows } = await pool.query('SELECT notary.log_event($1) AS id', [event]);
    return rows[0].id;
}

async function refused(what, text, values) {
    try {
        await pool.query(text, values);
        say(what, 'WORKED');
    } catch (error) {
        say(what, error.code, '|', error.message, '|', error.hint);
    }
}

async function main() {
    // ---- a change of an entity ----
    await show('shape 1', await log({
        timestamp: new Date(Date.UTC(2026, 10, 20, 16, 7, 0, 5)), eventType: 'account.update', actor: 'alice@example.com',
        entityType: 'account', entityId: 42, oldValue: { limit: 10 }, newValue: { limit: 20 },
        context: { ip: '192.0.2.7', userAgent: 'Mozilla/5.0', sessionId: 's1', region: 'eu' },
    }));

    // ---- an actor, an action and a resource ----
    const access = {
        eventId: '6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb', timestamp: Date.UTC(2026, 10, 20, 16, 7),
        actor: { userId: 'u1', email: 'a@example.com', role: 'admin', ipAddress: '2001:db8::7' },
        action: 'customer.pii.export', resource: { type: 'customer', id: 'c1', name: 'O\'Brien & "Sons"' },
        result: 'denied', piiFields: ['email', 'phone'], details: { rows: 10 },
    };
    const id = await log(access);
    say('its own id', id === access.eventId);
    await show('shape 2', id);

    // ---- a type and data ----
    await show('shape 3', await log({
        event_type: 'order.created',
        event_data: { time: 1763654820, user: { id: 7 }, resource: { type: 'order', id: 8 }, amount: '10.00', tags: ['new', 'eu'] },
    }));

    // ---- many at once: pg makes an SQL array of a JavaScript one, so that it is handed over as JSON ----
    const many = Array.from({ length: 100 }, (_, n) => ({ action: `step ${n}` }));
    const ids = await pool.query('SELECT * FROM notary.log_events($1)', [JSON.stringify(many)]);
    say('log_events', ids.rowCount, new Set(ids.rows.map((row) => row.log_events)).size);

    // ---- requests side by side, each in a transaction with its context ----
    await Promise.all(Array.from({ length: 40 }, async (_, n) => {
        const client = await pool.connect();
        try {
            await client.query('BEGIN');
            await client.query('SELECT notary.set_context(actor => $1, ip => $2, request_id => $3)', [`user ${n}`, '198.51.100.9', `r${n}`]);
            await client.query('INSERT INTO app_audit (action, tags) VALUES ($1, $2)', ['request', [`user ${n}`, `r${n}`]]);
            await client.query('COMMIT');
            await client.query('INSERT INTO app_audit (action) VALUES ($1)', ['outside']);
        } finally {
            client.release();
        }
    }));
    const { rows } = await pool.query(`SELECT action, count(*)::int, bool_and(CASE action WHEN 'request'
        THEN actor = tags[1] AND request_id = tags[2] ELSE actor = current_user AND request_id IS NULL END) AS right
        FROM app_audit WHERE action IN ('request', 'outside') GROUP BY 1 ORDER BY 1`);
    say('requests', JSON.stringify(rows));

    // ---- what is refused ----
    await refused('no action', 'SELECT notary.log_event($1)', [{ actor: 'ann' }]);
    await refused('a bad address', 'SELECT notary.log_event($1)', [{ action: 'a', actor: { ipAddress: 'here' } }]);
    await refused('the same id', 'SELECT notary.log_event($1)', [access]);
    await refused('UPDATE', 'UPDATE app_audit SET actor = $1', ['nobody']);
    await pool.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
