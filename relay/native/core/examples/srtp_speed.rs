//! What SRTP costs for a packet of telephony, with many streams in turn.
//!
//! `cargo run --release --example srtp_speed [streams]`; 1,000 unless told. Each stream has a session
//! of its own for either direction, and the streams are served in turn, so that a stream's keys and
//! window are as cold as they are in a relay. A packet of 172 bytes (12 of header, 20 ms of G.711)
//! is copied into one buffer, as a receive would, and protected or unprotected there; the copy is
//! in the figures. Each row is the median and the best of the rounds.

use std::hint::black_box;
use std::time::Instant;

use relay_core::packet;
use relay_core::srtp::{Options, Session, Suite};

const PACKET: usize = 172;
const RTCP: usize = 80;
const ROUNDS: usize = 40;
/// The limit for each of protect and unprotect, µs.
const LIMIT_US: f64 = 0.35;

fn main() {
    let streams = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1000);
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build, whose figures mean nothing: use --release");
        std::process::exit(2);
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    println!("{streams} streams, {PACKET}-byte RTP, {model}, load {load}, µs a packet\n");
    println!("| suite | protect | best | unprotect | best | RTCP out and in | bytes a session |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut slow = false;
    for suite in Suite::ALL {
        let (protect, unprotect, rtcp) = measure(suite, streams);
        let size = size_of::<Session>();
        println!(
            "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {size} |",
            suite.name(),
            median(&protect),
            best(&protect),
            median(&unprotect),
            best(&unprotect),
            median(&rtcp)
        );
        slow |= median(&protect) > LIMIT_US || median(&unprotect) > LIMIT_US;
    }
    if slow {
        println!("\nabove the limit of {LIMIT_US} µs");
        std::process::exit(1);
    }
}

fn sessions(suite: Suite, count: usize) -> Vec<Session> {
    let size = suite.key_size() + suite.salt_size();
    let key = |number: usize| {
        (0..size).map(|at| (number * 31 + at * 7 + number / 251) as u8).collect::<Vec<_>>()
    };
    let session = |number| Session::new(suite, &key(number), &[], Options::default());
    (0..count).map(|number| session(number).expect("a key of the suite's size")).collect()
}

fn measure(suite: Suite, streams: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut senders = sessions(suite, streams);
    let mut receivers = sessions(suite, streams);
    let mut template = [0x55; PACKET];
    template[..2].copy_from_slice(&[0x80, 0x00]);
    let mut compound = [0x55; RTCP];
    compound[..2].copy_from_slice(&[0x80, 200]);
    let mut wire = vec![[0_u8; PACKET + 16]; streams];
    let mut sizes = vec![0; streams];
    let mut buffer = vec![0_u8; 2048];
    let (mut protect, mut unprotect, mut rtcp) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = Instant::now();
        for (number, sender) in senders.iter_mut().enumerate() {
            buffer[..PACKET].copy_from_slice(&template);
            packet::set_sequence(&mut buffer, round as u16);
            packet::set_ssrc(&mut buffer, number as u32);
            let passed = sender.protect_rtp(&mut buffer, PACKET).expect("the next packet");
            sizes[number] = passed.len;
            wire[number][..passed.len].copy_from_slice(&buffer[..passed.len]);
        }
        protect.push(micros(start, streams));
        let start = Instant::now();
        for (number, receiver) in receivers.iter_mut().enumerate() {
            let size = sizes[number];
            buffer[..size].copy_from_slice(&wire[number][..size]);
            let passed = receiver.unprotect_rtp(&mut buffer, size).expect("a packet of the peer");
            black_box(&buffer[..passed.len]);
        }
        unprotect.push(micros(start, streams));
        let start = Instant::now();
        for (sender, receiver) in senders.iter_mut().zip(&mut receivers) {
            buffer[..RTCP].copy_from_slice(&compound);
            let passed = sender.protect_rtcp(&mut buffer, RTCP).expect("the next compound");
            receiver.unprotect_rtcp(&mut buffer, passed.len).expect("a compound of the peer");
        }
        rtcp.push(micros(start, streams));
    }
    // The first rounds make the streams' windows.
    (protect.split_off(4), unprotect.split_off(4), rtcp.split_off(4))
}

fn micros(start: Instant, packets: usize) -> f64 {
    start.elapsed().as_secs_f64() * 1e6 / packets as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
