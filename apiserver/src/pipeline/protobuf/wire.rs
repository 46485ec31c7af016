//! Protobuf's wire format: tags and pieces, nothing of what they mean.

use super::{ProtobufError, Result};

/// One field's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Piece<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError::WireType),
        }
    }

    pub(super) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ProtobufError::Text)
    }

    /// Negative numbers are written as ten bytes in two's complement.
    pub(super) fn integer(self) -> Result<i64> {
        match self {
            Self::Varint(number) => Ok(number as i64),
            _ => Err(ProtobufError::WireType),
        }
    }
}

/// Reads a message field by field.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field's tag and content.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Piece<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let tag = u32::try_from(key >> 3).map_err(|_| ProtobufError::WireType)?;
        let piece = match key & 7 {
            0 => Piece::Varint(self.varint()?),
            1 => Piece::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Truncated)?;
                Piece::Bytes(self.take(length)?)
            }
            5 => Piece::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(ProtobufError::WireType),
        };
        Ok(Some((tag, piece)))
    }

    /// The next number of a packed list.
    pub(super) fn number(&mut self) -> Result<Option<i64>> {
        if self.0.is_empty() { Ok(None) } else { self.varint().map(|n| Some(n as i64)) }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtobufError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(ProtobufError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}
