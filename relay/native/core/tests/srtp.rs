//! SRTP sessions end to end: what passes, what is refused, and what is remembered.

mod harness;

use harness::{Random, session};
use relay_core::srtp::{Error, KeyError, MAX_SIZE, Options, RTCP_JUMP, Session, Suite};

const SSRC: u32 = 0x1234_5678;

fn rtp(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0x00];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(SSRC.to_be_bytes());
    packet.extend(payload);
    packet
}

fn of_source(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = rtp(sequence, b"voice");
    relay_core::packet::set_ssrc(&mut packet, ssrc);
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = b"\x80\xc9\x00\x04".to_vec();
    packet.extend(ssrc.to_be_bytes());
    packet.extend(b"twelve bytes");
    packet
}

fn protect(session: &mut Session, plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + session.rtp_overhead(), 0xEE);
    let passed = session.protect_rtp(&mut buffer, plain.len())?;
    assert_eq!(passed.len, buffer.len());
    Ok(buffer)
}

fn unprotect(session: &mut Session, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = sealed.to_vec();
    match session.unprotect_rtp(&mut buffer, sealed.len()) {
        Ok(passed) => Ok(buffer[..passed.len].to_vec()),
        Err(error) => {
            assert_eq!(buffer, sealed, "a refused packet is left as it was");
            Err(error)
        }
    }
}

fn protect_rtcp(session: &mut Session, plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + session.rtcp_overhead(), 0xEE);
    let passed = session.protect_rtcp(&mut buffer, plain.len())?;
    assert_eq!(passed.len, buffer.len());
    Ok(buffer)
}

fn unprotect_rtcp(session: &mut Session, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = sealed.to_vec();
    let passed = session.unprotect_rtcp(&mut buffer, sealed.len())?;
    Ok(buffer[..passed.len].to_vec())
}

fn with(suite: Suite, options: Options) -> Session {
    let key = vec![7; suite.key_size() + suite.salt_size()];
    Session::new(suite, &key, b"", options).unwrap()
}

#[test]
fn every_suite_there_and_back() {
    for suite in Suite::ALL {
        for mki in [&b""[..], b"\x01", &[9; 128]] {
            let (mut ours, mut theirs) = (session(suite, mki), session(suite, mki));
            for (sequence, len) in (0..).zip([0, 1, 15, 16, 17, 160, 239, 240, 241, 1200, 60_000]) {
                let plain = rtp(sequence, &vec![sequence as u8; len]);
                let sealed = protect(&mut ours, &plain).unwrap();
                assert_eq!(sealed.len(), plain.len() + suite.rtp_tag_size() + mki.len());
                assert_eq!(sealed[..12], plain[..12], "the header is readable");
                assert!(len < 15 || sealed[12..12 + len] != plain[12..]);
                assert_eq!(unprotect(&mut theirs, &sealed).unwrap(), plain, "{suite:?} {len}");

                let plain = [&rtcp(SSRC)[..], &vec![1; len / 4 * 4]].concat();
                let sealed = protect_rtcp(&mut ours, &plain).unwrap();
                assert_eq!(sealed.len(), plain.len() + suite.rtcp_tag_size() + mki.len() + 4);
                assert_eq!(unprotect_rtcp(&mut theirs, &sealed).unwrap(), plain, "{suite:?}");
            }
        }
    }
}

#[test]
fn csrcs_and_extension_stay_readable() {
    let mut plain = rtp(5, b"\0\0\0\x01\xbe\xde\x00\x01extnpayload\0\x02");
    plain[0] = 0x80 | 0x20 | 0x10 | 1; // padding, extension, one CSRC
    for suite in Suite::ALL {
        let sealed = protect(&mut session(suite, b""), &plain).unwrap();
        assert_eq!(sealed[..24], plain[..24]);
        assert_ne!(sealed[24..plain.len()], plain[24..]);
        assert_eq!(unprotect(&mut session(suite, b""), &sealed).unwrap(), plain);
    }
}

/// What a link does: loses, delays and doubles packets, most of all around a roll-over.
fn disturb<T: Clone>(packets: Vec<(u64, T)>, random: &mut Random) -> Vec<(u64, T)> {
    let mut out = Vec::new();
    for (at, (index, packet)) in (0_u64..).zip(packets) {
        let near = index % 0x1_0000 < 40 || index % 0x1_0000 > 0x1_0000 - 40;
        if random.below(100) < if near { 30 } else { 2 } {
            continue;
        }
        let delay = if random.below(10) < if near { 5 } else { 1 } { random.below(60) } else { 0 };
        out.push((at + delay, index, packet.clone()));
        if random.below(50) == 0 {
            out.push((at + random.below(30), index, packet));
        }
    }
    out.sort_by_key(|(at, ..)| *at);
    out.into_iter().map(|(_, index, packet)| (index, packet)).collect()
}

