//! Command lines that are right, and what is said about those that are not.

use super::{Backend, EndpointReconciler, Options, flags};

const MEMORY: &str = "--storage-backend=memory";

#[track_caller]
fn refused(args: &[&str], words: &str) {
    let error = Options::parse(args).expect_err("this command line is wrong");
    assert_eq!(error.to_string(), words, "{args:?}");
}

#[test]
fn every_flag_is_found_by_its_name() {
    for (name, shape, standing) in flags::FLAGS {
        assert_eq!(flags::find(name), Some((*shape, *standing)), "the table is not sorted at {name}");
    }
}

#[test]
fn wrong_flags_are_refused_in_one_sentence() {
    refused(&[MEMORY, "--frobnicate"], "unknown flag: --frobnicate");
    refused(&[MEMORY, "--frob_nicate=1"], "unknown flag: --frob-nicate");
    refused(&["--secure-port"], "flag needs an argument: --secure-port");
    refused(&["serve"], "unknown command \"serve\" for \"kube-apiserver\": flags begin with two dashes");
    refused(
        &[MEMORY, "--secure-port=0"],
        "--secure-port 0 must be between 1 and 65535, inclusive. It cannot be turned off with 0",
    );
    refused(
        &[MEMORY, "--bind-address=here"],
        "invalid argument \"here\" for \"--bind-address\" flag: failed to parse IP: \"here\"",
    );
    refused(
        &[MEMORY, "--event-ttl=soon"],
        "invalid argument \"soon\" for \"--event-ttl\" flag: time: invalid duration \"soon\"",
    );
    refused(
        &[MEMORY, "--apiserver-count=0"],
        "--apiserver-count should be a positive number, but value '0' provided",
    );
    refused(
        &[MEMORY, "--endpoint-reconciler-type=magic"],
        "invalid argument \"magic\" for \"--endpoint-reconciler-type\" flag: use one of master-count, lease, none",
    );
    refused(&[MEMORY, "--audit-log-maxage=-1"], "--audit-log-maxage -1 can't be a negative number");
    refused(
        &[MEMORY, "--audit-webhook-mode=async"],
        "invalid audit webhook mode async, allowed modes are \"batch,blocking,blocking-strict\"",
    );
    refused(
        &[MEMORY, "--audit-webhook-batch-buffer-size=0"],
        "invalid audit batch webhook buffer size 0, must be a positive number",
    );
    refused(
        &[MEMORY, "--audit-webhook-batch-throttle-qps=0"],
        "invalid audit batch webhook throttle QPS 0, must be a positive number",
    );
    let rate = ["--audit-webhook-batch-throttle-enable=false", "--audit-webhook-batch-throttle-qps=0"];
    assert_eq!(Options::parse([MEMORY, rate[0], rate[1]]).unwrap().audit_batching.throttle, None);
    refused(&[], "--etcd-servers must be specified, or --storage-backend=memory or sled");
    refused(
        &["--storage-backend=sled"],
        "--storage-backend=sled needs --data-dir, the directory to keep the objects in",
    );
    refused(&[MEMORY, "--authorization-mode=Magic"], "authorization-mode \"Magic\" is not a valid mode");
}

#[test]
fn how_endpoints_are_kept_is_the_release_s_unless_a_flag_says_it() {
    for (args, expected) in [
        (&[][..], EndpointReconciler::Lease),
        (&["--kubernetes-version=1.11"], EndpointReconciler::Lease),
        (&["--kubernetes-version=1.10"], EndpointReconciler::MasterCount),
        (&["--kubernetes-version=1.10", "--endpoint-reconciler-type=lease"], EndpointReconciler::Lease),
        (&["--endpoint-reconciler-type=none"], EndpointReconciler::None),
    ] {
        let options = Options::parse([MEMORY].iter().chain(args)).unwrap();
        assert_eq!(options.endpoint_reconciler, expected, "{args:?}");
    }
}

#[test]
fn what_kubeadm_writes_is_taken() {
    let options = Options::parse([
        "--advertise-address=10.0.0.1",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--client-ca-file=/etc/kubernetes/pki/ca.crt",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-bootstrap-token-auth=true",
        "--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt",
        "--etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt",
        "--etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key",
        "--etcd-servers=https://127.0.0.1:2379",
        "--kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt",
        "--kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "--proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt",
        "--proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        "--runtime-config=",
        "--secure-port=6443",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--service-account-key-file=/etc/kubernetes/pki/sa.pub",
        "--service-account-signing-key-file=/etc/kubernetes/pki/sa.key",
        "--service-cluster-ip-range=10.96.0.0/12",
        "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt",
        "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
    ])
    .unwrap();
    assert_eq!(options.authorization_modes, ["Node", "RBAC"]);
    assert_eq!(options.service_cluster_ip_ranges, ["10.96.0.0/12"]);
    assert!(options.enable_bootstrap_token_auth);
    assert!(
        matches!(&options.backend, Backend::Etcd { endpoints, .. } if endpoints == &["https://127.0.0.1:2379"])
    );
}

