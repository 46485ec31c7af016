//! Command lines that are right, and what is said about those that are not.

use super::{Backend, Options, flags};

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
