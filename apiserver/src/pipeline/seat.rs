//! How many requests are carried out at once: by priority and fairness, or else by upstream's
//! `--max-requests-inflight` pair.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{Acting, Note, Refusal};
use crate::{context::Ctx, flow, identity::MASTERS};

/// A request that has its place.
#[derive(Debug)]
pub struct Seated {
    pub(super) acting: Acting,
    pub(super) seat: Option<Held>,
}

/// What a request holds while it is carried out.
#[derive(Debug)]
pub(super) struct Held {
    _row: Seat,
    _level: Option<flow::Seat>,
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
    /// A place that is only counted.
    fn count(&self) -> Seat {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Seat(self.taken.clone())
    }

    fn take(&self) -> Option<Seat> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.taken.clone());
        // 0 places: no limit.
        (self.places == 0 || taken < self.places).then_some(seat)
    }
}

/// Upstream's one answer to whoever finds no place.
fn too_many() -> Refusal {
    let text = "Too many requests, please try again later.\n".to_owned();
    Refusal::Plain { code: 429, text, retry_after: Some(1) }
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
    /// Takes a place, now or when it is the request's turn. Long-running requests need none, and
    /// system:masters always find one.
    ///
    /// # Errors
    /// 429 in plain text.
    pub async fn seat(self, ctx: &Ctx, note: &mut Note) -> Result<Seated, Refusal> {
        let info = &self.parsed.info;
        let row = if info.read_only() { &ctx.seats.reading } else { &ctx.seats.writing };
        let Some(fairness) = &ctx.fairness else {
            if info.long_running() {
                return Ok(Seated { acting: self, seat: None });
            }
            let seat = match row.take() {
                Some(seat) => Some(seat),
                None if self.user.is_in(MASTERS) => None,
                None => return Err(too_many()),
            };
            let seat = seat.map(|seat| Held { _row: seat, _level: None });
            return Ok(Seated { acting: self, seat });
        };
        let Some(schema) = fairness.classify(info, &self.user) else { return Err(too_many()) };
        note.schema = Some(schema.clone());
        if info.long_running() {
            return Ok(Seated { acting: self, seat: None });
        }
        let Some(level) = fairness.seat(ctx, &schema, info, &self.user).await else { return Err(too_many()) };
        let seat = Held { _row: row.count(), _level: Some(level) };
        Ok(Seated { acting: self, seat: Some(seat) })
    }
}
