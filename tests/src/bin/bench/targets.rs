//! Every figure of the report, and what it must reach. The order is the table's.

/// What a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Must {
    AtLeast(f64),
    AtMost(f64),
    /// This, give or take the other.
    Around(f64, f64),
    /// Nothing: it is reported.
    Reported,
}

impl Must {
    /// Is it reached? None where nothing is asked.
    pub fn is_reached(self, figure: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(figure >= least),
            Self::AtMost(most) => Some(figure <= most),
            Self::Around(centre, off) => Some((figure - centre).abs() <= off),
            Self::Reported => None,
        }
    }
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A ratio of rates.
    Times,
    /// Entries in a second.
    Entries,
    MiB,
    Seconds,
    Milliseconds,
    /// Bytes for each row.
    Bytes,
}

/// Who has the same work to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The same, without protection or in its usual state: nothing is to be lost.
    Without(&'static str),
    /// What others do, or one process alone: something is to be won.
    Today(&'static str),
    /// Nobody.
    Nobody,
}

impl Against {
    pub fn name(self) -> &'static str {
        match self {
            Self::Without(name) | Self::Today(name) => name,
            Self::Nobody => "",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// By which name works know it.
    pub key: &'static str,
    /// With places for sizes, see [`crate::sizes::Sizes::put_into`].
    pub work: &'static str,
    pub against: Against,
    pub unit: Unit,
    pub must: Must,
    /// Is it in the README?
    pub headline: bool,
}

const fn ratio(key: &'static str, work: &'static str, against: Against, least: f64) -> Target {
    Target { key, work, against, unit: Unit::Times, must: Must::AtLeast(least), headline: false }
}

const fn reported(key: &'static str, work: &'static str, against: Against) -> Target {
    Target { key, work, against, unit: Unit::Times, must: Must::Reported, headline: false }
}

const fn amount(key: &'static str, work: &'static str, unit: Unit, must: Must) -> Target {
    Target { key, work, against: Against::Nobody, unit, must, headline: false }
}

impl Target {
    const fn headline(mut self) -> Self {
        self.headline = true;
        self
    }
}

const PLAIN: Against = Against::Without("plain");
const DIY: Against = Against::Today("DIY");

/// The trigger that this is compared with stores its rows in a table with a primary key and no other index.
const KEYED: &str = "pgbench TPC-B, scale {scale}, 8 clients, all four tables tracked, a primary key only";
const LEAN: &str = "pgbench TPC-B, scale {scale}, 8 clients, all four tables tracked, indexed by time and resource";
const ALL_INDEXES: &str =
    "pgbench TPC-B, scale {scale}, 8 clients, all four tables tracked, all indexes of notary.search";

/// All of them.
pub const TARGETS: &[Target] = &[
    ratio("insert 1", "single-row INSERT, autocommit, 1 client", PLAIN, 0.95).headline(),
    ratio("insert 16", "single-row INSERT, autocommit, 16 clients", PLAIN, 0.92).headline(),
    ratio("insert 16 diy", "single-row INSERT, autocommit, 16 clients", DIY, 3.0).headline(),
    ratio("hold", "transactions that hold 5 ms, 32 clients", PLAIN, 0.98).headline(),
    ratio("hold diy", "transactions that hold 5 ms, 32 clients", DIY, 30.0).headline(),
    ratio("bulk", "INSERT … SELECT of {bulk} rows", PLAIN, 0.75).headline(),
    ratio("copy", "COPY of {copy} rows", PLAIN, 0.65).headline(),
    ratio("large 1", "INSERT, 1 client, with {large} rows in the log", Against::Without("an empty log"), 0.95),
    ratio("large 16", "INSERT, 16 clients, with {large} rows in the log", Against::Without("an empty log"), 0.95),
    ratio("large bulk", "INSERT … SELECT with {large} rows in the log", Against::Without("an empty log"), 0.95)
        .headline(),
    ratio(
        "rolled back 1",
        "INSERT, 1 client, right after {rolled back} rows were rolled back",
        Against::Without("before"),
        0.95,
    ),
    ratio(
        "rolled back 16",
        "INSERT, 16 clients, right after {rolled back} rows were rolled back",
        Against::Without("before"),
        0.95,
    ),
    ratio(
        "rolled back bulk",
        "INSERT … SELECT right after {rolled back} rows were rolled back",
        Against::Without("before"),
        0.95,
    ),
    ratio("snapshot 1", "INSERT, 1 client, while a snapshot is held open", Against::Without("without"), 0.95),
    ratio("snapshot 16", "INSERT, 16 clients, while a snapshot is held open", Against::Without("without"), 0.95),
    ratio("aborts 1", "INSERT, 1 client, 10 % of transactions rolled back", Against::Without("all committed"), 0.95),
    ratio("aborts 16", "INSERT, 16 clients, 10 % of transactions rolled back", Against::Without("all committed"), 0.95),
    ratio("both 1", "INSERT, 1 client, a snapshot and 10 % rolled back", Against::Without("neither"), 0.95),
    ratio("both 16", "INSERT, 16 clients, a snapshot and 10 % rolled back", Against::Without("neither"), 0.95),
    amount("verify", "notary.verify, one process, {verified} entries", Unit::Entries, Must::AtLeast(1_000_000.0))
        .headline(),
    ratio("verify diy", "notary.verify, one process", DIY, 2.5).headline(),
    ratio("verify workers", "notary.verify, two workers", Against::Today("one process"), 1.7).headline(),
    amount(
        "memory",
        "memory of notary.verify at {large} entries, over the backend's start",
        Unit::MiB,
        Must::AtMost(64.0),
    )
    .headline(),
    amount("memory flat", "of that, more than at {verified} entries", Unit::MiB, Must::AtMost(4.0)),
    ratio("sha256sum", "notary-verify of an export of {verified} entries", Against::Today("sha256sum"), 0.5).headline(),
    amount("seal", "a seal of {verified} new entries", Unit::Seconds, Must::Reported),
    amount("proof", "a proof of a random entry of them", Unit::Milliseconds, Must::Reported),
    amount("export", "notary.export of them to a file", Unit::Seconds, Must::Reported),
    ratio("lean", LEAN, Against::Without("untracked"), 0.75).headline(),
    ratio("lean trigger", LEAN, Against::Today("PL/pgSQL trigger"), 1.05).headline(),
    reported("lean pgaudit", LEAN, Against::Today("pgaudit")),
    reported("keyed", KEYED, Against::Without("untracked")).headline(),
    reported("keyed trigger", KEYED, Against::Today("PL/pgSQL trigger")).headline(),
    reported("keyed pgaudit", KEYED, Against::Today("pgaudit")),
    reported("capture", ALL_INDEXES, Against::Without("untracked")).headline(),
    reported("capture trigger", ALL_INDEXES, Against::Today("PL/pgSQL trigger")).headline(),
    reported("capture pgaudit", ALL_INDEXES, Against::Today("pgaudit")),
    Target {
        must: Must::Around(1.0, 0.02),
        ..ratio(
            "others",
            "INSERT into a table that is no log, 1 client, with the extension",
            Against::Without("without it"),
            0.0,
        )
    },
    amount("protect", "notary.protect of a table with {verified} rows", Unit::Seconds, Must::Reported),
    amount("storage", "storage over bare, for each row", Unit::Bytes, Must::Reported).headline(),
    amount("storage plain", "of that, what plain takes too", Unit::Bytes, Must::Reported),
];

/// The one that works call so.
pub fn target(key: &str) -> &'static Target {
    TARGETS.iter().find(|t| t.key == key).unwrap_or_else(|| panic!("{key} is no target"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_names() {
        assert_eq!(TARGETS.iter().map(|t| t.key).collect::<BTreeSet<_>>().len(), TARGETS.len());
    }

    #[test]
    fn what_is_asked_is_reached_or_not() {
        assert_eq!(Must::AtLeast(0.95).is_reached(0.95), Some(true));
        assert_eq!(Must::AtLeast(0.95).is_reached(0.9499), Some(false));
        assert_eq!(Must::AtMost(64.0).is_reached(64.5), Some(false));
        assert_eq!(Must::Around(1.0, 0.02).is_reached(0.985), Some(true));
        assert_eq!(Must::Around(1.0, 0.02).is_reached(1.03), Some(false));
        assert_eq!(Must::Reported.is_reached(1.0), None);
    }
}
