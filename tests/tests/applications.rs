//! Clients as applications use them: drivers, ORMs and a pooler, against a log. What their programs print, the real
//! messages among it, is compared with the expected files; docs/applications.md shows the same code.

use notary_tests::golden::Golden;
use notary_tests::pages::Page;
use notary_tests::pooler::Pooler;
use notary_tests::{Cluster, Database, err, fresh_db};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Runs a program as `role`; what it prints.
fn run(db: &Database<'_>, role: &str, mut command: Command) -> String {
    let output = command.env("PGDATABASE", db.name()).env("PGUSER", role).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // Whatever the program itself thinks of it.
    let findings = "SELECT coalesce(string_agg(first_finding, '; '), 'none') FROM notary.verify() WHERE NOT intact";
    assert_eq!(db.value(findings), "none");
    said
}

#[test]
fn python_clients_write_and_are_refused_as_written_down() {
    Golden::new("clients/python", "programs", "py").check(|name, program| {
        let db = fresh_db(name);
        let mut python = db.cluster().python();
        python.arg("-c").arg(program);
        run(&db, &db.role("app"), python)
    });
}

#[test]
fn node_clients_write_and_are_refused_as_written_down() {
    Golden::new("clients/node", "programs", "js").check(|name, program| {
        let db = fresh_db(name);
        let mut node = db.cluster().node();
        node.arg("-e").arg(program);
        run(&db, &db.role("app"), node)
    });
}

// ---- PgBouncer ----

#[test]
fn clients_behind_pgbouncer_write_as_written_down() {
    Golden::new("clients/pooled", "programs", "py").check(|name, program| {
        let cluster = Cluster::start();
        let db = cluster.fresh_db(name);
        let role = db.role("app");
        let _pooler = Pooler::start(&cluster, &role, 4);
        let mut python = cluster.python();
        python.arg("-c").arg(program).env("PGHOST", cluster.scratch_dir()).env("PGPORT", "6432");
        run(&db, &role, python)
    });
}

// ---- Rust, and what other frameworks send ----

#[test]
fn the_rust_driver_inserts_by_prepared_statement_and_by_binary_copy() {
    let db = fresh_db("rust");
    let mut client = db.client_as(&db.role("app"));
    client
        .batch_execute("CREATE TABLE app_audit (actor text, action text); SELECT notary.protect('app_audit')")
        .unwrap();
    let insert = client.prepare("INSERT INTO app_audit (actor, action) VALUES ($1, $2) RETURNING *").unwrap();
    for n in 1..=20_i64 {
        let row = client.query_one(&insert, &[&"ann", &format!("step {n}")]).unwrap();
        assert_eq!(row.get::<_, i64>("notary_seq"), n);
        assert_eq!(row.get::<_, Vec<u8>>("notary_hash").len(), 32);
    }
    let sink = client.copy_in("COPY app_audit (actor, action) FROM STDIN (FORMAT binary)").unwrap();
    let types = [postgres::types::Type::TEXT, postgres::types::Type::TEXT];
    let mut writer = postgres::binary_copy::BinaryCopyInWriter::new(sink, &types);
    for n in 0..100 {
        writer.write(&[&"bob", &format!("row {n}")]).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 100);
    assert_eq!(db.value("SELECT intact::text || ' ' || entries FROM notary.verify('app_audit')"), "true 120");
}

/// The statements that Active Record of Rails sends, as its log shows them.
#[test]
fn the_statements_of_active_record_work_or_are_refused() {
    let db = fresh_db("rails");
    let mut client = db.client_as(&db.role("app"));
    client
        .batch_execute(
            "CREATE TABLE audit_events (id bigserial PRIMARY KEY, actor varchar NOT NULL,
                 created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
             SELECT notary.protect('audit_events')",
        )
        .unwrap();
    let now = "'2026-11-21 10:00:00.123456'";
    // create!
    let create = client
        .prepare(
            r#"INSERT INTO "audit_events" ("actor", "created_at", "updated_at") VALUES ($1, $2, $3) RETURNING "id""#,
        )
        .unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_255_200_123_456);
    for id in 1..=3_i64 {
        assert_eq!(client.query_one(&create, &[&"ann", &time, &time]).unwrap().get::<_, i64>(0), id);
    }
    // insert_all
    let all = format!(
        r#"INSERT INTO "audit_events" ("id","actor","created_at","updated_at") VALUES (3, 'x', {now}, {now}), (4, 'bob', {now}, {now})
           ON CONFLICT DO NOTHING RETURNING "id""#
    );
    assert_eq!(client.query(&all, &[]).unwrap().len(), 1);
    // upsert_all, update!, touch, destroy!
    for refused in [
        format!(
            r#"INSERT INTO "audit_events" ("id","actor","created_at","updated_at") VALUES (3, 'x', {now}, {now})
               ON CONFLICT ("id") DO UPDATE SET "actor"=excluded."actor" RETURNING "id""#
        ),
        format!(r#"UPDATE "audit_events" SET "actor" = 'x', "updated_at" = {now} WHERE "audit_events"."id" = 3"#),
        format!(r#"UPDATE "audit_events" SET "updated_at" = {now} WHERE "audit_events"."id" = 3"#),
        r#"DELETE FROM "audit_events" WHERE "audit_events"."id" = 3"#.to_owned(),
    ] {
        assert_eq!(err(client.batch_execute(&refused)).code, "55000", "{refused}");
    }
    assert_eq!(db.value("SELECT intact::text || ' ' || entries FROM notary.verify('audit_events')"), "true 4");
}

// ---- the page ----

/// Every piece of Python and JavaScript on the page stands in a program above, but for indentation.
#[test]
fn the_page_shows_code_that_runs_here() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut programs = String::new();
    for kind in ["python", "node", "pooled"] {
        for file in fs::read_dir(clients.join(kind).join("programs")).unwrap() {
            programs += &bare(&fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    let blocks = Page::read("docs/applications.md").blocks();
    let code: Vec<_> = blocks.iter().filter(|b| matches!(b.language.as_str(), "python" | "js")).collect();
    assert!(code.len() > 5, "the page has lost its code");
    for block in code {
        assert!(
            programs.contains(&bare(&block.text)),
            "docs/applications.md line {}: nothing runs this code",
            block.line
        );
    }
}

fn bare(code: &str) -> String {
    code.lines().map(str::trim).filter(|line| !line.is_empty()).fold(String::new(), |all, line| all + line + "\n")
}