/// Must show 2 of the media plane: over two roll-overs, with loss and reordering at each, through
/// a relay that takes the one key off and puts the other on in the order in which packets come.
#[test]
fn a_long_call_over_two_roll_overs() {
    let pairs = [
        (Suite::AesCm128Sha1_80, Suite::AesGcm256),
        (Suite::AesGcm128, Suite::AesCm128Sha1_32),
        (Suite::AesCm256Sha1_32, Suite::AesCm192Sha1_80),
    ];
    for (seed, (left, right)) in (1..).zip(pairs) {
        let mut random = Random(seed);
        let (mut caller, mut inward) = (session(left, b""), session(left, b""));
        let (mut outward, mut callee) = (session(right, b""), session(right, b""));
        let first = 60_000_u64;
        let sent: Vec<_> = (first..first + 0x2_0000)
            .map(|index| {
                let plain = rtp(index as u16, &index.to_be_bytes());
                (index, protect(&mut caller, &plain).unwrap())
            })
            .collect();
        assert_eq!(caller.roc(SSRC), Some(2));

        let mut taken = std::collections::BTreeSet::new();
        let mut crossed = Vec::new();
        for (index, sealed) in disturb(sent, &mut random) {
            match unprotect(&mut inward, &sealed) {
                Ok(plain) => {
                    assert!(taken.insert(index), "{index} was taken twice");
                    assert_eq!(plain[12..], index.to_be_bytes());
                    crossed.push((index, protect(&mut outward, &plain).unwrap()));
                }
                Err(error) => {
                    assert_eq!(error, Error::Replayed, "{index}");
                    assert!(taken.contains(&index));
                }
            }
        }
        assert!(taken.len() > 0x2_0000 * 9 / 10);

        let mut heard = std::collections::BTreeSet::new();
        for (index, sealed) in disturb(crossed, &mut random) {
            match unprotect(&mut callee, &sealed) {
                Ok(plain) => {
                    assert!(heard.insert(index));
                    assert_eq!(plain[12..], index.to_be_bytes());
                }
                Err(error) => assert!(
                    error == Error::Replayed && heard.contains(&index) || error == Error::Old,
                    "{index}: {error:?}"
                ),
            }
        }
        assert!(heard.len() > taken.len() * 9 / 10);
        for end in [&inward, &outward, &callee] {
            assert_eq!(end.roc(SSRC), Some(2));
        }
    }
}

#[test]
fn many_lost_over_the_roll_over() {
    for suite in [Suite::AesCm128Sha1_80, Suite::AesGcm128] {
        let (mut ours, mut theirs) = (session(suite, b""), session(suite, b""));
        for index in [65_000_u64, 97_700, 130_400, 131_100, 163_800] {
            ours.resume(SSRC, index - 1); // as if all between were sent
            let sealed = protect(&mut ours, &rtp(index as u16, b"voice")).unwrap();
            assert!(unprotect(&mut theirs, &sealed).is_ok(), "{index}");
            assert_eq!(theirs.index(SSRC), Some(index));
        }
    }
}

#[test]
fn an_index_never_protects_twice() {
    for suite in Suite::ALL {
        let mut ours = session(suite, b"");
        protect(&mut ours, &rtp(100, b"one")).unwrap();
        assert_eq!(protect(&mut ours, &rtp(100, b"two")), Err(Error::Replayed));
        protect(&mut ours, &rtp(102, b"three")).unwrap();
        protect(&mut ours, &rtp(101, b"late, but new")).unwrap();
        assert_eq!(protect(&mut ours, &rtp(101, b"late again")), Err(Error::Replayed));
        protect(&mut ours, &rtp(300, b"far ahead")).unwrap();
        assert_eq!(protect(&mut ours, &rtp(103, b"too late")), Err(Error::Old));
        protect(&mut ours, &rtp(173, b"just in time")).unwrap();
        assert_eq!(ours.index(SSRC), Some(300));
    }
}

#[test]
fn what_is_newest() {
    let (mut ours, mut theirs) = (session(Suite::AesGcm128, b""), session(Suite::AesGcm128, b""));
    let mut sealed: Vec<_> =
        (0..3).map(|number| protect(&mut ours, &rtp(number, b"x")).unwrap()).collect();
    sealed.swap(1, 2);
    let newest = sealed.iter().map(|packet| {
        let mut buffer = packet.clone();
        let passed = theirs.unprotect_rtp(&mut buffer, packet.len()).unwrap();
        (passed.index, passed.newest)
    });
    assert_eq!(newest.collect::<Vec<_>>(), [(0, true), (2, true), (1, false)]);
}

