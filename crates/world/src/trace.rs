//! The record of a run: what happened, at which host's clock, by whom.
//!
//! Two runs of one seed give equal traces in different processes. So nothing enters that cannot be
//! seeded or must stay secret: no keys, signatures, pins, tokens, byte counts.

use std::{collections::VecDeque, fmt, fs::File, io::Write as _, sync::Arc};

use parking_lot::Mutex;

use crate::{Clock, Wall};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Event {
    /// The wall clock of the host where it happened.
    pub at: Wall,
    /// What that clock would show had no fault ever touched it: the one scale on which the hosts of a world compare.
    pub true_at: Wall,
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
pub struct Trace(Option<Arc<Mutex<Kept>>>);

#[derive(Debug)]
struct Kept {
    events: VecDeque<Event>,
    most: usize,
    /// How many had to go.
    gone: usize,
    /// Where each is written, for another process to read.
    file: Option<File>,
}

impl Kept {
    fn take(&mut self, event: Event) {
        // One write a line: several processes write at the end of one file.
        if let Some(file) = &mut self.file
            && let Ok(line) = serde_json::to_string(&event)
            && let Err(error) = file.write_all(format!("{line}\n").as_bytes())
        {
            tracing::error!("an event is not in the record: {error}");
        }
        if self.most == 0 {
            self.gone += 1;
            return;
        }
        if self.events.len() >= self.most {
            self.events.pop_front();
            self.gone += 1;
        }
        self.events.push_back(event);
    }
}

impl Trace {
    /// A trace that keeps every event in memory.
    pub fn recording() -> Self {
        Self::last(usize::MAX)
    }

    /// A trace that keeps the last `most` events in memory: for worlds that are looked at while they run, for weeks.
    pub fn last(most: usize) -> Self {
        Self::keeping(most, None)
    }

    /// A trace that keeps nothing in memory and writes each event into `file`, a JSON object a line.
    pub fn into_file(file: File) -> Self {
        Self::keeping(0, Some(file))
    }

    fn keeping(most: usize, file: Option<File>) -> Self {
        Self(Some(Arc::new(Mutex::new(Kept { events: VecDeque::new(), most, gone: 0, file }))))
    }

    /// A trace that keeps nothing: the real gear may run for weeks.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether events are kept; lets a caller skip composing them.
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn record(
        &self,
        clock: &Clock,
        host: &str,
        actor: &str,
        kind: &'static str,
        fields: Vec<(&'static str, String)>,
    ) {
        if let Some(kept) = &self.0 {
            let (at, true_at) = clock.walls();
            let (host, actor) = (host.to_owned(), actor.to_owned());
            kept.lock().take(Event { at, true_at, host, actor, kind, fields });
        }
    }

    /// How many events were recorded so far, those that are not kept any more included.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| {
            let kept = kept.lock();
            kept.gone + kept.events.len()
        })
    }

    /// All events that are kept, in the order in which they happened.
    pub fn events(&self) -> Vec<Event> {
        self.0.as_ref().map(|kept| kept.lock().events.iter().cloned().collect()).unwrap_or_default()
    }
}
