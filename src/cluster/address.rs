//! Addresses of stores as PD has them: which host is meant, and what tells two stores apart.
//!
//! Pure. It asks nobody, and knows nothing of Prometheus (see `join`).

use super::snapshot::Store;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

/// `host:port` in its parts, a scheme and a path left out. IPv6 stands without brackets. An empty
/// host or port is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub host: Option<String>,
    pub port: Option<u16>,
}

impl Address {
    pub(super) fn read(text: &str) -> Self {
        let text = text.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let text = text.split('/').next().unwrap_or_default();
        let (host, port) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            // An IPv6 address without brackets has no port.
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        Self {
            host: Some(host).filter(|h| !h.is_empty()),
            port: port.and_then(|p| p.parse().ok()),
        }
    }

    fn ip(&self) -> Option<IpAddr> {
        let ip: IpAddr = self.host.as_deref()?.parse().ok()?;
        Some(ip.to_canonical())
    }

    /// A name, as opposed to a number, of a host.
    pub(super) fn name(&self) -> Option<&str> {
        self.host.as_deref().filter(|_| self.ip().is_none())
    }

    /// Whether two are the same place, however they are written.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.port.is_some() && self.port == other.port && self.is_host(other)
    }

    pub(super) fn is_host(&self, other: &Self) -> bool {
        match (self.ip(), other.ip()) {
            (Some(a), Some(b)) => a == b,
            _ => self.host.is_some() && self.host == other.host,
        }
    }

    /// "All of mine": what somebody listens on, and nobody can be reached at.
    fn is_anywhere(&self) -> bool {
        self.host.is_none() || self.ip().is_some_and(|ip| ip.is_unspecified())
    }

    /// Whoever reads it means himself.
    fn is_loopback(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_loopback())
            || self
                .host
                .as_deref()
                .is_some_and(|h| h == "localhost" || h.starts_with("localhost."))
    }
}

/// Where a store's status port can be asked: as PD names it, or, where that is an address that
/// means whoever reads it, at the host of the store's own address. None: nobody says where.
pub(super) fn status_address(status: &str, address: &str) -> Option<String> {
    let (named, of_store) = (Address::read(status), Address::read(address));
    let port = named.port?;
    let misleads = named.is_anywhere() || (named.is_loopback() && !of_store.is_loopback());
    if !misleads {
        return Some(status.trim().to_owned());
    }
    // Not this machine's port by mistake.
    if of_store.is_anywhere() {
        return None;
    }
    let host = of_store.host?;
    let scheme = status.split_once("://").map(|(scheme, _)| scheme.trim());
    let scheme = scheme.map_or_else(String::new, |scheme| format!("{scheme}://"));
    Some(if host.contains(':') {
        format!("{scheme}[{host}]:{port}")
    } else {
        format!("{scheme}{host}:{port}")
    })
}

/// The name of the host of a store whose status port is said to be on loopback, though the store is
/// served elsewhere. None: it is not so, or its host has no name.
pub(super) fn loopback_of(status: &str, address: &str) -> Option<String> {
    let (named, of_store) = (Address::read(status), Address::read(address));
    let elsewhere = named.is_loopback() && named.port.is_some() && !of_store.is_loopback();
    of_store.name().filter(|_| elsewhere).map(str::to_owned)
}

/// Whether who is asked there is on this machine, or is reached through it.
pub(super) fn is_loopback(address: &str) -> bool {
    Address::read(address).is_loopback()
}

