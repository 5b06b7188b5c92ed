//! What the extension writes of jsonb, numbers and dates without PostgreSQL is what PostgreSQL's output functions write,
//! for values made at random, however they are stored. `NOTARY_SEED` repeats a run.

use notary_tests::fresh_db;
use postgres::Client;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

const ROWS: usize = 20_000;
const BATCH: usize = 2_000;

#[test]
fn values_made_at_random_are_written_as_their_output_functions_write_them() {
    let seed = std::env::var("NOTARY_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("NOTARY_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let db = fresh_db("texts");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE made (id serial, j jsonb, n numeric, i bigint, k int, h smallint, d date, u uuid);
             CREATE TABLE log (LIKE made);
             SELECT notary.protect('log');
             SET DateStyle = 'ISO, YMD'",
        )
        .unwrap();
    for _ in 0..ROWS / BATCH {
        insert(&mut client, &mut random);
    }
    // Plain, with a short header, compressed, and in TOAST: as they come, and as they are stored.
    client.batch_execute("INSERT INTO log SELECT * FROM made").unwrap();
    compare(&mut client);
    client
        .batch_execute(
            "CREATE TABLE log_external (LIKE log INCLUDING ALL EXCLUDING CONSTRAINTS EXCLUDING INDEXES);
             ALTER TABLE log_external DROP notary_chain, DROP notary_seq, DROP notary_time, DROP notary_prev,
                 DROP notary_hash, ALTER j SET STORAGE EXTERNAL, ALTER n SET STORAGE EXTERNAL;
             SELECT notary.protect('log_external');
             INSERT INTO log_external SELECT id, j, n, i, k, h, d, u FROM log;
             ALTER TABLE log RENAME TO log_first; ALTER TABLE log_external RENAME TO log",
        )
        .unwrap();
    compare(&mut client);
    for log in ["log", "log_first"] {
        let intact: bool =
            client.query_one("SELECT intact FROM notary.verify($1::text::regclass)", &[&log]).unwrap().get(0);
        assert!(intact, "NOTARY_SEED={seed}");
    }
}

/// Every line ends in what SQL makes of its row.
fn compare(client: &mut Client) {
    let wrong = client
        .query(
            r#"SELECT id, line, expected FROM (
                SELECT id, notary.line(tableoid, notary_chain, notary_seq) AS line,
                    concat_ws(',', '"d":"' || d || '"', '"h":' || h, '"i":' || i, '"id":' || id, '"j":' || j::text, '"k":' || k,
                        '"n":"' || n || '"', '"u":"' || u || '"') || '}}' AS expected
                FROM log) lines
            WHERE substr(line, strpos(line, ',"row":{') + 8) IS DISTINCT FROM expected
            LIMIT 5"#,
            &[],
        )
        .unwrap();
    for row in &wrong {
        println!("{}\n{:?}\n{:?}", row.get::<_, i32>(0), row.get::<_, String>(1), row.get::<_, Option<String>>(2));
    }
    assert!(wrong.is_empty());
}

fn insert(client: &mut Client, random: &mut StdRng) {
    let texts = |random: &mut StdRng, text: fn(&mut StdRng) -> Option<String>| -> Vec<Option<String>> {
        (0..BATCH).map(|_| text(random)).collect()
    };
    let documents = texts(random, |random| {
        let mut out = String::new();
        let depth = *[0, 1, 2, 3, 5, 40].choose(random).unwrap();
        value(&mut out, random, depth);
        Some(out)
    });
    let numbers = texts(random, |random| Some(numeric(random)));
    let integers = texts(random, |random| Some(integer(random, 64)));
    let (middle, small) =
        (texts(random, |random| Some(integer(random, 32))), texts(random, |random| Some(integer(random, 16))));
    let dates = texts(random, |random| {
        let date = match random.random_range(0..20) {
            0 => "infinity".to_owned(),
            1 => "-infinity".to_owned(),
            2 => format!("{:04}-{:02}-01 BC", random.random_range(1..=4713), random.random_range(11..=12)),
            3 => format!("{}-12-31", random.random_range(10_000..5_874_897)),
            _ => format!("{:04}-{:02}-28", random.random_range(1..10_000), random.random_range(1..=12)),
        };
        Some(date)
    });
    client
        .execute(
            "INSERT INTO made (j, n, i, k, h, d, u)
             SELECT j::jsonb, n::numeric, i::bigint, k::int, h::smallint, d::date, gen_random_uuid()
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) x(j, n, i, k, h, d)",
            &[&documents, &numbers, &integers, &middle, &small, &dates],
        )
        .unwrap();
}

