//! What the renewals of one certificate came to, for the kubelet's metrics
//! (`pkg/kubelet/certificate/kubelet.go`).

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Lives beyond these are not remembered: a certificate that is renewed every minute fills them in a week.
const MOST_LIVES: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Renewals {
    errors: AtomicU64,
    lives: Mutex<Vec<f64>>,
}

/// Those of a kubelet's certificates, as far as it renews them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    pub(crate) client: Option<std::sync::Arc<Renewals>>,
    pub(crate) serving: Option<std::sync::Arc<Renewals>>,
}

impl Renewals {
    /// A renewal has failed.
    pub(super) fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// A certificate was replaced after so many seconds.
    pub(super) fn replaced(&self, after: f64) {
        let mut lives = self.lives.lock();
        if lives.len() < MOST_LIVES {
            lives.push(after);
        }
    }

    /// How many renewals have failed.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Seconds that certificates lived before they were replaced.
    pub(crate) fn lives(&self) -> Vec<f64> {
        self.lives.lock().clone()
    }
}
