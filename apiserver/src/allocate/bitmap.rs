//! A RangeAllocation in the store: which offsets of a range are given out, in upstream's own form.

use api::status::Status;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use store::{Outcome, Store, StoreError};

use crate::watch_cache::{encode, store_status};

/// Why an offset was not given out.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is taken.
    Taken,
    /// None is left.
    Full,
    /// The store failed.
    Store(Box<Status>),
}

/// One allocation object.
#[derive(Clone, Debug)]
pub(super) struct Bitmap {
    key: &'static str,
    range: String,
    size: u64,
}

/// Little-endian in memory; in the store, as Go's `big.Int`, big-endian without leading zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u8>);

impl Bits {
    fn from_stored(text: &str) -> Self {
        let mut bytes = STANDARD.decode(text).unwrap_or_default();
        bytes.reverse();
        Self(bytes)
    }

    fn to_stored(&self) -> String {
        let used = self.0.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        let big_endian: Vec<u8> = self.0.iter().take(used).rev().copied().collect();
        STANDARD.encode(big_endian)
    }

    pub(super) fn has(&self, offset: u64) -> bool {
        self.0.get((offset / 8) as usize).is_some_and(|b| b & (1 << (offset % 8)) != 0)
    }

    /// The offsets that are given out, ascending.
    pub(super) fn given_out(&self) -> impl Iterator<Item = u64> {
        (0..self.0.len() as u64 * 8).filter(|offset| self.has(*offset))
    }

    pub(super) fn put(&mut self, offset: u64, on: bool) {
        let at = (offset / 8) as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        if let Some(byte) = self.0.get_mut(at) {
            let bit = 1 << (offset % 8);
            *byte = if on { *byte | bit } else { *byte & !bit };
        }
    }
}

impl Bitmap {
    pub(super) fn new(key: &'static str, range: String, size: u64) -> Self {
        Self { key, range, size }
    }

    /// Gives out `wanted`, or the first free offset from `from` on, wrapping around.
    pub(super) async fn take(
        &self,
        store: &dyn Store,
        wanted: Option<u64>,
        from: u64,
    ) -> Result<u64, Refused> {
        self.change(store, |bits| {
            if let Some(offset) = wanted {
                if bits.has(offset) {
                    return Err(Refused::Taken);
                }
                bits.put(offset, true);
                return Ok(offset);
            }
            let order = (from..self.size).chain(0..from.min(self.size));
            match order.into_iter().find(|offset| !bits.has(*offset)) {
                Some(offset) => {
                    bits.put(offset, true);
                    Ok(offset)
                }
                None => Err(Refused::Full),
            }
        })
        .await
    }

    /// Takes an offset back.
    pub(super) async fn free(&self, store: &dyn Store, offset: u64) -> Result<(), Refused> {
        self.change(store, |bits| {
            bits.put(offset, false);
            Ok(())
        })
        .await
    }

    async fn change<T>(
        &self,
        store: &dyn Store,
        mut apply: impl FnMut(&mut Bits) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        loop {
            let (mut bits, revision) = self.read(store).await.map_err(failed)?;
            let result = apply(&mut bits)?;
            if self.write(store, &bits, revision).await.map_err(failed)? {
                return Ok(result);
            }
        }
    }

    /// What is given out, and the revision that wrote it. Offsets of another range are none of this one's.
    pub(super) async fn read(&self, store: &dyn Store) -> Result<(Bits, i64), StoreError> {
        let (found, _) = store.get(self.key.as_bytes(), None).await?;
        let Some(kv) = found else { return Ok((Bits::default(), 0)) };
        let object: Value = serde_json::from_slice(&kv.value).unwrap_or_default();
        let bits = match object.get("range").and_then(Value::as_str) {
            Some(range) if range == self.range => {
                Bits::from_stored(object.get("data").and_then(Value::as_str).unwrap_or_default())
            }
            _ => Bits::default(),
        };
        Ok((bits, kv.mod_revision))
    }

    /// Whether it was written: not if somebody was faster.
    pub(super) async fn write(
        &self,
        store: &dyn Store,
        bits: &Bits,
        revision: i64,
    ) -> Result<bool, StoreError> {
        let object = json!({
            "kind": "RangeAllocation",
            "apiVersion": "v1",
            "metadata": {},
            "range": self.range,
            "data": bits.to_stored(),
        });
        let written = store.put_if(self.key.into(), encode(&object), revision, 0).await?;
        Ok(matches!(written, Outcome::Committed(_)))
    }
}

fn failed(error: StoreError) -> Refused {
    Refused::Store(Box::new(store_status(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_stored_as_go_stores_a_big_int() {
        let mut bits = Bits::default();
        assert_eq!(bits.to_stored(), "");
        bits.put(0, true);
        bits.put(9, true);
        // 0b10_0000_0001 = 0x0201, big-endian.
        assert_eq!(STANDARD.decode(bits.to_stored()).unwrap(), [0x02, 0x01]);
        assert_eq!(Bits::from_stored(&bits.to_stored()), bits);
        bits.put(9, false);
        assert_eq!(STANDARD.decode(bits.to_stored()).unwrap(), [0x01]);
        assert!(bits.has(0) && !bits.has(9) && !bits.has(4000));
        bits.put(17, true);
        assert_eq!(bits.given_out().collect::<Vec<_>>(), [0, 17]);
    }
}
