//! PostgreSQL's own programs: psql, pg_dump and the others, and what came out of them.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code, or 128 and the signal's number as a shell would say.
    pub status: i32,
    /// What it wrote to stdout. Bytes that are not UTF-8 are replaced; see `stdout_bytes`.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// What it wrote to stdout, as it was.
    pub stdout_bytes: Vec<u8>,
}

impl Finished {
    /// Panics with everything the program said, unless it ended with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status == 0, "exit status {}\nstdout:\n{}\nstderr:\n{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// The lines of unaligned, tuples-only output: `psql_lines(&db.psql("…").ok())`.
pub fn psql_lines(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().collect()
}

/// Runs `command` to its end, with `input` on its stdin.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("stdin is piped above");
    // In a thread of its own, or both sides wait for each other once the pipes are full.
    let output = std::thread::scope(|scope| {
        // A program may end before it has read everything.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output()
    })
    .unwrap_or_else(|e| panic!("cannot wait for {command:?}: {e}"));
    Finished {
        status: exit_code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        stdout_bytes: output.stdout,
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// A program of the server under test.
pub(crate) fn program(name: &str) -> Command {
    let mut program = Command::new(pgroot().join(name));
    // With it pgrx puts a backtrace where an error's DETAIL belongs.
    program.env_remove("RUST_BACKTRACE");
    program
}

/// Where `make stage` has put the programs of the server under test.
pub(crate) fn pgroot() -> PathBuf {
    let root = std::env::var_os("NOTARY_PGROOT")
        .expect("NOTARY_PGROOT is not set: run `make test`, or `make stage` and `. tests/env.sh` first");
    PathBuf::from(root)
}

/// The directory of one staged server: its programs, its template cluster, running clusters.
pub(crate) fn stage() -> PathBuf {
    let root = pgroot();
    let stage = root.parent().expect("NOTARY_PGROOT is <stage>/bin");
    stage.to_path_buf()
}

/// Where `make setup` has put client libraries of other languages.
pub(crate) fn clients() -> PathBuf {
    let clients = std::env::var_os("NOTARY_CLIENTS")
        .expect("NOTARY_CLIENTS is not set: run `make test`, or `make setup` and `. tests/env.sh` first");
    PathBuf::from(clients)
}

/// Makes `command` run as the user whom PostgreSQL accepts: it refuses root.
pub(crate) fn as_server_user(command: &mut Command) -> &mut Command {
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Gives a file or directory to the user whom PostgreSQL accepts.
pub(crate) fn give_to_server_user(path: &Path) {
    if let Some((uid, gid)) = server_user() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("root may give files away");
    }
}

/// `postgres` when we are root; nobody in particular otherwise.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let id = |flag: &str| -> u32 {
        let finished = run(Command::new("id").args([flag, "postgres"]), b"").ok();
        finished.stdout.trim().parse().expect("id prints a number")
    };
    static USER: std::sync::OnceLock<(u32, u32)> = std::sync::OnceLock::new();
    Some(*USER.get_or_init(|| (id("-u"), id("-g"))))
}

/// Copies a directory with everything in it, owners and modes included.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    let args: [&OsStr; 3] = ["-a".as_ref(), from.as_ref(), to.as_ref()];
    run(Command::new("cp").args(args), b"").ok();
}
