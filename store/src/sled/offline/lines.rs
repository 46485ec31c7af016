//! A store as lines of JSON: for other programs, for other formats, for backups.
//!
//! ```text
//! {"format":"chronoplane-store","version":1,"revision":301,"leases":1,"keys":300}
//! {"lease":7,"ttl":"60s"}                     one line for each lease
//! {"key":"/registry/…","value":"{…}","createRevision":2,"modRevision":2,"version":1,"lease":7}
//! {"end":301,"sha256":"…"}                    of all lines before, newlines too
//! ```
//!
//! Keys and values that are not UTF-8 are `keyBase64` and `valueBase64`. Cut or changed lines are found out.

use std::{
    io::{self, BufRead, Write},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{Image, Kv};

const FORMAT: &str = "chronoplane-store";
const VERSION: u64 = 1;

/// Why lines are not taken.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// They could not be read.
    #[error("reading the lines: {0}")]
    Io(#[from] io::Error),
    /// They begin with something else.
    #[error(
        "this is no export of a store: its first line is not {{\"format\":{FORMAT:?},\"version\":{VERSION},…}}"
    )]
    Stranger,
    /// They are of a format that this program does not know.
    #[error(
        "this export has version {0}, and this program reads version {VERSION}; export it again with this program"
    )]
    Version(u64),
    /// A line that says nothing or the wrong thing.
    #[error("line {number} is damaged: {why}; export the store again")]
    Line {
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        why: String,
    },
    /// The lines end too early.
    #[error(
        "the lines end after {0} without the last one, {{\"end\":…}}: they were cut; export the store again"
    )]
    Cut(usize),
    /// The sum at the end is another one.
    #[error(
        "the lines do not add up to the checksum at their end: some were changed; export the store again"
    )]
    Changed,
}

/// Writes all of `image`.
///
/// # Errors
/// `out` does not take it.
pub fn write(image: &Image, out: &mut dyn Write) -> io::Result<()> {
    let mut hash = Sha256::new();
    let head = json!({
        "format": FORMAT, "version": VERSION,
        "revision": image.revision, "leases": image.leases.len(), "keys": image.keys.len(),
    });
    let leases = image.leases.iter().map(|(id, ttl)| json!({"lease": id, "ttl": nanos(*ttl)}));
    let keys = image.keys.values().map(of_key);
    let mut count = 0;
    for line in std::iter::once(head).chain(leases).chain(keys) {
        let line = format!("{line}\n");
        hash.update(&line);
        out.write_all(line.as_bytes())?;
        count += 1;
    }
    writeln!(out, "{}", json!({"end": count, "sha256": hex(&hash.finalize())}))?;
    out.flush()
}

/// Whole seconds where they are.
fn nanos(ttl: Duration) -> String {
    if ttl.subsec_nanos() == 0 { format!("{}s", ttl.as_secs()) } else { format!("{}ns", ttl.as_nanos()) }
}

