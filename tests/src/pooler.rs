//! PgBouncer in transaction mode, in front of a cluster.

use crate::Cluster;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// A running pgbouncer; it ends with the value.
pub struct Pooler {
    process: Child,
}

impl Pooler {
    /// Starts one in the cluster's scratch directory, port 6432, that lets `role` in and keeps this many connections.
    pub fn start(cluster: &Cluster, role: &str, connections: u32) -> Self {
        let dir = cluster.scratch_dir();
        let at = dir.display();
        fs::write(dir.join("users"), format!("\"{role}\" \"\"\n")).expect("the scratch directory is ours");
        let settings = format!(
            "[databases]\n* = host={server} port=5432\n\
             [pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = {at}\nauth_type = trust\n\
             auth_file = {at}/users\npool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 100\n",
            server = cluster.socket_dir().display()
        );
        fs::write(dir.join("pgbouncer.ini"), settings).expect("the scratch directory is ours");
        // It is in Debian's /usr/sbin, which an ordinary user's PATH lacks.
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|p| Path::new(p).exists());
        let mut command = cluster.foreign_command(program.unwrap_or("pgbouncer"));
        let log = fs::File::create(dir.join("pgbouncer.log")).expect("the scratch directory is ours");
        command.arg(dir.join("pgbouncer.ini")).stderr(log);
        let mut pooler = Self { process: command.spawn().expect("pgbouncer is there: make setup") };
        let deadline = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(dir.join(".s.PGSQL.6432")).is_err() {
            let ended = pooler.process.try_wait().expect("our own child");
            let said = || fs::read_to_string(dir.join("pgbouncer.log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "pgbouncer did not start: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It is our own child; that it has ended already is no harm.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
