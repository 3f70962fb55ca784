//! AES in Galois/counter mode (NIST SP 800-38D) with nonces of 96 and tags of 128 bits.
//!
//! Put together from the `aes` and `ghash` crates, because the `aes-gcm` crate sets up a counter
//! mode of its own for each packet: here the block that masks the tag and the key stream of up to
//! 240 octets come out of one run of the cipher.

use aes::Block;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::cipher::{BATCH, Cipher, mix};

/// Bytes of the nonce.
pub(super) const NONCE: usize = 12;
/// Bytes of the tag.
pub(super) const TAG: usize = 16;

const FIRST: usize = 16 * (BATCH - 1);

/// A key: the cipher's and the hash's. Wiped when dropped.
pub(super) struct Gcm {
    cipher: Cipher,
    hash_key: Zeroizing<[u8; 16]>,
}

impl Gcm {
    /// The hash's key is the cipher's image of zero.
    pub(super) fn new(cipher: Cipher) -> Gcm {
        let mut key = [Block::default()];
        cipher.stream(0, &mut key);
        Gcm { cipher, hash_key: Zeroizing::new(key[0].0) }
    }

    /// Encrypts in place and returns the tag.
    #[inline]
    pub(super) fn seal(&self, nonce: [u8; NONCE], aad: &[u8], data: &mut [u8]) -> [u8; TAG] {
        let mut stream = [Block::default(); BATCH];
        let counter = self.begin(nonce, data.len(), &mut stream);
        self.cross(counter, &stream, data);
        self.tag(&stream[0], aad, data)
    }

    /// Decrypts in place if the tag is right; otherwise the data stay as they are.
    #[inline]
    pub(super) fn open(&self, nonce: [u8; NONCE], aad: &[u8], data: &mut [u8], tag: &[u8]) -> bool {
        let mut stream = [Block::default(); BATCH];
        let counter = self.begin(nonce, data.len(), &mut stream);
        if !bool::from(self.tag(&stream[0], aad, data)[..].ct_eq(tag)) {
            return false;
        }
        self.cross(counter, &stream, data);
        true
    }

    /// Fills in the tag's mask and as much key stream as the data need, if there is room; returns
    /// the counter of the mask.
    #[inline]
    fn begin(&self, nonce: [u8; NONCE], len: usize, stream: &mut [Block; BATCH]) -> u128 {
        let mut counter = [0; 16];
        counter[..NONCE].copy_from_slice(&nonce);
        counter[15] = 1;
        let counter = u128::from_be_bytes(counter);
        self.cipher.stream(counter, &mut stream[..1 + len.min(FIRST).div_ceil(16)]);
        counter
    }

    #[inline]
    fn cross(&self, counter: u128, stream: &[Block; BATCH], data: &mut [u8]) {
        let (first, rest) = data.split_at_mut(data.len().min(FIRST));
        mix(first, &stream[1..]);
        if !rest.is_empty() {
            self.cipher.apply(counter.wrapping_add(BATCH as u128), rest);
        }
    }

    #[inline]
    fn tag(&self, mask: &Block, aad: &[u8], data: &[u8]) -> [u8; TAG] {
        let mut hash = GHash::new(&(*self.hash_key).into());
        hash.update_padded(aad);
        hash.update_padded(data);
        let lengths = ((8 * aad.len() as u128) << 64) | (8 * data.len() as u128);
        hash.update(&[lengths.to_be_bytes().into()]);
        let code = u128::from_be_bytes(hash.finalize().0);
        (code ^ u128::from_be_bytes(mask.0)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::vectors::{self, hex};

    /// RFC 7714 §16 and §17: encryption has a plain text, decryption a cipher text, and tagging
    /// neither, for there the whole packet is associated data.
    #[test]
    fn packets_of_rfc_7714() {
        for vector in vectors::read("rfc7714")["vectors"].as_array().unwrap() {
            let section = vector["section"].as_str().unwrap();
            let field = |name| vector.get(name).map(hex);
            let gcm = Gcm::new(vectors::cipher(&hex(&vector["key"])));
            let nonce = hex(&vector["iv"]).try_into().unwrap();
            let aad = hex(&vector["aad"]);
            let mut data;
            if let Some(cipher_text) = field("ct") {
                data = cipher_text;
                let tag = data.split_off(data.len() - TAG);
                assert!(gcm.open(nonce, &aad, &mut data, &tag), "§{section}");
            } else {
                data = field("pt").unwrap_or_default();
                let tag = gcm.seal(nonce, &aad, &mut data);
                data.extend(tag);
            }
            if let Some(output) = field("output").filter(|_| !data.is_empty()) {
                assert!(output.windows(data.len()).any(|part| part == data), "§{section}");
            }
        }
    }

    #[test]
    fn long_data_and_every_bit_of_the_tag() {
        let gcm = Gcm::new(Cipher::new(&[9; 32], 32));
        for len in [0, 1, 15, 16, 239, 240, 241, 255, 256, 257, 1500, 65_000] {
            let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut data = plain.clone();
            let tag = gcm.seal([1; 12], b"header", &mut data);
            for bit in 0..128 {
                let mut wrong = tag;
                wrong[bit / 8] ^= 1 << (bit % 8);
                let before = data.clone();
                assert!(!gcm.open([1; 12], b"header", &mut data, &wrong));
                assert_eq!(data, before);
                if len > 1500 {
                    break;
                }
            }
            assert!(gcm.open([1; 12], b"header", &mut data, &tag));
            assert_eq!(data, plain);
        }
    }
}
