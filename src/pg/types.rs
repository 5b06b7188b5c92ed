//! From a stored value to its bytes in the line (docs/format.md, "Values").
//!
//! Invariant: the bytes depend on the value and its type alone, never on a setting of the session. Types with a fixed
//! shape have writers of their own; the rest goes through the type's output function under the pinned settings.

use super::catalog_scan::{self, View};
use super::{compat, jsonb, numeric};
use crate::error::Error;
use notary_core::{decimal, line, time};
use pgrx::pg_sys;

/// How the values of one column are written.
pub enum Writer {
    /// `true` or `false`.
    Bool,
    /// A JSON number.
    Int2,
    /// A JSON number.
    Int4,
    /// A JSON number.
    Int8,
    /// The value's bytes as a JSON string: text, varchar, bpchar, json.
    Text,
    /// jsonb's own text, embedded.
    Jsonb,
    /// RFC 3339 with six decimals and Z.
    Timestamptz,
    /// The same without Z.
    Timestamp,
    /// The day alone.
    Date,
    /// numeric_out's text as a JSON string.
    Numeric,
    /// Hyphenated lower-case hex.
    Uuid,
    /// `\x` and lower-case hex.
    Bytea,
    /// The type's output function; `true`: under pinned settings.
    Output(Box<pg_sys::FmgrInfo>, bool),
}

/// Finds the writer for a type, or None when the format does not list it.
pub fn writer(type_oid: pg_sys::Oid) -> Option<Writer> {
    // SAFETY: a syscache look-up; raises for a type that does not exist.
    let base = unsafe { pg_sys::getBaseType(type_oid) };
    let direct = match base {
        pg_sys::BOOLOID => Some(Writer::Bool),
        pg_sys::INT2OID => Some(Writer::Int2),
        pg_sys::INT4OID => Some(Writer::Int4),
        pg_sys::INT8OID => Some(Writer::Int8),
        pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID | pg_sys::JSONOID => Some(Writer::Text),
        pg_sys::JSONBOID => Some(Writer::Jsonb),
        pg_sys::TIMESTAMPTZOID => Some(Writer::Timestamptz),
        pg_sys::TIMESTAMPOID => Some(Writer::Timestamp),
        pg_sys::DATEOID => Some(Writer::Date),
        pg_sys::NUMERICOID => Some(Writer::Numeric),
        pg_sys::UUIDOID => Some(Writer::Uuid),
        pg_sys::BYTEAOID => Some(Writer::Bytea),
        _ => None,
    };
    if direct.is_some() {
        return direct;
    }
    if scalar(base) {
        return Some(output(base, base != pg_sys::NAMEOID));
    }
    // SAFETY: syscache look-ups that return InvalidOid for a type that is no true array.
    let element = unsafe { pg_sys::get_element_type(base) };
    let listed = element != pg_sys::InvalidOid
        // int2vector and oidvector are arrays to get_element_type but not to users.
        && !matches!(base, pg_sys::INT2VECTOROID | pg_sys::OIDVECTOROID | pg_sys::POINTOID)
        && (scalar(element) || listed_range(element) || directly_written(element));
    (listed || listed_range(base)).then(|| output(base, true))
}

/// Scalars that are written through their output function. Built-in types are fixed by OID; enums by their kind.
fn scalar(oid: pg_sys::Oid) -> bool {
    matches!(
        oid,
        pg_sys::NAMEOID
            | pg_sys::NUMERICOID
            | pg_sys::DATEOID
            | pg_sys::TIMEOID
            | pg_sys::TIMETZOID
            | pg_sys::INETOID
            | pg_sys::CIDROID
            | pg_sys::MACADDROID
            | pg_sys::MACADDR8OID
            | pg_sys::BITOID
            | pg_sys::VARBITOID
            | pg_sys::FLOAT4OID
            | pg_sys::FLOAT8OID
            | pg_sys::INTERVALOID
    ) || is_enum(oid)
}

fn directly_written(oid: pg_sys::Oid) -> bool {
    matches!(
        oid,
        pg_sys::BOOLOID
            | pg_sys::INT2OID
            | pg_sys::INT4OID
            | pg_sys::INT8OID
            | pg_sys::TEXTOID
            | pg_sys::VARCHAROID
            | pg_sys::BPCHAROID
            | pg_sys::JSONOID
            | pg_sys::JSONBOID
            | pg_sys::TIMESTAMPTZOID
            | pg_sys::TIMESTAMPOID
            | pg_sys::UUIDOID
            | pg_sys::BYTEAOID
    )
}

