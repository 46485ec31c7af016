//! Which flags there are. A flag that is listed here is accepted; what it means is in `parse`.

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `--flag` is `--flag=true`.
    Switch,
    /// One value; the last wins.
    One,
    /// Comma-separated, and may be given again.
    Many,
}

/// What we do about a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has its meaning.
    Meant,
    /// Known to upstream and without meaning here: it tunes what this server does not have.
    Inert,
    /// Known to upstream; taking it silently would lie about what the server does.
    Refused(&'static str),
}

use Shape::{Many, One, Switch};
use Standing::{Inert, Meant, Refused};

const TRUNCATE: &str = "audit events are sent whole";
const ENCRYPTION: &str = "objects are stored unencrypted";
const CONFIG_FILE: &str = "use the single flags instead";
const TRACING: &str = "traces are not exported";
const EGRESS: &str = "all connections are direct";
const OIDC: &str = "tokens of OIDC issuers are not verified here";
const TOLERATION: &str = "the tolerations of the admission plugin last 300 seconds";
const WEBHOOK: &str = "webhooks are not called here";

/// Name, shape, standing; sorted by name.
#[rustfmt::skip]
pub(super) const FLAGS: &[(&str, Shape, Standing)] = &[
    ("admission-control-config-file", One, Refused("admission plugins have no configuration here")),
    ("advertise-address", One, Meant),
    ("aggregator-reject-forwarding-redirect", Switch, Inert),
    ("allow-metric-labels", Many, Inert),
    ("allow-metric-labels-manifest", One, Inert),
    ("allow-privileged", Switch, Inert),
    ("anonymous-auth", Switch, Meant),
    ("api-audiences", Many, Meant),
    ("apiserver-count", One, Inert),
    ("audit-log-batch-buffer-size", One, Inert),
    ("audit-log-batch-max-size", One, Inert),
    ("audit-log-compress", Switch, Inert),
    ("audit-log-format", One, Meant),
    ("audit-log-maxage", One, Meant),
    ("audit-log-maxbackup", One, Meant),
    ("audit-log-maxsize", One, Meant),
    ("audit-log-mode", One, Inert),
    ("audit-log-path", One, Meant),
    ("audit-policy-file", One, Meant),
    ("audit-webhook-batch-buffer-size", One, Meant),
    ("audit-webhook-batch-max-size", One, Meant),
    ("audit-webhook-batch-max-wait", One, Meant),
    ("audit-webhook-batch-throttle-burst", One, Meant),
    ("audit-webhook-batch-throttle-enable", Switch, Meant),
    ("audit-webhook-batch-throttle-qps", One, Meant),
    ("audit-webhook-config-file", One, Meant),
    ("audit-webhook-initial-backoff", One, Meant),
    ("audit-webhook-mode", One, Meant),
    ("audit-webhook-truncate-enabled", Switch, Refused(TRUNCATE)),
    ("audit-webhook-truncate-max-batch-size", One, Inert),
    ("audit-webhook-truncate-max-event-size", One, Inert),
    ("audit-webhook-version", One, Meant),
    ("authentication-config", One, Refused(CONFIG_FILE)),
    ("authentication-token-webhook-cache-ttl", One, Inert),
    ("authentication-token-webhook-config-file", One, Refused(WEBHOOK)),
    ("authentication-token-webhook-version", One, Inert),
    ("authorization-config", One, Refused(CONFIG_FILE)),
    ("authorization-mode", Many, Meant),
    ("authorization-policy-file", One, Refused("ABAC is not one of the authorizers here")),
    ("authorization-webhook-cache-authorized-ttl", One, Inert),
    ("authorization-webhook-cache-unauthorized-ttl", One, Inert),
    ("authorization-webhook-config-file", One, Refused(WEBHOOK)),
    ("authorization-webhook-version", One, Inert),
    ("bind-address", One, Meant),
    ("cert-dir", One, Meant),
    ("client-ca-file", One, Meant),
    ("cloud-config", One, Inert),
    ("cloud-provider", One, Inert),
    ("contention-profiling", Switch, Inert),
    ("coordinated-leadership-lease-duration", One, Inert),
    ("coordinated-leadership-renew-deadline", One, Inert),
    ("coordinated-leadership-retry-period", One, Inert),
    ("cors-allowed-origins", Many, Meant),
    ("data-dir", One, Meant),
    ("default-not-ready-toleration-seconds", One, Refused(TOLERATION)),
    ("default-unreachable-toleration-seconds", One, Refused(TOLERATION)),
    ("default-watch-cache-size", One, Inert),
    ("delete-collection-workers", One, Inert),
    ("disable-admission-plugins", Many, Meant),
    ("disable-http2-serving", Switch, Meant),
    ("disabled-metrics", Many, Inert),
    ("egress-selector-config-file", One, Refused(EGRESS)),
    ("emulated-version", Many, Inert),
    ("emulation-forward-compatible", Switch, Inert),
    ("enable-admission-plugins", Many, Meant),
    ("enable-aggregator-routing", Switch, Inert),
    ("enable-bootstrap-token-auth", Switch, Meant),
    ("enable-garbage-collector", Switch, Inert),
    ("enable-logs-handler", Switch, Meant),
    ("enable-priority-and-fairness", Switch, Meant),
    ("encryption-provider-config", One, Refused(ENCRYPTION)),
    ("encryption-provider-config-automatic-reload", Switch, Inert),
    ("endpoint-reconciler-type", One, Inert),
    ("etcd-cafile", One, Meant),
    ("etcd-certfile", One, Meant),
    ("etcd-compaction-interval", One, Meant),
    ("etcd-count-metric-poll-period", One, Inert),
    ("etcd-db-metric-poll-interval", One, Inert),
    ("etcd-healthcheck-timeout", One, Inert),
    ("etcd-keyfile", One, Meant),
    ("etcd-prefix", One, Meant),
    ("etcd-readycheck-timeout", One, Inert),
    ("etcd-servers", Many, Meant),
    ("etcd-servers-overrides", Many, Inert),
    ("event-ttl", One, Meant),
    ("external-hostname", One, Meant),
    ("feature-gates", Many, Meant),
    ("goaway-chance", One, Meant),
    ("http2-max-streams-per-connection", One, Meant),
    ("insecure-bind-address", One, Meant),
    ("insecure-port", One, Meant),
    ("key-algorithm", One, Meant),
    ("kubelet-certificate-authority", One, Meant),
    ("kubelet-client-certificate", One, Meant),
    ("kubelet-client-key", One, Meant),
    ("kubelet-port", One, Inert),
    ("kubelet-preferred-address-types", Many, Meant),
    ("kubelet-read-only-port", One, Inert),
    ("kubelet-timeout", One, Inert),
    ("kubernetes-service-node-port", One, Inert),
    ("kubernetes-version", One, Meant),
    ("lease-reuse-duration-seconds", One, Inert),
    ("livez-grace-period", One, Meant),
    ("log-flush-frequency", One, Inert),
    ("log-json-info-buffer-size", One, Inert),
    ("log-json-split-stream", Switch, Inert),
    ("log-text-info-buffer-size", One, Inert),
    ("log-text-split-stream", Switch, Inert),
    ("logging-format", One, Inert),
    ("logtostderr", Switch, Inert),
    ("max-connection-bytes-per-sec", One, Inert),
    ("max-mutating-requests-inflight", One, Meant),
    ("max-requests-inflight", One, Meant),
    ("min-compatibility-version", Many, Inert),
    ("min-request-timeout", One, Meant),
    ("oidc-ca-file", One, Refused(OIDC)),
    ("oidc-client-id", One, Refused(OIDC)),
    ("oidc-groups-claim", One, Refused(OIDC)),
    ("oidc-groups-prefix", One, Refused(OIDC)),
    ("oidc-issuer-url", One, Refused(OIDC)),
    ("oidc-required-claim", Many, Refused(OIDC)),
    ("oidc-signing-algs", Many, Refused(OIDC)),
    ("oidc-username-claim", One, Refused(OIDC)),
    ("oidc-username-prefix", One, Refused(OIDC)),
    ("peer-advertise-ip", One, Inert),
    ("peer-advertise-port", One, Inert),
    ("peer-ca-file", One, Inert),
    ("permit-address-sharing", Switch, Inert),
    ("permit-port-sharing", Switch, Inert),
    ("profiling", Switch, Meant),
    ("proxy-client-cert-file", One, Meant),
    ("proxy-client-key-file", One, Meant),
    ("request-timeout", One, Meant),
    ("requestheader-allowed-names", Many, Meant),
    ("requestheader-client-ca-file", One, Meant),
    ("requestheader-extra-headers-prefix", Many, Meant),
    ("requestheader-group-headers", Many, Meant),
    ("requestheader-uid-headers", Many, Meant),
    ("requestheader-username-headers", Many, Meant),
    ("runtime-config", Many, Meant),
    ("runtime-config-emulation-forward-compatible", Switch, Inert),
    ("secure-port", One, Meant),
    ("service-account-extend-token-expiration", Switch, Meant),
    ("service-account-issuer", Many, Meant),
    ("service-account-jwks-uri", One, Inert),
    ("service-account-key-file", Many, Meant),
    ("service-account-lookup", Switch, Meant),
    ("service-account-max-token-expiration", One, Meant),
    ("service-account-signing-endpoint", One, Refused("tokens are signed with --service-account-signing-key-file")),
    ("service-account-signing-key-file", One, Meant),
    ("service-cluster-ip-range", Many, Meant),
    ("service-node-port-range", One, Meant),
    ("show-hidden-metrics-for-version", One, Inert),
    ("shutdown-delay-duration", One, Meant),
    ("shutdown-send-retry-after", Switch, Meant),
    ("shutdown-watch-termination-grace-period", One, Meant),
    ("storage-backend", One, Meant),
    ("storage-initialization-timeout", One, Inert),
    ("storage-media-type", One, Inert),
    ("strict-transport-security-directives", Many, Meant),
    ("tls-cert-file", One, Meant),
    ("tls-cipher-suites", Many, Meant),
    ("tls-curve-preferences", Many, Inert),
    ("tls-min-version", One, Meant),
    ("tls-private-key-file", One, Meant),
    ("tls-sni-cert-key", One, Meant),
    ("token-auth-file", One, Meant),
    ("tracing-config-file", One, Refused(TRACING)),
    ("v", One, Meant),
    ("vmodule", Many, Inert),
    ("watch-cache", Switch, Inert),
    ("watch-cache-sizes", Many, Inert),
];

/// Flags that upstream had once, with what their removal means to a user.
pub(super) const REMOVED: &[(&str, &str)] =
    &[("basic-auth-file", "basic authentication was removed in Kubernetes 1.19")];

/// The row of a flag.
pub(super) fn find(name: &str) -> Option<(Shape, Standing)> {
    let at = FLAGS.binary_search_by(|(n, ..)| n.cmp(&name)).ok()?;
    FLAGS.get(at).map(|(_, shape, standing)| (*shape, *standing))
}
