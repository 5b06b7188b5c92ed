//! Every error pg_notary raises itself: one enum, one match to SQLSTATE, message, DETAIL and HINT.
//!
//! Messages are lower case without a full stop, DETAIL says the facts, HINT the next step. Values of rows never stand
//! in any of them.

use crate::pg::report;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

/// What can go wrong, as users see it.
#[derive(Debug)]
pub enum Error {
    /// The relation is of a kind that cannot be a log.
    CannotProtect {
        /// The relation, qualified.
        table: String,
        /// What it is.
        why: String,
        /// What to do instead.
        hint: String,
    },
    /// A column's type is not in the format's list.
    UnlistedType {
        /// The table, qualified.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// The caller does not own the table.
    NotOwner {
        /// The table, qualified.
        table: String,
        /// What he tried.
        what: &'static str,
    },
    /// The caller may not read the table.
    NoSelect {
        /// The table, qualified.
        table: String,
    },
    /// The table is a log already, or a part of one.
    AlreadyProtected {
        /// The table, qualified.
        table: String,
        /// The log that it is a partition of, if it is one.
        part_of: Option<String>,
    },
    /// The transaction is read-only, or the server is a standby.
    ReadOnly {
        /// What was called: `notary.attest()`.
        call: &'static str,
    },
    /// The table is no log.
    NotALog {
        /// The relation, qualified.
        table: String,
    },
    /// The table has not the columns, or the trigger, of an event log.
    NotAnEventLog {
        /// The relation, qualified.
        table: String,
        /// What it lacks.
        why: String,
    },
    /// A table's changes are tracked, and something would end that.
    Tracked {
        /// What was tried.
        attempt: String,
        /// The table, qualified.
        table: String,
        /// Why it is refused.
        detail: String,
        /// What to do; empty: end the tracking.
        hint: String,
    },
    /// A table cannot be tracked.
    CannotTrack {
        /// The table, qualified.
        table: String,
        /// Why.
        why: String,
        /// What to do instead.
        hint: String,
    },
    /// The table is not tracked.
    NotTracked {
        /// The table, qualified.
        table: String,
    },
    /// The caller may not insert into the log.
    NoInsert {
        /// The log, qualified.
        table: String,
    },
    /// The table has no such column.
    NoColumn {
        /// The table, qualified.
        table: String,
        /// The column.
        column: String,
    },
    /// The trigger of a tracked table is not what track made, or leads nowhere.
    TrackingDamaged {
        /// The table, qualified.
        table: String,
        /// In what way.
        why: String,
    },
    /// The old and the new values of a changed row are longer than a line.
    ChangeTooLong {
        /// The table, qualified.
        table: String,
    },
    /// An event's column takes only some words.
    NotFromList {
        /// The log, qualified.
        table: String,
        /// The column.
        column: &'static str,
        /// The words; none: any but the empty one.
        words: &'static [&'static str],
    },
    /// An event without its action.
    NoAction {
        /// The log, qualified.
        table: String,
    },
    /// A value of an event is longer than what its column's index takes.
    TooLong {
        /// The log, qualified.
        table: String,
        /// The column.
        column: &'static str,
        /// How many bytes it takes.
        bytes: usize,
    },
    /// An event's time is none that a calendar has.
    NoTime {
        /// The log, qualified.
        table: String,
    },
    /// A table that was to be made is there already.
    NameTaken {
        /// Its name, qualified.
        table: String,
    },
    /// A schema that something was to be made in is not there.
    NoSchema {
        /// Its name; None where the search_path has none.
        schema: Option<String>,
    },
    /// A partitioned table was named where a partition is meant.
    HasPartitions {
        /// The partitioned table.
        table: String,
    },
    /// A partition was named where the partitioned log is meant.
    IsPartition {
        /// The partition.
        table: String,
        /// The partitioned table at the top.
        root: String,
    },
    /// An argument is out of range or missing.
    BadArgument {
        /// The message.
        message: String,
        /// The facts.
        detail: String,
        /// The next step.
        hint: String,
    },
    /// The database's encoding is not UTF8.
    NotUtf8Database,
    /// A stored string is not UTF-8.
    NotUtf8,
    /// A line would pass 256 MiB.
    LineTooLong,
    /// A stored value that contradicts itself.
    DamagedValue {
        /// The column.
        column: String,
        /// In what way.
        why: &'static str,
    },
    /// An INSERT named notary_* values.
    ValuesSupplied {
        /// The table, qualified.
        table: String,
        /// The first such column.
        column: String,
    },
    /// The append trigger's arguments are not what protect wrote.
    BadTrigger {
        /// The table, qualified.
        table: String,
        /// What is wrong.
        why: String,
    },
    /// max_chains leaves no chain for an insert nested in another.
    NestedInsert {
        /// The table, qualified.
        table: String,
        /// The limit.
        max_chains: u32,
    },
    /// No chain can be written to.
    NoChain {
        /// The table, qualified.
        table: String,
        /// Why.
        why: String,
    },
    /// A command that would change or weaken a log.
    Refused {
        /// What was tried, as a command: `DELETE on public.app_audit`.
        attempt: String,
        /// The log, qualified.
        log: String,
        /// Why it is refused.
        detail: String,
        /// What to do instead, beyond unprotecting; may be empty.
        hint: String,
    },
    /// A command that would weaken pg_notary itself while there are logs.
    GuardRefused {
        /// What was tried.
        attempt: String,
        /// One of the logs, qualified.
        log: String,
        /// Are there tracked tables?
        tracked: bool,
    },
    /// A log is not intact (assert_intact).
    NotIntact {
        /// How many logs, findings.
        summary: String,
        /// The first finding of each.
        detail: String,
    },
    /// Something of pg_notary's own is missing or damaged.
    Installation {
        /// What.
        message: String,
        /// The facts.
        detail: String,
        /// The next step.
        hint: String,
    },
    /// What the extension remembers of trees and seals was changed.
    Remembered {
        /// The extension's table.
        table: &'static str,
        /// The facts.
        detail: String,
    },
    /// An entry that does not exist or that the caller may not see.
    NoEntry {
        /// The table, qualified.
        table: String,
        /// Its chain.
        chain: i32,
        /// Its seq.
        seq: i64,
    },
    /// The entry is not in a seal of the size asked for.
    NotSealed {
        /// The table, qualified.
        table: String,
        /// Its chain.
        chain: i32,
        /// Its seq.
        seq: i64,
        /// The seal's size.
        size: u64,
        /// Its segment has ended.
        left_out: bool,
    },
    /// A procedure that commits, where it cannot.
    InTransactionBlock {
        /// What was called.
        call: &'static str,
    },
    /// The key file, or a key in it, cannot be used.
    KeyFile {
        /// What is wrong; never what the file holds.
        message: String,
        /// The facts.
        detail: String,
        /// The next step.
        hint: String,
    },
    /// Only superusers may call it.
    SuperuserOnly {
        /// What was called.
        call: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Row-level security keeps rows from the caller, and what was asked for must be whole.
    RowsHidden {
        /// The table, qualified.
        table: String,
    },
    /// A file is there already.
    FileExists {
        /// Its name.
        file: String,
    },
    /// A log is not in the state that sealing needs.
    NotSealable {
        /// What.
        message: String,
        /// The facts.
        detail: String,
        /// The next step.
        hint: String,
    },
    /// SPI failed.
    Spi(String),
}

struct Parts {
    code: PgSqlErrorCode,
    message: String,
    detail: String,
    hint: String,
}

impl Error {
    /// Raises the error in PostgreSQL. What was tried against a log's protection is first written to the server log, in a
    /// line of its own that an alert can match.
    pub fn raise(self) -> ! {
        let attempt = self.attempt();
        let Parts { code, message, detail, hint } = self.parts();
        if let Some((log, attempt)) = attempt {
            report::refused(code, &log, &attempt);
        }
        let mut report = ErrorReport::new(code, message, "pg_notary");
        if !detail.is_empty() {
            report = report.set_detail(detail);
        }
        if !hint.is_empty() {
            report = report.set_hint(hint);
        }
        report.report(pgrx::PgLogLevel::ERROR);
        // report(ERROR) unwinds; this line is never reached.
        unreachable!("an ERROR report returned")
    }

