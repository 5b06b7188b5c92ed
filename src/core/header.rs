//! The header line: what a segment is, written once when its period of protection starts.
//!
//! ```text
//! {"v":1,"log":"6f1c…","segment":1,"chain":0,"seq":0,"time":"2026-11-20T16:00:00.000000Z","by":"alice","schema":"public","table":"app_audit","first_chain":1,"adopted":0,"columns":{"action":"text","actor":"text"},"redactable":[]}
//! ```
//!
//! Its hash is the `prev` of the first entry of every chain of the segment. A header has exactly one
//! spelling: what [`Header::parse`] accepts is what [`Header::line`] writes.

use std::collections::{BTreeMap, BTreeSet};

use crate::decimal::write_uint;
use crate::line::cursor::{Cursor, Head};
use crate::line::{LineError, write_head, write_key, write_string};
use crate::{Digest, LogId};

/// What a header line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The log's uuid.
    pub log: LogId,
    /// The segment's number within the log, from 1.
    pub segment: u32,
    /// When protection started: microseconds since 2000-01-01 UTC, finite.
    pub time: i64,
    /// The session user who protected the table.
    pub by: String,
    /// The table's schema at that time.
    pub schema: String,
    /// The table's name at that time.
    pub table: String,
    /// The lowest chain number of the segment, from 1.
    pub first_chain: u32,
    /// How many rows were there before and were chained, in `first_chain`.
    pub adopted: u64,
    /// Each column's type as `format_type` prints it, by name.
    pub columns: BTreeMap<String, String>,
    /// The names of the redactable columns.
    pub redactable: BTreeSet<String>,
}

/// Why a text is not a header line.
pub type HeaderError = LineError;

impl Header {
    /// The header line, without a newline.
    #[must_use]
    pub fn line(&self) -> String {
        let mut out = Vec::with_capacity(512);
        write_head(&mut out, self.log, self.segment, 0, 0, self.time);
        for (key, value) in [("by", &self.by), ("schema", &self.schema), ("table", &self.table)] {
            out.push(b',');
            write_key(&mut out, key);
            write_string(&mut out, value);
        }
        out.extend_from_slice(b",\"first_chain\":");
        write_uint(&mut out, self.first_chain.into());
        out.extend_from_slice(b",\"adopted\":");
        write_uint(&mut out, self.adopted);
        out.extend_from_slice(b",\"columns\":{");
        for (index, (name, column_type)) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_key(&mut out, name);
            write_string(&mut out, column_type);
        }
        out.extend_from_slice(b"},\"redactable\":[");
        for (index, name) in self.redactable.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(&mut out, name);
        }
        out.extend_from_slice(b"]}");
        // Only ASCII and whole strings were written, so nothing is lost here.
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Reads a header line in its only spelling.
    ///
    /// # Errors
    /// The place and the kind of the first byte that is not as [`Header::line`] would write it.
    pub fn parse(line: &str) -> Result<Self, HeaderError> {
        let mut cursor = Cursor::new(line.as_bytes())?;
        let head = cursor.head()?;
        if !head.is_header() {
            return Err(LineError::NotAHeader);
        }
        Self::parse_after(head, &mut cursor)
    }

    /// The hash of the line: the `prev` of each chain's first entry.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.line().as_bytes())
    }

    /// Reads on after the members that all lines share.
    pub(crate) fn parse_after(head: Head, cursor: &mut Cursor<'_>) -> Result<Self, HeaderError> {
        cursor.expect(",\"by\":")?;
        let by = cursor.string()?.into_owned();
        cursor.expect(",\"schema\":")?;
        let schema = cursor.string()?.into_owned();
        cursor.expect(",\"table\":")?;
        let table = cursor.string()?.into_owned();
        cursor.expect(",\"first_chain\":")?;
        let first_chain = cursor.positive_u32()?;
        cursor.expect(",\"adopted\":")?;
        let adopted = cursor.uint()?;
        cursor.expect(",\"columns\":{")?;
        let mut columns = BTreeMap::new();
        cursor.members("}", |cursor, name| {
            columns.insert(name.into_owned(), cursor.string()?.into_owned());
            Ok(())
        })?;
        cursor.expect(",\"redactable\":[")?;
        let mut redactable = BTreeSet::new();
        cursor.names("]", |name| {
            redactable.insert(name.into_owned());
        })?;
        cursor.expect("}")?;
        cursor.end()?;
        let Head { log, segment, time, .. } = head;
        Ok(Self { log, segment, time, by, schema, table, first_chain, adopted, columns, redactable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Header {
        Header {
            log: "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb".parse().unwrap(),
            segment: 1,
            time: crate::time::parse_timestamptz("2026-11-20T16:00:00.000000Z").unwrap(),
            by: "alice".into(),
            schema: "public".into(),
            table: "app_audit".into(),
            first_chain: 1,
            adopted: 0,
            columns: ["action", "actor"].map(|name| (name.into(), "text".into())).into(),
            redactable: BTreeSet::new(),
        }
    }

    #[test]
    fn line_is_that_of_the_format() {
        let line = r#"{"v":1,"log":"6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb","segment":1,"chain":0,"seq":0,"time":"2026-11-20T16:00:00.000000Z","by":"alice","schema":"public","table":"app_audit","first_chain":1,"adopted":0,"columns":{"action":"text","actor":"text"},"redactable":[]}"#;
        assert_eq!(example().line(), line);
        assert_eq!(Header::parse(line), Ok(example()));
        assert_eq!(example().hash(), Digest::of(line.as_bytes()));
    }

    #[test]
    fn an_entry_is_not_a_header() {
        let line = example().line().replace("\"chain\":0,\"seq\":0", "\"chain\":1,\"seq\":1");
        assert_eq!(Header::parse(&line), Err(LineError::NotAHeader));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else(
            segment in 1..=i32::MAX.cast_unsigned(),
            time in i64::MIN + 1..i64::MAX,
            texts in prop::collection::vec(".*", 3),
            adopted in 0..=i64::MAX.cast_unsigned(),
            columns: BTreeMap<String, String>,
            redactable: BTreeSet<String>,
            at: prop::sample::Index,
            byte: u8,
        ) {
            let [by, schema, table] = <[String; 3]>::try_from(texts).unwrap();
            let header = Header {
                segment, time, by, schema, table, adopted, columns, redactable,
                first_chain: segment, ..example()
            };
            let line = header.line();
            prop_assert_eq!(Header::parse(&line), Ok(header));

            let mut bytes = line.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(line) = String::from_utf8(bytes)
                && let Ok(other) = Header::parse(&line)
            {
                prop_assert_eq!(other.line(), line);
            }
        }
    }
}
