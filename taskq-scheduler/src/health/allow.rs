//! [`Allow`]: a list of places where looks and redirects may lead.

use std::{fmt, net::IpAddr, str::FromStr};

use taskq_core::{Error, Result, limits::MAX_HEALTH_LIST};
use url::Host;

use super::address::Range;

/// Places by name or address.
///
/// | entry | means |
/// |---|---|
/// | `shop.example` | this name |
/// | `*.shop.example` | every name below it, and not itself |
/// | `10.1.2.3`, `fd00::1` | this address |
/// | `10.0.0.0/8`, `fd00::/8` | these addresses |
/// | `shop.example:8443`, `10.0.0.0/8:8443`, `[fd00::1]:8443` | the same at one port; without it at any |
///
/// A name stands for its addresses in public and private networks, and one without `*` for this machine's too. Others, such
/// as link-local ones and the metadata of clouds, have to be listed as addresses.
///
/// ```
/// use taskq_scheduler::health::Allow;
///
/// let allow = Allow::list(["*.shop.example:443", "10.0.0.0/8"])?;
/// assert_eq!(allow.to_string(), "*.shop.example:443, 10.0.0.0/8");
/// # Ok::<(), taskq_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Name(String),
    /// With the dot in front.
    Below(String),
    Network {
        first: IpAddr,
        prefix: u8,
    },
}

impl Allow {
    /// Reads a list; an empty one allows nothing.
    ///
    /// # Errors
    /// `InvalidInput` with the entry and the cure.
    pub fn list<I>(entries: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let entries: Vec<Entry> =
            entries.into_iter().map(|entry| entry.as_ref().parse()).collect::<Result<Vec<_>>>()?;
        match entries.len() {
            0..=MAX_HEALTH_LIST => Ok(Self(entries)),
            more => Err(Error::invalid("allow list", format!("of {more}"), format!("list at most {MAX_HEALTH_LIST}"))),
        }
    }

    /// Whether it allows nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its entries as they are written.
    pub(super) fn entries(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Whether `address`, to which `host` leads, may be connected to. An address that is a host by itself is its own name.
    pub(super) fn admits(&self, host: &str, port: u16, address: IpAddr) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.0.iter().filter(|entry| entry.port.is_none_or(|only| only == port)).any(|entry| match &entry.place {
            Place::Network { first, prefix } => is_in(*first, *prefix, address.to_canonical()),
            Place::Name(name) => {
                name == host && matches!(Range::of(address), Range::Public | Range::Private | Range::Loopback)
            }
            Place::Below(suffix) => {
                host.ends_with(suffix) && matches!(Range::of(address), Range::Public | Range::Private)
            }
        })
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entries().join(", "))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = |first: &IpAddr, prefix: u8| prefix == bits(*first);
        match (&self.place, self.port) {
            (Place::Name(name), _) => f.write_str(name)?,
            (Place::Below(suffix), _) => write!(f, "*{suffix}")?,
            (Place::Network { first: first @ IpAddr::V6(_), prefix }, Some(_)) if is_whole(first, *prefix) => {
                write!(f, "[{first}]")?;
            }
            (Place::Network { first: first @ IpAddr::V6(_), prefix }, Some(_)) => write!(f, "[{first}/{prefix}]")?,
            (Place::Network { first, prefix }, _) if is_whole(first, *prefix) => write!(f, "{first}")?,
            (Place::Network { first, prefix }, _) => write!(f, "{first}/{prefix}")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Entry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
        let refuse = |cure: &str| Error::invalid("allow list", format!("\"{shown}\""), cure.to_owned());
        let (place, port) = split_port(text).ok_or_else(|| refuse("write a port as in [fd00::1]:443"))?;
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(refuse("a port is a number from 1 to 65535")),
        };
        let place = match place.split_once('/') {
            Some((first, prefix)) => network(first, prefix).map_err(refuse)?,
            None => match place.parse::<IpAddr>() {
                Ok(address) => one_address(address).map_err(refuse)?,
                Err(_) => name(place).map_err(refuse)?,
            },
        };
        Ok(Self { place, port })
    }
}

/// What stands before the port, and the port; an IPv6 address with a port stands in brackets.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (place, "") => Some((place, None)),
            (place, rest) => rest.strip_prefix(':').map(|port| (place, Some(port))),
        },
        None if text.matches(':').count() == 1 => text.split_once(':').map(|(place, port)| (place, Some(port))),
        None => Some((text, None)),
    }
}

fn one_address(address: IpAddr) -> Result<Place, &'static str> {
    match address.to_canonical() == address {
        true => Ok(Place::Network { first: address, prefix: bits(address) }),
        false => Err("write an IPv4 address as one"),
    }
}

fn network(first: &str, prefix: &str) -> Result<Place, &'static str> {
    let first: IpAddr = first.parse().map_err(|_| "write a network as in 10.0.0.0/8 or fd00::/8")?;
    one_address(first)?;
    let prefix = prefix.parse::<u8>().ok().filter(|prefix| *prefix <= bits(first));
    let prefix = prefix.ok_or("behind / stands how many bits are fixed: at most 32, in IPv6 128")?;
    match masked(first, prefix) == number(first) {
        true => Ok(Place::Network { first, prefix }),
        false => Err("a network begins with its first address, as in 10.0.0.0/8"),
    }
}

