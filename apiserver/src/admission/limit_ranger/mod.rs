//! LimitRanger: defaults and bounds of what containers, pods and claims ask for.
//!
//! A namespace's ranges come from the informer. When it has none for a namespace, the server asks
//! itself, and believes the answer for 30 s: in a namespace without any range that is one request
//! through the loopback client every 30 s. When that client is dead, no pod can be created.

mod bounds;
mod defaults;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use client::{ClientError, ListParams, Resource};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use serde_json::Value;
use world::Mono;

use super::{
    Operation, Review, Tools,
    refusal::{forbidden, forbidden_by},
};

/// How long an answer about a namespace is believed.
const LIVE_TTL: Duration = Duration::from_secs(30);
/// How many namespaces are remembered.
const LIVE_ENTRIES: usize = 10_000;

type Ranges = Vec<Arc<Value>>;
type Flight = Shared<BoxFuture<'static, Result<Ranges, ClientError>>>;

/// See the module.
#[derive(Default)]
pub(super) struct LimitRanger {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Answers, and until when they are believed.
    live: BTreeMap<String, (Mono, Ranges)>,
    /// Questions under way: whoever asks the same waits for the same answer.
    flights: BTreeMap<String, Flight>,
}

impl LimitRanger {
    /// Fills in defaults.
    pub(super) async fn mutate(&self, tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
        if !applies(review) {
            return Ok(());
        }
        let ranges = self.ranges(tools, review).await?;
        if let Some(pod) = review.object.as_deref_mut()
            && review.resource == "pods"
        {
            for range in &ranges {
                defaults::apply(range, pod);
            }
        }
        Ok(())
    }

    /// Refuses what is out of bounds.
    pub(super) async fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        if !applies(review) {
            return Ok(());
        }
        for range in self.ranges(tools, review).await? {
            let Some(object) = review.new_object() else { continue };
            let violations = match review.resource {
                "pods" => bounds::of_pod(&range, object),
                _ => bounds::of_claim(&range, object),
            };
            match violations.as_slice() {
                [] => {}
                [one] => return Err(forbidden(review, one)),
                several => return Err(forbidden(review, format_args!("[{}]", several.join(", ")))),
            }
        }
        Ok(())
    }

    async fn ranges(&self, tools: &Tools, review: &Review<'_>) -> Result<Ranges, Status> {
        let held = tools.informers.limit_ranges.by_namespace(review.namespace);
        if !held.is_empty() {
            return Ok(held);
        }
        let flight = {
            let mut state = self.state.lock();
            let now = tools.host.clock().monotonic();
            match state.live.get(review.namespace) {
                Some((until, ranges)) if *until >= now => return Ok(ranges.clone()),
                _ => {}
            }
            match state.flights.get(review.namespace) {
                Some(flight) => flight.clone(),
                None => {
                    let flight = self.ask(tools, review.namespace.to_owned());
                    state.flights.insert(review.namespace.to_owned(), flight.clone());
                    flight
                }
            }
        };
        flight.await.map_err(|error| forbidden_by(review, &error))
    }

    fn ask(&self, tools: &Tools, namespace: String) -> Flight {
        let (rest, clock, state) = (tools.rest.clone(), tools.host.clock().clone(), self.state.clone());
        let question = async move {
            let resource = Resource::core("limitranges");
            let answer = rest.list(&resource, Some(&namespace), &ListParams::default()).await;
            let mut state = state.lock();
            state.flights.remove(&namespace);
            let ranges = answer?.items;
            if state.live.len() >= LIVE_ENTRIES {
                state.live.clear();
            }
            state.live.insert(namespace, (clock.monotonic() + LIVE_TTL, ranges.clone()));
            Ok(ranges)
        };
        question.boxed().shared()
    }
}

/// New pods and claims, and claims that grow. What pods ask for cannot change later.
fn applies(review: &Review<'_>) -> bool {
    let kind = match (review.group, review.resource, review.operation) {
        ("", "pods", Operation::Create) => review.subresource.is_empty(),
        ("", "pods", Operation::Update) => review.subresource == "resize",
        ("", "persistentvolumeclaims", Operation::Create | Operation::Update) => {
            review.subresource.is_empty()
        }
        _ => false,
    };
    kind && !review.old.is_some_and(|old| old.is_terminating())
}
