//! One postmaster as a child process, and a watchdog that outlives us.

use crate::program::{self, as_server_user};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a start may take, recovery from a crash included.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a shutdown may take.
const STOP_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// A running postmaster. It is our own child, so that one killed with SIGKILL is reaped at once:
/// a zombie's process id would keep the next start from taking over its lock file.
pub(crate) struct Server {
    postmaster: Child,
}

impl Server {
    /// Starts a postmaster on `data`, with these words on its command line besides, and waits until it accepts connections.
    pub(crate) fn start(data: &Path, log: &Path, words: &[&str]) -> Self {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let before = fs::metadata(log).map_or(0, |log| log.len());
            let mut server = Self::spawn(data, log, words);
            if server.wait_until_ready(data, deadline) {
                return server;
            }
            let said = fs::read(log).unwrap_or_default();
            let since = said.get(usize::try_from(before).expect("it fits")..).unwrap_or_default();
            let since = String::from_utf8_lossy(since);
            let tail = last_lines(&since, 30);
            // After a SIGKILL the old backends may hold on to shared memory, and to the log, for a moment.
            let held = since.contains("is still in use");
            assert!(held && Instant::now() < deadline, "the server did not start:\n{tail}");
            std::thread::sleep(POLL * 10);
        }
    }

    fn spawn(data: &Path, log: &Path, words: &[&str]) -> Self {
        let log = File::options().append(true).create(true).open(log).expect("the cluster's directory is writable");
        let mut command = program::program("postgres");
        command
            .arg("-D")
            .arg(data)
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file descriptor can be copied"))
            .stderr(log)
            // A Ctrl-C is for us; the watchdog then shuts the server down.
            .process_group(0);
        let postmaster =
            as_server_user(&mut command).spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        Self { postmaster }
    }

    /// False when the postmaster ended instead.
    fn wait_until_ready(&mut self, data: &Path, deadline: Instant) -> bool {
        let pid = self.postmaster.id().to_string();
        loop {
            let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
            let mut lines = status.lines();
            // The first line is the process id, the eighth says how far the start is.
            if lines.next() == Some(&pid) && lines.nth(6).is_some_and(|l| l.trim_end() == "ready") {
                return true;
            }
            if self.has_ended() {
                return false;
            }
            assert!(Instant::now() < deadline, "the server did not accept connections in {START_LIMIT:?}");
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.postmaster.id()
    }

    /// Sends `signal` and waits for the end.
    pub(crate) fn end(mut self, signal: Signal) -> io::Result<()> {
        if !self.has_ended() {
            kill_process(Pid::from_child(&self.postmaster), signal)?;
        }
        let deadline = Instant::now() + STOP_LIMIT;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("the server did not end in {STOP_LIMIT:?}")));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        // An error means that there is no such child any more.
        !matches!(self.postmaster.try_wait(), Ok(None))
    }
}

pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// A cluster's directory. A small shell waits until we are done with it, or dead, however we died:
/// it then ends a postmaster that is still there and removes the directory.
pub(crate) struct Home {
    path: PathBuf,
    watchdog: Child,
    /// Closed by the kernel when we are gone, which is what the watchdog waits for.
    alive: Option<ChildStdin>,
}

/// The process id in a stale lock file may be someone else's by now: only a process that runs in
/// that very data directory is ended.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for lock in "$1"/*/postmaster.pid; do
    [ -f "$lock" ] || continue
    pid=$(head -n 1 "$lock")
    ours() { [ "$(readlink "/proc/$pid/cwd")" = "${lock%/postmaster.pid}" ]; }
    ours || continue
    kill -QUIT "$pid"
    for _ in $(seq 100); do ours || break; sleep 0.1; done
    if ours; then kill -KILL "$pid"; fi
done
# Backends of a postmaster that was killed may still write.
for _ in $(seq 100); do rm -rf "$1" && break; sleep 0.1; done
"#;

impl Home {
    /// A new directory that the server's user may write to.
    pub(crate) fn new() -> Self {
        let parent = program::stage().join("run");
        let path = tempfile::Builder::new()
            .prefix("")
            .tempdir_in(&parent)
            .unwrap_or_else(|e| panic!("{}: {e}: run `make stage`", parent.display()))
            // The watchdog removes it.
            .keep();
        // Linux takes 107 bytes; the postgres crate and libpq append the socket's name.
        let socket = path.join(".s.PGSQL.5432");
        assert!(
            socket.as_os_str().len() < 107,
            "{} is too long for a socket: set NOTARY_TMP to a shorter directory",
            socket.display()
        );
        program::give_to_server_user(&path);
        let mut watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .expect("/bin/sh is there");
        let alive = watchdog.stdin.take();
        Self { path, watchdog, alive }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.alive.take());
        // Nothing can be done about a watchdog that does not end, and a panic here would hide why
        // the test failed.
        let _ = self.watchdog.wait();
    }
}
