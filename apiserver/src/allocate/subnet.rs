//! A range of service addresses, counted from the first that may be given out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    base: u128,
    /// Addresses in the range, all of them.
    total: u128,
    v6: bool,
}

/// Bigger ranges are used only so far, as upstream limits its bitmaps.
const MOST: u128 = 1 << 20;

impl Subnet {
    /// Reads `10.96.0.0/12` or `fd00::/108`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let length: u32 = length.parse().ok()?;
        let (value, bits, v6): (u128, u32, bool) = match address.parse().ok()? {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32, false),
            IpAddr::V6(ip) => (u128::from(ip), 128, true),
        };
        let host_bits = bits.checked_sub(length)?;
        let total = 1u128.checked_shl(host_bits).unwrap_or(u128::MAX);
        Some(Self { base: value & !(total - 1), total, v6 })
    }

    /// How many addresses may be given out: not the network's own, nor the broadcast.
    pub fn size(&self) -> u64 {
        let kept = if self.v6 { 1 } else { 2 };
        self.total.saturating_sub(kept).min(MOST) as u64
    }

    /// The address at an offset.
    pub fn address(&self, offset: u64) -> Option<IpAddr> {
        if offset >= self.size() {
            return None;
        }
        let value = self.base + 1 + u128::from(offset);
        Some(if self.v6 {
            IpAddr::V6(Ipv6Addr::from(value))
        } else {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(value).ok()?))
        })
    }

    /// Where in the range an address is.
    pub fn offset(&self, address: IpAddr) -> Option<u64> {
        let value = match address {
            IpAddr::V4(ip) if !self.v6 => u128::from(u32::from(ip)),
            IpAddr::V6(ip) if self.v6 => u128::from(ip),
            _ => return None,
        };
        let offset = value.checked_sub(self.base + 1)?;
        u64::try_from(offset).ok().filter(|o| *o < self.size())
    }

    /// Offsets below this are left to those who ask for an address by name:
    /// `min(max(16, size / 16), 256)`.
    pub fn static_band(&self) -> u64 {
        let size = self.size();
        if size <= 16 { 0 } else { (size / 16).clamp(16, 256) }
    }

    /// Whether addresses are IPv6.
    pub fn is_v6(&self) -> bool {
        self.v6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_addresses_agree() {
        let check = |range: &str, size: u64, first: &str, last: &str, band: u64| {
            let subnet = Subnet::parse(range).unwrap();
            assert_eq!(subnet.size(), size, "{range}");
            assert_eq!(subnet.address(0), Some(first.parse().unwrap()), "{range}");
            assert_eq!(subnet.address(size - 1), Some(last.parse().unwrap()), "{range}");
            assert_eq!(subnet.address(size), None, "{range}");
            assert_eq!(subnet.offset(last.parse().unwrap()), Some(size - 1), "{range}");
            assert_eq!(subnet.static_band(), band, "{range}");
        };
        check("10.96.0.0/24", 254, "10.96.0.1", "10.96.0.254", 16);
        check("10.96.7.9/24", 254, "10.96.7.1", "10.96.7.254", 16);
        check("10.96.0.0/12", 1_048_574, "10.96.0.1", "10.111.255.254", 256);
        check("10.96.0.0/28", 14, "10.96.0.1", "10.96.0.14", 0);
        check("fd00::/112", 65_535, "fd00::1", "fd00::ffff", 256);
    }

    #[test]
    fn what_is_no_range_is_none() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            assert_eq!(Subnet::parse(text), None, "{text}");
        }
        let subnet = Subnet::parse("10.0.0.0/24").unwrap();
        for outside in ["10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1"] {
            assert_eq!(subnet.offset(outside.parse().unwrap()), None, "{outside}");
        }
    }
}
