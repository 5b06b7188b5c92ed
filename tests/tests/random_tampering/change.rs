//! One thing that a superuser does to a log, and what must be found then.

use crate::below;
use crate::log::{Entry, Log, SHUFFLE, Territory};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Table and finding in short: `("part_1", "missing 1/3")`.
pub type Expected = Vec<(String, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Value,
    Hash,
    HashNull,
    HashShort,
    Prev,
    PrevNull,
    PrevAndHash,
    Time,
    TimeNull,
    Seq,
    Chain,
    PlaceNull,
    Delete,
    ExchangePlaces,
    ExchangeValues,
    Copy,
    CopyToChain,
    Rehash,
    RehashStretch,
    RehashPrev,
    Unchain,
    UnchainedRow,
    Forge,
    CopyBeside,
    Fork,
    LateStart,
    OtherStart,
}

impl Change {
    pub const ALL: &[Self] = &[
        Self::Value,
        Self::Hash,
        Self::HashNull,
        Self::HashShort,
        Self::Prev,
        Self::PrevNull,
        Self::PrevAndHash,
        Self::Time,
        Self::TimeNull,
        Self::Seq,
        Self::Chain,
        Self::PlaceNull,
        Self::Delete,
        Self::ExchangePlaces,
        Self::ExchangeValues,
        Self::Copy,
        Self::CopyToChain,
        Self::Rehash,
        Self::RehashStretch,
        Self::RehashPrev,
        Self::Unchain,
        Self::UnchainedRow,
        Self::Forge,
        Self::CopyBeside,
        Self::Fork,
        Self::LateStart,
        Self::OtherStart,
    ];

    /// Is it about what other chains hold, or about a place that others may be about too?
    pub fn wants_to_be_alone(self) -> bool {
        matches!(self, Self::CopyBeside | Self::Fork | Self::LateStart | Self::OtherStart)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Hash => "hash",
            Self::HashNull => "hash null",
            Self::HashShort => "hash of another length",
            Self::Prev => "prev",
            Self::PrevNull => "prev null",
            Self::PrevAndHash => "prev and hash null",
            Self::Time => "time",
            Self::TimeNull => "time null",
            Self::Seq => "seq",
            Self::Chain => "chain",
            Self::PlaceNull => "chain and seq null",
            Self::Delete => "rows gone",
            Self::ExchangePlaces => "places exchanged",
            Self::ExchangeValues => "values exchanged",
            Self::Copy => "copied to the end",
            Self::CopyToChain => "copied to another chain",
            Self::Rehash => "hashed again",
            Self::RehashStretch => "a stretch hashed again",
            Self::RehashPrev => "hashed again with another prev",
            Self::Unchain => "unchained",
            Self::UnchainedRow => "an unchained row",
            Self::Forge => "a forged row beyond the end",
            Self::CopyBeside => "copied beside another",
            Self::Fork => "a second one at its place, hashed rightly",
            Self::LateStart => "the last made the first",
            Self::OtherStart => "the whole chain hashed again from another start",
        }
    }
}

/// Sets one column to something else, whatever it holds; `{n}` is a new number.
const VALUES: &[(&str, &str)] = &[
    ("id", "{n}"),
    ("who", "who || ' '"),
    ("who", "upper(who)"),
    ("who", "NULL"),
    ("what", "what || '{\"forged\": true}'"),
    ("what", "NULL"),
    ("at", "at + interval '1 microsecond'"),
    ("at", "'infinity'"),
    ("amount", "amount + 0.01"),
    ("amount", "round(amount, 5)"),
    ("amount", "'NaN'"),
    ("ok", "NOT ok"),
    ("ok", "NULL"),
    ("raw", "raw || '\\x00'"),
    ("tags", "tags || 'x'::text"),
    ("tags", "'{}'"),
    ("tags", "NULL"),
];

const OWN: &str = "id, who, what, at, amount, ok, raw, tags";
const GARBAGE: &str = "sha256('garbage')";
/// The hash of a row as it stands.
const REHASHED: &str = "sha256(convert_to(notary.line(tableoid, notary_chain, notary_seq), 'UTF8'))";

