//! The Python classes, step by step: `tests/relay/native_fixtures.py` has written down what they do.

use relay_core::g711;
use relay_core::packet::{self, classify};
use relay_core::policer::Policer;
use relay_core::rtcp;
use relay_core::srtp::{Error, Options, Session, Suite};
use relay_core::stats::Reception;
use serde_json::{Value, json};

fn vectors(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/vectors");
    let path = format!("{folder}/{name}.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    items(&vectors(&format!("native/{name}"))).to_vec()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn octets(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn the_policer() {
    for case in cases("policer") {
        let mut policer = Policer::new(float(&case[0]), float(&case[1]), float(&case[2]));
        for (number, step) in items(&case[3]).iter().enumerate() {
            let (units, now) = (float(&step[1]), float(&step[2]));
            let result = match step[0].as_str().unwrap() {
                "take" => json!(policer.take(units, now)),
                _ => json!(policer.grant(units, now)),
            };
            assert_eq!(result, step[3], "step {number}: {step}");
            assert_eq!(policer.level(), float(&step[4]), "step {number}: {step}");
        }
    }
}

fn rates(value: &Value) -> Vec<(u8, u32)> {
    let rate = |pair: &Value| (whole(&pair[0]) as u8, whole(&pair[1]) as u32);
    items(value).iter().map(rate).collect()
}

fn state(reception: &Reception) -> Value {
    json!({
        "packets": reception.packets,
        "octets": reception.octets,
        "first": reception.first,
        "last": reception.last,
        "max_gap_s": reception.max_gap_s,
        "ssrc": reception.ssrc,
        "highest": reception.highest,
        "jitter_ticks": reception.jitter_ticks,
        "lost": reception.lost(),
        "expected": reception.expected(),
        "jitter_ms": reception.jitter_ms(),
        "payload_types": reception.payload_types().collect::<Vec<_>>(),
        "last_packet": reception.last_packet(),
        "base": reception.base,
        "before": reception.before,
        "lost_before": reception.lost_before,
        "bad_sequence": reception.bad_sequence,
        "second_byte": reception.second_byte,
        "timestamp": reception.timestamp,
        "transit": reception.transit,
        "clock": reception.clock,
        "paused": reception.paused,
        "tally": reception.tally(),
    })
}

#[test]
fn reception() {
    for case in cases("reception") {
        let mut reception = Reception::new(&rates(&case[0]));
        for (number, step) in items(&case[1]).iter().enumerate() {
            match step {
                Value::Array(fields) => reception.packet(
                    whole(&fields[0]) as u8,
                    whole(&fields[1]) as u16,
                    whole(&fields[2]) as u32,
                    whole(&fields[3]) as u32,
                    whole(&fields[4]) as usize,
                    float(&fields[5]),
                ),
                Value::Object(fields) if fields.contains_key("signal") => {
                    reception.signal(&rates(&fields["signal"]));
                }
                Value::Object(_) => assert_eq!(&state(&reception), step, "step {number}"),
                _ => reception.pause(),
            }
        }
    }
}

#[test]
fn headers() {
    for case in cases("rtp") {
        let data = octets(&case[0]);
        assert_eq!(classify(&data) as u64, whole(&case[1]), "{case}");
        let found = packet::parse(&data).map_or(Value::Null, |header| {
            let fixed = header.fixed;
            json!([
                fixed.marker(),
                fixed.payload_type(),
                fixed.sequence,
                fixed.timestamp,
                fixed.ssrc,
                header.size,
                header.padding
            ])
        });
        assert_eq!(found, case[2], "{case}");
    }
}

#[test]
fn compounds() {
    for case in cases("rtcp") {
        let data = octets(&case[0]);
        let found: Result<Vec<_>, _> =
            rtcp::packets(&data).and_then(|mut packets| packets.by_ref().collect());
        let found = found.map_or(Value::Null, |packets| {
            let shown = packets.iter().map(|it| json!([it.kind, it.count, hex(it.body)]));
            shown.collect()
        });
        assert_eq!(found, case[1], "{case}");
    }
}

/// The number of an error in `relay.rtp.session.Failure`.
fn failure(error: Error) -> u8 {
    match error {
        Error::Size | Error::Room => 1,
        Error::Sources => 2,
        Error::Replayed | Error::Old | Error::Exhausted => 3,
        Error::Mki | Error::Authentication => 4,
    }
}

#[test]
fn srtp_sessions() {
    for case in cases("srtp") {
        let suite = Suite::by_name(case["suite"].as_str().unwrap()).unwrap();
        let options = Options { roc: whole(&case["roc"]) as u32, ..Options::default() };
        let session =
            || Session::new(suite, &octets(&case["key"]), &octets(&case["mki"]), options).unwrap();
        let (mut sends, mut receives) = (session(), session());
        for (number, step) in items(&case["steps"]).iter().enumerate() {
            let plain = octets(&step[1]);
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + 64, 0);
            let len = plain.len();
            let passed = match step[0].as_str().unwrap() {
                "protect" => sends.protect_rtp(&mut buffer, len),
                "unprotect" => receives.unprotect_rtp(&mut buffer, len),
                "protect_rtcp" => sends.protect_rtcp(&mut buffer, len),
                _ => receives.unprotect_rtcp(&mut buffer, len),
            };
            let shown = match passed {
                Ok(passed) => json!(hex(&buffer[..passed.len])),
                Err(error) => json!(failure(error)),
            };
            assert_eq!(shown, step[2], "{} step {number}: {step}", suite.name());
        }
        let index = |session: &Session, ssrc| session.index(ssrc).map_or(-1, |at| at as i64);
        for source in items(&case["indices"]) {
            let ssrc = whole(&source[0]) as u32;
            assert_eq!(json!([ssrc, index(&sends, ssrc), index(&receives, ssrc)]), *source);
        }
        assert_eq!(json!([sends.rtcp_index(), receives.rtcp_index()]), case["rtcp_indices"]);
    }
}

/// The values of the recommendation, which Python's tables are held to as well.
#[test]
fn g711_decoders_and_a_tone() {
    let values = vectors("g711");
    for code in 0..=255 {
        let at = usize::from(code);
        assert_eq!(json!(g711::decode_ulaw(code)), values["ulaw_decode"][at]);
        assert_eq!(json!(g711::decode_alaw(code)), values["alaw_decode"][at]);
    }
    let ulaw = octets(&values["milliwatt_ulaw_1khz"]);
    let alaw = octets(&values["milliwatt_alaw_1khz"]);
    let mut tone = ulaw.clone();
    g711::ulaw_to_alaw(&mut tone);
    assert_eq!(tone, alaw);
    g711::alaw_to_ulaw(&mut tone);
    assert_eq!(tone, ulaw);
}
