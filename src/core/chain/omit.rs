//! Single checks that a test can take out of the verifier, to prove that the tests of tampering notice when one is gone.
//!
//! Invariant: but for this crate's own tests and a build with the feature `omissions`, which no installation has,
//! nothing can be left out; [`is_omitted`] is the constant false.

#[cfg(any(test, feature = "omissions"))]
use std::cell::Cell;

/// What tells one kind of damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
    /// A row's values hash to its stored hash.
    Hash,
    /// A row commits to the one before it.
    Link,
    /// A place is taken once.
    Overlap,
    /// A chain is one stretch.
    OneRun,
    /// A chain starts with seq 1.
    Start,
    /// A chain starts from the header.
    Header,
    /// A row has a chain that can be.
    Outside,
    /// What another worker found damaged is damaged.
    WorkersDamage,
    /// What another worker read belongs to the chain.
    WorkersRuns,
    /// Entries between two that are there are missing.
    Gap,
    /// A row was hashed again.
    Rehashed,
    /// Several valid rows at one place are a fork.
    Fork,
    /// A row without a place is unchained.
    Unchained,
    /// Rows beside the right one are inserted.
    Beside,
    /// The first entry of a chain commits to something else than the header.
    WrongFirst,
    /// Only prev was changed.
    PrevAlone,
    /// Only the hash was changed.
    HashAlone,
    /// A row stands where another one belongs.
    Moved,
    /// Two rows stand in each other's places.
    ExchangedPlaces,
    /// Two rows hold each other's values.
    ExchangedValues,
}

/// Is the check left out?
#[cfg(not(any(test, feature = "omissions")))]
#[inline]
pub(super) const fn is_omitted(_: Check) -> bool {
    false
}

/// Is the check left out?
#[cfg(any(test, feature = "omissions"))]
pub(super) fn is_omitted(check: Check) -> bool {
    OMITTED.get() == Some(check)
}

#[cfg(any(test, feature = "omissions"))]
thread_local! {
    static OMITTED: Cell<Option<Check>> = const { Cell::new(None) };
}

/// Runs `work` with a verifier that lacks one check.
#[cfg(test)]
pub(super) fn without<T>(check: Check, work: impl FnOnce() -> T) -> T {
    OMITTED.set(Some(check));
    let result = work();
    OMITTED.set(None);
    result
}

/// Takes the check of this name out of this thread's verifier, or none for an empty name.
///
/// # Errors
/// No check has the name: the names that there are.
#[cfg(feature = "omissions")]
pub fn omit(name: &str) -> Result<(), Vec<String>> {
    let names = || Check::ALL.iter().map(|check| format!("{check:?}"));
    let check = names().position(|known| known == name).and_then(|at| Check::ALL.get(at)).copied();
    if check.is_none() && !name.is_empty() {
        return Err(names().collect());
    }
    OMITTED.set(check);
    Ok(())
}

#[cfg(any(test, feature = "omissions"))]
impl Check {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Hash,
        Self::Link,
        Self::Overlap,
        Self::OneRun,
        Self::Start,
        Self::Header,
        Self::Outside,
        Self::WorkersDamage,
        Self::WorkersRuns,
        Self::Gap,
        Self::Rehashed,
        Self::Fork,
        Self::Unchained,
        Self::Beside,
        Self::WrongFirst,
        Self::PrevAlone,
        Self::HashAlone,
        Self::Moved,
        Self::ExchangedPlaces,
        Self::ExchangedValues,
    ];
}
