//! What TCP makes of a bad network: segments under way, acknowledgements that stay out, peers that are gone without
//! having said so.
//!
//! Kept simple, where nobody can tell the difference after seconds: what a cut held up arrives as soon as the cut is
//! healed (TCP waits for its next retransmission, two minutes at most), and there are no keep-alive probes: who only
//! reads from a peer that is gone waits for good.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use tokio::{io::ReadBuf, time::Instant};

use super::link::Link;

/// Messages in flight in one direction before a writer waits. A count, since lengths cannot be seeded.
const WINDOW: usize = 256;
/// How long a sender waits for an acknowledgement before the connection is dead to it: Linux's `tcp_retries2` of 15,
/// for which its documentation (`ip-sysctl.rst`) names 924.6 s.
const GIVE_UP: Duration = Duration::from_millis(924_600);

/// See the module.
pub(super) struct Troubled {
    /// The n-th carries what end n sends.
    links: [Arc<Link>; 2],
    /// Something between the hosts has forgotten the connection: its packets vanish.
    forgotten: bool,
    ends: [End; 2],
}

#[derive(Default)]
struct End {
    /// What it has sent and the other end has not read.
    sent: VecDeque<Segment>,
    /// What it has sent and nobody will tell of that it arrived, until the network heals.
    unacknowledged: usize,
    unacknowledged_since: Option<Instant>,
    /// When its last segment arrives.
    last: Option<Instant>,
    /// When the other host's RST arrives, which has no such connection.
    reset_at: Option<Instant>,
    failed: Option<io::ErrorKind>,
    /// It said so before the first fault.
    finished_early: bool,
    /// It sends no more.
    finished: bool,
    /// There is no such socket any more.
    gone: bool,
    /// Its host has no power.
    off: bool,
}

struct Segment {
    bytes: Vec<u8>,
    read: usize,
    /// `None` while the network holds it up.
    arrives: Option<Instant>,
    last: bool,
}

/// What there is to read.
pub(super) enum Read {
    Some,
    /// The other end sends no more.
    End,
    /// Nothing yet; look again then, if nothing else changes before.
    Nothing {
        until: Option<Instant>,
    },
}

fn other(end: usize) -> usize {
    1 - end
}

impl Troubled {
    /// A connection that was calm until now. `finished`: which ends send no more; `gone`: which do not even read.
    pub(super) fn new(links: [Arc<Link>; 2], finished: [bool; 2], gone: [bool; 2]) -> Self {
        let end = |n: usize| End {
            finished_early: finished[n],
            finished: finished[n],
            gone: gone[n],
            ..End::default()
        };
        Self { links, forgotten: false, ends: [end(0), end(1)] }
    }

    /// Its packets vanish from now on, and nobody is told.
    pub(super) fn forget(&mut self) {
        self.forgotten = true;
    }

    /// The end's host loses its power: no FIN, no RST.
    pub(super) fn power_off(&mut self, end: usize) {
        let end = &mut self.ends[end];
        (end.gone, end.off) = (true, true);
        // For who is none of the machine's processes and lives on.
        end.failed = Some(io::ErrorKind::ConnectionReset);
        // What has not left the machine never will.
        end.sent.retain(|segment| segment.arrives.is_some());
    }

    /// The end's host has power, and knows nothing of the connection.
    pub(super) fn power_on(&mut self, end: usize) {
        self.ends[end].off = false;
    }

    fn arrives(&self, from: usize) -> bool {
        !self.forgotten && self.links[from].passes()
    }

    fn is_answered(&self, from: usize) -> bool {
        self.arrives(from) && self.links[other(from)].passes() && !self.ends[other(from)].off
    }

    fn round_trip(&self) -> Duration {
        self.links[0].travel() + self.links[1].travel()
    }

    /// When a message arrives that the end sends now.
    fn arrival(&mut self, end: usize, now: Instant) -> Instant {
        let at = self.links[end].arrival(now);
        let at = self.ends[end].last.map_or(at, |last| last.max(at));
        self.ends[end].last = Some(at);
        at
    }

