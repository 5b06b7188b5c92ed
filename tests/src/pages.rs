//! The documentation as tests see it: a page's code blocks, and whether what a program writes today has
//! the shape of what the page shows.
//!
//! The words after the language in a block's first line say what to do with it; readers do not see them:
//!
//! | first line | what happens |
//! |---|---|
//! | `sql` | runs in psql, must succeed |
//! | `sql fails=55000` | runs in psql, must raise this SQLSTATE |
//! | `sql role=app` | runs as this role, which an earlier block has made |
//! | `sh run` | runs in bash, told where the server is; must succeed |
//! | `text output` | is what the block before it writes, in shape |
//! | `text exact` | is what the block before it writes, byte for byte |
//! | anything else | is not run |

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
pub struct Page {
    /// Its path from the top of the checkout: `docs/format.md`.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// A fenced block of code.
#[derive(Clone, Debug)]
pub struct Block {
    /// The line of the page that the fence stands on, from 1.
    pub line: usize,
    /// The first word after the fence.
    pub language: String,
    /// The words after that.
    words: Vec<String>,
    /// What stands in it.
    pub text: String,
}

impl Page {
    /// README.md, then docs/*.md by name.
    pub fn all() -> Vec<Self> {
        let top = top();
        let mut names = vec!["README.md".to_owned()];
        let docs = fs::read_dir(top.join("docs")).expect("docs/ is there");
        let files = docs.map(|entry| entry.expect("docs/ is readable").file_name().into_string().expect("UTF-8"));
        let mut docs: Vec<_> = files.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
        docs.sort();
        names.extend(docs);
        names.into_iter().map(|name| Self::read(&name)).collect()
    }

    /// One page, by its path from the top of the checkout.
    pub fn read(name: &str) -> Self {
        let path = top().join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { name: name.to_owned(), text }
    }

    /// Its blocks of code, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    let mut words = info.split_whitespace().map(str::to_owned);
                    let language = words.next().unwrap_or_default();
                    open = Some(Block { line: number + 1, language, words: words.collect(), text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => block.text.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block of code does not end", self.name);
        blocks
    }
}

impl Block {
    /// Is it `language`, with this word after it?
    pub fn is(&self, language: &str, word: &str) -> bool {
        self.language == language && self.words.iter().any(|w| w == word)
    }

    /// The value of `name=value` after the language.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The top of the checkout.
pub fn top() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ is in the checkout").to_path_buf()
}

/// What stays the same from run to run: numbers, hashes and uuids are replaced, space does not count.
pub fn shape(text: &str) -> Vec<String> {
    text.lines().map(shape_of_line).filter(|line| !line.is_empty()).collect()
}

fn shape_of_line(line: &str) -> String {
    let mut shaped = Vec::new();
    for word in line.split_whitespace() {
        // A ruler is as long as the widest value.
        let ruler = word.len() > 2 && word.bytes().all(|b| matches!(b, b'-' | b'+'));
        shaped.push(if ruler {
            word.split('+').map(|_| "-").collect::<Vec<_>>().join("+")
        } else {
            shape_of_word(word)
        });
    }
    shaped.join(" ")
}

/// `a1b2…` of 32 hex digits and more is `H`, a uuid `U`, a hash or signature in base64 `B`, a key's id of eight hex digits
/// `I`, any other number `#`, with its separators.
fn shape_of_word(word: &str) -> String {
    if is_base64(word) {
        return "B".into();
    }
    let mut out = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let (token, after) = rest.split_at(end.max(first.len_utf8()));
        match token {
            t if is_uuid(t) => out.push('U'),
            t if t.len() >= 32 && t.bytes().all(|b| b.is_ascii_hexdigit()) => out.push('H'),
            t if t.len() == 8 && t.bytes().all(|b| b.is_ascii_hexdigit()) => out.push('I'),
            t => t.chars().for_each(|c| push_digit(&mut out, c)),
        }
        rest = after;
    }
    for separator in ["#,#", "#.#", "#:#"] {
        while out.contains(separator) {
            out = out.replace(separator, "#");
        }
    }
    out
}

fn push_digit(out: &mut String, c: char) {
    if !c.is_ascii_digit() {
        out.push(c);
    } else if !out.ends_with('#') {
        out.push('#');
    }
}

fn is_base64(word: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    word.len() >= 44
        && word.len().is_multiple_of(4)
        && word.bytes().all(is_digit)
        && word.bytes().any(|b| !b.is_ascii_hexdigit())
}

fn is_uuid(token: &str) -> bool {
    let parts: Vec<_> = token.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && token.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// Does what a page shows have the shape of what came out? `…` on the page stands for anything in a line.
/// The difference in words, if it has not.
pub fn differs(shown: &str, came: &str) -> Option<String> {
    let (expected, actual) = (shape(shown), shape(came));
    for (number, line) in expected.iter().enumerate() {
        match actual.get(number) {
            Some(other) if fits(line, other) => {}
            other => return Some(format!("the page shows\n    {line}\nand there is\n    {}", other.map_or("", |l| l))),
        }
    }
    let more = actual.get(expected.len())?;
    Some(format!("the page does not show\n    {more}"))
}

fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    for (number, part) in parts.iter().enumerate() {
        if number + 1 == parts.len() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_hashes_and_rulers_do_not_count() {
        let hash = "ab".repeat(32);
        let shown = format!("entries | 1,234\n---+-----\nhash is {hash}; log c79c4b9a-b562-49b9-9909-54adb0e0597d");
        let other = hash.replace('a', "0");
        let came = format!("entries  |  5\n-----+--\n\nhash is {other}; log d79c4b9a-b562-49b9-9909-54adb0e0597e");
        assert_eq!(differs(&shown, &came), None);
    }

    #[test]
    fn words_lines_and_columns_do_count() {
        assert!(differs("intact", "damaged").is_some());
        assert!(differs("one", "one\ntwo").is_some());
        assert!(differs("one\ntwo", "one").is_some());
        assert!(differs("---+---", "---+---+---").is_some());
        assert_eq!(differs("hash … is in …", "hash abc is in here"), None);
        assert!(differs("hash … is gone", "hash abc is in here").is_some());
    }
}
