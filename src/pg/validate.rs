//! Is a stored value what its type's output function takes it for?
//!
//! Output functions believe the counts, lengths and offsets inside a value. Bytes changed on disk could make them read
//! beyond it, and take the server down with every other session. So a checker looks first, and a value that contradicts
//! itself is an error like any other that reading raises. What is looked at is only what memory safety hangs on: a
//! value that prints as something else is for the hash to find.
//!
//! Only the read path comes here; what is being inserted was made by its type's own functions just now.

use super::heap::alignment;
use super::jsonb::{ARRAY, CONTAINER, COUNT, ENTRY_TYPE, HAS_OFFSET, NULL, NUMERIC, OBJECT, SCALAR, STRING};
use super::relation::Rel;
use super::{compat, index_scan, text};
use pgrx::pg_sys;

/// How the bytes of a type hang together.
pub enum Shape {
    /// Any bytes of the right length will do.
    Any,
    /// One byte, 0 or 1.
    Bool,
    /// 64 bytes with a NUL among them.
    Name,
    /// A varlena whose content may be any bytes.
    Bytes,
    /// A varlena with an inner structure.
    Structured(Structure),
}

/// The inside of a varlena.
pub enum Structure {
    /// Header and base-10000 digits.
    Numeric,
    /// inet and cidr.
    Inet,
    /// bit and varbit.
    Bits,
    /// A tree of containers.
    Jsonb,
    /// An array.
    Array(Box<Element>),
    /// A range of this type.
    Range(pg_sys::Oid, Box<Element>),
    /// A multirange of this type.
    Multirange(pg_sys::Oid, Box<Element>),
}

/// A value inside another one.
pub struct Element {
    type_oid: pg_sys::Oid,
    /// Its length; -1 for a varlena.
    len: i16,
    align: usize,
    shape: Shape,
}

type Checked = Result<(), &'static str>;
const CUT: &str = "a value's parts reach beyond it";

impl Shape {
    /// The shape of a type that `types::writer` knows.
    pub fn of(type_oid: pg_sys::Oid) -> Self {
        // SAFETY: syscache look-ups; the last two return InvalidOid for what is no array and no range.
        let (base, element, subtype, range) = unsafe {
            let base = pg_sys::getBaseType(type_oid);
            let range = pg_sys::get_multirange_range(base);
            let subtype = pg_sys::get_range_subtype(if range == pg_sys::InvalidOid { base } else { range });
            (base, pg_sys::get_element_type(base), subtype, range)
        };
        let structure = match base {
            pg_sys::BOOLOID => return Self::Bool,
            pg_sys::NAMEOID => return Self::Name,
            pg_sys::NUMERICOID => Structure::Numeric,
            pg_sys::INETOID | pg_sys::CIDROID => Structure::Inet,
            pg_sys::BITOID | pg_sys::VARBITOID => Structure::Bits,
            pg_sys::JSONBOID => Structure::Jsonb,
            _ if range != pg_sys::InvalidOid => Structure::Multirange(base, Element::of(subtype)),
            _ if subtype != pg_sys::InvalidOid => Structure::Range(base, Element::of(subtype)),
            _ if element != pg_sys::InvalidOid => Structure::Array(Element::of(element)),
            // SAFETY: a syscache look-up.
            _ if unsafe { pg_sys::get_typlen(base) } == -1 => return Self::Bytes,
            _ => return Self::Any,
        };
        Self::Structured(structure)
    }

