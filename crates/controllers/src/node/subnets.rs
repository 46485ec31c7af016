//! Parts of equal size of an address range, each given out once (`pkg/controller/nodeipam/ipam/cidrset`).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The most that one range may be cut into, as powers of two (`clusterSubnetMaxDiff`).
const MOST_BITS: u8 = 16;

/// A range that cannot be cut as asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubnetError {
    #[error("invalid CIDR address: {0}")]
    Invalid(String),
    #[error(
        "the mask size {size} of a node does not fit into the cluster CIDR {range}: choose --node-cidr-mask-size \
         between the range's own and 16 bits more"
    )]
    Mask { range: String, size: u8 },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Subnets {
    base: u128,
    six: bool,
    bits: u8,
    size: u8,
    prefix: u8,
    used: BTreeSet<u32>,
    /// Where the next look begins: what was given back is not given out again at once.
    next: u32,
}

fn parse(cidr: &str) -> Option<(u128, u8, bool)> {
    let (address, prefix) = cidr.trim().split_once('/')?;
    let prefix: u8 = prefix.parse().ok()?;
    let (value, bits, six) = match address.parse().ok()? {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32, false),
        IpAddr::V6(ip) => (u128::from(ip), 128, true),
    };
    if prefix > bits {
        return None;
    }
    let host = if bits == prefix { 0 } else { (1_u128 << (bits - prefix)).wrapping_sub(1) };
    let host = if bits - prefix == 128 { u128::MAX } else { host };
    Some((value & !host, prefix, six))
}

impl Subnets {
    /// `range` in parts with masks of `size` bits; by default those of upstream for its family.
    pub(super) fn new(range: &str, size: impl Fn(bool) -> u8) -> Result<Self, SubnetError> {
        let (base, prefix, six) = parse(range).ok_or_else(|| SubnetError::Invalid(range.to_owned()))?;
        let bits = if six { 128 } else { 32 };
        let size = size(six);
        if size < prefix || size > bits || size - prefix > MOST_BITS {
            return Err(SubnetError::Mask { range: range.to_owned(), size });
        }
        Ok(Self { base, six, bits, size, prefix, used: BTreeSet::new(), next: 0 })
    }

    fn count(&self) -> u32 {
        1 << (self.size - self.prefix)
    }

    fn width(&self) -> u32 {
        u32::from(self.bits - self.size)
    }

    fn show(&self, index: u32) -> String {
        let address = self.base + (u128::from(index) << self.width());
        let ip = if self.six {
            IpAddr::V6(Ipv6Addr::from(address))
        } else {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(address).unwrap_or(u32::MAX)))
        };
        format!("{ip}/{}", self.size)
    }

    /// The next free part; `None` when all are given out.
    pub(super) fn take(&mut self) -> Option<String> {
        let count = self.count();
        let free = (0..count).map(|i| (self.next + i) % count).find(|i| !self.used.contains(i))?;
        self.used.insert(free);
        self.next = (free + 1) % count;
        Some(self.show(free))
    }

    /// The parts that `cidr` overlaps.
    fn touched(&self, cidr: &str) -> Option<std::ops::RangeInclusive<u32>> {
        let (base, prefix, six) = parse(cidr)?;
        let host = u32::from(self.bits.checked_sub(prefix)?);
        let last = base.checked_add(1_u128.checked_shl(host)?.checked_sub(1)?)?;
        let end = self.base + ((u128::from(self.count()) << self.width()) - 1);
        if six != self.six || last < self.base || base > end {
            return None;
        }
        let index = |at: u128| u32::try_from((at.clamp(self.base, end) - self.base) >> self.width()).ok();
        Some(index(base)?..=index(last)?)
    }

    /// Somebody has these addresses.
    pub(super) fn occupy(&mut self, cidr: &str) {
        if let Some(parts) = self.touched(cidr) {
            self.used.extend(parts);
        }
    }

    /// Nobody has these addresses any more.
    pub(super) fn release(&mut self, cidr: &str) {
        for part in self.touched(cidr).into_iter().flatten() {
            self.used.remove(&part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(range: &str, size: u8) -> Subnets {
        Subnets::new(range, |_| size).expect("valid")
    }

    #[test]
    fn parts_are_given_out_once() {
        let mut pods = subnets("10.244.0.0/22", 24);
        let all: Vec<String> = std::iter::from_fn(|| pods.take()).collect();
        assert_eq!(all, ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"]);
        pods.release("10.244.1.0/24");
        assert_eq!(pods.take().as_deref(), Some("10.244.1.0/24"));
        assert_eq!(pods.take(), None);
        let mut six = subnets("fd00::/62", 64);
        six.occupy("fd00::/64");
        assert_eq!(six.take().as_deref(), Some("fd00:0:0:1::/64"));
    }

    #[test]
    fn what_others_have_is_left_out() {
        let mut pods = subnets("10.96.0.0/14", 16);
        pods.occupy("10.96.0.0/12");
        assert_eq!(pods.take(), None, "services have them all");
        let mut pods = subnets("10.244.0.0/22", 24);
        pods.occupy("10.244.1.128/25");
        pods.occupy("192.168.0.0/16");
        pods.occupy("nonsense");
        let all: Vec<String> = std::iter::from_fn(|| pods.take()).collect();
        assert_eq!(all, ["10.244.0.0/24", "10.244.2.0/24", "10.244.3.0/24"]);
    }

    #[test]
    fn a_range_that_cannot_be_cut_is_named() {
        for (range, size) in [("10.0.0.0/24", 16), ("10.0.0.0/8", 30), ("10.0.0.0", 24), ("10.0.0.0/33", 24)]
        {
            let error = Subnets::new(range, |_| size).expect_err("impossible").to_string();
            assert!(error.contains(range), "{error}");
        }
    }
}
