//! One open port: its sockets, its flow, what it has dropped and what waits for the slow path.
//!
//! The order of the checks, and what counts where, are those of `relay/forward/python.py`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use relay_core::policer::Policer;
use rustix::io::Errno;

use crate::address::Address;
use crate::flow::{Aim, Allowance, Exit, Flow, Outcome, POLICED, UNSENT};
use crate::sockets::Media;

/// As many as `DropReason` has, and some to spare.
const REASONS: usize = 24;
const BURST_S: f64 = 2.0;
/// Packets of a socket which was somebody else's that are looked at in one go: mostly all.
pub(crate) const INHERITED: u32 = 4096;
/// Packets whose source is still looked at once a connected socket was empty: others' that were on
/// their way into it, a few for each processor.
const ON_THEIR_WAY: u32 = 64;
const FOR_EVER: u32 = u32::MAX;

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
    /// The expected peer's.
    Tx = 1,
}

/// Packets dropped, by reason. Written by the thread, read by Python without asking it. Most ports
/// never drop any.
#[derive(Default)]
pub(crate) struct Drops(OnceLock<Box<[AtomicU64; REASONS]>>);

impl Drops {
    fn count(&self, reason: usize) {
        let counters = self.0.get_or_init(|| Box::new([const { AtomicU64::new(0) }; REASONS]));
        if let Some(counter) = counters.get(reason) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The reasons that have occurred, and how often; None: there was no drop.
    pub(crate) fn read(&self) -> Option<impl Iterator<Item = (usize, u64)> + '_> {
        let counters = self.0.get()?.iter().enumerate();
        let counts = counters.map(|(reason, counter)| (reason, counter.load(Ordering::Relaxed)));
        Some(counts.filter(|(_, count)| *count != 0))
    }
}

/// What is counted over all ports, since the start.
#[derive(Default)]
pub(crate) struct Totals {
    /// Flows that stay on their unconnected socket for want of a descriptor.
    pub(crate) unconnected: AtomicU64,
    /// Packets that were sent once more after an error.
    pub(crate) resent: AtomicU64,
}

/// One open port.
pub(crate) struct Port {
    pub(crate) serial: u32,
    pub(crate) rx: Media,
    pub(crate) tx: Option<Media>,
    /// Packets of `tx` whose source is still to be looked at.
    unsure: u32,
    /// In a box: RTCP ports, every second one, have none.
    pub(crate) flow: Option<Box<Flow>>,
    /// The flow's, while it is in force.
    pub(crate) source: Option<Address>,
    /// The port that the flow leaves from.
    pub(crate) out: Option<PortId>,
    /// The port whose flow leaves from this one.
    pub(crate) feeder: Option<PortId>,
    pub(crate) aim: Option<Aim>,
    policer: Policer,
    credit: f64,
    /// Of what the flow's own source has for the slow path.
    punts: Option<Policer>,
    drops: Arc<Drops>,
    /// The byte that packets bear which leave here.
    pub(crate) tos: u8,
    /// A flood: `rx` is left alone for a moment.
    pub(crate) muted: bool,
    /// By side: the slow path is behind, so nothing is read.
    pub(crate) paused: [bool; 2],
    /// By side: packets on their way up.
    pub(crate) waiting: [u32; 2],
}

impl Port {
    pub(crate) fn new(serial: u32, rx: Media, drops: Arc<Drops>) -> Port {
        Port {
            serial,
            rx,
            tx: None,
            unsure: 0,
            flow: None,
            source: None,
            out: None,
            feeder: None,
            aim: None,
            policer: Policer::new(0.0, 0.0, 0.0),
            credit: 0.0,
            punts: None,
            drops,
            tos: 0,
            muted: false,
            paused: [false; 2],
            waiting: [0; 2],
        }
    }

    /// A flow takes the place of the one before; its sockets are not looked at.
    pub(crate) fn take(&mut self, flow: Flow) {
        if self.flow.as_ref().map(|before| before.rate_octets) != Some(flow.rate_octets) {
            self.policer = Policer::new(flow.rate_octets, BURST_S * flow.rate_octets, 0.0);
            self.credit = 0.0;
            self.punts = None;
        }
        self.flow = Some(Box::new(flow));
    }

