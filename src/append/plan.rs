//! What is known of a table that rows are chained in: its segment, its columns, its index. Kept per backend, dropped
//! when the relcache says that the table's definition changed.

use super::heads;
use crate::error::Error;
use crate::journal;
use crate::log::Segment;
use crate::pg::index;
use crate::pg::inval;
use crate::pg::relation::Rel;
use crate::pg::row::{NotaryColumns, RowWriter};
use crate::pg::trigger::Values;
use crate::pg::tuple::Layout;
use notary_core::digest::{Digest, Hasher};
use notary_core::line::Opening;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// How to chain a row of one table.
pub struct Plan {
    /// The table.
    pub table: pg_sys::Oid,
    /// What its lines begin with.
    pub opening: Opening,
    /// Its first chain.
    pub first_chain: u32,
    /// Its last chain, by max_chains or by the format's cap.
    pub last_chain: u32,
    /// max_chains, if there is one.
    pub max_chains: Option<u32>,
    /// What the first entry of each chain has as prev.
    pub header_hash: Digest,
    /// Where our columns are.
    pub columns: NotaryColumns,
    /// How its rows lie in memory, where that is known here.
    pub layout: Option<Layout>,
    /// The unique index over (notary_chain, notary_seq).
    pub index: pg_sys::Oid,
    /// Where its chains end, as far as known.
    pub heads: heads::Shared,
    /// Is the table notary.journal, which only pg_notary writes?
    pub journal: bool,
    /// Hashes its lines.
    pub hasher: Hasher,
    writer: RowWriter,
    names: Vec<(usize, String)>,
}

type Shared = Rc<RefCell<Plan>>;

thread_local! {
    static PLANS: RefCell<HashMap<pg_sys::Oid, Shared>> = RefCell::default();
    static SEEN: Cell<u64> = const { Cell::new(0) };
    /// The one that was asked for last: most statements write to one table.
    static LAST: RefCell<Option<(pg_sys::Oid, Shared)>> = const { RefCell::new(None) };
}

/// The plan for a table, whose append trigger has these arguments; made anew after any change of the table's definition.
pub fn get(table: &Rel, args: impl FnOnce() -> Vec<Vec<u8>>) -> Result<Shared, Error> {
    let epoch = inval::epoch();
    if SEEN.get() != epoch {
        let changed = inval::changed_since(SEEN.replace(epoch));
        LAST.set(None);
        PLANS.with_borrow_mut(|plans| match changed {
            None => plans.clear(),
            Some(changed) => plans.retain(|table, _| !changed.contains(table)),
        });
    }
    let oid = table.oid();
    let last = LAST.with_borrow(|last| last.as_ref().filter(|(table, _)| *table == oid).map(|(_, plan)| plan.clone()));
    if let Some(plan) = last {
        return Ok(plan);
    }
    let known = PLANS.with_borrow(|plans| plans.get(&oid).cloned());
    let plan = match known {
        Some(plan) => plan,
        None => {
            let plan = Rc::new(RefCell::new(Plan::make(table, &args())?));
            PLANS.with_borrow_mut(|plans| plans.insert(oid, plan.clone()));
            plan
        }
    };
    LAST.set(Some((oid, plan.clone())));
    Ok(plan)
}

impl Plan {
    fn make(table: &Rel, args: &[Vec<u8>]) -> Result<Self, Error> {
        let damaged = |why: String| Error::BadTrigger { table: table.qualified(), why };
        let segment = Segment::parse(args).map_err(damaged)?;
        let columns = NotaryColumns::of(table).ok_or_else(|| damaged("A notary_* column is missing.".into()))?;
        if !table.has_index() {
            return Err(damaged("pg_class says that the table has no index.".into()));
        }
        let index = index::chain_index(table, &columns).ok_or_else(|| {
            damaged("The unique index over (notary_chain, notary_seq) is missing or not valid.".into())
        })?;
        let header = segment.current();
        let cap = notary_core::chain::MAX_CHAIN;
        let last_chain = segment.max_chains.map_or(cap, |n| header.first_chain.saturating_add(n - 1).min(cap));
        Ok(Self {
            table: table.oid(),
            opening: Opening::of(header.log, header.segment),
            first_chain: header.first_chain,
            last_chain,
            max_chains: segment.max_chains,
            header_hash: header.hash(),
            journal: journal::is_table(table.oid()),
            layout: Layout::of(table, &columns),
            columns,
            index,
            heads: heads::of(table.oid()),
            hasher: Hasher::default(),
            writer: RowWriter::of(table)?,
            names: table.columns().into_iter().map(|column| (column.index(), column.name)).collect(),
        })
    }

    /// May a row go into this chain? Not into one of an earlier segment, which a transaction may still hold that ended
    /// the protection and began it anew.
    pub fn has(&self, chain: u32) -> bool {
        (self.first_chain..=self.last_chain).contains(&chain)
    }

    /// Appends the members of `row`.
    pub fn write_row(&mut self, line: &mut Vec<u8>, row: &Values) -> Result<(), Error> {
        self.writer.write_insert(line, row, &mut self.hasher)
    }

    /// Where the value of the column at an index stands in the line that was written last; empty for NULL.
    pub fn span(&self, index: usize) -> Range<usize> {
        self.writer.span(index)
    }

    /// The name of the column at an index.
    pub fn column_name(&self, index: usize) -> String {
        self.names.iter().find(|(i, _)| *i == index).map_or_else(String::new, |(_, name)| name.clone())
    }
}
