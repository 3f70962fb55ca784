//! Addresses: IPv6, and From and To as they nearly always are.

use std::net::Ipv6Addr;

use crate::Span;
use crate::bytes::{TOKEN, URI, all, run};

/// How long the IPv6 address in brackets is that this begins with; 0: there is none.
pub(crate) fn ipv6_size(text: &[u8]) -> usize {
    let Some(end) = text.iter().position(|&byte| byte == b']') else { return 0 };
    let inside = text[..end].strip_prefix(b"[").and_then(|inside| str::from_utf8(inside).ok());
    if inside.is_some_and(|inside| inside.parse::<Ipv6Addr>().is_ok()) { end + 1 } else { 0 }
}

/// The tag of `display <uri>;tag=token`, empty where there is none; None for any other shape.
///
/// `data` is the message, `value` where the value stands in it.
pub(crate) fn tag(data: &[u8], value: Span) -> Option<Span> {
    let text = value.of(data);
    let open = match text.first()? {
        b'"' => {
            let close = text[1..].iter().position(|byte| matches!(byte, b'"' | b'\\'))? + 1;
            if text[close] != b'"' {
                return None;
            }
            close + 1 + usize::from(text.get(close + 1) == Some(&b' '))
        }
        _ => text.iter().position(|byte| matches!(byte, b'<' | b'>' | b'"'))?,
    };
    let rest = text.get(open..)?.strip_prefix(b"<")?;
    let size = run(rest, URI);
    let after = rest.get(size..)?.strip_prefix(b">")?;
    let end = usize::from(value.to);
    if after.is_empty() || size == 0 {
        return (size > 0).then_some(Span::default());
    }
    let tag = after.strip_prefix(b";tag=")?;
    if all(tag, TOKEN) { Span::new(end - tag.len(), end) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag_of(value: &[u8]) -> Option<Vec<u8>> {
        let span = tag(value, Span::new(0, value.len())?)?;
        Some(span.of(value).to_vec())
    }

    #[test]
    fn usual_ones() {
        assert_eq!(tag_of(b"\"A B\" <sip:a@b;x?y>;tag=x.1"), Some(b"x.1".to_vec()));
        assert_eq!(tag_of(b"\"<>\"<sip:a@b>"), Some(vec![]));
        assert_eq!(tag_of(b"A. \xfc <sip:a@b>;tag=1"), Some(b"1".to_vec()));
        assert_eq!(tag_of(b"<\xfc>"), Some(vec![]));
    }

    #[test]
    fn others() {
        let others: [&[u8]; 15] = [
            b"",
            b"sip:a@b;tag=x",
            b"<>",
            b"<>;tag=x",
            b"<sip:a@b>;tag=",
            b"<sip:a@b>;tag=a b",
            b"<sip:a@b>;TAG=a",
            b"<sip:a@b>;x;tag=a",
            b"<sip:a@b>;tag=a;x",
            b"<sip:a@b> ;tag=a",
            b"\"a\\\"\" <sip:a@b>",
            b"\"a\"  <sip:a@b>",
            b"\"a\" b <sip:a@b>",
            b"<sip:a b>",
            b"\"a",
        ];
        for value in others {
            assert_eq!(tag_of(value), None, "{}", value.escape_ascii());
        }
    }
}
