//! What is kept of tables from call to call, and made anew after any change of their definition.

use super::{inval, relation::Rel};
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Something kept for each table.
pub struct PerTable<T> {
    all: RefCell<HashMap<pg_sys::Oid, Rc<T>>>,
    seen: Cell<u64>,
}

impl<T> PerTable<T> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { all: RefCell::default(), seen: Cell::new(0) }
    }

    /// What is kept for the table, or what `make` makes of it.
    pub fn get<E>(&self, table: &Rel, make: impl FnOnce(&Rel) -> Result<T, E>) -> Result<Rc<T>, E> {
        let epoch = inval::epoch();
        let seen = self.seen.replace(epoch);
        if seen != epoch {
            match inval::changed_since(seen) {
                None => self.all.borrow_mut().clear(),
                Some(changed) => self.all.borrow_mut().retain(|table, _| !changed.contains(table)),
            }
        }
        let oid = table.oid();
        if let Some(known) = self.all.borrow().get(&oid) {
            return Ok(known.clone());
        }
        let made = Rc::new(make(table)?);
        // Making it may have read catalogs, and so heard of changes.
        self.seen.set(epoch);
        self.all.borrow_mut().insert(oid, made.clone());
        Ok(made)
    }
}
