//! How records lie in sled: numbered, in small pieces, with a checksum over the whole.
//!
//! sled puts pages of more than 128 KiB into files of their own, and if such a file cannot be written (a full
//! disk), every later flush waits for ever. A page holds up to some thirty items, so no item may be large, key
//! or value: records have numbers for keys, and long ones are cut.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sled::IVec;

use crate::{Kv, Revision};

/// The key of the head; those of pieces are longer.
pub(super) const HEAD: &[u8] = b"head";
/// Bytes of a piece: thirty of them stay far below what a page may hold.
const PIECE: usize = 3 << 10;
const KEY: u8 = b'k';
const LEASE: u8 = b'l';

/// Where the store stands: written with every append, after all else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Counts appends.
    pub(super) appends: u64,
    pub(super) revision: Revision,
    /// The checksums of all records, added up: order does not matter, so one append moves it by what
    /// it took away and what it brought. A record lost, revived or changed shows.
    pub(super) sum: u64,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Key(Bytes),
    Lease(i64),
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) id: u64,
    pub(super) pieces: u32,
    pub(super) sum: u64,
}

/// What a record says.
#[derive(Debug)]
pub(super) enum Entry {
    Key(Kv),
    Lease { id: i64, ttl: Duration },
}

/// sled's key of a piece.
pub(super) fn piece_key(id: u64, piece: u32) -> [u8; 12] {
    let mut key = [0; 12];
    let (number, place) = key.split_at_mut(8);
    number.copy_from_slice(&id.to_be_bytes());
    place.copy_from_slice(&piece.to_be_bytes());
    key
}

/// The reverse of [`piece_key`].
pub(super) fn of_piece_key(key: &[u8]) -> Option<(u64, u32)> {
    let (id, piece) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*id), u32::from_be_bytes(piece.try_into().ok()?)))
}