fn of_nanos(text: &str) -> Option<Duration> {
    match text.strip_suffix("ns") {
        Some(nanos) => nanos.parse().ok().map(Duration::from_nanos),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

fn of_key(kv: &Kv) -> Value {
    let mut line = Map::new();
    for (name, bytes) in [("key", &kv.key), ("value", &kv.value)] {
        match std::str::from_utf8(bytes) {
            Ok(text) => line.insert(name.into(), text.into()),
            Err(_) => line.insert(format!("{name}Base64"), STANDARD.encode(bytes).into()),
        };
    }
    line.insert("createRevision".into(), kv.create_revision.into());
    line.insert("modRevision".into(), kv.mod_revision.into());
    line.insert("version".into(), kv.version.into());
    if kv.lease != 0 {
        line.insert("lease".into(), kv.lease.into());
    }
    Value::Object(line)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// It is not that, or not all of it.
pub fn read(lines: &mut dyn BufRead) -> Result<Image, LinesError> {
    let mut hash = Sha256::new();
    let mut image = Image::default();
    let mut expected = (0, 0);
    let mut number = 0;
    let mut text = String::new();
    loop {
        text.clear();
        if lines.read_line(&mut text)? == 0 {
            return Err(if number == 0 { LinesError::Stranger } else { LinesError::Cut(number) });
        }
        number += 1;
        let damaged = |why: &str| LinesError::Line { number, why: why.to_owned() };
        let line = match serde_json::from_str::<Value>(&text) {
            Ok(line) => line,
            Err(_) if number == 1 => return Err(LinesError::Stranger),
            // The last of a file that was cut.
            Err(_) if !text.ends_with('\n') => return Err(LinesError::Cut(number)),
            Err(e) => return Err(damaged(&e.to_string())),
        };
        if number == 1 {
            (image.revision, expected) = head(&line)?;
        } else if let Some(end) = line.get("end") {
            if line.get("sha256").and_then(Value::as_str) != Some(hex(&hash.finalize()).as_str()) {
                return Err(LinesError::Changed);
            }
            let found = (image.leases.len(), image.keys.len());
            if end.as_u64() != Some(number as u64 - 1) || found != expected {
                return Err(damaged("it speaks of another number of lines"));
            }
            return Ok(image);
        } else if let Some(ttl) = line.get("ttl") {
            let ttl = ttl.as_str().and_then(of_nanos).ok_or_else(|| damaged("a lease without a time"))?;
            let id =
                line.get("lease").and_then(Value::as_i64).ok_or_else(|| damaged("a lease without an id"))?;
            image.leases.insert(id, ttl);
        } else {
            let kv = key(&line).ok_or_else(|| damaged("a key, its value or a revision is missing"))?;
            image.keys.insert(kv.key.clone(), kv);
        }
        hash.update(&text);
    }
}

/// The revision, and how many leases and keys follow.
fn head(line: &Value) -> Result<(i64, (usize, usize)), LinesError> {
    if line.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(LinesError::Stranger);
    }
    match line.get("version").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(other) => return Err(LinesError::Version(other)),
        None => return Err(LinesError::Stranger),
    }
    let count = |name: &str| line.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let revision = line.get("revision").and_then(Value::as_i64).filter(|revision| *revision >= Image::EMPTY);
    match (revision, count("leases"), count("keys")) {
        (Some(revision), Some(leases), Some(keys)) => Ok((revision, (leases, keys))),
        _ => Err(LinesError::Line { number: 1, why: "revision, leases or keys is missing".into() }),
    }
}

fn key(line: &Value) -> Option<Kv> {
    let bytes = |name: &str| match line.get(name).and_then(Value::as_str) {
        Some(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        None => {
            let text = line.get(format!("{name}Base64")).and_then(Value::as_str)?;
            STANDARD.decode(text).ok().map(Bytes::from)
        }
    };
    let number = |name: &str| line.get(name).and_then(Value::as_i64);
    Some(Kv {
        key: bytes("key")?,
        value: bytes("value")?,
        create_revision: number("createRevision")?,
        mod_revision: number("modRevision")?,
        version: number("version")?,
        lease: number("lease").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        let kv = |key: &[u8], value: &[u8], lease| Kv {
            key: Bytes::copy_from_slice(key),
            value: Bytes::copy_from_slice(value),
            create_revision: 2,
            mod_revision: 7,
            version: 3,
            lease,
        };
        let kvs = [kv(b"/a", b"{\"a\":\"\\u00e4\\n\"}", 0), kv(b"/b\xff", b"\x00\xff", 7), kv(b"/c", b"", 0)];
        Image {
            revision: 9,
            keys: kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect(),
            leases: [(7, Duration::from_secs(60)), (8, Duration::from_millis(1500))].into(),
        }
    }

    fn written() -> String {
        let mut out = Vec::new();
        write(&image(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&mut written().as_bytes()).unwrap(), image());
        let text = written();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let head = json!({"format": FORMAT, "version": 1, "revision": 9, "leases": 2, "keys": 3});
        assert_eq!(first, head);
        assert!(
            text.contains("\n{\"lease\":7,\"ttl\":\"60s\"}\n{\"lease\":8,\"ttl\":\"1500000000ns\"}\n"),
            "{text}"
        );
    }

    /// No cut and no changed byte goes unnoticed.
    #[test]
    fn what_was_changed_is_refused() {
        let text = written();
        for at in 0..text.len() - 1 {
            assert!(read(&mut &text.as_bytes()[..at]).is_err(), "cut at {at}: {:?}", &text[..at]);
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert!(read(&mut changed.as_slice()).is_err(), "changed at {at}");
        }
        let lines: Vec<&str> = text.lines().collect();
        let without = [&lines[..3], &lines[4..]].concat().join("\n");
        let newer = text.replacen("\"version\":1", "\"version\":2", 1);
        let rows = [
            ("", "this is no export of a store"),
            ("a letter\n", "this is no export of a store"),
            (&text[..text.len() - 100], "they were cut"),
            (&without, "do not add up"),
            (&newer, "has version 2, and this program reads version 1"),
        ];
        for (text, words) in rows {
            let said = read(&mut text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(words), "{said} says {words}");
        }
    }
}
