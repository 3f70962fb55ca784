//! Numbers in decimal.

/// 0 to 4294967295 in at most ten digits; None for anything else.
pub(crate) fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    let mut number: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    u32::try_from(number).ok()
}

/// A port of 1 to 65535 without leading zeros.
pub(crate) fn port(digits: &[u8]) -> Option<u16> {
    match digits.first() {
        None | Some(b'0') => None,
        Some(_) => u16::try_from(decimal(digits)?).ok(),
    }
}

/// A number and a method, with white space between (RFC 3261 §20.16).
pub(crate) fn sequence(value: &[u8]) -> Option<(u32, &[u8])> {
    let end = value.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = value.split_at(end);
    let method = rest.trim_ascii_start();
    let number = decimal(digits)?;
    (method.len() < rest.len() && number <= i32::MAX as u32).then_some((number, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        assert_eq!(decimal(b"4294967296"), None);
        assert_eq!(decimal(b"00000000001"), None);
        assert_eq!(decimal(b"+1"), None);
        assert_eq!(port(b"65535"), Some(65_535));
        assert_eq!(
            (port(b"65536"), port(b"0"), port(b"05060"), port(b"")),
            (None, None, None, None)
        );
        assert_eq!(sequence(b"2147483647 INVITE"), Some((2_147_483_647, b"INVITE".as_slice())));
        assert_eq!(sequence(b"2147483648 INVITE"), None);
        assert_eq!((sequence(b"1INVITE"), sequence(b"1"), sequence(b"")), (None, None, None));
    }
}
