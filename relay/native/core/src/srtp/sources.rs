//! The sources under one key in one direction: index, window and roll-over counter of each.

use super::window::{Window, estimate};
use super::{Error, Source};

/// Most packets of RTP and of RTCP under one key, and one above the highest index of a source
/// (RFC 3711 §9.2).
const RTP_LIMIT: u64 = 1 << 48;
const RTCP_LIMIT: u64 = 1 << 31;

/// Indices of SRTCP that a late packet may be behind; compounds come seconds apart.
const RTCP_WINDOW: u64 = 128;

type RtpWindow = Window<16>;
type RtcpWindow = Window<4>;

/// The largest replay window there is room for.
pub(super) const LARGEST_WINDOW: u64 = RtpWindow::LARGEST;

/// What to do when there is no room for another source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Refuse it: to forget a sender would be to use its indices again.
    Refuse,
    /// Forget the one that was quiet for longest. The new one has authenticated.
    Evict,
}

struct State {
    ssrc: u32,
    /// The roll-over counter of the first packet.
    roc: u32,
    /// When it was last used, in packets of the session.
    used: u64,
    rtp: RtpWindow,
    rtcp: RtcpWindow,
}

/// An index that a packet may take, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// `usize::MAX`: a source not seen before.
    at: usize,
    pub(super) index: u64,
}

/// The sources of one direction. Those looked up are of packets that prove nothing yet; only
/// `take` changes anything.
pub(super) struct Sources {
    states: Vec<State>,
    /// Where the last packet's source is.
    last: usize,
    most: usize,
    full: Full,
    window: u64,
    first_roc: u32,
    lifetime: u64,
    rtp_packets: u64,
    rtcp_packets: u64,
}

impl Sources {
    pub(super) fn new(full: Full, options: &super::Options) -> Sources {
        Sources {
            states: Vec::new(),
            last: 0,
            most: usize::from(options.sources.max(1)),
            full,
            window: u64::from(options.window).clamp(64, LARGEST_WINDOW),
            first_roc: options.roc,
            lifetime: options.lifetime,
            rtp_packets: 0,
            rtcp_packets: 0,
        }
    }

    /// The place of an RTP packet.
    #[inline]
    pub(super) fn rtp(&self, ssrc: u32, sequence: u16) -> Result<Place, Error> {
        if self.rtp_packets >= self.lifetime.min(RTP_LIMIT) {
            return Err(Error::Exhausted);
        }
        let at = self.find(ssrc)?;
        let (roc, highest) = match self.states.get(at) {
            Some(state) => (state.roc, state.rtp.highest()),
            None => (self.first_roc, None),
        };
        let index = match highest {
            Some(highest) => estimate(highest, sequence).ok_or(Error::Old)?,
            None => u64::from(roc) << 16 | u64::from(sequence),
        };
        if index >= RTP_LIMIT {
            return Err(Error::Exhausted);
        }
        if let Some(state) = self.states.get(at) {
            state.rtp.check(index, self.window)?;
        }
        Ok(Place { at, index })
    }

    /// The place of a received SRTCP packet.
    pub(super) fn rtcp(&self, ssrc: u32, index: u32) -> Result<Place, Error> {
        let place = self.rtcp_at(ssrc, u64::from(index))?;
        if let Some(state) = self.states.get(place.at) {
            state.rtcp.check(place.index, RTCP_WINDOW)?;
        }
        Ok(place)
    }

    /// The next place for an SRTCP packet.
    pub(super) fn next_rtcp(&self, ssrc: u32) -> Result<Place, Error> {
        let at = self.find(ssrc)?;
        let highest = self.states.get(at).and_then(|state| state.rtcp.highest());
        self.rtcp_at(ssrc, highest.map_or(0, |highest| highest + 1))
    }

    fn rtcp_at(&self, ssrc: u32, index: u64) -> Result<Place, Error> {
        if self.rtcp_packets >= self.lifetime.min(RTCP_LIMIT) || index >= RTCP_LIMIT {
            return Err(Error::Exhausted);
        }
        Ok(Place { at: self.find(ssrc)?, index })
    }

    /// Takes a place for RTP; returns whether it is its source's highest.
    #[inline]
    pub(super) fn take_rtp(&mut self, ssrc: u32, place: Place) -> bool {
        self.rtp_packets += 1;
        self.touch(ssrc, place.at).rtp.take(place.index)
    }

    /// Takes a place for RTCP; returns whether it is its source's highest.
    pub(super) fn take_rtcp(&mut self, ssrc: u32, place: Place) -> bool {
        self.rtcp_packets += 1;
        self.touch(ssrc, place.at).rtcp.take(place.index)
    }

    /// Counts everything up to these indices as taken.
    pub(super) fn fill(&mut self, source: Source) -> Result<(), Error> {
        let at = self.find(source.ssrc)?;
        let state = self.touch(source.ssrc, at);
        if let Some(index) = source.rtp {
            state.rtp.fill(index.min(RTP_LIMIT - 1));
        }
        if let Some(index) = source.rtcp {
            state.rtcp.fill(u64::from(index).min(RTCP_LIMIT - 1));
        }
        Ok(())
    }

    /// Sets a source's roll-over counter; it never goes back.
    pub(super) fn set_roc(&mut self, ssrc: u32, roc: u32) -> Result<(), Error> {
        let at = self.find(ssrc)?;
        let state = self.touch(ssrc, at);
        match state.rtp.highest() {
            None => state.roc = roc,
            Some(highest) if highest >> 16 > u64::from(roc) => return Err(Error::Old),
            Some(highest) if highest >> 16 < u64::from(roc) => {
                state.rtp.fill(u64::from(roc) << 16 | highest & 0xFFFF);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A source's state, if it is known.
    pub(super) fn source(&self, ssrc: u32) -> Option<Source> {
        self.states.iter().find(|state| state.ssrc == ssrc).map(State::source)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Source> + '_ {
        self.states.iter().map(State::source)
    }

    #[inline]
    fn find(&self, ssrc: u32) -> Result<usize, Error> {
        match self.states.get(self.last) {
            Some(state) if state.ssrc == ssrc => Ok(self.last),
            _ => self.search(ssrc),
        }
    }

    fn search(&self, ssrc: u32) -> Result<usize, Error> {
        match self.states.iter().position(|state| state.ssrc == ssrc) {
            Some(at) => Ok(at),
            None if self.full == Full::Refuse && self.states.len() >= self.most => {
                Err(Error::Sources)
            }
            None => Ok(usize::MAX),
        }
    }

    /// The state at a place, made if it is a new one, and noted as used.
    #[inline]
    fn touch(&mut self, ssrc: u32, at: usize) -> &mut State {
        let at = if at < self.states.len() { at } else { self.add(ssrc) };
        self.last = at;
        let state = &mut self.states[at];
        state.used = self.rtp_packets + self.rtcp_packets;
        state
    }

    #[cold]
    fn add(&mut self, ssrc: u32) -> usize {
        let roc = self.first_roc;
        let new = State { ssrc, roc, used: 0, rtp: Window::new(), rtcp: Window::new() };
        if self.states.len() < self.most {
            self.states.reserve_exact(1); // most keys have one source
            self.states.push(new);
            return self.states.len() - 1;
        }
        let used = |at: &usize| self.states[*at].used;
        let oldest = (0..self.states.len()).min_by_key(used).unwrap_or(0);
        self.states[oldest] = new;
        oldest
    }
}

impl State {
    fn source(&self) -> Source {
        let rtcp = self.rtcp.highest().map(|index| index as u32);
        Source { ssrc: self.ssrc, rtp: self.rtp.highest(), rtcp }
    }
}
