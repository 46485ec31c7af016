//! The journal: what was acknowledged and is not durable in sled yet.
//!
//! An append is one write and one sync of this file. sled, whose own flush takes two more syncs and wakes a pool of
//! threads, gets it afterwards, and is flushed when the journal is full, every hundred objects or so; then the journal
//! begins again at its start, over what was there before.
//!
//! ```text
//! block   magic  length  number  sum of the one before  sum  (changes, length of them)  zeros up to the next block
//! ```
//!
//! Each record begins at a block of its own: a write that is torn harms nothing that was acknowledged. Behind the last
//! one is what was there before. It has another number or does not know the sum of the one before, which nobody can
//! foresee: nothing that a client has written passes for a record.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use sled::IVec;

use super::{
    codec::{HEAD, Head, checksum, decode_head},
    directory::{note, sync_data},
};

const MAGIC: &[u8; 8] = b"chpl-jrn";
const HEADER: usize = 40;
const BLOCK: usize = 4096;
/// So many bytes of changes are given to sled until it is flushed, also within one append (see
/// [`super::files::Files::write`]). It takes about four times as many for them, and what is not flushed must stay below
/// one of its segments: sled believes that what it has written is durable, and writes over what that replaces; without a
/// real sync between the two, a power failure might take both.
pub(super) const FULL: usize = 128 << 10;
/// And at this length of the file, where changes are small.
const LONG: u64 = 1 << 20;
/// By so much the file grows: to make a file longer costs a sync more than to write into it.
const STEP: u64 = 512 << 10;
/// In place of an item's length: the item is removed.
const REMOVED: u32 = u32::MAX;

/// Appends that a journal holds at most.
pub(super) const APPENDS: u64 = LONG / BLOCK as u64;

/// Changes of sled's items: all of one append, or of several. The head comes last, so that in a sled that has the head of
/// an append all of that append is there.
pub(super) type Changes = BTreeMap<IVec, Option<IVec>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// The length of the file.
    len: u64,
    /// Where the next record goes.
    at: u64,
    /// Bytes of changes in the records before that.
    held: usize,
    /// And in the last one.
    newest: usize,
    /// The sum of the last record.
    last: u64,
    /// The record that is being written, and how long it is.
    buffer: Vec<u8>,
}

/// One append as it was written.
#[derive(Debug)]
pub(super) struct Entry {
    /// Of the append.
    number: u64,
    changes: Vec<(IVec, Option<IVec>)>,
}

fn sum_of(number: u64, before: u64, content: &[u8]) -> u64 {
    checksum([number.to_be_bytes(), before.to_be_bytes()].as_flattened(), content)
}

impl Journal {
    /// An empty one in the file at `path`. What is there is written over as it is needed; `seed` tells the records of
    /// this life from all others.
    pub(super) fn begin(path: &Path, seed: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len, at: 0, held: 0, newest: 0, last: seed, buffer: Vec::new() })
    }

    /// Writes append `number`; durable after [`Journal::sync`]. It counts from [`Journal::keep`] on: until then the next
    /// one takes its place.
    pub(super) fn write(
        &mut self,
        number: u64,
        changes: impl Iterator<Item = (IVec, Option<IVec>)>,
    ) -> io::Result<()> {
        let record = &mut self.buffer;
        record.clear();
        record.resize(HEADER, 0);
        for (key, item) in changes {
            let length = item.as_ref().map_or(Some(REMOVED), |item| u32::try_from(item.len()).ok());
            let (Ok(name), Some(length)) = (u8::try_from(key.len()), length) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "an item is too large for the journal",
                ));
            };
            record.push(name);
            record.extend_from_slice(&length.to_be_bytes());
            record.extend_from_slice(&key);
            record.extend_from_slice(item.as_deref().unwrap_or_default());
        }
        let (header, content) = record.split_at_mut(HEADER);
        let numbers = [content.len() as u64, number, self.last, sum_of(number, self.last, content)];
        header.copy_from_slice(&[MAGIC.as_slice(), numbers.map(u64::to_be_bytes).as_flattened()].concat());
        record.resize(record.len().next_multiple_of(BLOCK), 0);
        let end = self.at + record.len() as u64;
        if end > self.len {
            let longer = end.next_multiple_of(STEP);
            let zeros = vec![0; usize::try_from(longer - end).unwrap_or_default()];
            self.file.write_all_at(&zeros, end)?;
            self.len = longer;
        }
        self.file.write_all_at(record, self.at)?;
        note("journal written");
        Ok(())
    }

    /// What was written is durable when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_data(&self.file, "journal synced")
    }

    /// What was written last counts.
    pub(super) fn keep(&mut self) {
        if let Some(sum) = self.buffer.get(32..HEADER).and_then(|sum| sum.try_into().ok()) {
            self.last = u64::from_be_bytes(sum);
            self.at += self.buffer.len() as u64;
            self.newest =
                number_at(&self.buffer, 8).and_then(|len| usize::try_from(len).ok()).unwrap_or(FULL);
            self.held += self.newest;
        }
    }

    /// Whether another append like the last one does not fit.
    pub(super) fn is_full(&self) -> bool {
        self.held + self.newest > FULL || self.at >= LONG
    }

    /// All of it is durable elsewhere: it begins again.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        (self.at, self.held) = (0, 0);
        note("journal rewound");
        // Somebody has written a great deal at once.
        if self.len > 4 * LONG { self.shorten(LONG) } else { Ok(()) }
    }

    /// All of it is durable elsewhere, and nothing follows.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        (self.at, self.held) = (0, 0);
        note("journal cleared");
        self.shorten(0)
    }

    fn shorten(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len = len;
        Ok(())
    }

    /// What is in the file, up to the first thing that is no record of it.
    pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let mut entries: Vec<Entry> = Vec::new();
        let (mut rest, mut before) = (bytes.as_slice(), None);
        while let Some((entry, sum, length)) = decode(rest, before) {
            if entries.last().is_some_and(|last| last.number + 1 != entry.number) {
                break;
            }
            entries.push(entry);
            before = Some(sum);
            rest = rest.get(length.next_multiple_of(BLOCK)..).unwrap_or_default();
        }
        Ok(entries)
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}

