//! The sources under one key, and which of their indices are used.

use super::Error;
use super::window::{Window, estimate};

/// One above the highest index of RTP and of RTCP (RFC 3711 §9.2).
const RTP_END: u64 = 1 << 48;
const RTCP_END: u64 = 1 << 31;

/// Indices that a late packet may be behind.
const WINDOW: u64 = 128;

/// One of these words is always being refilled.
type Indices = Window<3>;
const _: () = assert!(WINDOW <= Indices::LARGEST);

/// An index that a packet may take, and whose it is. It changes nothing until it is used.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Which source; as many as there are: one not seen before.
    at: usize,
    pub(super) ssrc: u32,
    pub(super) index: u64,
}

/// By SSRC, in the order of their first packets. Most keys have one source: that is here, the others
/// elsewhere, their numbers apart from what belongs to them, so that to look through 1,024 takes
/// 0.3 µs; the source of the packet before is tried first.
struct Table<T> {
    first: Option<(u32, T)>,
    ssrcs: Vec<u32>,
    values: Vec<T>,
    /// Where the last packet's source is; 0: the first.
    last: usize,
}

impl<T> Table<T> {
    const fn new() -> Table<T> {
        Table { first: None, ssrcs: Vec::new(), values: Vec::new(), last: 0 }
    }

    /// Where a source is; as many as there are: nowhere.
    #[inline]
    fn find(&self, ssrc: u32) -> usize {
        let last = match self.last.checked_sub(1) {
            None => self.first.as_ref().map(|(first, _)| first),
            Some(other) => self.ssrcs.get(other),
        };
        if last == Some(&ssrc) { self.last } else { self.search(ssrc) }
    }

    fn search(&self, ssrc: u32) -> usize {
        match &self.first {
            None => 0,
            Some((first, _)) if *first == ssrc => 0,
            Some(_) => {
                let found = self.ssrcs.iter().position(|&other| other == ssrc);
                1 + found.unwrap_or(self.ssrcs.len())
            }
        }
    }

    #[inline]
    fn get(&self, at: usize) -> Option<&T> {
        match at.checked_sub(1) {
            None => self.first.as_ref().map(|(_, value)| value),
            Some(other) => self.values.get(other),
        }
    }

    /// The value at a place that `find` has named, made first where there is none.
    #[inline]
    fn at(&mut self, at: usize, ssrc: u32, make: impl FnOnce() -> T) -> &mut T {
        self.last = at;
        let Some(other) = at.checked_sub(1) else {
            return &mut self.first.get_or_insert_with(|| (ssrc, make())).1;
        };
        if other >= self.values.len() {
            self.ssrcs.push(ssrc);
            self.values.push(make());
        }
        &mut self.values[other]
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let first = self.first.iter().map(|(ssrc, value)| (*ssrc, value));
        first.chain(self.ssrcs.iter().copied().zip(&self.values))
    }
}

/// One source of RTP.
struct Rtp {
    /// The roll-over counter of its first packet.
    roc: u32,
    window: Indices,
}

/// RTP of one key: an index and a window for each source.
pub(super) struct RtpSources {
    table: Table<Rtp>,
    most: usize,
    roc: u32,
}

impl RtpSources {
    pub(super) fn new(options: &super::Options) -> RtpSources {
        RtpSources {
            table: Table::new(),
            most: usize::from(options.sources.max(1)),
            roc: options.roc,
        }
    }

    /// The place of a packet, if it is free.
    #[inline]
    pub(super) fn place(&self, ssrc: u32, sequence: u16) -> Result<Place, Error> {
        let at = self.table.find(ssrc);
        let first = |roc| u64::from(roc) << 16 | u64::from(sequence);
        let index = match self.table.get(at) {
            None if at >= self.most => return Err(Error::Sources),
            None => first(self.roc),
            Some(source) => match source.window.highest() {
                None => first(source.roc),
                Some(highest) => {
                    let index = estimate(highest, sequence);
                    source.window.check(index, WINDOW)?;
                    index
                }
            },
        };
        if index >= RTP_END {
            return Err(Error::Exhausted);
        }
        Ok(Place { at, ssrc, index })
    }

    /// Uses a place; returns whether it is its source's highest.
    #[inline]
    pub(super) fn take(&mut self, place: Place) -> bool {
        self.at(place.at, place.ssrc).window.take(place.index)
    }

    pub(super) fn highest(&self, ssrc: u32) -> Option<u64> {
        self.table.get(self.table.find(ssrc))?.window.highest()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.table.iter().filter_map(|(ssrc, source)| Some((ssrc, source.window.highest()?)))
    }

    /// Everything of a source up to this index is used.
    pub(super) fn resume(&mut self, ssrc: u32, index: u64) {
        let at = self.table.find(ssrc);
        self.at(at, ssrc).window.fill(index.min(RTP_END - 1));
    }

    /// The roll-over counter of the first packet; later, that of the highest index, unless it is
    /// above it.
    pub(super) fn set_roc(&mut self, ssrc: u32, roc: u32) {
        let at = self.table.find(ssrc);
        let source = self.at(at, ssrc);
        match source.window.highest() {
            None => source.roc = roc,
            Some(highest) if highest >> 16 < u64::from(roc) => {
                source.window.fill(u64::from(roc) << 16 | highest & 0xFFFF);
            }
            Some(_) => {}
        }
    }

    #[inline]
    fn at(&mut self, at: usize, ssrc: u32) -> &mut Rtp {
        let roc = self.roc;
        self.table.at(at, ssrc, || Rtp { roc, window: Indices::new() })
    }
}

/// RTCP of one key: one counter for what is sent, a window for each source that is received.
pub(super) struct RtcpSources {
    table: Table<Indices>,
    most: usize,
    /// All indices below are used, of sources not seen yet too.
    floor: u64,
    /// One above the highest index of any source.
    next: u64,
}

impl RtcpSources {
    pub(super) fn new(options: &super::Options) -> RtcpSources {
        RtcpSources {
            table: Table::new(),
            most: usize::from(options.sources.max(1)),
            floor: 0,
            next: 0,
        }
    }

    /// The index of the next packet that is sent.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Uses it.
    pub(super) fn advance(&mut self) -> Result<u64, Error> {
        if self.next >= RTCP_END {
            return Err(Error::Exhausted);
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// The place of a received packet, if it is free. An index has 31 bits.
    pub(super) fn place(&self, ssrc: u32, index: u32) -> Result<Place, Error> {
        let (at, index) = (self.table.find(ssrc), u64::from(index));
        match self.table.get(at) {
            Some(window) => window.check(index, WINDOW)?,
            None if at >= self.most => return Err(Error::Sources),
            None if index < self.floor => return Err(Error::Old),
            None => {}
        }
        Ok(Place { at, ssrc, index })
    }

    /// Uses a place; returns whether it is its source's highest.
    pub(super) fn take(&mut self, place: Place) -> bool {
        self.next = self.next.max(place.index + 1);
        let floor = self.floor;
        let new = || {
            let mut window = Indices::new();
            if let Some(used) = floor.checked_sub(1) {
                window.fill(used);
            }
            window
        };
        self.table.at(place.at, place.ssrc, new).take(place.index)
    }

    /// Everything below this index is used, of all sources.
    pub(super) fn resume(&mut self, index: u64) {
        self.next = self.next.max(index.min(RTCP_END));
        self.floor = self.next;
        self.table = Table::new();
    }
}
