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
        (
            ("/proc/sys/kernel/osrelease", "4.18.0-553.el8.x86_64\n"),
            "SystemVerification",
            "kernel release 4.18.0-553.el8.x86_64 is unsupported. Recommended LTS version from the 4.x series is 4.19. Any \
             5.x or 6.x versions are also supported. For cgroups v2 support, the minimal version is 4.15 and the recommended \
             version is 5.8+",
            true,
        ),
        (
            ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io hugetlb pids\n"),
            "SystemVerification",
            "missing required cgroups: memory",
            true,
        ),
        (
            ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n"),
            "SystemVerification",
            "missing optional cgroups: hugetlb",
            false,
        ),
        (
            ("/usr/bin/containerd", "containerd containerd.io 1.7.27 05044ec\n"),
            "ContainerRuntimeVersion",
            "You must update your container runtime to a version that supports the CRI method RuntimeConfig. Falling back to \
             using cgroupDriver from kubelet config will be removed in 1.37. For more information, see \
             https://git.k8s.io/enhancements/keps/sig-node/4033-group-driver-detection-over-cri",
            false,
        ),
        (
            ("/proc/self/status", "Name:\tkubeadm\nUid:\t1000\t1000\t1000\t1000\n"),
            "IsPrivilegedUser",
            "user is not running as root",
            true,
        ),
        (("/var/lib/etcd/member", "x"), "DirAvailable--var-lib-etcd", "/var/lib/etcd is not empty", true),
    ] {
        if file.0.starts_with("/usr/bin/") {
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

/// What is said of cgroups, release by release.
#[chronoplane::test]
async fn the_first_version_of_cgroups_is_borne_then_warned_about_then_refused(sim: Sim) {
    let cp = sim.host("cp1");
    let groups = ["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "hugetlb"];
    let text: String = groups.iter().map(|group| format!("{group}\t1\t1\t1\n")).collect();
    cp.disk()
        .write("/proc/cgroups", format!("#subsys_name\thierarchy\tnum_cgroups\tenabled\n{text}"), 0o444)
        .expect("written");
    for (version, words, fatal) in [
        ("1.30", None, false),
        ("1.34", Some("cgroups v1 support is in maintenance mode, please migrate to cgroups v2\n"), false),
        ("1.35", Some("cgroups v1 support is deprecated and will be removed in a future release."), true),
    ] {
        Machinery::tasks(TaskLauncher::default()).install(&cp, Profile::parse(version).expect("known"));
        let run = async |ignored: &str| {
            let args = [
                "init",
                "phase",
                "preflight",
                &format!("--kubernetes-version={version}"),
                &format!("--ignore-preflight-errors={ignored}"),
            ];
            kubeadm(&cp, &args).await.map_err(|e| e.to_string())
        };
        let outcome = run("none").await;
        assert_eq!(outcome.is_err(), fatal, "{version}");
        let said = outcome.unwrap_or_else(|said| said);
        let level = if fatal { "ERROR" } else { "WARNING" };
        match words {
            Some(words) => assert!(
                said.contains(&format!("\t[{level} SystemVerification]: {words}")),
                "{version}: {said}"
            ),
            None => assert!(!said.contains("SystemVerification"), "{version}: {said}"),
        }
        run("SystemVerification").await.expect("ignored");
    }
}

/// Who is not root is told nothing else.
#[chronoplane::test]
async fn somebody_else_than_root_gets_no_further(sim: Sim) {
    let cp = host(&sim, "cp1");
    cp.disk().write("/proc/self/status", "Uid:\t1000\t1000\t1000\t1000\n", 0o444).expect("written");
    cp.disk().write("/proc/cpuinfo", "processor\t: 0\n", 0o444).expect("written");
    for args in [vec!["init", "phase", "preflight"], vec!["reset", "--force"]] {
        let said = kubeadm(&cp, &args).await.expect_err("no root").to_string();
        assert!(
            said.contains("\t[ERROR IsPrivilegedUser]: user is not running as root\n"),
            "{args:?}: {said}"
        );
        assert!(!said.contains("NumCPU"), "asked first: {said}");
    }
    let ignored = ["init", "phase", "preflight", "--ignore-preflight-errors=IsPrivilegedUser"];
    let said = kubeadm(&cp, &ignored).await.expect_err("one CPU").to_string();
    assert!(said.contains("\t[WARNING IsPrivilegedUser]: ") && said.contains("\t[ERROR NumCPU]: "), "{said}");
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
