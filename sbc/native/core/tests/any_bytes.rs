//! The fuzz harness with numbers that look random.

mod harness;

use harness::{USUAL, any_message, changed_message};

/// Numbers that look random and are the same in every run (xorshift64*).
struct Chance(u64);

impl Chance {
    fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.byte()).collect()
    }

    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    }
}

#[test]
fn the_usual_message_is_one() {
    assert!(any_message(USUAL));
}

#[test]
fn no_beginning_is_read_past_its_end() {
    for size in 0..USUAL.len() {
        any_message(&USUAL[..size]);
    }
}

#[test]
fn any_bytes() {
    let mut chance = Chance(1);
    for size in 0..200 {
        for _ in 0..20 {
            let head = chance.bytes(size);
            any_message(&head);
            any_message(&[&USUAL[..size], &head, &USUAL[size..]].concat());
        }
    }
}

#[test]
fn changed_bytes() {
    let mut chance = Chance(2);
    let read = (0..40_000).filter(|_| changed_message(&chance.bytes(6))).count();
    assert!(read > 1_000 && read < 39_000, "{read}");
}