    /// Does a value contradict itself? `toast` is the table's TOAST table. A value with an inner structure comes back
    /// as one that lies in place: from TOAST, decompressed. Raises what fetching raises.
    ///
    /// # Safety
    /// `value` is a non-null Datum of a type with this shape, its own length (for a varlena the one in its header)
    /// bounded by the memory it lies in.
    pub unsafe fn check(&self, value: pg_sys::Datum, toast: pg_sys::Oid) -> Result<pg_sys::Datum, &'static str> {
        match self {
            Self::Any => Ok(value),
            Self::Bool if value.value() & 0xff > 1 => Err("a boolean is neither true nor false"),
            Self::Bool => Ok(value),
            Self::Name => {
                // SAFETY: a name has 64 bytes.
                let name = unsafe { std::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), NAME_LEN) };
                name.contains(&0).then_some(value).ok_or("a name has no end")
            }
            Self::Bytes | Self::Structured(_) => {
                // SAFETY: a varlena within its memory.
                unsafe { check_header(value, toast)? };
                let Self::Structured(structure) = self else { return Ok(value) };
                // SAFETY: as above.
                let in_place = unsafe { text::bytes(value) };
                if let Some(checked) = in_place.and_then(|content| structure.check_content(content)) {
                    return checked.map(|()| value);
                }
                // SAFETY: as above; the plain value is as long as its header says, header of four bytes included.
                unsafe {
                    let plain = pg_sys::pg_detoast_datum(value.cast_mut_ptr());
                    let bytes = std::slice::from_raw_parts(plain.cast::<u8>(), pgrx::varsize(plain));
                    structure.check(bytes)?;
                    Ok(pg_sys::Datum::from(plain))
                }
            }
        }
    }
}

const NAME_LEN: usize = pg_sys::NAMEDATALEN as usize;

/// The bits of va_extinfo and of a compressed value's second word that are a size.
const SIZE: u32 = 0x3fff_ffff;

/// A pointer to TOAST leads to the table's own; a compressed value has both its headers.
///
/// # Safety
/// The Datum is a varlena whose own length is within its memory.
unsafe fn check_header(value: pg_sys::Datum, toast: pg_sys::Oid) -> Checked {
    let start = value.cast_mut_ptr::<u8>();
    // SAFETY: heap::Attribute::place lets pass only external pointers of 18 bytes, short values and ones of at least
    // four bytes; the pointer's fields are copied, since they need not be aligned.
    unsafe {
        if *start == 0x01 {
            let pointer = start.add(2).cast::<pg_sys::varatt_external>().read_unaligned();
            let (stored, raw) = (pointer.va_extinfo & SIZE, pointer.va_rawsize);
            if pointer.va_toastrelid != toast {
                return Err("a value is not in the table's TOAST table");
            }
            let fits = i32::try_from(stored).is_ok_and(|stored| (4..=raw.saturating_sub(4)).contains(&stored));
            if !fits {
                return Err("a value's pointer to TOAST is damaged");
            }
            return index_scan::check_chunks(toast, pointer.va_valueid);
        }
        if *start & 0x03 == 0x02 {
            let len = start.cast::<u32>().read_unaligned() >> 2;
            if len < 8 {
                return Err("a compressed value is shorter than its header");
            }
            let raw = start.add(4).cast::<u32>().read_unaligned() & SIZE;
            // No method that PostgreSQL has makes one byte of more than 255.
            return (raw / 256 <= len).then_some(()).ok_or("a compressed value's header is damaged");
        }
    }
    Ok(())
}

/// Looks at the index of the table's TOAST table, which every value in it is fetched by; why it cannot be believed
/// otherwise. Raises what reading raises.
pub fn check_toast_index(rel: &Rel) -> Result<(), String> {
    if rel.toast() == pg_sys::InvalidOid {
        return Ok(());
    }
    let toast = Rel::open(rel.toast(), pg_sys::AccessShareLock);
    index_scan::chunk_index(&toast).map_or(Ok(()), |index| index_scan::check_pages(index, index_scan::CHUNK_KEYS))
}

