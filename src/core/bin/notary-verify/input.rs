//! Files and standard input.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Trouble;

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
    let text = path.to_string_lossy();
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
