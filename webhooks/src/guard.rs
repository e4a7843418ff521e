//! Where messages may go: to the outside, and nowhere else.
//!
//! Whoever may name an endpoint could otherwise have this node knock on the doors of its own network. An address is judged
//! when it is connected to, not when it is named: a name may mean another address by then.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// The most bytes an address may have.
const LONGEST_URL: usize = 2_048;

/// Why messages cannot go to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    #[error("it is no absolute URL of at most {LONGEST_URL} bytes")]
    NoUrl,
    #[error("it must begin with https://")]
    NotHttps,
    #[error("it must hold neither a user name nor a password nor a fragment")]
    Adorned,
    #[error("messages do not go to addresses of private networks")]
    Inside,
}

/// Reads an address. A host that is a name is judged later, by the [`Resolver`].
pub(crate) fn parse(text: &str, allow_insecure: bool) -> Result<Url, NoAddress> {
    let url =
        Url::parse(text).ok().filter(|url| url.has_host() && text.len() <= LONGEST_URL).ok_or(NoAddress::NoUrl)?;
    if url.scheme() != "https" && !(allow_insecure && url.scheme() == "http") {
        return Err(NoAddress::NotHttps);
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(NoAddress::Adorned);
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    if !allow_insecure && literal.is_some_and(|address| !is_outside(address)) {
        return Err(NoAddress::Inside);
    }
    Ok(url)
}

/// Looks names up, and gives only addresses outside.
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let outside: Vec<_> = found.into_iter().filter(|address| is_outside(address.ip())).collect();
            if outside.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, NoAddress::Inside).into());
            }
            Ok(Box::new(outside.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is somewhere in the public internet (the registries of RFC 6890).
pub(crate) fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_outside_4(address),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| is_outside_6(address), is_outside_4),
    }
}

fn is_outside_4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || matches!((a, b, c), (0 | 224.., ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _));
    !special
}

/// Of all there is, `2000::/3` is given out. In it, `2001::/23` is for protocols (Teredo among them), `2002::/16` leads to
/// addresses of version 4 whatever they are, and two ranges are for documents.
fn is_outside_6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = matches!((a, b), (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff));
    (0x2000..=0x3fff).contains(&a) && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_is_everything_that_is_not_the_public_internet() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_outside(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860::8888",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_outside(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn an_address_is_https_outside_and_plain() {
        for (text, expected) in [
            ("https://partner.example/hooks?of=guildhall", Ok(())),
            ("https://1.1.1.1:8443/", Ok(())),
            ("http://partner.example/", Err(NoAddress::NotHttps)),
            ("ftp://partner.example/", Err(NoAddress::NotHttps)),
            ("file:///etc/passwd", Err(NoAddress::NoUrl)),
            ("partner.example", Err(NoAddress::NoUrl)),
            ("", Err(NoAddress::NoUrl)),
            ("https://ada:secret@partner.example/", Err(NoAddress::Adorned)),
            ("https://partner.example/#part", Err(NoAddress::Adorned)),
            ("https://127.0.0.1/", Err(NoAddress::Inside)),
            // Other spellings of the same address.
            ("https://2130706433/", Err(NoAddress::Inside)),
            ("https://0x7f.1/", Err(NoAddress::Inside)),
            ("https://[::1]/", Err(NoAddress::Inside)),
            ("https://[::ffff:169.254.169.254]/latest/meta-data/", Err(NoAddress::Inside)),
        ] {
            assert_eq!(parse(text, false).map(|_| ()), expected, "{text}");
        }
        assert!(parse(&format!("https://partner.example/{}", "a".repeat(LONGEST_URL)), false).is_err());
        assert!(parse("http://127.0.0.1:8080/", true).is_ok());
        assert_eq!(parse("ftp://127.0.0.1/", true), Err(NoAddress::NotHttps));
    }
}
