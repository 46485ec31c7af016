//! Configuration files: every version that a release reads, and what becomes of what they say.

use api::profile::Profile;
use chronoplane::{Cluster, Machinery, Sim, TaskLauncher};
use serde_json::Value;
use world::Host;

use crate::common::*;

const V4: &str = "apiVersion: kubeadm.k8s.io/v1beta4\n";
const V3: &str = "apiVersion: kubeadm.k8s.io/v1beta3\n";

/// Writes a file and runs a command on it.
async fn on_file(host: &Host, text: &str, args: &[&str]) -> Result<String, String> {
    host.disk().write("/root/kubeadm.yaml", text, 0o600).expect("written");
    kubeadm(host, args).await.map_err(|e| e.to_string())
}

#[chronoplane::test]
async fn each_release_prints_its_defaults_and_reads_them_again(sim: Sim) {
    let host = sim.host("cp1");
    for (minor, version, init, join) in [
        ("1.11", "v1alpha2", "MasterConfiguration", "NodeConfiguration"),
        ("1.12", "v1alpha3", "InitConfiguration", "JoinConfiguration"),
        ("1.13", "v1beta1", "InitConfiguration", "JoinConfiguration"),
        ("1.15", "v1beta2", "InitConfiguration", "JoinConfiguration"),
        ("1.28", "v1beta3", "InitConfiguration", "JoinConfiguration"),
        ("1.36", "v1beta4", "InitConfiguration", "JoinConfiguration"),
    ] {
        let release = format!("--kubernetes-version={minor}");
        for (what, kind) in [("init-defaults", init), ("join-defaults", join)] {
            let text = kubeadm(&host, &["config", "print", what, &release]).await.expect("printed");
            assert!(text.contains(&format!("apiVersion: kubeadm.k8s.io/{version}\n")), "{minor}: {text}");
            assert!(text.contains(&format!("kind: {kind}\n")), "{minor}: {text}");
            let validate = ["config", "validate", "--config=/root/kubeadm.yaml", &release];
            assert_eq!(on_file(&host, &text, &validate).await.expect("right"), "ok\n", "{minor} {what}");
        }
    }
    for what in ["reset-defaults", "upgrade-defaults"] {
        let text = kubeadm(&host, &["config", "print", what]).await.expect("printed");
        let validate = ["config", "validate", "--config=/root/kubeadm.yaml"];
        assert_eq!(on_file(&host, &text, &validate).await.expect("right"), "ok\n", "{text}");
        let args = ["config", "print", what, "--kubernetes-version=1.30"];
        let words = kubeadm(&host, &args).await.expect_err("no such kind yet").to_string();
        assert!(words.contains("does not exist before kubeadm.k8s.io/v1beta4"), "{words}");
    }
    let args = [
        "config",
        "print",
        "init-defaults",
        "--component-configs=KubeletConfiguration,KubeProxyConfiguration",
    ];
    let text = kubeadm(&host, &args).await.expect("printed");
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(
        kinds,
        ["InitConfiguration", "ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"]
    );
    let args = ["config", "print", "init-defaults", "--component-configs=Cook"];
    let words = kubeadm(&host, &args).await.expect_err("unknown").to_string();
    assert!(
        words.contains("--component-configs needs to contain some of [KubeProxyConfiguration Kubelet"),
        "{words}"
    );
}

