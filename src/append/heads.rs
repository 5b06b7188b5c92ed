//! Which chain a row goes into, and after which entry.
//!
//! Per transaction and table this remembers the chains whose lock is held, and for each the entry that was last seen to
//! be stored (`head`) and the row that our trigger made last but that may not be stored yet (`flight`). What is
//! remembered is a guess until the index confirms it:
//!
//! * A row that our trigger made may never land: ON CONFLICT DO NOTHING, a later trigger that returns NULL. When the
//!   same statement comes again, PostgreSQL's own count of stored rows may say that it landed; otherwise, and when the
//!   statement has ended, the index says it. If it did not, its seq is given out again.
//! * While the statement that made it still runs, another statement that is nested in it (from a CHECK, domain, policy
//!   or index expression) cannot know, and takes another chain.
//! * A rollback to a savepoint gives back the locks taken since, and the rows: heads are looked up again, chains whose
//!   lock was taken inside are forgotten. Rows in flight of statements that began before the savepoint stay known.
//! * Across transactions only a hint stays: a chain and its last entry. A look at its place in the index confirms it.
//!
//! The head of a chain nobody remembers is the highest visible entry in the index. After a large rollback that scan would
//! walk all the dead entries, so it gives up early. Such a chain is littered: whoever goes on with it meets a dead entry at each
//! place. So another chain is taken, unless some were passed by already, or there are no others; then the head is found by
//! doubling and halving, which a chain without gaps allows.

use super::plan::Plan;
use crate::error::Error;
use crate::pg::chain_end::{Leaf, MANY};
use crate::pg::context::{self, End, Statement};
use crate::pg::counts::Counts;
use crate::pg::index::{ChainIndex, Found, Last, Only};
use crate::pg::lock::ChainLock;
use crate::pg::relation::Rel;
use crate::pg::trigger::Insert;
use notary_core::digest::Digest;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The place of a new entry.
#[derive(Clone, Copy)]
pub struct Next {
    pub chain: u32,
    pub seq: u64,
    pub prev: Digest,
}

/// An entry that is stored; seq 0 stands for the header.
#[derive(Clone, Copy)]
struct Head {
    seq: u64,
    hash: Digest,
}

/// A row our trigger made that may or may not be stored.
#[derive(Clone, Copy)]
struct Flight {
    hash: Digest,
    caller: usize,
    statement: Statement,
    /// How many rows were stored before it, and by the how many-th call of `next` it was made.
    before: Option<Counts>,
    call: u64,
}

/// A chain whose lock this transaction holds.
struct Held {
    chain: u32,
    /// The subtransaction that the lock belongs to.
    sub: u32,
    /// None: must be looked up.
    head: Option<Head>,
    flight: Option<Flight>,
    /// Of the entry that was the last one before this transaction.
    known: Known,
}

/// What is remembered of a chain's last entry besides.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The leaf of the index that had it, or its predecessor.
    leaf: Option<Leaf>,
    /// The chain is gone on with although it is littered.
    littered: bool,
}

/// The chain that this backend wrote to last, and its last entry as far as known.
#[derive(Clone, Copy)]
struct Hint {
    chain: u32,
    head: Option<Head>,
    known: Known,
}

#[derive(Default)]
struct Heads {
    held: Vec<Held>,
    hint: Option<Hint>,
    /// The statements under way that have called, so that each is watched once and not for every row.
    watched: Vec<(usize, Statement)>,
    /// Calls of `next`, and of `forget`.
    calls: u64,
}

/// A backend that has written to more logs than this forgets the hints of all.
const MAX_HINTS: usize = 10_000;
/// How many littered chains are passed by; the next one is gone on with.
const MAX_PASSED_BY: usize = 4;

/// What is known of one table's heads. It is borrowed while PostgreSQL is called: the index, locks. No code of a user runs there,
/// so that nobody else asks for it; and an error that unwinds leaves it as it is, so that rows in flight of statements around the
/// failed one stay known.
pub struct Shared(Rc<RefCell<Heads>>);

thread_local! {
    /// Those of all tables, for the ends of transactions to reach.
    static HEADS: RefCell<HashMap<pg_sys::Oid, Rc<RefCell<Heads>>>> = RefCell::default();
}

/// A table's heads, for its plan to keep.
pub fn of(table: pg_sys::Oid) -> Shared {
    HEADS.with_borrow_mut(|all| {
        if all.len() > MAX_HINTS {
            // Whatever a plan keeps is to stay within reach.
            all.retain(|_, heads| {
                Rc::strong_count(heads) > 1 || heads.try_borrow().map_or(true, |heads| !heads.held.is_empty())
            });
        }
        Shared(all.entry(table).or_default().clone())
    })
}

pub fn init() {
    context::on_transaction_end(on_end);
}

