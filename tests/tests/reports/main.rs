//! Search, reports, samples and event types against a real server: what they answer is what plain SQL answers, to each
//! role about what it may see.

mod lean;
mod plans;
mod real;
mod records;
mod reports;
mod rights;
mod search;
mod settings;
mod trust;
mod types;

use notary_tests::talk::{run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// Texts that would do harm in SQL put together carelessly, in LIKE, in regular expressions, in arrays and in JSON.
const NASTY: [&str; 13] = [
    "o'brien",
    "''; DROP TABLE one; --",
    "\\",
    "\\'; SELECT 1; --",
    "%",
    "_",
    "{}",
    "{a,b}",
    "\"q\"",
    "$$",
    "%1$s %L",
    "a.b\nc",
    "ünï'cödé 漢字",
];

/// Text as a SQL literal, whatever is in it.
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// One of these at random, as SQL.
fn pick(values: &[&str]) -> String {
    let all: Vec<String> = values.iter().map(|v| if *v == "NULL" { "NULL".to_owned() } else { literal(v) }).collect();
    format!("(ARRAY[{}]::text[])[1 + floor(random() * {})::int]", all.join(", "), all.len())
}

const ACTIONS: [&str; 22] = [
    "auth.login",
    "auth.login",
    "auth.login.failure",
    "auth.failure",
    "auth.logout",
    "auth",
    "authentic",
    "authz.login.failure",
    "pii.view",
    "pii.export",
    "customer.pii.view",
    "customer.pii.export",
    "customer.pii",
    "customer.piix.view",
    "data.export",
    "export.csv",
    "admin.role.grant",
    "admin.user.create",
    "ai.inference",
    "ai.inference",
    "ai.override",
    "order.create",
];
const ACTORS: [&str; 6] = ["ann", "bob", "svc", "o'brien", "%", "NULL"];
const ROLES: [&str; 4] = ["admin", "clerk", "\\", "NULL"];
const KINDS: [&str; 4] = ["customer", "order", "{}", "NULL"];
const RESULTS: [&str; 7] = ["success", "success", "success", "success", "failure", "denied", "error"];
const TAGS: [&str; 4] = ["batch", "nightly", "{a,b}", "a'b"];
const WORDS: [&str; 5] = ["common", "rare", "überfällig", "o'clock", "x_y"];

/// An event log of `count` random events of half a year, many at the same times.
pub fn fill(client: &mut Client, log: &str, count: u32) {
    run(client, &format!("SELECT notary.create_log('{log}') WHERE to_regclass('{log}') IS NULL; SELECT setseed(0.25)"));
    let (actions, nasty) = (pick(&ACTIONS), pick(&NASTY));
    let (actors, roles, kinds, results) = (pick(&ACTORS), pick(&ROLES), pick(&KINDS), pick(&RESULTS));
    let (tags, other_tags, words, models) = (pick(&TAGS), pick(&TAGS), pick(&WORDS), pick(&["m1", "m2", "NULL"]));
    run(
        client,
        &format!(
            "INSERT INTO {log} (id, occurred_at, action, actor, actor_type, actor_role, resource_type, resource_id, result, ip,
                 pii, pii_fields, old_value, new_value, details, tags)
             SELECT md5('{log}' || i)::uuid, timestamptz '2026-01-01 00:00+00' + floor(random() * 180 * 24) * interval '1 hour',
                 CASE WHEN random() < 0.02 THEN {nasty} ELSE {actions} END,
                 CASE WHEN random() < 0.02 THEN {nasty} ELSE {actors} END, 'user', {roles}, {kinds},
                 CASE WHEN random() < 0.02 THEN {nasty} ELSE floor(random() * 20)::int::text END, {results},
                 CASE WHEN random() < 0.8 THEN ('192.0.2.' || floor(random() * 5)::int)::inet END,
                 random() < 0.3, CASE WHEN random() < 0.3 THEN ARRAY['email', {nasty}] WHEN random() < 0.2 THEN ARRAY['iban'] END,
                 CASE WHEN random() < 0.5 THEN jsonb_build_object('a', floor(random() * 3), 'b', 1) END,
                 CASE WHEN random() < 0.5 THEN jsonb_build_object('a', floor(random() * 3), 'c', {words}) END,
                 jsonb_build_object('model', {models}, 'model_version', 'v' || floor(random() * 3)::int,
                     'confidence', random(), 'note', {words} || ' ' || {nasty} || ' word' || floor(random() * 50)::int,
                     CASE WHEN random() < 0.3 THEN 'records' ELSE 'record_count' END, floor(random() * 1000),
                     'rows', CASE WHEN random() < 0.5 THEN to_jsonb('many'::text) ELSE to_jsonb(7) END,
                     CASE WHEN random() < 0.5 THEN 'inference_id' ELSE 'x' END,
                     md5('{log}' || floor(random() * {count})::int)::uuid),
                 CASE WHEN random() < 0.3 THEN ARRAY[{tags}, {other_tags}] END
             FROM generate_series(1, {count}) AS i"
        ),
    );
    run(client, &format!("ANALYZE {log}"));
}

/// A database with one filled event log, named one.
pub fn scene(name: &str, count: u32) -> (Database<'static>, Client) {
    let db = fresh_db(name);
    let mut client = db.client();
    fill(&mut client, "one", count);
    (db, client)
}

/// The rows of a query, each as text.
#[track_caller]
pub fn rows(client: &mut Client, query: &str) -> Vec<String> {
    texts(client, &format!("SELECT row_to_json(r)::text FROM ({query}) AS r"))
}

/// Two queries answer alike, in any order.
#[track_caller]
pub fn assert_same(client: &mut Client, asked: &str, model: &str) {
    let (mut came, mut expected) = (rows(client, asked), rows(client, model));
    came.sort();
    expected.sort();
    assert_eq!(came, expected, "{asked}\nagainst\n{model}");
}