/// Does a change to one of the entries; what must be found, and what was done in words. None when it cannot be done
/// there, or when nobody could see it; the caller then goes back to its savepoint.
#[allow(clippy::too_many_lines)] // a table of cases, each a few lines
pub fn apply(log: &mut Log, change: Change, territory: &Territory, rng: &mut StdRng) -> Option<(Expected, String)> {
    let entry = territory.entries.choose(rng)?.clone();
    let Entry { table, chain, seq, last, .. } = &entry;
    let (chain, seq, last) = (*chain, *seq, *last);
    let words = format!("{} at {table} {chain}/{seq} of {last}", change.name());
    let at = |what: &str, chain: i32, seq: i64| vec![(table.clone(), format!("{what} {chain}/{seq}"))];
    let here = |what: &str| at(what, chain, seq);
    let set = |assignments: &str| update(&entry, assignments);
    let number = 1_000_000 + rng.random_range(0..1_000_000);
    let last_is_general = |special: &'static str| if entry.is_last() { "value_changed" } else { special };

    let found = match change {
        Change::Value => {
            let free: Vec<_> = VALUES.iter().filter(|(column, _)| !log.fixed.contains(column)).collect();
            let (column, value) = free.choose(rng)?;
            log.run(&set(&format!("{column} = {}", value.replace("{n}", &number.to_string()))));
            return Some((here("value_changed"), format!("{words}: {column} = {value}")));
        }
        Change::Hash => {
            log.run(&set(&format!("notary_hash = {GARBAGE}")));
            // Of a last entry nobody can say whether its values or its hash were changed.
            here(last_is_general("hash_changed"))
        }
        Change::HashNull => {
            log.run(&set("notary_hash = NULL"));
            here("hash_changed")
        }
        Change::HashShort => {
            log.run(&set("notary_hash = substr(notary_hash, 1, 31)"));
            here("hash_changed")
        }
        Change::Prev => {
            log.run(&set(&format!("notary_prev = {GARBAGE}")));
            here("hash_changed")
        }
        Change::PrevNull => {
            log.run(&set("notary_prev = NULL"));
            here("hash_changed")
        }
        Change::PrevAndHash => {
            log.run(&set("notary_prev = NULL, notary_hash = NULL"));
            here("hash_changed")
        }
        Change::Time => {
            let time = ["notary_time + interval '1 microsecond'", "notary_time - interval '1 year'", "'-infinity'"];
            log.run(&set(&format!("notary_time = {}", time.choose(rng)?)));
            here("value_changed")
        }
        Change::TimeNull => {
            log.run(&set("notary_time = NULL"));
            here("value_changed")
        }
        Change::Seq => {
            let to = [format!("{}", last + rng.random_range(1..6)), "NULL".into(), "0".into(), "-3".into()];
            log.run(&set(&format!("notary_seq = {}", to.choose(rng)?)));
            here("value_changed")
        }
        Change::Chain => {
            // In the place of another row it would not be one change: the constraint is on.
            let own = format!("{}", 40 + territory.number);
            let to = ["NULL".to_owned(), own, "0".into(), "-1".into(), "65536".into(), "2147483647".into()];
            log.run(&set(&format!("notary_chain = {}", to.choose(rng)?)));
            here("value_changed")
        }
        Change::PlaceNull => {
            log.run(&set("notary_chain = NULL, notary_seq = NULL"));
            here("value_changed")
        }
        Change::Delete => {
            let to = (seq + rng.random_range(0..3)).min(last - 1);
            if to < seq {
                return None;
            }
            log.run(&format!("DELETE FROM {table} WHERE notary_chain = {chain} AND notary_seq BETWEEN {seq} AND {to}"));
            here("missing")
        }
        Change::ExchangePlaces | Change::ExchangeValues => {
            let other = territory.entries[below(rng, territory.entries.len())].clone();
            if other == entry {
                return None;
            }
            exchange(log, change, &entry, &other);
            [here("swapped"), at("swapped", other.chain, other.seq)].concat()
        }
        Change::Copy => {
            let to = last + rng.random_range(1..4);
            log.run(&copy(&entry, chain, to));
            at("inserted", chain, to)
        }
        Change::CopyToChain => {
            let chains = territory.entries.iter().map(|e| e.chain);
            let mut chains: Vec<i32> = chains.chain([40 + territory.number]).filter(|c| *c != chain).collect();
            chains.dedup();
            let to_chain = *chains.choose(rng)?;
            let to = log.last(table, to_chain) + rng.random_range(1..4);
            if to == 1 && seq == 1 {
                // As the first entry of a new chain it has the right prev, which makes it a changed row.
                return None;
            }
            log.run(&copy(&entry, to_chain, to));
            at("inserted", to_chain, to)
        }
        // What ends in the last entry is only shown by a seal.
        Change::Rehash | Change::RehashStretch | Change::RehashPrev if entry.is_last() => return None,
        Change::Rehash => {
            log.run(&set("who = 'forged'"));
            log.run(&set(&format!("notary_hash = {REHASHED}")));
            here("value_changed")
        }
        Change::RehashStretch => {
            let to = (seq + rng.random_range(1..5)).min(last - 1);
            log.run(&set("who = 'forged'"));
            log.run(&set(&format!("notary_hash = {REHASHED}")));
            for seq in seq + 1..=to {
                let next = log.find(table, chain, seq)?;
                let before = format!(
                    "(SELECT notary_hash FROM {table} WHERE notary_chain = {chain} AND notary_seq = {})",
                    seq - 1
                );
                log.run(&update(&next, &format!("notary_prev = {before}")));
                log.run(&update(&next, &format!("notary_hash = {REHASHED}")));
            }
            at("value_changed", chain, to)
        }
        Change::RehashPrev => {
            log.run(&set(&format!("notary_prev = {GARBAGE}")));
            log.run(&set(&format!("notary_hash = {REHASHED}")));
            here("hash_changed")
        }
        Change::Unchain => {
            log.run(&set(
                "notary_chain = NULL, notary_seq = NULL, notary_time = NULL, notary_prev = NULL, notary_hash = NULL",
            ));
            let missing = if entry.is_last() { Vec::new() } else { here("missing") };
            [missing, vec![(table.clone(), "unchained".to_owned())]].concat()
        }
        Change::UnchainedRow => {
            log.run(&format!("INSERT INTO {table} ({OWN}) SELECT {OWN} FROM {table} WHERE id = {}", entry.id));
            vec![(table.clone(), "unchained".to_owned())]
        }
        Change::Forge => {
            // Hashed rightly, it claims that there were others before it.
            let to = last + rng.random_range(2..5);
            log.run(&copy(&entry, chain, to));
            let forged = format!("WHERE notary_chain = {chain} AND notary_seq = {to}");
            log.run(&format!("UPDATE {table} SET who = 'forged', notary_prev = {GARBAGE} {forged}"));
            log.run(&format!("UPDATE {table} SET notary_hash = {REHASHED} {forged}"));
            at("missing", chain, last + 1)
        }
        // Several of these at once would be about one place, or about what other chains start from.
        alone if alone.wants_to_be_alone() && !territory.alone => return None,
        Change::CopyBeside => {
            let beside = territory.entries.choose(rng)?;
            log.run_without_uniqueness(table, &copy(&entry, beside.chain, beside.seq));
            at("inserted", beside.chain, beside.seq)
        }
        Change::Fork => {
            log.run(&format!("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM {table} WHERE id = {}", entry.id));
            log.run(&set("who = 'forged'"));
            log.run(&set(&format!("notary_hash = {REHASHED}")));
            let places = "notary_chain, notary_seq, notary_time, notary_prev, notary_hash";
            let back = format!("INSERT INTO {table} ({OWN}, {places}) SELECT {OWN}, {places} FROM kept");
            // Where rows are stored in no order, the two meet before their neighbours do.
            let then = if table == "one" { SHUFFLE } else { "" };
            log.run_without_uniqueness(table, &format!("{back}; {then}"));
            log.run("DROP TABLE kept");
            here("fork")
        }
        Change::LateStart if last < 2 => return None,
        Change::LateStart => {
            let left = log.find(table, chain, last)?;
            let start = format!("(SELECT notary_prev FROM {table} WHERE notary_chain = {chain} AND notary_seq = 1)");
            log.run(&update(&left, &format!("notary_prev = {start}")));
            log.run(&format!("DELETE FROM {table} WHERE notary_chain = {chain} AND notary_seq < {last}"));
            log.run(&update(&left, &format!("notary_hash = {REHASHED}")));
            at("missing", chain, 1)
        }
        Change::OtherStart => {
            let own = format!("(SELECT notary_prev FROM {table} WHERE notary_chain = {chain} AND notary_seq = 1)");
            let others =
                log.count(table, &format!("notary_seq = 1 AND notary_chain <> {chain} AND notary_prev = {own}"));
            let mut prev = GARBAGE.to_owned();
            for seq in 1..=last {
                let next = log.find(table, chain, seq)?;
                log.run(&update(&next, &format!("notary_prev = {prev}")));
                log.run(&update(&next, &format!("notary_hash = {REHASHED}")));
                prev = format!("(SELECT notary_hash FROM {table} WHERE notary_chain = {chain} AND notary_seq = {seq})");
            }
            if others > 0 { at("value_changed", chain, 1) } else { vec![(table.clone(), "header_changed".to_owned())] }
        }
    };
    Some((found, words))
}

