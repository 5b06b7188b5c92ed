//! A throw-away cluster: made from a template, started, stopped, killed, looked into.

use crate::database::Database;
use crate::program::{self, Finished, as_server_user, copy_dir, give_to_server_user, run};
use crate::server::{Home, Server};
use postgres::{Client, Config, NoTls};
use rustix::process::Signal;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The superuser of every cluster.
pub(crate) const SUPERUSER: &str = "postgres";
/// What every cluster starts from; [`Builder::setting`] overrides. Prepared transactions, replication
/// and a log that shows SQLSTATEs are what many tests need; fsync is what few do.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("port", "5432"),
    ("fsync", "off"),
    ("wal_level", "replica"),
    ("max_prepared_transactions", "20"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", "%m [%p] %e %u@%d "),
    ("log_error_verbosity", "verbose"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
];

/// With `NOTARY_WORKERS` in the environment every check of a log is shared with workers, however small the log is.
const WORKERS: &[(&str, &str)] = &[
    ("min_parallel_table_scan_size", "0"),
    ("min_parallel_index_scan_size", "0"),
    ("max_worker_processes", "40"),
    ("max_parallel_workers", "32"),
];

/// How a server is brought down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are ended, everything is written.
    Fast,
    /// Nothing is written; the next start recovers from the WAL.
    Immediate,
    /// `kill -9` of the postmaster; its children notice by themselves.
    Kill,
}

/// A server of our own. Dropped, it is gone, and so is its directory.
pub struct Cluster {
    // Dropped in this order: the server ends before the watchdog removes the directory.
    server: Option<Server>,
    home: Home,
}

/// Settings for a [`Cluster`] to be started.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    settings: Vec<(String, String)>,
    without_checksums: bool,
}

impl Builder {
    /// A line of postgresql.conf; the value is quoted here.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes reach the disk, as they do in production. Without it a crash of the *machine* could
    /// lose them; a crash of the server cannot.
    pub fn fsync(self) -> Self {
        self.setting("fsync", "on")
    }

    /// Pages have no checksums, for tests that edit them: what is wrong in a page is then ours to
    /// find. Since PostgreSQL 18 initdb's default is to have them.
    pub fn without_checksums(mut self) -> Self {
        self.without_checksums = true;
        self
    }

    /// Makes the cluster without starting it.
    pub fn create(self) -> Cluster {
        let home = Home::new();
        let data = home.path().join("data");
        let template = program::stage().join("template");
        if template.exists() {
            copy_dir(&template, &data);
        } else {
            initdb(&data);
        }
        if self.without_checksums && has_checksums(&data) {
            let mut command = program::program("pg_checksums");
            command.args(["--disable", "--no-sync", "-D"]).arg(&data);
            run(as_server_user(&mut command), b"").ok();
        }
        let cluster = Cluster { server: None, home };
        let socket = cluster.home.path().display().to_string();
        let workers = if std::env::var_os("NOTARY_WORKERS").is_some() { WORKERS } else { &[] };
        let standard = SETTINGS.iter().chain(workers).map(|(n, v)| ((*n).into(), (*v).into()));
        cluster.set(&[("unix_socket_directories".to_owned(), socket)]);
        cluster.set(&standard.collect::<Vec<_>>());
        cluster.set(&self.settings);
        cluster
    }

    /// Makes the cluster and starts it.
    pub fn start(self) -> Cluster {
        let mut cluster = self.create();
        cluster.start_again();
        cluster
    }
}

fn initdb(data: &Path) {
    let mut command = program::program("initdb");
    command
        .arg("-D")
        .arg(data)
        .args(["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"])
        .args(["--locale=C.UTF-8", "--no-sync"]);
    run(as_server_user(&mut command), b"").ok();
}

fn has_checksums(data: &Path) -> bool {
    let mut command = program::program("pg_controldata");
    let shown = run(as_server_user(command.env("LC_ALL", "C").arg(data)), b"").ok().stdout;
    let version = shown.lines().find_map(|line| line.strip_prefix("Data page checksum version:"));
    version.expect("pg_controldata says it").trim() != "0"
}

impl Cluster {
    /// A running server with the standard settings.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Settings first, then [`Builder::start`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A cluster on a data directory that `fill` has made, for standbys and restored backups.
    pub(crate) fn adopt(fill: impl FnOnce(&Path)) -> Self {
        let home = Home::new();
        fill(&home.path().join("data"));
        let socket = home.path().display().to_string();
        let cluster = Self { server: None, home };
        cluster.set(&[("unix_socket_directories".to_owned(), socket)]);
        cluster
    }

