//! Proofs: every one that the server gives is checked by the pure functions, and none that was tampered with passes.

use crate::{key, literal, scene, seal, size};
use notary_tests::talk::{refused, run, texts};
use postgres::Client;

struct Verdict {
    valid: bool,
    problem: String,
}

fn verdict(client: &mut Client, call: &str) -> Verdict {
    let row = client
        .query_one(&format!("SELECT valid, problem FROM {call}"), &[])
        .unwrap_or_else(|e| panic!("{call}: {}", notary_tests::SqlError::of(&e)));
    Verdict { valid: row.get(0), problem: row.get::<_, Option<String>>(1).unwrap_or_default() }
}

fn check(client: &mut Client, line: &str, proof: &str, key: &str) -> Verdict {
    verdict(client, &format!("notary.verify_proof({}, {}, {})", literal(line), literal(proof), literal(key)))
}

#[test]
fn every_entry_is_proved_against_every_seal_that_holds_it() {
    let db = scene("proved", 5);
    let mut client = db.client();
    let key = key(&mut client, "audit");
    for round in 0..12 {
        let mut other = db.client();
        run(&mut other, "BEGIN; INSERT INTO audit VALUES (1000)");
        run(&mut client, &format!("INSERT INTO audit SELECT i, 'x' FROM generate_series(1, {}) AS i", round * 23));
        run(&mut other, "COMMIT");
        seal(&mut client, "audit");
    }
    let wrong = format!(
        "SELECT count(*) FROM audit CROSS JOIN notary.seals AS s
         CROSS JOIN LATERAL notary.verify_proof(notary.line(audit.tableoid, notary_chain, notary_seq),
             notary.proof(audit.tableoid, notary_chain, notary_seq, s.size), {key}) AS v
         WHERE s.size = (SELECT max(size) FROM notary.seals) AND v.valid IS DISTINCT FROM true",
        key = literal(&key)
    );
    assert_eq!(texts(&mut client, &wrong), ["0"]);
    let leaves = "SELECT count(DISTINCT v.leaf), count(*) FROM audit CROSS JOIN LATERAL notary.verify_proof(
        notary.line(audit.tableoid, notary_chain, notary_seq), notary.proof(audit.tableoid, notary_chain, notary_seq), $1) AS v";
    let row = client.query_one(leaves, &[&key]).unwrap();
    assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1), "each has a leaf of its own");
    // The first entry, against each seal.
    for size in texts(&mut client, "SELECT size FROM notary.seals ORDER BY size") {
        let proof = texts(&mut client, &format!("SELECT notary.proof('audit', 1, 1, {size})")).remove(0);
        let line = texts(&mut client, "SELECT notary.line('audit', 1, 1)").remove(0);
        let said = check(&mut client, &line, &proof, &key);
        assert!(said.valid, "{size}: {}", said.problem);
    }
}

#[test]
fn a_proof_that_was_tampered_with_fails() {
    let db = scene("tampered", 700);
    let mut client = db.client();
    let key = key(&mut client, "audit");
    seal(&mut client, "audit");
    let proof = texts(&mut client, "SELECT notary.proof('audit', 1, 345)").remove(0);
    let line = texts(&mut client, "SELECT notary.line('audit', 1, 345)").remove(0);
    assert!(check(&mut client, &line, &proof, &key).valid);
    let lines: Vec<&str> = proof.split_inclusive('\n').collect();
    let mut forged: Vec<String> = Vec::new();
    for at in 0..lines.len() {
        // Left out, twice, and with another character in each. The line may be left out: the checker has it.
        if !lines[at].starts_with("extra ") {
            forged.push(lines.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, line)| *line).collect());
        }
        // A signature that stands there twice counts once.
        if !lines[at].starts_with("— ") {
            forged.push(lines.iter().enumerate().flat_map(|(i, line)| vec![*line; 1 + usize::from(i == at)]).collect());
        }
        if let Some(found) = lines[at].char_indices().find(|(_, c)| c.is_ascii_alphanumeric()) {
            let start: usize = lines[..at].iter().map(|line| line.len()).sum::<usize>() + found.0;
            let other = if found.1 == 'A' { "B" } else { "A" };
            forged.push(format!("{}{other}{}", &proof[..start], &proof[start + 1..]));
        }
    }
    forged.push(proof.replace("index 345", "index 346"));
    forged.push(proof.replace("index 345", "index 0345"));
    forged.push(proof.trim_end().to_owned());
    forged.push(proof.replace('\n', "\r\n"));
    let stripped = proof.split("\n— ").next().unwrap().trim_end().to_owned() + "\n";
    forged.push(stripped);
    for forged in forged {
        let said = check(&mut client, &line, &forged, &key);
        assert!(!said.valid && !said.problem.is_empty(), "{forged}");
    }
    for other in [line.replace("345", "346"), format!("{line} "), String::new(), line.replacen('{', "{ ", 1)] {
        assert!(!check(&mut client, &other, &proof, &key).valid, "{other}");
    }
    let other_key = "example.com/x+3dd8e9cf+AYNXnKLtwHXhz0jF6JvAa4/QtCqK3Xuau+o7ZqDkHE0+";
    let error = refused(&mut client, &format!("SELECT notary.verify_note('x', {})", literal(other_key)));
    assert_eq!(error.code, "22023", "{error}");
    assert!(!check(&mut client, &line, &proof, "").valid);
}

