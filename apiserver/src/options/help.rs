//! `kube-apiserver --help`: the flags of the table in upstream's groups, each with what it means here.

use std::fmt::Write as _;

use api::profile::Profile;

use super::flags::{self, Shape, Standing};
use crate::admission::plugins::of_release as of_release_plugins;

/// Ours, which upstream does not have.
const OURS: &str = "Chronoplane";

/// Upstream's groups in its order; the flags of each with what those that have a meaning here mean.
#[rustfmt::skip]
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    ("Generic", &[
        ("advertise-address", "Address that the kubernetes Service leads to"),
        ("cors-allowed-origins", "Origins that browsers may call from, as patterns"),
        ("emulated-version", ""),
        ("emulation-forward-compatible", ""),
        ("external-hostname", "Name under which clients know this server"),
        ("feature-gates", "Gates that are on or off; those with a meaning here: z-pages, BoundServiceAccountTokenVolume, ConstrainedImpersonation, ValidatingAdmissionPolicy, MutatingAdmissionPolicy"),
        ("goaway-chance", "How often a connection is told to go away after a request, 0 to 0.02"),
        ("livez-grace-period", "How long /livez forgives start hooks that are not done"),
        ("max-mutating-requests-inflight", "Writes that may be worked on at once"),
        ("max-requests-inflight", "Reads that may be worked on at once"),
        ("min-compatibility-version", ""),
        ("min-request-timeout", "Shortest life of a watch, in seconds"),
        ("request-timeout", "Longest time of a request that is no watch"),
        ("runtime-config-emulation-forward-compatible", ""),
        ("shutdown-delay-duration", "How long the server goes on after it was told to end"),
        ("shutdown-send-retry-after", "Answer 429 while the server ends, instead of closing its port"),
        ("shutdown-watch-termination-grace-period", "Time in which watches end one after the other while the server ends"),
        ("strict-transport-security-directives", "Directives of the header Strict-Transport-Security"),
    ]),
    ("Etcd", &[
        ("delete-collection-workers", ""),
        ("default-watch-cache-size", ""),
        ("enable-garbage-collector", ""),
        ("encryption-provider-config", ""),
        ("encryption-provider-config-automatic-reload", ""),
        ("etcd-cafile", "Authority of etcd's certificates"),
        ("etcd-certfile", "Certificate for etcd"),
        ("etcd-compaction-interval", "How often old revisions are given up; 0 for never"),
        ("etcd-count-metric-poll-period", ""),
        ("etcd-db-metric-poll-interval", ""),
        ("etcd-healthcheck-timeout", ""),
        ("etcd-keyfile", "Key of that certificate"),
        ("etcd-prefix", "Where in etcd all keys are"),
        ("etcd-readycheck-timeout", ""),
        ("etcd-servers", "URLs of etcd's members"),
        ("etcd-servers-overrides", ""),
        ("lease-reuse-duration-seconds", ""),
        ("storage-backend", "etcd3; of chronoplane also sled and memory"),
        ("storage-initialization-timeout", ""),
        ("storage-media-type", ""),
        ("watch-cache", ""),
        ("watch-cache-sizes", ""),
    ]),
    ("Secure serving", &[
        ("bind-address", "Address to listen on"),
        ("cert-dir", "Where a serving certificate is made when none is given"),
        ("disable-http2-serving", "Serve HTTP/1.1 only"),
        ("http2-max-streams-per-connection", "Requests at once in a connection"),
        ("permit-address-sharing", ""),
        ("permit-port-sharing", ""),
        ("secure-port", "Port to listen on"),
        ("tls-cert-file", "Serving certificate"),
        ("tls-cipher-suites", "Ciphers that are taken"),
        ("tls-curve-preferences", ""),
        ("tls-min-version", "VersionTLS12 or VersionTLS13"),
        ("tls-private-key-file", "Key of the serving certificate"),
        ("tls-sni-cert-key", "A further certificate and key, for the names in it or those behind a colon"),
    ]),
    ("Insecure serving", &[
        ("insecure-bind-address", "Address of the port without TLS, until 1.19"),
        ("insecure-port", "Port without TLS, until 1.19; 0 for none"),
    ]),
    ("Auditing", &[
        ("audit-log-batch-buffer-size", ""),
        ("audit-log-batch-max-size", ""),
        ("audit-log-compress", ""),
        ("audit-log-format", "json, one event a line"),
        ("audit-log-maxage", "Days that old audit logs are kept; 0 for ever"),
        ("audit-log-maxbackup", "How many old audit logs are kept; 0 for all"),
        ("audit-log-maxsize", "Megabytes at which a new audit log is begun"),
        ("audit-log-mode", ""),
        ("audit-log-path", "File of the audit log; - for the standard output"),
        ("audit-policy-file", "What is written to the audit log"),
        ("audit-webhook-batch-buffer-size", "Events that may wait for the webhook; more are lost"),
        ("audit-webhook-batch-max-size", "Most events in a batch"),
        ("audit-webhook-batch-max-wait", "Longest time between two batches"),
        ("audit-webhook-batch-throttle-burst", "Batches at once after a quiet time"),
        ("audit-webhook-batch-throttle-enable", "Whether batches are held to a rate"),
        ("audit-webhook-batch-throttle-qps", "Batches a second"),
        ("audit-webhook-config-file", "Kubeconfig of the server that audit events are sent to"),
        ("audit-webhook-initial-backoff", "Wait after the first failure of a batch"),
        ("audit-webhook-mode", "batch"),
        ("audit-webhook-truncate-enabled", ""),
        ("audit-webhook-truncate-max-batch-size", ""),
        ("audit-webhook-truncate-max-event-size", ""),
        ("audit-webhook-version", "audit.k8s.io/v1"),
    ]),
    ("Features", &[
        ("contention-profiling", ""),
        ("coordinated-leadership-lease-duration", ""),
        ("coordinated-leadership-renew-deadline", ""),
        ("coordinated-leadership-retry-period", ""),
        ("enable-priority-and-fairness", "Let flows take turns instead of one limit for all"),
        ("peer-advertise-ip", ""),
        ("peer-advertise-port", ""),
        ("peer-ca-file", ""),
        ("profiling", "Whether /debug/flags/v sets -v"),
    ]),
    ("Authentication", &[
        ("anonymous-auth", "Whether requests without credentials are system:anonymous"),
        ("api-audiences", "Audiences that a service-account token may name"),
        ("authentication-config", "File with issuers of JWTs, and who may be anonymous; read again every minute"),
        ("authentication-token-webhook-cache-ttl", "How long the webhook's answers are remembered"),
        ("authentication-token-webhook-config-file", "Kubeconfig of a webhook that is asked about tokens nobody else knows"),
        ("authentication-token-webhook-version", "Version of the TokenReviews sent to it: v1 or v1beta1"),
        ("basic-auth-file", "Passwords, until 1.18: password,user,uid,groups"),
        ("client-ca-file", "Authority of clients' certificates"),
        ("enable-bootstrap-token-auth", "Whether bootstrap tokens authenticate"),
        ("experimental-keystone-ca-file", "Authority of Keystone's certificate, until 1.9"),
        ("experimental-keystone-url", "Keystone that knows users' passwords, until 1.9"),
        ("oidc-ca-file", "Authority of the issuer's certificate"),
        ("oidc-client-id", "Audience that ID tokens must name"),
        ("oidc-groups-claim", "Claim with the groups"),
        ("oidc-groups-prefix", "What groups are prefixed with"),
        ("oidc-issuer-url", "Issuer of ID tokens"),
        ("oidc-required-claim", "claim=value that an ID token must hold; may be given again"),
        ("oidc-signing-algs", "Algorithms that ID tokens may be signed with"),
        ("oidc-username-claim", "Claim with the user's name"),
        ("oidc-username-prefix", "What user names are prefixed with; - for nothing"),
        ("requestheader-allowed-names", "Who may speak for others by headers"),
        ("requestheader-client-ca-file", "Authority of those who may"),
        ("requestheader-extra-headers-prefix", "Prefix of the headers with extra fields"),
        ("requestheader-group-headers", "Headers with groups"),
        ("requestheader-uid-headers", "Headers with the uid"),
        ("requestheader-username-headers", "Headers with the name"),
        ("service-account-api-audiences", "Older name of --api-audiences"),
        ("service-account-extend-token-expiration", "Whether tokens of pods live on for a year"),
        ("service-account-issuer", "Issuer of service-account tokens; the first one signs"),
        ("service-account-jwks-uri", "Where others find the keys of service-account tokens"),
        ("service-account-key-file", "Keys that verify service-account tokens"),
        ("service-account-lookup", "Whether the account and its token must still be there"),
        ("service-account-max-token-expiration", "Longest life of a token that is asked for"),
        ("token-auth-file", "Static tokens: token,user,uid,groups"),
    ]),
    ("Authorization", &[
        ("authorization-config", "File of authorizers with their order, read again when it changes"),
        ("authorization-mode", "ABAC, AlwaysAllow, AlwaysDeny, Node, RBAC, Webhook: asked in the order given"),
        ("authorization-policy-file", "Policies of ABAC, one JSON object a line"),
        ("authorization-webhook-cache-authorized-ttl", "How long a yes of the webhook is kept"),
        ("authorization-webhook-cache-unauthorized-ttl", "How long any other answer of it is kept"),
        ("authorization-webhook-config-file", "Kubeconfig of the webhook that authorizes"),
        ("authorization-webhook-version", "Form of the review that it gets: v1beta1 or v1"),
    ]),
    ("Cloud provider", &[("cloud-config", ""), ("cloud-provider", "")]),
    ("API enablement", &[("runtime-config", "API groups and versions that are on or off")]),
    ("Egress selector", &[("egress-selector-config-file", "")]),
    ("Admission", &[
        ("admission-control", "Plugins that run, instead of the two flags below"),
        ("admission-control-config-file", "File with the configuration of plugins"),
        ("default-not-ready-toleration-seconds", "How long pods stay on a node that is not ready"),
        ("default-unreachable-toleration-seconds", "How long pods stay on a node that cannot be reached"),
        ("disable-admission-plugins", "Plugins that are on by default and shall not be"),
        ("enable-admission-plugins", "Plugins besides those that are on by default"),
    ]),
    ("Metrics", &[
        ("allow-metric-labels", ""),
        ("allow-metric-labels-manifest", ""),
        ("disabled-metrics", ""),
        ("show-hidden-metrics-for-version", ""),
    ]),
    ("Logs", &[
        ("log-flush-frequency", ""),
        ("log-json-info-buffer-size", ""),
        ("log-json-split-stream", ""),
        ("log-text-info-buffer-size", ""),
        ("log-text-split-stream", ""),
        ("logging-format", ""),
        ("logtostderr", ""),
        ("v", "How much is logged; from 3 on each request"),
        ("vmodule", ""),
    ]),
    ("Traces", &[("tracing-config-file", "")]),
    ("Misc", &[
        ("aggregator-reject-forwarding-redirect", ""),
        ("allow-privileged", ""),
        ("apiserver-count", "How many apiservers there are, with --endpoint-reconciler-type=master-count"),
        ("enable-aggregator-routing", ""),
        ("enable-logs-handler", "Serve the files of /var/log under /logs/"),
        ("endpoint-reconciler-type", "How the endpoints of kubernetes are kept: master-count, lease, none"),
        ("event-ttl", "How long events are kept"),
        ("kubelet-certificate-authority", "Authority of kubelets' serving certificates"),
        ("kubelet-client-certificate", "Certificate for kubelets"),
        ("kubelet-client-key", "Key of that certificate"),
        ("kubelet-port", ""),
        ("kubelet-preferred-address-types", "Which of a node's addresses is asked, in this order"),
        ("kubelet-read-only-port", ""),
        ("kubelet-timeout", ""),
        ("kubernetes-service-node-port", ""),
        ("max-connection-bytes-per-sec", ""),
        ("proxy-client-cert-file", "Certificate for aggregated servers"),
        ("proxy-client-key-file", "Key of that certificate"),
        ("service-account-signing-endpoint", ""),
        ("service-account-signing-key-file", "Key that signs service-account tokens"),
        ("service-cluster-ip-range", "Addresses of services, one range per family"),
        ("service-node-port-range", "Ports of services on nodes"),
    ]),
    (OURS, &[
        ("data-dir", "Where the embedded storage is, with --storage-backend=sled"),
        ("key-algorithm", "Algorithm of the keys that the server makes itself"),
        ("kubernetes-version", "Release that this server behaves as, 1.8 to 1.36"),
    ]),
];