    fn set(&self, settings: &[(String, String)]) {
        let path = self.data_dir().join("postgresql.conf");
        let mut conf = fs::read_to_string(&path).expect("initdb writes postgresql.conf");
        for (name, value) in settings {
            writeln!(conf, "{name} = '{}'", value.replace('\'', "''")).expect("memory");
        }
        fs::write(&path, conf).expect("we or root may write it");
    }

    // ---- up and down ----

    /// Starts a server that is down, recovering it if need be.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server is running");
        self.server = Some(Server::start(&self.data_dir(), &self.log_path(), &[]));
    }

    /// Down, and up again with these words on the postmaster's command line.
    pub fn restart_with(&mut self, words: &[&str]) {
        self.stop(Shutdown::Fast);
        self.server = Some(Server::start(&self.data_dir(), &self.log_path(), words));
    }

    /// Brings the server down and waits for its end.
    pub fn stop(&mut self, how: Shutdown) {
        let signal = match how {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
            Shutdown::Kill => Signal::KILL,
        };
        let server = self.server.take().expect("the server is running");
        server.end(signal).expect("the server ends");
    }

    /// Down and up again.
    pub fn restart(&mut self, how: Shutdown) {
        self.stop(how);
        self.start_again();
    }

    /// `kill -9` of the postmaster. The server is down afterwards: [`Cluster::start_again`].
    pub fn kill9_postmaster(&mut self) {
        self.stop(Shutdown::Kill);
    }

    /// Adds a line to postgresql.conf; a restart or a reload makes it count.
    pub fn configure(&self, name: &str, value: &str) {
        self.set(&[(name.to_owned(), value.to_owned())]);
    }

    /// The postmaster's process id.
    pub fn postmaster_pid(&self) -> u32 {
        self.server.as_ref().expect("the server is running").pid()
    }

    // ---- clients ----

    /// How to connect as the superuser; a copy of its own, for threads that outlive a restart.
    pub fn config(&self, db: &str) -> Config {
        self.config_as(db, SUPERUSER)
    }

    /// How to connect as `user`. Every role gets in without a password.
    pub fn config_as(&self, db: &str, user: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket_dir()).port(5432).user(user).dbname(db).application_name("notary-tests");
        config
    }

    /// A superuser's session.
    pub fn client(&self, db: &str) -> Client {
        self.client_as(db, SUPERUSER)
    }

    /// A session of `user`.
    #[track_caller]
    pub fn client_as(&self, db: &str, user: &str) -> Client {
        self.config_as(db, user).connect(NoTls).unwrap_or_else(|e| panic!("cannot connect to {db} as {user}: {e}"))
    }

    /// The connection string for programs that take one.
    pub fn conninfo(&self, db: &str) -> String {
        let host = self.socket_dir().display();
        format!("host={host} port=5432 user={SUPERUSER} dbname={db}")
    }

    /// Where the socket is.
    pub fn socket_dir(&self) -> &Path {
        self.home.path()
    }

    // ---- programs ----

    /// A program of this server's PostgreSQL that finds the server by itself and runs as we do.
    pub fn command(&self, name: &str) -> Command {
        self.with_address(program::program(name))
    }

    /// Any program, told where the server is, that runs as the server's user: pgbouncer, as
    /// PostgreSQL itself, refuses root.
    pub fn foreign_command(&self, name: &str) -> Command {
        let mut command = self.with_address(Command::new(name));
        as_server_user(command.current_dir(self.socket_dir()));
        command
    }

    /// Python with psycopg, SQLAlchemy and Django, told where the server is.
    pub fn python(&self) -> Command {
        let python = program::clients().join("python/bin/python");
        self.with_address(Command::new(python))
    }

    /// Node with `pg`, told where the server is.
    pub fn node(&self) -> Command {
        let ours = program::clients().join("node/node_modules");
        let mut command = self.with_address(Command::new("node"));
        // The second is where Debian's own package puts it.
        command.env("NODE_PATH", format!("{}:/usr/share/nodejs", ours.display()));
        command
    }

    fn with_address(&self, mut command: Command) -> Command {
        command
            .env("PGHOST", self.socket_dir())
            .env("PGPORT", "5432")
            .env("PGUSER", SUPERUSER)
            .env_remove("PGDATABASE")
            .env_remove("PGOPTIONS")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a program of this server's PostgreSQL to its end: `cluster.run("pgbench", &["-i", "db"])`.
    #[track_caller]
    pub fn run(&self, name: &str, args: &[&str]) -> Finished {
        run(self.command(name).args(args), b"")
    }

    /// Runs `sql` through psql: tuples only, unaligned, stopping at the first error, which shows
    /// SQLSTATE, DETAIL and HINT.
    #[track_caller]
    pub fn psql(&self, db: &str, sql: &str) -> Finished {
        self.psql_as(db, SUPERUSER, sql)
    }

    /// The same as another user.
    #[track_caller]
    pub fn psql_as(&self, db: &str, user: &str, sql: &str) -> Finished {
        let mut command = self.command("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args([
            "-v",
            "VERBOSITY=verbose",
            "-U",
            user,
            "-d",
            db,
            "-f",
            "-",
        ]);
        run(&mut command, sql.as_bytes())
    }

    /// `pg_dump` with these arguments; the dump is in `stdout_bytes` unless they name a file.
    #[track_caller]
    pub fn pg_dump(&self, db: &str, args: &[&str]) -> Finished {
        run(self.command("pg_dump").args(args).args(["-d", db]), b"")
    }

    /// `pg_restore` into `db`, of a dump in memory or, with an empty one, of the file that `args` name.
    #[track_caller]
    pub fn pg_restore(&self, db: &str, args: &[&str], dump: &[u8]) -> Finished {
        run(self.command("pg_restore").args(args).args(["-d", db]), dump)
    }

    /// Runs statements in single-user mode, one a line. The server must be down. Errors are in
    /// `stderr`; single-user mode ends with 0 whatever happened.
    #[track_caller]
    pub fn single_user(&self, db: &str, sql: &str) -> Finished {
        assert!(self.server.is_none(), "the server is running");
        let mut command = program::program("postgres");
        command.arg("--single").arg("-D").arg(self.data_dir());
        command.args(["-c", "log_error_verbosity=verbose", db]);
        run(as_server_user(&mut command), sql.as_bytes())
    }

    // ---- files ----

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A directory for a test's own files, readable and writable by the server too.
    pub fn scratch_dir(&self) -> PathBuf {
        static MAKING: Mutex<()> = Mutex::new(());
        let dir = self.home.path().join("scratch");
        // Tests that run side by side share a cluster: none sees the directory before it is the server's.
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if !dir.exists() {
            fs::create_dir(&dir).expect("the cluster's directory is ours");
            give_to_server_user(&dir);
        }
        dir
    }

    /// The file that holds a relation's first gigabyte, as `pg_relation_filepath` names it.
    pub fn relation_path(&self, db: &str, relation: &str) -> PathBuf {
        let row = self
            .client(db)
            .query_one("SELECT pg_relation_filepath($1::text::regclass)", &[&relation])
            .expect("the relation exists");
        self.data_dir().join(row.get::<_, String>(0))
    }

    /// What the server has logged so far.
    pub fn log_contents(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    // ---- databases ----

    /// A new database with pg_notary in it. The name gets a number, so it may be used twice.
    pub fn fresh_db(&self, name: &str) -> Database<'_> {
        let db = self.bare_db(name);
        db.client()
            .batch_execute("CREATE EXTENSION pg_notary")
            .unwrap_or_else(|e| panic!("CREATE EXTENSION pg_notary: {}", crate::SqlError::of(&e)));
        db
    }

    /// A database that is there already: on a standby, or after an upgrade.
    pub fn database(&self, name: &str) -> Database<'_> {
        Database::new(self, name.to_owned())
    }

    /// A new database without pg_notary.
    pub fn bare_db(&self, name: &str) -> Database<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{name}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.client("postgres")
            .batch_execute(&format!("CREATE DATABASE \"{name}\" TEMPLATE template0"))
            .unwrap_or_else(|e| panic!("CREATE DATABASE {name}: {}", crate::SqlError::of(&e)));
        Database::new(self, name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log_contents();
            eprintln!("the server's last lines:\n{}", crate::server::last_lines(&log, 15));
        }
        if let Some(server) = self.server.take() {
            // What is left running is the watchdog's.
            let _ = server.end(Signal::QUIT);
        }
    }
}

/// The server that the tests of one process share. It ends with the process.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}