impl Shared {
    /// Forgets what is known of the heads; the locks stay.
    pub fn forget(&self) {
        let mut heads = self.0.borrow_mut();
        heads.hint = None;
        heads.calls += 1;
        for held in &mut heads.held {
            held.head = None;
        }
    }

    /// The place of the next entry, on a chain whose lock this transaction holds from now on.
    ///
    /// `caller` tells one statement's calls from another's while either is under way.
    pub fn next(&self, plan: &Plan, table: &Rel, caller: usize) -> Result<Next, Error> {
        let mut index = ChainIndex::of_insert(table, plan.index, plan.columns);
        self.0.borrow_mut().next(plan, caller, &mut index)
    }

    /// Remembers that a row with this place and hash is on its way to the table.
    pub fn on_its_way(&self, row: &Insert, next: Next, hash: Digest) {
        let caller = row.caller();
        let before = Counts::of(&row.table());
        let mut heads = self.0.borrow_mut();
        let statement = heads.statement(caller, row);
        let call = heads.calls;
        if let Some(held) = heads.held.iter_mut().find(|h| h.chain == next.chain) {
            held.head = Some(Head { seq: next.seq - 1, hash: next.prev });
            held.flight = Some(Flight { hash, caller, statement, before, call });
        }
    }

    /// Remembers that a row with this place and hash is stored.
    pub fn stored(&self, next: Next, hash: Digest) {
        let mut heads = self.0.borrow_mut();
        if let Some(held) = heads.held.iter_mut().find(|held| held.chain == next.chain) {
            held.head = Some(Head { seq: next.seq, hash });
            held.flight = None;
        }
    }
}

impl Heads {
    /// The watch over the statement that calls. One address serves one statement at a time.
    fn statement(&mut self, caller: usize, row: &Insert) -> Statement {
        let known = self.watched.iter().find(|(c, s)| *c == caller && s.running());
        if let Some((_, statement)) = known {
            return *statement;
        }
        self.watched.retain(|(_, statement)| statement.running());
        let statement = row.watch_statement();
        self.watched.push((caller, statement));
        statement
    }

    fn next(&mut self, plan: &Plan, caller: usize, index: &mut ChainIndex<'_>) -> Result<Next, Error> {
        self.calls += 1;
        let calls = self.calls;
        for held in self.held.iter_mut().filter(|h| plan.has(h.chain)) {
            if let Some(next) = held.next(plan, caller, calls, index) {
                return Ok(next);
            }
        }
        self.another_chain(plan, index)
    }

    /// Takes a chain that this transaction does not use yet: the last one it used, then from the lowest up.
    fn another_chain(&mut self, plan: &Plan, index: &mut ChainIndex<'_>) -> Result<Next, Error> {
        // The leaf is taken out: should reading it raise, the next statement goes on without it.
        let hint = self.hint.filter(|h| plan.has(h.chain));
        if let Some(hint) = &mut self.hint {
            hint.known.leaf = None;
        }
        let first = hint.map(|h| h.chain);
        let rest = (plan.first_chain..=plan.last_chain).filter(|chain| Some(*chain) != first);
        let mut damaged = 0_u32;
        let mut passed_by = Vec::new();
        for chain in first.into_iter().chain(rest) {
            if self.held.iter().any(|h| h.chain == chain) || !lock(plan, chain).try_acquire() {
                continue;
            }
            let remembered = hint.filter(|h| h.chain == chain);
            match find(plan, chain, remembered, index) {
                (Sought::Head(head), known) => return Ok(self.hold(chain, head, known)),
                (Sought::Littered, _) if passed_by.len() < MAX_PASSED_BY => {
                    lock(plan, chain).release();
                    passed_by.push(chain);
                    continue;
                }
                (Sought::Littered, _) => {
                    if let Some(head) = before_litter(plan, chain, index) {
                        return Ok(self.hold(chain, head, Known::LITTERED));
                    }
                }
                (Sought::Damaged, _) => {}
            }
            damaged += 1;
        }
        // There are no others.
        for chain in passed_by {
            if lock(plan, chain).try_acquire() {
                match look_up(plan, chain, index) {
                    Some(head) => return Ok(self.hold(chain, head, Known::LITTERED)),
                    None => damaged += 1,
                }
            }
        }
        self.wait(plan, index, damaged)
    }

