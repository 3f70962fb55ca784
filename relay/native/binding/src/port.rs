//! One open port and its flow: what becomes of each packet (`relay/forward/base.py`).
//!
//! The order of the checks, and what counts where, are those of `relay/forward/python.py`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use relay_core::packet::Fixed;
use relay_core::policer::Policer;
use relay_core::stats::Reception;
use rustix::io::Errno;

use crate::address::Address;
use crate::punts::Punt;
use crate::sockets::Media;

/// As many as `DropReason` has, and some to spare.
pub(crate) const REASONS: usize = 24;
const POLICED: usize = 3;
const UNSENT: usize = 10;

/// The policer is asked for the allowance of so many packets at once: exact to that number.
const ADVANCE: f64 = 16.0;
const BURST_S: f64 = 2.0;
/// Packets of a new connected socket whose source is looked at; more than can have landed there.
const UNSURE: u32 = 64;

/// Which open port. A number that is used again is not equal to what it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

/// Which of a port's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Everybody's.
    Rx = 0,
    /// The latched peer's.
    Tx = 1,
}

/// Packets dropped, by reason. Written by the thread, read by Python without asking it.
pub(crate) struct Drops([AtomicU64; REASONS]);

impl Drops {
    pub(crate) fn new() -> Drops {
        Drops([const { AtomicU64::new(0) }; REASONS])
    }

    fn count(&self, reason: usize) {
        if let Some(counter) = self.0.get(reason) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The reasons that have occurred, and how often.
    pub(crate) fn read(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let counts = self.0.iter().map(|counter| counter.load(Ordering::Relaxed));
        counts.enumerate().filter(|(_, count)| *count != 0)
    }
}

/// A flow as it was installed.
pub(crate) struct Flow {
    /// FORWARD; else what passes the checks is dropped.
    pub(crate) forward: bool,
    /// The exact source; `None`: everything is punted.
    pub(crate) source: Option<Address>,
    pub(crate) destination: Option<Address>,
    /// Why the verdict is to drop.
    pub(crate) reason: usize,
    pub(crate) unit_octets: f64,
    pub(crate) rate_octets: f64,
    pub(crate) reception: Arc<Mutex<Reception>>,
}

/// How a flow's packets leave: by this socket, to its peer or to the address given.
pub(crate) struct Aim {
    pub(crate) socket: Arc<Media>,
    pub(crate) to: Option<Address>,
}

/// What came of one receive.
pub(crate) enum Received {
    /// Forwarded, dropped, or there was nothing.
    Done,
    /// So many bytes, and from whom, are the slow path's.
    Punt(usize, Address),
}

/// One open port.
pub(crate) struct Port {
    pub(crate) serial: u32,
    pub(crate) rx: Arc<Media>,
    pub(crate) tx: Option<Arc<Media>>,
    /// Packets of `tx` whose source is still to be looked at.
    unsure: u32,
    pub(crate) flow: Option<Flow>,
    /// The flow's, while it is in force.
    pub(crate) source: Option<Address>,
    /// The port that the flow leaves from.
    pub(crate) out: Option<PortId>,
    /// The port whose flow leaves from this one.
    pub(crate) feeder: Option<PortId>,
    pub(crate) aim: Option<Aim>,
    policer: Policer,
    credit: f64,
    drops: Arc<Drops>,
    /// A flood: `rx` is left alone for a moment.
    pub(crate) muted: bool,
    /// What was received before that and is still to go up.
    pub(crate) held: Vec<Punt>,
    /// By side: the slow path is behind, so nothing is read.
    pub(crate) paused: [bool; 2],
    /// By side: packets on their way up.
    pub(crate) waiting: [u32; 2],
}

impl Port {
    pub(crate) fn new(serial: u32, rx: Media, drops: Arc<Drops>) -> Port {
        Port {
            serial,
            rx: Arc::new(rx),
            tx: None,
            unsure: 0,
            flow: None,
            source: None,
            out: None,
            feeder: None,
            aim: None,
            policer: Policer::new(0.0, 0.0, 0.0),
            credit: 0.0,
            drops,
            muted: false,
            held: Vec::new(),
            paused: [false; 2],
            waiting: [0; 2],
        }
    }

    /// A flow takes the place of the one before; its sockets are not looked at.
    pub(crate) fn take(&mut self, flow: Flow) {
        if self.flow.as_ref().map(|before| before.rate_octets) != Some(flow.rate_octets) {
            self.policer = Policer::new(flow.rate_octets, BURST_S * flow.rate_octets, 0.0);
            self.credit = 0.0;
        }
        self.flow = Some(flow);
    }

    /// The peer's own socket is there.
    pub(crate) fn connected(&mut self, tx: Arc<Media>) {
        self.tx = Some(tx);
        self.unsure = UNSURE;
    }

    /// One packet from one of the sockets.
    pub(crate) fn receive(&mut self, side: Side, buffer: &mut [u8], now: f64) -> Received {
        let (size, source) = match (side, &self.tx) {
            (Side::Rx, _) => match self.rx.receive_from(buffer) {
                Ok(received) => received,
                Err(_) => return Received::Done,
            },
            // Others' packets that landed in the socket between its bind and its connect are told
            // apart here; later on the kernel's own check is all that is needed.
            (Side::Tx, Some(tx)) if self.unsure > 0 => match tx.receive_from(buffer) {
                Ok(received) => {
                    self.unsure -= 1;
                    received
                }
                Err(_) => return Received::Done,
            },
            (Side::Tx, Some(tx)) => match (tx.receive(buffer), self.source) {
                (Ok(size), Some(source)) => (size, source),
                // An ICMP error of an earlier send: this call has cleared it.
                _ => return Received::Done,
            },
            (Side::Tx, None) => return Received::Done,
        };
        let Some(data) = buffer.get_mut(..size) else {
            return Received::Done;
        };
        if self.pass(data, source, now) { Received::Done } else { Received::Punt(size, source) }
    }

    /// The checks, in their order, and what follows from them; `false`: it is to be punted.
    pub(crate) fn pass(&mut self, data: &mut [u8], source: Address, now: f64) -> bool {
        if self.source != Some(source) {
            return false;
        }
        let Some(flow) = &self.flow else { return false };
        let Some(header) = Fixed::read(data).filter(Fixed::is_rtp) else {
            return false;
        };
        flow.reception.lock().packet(
            header.second,
            header.sequence,
            header.timestamp,
            header.ssrc,
            data.len(),
            now,
        );
        let size = data.len() as f64;
        let cost = if size > flow.unit_octets { size } else { flow.unit_octets };
        if cost > self.credit {
            self.credit += self.policer.grant(ADVANCE * flow.unit_octets + cost, now);
            if cost > self.credit {
                self.drops.count(POLICED);
                return true;
            }
        }
        self.credit -= cost;
        match &self.aim {
            None => self.drops.count(flow.reason),
            Some(aim) => {
                if !aim.send(data) {
                    self.drops.count(UNSENT);
                }
            }
        }
        true
    }
}

/// ICMP errors that a send has met: the packet was sent once more each time.
pub(crate) static REFUSED: AtomicU64 = AtomicU64::new(0);

impl Aim {
    /// Sends, and once more if that fails: the error may be an earlier packet's (ECONNREFUSED by
    /// ICMP). Returns whether the kernel took it.
    fn send(&self, data: &[u8]) -> bool {
        match self.socket.send(data, self.to) {
            Ok(()) => true,
            Err(error) => {
                if error == Errno::CONNREFUSED {
                    REFUSED.fetch_add(1, Ordering::Relaxed);
                }
                self.socket.send(data, self.to).is_ok()
            }
        }
    }
}
