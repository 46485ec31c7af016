//! Frames as bytes (SPDY Protocol, Draft 3.1, 2.2 and 2.6).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    Broken,
    headers::{Decoder, Encoder},
};

const VERSION: u16 = 3;
/// A longer control frame ends the connection.
const LONGEST_CONTROL: usize = 64 << 10;
const FIN: u8 = 1;
/// Stream numbers have 31 bits.
const STREAM: u32 = 0x7fff_ffff;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// Why a stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    ProtocolError = 1,
    RefusedStream = 3,
    Cancel = 5,
}

/// One frame. Of `Data` this is the head; `length` bytes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Open {
        stream: u32,
        headers: HeaderMap,
        fin: bool,
    },
    Reply {
        stream: u32,
        fin: bool,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    Ping(u32),
    GoAway,
    Data {
        stream: u32,
        length: usize,
        fin: bool,
    },
    /// Settings, further headers, windows: nobody who speaks to Kubernetes uses them.
    Other,
}

/// The next frame; `None` at the end of the connection between two frames.
pub(super) async fn read(
    io: &mut (impl AsyncRead + Unpin),
    decoder: &mut Decoder,
) -> Result<Option<Frame>, Broken> {
    let mut head = [0; 8];
    match io.read(&mut head[..1]).await {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(e) => return Err(Broken::new(e.to_string())),
    }
    io.read_exact(&mut head[1..]).await.map_err(|e| Broken::new(e.to_string()))?;
    let mut at = head.as_slice();
    let (first, second) = (at.get_u32(), at.get_u32());
    let (flags, length) = (second.to_be_bytes()[0], (second & 0x00ff_ffff) as usize);
    if first & !STREAM == 0 {
        return Ok(Some(Frame::Data { stream: first, length, fin: flags & FIN != 0 }));
    }
    let (version, kind) = (((first >> 16) & 0x7fff) as u16, (first & 0xffff) as u16);
    if version != VERSION {
        return Err(Broken::new(format!("a frame of SPDY/{version}")));
    }
    if length > LONGEST_CONTROL {
        return Err(Broken::new(format!("a control frame of {length} bytes")));
    }
    let mut content = vec![0; length];
    io.read_exact(&mut content).await.map_err(|e| Broken::new(e.to_string()))?;
    control(kind, flags, &content, decoder).map(Some)
}

fn control(kind: u16, flags: u8, mut content: &[u8], decoder: &mut Decoder) -> Result<Frame, Broken> {
    let fin = flags & FIN != 0;
    let least = match kind {
        SYN_STREAM => 10,
        SYN_REPLY | PING | HEADERS => 4,
        RST_STREAM | GOAWAY | WINDOW_UPDATE => 8,
        SETTINGS => 0,
        kind => return Err(Broken::new(format!("a control frame of type {kind}"))),
    };
    if content.len() < least {
        return Err(Broken::new(format!("a control frame of type {kind} with {} bytes", content.len())));
    }
    Ok(match kind {
        SYN_STREAM => {
            let stream = content.get_u32() & STREAM;
            // The stream that it belongs to, its priority and its slot.
            content.advance(6);
            Frame::Open { stream, headers: decoder.headers(content)?, fin }
        }
        SYN_REPLY => {
            let stream = content.get_u32() & STREAM;
            // Read in any case: the state of compression goes on.
            decoder.headers(content)?;
            Frame::Reply { stream, fin }
        }
        HEADERS => {
            content.advance(4);
            decoder.headers(content)?;
            Frame::Other
        }
        RST_STREAM => Frame::Reset { stream: content.get_u32() & STREAM, status: content.get_u32() },
        PING => Frame::Ping(content.get_u32()),
        GOAWAY => Frame::GoAway,
        _ => Frame::Other,
    })
}

fn control_head(kind: u16, flags: u8, length: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(8 + length);
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    out.put_u32(u32::from(flags) << 24 | u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff);
    out
}

