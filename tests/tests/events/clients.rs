//! Applications in Python and JavaScript that send their events as they have them. What they print is compared with the expected
//! files.

use notary_tests::golden::Golden;
use notary_tests::verdict::assert_found;
use notary_tests::{Database, fresh_db};
use std::process::Command;

fn run(db: &Database<'_>, mut command: Command) -> String {
    notary_tests::talk::run(&mut db.client(), "SELECT notary.create_log('app_audit')");
    let role = db.role("app");
    notary_tests::talk::run(
        &mut db.client(),
        &format!(
            "GRANT INSERT, SELECT ON app_audit TO \"{role}\"; ALTER ROLE \"{role}\" SET notary.default_log = 'public.app_audit'"
        ),
    );
    let output = command.env("PGDATABASE", db.name()).env("PGUSER", &role).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_found(&mut db.client(), "app_audit", &[]);
    said.replace(&role, "app")
}

#[test]
fn python_applications_log_their_events_as_written_down() {
    Golden::new("clients/events_python", "programs", "py").check(|name, program| {
        let db = fresh_db(name);
        let mut python = db.cluster().python();
        python.arg("-c").arg(program);
        run(&db, python)
    });
}

#[test]
fn node_applications_log_their_events_as_written_down() {
    Golden::new("clients/events_node", "programs", "js").check(|name, program| {
        let db = fresh_db(name);
        let mut node = db.cluster().node();
        node.arg("-e").arg(program);
        run(&db, node)
    });
}
