//! MutatingAdmissionWebhook and ValidatingAdmissionWebhook: others are asked, over HTTPS.
//!
//! ```text
//!  configuration ─▶ hook ─▶ matching: is it asked, and in which form?
//!                             │
//!                  seen: objects in that form ─▶ conditions ─▶ call ─▶ review: question, answer
//!                                                                │
//!                     mutating: patch, rounds ◀──────────────────┴──▶ validating: all at once
//! ```

mod call;
mod conditions;
mod hook;
mod logins;
mod mutating;
mod patch;
mod review;
mod rounds;
mod seen;
mod validating;

use std::sync::Arc;

use api::status::Status;
use client::Informer;
use serde_json::Value;
use world::Host;

use super::{Form, Review, Tools, ready::ready};
use crate::{
    callout::{Callouts, Services},
    informers::Informers,
    metrics::WebhookCounts,
};
pub(super) use conditions::validate as validate_conditions;
use hook::Hooks;
pub(super) use logins::Logins;
pub(super) use rounds::Rounds;

/// Whose words are used until somebody says whose.
const GO: pki::GoVersion = (1, 26);

/// Never asked about: a webhook could lock everybody out of its own repair.
const EXEMPT: [&str; 6] = [
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

/// What all webhooks are told of a request in the same way.
struct Facts {
    /// The request as it came.
    own: Form,
    options: Value,
}

impl Facts {
    fn of(tools: &Tools, review: &Review<'_>) -> Self {
        let options = review.aside.outside.map(|outside| outside.options()).unwrap_or_default();
        Self { own: Form::of(tools, review), options }
    }
}

/// Both plugins, and what they share.
#[derive(Debug)]
pub(super) struct Webhooks {
    host: Host,
    namespaces: Informer,
    mutating: Hooks,
    validating: Hooks,
    pub(super) counts: Arc<WebhookCounts>,
    logins: Logins,
}

impl Webhooks {
    pub(super) fn new(host: &Host, informers: &Informers, logins: Logins) -> Self {
        let callouts = Callouts::new(host, GO, Services::new(host, informers));
        Self {
            host: host.clone(),
            namespaces: informers.namespaces.clone(),
            mutating: Hooks::new(&informers.mutating_webhooks, &callouts),
            validating: Hooks::new(&informers.validating_webhooks, &callouts),
            counts: Arc::default(),
            logins,
        }
    }

    /// The same webhooks, called this way.
    pub(super) fn calling(mut self, callouts: &Callouts) -> Self {
        let Logins { mutating, validating } = std::mem::take(&mut self.logins);
        self.mutating.callouts = callouts.clone().known_as(mutating);
        self.validating.callouts = callouts.clone().known_as(validating);
        self
    }

    /// Whether there is nobody to ask about a request.
    ///
    /// # Errors
    /// 403: who is to be asked is not known yet.
    async fn is_idle(&self, hooks: &Hooks, review: &Review<'_>) -> Result<bool, Status> {
        if review.group == "admissionregistration.k8s.io" && EXEMPT.contains(&review.resource) {
            return Ok(true);
        }
        ready(self.host.clock(), review, &[&hooks.informer, &self.namespaces]).await?;
        Ok(hooks.informer.is_empty())
    }
}
