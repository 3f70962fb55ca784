//! Which indices were taken (RFC 3711 §3.3.2), and which index a sequence number means (§3.3.1).
//!
//! A ring of words in which the word of an index never moves (RFC 6479): taking the next packet
//! touches one word, where the shift register of the RFC's text touches them all.

use super::Error;

/// Indices per word.
const BITS: u64 = 64;

/// The highest index of a source and which of those before it were taken.
#[derive(Clone)]
pub(super) struct Window<const WORDS: usize> {
    /// One above the highest; 0: nothing was taken.
    next: u64,
    taken: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    /// The largest window that these words hold: one of them is always being refilled.
    pub(super) const LARGEST: u64 = (WORDS as u64 - 1) * BITS;

    pub(super) const fn new() -> Self {
        Window { next: 0, taken: [0; WORDS] }
    }

    /// The highest index taken.
    pub(super) fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Whether this index may be taken, of a window of `size` ≤ `LARGEST`.
    #[inline]
    pub(super) fn check(&self, index: u64, size: u64) -> Result<(), Error> {
        if index >= self.next {
            return Ok(());
        }
        if self.next - index > size {
            return Err(Error::Old);
        }
        if self.taken[Self::word(index)] >> (index % BITS) & 1 != 0 {
            return Err(Error::Replayed);
        }
        Ok(())
    }

    /// Takes an index that was checked; returns whether it is the highest.
    #[inline]
    pub(super) fn take(&mut self, index: u64) -> bool {
        let newest = index >= self.next;
        if newest {
            let last = index / BITS;
            let first = self.next.div_ceil(BITS).max((last + 1).saturating_sub(WORDS as u64));
            for number in first..=last {
                self.taken[number as usize % WORDS] = 0;
            }
            self.next = index + 1;
        }
        self.taken[Self::word(index)] |= 1 << (index % BITS);
        newest
    }

    /// Counts everything up to this index as taken; never goes back.
    pub(super) fn fill(&mut self, index: u64) {
        if index >= self.next {
            self.next = index + 1;
            self.taken = [u64::MAX; WORDS];
        }
    }

    fn word(index: u64) -> usize {
        (index / BITS) as usize % WORDS
    }
}

/// The index that a sequence number most likely means, given the highest so far.
///
/// Deviates from RFC 3711 §3.3.1: there is nothing before index 0. What would lie there (a source
/// that began low and jumps far up) is taken as index `sequence`, as libsrtp does.
///
/// Source: RFC 3711 §3.3.1; where both ways are equally far, Appendix A decides by the half that
/// the highest number is in.
#[inline]
pub(super) fn estimate(highest: u64, sequence: u16) -> u64 {
    let (last, same) = (highest as u16, highest & !0xFFFF | u64::from(sequence));
    if last < 0x8000 {
        let before = sequence > last && sequence - last > 0x8000;
        if before && same > 0xFFFF { same - 0x1_0000 } else { same }
    } else if last - 0x8000 > sequence {
        same + 0x1_0000
    } else {
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_window_is_as_large_as_it_says() {
        for size in [64, 128, 960] {
            let mut window = Window::<16>::new();
            window.take(5000);
            assert_eq!(window.check(5000, size), Err(Error::Replayed));
            assert_eq!(window.check(5001 - size, size), Ok(()));
            assert_eq!(window.check(5000 - size, size), Err(Error::Old));
        }
    }

    #[test]
    fn nothing_is_taken_twice_and_nothing_new_refused() {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut window = Window::<4>::new();
        let mut taken = BTreeSet::new();
        let mut highest = 0_u64;
        for _ in 0..100_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let index = match random % 16 {
                0 => highest + 1 + (random >> 8) % 300,
                1..=8 => highest + 1,
                _ => highest.saturating_sub((random >> 8) % 200),
            };
            let expected = if index + 128 <= highest {
                Err(Error::Old)
            } else if taken.contains(&index) {
                Err(Error::Replayed)
            } else {
                Ok(())
            };
            assert_eq!(window.check(index, 128), expected, "{index} after {highest}");
            if expected.is_ok() {
                assert_eq!(window.take(index), index > highest || taken.is_empty());
                taken.insert(index);
                highest = highest.max(index);
            }
            taken = taken.split_off(&highest.saturating_sub(400));
        }
    }

    #[test]
    fn what_is_filled_is_taken_and_stays_so() {
        let mut window = Window::<4>::new();
        window.fill(1000);
        assert_eq!(window.check(1000, 128), Err(Error::Replayed));
        assert_eq!(window.check(873, 128), Err(Error::Replayed));
        assert_eq!(window.check(1001, 128), Ok(()));
        window.fill(10);
        assert_eq!(window.highest(), Some(1000));
    }

    #[test]
    fn the_estimate_of_appendix_a() {
        // (highest, sequence number, index)
        let cases = [
            (0x0000_0000, 0x0001, 0x0000_0001),
            (0x0000_FFFF, 0x0000, 0x0001_0000),
            (0x0001_0000, 0xFFFF, 0x0000_FFFF),
            (0x0000_0000, 0xFFFF, 0x0000_FFFF), // nothing is before index 0
            (0x0000_1000, 0x9000, 0x0000_9000), // exactly half a round: the same round
            (0x0000_1000, 0x9001, 0x0000_9001),
            (0x0005_1000, 0x9001, 0x0004_9001),
            (0x0005_9000, 0x1000, 0x0005_1000),
            (0x0005_9000, 0x0FFF, 0x0006_0FFF),
        ];
        for (highest, sequence, index) in cases {
            assert_eq!(estimate(highest, sequence), index, "{highest:#x} {sequence:#x}");
        }
    }
}
