//! NamespaceLifecycle: nothing new in a namespace that is missing or on its way out, and three
//! namespaces that cannot go.
//!
//! The informer answers first. For a namespace that it does not know, a create waits 50 ms, then the
//! server asks itself; if that question fails, so does the request, with a 500.

use std::{collections::BTreeMap, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use client::Resource;
use parking_lot::Mutex;
use world::Mono;

use super::{Operation, Review, Tools, refusal::forbidden};

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
/// What the informer gets to catch up with a namespace that was created just now.
const MISSING_NAMESPACE_WAIT: Duration = Duration::from_millis(50);
/// How long after a deletion the informer is not believed when it says Active.
const FORCED_LOOKUP: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Default)]
pub(super) struct NamespaceLifecycle {
    /// Namespaces deleted through this server, and until when they are looked up.
    forced: Mutex<BTreeMap<String, Mono>>,
}

impl NamespaceLifecycle {
    pub(super) async fn admit(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        let clock = tools.host.clock();
        if review.is("", "namespaces") {
            if review.operation == Operation::Delete {
                if IMMORTAL.contains(&review.name) {
                    return Err(Status::forbidden(
                        "namespaces",
                        review.name,
                        "this namespace may not be deleted",
                    ));
                }
                let now = clock.monotonic();
                let mut forced = self.forced.lock();
                forced.retain(|_, until| *until > now);
                forced.insert(review.name.to_owned(), now + FORCED_LOOKUP);
            }
            return Ok(());
        }
        let exempt = review.namespace.is_empty()
            || !matches!(review.operation, Operation::Create | Operation::Update)
            || review.is("authorization.k8s.io", "localsubjectaccessreviews");
        if exempt {
            return Ok(());
        }

        let informer = &tools.informers.namespaces;
        tools.ready(review, &[informer]).await?;
        let mut known = informer.get(None, review.namespace);
        if known.is_none() && review.operation == Operation::Create {
            clock.sleep(MISSING_NAMESPACE_WAIT).await;
            known = informer.get(None, review.namespace);
        }
        let is_forced =
            self.forced.lock().get(review.namespace).is_some_and(|until| *until > clock.monotonic());
        let doubted = is_forced && known.as_ref().is_some_and(|n| n.str_at("/status/phase") == "Active");
        let phase = match known {
            Some(namespace) if !doubted => namespace.str_at("/status/phase").to_owned(),
            _ => match tools.rest.get(&Resource::core("namespaces"), None, review.namespace).await {
                Ok(namespace) => namespace.str_at("/status/phase").to_owned(),
                Err(error) => {
                    return Err(match error.status() {
                        Some(status) if status.is_not_found() => status.clone(),
                        _ => Status::internal(error),
                    });
                }
            },
        };
        if review.operation == Operation::Create && phase == "Terminating" {
            let namespace = review.namespace;
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let mut status = forbidden(review, why);
            status.push_cause(
                "NamespaceTerminating",
                &format!("namespace {namespace} is being terminated"),
                "metadata.namespace",
            );
            return Err(status);
        }
        Ok(())
    }
}
