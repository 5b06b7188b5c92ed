//! Files with expected output: what a program writes is compared byte by byte, and a test without
//! its expected file, or the other way round, fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of inputs beside a directory of `.out` files.
pub struct Golden {
    inputs: PathBuf,
    extension: &'static str,
    expected: PathBuf,
}

impl Golden {
    /// `tests/<kind>/<inputs>/*.<extension>` against `tests/<kind>/expected/*.out`.
    pub fn new(kind: &str, inputs: &str, extension: &'static str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
        Self { inputs: root.join(inputs), extension, expected: root.join("expected") }
    }

    /// Runs every input through `run` and panics with the differences, if there are any.
    /// `NOTARY_ONLY=name` picks one; `NOTARY_ACCEPT=1` writes down what came out instead.
    #[track_caller]
    pub fn check(&self, run: impl Fn(&str, &str) -> String) {
        let only = std::env::var("NOTARY_ONLY").ok();
        let wanted = |name: &String| only.as_ref().is_none_or(|only| only == name);
        let inputs = names(&self.inputs, self.extension);
        let mut failures = self.expected_without_input(&inputs);
        assert!(inputs.iter().any(wanted), "no input in {}", self.inputs.display());
        for name in inputs.iter().filter(|name| wanted(name)) {
            let path = self.inputs.join(name).with_extension(self.extension);
            let input = fs::read_to_string(&path).expect("the directory lists it");
            failures.extend(self.compare(name, &run(name, &input)));
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    fn expected_without_input(&self, inputs: &BTreeSet<String>) -> Vec<String> {
        names(&self.expected, "out")
            .difference(inputs)
            .map(|name| format!("{name}.out is expected of no .{} file", self.extension))
            .collect()
    }

    fn compare(&self, name: &str, actual: &str) -> Option<String> {
        let expected = self.expected.join(name).with_extension("out");
        if std::env::var_os("NOTARY_ACCEPT").is_some() {
            fs::create_dir_all(&self.expected).expect("the checkout is writable");
            fs::write(&expected, actual).expect("the checkout is writable");
            return None;
        }
        if !expected.exists() {
            return Some(format!("{name}.{} has no expected file. It gives:\n{actual}", self.extension));
        }
        if fs::read(&expected).expect("it exists") == actual.as_bytes() {
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("actual");
        fs::write(&file, actual).expect("a temporary file");
        let diff = Command::new("diff")
            .args(["-U3", "--label", "expected", "--label", "actual"])
            .arg(&expected)
            .arg(&file)
            .output()
            .expect("diff is there");
        Some(format!("{name} differs:\n{}", String::from_utf8_lossy(&diff.stdout)))
    }
}

/// The stems of the files with this extension.
fn names(dir: &Path, extension: &str) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return BTreeSet::new();
    };
    entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}
