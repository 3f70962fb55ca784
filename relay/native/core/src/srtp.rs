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

pub use suite::Suite;

mod suite;

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
    /// 2^48 and 2^31, hold in any case.
    pub lifetime: u64,
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
pub struct Session {}

impl Session {
    /// Derives the session keys.
    ///
    /// `key` is master key and master salt, as RFC 4568 writes them one behind the other; `mki`,
    /// if not empty, is put into every packet and expected in every packet.
    pub fn new(_: Suite, _key: &[u8], _mki: &[u8], _: Options) -> Result<Session, KeyError> {
        todo!()
    }

    /// Bytes that [`Session::protect_rtp`] adds.
    pub fn rtp_overhead(&self) -> usize {
        todo!()
    }

    /// Bytes that [`Session::protect_rtcp`] adds.
    pub fn rtcp_overhead(&self) -> usize {
        todo!()
    }

    /// Encrypts and authenticates the RTP packet in `buffer[..len]`.
    pub fn protect_rtp(&mut self, _buffer: &mut [u8], _len: usize) -> Result<Passed, Error> {
        todo!()
    }

    /// Verifies and decrypts the SRTP packet in `buffer[..len]`.
    pub fn unprotect_rtp(&mut self, _buffer: &mut [u8], _len: usize) -> Result<Passed, Error> {
        todo!()
    }

    /// Encrypts and authenticates the RTCP compound in `buffer[..len]`, under the next index.
    pub fn protect_rtcp(&mut self, _buffer: &mut [u8], _len: usize) -> Result<Passed, Error> {
        todo!()
    }

    /// Verifies and decrypts the SRTCP packet in `buffer[..len]`.
    pub fn unprotect_rtcp(&mut self, _buffer: &mut [u8], _len: usize) -> Result<Passed, Error> {
        todo!()
    }

    /// The sources that were sent under this key.
    pub fn sent(&self) -> impl Iterator<Item = Source> + '_ {
        std::iter::empty()
    }

    /// The sources that were received under this key.
    pub fn received(&self) -> impl Iterator<Item = Source> + '_ {
        std::iter::empty()
    }

    /// Goes on where another process has sent: indices up to these are never used again. The
    /// caller adds what may have been sent since they were noted (SRTCP: 2^16).
    pub fn set_sent(&mut self, _: Source) -> Result<(), Error> {
        todo!()
    }

    /// Goes on where another process has received: indices up to these count as received.
    pub fn set_received(&mut self, _: Source) -> Result<(), Error> {
        todo!()
    }

    /// Sets the roll-over counter with which a source's first packet out is protected; of a source
    /// that has sent, it moves the highest index to that counter.
    pub fn set_roc_sent(&mut self, _ssrc: u32, _roc: u32) -> Result<(), Error> {
        todo!()
    }

    /// Sets the roll-over counter with which a source's next packet in is expected.
    pub fn set_roc_received(&mut self, _ssrc: u32, _roc: u32) -> Result<(), Error> {
        todo!()
    }
}
