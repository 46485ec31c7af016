//! Services, what stands behind them, and where their addresses come from.

use serde_json::Value;

use super::{AGE, Column, NAME, Printer, SELECTOR, age, text};
use crate::object::ObjectExt;

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "Service",
        columns: &[
            NAME,
            Column::text("Type", "How the service is exposed."),
            Column::text("Cluster-IP", "Address within the cluster."),
            Column::text("External-IP", "Addresses from outside."),
            Column::text("Port(s)", "Ports, with node port if there is one."),
            AGE,
            SELECTOR,
        ],
        row: |service, now| {
            vec![
                service.name().into(),
                service.str_at("/spec/type").into(),
                text::or(service.str_at("/spec/clusterIPs/0"), text::NONE).into(),
                external_ip(service).into(),
                text::or(&ports(service), text::NONE).into(),
                age(service, now),
                text::labels(service.map_at("/spec/selector")).into(),
            ]
        },
    },
    Printer {
        group: "",
        kind: "Endpoints",
        columns: &[NAME, Column::text("Endpoints", "Addresses and ports that are ready."), AGE],
        row: |endpoints, now| {
            vec![endpoints.name().into(), endpoint_addresses(endpoints).into(), age(endpoints, now)]
        },
    },
    Printer {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        columns: &[
            NAME,
            Column::text("AddressType", "IPv4, IPv6 or FQDN."),
            Column::text("Ports", "Ports of every endpoint."),
            Column::text("Endpoints", "Addresses."),
            AGE,
        ],
        row: |slice, now| {
            let ports = slice.list_at("/ports").iter().map(|port| {
                text::scalar(port.at("/port"))
                    .or_else(|| text::scalar(port.at("/name")))
                    .unwrap_or_else(|| "*".into())
            });
            let addresses =
                slice.list_at("/endpoints").iter().flat_map(|endpoint| endpoint.list_at("/addresses"));
            let addresses = addresses.filter_map(Value::as_str).map(str::to_owned);
            vec![
                slice.name().into(),
                slice.str_at("/addressType").into(),
                text::first_three(ports.collect(), text::UNSET).into(),
                text::first_three(addresses.collect(), text::UNSET).into(),
                age(slice, now),
            ]
        },
    },
    Printer {
        group: "networking.k8s.io",
        kind: "IPAddress",
        columns: &[NAME, Column::text("ParentRef", "Who uses the address.")],
        row: |address, _| {
            let Some(parent) = address.at("/spec/parentRef").filter(|parent| parent.is_object()) else {
                return vec![address.name().into(), text::NONE.into()];
            };
            let group = parent.str_at("/group");
            let mut reference = parent.str_at("/resource").to_lowercase();
            for (separator, part) in
                [(".", group), ("/", parent.str_at("/namespace")), ("/", parent.str_at("/name"))]
            {
                if !part.is_empty() {
                    reference.push_str(separator);
                    reference.push_str(part);
                }
            }
            vec![address.name().into(), reference.into()]
        },
    },
    Printer {
        group: "networking.k8s.io",
        kind: "ServiceCIDR",
        columns: &[NAME, Column::text("CIDRs", "Ranges that service addresses come from."), AGE],
        row: |cidr, now| {
            let cidrs = text::join(cidr.list_at("/spec/cidrs").iter().filter_map(Value::as_str));
            vec![cidr.name().into(), cidrs.into(), age(cidr, now)]
        },
    },
    Printer {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        columns: &[NAME, Column::text("Pod-Selector", "Pods that the policy is about."), AGE],
        row: |policy, now| {
            let selector = text::selector(policy.at("/spec/podSelector"));
            vec![policy.name().into(), text::or(&selector, text::NONE).into(), age(policy, now)]
        },
    },
    Printer {
        group: "networking.k8s.io",
        kind: "Ingress",
        columns: &[
            NAME,
            Column::text("Class", "The ingress class that implements it."),
            Column::text("Hosts", "Host names that it matches."),
            Column::text("Address", "Addresses of the load balancer."),
            Column::text("Ports", "Ports that are open."),
            AGE,
        ],
        row: |ingress, now| {
            let ports = if ingress.list_at("/spec/tls").is_empty() { "80" } else { "80, 443" };
            vec![
                ingress.name().into(),
                text::or(ingress.str_at("/spec/ingressClassName"), text::NONE).into(),
                hosts(ingress).into(),
                load_balancer(ingress).into(),
                ports.into(),
                age(ingress, now),
            ]
        },
    },
    Printer {
        group: "networking.k8s.io",
        kind: "IngressClass",
        columns: &[
            NAME,
            Column::text("Controller", "The controller that implements it."),
            Column::text("Parameters", "The object that configures it."),
            AGE,
        ],
        row: |class, now| {
            let parameters = class.at("/spec/parameters").filter(|p| p.is_object()).map_or_else(
                || text::NONE.to_owned(),
                |p| {
                    let dot = if p.str_at("/apiGroup").is_empty() { "" } else { "." };
                    format!("{}{dot}{}/{}", p.str_at("/kind"), p.str_at("/apiGroup"), p.str_at("/name"))
                },
            );
            vec![
                class.name().into(),
                class.str_at("/spec/controller").into(),
                parameters.into(),
                age(class, now),
            ]
        },
    },
];

