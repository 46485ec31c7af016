//! Whether a connection would go through a proxy: the variables of /etc/environment, read as Go's
//! `http.ProxyFromEnvironment` reads them, with CIDRs in no_proxy as apimachinery adds them.

use std::net::IpAddr;

use world::Host;

/// The proxy on the way to a host.
pub(crate) fn of_host(host: &Host, destination: &str) -> Option<String> {
    proxy(&host.disk().read_to_string("/etc/environment").ok()?, destination)
}

/// The proxy on the way to the first address of a network.
pub(crate) fn of_cidr(host: &Host, cidr: &str) -> Option<String> {
    let first = match cidr.split_once('/')?.0.parse().ok()? {
        IpAddr::V4(ip) => IpAddr::from((u32::from(ip) + 1).to_be_bytes()),
        IpAddr::V6(ip) => IpAddr::from((u128::from(ip) + 1).to_be_bytes()),
    };
    of_host(host, &first.to_string())
}

fn proxy(environment: &str, destination: &str) -> Option<String> {
    let variable = |name: &str| {
        environment.lines().find_map(|line| {
            let (key, value) = line.trim().trim_start_matches("export ").split_once('=')?;
            let value = value.trim_matches(['"', '\'']);
            (key == name && !value.is_empty()).then(|| value.to_owned())
        })
    };
    let either = |upper: &str| variable(upper).or_else(|| variable(&upper.to_lowercase()));
    let proxy = either("HTTPS_PROXY")?;
    let spared = either("NO_PROXY").unwrap_or_default();
    let local = destination == "localhost" || destination.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    (!local && !spared.split(',').any(|rule| spares(rule.trim(), destination))).then_some(proxy)
}

/// Whether an entry of no_proxy is about a destination: `*`, a network, an address, a domain.
fn spares(rule: &str, destination: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match (rule.split_once('/'), destination.parse::<IpAddr>()) {
        (Some((net, bits)), Ok(ip)) => match (net.parse(), bits.parse()) {
            (Ok(net), Ok(bits)) => contains(net, bits, ip),
            _ => false,
        },
        (_, Ok(ip)) => rule.parse() == Ok(ip),
        (_, Err(_)) => {
            let domain = rule.trim_start_matches('.');
            !domain.is_empty() && (destination == domain || destination.ends_with(&format!(".{domain}")))
        }
    }
}

fn contains(net: IpAddr, bits: u32, ip: IpAddr) -> bool {
    let shifted =
        |value: u128, width: u32| width.checked_sub(bits).map(|by| value.checked_shr(by).unwrap_or(0));
    match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            shifted(u32::from(net).into(), 32) == shifted(u32::from(ip).into(), 32)
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => shifted(net.into(), 128) == shifted(ip.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spared: &str, destination: &str, direct: bool) {
        let environment = format!("HTTPS_PROXY=\"http://proxy:3128\"\nno_proxy={spared}\n");
        assert_eq!(proxy(&environment, destination).is_none(), direct, "{spared}: {destination}");
    }

    #[test]
    fn no_proxy_spares_addresses_networks_and_domains() {
        check("", "10.0.0.1", false);
        check("*", "10.0.0.1", true);
        check("10.0.0.1", "10.0.0.1", true);
        check("10.0.0.10", "10.0.0.1", false);
        check("10.96.0.0/12", "10.96.0.1", true);
        check("10.96.0.0/12", "10.112.0.1", false);
        check("example.com,corp", "api.example.com", true);
        check("example.com", "myexample.com", false);
        check("", "127.0.0.1", true);
        assert_eq!(proxy("PATH=/bin\n", "10.0.0.1"), None);
    }
}
