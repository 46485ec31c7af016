//! The one table of facts that changed between minors: each value with the minor where it begins. A
//! value holds until the next begins; the first one holds since before 1.8.
//!
//! Patch releases changed some facts within a minor (Go versions most of all). A row says what the
//! minor's first release did, except where it says otherwise.

use std::time::Duration;

use super::{ConfigFormat, GoVersion, LeafStart, Loopback, Profile, Shape, shown::Shown};

/// One fact of the table.
pub struct Fact {
    /// Name of the accessor on [`Profile`].
    pub name: &'static str,
    /// What it is about, for people.
    pub words: &'static str,
    /// The minors in which a new value begins.
    pub starts: &'static [u16],
    shown: fn(Profile) -> String,
}

/// A fact in which two versions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub words: &'static str,
    /// In the one version.
    pub here: String,
    /// In the other.
    pub there: String,
}

impl Fact {
    /// The value in a version, for people.
    pub fn shown(&self, profile: Profile) -> String {
        (self.shown)(profile)
    }

    /// How two versions differ in this fact, if they do.
    pub fn difference(&self, here: Profile, there: Profile) -> Option<Difference> {
        let (here, there) = (self.shown(here), self.shown(there));
        (here != there).then_some(Difference { words: self.words, here, there })
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $words:literal { $($since:literal => $value:expr),+ $(,)? })+) => {
        impl Profile {
            $($(#[$doc])* pub fn $name(self) -> $type {
                const STEPS: &[(u16, $type)] = &[$(($since, $value)),+];
                let begun = STEPS.iter().rev().find(|(since, _)| *since <= self.minor());
                begun.map_or(STEPS[0].1, |(_, value)| *value)
            })+
        }

        const FACTS: &[Fact] = &[$(Fact {
            name: stringify!($name),
            words: $words,
            starts: &[$($since),+],
            shown: |profile| Shown::shown(&profile.$name()),
        }),+];
    };
}

/// The whole table.
pub fn facts() -> &'static [Fact] {
    FACTS
}