#[chronoplane::test]
async fn an_old_file_becomes_a_new_one(sim: Sim) {
    let host = sim.host("cp1");
    let old = format!(
        "{V3}kind: ClusterConfiguration\napiServer:\n  extraArgs:\n    v: \"2\"\n  timeoutForControlPlane: 2m0s\n\
         networking:\n  podSubnet: 10.1.0.0/16\n---\n\
         {V3}kind: InitConfiguration\nbootstrapTokens:\n- token: abcdef.0123456789abcdef\n  ttl: 1h0m0s\n\
         nodeRegistration:\n  name: one\n---\n\
         apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 5\n"
    );
    let args = ["config", "migrate", "--old-config=/root/kubeadm.yaml", "--new-config=/root/new.yaml"];
    assert_eq!(on_file(&host, &old, &args).await.expect("written"), "");
    let new = host.disk().read_to_string("/root/new.yaml").expect("there");
    let documents: Vec<Value> =
        new.split("---\n").map(|doc| serde_saphyr::from_str(doc).expect("YAML")).collect();
    let [init, cluster] = documents.as_slice() else { panic!("components are not migrated: {new}") };
    assert_eq!(
        (&init["kind"], &cluster["kind"]),
        (&"InitConfiguration".into(), &"ClusterConfiguration".into())
    );
    for (doc, at, value) in [
        (init, "/apiVersion", "kubeadm.k8s.io/v1beta4"),
        (init, "/bootstrapTokens/0/token", "abcdef.0123456789abcdef"),
        (init, "/bootstrapTokens/0/ttl", "1h0m0s"),
        (init, "/nodeRegistration/name", "one"),
        (init, "/timeouts/controlPlaneComponentHealthCheck", "2m0s"),
        (cluster, "/apiServer/extraArgs/0/name", "v"),
        (cluster, "/networking/podSubnet", "10.1.0.0/16"),
        (cluster, "/networking/dnsDomain", "cluster.local"),
        (cluster, "/encryptionAlgorithm", "RSA-2048"),
    ] {
        assert_eq!(doc.pointer(at).and_then(Value::as_str), Some(value), "{at}: {new}");
    }
    let again = ["config", "migrate", "--old-config=/root/new.yaml"];
    assert_eq!(kubeadm(&host, &again).await.expect("printed"), new, "the newest stays as it is");
}

#[chronoplane::test]
async fn what_no_release_or_not_this_one_reads_is_named(sim: Sim) {
    let host = sim.host("cp1");
    for (release, command, text, words) in [
        (
            "1.36",
            "init",
            "apiVersion: kubeadm.k8s.io/v1beta2\nkind: InitConfiguration\n".to_owned(),
            "your configuration file uses an old API spec: \"kubeadm.k8s.io/v1beta2\" (kind: \"InitConfiguration\"). Please \
             use kubeadm v1.22 instead and run 'kubeadm config migrate --old-config old-config-file --new-config \
             new-config-file', which will write the new, similar spec using a newer API version.",
        ),
        (
            "1.28",
            "init",
            format!("{V4}kind: InitConfiguration\n"),
            "no kind \"InitConfiguration\" is registered for version \"kubeadm.k8s.io/v1beta4\" in scheme \"kubeadm\"; \
             kubeadm v1.28.0 reads kubeadm.k8s.io/v1beta3",
        ),
        (
            "1.36",
            "init",
            format!("{V4}kind: JoinConfiguration\n"),
            "no InitConfiguration or ClusterConfiguration kind was found",
        ),
        (
            "1.36",
            "join",
            format!("{V4}kind: InitConfiguration\n"),
            "no JoinConfiguration found in the supplied config",
        ),
        (
            "1.36",
            "reset",
            format!("{V4}kind: InitConfiguration\n"),
            "no ResetConfiguration found in the supplied config",
        ),
        (
            "1.36",
            "validate",
            "apiVersion: cooking.example.com/v1\nkind: Recipe\n".into(),
            "unknown configuration APIs: []schema.GroupVersionKind{schema.GroupVersionKind{Group:\"cooking.example.com\", \
             Version:\"v1\", Kind:\"Recipe\"}}",
        ),
        (
            "1.36",
            "validate",
            format!("{V4}kind: InitConfiguration\nnodeRegistration:\n  nam: x\n"),
            "error unmarshaling configuration schema.GroupVersionKind{Group:\"kubeadm.k8s.io\", Version:\"v1beta4\", \
             Kind:\"InitConfiguration\"}: strict decoding error: unknown field \"nodeRegistration.nam\"",
        ),
        (
            "1.36",
            "validate",
            format!("{V3}kind: ClusterConfiguration\nencryptionAlgorithm: RSA-2048\n"),
            "strict decoding error: unknown field \"encryptionAlgorithm\"",
        ),
        (
            "1.36",
            "init",
            format!("{V4}kind: ClusterConfiguration\nscheduler:\n  extraArgs:\n    v: \"2\"\n"),
            "ClusterConfiguration.scheduler.extraArgs: expected a list of name and value",
        ),
        (
            "1.36",
            "init",
            format!("{V4}kind: InitConfiguration\nbootstrapTokens:\n- token: short\n"),
            "bootstrapTokens[0].token: the bootstrap token was not of the form",
        ),
        (
            "1.36",
            "init",
            format!("{V4}kind: InitConfiguration\nbootstrapTokens:\n- usages: [cooking]\n"),
            "bootstrapTokens[0].usages: Invalid value: [\"cooking\"]: invalid bootstrap token usage string: cooking",
        ),
        (
            "1.36",
            "init",
            format!("{V4}kind: InitConfiguration\nlocalAPIEndpoint:\n  bindPort: 70000\n"),
            "localAPIEndpoint.bindPort: 70000 is not a port",
        ),
    ] {
        let release = format!("--kubernetes-version={release}");
        let mut args = vec![command, "--config=/root/kubeadm.yaml", &release];
        if command == "validate" {
            args.insert(0, "config");
        }
        let said = on_file(&host, &text, &args).await.expect_err(words);
        assert!(said.contains(words), "{text}: {said}");
    }
    assert!(host.disk().list("/etc/kubernetes").is_err(), "nothing was written");
}