#[test]
fn nothing_changes_before_a_packet_is_authentic() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = (session(suite, b""), session(suite, b""));
        let first = protect(&mut ours, &rtp(1, b"voice")).unwrap();
        unprotect(&mut theirs, &first).unwrap();
        // Far ahead, and of a source of its own: neither moves the window nor is a source made.
        let mut forged = protect(&mut session(suite, b""), &rtp(30_000, b"noise")).unwrap();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(unprotect(&mut theirs, &forged), Err(Error::Authentication));
        relay_core::packet::set_ssrc(&mut forged, 99);
        assert_eq!(unprotect(&mut theirs, &forged), Err(Error::Authentication));
        assert_eq!(theirs.indices().collect::<Vec<_>>(), [(SSRC, 1)]);
        let second = protect(&mut ours, &rtp(2, b"voice")).unwrap();
        assert!(unprotect(&mut theirs, &second).is_ok());
    }
}

#[test]
fn another_key_another_counter_another_mki() {
    for suite in Suite::ALL {
        let plain = rtp(1, b"voice");
        let sealed = protect(&mut session(suite, b"one"), &plain).unwrap();
        assert_eq!(unprotect(&mut session(suite, b"two"), &sealed), Err(Error::Mki));
        let mut other = with(suite, Options::default());
        let sealed = protect(&mut session(suite, b""), &plain).unwrap();
        assert_eq!(unprotect(&mut other, &sealed), Err(Error::Authentication));
        let mut ahead = session(suite, b"");
        ahead.set_roc(SSRC, 1);
        assert_eq!(unprotect(&mut ahead, &sealed), Err(Error::Authentication));
    }
}

#[test]
fn a_roll_over_counter_that_is_told() {
    for suite in [Suite::AesCm256Sha1_80, Suite::AesGcm256] {
        let options = Options { roc: 7, ..Options::default() };
        let (mut ours, mut theirs) = (with(suite, options), with(suite, Options::default()));
        let sealed = protect(&mut ours, &rtp(40_000, b"voice")).unwrap();
        assert_eq!(ours.roc(SSRC), Some(7));
        theirs.set_roc(SSRC, 7);
        assert_eq!(theirs.index(SSRC), None);
        assert!(unprotect(&mut theirs, &sealed).is_ok());
        assert_eq!(theirs.index(SSRC), Some(7 << 16 | 40_000));
        theirs.set_roc(SSRC, 6);
        assert_eq!(theirs.roc(SSRC), Some(7), "never back");
        theirs.set_roc(SSRC, 9);
        assert_eq!(theirs.index(SSRC), Some(9 << 16 | 40_000));
    }
}

#[test]
fn another_process_goes_on() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = (session(suite, b""), session(suite, b""));
        for index in 65_000..66_000_u64 {
            let sealed = protect(&mut ours, &rtp(index as u16, b"voice")).unwrap();
            unprotect(&mut theirs, &sealed).unwrap();
        }
        let compound = protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap();
        unprotect_rtcp(&mut theirs, &compound).unwrap();

        let mut adopted = session(suite, b"");
        adopted.resume(SSRC, ours.index(SSRC).unwrap());
        adopted.resume_rtcp(ours.rtcp_index() + RTCP_JUMP);
        assert_eq!(
            protect(&mut adopted, &rtp((65_999 % 65_536) as u16, b"again")),
            Err(Error::Replayed)
        );
        let sealed = protect(&mut adopted, &rtp((66_000 % 65_536) as u16, b"on")).unwrap();
        assert!(unprotect(&mut theirs, &sealed).is_ok());
        assert_eq!(adopted.rtcp_index(), 1 + RTCP_JUMP);
        let next = protect_rtcp(&mut adopted, &rtcp(SSRC)).unwrap();
        assert!(unprotect_rtcp(&mut theirs, &next).is_ok());
        assert_eq!(theirs.rtcp_index(), 2 + RTCP_JUMP);

        // The receiver, too: what came before, of any source, comes no more.
        let mut receiver = session(suite, b"");
        receiver.resume_rtcp(theirs.rtcp_index());
        assert_eq!(unprotect_rtcp(&mut receiver, &compound), Err(Error::Old));
        let next = protect_rtcp(&mut adopted, &rtcp(SSRC)).unwrap();
        assert!(unprotect_rtcp(&mut receiver, &next).is_ok());
    }
}

