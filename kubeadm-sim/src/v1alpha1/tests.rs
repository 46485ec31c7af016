//! Documents as people wrote them, and the complaints about what nobody can mean.

use super::*;

/// A host to take defaults from.
fn applied(minor: u16, text: &str) -> Result<InitConfig, String> {
    let outcome = world::sim::run(world::sim::Config::default(), async |sim| {
        let profile = Profile::of_minor(minor).expect("known");
        let mut config = InitConfig::new(&sim.host("Master-0"), profile);
        config.apply_file("config.yaml", text).map(|()| config).map_err(|e| e.to_string())
    });
    outcome.expect("a runtime")
}

/// The recipe for three masters behind a balancer.
const HA: &str = r#"
apiVersion: kubeadm.k8s.io/v1alpha1
kind: MasterConfiguration
api:
  advertiseAddress: 10.0.0.7
etcd:
  endpoints:
  - https://10.0.0.1:2379
  - https://10.0.0.2:2379
  - https://10.0.0.3:2379
  caFile: /etc/kubernetes/pki/etcd/ca.pem
  certFile: /etc/kubernetes/pki/etcd/client.pem
  keyFile: /etc/kubernetes/pki/etcd/client-key.pem
networking:
  podSubnet: 10.244.0.0/16
apiServerCertSANs:
- 10.0.0.100
- balancer.example.com
apiServerExtraArgs:
  apiserver-count: "3"
kubernetesVersion: stable-1.10
token: abcdef.0123456789abcdef
tokenTTL: "0"
"#;

#[test]
fn the_recipe_for_three_masters() {
    let config = applied(10, HA).expect("read");
    assert_eq!(config.advertise_address.to_string(), "10.0.0.7");
    let etcd = config.cluster.external_etcd.as_ref().expect("external");
    assert_eq!(
        (etcd.endpoints.len(), etcd.key_file.as_str()),
        (3, "/etc/kubernetes/pki/etcd/client-key.pem")
    );
    assert_eq!(config.cluster.pod_subnet, "10.244.0.0/16");
    assert_eq!(config.cluster.cert_sans, ["10.0.0.100", "balancer.example.com"]);
    assert_eq!(config.cluster.extra_args["kube-apiserver"], [("apiserver-count".into(), "3".into())]);
    assert_eq!(config.cluster.profile, Profile::of_minor(10).expect("known"));
    assert_eq!(config.node_name, "master-0", "the host's name, in lower case");
    let [token] = &config.tokens[..] else { panic!("one token: {:?}", config.tokens.len()) };
    let revealed = token.token.as_ref().map(pki::token::BootstrapToken::reveal);
    assert_eq!((revealed.as_deref(), token.ttl.as_secs()), (Some("abcdef.0123456789abcdef"), 0));
}

#[test]
fn what_is_stored_reads_as_what_was_given() {
    for minor in [8, 9, 10] {
        let given = HA.replace("stable-1.10", &format!("v1.{minor}.3"))
            + "noTaintMaster: true\nunifiedControlPlaneImage: k8s.gcr.io/hyperkube:v1.10.3\n";
        let config = applied(minor, &given).expect("read");
        let stored = to_value(&config).to_string();
        assert!(!stored.contains("0123456789abcdef"), "the token stays out");
        let mut again = applied(minor, &stored).expect("read again");
        again.tokens.clone_from(&config.tokens);
        assert_eq!(to_value(&again), to_value(&config));
        assert!(is_untainted(&again));
    }
}

#[test]
fn the_next_version_says_the_same_elsewhere() {
    let text = r#"
apiVersion: kubeadm.k8s.io/v1alpha2
kind: MasterConfiguration
nodeRegistration: {name: m1, taints: []}
bootstrapTokens: [{token: abcdef.0123456789abcdef, ttl: 1h0m0s, groups: ["system:bootstrappers:me"]}]
etcd: {local: {dataDir: /data/etcd, serverCertSANs: [etcd.example.com]}}
"#;
    let config = applied(11, text).expect("read");
    assert_eq!((config.node_name.as_str(), is_untainted(&config)), ("m1", true));
    assert_eq!((config.tokens[0].ttl.as_secs(), config.tokens[0].groups.len()), (3600, 1));
    assert_eq!(config.cluster.etcd_data_dir, "/data/etcd");
}

#[test]
fn complaints_name_the_field() {
    let check = |minor: u16, more: &str, words: &str| {
        let text = format!("apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\n{more}\n");
        let e = applied(minor, &text).expect_err(words);
        assert!(e.contains(words), "{e}");
    };
    check(
        10,
        "apiserverCertSANs: [a]",
        "apiserverCertSANs: unknown field; the fields here are api, apiServerCertSANs",
    );
    check(10, "api: {advertiseAdress: 1.2.3.4}", "api.advertiseAdress: unknown field");
    check(10, "api: {advertiseAddress: here}", "api.advertiseAddress: \"here\" is not an IP address");
    check(10, "api: {bindPort: 66000}", "api.bindPort: expected a port");
    check(
        10,
        "apiServerExtraArgs: {apiserver-count: 3}",
        "apiServerExtraArgs: expected a map of strings to strings",
    );
    check(10, "etcd: {endpoints: [\"etcd:2379\"]}", "etcd.endpoints: \"etcd:2379\" is not a URL");
    check(
        10,
        "etcd: {endpoints: [\"https://e:2379\"], certFile: /c}",
        "etcd: certFile and keyFile belong together: give both or none",
    );
    check(10, "apiServerExtraVolumes: [{name: v}]", "apiServerExtraVolumes[0].hostPath: expected a value");
    check(
        10,
        "tokenUsages: [signing, baking]",
        "tokenUsages: \"baking\": invalid bootstrap token usage string",
    );
    check(10, "featureGates: {SelfHosted: true}", "featureGates: unrecognized feature-gate key: SelfHosted");
    check(10, "kubernetesVersion: v1.99.0", "kubernetesVersion: Kubernetes v1.99.0 has no profile");
    check(10, "networking: flat", "networking: expected an object with fields");
    // A release that no longer reads it says which one does.
    check(12, "", "Please use kubeadm v1.11 instead");
    check(36, "", "Please use kubeadm v1.11 instead");
}
