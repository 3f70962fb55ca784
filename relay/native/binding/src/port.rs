//! One open port and its flow: what becomes of each packet (`relay/forward/base.py`).
//!
//! The order of the checks, and what counts where, are those of `relay/forward/python.py`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use relay_core::g711;
use relay_core::packet::{self, Fixed};
use relay_core::policer::Policer;
use relay_core::stats::{MAX_DROPOUT, MAX_MISORDER, Reception};

use crate::address::Address;
use crate::punts::Punt;
use crate::sockets::Media;
use crate::srtp::{Failure, Key};

/// As many as `DropReason` has, and some to spare.
const REASONS: usize = 24;
// Numbers of `DropReason`.
const POLICED: usize = 3;
const UNSENT: usize = 10;
const SRTP_AUTH: usize = 11;
const SRTP_REPLAY: usize = 12;
const SRTP_REUSE: usize = 13;
const PAYLOAD_TYPE: usize = 14;
const SSRC: usize = 15;
const SIZE: usize = 17;

// Numbers of `Verdict`.
const DROP: u8 = 1;
const PUNT: u8 = 2;

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

    /// The reasons that have occurred, and how often.
    pub(crate) fn read(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let counters = self.0.get().into_iter().flat_map(|counters| counters.iter().enumerate());
        let counts = counters.map(|(reason, counter)| (reason, counter.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count != 0)
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
    pub(crate) srtp_in: Option<Key>,
    pub(crate) srtp_out: Option<Key>,
    /// By payload type: the verdict, the type that it becomes, the conversion between laws.
    pub(crate) types: Option<Types>,
    pub(crate) payloads: Option<Types>,
    pub(crate) convert: Option<Types>,
    pub(crate) numbering: Option<Numbering>,
}

/// A number for each payload type.
pub(crate) type Types = Box<[u8; 128]>;

/// How one source's packets are numbered on the way out.
#[derive(Clone, Copy)]
pub(crate) struct Numbering {
    pub(crate) ssrc: u32,
    pub(crate) out_ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
}

/// How a flow's packets leave: by this socket, to its peer or to the address given.
pub(crate) struct Aim {
    pub(crate) socket: Arc<Media>,
    pub(crate) to: Option<Address>,
    pub(crate) totals: Arc<Totals>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// For this reason.
    Drop(usize),
    Punt,
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
            punts: None,
            drops,
            tos: 0,
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
        self.flow = Some(Box::new(flow));
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
        match self.pass(buffer, size, source, now) {
            Outcome::Punt if self.may_punt(size, source, now) => Received::Punt(size, source),
            Outcome::Punt => {
                self.drops.count(POLICED);
                Received::Done
            }
            _ => Received::Done,
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
    ) -> Outcome {
        let outcome = match &self.flow {
            Some(flow) if self.source == Some(source) => {
                let allowance = Allowance { policer: &mut self.policer, credit: &mut self.credit };
                flow.carry(buffer, len, now, allowance, self.aim.as_ref())
            }
            _ => Outcome::Punt,
        };
        if let Outcome::Drop(reason) = outcome {
            self.drops.count(reason);
        }
        outcome
    }
}

/// What a port may still send on; see `relay/forward/python.py`.
struct Allowance<'a> {
    policer: &'a mut Policer,
    credit: &'a mut f64,
}

impl Allowance<'_> {
    #[inline]
    fn take(self, size: f64, unit: f64, now: f64) -> bool {
        let cost = if size > unit { size } else { unit };
        if cost > *self.credit {
            *self.credit += self.policer.grant(ADVANCE * unit + cost, now);
            if cost > *self.credit {
                return false;
            }
        }
        *self.credit -= cost;
        true
    }
}