facts! {
    /// The Go release that upstream built with; it decides the words of TLS errors.
    go: GoVersion = "built with Go" {
        8 => (1, 8), 9 => (1, 9), 11 => (1, 10), 13 => (1, 11), 14 => (1, 12), 17 => (1, 13), 19 => (1, 15),
        21 => (1, 16), 23 => (1, 17), 24 => (1, 18), 25 => (1, 19), 27 => (1, 20), 29 => (1, 21), 30 => (1, 22),
        32 => (1, 23), 33 => (1, 24), 35 => (1, 25), 36 => (1, 26),
    }

    /// The certificate of the apiserver's connection to itself.
    // 1.10 and 1.12 are read from the releases of client-go and may be off by one minor.
    loopback: Loopback = "loopback certificate" {
        8 => Loopback { shape: Shape::SelfSigned, backdate: Duration::ZERO, max_age: YEAR, livez_check: false },
        10 => Loopback { shape: Shape::CaAndLeaf, backdate: Duration::ZERO, max_age: YEAR, livez_check: false },
        12 => Loopback { shape: Shape::CaAndLeaf, backdate: HOUR, max_age: YEAR, livez_check: false },
        33 => Loopback { shape: Shape::CaAndLeaf, backdate: HOUR, max_age: THREE_YEARS, livez_check: false },
        36 => Loopback { shape: Shape::CaAndLeaf, backdate: HOUR, max_age: THREE_YEARS, livez_check: true },
    }

    /// Streams that the apiserver allows on one HTTP/2 connection.
    // Patch releases of 1.25 to 1.28 have the lower number too.
    http2_max_streams: u32 = "HTTP/2 streams per connection" { 8 => 250, 29 => 100 }

    /// Whether service addresses are allocated by posting ipaddresses objects through the loopback.
    ip_allocation_by_objects: bool = "service addresses are allocated as ipaddresses objects" { 8 => false, 33 => true }

    /// Whether apiservers find each other by leases in the store, instead of being told how many they are
    /// (the default of `--endpoint-reconciler-type`).
    endpoints_by_lease: bool = "apiservers find each other by leases" { 8 => false, 11 => true }

    /// Whether the server streams the initial list of a watch (gate WatchList).
    watch_list: bool = "watches stream their initial list" { 8 => false, 32 => true, 33 => false, 34 => true }

    /// Silence after which the controller manager calls a node unknown.
    node_grace: Duration = "silence until a node is called unknown" {
        8 => Duration::from_secs(40), 32 => Duration::from_secs(50),
    }

    /// Whether a candidate waits as long as the leader's record says, or as long as its own flags say.
    // kubernetes/kubernetes#114872.
    candidates_heed_the_record: bool = "candidates wait as long as the leader's record says" { 8 => false, 27 => true }

    /// With which words a CronJob that missed more than a hundred times is never started again; empty when only the
    /// missed ones are left out (the second controller, CronJobControllerV2).
    // The step at 16, a golint clean-up, was not looked up to the minor.
    cron_job_gives_up: &'static str = "a CronJob that missed more than a hundred times" {
        8 => "Too many missed start time (> 100). Set or decrease .spec.startingDeadlineSeconds or check clock skew.",
        16 => "too many missed start time (> 100). Set or decrease .spec.startingDeadlineSeconds or check clock skew",
        21 => "",
    }

    /// Whether the warning of too many missed times says how many.
    // The step at 28 was not looked up to the minor.
    cron_job_counts_missed: bool = "a CronJob's warning counts what was missed" { 8 => true, 28 => false }

    /// What the scheduler says of a node whose taint keeps a pod away; `<taint>` stands for key and value.
    // 18 is kubernetes/kubernetes#87250. 35 is #134740, backported to later patch releases of 1.34.
    untolerated_taint: &'static str = "the scheduler's word for a taint" {
        8 => "node(s) had taints that the pod didn't tolerate",
        18 => "node(s) had taint {<taint>}, that the pod didn't tolerate",
        24 => "node(s) had untolerated taint {<taint>}",
        35 => "node(s) had untolerated taint(s)",
    }

    /// Whether the scheduler says why preemption does not help.
    tells_of_preemption: bool = "the scheduler says why preemption does not help" { 8 => false, 24 => true }

    /// Whether kube-root-ca.crt says what its bundle is good for.
    // kubernetes/kubernetes#100926.
    root_ca_described: bool = "kube-root-ca.crt carries a description" { 8 => false, 22 => true }

    /// Whether the signer dates certificates of less than eight hours so that the full time is left.
    signer_spares_short_certificates: bool = "short certificates keep their full time" { 8 => false, 22 => true }

    /// Whether the signer heeds the end of its own certificate.
    // kubernetes/kubernetes#73706.
    signer_heeds_its_end: bool = "signed certificates end with their authority" { 8 => false, 14 => true }

    /// Whether the token cleaner looks again at the end of a token; without that it looks when a token is made or
    /// changed, and when it is started.
    // kubernetes/kubernetes#77713.
    token_cleaner_looks_again: bool = "expired bootstrap tokens are deleted when they expire" { 8 => false, 16 => true }

    /// Whether a kubelet bootstraps before it starts, with a CSR named node-csr-….
    synchronous_bootstrap: bool = "kubelet bootstraps before it starts (node-csr-…)" { 8 => true, 14 => false }

    /// Whether the certificate of a bootstrap lies in kubelet-client.crt and kubelet-client.key, which the kubeconfig
    /// then names, instead of a dated file behind kubelet-client-current.pem.
    // Not looked up to the minor.
    plain_client_certificate: bool = "first certificate in kubelet-client.crt and .key" { 8 => true, 11 => false }

    /// Whether a kubelet takes a kubeconfig that is there without a look at its certificate.
    // kubernetes/kubernetes#53037.
    kubeconfig_taken_unseen: bool = "kubelet bootstraps only where it has no kubeconfig" { 8 => true, 9 => false }

    /// Whether a kubelet goes on with a client certificate that is over: shows it, and asks for the next one with it.
    // kubernetes/kubernetes#69890.
    expired_certificate_in_use: bool = "kubelet goes on with an expired certificate" { 8 => true, 14 => false }

    /// What a kubelet says without a valid certificate: when it ends because its server is well, and when it goes on
    /// because its server is not. Empty where it does neither.
    // The step at 21 was not looked up to the minor.
    without_certificate: (&'static str, &'static str) = "last words of a kubelet without certificate" {
        8 => ("", ""),
        9 => ("The currently active client certificate has expired and the server is responsive, exiting.",
            "The currently active client certificate has expired, but the server is not responsive. A restart may be necessary to retrieve new initial credentials."),
        14 => ("It has been 5m0s since a valid client cert was found and the server is responsive, exiting.",
            "It has been 5m0s since a valid client cert was found, but the server is not responsive. A restart may be necessary to retrieve new initial credentials."),
        21 => ("No valid client certificate is found and the server is responsive, exiting.",
            "No valid client certificate is found but the server is not responsive. A restart may be necessary to retrieve new initial credentials."),
    }

    /// Whether an apiserver closes its connections to kubelets when its certificate for them was replaced.
    // kubernetes/kubernetes#115315, backported to later patch releases of 1.24 to 1.26.
    kubelet_connections_follow_certificate: bool = "connections to kubelets follow their certificate" {
        8 => false, 27 => true,
    }

    /// Whether the kubelet asks for `key encipherment` for ECDSA keys too.
    csr_always_asks_key_encipherment: bool = "kubelet CSRs always ask for key encipherment" { 8 => true, 27 => false }

    /// Whether the name node-csr-… is a digest of the private key's text instead of the public key.
    csr_name_hashes_private_key: bool = "node-csr-… names hash the private key" { 8 => true, 13 => false }

    /// Whether the kubelet reads tlsCertFile and tlsPrivateKeyFile again when they change (gate
    /// ReloadKubeletServerCertificateFile, on by default).
    kubelet_reloads_serving_files: bool = "kubelet reloads its serving certificate from files" { 8 => false, 31 => true }

    /// Whether a kubelet's serving certificate may name no IP address.
    dns_only_serving_csr: bool = "kubelet serving CSRs may name no IP address" { 8 => true, 31 => false }

    /// Whether the kubelet flushes a new certificate to disk before it links to it.
    certificate_store_syncs: bool = "kubelet certificates are synced before use" { 8 => false, 33 => true }

    /// Whether kubelets may only request certificates in their own name (admission NodeRestriction).
    node_csr_restricted: bool = "NodeRestriction checks the CN of kubelet CSRs" { 8 => false, 31 => true }

    /// Whether kubelets may only request tokens for audiences that their pods need (gate
    /// ServiceAccountNodeAudienceRestriction, on by default).
    node_audience_restricted: bool = "NodeRestriction checks the audience of kubelets' tokens" { 8 => false, 33 => true }

    /// Whether the subject of a client certificate may name a UID (gate AllowParsingUserUIDFromCertAuth, on by
    /// default).
    certificates_name_uids: bool = "client certificates name UIDs" { 8 => false, 33 => true }

    /// Whether authorizers see what a list selects, and the node authorizer demands it (gates AuthorizeWithSelectors
    /// and AuthorizeNodeWithSelectors, on by default).
    authorizes_by_selectors: bool = "authorization looks at selectors" { 8 => false, 32 => true }

    /// Whether the node authorizer lets a kubelet read the service accounts of its pods (gate
    /// KubeletServiceAccountTokenForCredentialProviders, on by default).
    nodes_read_service_accounts: bool = "nodes may get service accounts of their pods" { 8 => false, 34 => true }

    /// The phases of `kubeadm init`, in order (`cmd/kubeadm/app/cmd/init.go`).
    // kubernetes/kubernetes: 17 is #84118, 19 is #90892, 26 is #111512, 28 is #117984.
    init_phases: &'static [&'static str] = "phases of kubeadm init" {
        8 => &["preflight", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane", "upload-config",
            "mark-control-plane", "bootstrap-token", "addon", "self-hosting"],
        9 => &["preflight", "certs", "kubeconfig", "control-plane", "etcd", "kubelet-base-config",
            "wait-control-plane", "dynamic-kubelet-config", "upload-config", "mark-control-plane", "bootstrap-token",
            "addon", "self-hosting"],
        11 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "mark-control-plane", "dynamic-kubelet-config", "bootstrap-token", "addon",
            "self-hosting"],
        13 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "mark-control-plane", "bootstrap-token", "addon"],
        14 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "addon"],
        17 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon"],
        19 => &["preflight", "certs", "kubeconfig", "kubelet-start", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon"],
        26 => &["preflight", "certs", "kubeconfig", "kubelet-start", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon",
            "show-join-command"],
        28 => &["preflight", "certs", "kubeconfig", "etcd", "control-plane", "kubelet-start", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon",
            "show-join-command"],
    }

    /// What `kubeadm init` makes below the directory of certificates, in order.
    // 12 walked a map: the groups behind the first came in any order.
    certificate_order: &'static [&'static str] = "order of kubeadm's certificates" {
        8 => &["ca", "apiserver", "apiserver-kubelet-client", "sa", "front-proxy-ca", "front-proxy-client"],
        10 => &["ca", "apiserver", "apiserver-kubelet-client", "etcd-ca", "etcd-server", "etcd-peer",
            "etcd-healthcheck-client", "apiserver-etcd-client", "sa", "front-proxy-ca", "front-proxy-client"],
        11 => &["ca", "apiserver", "apiserver-kubelet-client", "sa", "front-proxy-ca", "front-proxy-client", "etcd-ca",
            "etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client"],
        12 => &["ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "etcd-ca",
            "etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client", "sa"],
    }

    /// Serial number of kubeadm's certificate authorities: zero, or a random one.
    // kubernetes/kubernetes#117791; which patch releases have it was not looked up.
    authority_serial_is_zero: bool = "serial number 0 in kubeadm's authorities" { 8 => true, 28 => false }

    /// Whether kubeadm can turn its static pods into a self-hosted control plane by `alpha phase`.
    self_hosting_phase: bool = "kubeadm alpha phase selfhosting" { 8 => false, 9 => true, 13 => false }

    /// Whether every authority of kubeadm was called `kubernetes`.
    authorities_share_a_name: bool = "all authorities are called kubernetes" { 8 => true, 12 => false }

    /// What etcd's serving and peer certificates name: the serving one first.
    etcd_names: EtcdNames = "names in etcd's certificates" {
        8 => EtcdNames::Apart, 11 => EtcdNames::LocalServing, 13 => EtcdNames::Both,
    }

    /// Whether the DNS names in kubeadm's certificates stand as they came, or sorted.
    // kubernetes/kubernetes#92753.
    certificate_names_as_given: bool = "names in kubeadm's certificates in their given order" {
        8 => true, 19 => false,
    }

    /// Whether an etcd on the control plane is spoken to with TLS.
    etcd_tls: bool = "local etcd with TLS" { 8 => false, 10 => true }

    /// Whether a certificate authority without its key takes the whole of certificates and kubeconfigs out
    /// of kubeadm's hands, or each file by itself.
    external_ca_is_all_or_nothing: bool = "external CA: all files or none" { 8 => true, 13 => false }

    /// Feature gates of kubeadm's own.
    // cmd/kubeadm/app/features. From 13 on self-hosting was a command of its own (`alpha selfhosting pivot`).
    kubeadm_feature_gates: &'static [&'static str] = "kubeadm's feature gates up to 1.13" {
        8 => &["HighAvailability", "SelfHosting", "StoreCertsInSecrets", "SupportIPVSProxyMode"],
        9 => &["CoreDNS", "DynamicKubeletConfig", "HighAvailability", "SelfHosting", "StoreCertsInSecrets",
            "SupportIPVSProxyMode"],
        10 => &["Auditing", "CoreDNS", "DynamicKubeletConfig", "HighAvailability", "SelfHosting",
            "StoreCertsInSecrets"],
        13 => &["Auditing", "CoreDNS", "DynamicKubeletConfig"],
        14 => &[],
    }

    /// Whether the apiserver asks validating admission policies without being told to.
    // KEP-3488: alpha in 1.26, beta and off in 1.28.
    validating_policies: bool = "validating admission policies" { 8 => false, 30 => true }

    /// Whether the apiserver asks mutating admission policies without being told to.
    // KEP-3962: alpha in 1.32, beta and off in 1.34.
    mutating_policies: bool = "mutating admission policies" { 8 => false, 36 => true }

    /// Whether cluster DNS is kube-dns unless the gate CoreDNS is set.
    kube_dns_by_default: bool = "cluster DNS is kube-dns" { 8 => true, 11 => false }

    /// Version of kube-dns's images.
    kube_dns_version: &'static str = "kube-dns" { 8 => "1.14.5", 9 => "1.14.7", 10 => "1.14.8", 11 => "1.14.10", 12 => "1.14.13" }

    /// Whether kube-proxy reads a configuration file.
    kube_proxy_config_file: bool = "kube-proxy has a configuration file" { 8 => false, 9 => true }

    /// Whether kube-proxy runs on nodes with any taint.
    kube_proxy_tolerates_all: bool = "kube-proxy tolerates every taint" { 8 => false, 11 => true }

    /// Whether `kubeadm join` reads kubeadm-config first.
    join_reads_configuration: bool = "join reads kubeadm-config" { 8 => false, 13 => true }

    /// Whether joining nodes may read kubeadm-config.
    configuration_is_shared: bool = "nodes may read kubeadm-config" { 8 => false, 12 => true }

    /// Whether a join without pins of the authority is refused unless it is asked for.
    join_demands_pins: bool = "join refuses to go without pins" { 8 => false, 9 => true }

    /// Whether a join begins discovery anew after whatever was wrong, a wrong pin too.
    // Up to 1.12 for ever; 1.13 gave it five minutes, as all of them have here. 1.17 still did (its sources), 1.19 no
    // longer (kubernetes/kubeadm#2329): 18 is in between.
    discovery_begins_anew: bool = "discovery begins anew after every failure" { 8 => true, 18 => false }

    /// Whether the lines of discovery go to a log that is silent without `--v`.
    discovery_is_silent: bool = "kubeadm join tells of discovery with --v only" { 8 => false, 14 => true }

    /// How long a join waits for the kubelet's certificate.
    // kubernetes/kubernetes#89735; later patch releases of 1.17 and 1.18 have it too.
    tls_bootstrap_patience: Duration = "patience of kubeadm join with the TLS bootstrap" {
        8 => Duration::from_secs(2 * 60), 19 => Duration::from_secs(5 * 60),
    }

    /// How Go says that a wait was in vain.
    // The step to waits with a context was not looked up to the minor.
    wait_in_vain: &'static str = "kubeadm's word for a wait in vain" {
        8 => "timed out waiting for the condition", 30 => "context deadline exceeded",
    }

    /// Whether bootstrap tokens may get nodes, so that a join sees a node of its own name.
    // kubernetes/kubernetes#81056.
    tokens_get_nodes: bool = "bootstrap tokens may get nodes" { 8 => false, 18 => true }

    /// The phase in which the CRI socket becomes an annotation of the node; empty before there was one.
    // After marking in 11 and 12, as their transcripts have it.
    cri_socket_annotated_in: &'static str = "phase that annotates the CRI socket" {
        8 => "", 11 => "mark-control-plane", 13 => "upload-config",
    }

    /// kubeadm's default CRI socket.
    cri_socket: &'static str = "default CRI socket" {
        8 => "/var/run/dockershim.sock", 24 => "unix:///var/run/containerd/containerd.sock",
    }

    /// Whether the kubelet has its flags from its package's unit alone.
    kubelet_unit_flags_only: bool = "the kubelet's package has all its flags" { 8 => true, 11 => false }

    /// The phases of `kubeadm join`, in order (`cmd/kubeadm/app/cmd/join.go`).
    // Phases came with 1.14; what was done before went in the same order. 31 is the phase that
    // WaitForAllControlPlaneComponents brought, not looked up to the minor.
    join_phases: &'static [&'static str] = "phases of kubeadm join" {
        8 => &["preflight", "control-plane-prepare", "kubelet-start", "control-plane-join"],
        14 => &["preflight", "control-plane-prepare", "check-etcd", "kubelet-start", "control-plane-join"],
        31 => &["preflight", "control-plane-prepare", "check-etcd", "kubelet-start", "control-plane-join",
            "wait-control-plane"],
        33 => &["preflight", "control-plane-prepare", "check-etcd", "kubelet-start", "etcd-join",
            "kubelet-wait-bootstrap", "control-plane-join", "wait-control-plane"],
    }

    /// The oldest kernel that kubeadm's preflight takes.
    oldest_kernel: &'static str = "oldest kernel" { 8 => "3.10", 32 => "4.19" }

    /// Whether a kernel with version 1 of cgroups alone fails preflight instead of being warned about.
    cgroups_v1_refused: bool = "preflight refuses cgroups v1" { 8 => false, 35 => true }

    /// Programs without which kubeadm's preflight fails (`addExecChecks`).
    // conntrack left with 1.32; the other steps were not looked up to the minor.
    preflight_programs: &'static [&'static str] = "programs that preflight demands" {
        8 => &["ip", "iptables", "mount", "nsenter"],
        18 => &["conntrack", "ip", "iptables", "mount", "nsenter"],
        32 => &["losetup", "mount", "cp"],
    }

    /// Programs whose absence kubeadm's preflight only warns about.
    preflight_optional_programs: &'static [&'static str] = "programs that preflight recommends" {
        8 => &["ebtables", "ethtool", "socat", "tc", "touch"],
        32 => &[],
    }

    /// The oldest external etcd that kubeadm takes (`MinExternalEtcdVersion`).
    // Not looked up to the minor.
    min_external_etcd: &'static str = "oldest external etcd" {
        8 => "3.0.14", 11 => "3.2.18", 25 => "3.4.13-4", 32 => "3.5.11-0",
    }

    /// How many minors a kubelet may be older than kubeadm.
    kubelet_skew: u16 = "minors a kubelet may lie behind kubeadm" { 8 => 1, 28 => 3 }

    /// Whether a joining control plane starts etcd before it waits for the kubelet's certificate, and
    /// its kubelet talks to the local apiserver.
    join_etcd_before_bootstrap: bool = "joining control planes start etcd before the TLS bootstrap" { 8 => false, 33 => true }

    /// Whether a joining etcd member comes as a learner and votes later (gate EtcdLearnerMode, on by default).
    // kubernetes/kubernetes#120228.
    etcd_learner_mode: bool = "etcd members join as learners" { 8 => false, 29 => true }

    /// Whether `init` waits for controller manager and scheduler too (gate
    /// WaitForAllControlPlaneComponents, on by default).
    // kubernetes/kubernetes#129620.
    waits_for_all_components: bool = "init waits for all control plane components" { 8 => false, 33 => true }

    /// Whether `init` asks the apiserver's /healthz alone, and the kubelet's only beside it.
    waits_for_api_alone: bool = "init waits for the apiserver's /healthz" { 8 => true, 30 => false }

    /// How the second line of a printed join command begins.
    join_command_indent: &'static str = "indent in the join command" { 8 => "    ", 20 => "\t" }

    /// Whether the end of `init` has a word for root too.
    // Not looked up to the minor.
    farewell_to_root: bool = "init's last words are for root too" { 8 => false, 20 => true }

    /// Whether `init` waits half an hour for its control plane, or as long as it is configured to.
    waits_half_an_hour: bool = "init waits half an hour for the control plane" { 8 => true, 13 => false }

    /// How kubeadm writes and stores its configuration.
    kubeadm_config: ConfigFormat = "kubeadm configuration" {
        8 => ConfigFormat { version: "v1alpha1", key: "MasterConfiguration", cluster_status: false },
        11 => ConfigFormat { version: "v1alpha2", key: "MasterConfiguration", cluster_status: false },
        12 => ConfigFormat { version: "v1alpha3", key: "ClusterConfiguration", cluster_status: true },
        13 => ConfigFormat { version: "v1beta1", key: "ClusterConfiguration", cluster_status: true },
        15 => ConfigFormat { version: "v1beta2", key: "ClusterConfiguration", cluster_status: true },
        22 => ConfigFormat { version: "v1beta3", key: "ClusterConfiguration", cluster_status: false },
        31 => ConfigFormat { version: "v1beta4", key: "ClusterConfiguration", cluster_status: false },
    }

    /// The configuration versions that kubeadm reads, newest first.
    // The comment of validateSupportedVersion (`cmd/kubeadm/app/util/config/common.go`) for 26 and 27; which older
    // ones the others still read is upstream's rule of one release back.
    kubeadm_config_read: &'static [&'static str] = "kubeadm configuration versions read" {
        8 => &["v1alpha1"],
        11 => &["v1alpha2", "v1alpha1"],
        12 => &["v1alpha3", "v1alpha2"],
        13 => &["v1beta1", "v1alpha3"],
        14 => &["v1beta1"],
        15 => &["v1beta2", "v1beta1"],
        20 => &["v1beta2"],
        22 => &["v1beta3", "v1beta2"],
        27 => &["v1beta3"],
        31 => &["v1beta4", "v1beta3"],
    }

    /// Name pattern of the ConfigMap with the kubelet's configuration; empty before there was one.
    kubelet_config_map: &'static str = "kubelet configuration ConfigMap" {
        8 => "", 11 => "kubelet-config-1.<minor>", 24 => "kubelet-config",
    }

    /// Whether the kubelet's CRI endpoint goes to instance-config.yaml instead of the flags file and an
    /// annotation of the node (gate NodeLocalCRISocket, on by default).
    // kubernetes/kubernetes#131981.
    node_local_cri_socket: bool = "CRI endpoint in instance-config.yaml" { 8 => false, 34 => true }

    /// Whether a kubelet that starts leaves containers ready and started as it finds them, instead of waiting for
    /// their next probe (gate ChangeContainerStatusOnKubeletRestart, off).
    // KEP-4781.
    kubelet_restart_keeps_ready: bool = "containers stay ready over a kubelet's restart" { 8 => false, 35 => true }

    /// Whether a kubelet changes the resources of containers that run, and tells them in their status (gate
    /// InPlacePodVerticalScaling, on by default).
    in_place_pod_resize: bool = "in-place resize of pods" { 8 => false, 33 => true }

    /// Whether kubelet.conf of a control plane is rewritten to follow certificate rotation.
    kubelet_conf_follows_rotation: bool = "control plane kubelet.conf follows rotation" { 8 => false, 17 => true }

    /// Group of the certificate in admin.conf.
    admin_group: &'static str = "group of admin.conf" { 8 => "system:masters", 29 => "kubeadm:cluster-admins" }

    /// Whether super-admin.conf is written.
    super_admin_conf: bool = "super-admin.conf" { 8 => false, 29 => true }

    /// Requests a second and at once of a kubelet that is told nothing else (kubeAPIQPS, kubeAPIBurst).
    // kubernetes/kubernetes#116121
    kubelet_api_rate: (u32, u32) = "limit of the kubelet's requests" {
        8 => (5, 10), 27 => (50, 100),
    }

    /// Group of the apiserver's client certificate for kubelets; empty for none. Without one a binding
    /// for its user stands in (`kubeadm:apiserver-kubelet-client`, of the same change).
    // kubernetes/kubernetes#121837 and #138957. 1.36.0 still wrote kubeadm:cluster-admins, 1.36.1 and
    // 1.35.5 no longer; the profiles are 1.36 as its patches have it and 1.35 as it came out.
    kubelet_client_group: &'static str = "group of apiserver-kubelet-client" {
        8 => "system:masters", 29 => "kubeadm:cluster-admins", 36 => "",
    }

    /// Group of the two clients of etcd (apiserver, health check); empty for none.
    etcd_client_group: &'static str = "group of the clients of etcd" { 8 => "system:masters", 29 => "" }

    /// How long before its making a certificate authority of kubeadm begins.
    // kubernetes/kubernetes#118922, backported to later patch releases of 1.25 to 1.27.
    authority_backdate: Duration = "backdate of kubeadm's authorities" {
        8 => Duration::ZERO, 28 => Duration::from_secs(300),
    }

    /// Where kubeadm's leaf certificates begin.
    leaf_start: LeafStart = "beginning of kubeadm's leaf certificates" {
        8 => LeafStart::AuthorityStart, 31 => LeafStart::Backdated,
    }

    /// Labels of a control plane node, each with an empty value.
    // 21 is kubernetes/kubernetes#98269.
    control_plane_labels: &'static [&'static str] = "labels of a control plane node" {
        8 => &["node-role.kubernetes.io/master"],
        20 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"],
        21 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master",
            "node.kubernetes.io/exclude-from-external-load-balancers"],
        24 => &["node-role.kubernetes.io/control-plane", "node.kubernetes.io/exclude-from-external-load-balancers"],
    }

    /// Taints of a control plane node, each with effect NoSchedule.
    control_plane_taints: &'static [&'static str] = "taints of a control plane node" {
        8 => &["node-role.kubernetes.io/master"],
        24 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"],
        25 => &["node-role.kubernetes.io/control-plane"],
    }

    /// What stands behind the names of images that are released with Kubernetes, and etcd's.
    // kubernetes/kubernetes#66960.
    image_suffix: &'static str = "suffix of image names" { 8 => "-amd64", 12 => "" }

    /// Whether exec and attach over WebSockets become SPDY on the way to the kubelet.
    // TranslateStreamCloseWebsocketRequests, KEP 4006.
    translates_websockets: bool = "apiserver translates WebSockets to SPDY" { 8 => false, 30 => true }

    /// Whether port-forward may be tunnelled through a WebSocket.
    // PortForwardWebsockets, KEP 4006.
    tunnels_port_forward: bool = "port-forward through WebSockets" { 8 => false, 31 => true }

    /// Whether exec, attach and port-forward by GET need the verb `create` as well.
    // AuthorizePodWebsocketUpgradeCreatePermission, kubernetes/kubernetes#134577.
    websocket_needs_create: bool = "WebSockets to pods need the verb create" { 8 => false, 35 => true }

    /// Whether the kubelet asks for pods, healthz and configz of a node before it asks for its proxy.
    // KubeletFineGrainedAuthz, beta.
    kubelet_authorizes_parts: bool = "kubelets authorize parts of their API" { 8 => false, 33 => true }

    /// Registry of the images in manifests.
    // The step at 10 was not looked up.
    image_repository: &'static str = "image registry" {
        8 => "gcr.io/google_containers", 10 => "k8s.gcr.io", 25 => "registry.k8s.io",
    }

    /// Tag of etcd's image (`DefaultEtcdVersion` of `cmd/kubeadm/app/constants`, at the first release of a minor).
    etcd_version: &'static str = "etcd" {
        8 => "3.0.17", 9 => "3.1.10", 10 => "3.1.12", 11 => "3.2.18", 12 => "3.2.24", 14 => "3.3.10", 16 => "3.3.15-0",
        17 => "3.4.3-0", 19 => "3.4.9-1", 20 => "3.4.13-0", 22 => "3.5.0-0", 23 => "3.5.1-0", 24 => "3.5.3-0",
        25 => "3.5.4-0", 26 => "3.5.6-0", 27 => "3.5.7-0", 28 => "3.5.9-0", 29 => "3.5.10-0", 30 => "3.5.12-0",
        31 => "3.5.15-0", 32 => "3.5.16-0", 33 => "3.5.21-0", 34 => "3.6.4-0", 35 => "3.6.6-0", 36 => "3.6.8-0",
    }

    /// What kubeadm tells its etcd besides where it is and whom it trusts.
    // kubernetes/kubernetes: 24 is #109074, which went to patches of 1.22 and 1.23 too, 25 is #111383, 34 is #132838.
    etcd_flags: &'static [&'static str] = "further flags of kubeadm's etcd" {
        8 => &[],
        24 => &["experimental-initial-corrupt-check=true"],
        25 => &["experimental-initial-corrupt-check=true", "experimental-watch-progress-notify-interval=5s"],
        34 => &["feature-gates=InitialCorruptCheck=true", "watch-progress-notify-interval=5s"],
    }

    /// Where kubeadm's etcd is asked whether it lives, whether it serves (nowhere when empty), and whether it started.
    // kubernetes/kubernetes: 25 is #110072 and what followed it, 31 is #124465.
    etcd_probes: EtcdProbes = "probes of kubeadm's etcd" {
        8 => EtcdProbes { live: "/health", ready: "", started: "/health" },
        25 => EtcdProbes {
            live: "/health?exclude=NOSPACE&serializable=true", ready: "", started: "/health?serializable=false",
        },
        31 => EtcdProbes { live: "/livez", ready: "/readyz", started: "/readyz" },
    }

    /// Where the apiserver is asked how it is; the last of them says whether it may be sent requests.
    // kubernetes/kubernetes#78458.
    health_paths: &'static [&'static str] = "health endpoints of the apiserver" {
        8 => &["/healthz"], 16 => &["/healthz", "/livez", "/readyz"],
    }

    /// Whether kubeadm's apiserver is asked apart whether it lives and whether it is ready.
    // The changelog of 1.19.
    probes_readiness: bool = "probes of kubeadm's apiserver ask /livez and /readyz" { 8 => false, 19 => true }

    /// Whether the probes of static pods name their port.
    // kubernetes/kubernetes#132776.
    static_pods_name_ports: bool = "probes of static pods name their port" { 8 => false, 34 => true }

    /// CoreDNS's image below the registry.
    // Before 1.11 it was an option beside kube-dns.
    coredns_image: &'static str = "image of CoreDNS" {
        8 => "coredns:1.0.1", 10 => "coredns:1.0.6", 11 => "coredns:1.1.3", 12 => "coredns:1.2.2", 13 => "coredns:1.2.6",
        14 => "coredns:1.3.1", 16 => "coredns:1.6.2", 17 => "coredns:1.6.5", 18 => "coredns:1.6.7", 19 => "coredns:1.7.0",
        21 => "coredns/coredns:v1.8.0", 22 => "coredns/coredns:v1.8.4", 23 => "coredns/coredns:v1.8.6",
        25 => "coredns/coredns:v1.9.3", 27 => "coredns/coredns:v1.10.1", 29 => "coredns/coredns:v1.11.1",
        32 => "coredns/coredns:v1.11.3", 33 => "coredns/coredns:v1.12.0", 34 => "coredns/coredns:v1.12.1",
        35 => "coredns/coredns:v1.13.1", 36 => "coredns/coredns:v1.14.2",
    }

    /// Tag of the image that holds a pod's sandbox (`PauseVersion`).
    pause_version: &'static str = "pause" {
        8 => "3.0", 10 => "3.1", 18 => "3.2", 21 => "3.4.1", 22 => "3.5", 23 => "3.6", 24 => "3.7", 25 => "3.8",
        26 => "3.9", 31 => "3.10", 34 => "3.10.1", 36 => "3.10.2",
    }

    /// What kubeadm says when it reads the cluster's configuration.
    reading_cluster_config: &'static str = "kubeadm reads the cluster's configuration" {
        8 => "Reading configuration from the cluster...",
        32 => "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
    }

    /// What it says next: how people look at that configuration, or replace it.
    cluster_config_hint: &'static str = "kubeadm's hint at the cluster's configuration" {
        8 => "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -oyaml'",
        20 => "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'",
        32 => "Use 'kubeadm init phase upload-config --config your-config.yaml' to re-upload it.",
        33 => "Use 'kubeadm init phase upload-config --config your-config-file' to re-upload it.",
        34 => "Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.",
    }

    /// Whether `kubeadm upgrade apply` consists of phases.
    upgrade_phases: bool = "kubeadm upgrade apply has phases" { 8 => false, 32 => true }

    /// Whether `--config` of `kubeadm upgrade` is an UpgradeConfiguration and no longer the cluster's own.
    // The changelog of 1.30; kubernetes/kubeadm#3054 and #3076.
    upgrade_configuration: bool = "kubeadm upgrade takes an UpgradeConfiguration" { 8 => false, 30 => true }

    /// Flags that kubeadm takes beside `--config`, with all that begin with `skip-`.
    // `isAllowedFlag` (`cmd/kubeadm/app/apis/kubeadm/validation`); 23 is in the changelog, 31 is
    // kubernetes/kubernetes#125566. The steps at 14 and 27 were not looked up to the minor.
    flags_beside_config: &'static [&'static str] = "flags beside kubeadm's --config" {
        8 => &["config", "dry-run", "ignore-preflight-errors", "kubeconfig"],
        14 => &["config", "cri-socket", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs"],
        22 => &["config", "cri-socket", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "patches", "print-join-command", "upload-certs"],
        23 => &["config", "cri-socket", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs"],
        27 => &["config", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs"],
        31 => &["config", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs", "yes"],
    }

    /// Whether `kubeadm upgrade` says `Moving new manifest` and no longer mentions TLS for etcd.
    upgrade_words_of_131: bool = "kubeadm upgrade's shorter words" { 8 => false, 31 => true }

    /// Whether `kubeadm certs renew all` renews the certificates in kubeconfigs too.
    // kubernetes/kubernetes#77180.
    renews_kubeconfigs: bool = "kubeadm renews the certificates in kubeconfigs" { 8 => false, 15 => true }

    /// Whether a server reads the authorities of its clients and of the front proxy again when their files change.
    // kubernetes/kubernetes#90360, which went to later patch releases of 1.17 and 1.18 too: these two meant to.
    rereads_client_authorities: bool = "servers read their clients' authorities again" { 8 => false, 19 => true }

    /// Whether an upgrade renews etcd's certificates, and restarts it, when only the apiserver's manifest changes.
    // kubernetes/kubernetes#124688.
    upgrade_renews_unchanged_etcd: bool = "upgrades renew an unchanged etcd's certificates" { 8 => false, 31 => true }

    /// Whether an upgrade keeps a copy of the kubelet's configuration.
    upgrade_backs_up_kubelet_config: bool = "upgrades back up the kubelet's configuration" { 8 => false, 27 => true }

    /// Whether that copy lies in a directory with a date in its name instead of a random number.
    upgrade_dates_kubelet_backup: bool = "backups of the kubelet's configuration are dated" { 8 => false, 35 => true }

    /// Whether `kubeadm upgrade plan` has a line for each node.
    // kubernetes/kubernetes#123578.
    upgrade_plan_names_nodes: bool = "kubeadm upgrade plan names nodes" { 8 => false, 30 => true }
}

/// Paths at which an etcd of kubeadm's is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdProbes {
    /// Whether it lives.
    pub live: &'static str,
    /// Whether it serves; empty for none.
    pub ready: &'static str,
    /// Whether it has started.
    pub started: &'static str,
}

/// What the certificates of an etcd on the control plane name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdNames {
    /// The serving one `localhost` and 127.0.0.1, the peer's node name and advertised address.
    Apart,
    /// Both node name and `localhost`, but only the peer's the advertised address.
    LocalServing,
    /// The same in both.
    Both,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const THREE_YEARS: Duration = Duration::from_secs((3 * 365 + 1) * 24 * 3600);
