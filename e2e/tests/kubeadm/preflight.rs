//! Preflight: each check by its name and words, as soon as the host's tree gives it a reason.

use api::profile::Profile;
use chronoplane::{Machinery, Sim, TaskLauncher};
use world::Host;

use crate::common::*;

/// A host that has just a kubelet.
fn host(sim: &Sim, name: &str) -> Host {
    let host = sim.host(name);
    Machinery::tasks(TaskLauncher::default()).install(&host, Profile::default());
    host
}

/// A file breaks one check: the preflight says so, fails if it is an error, and only warns when it is ignored.
async fn check(host: &Host, (path, contents): (&str, &str), name: &str, words: &str, fatal: bool) {
    let run = async |ignored: &str| {
        let args = ["init", "phase", "preflight", &format!("--ignore-preflight-errors={ignored}")];
        kubeadm(host, &args).await.map_err(|e| e.to_string())
    };
    let fine = run("none").await.expect("fine without the file");
    assert!(!fine.contains(&format!(" {name}]")), "{name}: {fine}");
    host.disk().write(path, contents, 0o644).expect("written");
    let warning = format!("\t[WARNING {name}]: {words}\n");
    if fatal {
        let said = run("none").await.expect_err(name);
        assert!(said.contains(&format!("\t[ERROR {name}]: {words}\n")), "{name}: {said}");
        assert!(said.contains("error execution phase preflight: preflight checks failed"), "{said}");
        for ignored in [name, &name.to_lowercase(), "all"] {
            let said = run(ignored).await.expect("ignored");
            assert!(said.contains(&warning), "{ignored}: {said}");
        }
    } else {
        let said = run("none").await.expect("a warning only");
        assert!(said.contains(&warning), "{name}: {said}");
    }
    host.disk().remove(path).expect("there");
}

#[chronoplane::test]
async fn a_machine_is_what_its_tree_says(sim: Sim) {
    let cp = host(&sim, "cp1");
    for (file, name, words, fatal) in [
        (
            ("/proc/cpuinfo", "processor\t: 0\n"),
            "NumCPU",
            "the number of available CPUs 1 is less than the required 2",
            true,
        ),
        (
            ("/proc/meminfo", "MemTotal:  1048576 kB\n"),
            "Mem",
            "the system RAM (1024 MB) is less than the minimum 1700 MB",
            true,
        ),
        (
            ("/proc/swaps", "Filename Type Size Used Priority\n/swapfile file 1 0 -2\n"),
            "Swap",
            "swap is supported for cgroup v2 only. The kubelet must be properly configured to use swap. Please refer to \
             https://kubernetes.io/docs/concepts/architecture/nodes/#swap-memory, or disable swap on the node",
            false,
        ),
        (
            ("/proc/sys/net/ipv4/ip_forward", "0\n"),
            "FileContent--proc-sys-net-ipv4-ip_forward",
            "/proc/sys/net/ipv4/ip_forward contents are not set to 1",
            true,
        ),
        (
            ("/etc/environment", "https_proxy=http://proxy:3128\nno_proxy=10.96.0.0/12\n"),
            "HTTPProxy",
            &format!(
                "Connection to \"https://{}\" uses proxy \"http://proxy:3128\". If that is not intended, adjust your \
                 proxy settings",
                cp.net().address()
            ),
            false,
        ),
        (
            ("/etc/environment", &format!("https_proxy=http://p:1\nno_proxy={}\n", cp.net().address())),
            "HTTPProxyCIDR",
            "connection to \"10.96.0.0/12\" uses proxy \"http://p:1\". This may lead to malfunctional cluster setup. \
             Make sure that Pod and Services IP ranges specified correctly as exceptions in proxy configuration",
            false,
        ),
        (
            ("/usr/bin/kubelet", "Kubernetes v1.32.0\n"),
            "KubeletVersion",
            "Kubelet version \"1.32.0\" is lower than kubeadm can support. Please upgrade kubelet",
            true,
        ),
        (
            ("/etc/kubernetes/manifests/etcd.yaml", "x"),
            "FileAvailable--etc-kubernetes-manifests-etcd.yaml",
            "/etc/kubernetes/manifests/etcd.yaml already exists",
            true,
        ),
        (("/var/lib/etcd/member", "x"), "DirAvailable--var-lib-etcd", "/var/lib/etcd is not empty", true),
    ] {
        if file.0 == "/usr/bin/kubelet" {
            // Its directory makes this a host with programs.
            for program in ["losetup", "mount", "cp"] {
                cp.disk().write(format!("/usr/sbin/{program}"), "", 0o755).expect("written");
            }
        }
        check(&cp, file, name, words, fatal).await;
    }
    let both = ["init", "phase", "preflight", "--ignore-preflight-errors=all,Swap"];
    let said = kubeadm(&cp, &both).await.expect_err("one or the other").to_string();
    assert!(said.contains("\"all,swap\": don't specify individual checks if 'all' is used"), "{said}");
    // As soon as a host has programs, it must have those that kubeadm calls.
    cp.disk().remove("/usr/sbin/mount").expect("there");
    let said = kubeadm(&cp, &["init", "phase", "preflight"]).await.expect_err("no mount").to_string();
    assert!(said.contains("\t[ERROR FileExisting-mount]: mount not found in system path\n"), "{said}");
    assert!(!said.contains("FileExisting-losetup"), "{said}");
}

