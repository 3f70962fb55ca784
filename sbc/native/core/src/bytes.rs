//! Sets of bytes, as `sbc/sip/grammar.py` has them, and runs of them.

/// RFC 3261 §25.1 `token`.
pub(crate) const TOKEN: u8 = 1;
/// A host name, with the "_" that Windows and Docker hosts have.
pub(crate) const HOST: u8 = 2;
/// What may stand in <>.
pub(crate) const URI: u8 = 4;
/// The user part of a usual SIP URI.
pub(crate) const USER: u8 = 8;
/// Printing ASCII.
pub(crate) const VISIBLE: u8 = 16;
/// A parameter's value that is not in quotes.
pub(crate) const VALUE: u8 = 32;
/// What `bytes.strip()` takes away; CR and LF, which it would, are in no value.
pub(crate) const SPACE: u8 = 64;

static SETS: [u8; 256] = sets();

const fn sets() -> [u8; 256] {
    let mut sets = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte > 0x20 && byte < 0x7f {
            sets[at] |= VISIBLE;
            if !matches!(byte, b'"' | b'<' | b'>' | b',' | b';') {
                sets[at] |= VALUE;
            }
        }
        if byte > 0x20 && byte != 0x7f && !matches!(byte, b'"' | b'<' | b'>') {
            sets[at] |= URI;
        }
        if byte.is_ascii_alphanumeric() {
            sets[at] |= TOKEN | HOST | USER;
        }
        if matches!(byte, b' ' | b'\t' | 0x0b | 0x0c) {
            sets[at] |= SPACE;
        }
        at += 1;
    }
    sets = with(sets, b"-.!%*_+`'~", TOKEN);
    sets = with(sets, b"-._", HOST);
    with(sets, b"+.&=$,;?/~*!'()%_-", USER)
}

const fn with(mut sets: [u8; 256], members: &[u8], set: u8) -> [u8; 256] {
    let mut at = 0;
    while at < members.len() {
        sets[members[at] as usize] |= set;
        at += 1;
    }
    sets
}

pub(crate) fn is(byte: u8, set: u8) -> bool {
    SETS[usize::from(byte)] & set != 0
}

/// How many bytes at the beginning are of `set`.
pub(crate) fn run(data: &[u8], set: u8) -> usize {
    data.iter().position(|&byte| !is(byte, set)).unwrap_or(data.len())
}

/// Whether all bytes are of `set`, and there is one.
pub(crate) fn all(data: &[u8], set: u8) -> bool {
    !data.is_empty() && run(data, set) == data.len()
}

/// How many bytes stand before the first CR or LF, eight at a time; None: there is neither.
pub(crate) fn before_line_end(data: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = data.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let cr = word ^ (ONES * u64::from(b'\r'));
        let lf = word ^ (ONES * u64::from(b'\n'));
        // A byte that is zero borrows; the lowest bit that this sets is always a true one.
        let found = ((cr.wrapping_sub(ONES) & !cr) | (lf.wrapping_sub(ONES) & !lf)) & HIGH;
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&byte| byte == b'\r' || byte == b'\n')?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_found_wherever_they_stand() {
        for size in 0..40 {
            let data = vec![b'\x8d'; size]; // the high bit alone must not be taken for one
            assert_eq!(before_line_end(&data), None);
            for at in 0..size {
                for end in [b'\r', b'\n'] {
                    let mut data = data.clone();
                    data[at] = end;
                    data[size - 1] = end;
                    assert_eq!(before_line_end(&data), Some(at));
                }
            }
        }
    }
}
