//! Header blocks: names and values, compressed with one state per direction of a connection.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Broken, dictionary::dictionary};

/// What all headers of a stream may amount to, and how many there may be.
const LONGEST: usize = 64 << 10;
const MOST: u32 = 128;

/// Compresses what we send.
pub(super) struct Encoder(Compress);

/// Decompresses what the other end sends.
pub(super) struct Decoder(Decompress);

impl Encoder {
    pub(super) fn new() -> Result<Self, Broken> {
        let mut deflate = Compress::new(Compression::best(), true);
        deflate.set_dictionary(&dictionary()).map_err(|e| Broken::new(e.to_string()))?;
        Ok(Self(deflate))
    }

    /// The block for `headers`; several values of one name stand in one entry with NULs between.
    pub(super) fn block(&mut self, headers: &HeaderMap) -> Result<Vec<u8>, Broken> {
        let mut plain = Vec::new();
        let put = |plain: &mut Vec<u8>, bytes: &[u8]| {
            plain.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            plain.extend(bytes);
        };
        plain.extend(u32::try_from(headers.keys_len()).unwrap_or(u32::MAX).to_be_bytes());
        for name in headers.keys() {
            let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            put(&mut plain, name.as_str().as_bytes());
            put(&mut plain, &values.join(&0));
        }
        let (mut out, mut at) = (Vec::with_capacity(plain.len() + 64), 0);
        loop {
            let before = self.0.total_in();
            let rest = plain.get(at..).unwrap_or_default();
            self.0
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .map_err(|e| Broken::new(e.to_string()))?;
            at += usize::try_from(self.0.total_in() - before).unwrap_or_default();
            if at >= plain.len() && out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(plain.len().max(64));
        }
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The headers of a block.
    pub(super) fn headers(&mut self, block: &[u8]) -> Result<HeaderMap, Broken> {
        let plain = self.inflate(block)?;
        let mut rest = plain.as_slice();
        let count = number(&mut rest)?;
        if count > MOST {
            return Err(Broken::new(format!("{count} headers, more than {MOST}")));
        }
        let mut headers = HeaderMap::new();
        for _ in 0..count {
            let name = HeaderName::from_bytes(text(&mut rest)?);
            let name = name.map_err(|e| Broken::new(format!("a header's name: {e}")))?;
            for value in text(&mut rest)?.split(|b| *b == 0) {
                let value = HeaderValue::from_bytes(value);
                headers.append(&name, value.map_err(|e| Broken::new(format!("header {name}: {e}")))?);
            }
        }
        Ok(headers)
    }

    fn inflate(&mut self, block: &[u8]) -> Result<Vec<u8>, Broken> {
        let (mut out, mut at) = (Vec::with_capacity(1024), 0);
        loop {
            let (before, had) = (self.0.total_in(), out.len());
            let rest = block.get(at..).unwrap_or_default();
            let outcome = self.0.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            at += usize::try_from(self.0.total_in() - before).unwrap_or_default();
            match outcome {
                Ok(_) => {}
                Err(e) if e.needs_dictionary().is_some() => {
                    // Another dictionary than SPDY's is refused here.
                    self.0.set_dictionary(&dictionary()).map_err(|e| Broken::new(e.to_string()))?;
                    continue;
                }
                Err(e) => return Err(Broken::new(format!("compressed headers: {e}"))),
            }
            if out.len() > LONGEST {
                return Err(Broken::new(format!("headers of more than {LONGEST} bytes")));
            }
            if out.len() == out.capacity() {
                out.reserve(out.capacity());
            } else if at >= block.len() {
                return Ok(out);
            } else if out.len() == had && self.0.total_in() == before {
                return Err(Broken::new("compressed headers that lead nowhere"));
            }
        }
    }
}

fn number(rest: &mut &[u8]) -> Result<u32, Broken> {
    let (first, after) = rest.split_first_chunk::<4>().ok_or_else(|| Broken::new("headers cut short"))?;
    *rest = after;
    Ok(u32::from_be_bytes(*first))
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Broken> {
    let length = usize::try_from(number(rest)?).unwrap_or(usize::MAX);
    let (text, after) = rest.split_at_checked(length).ok_or_else(|| Broken::new("headers cut short"))?;
    *rest = after;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn maps() -> impl Strategy<Value = HeaderMap> {
        let pair = ("[a-z][a-z0-9-]{0,12}", "[ -~]{0,40}");
        proptest::collection::vec(pair, 0..12).prop_map(|pairs| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(
                    HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                    HeaderValue::from_str(&value).expect("a value"),
                );
            }
            headers
        })
    }

    proptest! {
        #[test]
        fn what_one_end_writes_the_other_reads(all in proptest::collection::vec(maps(), 1..6)) {
            let (mut encoder, mut decoder) = (Encoder::new().expect("made"), Decoder::new());
            for headers in all {
                let block = encoder.block(&headers).expect("written");
                prop_assert_eq!(decoder.headers(&block).expect("read"), headers);
            }
        }

        #[test]
        fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Decoder::new().headers(&noise);
        }

        #[test]
        fn a_bent_block_is_refused_or_read(headers in maps(), at in any::<usize>(), flip in 1_u8..) {
            let mut block = Encoder::new().expect("made").block(&headers).expect("written");
            let at = at % block.len();
            block[at] ^= flip;
            let _ = Decoder::new().headers(&block);
        }
    }

    #[test]
    fn a_small_block_that_grows_without_end_is_refused() {
        let mut deflate = Compress::new(Compression::best(), true);
        deflate.set_dictionary(&dictionary()).expect("set");
        let mut bomb = Vec::with_capacity(1 << 20);
        deflate.compress_vec(&vec![0; 64 << 20], &mut bomb, FlushCompress::Sync).expect("compressed");
        let refused = Decoder::new().headers(&bomb).expect_err("too long");
        assert_eq!(refused.to_string(), "headers of more than 65536 bytes");
    }
}
