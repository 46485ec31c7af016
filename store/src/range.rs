//! A contiguous set of keys.

use std::ops::Bound;

use bytes::Bytes;

/// A contiguous set of keys: one key, all with a prefix, or a half-open interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    start: Bytes,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// Only the start itself.
    Single,
    Before(Bytes),
    Unbounded,
}

impl Range {
    /// One key.
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self { start: key.into(), end: End::Single }
    }

    /// All keys that begin with `prefix`; every key if it is empty.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = match after_prefix(&start) {
            Some(end) => End::Before(end),
            None => End::Unbounded,
        };
        Self { start, end }
    }

    /// Keys from `start` up to but without `end`.
    pub fn between(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: End::Before(end.into()) }
    }

    /// `start` and all keys after it.
    pub fn from(start: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: End::Unbounded }
    }

    /// Every key.
    pub fn all() -> Self {
        Self::from(Bytes::new())
    }

    /// This range without the keys before `start`: the next page of a list.
    pub fn starting_at(self, start: impl Into<Bytes>) -> Self {
        let start = start.into();
        match self.end {
            End::Single if start > self.start => Self::between(start.clone(), start),
            End::Single => self,
            end => Self { start: start.max(self.start), end },
        }
    }

    /// A range as etcd's API writes it: `end` empty for one key, `\0` for all from `key` on.
    pub fn from_etcd(key: Bytes, end: Bytes) -> Self {
        match end.as_ref() {
            b"" => Self::key(key),
            b"\0" if key.as_ref() == b"\0" => Self::all(),
            b"\0" => Self::from(key),
            _ => Self::between(key, end),
        }
    }

    /// The reverse of [`Range::from_etcd`].
    pub fn to_etcd(&self) -> (Bytes, Bytes) {
        match &self.end {
            End::Single => (self.start.clone(), Bytes::new()),
            End::Before(end) => (self.start.clone(), end.clone()),
            // etcd refuses an empty key, also as the beginning of everything.
            End::Unbounded if self.start.is_empty() => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
            End::Unbounded => (self.start.clone(), Bytes::from_static(b"\0")),
        }
    }

    /// The first key that may be in the range.
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// The one key, if the range is a single key.
    pub fn single(&self) -> Option<&Bytes> {
        (self.end == End::Single).then_some(&self.start)
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => self.start == key,
            End::Before(end) => self.start <= key && key < end.as_ref(),
            End::Unbounded => self.start <= key,
        }
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        matches!(&self.end, End::Before(end) if *end <= self.start)
    }

    /// Bounds for an ordered map; `None` for an empty range, which `BTreeMap::range` does not take.
    pub(crate) fn bounds(&self) -> Option<Bounds<'_>> {
        let start = Bound::Included(self.start.as_ref());
        match &self.end {
            _ if self.is_empty() => None,
            End::Single => Some((start, Bound::Included(self.start.as_ref()))),
            End::Before(end) => Some((start, Bound::Excluded(end.as_ref()))),
            End::Unbounded => Some((start, Bound::Unbounded)),
        }
    }
}

pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The first key after all keys with `prefix`; `None` if there is no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|b| *b < 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_its_name_says() {
        // (range, inside, outside)
        type Keys<'a> = &'a [&'a [u8]];
        let rows: [(Range, Keys<'_>, Keys<'_>); 7] = [
            (Range::key("b"), &[b"b"], &[b"a", b"ba", b""]),
            (Range::prefix("/a/"), &[b"/a/", b"/a/x", b"/a/\xff"], &[b"/a", b"/a0", b"/b"]),
            (Range::prefix(&b"a\xff"[..]), &[b"a\xff", b"a\xffz"], &[b"a", b"b"]),
            (Range::prefix(&b"\xff\xff"[..]), &[b"\xff\xff", b"\xff\xff\x01"], &[b"\xff", b"a"]),
            (Range::prefix(""), &[b"", b"\xff"], &[]),
            (Range::between("b", "d"), &[b"b", b"c"], &[b"a", b"d"]),
            (Range::prefix("/a/").starting_at("/a/m"), &[b"/a/m", b"/a/z"], &[b"/a/l", b"/b"]),
        ];
        for (range, inside, outside) in rows {
            for key in inside {
                assert!(range.contains(key), "{key:?} belongs to {range:?}");
            }
            for key in outside {
                assert!(!range.contains(key), "{key:?} does not belong to {range:?}");
            }
            let (key, end) = range.to_etcd();
            assert_eq!(Range::from_etcd(key, end), range, "there and back");
        }
    }

    #[test]
    fn an_upside_down_interval_is_empty() {
        assert!(Range::between("d", "b").is_empty());
        assert!(Range::between("d", "b").bounds().is_none());
        assert!(Range::key("a").starting_at("b").is_empty());
    }
}
