//! HMAC-SHA1 (RFC 2104) whose two pads are hashed once for each key.
//!
//! The state after a pad is five words, so a key is 40 bytes and a packet of 172 bytes costs four
//! runs of the compression function instead of six. The `sha1` crate runs it on the processor's SHA
//! extensions where it has them.

use sha1::block_api::compress;
use zeroize::Zeroize;

const BLOCK: usize = 64;
const INITIAL: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];

/// A key, wiped when dropped.
pub(super) struct Hmac {
    inner: [u32; 5],
    outer: [u32; 5],
}

impl Hmac {
    /// A key of at most 64 bytes; SRTP's have 20.
    pub(super) fn new(key: &[u8]) -> Hmac {
        debug_assert!(key.len() <= BLOCK);
        let padded = |with: u8| {
            let mut block = [with; BLOCK];
            block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
            let mut state = INITIAL;
            compress(&mut state, &[block]);
            block.zeroize();
            state
        };
        Hmac { inner: padded(0x36), outer: padded(0x5C) }
    }

    /// The code of a message and up to four octets behind it that are not in the packet.
    #[inline]
    pub(super) fn code(&self, message: &[u8], behind: &[u8]) -> [u8; 20] {
        debug_assert!(behind.len() <= 4);
        let mut state = self.inner;
        let (blocks, rest) = message.as_chunks::<BLOCK>();
        let mut tail = [[0; BLOCK]; 2];
        let flat = tail.as_flattened_mut();
        let end = rest.len() + behind.len();
        flat[..rest.len()].copy_from_slice(rest);
        flat[rest.len()..end].copy_from_slice(behind);
        let used = if end < BLOCK - 8 { 1 } else { 2 };
        finish(&mut flat[..used * BLOCK], end, message.len() + behind.len());
        compress(&mut state, blocks);
        compress(&mut state, &tail[..used]);

        let mut block = [0; BLOCK];
        write(&mut block, &state);
        finish(&mut block, 20, 20);
        let mut state = self.outer;
        compress(&mut state, &[block]);
        let mut code = [0; 20];
        write(&mut code, &state);
        code
    }
}

impl Drop for Hmac {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// SHA-1's padding behind `end`, of a pad of one block and a message of `len` octets.
#[inline]
fn finish(blocks: &mut [u8], end: usize, len: usize) {
    blocks[end] = 0x80;
    let at = blocks.len() - 8;
    blocks[at..].copy_from_slice(&(8 * (BLOCK + len) as u64).to_be_bytes());
}

#[inline]
fn write(out: &mut [u8], state: &[u32; 5]) {
    for (octets, word) in out.chunks_exact_mut(4).zip(state) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::vectors::unhex;

    /// RFC 2202 §3, those with keys of at most a block.
    #[test]
    fn codes_of_rfc_2202() {
        let cases: [(&[u8], &[u8], &str); 5] = [
            (&[0x0B; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
            (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (&[0xAA; 20], &[0xDD; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
            (
                &unhex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
                &[0xCD; 50],
                "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
            ),
            (&[0x0C; 20], b"Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
        ];
        for (key, message, code) in cases {
            assert_eq!(Hmac::new(key).code(message, &[])[..], unhex(code));
        }
    }

    #[test]
    fn what_is_behind_counts_as_if_it_were_in_the_message() {
        let hmac = Hmac::new(&[3; 20]);
        for len in 0..200 {
            let message: Vec<u8> = (0..len as u8 + 4).collect();
            let (front, behind) = message.split_at(len);
            assert_eq!(hmac.code(front, behind), hmac.code(&message, &[]), "{len}");
        }
    }
}
