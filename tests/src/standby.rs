//! Copies of a running cluster: physical backups and streaming standbys.

use crate::cluster::Cluster;
use crate::program::{as_server_user, run};
use std::time::{Duration, Instant};

impl Cluster {
    /// A physical backup of this running server, as a cluster that is not started yet.
    pub fn backup(&self) -> Cluster {
        self.basebackup(&[])
    }

    /// A running streaming standby of this server.
    pub fn standby(&self) -> Cluster {
        let mut standby = self.basebackup(&["--write-recovery-conf"]);
        standby.start_again();
        standby
    }

    fn basebackup(&self, args: &[&str]) -> Cluster {
        Cluster::adopt(|data| {
            let mut command = self.command("pg_basebackup");
            command
                .arg("--pgdata")
                .arg(data)
                .args(["--wal-method=stream", "--checkpoint=fast", "--no-sync"])
                .args(args)
                .current_dir("/");
            run(as_server_user(&mut command), b"").ok();
        })
    }

    /// Waits until `standby` has replayed everything that this server has written so far.
    pub fn wait_for(&self, standby: &Cluster) {
        let lsn: String = self
            .client("postgres")
            .query_one("SELECT pg_current_wal_lsn()::text", &[])
            .expect("a primary knows its place")
            .get(0);
        let mut there = standby.client("postgres");
        let deadline = Instant::now() + Duration::from_secs(60);
        let replayed = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
        while !there.query_one(replayed, &[&lsn]).expect("a standby knows its place").get::<_, bool>(0) {
            assert!(Instant::now() < deadline, "the standby lags behind {lsn}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