/// The functions that print a listed type, as text and in binary: those that PostgreSQL has it made with.
fn printers(base: pg_sys::Oid) -> Option<(u32, u32)> {
    use pg_sys as pg;
    Some(match base {
        pg::BOOLOID => (pg::F_BOOLOUT, pg::F_BOOLSEND),
        pg::INT2OID => (pg::F_INT2OUT, pg::F_INT2SEND),
        pg::INT4OID => (pg::F_INT4OUT, pg::F_INT4SEND),
        pg::INT8OID => (pg::F_INT8OUT, pg::F_INT8SEND),
        pg::TEXTOID => (pg::F_TEXTOUT, pg::F_TEXTSEND),
        pg::VARCHAROID => (pg::F_VARCHAROUT, pg::F_VARCHARSEND),
        pg::BPCHAROID => (pg::F_BPCHAROUT, pg::F_BPCHARSEND),
        pg::JSONOID => (pg::F_JSON_OUT, pg::F_JSON_SEND),
        pg::JSONBOID => (pg::F_JSONB_OUT, pg::F_JSONB_SEND),
        pg::TIMESTAMPTZOID => (pg::F_TIMESTAMPTZ_OUT, pg::F_TIMESTAMPTZ_SEND),
        pg::TIMESTAMPOID => (pg::F_TIMESTAMP_OUT, pg::F_TIMESTAMP_SEND),
        pg::UUIDOID => (pg::F_UUID_OUT, pg::F_UUID_SEND),
        pg::BYTEAOID => (pg::F_BYTEAOUT, pg::F_BYTEASEND),
        pg::NAMEOID => (pg::F_NAMEOUT, pg::F_NAMESEND),
        pg::NUMERICOID => (pg::F_NUMERIC_OUT, pg::F_NUMERIC_SEND),
        pg::DATEOID => (pg::F_DATE_OUT, pg::F_DATE_SEND),
        pg::TIMEOID => (pg::F_TIME_OUT, pg::F_TIME_SEND),
        pg::TIMETZOID => (pg::F_TIMETZ_OUT, pg::F_TIMETZ_SEND),
        pg::INETOID => (pg::F_INET_OUT, pg::F_INET_SEND),
        pg::CIDROID => (pg::F_CIDR_OUT, pg::F_CIDR_SEND),
        pg::MACADDROID => (pg::F_MACADDR_OUT, pg::F_MACADDR_SEND),
        pg::MACADDR8OID => (pg::F_MACADDR8_OUT, pg::F_MACADDR8_SEND),
        pg::BITOID => (pg::F_BIT_OUT, pg::F_BIT_SEND),
        pg::VARBITOID => (pg::F_VARBIT_OUT, pg::F_VARBIT_SEND),
        pg::FLOAT4OID => (pg::F_FLOAT4OUT, pg::F_FLOAT4SEND),
        pg::FLOAT8OID => (pg::F_FLOAT8OUT, pg::F_FLOAT8SEND),
        pg::INTERVALOID => (pg::F_INTERVAL_OUT, pg::F_INTERVAL_SEND),
        // SAFETY: syscache look-ups, 0 and pg::InvalidOid where nothing is found.
        _ => match (unsafe { pg::get_typtype(base) }) as u8 {
            pg::TYPTYPE_ENUM => (pg::F_ENUM_OUT, pg::F_ENUM_SEND),
            pg::TYPTYPE_RANGE => (pg::F_RANGE_OUT, pg::F_RANGE_SEND),
            pg::TYPTYPE_MULTIRANGE => (pg::F_MULTIRANGE_OUT, pg::F_MULTIRANGE_SEND),
            // SAFETY: as above.
            _ if unsafe { pg::get_element_type(base) } != pg::InvalidOid => (pg::F_ARRAY_OUT, pg::F_ARRAY_SEND),
            _ => return None,
        },
    })
}

/// Is a value of the type, or of what it is made of, shown by another function than PostgreSQL's own?
pub fn is_misprinted(type_oid: pg_sys::Oid) -> bool {
    parts(type_oid).into_iter().any(|part| {
        // SAFETY: a look-up for a type that parts() found.
        let wanted = printers(unsafe { pg_sys::getBaseType(part) });
        let found = catalog_scan::row(&catalog_scan::TYPE, part, View::After, |row| {
            (row.oid("typoutput").to_u32(), row.oid("typsend").to_u32())
        });
        wanted.is_some() && wanted != found
    })
}