#[test]
fn underscores_and_separate_values_are_the_same() {
    let options = Options::parse([
        "--storage_backend",
        "memory",
        "--secure_port",
        "7443",
        "--anonymous-auth=false",
        "--service-account-lookup",
        "-v",
        "4",
    ])
    .unwrap();
    assert_eq!(
        (options.secure_port, options.anonymous_auth, options.service_account_lookup),
        (7443, false, true)
    );
}

#[test]
fn flags_of_authentication_go_together_and_end_with_their_release() {
    refused(
        &[MEMORY, "--basic-auth-file=/a", "--kubernetes-version=1.19.0"],
        "--basic-auth-file is not supported: basic authentication was removed in Kubernetes 1.19",
    );
    let old = Options::parse([MEMORY, "--basic-auth-file=/a", "--kubernetes-version=1.18.0"]).unwrap();
    assert_eq!(old.basic_auth_file.as_deref(), Some("/a".as_ref()));
    let keystone = "--experimental-keystone-url=https://keystone:5000/v3";
    refused(
        &[MEMORY, keystone, "--kubernetes-version=1.10.0"],
        "--experimental-keystone-url is not supported: Keystone passwords were removed in Kubernetes 1.10: give Keystone's tokens to a webhook, by --authentication-token-webhook-config-file",
    );
    assert!(Options::parse([MEMORY, keystone, "--kubernetes-version=1.9.0"]).unwrap().keystone.is_some());
    refused(
        &[MEMORY, "--experimental-keystone-url=http://keystone", "--kubernetes-version=1.9.0"],
        "Auth URL should be secure and start with https",
    );
    let together =
        "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set";
    refused(&[MEMORY, "--oidc-issuer-url=https://a"], together);
    refused(&[MEMORY, "--oidc-client-id=a"], together);
    refused(&[MEMORY, "--oidc-groups-claim=a"], together);
    let issuer = ["--oidc-issuer-url=https://a", "--oidc-client-id=b"];
    let with = |more: &[&'static str]| [&[MEMORY][..], &issuer, more].concat();
    assert!(Options::parse(with(&[])).unwrap().oidc.is_some());
    refused(&with(&["--oidc-signing-algs=HS256"]), "oidc: unsupported signing alg: \"HS256\"");
    refused(
        &with(&["--oidc-signing-algs=ES512"]),
        "invalid argument \"ES512\" for \"--oidc-signing-algs\" flag: signatures by ES512 cannot be verified here: leave it out",
    );
    refused(
        &with(&["--oidc-required-claim=a"]),
        "invalid argument \"a\" for \"--oidc-required-claim\" flag: malformed pair, expect string=string",
    );
    refused(
        &with(&["--authentication-config=/a"]),
        "authentication-config file and oidc-* flags are mutually exclusive",
    );
    let hook = "--authentication-token-webhook-config-file=/a";
    refused(
        &[MEMORY, hook, "--authentication-token-webhook-version=v2"],
        "unsupported authentication webhook version \"v2\", supported versions are \"v1\", \"v1beta1\"",
    );
    let hook = Options::parse([MEMORY, hook]).unwrap().token_webhook;
    assert_eq!((hook.version.as_str(), hook.cache_ttl.as_secs()), ("v1beta1", 120));
    refused(
        &[MEMORY, "--service-account-jwks-uri=http://a"],
        "service-account-jwks-uri requires https scheme, parsed as: http://a",
    );
    refused(
        &[MEMORY, "--service-account-max-token-expiration=59m"],
        "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds",
    );
}

#[test]
fn admission_is_chosen_in_two_ways() {
    let options =
        Options::parse([MEMORY, "--enable_admission_plugins=NodeRestriction,PodNodeSelector"]).unwrap();
    assert_eq!(options.enable_admission_plugins, ["NodeRestriction", "PodNodeSelector"]);
    assert_eq!(options.admission_control, None);
    let options = Options::parse([
        MEMORY,
        "--kubernetes-version=1.9",
        "--admission_control=Initializers,NamespaceLifecycle",
        "--admission-control=LimitRanger",
        "--admission_control_config_file=/etc/admission.yaml",
        "--default_not_ready_toleration_seconds=30",
    ])
    .unwrap();
    let list: &[String] = options.admission_control.as_deref().unwrap();
    assert_eq!(list, ["Initializers", "NamespaceLifecycle", "LimitRanger"]);
    assert_eq!(options.admission_config_file.as_deref(), Some(std::path::Path::new("/etc/admission.yaml")));
    assert_eq!(options.default_toleration_seconds, (30, 300));
    refused(
        &[MEMORY, "--default-unreachable-toleration-seconds=long"],
        "invalid argument \"long\" for \"--default-unreachable-toleration-seconds\" flag: invalid digit found in \
         string",
    );
}