/// The record at the beginning of `bytes`, its sum and its length; `None` if there is none that follows the one whose
/// sum is `before`.
fn decode(bytes: &[u8], before: Option<u64>) -> Option<(Entry, u64, usize)> {
    let (length, number) = (usize::try_from(number_at(bytes, 8)?).ok()?, number_at(bytes, 16)?);
    let (claimed, sum) = (number_at(bytes, 24)?, number_at(bytes, 32)?);
    let content = bytes.get(HEADER..)?.get(..length)?;
    let follows = before.is_none_or(|before| before == claimed);
    if bytes.get(..8)? != MAGIC || !follows || sum_of(number, claimed, content) != sum {
        return None;
    }
    let (mut changes, mut rest) = (Vec::new(), content);
    while let Some((name, behind)) = rest.split_first() {
        let (item, behind) = behind.split_first_chunk::<4>()?;
        let (key, behind) = behind.split_at_checked(usize::from(*name))?;
        let length = u32::from_be_bytes(*item);
        let (item, behind) = match length {
            REMOVED => (None, behind),
            length => {
                let (item, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(IVec::from(item)), behind)
            }
        };
        changes.push((IVec::from(key), item));
        rest = behind;
    }
    Some((Entry { number, changes }, sum, HEADER + length))
}

/// What a journal adds to a sled.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub(super) changes: Changes,
    /// Whether it goes on where sled ends. If not, appends between the two are lost, or nobody knows where sled ends.
    pub(super) connects: bool,
    /// Of its last append.
    pub(super) head: Option<Head>,
}

/// What `entries` up to append `up_to` come to over a sled with the items `found`. What sled has of them already comes
/// again: after a power failure it may have the newest of it and lack some of what came before. An entry says what its
/// items are, not how they change, so that a second time does no harm.
pub(super) fn rest<'a>(
    found: impl IntoIterator<Item = &'a (IVec, IVec)>,
    mut entries: Vec<Entry>,
    up_to: u64,
) -> Rest {
    entries.retain(|entry| entry.number <= up_to);
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Rest { connects: true, ..Rest::default() };
    };
    let head = last.changes.iter().find(|(key, _)| key == HEAD);
    let head = head.and_then(|(_, item)| decode_head(item.as_deref()?));
    let known = found.into_iter().find(|(key, _)| key == HEAD);
    // Of a sled whose head is damaged nobody knows where it ends.
    let appends = known.map_or(Some(0), |(_, item)| Some(decode_head(item)?.appends));
    if appends.is_some_and(|appends| last.number < appends) {
        return Rest { connects: true, head, ..Rest::default() };
    }
    let connects = appends.is_some_and(|appends| first.number <= appends + 1);
    Rest { changes: entries.into_iter().flat_map(|entry| entry.changes).collect(), connects, head }
}

