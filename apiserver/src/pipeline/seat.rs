//! How many requests are carried out at once: upstream's `--max-requests-inflight` pair.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{Acting, Refusal};
use crate::context::Ctx;

/// A request that has its place.
#[derive(Debug)]
pub struct Seated {
    pub(super) acting: Acting,
    pub(super) seat: Option<Seat>,
}

/// The places: one row for readers, one for writers.
#[derive(Debug)]
pub struct Seats {
    reading: Row,
    writing: Row,
}

#[derive(Debug)]
struct Row {
    taken: Arc<AtomicUsize>,
    places: usize,
}

/// A taken place; free again when dropped.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Row {
    fn take(&self) -> Option<Seat> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.taken.clone());
        // 0 places: no limit.
        (self.places == 0 || taken < self.places).then_some(seat)
    }
}

impl Seats {
    /// So many for readers and for writers; 0 for no limit.
    pub fn new(reading: usize, writing: usize) -> Self {
        let row = |places| Row { taken: Arc::default(), places };
        Self { reading: row(reading), writing: row(writing) }
    }

    /// How many readers and writers there are now.
    pub fn taken(&self) -> (usize, usize) {
        (self.reading.taken.load(Ordering::Relaxed), self.writing.taken.load(Ordering::Relaxed))
    }
}

impl Acting {
    /// Takes a place. Long-running requests need none, and system:masters always find one.
    ///
    /// # Errors
    /// 429 in plain text.
    pub fn seat(self, ctx: &Ctx) -> Result<Seated, Refusal> {
        if self.parsed.info.long_running() {
            return Ok(Seated { acting: self, seat: None });
        }
        let row = if self.parsed.info.read_only() { &ctx.seats.reading } else { &ctx.seats.writing };
        let seat = row.take();
        if seat.is_none() && !self.user.groups.iter().any(|g| g == "system:masters") {
            return Err(Refusal::Plain {
                code: 429,
                text: "Too many requests, please try again later.\n".to_owned(),
                retry_after: Some(1),
            });
        }
        Ok(Seated { acting: self, seat })
    }
}