fn update(entry: &Entry, assignments: &str) -> String {
    let Entry { table, chain, seq, .. } = entry;
    format!("UPDATE {table} SET {assignments} WHERE notary_chain = {chain} AND notary_seq = {seq}")
}

fn copy(entry: &Entry, chain: i32, seq: i64) -> String {
    let Entry { table, chain: from, seq: at, .. } = entry;
    format!(
        "INSERT INTO {table} ({OWN}, notary_chain, notary_seq, notary_time, notary_prev, notary_hash)
         SELECT {OWN}, {chain}, {seq}, notary_time, notary_prev, notary_hash FROM {table}
         WHERE notary_chain = {from} AND notary_seq = {at}"
    )
}

fn exchange(log: &mut Log, change: Change, one: &Entry, two: &Entry) {
    let table = &one.table;
    if change == Change::ExchangePlaces {
        log.run(&update(one, "notary_chain = -7, notary_seq = -7"));
        log.run(&update(two, &format!("notary_chain = {}, notary_seq = {}", one.chain, one.seq)));
        log.run(&format!(
            "UPDATE {table} SET notary_chain = {}, notary_seq = {} WHERE notary_chain = -7",
            two.chain, two.seq
        ));
        return;
    }
    log.run(&format!(
        "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT {OWN} FROM {table} WHERE id IN ({}, {})",
        one.id, two.id
    ));
    for (entry, other) in [(one, two), (two, one)] {
        log.run(&update(entry, &format!("({OWN}) = (SELECT {OWN} FROM kept WHERE id = {})", other.id)));
    }
    log.run("DROP TABLE kept");
}