    /// All chains that max_chains (or the format) allows are taken.
    fn wait(&mut self, plan: &Plan, index: &mut ChainIndex<'_>, damaged: u32) -> Result<Next, Error> {
        let table = || Rel::open(plan.table, pg_sys::NoLock).qualified();
        let holds_one = self.held.iter().any(|h| plan.has(h.chain));
        if let (Some(max_chains), true) = (plan.max_chains, holds_one) {
            return Err(Error::NestedInsert { table: table(), max_chains });
        }
        let count = plan.last_chain.saturating_sub(plan.first_chain).saturating_add(1);
        if plan.last_chain < plan.first_chain || damaged >= count {
            let why = format!("The chains {} to {} are damaged or used up.", plan.first_chain, plan.last_chain);
            return Err(Error::NoChain { table: table(), why });
        }
        // Spread the waiting over the chains by backend, so that a long transaction stops its share only.
        let start = context::process_id() % count;
        for offset in 0..count {
            let chain = plan.first_chain + (start + offset) % count;
            lock(plan, chain).acquire();
            if let Some(head) = look_up(plan, chain, index) {
                return Ok(self.hold(chain, head, Known::default()));
            }
        }
        Err(Error::NoChain { table: table(), why: "Every chain is damaged.".into() })
    }

    /// Notes that the lock of a chain with this head is held.
    fn hold(&mut self, chain: u32, head: Head, known: Known) -> Next {
        self.held.push(Held { chain, sub: context::subtransaction(), head: Some(head), flight: None, known });
        after(chain, head)
    }
}

impl Known {
    const LITTERED: Self = Self { leaf: None, littered: true };
}

impl Flight {
    /// Has the row been stored, as far as can be said without asking the index? All rows come by here before they are stored;
    /// so if the same statement comes again, nobody came in between, and one row more is stored, it is this one.
    fn has_landed(&self, caller: usize, call: u64, table: &Rel) -> bool {
        let is_next = self.caller == caller && self.call + 1 == call;
        is_next && self.before.zip(Counts::of(table)).is_some_and(|(before, now)| before.has_one_more(now))
    }
}

impl Held {
    /// The next place on this chain, or None when it cannot be used now.
    fn next(&mut self, plan: &Plan, caller: usize, call: u64, index: &mut ChainIndex<'_>) -> Option<Next> {
        let head = match self.head {
            Some(head) => head,
            None if self.in_flight_elsewhere(caller) => return None,
            None => look_up(plan, self.chain, index)?,
        };
        let Some(flight) = self.flight else {
            self.head = Some(head);
            return Some(after(self.chain, head));
        };
        if flight.has_landed(caller, call, index.table()) {
            let head = Head { seq: head.seq + 1, hash: flight.hash };
            self.flight = None;
            self.head = Some(head);
            return Some(after(self.chain, head));
        }
        let landed = probe(index, self.chain, head.seq + 1).filter(|found| !found.speculative);
        let head = match landed {
            Some(found) => Head { seq: head.seq + 1, hash: found.hash? },
            None if self.in_flight_elsewhere(caller) => return None,
            None => head,
        };
        debug_assert!(landed.is_none() || head.hash == flight.hash, "what landed is what was made");
        self.flight = None;
        self.head = Some(head);
        Some(after(self.chain, head))
    }

    /// Is a row under way that was made by another statement than the caller's, which has not ended?
    fn in_flight_elsewhere(&self, caller: usize) -> bool {
        self.flight.is_some_and(|f| f.caller != caller && f.statement.running())
    }
}

fn lock(plan: &Plan, chain: u32) -> ChainLock {
    ChainLock::new(plan.table, u16::try_from(chain).unwrap_or(u16::MAX)) // MAX_CHAIN bounds the plan's chains
}

fn after(chain: u32, head: Head) -> Next {
    Next { chain, seq: head.seq + 1, prev: head.hash }
}

fn probe(index: &mut ChainIndex<'_>, chain: u32, seq: u64) -> Option<Found> {
    index.get(i32::try_from(chain).ok()?, i64::try_from(seq).ok()?)
}

/// The remembered head, if it is stored and nothing follows it, unless the chain has become littered since; `known`: what is
/// remembered besides, and then what is found.
fn confirm(head: Head, known: &mut Known, chain: u32, index: &mut ChainIndex<'_>) -> Option<Head> {
    let (number, seq) = (i32::try_from(chain).ok()?, i64::try_from(head.seq).ok().filter(|seq| *seq > 0)?);
    let ending = index.ends_with(number, seq, &head.hash, known.leaf);
    known.leaf = ending.map(|ending| ending.leaf);
    if let Some(ending) = ending {
        // How many a scan would see is for a scan to say.
        let as_before = known.littered || !ending.crowded;
        known.littered &= ending.crowded;
        return as_before.then_some(head);
    }
    // Behind the first dead entry there may be very many, and each transaction would come by them.
    let is_head = match index.only_from(number, seq, 1) {
        Only::Entry(found) => u64::try_from(found.seq) == Ok(head.seq) && found.hash == Some(head.hash),
        Only::NoneOrMore => false,
        Only::GaveUp => {
            probe(index, chain, head.seq)?.hash == Some(head.hash) && probe(index, chain, head.seq + 1).is_none()
        }
    };
    is_head.then_some(head)
}

