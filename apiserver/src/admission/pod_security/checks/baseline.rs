//! What no ordinary pod may do: the level against known ways out of a container.

use std::collections::BTreeSet;

use api::{object::ObjectExt as _, status::quoted};
use serde_json::Value;

use super::{
    Finding,
    subject::{Subject, Values, containers, list, plural, set, setters},
};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
/// The first release with the field; it judges pods of all policy versions.
const APP_ARMOR_FIELD_SINCE: u64 = 30;
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [(u64, &str); 12] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

fn is_known_profile(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

pub(super) fn app_armor(pod: &Subject<'_>) -> Option<Finding> {
    let allowed = |profile: &str| {
        profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/")
    };
    let annotations: BTreeSet<String> = pod
        .annotations()
        .filter(|(key, value)| key.starts_with(APP_ARMOR) && !allowed(value))
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    let reason =
        |count: usize| plural(count, "forbidden AppArmor profile", "forbidden AppArmor profiles").to_owned();
    if pod.release < APP_ARMOR_FIELD_SINCE {
        let detail = annotations.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        return (!annotations.is_empty()).then(|| Finding::new(reason(annotations.len()), detail));
    }
    let mut values = Values::new();
    let mut is_bad = |object| {
        let Some(profile) = set(object, "/securityContext/appArmorProfile") else { return false };
        let kind = profile.str_at("/type");
        let bad = !is_known_profile(kind);
        if bad {
            values.insert(kind);
        }
        bad
    };
    let (by_pod, names) = (is_bad(pod.spec), pod.bad(is_bad));
    let mut who: Vec<String> = setters(by_pod, &names).into_iter().collect();
    if !annotations.is_empty() {
        who.push(plural(annotations.len(), "annotation", "annotations").to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let all: Vec<&str> = values.into_iter().chain(annotations.iter().map(String::as_str)).collect();
    let (count, shown) = (all.len(), list(all));
    let detail = format!("{} must not set AppArmor profile type to {shown}", who.join(" and "));
    Some(Finding::new(reason(count), detail))
}

pub(super) fn capabilities(pod: &Subject<'_>) -> Option<Finding> {
    let mut beyond = Values::new();
    let names = pod.bad(|container| {
        let added = container.list_at("/securityContext/capabilities/add").iter().filter_map(Value::as_str);
        let own: Vec<&str> = added.filter(|c| !DEFAULT_CAPABILITIES.contains(c)).collect();
        beyond.extend(own.iter().copied());
        !own.is_empty()
    });
    (!names.is_empty()).then(|| {
        let detail = format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&names),
            list(beyond)
        );
        Finding::new("non-default capabilities", detail)
    })
}

pub(super) fn host_namespaces(pod: &Subject<'_>) -> Option<Finding> {
    let shared = ["hostIPC", "hostNetwork", "hostPID"]
        .into_iter()
        .filter(|field| pod.spec.get(*field).and_then(Value::as_bool).unwrap_or(false));
    let shared: Vec<&str> = shared.collect();
    (!shared.is_empty()).then(|| Finding::new("host namespaces", shared.join(", ")))
}

pub(super) fn host_path_volumes(pod: &Subject<'_>) -> Option<Finding> {
    let volumes = pod.spec.list_at("/volumes").iter().filter(|v| set(v, "/hostPath").is_some());
    let names: Vec<&str> = volumes.map(|v| v.str_at("/name")).collect();
    (!names.is_empty()).then(|| {
        let detail = format!("{} {}", plural(names.len(), "volume", "volumes"), list(names.iter().copied()));
        Finding::new("hostPath volumes", detail)
    })
}

pub(super) fn host_ports(pod: &Subject<'_>) -> Option<Finding> {
    let mut ports = BTreeSet::new();
    let names = pod.bad(|container| {
        let taken = container.list_at("/ports").iter().filter_map(|port| port.i64_at("/hostPort"));
        let taken: Vec<String> = taken.filter(|port| *port != 0).map(|port| port.to_string()).collect();
        let bad = !taken.is_empty();
        ports.extend(taken);
        bad
    });
    (!names.is_empty()).then(|| {
        let detail = format!(
            "{} {} {} {}",
            containers(&names),
            plural(names.len(), "uses", "use"),
            plural(ports.len(), "hostPort", "hostPorts"),
            ports.into_iter().collect::<Vec<_>>().join(", ")
        );
        Finding::new("hostPort", detail)
    })
}

pub(super) fn hosts_of_probes(pod: &Subject<'_>) -> Option<Finding> {
    const HANDLERS: [&str; 5] =
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    let mut hosts = Values::new();
    let names: BTreeSet<&str> = pod
        .bad(|container| {
            let handlers = HANDLERS.iter().filter_map(|handler| container.at(handler));
            let found = handlers
                .flat_map(|handler| ["/httpGet/host", "/tcpSocket/host"].map(|field| handler.str_at(field)));
            let found: Vec<&str> = found.filter(|host| !host.is_empty()).collect();
            hosts.extend(found.iter().copied());
            !found.is_empty()
        })
        .into_iter()
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    (!names.is_empty()).then(|| {
        let detail = format!(
            "{} {} {} {}",
            containers(&names),
            plural(names.len(), "uses", "use"),
            plural(hosts.len(), "probe or lifecycle host", "probe or lifecycle hosts"),
            list(hosts)
        );
        Finding::new("probe or lifecycle host", detail)
    })
}

pub(super) fn privileged(pod: &Subject<'_>) -> Option<Finding> {
    let names = pod.bad(|container| container.bool_at("/securityContext/privileged"));
    (!names.is_empty()).then(|| {
        let detail = format!("{} must not set securityContext.privileged=true", containers(&names));
        Finding::new("privileged", detail)
    })
}

pub(super) fn proc_mount(pod: &Subject<'_>) -> Option<Finding> {
    let mut kinds = Values::new();
    let names = pod.bad(|container| {
        let kind = set(container, "/securityContext/procMount").and_then(Value::as_str);
        let bad = kind.filter(|kind| *kind != "Default");
        kinds.extend(bad);
        bad.is_some()
    });
    (!names.is_empty()).then(|| {
        let who = containers(&names);
        Finding::new("procMount", format!("{who} must not set securityContext.procMount to {}", list(kinds)))
    })
}

pub(super) fn proc_mount_unless_user_namespace(pod: &Subject<'_>) -> Option<Finding> {
    if pod.has_user_namespace() { None } else { proc_mount(pod) }
}

pub(super) fn selinux_1_0(pod: &Subject<'_>) -> Option<Finding> {
    selinux(pod, &["", "container_t", "container_init_t", "container_kvm_t"])
}

pub(super) fn selinux_1_31(pod: &Subject<'_>) -> Option<Finding> {
    selinux(pod, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
}

fn selinux(pod: &Subject<'_>, allowed: &[&str]) -> Option<Finding> {
    let (mut types, mut user, mut role) = (Values::new(), false, false);
    let mut is_bad = |object| {
        let Some(options) = set(object, "/securityContext/seLinuxOptions") else { return false };
        let kind = options.str_at("/type");
        let bad_type = !allowed.contains(&kind);
        if bad_type {
            types.insert(kind);
        }
        let (sets_user, sets_role) =
            (!options.str_at("/user").is_empty(), !options.str_at("/role").is_empty());
        user |= sets_user;
        role |= sets_role;
        bad_type || sets_user || sets_role
    };
    let (by_pod, names) = (is_bad(pod.spec), pod.bad(is_bad));
    let who = setters(by_pod, &names)?;
    // As upstream: who sets the user or the role alone is not told which.
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural(types.len(), "type", "types"), list(types)));
        what.extend(user.then(|| "user may not be set".to_owned()));
        what.extend(role.then(|| "role may not be set".to_owned()));
    }
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", what.join("; "));
    Some(Finding::new("seLinuxOptions", detail))
}

