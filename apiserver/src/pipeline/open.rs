//! What lasts as long as an answer does, whether that is a body or a connection that stopped being HTTP.

use std::sync::Arc;

use http::Response;
use parking_lot::Mutex;
use wire::{Body, body};

/// A connection that has become a stream. Whoever carries its bytes has a clone, and the answer that
/// granted it another: what is held ends with the last of them.
#[derive(Clone, Default)]
pub struct Open(Arc<Mutex<Vec<Box<dyn Send>>>>);

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Open")
    }
}

impl Open {
    /// Notes in an answer that this is its stream.
    pub fn of(&self, response: &mut Response<Body>) {
        response.extensions_mut().insert(self.clone());
    }

    /// Drops `held` when the answer's stream ends; when its body does, if that is all there is of it.
    pub(crate) fn holding(response: Response<Body>, held: impl Send + 'static) -> Response<Body> {
        match response.extensions().get::<Self>() {
            Some(open) => {
                open.0.lock().push(Box::new(held));
                response
            }
            None => response.map(|content| body::holding(content, held)),
        }
    }
}
