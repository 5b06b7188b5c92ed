//! Events that nobody made up: PostgreSQL's own logins and failures, from the log of a server, as an application would hand
//! them over; the report counts what that server refused.

use notary_tests::Cluster;
use notary_tests::talk::{run, texts};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

/// One line of jsonlog as an event, if it is about logging in.
fn event(line: &str) -> Option<serde_json::Value> {
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    let message = said["message"].as_str()?;
    let (action, result) = match () {
        () if message.starts_with("connection authorized: ") => ("auth.login", "success"),
        () if message.contains("authentication failed for user") => ("auth.failure", "failure"),
        () if message.contains("is not permitted to log in") || message.contains("does not exist") => {
            ("auth.failure", "denied")
        }
        () => return None,
    };
    Some(serde_json::json!({
        "event_type": action,
        "result": result,
        "timestamp": said["timestamp"].as_str()?.trim_end_matches(" UTC"),
        "actor": said["user"],
        "session_id": said["session_id"],
        "ip": "127.0.0.1",
        "log": said,
    }))
}

#[test]
fn the_logins_of_a_server_give_the_report_of_failures() {
    let mut cluster = Cluster::builder()
        .setting("log_connections", "on")
        .setting("log_timezone", "UTC")
        .setting("logging_collector", "on")
        .setting("log_destination", "jsonlog")
        .setting("log_directory", "server_log")
        .setting("log_filename", "server.log")
        .create();
    // Passwords for these, over the socket too.
    let hba = cluster.data_dir().join("pg_hba.conf");
    let trusted = std::fs::read_to_string(&hba).unwrap();
    let owner = std::fs::metadata(&hba).unwrap().uid();
    std::fs::write(&hba, format!("local all ann,bob,eve,locked scram-sha-256\n{trusted}")).unwrap();
    std::os::unix::fs::chown(&hba, Some(owner), None).expect("we or root may");
    cluster.start_again();
    let db = cluster.fresh_db("real");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE ROLE ann LOGIN PASSWORD 'right'; CREATE ROLE bob LOGIN PASSWORD 'right'; CREATE ROLE locked NOLOGIN PASSWORD 'right'",
    );
    let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
    let mut accepted = 0;
    for (user, password, times) in [
        ("ann", "wrong", 3),
        ("ann", "right", 2),
        ("bob", "wrong", 12),
        ("bob", "right", 1),
        ("eve", "guess", 2),
        ("locked", "right", 1),
    ] {
        for _ in 0..times {
            let mut config = cluster.config_as(db.name(), user);
            match config.password(password).connect(postgres::NoTls) {
                Ok(_) => accepted += 1,
                Err(_) => *refused.entry(user).or_default() += 1,
            }
        }
    }
    assert_eq!((accepted, refused.values().sum::<u32>()), (3, 18));
    let log = cluster.data_dir().join("server_log").join("server.json");
    let of_these = |event: &serde_json::Value| refused.contains_key(event["actor"].as_str().unwrap_or_default());
    let written =
        || -> Vec<_> { std::fs::read_to_string(&log).unwrap().lines().filter_map(event).filter(of_these).collect() };
    // A process of its own writes the server's log, some time after.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut events = written();
    while events.len() < 22 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        events = written();
    }
    // The one who is locked out was authorized first, and then denied.
    assert_eq!(events.len(), 22, "every attempt is in the server's log");
    run(&mut client, "SELECT notary.create_log('app_audit')");
    let events = serde_json::Value::from(events);
    let written = client.query("SELECT notary.log_events('app_audit', $1)", &[&events]).unwrap();
    assert_eq!(written.len(), 22);
    let report = texts(&mut client, "SELECT actor || ' ' || failures FROM notary.failed_auth ORDER BY actor");
    let expected: Vec<_> = refused.iter().map(|(user, times)| format!("{user} {times}")).collect();
    assert_eq!(report, expected);
    let bursts =
        texts(&mut client, "SELECT DISTINCT array_to_string(actors, ',') FROM notary.auth_bursts WHERE kind = 'actor'");
    assert_eq!(bursts, ["bob"], "twelve failures at once");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.search('app_audit', action => 'auth.login')"), ["4"]);
    // Nothing of what the server said was dropped.
    assert_eq!(
        texts(
            &mut client,
            "SELECT count(*) FROM app_audit WHERE details -> 'log' ->> 'backend_type' = 'client backend'"
        ),
        ["22"]
    );
    run(&mut client, "SELECT notary.assert_intact('app_audit')");
}
