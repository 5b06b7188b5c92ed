//! Why a text is not an event. Invariant: an error never holds what an application sent, for that may be personal data;
//! it names the member by names that are this module's own, and the kind of the value.

use std::fmt;

/// A member that does not fit its column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventError {
    /// Where it stands: `actor.ipAddress`, in an array of events `[3].actor.ipAddress`; empty for the whole text.
    pub member: String,
    /// What is wrong with it.
    pub what: What,
    /// What should stand there.
    pub expected: &'static str,
}

/// What is wrong with a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// There is none, and an event needs it.
    Missing,
    /// A value of a kind that the column cannot hold.
    Is(Kind),
    /// A string of no character.
    Empty,
    /// A string that is none of those that the column can hold.
    OtherString,
    /// A number beyond those that the column can hold.
    OtherNumber,
    /// Not JSON at all.
    NotJson,
    /// An object with two members of one name, at any depth.
    Twice,
    /// A string with U+0000 or half a surrogate pair, at any depth: no text of PostgreSQL's.
    NoText,
}

/// The kinds of JSON values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The kind of a JSON text, which its first byte tells.
    pub(super) fn of(json: &str) -> Self {
        match json.bytes().next() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'"') => Self::String,
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            _ => Self::Number,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Is(kind) => write!(f, "it is {kind}"),
            Self::Empty => f.write_str("it is an empty string"),
            Self::OtherString => f.write_str("it is a string in another form"),
            Self::OtherNumber => f.write_str("it is a number out of range"),
            Self::NotJson => f.write_str("it is not JSON"),
            Self::Twice => f.write_str("an object has two members of one name"),
            Self::NoText => f.write_str("a string holds U+0000 or half a surrogate pair"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member.as_str() {
            "" => write!(f, "the event is malformed: {}; expected {}", self.what, self.expected),
            member if self.what == What::Missing => {
                write!(f, "the event's member \"{member}\" is missing; expected {}", self.expected)
            }
            member => {
                write!(f, "the event's member \"{member}\" is malformed: {}; expected {}", self.what, self.expected)
            }
        }
    }
}

impl std::error::Error for EventError {}
