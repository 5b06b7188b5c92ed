//! The checks in SQL with texts that are almost right: no error but 22023 for what is no list of keys, and nothing valid
//! but what was signed. The core's own fuzzing goes deeper; this is what stands between it and the caller.
//! `NOTARY_FUZZ_SECONDS` says for how long (4 by default), `NOTARY_SEED` repeats a run.

#[path = "../../../src/core/tests/fuzz/mutate.rs"]
mod mutate;

use crate::{export, key, scene, seal, size};
use mutate::Mutator;
use notary_tests::SqlError;
use notary_tests::talk::{run, texts};
use postgres::Client;
use std::time::{Duration, Instant};

/// What the server handed out: all that there is to be believed.
struct Handed {
    key: String,
    notes: Vec<String>,
    lines: Vec<String>,
    /// The leaf and the size of each.
    proofs: Vec<(usize, u64, String)>,
    /// The places of two notes, and what is between them.
    between: Vec<(usize, usize, String)>,
}

impl Handed {
    fn new(client: &mut Client) -> Self {
        let mut notes = vec![seal(client, "audit")];
        for rows in [1, 2, 5, 40] {
            run(client, &format!("INSERT INTO audit SELECT i, 'é\"\\' || i FROM generate_series(1, {rows}) AS i"));
            notes.push(seal(client, "audit"));
        }
        let lines = export(client, "audit");
        let mut proofs = Vec::new();
        for note in &notes {
            // There is one header, so seq is the leaf.
            for leaf in [1, size(note) - 1] {
                let query = format!("SELECT notary.proof('audit', 1, {leaf}, {})", size(note));
                proofs.push((usize::try_from(leaf).unwrap(), size(note), texts(client, &query).remove(0)));
            }
        }
        let mut between = Vec::new();
        for new in 0..notes.len() {
            for old in 0..=new {
                let (small, large) = (size(&notes[old]), size(&notes[new]));
                let query = format!("SELECT notary.consistency_proof('audit', {small}, {large})");
                between.push((old, new, texts(client, &query).remove(0)));
            }
        }
        Self { key: key(client, "audit"), notes, lines, proofs, between }
    }

    fn signed(&self, note: &str) -> bool {
        self.notes.iter().any(|signed| signed.split("\n\n").next() == note.split("\n\n").next())
    }

    /// The texts of one call, and its name.
    fn call(&self, random: &mut Mutator) -> (&'static str, Vec<String>) {
        match random.below(3) {
            0 => ("verify_note", vec![random.pick(&self.notes).clone(), self.key.clone()]),
            1 => {
                let (leaf, _, proof) = random.pick(&self.proofs).clone();
                ("verify_proof", vec![self.lines[leaf].clone(), proof, self.key.clone()])
            }
            _ => {
                let (old, new, proof) = random.pick(&self.between).clone();
                let notes = [old, new].map(|note| self.notes[note].clone());
                ("verify_consistency", [&notes[..], &[proof, self.key.clone()]].concat())
            }
        }
    }

    /// Whether what was found valid is what was handed out, but for signatures that nobody asked for.
    fn may_be_valid(&self, call: &str, texts: &[String]) -> bool {
        match call {
            "verify_note" => self.signed(&texts[0]),
            "verify_proof" => self.proofs.iter().any(|(leaf, _, proof)| {
                // The file may do without the line.
                let head = |file: &str| -> Vec<String> {
                    let head = file.split("\n\n").next().unwrap_or_default();
                    head.lines().filter(|line| !line.starts_with("extra ")).map(str::to_owned).collect()
                };
                let note = |file: &str| file.split_once("\n\n").map(|(_, note)| note.to_owned()).unwrap_or_default();
                self.lines[*leaf] == texts[0] && head(proof) == head(&texts[1]) && self.signed(&note(&texts[1]))
            }),
            _ => self.between.iter().any(|(old, new, proof)| {
                let same =
                    |note: &str, signed: usize| self.notes[signed].split("\n\n").next() == note.split("\n\n").next();
                same(&texts[0], *old) && same(&texts[1], *new) && *proof == texts[2]
            }),
        }
    }
}

#[test]
fn no_text_makes_a_check_fail_otherwise_and_nothing_forged_is_valid() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = variable("NOTARY_SEED").unwrap_or_else(rand::random);
    let until = Instant::now() + Duration::from_secs(variable("NOTARY_FUZZ_SECONDS").unwrap_or(4));
    let db = scene("fuzzing", 1);
    let mut client = db.client();
    let handed = Handed::new(&mut client);
    let pid = texts(&mut client, "SELECT pg_backend_pid()");
    let mut random = Mutator::new(seed);
    let (mut valid, mut invalid, mut no_keys) = (0, 0, 0);
    while Instant::now() < until || valid + invalid + no_keys < 500 {
        let (name, mut arguments) = handed.call(&mut random);
        let (_, others) = handed.call(&mut random);
        let (at, of) = (random.below(arguments.len()), random.below(others.len()));
        let is_key = at + 1 == arguments.len();
        let mutated = random.mutate(arguments[at].as_bytes(), others[of].as_bytes());
        // What PostgreSQL itself takes for text.
        arguments[at] = String::from_utf8_lossy(&mutated).replace('\0', "");
        let call = format!(
            "SELECT valid, problem FROM notary.{name}({})",
            ["$1", "$2", "$3", "$4"][..arguments.len()].join(", ")
        );
        let parameters: Vec<&(dyn postgres::types::ToSql + Sync)> = arguments.iter().map(|text| text as _).collect();
        let told = || format!("NOTARY_SEED={seed}: {name}({arguments:#?})");
        match client.query_one(&call, &parameters) {
            Ok(row) if row.get(0) => {
                assert!(handed.may_be_valid(name, &arguments), "{} is valid", told());
                assert_eq!(row.get::<_, Option<String>>(1), None, "{}", told());
                valid += 1;
            }
            Ok(row) => {
                assert!(row.get::<_, Option<String>>(1).is_some_and(|problem| !problem.is_empty()), "{}", told());
                invalid += 1;
            }
            Err(error) => {
                let error = SqlError::of(&error);
                assert!(error.code == "22023" && is_key, "{}: {error}", told());
                no_keys += 1;
            }
        }
    }
    println!("NOTARY_SEED={seed}: {valid} valid, {invalid} not, {no_keys} times no keys");
    assert!(valid > 0 && invalid > 0 && no_keys > 0);
    // The session is still the one that it was.
    assert_eq!(texts(&mut client, "SELECT pg_backend_pid()"), pid);
}
