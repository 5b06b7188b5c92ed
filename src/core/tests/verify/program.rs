//! Running the program, in a directory of its own that is gone afterwards.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::log::{Log, keys};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A directory with files.
pub struct Dir(PathBuf);

/// What a program wrote, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Dir {
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("notary-verify.{}.{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// With the keys and a log that is well-formed.
    pub fn good() -> Self {
        let (dir, log) = (Self::new(), Log::good());
        dir.put("keys", keys());
        dir.put("export.jsonl", log.export());
        dir.put("full.note", log.note());
        dir
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs the program here with arguments that spaces divide.
    pub fn run(&self, args: &str) -> Outcome {
        self.run_with(args, b"")
    }

    pub fn run_with(&self, args: &str, stdin: &[u8]) -> Outcome {
        let args: Vec<_> = args.split(' ').collect();
        run(Path::new(env!("CARGO_BIN_EXE_notary-verify")), &args, &self.0, stdin)
    }

    /// Runs it with `--json`, whose exit code must be the program's.
    pub fn json(&self, args: &str) -> Value {
        let outcome = self.run(&format!("{args} --json"));
        let value: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"));
        assert_eq!(value["exit_code"], outcome.code, "{outcome:?}");
        value
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Outcome {
    /// Ended with this code, and says this somewhere.
    #[track_caller]
    pub fn expect(&self, code: i32, says: &str) {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert!(self.code == code && said.contains(says), "not {code} and {says:?}: {self:?}");
    }
}

/// Runs a program.
pub fn run(program: &Path, args: &[&str], dir: &Path, stdin: &[u8]) -> Outcome {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read it all has closed the pipe.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
