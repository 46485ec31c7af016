//! Leases of the store: what has one is deleted by the store when its time is over. Only events do.

use std::time::Duration;

use api::status::Status;
use parking_lot::Mutex;
use world::Mono;

use crate::{context::Ctx, pipeline::write::Scope, watch_cache::store_status};

/// Objects written within this time share a lease, so that not every event costs one.
const SHARED_FOR: Duration = Duration::from_secs(60);
/// …and no more than so many.
const SHARED_BY: u32 = 1000;

/// The lease in use.
#[derive(Debug)]
pub struct Leases {
    ttl: Duration,
    current: Mutex<Option<Current>>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    id: i64,
    until: Mono,
    used: u32,
}

impl Leases {
    /// Leases for objects that live `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, current: Mutex::new(None) }
    }

    /// The lease for a new object of a scope; 0 for none.
    ///
    /// # Errors
    /// The store grants none.
    pub async fn lease_for(&self, ctx: &Ctx, scope: &Scope<'_>) -> Result<i64, Status> {
        if scope.served.plural != "events" || scope.served.is_custom() {
            return Ok(0);
        }
        let now = ctx.host.clock().monotonic();
        {
            let mut current = self.current.lock();
            if let Some(lease) = current.as_mut().filter(|l| now < l.until && l.used < SHARED_BY) {
                lease.used += 1;
                return Ok(lease.id);
            }
        }
        // Whoever comes last within the sharing time still gets its full life.
        let lease = ctx.store.lease_grant(0, self.ttl + SHARED_FOR).await.map_err(|e| store_status(&e))?;
        *self.current.lock() = Some(Current { id: lease.id, until: now + SHARED_FOR, used: 1 });
        Ok(lease.id)
    }
}
