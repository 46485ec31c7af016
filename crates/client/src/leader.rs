//! One of several candidates acts: leader election on a Lease, as client-go does it.
//!
//! Nobody trusts another host's clock. A candidate notes on its own monotonic clock when it saw the
//! record change, and counts from there. So a skewed or stepped wall clock does no harm; a host that
//! was suspended believes for a moment that it still leads, and finds out at its next request.

use std::{future::Future, time::Duration};

use api::object::ObjectExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Host, Mono, Periods};

use crate::{ClientError, Resource, Rest, recorder::Recorder};

/// The wait between tries of a candidate is stretched by up to this factor more.
const JITTER: f64 = 1.2;

/// What is fought for, by whom, and how patiently.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// The candidate, unique among all of them: `<host>_<uuid>`.
    pub identity: String,
    /// How long others wait after the last change that they saw.
    pub lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Between two tries.
    pub retry_period: Duration,
    /// Whether others wait as long as the leader's record says, as client-go does from 1.27 on. Before, each waited for
    /// its own `lease_duration`, and a hasty one took the lease from a patient leader.
    pub heeds_record: bool,
}

impl Election {
    /// Upstream's times: 15 s, 10 s, 2 s. The identity is the host's name and a UUID.
    pub fn new(host: &Host, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: format!("{}_{}", host.name(), host.entropy().uuid()),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            heeds_record: true,
        }
    }
}

/// Times that cannot work together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    /// Others would take over while the leader still tries.
    #[error("leaseDuration must be greater than renewDeadline")]
    LeaseTooShort,
    /// The leader would give up before its second try.
    #[error("renewDeadline must be greater than retryPeriod*JitterFactor")]
    DeadlineTooShort,
    /// A wait of zero is no wait.
    #[error("retryPeriod must be greater than zero")]
    NoRetryPeriod,
}

/// Leadership was lost. A component that led ends its process then: another may act already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leaderelection lost")]
pub struct Lost;

/// A candidate.
pub struct LeaderElector {
    host: Host,
    rest: Rest,
    leases: Resource,
    election: Election,
    recorder: Option<Recorder>,
    observed: Mutex<Observed>,
}

#[derive(Default)]
struct Observed {
    /// The Lease as last seen or written.
    lease: Value,
    /// When that was.
    at: Mono,
    /// The pace of the world then.
    pace: Periods,
}

impl LeaderElector {
    /// A candidate that has not tried yet. The times are passed through the host's `Periods`.
    ///
    /// # Errors
    /// The times cannot work together.
    pub fn new(host: &Host, rest: &Rest, election: Election) -> Result<Self, ElectionError> {
        if election.lease_duration <= election.renew_deadline {
            return Err(ElectionError::LeaseTooShort);
        }
        if election.renew_deadline <= election.retry_period.mul_f64(JITTER) {
            return Err(ElectionError::DeadlineTooShort);
        }
        if election.retry_period.is_zero() {
            return Err(ElectionError::NoRetryPeriod);
        }
        let timeout = (election.renew_deadline / 2).max(Duration::from_secs(1));
        Ok(Self {
            host: host.clone(),
            // One request that hangs must not cost the whole deadline.
            rest: rest.with_timeout(timeout),
            leases: Resource::new("coordination.k8s.io", "v1", "leases"),
            election,
            recorder: None,
            observed: Mutex::default(),
        })
    }

    /// Tells people with an event on the Lease who came to lead.
    #[must_use]
    pub fn with_recorder(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Waits for leadership, runs `lead` while it lasts, and stops it when it is lost.
    ///
    /// Returns `lead`'s output if that ends first; the lease is not released then, it runs out.
    ///
    /// # Errors
    /// Leadership was lost.
    pub async fn run<F, Fut>(&self, lead: F) -> Result<Fut::Output, Lost>
    where
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        self.acquire().await;
        let (leading, renewing) = (lead(), self.renew());
        tokio::select! {
            biased;
            lost = renewing => Err(lost),
            output = leading => Ok(output),
        }
    }

    /// Tries until this candidate leads.
    pub async fn acquire(&self) {
        tracing::info!(host = self.host.name(), "attempting to acquire leader lease {}...", self.lock());
        while let Err(why) = self.try_acquire_or_renew().await {
            tracing::debug!("failed to acquire lease {}: {why}", self.lock());
            // Waiting for another's end recurs; a server that does not answer yet is asked soon.
            let waits_for_another = self.leader().is_some_and(|holder| holder != self.election.identity);
            let retry = self.election.retry_period;
            let wait = self.host.entropy().jitter(retry, JITTER);
            if waits_for_another {
                self.host.recur(wait).await;
            } else {
                self.host.clock().sleep(wait).await;
            }
        }
        self.announce("became leader");
        tracing::info!(host = self.host.name(), "successfully acquired lease {}", self.lock());
    }

    /// Renews until that fails for the whole deadline.
    pub async fn renew(&self) -> Lost {
        let (clock, retry) = (self.host.clock(), self.election.retry_period);
        loop {
            let deadline = self.host.periods().of(self.election.renew_deadline);
            let renewed = clock.timeout(deadline, async {
                while let Err(why) = self.try_acquire_or_renew().await {
                    tracing::debug!("failed to renew lease {}: {why}", self.lock());
                    self.host.recur(retry).await;
                }
            });
            if renewed.await.is_err() {
                self.announce("stopped leading");
                let lock = self.lock();
                tracing::warn!(
                    host = self.host.name(),
                    "failed to renew lease {lock}: context deadline exceeded"
                );
                return Lost;
            }
            self.host.recur(retry).await;
        }
    }

