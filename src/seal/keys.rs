//! The file with the secret that seals are signed with, and the keys to hand out.
//!
//! Invariants: the file is only believed where PostgreSQL would believe a TLS key; what it holds is in no message; a file
//! that is there is never written over.

use super::new_origin;
use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::gucs;
use crate::pg::entry::entry_point;
use crate::pg::relation::Rel;
use crate::pg::results::{Results, datum};
use crate::pg::{context, spi};
use crate::tree::Tree;
use crate::tree::segments::Segments;
use notary_core::key::{Keys, VerifierKey};
use notary_core::origin::Origin;
use notary_core::seal::{Seal, SealError, Standing, Trust};
use notary_core::secret::{Secret, SigningKey};
use pgrx::{pg_extern, pg_sys};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

entry_point!(notary_generate_key, pg_finfo_notary_generate_key, generate_key);

/// The keys of one log: the one that signs, and the one that did before a rotation.
pub struct LogKeys {
    pub current: SigningKey,
    previous: Option<SigningKey>,
}

/// More than two lines of a key file take.
const MAX_FILE: usize = 4096;

impl LogKeys {
    /// The keys of the log with this origin; None when notary.signing_key_file is not set.
    pub fn of(origin: &Origin) -> Result<Option<Self>, Error> {
        let Some((current, previous)) = read_file()? else { return Ok(None) };
        let key = |secret: &Secret| {
            secret.key(origin).map_err(|why| file_error("holds a secret that gives no key", format!("The {why}.")))
        };
        let previous = previous.as_ref().map(key).transpose()?;
        Ok(Some(Self { current: key(&current)?, previous }))
    }

    /// The key that signs, and the one before it.
    pub fn all(&self) -> Vec<&SigningKey> {
        std::iter::once(&self.current).chain(&self.previous).collect()
    }

    /// Did the key that signs now sign this seal?
    pub fn has_signed(&self, seal: &Seal) -> bool {
        seal.note().is_some() && is_signed_by(seal, &[&self.current]).is_ok()
    }

    /// The keys to sign the seal after this one with: both where the secret was changed since.
    pub fn to_sign_after(&self, last: Option<&Seal>) -> Result<Vec<&SigningKey>, Error> {
        let Some(last) = last.filter(|last| last.note().is_some()) else { return Ok(vec![&self.current]) };
        let signers = is_signed_by(last, &self.all())?;
        Ok(if signers.contains(self.current.verifier()) { vec![&self.current] } else { self.all() })
    }
}

/// Which of these keys signed a seal; an error where none did.
pub fn is_signed_by(seal: &Seal, keys: &[&SigningKey]) -> Result<Vec<VerifierKey>, Error> {
    let verifiers = Keys::new(keys.iter().map(|key| key.verifier().clone().into()));
    let verifiers =
        verifiers.map_err(|why| file_error("holds two secrets that give one key", format!("The {why}.")))?;
    match seal.verify(Trust { keys: &verifiers, unsigned: false }) {
        Ok(Standing::Signed(signers)) => Ok(signers.into_iter().cloned().collect()),
        Ok(Standing::Unsigned) => Err(other_key(&SealError::Unsigned)),
        Err(why) => Err(other_key(&why)),
    }
}

fn other_key(why: &SealError) -> Error {
    Error::KeyFile {
        message: "the newest seal was not signed with the secret in the key file".into(),
        detail: format!("Checked by the keys of the file that notary.signing_key_file names: {why}."),
        hint:
            "Use the key file that it was signed with. To change the secret, keep the old one as the new file's second \
               line. If it is lost for good, give the newest seal to notary.resume: sealing begins anew under another name."
                .into(),
    }
}

fn file_error(what: &str, detail: String) -> Error {
    let file = gucs::signing_key_file().unwrap_or_default();
    Error::KeyFile {
        message: format!("key file \"{file}\" {what}"),
        detail,
        hint: "notary.signing_key_file names a file that SELECT notary.generate_key() wrote; it must belong to the user that \
               the server runs as (mode 0600) or to root (mode 0640)."
            .into(),
    }
}

/// The secret that signs, and the one before it. As PostgreSQL with a TLS key: a plain file of the server's user that
/// nobody else may touch, or of root that nobody but its group may read.
fn read_file() -> Result<Option<(Secret, Option<Secret>)>, Error> {
    let Some(path) = gucs::signing_key_file() else {
        return if is_configured()? { Err(blanked()) } else { Ok(None) };
    };
    let failed = |why: std::io::Error| file_error("cannot be read", format!("{why}."));
    // The file that is looked at is the one that is read. Not waiting: a pipe would have no end.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(file_error("is not a regular file", "A directory, device or pipe holds no key.".into()));
    }
    let (owner, mode) = (about.uid(), about.mode() & 0o777);
    let server = std::fs::metadata(".").map_err(failed)?.uid();
    if owner != server && owner != 0 {
        return Err(file_error("belongs to another user", "Whoever owns it can change it.".into()));
    }
    let allowed = if owner == server { 0o700 } else { 0o740 };
    if mode & !allowed != 0 {
        return Err(file_error("may be used by others", format!("Its mode is {mode:04o}.")));
    }
    let mut text = zeroize::Zeroizing::new(String::with_capacity(MAX_FILE));
    file.take(MAX_FILE as u64)
        .read_to_string(&mut text)
        .map_err(|_| file_error("holds no key", "It is not text.".into()))?;
    Secret::parse_file(&text).map(Some).map_err(|why| file_error("holds no key", format!("The {why}.")))
}

