//! SRTP and SRTCP under one master key (RFC 3711, RFC 6188, RFC 7714).
//!
//! A [`Session`] is one master key: with SDES that is one direction of one media stream. Its keys
//! are derived once (key derivation rate 0), and the hashed pads of HMAC are kept. AES schedules and
//! the powers of GHASH's key are made for each packet, in 0.01 to 0.04 µs: they would be three
//! quarters of a session's memory. Under the key there are sources, one for each SSRC, each with its
//! own roll-over counter and replay window.
//!
//! Everything happens in place: the packet lies in the caller's buffer from its start, its size is
//! an argument, and protecting needs [`Session::rtp_overhead`] or [`Session::rtcp_overhead`] bytes
//! of room behind it. Nothing changes, neither state nor buffer, before a packet is authenticated.
//! Any bytes may go in; whether they are RTP or RTCP ([`crate::packet::classify`]) is the caller's
//! question.
//!
//! # What is refused on the way out
//!
//! Under one key the same SSRC and index must never protect two payloads: with a stream cipher
//! that gives both away (RFC 3711 §9.1). A relay forwards packets in the order in which they came,
//! late ones late, so "above the highest index sent" would be too strict: a sender keeps a window
//! of the indices it has used, as a receiver does (§3.3.2), a late index that is still free in it
//! may go out once, and one that was used or lies before the window is refused: as
//! [`Error::Replayed`] or [`Error::Old`]. A caller that wants to send a packet twice sends the
//! protected bytes twice. For the same reason no source is ever forgotten: beyond
//! [`Options::sources`] further ones are refused. Only who knows the key becomes a source. SRTCP's
//! index is one counter for all sources that are sent.
//!
//! `relay/rtp/context.py` is the twin in Python; the two are held to the same bytes and verdicts.

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
use sources::{RtcpSources, RtpSources};

pub use suite::Suite;

/// The largest packet, protected.
pub const MAX_SIZE: usize = 65_535;
/// By how much a process that takes over another's key raises its SRTCP index: the other may have
/// sent more since it was noted.
pub const RTCP_JUMP: u32 = 1 << 16;

/// Bytes of an RTCP packet that are never encrypted (RFC 3711 §3.4).
const RTCP_HEAD: usize = 8;
/// The encryption flag and the index of an SRTCP packet.
const WORD: usize = 4;
/// Longest key identifier (RFC 4568 §6.1).
const MKI_MAX: usize = 128;

/// Why a packet was not taken, or could not be made. Looked at in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Error {
    /// Too short to have all its parts, a header that is longer than the packet, or larger than
    /// [`MAX_SIZE`].
    Size = 1,
    /// The buffer has no room for the trailer.
    Room = 2,
    /// One source more than the session follows.
    Sources = 3,
    /// This index was used before.
    Replayed = 4,
    /// The index lies before the window.
    Old = 5,
    /// The key's life is over: 2^48 packets of a source, 2^31 of RTCP (RFC 3711 §9.2).
    Exhausted = 6,
    /// The packet names another master key (MKI).
    Mki = 7,
    /// The tag is wrong: another key, another roll-over counter, or a forgery.
    Authentication = 8,
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
    /// Sources followed, of RTP and of RTCP each; at least 1. 1,024 unless told.
    pub sources: u16,
    /// Roll-over counter of each source's first packet. 0 unless told.
    pub roc: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options { sources: 1024, roc: 0 }
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

/// One master key and the streams under it. It serves one direction: either what is sent or what is
/// received.
pub struct Session {
    suite: Suite,
    mki: Box<[u8]>,
    rtp: Keys,
    rtcp: Keys,
    rtp_sources: RtpSources,
    rtcp_sources: RtcpSources,
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
        let from = Derivation::new(suite, key);
        Ok(Session {
            suite,
            mki: mki.into(),
            rtp: Keys::new(suite, &from, Protocol::Rtp),
            rtcp: Keys::new(suite, &from, Protocol::Rtcp),
            rtp_sources: RtpSources::new(&options),
            rtcp_sources: RtcpSources::new(&options),
        })
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Bytes that [`Session::protect_rtp`] adds.
    #[inline]
    pub fn rtp_overhead(&self) -> usize {
        self.suite.rtp_tag_size() + self.mki.len()
    }

