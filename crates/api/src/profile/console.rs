//! What kubeadm's console said, minor by minor: one table of lines, each with the minors where its words
//! changed (`cmd/kubeadm/app/{cmd,phases,discovery,util/apiclient}`, and transcripts of its releases).
//!
//! An empty text means that those minors said nothing there. `{0}`, `{1}`, … stand for what the caller
//! fills in. Releases from 1.13 on are written as their phases say them today, except where a row knows
//! better.

use super::Profile;

/// One line of the console.
pub struct Line {
    name: &'static str,
    steps: &'static [(u16, &'static str)],
}

impl Line {
    /// The line in a version with `parts` filled in; `None` where that version says nothing.
    pub fn fill(&self, profile: Profile, parts: &[&str]) -> Option<String> {
        let begun = self.steps.iter().rev().find(|(since, _)| *since <= profile.minor());
        let text = begun.map_or("", |(_, text)| *text);
        if text.is_empty() {
            return None;
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            match after.split_once('}') {
                Some((index, behind)) if index.bytes().all(|b| b.is_ascii_digit()) && !index.is_empty() => {
                    let part = index.parse().ok().and_then(|i: usize| parts.get(i));
                    filled.push_str(part.copied().unwrap_or_default());
                    rest = behind;
                }
                _ => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        Some(filled)
    }

    /// Its name in the table.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The minors in which other words begin.
    pub fn starts(&self) -> impl Iterator<Item = u16> {
        self.steps.iter().map(|(since, _)| *since)
    }
}

macro_rules! lines {
    ($($(#[$doc:meta])* $name:ident { $($since:literal => $text:expr),+ $(,)? })+) => {
        $($(#[$doc])* pub const $name: Line = Line { name: stringify!($name), steps: &[$(($since, $text)),+] };)+

        /// The whole table.
        pub const ALL: &[Line] = &[$($name),+];
    };
}

lines! {
    /// Before everything else.
    BETA {
        8 => "[kubeadm] WARNING: kubeadm is in beta, please do not use it for production clusters.",
        9 => "",
    }

    /// The first line of `init`: the version to install.
    VERSION {
        8 => "[init] Using Kubernetes version: {0}",
        11 => "[init] using Kubernetes version: {0}",
        13 => "[init] Using Kubernetes version: {0}",
    }
    /// Who authorizes.
    AUTHORIZATION { 8 => "[init] Using Authorization modes: [Node RBAC]", 11 => "" }
    /// Tokens once lived for ever.
    TOKENS_EXPIRE {
        8 => "[kubeadm] WARNING: starting in 1.8, tokens expire after 24 hours by default (if you require a non-expiring token use --token-ttl 0)",
        9 => "",
    }
    /// A join without pins was only a warning in its first release.
    UNPINNED {
        8 => "[validation] WARNING: using token-based discovery without DiscoveryTokenCACertHashes can be unsafe (see https://kubernetes.io/docs/admin/kubeadm/#kubeadm-join).\n[validation] WARNING: Pass --discovery-token-unsafe-skip-ca-verification to disable this warning. This warning will become an error in Kubernetes 1.9.",
        9 => "",
    }

    /// An upgrade with another configuration than the cluster's own.
    RECONFIGURES {
        8 => "",
        15 => "WARNING: Usage of the --config flag for reconfiguring the cluster during upgrade is not recommended!",
        19 => "WARNING: Usage of the --config flag with kubeadm config types for reconfiguring the cluster during upgrade is not recommended!",
        30 => "",
    }

    /// Stands before what went wrong: the phase.
    PHASE_FAILED { 8 => "", 13 => "error execution phase {0}" }

    /// The preflight checks begin.
    PREFLIGHT {
        8 => "[preflight] Running pre-flight checks",
        9 => "[preflight] Running pre-flight checks.",
        11 => "[preflight] running pre-flight checks",
        13 => "[preflight] Running pre-flight checks",
    }
    /// The kernel is too old: its release.
    // 32 is the new words of k8s.io/system-validators.
    KERNEL_UNSUPPORTED {
        8 => "unsupported kernel release: {0}",
        32 => "kernel release {0} is unsupported. Recommended LTS version from the 4.x series is 4.19. Any 5.x or 6.x versions are also supported. For cgroups v2 support, the minimal version is 4.15 and the recommended version is 5.8+",
    }
    /// The kernel offers version 1 of cgroups only.
    CGROUPS_V1 {
        8 => "",
        31 => "cgroups v1 support is in maintenance mode, please migrate to cgroups v2",
        35 => "cgroups v1 support is deprecated and will be removed in a future release. Please migrate to cgroups v2. To explicitly enable cgroups v1 support for kubelet v1.35 or newer, you must set the kubelet configuration option 'FailCgroupV1' to 'false'. You must also explicitly skip this validation. For more information, see https://git.k8s.io/enhancements/keps/sig-node/5573-remove-cgroup-v1",
    }
    /// The container runtime does not tell its cgroup driver.
    // kubernetes/kubernetes#134906 and #136898.
    RUNTIME_CONFIG {
        8 => "",
        35 => "You must update your container runtime to a version that supports the CRI method RuntimeConfig. Falling back to using cgroupDriver from kubelet config will be removed in 1.36. For more information, see https://git.k8s.io/enhancements/keps/sig-node/4033-group-driver-detection-over-cri",
        36 => "You must update your container runtime to a version that supports the CRI method RuntimeConfig. Falling back to using cgroupDriver from kubelet config will be removed in 1.37. For more information, see https://git.k8s.io/enhancements/keps/sig-node/4033-group-driver-detection-over-cri",
    }
    /// Images are pulled before anything starts.
    IMAGES {
        8 => "",
        11 => "[preflight/images] Pulling images required for setting up a Kubernetes cluster\n[preflight/images] This might take a minute or two, depending on the speed of your internet connection\n[preflight/images] You can also perform this action in beforehand using 'kubeadm config images pull'",
        13 => "[preflight] Pulling images required for setting up a Kubernetes cluster\n[preflight] This might take a minute or two, depending on the speed of your internet connection\n[preflight] You can also perform this action in beforehand using 'kubeadm config images pull'",
        31 => "[preflight] Pulling images required for setting up a Kubernetes cluster\n[preflight] This might take a minute or two, depending on the speed of your internet connection\n[preflight] You can also perform this action beforehand using 'kubeadm config images pull'",
    }
    /// The kubelet's environment file: its path.
    KUBELET_FLAGS {
        8 => "",
        11 => "[kubelet] Writing kubelet environment file with flags to file \"{0}\"",
        13 => "[kubelet-start] Writing kubelet environment file with flags to file \"{0}\"",
    }
    /// The kubelet's configuration: its path.
    KUBELET_CONFIG {
        8 => "",
        11 => "[kubelet] Writing kubelet configuration to file \"{0}\"",
        13 => "[kubelet-start] Writing kubelet configuration to file \"{0}\"",
    }
    /// The kubelet's configuration of this host alone: its path.
    INSTANCE_CONFIG { 8 => "", 34 => "[kubelet-start] Writing kubelet configuration to file \"{0}\"" }
    /// That configuration is laid over the one of all kubelets.
    INSTANCE_APPLIED {
        8 => "",
        34 => "[patches] Applied patch of type \"application/strategic-merge-patch+json\" to target \"kubeletconfiguration\"",
    }
    /// The kubelet's unit is started.
    KUBELET_STARTS {
        8 => "[preflight] Starting the kubelet service",
        11 => "[preflight] Activating the kubelet service",
        13 => "[kubelet-start] Activating the kubelet service",
        17 => "[kubelet-start] Starting the kubelet",
    }

    /// Where certificates are kept.
    CERTS_FOLDER { 8 => "", 13 => "[certs] Using certificateDir folder \"{0}\"" }
    /// A pair is about to be made: its file.
    CERT_BEGUN { 8 => "", 13 => "[certs] Generating \"{0}\" certificate and key" }
    /// A pair was made: its file.
    CERT_MADE { 8 => "[certificates] Generated {0} certificate and key.", 13 => "" }
    /// Names and addresses of a serving certificate: its file, the names, the addresses.
    CERT_NAMES {
        8 => "[certificates] {0} serving cert is signed for DNS names [{1}] and IPs [{2}]",
        13 => "[certs] {0} serving cert is signed for DNS names [{1}] and IPs [{2}]",
    }
    /// An authority that is there already: its file.
    AUTHORITY_KEPT {
        8 => "[certificates] Using the existing {0} certificate and key.",
        13 => "[certs] Using existing {0} certificate authority",
    }
    /// A pair that is there already: its file.
    CERT_KEPT {
        8 => "[certificates] Using the existing {0} certificate and key.",
        13 => "[certs] Using existing {0} certificate and key on disk",
    }
    /// The keys of service accounts are about to be made.
    KEYS_BEGUN { 8 => "", 13 => "[certs] Generating \"sa\" key and public key" }
    /// The keys of service accounts were made.
    KEYS_MADE { 8 => "[certificates] Generated sa key and public key.", 13 => "" }
    /// The keys of service accounts are there already.
    KEYS_KEPT {
        8 => "[certificates] Using the existing sa key.",
        13 => "[certs] Using the existing \"sa\" key",
    }
    /// All certificates are there, before the keys of service accounts are: the folder.
    CERTS_VALID_EARLY {
        8 => "",
        12 => "[certificates] valid certificates and keys now exist in \"{0}\"",
        13 => "",
    }
    /// All certificates and keys are there: the folder.
    CERTS_VALID {
        8 => "[certificates] Valid certificates and keys now exist in \"{0}\"",
        11 => "[certificates] valid certificates and keys now exist in \"{0}\"",
        12 => "",
    }
    /// etcd is elsewhere: the file that is not made, and what it would be.
    ETCD_ELSEWHERE { 8 => "", 13 => "[certs] External etcd mode: Skipping {0} {1} generation" }
    /// Somebody else keeps the authority's key, and everything that it would sign is there.
    EXTERNAL_CA {
        8 => "[externalca] The file 'ca.key' was not found, yet all other certificates are present. Using external CA mode - certificates or kubeconfig will not be generated.",
        13 => "",
    }

    /// Where kubeconfigs are kept.
    KUBECONFIG_FOLDER { 8 => "", 13 => "[kubeconfig] Using kubeconfig folder \"{0}\"" }
    /// A kubeconfig is about to be written: its name.
    KUBECONFIG_BEGUN { 8 => "", 13 => "[kubeconfig] Writing \"{0}\" kubeconfig file" }
    /// A kubeconfig was written: its name, its path.
    KUBECONFIG_MADE {
        8 => "[kubeconfig] Wrote KubeConfig file to disk: \"{0}\"",
        10 => "[kubeconfig] Wrote KubeConfig file to disk: \"{1}\"",
        13 => "",
    }
    /// A kubeconfig that is there already: its path.
    KUBECONFIG_KEPT {
        8 => "[kubeconfig] Using existing up-to-date KubeConfig file: \"{0}\"",
        13 => "[kubeconfig] Using existing kubeconfig file: \"{0}\"",
    }

    /// Where manifests are kept.
    MANIFESTS_FOLDER { 8 => "", 13 => "[control-plane] Using manifest folder \"{0}\"" }
    /// A manifest is about to be written: the component.
    MANIFEST_BEGUN { 8 => "", 13 => "[control-plane] Creating static Pod manifest for \"{0}\"" }
    /// A manifest was written: the component, its path.
    MANIFEST_MADE {
        8 => "[controlplane] Wrote Static Pod manifest for component {0} to \"{1}\"",
        11 => "[controlplane] wrote Static Pod manifest for component {0} to \"{1}\"",
        13 => "",
    }
    /// etcd's manifest is about to be written: the folder.
    ETCD_BEGUN { 8 => "", 13 => "[etcd] Creating static Pod manifest for local etcd in \"{0}\"" }
    /// etcd's manifest was written: its path.
    ETCD_MADE {
        8 => "[etcd] Wrote Static Pod manifest for a local etcd instance to \"{0}\"",
        13 => "",
    }

    /// The control plane is waited for: the folder of manifests.
    WAIT {
        8 => "[init] Waiting for the kubelet to boot up the control plane as Static Pods from directory \"{0}\"",
        9 => "[init] Waiting for the kubelet to boot up the control plane as Static Pods from directory \"{0}\".",
        11 => "[init] waiting for the kubelet to boot up the control plane as Static Pods from directory \"{0}\"",
        13 => "[wait-control-plane] Waiting for the kubelet to boot up the control plane as static Pods from directory \"{0}\". This can take up to 4m0s",
        30 => "[wait-control-plane] Waiting for the kubelet to boot up the control plane as static Pods from directory \"{0}\"",
    }
    /// How long that may take.
    PATIENCE {
        8 => "[init] This often takes around a minute; or longer if the control plane images have to be pulled.",
        9 => "[init] This might take a minute or longer if the control plane images have to be pulled.",
        11 => "[init] this might take a minute or longer if the control plane images have to be pulled",
        13 => "",
    }
    /// The apiserver answered: after how many seconds.
    HEALTHY { 8 => "[apiclient] All control plane components are healthy after {0} seconds", 30 => "" }
    /// The apiserver alone is waited for: how long that may take.
    API_WAIT {
        8 => "",
        30 => "[api-check] Waiting for a healthy API server. This can take up to {0}",
        33 => "",
    }
    /// It answered: after how long.
    API_HEALTHY { 8 => "", 30 => "[api-check] The API server is healthy after {0}", 33 => "" }
    /// It never did: after how long.
    API_UNHEALTHY { 8 => "", 30 => "[api-check] The API server is not healthy after {0}", 33 => "" }
    /// The kubelet is waited for: its URL, how long that may take.
    KUBELET_WAIT {
        8 => "",
        30 => "[kubelet-check] Waiting for a healthy kubelet. This can take up to {1}",
        31 => "[kubelet-check] Waiting for a healthy kubelet at {0}. This can take up to {1}",
    }
    /// The kubelet answered: after how long.
    KUBELET_HEALTHY { 8 => "", 30 => "[kubelet-check] The kubelet is healthy after {0}" }
    /// The kubelet never did: after how long.
    KUBELET_SILENT { 8 => "", 30 => "[kubelet-check] The kubelet is not healthy after {0}" }
    /// The kubelet is asked for the first time.
    KUBELET_ASKED { 8 => "", 13 => "[kubelet-check] Initial timeout of 40s passed.", 30 => "" }
    /// The kubelet is asked for the third time and more: the URL, what was wrong.
    KUBELET_UNHEALTHY {
        8 => "[kubelet-check] It seems like the kubelet isn't running or healthy.\n[kubelet-check] The HTTP call equal to 'curl -sSL {0}' failed with error: {1}.",
        30 => "",
    }
    /// Nothing came up: what was waited for, the registry, the version, the container runtime's socket.
    // The step at 22 was not looked up to the minor.
    GAVE_UP {
        8 => "\nUnfortunately, an error has occurred:\n\t{0}\n\nThis error is likely caused by:\n\t- The kubelet is not running\n\t- The kubelet is unhealthy due to a misconfiguration of the node in some way (required cgroups disabled)\n\t- There is no internet connection, so the kubelet cannot pull the following control plane images:\n\t\t- {1}/kube-apiserver-amd64:{2}\n\t\t- {1}/kube-controller-manager-amd64:{2}\n\t\t- {1}/kube-scheduler-amd64:{2}\n\nIf you are on a systemd-powered system, you can try to troubleshoot the error with the following commands:\n\t- 'systemctl status kubelet'\n\t- 'journalctl -xeu kubelet'\n",
        13 => "\nUnfortunately, an error has occurred:\n\t{0}\n\nThis error is likely caused by:\n\t- The kubelet is not running\n\t- The kubelet is unhealthy due to a misconfiguration of the node in some way (required cgroups disabled)\n\nIf you are on a systemd-powered system, you can try to troubleshoot the error with the following commands:\n\t- 'systemctl status kubelet'\n\t- 'journalctl -xeu kubelet'\n\nAdditionally, a control plane component may have crashed or exited when started by the container runtime.\nTo troubleshoot, list all containers using your preferred container runtimes CLI, e.g. docker.\nHere is one example how you may list all Kubernetes containers running in docker:\n\t- 'docker ps -a | grep kube | grep -v pause'\n\tOnce you have found the failing container, you can inspect its logs with:\n\t- 'docker logs CONTAINERID'\n",
        22 => "\nUnfortunately, an error has occurred:\n\t{0}\n\nThis error is likely caused by:\n\t- The kubelet is not running\n\t- The kubelet is unhealthy due to a misconfiguration of the node in some way (required cgroups disabled)\n\nIf you are on a systemd-powered system, you can try to troubleshoot the error with the following commands:\n\t- 'systemctl status kubelet'\n\t- 'journalctl -xeu kubelet'\n\nAdditionally, a control plane component may have crashed or exited when started by the container runtime.\nTo troubleshoot, list all containers using your preferred container runtimes CLI.\nHere is one example how you may list all running Kubernetes containers by using crictl:\n\t- 'crictl --runtime-endpoint {3} ps -a | grep kube | grep -v pause'\n\tOnce you have found the failing container, you can inspect its logs with:\n\t- 'crictl --runtime-endpoint {3} logs CONTAINERID'\n",
        30 => "",
    }
    /// The kubelet never answered.
    KUBELET_DEAD {
        8 => "",
        30 => "\nUnfortunately, an error has occurred, likely caused by:\n\t- The kubelet is not running\n\t- The kubelet is unhealthy due to a misconfiguration of the node in some way (required cgroups disabled)\n\nIf you are on a systemd-powered system, you can try to troubleshoot the error with the following commands:\n\t- 'systemctl status kubelet'\n\t- 'journalctl -xeu kubelet'\n",
    }
    /// A component never answered: the container runtime's socket.
    COMPONENT_DEAD {
        8 => "",
        30 => "\nA control plane component may have crashed or exited when started by the container runtime.\nTo troubleshoot, list all containers using your preferred container runtimes CLI.\nHere is one example how you may list all running Kubernetes containers by using crictl:\n\t- 'crictl --runtime-endpoint {0} ps -a | grep kube | grep -v pause'\n\tOnce you have found the failing container, you can inspect its logs with:\n\t- 'crictl --runtime-endpoint {0} logs CONTAINERID'\n",
    }

    /// The configuration is stored.
    CONFIG_STORED {
        8 => "[uploadconfig] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace",
        11 => "[uploadconfig] storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace",
        14 => "[upload-config] storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace",
        16 => "[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace",
    }
    /// The node is about to be marked: its name.
    MARK_BEGUN { 8 => "[markmaster] Will mark node {0} as master by adding a label and a taint", 11 => "" }
    /// The node was marked: its name, the key.
    MARK_MADE { 8 => "[markmaster] Master {0} tainted and labelled with key/value: {1}=\"\"", 11 => "" }
    /// As [`MARK_BEGUN`], for a master that takes pods.
    MARK_BEGUN_UNTAINTED { 8 => "[markmaster] Will mark node {0} as master by adding a label", 11 => "" }
    /// As [`MARK_MADE`], for a master that takes pods.
    MARK_MADE_UNTAINTED { 8 => "[markmaster] Master {0} labelled with key/value: {1}=\"\"", 11 => "" }
    /// The node gets its labels: its name, the first label, all labels.
    MARK_LABELS {
        8 => "",
        11 => "[markmaster] Marking the node {0} as master by adding the label \"{1}=''\"",
        13 => "[mark-control-plane] Marking the node {0} as control-plane by adding the label \"{1}=''\"",
        20 => "[mark-control-plane] Marking the node {0} as control-plane by adding the labels \"node-role.kubernetes.io/master=''\" and \"node-role.kubernetes.io/control-plane='' (deprecated)\"",
        21 => "[mark-control-plane] Marking the node {0} as control-plane by adding the labels: [node-role.kubernetes.io/master(deprecated) node-role.kubernetes.io/control-plane node.kubernetes.io/exclude-from-external-load-balancers]",
        24 => "[mark-control-plane] Marking the node {0} as control-plane by adding the labels: [{2}]",
    }
    /// The node gets its taints: its name, the taints.
    MARK_TAINTS {
        8 => "",
        11 => "[markmaster] Marking the node {0} as master by adding the taints [{1}]",
        13 => "[mark-control-plane] Marking the node {0} as control-plane by adding the taints [{1}]",
    }
    /// The CRI socket becomes an annotation of the node: the socket, the node.
    CRI_SOCKET {
        8 => "",
        11 => "[patchnode] Uploading the CRI Socket information \"{0}\" to the Node API object \"{1}\" as an annotation",
        14 => "",
    }

    /// The bootstrap token.
    TOKEN {
        8 => "[bootstraptoken] Using token: {0}",
        11 => "[bootstraptoken] using token: {0}",
        13 => "[bootstrap-token] Using token: {0}",
    }
    /// What comes with it.
    TOKEN_RULES {
        8 => "",
        13 => "[bootstrap-token] Configuring bootstrap tokens, cluster-info ConfigMap, RBAC Roles",
    }
    /// Something is allowed: what.
    TOKEN_GRANT {
        8 => "[bootstraptoken] Configured RBAC rules to allow {0}",
        11 => "[bootstraptoken] configured RBAC rules to allow {0}",
        14 => "[bootstrap-token] configured RBAC rules to allow {0}",
        24 => "[bootstrap-token] Configured RBAC rules to allow {0}",
    }
    /// cluster-info is made.
    CLUSTER_INFO {
        8 => "[bootstraptoken] Creating the \"cluster-info\" ConfigMap in the \"kube-public\" namespace",
        11 => "[bootstraptoken] creating the \"cluster-info\" ConfigMap in the \"kube-public\" namespace",
        14 => "[bootstrap-token] creating the \"cluster-info\" ConfigMap in the \"kube-public\" namespace",
        16 => "[bootstrap-token] Creating the \"cluster-info\" ConfigMap in the \"kube-public\" namespace",
    }

    /// The end of `init`: how to join.
    INIT_DONE {
        8 => "\nYour Kubernetes master has initialized successfully!\n\nTo start using your cluster, you need to run (as a regular user):\n\n  mkdir -p $HOME/.kube\n  sudo cp -i /etc/kubernetes/admin.conf $HOME/.kube/config\n  sudo chown $(id -u):$(id -g) $HOME/.kube/config\n\nYou should now deploy a pod network to the cluster.\nRun \"kubectl apply -f [podnetwork].yaml\" with one of the options listed at:\n  http://kubernetes.io/docs/admin/addons/\n\nYou can now join any number of machines by running the following on each node\nas root:\n\n  {0}\n",
        9 => "\nYour Kubernetes master has initialized successfully!\n\nTo start using your cluster, you need to run the following as a regular user:\n\n  mkdir -p $HOME/.kube\n  sudo cp -i /etc/kubernetes/admin.conf $HOME/.kube/config\n  sudo chown $(id -u):$(id -g) $HOME/.kube/config\n\nYou should now deploy a pod network to the cluster.\nRun \"kubectl apply -f [podnetwork].yaml\" with one of the options listed at:\n  https://kubernetes.io/docs/concepts/cluster-administration/addons/\n\nYou can now join any number of machines by running the following on each node\nas root:\n\n  {0}\n",
        14 => "",
    }
    /// The command by which a worker joins: server, token, pins.
    JOIN_COMMAND {
        8 => "kubeadm join --token {1} {0} {2}",
        10 => "kubeadm join {0} --token {1} {2}",
        14 => "",
    }

    /// Discovery begins: the server. From 1.14 on the lines of discovery are a log's.
    DISCOVERY_TRIES { 8 => "[discovery] Trying to connect to API Server \"{0}\"", 18 => "" }
    /// A server is asked for cluster-info: its address.
    DISCOVERY_ASKS {
        8 => "[discovery] Created cluster-info discovery client, requesting info from \"https://{0}\"",
        18 => "[discovery] Created cluster-info discovery client, requesting info from \"{0}\"",
    }
    /// cluster-info did not come: what was wrong.
    // 30 was not looked up to the minor.
    DISCOVERY_AGAIN {
        8 => "[discovery] Failed to request cluster info, will try again: [{0}]",
        18 => "[discovery] Failed to request cluster-info, will try again: {0}",
        30 => "[discovery] Retrying due to error: {0}",
    }
    /// cluster-info came, but without the token's signature: the token's id.
    DISCOVERY_WAITS {
        8 => "",
        18 => "[discovery] The cluster-info ConfigMap does not yet contain a JWS signature for token ID \"{0}\", will try again",
        30 => "[discovery] Retrying due to error: could not find a JWS signature in the cluster-info ConfigMap for token ID \"{0}\"",
    }
    /// Why a token without a signature is no use: its id.
    // 10 is kubernetes/kubernetes#57941; who is meant by the master changed somewhere between 1.12 and 1.17.
    DISCOVERY_UNSIGNED {
        8 => "there is no JWS signed token in the cluster-info ConfigMap. This token id \"{0}\" is invalid for this cluster, can't connect",
        10 => "token id \"{0}\" is invalid for this cluster or it has expired. Use \"kubeadm token create\" on the master node to creating a new valid token",
        14 => "token id \"{0}\" is invalid for this cluster or it has expired. Use \"kubeadm token create\" on the control-plane node to create a new valid token",
        18 => "could not find a JWS signature in the cluster-info ConfigMap for token ID \"{0}\"",
    }
    /// What stands before the reason for which cluster-info did not come: that reason.
    // 30 was not looked up to the minor.
    DISCOVERY_UNANSWERED { 8 => "{0}", 30 => "failed to request the cluster-info ConfigMap: {0}" }
    /// Discovery failed: the server, what was wrong.
    DISCOVERY_FAILED { 8 => "[discovery] Failed to connect to API Server \"{0}\": {1}", 18 => "" }
    /// Discovery failed until its time was up: how long that was.
    DISCOVERY_ABORTED { 8 => "abort connecting to API servers after timeout of {0}", 18 => "" }
    /// Once more, with the authority that came: the server.
    DISCOVERY_VALIDATES {
        8 => "[discovery] Requesting info from \"https://{0}\" again to validate TLS against the pinned public key",
        18 => "[discovery] Requesting info from \"{0}\" again to validate TLS against the pinned public key",
    }
    /// What came is what was pinned: the server.
    DISCOVERY_PINNED {
        8 => "[discovery] Cluster info signature and contents are valid and TLS certificate validates against pinned roots, will use API Server \"{0}\"",
    }
    /// What came is signed: the server.
    DISCOVERY_UNPINNED {
        8 => "[discovery] Cluster info signature and contents are valid and no TLS pinning was specified, will use API Server \"{0}\"",
    }
    /// Discovery has ended well: the server.
    DISCOVERY_DONE { 8 => "[discovery] Successfully established connection with API Server \"{0}\"", 18 => "" }
    /// Whether the server can sign certificates: its version.
    SERVER_DETECTED {
        8 => "[bootstrap] Detected server version: {0}\n[bootstrap] The server supports the Certificates API (certificates.k8s.io/v1beta1)",
        9 => "",
    }
    /// The kubelets' configuration comes from the cluster: its ConfigMap.
    KUBELET_CONFIG_ASKED {
        8 => "",
        11 => "[kubelet] Downloading configuration for the kubelet from the \"{0}\" ConfigMap in the kube-system namespace",
        13 => "[kubelet-start] Downloading configuration for the kubelet from the \"{0}\" ConfigMap in the kube-system namespace",
        19 => "",
    }
    /// The kubelet gets its certificate.
    TLS_BOOTSTRAP {
        8 => "[tlsbootstrap] Waiting for the kubelet to perform the TLS Bootstrap...",
        13 => "[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap...",
        30 => "[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap",
    }
    /// The kubelet did not get its certificate in time: what the wait says.
    TLS_BOOTSTRAP_FAILED {
        8 => "\nUnfortunately, an error has occurred:\n\t{0}\n\nThis error is likely caused by:\n\t- The kubelet is not running\n\t- The kubelet is unhealthy due to a misconfiguration of the node in some way (required cgroups disabled)\n\nIf you are on a systemd-powered system, you can try to troubleshoot the error with the following commands:\n\t- 'systemctl status kubelet'\n\t- 'journalctl -xeu kubelet'\n",
    }
    /// The end of `join`.
    JOIN_DONE {
        8 => "\nNode join complete:\n* Certificate signing request sent to master and response\n  received.\n* Kubelet informed of new secure connection details.\n\nRun 'kubectl get nodes' on the master to see this machine join.",
        9 => "\nThis node has joined the cluster:\n* Certificate signing request was sent to master and a response\n  was received.\n* The Kubelet was informed of the new secure connection details.\n\nRun 'kubectl get nodes' on the master to see this node join the cluster.",
        13 => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::OLDEST, *};

    #[test]
    fn lines_are_in_order_and_every_step_changes_something() {
        for line in ALL {
            let starts: Vec<u16> = line.starts().collect();
            assert_eq!(starts[0], OLDEST, "{}", line.name());
            assert!(starts.is_sorted_by(|a, b| a < b), "{}: {starts:?}", line.name());
            assert!(line.steps.windows(2).all(|pair| pair[0].1 != pair[1].1), "{}", line.name());
        }
    }

    #[test]
    fn parts_are_filled_in_and_silence_is_none() {
        let at = |minor| Profile::of_minor(minor).expect("known");
        let made = |minor| CERT_MADE.fill(at(minor), &["etcd/ca"]);
        assert_eq!(made(12).as_deref(), Some("[certificates] Generated etcd/ca certificate and key."));
        assert_eq!(made(13), None);
        assert_eq!(
            KUBECONFIG_MADE.fill(at(9), &["admin.conf", "/x/admin.conf"]).as_deref(),
            Some("[kubeconfig] Wrote KubeConfig file to disk: \"admin.conf\"")
        );
        assert_eq!(
            KUBECONFIG_MADE.fill(at(10), &["admin.conf", "/x/admin.conf"]).as_deref(),
            Some("[kubeconfig] Wrote KubeConfig file to disk: \"/x/admin.conf\"")
        );
        // A part that looks like a place is not filled in again.
        assert_eq!(TOKEN.fill(at(8), &["{0}"]).as_deref(), Some("[bootstraptoken] Using token: {0}"));
    }
}
