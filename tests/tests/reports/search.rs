//! `notary.search` against a model in plain SQL, its pages, and what it refuses.

use crate::{ACTIONS, ACTORS, KINDS, NASTY, RESULTS, ROLES, TAGS, WORDS, fill, literal, scene};
use notary_tests::talk::{refused, run, texts};
use postgres::Client;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Arguments of a search, and the condition that they stand for.
#[derive(Default)]
pub struct Search {
    given: Vec<String>,
    model: Vec<String>,
}

impl Search {
    /// One more argument.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let quoted = literal(value);
        self.given.push(format!("{name} => {quoted}"));
        self.model.push(match name {
            "action" if value == "*" => "true".into(),
            "action" if value.ends_with(".*") => format!("starts_with(action, {})", literal(value.trim_end_matches('*'))),
            "tag" => format!("EXISTS (SELECT FROM unnest(tags) AS t WHERE t = {quoted})"),
            "since" => format!("occurred_at >= {quoted}"),
            "until" => format!("occurred_at < {quoted}"),
            "text" => format!(
                "regexp_split_to_array(lower(concat_ws(' ', action, actor, resource_type, resource_id, resource_name, old_value,
                     new_value, details, array_to_string(tags, ' ')) COLLATE \"default\"), '[^[:alnum:]]+')
                 @> array_remove(regexp_split_to_array(lower({quoted}), '[^[:alnum:]]+'), '')"
            ),
            _ => format!("{name} = {quoted}"),
        });
        self
    }

    fn call(&self, function: &str, log: &str, page_size: usize, after: Option<&str>) -> String {
        let mut given = vec![format!("'{log}'")];
        given.extend(self.given.iter().cloned());
        given.push(format!("page_size => {page_size}"));
        given.extend(after.map(|id| format!("after => '{id}'")));
        format!("notary.{function}({})", given.join(", "))
    }

    /// One page: ids.
    #[track_caller]
    pub fn page(&self, client: &mut Client, log: &str, page_size: usize, after: Option<&str>) -> Vec<String> {
        texts(client, &format!("SELECT id FROM {}", self.call("search", log, page_size, after)))
    }

    /// The statement.
    #[track_caller]
    pub fn sql(&self, client: &mut Client, log: &str) -> String {
        texts(client, &format!("SELECT {}", self.call("search_sql", log, 50, None))).remove(0)
    }

    /// All that match, by plain SQL.
    #[track_caller]
    pub fn all(&self, client: &mut Client, log: &str) -> Vec<String> {
        let model = if self.model.is_empty() { "true".into() } else { self.model.join(" AND ") };
        texts(client, &format!("SELECT id FROM {log} WHERE {model} ORDER BY occurred_at DESC, id DESC"))
    }

    /// The pages together are what plain SQL finds.
    #[track_caller]
    pub fn assert_pages(&self, client: &mut Client, log: &str, page_size: usize) -> usize {
        let expected = self.all(client, log);
        let mut came: Vec<String> = Vec::new();
        loop {
            let page = self.page(client, log, page_size, came.last().map(String::as_str));
            let is_last = page.len() < page_size;
            came.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(came, expected, "{} in pages of {page_size}", self.given.join(", "));
        expected.len()
    }
}

