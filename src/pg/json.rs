//! From a value of any type to JSON, as `to_jsonb` has it: numbers and booleans as such, json embedded, arrays and rows as
//! arrays and objects, the rest as strings. Times are in UTC and RFC 3339; no setting of the session changes anything.

use super::jsonb_build::{self, Member};
use super::relation;
use super::types::{self, Writer};
use crate::error::Error;
use notary_core::line;
use pgrx::pg_sys;

/// How the values of one column are written.
pub enum JsonWriter {
    /// As in a line.
    Line(Writer),
    /// The output function's text, where it is a number.
    Number(Box<pg_sys::FmgrInfo>),
    /// The text itself.
    Json,
    /// `to_jsonb`, made ready for the type.
    Any(Box<pg_sys::FmgrInfo>),
}

/// Finds the writer for a type; it is kept as long as the backend lives.
pub fn writer(type_oid: pg_sys::Oid) -> JsonWriter {
    // SAFETY: a syscache look-up; raises for a type that does not exist.
    let base = unsafe { pg_sys::getBaseType(type_oid) };
    match base {
        pg_sys::JSONOID => JsonWriter::Json,
        pg_sys::NUMERICOID | pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => JsonWriter::Number(output(base)),
        // Whoever made the type may have made a cast to json, too, and may change it at any time.
        _ if types::is_range(base) => JsonWriter::Line(types::by_output(base)),
        _ => match types::writer(base) {
            // SAFETY: syscache look-ups, InvalidOid where nothing is found.
            Some(writer) if unsafe { pg_sys::get_element_type(base) } == pg_sys::InvalidOid => JsonWriter::Line(writer),
            _ => JsonWriter::Any(to_jsonb(type_oid)),
        },
    }
}

fn output(base: pg_sys::Oid) -> Box<pg_sys::FmgrInfo> {
    let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
    let mut info = Box::new(pg_sys::FmgrInfo::default());
    // SAFETY: look-ups for an existing type; what the function keeps lives as long as the backend, as the writer does.
    unsafe {
        pg_sys::getTypeOutputInfo(base, &mut function, &mut is_varlena);
        pg_sys::fmgr_info_cxt(function, info.as_mut(), pg_sys::CacheMemoryContext);
    }
    info
}

/// `to_jsonb(anyelement)` learns its argument's type from the call's expression: here a parameter of that type.
fn to_jsonb(type_oid: pg_sys::Oid) -> Box<pg_sys::FmgrInfo> {
    let mut info = Box::new(pg_sys::FmgrInfo::default());
    // SAFETY: nodes made as makeNode makes them, in memory that lives as long as the backend.
    unsafe {
        let outer = pg_sys::MemoryContextSwitchTo(pg_sys::CacheMemoryContext);
        pg_sys::fmgr_info_cxt(pg_sys::Oid::from(pg_sys::F_TO_JSONB), info.as_mut(), pg_sys::CacheMemoryContext);
        let argument = pg_sys::palloc0(size_of::<pg_sys::Param>()).cast::<pg_sys::Param>();
        (*argument).xpr.type_ = pg_sys::NodeTag::T_Param;
        (*argument).paramtype = type_oid;
        let call = pg_sys::palloc0(size_of::<pg_sys::FuncExpr>()).cast::<pg_sys::FuncExpr>();
        (*call).xpr.type_ = pg_sys::NodeTag::T_FuncExpr;
        (*call).funcid = pg_sys::Oid::from(pg_sys::F_TO_JSONB);
        (*call).funcresulttype = pg_sys::JSONBOID;
        (*call).args = pg_sys::lappend(core::ptr::null_mut(), argument.cast());
        info.fn_expr = call.cast();
        pg_sys::MemoryContextSwitchTo(outer);
    }
    info
}

impl JsonWriter {
    /// Does this writer need `PinnedSettings` to be in force?
    pub fn needs_pins(&self) -> bool {
        match self {
            Self::Line(writer) => writer.needs_pins(),
            Self::Number(_) | Self::Any(_) => true,
            Self::Json => false,
        }
    }

