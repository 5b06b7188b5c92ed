//! The state: the newest note of each origin that this caller has believed (`notary_core::latest`), kept from run to
//! run.
//!
//! Invariants: the file is written anew beside itself, flushed and renamed, so that a crash leaves the old one or the
//! new one; a lock on `FILE.lock` keeps two runs from forgetting what the other wrote.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use notary_core::latest::Latest;
use notary_core::{Checkpoint, Origin};

use crate::Trouble;
use crate::input::{Source, shown};

/// The longest state that is read: some hundred thousand origins.
const MAX_STATE: usize = 1 << 26;

/// What is remembered.
pub struct State {
    path: PathBuf,
    notes: Latest,
    /// Held as long as nobody else may write.
    lock: Option<File>,
}

impl State {
    /// Reads what is remembered: nothing yet, if there is no such file.
    pub fn read(path: &Path) -> Result<Self, Trouble> {
        let mut state = Self { path: path.to_owned(), notes: Latest::default(), lock: None };
        if !path.try_exists().map_err(|error| state.trouble("cannot read", &error))? {
            return Ok(state);
        }
        // It is replaced as a whole: a link or a device would not survive that.
        let about = fs::symlink_metadata(path).map_err(|error| state.trouble("cannot read", &error))?;
        if !about.is_file() {
            return Err(Trouble(format!("{}: not a plain file", shown(path))));
        }
        let text = String::from_utf8(Source::File(path.to_owned()).read(MAX_STATE)?);
        let bad = |line: usize, why: &str| Trouble(format!("{} line {line}: {why}", shown(path)));
        let text = text.map_err(|_| bad(1, "not UTF-8"))?;
        if text.len() > MAX_STATE {
            return Err(bad(text.lines().count(), "the file is too long for a state"));
        }
        state.notes = text.parse::<Latest>().map_err(|why| bad(why.line(), &why.to_string()))?;
        Ok(state)
    }

    /// Reads it again, with a lock until the value is dropped.
    pub fn lock(&self) -> Result<Self, Trouble> {
        let path = self.beside("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|error| self.trouble("cannot lock", &error))?;
        Ok(Self { lock: Some(lock), ..Self::read(&self.path)? })
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        shown(&self.path)
    }

    /// The newest note of an origin.
    pub fn get(&self, origin: &Origin) -> Option<&Checkpoint> {
        self.notes.get(origin)
    }

    /// In words, if another root is remembered for the same size.
    pub fn contradicts(&self, seen: &Checkpoint) -> Option<String> {
        let known = self.get(seen.origin())?;
        let contradicts = known.size() == seen.size() && known.root() != seen.root();
        contradicts.then(|| {
            format!("{} remembers another root for size {}: the log was forked or rewritten", self.name(), seen.size())
        })
    }

    /// In words, if a larger note is remembered.
    pub fn larger_than(&self, seen: &Checkpoint) -> Option<String> {
        let known = self.get(seen.origin())?;
        (known.size() > seen.size()).then(|| {
            format!("its size is {}, and {} remembers a note of size {}", seen.size(), self.name(), known.size())
        })
    }

    /// What is remembered of another incarnation of the same log: the newest.
    pub fn other_incarnation(&self, seen: &Checkpoint) -> Option<&Checkpoint> {
        self.notes.other_incarnation(seen)
    }

    /// Remembers each note that is newer than what is known, on disk.
    pub fn remember<'c>(&mut self, notes: impl IntoIterator<Item = &'c Checkpoint>) -> Result<(), Trouble> {
        let mut is_new = false;
        for note in notes {
            is_new |= self.notes.update(note);
        }
        if !is_new || self.lock.is_none() {
            return Ok(());
        }
        self.write().map_err(|error| self.trouble("cannot write", &error))
    }

    fn write(&self) -> io::Result<()> {
        let fresh = self.beside("new");
        // What a run left that was cut short goes. A link that somebody has put there is not followed.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::create_new(&fresh)?;
        write!(file, "{}", self.notes)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        // The new name is on disk only when its directory is.
        let directory = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        name.into()
    }

    fn trouble(&self, what: &str, error: &io::Error) -> Trouble {
        Trouble(format!("{what} {}: {error}", self.name()))
    }
}
