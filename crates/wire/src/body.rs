//! The body of a request or response: one type for both directions, never buffered without a limit.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Body as _, Frame, SizeHint};

/// Any error of a body's producer or of the connection under it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body, in either direction.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Why [`collect`] gave up.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The body is longer than the caller allows.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// What the caller allows.
        limit: usize,
    },
    /// The producer or the connection failed first.
    #[error("{0}")]
    Broken(BoxError),
}

/// No bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Exactly these bytes. A request with such a body can be sent a second time.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Whatever `chunks` yields, as it comes. The receiver's pace holds the producer back.
pub fn stream(chunks: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

/// Any other implementation of [`hyper::body::Body`], trailers included.
pub fn boxed<B>(body: B) -> Body
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// How many bytes the body has, if that is known before it is read.
pub fn length(body: &Body) -> Option<u64> {
    body.size_hint().exact()
}

/// The same body, with something that lives as long as it does.
pub fn holding(body: Body, held: impl Send + 'static) -> Body {
    body.map_frame(move |frame| {
        let _ = &held;
        frame
    })
    .boxed_unsync()
}

/// The same body, which ends with an error as soon as `over` has one. `broken` is called when it ends so, or with an
/// error of its own: what was promised is not delivered.
pub fn cut_short(
    body: Body,
    over: impl Future<Output = BoxError> + Send + 'static,
    broken: impl FnOnce() + Send + 'static,
) -> Body {
    CutShort { body, over: Some(Box::pin(over)), broken: Some(Box::new(broken)) }.boxed_unsync()
}

struct CutShort {
    body: Body,
    /// None after the end.
    over: Option<Pin<Box<dyn Future<Output = BoxError> + Send>>>,
    broken: Option<Box<dyn FnOnce() + Send>>,
}

impl CutShort {
    fn fail(&mut self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.over = None;
        if let Some(broken) = self.broken.take() {
            broken();
        }
        Poll::Ready(Some(Err(error)))
    }
}

impl hyper::body::Body for CutShort {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(over) = &mut self.over else { return Poll::Ready(None) };
        if let Poll::Ready(error) = over.as_mut().poll(cx) {
            return self.fail(error);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => self.fail(error),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The whole body, if it is not longer than `limit`. Trailers are dropped.
///
/// # Errors
/// It is longer, or its producer failed.
pub async fn collect(mut body: Body, limit: usize) -> Result<Bytes, CollectError> {
    let too_large = CollectError::TooLarge { limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large);
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(CollectError::Broken)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large);
        }
        // Most bodies are one chunk, and that one needs no copy.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}
