//! Two candidates for one lease, on hosts whose clocks disagree. Who believes the other's `renewTime` takes the lease from a
//! leader in good health; who only believes what it saw itself does not.

use std::time::Duration;

use chronoplane::k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use chronoplane::{ControlPlane, Host, SignedDuration, Sim};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use tokio::{task::JoinHandle, time::Instant};

const LEASE: Duration = Duration::from_secs(15);
const RENEWAL: Duration = Duration::from_secs(2);

/// By which clock a candidate finds that a lease has run out.
#[derive(Clone, Copy, PartialEq)]
enum Believes {
    /// The time in the lease, compared with its own wall clock: wrong as soon as two clocks disagree.
    RenewTime,
    /// That it has not seen the lease change for so long, by a clock that nobody sets.
    ItsOwnEyes,
}

struct Candidate {
    host: Host,
    leases: Api<Lease>,
    believes: Believes,
    /// The last state that it saw, and when.
    seen: Option<(Option<LeaseSpec>, Instant)>,
}

impl Candidate {
    /// One turn: renews its lease, or takes one that has run out.
    async fn turn(&mut self) -> Result<(), kube::Error> {
        let me = self.host.name().to_owned();
        let now = self.host.clock().wall();
        let spec = LeaseSpec {
            holder_identity: Some(me.clone()),
            lease_duration_seconds: Some(LEASE.as_secs() as i32),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        };
        let Some(mut lease) = self.leases.get_opt("leader").await? else {
            let metadata = ObjectMeta { name: Some("leader".into()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(spec) };
            self.leases.create(&PostParams::default(), &lease).await?;
            return Ok(());
        };
        let held = lease.spec.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(last, _)| *last != lease.spec) {
            self.seen = Some((lease.spec.clone(), Instant::now()));
        }
        let ran_out = match self.believes {
            Believes::RenewTime => {
                held.renew_time.is_none_or(|MicroTime(at)| now.duration_since(at) > span(LEASE))
            }
            Believes::ItsOwnEyes => self.seen.as_ref().is_some_and(|(_, at)| at.elapsed() > LEASE),
        };
        if held.holder_identity == Some(me) || ran_out {
            lease.spec = Some(spec);
            // Of two that try, the slower meets a conflict.
            self.leases.replace("leader", &PostParams::default(), &lease).await?;
        }
        Ok(())
    }
}

fn span(d: Duration) -> SignedDuration {
    d.try_into().unwrap()
}

fn run(plane: &ControlPlane, host: Host, believes: Believes) -> JoinHandle<()> {
    let leases = Api::default_namespaced(plane.client_from(&host).unwrap());
    let mut candidate = Candidate { host, leases, believes, seen: None };
    tokio::spawn(async move {
        loop {
            let _ = candidate.turn().await;
            tokio::time::sleep(RENEWAL).await;
        }
    })
}

async fn leader(leases: &Api<Lease>) -> Option<String> {
    leases.get("leader").await.unwrap().spec?.holder_identity
}

/// Who leads after ten minutes in which both candidates were well. East was first; west's clock is ahead by `skew`.
async fn leader_after_a_while(
    sim: &Sim,
    plane: &ControlPlane,
    believes: Believes,
    skew: SignedDuration,
) -> Option<String> {
    let (east, west) = (sim.host("east"), sim.host("west"));
    sim.step("west", skew);
    let leases: Api<Lease> = Api::default_namespaced(plane.client().unwrap());
    let _first = run(plane, east, believes);
    plane.wait_for("lease/leader", "jsonpath={.spec.holderIdentity}=east").await.unwrap();
    let _second = run(plane, west, believes);
    plane.elapse(Duration::from_secs(600)).await.unwrap();
    leader(&leases).await
}

const SKEW: SignedDuration = SignedDuration::from_secs(20);

#[chronoplane::test]
async fn who_believes_the_time_in_a_lease_steals_it_from_the_living(sim: Sim, plane: ControlPlane) {
    let leader = leader_after_a_while(&sim, &plane, Believes::RenewTime, SKEW).await;
    assert_eq!(leader.as_deref(), Some("west"));
}

/// The control: nothing is wrong with that candidate while all clocks agree.
#[chronoplane::test]
async fn with_right_clocks_nobody_steals(sim: Sim, plane: ControlPlane) {
    let leader = leader_after_a_while(&sim, &plane, Believes::RenewTime, SignedDuration::ZERO).await;
    assert_eq!(leader.as_deref(), Some("east"));
}

#[chronoplane::test]
async fn who_believes_its_own_eyes_does_not_steal(sim: Sim, plane: ControlPlane) {
    let leader = leader_after_a_while(&sim, &plane, Believes::ItsOwnEyes, SKEW).await;
    assert_eq!(leader.as_deref(), Some("east"));
}

#[chronoplane::test]
async fn the_lease_of_a_dead_leader_is_taken_when_it_has_run_out(sim: Sim, plane: ControlPlane) {
    let (east, west) = (sim.host("east"), sim.host("west"));
    // Not further: certificates are valid from five minutes before they were made.
    sim.step("west", SignedDuration::from_mins(-2));
    let leases: Api<Lease> = Api::default_namespaced(plane.client().unwrap());
    let first = run(&plane, east, Believes::ItsOwnEyes);
    plane.wait_for("lease/leader", "jsonpath={.spec.holderIdentity}=east").await.unwrap();
    let _second = run(&plane, west, Believes::ItsOwnEyes);
    plane.elapse(4 * LEASE).await.unwrap();
    first.abort();
    plane.elapse(LEASE - 2 * RENEWAL).await.unwrap();
    assert_eq!(leader(&leases).await.as_deref(), Some("east"), "it may still be there");
    plane.elapse(5 * RENEWAL).await.unwrap();
    assert_eq!(leader(&leases).await.as_deref(), Some("west"));
}