/// A control plane's manifest as one of the two newest versions asks for it.
async fn manifest(host: &Host, text: &str, component: &str) -> Value {
    let args = ["init", "phase", "control-plane", component, "--config=/root/kubeadm.yaml"];
    on_file(host, text, &args).await.expect("written");
    let path = format!("/etc/kubernetes/manifests/kube-{component}.yaml");
    serde_saphyr::from_str(&host.disk().read_to_string(path).expect("there")).expect("YAML")
}

#[chronoplane::test]
async fn flags_environment_volumes_and_patches_reach_the_manifests(sim: Sim) {
    let host = sim.host("cp1");
    let volumes = "  extraVolumes:\n  - name: audit\n    hostPath: /var/log/audit\n    mountPath: /audit\n    \
                   readOnly: true\n    pathType: DirectoryOrCreate\n";
    let patches = "/etc/kubeadm-patches";
    for (file, text) in [
        (
            "kube-apiserver0+strategic.yaml",
            "spec:\n  containers:\n  - name: kube-apiserver\n    resources:\n      requests:\n        cpu: 500m\n",
        ),
        ("kube-apiserver1+json.yaml", "- op: add\n  path: /metadata/labels/tier2\n  value: gold\n"),
        ("kube-scheduler+merge.json", "{\"metadata\": {\"labels\": {\"tier\": null}}}"),
        ("README.md", "about these patches"),
    ] {
        host.disk().write(format!("{patches}/{file}"), text, 0o644).expect("written");
    }
    let old = format!("{V3}kind: ClusterConfiguration\napiServer:\n  extraArgs:\n    v: \"2\"\n{volumes}");
    let new = format!(
        "{V4}kind: ClusterConfiguration\napiServer:\n  extraArgs:\n  - {{name: v, value: \"2\"}}\n  - {{name: vmodule, value: a}}\n  \
         - {{name: vmodule, value: b}}\n  extraEnvs:\n  - {{name: GODEBUG, value: x}}\n{volumes}---\n\
         {V4}kind: InitConfiguration\npatches:\n  directory: {patches}\n"
    );
    for (text, is_new) in [(&old, false), (&new, true)] {
        let pod = manifest(&host, text, "apiserver").await;
        let container = &pod["spec"]["containers"][0];
        let command: Vec<&str> =
            container["command"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert!(command.contains(&"--v=2"), "{command:?}");
        assert_eq!(
            command.iter().filter(|arg| arg.starts_with("--vmodule=")).count(),
            if is_new { 2 } else { 0 }
        );
        let mounts = container["volumeMounts"].as_array().expect("a list");
        assert!(mounts.iter().any(|m| m["mountPath"] == "/audit" && m["readOnly"] == true), "{mounts:?}");
        let volumes = pod["spec"]["volumes"].as_array().expect("a list");
        assert!(volumes.iter().any(|v| v["hostPath"]["path"] == "/var/log/audit"), "{volumes:?}");
        assert_eq!(container["env"][0]["name"] == "GODEBUG", is_new);
        assert_eq!(
            container["resources"]["requests"]["cpu"] == "500m",
            is_new,
            "the control run is without patches"
        );
        assert_eq!(pod["metadata"]["labels"]["tier2"] == "gold", is_new);
    }
    let pod = manifest(&host, &new, "scheduler").await;
    assert_eq!(pod["metadata"]["labels"]["tier"], Value::Null, "merged away");
    let args = ["init", "phase", "control-plane", "apiserver", "--config=/root/kubeadm.yaml"];
    let words = kubeadm(&host, &args).await.expect("written");
    for line in [
        "[patches] Reading patches from path \"/etc/kubeadm-patches\"\n",
        "[patches] Ignoring file \"README.md\": the file extension must be one of [json yaml]\n",
        "[patches] Applied patch of type \"application/json-patch+json\" to target \"kube-apiserver\"\n",
    ] {
        assert!(words.contains(line), "{line}: {words}");
    }
    host.disk().write(format!("{patches}/etcd+xml.yaml"), "x", 0o644).expect("written");
    let words = kubeadm(&host, &args).await.expect_err("no such type").to_string();
    assert!(
        words.contains("unknown or missing patch type after '+', must be one of [json merge strategic]"),
        "{words}"
    );
}

#[chronoplane::test]
async fn the_kubelets_own_document_is_filled_up_and_written(sim: Sim) {
    let host = sim.host("cp1");
    Machinery::tasks(TaskLauncher::default()).install(&host, Profile::default());
    let text = format!(
        "{V4}kind: InitConfiguration\nnodeRegistration:\n  kubeletExtraArgs:\n  - {{name: v, value: \"4\"}}\n---\n\
         apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 50\nclusterDomain: corp.local\n"
    );
    let args = ["init", "phase", "kubelet-start", "--config=/root/kubeadm.yaml", "--dry-run"];
    let words = on_file(&host, &text, &args).await.expect("told");
    let warning = "WARNING: the recommended value for \"clusterDomain\" in \"KubeletConfiguration\" is: cluster.local; the \
                   provided value is: corp.local\n";
    assert!(words.contains(warning), "{words}");
    let dir = dry_runs(&host).pop().expect("there");
    let config = host.disk().read_to_string(format!("{dir}/config.yaml")).expect("there");
    for line in ["maxPods: 50\n", "clusterDomain: corp.local\n", "rotateCertificates: true\n"] {
        assert!(config.contains(line), "{config}");
    }
    let flags = host.disk().read_to_string(format!("{dir}/kubeadm-flags.env")).expect("there");
    assert_eq!(flags, "KUBELET_KUBEADM_ARGS=\"--v=4\"\n");
}

/// A misspelt field of a component is told by its path, and only `config validate` stops for it.
#[chronoplane::test]
async fn misspelt_fields_of_components_are_warned_about(sim: Sim) {
    let host = sim.host("cp1");
    for (group, version, kind, body, fields) in [
        (
            "kubelet.config.k8s.io",
            "v1beta1",
            "KubeletConfiguration",
            "maxPodz: 50\nauthentication: {anonymus: {enabled: true}}\nmaxPods: 40\n",
            "unknown field \"maxPodz\", unknown field \"authentication.anonymus\"",
        ),
        (
            "kubeproxy.config.k8s.io",
            "v1alpha1",
            "KubeProxyConfiguration",
            "mode: nftables\niptables: {masquerade: true}\n",
            "unknown field \"iptables.masquerade\"",
        ),
    ] {
        let text = format!(
            "{V4}kind: ClusterConfiguration\nencryptionAlgorithm: ECDSA-P256\n---\napiVersion: {group}/{version}\nkind: {kind}\n{body}"
        );
        let words = format!(
            "error unmarshaling configuration schema.GroupVersionKind{{Group:\"{group}\", Version:\"{version}\", \
             Kind:\"{kind}\"}}: strict decoding error: "
        );
        let said = on_file(&host, &text, &["init", "phase", "certs", "ca", "--config=/root/kubeadm.yaml"])
            .await
            .expect("made");
        let told = said.lines().find_map(|line| line.strip_prefix(&format!("WARNING: {words}")));
        let told = told.unwrap_or_else(|| panic!("{words}: {said}"));
        let (mut told, mut expected): (Vec<_>, Vec<_>) =
            (told.split(", ").collect(), fields.split(", ").collect());
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected);
        let said = on_file(&host, &text, &["config", "validate", "--config=/root/kubeadm.yaml"])
            .await
            .expect_err("refused");
        assert!(said.to_string().contains(&words), "{said}");
    }
}

