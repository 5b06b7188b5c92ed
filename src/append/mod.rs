//! The write path: a BEFORE INSERT row trigger gives every row its place in a chain and its hash.
//!
//! Invariants:
//! * A row's line is made from the values it will be stored with: this trigger is the last one (names sort by bytes), and
//!   nothing here changes any column but ours.
//! * A chain has one writing transaction at a time (`pg::lock`), which keeps it to its end; so a chain's entries are
//!   committed in order, and a crash or a rollback takes away a suffix at most.
//! * Writers never wait for each other, unless `max_chains` says so.
//! * Nothing remembered here is believed without a look at the index (`heads`): the table is the only truth.

mod heads;
mod plan;

use crate::error::{Error, OrRaise as _};
use crate::gucs;
use crate::journal;
use crate::pg::entry::entry_point;
use crate::pg::relation::Rel;
use crate::pg::row::clear_line;
use crate::pg::trigger::{Insert, Values};
use crate::pg::tuple::Stamp;
use crate::pg::{context, inval};
use heads::Next;
use notary_core::digest::Digest;
use notary_core::line;
use pgrx::pg_sys;
use plan::Plan;
use std::cell::RefCell;
use std::rc::Rc;

/// What is kept from call to call to save allocations.
#[derive(Default)]
struct Buffers {
    row: Values,
    line: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Registers the callbacks; once per backend.
pub fn init() {
    inval::init();
    heads::init();
}

entry_point!(notary_append, pg_finfo_notary_append, append);

fn append(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let buffers = BUFFERS.take();
    let Some(mut row) = Insert::unread(fcinfo, buffers.row) else {
        Error::Installation {
            message: "notary.append() was not called as a BEFORE INSERT row trigger".into(),
            detail: "It chains rows that are being inserted into a log.".into(),
            hint: "Use notary.protect(table) to make a table a log.".into(),
        }
        .raise()
    };
    let mut line = buffers.line;
    let tuple = chain_row(&mut row, &mut line).or_raise();
    clear_line(&mut line);
    BUFFERS.set(Buffers { row: row.row, line });
    tuple
}

/// A row that has its place in a chain, and is to be stored by who asked for it.
pub struct Entry {
    next: Next,
    hash: Digest,
    plan: Rc<RefCell<Plan>>,
    line: Vec<u8>,
}

impl Entry {
    /// Gives a row its place and its hash as the trigger does, for a row that goes round it: into a log with this append
    /// trigger's arguments, and stored, or an error, before anything else happens in this transaction.
    pub fn of(table: &Rel, args: impl FnOnce() -> Vec<Vec<u8>>, row: &mut Values) -> Result<Self, Error> {
        let plan = plan::get(table, args)?;
        let mut line = BUFFERS.with_borrow_mut(|buffers| std::mem::take(&mut buffers.line));
        let (next, hash) = {
            let mut plan = plan.borrow_mut();
            let next = plan.heads.next(&plan, table, NO_STATEMENT)?;
            let (hash, stamp) = write_line(&mut plan, next, row, &mut line)?;
            row.stamp(&plan.columns, &stamp);
            (next, hash)
        };
        Ok(Self { next, hash, plan, line })
    }

    /// What the entry's line says of the column with this index: empty for NULL.
    pub fn said(&self, index: usize) -> &[u8] {
        self.line.get(self.plan.borrow().span(index)).unwrap_or_default()
    }

    /// The row is stored.
    pub fn stored(mut self) {
        self.plan.borrow().heads.stored(self.next, self.hash);
        clear_line(&mut self.line);
        BUFFERS.with_borrow_mut(|buffers| buffers.line = self.line);
    }
}

/// Where no trigger calls.
const NO_STATEMENT: usize = 0;

/// Makes the row an entry; what PostgreSQL is to go on with.
fn chain_row(row: &mut Insert, line: &mut Vec<u8>) -> Result<pg_sys::Datum, Error> {
    let plan = plan::get(&row.table(), || row.args())?;
    let mut plan = plan.borrow_mut();
    row.read(plan.layout.as_ref());
    if let Some(index) = plan.columns.all().into_iter().find(|i| !row.row.nulls()[*i]) {
        if context::replica_role() || (gucs::restore() && context::superuser()) {
            if plan.journal && journal_is_begun()? {
                return Err(not_by_hand(row));
            }
            // The row may be any entry of any chain: what is remembered of this table's chains is void.
            plan.heads.forget();
            return Ok(row.as_it_came());
        }
        return Err(Error::ValuesSupplied { table: row.table().qualified(), column: plan.column_name(index) });
    }
    if plan.journal && !journal::is_writing() {
        return Err(not_by_hand(row));
    }
    let next = plan.heads.next(&plan, &row.table(), row.caller())?;
    let (hash, stamp) = write_line(&mut plan, next, &row.row, line)?;
    plan.heads.on_its_way(row, next, hash);
    Ok(row.stamped(plan.layout.as_ref(), &plan.columns, &stamp))
}

/// Writes a row's line for its place; its hash, and what belongs into our columns.
fn write_line(plan: &mut Plan, next: Next, row: &Values, line: &mut Vec<u8>) -> Result<(Digest, Stamp), Error> {
    let time = context::clock();
    line.clear();
    plan.opening.begin(line, next.chain, next.seq, time, &next.prev);
    plan.hasher.begin(line);
    plan.write_row(line, row)?;
    line::end(line);
    if line.len() > line::MAX_LINE {
        return Err(Error::LineTooLong);
    }
    let hash = plan.hasher.end(line);
    let stamp = Stamp {
        chain: i32::try_from(next.chain).unwrap_or(i32::MAX),
        seq: i64::try_from(next.seq).unwrap_or(i64::MAX),
        time,
        prev: *next.prev.as_bytes(),
        hash: *hash.as_bytes(),
    };
    Ok((hash, stamp))
}

/// The refusal to write an entry of the journal.
fn not_by_hand(row: &Insert) -> Error {
    Error::Refused {
        attempt: "INSERT".into(),
        log: row.table().qualified(),
        detail: "Only pg_notary writes its journal, in the transaction of what it tells.".into(),
        hint: String::new(),
    }
}

/// Is the journal one that goes on here, and no copy whose rows are being loaded? Those were all made in another
/// database. Looked up once in a transaction: a load brings many rows.
fn journal_is_begun() -> Result<bool, Error> {
    thread_local! {
        static FOUND: context::Found = const { context::Found::new((0, false)) };
    }
    FOUND.with(|found| context::once(found, journal::is_begun))
}
