//! What a column takes of a JSON value.

use super::check::{elements, string};
use super::table::Column;
use super::{Event, Kind, What, spelling, when};

/// What became of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// The column holds all of it.
    Whole,
    /// The column holds a part of it.
    InPart,
    /// The column holds nothing of it, and nothing is wrong with it.
    Not,
}

/// What is wrong with a value, or with one element of an array.
pub(super) type Fault = (Option<usize>, What);

impl Column {
    /// What a value of the column looks like, for who wrote another.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Id => "a uuid, or another string or number, which stays in details",
            Self::OccurredAt => {
                "a time such as \"2026-11-20T16:07:00.123Z\", or seconds, milliseconds or microseconds since 1970, \
                 in the years 0001 to 9999"
            }
            Self::Action => "a string that is not empty",
            Self::Actor => "a string, a number or an object such as {\"userId\": …, \"role\": …}",
            Self::ActorType => "\"user\", \"service\", \"ai_agent\" or \"system\"",
            Self::ResourceId => "a string, a number or, in \"resource\", an object such as {\"type\": …, \"id\": …}",
            Self::ActorRole
            | Self::ResourceType
            | Self::ResourceName
            | Self::UserAgent
            | Self::SessionId
            | Self::RequestId
            | Self::TraceId => "a string or a number",
            Self::Result => "\"success\", \"failure\", \"denied\", \"error\", true or false",
            Self::Ip => "an address of IPv4 or IPv6, such as \"192.0.2.7\" or \"2001:db8::7\"",
            Self::Pii => "true or false",
            Self::PiiFields => "an array of strings",
            Self::Tags => "a string or an array of strings",
            Self::OldValue | Self::NewValue | Self::Details => "a JSON value",
        }
    }
}

impl Event {
    /// Whether a column is filled.
    pub(super) fn has(&mut self, column: Column) -> bool {
        match column {
            Column::Id => self.id.is_some(),
            Column::OccurredAt => self.occurred_at.is_some(),
            Column::Action => !self.action.is_empty(),
            Column::Pii => self.pii.is_some(),
            Column::PiiFields => self.pii_fields.is_some(),
            Column::Tags => self.tags.is_some(),
            _ => self.text(column).is_some_and(|text| text.is_some()),
        }
    }

    /// Fills an empty column.
    pub(super) fn fill(&mut self, column: Column, json: &str, lenient: bool) -> Result<Taken, Fault> {
        let kind = Kind::of(json);
        let refused = |what| Err((None, what));
        match (column, kind) {
            (Column::OldValue | Column::NewValue, _) => Ok(self.put(column, json.to_owned())),
            (Column::Id, Kind::Number) => Ok(Taken::Not),
            (Column::OccurredAt, Kind::Number) => self.put_time(when::read_number(json), What::OtherNumber),
            (Column::Pii, Kind::Boolean) => {
                self.pii = Some(json == "true");
                Ok(Taken::Whole)
            }
            // A status that is true may mean much.
            (Column::Result, Kind::Boolean) if !lenient => {
                Ok(self.put(column, if json == "true" { "success" } else { "failure" }.to_owned()))
            }
            (Column::PiiFields, Kind::Array) => {
                self.pii_fields = Some(strings(json)?);
                Ok(Taken::Whole)
            }
            (Column::Tags, Kind::Array) => {
                self.tags = Some(strings(json)?);
                Ok(Taken::Whole)
            }
            (_, Kind::String) => match string(json) {
                Some(text) => self.fill_with(column, text),
                None => refused(What::NoText),
            },
            (_, Kind::Number) if column.takes_numbers() => Ok(self.put(column, json.to_owned())),
            _ => refused(What::Is(kind)),
        }
    }

    fn fill_with(&mut self, column: Column, text: String) -> Result<Taken, Fault> {
        let other = (None, What::OtherString);
        match column {
            Column::Id => {
                self.id = spelling::uuid(&text);
                Ok(if self.id.is_some() { Taken::Whole } else { Taken::Not })
            }
            Column::OccurredAt => self.put_time(when::read_text(&text), What::OtherString),
            Column::Action if text.is_empty() => Err((None, What::Empty)),
            Column::Action => {
                self.action = text;
                Ok(Taken::Whole)
            }
            Column::ActorType => Ok(self.put(column, spelling::actor_type(&text).ok_or(other)?.to_owned())),
            Column::Result => Ok(self.put(column, spelling::result(&text).ok_or(other)?.to_owned())),
            Column::Ip => {
                let (address, whole) = spelling::ip(&text).ok_or(other)?;
                self.put(column, address);
                Ok(if whole { Taken::Whole } else { Taken::InPart })
            }
            Column::TraceId => match spelling::traceparent(&text) {
                Some(trace) => {
                    self.put(column, trace.to_owned());
                    Ok(Taken::InPart)
                }
                None => Ok(self.put(column, text)),
            },
            Column::Pii => {
                self.pii = Some(spelling::boolean(&text).ok_or(other)?);
                Ok(Taken::Whole)
            }
            Column::Tags => {
                self.tags = Some(vec![text]);
                Ok(Taken::Whole)
            }
            Column::PiiFields => Err((None, What::Is(Kind::String))),
            _ => Ok(self.put(column, text)),
        }
    }

    fn put_time(&mut self, read: when::Read, what: What) -> Result<Taken, Fault> {
        let (micros, exact) = read.ok_or((None, what))?;
        self.occurred_at = Some(micros);
        Ok(if exact { Taken::Whole } else { Taken::InPart })
    }

    fn put(&mut self, column: Column, text: String) -> Taken {
        match self.text(column) {
            Some(place) => {
                *place = Some(text);
                Taken::Whole
            }
            None => Taken::Not,
        }
    }

    /// A column that holds a text.
    fn text(&mut self, column: Column) -> Option<&mut Option<String>> {
        Some(match column {
            Column::Actor => &mut self.actor,
            Column::ActorType => &mut self.actor_type,
            Column::ActorRole => &mut self.actor_role,
            Column::ResourceType => &mut self.resource_type,
            Column::ResourceId => &mut self.resource_id,
            Column::ResourceName => &mut self.resource_name,
            Column::Result => &mut self.result,
            Column::Ip => &mut self.ip,
            Column::UserAgent => &mut self.user_agent,
            Column::SessionId => &mut self.session_id,
            Column::RequestId => &mut self.request_id,
            Column::TraceId => &mut self.trace_id,
            Column::OldValue => &mut self.old_value,
            Column::NewValue => &mut self.new_value,
            Column::Details => &mut self.details,
            Column::Id | Column::OccurredAt | Column::Action | Column::Pii | Column::PiiFields | Column::Tags => {
                return None;
            }
        })
    }
}

impl Column {
    /// Whether a number is as good as a string.
    const fn takes_numbers(self) -> bool {
        matches!(
            self,
            Self::Actor
                | Self::ActorRole
                | Self::ResourceType
                | Self::ResourceId
                | Self::ResourceName
                | Self::UserAgent
                | Self::SessionId
                | Self::RequestId
                | Self::TraceId
        )
    }
}

fn strings(json: &str) -> Result<Vec<String>, Fault> {
    let elements = elements(json).ok_or((None, What::NotJson))?;
    let read = |(at, json): (usize, &str)| string(json).ok_or((Some(at), What::Is(Kind::of(json))));
    elements.into_iter().enumerate().map(read).collect()
}
