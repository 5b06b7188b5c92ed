//! The documentation is true: its SQL and shell commands run as written and write what it shows, its
//! links lead somewhere, and everything that pg_notary has stands in the README's reference tables.

use notary_core::finding::{Notice, Problem};
use notary_tests::pages::{Block, Page, differs, top};
use notary_tests::{Cluster, Database, fresh_db};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn what_the_pages_tell_one_to_type_works_and_writes_what_they_show() {
    let pages = Page::all();
    let failures: Vec<_> = std::thread::scope(|scope| {
        // Two servers at once are enough for two cores.
        let (left, right) = pages.split_at(pages.len() / 2);
        let runs = [left, right].map(|some| scope.spawn(|| some.iter().flat_map(run_page).collect::<Vec<_>>()));
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Runs a page's blocks in order, on a server of its own: pages make roles and databases.
fn run_page(page: &Page) -> Vec<String> {
    let blocks = page.blocks();
    if !blocks.iter().any(|b| b.language == "sql" || b.is("sh", "run")) {
        return Vec::new();
    }
    let cluster = Cluster::start();
    cluster.client("postgres").batch_execute("CREATE DATABASE shop TEMPLATE template0").unwrap();
    let mut failures = Vec::new();
    let mut last: Option<String> = None;
    for block in blocks {
        let failure = match block.language.as_str() {
            "sql" => {
                let (said, failure) = run_sql(&cluster, &block);
                last = Some(said);
                failure
            }
            "sh" if block.is("sh", "run") => {
                let (said, failure) = run_sh(&cluster, &block);
                last = Some(said);
                failure
            }
            "text" if block.is("text", "output") => match &last {
                Some(said) => differs(&block.text, said).map(|d| format!("{d}\nin all of\n{said}")),
                None => Some("no block before it was run".to_owned()),
            },
            "text" if block.is("text", "exact") => match &last {
                Some(said) if said.trim() == block.text.trim() => None,
                said => {
                    Some(format!("the page shows\n{}\nand there is\n{}", block.text, said.as_deref().unwrap_or("")))
                }
            },
            _ => None,
        };
        failures.extend(failure.map(|f| format!("{} line {}: {f}", page.name, block.line)));
    }
    failures
}

/// A block with the directories of the server's configuration and of notes moved to where this server may write.
fn here(cluster: &Cluster, block: &Block) -> String {
    let scratch = cluster.scratch_dir().display().to_string();
    block.text.replace("/etc/postgresql", &scratch).replace("/var/lib/notary", &scratch)
}

/// What psql writes, and what is wrong with that.
fn run_sql(cluster: &Cluster, block: &Block) -> (String, Option<String>) {
    let mut psql = cluster.command("psql");
    psql.args(["-X", "-q", "-d", "shop", "-U", block.word("role").unwrap_or("postgres")]);
    // SQLSTATEs are shown, and taken out again below: psql's variable for the last one knows nothing of COPY.
    psql.args(["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1"]);
    let (said, ok) = run(psql, cluster, &here(cluster, block));
    let mut raised = Vec::new();
    let mut shown = String::new();
    for line in said.lines().filter(|line| !line.starts_with("LOCATION:  ")) {
        let (line, error) = without_sqlstate(line);
        raised.extend(error);
        shown.extend([line.as_str(), "\n"]);
    }
    let failure = match block.word("fails") {
        None => (!ok).then(|| format!("it fails:\n{shown}")),
        Some(code) => (raised != [code]).then(|| format!("{code} was to be raised, and {raised:?} was:\n{shown}")),
    };
    (shown, failure)
}

/// `ERROR:  55000: no` is `ERROR:  no` to readers; the SQLSTATE beside it if it is an error's.
fn without_sqlstate(line: &str) -> (String, Option<String>) {
    let parts = line.split_once(":  ").and_then(|(severity, rest)| {
        let (code, message) = rest.split_once(": ")?;
        let is_code = code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        (is_code && matches!(severity, "ERROR" | "WARNING" | "NOTICE" | "INFO")).then_some((severity, code, message))
    });
    match parts {
        Some((severity, code, message)) => {
            (format!("{severity}:  {message}"), (severity == "ERROR").then(|| code.to_owned()))
        }
        None => (line.to_owned(), None),
    }
}

/// What bash writes, with this server's programs first in its path.
fn run_sh(cluster: &Cluster, block: &Block) -> (String, Option<String>) {
    let psql = cluster.command("psql");
    let programs = Path::new(psql.get_program()).parent().unwrap().display();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail"]);
    bash.envs(psql.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PGDATABASE", "shop");
    bash.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
    bash.env("COPY_AWAY", "true");
    let (said, ok) = run(bash, cluster, &here(cluster, block));
    let failure = (!ok).then(|| format!("it fails:\n{said}"));
    (said, failure)
}

/// Runs a program with this input: what it wrote, messages where they came, and whether it ended well.
fn run(mut command: Command, cluster: &Cluster, input: &str) -> (String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let (stdin, output) = (dir.path().join("in"), dir.path().join("out"));
    fs::write(&stdin, input).unwrap();
    let out = File::create(&output).unwrap();
    let status = command
        .current_dir(cluster.scratch_dir())
        .env("PGTZ", "UTC")
        .stdin(File::open(&stdin).unwrap())
        .stdout(out.try_clone().unwrap())
        .stderr(Stdio::from(out))
        .status()
        .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    (fs::read_to_string(&output).unwrap(), status.success())
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let pages = Page::all();
    let mut broken = Vec::new();
    for page in &pages {
        let base = top().join(&page.name);
        let base = base.parent().unwrap();
        for link in page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { top().join(&page.name) } else { base.join(file) };
            let found = path.exists()
                && (heading.is_empty() || headings(&fs::read_to_string(&path).unwrap()).contains(heading));
            if !found {
                broken.push(format!("{}: {link}", page.name));
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

/// The anchors that a page's headings get on the usual hosts.
fn headings(text: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

// ---- the reference ----

/// The cells of the README's tables whose last column is "Since".
fn reference() -> Vec<Vec<String>> {
    let readme = Page::read("README.md");
    let mut rows = Vec::new();
    let mut inside = false;
    for line in readme.text.lines() {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        if cells.len() < 4 {
            inside = false;
        } else if cells[cells.len() - 2] == "Since" {
            inside = true;
        } else if inside && !cells[1].starts_with("--") {
            rows.push(cells[1..cells.len() - 1].to_vec());
        }
    }
    assert!(rows.len() > 50, "the README has lost its reference tables");
    rows
}

/// The first cells without their backquotes.
fn names() -> BTreeSet<String> {
    reference().into_iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

fn column(db: &Database<'_>, query: &str) -> BTreeSet<String> {
    db.client().query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn assert_documented(what: &str, there: impl IntoIterator<Item = String>) {
    let names = names();
    let missing: Vec<_> = there.into_iter().filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "the README's tables lack these {what}: {missing:?}");
}

#[test]
fn every_row_of_the_reference_says_since_when() {
    for row in reference() {
        let since = row.last().unwrap();
        let numbers = since.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
        assert_eq!(numbers, 3, "{}: since {since}?", row[0]);
        assert!(row[1].len() > 10, "{} has no description", row[0]);
    }
}

#[test]
fn the_reference_has_every_function_with_its_arguments_and_no_other() {
    let db = fresh_db("readme_functions");
    let catalog = column(
        &db,
        "SELECT format('notary.%s(%s)', proname, (
             SELECT coalesce(string_agg(concat_ws(' ', proargnames[i], proargtypes[i - 1]::regtype::text), ', ' ORDER BY i), '')
             FROM generate_series(1, pronargs) AS i))
         FROM pg_proc WHERE pronamespace = 'notary'::regnamespace",
    );
    let written: BTreeSet<_> = names().into_iter().filter(|n| n.starts_with("notary.") && n.contains('(')).collect();
    let spelt = |name: &String| name.replace("timestamptz", "timestamp with time zone");
    let written: BTreeSet<_> = written.iter().map(spelt).collect();
    assert_eq!(written, catalog);
}

#[test]
fn the_reference_has_every_view_table_and_column() {
    let db = fresh_db("readme_views");
    db.client().batch_execute("CREATE TABLE t (a int); SELECT notary.protect('t')").unwrap();
    let relations = "SELECT oid::regclass::text FROM pg_class
                     WHERE relnamespace = 'notary'::regnamespace AND relkind IN ('r', 'v')";
    assert_documented("relations", column(&db, relations));
    for relation in ["notary.logs", "notary.journal", "t"] {
        let columns = format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{relation}'::regclass AND attnum > 0
             AND attname <> 'a'"
        );
        assert_documented("columns", column(&db, &columns));
    }
    for function in ["verify", "findings", "notices"] {
        let columns =
            format!("SELECT unnest(proargnames[pronargs + 1:]) FROM pg_proc WHERE oid = 'notary.{function}'::regproc");
        assert_documented("result columns", column(&db, &columns));
    }
}

#[test]
fn the_reference_has_every_setting_and_trigger() {
    let db = fresh_db("readme_settings");
    let mut client = db.client();
    client.batch_execute("CREATE TABLE t (a int); SELECT notary.protect('t')").unwrap();
    let rows = client.query("SELECT name FROM pg_settings WHERE name LIKE 'notary.%'", &[]).unwrap();
    let settings: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(!settings.is_empty());
    assert_documented("settings", settings);
    let event_triggers = "SELECT evtname::text FROM pg_event_trigger";
    assert_documented("event triggers", column(&db, event_triggers));
    let triggers = "SELECT tgname::text FROM pg_trigger WHERE tgrelid = 't'::regclass";
    assert_documented("triggers", column(&db, triggers));
}

#[test]
fn the_reference_has_every_finding_and_notice() {
    assert_documented("findings", Problem::ALL.map(|p| p.as_str().to_owned()));
    assert_documented("notices", Notice::ALL.map(|n| n.as_str().to_owned()));
}

#[test]
fn the_reference_has_every_sqlstate_that_an_error_can_have() {
    let errors = fs::read_to_string(top().join("src/error.rs")).unwrap();
    let named = errors.split("ERRCODE_").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_')?;
        Some(rest[..end].to_lowercase())
    });
    // What a warning has is no SQLSTATE of an error.
    let named: BTreeSet<_> = named.filter(|name| name != "warning").collect();
    assert!(named.len() > 5);
    let mut client = notary_tests::shared().client("postgres");
    let code = |name: &String| {
        let raised = client.batch_execute(&format!("DO $$ BEGIN RAISE {name}; END $$"));
        notary_tests::err(raised).code
    };
    let codes: Vec<_> = named.iter().map(code).collect();
    assert_documented("SQLSTATEs", codes);
}

#[test]
fn the_library_s_version_is_the_one_that_the_changelog_begins_with() {
    let changelog = Page::read("CHANGELOG.md").text;
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    let db = fresh_db("readme_version");
    let version = db.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_notary'");
    assert_eq!(newest.split_whitespace().next(), Some(version.as_str()));
}

#[test]
fn the_check_and_the_write_path_do_not_know_of_one_another() {
    let sources = |room: &str| -> Vec<(String, String)> {
        let files = fs::read_dir(top().join("src").join(room)).unwrap().map(|file| file.unwrap().path());
        files.map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())).collect()
    };
    for (room, other) in [("verify", "append"), ("append", "verify"), ("guard", "append"), ("guard", "verify")] {
        let sources = sources(room);
        assert!(sources.len() > 1);
        for (file, text) in sources {
            assert!(!text.contains(&format!("crate::{other}")), "{file} imports {other}");
        }
    }
}