#[test]
fn no_more_sources_than_said() {
    let options = Options { sources: 3, ..Options::default() };
    let suite = Suite::AesGcm128;
    let (mut ours, mut few) = (with(suite, Options::default()), with(suite, options));
    for ssrc in 0..5 {
        let sealed = protect(&mut ours, &of_source(ssrc, 9)).unwrap();
        let taken = unprotect(&mut few, &sealed);
        assert_eq!(taken.is_ok(), ssrc < 3);
        assert!(ssrc < 3 || taken == Err(Error::Sources));
    }
    // Those that are known go on, in any order.
    for ssrc in [2, 0, 1, 1, 2] {
        let sequence = few.index(ssrc).unwrap() as u16 + 1;
        assert!(
            unprotect(&mut few, &protect(&mut ours, &of_source(ssrc, sequence)).unwrap()).is_ok()
        );
    }
    assert_eq!(
        protect(&mut with(suite, Options { sources: 0, ..options }), &of_source(1, 1)).map(drop),
        Ok(())
    );
}

#[test]
fn a_key_has_an_end() {
    for suite in [Suite::AesCm128Sha1_80, Suite::AesGcm256] {
        let mut ours = session(suite, b"");
        ours.resume(SSRC, (1 << 48) - 2);
        assert!(protect(&mut ours, &rtp(0xFFFF, b"the last")).is_ok());
        assert_eq!(protect(&mut ours, &rtp(0, b"one too many")), Err(Error::Exhausted));
        ours.resume(SSRC, u64::MAX);
        assert_eq!(protect(&mut ours, &rtp(0, b"one too many")), Err(Error::Exhausted));

        ours.resume_rtcp((1 << 31) - 1);
        assert!(protect_rtcp(&mut ours, &rtcp(SSRC)).is_ok());
        assert_eq!(protect_rtcp(&mut ours, &rtcp(SSRC)), Err(Error::Exhausted));
        ours.resume_rtcp(u32::MAX);
        assert_eq!(ours.rtcp_index(), 1 << 31);
    }
}

#[test]
fn sizes_and_room() {
    for suite in Suite::ALL {
        let mut ours = session(suite, b"");
        let room = ours.rtp_overhead();
        let plain = rtp(1, b"voice");
        let mut buffer = plain.clone();
        assert_eq!(ours.protect_rtp(&mut buffer, plain.len()), Err(Error::Room));
        assert_eq!(ours.protect_rtp(&mut buffer, plain.len() + 1), Err(Error::Room));
        assert_eq!(buffer, plain);
        for len in 0..12 {
            assert_eq!(protect(&mut ours, &plain[..len]), Err(Error::Size));
            assert_eq!(unprotect(&mut ours, &plain[..len]), Err(Error::Size));
        }
        assert_eq!(unprotect(&mut ours, &rtp(1, &vec![0; room - 1])), Err(Error::Size));
        let mut long = plain.clone();
        long[0] |= 0x0F;
        assert_eq!(protect(&mut ours, &long), Err(Error::Size), "CSRCs that are not there");
        assert_eq!(protect_rtcp(&mut ours, &rtcp(1)[..7]), Err(Error::Size));
        let least = 8 + ours.rtcp_overhead();
        assert_eq!(unprotect_rtcp(&mut ours, &vec![0x80; least - 1]), Err(Error::Size));

        let largest = rtp(1, &vec![0; MAX_SIZE - 12 - room]);
        let sealed = protect(&mut ours, &largest).unwrap();
        assert_eq!(sealed.len(), MAX_SIZE);
        assert_eq!(unprotect(&mut session(suite, b""), &sealed).unwrap(), largest);
        assert_eq!(protect(&mut ours, &[&largest[..], b"!"].concat()), Err(Error::Size));
        assert_eq!(unprotect(&mut ours, &[&sealed[..], b"!"].concat()), Err(Error::Size));
    }
}

#[test]
fn keys_of_the_wrong_size() {
    for suite in Suite::ALL {
        let size = suite.key_size() + suite.salt_size();
        let make = |len: usize, mki: usize| {
            Session::new(suite, &vec![0; len], &vec![0; mki], Options::default()).map(drop)
        };
        assert_eq!(make(size, 128), Ok(()));
        assert_eq!(make(size - 1, 0), Err(KeyError::KeySize));
        assert_eq!(make(size + 1, 0), Err(KeyError::KeySize));
        assert_eq!(make(0, 0), Err(KeyError::KeySize));
        assert_eq!(make(size, 129), Err(KeyError::MkiSize));
        assert_eq!(Suite::by_name(suite.name()), Some(suite));
    }
    assert_eq!(Suite::by_name("NULL_HMAC_SHA1_80"), None);
}

#[test]
fn a_session_prints_no_key() {
    let text = format!("{:?}", session(Suite::AesCm128Sha1_80, b"mki"));
    assert_eq!(text, "Session { suite: AesCm128Sha1_80, .. }");
}
