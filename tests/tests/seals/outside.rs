//! What the server hands out, checked by what needs no server: `notary-verify`, and the same in Python.

use crate::{key, scene, seal, set_up};
use notary_tests::pages::{Page, top};
use notary_tests::talk::{run, texts};
use notary_tests::verdict::behind_the_guard;
use notary_tests::{Database, fresh_db};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder as an auditor has it: the export, the newest note, and the key.
struct Evidence {
    folder: tempfile::TempDir,
}

impl Evidence {
    fn of(db: &Database<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy =
            "\\copy (SELECT notary.export('audit')) TO STDOUT WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')";
        fs::write(folder.path().join("export.jsonl"), db.psql(copy).ok().stdout_bytes).unwrap();
        let mut client = db.client();
        let newest = "SELECT note FROM notary.seals WHERE log = 'audit'::regclass ORDER BY size DESC LIMIT 1";
        fs::write(folder.path().join("newest.note"), texts(&mut client, newest).remove(0)).unwrap();
        fs::write(folder.path().join("keys"), key(&mut client, "audit") + "\n").unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn verify(&self, args: &[&str]) -> (i32, String) {
        let target = std::env::var("NOTARY_TARGET").expect("tests/env.sh was sourced");
        let program = Path::new(&target).join("release/notary-verify");
        assert!(program.exists(), "{} is missing: make stage builds it", program.display());
        said(Command::new(program).args(args).current_dir(self.folder.path()).output().unwrap())
    }

    fn export(&self) -> (i32, String) {
        self.verify(&["export", "--keys", "keys", "--note", "newest.note", "export.jsonl"])
    }

    fn python(&self) -> (i32, String) {
        let program = top().join("docs/check_export.py");
        said(
            Command::new("python3")
                .arg(program)
                .args(["newest.note", "export.jsonl"])
                .current_dir(self.folder.path())
                .output()
                .unwrap(),
        )
    }
}

fn said(output: Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn an_export_of_many_kinds_of_values_and_segments_passes() {
    let db = fresh_db("outside");
    set_up(&db);
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE audit (id int, t text, j jsonb, n numeric, at timestamptz, b bytea, a int[]) PARTITION BY RANGE (id);
         CREATE TABLE audit_1 PARTITION OF audit FOR VALUES FROM (0) TO (500);
         CREATE TABLE audit_2 PARTITION OF audit FOR VALUES FROM (500) TO (2000);
         INSERT INTO audit VALUES (7, E'there before \\\\ \"quoted\" \\n ü', '{\"b\": [1, null]}', 'NaN', 'infinity', '\\xff', '{1,NULL}');
         SELECT notary.protect('audit');
         INSERT INTO audit SELECT i, E'text \\t ' || i, jsonb_build_object('k', i), i / 7.0, now(), decode(lpad(to_hex(i), 4, '0'), 'hex'), ARRAY[i]
         FROM generate_series(0, 1500) AS i",
    );
    let mut other = db.client();
    run(&mut other, "BEGIN; INSERT INTO audit (id) VALUES (1)");
    run(&mut client, "INSERT INTO audit (id) SELECT generate_series(400, 600)");
    run(&mut other, "COMMIT");
    seal(&mut client, "audit");
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'test'); UPDATE audit SET n = n WHERE id = 3; SELECT notary.protect('audit')",
    );
    run(&mut client, "INSERT INTO audit (id) SELECT generate_series(0, 1999, 7)");
    seal(&mut client, "audit");
    let evidence = Evidence::of(&db);
    let (code, text) = evidence.export();
    assert_eq!(code, 0, "{text}");
    let (code, text) = evidence.python();
    assert_eq!(code, 0, "{text}");
}

/// The page for auditors says how notes and proofs get into files.
#[test]
fn what_the_recipe_of_the_page_writes_is_right_byte_for_byte() {
    let db = scene("recipe", 4);
    let mut client = db.client();
    let may = seal(&mut client, "audit");
    run(&mut client, "INSERT INTO audit SELECT i, 'x' FROM generate_series(17, 23) AS i");
    let june = seal(&mut client, "audit");
    // Of another log there are seals too.
    run(&mut client, "CREATE TABLE other (id int); SELECT notary.protect('other'); INSERT INTO other VALUES (1)");
    run(&mut client, "INSERT INTO other SELECT generate_series(1, 100)");
    seal(&mut client, "other");
    let evidence = Evidence::of(&db);
    let blocks = Page::read("docs/auditors.md").blocks();
    let recipe = &blocks.iter().find(|block| block.text.contains("save()")).expect("the page has the recipe").text;
    let recipe = recipe.replace("app_audit", "audit");
    for shell in ["sh", "bash"] {
        let (code, text) = said(in_shell(&db, shell, &recipe, &evidence));
        assert_eq!((code, text.as_str()), (0, ""));
        for (file, note) in [("may.note", &may), ("audit.note", &june)] {
            assert_eq!(fs::read_to_string(evidence.path(file)).unwrap(), *note);
        }
        for args in [
            &["note", "audit.note"][..],
            &["proof", "order-17.proof"],
            &["consistency", "--old", "may.note", "--new", "audit.note", "may-june.consistency"],
            &["export", "--note", "audit.note", "--note", "may.note", "export.jsonl"],
        ] {
            let (code, text) = evidence.verify(&[args, &["--keys", "keys"]].concat());
            assert_eq!(code, 0, "{text}");
        }
    }
    let (code, text) = said(in_shell(&db, "sh", &format!("{recipe}save wrong.note 'SELECT 1 / 0'"), &evidence));
    assert!(code != 0 && text.contains("division by zero") && !evidence.path("wrong.note").exists(), "{text}");
    // What psql writes by itself is refused, and it is said why.
    fs::write(evidence.path("psql.note"), june + "\n").unwrap();
    let (code, text) = evidence.verify(&["note", "--keys", "keys", "psql.note"]);
    assert!(code == 1 && text.contains("psql adds one"), "{text}");
}

