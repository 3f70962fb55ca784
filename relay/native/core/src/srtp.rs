//! SRTP and SRTCP under one master key (RFC 3711, RFC 6188, RFC 7714).
//!
//! A [`Session`] is one master key: with SDES that is one direction of one media stream. Its keys
//! are derived once (key derivation rate 0), and what is expensive about a key, the AES schedule,
//! the hashed pads of HMAC and the powers of GHASH's key, is kept, so that a packet costs only its
//! own bytes. Under the key there are streams, one for each SSRC, each with its own roll-over
//! counter and replay window.
//!
//! Everything happens in place: the packet lies in the caller's buffer from its start, its size is
//! an argument, and protecting needs [`Session::rtp_overhead`] or [`Session::rtcp_overhead`] bytes
//! of room behind it. Nothing changes, neither state nor buffer, before a packet is authenticated.
//!
//! # What is refused on the way out
//!
//! Under one key the same SSRC and index must never protect two payloads: with a stream cipher
//! that gives both away (RFC 3711 §9.1). A relay forwards packets in the order in which they came,
//! late ones late, so "above the highest index sent" would be too strict: a sender keeps a window
//! of the indices it has used, as a receiver does (§3.3.2), a late index that is still free in it
//! may go out once, and one that was used or lies before the window is refused: as
//! [`Error::Replayed`] or [`Error::Old`]. A caller that wants to send a packet twice sends the
//! protected bytes twice.

mod cipher;
mod gcm;
mod hmac;
mod keys;
mod sources;
mod suite;
#[cfg(test)]
mod vectors;
mod window;

use crate::packet;
use keys::{Derivation, Id, Keys, Part, Protocol};
use sources::{Full, Sources};

pub use suite::Suite;

/// Bytes of an RTCP packet that are never encrypted (RFC 3711 §3.4).
const RTCP_HEAD: usize = 8;
/// Longest key identifier (RFC 4568 §6.1).
const MKI_MAX: usize = 128;
/// By how much a process that takes over another's key raises its SRTCP indices: the other may
/// have sent more since they were noted.
pub const RTCP_JUMP: u32 = 1 << 16;

/// Why a packet was not taken, or could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Error {
    /// Not an RTP or RTCP packet, or too short for what must be in it.
    Malformed = 0,
    /// The tag is wrong: another key, another roll-over counter, or a forgery.
    Authentication = 1,
    /// This index was taken, or sent, before.
    Replayed = 2,
    /// The index lies before the replay window.
    Old = 3,
    /// The packet names another master key (MKI).
    Mki = 4,
    /// SRTCP that says of itself that it is not encrypted.
    Unencrypted = 5,
    /// The key has protected as many packets as it may: RFC 3711 §9.2 or the signalled lifetime.
    Exhausted = 6,
    /// There are as many sources under this key as the session follows.
    Sources = 7,
    /// The buffer has no room for the trailer.
    Room = 8,
}

/// Why a master key was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Master key and salt together do not have the suite's size.
    KeySize,
    /// The key identifier is longer than 128 bytes (RFC 4568 §6.1).
    MkiSize,
}

/// What may be set of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Replay window in packets, taken as 64..=960. 128 unless told.
    pub window: u16,
    /// Sources followed in each direction, at least 1. 64 unless told.
    pub sources: u16,
    /// Packets that the key may protect, RTP and RTCP each: RFC 4568's lifetime. RFC 3711's limits,
    /// 2^48 and 2^31, hold in any case. No other unless told.
    pub lifetime: u64,
    /// Roll-over counter with which a source begins that is not known yet. 0 unless told.
    pub roc: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options { window: 128, sources: 64, lifetime: u64::MAX, roc: 0 }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its size in the buffer now.
    pub len: usize,
    /// SRTP: roll-over counter · 2^16 + sequence number. SRTCP: its index.
    pub index: u64,
    /// Whether the index is the highest of its source so far.
    pub newest: bool,
}

/// One source's state under a key: what another process needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The synchronisation source.
    pub ssrc: u32,
    /// Highest SRTP index; `None`: no packet yet.
    pub rtp: Option<u64>,
    /// Highest SRTCP index; `None`: no packet yet.
    pub rtcp: Option<u32>,
}

/// One master key and the streams under it.
pub struct Session {
    suite: Suite,
    mki: Box<[u8]>,
    rtp: Keys,
    rtcp: Keys,
    sent: Sources,
    received: Sources,
}

impl Session {
    /// Derives the session keys.
    ///
    /// `key` is master key and master salt, as RFC 4568 writes them one behind the other; `mki`,
    /// if not empty, is put into every packet and expected in every packet.
    pub fn new(
        suite: Suite,
        key: &[u8],
        mki: &[u8],
        options: Options,
    ) -> Result<Session, KeyError> {
        if key.len() != suite.key_size() + suite.salt_size() {
            return Err(KeyError::KeySize);
        }
        if mki.len() > MKI_MAX {
            return Err(KeyError::MkiSize);
        }
        let (key, salt) = key.split_at(suite.key_size());
        let from = Derivation::new(key, salt).ok_or(KeyError::KeySize)?;
        let keys = |protocol| Keys::new(suite, &from, protocol).ok_or(KeyError::KeySize);
        Ok(Session {
            suite,
            mki: mki.into(),
            rtp: keys(Protocol::Rtp)?,
            rtcp: keys(Protocol::Rtcp)?,
            sent: Sources::new(Full::Refuse, &options),
            received: Sources::new(Full::Evict, &options),
        })
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Bytes that [`Session::protect_rtp`] adds.
    #[inline]
    pub fn rtp_overhead(&self) -> usize {
        self.rtp.tag_size() + self.mki.len()
    }

    /// Bytes that [`Session::protect_rtcp`] adds.
    #[inline]
    pub fn rtcp_overhead(&self) -> usize {
        self.rtcp.tag_size() + self.mki.len() + 4
    }

    /// Encrypts and authenticates the RTP packet in `buffer[..len]`.
    #[inline]
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let whole = len + self.rtp_overhead();
        let packet = buffer.get(..len).ok_or(Error::Room)?;
        let (fixed, head) = packet::prefix(packet).map_err(|_| Error::Malformed)?;
        let buffer = buffer.get_mut(..whole).ok_or(Error::Room)?;
        let place = self.sent.rtp(fixed.ssrc, fixed.sequence)?;
        let id = Id { ssrc: fixed.ssrc, index: place.index };
        self.rtp.seal_rtp(buffer, &Part { head, end: len }, id, &self.mki);
        let newest = self.sent.take_rtp(fixed.ssrc, place);
        Ok(Passed { len: whole, index: place.index, newest })
    }