    /// Appends the value as JSON.
    ///
    /// # Safety
    /// `value` is a non-null Datum of the type that this writer was made for.
    pub unsafe fn write(&mut self, out: &mut Vec<u8>, value: pg_sys::Datum) -> Result<(), Error> {
        // SAFETY: the caller's promise; texts are palloc'd and copied at once.
        unsafe {
            match self {
                Self::Line(writer) => return writer.write(out, value),
                Self::Number(info) => {
                    let text = relation::c_string(pg_sys::OutputFunctionCall(info.as_mut(), value));
                    match text.as_bytes().iter().all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e')) {
                        true => out.extend_from_slice(text.as_bytes()),
                        // NaN and the infinities.
                        false => line::write_string(out, &text),
                    }
                }
                Self::Json => {
                    let text: String = pgrx::FromDatum::from_datum(value, false).unwrap_or_default();
                    match jsonb_takes(&text) {
                        true => out.extend_from_slice(text.as_bytes()),
                        false => line::write_string(out, &text),
                    }
                }
                Self::Any(info) => {
                    let json = pg_sys::FunctionCall1Coll(info.as_mut(), pg_sys::InvalidOid, value);
                    let text = pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(json)]);
                    let text = text.map_or_else(|| "null".into(), |text| relation::c_string(text.cast_mut_ptr()));
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
        Ok(())
    }
}

/// More digits than these, before the point or behind it, are written as text: numeric takes a few more.
const MAX_DIGITS: u64 = 16_000;

/// Does jsonb take what json took? Not U+0000 and halves of surrogate pairs, nor numbers beyond numeric's.
fn jsonb_takes(json: &str) -> bool {
    let mut rest = json;
    // Outside of strings, and then within one.
    while let Some((outside, after)) = rest.split_once('"') {
        if !numbers_fit(outside) {
            return false;
        }
        match end_of_string(after) {
            Some(end) => rest = end,
            None => return false,
        }
    }
    numbers_fit(rest)
}

fn numbers_fit(outside: &str) -> bool {
    let numbers = outside.split(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
    numbers.into_iter().all(|number| {
        let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let exponent = exponent.parse::<i64>().map_or(u64::MAX, i64::unsigned_abs);
        // Words such as true have an e, too.
        !number.contains(|c: char| c.is_ascii_digit()) || exponent.saturating_add(digits.len() as u64) <= MAX_DIGITS
    })
}

/// What comes after a string whose first quote is gone; None where jsonb would refuse one of its escapes.
fn end_of_string(mut rest: &str) -> Option<&str> {
    let mut high = false;
    loop {
        let at = rest.find(['"', '\\'])?;
        let (before, here) = rest.split_at(at);
        let unit = here.strip_prefix("\\u").and_then(|hex| u16::from_str_radix(hex.get(..4)?, 16).ok());
        let is_low = unit.is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
        // A high half, and nothing else, is followed by a low one.
        if unit == Some(0) || high != is_low || (high && !before.is_empty()) {
            return None;
        }
        high = unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit));
        rest = match (here.as_bytes().first(), unit) {
            (Some(b'"'), _) => return here.get(1..),
            (_, Some(_)) => here.get(6..)?,
            _ => here.get(2..)?,
        };
    }
}

/// An object as a jsonb Datum, given its JSON text, and its members' keys and values in it.
pub fn to_datum<'a>(text: &'a [u8], members: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<pg_sys::Datum> {
    let mut members: Vec<Member<'a>> = members.map(|(key, json)| Member { key, json }).collect();
    if let Some(object) = jsonb_build::object(&mut members) {
        // SAFETY: as many bytes as said, of which each is written.
        return Some(unsafe {
            let copy = pg_sys::palloc(object.len()).cast::<u8>();
            core::ptr::copy_nonoverlapping(object.as_ptr(), copy, object.len());
            copy.into()
        });
    }
    let text = std::ffi::CString::new(text).ok()?;
    // SAFETY: a C string; what is no JSON is raised as an error.
    unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(text.as_ptr().into())]) }
}
