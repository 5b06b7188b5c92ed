//! `notary.log_event`: events as applications emit them, read by `notary_core::event`, written with the caller's rights.

use super::{about, ids};
use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::gucs;
use crate::pg::relation::Rel;
use crate::pg::{context, names, spi};
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::iter::SetOfIterator;
use pgrx::{Uuid, pg_extern, pg_sys};

// WAITING FOR CORE
