//! AES as a key stream (RFC 3711 §4.1.1).
//!
//! The `aes` crate chooses AES-NI, VAES or constant-time software by what the processor has, at run
//! time and once for each key. A packet's counter blocks are laid out together and encrypted in one
//! call: ten blocks cost little more than one.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc, Block};

/// Blocks encrypted in one call: 256 bytes, more than a packet of telephony.
pub(super) const BATCH: usize = 16;

/// The expanded key of one cipher, wiped when dropped.
// Boxing the larger ones would cost a cache miss for each packet.
#[allow(clippy::large_enum_variant)]
pub(super) enum Cipher {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl Cipher {
    /// Of the first 16, 24 or 32 bytes.
    pub(super) fn new(key: &[u8; 32], size: usize) -> Cipher {
        match size {
            16 => Cipher::Aes128(Aes128Enc::new((&key.as_chunks::<16>().0[0]).into())),
            24 => Cipher::Aes192(Aes192Enc::new((&key.as_chunks::<24>().0[0]).into())),
            _ => Cipher::Aes256(Aes256Enc::new(key.into())),
        }
    }

    /// The key stream from this counter on, as many blocks as are asked for.
    #[inline]
    pub(super) fn stream(&self, counter: u128, blocks: &mut [Block]) {
        for (block, number) in blocks.iter_mut().zip(0..) {
            block.0 = counter.wrapping_add(number).to_be_bytes();
        }
        match self {
            Cipher::Aes128(aes) => aes.encrypt_blocks(blocks),
            Cipher::Aes192(aes) => aes.encrypt_blocks(blocks),
            Cipher::Aes256(aes) => aes.encrypt_blocks(blocks),
        }
    }

    /// Encrypts or decrypts in place, the first octets with the block of this counter.
    #[inline]
    pub(super) fn apply(&self, mut counter: u128, data: &mut [u8]) {
        for part in data.chunks_mut(16 * BATCH) {
            let mut blocks = [Block::default(); BATCH];
            let blocks = &mut blocks[..part.len().div_ceil(16)];
            self.stream(counter, blocks);
            mix(part, blocks);
            counter = counter.wrapping_add(BATCH as u128);
        }
    }
}

/// Exclusive or of data with a key stream that is not shorter.
#[inline]
pub(super) fn mix(data: &mut [u8], stream: &[Block]) {
    let (whole, rest) = data.as_chunks_mut::<16>();
    for (part, block) in whole.iter_mut().zip(stream) {
        *part = (u128::from_ne_bytes(*part) ^ u128::from_ne_bytes(block.0)).to_ne_bytes();
    }
    if let Some(block) = stream.get(whole.len()) {
        for (octet, key) in rest.iter_mut().zip(block.0) {
            *octet ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::vectors::{self, hex};

    #[test]
    fn key_streams_of_rfc_3711_and_rfc_6188() {
        for (file, name) in
            [("rfc3711", "aes_cm"), ("rfc6188", "aes_192_cm"), ("rfc6188", "aes_256_cm")]
        {
            let vector = &vectors::read(file)[name];
            let cipher = vectors::cipher(&hex(&vector["key"]));
            for block in vector["blocks"].as_array().unwrap() {
                let counter = u128::from_be_bytes(hex(&block["counter"]).try_into().unwrap());
                let mut data = [0; 16];
                cipher.apply(counter, &mut data);
                assert_eq!(data[..], hex(&block["keystream"]), "{name} {counter:x}");
            }
        }
    }

    #[test]
    fn any_length_is_the_same_stream() {
        let cipher = Cipher::new(&[7; 32], 16);
        let mut whole = vec![0; 1000];
        cipher.apply(5 << 16, &mut whole);
        for len in 0..1000 {
            let mut data = vec![0; len];
            cipher.apply(5 << 16, &mut data);
            assert_eq!(data, whole[..len]);
        }
    }
}