/// What is found at the end of a chain.
enum Sought {
    Head(Head),
    /// So much that is dead that the head was not come to.
    Littered,
    /// Its last entry cannot be gone on from, or it has a gap, which only tampering makes.
    Damaged,
}

/// The head of a chain: the remembered one, if it still is, or else what a scan finds; and what is known of it besides.
fn find(plan: &Plan, chain: u32, remembered: Option<Hint>, index: &mut ChainIndex<'_>) -> (Sought, Known) {
    let mut known = remembered.map_or_else(Known::default, |hint| hint.known);
    let confirmed = remembered.and_then(|hint| confirm(hint.head?, &mut known, chain, index));
    (confirmed.map_or_else(|| scan(plan, chain, index), Sought::Head), known)
}

/// The head of a chain that nothing is known of.
fn scan(plan: &Plan, chain: u32, index: &mut ChainIndex<'_>) -> Sought {
    let Ok(number) = i32::try_from(chain) else {
        return Sought::Damaged;
    };
    match index.last(number, MANY) {
        Last::Entry(found) => head_of(found).map_or(Sought::Damaged, Sought::Head),
        Last::None => Sought::Head(before_all(plan)),
        Last::GaveUp => Sought::Littered,
    }
}

/// The same, whatever is in the way; None when the chain is damaged.
fn look_up(plan: &Plan, chain: u32, index: &mut ChainIndex<'_>) -> Option<Head> {
    match scan(plan, chain, index) {
        Sought::Head(head) => Some(head),
        Sought::Damaged => None,
        Sought::Littered => before_litter(plan, chain, index),
    }
}

/// The head of a chain that is littered.
fn before_litter(plan: &Plan, chain: u32, index: &mut ChainIndex<'_>) -> Option<Head> {
    match search(chain, index)? {
        0 => Some(before_all(plan)),
        seq => head_of(probe(index, chain, seq)?),
    }
}

/// The head of a chain without entries.
fn before_all(plan: &Plan) -> Head {
    Head { seq: 0, hash: plan.header_hash }
}

/// An entry with room for one more, and a hash to go on from: anything else was put there by somebody else.
fn head_of(found: Found) -> Option<Head> {
    let seq = u64::try_from(found.seq).ok().filter(|seq| (1..i64::MAX as u64).contains(seq))?;
    Some(Head { seq, hash: found.hash? })
}

/// The highest visible seq by doubling and halving, 0 for an empty chain; None when the chain turns out to have a gap,
/// which only tampering makes.
fn search(chain: u32, index: &mut ChainIndex<'_>) -> Option<u64> {
    let mut above = 1_u64;
    while probe(index, chain, above).is_some() {
        above = above.checked_mul(2).filter(|n| *n < 1 << 62)?;
    }
    let mut below = above / 2;
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if probe(index, chain, middle).is_some() { below = middle } else { above = middle }
    }
    let beyond = (1..40).any(|bit| probe(index, chain, below + (1 << bit)).is_some());
    (!beyond).then_some(below)
}

fn on_end(end: End) {
    HEADS.with(|all| {
        // No borrow can be open here: no transaction ends while a head is looked for, and an error has unwound before.
        let Ok(all) = all.try_borrow() else {
            return;
        };
        for heads in all.values() {
            if let Ok(mut heads) = heads.try_borrow_mut() {
                heads.on_end(end);
            }
        }
    });
}

impl Heads {
    fn on_end(&mut self, end: End) {
        match end {
            End::Committed => {
                if let Some(held) = self.held.first() {
                    self.hint = Some(Hint { chain: held.chain, head: held.last_made(), known: held.known });
                }
                self.held.clear();
            }
            End::RolledBack | End::Prepared => {
                if let Some(held) = self.held.first() {
                    self.hint = Some(Hint { chain: held.chain, head: None, known: Known::default() });
                }
                self.held.clear();
            }
            End::SubReleased { sub, parent } => {
                for held in self.held.iter_mut().filter(|h| h.sub == sub) {
                    held.sub = parent;
                }
            }
            End::SubRolledBack { sub } => {
                self.held.retain(|h| h.sub != sub);
                // What was counted before is not what is counted from now on.
                self.calls += 1;
                for held in &mut self.held {
                    held.head = None;
                }
            }
        }
    }
}

impl Held {
    /// The newest entry that may be stored: a guess for the next transaction to confirm.
    fn last_made(&self) -> Option<Head> {
        let head = self.head?;
        Some(self.flight.map_or(head, |flight| Head { seq: head.seq + 1, hash: flight.hash }))
    }
}
