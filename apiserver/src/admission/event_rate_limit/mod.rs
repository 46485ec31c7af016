//! EventRateLimit: so many events, and no more, by server, namespace, user, or source and object.
//!
//! Every limit is asked, also when one before has refused: each has its own bucket to take from. Only
//! events of the core group count, as upstream.

mod bucket;
mod config;

use api::{object::ObjectExt as _, status::Status};
use parking_lot::Mutex;
use serde_json::Value;

use super::{Operation, Review, Tools};
use bucket::Buckets;
use config::{Kind, Limit};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct EventRateLimit {
    limits: Vec<(Limit, Mutex<Buckets>)>,
}

impl EventRateLimit {
    /// With its section of the admission configuration.
    ///
    /// # Errors
    /// What is wrong with it; it must name a limit.
    pub(super) fn new(section: Option<&Value>) -> Result<Self, String> {
        let limits = section.map(config::read).transpose()?.unwrap_or_default();
        Ok(Self { limits: limits.into_iter().map(|l| (l, Mutex::new(Buckets::default()))).collect() })
    }

    pub(super) fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        let applies = matches!(review.operation, Operation::Create | Operation::Update)
            && review.is("", "events")
            && !review.dry_run;
        if !applies {
            return Ok(());
        }
        let now = tools.host.clock().monotonic();
        let mut outcome = Ok(());
        for (limit, buckets) in &self.limits {
            let key = key(limit.kind, review);
            if !buckets.lock().take(limit, &key, now) {
                let why = format!("limit reached on type {} for key {key}", limit.kind.name());
                let mut status = Status::too_many_requests(format!("Too many requests: {why}"), 0);
                // Upstream does not say when to come again.
                status.details = None;
                outcome = Err(status);
            }
        }
        outcome
    }
}

fn key(kind: Kind, review: &Review<'_>) -> String {
    match kind {
        Kind::Server => String::new(),
        Kind::Namespace => review.namespace.to_owned(),
        Kind::User => review.user.name.clone(),
        Kind::SourceAndObject => {
            let Some(event) = review.new_object() else { return String::new() };
            [
                "/source/component",
                "/source/host",
                "/involvedObject/kind",
                "/involvedObject/namespace",
                "/involvedObject/name",
                "/involvedObject/uid",
                "/involvedObject/apiVersion",
            ]
            .iter()
            .map(|field| event.str_at(field))
            .collect()
        }
    }
}
