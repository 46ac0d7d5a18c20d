//! [`Range`]: to which network an address leads. An address inside of another one, such as IPv4 in IPv6, counts as what it
//! leads to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for, by the registries of special addresses of IANA (RFC 6890 and its updates).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Everybody's internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network: RFC 1918, unique local, carrier-grade NAT.
    Private,
    /// Where clouds tell a machine its credentials.
    Metadata,
    /// This link.
    LinkLocal,
    /// No address: connecting there leads to this machine.
    Unspecified,
    /// Many machines at once.
    Multicast,
    /// Documentation, benchmarks, protocols, and what is not given out.
    Reserved,
}

/// Addresses of metadata services that would count as something more harmless: of Azure, Oracle and Alibaba, and those of AWS
/// and Google in IPv6.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(100, 100, 100, 200)];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// AWS and nearly everybody else, AWS for containers and for pods.
const METADATA_LINK_LOCAL: [Ipv4Addr; 3] =
    [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(169, 254, 170, 2), Ipv4Addr::new(169, 254, 170, 23)];

impl Range {
    /// To which network the address leads.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// As it is told in a reason.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "this machine",
            Self::Private => "a private network",
            Self::Metadata => "the metadata of a cloud",
            Self::LinkLocal => "a link-local address",
            Self::Unspecified => "no address",
            Self::Multicast => "a multicast or broadcast address",
            Self::Reserved => "a reserved address",
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Range {
    if METADATA_V4.contains(&address) || METADATA_LINK_LOCAL.contains(&address) {
        return Range::Metadata;
    }
    match address.octets() {
        [0, ..] => Range::Unspecified,
        [127, ..] => Range::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Range::Private,
        [169, 254, ..] => Range::LinkLocal,
        // Protocols; three for documentation; the old way into 6to4; benchmarks.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => {
            Range::Reserved
        }
        [224..=239, ..] | [255, 255, 255, 255] => Range::Multicast,
        [240..=255, ..] => Range::Reserved,
        _ => Range::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Range {
    if METADATA_V6.contains(&address) {
        return Range::Metadata;
    }
    if let Some(inner) = embedded(address) {
        return of_v4(inner);
    }
    match address.segments() {
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Range::Private,
        [0xfe80..=0xfebf, ..] => Range::LinkLocal,
        [0xff00..=0xffff, ..] => Range::Multicast,
        // NAT64 of one's own network: nobody outside knows where in it the other address stands.
        [0x64, 0xff9b, 1, ..] => Range::Private,
        // Protocols, Teredo among them; two for documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Range::Reserved,
        [0x2000..=0x3fff, ..] => Range::Public,
        _ if address.is_loopback() => Range::Loopback,
        _ if address.is_unspecified() => Range::Unspecified,
        _ => Range::Reserved,
    }
}

/// The IPv4 address to which an IPv6 address leads.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // Not an IPv4 address: unspecified and loopback.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Mapped, translated, NAT64, compatible.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low] => Some(last(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => Some(last(high, low)),
        // ISATAP: any prefix, and then this.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(last(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Range {
        Range::of(text.parse().expect("an address"))
    }

    #[test]
    fn every_special_range_is_known_at_both_of_its_ends() {
        let corpus = include_str!("../../tests/corpus/addresses");
        let lines: Vec<_> = corpus.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert!(lines.len() > 90, "the corpus is there");
        for line in lines {
            let (address, range) = line.split_once(' ').expect("an address and its range");
            assert_eq!(format!("{:?}", of(address)), range.trim(), "{address}");
        }
    }

    proptest! {
        #[test]
        fn std_agrees_where_it_has_an_opinion(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let range = of_v4(address);
            let metadata = range == Range::Metadata;
            prop_assert_eq!(address.is_loopback(), range == Range::Loopback);
            prop_assert!(!address.is_private() || range == Range::Private);
            prop_assert!(!address.is_link_local() || metadata || range == Range::LinkLocal);
            prop_assert_eq!(address.is_multicast() || address.is_broadcast(), range == Range::Multicast);
            prop_assert!(!address.is_documentation() || range == Range::Reserved);
            prop_assert!(!address.is_unspecified() || range == Range::Unspecified);
        }

        #[test]
        fn an_address_in_another_one_counts_as_what_it_leads_to(
            bits in prop_oneof![any::<u32>(), (0..=0xffff_u32).prop_map(|low| 0xa9fe_0000 | low), 0x7f00_0000..0x7f00_ffff_u32],
            prefix: u32,
        ) {
            let inner = Ipv4Addr::from(bits);
            let [a, b, c, d] = inner.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let (front, back) = ((prefix >> 16) as u16 | 0x2000, prefix as u16);
            let outer = [
                inner.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, back),
                Ipv6Addr::new(front & 0x3fff, back, 0, 0, 0, 0x5efe, high, low),
            ];
            for outer in outer.into_iter().filter(|outer| outer.segments()[0] != 0x2002 || outer.segments()[1] == high) {
                prop_assert_eq!(Range::of(outer.into()), of_v4(inner), "{}", outer);
            }
            if bits > 1 {
                prop_assert_eq!(Range::of(Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low).into()), of_v4(inner));
            }
        }

        #[test]
        fn std_agrees_about_ipv6_too(bits: u128) {
            let address = Ipv6Addr::from(bits);
            let range = of_v6(address);
            prop_assume!(embedded(address).is_none());
            prop_assert!(!address.is_unique_local() || matches!(range, Range::Private | Range::Metadata));
            prop_assert_eq!(address.is_unicast_link_local(), range == Range::LinkLocal);
            prop_assert_eq!(address.is_multicast(), range == Range::Multicast);
            prop_assert!(range != Range::Public || (0x2000..0x4000).contains(&address.segments()[0]));
        }
    }
}
