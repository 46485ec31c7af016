//! What was taken for a write that may still fail.

use std::net::IpAddr;

use super::Allocator;

/// One thing given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Address(IpAddr),
    Port(u16),
}

/// What was taken for a write; given back unless the write is confirmed.
#[derive(Default)]
pub struct Reservation {
    pub(super) allocator: Option<Allocator>,
    pub(super) taken: Vec<Taken>,
    /// Given back when the write succeeds.
    pub(super) freed: Vec<Taken>,
}

impl Reservation {
    /// Whether nothing depends on the write.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.freed.is_empty()
    }

    /// The write happened.
    pub fn confirm(mut self) {
        self.taken.clear();
        let freed = std::mem::take(&mut self.freed);
        if let Some(allocator) = &self.allocator {
            allocator.give_back(freed);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        if let Some(allocator) = &self.allocator {
            allocator.give_back(taken);
        }
    }
}