/// The same, where a check would call that function: what it does with the value, nobody knows.
pub fn cannot_be_printed(type_oid: pg_sys::Oid) -> bool {
    is_misprinted(type_oid) && matches!(writer(type_oid), Some(Writer::Output(..)))
}

/// A type with all that it is made of: the types under a domain, of an array's elements, of a range's bounds.
fn parts(type_oid: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let (mut all, mut next) = (vec![type_oid], 0);
    while let Some(part) = all.get(next).copied() {
        let below = catalog_scan::row(&catalog_scan::TYPE, part, View::After, |row| {
            [row.oid("typbasetype"), row.oid("typelem")]
        });
        let Some(below) = below else {
            all.remove(next);
            continue;
        };
        // SAFETY: syscache look-ups, InvalidOid where nothing is found.
        let ranges = unsafe { [pg_sys::get_multirange_range(part), pg_sys::get_range_subtype(part)] };
        for found in below.into_iter().chain(ranges) {
            if found != pg_sys::InvalidOid && !all.contains(&found) {
                all.push(found);
            }
        }
        next += 1;
    }
    all
}

/// Is the type, or what it is made of, or the collation in a schema of temporary objects? Such a column has to go when
/// that session ends.
pub fn is_temporary(type_oid: pg_sys::Oid, collation: pg_sys::Oid) -> bool {
    // SAFETY: syscache look-ups, InvalidOid or false where nothing is found.
    let is_temporary = |schema| unsafe { pg_sys::isAnyTempNamespace(schema) };
    let of = catalog_scan::row(&catalog_scan::COLLATION, collation, View::After, |row| row.oid("collnamespace"));
    if of.is_some_and(is_temporary) {
        return true;
    }
    parts(type_oid).into_iter().any(|part| {
        catalog_scan::row(&catalog_scan::TYPE, part, View::After, |row| row.oid("typnamespace"))
            .is_some_and(is_temporary)
    })
}

/// Is it a range or multirange type?
pub fn is_range(oid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up, 0 for a type that does not exist.
    let kind = (unsafe { pg_sys::get_typtype(oid) }) as u8;
    kind == pg_sys::TYPTYPE_RANGE || kind == pg_sys::TYPTYPE_MULTIRANGE
}

/// Is it an enum type?
pub fn is_enum(oid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up, 0 for a type that does not exist.
    (unsafe { pg_sys::get_typtype(oid) }) as u8 == pg_sys::TYPTYPE_ENUM
}

/// The writer by a type's output function, whoever owns it; under the pinned settings.
pub fn by_output(base: pg_sys::Oid) -> Writer {
    output(base, true)
}

/// Is the text of such values one that depends on where objects are found, or on the locale of money; or may it be, for all
/// that is known of a row's columns?
pub fn depends_on_path(type_oid: pg_sys::Oid) -> bool {
    parts(type_oid).into_iter().any(|part| {
        // SAFETY: a syscache look-up, 0 for a type that does not exist.
        let is_row = (unsafe { pg_sys::get_typtype(part) }) as u8 == pg_sys::TYPTYPE_COMPOSITE;
        is_row
            || matches!(
                part,
                pg_sys::REGCLASSOID
                    | pg_sys::REGPROCOID
                    | pg_sys::REGPROCEDUREOID
                    | pg_sys::REGOPEROID
                    | pg_sys::REGOPERATOROID
                    | pg_sys::REGTYPEOID
                    | pg_sys::REGCOLLATIONOID
                    | pg_sys::REGCONFIGOID
                    | pg_sys::REGDICTIONARYOID
                    | pg_sys::MONEYOID
            )
    })
}

/// The built-in ranges and multiranges; a user's own range over int4 may have a canonical function of any kind, but its
/// output depends on the subtype alone, so it is listed too when its subtype is.
fn listed_range(oid: pg_sys::Oid) -> bool {
    // SAFETY: syscache look-ups, InvalidOid where nothing is found.
    let (range, subtype) = unsafe {
        let of_multirange = pg_sys::get_multirange_range(oid);
        let range = if of_multirange == pg_sys::InvalidOid { oid } else { of_multirange };
        (range, pg_sys::get_range_subtype(range))
    };
    range != pg_sys::InvalidOid
        && matches!(
            subtype,
            pg_sys::INT4OID
                | pg_sys::INT8OID
                | pg_sys::NUMERICOID
                | pg_sys::DATEOID
                | pg_sys::TIMESTAMPOID
                | pg_sys::TIMESTAMPTZOID
        )
}

