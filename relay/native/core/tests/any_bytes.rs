//! Any bytes at all: the harness of the fuzz targets, with a few thousand inputs.

mod harness;

use harness::Random;

fn inputs(
    seed: u64,
    count: usize,
    mut shape: impl FnMut(&mut Random, &mut Vec<u8>),
) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let mut input = |_| {
        let len = random.below(120) as usize;
        let mut data = random.octets(len);
        shape(&mut random, &mut data);
        data
    };
    (0..count).map(&mut input).collect()
}

/// Half of the inputs look like RTP, a quarter like RTCP.
fn look_like_media(random: &mut Random, data: &mut [u8]) {
    match (random.below(4), data) {
        (0 | 1, [first, ..]) => *first = 0x80 | *first & 0x33,
        (2, [first, second, high, low, ..]) => {
            *first = 0x80 | *first & 0x21;
            *second = 200 + *second % 8;
            *high = 0;
            *low %= 12;
        }
        _ => {}
    }
}

#[test]
fn headers() {
    for data in inputs(1, 50_000, |random, data| look_like_media(random, data)) {
        harness::packets(&data);
    }
}

#[test]
fn unprotecting_what_nobody_protected() {
    let shape = |random: &mut Random, data: &mut Vec<u8>| {
        if let [_, packet @ ..] = &mut data[..] {
            look_like_media(random, packet);
        }
    };
    for data in inputs(2, 20_000, shape) {
        harness::unprotect(&data);
    }
}

#[test]
fn one_octet_changed() {
    for data in inputs(3, 20_000, |_, _| ()) {
        harness::mutated(&data);
    }
}
