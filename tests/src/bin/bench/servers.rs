//! The servers of a run, and what is to be said of them.

use notary_tests::Cluster;
use std::fs;
use std::path::Path;
use std::process::Command;

/// No waiting for the disk: it would be most of a small transaction and make all contenders equal. So what is compared is
/// what the processor does, and the ratios are worse than with a disk. The rest keeps work of the background, and plans of
/// several processes, out of the figures.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("synchronous_commit", "on"),
    ("shared_buffers", "2GB"),
    ("max_wal_size", "3GB"),
    ("min_wal_size", "1GB"),
    ("checkpoint_timeout", "1h"),
    ("autovacuum", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
];

/// What else the tests' servers have.
const SILENT: &[(&str, &str)] = &[
    ("log_error_verbosity", "default"),
    ("notary.origin", "bench.example.com"),
    ("notary.signing_key_file", "bench.key"),
];

/// The servers.
pub struct Servers {
    /// All but pgaudit run here.
    pub main: Cluster,
    /// One where pgaudit logs what is written, or why there is none: it has to be loaded when a server starts.
    pub audited: Result<Cluster, String>,
}

impl Servers {
    pub fn start() -> Self {
        let builder =
            || SETTINGS.iter().chain(SILENT).fold(Cluster::builder(), |b, (name, value)| b.setting(name, value));
        let audited = match pgaudit() {
            Ok(library) => {
                let builder = builder().setting("shared_preload_libraries", &library).setting("pgaudit.log", "write");
                Ok(builder.start())
            }
            Err(why) => Err(why),
        };
        Self { main: builder().start(), audited }
    }

    /// On what this runs, and how.
    pub fn facts(&self) -> Vec<String> {
        let version: String = self.main.client("postgres").query_one("SHOW server_version", &[]).unwrap().get(0);
        let settings: Vec<_> = SETTINGS.iter().map(|(name, value)| format!("`{name} = {value}`")).collect();
        vec![
            format!("PostgreSQL {}, one machine: {}", version.split(' ').next().unwrap_or_default(), machine()),
            format!("a release build; settings: {}", settings.join(", ")),
            "clients: pgbench over a Unix socket, `-M prepared`".to_owned(),
        ]
    }
}

/// The library of Debian's package, which is where the system's server has its own.
fn pgaudit() -> Result<String, String> {
    let pg_config = std::env::var("PG_CONFIG").map_err(|_| "PG_CONFIG is not set".to_owned())?;
    let said = Command::new(&pg_config).arg("--pkglibdir").output().map_err(|e| format!("{pg_config}: {e}"))?;
    let library = Path::new(String::from_utf8_lossy(&said.stdout).trim()).join("pgaudit.so");
    if library.exists() { Ok(library.display().to_string()) } else { Err("pgaudit is not installed".to_owned()) }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let sha = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "sha_ni"));
    format!("{cores} cores ({model}), {} SHA instructions", if sha { "with" } else { "without" })
}