/// The whole text, for the release that `args` name, or the newest.
pub fn help_of<S: AsRef<str>>(args: &[S]) -> String {
    const FLAG: &str = "--kubernetes-version";
    let mut args = args.iter().map(S::as_ref);
    let mut named = None;
    while let Some(arg) = args.next() {
        match arg.replace('_', "-") {
            arg if arg == FLAG => named = args.next(),
            _ => {
                named =
                    arg.split_once('=').filter(|(f, _)| f.replace('_', "-") == FLAG).map(|(_, v)| v).or(named)
            }
        }
    }
    text(named.and_then(|version| Profile::parse(version).ok()).unwrap_or_default())
}

/// The whole text, for the newest release.
pub fn help() -> String {
    text(Profile::NEWEST)
}

/// What a release adds to the words of a flag: the plugins that it has.
fn of_release(flag: &str, profile: Profile) -> String {
    let (all, on) = of_release_plugins(profile);
    let (all, on) = (all.join(", "), on.join(", "));
    match flag {
        "admission-control" => format!(". Comma-delimited list of: {all}"),
        "enable-admission-plugins" | "disable-admission-plugins" => {
            format!(" ({on}). Comma-delimited list of admission plugins: {all}. Their order does not matter")
        }
        _ => String::new(),
    }
}