/// Runs a script where the evidence is, told where the server is.
fn in_shell(db: &Database<'_>, shell: &str, script: &str, evidence: &Evidence) -> Output {
    let psql = db.cluster().command("psql");
    let programs = Path::new(psql.get_program()).parent().unwrap().display();
    Command::new(shell)
        .args(["-c", script])
        .envs(psql.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()))
        .env("PGDATABASE", db.name())
        .current_dir(evidence.folder.path())
        .output()
        .unwrap()
}

#[test]
fn an_export_in_which_anything_differs_fails() {
    let db = scene("outside_bad", 300);
    seal(&mut db.client(), "audit");
    let evidence = Evidence::of(&db);
    assert_eq!(evidence.export().0, 0);
    let good = fs::read_to_string(evidence.path("export.jsonl")).unwrap();
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let without: String = lines.iter().enumerate().filter(|(i, _)| *i != 150).map(|(_, line)| *line).collect();
    for bad in
        [good.replace("w200", "w201"), without, good.trim_end().to_owned(), good.clone() + lines[300], String::new()]
    {
        fs::write(evidence.path("export.jsonl"), &bad).unwrap();
        for (code, text) in [evidence.export(), evidence.python()] {
            assert_ne!(code, 0, "{text}");
        }
    }
}

/// The database fits together again and so does an export of it; the note that was kept does not.
#[test]
fn an_export_of_a_log_that_was_computed_anew_fails_against_the_note() {
    let db = scene("outside_anew", 400);
    seal(&mut db.client(), "audit");
    let evidence = Evidence::of(&db);
    behind_the_guard(&db, &[&crate::comparing::rewrite(250)]);
    let copy = "\\copy (SELECT notary.export('audit')) TO STDOUT WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')";
    fs::write(evidence.path("export.jsonl"), db.psql(copy).ok().stdout_bytes).unwrap();
    let (code, text) = evidence.export();
    assert_eq!(code, 1, "{text}");
    let (code, text) = evidence.python();
    assert_eq!(code, 1, "{text}");
}

#[test]
fn proofs_and_consistency_are_checked_without_the_server() {
    let db = scene("outside_proofs", 50);
    let mut client = db.client();
    let old = seal(&mut client, "audit");
    run(&mut client, "INSERT INTO audit SELECT generate_series(1, 333)");
    seal(&mut client, "audit");
    let evidence = Evidence::of(&db);
    fs::write(evidence.path("old.note"), old).unwrap();
    let put =
        |name: &str, query: &str| fs::write(evidence.path(name), texts(&mut db.client(), query).remove(0)).unwrap();
    put("one.proof", "SELECT notary.proof('audit', 1, 42)");
    put("old.consistency", "SELECT notary.consistency_proof('audit', 51)");
    let (code, text) = evidence.verify(&["proof", "--keys", "keys", "--show-line", "one.proof"]);
    assert!(code == 0 && text.contains("\"w42\""), "{text}");
    let consistency = ["consistency", "--keys", "keys", "--old", "old.note", "--new", "newest.note", "old.consistency"];
    let (code, text) = evidence.verify(&consistency);
    assert_eq!(code, 0, "{text}");
    fs::write(evidence.path("old.consistency"), format!("{}=\n", "A".repeat(43))).unwrap();
    assert_eq!(evidence.verify(&consistency).0, 1);
    // Between a seal and itself nothing has to be shown; between these two the file is an empty one.
    put("old.consistency", "SELECT notary.consistency_proof('audit', 51, 51)");
    let (code, text) = evidence.verify(&consistency);
    assert!(code == 2 && text.contains("the file is empty"), "{text}");
    let (code, text) = evidence.verify(&["note", "--keys", "keys", "newest.note"]);
    assert_eq!(code, 0, "{text}");
}