fn name(text: &str) -> Result<Place, &'static str> {
    let (is_below, text) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match Host::parse(text) {
        Ok(Host::Domain(name)) if !name.contains('*') => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            if name.split('.').any(str::is_empty) {
                return Err("a name has no empty part");
            }
            Ok(if is_below { Place::Below(format!(".{name}")) } else { Place::Name(name.to_owned()) })
        }
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => Err("write an address in its usual form, as in 127.0.0.1"),
        Ok(Host::Domain(_)) | Err(_) => Err("write a name, *.name, an address, or a network as in 10.0.0.0/8"),
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The bits of an address, an IPv4 one's at the front.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first `prefix` bits.
fn masked(address: IpAddr, prefix: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    number(address) & mask
}

fn is_in(first: IpAddr, prefix: u8, address: IpAddr) -> bool {
    first.is_ipv4() == address.is_ipv4() && masked(address, prefix) == number(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admits(entries: &[&str], host: &str, port: u16, address: &str) -> bool {
        Allow::list(entries).expect("valid").admits(host, port, address.parse().expect("an address"))
    }

    #[test]
    fn a_name_stands_for_its_addresses_but_for_the_dangerous_ones() {
        assert!(admits(&["shop.example"], "shop.example", 443, "10.0.0.1"));
        assert!(admits(&["shop.example"], "shop.example.", 443, "8.8.8.8"));
        assert!(admits(&["localhost"], "localhost", 80, "127.0.0.1"));
        assert!(!admits(&["shop.example"], "shop.example", 80, "169.254.169.254"));
        assert!(!admits(&["shop.example"], "shop.example", 80, "0.0.0.0"));
        assert!(!admits(&["shop.example"], "www.shop.example", 80, "8.8.8.8"));
        assert!(!admits(&["shop.example"], "notshop.example", 80, "8.8.8.8"));
    }

    #[test]
    fn a_suffix_stands_for_what_is_below_it() {
        assert!(admits(&["*.shop.example"], "a.b.shop.example", 80, "10.0.0.1"));
        assert!(!admits(&["*.shop.example"], "shop.example", 80, "8.8.8.8"));
        assert!(!admits(&["*.shop.example"], "evilshop.example", 80, "8.8.8.8"));
        assert!(!admits(&["*.shop.example"], "a.shop.example", 80, "127.0.0.1"));
    }

    #[test]
    fn networks_and_ports_are_kept_to() {
        assert!(admits(&["10.0.0.0/8"], "any.example", 80, "10.255.0.1"));
        assert!(admits(&["10.0.0.0/8"], "any.example", 80, "::ffff:10.255.0.1"));
        assert!(!admits(&["10.0.0.0/8"], "any.example", 80, "11.0.0.0"));
        assert!(admits(&["0.0.0.0/0"], "any.example", 80, "169.254.169.254"));
        assert!(!admits(&["0.0.0.0/0"], "any.example", 80, "::1"));
        assert!(admits(&["[fd00::/8]:443"], "any.example", 443, "fd12::1"));
        assert!(!admits(&["[fd00::/8]:443"], "any.example", 80, "fd12::1"));
        assert!(!admits(&["10.0.0.1:443"], "10.0.0.1", 80, "10.0.0.1"));
        assert!(!admits(&[], "any.example", 80, "8.8.8.8"));
    }

    #[test]
    fn an_entry_that_is_none_is_refused_with_the_cure() {
        for (entry, cure) in [
            ("", "write a name"),
            ("*", "write a name"),
            ("a.*.example", "write a name"),
            ("http://a", "a port is a number"),
            ("a/b", "write a network"),
            ("10.0.0.1/8", "begins with its first address"),
            ("10.0.0.0/33", "at most 32"),
            ("10.0.0.0/-1", "at most 32"),
            ("0x7f.1", "in its usual form"),
            ("2130706433", "in its usual form"),
            ("::ffff:10.0.0.1", "write an IPv4 address as one"),
            ("::ffff:10.0.0.0/104", "write an IPv4 address as one"),
            ("a:0", "a port is a number"),
            ("a:65536", "a port is a number"),
            ("[::1", "write a port as in"),
            ("[::1]443", "write a port as in"),
        ] {
            let told = Allow::list([entry]).expect_err(entry).to_string();
            assert!(told.starts_with("allow list \"") && told.contains(cure), "{entry}: {told}");
        }
        assert!(Allow::list(vec!["a"; MAX_HEALTH_LIST + 1]).is_err());
    }

    #[test]
    fn a_name_without_a_name_is_refused() {
        for text in [".", "*.", "..", "*..", "a..", "a..b", ".a", "*..a"] {
            assert!(Allow::list([text]).is_err(), "{text}");
        }
        assert!(Allow::list(["a.", "a.b.", "*.a."]).is_ok());
    }

    proptest! {
        #[test]
        fn an_entry_reads_as_it_is_written(bits: u128, prefix in 0..=128_u8, port: Option<u16>, is_v4: bool) {
            let address: IpAddr = match is_v4 {
                true => std::net::Ipv4Addr::from_bits((bits >> 96) as u32).into(),
                false => std::net::Ipv6Addr::from_bits(bits).into(),
            };
            prop_assume!(address.to_canonical() == address && port != Some(0));
            let prefix = prefix.min(super::bits(address));
            let first = match is_v4 {
                true => std::net::Ipv4Addr::from_bits((masked(address, prefix) >> 96) as u32).into(),
                false => std::net::Ipv6Addr::from_bits(masked(address, prefix)).into(),
            };
            let entry = Entry { place: Place::Network { first, prefix }, port };
            prop_assume!(one_address(first).is_ok());
            prop_assert_eq!(entry.to_string().parse::<Entry>().expect("reads what it wrote"), entry);
            prop_assert!(is_in(first, prefix, address));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(allow) = Allow::list([&text]) {
                prop_assert_eq!(Allow::list(allow.entries()).expect("reads what it wrote"), allow);
            }
        }
    }
}
