//! An address as packets bear it: no scope, no flow label, so that equal means equal.

use std::net::{IpAddr, SocketAddr};

use rustix::net::SocketAddrAny;

/// Host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
}

impl Address {
    /// From text as Python has it; `None` if the host is no plain IP address.
    pub(crate) fn parse(host: &str, port: u16) -> Option<Address> {
        Some(Address { host: host.parse().ok()?, port })
    }

    /// From what the kernel says of a packet's source.
    pub(crate) fn of(source: SocketAddrAny) -> Option<Address> {
        let source = SocketAddr::try_from(source).ok()?;
        Some(Address { host: source.ip(), port: source.port() })
    }

    /// For the kernel.
    pub(crate) fn to_socket(self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}