fn output(base: pg_sys::Oid, pinned: bool) -> Writer {
    let mut function = pg_sys::InvalidOid;
    let mut varlena = false;
    let mut info = Box::new(pg_sys::FmgrInfo::default());
    // SAFETY: look-ups for an existing type. What the function keeps in fn_extra goes into CacheMemoryContext, since the
    // writer lives in a cache of the backend.
    unsafe {
        pg_sys::getTypeOutputInfo(base, &mut function, &mut varlena);
        pg_sys::fmgr_info_cxt(function, info.as_mut(), pg_sys::CacheMemoryContext);
    }
    Writer::Output(info, pinned)
}

impl Writer {
    /// Does this writer need `PinnedSettings` to be in force?
    pub fn needs_pins(&self) -> bool {
        matches!(self, Self::Output(_, true))
    }

    /// Appends the value's bytes as they stand in the line.
    ///
    /// # Safety
    /// `value` is a non-null Datum of the type that this writer was made for.
    pub unsafe fn write(&mut self, out: &mut Vec<u8>, value: pg_sys::Datum) -> Result<(), Error> {
        match self {
            Self::Bool => out.extend_from_slice(if value.value() & 0xff != 0 { b"true" } else { b"false" }),
            // a Datum holds a narrower value in its low bytes
            Self::Int2 => decimal::write_int(out, i64::from(value.value() as i16)),
            Self::Int4 => decimal::write_int(out, i64::from(value.value() as i32)),
            Self::Int8 => decimal::write_int(out, value.value() as i64),
            Self::Timestamptz => quoted(out, |out| time::write_timestamptz(out, value.value() as i64)),
            Self::Timestamp => quoted(out, |out| time::write_timestamp(out, value.value() as i64)),
            Self::Date => quoted(out, |out| time::write_date(out, value.value() as i32)),
            Self::Numeric => {
                // SAFETY: a numeric Datum.
                let detoasted = unsafe { Varlena::new(value) };
                let start = out.len();
                out.push(b'"');
                if numeric::write(out, detoasted.bytes()).is_none() {
                    out.truncate(start + 1);
                    // SAFETY: as above.
                    unsafe { write_text(out, pg_sys::numeric_out, value)? };
                }
                out.push(b'"');
            }
            // SAFETY: a uuid Datum points at 16 bytes.
            Self::Uuid => write_uuid(out, unsafe { &*value.cast_mut_ptr::<[u8; 16]>() }),
            Self::Text => {
                // SAFETY: a text-like Datum, see the function's contract.
                let detoasted = unsafe { Varlena::new(value) };
                line::write_string(out, utf8(detoasted.bytes())?);
            }
            Self::Bytea => {
                // SAFETY: a bytea Datum.
                let detoasted = unsafe { Varlena::new(value) };
                write_bytea(out, detoasted.bytes());
            }
            Self::Jsonb => {
                // SAFETY: a jsonb Datum.
                let detoasted = unsafe { Varlena::new(value) };
                let start = out.len();
                if jsonb::write(out, detoasted.bytes()).is_none() {
                    out.truncate(start);
                    // SAFETY: as above.
                    unsafe { write_text(out, pg_sys::jsonb_out, value)? };
                }
                utf8(&out[start..])?;
            }
            Self::Output(info, _) => {
                // SAFETY: the type's own output function on a value of that type; the string is palloc'd.
                unsafe {
                    let text = pg_sys::OutputFunctionCall(info.as_mut(), value);
                    line::write_string(out, utf8(core::ffi::CStr::from_ptr(text).to_bytes())?);
                    pg_sys::pfree(text.cast());
                }
            }
        }
        Ok(())
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)
}

/// Appends what an output function writes, as it is.
///
/// # Safety
/// `value` is a non-null Datum of the function's type.
unsafe fn write_text(
    out: &mut Vec<u8>,
    function: unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
    value: pg_sys::Datum,
) -> Result<(), Error> {
    // SAFETY: the caller's promise; the string is palloc'd.
    unsafe {
        if let Some(text) = pgrx::direct_function_call_as_datum(function, &[Some(value)]) {
            let text = text.cast_mut_ptr::<core::ffi::c_char>();
            out.extend_from_slice(utf8(core::ffi::CStr::from_ptr(text).to_bytes())?.as_bytes());
            pg_sys::pfree(text.cast());
        }
    }
    Ok(())
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len() * 2, 0);
    // The slice has exactly two digits for each byte, so this cannot fail.
    let _ = hex::encode_to_slice(bytes, &mut out[start..]);
}