/// Gives stores that have one name the port of their address, or where that is the same too, their
/// id behind it.
pub(super) fn tell_apart(stores: &mut [Store]) {
    let port = |store: &Store| Address::read(&store.address).port;
    let with_port = |store: &Store| match port(store) {
        Some(port) => format!("{}:{port}", store.name),
        None => store.name.clone(),
    };
    let count = |names: Vec<String>| {
        let mut times: HashMap<String, usize> = HashMap::new();
        for name in names {
            *times.entry(name).or_default() += 1;
        }
        times
    };
    let plain = count(stores.iter().map(|s| s.name.clone()).collect());
    let longer = count(stores.iter().map(with_port).collect());
    // By group, so that stores of one name are told apart in one way.
    let mut by_id: HashMap<String, bool> = HashMap::new();
    for store in stores.iter() {
        let name = with_port(store);
        let unclear = longer[&name] > 1 || plain.contains_key(&name);
        *by_id.entry(store.name.clone()).or_default() |= unclear;
    }
    for store in stores.iter_mut().filter(|s| plain[&s.name] > 1) {
        store.name = if by_id[&store.name] {
            format!("{} #{}", store.name, store.id)
        } else {
            with_port(store)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_address_that_means_whoever_reads_it_is_that_of_the_store() {
        for (status, address, asked) in [
            ("tikv0:20180", "tikv0:20160", Some("tikv0:20180")),
            ("10.0.1.9:20180", "10.0.1.1:20160", Some("10.0.1.9:20180")),
            ("0.0.0.0:20180", "10.0.1.1:20160", Some("10.0.1.1:20180")),
            ("[::]:20180", "10.0.1.1:20160", Some("10.0.1.1:20180")),
            (":::20180", "10.0.1.1:20160", Some("10.0.1.1:20180")),
            ("[::ffff:0.0.0.0]:1", "10.0.1.1:2", Some("10.0.1.1:1")),
            (":20180", "kv-1.kv.svc:20160", Some("kv-1.kv.svc:20180")),
            ("127.0.0.1:20180", "kv-1:20160", Some("kv-1:20180")),
            ("127.3.2.1:20180", "kv-1:20160", Some("kv-1:20180")),
            ("[::1]:20180", "kv-1:20160", Some("kv-1:20180")),
            ("LocalHost:20180", "kv-1:20160", Some("kv-1:20180")),
            ("0.0.0.0:20180", "[fd00::7]:20160", Some("[fd00::7]:20180")),
            (
                "http://0.0.0.0:20180",
                "kv-1:20160",
                Some("http://kv-1:20180"),
            ),
            (
                "https://127.0.0.1:20180/",
                "http://kv-1:20160",
                Some("https://kv-1:20180"),
            ),
            // Beside a loopback address it is meant so: all of it runs here.
            (
                "127.0.0.1:20181",
                "127.0.0.1:20161",
                Some("127.0.0.1:20181"),
            ),
            (
                "127.0.2.1:20180",
                "127.0.2.1:20160",
                Some("127.0.2.1:20180"),
            ),
            (
                "localhost:20180",
                "127.0.0.1:20160",
                Some("localhost:20180"),
            ),
            ("0.0.0.0:20180", "127.0.0.1:20160", Some("127.0.0.1:20180")),
            // Nobody says which host.
            ("0.0.0.0:20180", "0.0.0.0:20160", None),
            ("0.0.0.0:20180", "", None),
            ("127.0.0.1:20180", ":20160", None),
            ("", "kv-1:20160", None),
            ("kv-1", "kv-1:20160", None),
        ] {
            let got = status_address(status, address);
            assert_eq!(got.as_deref(), asked, "{status} of {address}");
        }
    }

    fn named(stores: &[(u64, &str, &str)]) -> Vec<String> {
        let mut stores: Vec<Store> = stores
            .iter()
            .map(|(id, name, address)| Store {
                id: *id,
                name: (*name).to_owned(),
                address: (*address).to_owned(),
                ..Store::default()
            })
            .collect();
        tell_apart(&mut stores);
        stores.into_iter().map(|s| s.name).collect()
    }

    #[test]
    fn stores_of_one_name_are_told_apart_by_port_or_id_and_others_keep_theirs() {
        assert_eq!(
            named(&[
                (1, "kv-1", "10.0.0.1:20160"),
                (2, "kv-2", "10.0.0.2:20160"),
                (3, "kv-2", "10.0.0.2:20161"),
            ]),
            ["kv-1", "kv-2:20160", "kv-2:20161"]
        );
        assert_eq!(
            named(&[(4, "kv-2", "10.0.0.2:1"), (5, "kv-2", "10.0.0.3:1")]),
            ["kv-2 #4", "kv-2 #5"]
        );
        // Two of three would still be one: all of them get their id.
        assert_eq!(
            named(&[(1, "a", "x:1"), (2, "a", "y:1"), (3, "a", "x:2")]),
            ["a #1", "a #2", "a #3"]
        );
        assert_eq!(
            named(&[(1, "a", "x:1"), (2, "a", "y:2"), (3, "a:1", "z:3")]),
            ["a #1", "a #2", "a:1"]
        );
        assert_eq!(named(&[(1, "a", ""), (2, "a", "")]), ["a #1", "a #2"]);
    }

    proptest! {
        #[test]
        fn no_two_stores_share_a_name(
            stores in prop::collection::vec(("[ab]", "[xy]:[1-3]"), 0..8)
        ) {
            let stores: Vec<(u64, &str, &str)> = (1..)
                .zip(&stores)
                .map(|(id, (name, address))| (id, name.as_str(), address.as_str()))
                .collect();
            let mut names = named(&stores);
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), stores.len());
        }

        #[test]
        fn any_address_is_read(text in "\\PC*") {
            let _ = (Address::read(&text), status_address(&text, &text));
        }
    }
}
