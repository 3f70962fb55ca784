//! A flow: what becomes of the packets that are its own, step by step (`relay/forward/base.py`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use relay_core::g711;
use relay_core::packet::{self, Fixed};
use relay_core::policer::Policer;
use relay_core::stats::{MAX_DROPOUT, MAX_MISORDER, Reception};

use crate::address::Address;
use crate::port::Totals;
use crate::prefetch::prefetch;
use crate::sockets::Media;
use crate::srtp::{Failure, Key};

// Numbers of `DropReason`.
pub(crate) const POLICED: usize = 3;
pub(crate) const UNSENT: usize = 10;
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

/// A flow as it was installed.
pub(crate) struct Flow {
    /// FORWARD; else what passes the checks is dropped.
    pub(crate) forward: bool,
    /// Everything is punted, the source's packets too: it only has a socket of its own.
    pub(crate) punt: bool,
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
    pub(crate) socket: Media,
    pub(crate) to: Option<Address>,
    pub(crate) totals: Arc<Totals>,
}

/// When packets leave.
pub(crate) trait Exit {
    /// Takes the packet at the start of a buffer. Returns whether the kernel took it, or may.
    fn leave(&mut self, aim: &Aim, data: &[u8]) -> bool;
}

/// At once.
pub(crate) struct AtOnce;

impl Exit for AtOnce {
    fn leave(&mut self, aim: &Aim, data: &[u8]) -> bool {
        aim.send(data) || aim.send_again(data)
    }
}

/// With the others of a batch, where it goes to a socket's peer: so many octets of its buffer.
pub(crate) struct WithOthers(pub(crate) usize);

impl Exit for WithOthers {
    fn leave(&mut self, aim: &Aim, data: &[u8]) -> bool {
        if aim.to.is_some() {
            return AtOnce.leave(aim, data);
        }
        self.0 = data.len();
        true
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// For this reason.
    Drop(usize),
    Punt,
}

/// What a port may still send on; see `relay/forward/python.py`.
pub(crate) struct Allowance<'a> {
    pub(crate) policer: &'a mut Policer,
    pub(crate) credit: &'a mut f64,
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
    /// Asks for what a packet needs besides the flow.
    pub(crate) fn prefetch(&self) {
        prefetch(&*self.reception);
        for key in [&self.srtp_in, &self.srtp_out].into_iter().flatten() {
            prefetch(&**key);
        }
    }

    /// The steps of the contract, in its order and with its numbers.
    #[inline]
    pub(crate) fn carry(
        &self,
        buffer: &mut [u8],
        mut len: usize,
        now: f64,
        allowance: Allowance<'_>,
        aim: Option<&Aim>,
        exit: &mut impl Exit,
    ) -> Outcome {
        if self.punt {
            return Outcome::Punt; // 2
        }
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
            Some(data) if exit.leave(aim, data) => Outcome::Sent, // 14
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
        if reception.ssrc == i64::from(numbering.ssrc) {
            return is_jump(i64::from(header.sequence) - reception.highest);
        }
        let last = self.srtp_out.as_ref().and_then(|key| key.lock().index(numbering.out_ssrc));
        let leaves = i64::from(header.sequence) + i64::from(numbering.sequence);
        last.is_some_and(|last| is_jump(leaves - (last & 0xFFFF) as i64))
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

fn is_jump(step: i64) -> bool {
    (MAX_DROPOUT..=0x1_0000 - MAX_MISORDER).contains(&(step & 0xFFFF))
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
    /// Returns whether the kernel took it.
    fn send(&self, data: &[u8]) -> bool {
        self.socket.send(data, self.to).is_ok()
    }

    /// Once more: the error may be an earlier packet's (ECONNREFUSED by ICMP).
    pub(crate) fn send_again(&self, data: &[u8]) -> bool {
        self.totals.resent.fetch_add(1, Ordering::Relaxed);
        self.send(data)
    }
}