    /// Bytes that [`Session::protect_rtcp`] adds.
    #[inline]
    pub fn rtcp_overhead(&self) -> usize {
        self.suite.rtcp_tag_size() + self.mki.len() + WORD
    }

    /// Encrypts and authenticates the RTP packet in `buffer[..len]`.
    #[inline]
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let packet = buffer.get(..len).ok_or(Error::Room)?;
        let (fixed, head) = packet::extent(packet).ok_or(Error::Size)?;
        let whole = fits(len + self.rtp_overhead())?;
        let buffer = buffer.get_mut(..whole).ok_or(Error::Room)?;
        let place = self.rtp_sources.place(fixed.ssrc, fixed.sequence)?;
        let id = Id { ssrc: fixed.ssrc, index: place.index };
        self.rtp.seal_rtp(buffer, &Part { head, end: len }, id, &self.mki);
        let newest = self.rtp_sources.take(place);
        Ok(Passed { len: whole, index: place.index, newest })
    }

    /// Verifies and decrypts the SRTP packet in `buffer[..len]`.
    #[inline]
    pub fn unprotect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let packet = buffer.get_mut(..fits(len)?).ok_or(Error::Room)?;
        let (fixed, head) = packet::extent(packet).ok_or(Error::Size)?;
        let end = len.checked_sub(self.rtp_overhead()).filter(|end| *end >= head);
        let end = end.ok_or(Error::Size)?;
        let place = self.rtp_sources.place(fixed.ssrc, fixed.sequence)?;
        let id = Id { ssrc: fixed.ssrc, index: place.index };
        self.rtp.open_rtp(packet, &Part { head, end }, id, &self.mki)?;
        let newest = self.rtp_sources.take(place);
        Ok(Passed { len: end, index: place.index, newest })
    }

    /// Encrypts and authenticates the RTCP compound in `buffer[..len]`, under the next index.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let ssrc = rtcp_source(buffer.get(..len).ok_or(Error::Room)?)?;
        let whole = fits(len + self.rtcp_overhead())?;
        let buffer = buffer.get_mut(..whole).ok_or(Error::Room)?;
        let index = self.rtcp_sources.advance()?;
        let part = Part { head: RTCP_HEAD, end: len };
        self.rtcp.seal_rtcp(buffer, &part, Id { ssrc, index }, &self.mki);
        Ok(Passed { len: whole, index, newest: true })
    }

    /// Verifies and decrypts the SRTCP packet in `buffer[..len]`. One whose encryption flag is
    /// clear is taken if it is authentic (RFC 3711 §3.4).
    pub fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<Passed, Error> {
        let packet = buffer.get_mut(..fits(len)?).ok_or(Error::Room)?;
        let end = len.checked_sub(self.rtcp_overhead()).filter(|end| *end >= RTCP_HEAD);
        let end = end.ok_or(Error::Size)?;
        let ssrc = rtcp_source(packet)?;
        let keys = &self.rtcp;
        let word_at = keys.rtcp_word_at(end);
        let word = packet[word_at..].first_chunk::<WORD>().ok_or(Error::Size)?;
        let word = u32::from_be_bytes(*word);
        let place = self.rtcp_sources.place(ssrc, word & 0x7FFF_FFFF)?;
        let id = Id { ssrc, index: place.index };
        let part = Part { head: RTCP_HEAD, end };
        keys.open_rtcp(packet, &part, id, word >> 31 != 0, &self.mki)?;
        let newest = self.rtcp_sources.take(place);
        Ok(Passed { len: end, index: place.index, newest })
    }

    /// The highest RTP index of a source: its roll-over counter · 2^16 + sequence number.
    pub fn index(&self, ssrc: u32) -> Option<u64> {
        self.rtp_sources.highest(ssrc)
    }

    /// All sources and their highest RTP indices, in the order of their first packets.
    pub fn indices(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.rtp_sources.all()
    }

    /// The roll-over counter of a source.
    pub fn roc(&self, ssrc: u32) -> Option<u32> {
        self.index(ssrc).map(|index| (index >> 16) as u32)
    }

    /// Goes on with a source after `index`, where another process has left off: all up to it are
    /// used. It never goes back.
    pub fn resume(&mut self, ssrc: u32, index: u64) {
        self.rtp_sources.resume(ssrc, index);
    }

    /// Sets the roll-over counter that a source's first packet has. If it has had one, its highest
    /// index moves up to that round, and everything before is used; it never goes back.
    pub fn set_roc(&mut self, ssrc: u32, roc: u32) {
        self.rtp_sources.set_roc(ssrc, roc);
    }

    /// Sending: the index that the next RTCP packet gets. Receiving: one above the highest that was
    /// taken, of any source.
    pub fn rtcp_index(&self) -> u32 {
        self.rtcp_sources.next() as u32
    }

    /// Goes on with RTCP at `index`: all below it are used, of sources not seen yet too. It never
    /// goes back. Who takes over a key adds [`RTCP_JUMP`] to what was noted.
    pub fn resume_rtcp(&mut self, index: u32) {
        self.rtcp_sources.resume(u64::from(index));
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Session").field("suite", &self.suite).finish_non_exhaustive()
    }
}

