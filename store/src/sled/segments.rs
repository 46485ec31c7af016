//! The headers of sled's segments, checked before sled opens its log.
//!
//! sled opens a log whose newest segment has a damaged header, by its snapshot finds all that is in it, and goes on
//! writing there; and when it opens it the next time, what it has written since is gone. So such a log is refused at
//! once, while nothing is lost.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::directory::SEGMENT;

/// A sum over the rest, the number of the segment's first byte, and how far the log was durable.
const HEADER: usize = 20;

/// The sum that sled uses: CRC-32, as in gzip.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

fn is_sound(header: &[u8; HEADER]) -> bool {
    let (sum, rest) = header.split_at(4);
    // Of a segment that was never written there is nothing.
    header.iter().all(|byte| *byte == 0) || sum == (!crc32(rest)).to_le_bytes()
}

/// The number of the first segment of the log at `path` whose header is not what sled has written.
pub(super) fn first_damaged(path: &Path) -> io::Result<Option<u64>> {
    let log = match File::open(path) {
        Ok(log) => log,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let size = SEGMENT as u64;
    for number in 0..log.metadata()?.len().div_ceil(size) {
        let mut header = [0; HEADER];
        match log.read_exact_at(&mut header, number * size) {
            Ok(()) if is_sound(&header) => {}
            Ok(()) => return Ok(Some(number)),
            // Cut within a header: sled sees that itself.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_judged_as_sled_judges_them() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let dir = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(dir.path()).flush_every_ms(None).open().unwrap();
        // More than one segment.
        for n in 0..1000_u32 {
            db.insert(n.to_be_bytes(), vec![7; 1000]).unwrap();
        }
        db.flush().unwrap();
        drop(db);
        let path = dir.path().join("db");
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > SEGMENT, "{}", bytes.len());
        assert_eq!(first_damaged(&path).unwrap(), None);
        for (segment, at) in [(0, 0), (0, 19), (1, SEGMENT + 7)] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(first_damaged(&path).unwrap(), Some(segment), "byte {at}");
        }
    }
}
