//! A row of a log lies on its page as any row of a table with the same columns does, bit for bit.

use super::{assert_sound, run, texts};
use notary_tests::fresh_db;
use postgres::Client;

/// Rows of a log and the same rows in a plain table, as their pages have them.
fn same_on_disk(client: &mut Client, log: &str) {
    run(
        client,
        &format!(
            "CREATE TABLE plain_{log} (LIKE {log} INCLUDING STORAGE); INSERT INTO plain_{log} SELECT * FROM {log}"
        ),
    );
    let items = |table: &str| {
        // Not the transactions' numbers, nor pointers into another TOAST table.
        format!(
            "SELECT lp_len, t_hoff, t_bits, t_infomask & 7, t_infomask2 & 2047,
                 CASE WHEN t_infomask & 4 = 0 THEN t_data END
             FROM generate_series(0, pg_relation_size('{table}') / 8192 - 1) AS block,
                 heap_page_items(get_raw_page('{table}', block::int)) WITH ORDINALITY AS items(lp)
             ORDER BY block, lp"
        )
    };
    let differing = format!(
        "SELECT count(*) FROM
             (SELECT row_number() OVER () AS n, a.* FROM ({}) AS a) AS a
             FULL JOIN (SELECT row_number() OVER () AS n, b.* FROM ({}) AS b) AS b USING (n)
         WHERE a IS DISTINCT FROM b",
        items(log),
        items(&format!("plain_{log}"))
    );
    assert_eq!(texts(client, &differing), ["0"], "{log}");
    assert_eq!(texts(client, &format!("SELECT count(*) FROM verify_heapam('{log}')")), ["0"], "{log}");
    let rows = texts(client, &format!("SELECT count(*) FROM {log}"));
    assert_sound(client, log, rows[0].parse().unwrap());
}

#[test]
fn rows_lie_on_their_pages_as_postgresql_puts_them() {
    let db = fresh_db("forms");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE EXTENSION pageinspect; CREATE EXTENSION amcheck;
         CREATE TABLE a (c int2[], b boolean, s smallint, t text, i int, n numeric, d float8, u uuid, j jsonb, m name, x text);
         ALTER TABLE a ALTER x SET STORAGE EXTERNAL;
         SELECT notary.protect('a');
         CREATE TABLE few (t text); SELECT notary.protect('few');
         CREATE TABLE fixed (i int NOT NULL); SELECT notary.protect('fixed');
         CREATE TABLE none (); SELECT notary.protect('none');
         CREATE TABLE dropped (a text, b int, c text); ALTER TABLE dropped DROP b; SELECT notary.protect('dropped');
         CREATE TABLE later (a int); SELECT notary.protect('later'); INSERT INTO later (a) SELECT 1;
         ALTER TABLE later ADD b text;
         CREATE TABLE made (a int, b text GENERATED ALWAYS AS (repeat('x', a % 200)) STORED, c text);
         SELECT notary.protect('made');
         CREATE TABLE plainly (a int); SELECT notary.protect('plainly');
         ALTER TABLE plainly ALTER notary_prev SET STORAGE PLAIN",
    );
    // Every pattern of NULLs, and values of every length.
    run(
        &mut client,
        "INSERT INTO a SELECT
             CASE WHEN i & 1 = 0 THEN ARRAY[i, NULL]::int2[] END, CASE WHEN i & 2 = 0 THEN i % 3 = 0 END, CASE WHEN i & 4 = 0 THEN i END,
             CASE WHEN i & 8 = 0 THEN repeat('y', i % 300) END, CASE WHEN i & 16 = 0 THEN i END,
             CASE WHEN i & 32 = 0 THEN i / 7.0 END, CASE WHEN i & 64 = 0 THEN i / 3.0 END,
             CASE WHEN i & 128 = 0 THEN md5(i::text)::uuid END,
             CASE WHEN i & 256 = 0 THEN jsonb_build_object('a', repeat('z', i % 140)) END,
             CASE WHEN i & 512 = 0 THEN 'n' || i END, CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 100) END
             FROM generate_series(0, 2047) AS i;
         INSERT INTO few SELECT CASE WHEN i % 5 > 0 THEN repeat('q', i) END FROM generate_series(0, 300) AS i;
         INSERT INTO fixed SELECT generate_series(1, 300);
         INSERT INTO none SELECT FROM generate_series(1, 5);
         INSERT INTO dropped SELECT repeat('a', i), repeat('b', i % 7) FROM generate_series(1, 200) AS i;
         INSERT INTO later (a, b) SELECT i, repeat('b', i) FROM generate_series(1, 200) AS i;
         INSERT INTO made (a, c) SELECT i, repeat('c', i % 9) FROM generate_series(1, 400) AS i;
         INSERT INTO plainly SELECT generate_series(1, 100)",
    );
    for log in ["a", "few", "fixed", "none"] {
        same_on_disk(&mut client, log);
    }
    // LIKE takes along neither what was dropped, nor how values were made.
    for (log, rows) in [("dropped", 200), ("later", 201), ("made", 400), ("plainly", 100)] {
        assert_eq!(texts(&mut client, &format!("SELECT count(*) FROM verify_heapam('{log}')")), ["0"], "{log}");
        assert_sound(&mut client, log, rows);
    }
}