impl Flow {
    /// The steps of the contract, in its order and with its numbers.
    #[inline]
    fn carry(
        &self,
        buffer: &mut [u8],
        mut len: usize,
        now: f64,
        allowance: Allowance<'_>,
        aim: Option<&Aim>,
    ) -> Outcome {
        let Some(data) = buffer.get(..len) else { return Outcome::Punt };
        let Some(header) = Fixed::read(data).filter(Fixed::is_rtp) else {
            return Outcome::Punt; // 1
        };
        let kind = usize::from(header.payload_type());
        if self.types.as_ref().is_some_and(|types| types[kind] == PUNT) || self.strays(&header) {
            return Outcome::Punt; // 3, 4
        }
        let size = len;
        if let Some(key) = &self.srtp_in {
            match key.lock().unprotect_rtp(buffer, len) {
                Ok(plain) => len = plain.len,
                Err(error) => return Outcome::Drop(unprotecting(error.into())), // 5
            }
        }
        let Fixed { second, sequence, timestamp, ssrc, .. } = header;
        self.reception.lock().packet(second, sequence, timestamp, ssrc, size, now); // 6
        if !allowance.take(size as f64, self.unit_octets, now) {
            return Outcome::Drop(POLICED); // 7
        }
        if self.types.as_ref().is_some_and(|types| types[kind] == DROP) {
            return Outcome::Drop(PAYLOAD_TYPE); // 8
        }
        let Some(aim) = aim else { return Outcome::Drop(self.reason) }; // 9
        match self.rewrite(buffer, len, &header) {
            Ok(size) => len = size,
            Err(reason) => return Outcome::Drop(reason),
        }
        match buffer.get(..len) {
            Some(data) if aim.send(data) => Outcome::Sent, // 14
            _ => Outcome::Drop(UNSENT),
        }
    }

    /// Another source than the one that is numbered, or a sequence number that jumps.
    fn strays(&self, header: &Fixed) -> bool {
        let Some(numbering) = &self.numbering else { return false };
        if header.ssrc != numbering.ssrc {
            return true;
        }
        let reception = self.reception.lock();
        let step = (i64::from(header.sequence) - reception.highest) & 0xFFFF;
        reception.ssrc == i64::from(numbering.ssrc)
            && (MAX_DROPOUT..=0x1_0000 - MAX_MISORDER).contains(&step)
    }

    /// Steps 10 to 13: the packet as it leaves, and its size.
    fn rewrite(&self, buffer: &mut [u8], len: usize, header: &Fixed) -> Result<usize, usize> {
        let kind = usize::from(header.payload_type());
        let data = buffer.get_mut(..len).ok_or(SIZE)?;
        if let Some(payloads) = &self.payloads {
            packet::set_payload_type(data, payloads[kind]);
        }
        if let Some(convert) = &self.convert {
            convert_law(data, convert[kind])?;
        }
        if let Some(numbering) = &self.numbering {
            packet::set_ssrc(data, numbering.out_ssrc);
            packet::set_sequence(data, header.sequence.wrapping_add(numbering.sequence));
            packet::set_timestamp(data, header.timestamp.wrapping_add(numbering.timestamp));
        }
        match &self.srtp_out {
            None => Ok(len),
            Some(key) => match key.lock().protect_rtp(buffer, len) {
                Ok(protected) => Ok(protected.len),
                Err(error) => Err(protecting(error.into())),
            },
        }
    }
}

fn convert_law(data: &mut [u8], how: u8) -> Result<(), usize> {
    let convert = match how {
        1 => g711::ulaw_to_alaw,
        2 => g711::alaw_to_ulaw,
        _ => return Ok(()),
    };
    let header = packet::parse(data).map_err(|_| SIZE)?;
    let payload = header.payload(data.len());
    convert(data.get_mut(payload).ok_or(SIZE)?);
    Ok(())
}

fn unprotecting(failure: Failure) -> usize {
    match failure {
        Failure::Size => SIZE,
        Failure::Source => SSRC,
        Failure::Replay => SRTP_REPLAY,
        Failure::Auth => SRTP_AUTH,
    }
}

fn protecting(failure: Failure) -> usize {
    match failure {
        Failure::Size => SIZE,
        Failure::Source => SSRC,
        Failure::Replay | Failure::Auth => SRTP_REUSE,
    }
}

impl Aim {
    /// Sends, and once more if that fails: the error may be an earlier packet's (ECONNREFUSED by
    /// ICMP). Returns whether the kernel took it.
    fn send(&self, data: &[u8]) -> bool {
        self.socket.send(data, self.to).is_ok() || {
            self.totals.resent.fetch_add(1, Ordering::Relaxed);
            self.socket.send(data, self.to).is_ok()
        }
    }
}
