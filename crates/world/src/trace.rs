//! The record of a run: what happened, at which host's clock, by whom.
//!
//! Two runs of one seed give equal traces in different processes. So nothing enters that cannot be
//! seeded or must stay secret: no keys, signatures, pins, tokens, byte counts.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use crate::Wall;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Event {
    /// The wall clock of the host where it happened.
    pub at: Wall,
    /// The host.
    pub host: String,
    /// The process on the host, such as `kube-apiserver`.
    pub actor: String,
    /// What kind of event, such as `request`, `handshake`, `timer`.
    pub kind: &'static str,
    /// The evidence, in the order given.
    pub fields: Vec<(&'static str, String)>,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.at, self.host, self.actor, self.kind)?;
        self.fields.iter().try_for_each(|(k, v)| write!(f, " {k}={v}"))
    }
}

/// Where events go. Clones share one record.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Arc<Mutex<Vec<Event>>>>);

impl Trace {
    /// A trace that keeps every event in memory.
    pub fn recording() -> Self {
        Self(Some(Arc::default()))
    }

    /// A trace that keeps nothing: the real gear may run for weeks.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether events are kept; lets a caller skip composing them.
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn push(&self, event: Event) {
        if let Some(events) = &self.0 {
            events.lock().push(event);
        }
    }

    /// All events so far, in the order in which they happened.
    pub fn events(&self) -> Vec<Event> {
        self.0.as_ref().map(|events| events.lock().clone()).unwrap_or_default()
    }
}
