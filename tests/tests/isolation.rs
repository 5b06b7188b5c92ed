//! What sessions can do to one another, step by step in every order a spec names:
//! `isolation/specs/*.spec` against `isolation/expected/*.out`, by PostgreSQL's isolationtester.

use notary_tests::fresh_db;
use notary_tests::golden::Golden;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn sessions_meet_as_expected() {
    let tester = isolationtester();
    Golden::new("isolation", "specs", "spec").check(|name, spec| {
        let db = fresh_db(&format!("isolation_{name}"));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(spec.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let output = Command::new(&tester)
            .arg(db.cluster().conninfo(db.name()))
            .env("PGISOLATIONTIMEOUT", "60")
            .stdin(Stdio::from(file))
            .output()
            .unwrap();
        let mut shown = String::from_utf8(output.stdout).unwrap();
        shown.push_str(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            shown.push_str(&format!("isolationtester: {}\n", output.status));
        }
        shown
    });
}

/// It comes with the server's headers, in the library directory.
fn isolationtester() -> std::path::PathBuf {
    let pgroot = std::env::var("NOTARY_PGROOT").expect("NOTARY_PGROOT is set by make");
    let shown = Command::new(Path::new(&pgroot).join("pg_config")).arg("--pkglibdir").output().unwrap();
    let pkglibdir = String::from_utf8(shown.stdout).unwrap();
    Path::new(pkglibdir.trim()).join("pgxs/src/test/isolation/isolationtester")
}
