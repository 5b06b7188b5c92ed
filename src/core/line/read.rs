//! Reading a line: this grammar and no other, so that no two parsers read two stories from one line.

use std::borrow::Cow;

use super::cursor::{Cursor, Head};
use super::{LineError, Place};
use crate::{Digest, Header};

/// A line that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// Chain 0, seq 0: the line that opens a segment.
    Header(Header),
    /// An entry of a chain.
    Entry(EntryLine<'a>),
}

/// An entry's line, its values as they stand there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryLine<'a> {
    /// Everything but the row.
    pub place: Place,
    /// Digests of redactable values by column, ascending; empty if the line has no `redactable`.
    pub redactable: Vec<(Cow<'a, str>, Sealed<'a>)>,
    /// The row's values by column, ascending, as the bytes in the line.
    pub row: Vec<(Cow<'a, str>, &'a [u8])>,
}

/// What stands in `redactable` for one column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sealed<'a> {
    /// The digest of the value's opening.
    Value(Digest),
    /// The digest of each top-level member of a `jsonb` object, ascending by name.
    Members(Vec<(Cow<'a, str>, Digest)>),
}

/// Reads a line without its newline, in its only spelling.
///
/// # Errors
/// The place and the kind of the first byte that no writer would have written.
pub fn read(line: &[u8]) -> Result<Line<'_>, LineError> {
    let mut cursor = Cursor::new(line)?;
    let head = cursor.head()?;
    if head.is_header() {
        Header::parse_after(head, &mut cursor).map(Line::Header)
    } else {
        read_entry(head, &mut cursor).map(Line::Entry)
    }
}

fn read_entry<'a>(head: Head, cursor: &mut Cursor<'a>) -> Result<EntryLine<'a>, LineError> {
    cursor.expect(",\"prev\":")?;
    let prev = cursor.digest()?;
    let redactable = if cursor.eat(",\"redactable\":{") { read_redactable(cursor)? } else { Vec::new() };
    cursor.expect(",\"row\":{")?;
    let mut row = Vec::new();
    cursor.members("}", |cursor, name| {
        row.push((name, cursor.value()?.as_bytes()));
        Ok(())
    })?;
    cursor.expect("}")?;
    cursor.end()?;
    // Both are sorted, so a binary search for each of the fewer will do.
    let twice = |(name, _): &(Cow<'_, str>, _)| row.binary_search_by(|(other, _)| other.cmp(name)).is_ok();
    if redactable.iter().any(twice) {
        return Err(LineError::NameInBoth);
    }
    let Head { log, segment, chain, seq, time } = head;
    Ok(EntryLine { place: Place { log, segment, chain, seq, time, prev }, redactable, row })
}

/// After `"redactable":{`; an empty one is not written at all.
fn read_redactable<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<(Cow<'a, str>, Sealed<'a>)>, LineError> {
    let mut columns = Vec::new();
    if cursor.eat("}") {
        return cursor.expect("a redactable column").map(|()| columns);
    }
    cursor.members("}", |cursor, name| {
        let sealed = if cursor.eat("{") {
            let mut members = Vec::new();
            cursor.members("}", |cursor, member| {
                members.push((member, cursor.digest()?));
                Ok(())
            })?;
            Sealed::Members(members)
        } else {
            Sealed::Value(cursor.digest()?)
        };
        columns.push((name, sealed));
        Ok(())
    })?;
    Ok(columns)
}
