//! What each plugin does in the two passes.

use std::future::ready;

use api::status::Status;
use futures::future::BoxFuture;

use super::{
    Admission, Plugin, Review, certificates, classes, external_ips, images, namespaces, node_restriction,
    owner_references, pod_rules, policy, priority, refusal, runtime_class, service_account, small,
    tolerations, topology_labels, webhook::Rounds,
};

type Outcome = Result<(), Status>;

/// What the passes over one request remember.
#[derive(Default)]
pub(super) struct Progress {
    pub rounds: Rounds,
    pub policies: policy::Passes,
}

/// In the pass that may change the object.
pub(super) enum Mutates {
    Not,
    /// From what it has in its hands; it refuses nothing.
    Changes(fn(&Admission, &mut Review<'_>)),
    /// It may have to ask others.
    Asking(for<'a> fn(&'a Admission, &'a mut Review<'_>, &'a mut Progress) -> BoxFuture<'a, Outcome>),
}

/// In the pass that may only refuse.
pub(super) enum Validates {
    Not,
    /// From what it has in its hands.
    AtOnce(fn(&Admission, &Review<'_>) -> Outcome),
    /// It may have to ask others.
    Asking(for<'a> fn(&'a Admission, &'a Review<'_>) -> BoxFuture<'a, Outcome>),
}

/// One row for each plugin, by its name.
pub(super) fn of(plugin: Plugin) -> (Mutates, Validates) {
    use Mutates as M;
    use Validates as V;
    match plugin {
        Plugin::NamespaceAutoProvision => {
            (M::Asking(|chain, review, _| Box::pin(namespaces::provide(&chain.tools, review))), V::Not)
        }
        Plugin::NamespaceLifecycle => (
            M::Asking(|chain, review, _| Box::pin(chain.namespace_lifecycle.admit(&chain.tools, review))),
            V::Not,
        ),
        Plugin::NamespaceExists => {
            (M::Not, V::Asking(|chain, review| Box::pin(namespaces::exists(&chain.tools, review))))
        }
        Plugin::SecurityContextDeny => (M::Not, V::AtOnce(|_, review| pod_rules::security_context(review))),
        Plugin::LimitPodHardAntiAffinityTopology => {
            (M::Not, V::AtOnce(|_, review| pod_rules::anti_affinity(review)))
        }
        Plugin::LimitRanger => (
            M::Asking(|chain, review, _| Box::pin(chain.limit_ranger.mutate(&chain.tools, review))),
            V::Asking(|chain, review| Box::pin(chain.limit_ranger.validate(&chain.tools, review))),
        ),
        Plugin::ServiceAccount => (
            M::Asking(|chain, review, _| Box::pin(service_account::mutate(&chain.tools, review))),
            V::Asking(|chain, review| Box::pin(service_account::validate(&chain.tools, review))),
        ),
        Plugin::NodeRestriction => {
            (M::Asking(|chain, review, _| Box::pin(node_restriction::admit(&chain.tools, review))), V::Not)
        }
        Plugin::TaintNodesByCondition => (M::Changes(|_, review| small::taint_new_node(review)), V::Not),
        Plugin::AlwaysPullImages => {
            (M::Changes(|_, review| images::mutate(review)), V::AtOnce(|_, review| images::validate(review)))
        }
        Plugin::PodSecurity => {
            (M::Not, V::Asking(|chain, review| Box::pin(chain.pod_security.validate(&chain.tools, review))))
        }
        Plugin::PodNodeSelector => (
            M::Asking(|chain, review, _| Box::pin(chain.node_selector.mutate(&chain.tools, review))),
            V::Asking(|chain, review| Box::pin(chain.node_selector.validate(&chain.tools, review))),
        ),
        Plugin::Priority => (
            M::Asking(|chain, review, _| Box::pin(priority::mutate(&chain.tools, review))),
            V::Asking(|chain, review| Box::pin(priority::validate(&chain.tools, review))),
        ),
        Plugin::DefaultTolerationSeconds => {
            (M::Changes(|chain, review| small::tolerate_not_ready(review, chain.tolerations)), V::Not)
        }
        Plugin::PodTolerationRestriction => (
            M::Asking(|chain, review, _| Box::pin(chain.toleration_restriction.mutate(&chain.tools, review))),
            V::Asking(|chain, review| Box::pin(chain.toleration_restriction.validate(&chain.tools, review))),
        ),
        Plugin::EventRateLimit => {
            (M::Not, V::AtOnce(|chain, review| chain.event_rate_limit.validate(&chain.tools, review)))
        }
        Plugin::ExtendedResourceToleration => {
            (M::Changes(|_, review| tolerations::for_devices(review)), V::Not)
        }
        Plugin::DefaultStorageClass => {
            (M::Asking(|chain, review, _| Box::pin(classes::of_claim(&chain.tools, review))), V::Not)
        }
        Plugin::StorageObjectInUseProtection => {
            (M::Changes(|_, review| small::protect_storage(review)), V::Not)
        }
        Plugin::OwnerReferencesPermissionEnforcement => {
            (M::Not, V::Asking(|chain, review| Box::pin(owner_references::validate(&chain.tools, review))))
        }
        Plugin::PersistentVolumeClaimResize => {
            (M::Not, V::Asking(|chain, review| Box::pin(classes::growth(&chain.tools, review))))
        }
        Plugin::RuntimeClass => (
            M::Asking(|chain, review, _| Box::pin(runtime_class::mutate(&chain.tools, review))),
            V::Asking(|chain, review| Box::pin(runtime_class::validate(&chain.tools, review))),
        ),
        Plugin::CertificateApproval => {
            (M::Not, V::Asking(|chain, review| Box::pin(certificates::approval(&chain.tools, review))))
        }
        Plugin::CertificateSigning => {
            (M::Not, V::Asking(|chain, review| Box::pin(certificates::signing(&chain.tools, review))))
        }
        Plugin::ClusterTrustBundleAttest => {
            (M::Not, V::Asking(|chain, review| Box::pin(certificates::attestation(&chain.tools, review))))
        }
        Plugin::CertificateSubjectRestriction => {
            (M::Not, V::AtOnce(|_, review| certificates::subject(review)))
        }
        Plugin::DefaultIngressClass => {
            (M::Asking(|chain, review, _| Box::pin(classes::of_ingress(&chain.tools, review))), V::Not)
        }
        Plugin::DenyServiceExternalIPs => (M::Not, V::AtOnce(|_, review| external_ips::validate(review))),
        Plugin::PodTopologyLabels => {
            (M::Asking(|chain, review, _| Box::pin(topology_labels::mutate(&chain.tools, review))), V::Not)
        }
        Plugin::PodResizeValidator => {
            (M::Not, V::AtOnce(|chain, review| pod_rules::resize(&chain.tools, review)))
        }
        Plugin::MutatingAdmissionPolicy => (
            M::Asking(|chain, review, progress| {
                Box::pin(chain.policies.mutate(&chain.tools, review, &mut progress.policies))
            }),
            V::Not,
        ),
        Plugin::MutatingAdmissionWebhook => (
            M::Asking(|chain, review, progress| {
                Box::pin(chain.webhooks.mutate(&chain.tools, review, &mut progress.rounds))
            }),
            V::Not,
        ),
        Plugin::ValidatingAdmissionPolicy => {
            (M::Not, V::Asking(|chain, review| Box::pin(chain.policies.validate(&chain.tools, review))))
        }
        Plugin::ValidatingAdmissionWebhook => {
            (M::Not, V::Asking(|chain, review| Box::pin(chain.webhooks.validate(&chain.tools, review))))
        }
        Plugin::ResourceQuota => {
            (M::Not, V::Asking(|chain, review| Box::pin(chain.resource_quota.validate(&chain.tools, review))))
        }
        Plugin::AlwaysDeny => (
            M::Asking(|_, review, _| Box::pin(ready(Err(refusal::deny_all(review))))),
            V::AtOnce(|_, review| Err(refusal::deny_all(review))),
        ),
    }
}
