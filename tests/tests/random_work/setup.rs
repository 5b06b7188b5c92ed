//! The tables of a round: a plain log with every complication, a partitioned one, and one with a single chain.

use notary_tests::{Cluster, SqlError};

/// An ordinary role that may do all that a table's owner can grant.
pub const WRITER: &str = "writer";

/// Partitions of `part` at the start: one for each value of `bucket`; that of bucket 1 has partitions of its own.
pub const BUCKETS: i32 = 4;

const TABLES: &str = "
    CREATE TABLE parent (id bigint PRIMARY KEY);
    INSERT INTO parent SELECT generate_series(1, 10);

    CREATE TABLE plain (
        id     bigint NOT NULL,
        kind   text NOT NULL DEFAULT 'row',
        body   jsonb DEFAULT '{\"a\": [1, 2.50, null], \"b\": \"ä\"}',
        k      bigint UNIQUE,
        ref    bigint REFERENCES parent DEFERRABLE INITIALLY DEFERRED,
        nested bigint,
        at     timestamptz DEFAULT clock_timestamp()
    );
    CREATE TABLE part (id bigint NOT NULL, bucket int NOT NULL, sub text NOT NULL DEFAULT 'a', body numeric)
        PARTITION BY RANGE (bucket);
    CREATE TABLE part_0 PARTITION OF part FOR VALUES FROM (0) TO (1);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (2) PARTITION BY LIST (sub);
    CREATE TABLE part_1_a PARTITION OF part_1 FOR VALUES IN ('a');
    CREATE TABLE part_1_b PARTITION OF part_1 FOR VALUES IN ('b');
    CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (2) TO (3);
    CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (3) TO (4);
    CREATE TABLE narrow (id bigint NOT NULL, note text);

    -- Runs when a row of plain has its place in a chain and is not stored yet.
    CREATE FUNCTION check_plain(kind text, nested bigint) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF kind = 'nest' THEN
            INSERT INTO plain (id) VALUES (nested);
        ELSIF kind = 'nest_and_fail' THEN
            BEGIN
                INSERT INTO plain (id) VALUES (nested);
                INSERT INTO part (id, bucket) VALUES (nested, 0);
                RAISE division_by_zero;
            EXCEPTION WHEN division_by_zero THEN NULL;
            END;
        ELSIF kind = 'nest_part' THEN
            INSERT INTO part (id, bucket) VALUES (nested, 1);
        END IF;
        RETURN true;
    END$$;
    ALTER TABLE plain ADD CHECK (check_plain(kind, nested));

    CREATE FUNCTION after_plain() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO plain (id) VALUES (NEW.nested);
        RETURN NULL;
    END$$;
    CREATE TRIGGER after_plain AFTER INSERT ON plain FOR EACH ROW WHEN (NEW.kind = 'after')
        EXECUTE FUNCTION after_plain();

    CREATE TABLE src (id bigint, bucket int, also bigint);
    CREATE FUNCTION after_src() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO plain (id, kind) VALUES (NEW.id, 'by trigger');
        INSERT INTO part (id, bucket) VALUES (NEW.also, NEW.bucket);
        RETURN NULL;
    END$$;
    CREATE TRIGGER after_src AFTER INSERT ON src FOR EACH ROW EXECUTE FUNCTION after_src();

    CREATE VIEW plain_view AS SELECT id, kind, body FROM plain;

    CREATE FUNCTION put(id bigint) RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO plain (id, kind) VALUES (id, 'put');
        RETURN id;
    END$$;
    CREATE FUNCTION put_sql(id bigint) RETURNS bigint LANGUAGE sql AS
        'INSERT INTO plain (id, kind) VALUES (id, ''put_sql'') RETURNING id';
    CREATE PROCEDURE put_and_commit(one bigint, two bigint, three bigint) LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO plain (id, kind) VALUES (one, 'procedure');
        INSERT INTO plain (id, kind) VALUES (two, 'procedure');
        COMMIT;
        INSERT INTO plain (id, kind) VALUES (three, 'procedure');
        ROLLBACK;
    END$$;

    SELECT notary.protect('plain');
    SELECT notary.protect('part');
    SELECT notary.protect('narrow', max_chains => 1);
    GRANT ALL ON plain, part, narrow, src, plain_view, parent TO writer;";

/// Makes a database with the tables; its name.
pub fn database(cluster: &Cluster) -> String {
    let name = super::new_database(cluster);
    let mut client = cluster.client(&name);
    let role = format!("DO $$BEGIN CREATE ROLE {WRITER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    for sql in [role.as_str(), TABLES] {
        client.batch_execute(sql).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
    }
    name
}