/// 64 bits of SHA-256 over name and content.
pub(super) fn checksum(name: &[u8], content: &[u8]) -> u64 {
    let mut hash = Sha256::new();
    hash.update((name.len() as u64).to_be_bytes());
    hash.update(name);
    hash.update(content);
    hash.finalize().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// A record and its checksum, as content of the slot `id`.
fn seal(id: u64, content: &[&[u8]]) -> (Vec<u8>, u64) {
    let mut record = Vec::with_capacity(8 + content.iter().map(|part| part.len()).sum::<usize>());
    record.extend([0; 8]);
    content.iter().for_each(|part| record.extend_from_slice(part));
    let (place, content) = record.split_at_mut(8);
    let sum = checksum(&id.to_be_bytes(), content);
    place.copy_from_slice(&sum.to_be_bytes());
    (record, sum)
}

pub(super) fn encode_key(id: u64, kv: &Kv) -> (Vec<u8>, u64) {
    let numbers = [kv.create_revision, kv.mod_revision, kv.version, kv.lease].map(i64::to_be_bytes);
    let length = (kv.key.len() as u64).to_be_bytes();
    seal(id, &[&[KEY], numbers.as_flattened(), &length, &kv.key, &kv.value])
}

pub(super) fn encode_lease(id: u64, lease: i64, ttl: Duration) -> (Vec<u8>, u64) {
    let nanos = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
    seal(id, &[&[LEASE], &lease.to_be_bytes(), &nanos.to_be_bytes()])
}

/// A record as the pieces that sled gets.
pub(super) fn pieces(record: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> {
    record.chunks(PIECE)
}

fn number(content: &[u8], at: usize) -> Option<[u8; 8]> {
    content.get(at * 8..(at + 1) * 8)?.try_into().ok()
}

/// The content of a record and its checksum; `None` if it is damaged.
pub(super) fn decode(id: u64, record: &[u8]) -> Option<(Entry, u64)> {
    let (sum, content) = record.split_first_chunk::<8>()?;
    let sum = u64::from_be_bytes(*sum);
    if checksum(&id.to_be_bytes(), content) != sum {
        return None;
    }
    let (kind, content) = content.split_first()?;
    let signed = |at| number(content, at).map(i64::from_be_bytes);
    let unsigned = |at| number(content, at).map(u64::from_be_bytes);
    let entry = match *kind {
        KEY => {
            let (key, value) = content.get(40..)?.split_at_checked(usize::try_from(unsigned(4)?).ok()?)?;
            Entry::Key(Kv {
                key: Bytes::copy_from_slice(key),
                value: Bytes::copy_from_slice(value),
                create_revision: signed(0)?,
                mod_revision: signed(1)?,
                version: signed(2)?,
                lease: signed(3)?,
            })
        }
        LEASE => Entry::Lease { id: signed(0)?, ttl: Duration::from_nanos(unsigned(1)?) },
        _ => return None,
    };
    Some((entry, sum))
}

/// The checksum that a record says it has.
pub(super) fn claimed_sum(record: &[u8]) -> Option<u64> {
    record.first_chunk::<8>().map(|sum| u64::from_be_bytes(*sum))
}

/// The key that a damaged record seems to be of: for people, nothing is decided by it.
pub(super) fn legible_key(record: &[u8]) -> Option<String> {
    let content = record.get(8..)?.strip_prefix(&[KEY])?;
    let length = usize::try_from(u64::from_be_bytes(number(content, 4)?)).ok()?;
    let key = std::str::from_utf8(content.get(40..)?.get(..length)?).ok()?;
    key.chars().all(|c| !c.is_control()).then(|| key.to_owned())
}

/// The head as sled gets it.
pub(super) fn head_item(head: &Head) -> (IVec, Option<IVec>) {
    (IVec::from(HEAD), Some(IVec::from(encode_head(head))))
}

fn encode_head(head: &Head) -> Vec<u8> {
    let content = [head.appends.to_be_bytes(), head.revision.to_be_bytes(), head.sum.to_be_bytes()];
    let content = content.as_flattened();
    [checksum(HEAD, content).to_be_bytes().as_slice(), content].concat()
}

pub(super) fn decode_head(record: &[u8]) -> Option<Head> {
    let (sum, content) = record.split_first_chunk::<8>()?;
    if checksum(HEAD, content) != u64::from_be_bytes(*sum) {
        return None;
    }
    let unsigned = |at| number(content, at).map(u64::from_be_bytes);
    Some(Head { appends: unsigned(0)?, revision: unsigned(1)?.cast_signed(), sum: unsigned(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_or_refused() {
        let kv = Kv {
            key: "k".into(),
            value: "value".into(),
            create_revision: 2,
            mod_revision: 9,
            version: 3,
            lease: -4,
        };
        let (record, sum) = encode_key(7, &kv);
        match decode(7, &record) {
            Some((Entry::Key(read), read_sum)) => assert_eq!((read, read_sum), (kv, sum)),
            other => panic!("{other:?}"),
        }
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1;
            assert!(decode(7, &damaged).is_none(), "a flipped bit in byte {at} shows");
            assert!(decode(7, &record[..at]).is_none(), "a record cut at {at} shows");
        }
        assert!(decode(8, &record).is_none(), "a record under another number shows");
        let last = record.len() - 1;
        let mut damaged = record.clone();
        damaged[last] ^= 1;
        assert_eq!((claimed_sum(&damaged), legible_key(&damaged)), (Some(sum), Some("k".into())));
        assert_eq!((claimed_sum(&record[..7]), legible_key(&record[..49])), (None, None));
        let (record, _) = encode_lease(1, -9, Duration::from_millis(1500));
        assert!(
            matches!(decode(1, &record), Some((Entry::Lease { id: -9, ttl }, _)) if ttl.as_millis() == 1500)
        );
    }

    #[test]
    fn a_head_is_read_back_or_refused() {
        let head = Head { appends: 3, revision: 4, sum: u64::MAX };
        let record = encode_head(&head);
        assert_eq!(decode_head(&record), Some(head));
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1;
            assert_eq!(decode_head(&damaged), None, "a flipped bit in byte {at} shows");
        }
    }

    #[test]
    fn no_piece_is_large() {
        for length in [0, 1, PIECE, PIECE + 1, 1_572_864] {
            let record = vec![1; length];
            assert!(pieces(&record).all(|piece| piece.len() <= PIECE));
            assert_eq!(pieces(&record).map(<[u8]>::len).sum::<usize>(), length);
        }
        assert_eq!(of_piece_key(&piece_key(9, 513)), Some((9, 513)));
    }
}
