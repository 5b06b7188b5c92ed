//! The walk through an event: objects nearer to the top first, their members in the order of the table; what no
//! column takes stays in details.
//!
//! Invariant: each member ends in a column, in details, or is a known one that is null. An object is opened at most
//! four deep (`event_data.context.actor`), so nothing here depends on how deep an event nests.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use super::check::members;
use super::table::{self, Column, Level, Row};
use super::value::Taken;
use super::{Event, EventError, Kind, What};

/// An object whose members are known.
struct Object<'a> {
    level: Level,
    /// Whether what does not fit is an error. In `context` and `event_data` it stays where it is.
    strict: bool,
    path: String,
    members: Vec<Member<'a>>,
}

struct Member<'a> {
    name: String,
    json: &'a str,
    left: Left,
}

/// What of a member goes to details.
#[derive(Clone, Copy)]
enum Left {
    All,
    Nothing,
    /// What is left of this object.
    Of(usize),
}

/// Objects that are done, each before those in it, and those to come.
#[derive(Default)]
struct Walk<'a> {
    event: Event,
    done: Vec<Object<'a>>,
    to_come: VecDeque<Object<'a>>,
    /// The members of the event's own `details`.
    details: Option<Vec<Member<'a>>>,
}

/// The event in a JSON value that was checked; `path` names it in errors.
pub(super) fn read(json: &str, path: &str) -> Result<Event, EventError> {
    let kind = Kind::of(json);
    if kind != Kind::Object {
        return Err(EventError { member: path.to_owned(), what: What::Is(kind), expected: "an event, a JSON object" });
    }
    let mut walk = Walk::default();
    walk.to_come.push_back(Object::open(Level::Event, true, path.to_owned(), json));
    while let Some(object) = walk.to_come.pop_front() {
        walk.visit(object)?;
    }
    if walk.event.action.is_empty() {
        let expected = Column::Action.expected();
        return Err(EventError { member: join(path, "action"), what: What::Missing, expected });
    }
    let details = walk.details();
    let mut event = walk.event;
    event.details = details;
    if event.pii.is_none() && event.pii_fields.as_ref().is_some_and(|fields| !fields.is_empty()) {
        event.pii = Some(true);
    }
    Ok(event)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'a> Object<'a> {
    fn open(level: Level, strict: bool, path: String, json: &'a str) -> Self {
        Self { level, strict, path, members: all_members(json) }
    }
}

fn all_members(json: &str) -> Vec<Member<'_>> {
    let members = members(json).into_iter();
    members.map(|(name, json)| Member { name, json, left: Left::All }).collect()
}

impl<'a> Walk<'a> {
    fn visit(&mut self, mut object: Object<'a>) -> Result<(), EventError> {
        let (level, strict, path) = (object.level, object.strict, object.path.as_str());
        let mut members: Vec<_> =
            object.members.iter_mut().filter_map(|member| Some((table::find(level, &member.name)?, member))).collect();
        members.sort_by_key(|((_, rank), _)| *rank);
        for ((row, _), member) in members {
            member.left = self.take(row, member, strict, path)?;
        }
        self.done.push(object);
        Ok(())
    }

    /// Takes what columns want of a known member, and says what is left.
    fn take(&mut self, row: &Row, member: &Member<'a>, strict: bool, path: &str) -> Result<Left, EventError> {
        let kind = Kind::of(member.json);
        if kind == Kind::Null {
            return Ok(Left::Nothing);
        }
        if let Some(level) = row.opens.filter(|_| kind == Kind::Object) {
            let strict = strict && matches!(level, Level::Actor | Level::Resource);
            self.to_come.push_back(Object::open(level, strict, join(path, &member.name), member.json));
            // Behind this object, which is done first, and those that wait already.
            return Ok(Left::Of(self.done.len() + self.to_come.len()));
        }
        match row.column {
            None => Ok(Left::All),
            Some(Column::Details) if kind == Kind::Object => {
                self.details = Some(all_members(member.json));
                Ok(Left::Nothing)
            }
            Some(Column::Details) => Ok(Left::All),
            Some(column) if self.event.has(column) => Ok(Left::All),
            Some(column) => match self.event.fill(column, member.json, row.lenient) {
                Ok(Taken::Whole) => Ok(Left::Nothing),
                Ok(Taken::InPart | Taken::Not) => Ok(Left::All),
                Err((element, what)) if strict && !row.lenient => {
                    let element = element.map(|at| format!("[{at}]")).unwrap_or_default();
                    let member = format!("{}{element}", join(path, &member.name));
                    Err(EventError { member, what, expected: column.expected() })
                }
                Err(_) => Ok(Left::All),
            },
        }
    }

    /// The column `details`: the members of `details` as they were and what is left of the event, by name.
    fn details(&self) -> Option<String> {
        let own = self.details.as_deref();
        let own_names: HashSet<&str> = own.unwrap_or_default().iter().map(|member| member.name.as_str()).collect();
        let top = self.done.first().map_or(&[][..], |top| &top.members);
        let left: Vec<(&str, Cow<'_, str>)> =
            top.iter().filter_map(|member| Some((member.name.as_str(), self.left(member)?))).collect();
        if own.is_none() && left.is_empty() {
            return None;
        }
        let mut taken: HashSet<Cow<'_, str>> = own_names.iter().map(|&name| Cow::Borrowed(name)).collect();
        taken.extend(left.iter().map(|&(name, _)| Cow::Borrowed(name)));
        let mut all: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        all.extend(own.unwrap_or_default().iter().map(|member| (member.name.as_str().into(), member.json.into())));
        for (name, json) in left {
            let mut name = Cow::Borrowed(name);
            // What `details` itself says keeps its name.
            if own_names.contains(&*name) {
                while taken.contains(&name) {
                    name = Cow::Owned(format!("event.{name}"));
                }
                taken.insert(name.clone());
            }
            all.push((name, json));
        }
        // An event has one spelling, whichever member a name came from.
        all.sort_unstable();
        Some(print(&all))
    }

    fn left(&self, member: &Member<'a>) -> Option<Cow<'a, str>> {
        match member.left {
            Left::All => Some(Cow::Borrowed(member.json)),
            Left::Nothing => None,
            Left::Of(at) => {
                let object = self.done.get(at)?;
                let left =
                    object.members.iter().filter_map(|member| Some((member.name.as_str().into(), self.left(member)?)));
                let left: Vec<_> = left.collect();
                // An object that was empty says so; one that columns have emptied is gone.
                (!left.is_empty() || object.members.is_empty()).then(|| Cow::Owned(print(&left)))
            }
        }
    }
}

fn print(members: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut out = vec![b'{'];
    for (index, (name, json)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        crate::line::write_key(&mut out, name);
        out.extend_from_slice(json.as_bytes());
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}
