//! The RTP header (RFC 3550 §5.1), and what else arrives on a media port (RFC 7983).
//!
//! The twin of `relay/rtp/packet.py`. The per-packet path reads the fixed header with [`Fixed`];
//! [`parse`] is for whoever needs to know where the payload begins and ends.

/// Bytes of the fixed header: the least an RTP packet has.
pub const MIN_SIZE: usize = 12;

/// What a datagram's first bytes say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Version 2, and no RTCP packet type in the second byte.
    Rtp = 0,
    /// Version 2 and a second byte of 192..=223 (RFC 5761 §4).
    Rtcp = 1,
    /// First byte 0..=3.
    Stun = 2,
    /// First byte 20..=63.
    Dtls = 3,
    /// None of these, or too short.
    Other = 4,
}

/// Why bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than the header says.
    Short,
    /// The version is not 2.
    Version,
    /// Padding that is empty, longer than the payload, or where none may be.
    Padding,
    /// More bytes than any datagram that we look at.
    Long,
}

/// Which protocol a datagram belongs to.
///
/// Source: RFC 7983 §7 for the first byte, RFC 5761 §4 for the second.
#[inline]
pub fn classify(data: &[u8]) -> Kind {
    if data.len() < 4 {
        return Kind::Other;
    }
    match data[0] {
        128..=191 if matches!(data[1], 192..=223) => Kind::Rtcp,
        128..=191 if data.len() >= MIN_SIZE => Kind::Rtp,
        0..=3 => Kind::Stun,
        20..=63 => Kind::Dtls,
        _ => Kind::Other,
    }
}

/// The fixed part of an RTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Version, padding and extension flags, CSRC count.
    pub first: u8,
    /// Marker and payload type.
    pub second: u8,
    /// 16 bits, rolls over.
    pub sequence: u16,
    /// Ticks of the payload's clock, rolls over.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
}

impl Fixed {
    /// The first twelve bytes; `None` if there are fewer. Nothing is checked.
    #[inline]
    pub fn read(data: &[u8]) -> Option<Fixed> {
        let head: &[u8; MIN_SIZE] = data.first_chunk()?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *head;
        Some(Fixed {
            first,
            second,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        })
    }

    /// Whether a forwarder takes it for RTP: version 2 and no RTCP packet type.
    #[inline]
    pub fn is_rtp(&self) -> bool {
        self.first & 0xC0 == 0x80 && !matches!(self.second, 192..=223)
    }

    /// The lower seven bits of the second byte.
    #[inline]
    pub fn payload_type(&self) -> u8 {
        self.second & 0x7F
    }

    /// The upper bit of the second byte.
    #[inline]
    pub fn marker(&self) -> bool {
        self.second & 0x80 != 0
    }
}

/// One RTP header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its fixed part.
    pub fixed: Fixed,
    /// Bytes before the payload: fixed part, CSRCs and extension.
    pub size: usize,
    /// Bytes of padding at the end.
    pub padding: usize,
}

impl Header {
    /// Where the payload is, padding left out.
    pub fn payload(&self, data_len: usize) -> std::ops::Range<usize> {
        self.size..data_len - self.padding
    }
}

/// The header of an RTP packet.
///
/// Source: RFC 3550 §5.1, §5.3.1, checks of Appendix A.1.
pub fn parse(data: &[u8]) -> Result<Header, Malformed> {
    if Fixed::read(data).ok_or(Malformed::Short)?.first >> 6 != 2 {
        return Err(Malformed::Version);
    }
    let (fixed, size) = extent(data).ok_or(Malformed::Short)?;
    let padding = match data.last() {
        Some(&last) if fixed.first & 0x20 != 0 => usize::from(last),
        _ => return Ok(Header { fixed, size, padding: 0 }),
    };
    if padding == 0 || padding > data.len() - size {
        return Err(Malformed::Padding);
    }
    Ok(Header { fixed, size, padding })
}

/// The fixed header and the bytes before the payload; `None` if the data end before. Neither the
/// version nor the padding, which SRTP encrypts (RFC 3711 §3.1), is looked at.
#[inline]
pub fn extent(data: &[u8]) -> Option<(Fixed, usize)> {
    let fixed = Fixed::read(data)?;
    let mut size = MIN_SIZE;
    if fixed.first & 0x1F != 0 {
        size += 4 * usize::from(fixed.first & 0x0F);
        if fixed.first & 0x10 != 0 {
            let words = data.get(size + 2..size + 4)?;
            size += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
    }
    (size <= data.len()).then_some((fixed, size))
}

/// Puts another payload type into an RTP packet; the marker bit stays. No effect on short data.
#[inline]
pub fn set_payload_type(data: &mut [u8], payload_type: u8) {
    if let Some(second) = data.get_mut(1) {
        *second = *second & 0x80 | payload_type & 0x7F;
    }
}

/// Puts another sequence number into an RTP packet. No effect on short data.
#[inline]
pub fn set_sequence(data: &mut [u8], sequence: u16) {
    if let Some(field) = data.get_mut(2..4) {
        field.copy_from_slice(&sequence.to_be_bytes());
    }
}

/// Puts another timestamp into an RTP packet. No effect on short data.
#[inline]
pub fn set_timestamp(data: &mut [u8], timestamp: u32) {
    if let Some(field) = data.get_mut(4..8) {
        field.copy_from_slice(&timestamp.to_be_bytes());
    }
}

/// Puts another SSRC into an RTP packet. No effect on short data.
#[inline]
pub fn set_ssrc(data: &mut [u8], ssrc: u32) {
    if let Some(field) = data.get_mut(8..12) {
        field.copy_from_slice(&ssrc.to_be_bytes());
    }
}
