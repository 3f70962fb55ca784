//! What holds for any bytes; the tests and the fuzz targets assert it.

#![allow(dead_code)] // a fuzz target takes one of them

use sbc_core::{Name, Span, Start, read};

/// Whether `span` is a part of `data`.
fn within(span: Span, data: &[u8]) -> bool {
    span.from <= span.to && usize::from(span.to) <= data.len()
}

/// Reads a message; what is made of it lies within it, and gives the head back byte for byte.
pub(crate) fn any_message(data: &[u8]) -> bool {
    let Some(message) = read(data) else { return false };
    let via = message.via;
    let spans = [
        message.body,
        message.call_id,
        message.from_tag,
        message.to_tag,
        via.transport,
        via.host,
        via.branch,
        via.received,
        match message.start {
            Start::Request { uri } => uri,
            Start::Response { reason, .. } => reason,
        },
    ];
    assert!(spans.iter().all(|span| within(*span, data)));
    let mut at = data.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    for line in &message.lines {
        let whole = line.whole(data);
        assert_eq!(usize::from(whole.from), at);
        assert!(within(line.value, data) && within(line.spelling(), data));
        let text = whole.of(data);
        assert!(text.ends_with(b"\r\n"));
        assert!(!text[..text.len() - 2].iter().any(|byte| matches!(byte, b'\r' | b'\n')));
        at = usize::from(whole.to);
        let name = line.spelling().of(data).to_ascii_lowercase();
        let name = line.name.text().unwrap_or(&name);
        assert!(line.is(data, Name::canonical(name), name));
        assert!(message.of(data, name).any(|one| one.from == line.from));
    }
    assert_eq!(&data[at..at + 2], b"\r\n");
    assert_eq!(usize::from(message.body.from), at + 2);
    true
}

/// The same after bytes of `seed` have taken the place of some of a usual message.
pub(crate) fn changed_message(seed: &[u8]) -> bool {
    let mut data = USUAL.to_vec();
    for change in seed.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % data.len();
        data[at] = change[2];
    }
    any_message(&data)
}

/// A message that is recognised.
pub(crate) const USUAL: &[u8] = b"INVITE sip:5550100@127.0.1.1:5060;lr SIP/2.0\r\n\
Via: SIP/2.0/UDP [::1]:5060;branch=z9hG4bK-1;rport=6;received=127.0.1.10\r\n\
From: \"Alice\" <sip:10049@127.0.1.10>;tag=from7\r\nt: <sip:5550100@127.0.1.1>;tag=b\r\n\
i: 7-call@127.0.1.10\r\nCSeq: 1 INVITE\r\nX-Own:  1 \r\nX-OWN:\r\nl: 4\r\n\r\nv=0\r\n";
