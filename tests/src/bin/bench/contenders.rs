//! Who is compared: tables of the same columns, written to in the same way.

use notary_tests::Database;
use notary_tests::talk::run;
use postgres::Client;

/// A table as an application has it, for rows that come one by one.
pub const EVENTS: &str = "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL, action text NOT NULL, data jsonb";

/// One for rows that come at once: no index, so that nothing hides what protection costs.
pub const WIDE: &str =
    "id bigint, actor text, action text, at timestamptz, n integer, amount numeric(12,2), ok boolean, data jsonb";
/// Its columns' names.
pub const WIDE_NAMES: &str = "id, actor, action, at, n, amount, ok, data";

/// A query for rows of [`WIDE`].
pub fn wide_rows(count: u64) -> String {
    format!(
        "SELECT i::bigint AS id, 'usr_' || i % 5000 AS actor, 'customer.pii.export' AS action, now() + i * interval '1 ms' AS at,
             i % 1000 AS n, (i % 100000)::numeric(12,2) / 100 AS amount, i % 2 = 0 AS ok,
             jsonb_build_object('ip', '192.0.2.' || i % 256, 'ref', left(md5(i::text), 12), 'items', i % 40) AS data
         FROM generate_series(1, {count}) AS i"
    )
}

/// One row of [`EVENTS`]. A constant: evaluating expressions is not what is measured.
pub fn insert_event(table: &str) -> String {
    format!(
        "INSERT INTO {table} (actor, action, data)
         VALUES ('usr_a1b2c3', 'customer.pii.export', '{{\"rows\": 120, \"file\": \"customers.csv\"}}');\n"
    )
    .replace("\n         ", " ")
}

/// Many rows of [`EVENTS`].
pub fn insert_events(table: &str, count: u64) -> String {
    format!(
        "INSERT INTO {table} (actor, action, data)
         SELECT 'usr_' || i % 5000, 'customer.pii.export', jsonb_build_object('rows', i % 1000, 'file', 'customers.csv')
         FROM generate_series(1, {count}) AS i"
    )
}

/// What a table is besides its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the application's table as it was.
    Bare,
    /// Our columns and our constraint, filled in with what costs nothing, and no trigger.
    Plain,
    /// A log.
    Log,
    /// What people write today.
    Diy,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Plain => "plain",
            Self::Log => "log",
            Self::Diy => "DIY",
        }
    }

    /// Makes an empty table.
    pub fn make(self, client: &mut Client, table: &str, columns: &str) {
        match self {
            Self::Bare => run(client, &format!("CREATE TABLE {table} ({columns})")),
            Self::Plain => run(
                client,
                &format!(
                    "CREATE SEQUENCE {table}_places CACHE 1000;
                     CREATE TABLE {table} ({columns}, notary_chain integer DEFAULT pg_backend_pid(),
                         notary_seq bigint DEFAULT nextval('{table}_places'), notary_time timestamptz DEFAULT clock_timestamp(),
                         notary_prev bytea DEFAULT '\\x{zeros}', notary_hash bytea DEFAULT '\\x{zeros}',
                         UNIQUE (notary_chain, notary_seq))",
                    zeros = "00".repeat(32)
                ),
            ),
            Self::Log => run(client, &format!("CREATE TABLE {table} ({columns}); SELECT notary.protect('{table}')")),
            Self::Diy => run(
                client,
                &format!(
                    "CREATE EXTENSION IF NOT EXISTS pgcrypto;
                     CREATE TABLE {table} ({columns}, prev bytea, hash bytea);
                     CREATE FUNCTION {table}_chain() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN
                         PERFORM pg_advisory_xact_lock(4711);
                         SELECT hash INTO NEW.prev FROM {table} ORDER BY id DESC LIMIT 1;
                         NEW.hash := digest(coalesce(NEW.prev, '') || {DIY_LINE_OF_NEW}, 'sha256');
                         RETURN NEW;
                     END $$;
                     CREATE TRIGGER chain BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_chain()"
                ),
            ),
        }
    }

    /// Away with it and its files.
    pub fn drop(self, client: &mut Client, table: &str) {
        if self == Self::Log {
            run(client, &format!("SELECT notary.unprotect('{table}', 'bench')"));
        }
        run(client, &format!("DROP TABLE {table}"));
        if self == Self::Plain {
            run(client, &format!("DROP SEQUENCE {table}_places"));
        }
    }
}

/// What DIY hashes of a row of [`EVENTS`].
const DIY_LINE_OF_NEW: &str = "convert_to(concat_ws('|', NEW.id, NEW.at, NEW.actor, NEW.action, NEW.data), 'UTF8')";

/// How many rows of a DIY table do not fit: the whole verification.
pub fn diy_verification(table: &str) -> String {
    format!(
        "SELECT count(*) FROM (
             SELECT hash, prev, lag(hash) OVER by_id AS before,
                 digest(coalesce(lag(hash) OVER by_id, '') || {}, 'sha256') AS expected
             FROM {table} WINDOW by_id AS (ORDER BY id)) AS rows
         WHERE hash IS DISTINCT FROM expected OR prev IS DISTINCT FROM before",
        DIY_LINE_OF_NEW.replace("NEW.", "")
    )
}

/// The audit trigger that is found everywhere, on one table.
pub fn audit_trigger(client: &mut Client, tables: &[&str]) {
    run(
        client,
        "CREATE TABLE audit_rows (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), actor text NOT NULL DEFAULT session_user,
             relation text NOT NULL, operation text NOT NULL, old_row jsonb, new_row jsonb);
         CREATE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO audit_rows (relation, operation, old_row, new_row)
             VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP, to_jsonb(OLD), to_jsonb(NEW));
             RETURN NULL;
         END $$",
    );
    for table in tables {
        run(
            client,
            &format!(
                "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_row()"
            ),
        );
    }
}

/// Writes everything to disk that is to be written, so that nobody pays for whoever came before.
pub fn settle(db: &Database<'_>) {
    run(&mut db.client(), "CHECKPOINT");
}