    /// After something has changed between the hosts: sends again what was held up.
    pub(super) fn replan(&mut self, now: Instant) {
        for end in [0, 1] {
            // Who had given up before does not come back.
            self.failure(end, now);
            if self.arrives(end) {
                let held = self.ends[end].sent.iter().filter(|s| s.arrives.is_none()).count();
                let arrivals: Vec<Instant> = (0..held).map(|_| self.arrival(end, now)).collect();
                let waiting = self.ends[end].sent.iter_mut().filter(|s| s.arrives.is_none());
                waiting.zip(arrivals).for_each(|(segment, at)| segment.arrives = Some(at));
            }
            if self.is_answered(end) && self.ends[end].unacknowledged_since.take().is_some() {
                self.ends[end].unacknowledged = 0;
                if self.ends[other(end)].gone {
                    self.refuse(end, now);
                }
            }
        }
    }

    fn refuse(&mut self, end: usize, now: Instant) {
        let at = now + self.round_trip();
        self.ends[end].reset_at.get_or_insert(at);
    }

    /// When the connection fails at this end, as far as it is known.
    pub(super) fn deadline(&self, end: usize) -> Option<Instant> {
        let end = &self.ends[end];
        let given_up = end.unacknowledged_since.map(|since| since + GIVE_UP);
        [end.reset_at, given_up].into_iter().flatten().min()
    }

    /// How the connection has failed at this end.
    pub(super) fn failure(&mut self, end: usize, now: Instant) -> Option<io::ErrorKind> {
        let due = self.deadline(end).is_some_and(|at| at <= now);
        let end = &mut self.ends[end];
        if end.failed.is_none() && due {
            let reset = end.reset_at.is_some_and(|at| at <= now);
            end.failed = Some(if reset { io::ErrorKind::ConnectionReset } else { io::ErrorKind::TimedOut });
            end.gone = true;
            end.sent.retain(|segment| segment.arrives.is_some());
        }
        end.failed
    }

    /// Whether the end has to wait before it sends more.
    pub(super) fn is_full(&self, end: usize) -> bool {
        let end = &self.ends[end];
        end.sent.len().max(end.unacknowledged) >= WINDOW
    }

    /// Whether that can be: not after [`Troubled::finish`].
    pub(super) fn send(&mut self, end: usize, bytes: Vec<u8>, now: Instant) -> bool {
        if self.ends[end].finished || self.ends[end].gone {
            return false;
        }
        self.transmit(end, Segment { bytes, read: 0, arrives: None, last: false }, now);
        true
    }

    /// The end sends no more; `gone`: nor does it read.
    pub(super) fn finish(&mut self, end: usize, gone: bool, now: Instant) {
        if !self.ends[end].finished && !self.ends[end].gone {
            self.transmit(end, Segment { bytes: Vec::new(), read: 0, arrives: None, last: true }, now);
            self.ends[end].finished = true;
        }
        self.ends[end].gone |= gone;
    }

    fn transmit(&mut self, end: usize, mut segment: Segment, now: Instant) {
        let answered = self.is_answered(end);
        if !answered {
            self.ends[end].unacknowledged_since.get_or_insert(now);
            self.ends[end].unacknowledged += 1;
        }
        if self.ends[other(end)].gone {
            if answered {
                self.refuse(end, now);
            }
            return;
        }
        if self.arrives(end) {
            segment.arrives = Some(self.arrival(end, now));
        }
        self.ends[end].sent.push_back(segment);
    }

    /// Reads what has arrived at the end. `over`: what was sent before the first fault is read to its end.
    pub(super) fn read(&mut self, end: usize, now: Instant, buf: &mut ReadBuf<'_>, over: bool) -> Read {
        let deadline = self.deadline(end);
        let sender = &mut self.ends[other(end)];
        let before = buf.filled().len();
        while buf.remaining() > 0 {
            let Some(segment) = sender.sent.front_mut().filter(|s| s.arrives.is_some_and(|at| at <= now))
            else {
                break;
            };
            if segment.last {
                return if buf.filled().len() > before { Read::Some } else { Read::End };
            }
            let n = buf.remaining().min(segment.bytes.len() - segment.read);
            buf.put_slice(&segment.bytes[segment.read..segment.read + n]);
            segment.read += n;
            if segment.read == segment.bytes.len() {
                sender.sent.pop_front();
            }
        }
        if buf.filled().len() > before {
            return Read::Some;
        }
        match sender.sent.front() {
            None if over && sender.finished_early => Read::End,
            next => {
                let arrival = next.and_then(|segment| segment.arrives);
                Read::Nothing { until: [arrival, deadline].into_iter().flatten().min() }
            }
        }
    }
}
