//! Answers that have begun and end before they are whole: what they come from breaks, or the request's time is over
//! (`http.ErrAbortHandler` upstream). The client sees a broken stream, since nothing else can be said any more.

use std::future::pending;

use http::Response;
use wire::{Body, BoxError, body};

use super::{Note, Open};
use crate::context::Ctx;

/// The same answer, cut off when its request's time is over; counted if it ends before it is whole.
pub(super) fn counted(ctx: &Ctx, note: &mut Note, response: Response<Body>) -> Response<Body> {
    let (row, asked) = (note.row.clone().filter(|row| !row.is_watch()), note.asked.take());
    if !is_streamed(&response) || row.is_none() && asked.is_none() {
        return response;
    }
    let (clock, until) = (ctx.host.clock().clone(), note.until);
    let over = async move {
        match until {
            Some(until) => clock.sleep_until(until).await,
            None => pending().await,
        }
        BoxError::from("request did not complete within the allotted timeout")
    };
    let ctx = ctx.clone();
    let broken = move || {
        tracing::info!("Timeout or abort while handling: the answer had begun");
        match (row, asked) {
            (Some(row), _) => row.aborted(),
            (None, Some(asked)) => ctx.metrics.requests.aborted(asked),
            (None, None) => {}
        }
    };
    response.map(|content| body::cut_short(content, over, broken))
}

/// Whether the answer is made while it is read. What is whole already cannot break, and a connection that has become
/// something else is nobody's answer.
fn is_streamed(response: &Response<Body>) -> bool {
    body::length(response.body()).is_none() && response.extensions().get::<Open>().is_none()
}
