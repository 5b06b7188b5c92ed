// node-postgres (`pg`), as an ordinary role that owns the log. What it prints is compared with expected/.
const { Pool } = require('pg');

const pool = new Pool({ max: 4 });
const say = (what, ...result) => console.log(what + ':', ...result);

async function refused(what, query) {
    try {
        await pool.query(query);
        say(what, 'WORKED');
    } catch (error) {
        say(what, error.code, '|', error.message);
    }
}

async function main() {
    await pool.query(`CREATE TABLE app_audit (
        id bigserial PRIMARY KEY, actor text NOT NULL, action text NOT NULL, details jsonb,
        at timestamptz NOT NULL DEFAULT now())`);
    await pool.query("SELECT notary.protect('app_audit')");

    // ---- one row, parametrised ----
    const { rows } = await pool.query(
        'INSERT INTO app_audit (actor, action, details) VALUES ($1, $2, $3) RETURNING *',
        ['ann', 'login', { ip: '192.0.2.7' }]);
    say('RETURNING *', Object.keys(rows[0]).join(' '));
    say('types', typeof rows[0].notary_chain, typeof rows[0].notary_seq, rows[0].notary_hash.constructor.name);

    // ---- prepared: a name makes pg keep the statement ----
    const insert = {
        name: 'audit',
        text: 'INSERT INTO app_audit (actor, action) VALUES ($1, $2) RETURNING id',
    };
    for (let n = 0; n < 20; n++) await pool.query({ ...insert, values: ['bob', `step ${n}`] });
    say('prepared', (await pool.query("SELECT count(*) FROM app_audit WHERE actor = 'bob'")).rows[0].count);

    // ---- four connections at once ----
    await Promise.all(Array.from({ length: 200 }, (_, n) => pool.query({ ...insert, values: ['many', `${n}`] })));
    say('pool', (await pool.query("SELECT count(*) FROM app_audit WHERE actor = 'many'")).rows[0].count);

    // ---- a transaction that is rolled back ----
    const client = await pool.connect();
    await client.query('BEGIN');
    await client.query({ ...insert, values: ['carl', 'never'] });
    await client.query('ROLLBACK');
    client.release();

    // ---- a column more, while statements are prepared ----
    await pool.query({ name: 'all', text: 'SELECT * FROM app_audit LIMIT 1' });
    await pool.query('ALTER TABLE app_audit ADD COLUMN origin text');
    for (let n = 0; n < 8; n++) await pool.query({ ...insert, values: ['bob', 'after ADD COLUMN'] });
    say('prepared INSERT after ADD COLUMN', 'worked');
    const own = new Pool({ max: 1 });
    await own.query({ name: 'all', text: 'SELECT * FROM app_audit LIMIT 1' });
    await own.query('ALTER TABLE app_audit ADD COLUMN session text');
    await own.query({ name: 'all', text: 'SELECT * FROM app_audit LIMIT 1' }).then(
        () => say('prepared SELECT * after ADD COLUMN', 'WORKED'),
        (error) => say('prepared SELECT * after ADD COLUMN', error.code, '|', error.message));
    await own.end();

    await refused('UPDATE', "UPDATE app_audit SET actor = 'x'");
    await refused('TRUNCATE', 'TRUNCATE app_audit');
    await refused('upsert', "INSERT INTO app_audit (id, actor, action) VALUES (1, 'x', 'x') ON CONFLICT (id) DO UPDATE SET actor = 'x'");

    const [answer] = (await pool.query("SELECT log::text, intact, entries FROM notary.verify('app_audit')")).rows;
    say('verify', answer.log, answer.intact ? 'intact' : 'DAMAGED', answer.entries);
    await pool.end();
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