fn write_uuid(out: &mut Vec<u8>, uuid: &[u8; 16]) {
    quoted(out, |out| {
        for (i, part) in [&uuid[..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..]].into_iter().enumerate() {
            if i > 0 {
                out.push(b'-');
            }
            write_hex(out, part);
        }
    });
}

/// bytea's hex output; its backslash is escaped, as in any JSON string.
fn write_bytea(out: &mut Vec<u8>, bytes: &[u8]) {
    quoted(out, |out| {
        out.extend_from_slice(b"\\\\x");
        write_hex(out, bytes);
    });
}

/// A varlena value, fetched from TOAST and decompressed where needed, freed again when it was a copy.
struct Varlena {
    packed: *mut pg_sys::varlena,
    copy: bool,
}

impl Varlena {
    /// # Safety
    /// `value` is a non-null varlena Datum.
    unsafe fn new(value: pg_sys::Datum) -> Self {
        let stored = value.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: a varlena; raises when TOAST cannot be read. Most values are neither there nor compressed, and a call less is
        // a guard less.
        let packed = unsafe {
            let plain = pgrx::varatt_is_4b_u(stored) || (pgrx::varatt_is_1b(stored) && !pgrx::varatt_is_1b_e(stored));
            if plain { stored } else { pg_sys::pg_detoast_datum_packed(stored) }
        };
        Self { packed, copy: !core::ptr::eq(packed, stored) }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: a plain or short varlena, alive as long as self.
        unsafe {
            std::slice::from_raw_parts(
                pgrx::vardata_any(self.packed).cast::<u8>(),
                pgrx::varsize_any_exhdr(self.packed),
            )
        }
    }
}

impl Drop for Varlena {
    fn drop(&mut self) {
        if self.copy && !std::thread::panicking() {
            // SAFETY: palloc'd by detoasting, and nothing else points at it.
            unsafe { pg_sys::pfree(self.packed.cast()) };
        }
    }
}

/// Puts the settings that output functions look at to the values the format pins, until dropped.
///
/// These are plain C variables, so setting them back while an error unwinds calls nothing in PostgreSQL.
pub struct PinnedSettings {
    date_style: i32,
    date_order: i32,
    interval_style: i32,
    float_digits: i32,
    bytea_output: i32,
    conforming_strings: bool,
    timezone: *mut pg_sys::pg_tz,
}

impl PinnedSettings {
    /// Pins: DateStyle ISO YMD, IntervalStyle iso_8601, extra_float_digits 1, bytea_output hex, standard_conforming_strings
    /// on, TimeZone UTC.
    pub fn pin() -> Self {
        let utc = utc();
        // SAFETY: the backend's own settings, read and written by its only thread.
        unsafe {
            let before = Self {
                date_style: pg_sys::DateStyle,
                date_order: pg_sys::DateOrder,
                interval_style: pg_sys::IntervalStyle,
                float_digits: pg_sys::extra_float_digits,
                bytea_output: compat::BYTEA_OUTPUT,
                conforming_strings: pg_sys::standard_conforming_strings,
                timezone: pg_sys::session_timezone,
            };
            pg_sys::DateStyle = pg_sys::USE_ISO_DATES as i32;
            pg_sys::DateOrder = pg_sys::DATEORDER_YMD as i32;
            pg_sys::IntervalStyle = pg_sys::INTSTYLE_ISO_8601 as i32;
            pg_sys::extra_float_digits = 1;
            compat::BYTEA_OUTPUT = 1;
            pg_sys::standard_conforming_strings = true;
            pg_sys::session_timezone = utc;
            before
        }
    }
}

impl Drop for PinnedSettings {
    fn drop(&mut self) {
        // SAFETY: as above; no PostgreSQL function is called, so this is sound while unwinding too.
        unsafe {
            pg_sys::DateStyle = self.date_style;
            pg_sys::DateOrder = self.date_order;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.float_digits;
            compat::BYTEA_OUTPUT = self.bytea_output;
            pg_sys::standard_conforming_strings = self.conforming_strings;
            pg_sys::session_timezone = self.timezone;
        }
    }
}

fn utc() -> *mut pg_sys::pg_tz {
    use std::cell::Cell;
    thread_local!(static UTC: Cell<*mut pg_sys::pg_tz> = const { Cell::new(core::ptr::null_mut()) });
    if UTC.get().is_null() {
        // SAFETY: loads and caches the zone for the backend's life; "GMT" is built in and needs no file.
        UTC.set(unsafe { pg_sys::pg_tzset(c"GMT".as_ptr()) });
    }
    UTC.get()
}
