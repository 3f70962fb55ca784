//! Media sockets: the one that hears everybody, and the one beside it for the expected peer.
//!
//! The twin of `relay/sockets.py`, which tells why there are two.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recv,
    recvfrom, send, sendto, socket_with, sockopt,
};

use crate::address::Address;

/// Datagrams that are thrown away at most: a flood meanwhile is left to the checks that follow.
const MAX_STALE: usize = 4096;

/// One UDP socket of a port; its copies share the descriptor.
#[derive(Clone)]
pub(crate) struct Media {
    /// Here, and not behind the owner, which is one more cold cache line for each packet.
    fd: RawFd,
    ipv6: bool,
    /// Of one that was made here.
    _own: Option<Arc<OwnedFd>>,
}

impl AsFd for Media {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open, for `_own` has it; or `relay.forward.native` keeps the
        // socket object from before `open` until after `close`, which drops every copy of this.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Media {
    /// Bound by the supervisor; Python's socket object has it and outlives the open port.
    pub(crate) fn of_python(fd: RawFd, ipv6: bool) -> Media {
        Media { fd, ipv6, _own: None }
    }

    /// One packet, its size; its source was checked by the kernel.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        recv(self, buffer, RecvFlags::DONTWAIT).map(|(_, size)| size)
    }

    /// One packet: its size and source.
    pub(crate) fn receive_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        let (_, size, source) = match recvfrom(self, &mut *buffer, RecvFlags::DONTWAIT) {
            // An ICMP error of an earlier send, which this call has cleared.
            Err(error) if error != Errno::AGAIN => recvfrom(self, buffer, RecvFlags::DONTWAIT)?,
            received => received?,
        };
        let source = source.and_then(Address::of).ok_or(Errno::AFNOSUPPORT)?;
        Ok((size, source))
    }

    /// Sends one packet, to the connected peer or to the address given.
    pub(crate) fn send(&self, data: &[u8], to: Option<Address>) -> Result<()> {
        match to {
            None => send(self, data, SendFlags::DONTWAIT)?,
            Some(to) => sendto(self, data, SendFlags::DONTWAIT, &to.to_socket())?,
        };
        Ok(())
    }

    /// Another peer for a connected socket. What waits in it stays.
    pub(crate) fn connect(&self, peer: Address) -> Result<()> {
        connect(self, &peer.to_socket())
    }

    /// Discards what waits.
    pub(crate) fn empty(&self) {
        let mut byte = [0u8; 1];
        for _ in 0..MAX_STALE {
            // An error may be an earlier packet's: it is cleared by this call, as in Python.
            if recv(self, &mut byte[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC).is_err() {
                return;
            }
        }
    }

    /// The byte that packets bear which leave here (ToS; traffic class with IPv6).
    pub(crate) fn mark(&self, tos: u8) {
        // Where the kernel will not, they leave unmarked, as Python's do.
        let _ = match self.ipv6 {
            true => sockopt::set_ipv6_tclass(self, u32::from(tos)),
            false => sockopt::set_ip_tos(self, tos),
        };
    }

    /// A second socket on this port, connected to `peer`.
    ///
    /// SO_REUSEPORT is set on both only while the second one is bound: no third one will be. Packets
    /// of others may land in it between its bind and its connect, so its reader looks at the first
    /// sources.
    pub(crate) fn connect_beside(&self, peer: Address) -> Result<Media> {
        let local = getsockname(self)?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let family = if self.ipv6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let tx = socket_with(family, SocketType::DGRAM, flags, None)?;
        sockopt::set_socket_reuseport(self, true)?;
        let bound = sockopt::set_socket_reuseport(&tx, true)
            .and_then(|()| bind(&tx, &local))
            .and_then(|()| connect(&tx, &peer.to_socket()));
        sockopt::set_socket_reuseport(self, false)?;
        bound?;
        sockopt::set_socket_reuseport(&tx, false)?;
        Ok(Media { fd: tx.as_raw_fd(), ipv6: self.ipv6, _own: Some(Arc::new(tx)) })
    }
}
