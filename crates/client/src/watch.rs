//! A watch as its reader sees it: bytes in any cut, events out.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use api::status::Status;
use bytes::BytesMut;
use futures::Stream;
use http_body_util::BodyDataStream;
use serde::Deserialize;
use serde_json::Value;
use wire::Body;

use crate::{ClientError, error::is_probable_eof, retry::watch_decoding, untracked::Untracked};

/// The longest event that is read (upstream's limit of a frame).
const LARGEST_EVENT: usize = 16 << 20;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventKind {
    /// It is there, or came to match the selector.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or no longer matches the selector.
    Deleted,
    /// Nothing: the object holds only the revision up to which all events were sent.
    Bookmark,
}

/// One event of a watch.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchEvent {
    /// What happened.
    pub kind: EventKind,
    /// To what, as it is now; of a deleted object the last state.
    pub object: Arc<Value>,
}

/// The events of one watch, in the server's order. An ERROR event comes as
/// [`ClientError::Status`]; after an error there is nothing more.
pub struct WatchStream {
    body: Option<BodyDataStream<Body>>,
    frames: Frames,
    /// Objects come without their managed fields.
    untracked: bool,
}

impl WatchStream {
    pub(crate) fn new(body: Body) -> Self {
        Self { body: Some(BodyDataStream::new(body)), frames: Frames::default(), untracked: false }
    }

    pub(crate) fn empty() -> Self {
        Self { body: None, frames: Frames::default(), untracked: false }
    }

    /// With or without the managed fields of the objects.
    pub(crate) fn untracked(self, untracked: bool) -> Self {
        Self { untracked, ..self }
    }

    /// The next event; `None` when the watch has ended.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, ClientError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn fail(&mut self, status: Box<Status>) -> Poll<Option<Result<WatchEvent, ClientError>>> {
        *self = Self::empty();
        Poll::Ready(Some(Err(ClientError::Status(status))))
    }

    fn deliver(&mut self, frame: &[u8]) -> Poll<Option<Result<WatchEvent, ClientError>>> {
        let decoded = match self.untracked {
            true => decode::<Untracked>(frame),
            false => decode::<Value>(frame),
        };
        match decoded {
            Ok(event) => Poll::Ready(Some(Ok(event))),
            Err(status) => self.fail(status),
        }
    }
}

impl Stream for WatchStream {
    type Item = Result<WatchEvent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(frame) = self.frames.next() {
                return self.deliver(&frame);
            }
            if self.frames.buffer.len() > LARGEST_EVENT {
                return self.fail(watch_decoding("object to decode was longer than maximum allowed size"));
            }
            let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
            match ready!(Pin::new(body).poll_next(cx)) {
                Some(Ok(data)) => self.frames.buffer.extend_from_slice(&data),
                Some(Err(error)) => {
                    let words = error.to_string();
                    if !is_probable_eof(&words) {
                        return self.fail(watch_decoding(&words));
                    }
                    // Half an event is worth nothing: it comes again after the resume.
                    *self = Self::empty();
                }
                None => {
                    self.body = None;
                    let rest = self.frames.rest();
                    // The last event needs no newline; a torn one is dropped.
                    if !rest.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(&rest).is_ok() {
                        return self.deliver(&rest);
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchStream({})", if self.body.is_some() { "open" } else { "ended" })
    }
}

/// An event as it is on the wire.
#[derive(Deserialize)]
struct Raw<T> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: T,
}

fn decode<'f, T>(frame: &'f [u8]) -> Result<WatchEvent, Box<Status>>
where
    T: Deserialize<'f> + Default + Into<Value>,
{
    let unreadable = |why: String| watch_decoding(&format!("unable to decode watch event: {why}"));
    let Raw::<T> { kind, object } = serde_json::from_slice(frame).map_err(|e| unreadable(e.to_string()))?;
    let object: Value = object.into();
    let kind = match kind.as_str() {
        "ADDED" => EventKind::Added,
        "MODIFIED" => EventKind::Modified,
        "DELETED" => EventKind::Deleted,
        "BOOKMARK" => EventKind::Bookmark,
        "ERROR" => {
            let status = Status::from_value(&object).map(Box::new);
            return Err(status.unwrap_or_else(|| unreadable("an ERROR event without a Status".to_owned())));
        }
        other => {
            let status = watch_decoding(&format!("got invalid watch event type: {other}"));
            return Err(status);
        }
    };
    if !object.is_object() {
        return Err(unreadable("the event has no object".to_owned()));
    }
    Ok(WatchEvent { kind, object: Arc::new(object) })
}

/// Bytes cut at newlines.
#[derive(Default)]
struct Frames {
    buffer: BytesMut,
    /// Up to here there is no newline.
    scanned: usize,
}

impl Frames {
    fn next(&mut self) -> Option<BytesMut> {
        loop {
            let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(at) = unseen.iter().position(|b| *b == b'\n') else {
                self.scanned = self.buffer.len();
                return None;
            };
            let frame = self.buffer.split_to(self.scanned + at + 1);
            self.scanned = 0;
            if !frame.trim_ascii().is_empty() {
                return Some(frame);
            }
        }
    }

    fn rest(&mut self) -> BytesMut {
        self.scanned = 0;
        self.buffer.split()
    }
}