#[test]
fn one_proves_only_what_one_may_read() {
    let db = scene("readable", 10);
    let (reader, stranger) = (db.role("reader"), db.role("stranger"));
    let mut client = db.client();
    let not_yet = refused(&mut client, "SELECT notary.proof('audit', 1, 1)");
    assert_eq!(not_yet.code, "55000", "{not_yet}");
    seal(&mut client, "audit");
    run(
        &mut client,
        &format!(
            "ALTER TABLE audit ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON audit FOR SELECT USING (id < 5);
             GRANT SELECT ON audit TO \"{reader}\"; INSERT INTO audit VALUES (3, 'late')"
        ),
    );
    assert_eq!(refused(&mut client, "SELECT notary.proof('audit', 1, 11)").code, "P0002");
    assert_eq!(refused(&mut client, "SELECT notary.proof('audit', 1, 99)").code, "P0002");
    assert_eq!(refused(&mut client, "SELECT notary.proof('audit', 1, 1, 5)").code, "22023");
    let mut theirs = db.client_as(&reader);
    run(&mut theirs, "SELECT notary.proof('audit', 1, 2)");
    assert_eq!(refused(&mut theirs, "SELECT notary.proof('audit', 1, 9)").code, "P0002");
    assert_eq!(refused(&mut db.client_as(&stranger), "SELECT notary.proof('audit', 1, 2)").code, "42501");
    assert_eq!(refused(&mut db.client_as(&stranger), "SELECT notary.consistency_proof('audit', 11)").code, "42501");
}

#[test]
fn a_damaged_entry_is_not_proved() {
    let db = scene("unproved", 300);
    seal(&mut db.client(), "audit");
    notary_tests::verdict::behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE notary_seq = 50"]);
    let mut client = db.client();
    assert_eq!(refused(&mut client, "SELECT notary.proof('audit', 1, 50)").code, "XX001");
    run(&mut client, "SELECT notary.proof('audit', 1, 51)");
}

#[test]
fn every_seal_is_consistent_with_every_later_one_and_with_no_forgery() {
    let db = scene("consistent", 1);
    let mut client = db.client();
    let key = key(&mut client, "audit");
    let mut notes = vec![seal(&mut client, "audit")];
    for round in 1..14 {
        run(&mut client, &format!("INSERT INTO audit SELECT generate_series(1, {})", round * round));
        notes.push(seal(&mut client, "audit"));
    }
    let judge = |client: &mut Client, old: &str, new: &str, proof: &str| {
        let args = [old, new, proof, &key].map(literal).join(", ");
        verdict(client, &format!("notary.verify_consistency({args})"))
    };
    for (i, old) in notes.iter().enumerate() {
        for new in &notes[i..] {
            let sizes = (size(old), size(new));
            let query = format!("SELECT notary.consistency_proof('audit', {}, {})", sizes.0, sizes.1);
            let proof = texts(&mut client, &query).remove(0);
            let said = judge(&mut client, old, new, &proof);
            assert!(said.valid, "{sizes:?}: {}", said.problem);
            if sizes.0 < sizes.1 {
                assert!(!judge(&mut client, new, old, &proof).valid, "{sizes:?}");
                assert!(!judge(&mut client, old, new, "").valid || proof.is_empty(), "{sizes:?}");
            }
        }
    }
    assert_eq!(refused(&mut client, "SELECT notary.consistency_proof('audit', 4)").code, "22023");
    assert_eq!(refused(&mut client, "SELECT notary.consistency_proof('audit', 0)").code, "22023");
    let (large, small) = (size(&notes[5]), size(&notes[2]));
    assert_eq!(
        refused(&mut client, &format!("SELECT notary.consistency_proof('audit', {large}, {small})")).code,
        "22023"
    );
    // Another log's note, and one whose signature is gone.
    run(&mut client, "CREATE TABLE other (id int); SELECT notary.protect('other')");
    let other = seal(&mut client, "other");
    assert!(!judge(&mut client, &notes[0], &other, "").valid);
    let bare = notes[0].split("\n\n").next().unwrap().to_owned() + "\n";
    let said = judge(&mut client, &bare, &notes[0], "");
    assert!(!said.valid && said.problem.contains("unsigned"), "{}", said.problem);
}

#[test]
fn the_checks_are_pure_functions() {
    let db = scene("pure", 1);
    let query = "SELECT string_agg(concat(proname, provolatile, proparallel, proisstrict), ' ' ORDER BY proname)
        FROM pg_proc WHERE pronamespace = 'notary'::regnamespace
        AND proname IN ('verify_note', 'verify_proof', 'verify_consistency')";
    assert_eq!(db.value(query), "verify_consistencyist verify_noteist verify_proofist");
    // Nobody needs any right to check.
    let stranger = db.role("auditor");
    let mut client = db.client_as(&stranger);
    let said = verdict(&mut client, "notary.verify_note('x', '')");
    assert!(!said.valid && !said.problem.is_empty());
    run(&mut client, "SET force_parallel_mode = on");
    assert!(!verdict(&mut client, "notary.verify_proof('x', 'y', '')").valid);
    assert_eq!(texts(&mut client, "SELECT notary.verify_note(NULL, '') IS NULL"), ["t"]);
}