#[chronoplane::test(nodes = 1)]
async fn tokens_addons_and_discovery_are_as_the_file_says(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let text = format!(
        "{V4}kind: InitConfiguration\nbootstrapTokens:\n- token: aaaaaa.0123456789abcdef\n  description: for one\n  ttl: 2h0m0s\n\
         - token: bbbbbb.0123456789abcdef\n  ttl: 0s\n  usages: [authentication]\n  groups: ['system:bootstrappers:mine']\n"
    );
    let args = ["init", "phase", "bootstrap-token", "--config=/root/kubeadm.yaml"];
    let words = on_file(&cp, &text, &args).await.expect("made");
    assert!(
        words.contains("[bootstrap-token] Using tokens: [aaaaaa.0123456789abcdef bbbbbb.0123456789abcdef]\n"),
        "{words}"
    );
    let listed = cluster.kubeadm(&cp, &["token", "list"]).await.expect("listed");
    let row = |id: &str| {
        let line = listed.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{listed}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert!(
        row("aaaaaa").contains("authentication,signing for one system:bootstrappers:kubeadm"),
        "{listed}"
    );
    assert!(
        row("bbbbbb").ends_with("<forever> <never> authentication <none> system:bootstrappers:mine"),
        "{listed}"
    );

    // A kubeconfig with the cluster and its CA, and a token for the bootstrap.
    let info = pki::kubeconfig::Kubeconfig::load(cp.disk(), "/etc/kubernetes/admin.conf").expect("readable");
    let file = pki::kubeconfig::Kubeconfig::new(
        "any",
        info.cluster().expect("a cluster").1.clone(),
        "nobody",
        pki::kubeconfig::User::default(),
    );
    let node = fresh(&cluster, "node2");
    node.disk().write("/root/discovery.conf", file.to_yaml(), 0o600).expect("written");
    let args =
        ["join", "--discovery-file=/root/discovery.conf", "--tls-bootstrap-token=aaaaaa.0123456789abcdef"];
    let words = cluster.kubeadm(&node, &args[..2]).await.expect_err("no credentials").to_string();
    assert!(
        words.contains("couldn't find authentication credentials for the TLS bootstrap process"),
        "{words}"
    );
    let joined = cluster.kubeadm(&node, &args).await.expect("joins");
    assert!(joined.contains("This node has joined the cluster:"), "{joined}");
    let other = fresh(&cluster, "node3");
    let args =
        ["join", "--discovery-file=http://10.0.0.1/conf", "--tls-bootstrap-token=aaaaaa.0123456789abcdef"];
    let words = refusal(&cluster, &other, &args).await;
    assert!(words.contains("if a URL is used, the scheme must be https"), "{words}");
}

#[chronoplane::test]
async fn a_node_registers_as_its_file_says_whatever_the_version(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let (endpoint, token, pin) = {
        let args = arguments(&printed);
        (args[1].to_owned(), args[3].to_owned(), args[5].to_owned())
    };
    for (name, head, flags) in
        [("new1", V4, "[{name: node-labels, value: disk=ssd}]"), ("old1", V3, "{node-labels: disk=ssd}")]
    {
        let node = fresh(&cluster, name);
        let text = format!(
            "{head}kind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    apiServerEndpoint: {endpoint}\n    \
             token: {token}\n    caCertHashes: ['{pin}']\nnodeRegistration:\n  name: {name}.example.com\n  \
             kubeletExtraArgs: {flags}\n  taints:\n  - {{key: dedicated, value: db, effect: NoSchedule}}\n  \
             ignorePreflightErrors: [Swap]\n"
        );
        node.disk().write("/root/kubeadm.yaml", text, 0o600).expect("written");
        cluster.kubeadm(&node, &["join", "--config=/root/kubeadm.yaml"]).await.expect("joins");
        let nodes = client::Resource::core("nodes");
        let seen = cluster.admin().get(&nodes, None, &format!("{name}.example.com")).await.expect("there");
        assert_eq!(seen["metadata"]["labels"]["disk"], "ssd", "{seen}");
        let taints = seen["spec"]["taints"].as_array().expect("tainted");
        assert!(taints.iter().any(|t| t["key"] == "dedicated" && t["value"] == "db"), "{taints:?}");
    }
}
