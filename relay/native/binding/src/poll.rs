//! What the thread waits on, and how Python is woken: epoll, an event counter, the clock.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, Result};
use rustix::thread::clock_nanosleep_relative;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Monotonic seconds: the clock of Python's `time.monotonic`.
pub(crate) fn monotonic() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// A real sleep: the resolution of epoll's own timeout is a millisecond.
pub(crate) fn sleep(nanoseconds: i64) {
    let wish = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
    let _ = clock_nanosleep_relative(ClockId::Monotonic, &wish); // cut short: the poll is earlier
}

/// Level-triggered epoll; each entry bears a number of ours.
pub(crate) struct Poll(OwnedFd);

impl Poll {
    pub(crate) fn new() -> Result<Poll> {
        epoll::create(CreateFlags::CLOEXEC).map(Poll)
    }

    pub(crate) fn add(&self, source: impl AsFd, number: u64) -> Result<()> {
        epoll::add(&self.0, source, EventData::new_u64(number), EventFlags::IN)
    }

    /// Before the descriptor is closed: a copy elsewhere would keep it in the set.
    pub(crate) fn remove(&self, source: impl AsFd) {
        let _ = epoll::delete(&self.0, source); // it is not there: good
    }

    /// Numbers of those that are ready, as many as `events` has room for.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, block: bool) -> Result<()> {
        events.clear();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timeout = if block { None } else { Some(&at_once) };
        match epoll::wait(&self.0, spare_capacity(events), timeout) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// An event counter of the kernel (eventfd): readable once it was raised, until it is lowered.
pub(crate) struct Flag(OwnedFd);

impl Flag {
    pub(crate) fn new() -> Result<Flag> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Flag)
    }

    pub(crate) fn raise(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes()); // full: it is up already
    }

    pub(crate) fn lower(&self) {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&self.0, &mut count); // empty: it is down already
    }

    pub(crate) fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Flag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
