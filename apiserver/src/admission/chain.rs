//! The passes: every plugin that is on is asked in its turn, and timed.

use api::{fields, object::ObjectExt as _, status::Status};
use serde_json::Value;
use world::Mono;

use super::{
    Admission, Operation, Plugin, Review, certificates, classes, escalation, external_ips, images,
    namespaces, node_restriction, owner_references, pod_rules, policy, priority, refusal, runtime_class,
    service_account, small, tolerations, topology_labels, webhook::Rounds,
};
use crate::metrics::Step;

impl Admission {
    /// The mutating pass, and another one if a policy or a webhook changed the object.
    ///
    /// # Errors
    /// The first plugin's refusal.
    pub async fn mutate(&self, review: &mut Review<'_>) -> Result<(), Status> {
        let (operation, began) = (review.operation, self.tools.host.clock().monotonic());
        let outcome = self.rounds(review).await;
        self.ended(operation, Step::Admit, began, outcome.is_err());
        outcome
    }

    async fn rounds(&self, review: &mut Review<'_>) -> Result<(), Status> {
        let mut rounds = Rounds::default();
        let mut policies = policy::Passes::default();
        loop {
            self.pass(review, &mut rounds, &mut policies).await?;
            if !rounds.next(policies.changed) {
                break;
            }
            policies.is_second = true;
        }
        if let Some(before) = rounds.managed_fields_before() {
            keep_managed_fields(review, before);
        }
        Ok(())
    }

    async fn pass(
        &self,
        review: &mut Review<'_>,
        rounds: &mut Rounds,
        policies: &mut policy::Passes,
    ) -> Result<(), Status> {
        let (tools, clock) = (&self.tools, self.tools.host.clock());
        let mut began = clock.monotonic();
        for plugin in self.enabled.plugins() {
            let outcome = match plugin {
                Plugin::NamespaceAutoProvision => namespaces::provide(tools, review).await,
                Plugin::NamespaceLifecycle => self.namespace_lifecycle.admit(tools, review).await,
                Plugin::LimitRanger => self.limit_ranger.mutate(tools, review).await,
                Plugin::ServiceAccount => service_account::mutate(tools, review).await,
                Plugin::NodeRestriction => node_restriction::admit(tools, review).await,
                Plugin::TaintNodesByCondition => {
                    small::taint_new_node(review);
                    Ok(())
                }
                Plugin::AlwaysPullImages => {
                    images::mutate(review);
                    Ok(())
                }
                Plugin::PodNodeSelector => self.node_selector.mutate(tools, review).await,
                Plugin::Priority => priority::mutate(tools, review).await,
                Plugin::DefaultTolerationSeconds => {
                    small::tolerate_not_ready(review, self.tolerations);
                    Ok(())
                }
                Plugin::PodTolerationRestriction => self.toleration_restriction.mutate(tools, review).await,
                Plugin::ExtendedResourceToleration => {
                    tolerations::for_devices(review);
                    Ok(())
                }
                Plugin::DefaultStorageClass => classes::of_claim(tools, review).await,
                Plugin::StorageObjectInUseProtection => {
                    small::protect_storage(review);
                    Ok(())
                }
                Plugin::RuntimeClass => runtime_class::mutate(tools, review).await,
                Plugin::DefaultIngressClass => classes::of_ingress(tools, review).await,
                Plugin::PodTopologyLabels => topology_labels::mutate(tools, review).await,
                Plugin::MutatingAdmissionPolicy => self.policies.mutate(tools, review, policies).await,
                Plugin::MutatingAdmissionWebhook => self.webhooks.mutate(tools, review, rounds).await,
                Plugin::AlwaysDeny => Err(refusal::deny_all(review)),
                _ => continue,
            };
            let ended = clock.monotonic();
            let elapsed = ended.since(std::mem::replace(&mut began, ended));
            tools.counts.plugin(*plugin, (review.operation, Step::Admit), outcome.is_err(), elapsed);
            outcome?;
        }
        Ok(())
    }