/// One with arguments at random.
pub fn random_search(rng: &mut StdRng) -> Search {
    let mut search = Search::default();
    let patterns = ["auth.*", "customer.*", "customer.pii.*", "pii.*", "*", "nothing.*", "authz.login.*"];
    for name in [
        "actor",
        "actor_role",
        "action",
        "resource_type",
        "resource_id",
        "result",
        "pii",
        "tag",
        "since",
        "until",
        "text",
    ] {
        if !rng.random_bool(0.22) {
            continue;
        }
        let some = |values: &[&str], rng: &mut StdRng| {
            let real: Vec<&str> = values.iter().copied().filter(|v| *v != "NULL").collect();
            let all = if rng.random_bool(0.1) { &NASTY[..] } else { &real[..] };
            (*all.choose(rng).unwrap()).to_owned()
        };
        let value = match name {
            "actor" => some(&ACTORS, rng),
            "actor_role" => some(&ROLES, rng),
            "action" if rng.random_bool(0.5) => (*patterns.choose(rng).unwrap()).to_owned(),
            "action" => some(&ACTIONS, rng),
            "resource_type" => some(&KINDS, rng),
            "resource_id" => rng.random_range(0..20).to_string(),
            "result" => (*RESULTS.choose(rng).unwrap()).to_owned(),
            "pii" => rng.random_bool(0.7).to_string(),
            "tag" => some(&TAGS, rng),
            "since" => format!("2026-0{}-01 00:00+00", rng.random_range(1..4)),
            "until" => format!("2026-0{}-11 07:00+00", rng.random_range(4..8)),
            _ => format!("{} WORD{}", WORDS.choose(rng).unwrap(), rng.random_range(0..50)),
        };
        let value =
            if name == "text" && rng.random_bool(0.5) { (*WORDS.choose(rng).unwrap()).to_owned() } else { value };
        search = search.with(name, &value);
    }
    search
}

#[test]
fn any_combination_of_arguments_finds_what_plain_sql_finds() {
    let (_db, mut client) = scene("search_model", 6000);
    let mut rng = StdRng::seed_from_u64(20_261_121);
    let (mut found, mut nothing) = (0, 0);
    for _ in 0..150 {
        let search = random_search(&mut rng);
        let page_size = *[7, 50, 333, 1000].choose(&mut rng).unwrap();
        match search.assert_pages(&mut client, "one", page_size) {
            0 => nothing += 1,
            _ => found += 1,
        }
    }
    assert!(found > 50 && nothing > 5, "{found} searches found something, {nothing} nothing");
}