#[inline]
fn fits(len: usize) -> Result<usize, Error> {
    if len <= MAX_SIZE { Ok(len) } else { Err(Error::Size) }
}

/// The SSRC of an RTCP packet that has one.
fn rtcp_source(packet: &[u8]) -> Result<u32, Error> {
    match packet.first_chunk() {
        Some(&[_, _, _, _, a, b, c, d]) => Ok(u32::from_be_bytes([a, b, c, d])),
        None => Err(Error::Size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SRTCP whose encryption flag is clear: RFC 7714 §17.3 for AEAD, the tag over all that is sent
    /// otherwise.
    #[test]
    fn rtcp_that_is_authenticated_only() {
        for suite in Suite::ALL {
            let key = vec![3; suite.key_size() + suite.salt_size()];
            let mut receiver = Session::new(suite, &key, b"mki", Options::default()).unwrap();
            let plain = b"\x81\xc9\x00\x03ssrcnot hidden";
            let word = 5_u32.to_be_bytes();
            let signed = [&plain[..], &word].concat();
            let packet = match &receiver.rtcp {
                Keys::Cm { hmac, tag, .. } => {
                    [&signed, &b"mki"[..], &hmac.code(&signed, &[])[..usize::from(*tag)]].concat()
                }
                Keys::Gcm { gcm, salt } => {
                    let id = Id { ssrc: u32::from_be_bytes(*b"ssrc"), index: 5 };
                    let tag = gcm.seal(id.nonce(salt), &signed, &mut []);
                    [&plain[..], &tag, &word, b"mki"].concat()
                }
            };
            for bit in 0..8 * packet.len() {
                let mut wrong = packet.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                let error = receiver.unprotect_rtcp(&mut wrong, packet.len()).unwrap_err();
                assert!(matches!(error, Error::Authentication | Error::Mki), "{error:?}");
            }
            let mut buffer = packet.clone();
            let passed = receiver.unprotect_rtcp(&mut buffer, packet.len()).unwrap();
            assert_eq!(buffer[..passed.len], plain[..]);
            assert_eq!((passed.index, receiver.rtcp_index()), (5, 6));
            assert_eq!(receiver.unprotect_rtcp(&mut buffer, packet.len()), Err(Error::Replayed));
        }
    }
}
