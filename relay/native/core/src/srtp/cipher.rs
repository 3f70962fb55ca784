//! AES as a key stream (RFC 3711 §4.1.1).
//!
//! The `aes` crate chooses AES-NI, VAES or constant-time software by what the processor has, at run
//! time and once for each key. A packet's counter blocks are laid out together and encrypted in one
//! call: ten blocks cost little more than one.
//!
//! The schedule is made anew for each packet. With AES-NI that takes some 0.04 µs; kept, it would be
//! the largest part of a call's memory, for the crate's type has room for the software's as well,
//! and the part that is needed would be cold whenever the stream's next packet comes.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc, Block};
use zeroize::Zeroizing;

/// Blocks encrypted in one call: 256 bytes, more than a packet of telephony.
pub(super) const BATCH: usize = 16;

/// The key of one cipher, wiped when dropped.
pub(super) struct Cipher {
    key: Zeroizing<[u8; 32]>,
    /// Bytes of it: 16, 24 or 32.
    size: usize,
}

impl Cipher {
    /// Of the first 16, 24 or 32 bytes.
    pub(super) fn new(key: &[u8; 32], size: usize) -> Cipher {
        Cipher { key: Zeroizing::new(*key), size }
    }

    /// The key stream from this counter on, as many blocks as are asked for.
    #[inline]
    pub(super) fn stream(&self, counter: u128, blocks: &mut [Block]) {
        self.run(Stream { counter, blocks });
    }

    /// Encrypts or decrypts in place, the first octets with the block of this counter.
    #[inline]
    pub(super) fn apply(&self, counter: u128, data: &mut [u8]) {
        self.run(Apply { counter, data });
    }

    #[inline]
    fn run(&self, work: impl Work) {
        match self.size {
            16 => work.with(&Aes128Enc::new((&self.key.as_chunks::<16>().0[0]).into())),
            24 => work.with(&Aes192Enc::new((&self.key.as_chunks::<24>().0[0]).into())),
            _ => work.with(&Aes256Enc::new((&*self.key).into())),
        }
    }
}

/// What is done with an expanded key.
trait Work {
    fn with(self, aes: &impl BlockCipherEncrypt<BlockSize = U16>);
}

struct Stream<'a> {
    counter: u128,
    blocks: &'a mut [Block],
}

impl Work for Stream<'_> {
    #[inline]
    fn with(self, aes: &impl BlockCipherEncrypt<BlockSize = U16>) {
        for (block, number) in self.blocks.iter_mut().zip(0..) {
            block.0 = self.counter.wrapping_add(number).to_be_bytes();
        }
        aes.encrypt_blocks(self.blocks);
    }
}

struct Apply<'a> {
    counter: u128,
    data: &'a mut [u8],
}

impl Work for Apply<'_> {
    #[inline]
    fn with(self, aes: &impl BlockCipherEncrypt<BlockSize = U16>) {
        let mut counter = self.counter;
        for part in self.data.chunks_mut(16 * BATCH) {
            let mut blocks = [Block::default(); BATCH];
            let blocks = &mut blocks[..part.len().div_ceil(16)];
            Stream { counter, blocks }.with(aes);
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
