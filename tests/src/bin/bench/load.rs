//! Clients that insert as fast as they can: pgbench, which costs the least of all.

use notary_tests::Cluster;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// What pgbench is to do.
pub struct Load {
    args: Vec<String>,
    clients: u32,
    // The scripts.
    _dir: Option<TempDir>,
}

impl Load {
    /// Transactions of one kind.
    pub fn of(clients: u32, script: &str) -> Self {
        Self::mixed(clients, &[(script, 1)])
    }

    /// Transactions of several kinds, with weights.
    pub fn mixed(clients: u32, scripts: &[(&str, u32)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut args = Vec::new();
        for (i, (script, weight)) in scripts.iter().enumerate() {
            let path = dir.path().join(format!("{i}.sql"));
            fs::write(&path, script).unwrap();
            args.extend(["-f".to_owned(), format!("{}@{weight}", path.display())]);
        }
        Self { args, clients, _dir: Some(dir) }
    }

    /// pgbench's own TPC-B.
    pub fn tpcb(clients: u32) -> Self {
        Self { args: vec!["-b".into(), "tpcb-like".into()], clients, _dir: None }
    }

    /// Transactions in a second, with statements that are planned once: what is compared is not the parser.
    pub fn tps(&self, cluster: &Cluster, db: &str, time: Duration) -> f64 {
        let (clients, threads) = (self.clients.to_string(), self.clients.min(2).to_string());
        let seconds = time.as_secs().max(1).to_string();
        let mut args = vec!["-n", "-M", "prepared", "-c", &clients, "-j", &threads, "-T", &seconds];
        args.extend(self.args.iter().map(String::as_str));
        args.push(db);
        let said = cluster.run("pgbench", &args).ok();
        rate(&said.stdout).unwrap_or_else(|| panic!("pgbench says no rate, or that something failed:\n{}", said.stdout))
    }
}

/// What pgbench reports, if nothing failed.
fn rate(said: &str) -> Option<f64> {
    let failed = said.lines().find_map(|line| line.strip_prefix("number of failed transactions: "));
    if failed.is_some_and(|failed| !failed.starts_with("0 ")) {
        return None;
    }
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    rate.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn pgbench_is_understood() {
        let said = "number of failed transactions: 0 (0.000%)\ntps = 1234.5 (without initial connection time)\n";
        assert_eq!(rate(said), Some(1234.5));
        assert_eq!(rate(&said.replace(": 0 (", ": 7 (")), None);
        assert_eq!(rate("pgbench: error"), None);
    }
}