fn integer(random: &mut StdRng, bits: u32) -> String {
    let any = random.random::<i64>() >> (64 - bits);
    let shift = random.random_range(0..bits);
    let ends = [0, -1, i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)];
    if random.random_ratio(1, 20) { ends.choose(random).unwrap().to_string() } else { (any >> shift).to_string() }
}

/// A numeric of any kind, as one would type it.
fn numeric(random: &mut StdRng) -> String {
    if random.random_ratio(1, 30) {
        return (*["NaN", "Infinity", "-Infinity"].choose(random).unwrap()).to_owned();
    }
    number(random)
}

/// A number that JSON has too.
fn number(random: &mut StdRng) -> String {
    let odd = [
        "0",
        "-0",
        "0.0",
        "-0.000",
        "1e1000",
        "-1e-1000",
        "1e-5",
        "0.00001000",
        "1E+20",
        "10000",
        "9999.9999",
        "100000000",
        "0.1e1",
        "123456789012345678901234567890.123456789012345678901234567890",
        "1e131071",
        "-1e-16383",
        "1.0e16000",
        "99999999",
        "0.9999",
        "0.00000000",
        "1000.0001",
    ];
    if random.random_ratio(1, 6) {
        // The longest ones rarely: they have a hundred thousand digits.
        let number = *odd.choose(random).unwrap();
        let is_long = number.contains("131071") || number.contains("16383") || number.contains("16000");
        return if is_long && !random.random_ratio(1, 50) { "1e300".into() } else { number.into() };
    }
    let mut digits = |up_to: usize| -> String {
        let count = random.random_range(1..=up_to);
        (0..count).map(|_| if random.random_ratio(1, 3) { '0' } else { random.random_range('0'..='9') }).collect()
    };
    let (whole, fraction) = (digits(12), digits(12));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if random.random() { "-" } else { "" };
    match random.random_range(0..4) {
        0 => format!("{sign}{whole}"),
        1 => format!("{sign}{whole}e{}", random.random_range(-40..40)),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

/// JSON text with spaces and escapes of every kind.
fn value(out: &mut String, random: &mut StdRng, depth: u32) {
    let kind = random.random_range(0..if depth == 0 { 5 } else { 9 });
    match kind {
        0 => out.push_str(["null", "true", "false"].choose(random).unwrap()),
        1 | 2 => out.push_str(&number(random)),
        3 | 4 => string(out, random),
        kind => {
            let is_object = kind < 7;
            // Beyond 32 some entries have offsets; deep ones are narrow.
            let widths: &[usize] = if depth > 3 { &[0, 1, 1, 1, 2] } else { &[0, 1, 3, 7, 31, 32, 33, 40, 70] };
            let width =
                if depth > 1 { *[0, 1, 1, 2, 3].choose(random).unwrap() } else { *widths.choose(random).unwrap() };
            out.push(if is_object { '{' } else { '[' });
            for i in 0..width {
                if i > 0 {
                    out.push_str(" , ");
                }
                if is_object {
                    string(out, random);
                    out.push(':');
                }
                value(out, random, depth - 1);
            }
            out.push(if is_object { '}' } else { ']' });
        }
    }
}

fn string(out: &mut String, random: &mut StdRng) {
    out.push('"');
    let length = match random.random_range(0..400) {
        0 => random.random_range(1_000..20_000),
        1..100 => random.random_range(0..70),
        _ => random.random_range(0..6),
    };
    for _ in 0..length {
        match random.random_range(0..12) {
            0 => out.push_str(
                ["\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u001f", "\\u007f"]
                    .choose(random)
                    .unwrap(),
            ),
            1 => out.push_str(&format!("\\u{:04x}", random.random_range(1..0xd800))),
            2 => out
                .push(*['é', 'ß', '漢', '😀', '\u{7f}', '\u{2028}', '\u{feff}', '\u{10ffff}'].choose(random).unwrap()),
            _ => out.push(random.random_range('a'..='z')),
        }
    }
    out.push('"');
}