#[test]
fn each_argument_alone_and_every_nasty_text_in_it() {
    let (_db, mut client) = scene("search_nasty", 3000);
    for name in ["actor", "actor_role", "action", "resource_type", "resource_id", "tag"] {
        for value in NASTY.iter().chain(&["ann", "*x", "' OR true --", "\u{1}"]) {
            if name == "action" && value.contains('*') {
                continue;
            }
            Search::default().with(name, value).assert_pages(&mut client, "one", 1000);
        }
    }
    for value in
        ["o'brien", "DROP TABLE one", "ünï'cödé", "漢字", "common'; --", "%common_", "{common}", "rare rare RARE"]
    {
        Search::default().with("text", value).assert_pages(&mut client, "one", 1000);
    }
    for pattern in ["auth.*", "auth.login.*", "x'y.*", "%.*", "_.*", "\\.*", "a.b\nc.*", "''; DROP TABLE one; --.*"] {
        Search::default().with("action", pattern).assert_pages(&mut client, "one", 13);
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM one"), ["3000"]);
}

#[test]
fn a_log_with_any_name_is_searched() {
    let (db, mut client) = scene("search_names", 10);
    run(&mut client, "CREATE SCHEMA \"a.b'c\"; SELECT notary.create_log('\"a.b''c\".\"The \"\"Log\"\"; --\"')");
    run(&mut client, "INSERT INTO \"a.b'c\".\"The \"\"Log\"\"; --\" (action) VALUES ('x.y')");
    let found = "SELECT count(*) FROM notary.search('\"a.b''c\".\"The \"\"Log\"\"; --\"', action => 'x.*')";
    assert_eq!(texts(&mut client, found), ["1"]);
    assert_eq!(db.value("SELECT sum(events) FROM notary.activity WHERE action = 'x.y'"), "1");
}

#[test]
fn pages_hold_every_event_once_while_new_ones_come_in() {
    let (db, mut client) = scene("search_pages", 2000);
    let mut writer = db.client();
    for search in [
        Search::default(),
        Search::default().with("actor", "ann"),
        Search::default().with("action", "auth.*"),
        Search::default().with("text", "common"),
        Search::default().with("pii", "true").with("actor_role", "admin"),
    ] {
        let expected = search.all(&mut client, "one");
        let mut came: Vec<String> = Vec::new();
        loop {
            let page = search.page(&mut client, "one", 37, came.last().map(String::as_str));
            run(
                &mut writer,
                "INSERT INTO one (action, actor, actor_role, pii, details)
                 SELECT 'auth.login', 'ann', 'admin', true, '{\"note\": \"common\"}' FROM generate_series(1, 5)",
            );
            if page.is_empty() {
                break;
            }
            came.extend(page);
        }
        assert_eq!(came, expected);
    }
}

#[test]
fn a_row_is_the_whole_event_with_its_place() {
    let (_db, mut client) = scene("search_rows", 200);
    let columns = "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
                   WHERE attrelid = 'one'::regclass AND attnum > 0 AND attname NOT IN ('notary_time', 'notary_prev', 'notary_hash')";
    let columns = texts(&mut client, columns).remove(0);
    crate::assert_same(
        &mut client,
        "SELECT * FROM notary.search('one', page_size => 1000)",
        &format!("SELECT {columns} FROM one"),
    );
    let proven =
        "SELECT count(notary.line('one', notary_chain, notary_seq)) FROM notary.search('one', page_size => 1000)";
    assert_eq!(texts(&mut client, proven), ["200"]);
    // The statement by itself, under settings that write times otherwise.
    for style in ["ISO", "SQL, DMY", "German", "Postgres, MDY"] {
        run(&mut client, &format!("SET datestyle = '{style}'; SET timezone = 'America/St_Johns'"));
        let search = Search::default().with("since", "2026-02-01 00:00+00").with("until", "2026-02-03 00:00+00");
        let sql = search.sql(&mut client, "one");
        assert_eq!(texts(&mut client, &sql), search.all(&mut client, "one"));
        search.assert_pages(&mut client, "one", 1);
    }
}

#[test]
fn since_is_part_of_the_period_and_until_is_not() {
    let (_db, mut client) = scene("search_borders", 0);
    run(
        &mut client,
        "INSERT INTO one (occurred_at, action) VALUES ('2026-01-01 00:00+00', 'a.first'), ('2026-03-31 23:59:59.999999+00', 'a.last'),
             ('2026-04-01 00:00+00', 'a.after'), ('2025-12-31 23:59:59.999999+00', 'a.before'), ('9999-12-31 23:59:59.999999+00', 'a.end'),
             ('0014-08-19 12:00+00', 'a.augustus')",
    );
    let quarter = "since => '2026-01-01 00:00+00', until => '2026-04-01 00:00+00'";
    for more in ["", ", action => 'a.*'", ", actor => 'postgres'", ", result => 'success'"] {
        let found = texts(&mut client, &format!("SELECT action FROM notary.search('one', {quarter}{more})"));
        assert_eq!(found, ["a.last", "a.first"], "{more}");
    }
    let old = "SELECT action FROM notary.search('one', since => '0044-03-15 12:00+00 BC', until => '0100-01-01')";
    assert_eq!(texts(&mut client, old), ["a.augustus"]);
    let open = "SELECT count(*) FROM notary.search('one', since => '-infinity', until => 'infinity')";
    assert_eq!(texts(&mut client, open), ["6"]);
    Search::default().assert_pages(&mut client, "one", 1);
}

#[test]
fn wrong_arguments_are_refused_with_their_names() {
    let (_db, mut client) = scene("search_refused", 5);
    run(&mut client, "CREATE TABLE plain (a int); CREATE TABLE log (a int); SELECT notary.protect('log')");
    for (call, code, message) in [
        ("NULL", "22023", "log must not be NULL"),
        ("'plain'", "55000", "public.plain is not an event log"),
        ("'log'", "55000", "public.log is not an event log"),
        ("'one', page_size => 0", "22023", "page_size must be from 1 to 1000"),
        ("'one', page_size => 1001", "22023", "page_size must be from 1 to 1000"),
        ("'one', page_size => NULL", "22023", "page_size must be from 1 to 1000"),
        ("'one', since => '2026-01-01', until => '2026-01-01'", "22023", "since must be before until"),
        ("'one', result => 'Success'", "22023", "'Success' is no result"),
        ("'one', result => ''", "22023", "'' is no result"),
        ("'one', action => ''", "22023", "'' is no action and no pattern of actions"),
        ("'one', action => 'a*'", "22023", "'a*' is no action and no pattern of actions"),
        ("'one', action => 'a.*.b'", "22023", "'a.*.b' is no action and no pattern of actions"),
        ("'one', action => '*.b'", "22023", "'*.b' is no action and no pattern of actions"),
        ("'one', action => '**'", "22023", "'**' is no action and no pattern of actions"),
        ("'one', action => '.*'", "22023", "'.*' is no action and no pattern of actions"),
        ("'one', text => ' - '", "22023", "text has no words"),
        (
            "'one', after => '00000000-0000-0000-0000-000000000001'",
            "22023",
            "there is no event 00000000-0000-0000-0000-000000000001",
        ),
    ] {
        for function in ["SELECT * FROM notary.search", "SELECT notary.search_sql"] {
            let error = refused(&mut client, &format!("{function}({call})"));
            assert_eq!((error.code.as_str(), error.message.as_str()), (code, message), "{call}");
            assert!(!error.detail.is_empty() && !error.hint.is_empty(), "{call}: {error}");
        }
    }
    // Whoever could make columns of other types could have a reader run their casts.
    run(
        &mut client,
        "CREATE TABLE fake (LIKE one); ALTER TABLE fake ALTER COLUMN details TYPE text;
         CREATE TRIGGER about BEFORE INSERT ON fake FOR EACH ROW EXECUTE FUNCTION notary.about()",
    );
    let fake = refused(&mut client, "SELECT * FROM notary.search('fake')");
    assert_eq!(
        (fake.code.as_str(), fake.detail.as_str()),
        ("55000", "Its column \"details\" is missing or has another type.")
    );
    let left_out = "SELECT log || coalesce(': ' || left_out, '') FROM notary.event_logs ORDER BY 1";
    assert_eq!(texts(&mut client, left_out), ["fake: Its column \"details\" is missing or has another type.", "one"]);
    // Only round the guard; what pg_trigger says is read again when pg_class changes.
    run(
        &mut client,
        "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname = '~notary_about'; UPDATE pg_class SET reltuples = reltuples",
    );
    let disabled = "Its trigger ~notary_about is disabled.";
    assert_eq!(texts(&mut client, left_out)[1], format!("one: {disabled}"));
    for asked in ["SELECT * FROM notary.activity('one')", "SELECT * FROM notary.search('one')"] {
        let damaged = refused(&mut client, asked);
        assert_eq!(
            (damaged.code.as_str(), damaged.message.as_str(), damaged.detail.as_str()),
            ("55000", "public.one is a damaged event log", disabled)
        );
    }
    run(&mut client, "ALTER TABLE public.one ENABLE ALWAYS TRIGGER \"~notary_about\"");
    assert_eq!(texts(&mut client, left_out)[1], "one", "as the HINT says");
    assert_eq!(refused(&mut client, "SELECT * FROM notary.search(1::oid::regclass)").code, "22023");
}

#[test]
fn search_goes_on_in_read_only_transactions_and_after_protection_ended() {
    let (_db, mut client) = scene("search_read_only", 50);
    run(&mut client, "SELECT notary.unprotect('one', 'a test')");
    run(&mut client, "BEGIN TRANSACTION READ ONLY");
    Search::default().with("action", "auth.*").assert_pages(&mut client, "one", 3);
    run(&mut client, "COMMIT");
    fill(&mut client, "two", 20);
    Search::default().assert_pages(&mut client, "two", 6);
}
