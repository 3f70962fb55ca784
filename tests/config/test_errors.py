"""What wrong input gets: every message as an operator reads it."""

from __future__ import annotations

import pytest

from sbc.config.load import check
from tests.config.files import GOOD, errors

REALM = 'listen: "udp:10.0.0.5:5060", media: { address: 10.0.0.5, ports: 12000-12999 }'


def one(part, value, number=1):
    """The good file with one piece of text replaced."""
    assert GOOD.count(part) >= number
    return GOOD.replace(part, value, number)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # the text itself
        ("", "sbc.yaml: expected a configuration, got an empty file"),
        ("# nothing\n", "sbc.yaml: expected a configuration, got an empty file"),
        (
            "a: 1\n\tb: 2",
            "sbc.yaml:2:1: expected spaces, got a tab (YAML indents with spaces only)",
        ),
        (
            "trunks: { a: [1",
            "sbc.yaml:1:16: while parsing a flow sequence: expected ',' or ']', "
            "but got '<stream end>'",
        ),
        (
            "realms: 1: 2",
            "sbc.yaml:1:10: expected the end of the value, got another `key: value` "
            "(indentation? quotes?)",
        ),
        (
            "log: {}\n---\nlog: {}",
            "sbc.yaml:2:1: expected one document, got another one (---)",
        ),
        ("log: *x", "sbc.yaml:1:6: expected a known anchor, got undefined alias 'x'"),
        ("a: \x01", 'sbc.yaml:1:4: expected printable text, got character "\\u0001"'),
        (
            "%YAML 1.1\n---\nlog: {}",
            "sbc.yaml:1:1: expected YAML 1.2, got a directive for another version",
        ),
    ],
)
def test_text_that_is_no_configuration(text, message):
    assert errors(text) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("17", "sbc.yaml:1:1: expected a mapping (key: value), got 17"),
        ("[a]", "sbc.yaml:1:1: expected a mapping (key: value), got a list"),
        # YAML that means something else than it looks like
        (
            one("to: carrier }", "to: carrier, number: 0123 }"),
            "sbc.yaml:9:43: routes[1].number: expected the first digits of a number, in quotes, "
            'got 0123 (write "0123" with quotes)',
        ),
        (
            one("to: carrier }", "to: carrier, number: +49 }"),
            "sbc.yaml:9:43: routes[1].number: expected the first digits of a number, in quotes, "
            'got +49 (write "+49" with quotes)',
        ),
        (
            one("to: carrier }", "to: carrier, number: 49 }"),
            "sbc.yaml:9:43: routes[1].number: expected the first digits of a number, in quotes, "
            'got 49 (write "49" with quotes)',
        ),
        (
            one("limits: {", "methods: { outside: [REFER] }, limits: {"),
            "sbc.yaml:7:72: trunks.carrier.methods.outside[1]: expected a method that may cross, "
            'got "REFER" (REFER is never passed on outside of a call)',
        ),
        (
            one("limits: {", "methods: { outside: message }, limits: {"),
            "sbc.yaml:7:71: trunks.carrier.methods.outside: expected a method in capitals such as "
            'MESSAGE, got "message"',
        ),
        (
            one("limits: {", "methods: { pass: info }, limits: {"),
            "sbc.yaml:7:68: trunks.carrier.methods.pass: expected a method in capitals such as "
            'MESSAGE, got "info"',
        ),
        (
            one("calls: 200", "calls: 0200"),
            "sbc.yaml:7:68: trunks.carrier.limits.calls: expected a whole number above 0, got 0200",
        ),
        (
            one("calls: 200", "calls: 1_000"),
            "sbc.yaml:7:68: trunks.carrier.limits.calls: expected a whole number above 0, "
            "got 1_000",
        ),
        (
            GOOD + "trunks: {}\n",
            "sbc.yaml:11:1: trunks: expected each key once, got it again (first in line 5)",
        ),
        (
            one("  pbx: ", "  0123: "),
            "sbc.yaml:6:3: trunks: expected a name as key (in quotes?), got 0123",
        ),
        (
            one("calls: 200", "calls: !!python/object 200"),
            "sbc.yaml:7:68: trunks.carrier.limits.calls: expected no tag, "
            "got tag:yaml.org,2002:python/object",
        ),
        (
            one("limits: {", "limits: { <<: { calls: 3 },"),
            "sbc.yaml:7:61: trunks.carrier.limits: expected a name as key (in quotes?), got <<",
        ),
        # keys
        (
            one("realm: outside,", "realm: outside, limit: 5,"),
            "sbc.yaml:7:30: trunks.carrier.limit: unknown key, did you mean limits?",
        ),
        (
            one("cps: 20", "code: 486"),
            "sbc.yaml:7:73: trunks.carrier.limits.code: unknown key, did you mean status?",
        ),
        (
            one("cps: 20", "colour: red"),
            "sbc.yaml:7:73: trunks.carrier.limits.colour: unknown key, "
            "expected one of calls, cps, subscriptions, status",
        ),
        (
            GOOD + "tunks: {}\n",
            "sbc.yaml:11:1: tunks: unknown key, did you mean trunks?",
        ),
        (
            one("realm: inside,", ""),
            "sbc.yaml:6:3: trunks.pbx.realm: expected the name of a realm, got nothing",
        ),
        (
            one("from: pbx,", ""),
            "sbc.yaml:9:5: routes[1].from: expected the name of a trunk, got nothing",
        ),
        (
            one(", to: pbx", ""),
            "sbc.yaml:10:5: routes[2].to: expected the name of a trunk, or a list of them, "
            "got nothing",
        ),
        (
            one('listen: "udp:192.0.2.10:5060", ', ""),
            "sbc.yaml:4:3: realms.outside.listen: expected a list of"
            ' "udp:ADDRESS:PORT" (or tcp:, tls:), got nothing',
        ),
        # values
        (
            one("calls: 200", "calls: many"),
            "sbc.yaml:7:68: trunks.carrier.limits.calls: expected a whole number above 0, "
            'got "many"',
        ),
        (
            one("calls: 200", "calls: 0"),
            "sbc.yaml:7:68: trunks.carrier.limits.calls: expected a whole number above 0, got 0",
        ),
        (
            one("calls: 200", "calls: 1.5"),
            "sbc.yaml:7:68: trunks.carrier.limits.calls: expected a whole number above 0, got 1.5",
        ),
        (
            one("calls: 200", "calls: true"),
            "sbc.yaml:7:68: trunks.carrier.limits.calls: expected a whole number above 0, got true",
        ),
        (
            one("cps: 20", "cps: -1"),
            "sbc.yaml:7:78: trunks.carrier.limits.cps: expected a number above 0, got -1",
        ),
        (
            one("cps: 20", "status: 200"),
            "sbc.yaml:7:81: trunks.carrier.limits.status: expected a SIP failure code from 400 to "
            "699, got 200",
        ),
        (
            one("realm: outside,", "realm: outside, transport: tls,"),
            "sbc.yaml:7:41: trunks.carrier.transport: expected a tls listener in realm outside, "
            "got none there",
        ),
        (
            one("realm: outside,", "realm: outside, trusted: yes,"),
            'sbc.yaml:7:39: trunks.carrier.trusted: expected true or false, got "yes"',
        ),
        (
            one("realm: outside,", "realm: outside, no_answer: 3 minutes,"),
            "sbc.yaml:7:41: trunks.carrier.no_answer: expected a time above 0, in seconds or such "
            'as "90s", "3m", got "3 minutes"',
        ),
        (
            one("realm: outside,", "realm: outside, nat: maybe,"),
            'sbc.yaml:7:35: trunks.carrier.nat: expected auto, always or never, got "maybe"',
        ),
        (
            one("realm: outside,", "realm: outside, pass: [X-A, Via],"),
            "sbc.yaml:7:42: trunks.carrier.pass[2]: expected a header that may cross, "
            'got "Via" (the border writes this one itself)',
        ),
        (
            one("realm: outside,", "realm: outside, pass: 'X A',"),
            'sbc.yaml:7:36: trunks.carrier.pass: expected the name of a header, got "X A"',
        ),
        (
            one("198.51.100.7", "sip..example"),
            'sbc.yaml:7:37: trunks.carrier.peers: expected "ADDRESS", "NAME", either with '
            '":PORT", or a mapping, got "sip..example"',
        ),
        (
            one("198.51.100.7", "träger.example"),
            'sbc.yaml:7:37: trunks.carrier.peers: expected "ADDRESS", "NAME", either with '
            '":PORT", or a mapping, got "träger.example" (write it as the DNS does: xn--…)',
        ),
        (
            one("198.51.100.7", "198.51.100.700"),
            'sbc.yaml:7:37: trunks.carrier.peers: expected "ADDRESS", "NAME", either with '
            '":PORT", or a mapping, got "198.51.100.700"',
        ),
        (
            one("198.51.100.7", '"sip.carrier.example:5060", resolve: srv'),
            "sbc.yaml:7:37: trunks.carrier.peers: expected a name without a port, for SRV says it"
            " (resolve: srv), got sip.carrier.example:5060",
        ),
        (
            one("198.51.100.7", "sip.example").replace(
                "  pbx: ", "  b: { realm: outside, peers: sip.example:5080 }\n  pbx: "
            ),
            "sbc.yaml:8:37: trunks.carrier.peers: expected sources, or a name of its own in realm"
            " outside, got sip.example, which trunk b has",
        ),
        (
            one("198.51.100.7", "198.51.100.7, resolve: mx"),
            'sbc.yaml:7:60: trunks.carrier.resolve: expected auto, srv or a, got "mx"',
        ),
        (
            GOOD + "dns: { servers: [ns.example] }\n",
            'sbc.yaml:11:18: dns.servers[1]: expected the address of a DNS server: "ADDRESS" or '
            '"ADDRESS:PORT", got "ns.example" (a name will not do here)',
        ),
        (
            GOOD + "dns: { timeout: 0s }\n",
            'sbc.yaml:11:17: dns.timeout: expected a time above 0, in seconds or such as "90s", '
            '"3m", got "0s"',
        ),
        (
            one("10.0.0.20:5060", "10.0.0.20:99999"),
            'sbc.yaml:6:38: trunks.pbx.peers[1]: expected "ADDRESS", "NAME", either with ":PORT", '
            'or a mapping, got "10.0.0.20:99999" (ports go from 1 to 65535)',
        ),
        (
            one('["10.0.0.20:5060"]', "[{ address: 10.0.0.20, port: 0 }]"),
            "sbc.yaml:6:66: trunks.pbx.peers[1].port: expected a port from 1 to 65535, got 0",
        ),
        (
            one("realm: outside,", "realm: outside, sources: 192.0.2.5/24,"),
            "sbc.yaml:7:39: trunks.carrier.sources: expected a network, such as 192.0.2.0/24, "
            'got "192.0.2.5/24" (the bits after the prefix must be 0)',
        ),
        (
            one('"udp:192.0.2.10:5060"', '"192.0.2.10:5060"'),
            'sbc.yaml:4:22: realms.outside.listen: expected "udp:ADDRESS:PORT" (or tcp:, tls:), '
            'got "192.0.2.10:5060"',
        ),
        (
            one('"udp:192.0.2.10:5060"', '"wss:192.0.2.10:443"'),
            'sbc.yaml:4:22: realms.outside.listen: expected "udp:ADDRESS:PORT" (or tcp:, tls:), '
            'got "wss:192.0.2.10:443" (wss is not there yet)',
        ),
        (
            one("12000-21999", "12001-21999"),
            "sbc.yaml:3:101: realms.inside.media.ports: expected a range that starts with an even "
            'port, got "12001-21999" (RTP takes the even port of each pair)',
        ),
        (
            one("12000-21999", "12000"),
            "sbc.yaml:3:101: realms.inside.media.ports: expected a range of ports such as "
            "12000-21999, got 12000",
        ),
        (
            one("12000-21999", "12000-100"),
            "sbc.yaml:3:101: realms.inside.media.ports: expected a range of ports such as "
            '12000-21999, got "12000-100" (ports go from 1024 to 65535)',
        ),
        (
            GOOD + "relay: { workers: 0 }\n",
            "sbc.yaml:11:19: relay.workers: expected auto or a whole number from 1 to 256, got 0",
        ),
        (
            GOOD + "log: { level: loud }\n",
            'sbc.yaml:11:15: log.level: expected debug, info, warning or error, got "loud"',
        ),
        (
            GOOD + "access: { strangers: ban }\n",
            'sbc.yaml:11:22: access.strangers: expected refuse or ignore, got "ban"',
        ),
        (
            GOOD + "cdr: { path: [a] }\n",
            "sbc.yaml:11:14: cdr.path: expected a text, got a list",
        ),
        (
            GOOD + "cdr: yes\n",
            'sbc.yaml:11:6: cdr: expected a mapping (key: value), got "yes"',
        ),
        (
            one("  - { from: pbx,     to: carrier }", "  - pbx"),
            'sbc.yaml:9:5: routes[1]: expected a mapping (key: value), got "pbx"',
        ),
        (
            one("  pbx: ", "  my.pbx: ")
            .replace("pbx,     to", "my.pbx, to")
            .replace("to: pbx", "to: my.pbx"),
            "sbc.yaml:6:3: trunks.my.pbx: expected a name of letters, digits, - and _ "
            '(at most 32), got "my.pbx"',
        ),
    ],
)
def test_one_error_is_one_line(text, message):
    assert message in errors(text)