    /// Whether the last record seen names this candidate. Others may see it otherwise already.
    pub fn is_leader(&self) -> bool {
        self.leader().is_some_and(|holder| holder == self.election.identity)
    }

    /// Who led when last seen.
    pub fn leader(&self) -> Option<String> {
        let observed = self.observed.lock();
        let holder = observed.lease.str_at("/spec/holderIdentity");
        (!holder.is_empty()).then(|| holder.to_owned())
    }

    /// Who this candidate is.
    pub fn identity(&self) -> &str {
        &self.election.identity
    }

    fn lock(&self) -> String {
        format!("{}/{}", self.election.namespace, self.election.name)
    }

    fn announce(&self, what: &str) {
        let text = format!("{} {what}", self.election.identity);
        self.host.record("election", vec![("lease", self.lock()), ("change", text.clone())]);
        if let Some(recorder) = &self.recorder {
            let lease = self.observed.lock().lease.clone();
            recorder.normal(&lease, "LeaderElection", text);
        }
    }

    /// One try. An error says why this candidate does not lead now.
    async fn try_acquire_or_renew(&self) -> Result<(), String> {
        let (ns, name) = (Some(self.election.namespace.as_str()), self.election.name.as_str());
        // A leader whose lease has not run out just writes: in peace one request per renewal.
        if self.is_leader() && self.is_valid() {
            let held = self.observed.lock().lease.clone();
            match self.write(held).await {
                Ok(()) => return Ok(()),
                Err(e) => {
                    tracing::debug!("failed to update lease optimistically: {e}, falling back to slow path")
                }
            }
        }
        let lease = match self.rest.get_opt(&self.leases, ns, name).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                return self
                    .create()
                    .await
                    .map_err(|e| self.complain("initially creating leader election record", &e));
            }
            Err(e) => return Err(self.complain(&format!("retrieving lease lock {}", self.lock()), &e)),
        };
        if lease.at("/spec") != self.observed.lock().lease.at("/spec") {
            self.observe(lease.clone());
        } else {
            // Another revision of the same record: it is needed to write, but proves no life.
            self.observed.lock().lease = lease.clone();
        }
        let holder = lease.str_at("/spec/holderIdentity");
        if !holder.is_empty() && !self.is_leader() && self.is_valid() {
            return Err(format!("lock is held by {holder} and has not yet expired"));
        }
        self.write(lease).await.map_err(|e| self.complain("updating lease", &e))
    }

    fn complain(&self, doing: &str, error: &ClientError) -> String {
        let words = format!("error {doing}: {error}");
        tracing::warn!(host = self.host.name(), actor = self.host.actor(), "{words}");
        words
    }

    fn observe(&self, lease: Value) {
        let at = self.host.clock().monotonic();
        *self.observed.lock() = Observed { lease, at, pace: self.host.periods() };
    }

    /// Whether the lease has not run out, counted from when its record was last seen to change.
    fn is_valid(&self) -> bool {
        let (now, pace) = (self.host.clock().monotonic(), self.host.periods());
        let mut observed = self.observed.lock();
        // How much of it ran out at another pace says nothing at this one. Counted anew: else every candidate takes
        // the lease of a leader that is well in the moment in which the world slows down.
        if observed.pace != pace {
            (observed.at, observed.pace) = (now, pace);
        }
        let seconds = observed.lease.i64_at("/spec/leaseDurationSeconds").unwrap_or(0);
        let duration = match self.election.heeds_record {
            true => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
            false => self.election.lease_duration,
        };
        now < observed.at + pace.of(duration)
    }

    async fn create(&self) -> Result<(), ClientError> {
        let now = micro_time(&self.host);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.election.name, "namespace": self.election.namespace},
            "spec": {
                "holderIdentity": self.election.identity,
                "leaseDurationSeconds": self.duration_seconds(),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        });
        let created = self.rest.create(&self.leases, Some(&self.election.namespace), &lease).await?;
        self.observe(created);
        Ok(())
    }

    /// Writes this candidate into `lease`, whose revision guards against somebody faster.
    async fn write(&self, mut lease: Value) -> Result<(), ClientError> {
        let now = micro_time(&self.host);
        if lease.str_at("/spec/holderIdentity") != self.election.identity {
            let transitions = lease.i64_at("/spec/leaseTransitions").unwrap_or(0);
            lease.set_at("/spec/acquireTime", now.as_str());
            lease.set_at("/spec/leaseTransitions", transitions + 1);
        }
        lease.set_at("/spec/holderIdentity", self.election.identity.as_str());
        lease.set_at("/spec/leaseDurationSeconds", self.duration_seconds());
        lease.set_at("/spec/renewTime", now);
        let (ns, name) = (Some(self.election.namespace.as_str()), self.election.name.as_str());
        let written = self.rest.update(&self.leases, ns, name, &lease).await?;
        self.observe(written);
        Ok(())
    }

    /// Upstream's, whatever the pace: a record outlives the pace at which it was written, and who reads it stretches
    /// it by the pace at which it waits.
    fn duration_seconds(&self) -> u64 {
        self.election.lease_duration.as_secs()
    }
}

impl std::fmt::Debug for LeaderElector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LeaderElector({} for {})", self.election.identity, self.lock())
    }
}

/// The wall clock as `metav1.MicroTime`: six decimals.
fn micro_time(host: &Host) -> String {
    host.clock().wall().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
