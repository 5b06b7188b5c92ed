//! Files and standard input.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Trouble;

/// What is said of a file without a byte.
pub const EMPTY: &str = "the file is empty";

/// How files begin that hold what was asked for in another wrapping.
const FOREIGN: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "looks compressed (gzip): unpack it first"),
    (b"\x28\xb5\x2f\xfd", "looks compressed (zstd): unpack it first"),
    (b"\xfd7zXZ\0", "looks compressed (xz): unpack it first"),
    (b"BZh", "looks compressed (bzip2): unpack it first"),
    (b"PK\x03\x04", "looks compressed (zip): unpack it first"),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
];

const UTF_16: &str = "looks like UTF-16, as some editors and PowerShell write: every file here is UTF-8";

/// Where to read.
#[derive(Clone)]
pub enum Source {
    /// `-`
    Stdin,
    /// A path.
    File(PathBuf),
}

impl Source {
    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => shown(path),
        }
    }

    /// Opens it, and its length if it is a plain file.
    pub fn open(&self) -> Result<(Box<dyn Read>, Option<u64>), Trouble> {
        match self {
            Self::Stdin => Ok((Box::new(io::stdin()), None)),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| self.unreadable(&error))?;
                let about = file.metadata().map_err(|error| self.unreadable(&error))?;
                let length = about.is_file().then_some(about.len());
                Ok((Box::new(file), length))
            }
        }
    }

    /// All of it, or one byte more than `limit`: enough for a parser to refuse it.
    pub fn read(&self, limit: usize) -> Result<Vec<u8>, Trouble> {
        let (file, _) = self.open()?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(|error| self.unreadable(&error))?;
        Ok(bytes)
    }

    /// A file that is read as a whole, and that nothing can be said of if it is empty or of another kind.
    pub fn read_text(&self, limit: usize) -> Result<Vec<u8>, Trouble> {
        let bytes = self.read(limit)?;
        match foreign(&bytes) {
            Some(what) => Err(self.trouble(what)),
            None if bytes.is_empty() => Err(self.trouble(EMPTY)),
            None => Ok(bytes),
        }
    }

    /// Why nothing can be said of it.
    pub fn trouble(&self, why: &str) -> Trouble {
        Trouble(format!("{}: {why}", self.name()))
    }

    /// It cannot be read.
    pub fn unreadable(&self, error: &io::Error) -> Trouble {
        Trouble(format!("cannot read {}: {error}", self.name()))
    }
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

/// A path without what a terminal would obey: names in a bundle are made by others.
pub fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), |c| c.escape_default().to_string())
}

/// JSON without what a terminal would obey, and with the same meaning: lines are made by others too.
pub fn shown_json(json: &str) -> String {
    escaped(json, |c| format!("\\u{:04x}", u32::from(c)))
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
    text.chars().fold(String::new(), |mut all, c| {
        if is_command(c) {
            all.push_str(&escape(c))
        } else {
            all.push(c)
        }
        all
    })
}

/// Control characters, and those that turn the direction of text round, so that it looks like another one.
fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a file is, by its first bytes, if it is nothing that can be read here.
pub fn foreign(bytes: &[u8]) -> Option<&'static str> {
    FOREIGN.into_iter().find_map(|(start, what)| bytes.starts_with(start).then_some(what))
}

/// What somebody's tool did to a text, as far as its first lines tell.
pub fn altered(bytes: &[u8]) -> Option<&'static str> {
    let first = bytes.iter().position(|&byte| byte == b'\n').and_then(|at| bytes.get(..at));
    if bytes.starts_with(b"\xef\xbb\xbf") {
        Some("begins with a byte order mark (UTF-8 BOM): remove it")
    } else if first.is_some_and(|line| line.ends_with(b"\r")) {
        Some("Windows line ends (CR LF): lines end in LF alone")
    } else {
        None
    }
}

/// Why a text is not what it was given as: what it is instead, or what its parser says.
pub fn instead(bytes: &[u8], asked: &str, error: String) -> String {
    let kinds: [(&[u8], &str); 2] = [(br#"{"v":"#, "an export"), (b"c2sp.org/tlog-proof", "a proof")];
    let found = kinds.into_iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, kind)| kind);
    match (altered(bytes), found) {
        (Some(what), _) => what.to_owned(),
        (None, Some(kind)) if kind != asked => format!("this looks like {kind}, not {asked}"),
        _ => error,
    }
}
