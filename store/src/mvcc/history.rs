//! A history apart from who commits to it: what the members of a cluster share.

use std::sync::Arc;

use parking_lot::RwLock;
use world::Mono;

use super::{Limits, state::State};
use crate::Image;

/// All that was committed, its watchers and its leases. Clones are the same history.
#[derive(Clone, Debug)]
pub(crate) struct History(pub(super) Arc<RwLock<State>>);

impl History {
    /// One that begins empty.
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(RwLock::new(State::new(Image::default(), limits, Mono::default()))))
    }

    /// Goes back to what is left of it. Watches end.
    pub(crate) fn begin_again(&self, image: Image, now: Mono) {
        self.0.write().begin_again(image, now);
    }
}
