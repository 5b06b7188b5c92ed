//! Clients as applications use them: drivers, ORMs and a pooler, against a log. What their programs print, the real
//! messages among it, is compared with the expected files; docs/applications.md shows the same code.

use notary_tests::golden::Golden;
use notary_tests::{Database, fresh_db};
use std::process::Command;

/// Runs a program as a role of its own that is nobody special; what it prints, with the role's name left out.
fn run(db: &Database<'_>, mut command: Command) -> String {
    let role = db.role("app");
    let output = command.env("PGDATABASE", db.name()).env("PGUSER", &role).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // Whatever the program itself thinks of it.
    let findings = "SELECT coalesce(string_agg(first_finding, '; '), 'none') FROM notary.verify() WHERE NOT intact";
    assert_eq!(db.value(findings), "none");
    said.replace(&role, "app")
}

#[test]
fn python_clients_write_and_are_refused_as_written_down() {
    Golden::new("clients/python", "programs", "py").check(|name, program| {
        let db = fresh_db(name);
        let mut python = db.cluster().python();
        python.arg("-c").arg(program);
        run(&db, python)
    });
}

#[test]
fn node_clients_write_and_are_refused_as_written_down() {
    Golden::new("clients/node", "programs", "js").check(|name, program| {
        let db = fresh_db(name);
        let mut node = db.cluster().node();
        node.arg("-e").arg(program);
        run(&db, node)
    });
}
