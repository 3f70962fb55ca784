//! The packets of an RTCP compound (RFC 3550 §6.1, Appendix A.2).
//!
//! The twin of `packets` in `relay/rtp/rtcp.py`. Reduced-size RTCP (RFC 5506) is accepted, so the
//! first packet may be of any kind.

use crate::packet::Malformed;

/// Largest compound in bytes that we look at; those of two peers are below 200.
pub const MAX_SIZE: usize = 2048;

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// 200 SR, 201 RR, 202 SDES, 203 BYE, 204 APP, 205 RTPFB, 206 PSFB, 207 XR.
    pub kind: u8,
    /// Report or source count, or the format of a feedback packet.
    pub count: u8,
    /// What follows the four bytes of header, padding removed.
    pub body: &'a [u8],
}

/// The packets of a compound, in order; the first fault ends it.
pub struct Packets<'a> {
    rest: &'a [u8],
}

/// Whether a whole datagram is a well-formed compound.
pub fn check(data: &[u8]) -> Result<(), Malformed> {
    packets(data)?.try_for_each(|packet| packet.map(drop))
}

/// The packets of a datagram: an iterator that checks as it goes.
pub fn packets(data: &[u8]) -> Result<Packets<'_>, Malformed> {
    match data.len() {
        0..8 => Err(Malformed::Short),
        8..=MAX_SIZE => Ok(Packets { rest: data }),
        _ => Err(Malformed::Long),
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = first(&mut self.rest);
        if packet.is_err() {
            self.rest = &[];
        }
        Some(packet)
    }
}

fn first<'a>(rest: &mut &'a [u8]) -> Result<Packet<'a>, Malformed> {
    let &[first, kind, high, low] = rest.first_chunk().ok_or(Malformed::Short)?;
    if first >> 6 != 2 {
        return Err(Malformed::Version);
    }
    let end = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    let (whole, behind) = rest.split_at_checked(end).ok_or(Malformed::Short)?;
    *rest = behind;
    let mut body = &whole[4..];
    if first & 0x20 != 0 {
        // §6.4.1: only the last packet of a compound may be padded, by a multiple of four.
        let padding = body.last().map_or(0, |&last| usize::from(last));
        if !behind.is_empty() || padding == 0 || padding % 4 != 0 || padding > body.len() {
            return Err(Malformed::Padding);
        }
        body = &body[..body.len() - padding];
    }
    Ok(Packet { kind, count: first & 0x1F, body })
}
