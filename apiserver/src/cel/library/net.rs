//! Addresses and ranges of them.

use std::{fmt, net::IpAddr};

use super::super::{
    Value,
    eval::{EvalError, Found},
};

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// An address as Kubernetes takes it: no zone, no leading zeros, no IPv4 in IPv6.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let wrong = |why: &str| format!("IP Address {text:?} parse error during conversion from string: {why}");
    if text.contains('%') {
        return Err(wrong("IP address with zone value is not allowed"));
    }
    let address: IpAddr = text.parse().map_err(|_| wrong("unable to parse IP"))?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Err(wrong("IPv4-mapped IPv6 address is not allowed"))
        }
        other => Ok(other),
    }
}

impl Cidr {
    fn parse(text: &str) -> Result<Cidr, String> {
        let wrong = |why: &str| format!("CIDR {text:?} parse error during conversion from string: {why}");
        let (ip, bits) = text.split_once('/').ok_or_else(|| wrong("no '/'"))?;
        let address = address(ip).map_err(|_| wrong("unable to parse IP"))?;
        let plain = !bits.is_empty()
            && bits.bytes().all(|b| b.is_ascii_digit())
            && (bits == "0" || !bits.starts_with('0'));
        let bits: u8 = bits.parse().ok().filter(|_| plain).ok_or_else(|| wrong("bad bits after slash"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most { Err(wrong("prefix length out of range")) } else { Ok(Cidr { address, bits }) }
    }

    fn number(address: IpAddr) -> (u128, u32) {
        match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
            IpAddr::V6(v6) => (u128::from(v6), 128),
        }
    }

    fn head(self, address: IpAddr) -> u128 {
        let (number, width) = Self::number(address);
        number.checked_shr(width - u32::from(self.bits)).unwrap_or(0)
    }

    fn contains(self, other: IpAddr) -> bool {
        self.address.is_ipv4() == other.is_ipv4() && self.head(self.address) == self.head(other)
    }

    fn masked(self) -> Cidr {
        let (_, width) = Self::number(self.address);
        let number = self.head(self.address).checked_shl(width - u32::from(self.bits)).unwrap_or(0);
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        };
        Cidr { address, ..self }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

fn global(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local(ip))
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    Some(Ok(match (name, values) {
        ("ip", [Value::String(text)]) => match address(text) {
            Ok(ip) => Value::Ip(ip),
            Err(words) => return Some(Err(EvalError::failed(words))),
        },
        ("ip", [Value::Cidr(cidr)]) => Value::Ip(cidr.address),
        ("isIP", [Value::String(text)]) => Value::Bool(address(text).is_ok()),
        ("ip.isCanonical", [Value::String(text)]) => match address(text) {
            Ok(ip) => Value::Bool(ip.to_string() == **text),
            Err(words) => return Some(Err(EvalError::failed(words))),
        },
        ("family", [Value::Ip(ip)]) => Value::Int(if ip.is_ipv4() { 4 } else { 6 }),
        ("isUnspecified", [Value::Ip(ip)]) => Value::Bool(ip.is_unspecified()),
        ("isLoopback", [Value::Ip(ip)]) => Value::Bool(ip.is_loopback()),
        ("isLinkLocalMulticast", [Value::Ip(ip)]) => Value::Bool(link_local_multicast(*ip)),
        ("isLinkLocalUnicast", [Value::Ip(ip)]) => Value::Bool(link_local(*ip)),
        ("isGlobalUnicast", [Value::Ip(ip)]) => Value::Bool(global(*ip)),
        ("cidr", [Value::String(text)]) => match Cidr::parse(text) {
            Ok(cidr) => Value::Cidr(cidr),
            Err(words) => return Some(Err(EvalError::failed(words))),
        },
        ("isCIDR", [Value::String(text)]) => Value::Bool(Cidr::parse(text).is_ok()),
        ("containsIP", [Value::Cidr(cidr), Value::Ip(ip)]) => Value::Bool(cidr.contains(*ip)),
        ("containsIP", [Value::Cidr(cidr), Value::String(text)]) => match address(text) {
            Ok(ip) => Value::Bool(cidr.contains(ip)),
            Err(words) => return Some(Err(EvalError::failed(words))),
        },
        ("containsCIDR", [Value::Cidr(cidr), Value::Cidr(other)]) => {
            Value::Bool(cidr.bits <= other.bits && cidr.contains(other.address))
        }
        ("containsCIDR", [Value::Cidr(cidr), Value::String(text)]) => match Cidr::parse(text) {
            Ok(other) => Value::Bool(cidr.bits <= other.bits && cidr.contains(other.address)),
            Err(words) => return Some(Err(EvalError::failed(words))),
        },
        ("prefixLength", [Value::Cidr(cidr)]) => Value::Int(i64::from(cidr.bits)),
        ("masked", [Value::Cidr(cidr)]) => Value::Cidr(cidr.masked()),
        _ => return None,
    }))
}
