//! Pages of a relation's main fork, read under their lock.

use super::relation::Rel;
use pgrx::pg_sys;

/// How many bytes a page has.
pub const BLOCK_SIZE: usize = pg_sys::BLCKSZ as usize;

/// Pins a page and locks its content against changes; the bytes live as long as the pin. Raises what reading raises.
///
/// # Safety
/// The block is below the relation's length. The caller lets lock and pin go (UnlockReleaseBuffer), or, on error, the
/// (sub)transaction's resource owner does.
pub unsafe fn pin<'p>(rel: &Rel, block: u32, strategy: pg_sys::BufferAccessStrategy) -> (pg_sys::Buffer, &'p [u8]) {
    // SAFETY: the caller's promise; a buffer holds a whole page.
    unsafe {
        let (fork, mode) = (pg_sys::ForkNumber::MAIN_FORKNUM, pg_sys::ReadBufferMode::RBM_NORMAL);
        let buffer = pg_sys::ReadBufferExtended(rel.raw(), fork, block, mode, strategy);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        (buffer, std::slice::from_raw_parts(pg_sys::BufferGetPage(buffer).cast::<u8>(), BLOCK_SIZE))
    }
}