/// `items` with `changes` made, in order.
pub(super) fn with(items: Vec<(IVec, IVec)>, changes: &Changes) -> Vec<(IVec, IVec)> {
    if changes.is_empty() {
        return items;
    }
    let mut all: Vec<_> = items.into_iter().filter(|(key, _)| !changes.contains_key(key)).collect();
    all.extend(changes.iter().filter_map(|(key, item)| Some((key.clone(), item.clone()?))));
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::{super::codec::head_item, *};

    fn write(journal: &mut Journal, number: u64, item: &[u8]) {
        let changes =
            [(IVec::from(&number.to_be_bytes()), Some(IVec::from(item))), (IVec::from("gone"), None)];
        journal.write(number, changes.into_iter()).unwrap();
        journal.sync().unwrap();
        journal.keep();
    }

    fn numbers(path: &Path) -> Vec<u64> {
        Journal::read(path).unwrap().iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn what_is_written_is_read_until_something_else_comes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        assert!(numbers(&path).is_empty(), "there is no file");
        let mut journal = Journal::begin(&path, 7).unwrap();
        for number in 1..=4 {
            write(&mut journal, number, &vec![number as u8; 5000 * number as usize]);
        }
        let entries = Journal::read(&path).unwrap();
        assert_eq!(numbers(&path), [1, 2, 3, 4]);
        let (key, item) = &entries[3].changes[0];
        assert_eq!(
            (key.as_ref(), item.as_deref()),
            (4_u64.to_be_bytes().as_slice(), Some([4; 20_000].as_slice()))
        );
        assert_eq!(entries[3].changes[1], (IVec::from("gone"), None));
        // Not kept: another one takes its place.
        journal.write(5, std::iter::empty()).unwrap();
        write(&mut journal, 5, b"five");
        assert_eq!(numbers(&path), [1, 2, 3, 4, 5]);
        // From the start again, over the first and a part of the second.
        journal.rewind().unwrap();
        write(&mut journal, 6, &[6; 9000]);
        assert_eq!(numbers(&path), [6]);
        journal.clear().unwrap();
        assert!(numbers(&path).is_empty());
    }

    #[test]
    fn a_flipped_bit_or_a_cut_ends_it_before_the_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::begin(&path, 7).unwrap();
        for number in 1..=3 {
            write(&mut journal, number, b"an item");
        }
        let bytes = std::fs::read(&path).unwrap();
        let length = HEADER + 2 * 5 + 8 + b"an item".len() + b"gone".len();
        for at in (BLOCK..BLOCK + length).chain([BLOCK + length + 1]) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let expected: &[u64] = if at < BLOCK + length { &[1] } else { &[1, 2, 3] };
            assert_eq!(numbers(&path), expected, "byte {at} is flipped");
            std::fs::write(&path, &bytes[..at]).unwrap();
            let expected: &[u64] = if at < BLOCK + length { &[1] } else { &[1, 2] };
            assert_eq!(numbers(&path), expected, "cut at {at}");
        }
    }

    #[test]
    fn what_a_client_writes_does_not_pass_for_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::begin(&path, 7).unwrap();
        write(&mut journal, 1, b"one");
        // A record of append 3 that is right in everything but what came before it, in the middle of append 2.
        let forged = dir.path().join("forged");
        write(&mut Journal::begin(&forged, 8).unwrap(), 3, b"forged");
        let forged = std::fs::read(&forged).unwrap()[..BLOCK].to_vec();
        let before = 2 * BLOCK - BLOCK - HEADER - 5 - 8;
        write(&mut journal, 2, &[vec![0; before], forged].concat());
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[2 * BLOCK..][..8], MAGIC, "it lies where a record can be");
        journal.rewind().unwrap();
        write(&mut journal, 1, b"one");
        write(&mut journal, 2, b"two");
        assert_eq!(numbers(&path), [1, 2]);
    }

    #[test]
    fn a_journal_goes_on_where_sled_ends_and_says_so_if_not() {
        let head = |appends: u64| Head { appends, revision: appends as i64 + 1, sum: 0 };
        let entries = |numbers: std::ops::RangeInclusive<u64>| -> Vec<Entry> {
            let changes = |number: u64| {
                let own = (IVec::from(&number.to_be_bytes()), Some(IVec::from("x")));
                vec![
                    own,
                    (IVec::from("both"), Some(IVec::from(&number.to_be_bytes()))),
                    head_item(&head(number)),
                ]
            };
            numbers.map(|number| Entry { number, changes: changes(number) }).collect()
        };
        // (sled's last append, the journal's, up to which, how many items it gives, whether it goes on, its last one)
        let rows = [
            (Some(0), 1..=3, u64::MAX, 5, true, 3),
            (Some(4), 5..=7, u64::MAX, 5, true, 7),
            // Sled has some of it: all of it comes again, for there may be holes.
            (Some(6), 5..=7, u64::MAX, 5, true, 7),
            (Some(7), 5..=7, u64::MAX, 5, true, 7),
            (Some(6), 5..=7, 6, 4, true, 6),
            // Old: the newest of it is older than what sled has.
            (Some(8), 5..=7, u64::MAX, 0, true, 7),
            // Between the two something lacks.
            (Some(3), 5..=7, u64::MAX, 5, false, 7),
            (None, 5..=7, u64::MAX, 5, false, 7),
        ];
        for (sled, journal, up_to, items, connects, last) in rows {
            let what = format!("{journal:?} up to {up_to} over {sled:?}");
            let head_of_sled =
                sled.map_or(IVec::from("damaged"), |appends| head_item(&head(appends)).1.unwrap());
            let found = [(IVec::from(HEAD), head_of_sled)];
            let rest = rest(&found, entries(journal), up_to);
            assert_eq!((rest.changes.len(), rest.connects), (items, connects), "{what}");
            assert_eq!(rest.head, Some(head(last)), "{what}");
            let newest = rest.changes.get(&IVec::from("both")).cloned().flatten();
            assert_eq!(newest, (items > 0).then(|| IVec::from(&last.to_be_bytes())), "{what}");
        }
        assert!(rest(&[], Vec::new(), u64::MAX).connects, "no journal");
        assert!(rest(&[], entries(1..=2), u64::MAX).connects, "of a sled in which nothing was ever");
    }
}
