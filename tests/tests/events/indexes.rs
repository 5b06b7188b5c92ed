//! Which indexes a log has: those that its maker asked for, those that were added, and what does not mind when they are gone.

use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Database, fresh_db, shared};
use postgres::Client;
use std::time::{Duration, Instant};

const ALL: &str = "{time,actor,role,action,resource,type,result,pii,tags,words}";

/// The table's own indexes, but for those that it cannot be without: what each is over.
fn others(client: &mut Client, log: &str) -> Vec<String> {
    let sql = format!(
        "SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \\([^)]*\\)', '', 'g') FROM pg_index
         WHERE indrelid = '{log}'::regclass AND NOT indisunique ORDER BY 1"
    );
    texts(client, &sql)
}

#[test]
fn a_log_gets_the_indexes_that_its_list_names() {
    let db = fresh_db("lists");
    let mut client = db.client();
    run(&mut client, "SELECT notary.create_log('every'); SELECT notary.create_log('null', indexes => NULL)");
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('every')"), [ALL]);
    assert_eq!(others(&mut client, "every").len(), 10);
    assert_eq!(others(&mut client, "\"null\""), others(&mut client, "every"));
    run(&mut client, "SELECT notary.create_log('bare', indexes => '{}')");
    assert_eq!(others(&mut client, "bare"), [""; 0]);
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('bare')"), ["{}"]);
    run(&mut client, "SELECT notary.create_log('lean', NULL, NULL, '{resource,time}')");
    assert_eq!(
        others(&mut client, "lean"),
        [
            "btree (occurred_at, id)",
            "btree (resource_id, resource_type, occurred_at, id) WHERE (resource_id IS NOT NULL)"
        ]
    );
    for name in ALL.trim_matches(['{', '}']).split(',') {
        let log = format!("only_{name}");
        run(&mut client, &format!("SELECT notary.create_log('{log}', indexes => '{{{name}}}')"));
        assert_eq!(others(&mut client, &log).len(), 1, "{name}");
        let has = format!("SELECT notary.log_indexes('{log}')");
        assert_eq!(texts(&mut client, &has), [format!("{{{name}}}")]);
        // What is there, in whatever setting, is not made again.
        run(&mut client, "SET quote_all_identifiers = on; SET search_path = notary, public");
        assert_eq!(texts(&mut client, &has), [format!("{{{name}}}")]);
        assert_eq!(texts(&mut client, &format!("SELECT notary.index_log('{log}', '{{{name}}}')")), ["{}"]);
        run(&mut client, "RESET quote_all_identifiers; RESET search_path");
    }
    // Whatever it has, it is a log, and takes what an event says.
    for log in ["bare", "lean", "only_words"] {
        run(&mut client, &format!(r#"SELECT notary.log_event('{log}', '{{"action": "a.b", "tags": ["t"]}}')"#));
        let there = format!("SELECT intact AND entries = 1 FROM notary.verify('{log}')");
        assert_eq!(texts(&mut client, &there), ["t"], "{log}");
    }
}

#[test]
fn a_list_that_cannot_be_meant_is_refused_and_leaves_nothing() {
    let db = fresh_db("refused");
    let mut client = db.client();
    run(&mut client, "SELECT notary.create_log('audit', indexes => '{time}')");
    let detail = "The indexes of event logs are time, actor, role, action, resource, type, result, pii, tags, words.";
    for (list, message) in [
        ("'{time,colour}'", "\"colour\" is no index of event logs"),
        ("'{Time}'", "\"Time\" is no index of event logs"),
        ("'{\"\"}'", "\"\" is no index of event logs"),
        ("'{occurred_at}'", "\"occurred_at\" is no index of event logs"),
        ("'{time,NULL}'", "indexes must not have a NULL in it"),
        ("'{time,actor,time}'", "index \"time\" is named twice in indexes"),
    ] {
        for call in
            [format!("notary.create_log('other', indexes => {list})"), format!("notary.index_log('audit', {list})")]
        {
            let error = refused(&mut client, &format!("SELECT {call}"));
            assert_eq!((error.code.as_str(), error.message.as_str()), ("22023", message), "{call}");
            assert_eq!(error.detail, detail, "{call}");
            assert!(!error.hint.is_empty(), "{call}");
        }
    }
    assert_eq!(texts(&mut client, "SELECT to_regclass('other')"), ["NULL"]);
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('audit')"), ["{time}"]);
}

#[test]
fn missing_indexes_are_added_to_a_log_by_its_owner_alone() {
    let db = fresh_db("added");
    let owner = db.role("owner");
    let (writer, other) = (db.role("writer"), db.role("other"));
    let mut client = db.client_as(&owner);
    run(&mut client, &format!("SELECT notary.create_log('audit', writer => '\"{writer}\"', indexes => '{{time}}')"));
    let mut writing = db.client_as(&writer);
    run(
        &mut writing,
        "INSERT INTO audit (action, actor, details) VALUES ('a', 'ann', '{\"note\": \"found\"}'), ('b', 'bob', NULL)",
    );
    assert_eq!(texts(&mut client, "SELECT notary.index_log('audit', '{words,time,actor}')"), ["{actor,words}"]);
    assert_eq!(texts(&mut client, "SELECT notary.index_log('audit', '{actor}')"), ["{}"]);
    assert_eq!(texts(&mut client, "SELECT notary.index_log('audit', '{}')"), ["{}"]);
    run(&mut writing, "INSERT INTO audit (action, actor, details) VALUES ('c', 'ann', '{\"note\": \"found\"}')");
    run(&mut client, "SET enable_seqscan = off");
    let found = "SELECT action FROM notary.search('audit', text => 'found')";
    assert_eq!(texts(&mut client, found), ["c", "a"]);
    // It is the index of that meaning which counts, and not its name, nor how it is stored.
    run(
        &mut client,
        "DROP INDEX audit_actor_idx; CREATE INDEX audit_role_idx ON audit (actor, occurred_at, id) WITH (fillfactor = 70); CREATE INDEX other ON audit (action)",
    );
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('audit')"), ["{time,actor,words}"]);
    assert_eq!(texts(&mut client, "SELECT notary.index_log('audit')"), ["{role,action,resource,type,result,pii,tags}"]);
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('audit')"), [ALL]);
    assert_found(&mut client, "audit", &[]);

    run(&mut client, "DROP INDEX other, audit_role_idx");
    for (user, sql) in
        [(&writer, "SELECT notary.index_log('audit')"), (&other, "SELECT notary.index_log('audit', '{}')")]
    {
        let error = refused(&mut db.client_as(user), sql);
        assert_eq!(error.code, "42501", "{user}: {error}");
        assert!(error.detail.contains("index it"), "{error}");
    }
    run(&mut client, "CREATE TABLE plain (i int); CREATE TABLE log (i int); SELECT notary.protect('log')");
    for (table, code) in [("'plain'", "55000"), ("'log'", "55000"), ("NULL", "22023"), ("1::oid::regclass", "22023")] {
        let error = refused(&mut client, &format!("SELECT notary.index_log({table})"));
        assert_eq!(error.code, code, "{table}: {error}");
    }
    run(&mut client, "BEGIN READ ONLY");
    assert_eq!(refused(&mut client, "SELECT notary.index_log('audit')").code, "25006");
    run(&mut client, "ROLLBACK; BEGIN; SELECT notary.index_log('audit')");
    let actor = "SELECT 'actor' = ANY (notary.log_indexes('audit'))";
    assert_eq!(texts(&mut client, actor), ["t"]);
    run(&mut client, "ROLLBACK");
    assert_eq!(texts(&mut client, actor), ["f"]);
    // For a superuser the log stays its owner's, and so do its indexes.
    run(&mut db.client(), "SELECT notary.index_log('audit')");
    assert_eq!(texts(&mut client, actor), ["t"], "what others made is seen");
    run(&mut client, "DROP INDEX audit_actor_idx");
    assert_eq!(texts(&mut client, actor), ["f"]);
}

#[test]
fn two_who_add_the_same_index_make_it_once_and_writers_wait() {
    let db = fresh_db("at_once");
    let (mut first, mut second, mut third) = (db.client(), db.client(), db.client());
    run(&mut first, "SELECT notary.create_log('audit', indexes => '{time}'); INSERT INTO audit (action) VALUES ('a')");
    run(&mut third, "BEGIN; INSERT INTO audit (action) VALUES ('b')");
    run(&mut first, "SET lock_timeout = '100ms'");
    assert_eq!(refused(&mut first, "SELECT notary.index_log('audit', '{actor}')").code, "55P03", "like CREATE INDEX");
    run(&mut third, "COMMIT");
    run(&mut first, "RESET lock_timeout; BEGIN; SELECT notary.index_log('audit', '{actor}')");
    assert_eq!(texts(&mut third, "SELECT count(*) FROM audit"), ["2"], "nobody who reads waits");
    let made = std::thread::scope(|scope| {
        let made = scope.spawn(|| texts(&mut second, "SELECT notary.index_log('audit', '{actor,role}')"));
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit'::regclass";
        let deadline = Instant::now() + Duration::from_secs(60);
        while texts(&mut third, waits) != ["1"] {
            assert!(Instant::now() < deadline, "nobody waits");
            std::thread::sleep(Duration::from_millis(20));
        }
        run(&mut first, "COMMIT");
        made.join().unwrap()
    });
    assert_eq!(made, ["{role}"]);
    assert_eq!(others(&mut third, "audit").len(), 3);
}

/// A log of which all was dropped that an owner may drop, with events of two segments.
fn stripped(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    let owner = db.role("owner");
    let mut client = db.client_as(&owner);
    run(
        &mut client,
        "SELECT notary.create_log('audit'); INSERT INTO audit (action, tags) SELECT 'a.' || i, '{t}' FROM generate_series(1, 50) AS i",
    );
    let drops = "SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index WHERE indrelid = 'audit'::regclass AND NOT indisunique";
    for drop in texts(&mut client, drops) {
        run(&mut client, &drop);
    }
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('audit')"), ["{}"]);
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'a test'); SELECT notary.protect('audit');
         INSERT INTO audit (action) VALUES ('second.segment')",
    );
    db
}