/// Is a key file configured, though this session has none? Before the library is loaded anybody may give any setting a value
/// of his; when it is loaded PostgreSQL takes that away, and with it what the server's files say.
fn is_configured() -> Result<bool, Error> {
    // The command line that the server was started with.
    if std::fs::read_to_string("postmaster.opts").is_ok_and(|line| line.contains("notary.signing_key_file=")) {
        return Ok(true);
    }
    let sql = "SELECT FROM pg_catalog.pg_file_settings WHERE name = 'notary.signing_key_file' AND setting <> ''
               UNION ALL SELECT FROM pg_catalog.pg_db_role_setting AS s, pg_catalog.unnest(s.setconfig) AS line
               WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
               AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
               AND pg_catalog.starts_with(line, 'notary.signing_key_file=') AND line <> 'notary.signing_key_file='";
    Ok(!context::as_superuser(|| spi::rows(sql, &[], |_| Ok(())))?.is_empty())
}

fn blanked() -> Error {
    Error::KeyFile {
        message: "notary.signing_key_file is configured, and is not set in this session".into(),
        detail: "A setting that the session began with, or that was changed in it, hides it.".into(),
        hint: "Connect without options of your own for it (PGOPTIONS), or RESET notary.signing_key_file.".into(),
    }
}

/// O_NONBLOCK of fcntl.h, the same on every Linux that PostgreSQL's packages are for but MIPS, SPARC, Alpha and PA-RISC.
const O_NONBLOCK: i32 = 0o4000;

/// `notary.generate_key()`.
fn generate_key(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let mut results = Results::of(fcinfo);
    let secret = make_file().or_raise();
    for (log, key) in keys_of_logs(&secret).or_raise() {
        results.put(vec![datum(log), datum(key)]);
    }
    pg_sys::Datum::from(0)
}

fn make_file() -> Result<Secret, Error> {
    if !context::superuser() {
        return Err(Error::SuperuserOnly { call: "notary.generate_key()", why: "It writes a file on the server." });
    }
    let path = gucs::signing_key_file().ok_or_else(|| Error::NotSealable {
        message: "notary.signing_key_file is not set".into(),
        detail: "It names the file that the secret is written to.".into(),
        hint: "ALTER SYSTEM SET notary.signing_key_file = '/etc/postgresql/notary.key'; then SELECT pg_reload_conf(). \
               Best outside of the data directory, so that it is in no backup of it."
            .into(),
    })?;
    let secret = Secret::new(zeroize::Zeroizing::new(context::random_bytes("A secret is made of random bytes.")?));
    let written = File::options().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
        file.write_all(secret.text().as_bytes())?;
        file.sync_all()?;
        File::open(folder(Path::new(&path)))?.sync_all()
    });
    match written {
        Ok(()) => Ok(secret),
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::FileExists { file: path }),
        Err(why) => Err(file_error("cannot be written", format!("{why}."))),
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The keys that a secret gives the logs of this database. Without notary.origin only those that were sealed have one.
fn keys_of_logs(secret: &Secret) -> Result<Vec<(pg_sys::Oid, String)>, Error> {
    let logs = spi::rows("SELECT log::pg_catalog.oid FROM notary.logs ORDER BY log::pg_catalog.text", &[], |row| {
        spi::get::<pg_sys::Oid>(row, 1)
    })?;
    let functions = access::trigger_functions()?;
    let mut keys = Vec::new();
    for log in logs.into_iter().flatten() {
        let rel = Rel::open(log, pg_sys::AccessShareLock);
        let Ok(segments) = Segments::of(&rel, &functions) else { continue };
        let origin = match Tree::newest(segments.log)? {
            Some(tree) => tree.origin,
            None if gucs::origin().is_none() => continue,
            None => new_origin(&segments, 1, None)?,
        };
        let key = secret.key(&origin).map_err(|why| file_error("gives no key", format!("The {why}.")))?;
        keys.push((log, key.verifier().to_string()));
    }
    Ok(keys)
}

/// `notary.verifier_key(log)`.
#[pg_extern(sql = false)]
fn verifier_key(log: pg_sys::Oid) -> String {
    key_to_hand_out(log).or_raise()
}

fn key_to_hand_out(log: pg_sys::Oid) -> Result<String, Error> {
    let functions = access::trigger_functions()?;
    let rel = access::open_log(Some(log), &functions)?;
    let segments = Segments::of(&rel, &functions)?;
    let origin = match Tree::newest(segments.log)? {
        Some(tree) => tree.origin,
        None => new_origin(&segments, 1, None)?,
    };
    let keys = LogKeys::of(&origin)?.ok_or_else(|| Error::NotSealable {
        message: "notary.signing_key_file is not set".into(),
        detail: "Without a key, seals are unsigned and there is nothing to hand out.".into(),
        hint: "Set it, and write the file with SELECT * FROM notary.generate_key().".into(),
    })?;
    Ok(keys.current.verifier().to_string())
}