    fn ended(&self, operation: Operation, step: Step, began: Mono, rejected: bool) {
        let elapsed = self.tools.host.clock().monotonic().since(began);
        self.tools.counts.step(operation, step, rejected, elapsed);
    }

    /// What stands between the passes: whether a role or binding grants more than its writer holds.
    ///
    /// # Errors
    /// 403 that names what is missing; 404 for the role that a binding refers to.
    pub async fn check_escalation(&self, review: &Review<'_>) -> Result<(), Status> {
        escalation::check(&self.tools, review).await
    }

    /// The validating pass.
    ///
    /// # Errors
    /// The first plugin's refusal.
    pub async fn validate(&self, review: &Review<'_>) -> Result<(), Status> {
        let began = self.tools.host.clock().monotonic();
        let outcome = self.checks(review).await;
        self.ended(review.operation, Step::Validate, began, outcome.is_err());
        outcome
    }

    async fn checks(&self, review: &Review<'_>) -> Result<(), Status> {
        let (tools, clock) = (&self.tools, self.tools.host.clock());
        let mut began = clock.monotonic();
        for plugin in self.enabled.plugins() {
            let outcome = match plugin {
                Plugin::NamespaceExists => namespaces::exists(tools, review).await,
                Plugin::SecurityContextDeny => pod_rules::security_context(review),
                Plugin::LimitPodHardAntiAffinityTopology => pod_rules::anti_affinity(review),
                Plugin::LimitRanger => self.limit_ranger.validate(tools, review).await,
                Plugin::ServiceAccount => service_account::validate(tools, review).await,
                Plugin::AlwaysPullImages => images::validate(review),
                Plugin::PodSecurity => self.pod_security.validate(tools, review).await,
                Plugin::PodNodeSelector => self.node_selector.validate(tools, review).await,
                Plugin::Priority => priority::validate(tools, review).await,
                Plugin::PodTolerationRestriction => self.toleration_restriction.validate(tools, review).await,
                Plugin::EventRateLimit => self.event_rate_limit.validate(tools, review),
                Plugin::OwnerReferencesPermissionEnforcement => {
                    owner_references::validate(tools, review).await
                }
                Plugin::PersistentVolumeClaimResize => classes::growth(tools, review).await,
                Plugin::RuntimeClass => runtime_class::validate(tools, review).await,
                Plugin::CertificateApproval => certificates::approval(tools, review).await,
                Plugin::CertificateSigning => certificates::signing(tools, review).await,
                Plugin::ClusterTrustBundleAttest => certificates::attestation(tools, review).await,
                Plugin::CertificateSubjectRestriction => certificates::subject(review),
                Plugin::DenyServiceExternalIPs => external_ips::validate(review),
                Plugin::PodResizeValidator => pod_rules::resize(tools, review),
                Plugin::ValidatingAdmissionPolicy => self.policies.validate(tools, review).await,
                Plugin::ValidatingAdmissionWebhook => self.webhooks.validate(tools, review).await,
                Plugin::ResourceQuota => self.resource_quota.validate(tools, review).await,
                Plugin::AlwaysDeny => Err(refusal::deny_all(review)),
                _ => continue,
            };
            let ended = clock.monotonic();
            let elapsed = ended.since(std::mem::replace(&mut began, ended));
            tools.counts.plugin(*plugin, (review.operation, Step::Validate), outcome.is_err(), elapsed);
            outcome?;
        }
        Ok(())
    }
}

/// Managed fields that a webhook made unreadable are put back as they were.
fn keep_managed_fields(review: &mut Review<'_>, before: Option<Value>) {
    let Some(object) = review.object.as_deref_mut() else { return };
    let Err(why) = fields::Managed::decode(object.list_at("/metadata/managedFields")) else { return };
    match before {
        Some(before) => object.set_at("/metadata/managedFields", before),
        None => {
            object.remove_at("/metadata/managedFields");
        }
    }
    review.remarks.warn(format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated \
         mutating admission controller; please fix your requests: {why}"
    ));
}
