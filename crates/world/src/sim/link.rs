//! One direction between two hosts: whether, when and how fast what is sent arrives.

use std::{num::NonZeroU32, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Entropy;

/// How the packets of one direction travel. The default is a perfect network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// From leaving the sender to arriving.
    pub latency: Duration,
    /// A uniform share of this is added to each message's latency. Nothing overtakes what was sent before it on the
    /// same connection, as in TCP.
    pub jitter: Duration,
    /// How many messages (writes of a program, whatever their length) get through in a second, all connections
    /// together: lengths of TLS records cannot be seeded, so bytes are not counted. `None`: any number.
    pub messages_per_second: Option<NonZeroU32>,
    /// Of a thousand packets so many are lost. TCP sends them again: who reads sees them late, and all that follows.
    pub loss_per_mille: u16,
}

/// TCP's first wait for an acknowledgement, which doubles up to the longest one (RFC 6298 and Linux's
/// `TCP_RTO_MIN`, `TCP_RTO_MAX`; from memory).
const RETRANSMIT: Duration = Duration::from_millis(200);
const RETRANSMIT_AT_MOST: Duration = Duration::from_secs(120);
/// Transmissions of one packet until it is given up on (`tcp_retries2`).
const TRANSMISSIONS: u32 = 16;

/// The packets from one host to another.
pub(super) struct Link(Mutex<State>);

struct State {
    conditions: Conditions,
    cut: bool,
    /// When the message that was sent last has left the sender.
    free_at: Option<Instant>,
    entropy: Entropy,
}

impl Link {
    pub(super) fn new(entropy: Entropy) -> Self {
        Self(Mutex::new(State { conditions: Conditions::default(), cut: false, free_at: None, entropy }))
    }

    pub(super) fn set_cut(&self, cut: bool) {
        self.0.lock().cut = cut;
    }

    pub(super) fn set_conditions(&self, conditions: Conditions) {
        let mut state = self.0.lock();
        state.conditions = conditions;
        state.free_at = None;
    }

    /// Whether packets arrive at all.
    pub(super) fn passes(&self) -> bool {
        !self.0.lock().cut
    }

    /// Whether nothing is wrong.
    pub(super) fn is_perfect(&self) -> bool {
        let state = self.0.lock();
        !state.cut && state.conditions == Conditions::default()
    }

    /// How long one packet without contents travels.
    pub(super) fn travel(&self) -> Duration {
        self.0.lock().travel()
    }

    /// When a message arrives that is sent now.
    pub(super) fn arrival(&self, now: Instant) -> Instant {
        let mut state = self.0.lock();
        let left = match state.conditions.messages_per_second {
            None => now,
            Some(rate) => {
                let left =
                    state.free_at.map_or(now, |free| free.max(now)) + Duration::from_secs(1) / rate.get();
                state.free_at = Some(left);
                left
            }
        };
        left + state.travel()
    }
}

impl State {
    fn travel(&self) -> Duration {
        let Conditions { latency, jitter, loss_per_mille, .. } = self.conditions;
        let mut travel = latency;
        if !jitter.is_zero() {
            travel += jitter.mul_f64(self.entropy.unit());
        }
        if loss_per_mille > 0 {
            let mut wait = RETRANSMIT;
            for _ in 1..TRANSMISSIONS {
                if self.entropy.below(1000) >= u64::from(loss_per_mille) {
                    break;
                }
                travel += wait;
                wait = (wait * 2).min(RETRANSMIT_AT_MOST);
            }
        }
        travel
    }
}