fn text(profile: Profile) -> String {
    let mut text = String::from(
        "kube-apiserver of a simulated control plane, with upstream's flags.\n\nUsage:\n  kube-apiserver [flags]\n",
    );
    for (group, rows) in GROUPS {
        let _ = write!(text, "\n{group} flags:\n\n");
        for (name, words) in rows.iter() {
            let Some((shape, standing)) = flags::find(name) else { continue };
            let value = match shape {
                Shape::Switch => "",
                Shape::One => " string",
                Shape::Many => " strings",
            };
            let about = match standing {
                Standing::Meant => format!("{words}{}", of_release(name, profile)),
                Standing::Inert => "Accepted; what it tunes is not here".into(),
                Standing::Refused(why) => format!("Refused: {why}"),
            };
            let flag = format!("--{name}{value}");
            let _ = writeln!(text, "      {flag:<62} {about}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_flag_is_in_one_group_and_those_with_a_meaning_say_it() {
        let mut seen = BTreeSet::new();
        for (name, words) in GROUPS.iter().flat_map(|(_, rows)| rows.iter()) {
            assert!(seen.insert(*name), "--{name} is in two groups");
            let (_, standing) = flags::find(name).unwrap_or_else(|| panic!("--{name} is no flag"));
            assert_eq!(standing == Standing::Meant, !words.is_empty(), "--{name}: {words:?}");
        }
        for (name, ..) in flags::FLAGS {
            assert!(seen.contains(name), "--{name} is in no group");
            assert!(help().contains(&format!("      --{name}")), "--{name} is not shown");
        }
    }

    #[test]
    fn the_plugins_are_the_releases() {
        let check = |args: &[&str], has: &str, lacks: &str| {
            let text = help_of(args);
            assert!(text.contains(has), "{args:?}");
            assert!(!text.contains(lacks), "{args:?}");
        };
        check(&[], "PodSecurity", "PodPreset");
        check(&["-h", "--kubernetes-version=1.12"], "PodPreset", "PodSecurity,");
        check(&["--kubernetes_version", "1.12", "--help"], "PodPreset", "PodSecurity,");
        check(
            &["--kubernetes-version=v1.11"],
            "(NamespaceLifecycle, LimitRanger, ServiceAccount, Priority, DefaultTolerationSeconds, \
             DefaultStorageClass, PersistentVolumeClaimResize, MutatingAdmissionWebhook, \
             ValidatingAdmissionWebhook, ResourceQuota)",
            "(AlwaysAdmit)",
        );
        check(&["--kubernetes-version=1.9"], "(AlwaysAdmit)", "TaintNodesByCondition");
    }
}
