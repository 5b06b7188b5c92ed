//! Values as bytes, for another process of the same server: what a parallel worker is told, and what it answers.
//!
//! No format: nothing of it is stored anywhere, and both sides are one build. Bytes that are none of ours give `None` and
//! no panic all the same, and no more memory than they take.

use std::collections::{BTreeMap, BTreeSet};

use crate::Digest;

/// A value that goes to another process.
pub trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes a value from the front; `None` if the bytes are not what `put` appends.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Wire for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        }
    )*};
}
numbers!(u8 u16 u32 u64 u128 i64);

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(*bytes)
    }
}

impl Wire for Digest {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Wire::take(from).map(Self::new)
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let len = usize::try_from(u64::take(from)?).ok()?;
        let (text, rest) = from.split_at_checked(len)?;
        *from = rest;
        Self::from_utf8(text.to_vec()).ok()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        if bool::take(from)? { T::take(from).map(Some) } else { Some(None) }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

/// Appends how many there are, and each.
pub fn put_all<'v, T: Wire + 'v>(values: impl ExactSizeIterator<Item = &'v T>, out: &mut Vec<u8>) {
    (values.len() as u64).put(out);
    values.for_each(|value| value.put(out));
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.iter(), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        // Not collected by the number alone, which may be anything: each value takes bytes that must be there.
        (0..u64::take(from)?).try_fold(Self::new(), |mut all, _| {
            all.push(T::take(from)?);
            Some(all)
        })
    }
}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.iter(), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Vec::take(from)?.into_iter().collect())
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Vec::take(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type All = (Vec<(u32, Option<Digest>)>, (BTreeMap<i64, String>, (bool, (u128, BTreeSet<u8>))));

    fn all() -> All {
        let texts = BTreeMap::from([(-1, "é".to_owned()), (i64::MAX, String::new())]);
        let numbers = vec![(7, Some(Digest::of(b"a"))), (u32::MAX, None)];
        (numbers, (texts, (true, (u128::MAX - 1, BTreeSet::from([1, 255])))))
    }

    #[test]
    fn what_is_put_is_taken() {
        let mut bytes = Vec::new();
        all().put(&mut bytes);
        7_u8.put(&mut bytes);
        let from = &mut bytes.as_slice();
        assert_eq!(All::take(from), Some(all()));
        assert_eq!((u8::take(from), u8::take(from)), (Some(7), None));
    }

    #[test]
    fn bytes_that_are_cut_or_not_ours_are_nothing() {
        let mut bytes = Vec::new();
        all().put(&mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(All::take(&mut &bytes[..len]), None, "{len} bytes");
        }
        assert_eq!(Vec::<u64>::take(&mut &[255; 9][..]), None);
        assert_eq!(String::take(&mut &[255; 20][..]), None);
        assert_eq!(bool::take(&mut &[2][..]), None);
    }
}