    /// The peer's own socket is there. Others' packets may be in it, until it was empty once.
    pub(crate) fn connected(&mut self, tx: Media) {
        self.tx = Some(tx);
        self.unsure = FOR_EVER;
    }

    /// The socket of a former peer becomes another one's. Returns whether it does.
    pub(crate) fn reconnect(&mut self, peer: Address) -> bool {
        let done = self.tx.as_ref().is_some_and(|tx| tx.connect(peer).is_ok());
        if done {
            self.unsure = FOR_EVER;
        }
        done
    }

    /// The peer's own socket, where its packets need not be asked for their source.
    pub(crate) fn sure(&self, side: Side) -> Option<&Media> {
        self.tx.as_ref().filter(|_| self.unsure == 0 && side == Side::Tx)
    }

    /// A packet is about to come: asks for what lies behind the flow.
    pub(crate) fn prefetch(&self) {
        if let Some(flow) = &self.flow {
            flow.prefetch();
        }
    }

    /// One packet from one of the sockets, if there is one: its size and source.
    pub(crate) fn receive(&mut self, side: Side, buffer: &mut [u8]) -> Option<(usize, Address)> {
        match (side, &self.tx) {
            (Side::Rx, _) => self.rx.receive_from(buffer).ok(),
            // Others' packets that landed in the socket before it was connected to this peer are
            // told apart here; later on the kernel's own check is all that is needed.
            (Side::Tx, Some(tx)) if self.unsure > 0 => {
                let received = tx.receive_from(buffer);
                self.unsure = match received {
                    Err(Errno::AGAIN) => ON_THEIR_WAY, // all that was there before is out
                    _ if self.unsure == FOR_EVER => FOR_EVER,
                    _ => self.unsure - 1,
                };
                received.ok()
            }
            // An error is an ICMP error of an earlier send: this call has cleared it.
            (Side::Tx, Some(tx)) => Some((tx.receive(buffer).ok()?, self.source?)),
            (Side::Tx, None) => None,
        }
    }

    /// What becomes of a packet that was received, and whether the slow path is to have it.
    pub(crate) fn handle(
        &mut self,
        buffer: &mut [u8],
        len: usize,
        source: Address,
        now: f64,
        exit: &mut impl Exit,
    ) -> bool {
        if self.pass(buffer, len, source, now, exit) != Outcome::Punt {
            return false;
        }
        let may = self.may_punt(len, source, now);
        if !may {
            self.drops.count(POLICED);
        }
        may
    }

    /// A packet of a batch did not leave: once more, alone.
    pub(crate) fn send_again(&self, data: &[u8]) {
        if !self.aim.as_ref().is_some_and(|aim| aim.send_again(data)) {
            self.drops.count(UNSENT);
        }
    }

    /// Whether the slow path is to have a packet. Of the flow's own source no more of that than of
    /// media: whoever forges it shall not keep the slow path busy. Strangers are policed there.
    fn may_punt(&mut self, size: usize, source: Address, now: f64) -> bool {
        let Some(flow) = self.flow.as_ref().filter(|_| self.source == Some(source)) else {
            return true;
        };
        let rate = flow.rate_octets;
        let punts = self.punts.get_or_insert_with(|| Policer::new(rate, BURST_S * rate, now));
        punts.take(flow.unit_octets.max(size as f64), now)
    }

    /// What becomes of the packet in `buffer[..len]`; the rest of the buffer is room for a trailer.
    pub(crate) fn pass(
        &mut self,
        buffer: &mut [u8],
        len: usize,
        source: Address,
        now: f64,
        exit: &mut impl Exit,
    ) -> Outcome {
        let outcome = match &self.flow {
            Some(flow) if self.source == Some(source) => {
                let allowance = Allowance { policer: &mut self.policer, credit: &mut self.credit };
                flow.carry(buffer, len, now, allowance, self.aim.as_ref(), exit)
            }
            _ => Outcome::Punt,
        };
        if let Outcome::Drop(reason) = outcome {
            self.drops.count(reason);
        }
        outcome
    }
}
