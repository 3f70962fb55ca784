//! Request-URIs that `parse_uri` has no objection to, whenever it is asked.

use crate::address::ipv6_size;
use crate::bytes::{HOST, TOKEN, USER, run};
use crate::numbers::port;

/// More parameters are left to Python.
const MOST_PARAMS: usize = 8;

/// Whether this is `sip:[user@]host[:port]`, or `sips:`, with plain parameters.
pub(crate) fn is_usual(uri: &[u8]) -> bool {
    let Some(rest) = uri.strip_prefix(b"sip:").or_else(|| uri.strip_prefix(b"sips:")) else {
        return false;
    };
    let user = run(rest, USER);
    let host = if user > 0 && rest.get(user) == Some(&b'@') { &rest[user + 1..] } else { rest };
    let size = match host.first() {
        Some(b'[') => ipv6_size(host),
        _ => run(host, HOST),
    };
    if size == 0 {
        return false;
    }
    let mut rest = &host[size..];
    if let Some(digits) = rest.strip_prefix(b":") {
        let size = run(digits, HOST);
        if port(&digits[..size]).is_none() {
            return false;
        }
        rest = &digits[size..];
    }
    match rest.strip_prefix(b";") {
        Some(params) => are_plain(params),
        None => rest.is_empty(),
    }
}

/// Whether these are `;`-separated tokens, with or without a token as value, each name once.
fn are_plain(params: &[u8]) -> bool {
    let mut names: [&[u8]; MOST_PARAMS] = [b""; MOST_PARAMS];
    for (at, param) in params.split(|&byte| byte == b';').enumerate() {
        let size = run(param, TOKEN);
        let (name, value) = param.split_at(size);
        let value = value.strip_prefix(b"=").unwrap_or(value);
        if at == MOST_PARAMS
            || name.is_empty()
            || run(value, TOKEN) < value.len()
            || name.contains(&b'%') // which may be another name's letter
            || names[..at].iter().any(|other| other.eq_ignore_ascii_case(name))
        {
            return false;
        }
        names[at] = name;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_ones() {
        let usual: [&[u8]; 8] = [
            b"sips:b@h",
            b"sip:b@[2001:db8::1]:5060;lr",
            b"sip:bob@example.com",
            b"sip:a_b.example",
            b"sip:+49(30)1;x=?@h:65535",
            b"sip:b@h;transport=tcp;lr",
            b"sip:h:1;ob",
            b"sip:b@h;x=",
        ];
        for uri in usual {
            assert!(is_usual(uri), "{}", uri.escape_ascii());
        }
    }

    #[test]
    fn others() {
        let others: [&[u8]; 18] = [
            b"",
            b"sip:",
            b"sips:",
            b"SIP:b@h",
            b"sip:@h",
            b"sip:b@",
            b"sip:b@h@i",
            b"sip:b@h:",
            b"sip:b@h:0",
            b"sip:b@h:65536",
            b"sip:b@h;",
            b"sip:b@h;;x",
            b"sip:b@h;x;X",
            b"sip:b@h;%6c",
            b"sip:b@h?x=1",
            b"sip:b@[::g]",
            b"sip:b@h;x=a=b",
            b"sip:b:c@h",
        ];
        for uri in others {
            assert!(!is_usual(uri), "{}", uri.escape_ascii());
        }
    }
}
