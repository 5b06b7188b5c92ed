//! Which member goes to which column: the one table of it. `docs/events.md` shows the same, and a test compares
//! them.
//!
//! Names stand here in snake_case and are read in camelCase too. Where several members want one column, the one nearer
//! to the top wins, at one level the first of this table, of two spellings the one in snake_case.

/// A column of an event log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Column {
    Id,
    OccurredAt,
    Action,
    Actor,
    ActorType,
    ActorRole,
    ResourceType,
    ResourceId,
    ResourceName,
    Result,
    Ip,
    UserAgent,
    SessionId,
    RequestId,
    TraceId,
    Pii,
    PiiFields,
    OldValue,
    NewValue,
    Tags,
    Details,
}

/// An object whose members are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// The event itself.
    Event,
    /// `actor` or `user`.
    Actor,
    /// `resource`.
    Resource,
    /// `context`.
    Context,
    /// `event_data`.
    EventData,
}

/// Members that go to one column.
#[derive(Debug)]
pub(super) struct Row {
    /// Where these names mean it.
    pub levels: &'static [Level],
    /// The first is the strongest.
    pub names: &'static [&'static str],
    /// Where a value goes.
    pub column: Option<Column>,
    /// What an object is, whose members are looked at in their turn.
    pub opens: Option<Level>,
    /// A value that does not fit stays in details, wherever it stands.
    pub lenient: bool,
}

const EVENT: &[Level] = &[Level::Event, Level::EventData];
const REQUEST: &[Level] = &[Level::Event, Level::Context, Level::EventData];
const REQUEST_OR_ACTOR: &[Level] = &[Level::Event, Level::Actor, Level::Context, Level::EventData];
const CONTEXT: &[Level] = &[Level::Context];
const ACTOR: &[Level] = &[Level::Actor];
const RESOURCE: &[Level] = &[Level::Resource];
const TOP: &[Level] = &[Level::Event];

const fn row(levels: &'static [Level], names: &'static [&'static str], column: Column) -> Row {
    Row { levels, names, column: Some(column), opens: None, lenient: false }
}

impl Row {
    const fn opens(self, level: Level) -> Self {
        Self { opens: Some(level), ..self }
    }

    const fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    const fn without_column(self) -> Self {
        Self { column: None, ..self }
    }
}

/// The table. A name stands at most once for each level.
pub(super) const TABLE: &[Row] = &[
    // An id within event_data may be that of anything.
    row(TOP, &["id"], Column::Id),
    row(EVENT, &["event_id"], Column::Id),
    row(EVENT, &["timestamp", "@timestamp", "occurred_at", "time", "event_time", "ts"], Column::OccurredAt),
    row(EVENT, &["action", "event_type", "event", "event_name"], Column::Action),
    row(REQUEST, &["actor"], Column::Actor).opens(Level::Actor),
    row(EVENT, &["actor_id"], Column::Actor),
    row(EVENT, &["user"], Column::Actor).opens(Level::Actor),
    row(REQUEST, &["user_id"], Column::Actor),
    row(EVENT, &["username"], Column::Actor),
    row(ACTOR, &["user_id", "id", "sub", "username", "name", "email"], Column::Actor),
    row(EVENT, &["actor_type"], Column::ActorType),
    row(ACTOR, &["type"], Column::ActorType),
    row(EVENT, &["actor_role", "role"], Column::ActorRole),
    row(CONTEXT, &["actor_role"], Column::ActorRole),
    row(ACTOR, &["role"], Column::ActorRole),
    row(EVENT, &["resource"], Column::ResourceId).opens(Level::Resource),
    row(EVENT, &["resource_type", "entity_type", "target_type"], Column::ResourceType),
    row(RESOURCE, &["type"], Column::ResourceType),
    row(EVENT, &["resource_id", "entity_id", "target_id"], Column::ResourceId),
    row(RESOURCE, &["id"], Column::ResourceId),
    row(EVENT, &["resource_name", "entity_name", "target_name"], Column::ResourceName),
    row(RESOURCE, &["name"], Column::ResourceName),
    row(EVENT, &["result"], Column::Result),
    row(EVENT, &["outcome", "status"], Column::Result).lenient(),
    row(REQUEST, &["ip", "ip_address", "source_ip", "client_ip", "remote_addr"], Column::Ip),
    row(ACTOR, &["ip", "ip_address"], Column::Ip),
    row(REQUEST_OR_ACTOR, &["user_agent"], Column::UserAgent),
    row(REQUEST_OR_ACTOR, &["session_id"], Column::SessionId),
    row(REQUEST, &["request_id", "correlation_id"], Column::RequestId),
    row(REQUEST, &["trace_id", "traceparent"], Column::TraceId),
    row(EVENT, &["pii", "contains_pii"], Column::Pii),
    row(EVENT, &["pii_fields"], Column::PiiFields),
    row(EVENT, &["old_value", "before", "old_values"], Column::OldValue),
    row(EVENT, &["new_value", "after", "new_values"], Column::NewValue),
    row(EVENT, &["tags"], Column::Tags),
    row(EVENT, &["labels"], Column::Tags).lenient(),
    row(EVENT, &["context"], Column::Details).without_column().opens(Level::Context),
    row(TOP, &["event_data"], Column::Details).without_column().opens(Level::EventData),
    row(TOP, &["details"], Column::Details),
];

/// Which row a member belongs to, and how strong it is there: the lower, the stronger.
pub(super) fn find(level: Level, member: &str) -> Option<(&'static Row, (usize, usize, bool))> {
    let rows = TABLE.iter().enumerate().filter(|(_, row)| row.levels.contains(&level));
    let mut names =
        rows.flat_map(|(at, row)| row.names.iter().enumerate().map(move |(of, name)| (row, (at, of), name)));
    names.find_map(|(row, (at, of), name)| {
        let in_snake_case = *name == member;
        (in_snake_case || is_camel_case(name, member)).then_some((row, (at, of, !in_snake_case)))
    })
}

/// Whether a member is a name of the table in camelCase.
fn is_camel_case(name: &str, member: &str) -> bool {
    let mut words = name.split('_');
    let Some(mut rest) = words.next().and_then(|first| member.strip_prefix(first)) else {
        return false;
    };
    for word in words {
        let (Some(capital), Some(tail)) = (rest.get(..1), rest.get(1..)) else {
            return false;
        };
        let same = word.get(..1).is_some_and(|first| first.to_ascii_uppercase() == capital);
        match word.get(1..).filter(|_| same).and_then(|lower| tail.strip_prefix(lower)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}