    /// Verifies and decrypts the SRTP packet in `buffer[..len]`.
    #[inline]
    pub fn unprotect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let packet = buffer.get_mut(..len).ok_or(Error::Room)?;
        let (fixed, head) = packet::prefix(packet).map_err(|_| Error::Malformed)?;
        let end = len.checked_sub(self.rtp_overhead()).filter(|end| *end >= head);
        let end = end.ok_or(Error::Malformed)?;
        let place = self.received.rtp(fixed.ssrc, fixed.sequence)?;
        let id = Id { ssrc: fixed.ssrc, index: place.index };
        self.rtp.open_rtp(packet, &Part { head, end }, id, &self.mki)?;
        let newest = self.received.take_rtp(fixed.ssrc, place);
        Ok(Passed { len: end, index: place.index, newest })
    }

    /// Encrypts and authenticates the RTCP compound in `buffer[..len]`, under the next index.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let whole = len + self.rtcp_overhead();
        let ssrc = rtcp_source(buffer.get(..len).ok_or(Error::Room)?)?;
        let buffer = buffer.get_mut(..whole).ok_or(Error::Room)?;
        let place = self.sent.next_rtcp(ssrc)?;
        let id = Id { ssrc, index: place.index };
        self.rtcp.seal_rtcp(buffer, &Part { head: RTCP_HEAD, end: len }, id, &self.mki);
        let newest = self.sent.take_rtcp(ssrc, place);
        Ok(Passed { len: whole, index: place.index, newest })
    }

    /// Verifies and decrypts the SRTCP packet in `buffer[..len]`.
    pub fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let packet = buffer.get_mut(..len).ok_or(Error::Room)?;
        let ssrc = rtcp_source(packet)?;
        let end = len.checked_sub(self.rtcp_overhead()).filter(|end| *end >= RTCP_HEAD);
        let end = end.ok_or(Error::Malformed)?;
        let word_at = self.rtcp.rtcp_word_at(len, &self.mki).ok_or(Error::Malformed)?;
        let word = packet[word_at..].first_chunk().ok_or(Error::Malformed)?;
        let word = u32::from_be_bytes(*word);
        if word >> 31 == 0 {
            return Err(Error::Unencrypted);
        }
        let place = self.received.rtcp(ssrc, word & 0x7FFF_FFFF)?;
        let id = Id { ssrc, index: place.index };
        self.rtcp.open_rtcp(packet, &Part { head: RTCP_HEAD, end }, id, &self.mki)?;
        let newest = self.received.take_rtcp(ssrc, place);
        Ok(Passed { len: end, index: place.index, newest })
    }

    /// The sources that were sent under this key.
    pub fn sent(&self) -> impl Iterator<Item = Source> + '_ {
        self.sent.all()
    }

    /// The sources that were received under this key.
    pub fn received(&self) -> impl Iterator<Item = Source> + '_ {
        self.received.all()
    }

    /// One source that was sent.
    pub fn sent_source(&self, ssrc: u32) -> Option<Source> {
        self.sent.source(ssrc)
    }

    /// One source that was received.
    pub fn received_source(&self, ssrc: u32) -> Option<Source> {
        self.received.source(ssrc)
    }

    /// Goes on where another process has sent: indices up to these are never used again. The
    /// caller adds what may have been sent since they were noted; for SRTCP, [`RTCP_JUMP`].
    pub fn set_sent(&mut self, source: Source) -> Result<(), Error> {
        self.sent.fill(source)
    }

    /// Goes on where another process has received: indices up to these count as received.
    pub fn set_received(&mut self, source: Source) -> Result<(), Error> {
        self.received.fill(source)
    }

    /// Sets the roll-over counter of a source's first packet out; if it has sent already, its
    /// highest index moves up to that counter. [`Error::Old`] if it would move down.
    pub fn set_roc_sent(&mut self, ssrc: u32, roc: u32) -> Result<(), Error> {
        self.sent.set_roc(ssrc, roc)
    }

    /// Sets the roll-over counter of a source's first packet in; if some came already, its highest
    /// index moves up to that counter. [`Error::Old`] if it would move down.
    pub fn set_roc_received(&mut self, ssrc: u32, roc: u32) -> Result<(), Error> {
        self.received.set_roc(ssrc, roc)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Session").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// The SSRC of an RTCP packet that has one.
fn rtcp_source(packet: &[u8]) -> Result<u32, Error> {
    match packet.first_chunk() {
        Some(&[first, _, _, _, a, b, c, d]) if first >> 6 == 2 => {
            Ok(u32::from_be_bytes([a, b, c, d]))
        }
        _ => Err(Error::Malformed),
    }
}