    /// The log and what was tried on it, where the error is a refusal.
    fn attempt(&self) -> Option<(String, String)> {
        match self {
            Self::Refused { log, attempt, .. } | Self::GuardRefused { log, attempt, .. } => {
                Some((log.clone(), attempt.clone()))
            }
            Self::ValuesSupplied { table, column } => Some((table.clone(), format!("INSERT with {column}"))),
            Self::Tracked { attempt, table, .. } => Some((table.clone(), attempt.clone())),
            _ => None,
        }
    }

    fn parts(self) -> Parts {
        use PgSqlErrorCode as Code;
        let parts = |code, message: String, detail: String, hint: String| Parts { code, message, detail, hint };
        match self {
            Self::CannotProtect { table, why, hint } => {
                parts(Code::ERRCODE_WRONG_OBJECT_TYPE, format!("{table} cannot become a log"), why, hint)
            }
            Self::UnlistedType { table, column, type_name } => parts(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("{table} cannot become a log"),
                format!("Column \"{column}\" has type {type_name}, whose text is not fixed by pg_notary's format."),
                format!(
                    "Give the column a listed type first, for example text: ALTER TABLE {table} ALTER COLUMN {} TYPE \
                     text. The README's page \"Types\" has the list.",
                    crate::pg::spi::quote_ident(&column)
                ),
            ),
            Self::NotOwner { table, what } => parts(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("must be owner of {table}"),
                format!("Only the table's owner or a superuser may {what}."),
                "Ask the owner, or SET ROLE to a role that owns the table.".into(),
            ),
            Self::NoSelect { table } => parts(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for table {table}"),
                "The SELECT privilege on the log is needed.".into(),
                format!("Its owner can run: GRANT SELECT ON {table} TO your_role."),
            ),
            Self::ReadOnly { call } => parts(
                Code::ERRCODE_READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {call} in a read-only transaction"),
                "It writes to notary.journal.".into(),
                "Run it on the primary, in a transaction that may write. notary.verify, notary.findings and \
                 notary.assert_intact work here too."
                    .into(),
            ),
            Self::AlreadyProtected { table, part_of } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{table} is protected already"),
                match part_of {
                    Some(log) => format!("It is a partition of the log {log}."),
                    None => "Its append trigger is in place.".into(),
                },
                "SELECT * FROM notary.logs shows every log; notary.unprotect(table, reason) ends a protection.".into(),
            ),
            Self::NotALog { table } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{table} is not a log"),
                "It has no append trigger of pg_notary.".into(),
                "SELECT * FROM notary.logs shows every log; notary.protect(table) makes a table one.".into(),
            ),
            Self::NotAnEventLog { table, why } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{table} is not an event log"),
                why,
                "notary.create_log(name) makes one.".into(),
            ),
            Self::Tracked { attempt, table, detail, hint } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{attempt} is refused: changes of {table} are tracked"),
                detail,
                if hint.is_empty() { format!("To end that, the table's owner can run: {}", untrack(&table)) } else { hint },
            ),
            Self::CannotTrack { table, why, hint } => {
                parts(Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, format!("{table} cannot be tracked"), why, hint)
            }
            Self::NotTracked { table } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{table} is not tracked"),
                "It has no trigger !notary_track.".into(),
                "SELECT * FROM notary.tracked shows the tables that are; notary.track(table, log) begins it.".into(),
            ),
            Self::NoInsert { table } => parts(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for table {table}"),
                "Whoever has changes recorded in a log needs the INSERT privilege on it.".into(),
                format!("Its owner can run: GRANT INSERT ON {table} TO your_role."),
            ),
            Self::NoColumn { table, column } => parts(
                Code::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{column}\" of {table} does not exist"),
                "It was named as PII, or to be excluded.".into(),
                "Names are as in the catalogs, without quotes and in their own case.".into(),
            ),
            Self::TrackingDamaged { table, why } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("a change of {table} cannot be recorded"),
                why,
                format!("Its owner can end the tracking, {}, and begin it anew with notary.track.", untrack(&table)),
            ),
            Self::ChangeTooLong { table } => parts(
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("a change of {table} cannot be recorded: its values are too long"),
                "As JSON text the row's values, old and new, would pass 256 MiB, the most that an entry of a log holds.".into(),
                "Its owner can have the column's values hashed, or left out: notary.untrack, and notary.track with pii or exclude.".into(),
            ),
            Self::NotFromList { table, column, words } => parts(
                Code::ERRCODE_CHECK_VIOLATION,
                format!("column \"{column}\" of the event log {table} does not take this value"),
                match words {
                    [] => "It must not be empty.".into(),
                    words => format!("It takes {}.", words.join(", ")),
                },
                match words {
                    [] => "Say what was done, from the general to the special: customer.pii.export.".into(),
                    _ => "Put words of your own into tags or details.".into(),
                },
            ),
            Self::NoAction { table } => parts(
                Code::ERRCODE_NOT_NULL_VIOLATION,
                format!("column \"action\" of the event log {table} is missing"),
                "An event says at least what was done.".into(),
                "Say it from the general to the special: INSERT INTO … (actor, action) VALUES ('ann', 'customer.pii.export').".into(),
            ),
            Self::TooLong { table, column, bytes } => parts(
                Code::ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
                format!("a value of column \"{column}\" of the event log {table} is too long"),
                format!("It takes at most {bytes} bytes, since events are found by it in an index."),
                "Put long texts into details, which takes any length.".into(),
            ),
            Self::NoTime { table } => parts(
                Code::ERRCODE_DATETIME_FIELD_OVERFLOW,
                format!("column \"occurred_at\" of the event log {table} does not take this time"),
                "It takes times of the years 0001 to 9999 in UTC, and no infinity.".into(),
                "Leave it out for the time of the INSERT.".into(),
            ),
            Self::NameTaken { table } => parts(
                Code::ERRCODE_DUPLICATE_TABLE,
                format!("relation {table} exists already"),
                "notary.create_log makes a table of its own and changes none that is there.".into(),
                "Give it another name. An event log of this name shows in notary.event_logs; notary.protect(table) makes a log of any table."
                    .into(),
            ),
            Self::NoSchema { schema } => parts(
                Code::ERRCODE_INVALID_SCHEMA_NAME,
                match &schema {
                    Some(schema) => format!("schema \"{schema}\" does not exist"),
                    None => "no schema has been selected to create in".into(),
                },
                match &schema {
                    Some(_) => "An event log was to be made in it.".into(),
                    None => "The search_path names none that is there.".into(),
                },
                match &schema {
                    Some(schema) => format!("CREATE SCHEMA {} makes it.", crate::pg::spi::quote_ident(schema)),
                    None => "Name the schema: SELECT notary.create_log('public.app_audit').".into(),
                },
            ),
            Self::HasPartitions { table } => parts(
                Code::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{table} is partitioned"),
                "An entry is in one of its partitions, and chains are numbered in each.".into(),
                format!("Name the partition: SELECT notary.line(tableoid, notary_chain, notary_seq) FROM {table} does."),
            ),
            Self::IsPartition { table, root } => parts(
                Code::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{table} is a partition of {root}"),
                "A partitioned table is protected as a whole.".into(),
                format!("Name {root} instead."),
            ),
            Self::BadArgument { message, detail, hint } => {
                parts(Code::ERRCODE_INVALID_PARAMETER_VALUE, message, detail, hint)
            }
            Self::NotUtf8Database => parts(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                "logs need a database whose encoding is UTF8".into(),
                "Lines are hashed as UTF-8, so that every reader gets the same bytes.".into(),
                "Create a database with ENCODING 'UTF8' and put the log there.".into(),
            ),
            Self::NotUtf8 => parts(
                Code::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                "a value is not valid UTF-8".into(),
                "Lines are hashed as UTF-8, so that every reader gets the same bytes.".into(),
                "The row cannot be a line of a log; correct the value.".into(),
            ),
            Self::LineTooLong => parts(
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                "the row's line would pass 256 MiB".into(),
                "A line holds all of a row's values as JSON text.".into(),
                "Store the large value elsewhere and its hash in the log.".into(),
            ),
            Self::DamagedValue { column, why } => parts(
                Code::ERRCODE_DATA_CORRUPTED,
                format!("column \"{column}\": {why}"),
                "What is stored contradicts itself, so that no line can be made of it.".into(),
                "Keep the server's files and logs as they are.".into(),
            ),
            Self::ValuesSupplied { table, column } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("a value for {column} was supplied in an INSERT into the log {table}"),
                "The notary_* columns are filled in by the database.".into(),
                "Leave the notary_* columns out of the INSERT, or set them to NULL. To load a dump, a superuser may SET \
                 LOCAL notary.restore = on; notary.unprotect(table, reason) ends the protection."
                    .into(),
            ),
            Self::BadTrigger { table, why } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("the protection of {table} is damaged"),
                why,
                format!(
                    "SELECT * FROM notary.findings('{table}') says what is wrong; notary.unprotect and notary.protect \
                     put it in place again."
                ),
            ),
            Self::NestedInsert { table, max_chains } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("an insert into {table} cannot run inside another insert into it"),
                format!(
                    "The outer row has its place in a chain but is not stored yet, and max_chains = {max_chains} leaves \
                     no other chain to this transaction."
                ),
                "Insert from an AFTER trigger instead of a CHECK, domain, policy or index expression, or protect the \
                 table without max_chains (notary.unprotect first)."
                    .into(),
            ),
            Self::NoChain { table, why } => parts(
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("no chain of {table} can be written to"),
                why,
                format!(
                    "SELECT notary_chain, count(*) FROM {table} GROUP BY 1 ORDER BY 1 shows the chains, and for a log \
                     notary.findings('{table}') what is damaged."
                ),
            ),
            Self::Refused { attempt, log, detail, hint } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{attempt} is refused: {log} is an append-only log"),
                detail,
                match hint.as_str() {
                    "" => format!("To end the protection, its owner can run: {}", unprotect(&log)),
                    hint => format!("{hint} Otherwise its owner can run: {}", unprotect(&log)),
                },
            ),
            Self::GuardRefused { attempt, log, tracked } => parts(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{attempt} is refused: {log} is an append-only log"),
                "What guards the logs would be weakened.".into(),
                match tracked {
                    false => {
                        format!("To end all protection, unprotect every log first, notary.journal last: {}", unprotect(&log))
                    }
                    true => "To end all protection, end all tracking first, SELECT notary.untrack(\"table\", 'why') FROM \
                             notary.tracked; then unprotect every log, notary.journal last."
                        .into(),
                },
            ),
            Self::NotIntact { summary, detail } => parts(
                Code::ERRCODE_DATA_CORRUPTED,
                summary,
                detail,
                "SELECT * FROM notary.findings(log) shows every finding. Keep the server's files and logs as they are."
                    .into(),
            ),
            Self::Installation { message, detail, hint } | Self::NotSealable { message, detail, hint } => {
                parts(Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, detail, hint)
            }
            Self::Remembered { table, detail } => parts(
                Code::ERRCODE_DATA_CORRUPTED,
                format!("what {table} says is damaged"),
                detail,
                "Keep the server's files and logs as they are, and compare with the notes that were kept outside.".into(),
            ),
            Self::NoEntry { table, chain, seq } => parts(
                Code::ERRCODE_NO_DATA_FOUND,
                format!("{table} has no entry at chain {chain}, seq {seq}"),
                "It does not exist, or row-level security hides it from the current user.".into(),
                format!("SELECT notary_chain, notary_seq FROM {table} shows which there are."),
            ),
            Self::NotSealed { table, chain, seq, size, left_out: true } => parts(
                Code::ERRCODE_NO_DATA_FOUND,
                format!("the entry of {table} at chain {chain}, seq {seq} is in no seal of size {size}"),
                "Its period of protection has ended. What was changed or removed before it was ever sealed is left out of seals, \
                 with all that follows in its chain."
                    .into(),
                "SELECT * FROM notary.findings(log) and notary.notices(log) say what was changed; if nothing was, CALL \
                 notary.seal(log)."
                    .into(),
            ),
            Self::NotSealed { table, chain, seq, size, left_out: false } => parts(
                Code::ERRCODE_NO_DATA_FOUND,
                format!("the entry of {table} at chain {chain}, seq {seq} is not in a seal yet"),
                format!("The seal has size {size}, and the entry came later."),
                "CALL notary.seal(log) makes a seal that holds it; proofs are against the newest, or the size given.".into(),
            ),
            Self::InTransactionBlock { call } => parts(
                Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
                format!("{call} cannot run inside a transaction block"),
                "It commits before it answers: a seal that somebody holds must never be rolled back.".into(),
                "CALL it by itself, with autocommit on (in a driver: autocommit mode), not in a function.".into(),
            ),
            Self::KeyFile { message, detail, hint } => parts(Code::ERRCODE_CONFIG_FILE_ERROR, message, detail, hint),
            Self::SuperuserOnly { call, why } => parts(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("must be superuser to call {call}"),
                why.into(),
                "Ask a superuser.".into(),
            ),
            Self::RowsHidden { table } => parts(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("row-level security would keep rows of {table} out of the export"),
                "An export with gaps verifies against no seal.".into(),
                "Let a role with BYPASSRLS, or the table's owner, export it; notary.proof shows single entries.".into(),
            ),
            Self::FileExists { file } => parts(
                Code::ERRCODE_DUPLICATE_FILE,
                format!("file \"{file}\" exists already"),
                "A key is never written over another one: seals that were signed with it could not be continued.".into(),
                "To take a new key, set notary.signing_key_file to a new name; see the documentation on rotation.".into(),
            ),
            Self::Spi(message) => parts(
                Code::ERRCODE_INTERNAL_ERROR,
                "pg_notary could not read or write its own tables".into(),
                message,
                "This should not happen: keep the server log, which has the statement, and report it.".into(),
            ),
        }
    }
}

/// What to type to end a log's protection.
fn unprotect(log: &str) -> String {
    format!("SELECT notary.unprotect('{}', 'why')", log.replace('\'', "''"))
}

/// What to type to end a table's tracking.
pub fn untrack(table: &str) -> String {
    format!("SELECT notary.untrack({}, 'why')", crate::pg::spi::quote_literal(table))
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("a value is not valid UTF-8"),
            Self::LineTooLong => f.write_str("its line would pass 256 MiB"),
            Self::DamagedValue { column, why } => write!(f, "column \"{column}\": {why}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl From<pgrx::spi::SpiError> for Error {
    fn from(error: pgrx::spi::SpiError) -> Self {
        Self::Spi(error.to_string())
    }
}

/// The value, or the error raised in PostgreSQL.
pub trait OrRaise<T> {
    /// Unwraps or raises.
    fn or_raise(self) -> T;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self) -> T {
        self.unwrap_or_else(|error| error.raise())
    }
}

/// A reason as a sentence.
pub fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(std::iter::once('.')).collect()
}