#[test]
fn nothing_asks_for_an_index_that_its_owner_dropped() {
    let db = stripped("dropped");
    let mut client = db.client();
    assert_found(&mut client, "audit", &[]);
    assert_eq!(texts(&mut client, "SELECT intact FROM notary.verify()"), ["t", "t"]);
    run(&mut client, "SELECT notary.attest('audit')");
    assert_eq!(texts(&mut client, "SELECT left_out FROM notary.event_logs"), ["NULL"]);
    assert_eq!(
        texts(&mut client, "SELECT count(*) FROM notary.search('audit', tag => 't', page_size => 1000)"),
        ["50"]
    );
    // One that was begun and not finished is none.
    run(&mut client, "CREATE INDEX ON audit (occurred_at, id)");
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('audit')"), ["{time}"]);
    run(&mut client, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'audit_occurred_at_id_idx'::regclass");
    // What is remembered of a table is forgotten when pg_class says something new of it, as every DDL has it do.
    run(&mut client, "UPDATE pg_class SET reltuples = reltuples WHERE oid = 'audit'::regclass");
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('audit')"), ["{}"]);
}

#[test]
fn a_dump_brings_back_what_indexes_there_are() {
    let db = stripped("dumped");
    run(&mut db.client(), "SELECT notary.index_log('audit', '{time,words}')");
    let dump = shared().pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    let copy = shared().bare_db("copy");
    shared().pg_restore(copy.name(), &["--exit-on-error"], &dump).ok();
    let mut client = copy.client();
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('audit')"), ["{time,words}"]);
    run(&mut client, "INSERT INTO audit (action) VALUES ('after')");
    assert_found(&mut client, "audit", &[]);
    assert_eq!(texts(&mut client, "SELECT notary.index_log('audit', '{time,tags}')"), ["{tags}"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.search('audit', page_size => 1000)"), ["52"]);
}

#[test]
fn partitions_get_the_indexes_of_their_log() {
    let db = fresh_db("partitioned");
    let mut client = db.client();
    // As docs/events.md makes one does not matter: the columns and the trigger do.
    run(
        &mut client,
        "SELECT notary.create_log('model');
         CREATE TABLE parts (LIKE model INCLUDING DEFAULTS) PARTITION BY RANGE (occurred_at);
         ALTER TABLE parts DROP notary_chain, DROP notary_seq, DROP notary_time, DROP notary_prev, DROP notary_hash;
         CREATE TABLE parts_now PARTITION OF parts DEFAULT;
         CREATE TRIGGER \"~notary_about\" BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION notary.about();
         SELECT notary.protect('parts')",
    );
    assert_eq!(texts(&mut client, "SELECT notary.index_log('parts', '{time,role}')"), ["{time,role}"]);
    for table in ["parts", "parts_now"] {
        assert_eq!(texts(&mut client, &format!("SELECT notary.log_indexes('{table}')")), ["{time,role}"], "{table}");
    }
    assert_eq!(texts(&mut client, "SELECT notary.index_log('parts', '{time}')"), ["{}"]);
}

/// Who may not read a table may not keep a lock on it either, and is told nothing of it.
#[test]
fn of_a_table_that_one_may_not_read_nothing_is_said_and_no_lock_is_kept() {
    let db = fresh_db("strangers_lock");
    let mut client = db.client();
    run(
        &mut client,
        "SELECT notary.create_log('secret'); CREATE ROLE no_reader; GRANT USAGE ON SCHEMA notary TO no_reader",
    );
    run(&mut client, "BEGIN; SET LOCAL ROLE no_reader");
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('secret')"), ["{}"]);
    let locks = "SELECT count(*)::text FROM pg_locks WHERE relation = 'secret'::regclass AND pid = pg_backend_pid()";
    assert_eq!(texts(&mut client, locks), ["0"]);
    run(&mut client, "ROLLBACK; DROP OWNED BY no_reader; DROP ROLE no_reader");
}

/// What an index is for is said by its columns and its condition, and not by what stands in a text of that.
#[test]
fn an_index_of_another_condition_is_another_one() {
    let db = fresh_db("other_condition");
    let mut client = db.client();
    run(&mut client, "SELECT notary.create_log('odd', indexes => '{}')");
    run(&mut client, "CREATE INDEX ON odd (result, occurred_at, id) WHERE result <> 'success WITH (x)'");
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('odd')"), ["{}"]);
    run(&mut client, "CREATE INDEX ON odd (result, occurred_at, id) WITH (fillfactor = 80) WHERE result <> 'success'");
    assert_eq!(texts(&mut client, "SELECT notary.log_indexes('odd')"), ["{result}"]);
}