fn external_ip(service: &Value) -> String {
    let own = text::join(service.list_at("/spec/externalIPs").iter().filter_map(Value::as_str));
    match service.str_at("/spec/type") {
        "ClusterIP" | "NodePort" => text::or(&own, text::NONE).into(),
        "LoadBalancer" => {
            let balancer = load_balancer(service);
            match (balancer.is_empty(), own.is_empty()) {
                (true, true) => "<pending>".into(),
                (false, true) => balancer,
                (true, false) => own,
                (false, false) => format!("{balancer},{own}"),
            }
        }
        "ExternalName" => service.str_at("/spec/externalName").into(),
        _ => "<unknown>".into(),
    }
}

/// The first three hosts. What is left out is counted in rules, whether they name a host or not.
fn hosts(ingress: &Value) -> String {
    let rules = ingress.list_at("/spec/rules");
    let mut shown = Vec::new();
    for rule in rules {
        if shown.len() == 3 {
            return format!("{} + {} more...", shown.join(","), rules.len() - 3);
        }
        if !rule.str_at("/host").is_empty() {
            shown.push(rule.str_at("/host"));
        }
    }
    if shown.is_empty() { "*".into() } else { shown.join(",") }
}

fn load_balancer(object: &Value) -> String {
    let mut all: Vec<&str> = object
        .list_at("/status/loadBalancer/ingress")
        .iter()
        .map(|ingress| text::or(ingress.str_at("/ip"), ingress.str_at("/hostname")))
        .filter(|address| !address.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    all.join(",")
}

fn ports(service: &Value) -> String {
    let one = |port: &Value| {
        let number = port.i64_at("/port").unwrap_or(0);
        let protocol = port.str_at("/protocol");
        match port.i64_at("/nodePort") {
            Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    service.list_at("/spec/ports").iter().map(one).collect::<Vec<_>>().join(",")
}

fn endpoint_addresses(endpoints: &Value) -> String {
    let mut all = Vec::new();
    for subset in endpoints.list_at("/subsets") {
        let addresses = || subset.list_at("/addresses").iter().map(|address| address.str_at("/ip"));
        let ports = subset.list_at("/ports");
        if ports.is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            let number = port.i64_at("/port").unwrap_or(0);
            all.extend(addresses().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{number}"),
                false => format!("{ip}:{number}"),
            }));
        }
    }
    // Subsets without an address print as nothing, no subsets at all as `<none>`.
    let empty = if endpoints.list_at("/subsets").is_empty() { text::NONE } else { "" };
    text::first_three(all, empty)
}
