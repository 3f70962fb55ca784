//! Many packets in one call of the kernel: io_uring, for up to 64 sockets at once.
//!
//! A batch of receives or of sends is queued, run with one call, and over when that returns: each
//! operation is asked not to wait (MSG_DONTWAIT), so it ends on the spot, with a packet or with an
//! error. There are no callbacks, no polling and nothing in flight between two calls.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;

use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};
use rustix::io::{Errno, Result};
use rustix::net::SendFlags;

use crate::table::LARGEST;

/// Packets of one batch.
pub(crate) const SLOTS: usize = 64;
/// Octets between two slots' buffers: an odd number of cache lines, or the starts of all packets
/// would contend for the same few places in the caches.
const GAP: usize = 5 * 64;
/// Refusals of a batch, for want of memory, after which the ring is given up.
const PATIENCE: u32 = 100;
const DONTWAIT: i32 = SendFlags::DONTWAIT.bits() as i32;

/// The ring, and a buffer and a result for each slot.
pub(crate) struct Ring {
    ring: IoUring,
    queued: usize,
    /// Of a page or two for each slot, while no packet is longer; the rest is address space.
    buffers: Box<[u8]>,
    /// Room in a slot.
    size: usize,
    results: [i32; SLOTS],
}

impl Ring {
    /// An error where the kernel has no io_uring, or forbids it (containers, `io_uring_disabled`).
    pub(crate) fn new() -> io::Result<Ring> {
        Ring::of(LARGEST)
    }

    /// Whether there could be one.
    pub(crate) fn probe() -> io::Result<()> {
        Ring::of(GAP).map(drop)
    }

    fn of(size: usize) -> io::Result<Ring> {
        let ring = IoUring::builder().build(SLOTS as u32)?;
        let buffers = vec![0; SLOTS * (size + GAP)].into_boxed_slice();
        let mut made = Ring { ring, queued: 0, buffers, size, results: [0; SLOTS] };
        made.try_out()?;
        Ok(made)
    }

    /// Does once what it is for: whether the kernel knows these operations and does not wait.
    fn try_out(&mut self) -> io::Result<()> {
        let (here, there) = UnixDatagram::pair()?;
        self.send(0, &here, 3);
        self.receive(1, &there);
        self.receive(2, &there);
        let unsupported = Err(io::ErrorKind::Unsupported.into());
        self.ring.submit()?;
        if self.ring.completion().len() < self.queued {
            return unsupported;
        }
        self.run()?;
        match (self.result(0), self.result(1), self.result(2)) {
            (Ok(3), Ok(3), Err(Errno::AGAIN)) => Ok(()),
            _ => unsupported,
        }
    }

    /// Queues a receive into a slot's buffer.
    pub(crate) fn receive(&mut self, slot: usize, socket: impl AsFd) {
        let fd = types::Fd(socket.as_fd().as_raw_fd());
        let buffer = self.buffer(slot);
        let receive = opcode::Recv::new(fd, buffer.as_mut_ptr(), buffer.len() as u32);
        self.push(slot, receive.flags(DONTWAIT).build());
    }

    /// Queues a send, to its peer, of the first `len` octets of a slot's buffer.
    pub(crate) fn send(&mut self, slot: usize, socket: impl AsFd, len: usize) {
        let fd = types::Fd(socket.as_fd().as_raw_fd());
        let data = &self.buffer(slot)[..len];
        let send = opcode::Send::new(fd, data.as_ptr(), len as u32);
        self.push(slot, send.flags(DONTWAIT).build());
    }

    fn push(&mut self, slot: usize, entry: Entry) {
        let entry = entry.user_data(slot as u64);
        // SAFETY: the entry points into `buffers`, which live as long as the ring and stay where
        // they are. Nobody has a reference to them while the kernel looks: that is within `run`
        // and `try_out`, which return when every operation has ended.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        self.results[slot] = -Errno::NOBUFS.raw_os_error();
        self.queued += usize::from(pushed.is_ok()); // more than there are slots: not done
    }

    /// Does what is queued, in that order. After an error nothing is in flight: what the kernel has
    /// taken is over, and the rest it never will.
    pub(crate) fn run(&mut self) -> Result<()> {
        let mut refusals = 0;
        while self.queued > 0 {
            if let Err(error) = self.ring.submit_and_wait(self.queued) {
                let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                match error {
                    Errno::INTR => {}
                    Errno::AGAIN | Errno::BUSY if refusals < PATIENCE => refusals += 1,
                    _ => return Err(error),
                }
            }
            for done in self.ring.completion() {
                self.results[done.user_data() as usize % SLOTS] = done.result();
                self.queued -= 1;
            }
        }
        Ok(())
    }

    /// How many octets a slot's last operation has moved.
    pub(crate) fn result(&self, slot: usize) -> Result<usize> {
        let result = self.results[slot];
        usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result))
    }

    /// A slot's buffer: the packet, and room behind it.
    pub(crate) fn buffer(&mut self, slot: usize) -> &mut [u8] {
        &mut self.buffers[slot * (self.size + GAP)..][..self.size]
    }
}
