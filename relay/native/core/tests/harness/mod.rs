//! What holds for any bytes at all: run by `cargo test` with random ones and by cargo-fuzz.

#![allow(dead_code)] // each user takes what it needs

use relay_core::packet::{self, Kind};
use relay_core::rtcp;
use relay_core::srtp::{Error, Options, Session, Suite};

/// Whatever is parsed lies within the data, and a changed field is read back.
pub(crate) fn packets(data: &[u8]) {
    let kind = packet::classify(data);
    if let Ok(header) = packet::parse(data) {
        assert!(header.size + header.padding <= data.len());
        assert!(header.payload(data.len()).end <= data.len());
        assert!(matches!(kind, Kind::Rtp | Kind::Rtcp));
        let mut copy = data.to_vec();
        packet::set_payload_type(&mut copy, 77);
        packet::set_sequence(&mut copy, 0xABCD);
        packet::set_timestamp(&mut copy, 0x0102_0304);
        packet::set_ssrc(&mut copy, 0xDEAD_BEEF);
        let again = packet::parse(&copy).expect("it has the same shape");
        assert_eq!((again.size, again.padding), (header.size, header.padding));
        assert_eq!(again.fixed.marker(), header.fixed.marker());
        assert_eq!(again.fixed.payload_type(), 77);
        assert_eq!(again.fixed.sequence, 0xABCD);
        assert_eq!(again.fixed.timestamp, 0x0102_0304);
        assert_eq!(again.fixed.ssrc, 0xDEAD_BEEF);
    }
    if rtcp::check(data).is_ok() {
        let packets = rtcp::packets(data).expect("it was well-formed");
        let size: usize = packets.map(|packet| 4 + packet.expect("so was this").body.len()).sum();
        assert!(size <= data.len());
    }
}

/// A session that both ends of a test have.
pub(crate) fn session(suite: Suite, mki: &[u8]) -> Session {
    let size = suite.key_size() + suite.salt_size();
    let key: Vec<u8> = (0..size).map(|at| at as u8 ^ 0x5A).collect();
    Session::new(suite, &key, mki, Options::default()).expect("a key of the suite's size")
}

/// The first byte chooses the suite; the rest, as SRTP and SRTCP, is refused and changes nothing.
pub(crate) fn unprotect(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let suite = Suite::ALL[usize::from(choice % 8)];
    let mut session = session(suite, if choice & 8 == 0 { b"" } else { b"mk" });
    for rtcp in [false, true] {
        let mut buffer = data.to_vec();
        let result = open(&mut session, rtcp, &mut buffer);
        // One in 2^32 may be authentic by chance with the tag of 32 bits; not in a fuzzer's life.
        let error = result.expect_err("nobody knows the key");
        assert!(matches!(error, Error::Size | Error::Mki | Error::Authentication), "{error:?}");
        assert_eq!(buffer, data);
    }
    assert_eq!(session.indices().count(), 0);
    assert_eq!(session.rtcp_index(), 0);
}

/// A packet of which one octet is changed, or that is cut, is refused; untouched it is taken once.
///
/// Bytes: suite, what to change (two), to what, cut; the rest is payload.
pub(crate) fn mutated(data: &[u8]) {
    let &[choice, high, low, flip, cut, ref payload @ ..] = data else { return };
    let suite = Suite::ALL[usize::from(choice % 8)];
    let mki: &[u8] = if choice & 8 == 0 { b"" } else { b"mki!" };
    let rtcp = choice & 16 != 0;
    let payload = &payload[..payload.len().min(1400)];
    let head: &[u8] = if rtcp { b"\x81\xc9\x00\x07ssrc" } else { b"\x80\x00\x12\x34timessrc" };
    let plain = [head, payload].concat();
    let (mut sender, mut receiver) = (session(suite, mki), session(suite, mki));
    let mut sealed = plain.clone();
    sealed.resize(plain.len() + sender.rtcp_overhead(), 0);
    let passed = if rtcp {
        sender.protect_rtcp(&mut sealed, plain.len())
    } else {
        sender.protect_rtp(&mut sealed, plain.len())
    };
    sealed.truncate(passed.expect("the first packet").len);

    let at = usize::from(u16::from_be_bytes([high, low])) % sealed.len();
    let mut wrong = sealed.clone();
    wrong[at] ^= flip;
    wrong.truncate(sealed.len() - usize::from(cut % 64).min(sealed.len()));
    if wrong != sealed {
        let before = wrong.clone();
        assert!(open(&mut receiver, rtcp, &mut wrong).is_err(), "{suite:?} {at} {flip} {cut}");
        assert_eq!(wrong, before);
    }
    let mut right = sealed.clone();
    let len = open(&mut receiver, rtcp, &mut right).expect("nothing was taken before");
    assert_eq!(right[..len], plain);
    let mut again = sealed.clone();
    assert_eq!(open(&mut receiver, rtcp, &mut again), Err(Error::Replayed));
    assert_eq!(again, sealed);
}

fn open(session: &mut Session, rtcp: bool, buffer: &mut [u8]) -> Result<usize, Error> {
    let len = buffer.len();
    let passed = if rtcp {
        session.unprotect_rtcp(buffer, len)?
    } else {
        session.unprotect_rtp(buffer, len)?
    };
    Ok(passed.len)
}

/// Numbers that a seed decides (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.bits() >> 16) % end
    }

    /// So many octets.
    pub(crate) fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.bits() as u8).collect()
    }
}