/// Says which column does not lie in the table's rows as its type does: then its bytes would be taken for a pointer, or
/// the other way round.
pub fn misplaced_column(rel: &Rel) -> Option<String> {
    rel.columns().into_iter().find_map(|column| {
        let index = column.index();
        // SAFETY: an open relation's descriptor, and a column of it; a syscache look-up, which raises for a type that
        // does not exist.
        let same = unsafe {
            let attribute = compat::attribute((*rel.raw()).rd_att, index);
            let (mut len, mut by_value, mut align) = (0, false, 0);
            pg_sys::get_typlenbyvalalign(column.type_oid, &mut len, &mut by_value, &mut align);
            (attribute.attlen, attribute.attbyval, attribute.attalign) == (len, by_value, align)
        };
        (!same).then_some(column.name)
    })
}

impl Element {
    fn of(type_oid: pg_sys::Oid) -> Box<Self> {
        let (mut len, mut by_value, mut align) = (0, false, 0);
        // SAFETY: a syscache look-up for a type that another one names.
        unsafe { pg_sys::get_typlenbyvalalign(type_oid, &mut len, &mut by_value, &mut align) };
        Box::new(Self { type_oid, len, align: alignment(align), shape: Shape::of(type_oid) })
    }

    /// Checks the value that starts at `at` and returns where it ends.
    fn check(&self, bytes: &[u8], at: usize) -> Result<usize, &'static str> {
        let rest = bytes.get(at..).ok_or(CUT)?;
        let len = match usize::try_from(self.len) {
            Ok(len) => len,
            Err(_) => varlena_len(rest)?,
        };
        let value = rest.get(..len).ok_or(CUT)?;
        match &self.shape {
            Shape::Bool if value.first().is_none_or(|b| *b > 1) => Err("a boolean is neither true nor false"),
            Shape::Name if !value.contains(&0) => Err("a name has no end"),
            Shape::Structured(structure) => structure.check(&plain(value)).map(|()| at + len),
            _ => Ok(at + len),
        }
    }

    /// Where a value starts that may stand at `at`: a varlena with a short header needs no alignment, in ranges.
    fn align_pointer(&self, bytes: &[u8], at: usize) -> usize {
        let is_short = self.len == -1 && bytes.get(at).is_some_and(|b| *b != 0);
        if is_short { at } else { at.next_multiple_of(self.align) }
    }
}

/// The length of a varlena inside another value, which is never compressed nor in TOAST.
fn varlena_len(bytes: &[u8]) -> Result<usize, &'static str> {
    match *bytes {
        [0x01, ..] => Err("a value within another one is not stored in place"),
        [first, ..] if first & 1 == 1 => Ok(usize::from(first >> 1)),
        [a, b, c, d, ..] if a & 3 == 0 => {
            let len = (u32::from_le_bytes([a, b, c, d]) >> 2) as usize;
            if len < 4 { Err("a value is shorter than its header") } else { Ok(len) }
        }
        [_, _, _, _, ..] => Err("a value within another one is compressed"),
        _ => Err(CUT),
    }
}

/// What is behind the header of a value inside another one, as long as its header says.
fn content(value: &[u8]) -> Result<&[u8], &'static str> {
    let header = if value.first().is_some_and(|first| first & 1 == 1) { 1 } else { 4 };
    value.get(header..).ok_or(CUT)
}

/// A value inside another one with a header of four bytes, whose content alone counts.
fn plain(value: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match value {
        [first, rest @ ..] if first & 1 == 1 => [&[0; 4], rest].concat().into(),
        _ => value.into(),
    }
}

impl Structure {
    /// Checks what is behind the header, whichever that is, where inner alignment counts from there or there is none; None
    /// where it counts from the header.
    fn check_content(&self, content: &[u8]) -> Option<Checked> {
        match self {
            Self::Numeric => Some(numeric(content)),
            Self::Jsonb => Some(container(content)),
            _ => None,
        }
    }

