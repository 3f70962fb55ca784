//! G.711: µ-law to A-law and back, one table look-up an octet.
//!
//! The tables are those of ITU-T G.711, tables 3 and 4, computed here from what is behind them: the
//! code of the other law, with the same sign, whose decoder output is nearest *at the same level*.
//! The laws overload at 3.17 dBm0 (µ, 8159 of 14 bits) and 3.14 dBm0 (A, 4096 of 13 bits), so a
//! µ-law amplitude is 10^(0.03/20) · 8192/8159 = 1.0075 times as large in A-law's units. To decode to
//! linear and encode again leaves that out, and gives another code for 44 and 32 octets of the 256.

/// A-law for each µ-law octet.
pub static ULAW_TO_ALAW: [u8; 256] = table(Law::Mu, Law::A);
/// µ-law for each A-law octet.
pub static ALAW_TO_ULAW: [u8; 256] = table(Law::A, Law::Mu);

/// Converts a payload in place from µ-law to A-law.
#[inline]
pub fn ulaw_to_alaw(payload: &mut [u8]) {
    convert(payload, &ULAW_TO_ALAW);
}

/// Converts a payload in place from A-law to µ-law.
#[inline]
pub fn alaw_to_ulaw(payload: &mut [u8]) {
    convert(payload, &ALAW_TO_ULAW);
}

/// The decoder's output for a µ-law octet, 16 bits, left aligned (G.711 table 2).
pub const fn decode_ulaw(code: u8) -> i32 {
    let bits = !code as i32;
    let magnitude = ((((bits & 0x0F) << 3) + 0x84) << (bits >> 4 & 7)) - 0x84;
    if bits & 0x80 != 0 { -magnitude } else { magnitude }
}

/// The decoder's output for an A-law octet, 16 bits, left aligned (G.711 table 1).
pub const fn decode_alaw(code: u8) -> i32 {
    let bits = (code ^ 0x55) as i32;
    let step = (bits & 0x0F) << 4;
    let magnitude = match bits >> 4 & 7 {
        0 => step + 0x08,
        segment => (step + 0x108) << (segment - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

fn convert(payload: &mut [u8], table: &[u8; 256]) {
    for octet in payload {
        *octet = table[usize::from(*octet)];
    }
}

#[derive(Clone, Copy)]
enum Law {
    Mu,
    A,
}

/// Amplitude in units of a common level: ten-thousandths of A-law's.
const fn level(law: Law, code: u8) -> i32 {
    match law {
        Law::Mu => decode_ulaw(code).abs() * 10_075,
        Law::A => decode_alaw(code).abs() * 10_000,
    }
}

const fn table(from: Law, to: Law) -> [u8; 256] {
    let mut out = [0; 256];
    let mut code = 0;
    while code < 256 {
        out[code] = nearest(level(from, code as u8), to, code as u8 & 0x80);
        code += 1;
    }
    out
}

/// The code with this sign bit whose level is nearest.
const fn nearest(wanted: i32, law: Law, sign: u8) -> u8 {
    let mut best = sign;
    let mut low = 0;
    while low < 128 {
        let code = sign | low;
        if (level(law, code) - wanted).abs() < (level(law, best) - wanted).abs() {
            best = code;
        }
        low += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ITU-T G.711 table 3: A-law decoder value number for µ-law numbers 1..=128.
    const TABLE_3: [u8; 128] = [
        1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
        20, 21, 22, 23, 24, 25, 27, 29, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 48,
        49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 64, 65, 66, 67, 68, 69, 70, 71, 72,
        73, 74, 75, 76, 77, 78, 79, 80, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96,
        97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115,
        116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128,
    ];
    /// ITU-T G.711 table 4: µ-law decoder value number, less one, for A-law numbers 1..=128.
    const TABLE_4: [u8; 128] = [
        1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
        32, 32, 33, 33, 34, 34, 35, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 48, 49,
        49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 64, 65, 66, 67, 68, 69, 70,
        71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92,
        93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
        112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
    ];

    #[test]
    fn tables_3_and_4_of_the_recommendation() {
        for code in 0..=255_u8 {
            let number = usize::from(!code & 0x7F);
            let alaw = (TABLE_3[number] - 1) ^ if code & 0x80 != 0 { 0xD5 } else { 0x55 };
            assert_eq!(ULAW_TO_ALAW[usize::from(code)], alaw, "µ-law {code}");
            let number = usize::from((code ^ 0x55) & 0x7F);
            let ulaw = TABLE_4[number] ^ if code & 0x80 != 0 { 0xFF } else { 0x7F };
            assert_eq!(ALAW_TO_ULAW[usize::from(code)], ulaw, "A-law {code}");
        }
    }

    #[test]
    fn there_and_back_changes_a_code_by_one_step_at_most() {
        for code in 0..=255_u8 {
            let again = ALAW_TO_ULAW[usize::from(ULAW_TO_ALAW[usize::from(code)])];
            assert!((i32::from(again) - i32::from(code)).abs() <= 1, "µ-law {code}: {again}");
        }
    }

    #[test]
    fn a_payload_in_place_and_silence() {
        let mut payload = [0xFF, 0x7F, 0x00];
        ulaw_to_alaw(&mut payload);
        assert_eq!(payload, [0xD5, 0x55, 0x2A]);
        alaw_to_ulaw(&mut payload);
        assert_eq!(payload, [0xFE, 0x7E, 0x00]);
    }
}