pub(super) fn seccomp_annotations(pod: &Subject<'_>) -> Option<Finding> {
    let allowed = |value: &str| {
        matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/")
    };
    let own: Vec<String> =
        pod.containers().map(|c| format!("{SECCOMP_CONTAINER}{}", c.str_at("/name"))).collect();
    let forbidden: BTreeSet<String> = pod
        .annotations()
        .filter(|(key, value)| (*key == SECCOMP_POD || own.iter().any(|o| o == key)) && !allowed(value))
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    (!forbidden.is_empty()).then(|| {
        let word = plural(forbidden.len(), "annotation", "annotations");
        let shown = forbidden.into_iter().collect::<Vec<_>>().join(", ");
        Finding::new("seccompProfile", format!("forbidden {word} {shown}"))
    })
}

pub(super) fn seccomp(pod: &Subject<'_>) -> Option<Finding> {
    let mut values = Values::new();
    let mut is_bad = |object| {
        let Some(profile) = set(object, "/securityContext/seccompProfile") else { return false };
        let kind = profile.str_at("/type");
        let bad = !is_known_profile(kind);
        if bad {
            values.insert(kind);
        }
        bad
    };
    let (by_pod, names) = (is_bad(pod.spec), pod.bad(is_bad));
    let who = setters(by_pod, &names)?;
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", list(values));
    Some(Finding::new("seccompProfile", detail))
}

pub(super) fn sysctls_1_0(pod: &Subject<'_>) -> Option<Finding> {
    sysctls(pod, 0)
}

pub(super) fn sysctls_1_27(pod: &Subject<'_>) -> Option<Finding> {
    sysctls(pod, 27)
}

pub(super) fn sysctls_1_29(pod: &Subject<'_>) -> Option<Finding> {
    sysctls(pod, 29)
}

pub(super) fn sysctls_1_32(pod: &Subject<'_>) -> Option<Finding> {
    sysctls(pod, 32)
}

fn sysctls(pod: &Subject<'_>, minor: u64) -> Option<Finding> {
    let is_safe = |name: &str| SYSCTLS.iter().any(|(since, safe)| *since <= minor && *safe == name);
    let set = pod.spec.list_at("/securityContext/sysctls").iter().map(|sysctl| sysctl.str_at("/name"));
    let forbidden: Vec<&str> = set.filter(|name| !is_safe(name)).collect();
    (!forbidden.is_empty()).then(|| Finding::new("forbidden sysctls", forbidden.join(", ")))
}

pub(super) fn windows_host_process(pod: &Subject<'_>) -> Option<Finding> {
    let is_bad = |object: &Value| object.bool_at("/securityContext/windowsOptions/hostProcess");
    let who = setters(is_bad(pod.spec), &pod.bad(is_bad))?;
    Some(Finding::new(
        "hostProcess",
        format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
    ))
}