    /// Checks a plain value, its header of four bytes included, since inner alignment counts from there.
    fn check(&self, bytes: &[u8]) -> Checked {
        match self {
            Self::Numeric => numeric(bytes.get(4..).ok_or(CUT)?),
            Self::Inet => inet(bytes),
            Self::Bits => bits(bytes),
            Self::Jsonb => container(bytes.get(4..).ok_or(CUT)?),
            Self::Array(element) => array(bytes, element),
            Self::Range(oid, element) => range(bytes, *oid, element),
            Self::Multirange(oid, element) => multirange(bytes, *oid, element),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, &'static str> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(CUT)?;
    Ok(u32::from_ne_bytes(*four))
}

/// NumericData of utils/adt/numeric.c: the first two bytes say whether two more follow before the digits.
fn numeric(content: &[u8]) -> Checked {
    let header = content.first_chunk().ok_or(CUT)?;
    let is_short_or_special = u16::from_ne_bytes(*header) & 0x8000 != 0;
    let digits = content.len().checked_sub(if is_short_or_special { 2 } else { 4 });
    digits.filter(|len| len.is_multiple_of(2)).map(drop).ok_or("a numeric has not the length that its header says")
}

/// inet_struct of utils/inet.h: family 2 with 4 bytes of address or 3 with 16, and bits.
fn inet(bytes: &[u8]) -> Checked {
    let fits = match bytes.get(4) {
        Some(2) => bytes.len() == 4 + 2 + 4,
        Some(3) => bytes.len() == 4 + 2 + 16,
        _ => false,
    };
    fits.then_some(()).ok_or("an address has not the length of its family")
}

/// VarBit of utils/varbit.h: the number of bits, then the bits.
fn bits(bytes: &[u8]) -> Checked {
    let count = word(bytes, 4)?;
    let fits = i32::try_from(count).is_ok() && count.div_ceil(8) as usize == bytes.len() - 8;
    fits.then_some(()).ok_or("a bit string has not the length that its header says")
}

/// JsonbContainer of utils/jsonb.h: a header word, an entry word for each value (and, in an object, for each key before
/// them), then the values. Values follow one another without overlapping, so that what is printed is bounded by what is
/// stored. Containers still to be looked at are kept in a list: nesting has no limit, a stack has.
fn container(root: &[u8]) -> Checked {
    let mut open = Vec::new();
    let mut next = Some((root, true));
    while let Some((bytes, root)) = next {
        let header = word(bytes, 0)?;
        let count = (header & COUNT) as usize;
        let is_object = match header & !COUNT {
            ARRAY => false,
            OBJECT => true,
            flags if flags == ARRAY | SCALAR && root && count == 1 => false,
            _ => return Err("a jsonb container is of no known kind"),
        };
        let entries = if is_object { count * 2 } else { count };
        let base = bytes.get(4 + entries * 4..).ok_or(CUT)?;
        let mut start = 0;
        for i in 0..entries {
            let entry = word(bytes, 4 + i * 4)?;
            let number = (entry & COUNT) as usize;
            let end = if entry & HAS_OFFSET == 0 { start + number } else { number };
            let kind = entry & ENTRY_TYPE;
            if is_object && i < count && kind != STRING {
                return Err("a jsonb key is no string");
            }
            let value = base.get(start..end).ok_or(CUT)?;
            let padding = start.next_multiple_of(4) - start;
            match kind {
                STRING => {}
                NUMERIC => {
                    let aligned = value.get(padding..).ok_or(CUT)?;
                    numeric(content(aligned.get(..varlena_len(aligned)?).ok_or(CUT)?)?)?;
                }
                CONTAINER => open.push((value.get(padding..).ok_or(CUT)?, false)),
                ..=NULL if start == end => {}
                _ => return Err("a jsonb entry is of no known kind"),
            }
            start = end;
        }
        next = open.pop();
    }
    Ok(())
}

/// ArrayType of utils/array.h: dimensions, where the data start (0: there are no NULLs), element type, lengths and lower
/// bounds, a bitmap of what is not NULL, elements.
fn array(bytes: &[u8], element: &Element) -> Checked {
    const MAX_DIMENSIONS: u32 = 6;
    let (dimensions, offset, element_type) = (word(bytes, 4)?, word(bytes, 8)?, word(bytes, 12)?);
    if dimensions > MAX_DIMENSIONS || element_type != element.type_oid.to_u32() {
        return Err("an array's header is damaged");
    }
    let dimensions = dimensions as usize;
    let mut count = usize::from(dimensions > 0);
    for i in 0..dimensions {
        let length = word(bytes, 16 + i * 4)?;
        let lower = word(bytes, 16 + (dimensions + i) * 4)?.cast_signed();
        let fits = i32::try_from(length).is_ok_and(|length| lower.checked_add(length).is_some());
        count = count.checked_mul(length as usize).filter(|_| fits).ok_or("an array's dimensions are damaged")?;
        // An element takes a byte or a bit, so that this bounds the count long before it overflows.
        if count > bytes.len() * 8 {
            return Err(CUT);
        }
    }
    let header = 16 + dimensions * 8;
    let bitmap = if offset == 0 { None } else { Some(bytes.get(header..header + count.div_ceil(8)).ok_or(CUT)?) };
    let data = (header + bitmap.map_or(0, <[u8]>::len)).next_multiple_of(8);
    if offset != 0 && offset as usize != data {
        return Err("an array's header is damaged");
    }
    let mut at = data;
    for i in 0..count {
        if bitmap.is_none_or(|bits| bits[i / 8] & (1 << (i % 8)) != 0) {
            at = element.check(bytes, at)?.next_multiple_of(element.align);
        }
    }
    Ok(())
}

const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;
const EMPTY: u8 = 0x01;
const LOWER_NULL: u8 = 0x20;
const UPPER_NULL: u8 = 0x40;

/// RangeType of utils/rangetypes.h: the type's OID, the bounds that there are, and last a byte of flags.
fn range(bytes: &[u8], oid: pg_sys::Oid, element: &Element) -> Checked {
    if word(bytes, 4)? != oid.to_u32() {
        return Err("a range is of another type than its column");
    }
    let (flags, inside) = bytes.split_last().filter(|(_, inside)| inside.len() >= 8).ok_or(CUT)?;
    bounds(inside, 8, *flags, element).map(|_| ())
}

/// The bounds that start at `at`; where they end.
fn bounds(bytes: &[u8], mut at: usize, flags: u8, element: &Element) -> Result<usize, &'static str> {
    if flags & (EMPTY | LOWER_INFINITE | LOWER_NULL) == 0 {
        at = element.check(bytes, at)?;
    }
    if flags & (EMPTY | UPPER_INFINITE | UPPER_NULL) == 0 {
        at = element.check(bytes, element.align_pointer(bytes, at))?;
    }
    Ok(at)
}

/// MultirangeType of utils/multirangetypes.h: the type's OID, the number of ranges, for all but the first where its
/// bounds start (from the one before, or in all), a byte of flags for each, bounds.
fn multirange(bytes: &[u8], oid: pg_sys::Oid, element: &Element) -> Checked {
    if word(bytes, 4)? != oid.to_u32() {
        return Err("a multirange is of another type than its column");
    }
    let count = word(bytes, 8)? as usize;
    if count > bytes.len() {
        return Err(CUT);
    }
    let flags = 12 + count.saturating_sub(1) * 4;
    let base = (flags + count).next_multiple_of(element.align);
    let mut start = 0;
    for i in 0..count {
        if i > 0 {
            let item = word(bytes, 12 + (i - 1) * 4)?;
            let number = (item & !HAS_OFFSET) as usize;
            start = if item & HAS_OFFSET == 0 { start + number } else { number };
        }
        bounds(bytes, base + start, *bytes.get(flags + i).ok_or(CUT)?, element)?;
    }
    Ok(())
}
