//! The topmost Via (RFC 3261 §20.42, RFC 3581).

use crate::Span;
use crate::address::ipv6_size;
use crate::bytes::{HOST, TOKEN, VALUE, all, run};
use crate::numbers::port;

/// More parameters are left to Python.
const MOST_PARAMS: usize = 12;

/// One Via value; empty spans and None for what is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Via {
    /// Upper case.
    pub transport: Span,
    /// sent-by; an IPv6 address without its brackets.
    pub host: Span,
    /// Of sent-by.
    pub port: Option<u16>,
    /// A token.
    pub branch: Span,
    /// Whether there is such a parameter, with or without a value.
    pub wants_rport: bool,
    /// Its value.
    pub rport: Option<u16>,
    /// Without brackets.
    pub received: Span,
}

/// Where in `data` something stands, and what.
struct Cursor<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        self.at += text.len();
        Some(())
    }

    fn take(&mut self, size: usize) -> Option<Span> {
        self.rest = self.rest.get(size..)?;
        self.at += size;
        Span::new(self.at - size, self.at)
    }
}

/// Reads a value without white space but the one that must be, and without a comma.
pub(crate) fn read(data: &[u8], value: Span) -> Option<Via> {
    let mut cursor = Cursor { rest: value.of(data), at: usize::from(value.from) };
    cursor.skip(b"SIP/2.0/")?;
    let size = cursor.rest.iter().position(|byte| !byte.is_ascii_uppercase())?;
    if size == 0 {
        return None;
    }
    let transport = cursor.take(size)?;
    cursor.skip(b" ")?;
    let mut via = Via { transport, host: host(&mut cursor)?, ..Via::default() };
    if cursor.skip(b":").is_some() {
        let size = run(cursor.rest, HOST);
        via.port = Some(port(cursor.take(size)?.of(data))?);
    }
    if !cursor.rest.is_empty() {
        cursor.skip(b";")?;
        params(data, &mut cursor, &mut via)?;
    }
    Some(via)
}

fn host(cursor: &mut Cursor<'_>) -> Option<Span> {
    let size = ipv6_size(cursor.rest);
    if size > 0 {
        let host = cursor.take(size)?;
        return Some(Span { from: host.from + 1, to: host.to - 1 });
    }
    let size = run(cursor.rest, HOST);
    if size > 0 { cursor.take(size) } else { None }
}

fn params(data: &[u8], cursor: &mut Cursor<'_>, via: &mut Via) -> Option<()> {
    let mut names: [&[u8]; MOST_PARAMS] = [b""; MOST_PARAMS];
    for at in 0..MOST_PARAMS {
        let size = run(cursor.rest, TOKEN);
        let name = cursor.take(size)?.of(data);
        if name.is_empty() || names[..at].iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return None;
        }
        names[at] = name;
        let mut value = Span::default();
        if cursor.skip(b"=").is_some() {
            let size = run(cursor.rest, VALUE);
            value = cursor.take(size)?;
        }
        keep(data, name, value, via)?;
        if cursor.rest.is_empty() {
            return Some(());
        }
        cursor.skip(b";")?;
    }
    None
}

fn keep(data: &[u8], name: &[u8], value: Span, via: &mut Via) -> Option<()> {
    let text = value.of(data);
    if name.eq_ignore_ascii_case(b"branch") {
        if !text.is_empty() && !all(text, TOKEN) {
            return None;
        }
        via.branch = value;
    } else if name.eq_ignore_ascii_case(b"rport") {
        via.wants_rport = true;
        via.rport = if text.is_empty() { None } else { Some(port(text)?) };
    } else if name.eq_ignore_ascii_case(b"received") {
        if text.iter().any(|byte| matches!(byte, b'[' | b']')) {
            return None;
        }
        via.received = value;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(value: &[u8]) -> Option<Via> {
        read(value, Span::new(0, value.len())?)
    }

    #[test]
    fn usual_ones() {
        let text = b"SIP/2.0/UDP 192.0.2.1:65000;rport=6;branch=z9hG4bK-1;alias;received=192.0.2.9";
        let via = read_all(text).unwrap();
        assert_eq!(via.transport.of(text), b"UDP");
        assert_eq!(via.host.of(text), b"192.0.2.1");
        assert_eq!(via.port, Some(65_000));
        assert_eq!(via.branch.of(text), b"z9hG4bK-1");
        assert_eq!((via.wants_rport, via.rport), (true, Some(6)));
        assert_eq!(via.received.of(text), b"192.0.2.9");
        let text = b"SIP/2.0/TLS [2001:db8::1];rport";
        let via = read_all(text).unwrap();
        assert_eq!(via.host.of(text), b"2001:db8::1");
        assert_eq!((via.port, via.branch.of(text), via.rport), (None, b"".as_slice(), None));
        assert!(via.wants_rport);
        assert!(read_all(b"SIP/2.0/UDP a").is_some());
    }

    #[test]
    fn others() {
        let others: [&[u8]; 23] = [
            b"",
            b"SIP/2.0/UDP",
            b"SIP/2.0/UDP ",
            b"SIP/2.0/ a",
            b"sip/2.0/UDP a",
            b"SIP/2.0/udp a",
            b"SIP/2.0/UDP  a",
            b"SIP/2.0/UDP a:",
            b"SIP/2.0/UDP a:0",
            b"SIP/2.0/UDP a:05060",
            b"SIP/2.0/UDP a:70000",
            b"SIP/2.0/UDP a;",
            b"SIP/2.0/UDP a;;x",
            b"SIP/2.0/UDP a;x;X",
            b"SIP/2.0/UDP a;branch=a:b",
            b"SIP/2.0/UDP a;rport=x",
            b"SIP/2.0/UDP a;rport=0",
            b"SIP/2.0/UDP [::g]",
            b"SIP/2.0/UDP [::1",
            b"SIP/2.0/UDP ::1",
            b"SIP/2.0/UDP a, SIP/2.0/UDP b",
            b"SIP/2.0/UDP a;x=\"q\"",
            b"SIP/2.0/UDP a;received=[::1]",
        ];
        for value in others {
            assert_eq!(read_all(value), None, "{}", value.escape_ascii());
        }
    }
}