pub(super) fn open(stream: u32, headers: &HeaderMap, encoder: &mut Encoder) -> Result<Bytes, Broken> {
    let block = encoder.block(headers)?;
    let mut out = control_head(SYN_STREAM, 0, 10 + block.len());
    out.put_u32(stream);
    out.put_u32(0);
    out.put_u16(0);
    out.extend(block);
    Ok(out.freeze())
}

pub(super) fn reply(stream: u32, encoder: &mut Encoder) -> Result<Bytes, Broken> {
    let block = encoder.block(&HeaderMap::new())?;
    let mut out = control_head(SYN_REPLY, 0, 4 + block.len());
    out.put_u32(stream);
    out.extend(block);
    Ok(out.freeze())
}

pub(super) fn reset(stream: u32, reason: Reason) -> Bytes {
    let mut out = control_head(RST_STREAM, 0, 8);
    out.put_u32(stream);
    out.put_u32(reason as u32);
    out.freeze()
}

pub(super) fn ping(number: u32) -> Bytes {
    let mut out = control_head(PING, 0, 4);
    out.put_u32(number);
    out.freeze()
}

pub(super) fn go_away(last: u32) -> Bytes {
    let mut out = control_head(GOAWAY, 0, 8);
    out.put_u32(last);
    out.put_u32(0);
    out.freeze()
}

/// The head of `length` bytes on a stream.
pub(super) fn data(stream: u32, length: usize, fin: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(8);
    out.put_u32(stream & STREAM);
    let flags = if fin { FIN } else { 0 };
    out.put_u32(u32::from(flags) << 24 | u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;

    fn read_all(mut bytes: &[u8]) -> Vec<Result<Option<Frame>, Broken>> {
        let mut decoder = Decoder::new();
        let mut found = Vec::new();
        loop {
            let frame = block_on(read(&mut bytes, &mut decoder));
            if let Ok(Some(Frame::Data { length, .. })) = &frame {
                bytes = &bytes[(*length).min(bytes.len())..];
            }
            let more = matches!(frame, Ok(Some(_)));
            found.push(frame);
            if !more {
                return found;
            }
        }
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut headers = HeaderMap::new();
        headers.insert("streamtype", http::HeaderValue::from_static("stdin"));
        let mut encoder = Encoder::new().expect("made");
        let bytes = [
            open(1, &headers, &mut encoder).expect("written"),
            reply(2, &mut encoder).expect("written"),
            open(3, &headers, &mut encoder).expect("written"),
            data(1, 2, true),
            Bytes::from_static(b"hi"),
            reset(1, Reason::Cancel),
            ping(7),
            go_away(3),
        ]
        .concat();
        let read: Vec<Frame> = read_all(&bytes).into_iter().map_while(|f| f.expect("read")).collect();
        let expected = [
            Frame::Open { stream: 1, headers: headers.clone(), fin: false },
            Frame::Reply { stream: 2, fin: false },
            Frame::Open { stream: 3, headers, fin: false },
            Frame::Data { stream: 1, length: 2, fin: true },
            Frame::Reset { stream: 1, status: 5 },
            Frame::Ping(7),
            Frame::GoAway,
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_no_peer_sends_ends_the_connection_with_words() {
        let check = |bytes: &[u8], words: &str| {
            let last = read_all(bytes).pop().expect("something");
            assert_eq!(last.expect_err("refused").to_string(), words, "{bytes:?}");
        };
        check(&[0x80, 2, 0, 1, 0, 0, 0, 10], "a frame of SPDY/2");
        check(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff], "a control frame of 16777215 bytes");
        check(&[0x80, 3, 0, 1, 0, 0, 0, 1, 0], "a control frame of type 1 with 1 bytes");
        check(&[0x80, 3, 0, 99, 0, 0, 0, 0], "a control frame of type 99");
        check(&[0x80, 3], "early eof");
        check(&[0x80, 3, 0, 6, 0, 0, 0, 4, 1], "early eof");
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            read_all(&noise);
        }

        #[test]
        fn noise_behind_a_good_head_never_panics(
            kind in 0_u16..12,
            noise in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = control_head(kind, 0, noise.len()).to_vec();
            bytes.extend(noise);
            read_all(&bytes);
        }
    }
}