#[chronoplane::test]
async fn releases_that_do_not_fit_are_named(sim: Sim) {
    let cp = host(&sim, "cp1");
    let bare = sim.host("bare");
    let said = kubeadm(&bare, &["init", "phase", "preflight"]).await.expect_err("no kubelet").to_string();
    assert!(said.contains("\t[WARNING Service-Kubelet]: kubelet service does not exist\n"), "{said}");
    assert!(said.contains("\t[ERROR KubeletVersion]: couldn't get kubelet version: "), "{said}");

    let wanted = async |version: &str| {
        let text = format!(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n"
        );
        cp.disk().write("/root/kubeadm.yaml", text, 0o600).expect("written");
        let args = ["init", "phase", "preflight", "--config=/root/kubeadm.yaml", "--kubernetes-version=1.35"];
        kubeadm(&cp, &args).await.map_err(|e| e.to_string())
    };
    wanted("v1.35.0").await.expect("its own");
    let said = wanted("v1.36.0").await.expect("a warning");
    assert!(
        said.contains(
            "\t[WARNING KubernetesVersion]: Kubernetes version is greater than kubeadm version. Please consider to \
             upgrade kubeadm. Kubernetes version: 1.36.0. Kubeadm version: 1.35.x\n"
        ),
        "{said}"
    );
    let said = wanted("v1.34.0").await.expect_err("the kubelet is of 1.35");
    assert!(
        said.contains(
            "\t[ERROR KubeletVersion]: the kubelet version is higher than the control plane version. This is not a \
             supported version skew and may lead to a malfunctional cluster. Kubelet version: \"1.35.0\" Control plane \
             version: \"1.34.0\"\n"
        ),
        "{said}"
    );
    let said = wanted("v1.33.0").await.expect_err("too old");
    assert!(
        said.contains(
            "this version of kubeadm only supports deploying clusters with the control plane version >= 1.34.0. Current \
             version: v1.33.0"
        ),
        "{said}"
    );
}

#[chronoplane::test]
async fn names_and_firewalls_are_warned_about(sim: Sim) {
    let cp = host(&sim, "cp1");
    let preflight = ["init", "phase", "preflight", "--node-name=elsewhere"];
    let fine = kubeadm(&cp, &preflight).await.expect("no /etc/hosts, no doubt");
    assert!(!fine.contains("[WARNING"), "{fine}");
    cp.disk().write("/etc/hosts", "127.0.0.1 localhost\n", 0o644).expect("written");
    let said = kubeadm(&cp, &preflight).await.expect("warnings");
    assert!(said.contains("\t[WARNING Hostname]: hostname \"elsewhere\" could not be reached\n"), "{said}");
    cp.disk().write("/etc/hosts", "10.0.0.9 elsewhere # the new name\n", 0o644).expect("written");
    let said = kubeadm(&cp, &preflight).await.expect("resolves");
    assert!(!said.contains("[WARNING"), "{said}");

    let unit = world::Unit::new(|_| std::future::pending::<world::Exit>());
    cp.services().install("firewalld", unit.clone());
    assert!(!kubeadm(&cp, &preflight).await.expect("inactive").contains("Firewalld"));
    cp.services().start(&cp, "firewalld");
    let said = kubeadm(&cp, &preflight).await.expect("a warning");
    assert!(
        said.contains(
            "\t[WARNING Firewalld]: firewalld is active, please ensure ports [6443 10250] are open"
        ),
        "{said}"
    );
    cp.services().install("containerd", unit);
    let said = kubeadm(&cp, &preflight).await.expect_err("not started").to_string();
    assert!(said.contains("\t[ERROR CRI]: could not connect to the container runtime:"), "{said}");
    cp.services().start(&cp, "containerd");
    kubeadm(&cp, &preflight).await.expect("it runs");
}