def test_all_errors_come_at_once_in_the_order_of_the_file():
    text = """\
realms:
  inside: { listen: "ws:10.0.0.5:5060", media: { address: 10.0.0.5, ports: 12000-21999 } }
  outside: { listen: "udp:192.0.2.10:5060", media: { address: 192.0.2.10, ports: 22000-31999 } }
trunks:
  pbx: { realm: inside, peers: [10.0.0.300] }
  carrier: { realm: outsid, peers: 198.51.100.7, limits: { calls: many } }
  other: { realm: outsid, peers: 198.51.100.8 }
routes:
  - { from: pbx, to: carier }
  - { from: pbx, to: other, numbr: "1" }
lag: {}
"""
    assert errors(text) == [
        'sbc.yaml:2:21: realms.inside.listen: expected "udp:ADDRESS:PORT" (or tcp:, tls:), '
        'got "ws:10.0.0.5:5060" (ws is not there yet)',
        'sbc.yaml:5:33: trunks.pbx.peers[1]: expected "ADDRESS", "NAME", either with ":PORT", or '
        'a mapping, got "10.0.0.300"',
        'sbc.yaml:6:67: trunks.carrier.limits.calls: expected a whole number above 0, got "many"',
        'sbc.yaml:7:19: trunks.other.realm: expected a realm (inside, outside), got "outsid"',
        'sbc.yaml:9:22: routes[1].to: expected a trunk (carrier, other, pbx), got "carier"',
        "sbc.yaml:10:5: routes[2]: expected another number than routes[1], got any number from "
        "pbx again",
        "sbc.yaml:10:29: routes[2].numbr: unknown key, did you mean number?",
        "sbc.yaml:11:1: lag: unknown key, did you mean log?",
    ]


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    missing = tmp_path / "none.yaml"
    folder = tmp_path / "folder"
    folder.mkdir()
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"realms:\n  caf\xe9: {}\n")
    for path, text in [
        (missing, f"{missing}: cannot be read: No such file or directory"),
        (folder, f"{folder}: expected a file, got a folder"),
        ("/dev/null", "/dev/null: expected a file, got a device, pipe or socket"),
        (latin, f"{latin}:2:6: expected UTF-8 text, got byte 0xe9"),
        ("a\0b", "a\\x00b: cannot be read: embedded null byte"),
    ]:
        assert [str(problem) for problem in check(str(path)).errors] == [text]


def test_nothing_of_a_secret_length_is_printed_whole():
    (message,) = errors(GOOD + f"log: {{ level: {'x' * 500} }}\n")
    assert len(message) < 200
