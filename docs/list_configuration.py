"""Writes `docs/configuration.md` from the grammar that the configuration is checked with.

`python docs/list_configuration.py` writes the page; a test compares it with what this makes, and
sets every key to its example.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sbc.config.keys import Key, keys

PAGE: Final = Path(__file__).parent / "configuration.md"

_INTRODUCTION: Final = """\
# Configuration

One YAML file (YAML 1.2). The commands read the one that `--config` names, else `$SBC_CONFIG`, else
`sbc.yaml` in the current folder, else `/etc/sbc/sbc.yaml`, else
`examples/demo.yaml` (of a clone). `sbc check` reads it without starting anything and prints every
error at once:

```text
sbc.yaml:16:67: trunks.carrier.limits.calls: expected a whole number above 0, got "many"
```

The file is read when `sbc run` starts. A change takes effect with the next start.

Below is every key, written by `docs/list_configuration.py` from the grammar itself: do not edit
this page. `sbc config keys` prints the same. `NAME` stands for a name of yours, `N` for a place in
a list, counted from 1.

* A key that is not here is an error.
* A list of one may be written without its brackets.
* A string is enough where a mapping has one key that matters: `"udp:10.0.0.5:5060"` is
  `{ bind: "udp:10.0.0.5:5060" }`, `"10.0.0.20:5060"` is `{ address: 10.0.0.20, port: 5060 }`,
  `"sip.carrier.example"` is `{ address: sip.carrier.example }`.
* A time is a number of seconds, or a text with a unit: `ms`, `s`, `m`, `h`.
* Numbers that are dialled are texts: they need quotes.
* Relative paths start at the folder of the file.
* Every key can be set by `sbc config set KEY VALUE`; the file's comments and order stay.
"""

_SECTIONS: Final = (
    (
        "",
        "Folders",
        "Where the border keeps its things. One border runs in each `run_dir`; the folder belongs"
        " to the user that runs it (mode 0700). Without the keys they are `/run/sbc` and"
        " `/var/lib/sbc` for root; for another user `$XDG_RUNTIME_DIR/sbc` (else"
        " `/run/user/UID/sbc` where that user has such a folder, else `run` beside the file)"
        " and `$XDG_STATE_HOME/sbc` (else `~/.local/state/sbc`).",
    ),
    (
        "realms",
        "Realms",
        "A realm is a network that the border faces. Each has addresses for SIP and for media. The"
        " first port of a media range is even; ports that the kernel lends to other programs"
        " (`net.ipv4.ip_local_port_range`) are refused unless they are reserved.",
    ),
    (
        "trunks",
        "Trunks",
        "A trunk is a peer network that calls us and that we call. It is known by the address that"
        " a request comes from, within its realm. `transport` says how *we* call it; it may call us"
        " on every listener of its realm. A header of `pass` crosses in each call that"
        " has this trunk on either side; what `trusted` lets through only between two trunks that"
        " both are.",
    ),
    (
        "routes",
        "Routes",
        "A call of trunk `from` to a number that begins with `number` goes to the first of the"
        " trunks in `to` and, where that one is silent, unreachable, full or answers 408, 502, 503"
        " or 504, to the next. Of several routes the longest `number` wins, wherever it stands.",
    ),
    (
        "users",
        "Users",
        "Who may call through a trunk with `auth.challenge: required`, besides coming from its"
        " `sources`. A `password` is never written here, only where it is: `file:PATH` (one line)"
        " or `env:NAME`. `sbc user add` asks for one and stores its hashes, `ha1`, for the realm of"
        " the trunk. A hash is as good as the password towards this border: no command prints it,"
        " and the file should be readable by the border alone. A realm offers only algorithms that"
        " all its users can answer.",
    ),
    ("access", "Access", "Who may speak to the border at all. Trunks are never limited by `rate`."),
    ("cdr", "Call records", ""),
    ("relay", "Media relay", ""),
    (
        "dns",
        "Names",
        "Peers that are names are looked up as RFC 3263 says, at the start and again before each"
        " answer ends, so that a call does not wait for it. While the DNS is silent the last answer"
        " serves for a day. Only the DNS is asked, not `/etc/hosts`. `sbc doctor` shows where each"
        " name leads.",
    ),
    ("connections", "Connections", "TCP and TLS, in all realms together."),
    ("log", "Log", ""),
)
"""The first part of a path, the title, and what to know of the section."""

EXAMPLES: Final = {
    "run_dir": "/run/sbc",
    "state_dir": "/var/lib/sbc",
    "realms.NAME.listen": '["udp:10.0.0.5:5060", "tcp:10.0.0.5:5060"]',
    "realms.NAME.media": "{ address: 10.0.0.5, ports: 12000-21999 }",
    "realms.NAME.listen[N].bind": '"tls:10.0.0.5:5061"',
    "realms.NAME.listen[N].advertise": "203.0.113.7",
    "realms.NAME.listen[N].tls.certificate": "[sip.example.pem, sip.example.org.pem]",
    "realms.NAME.listen[N].tls.key": "/etc/sbc/tls/sip.example.key",
    "realms.NAME.listen[N].tls.ca": "/etc/sbc/tls/partners.pem",
    "realms.NAME.listen[N].tls.client": "required",
    "realms.NAME.listen[N].tls.minimum": '"1.3"',
    "realms.NAME.tls.certificate": "/etc/sbc/tls/sip.example.pem",
    "realms.NAME.tls.key": "/etc/sbc/tls/sip.example.key",
    "realms.NAME.tls.ca": "/etc/sbc/tls/partners.pem",
    "realms.NAME.tls.client": "optional",
    "realms.NAME.tls.minimum": '"1.3"',
    "realms.NAME.media[N].address": "10.0.0.5",
    "realms.NAME.media[N].advertise": "203.0.113.7",
    "realms.NAME.media[N].ports": "12000-21999",
    "realms.NAME.local_networks": "172.16.0.0/20",
    "realms.NAME.public_address": "stun:stun.example.net",
    "realms.NAME.dscp": "cs3",
    "trunks.NAME.realm": "inside",
    "trunks.NAME.peers": '["10.0.0.20:5060", "10.0.0.21:5060"]',
    "trunks.NAME.sources": "[10.0.0.20, 10.0.8.0/24]",
    "trunks.NAME.transport": "auto",
    "trunks.NAME.resolve": "srv",
    "trunks.NAME.invite_timeout": "4s",
    "trunks.NAME.tls.name": "sip.carrier.example",
    "trunks.NAME.tls.ca": "/etc/sbc/tls/carrier-ca.pem",
    "trunks.NAME.tls.certificate": "/etc/sbc/tls/sip.example.pem",
    "trunks.NAME.tls.key": "/etc/sbc/tls/sip.example.key",
    "trunks.NAME.tls.verify": "false",
    "trunks.NAME.identify": "certificate",
    "trunks.NAME.keepalive": "30s",
    "trunks.NAME.options_ping": "30s",
    "trunks.NAME.no_answer": "90s",
    "trunks.NAME.pass": "[X-Account, X-Campaign]",
    "trunks.NAME.trusted": "true",
    "trunks.NAME.nat": "always",
    "trunks.NAME.latch": "any",
    "trunks.NAME.media_timeout": "5m",
    "trunks.NAME.srtp": "required",
    "trunks.NAME.srtp_suites": "[AEAD_AES_256_GCM, AES_CM_128_HMAC_SHA1_80]",
    "trunks.NAME.rtcp_mux": "offer",
    "trunks.NAME.dtmf": "info",
    "trunks.NAME.challenges": "pass",
    "trunks.NAME.continuity": "true",
    "trunks.NAME.strict_payloads": "true",
    "trunks.NAME.rtcp_bye": "false",
    "trunks.NAME.rtcp_app": "true",
    "trunks.NAME.codecs.allow": "[PCMA, G722]",
    "trunks.NAME.codecs.strip": "[opus, G729]",
    "trunks.NAME.codecs.order": "[G722, PCMA]",
    "trunks.NAME.codecs.single": "true",
    "trunks.NAME.codecs.ptime": "20",
    "trunks.NAME.reliable": "never",
    "trunks.NAME.shield": "[prack, update]",
    "trunks.NAME.responses": '{ 503: 500, "4xx": 480 }',
    "trunks.NAME.refusals": "{ 600: 486 }",
    "trunks.NAME.reason": "q850",
    "trunks.NAME.read_causes": "true",
    "trunks.NAME.peers[N].address": "sip.carrier.example",
    "trunks.NAME.peers[N].port": "5080",
    "trunks.NAME.peers[N].priority": "10",
    "trunks.NAME.peers[N].weight": "5",
    "trunks.NAME.limits.calls": "200",
    "trunks.NAME.limits.cps": "20",
    "trunks.NAME.limits.subscriptions": "500",
    "trunks.NAME.limits.status": "486",
    "trunks.NAME.auth.challenge": "required",
    "trunks.NAME.auth.realm": "sip.example.com",
    "trunks.NAME.auth.algorithms": "[sha-256, md5]",
    "trunks.NAME.auth.qop": "[auth, auth-int]",
    "trunks.NAME.auth.single": "true",
    "trunks.NAME.auth.status": "407",
    "trunks.NAME.auth.nonce_lifetime": "1m",
    "trunks.NAME.auth.nonce_binds": "source",
    "trunks.NAME.auth.in_dialog": "true",
    "trunks.NAME.auth.attempts": "5",
    "trunks.NAME.auth.refusal": "503",
    "trunks.NAME.credentials.user": "border",
    "trunks.NAME.credentials.password": "env:CARRIER_PASSWORD",
    "trunks.NAME.credentials.realm": "carrier.example",
    "trunks.NAME.credentials.ha1.md5": "939e7578ed9e3c518a452acee763bce9",
    "trunks.NAME.credentials.ha1.sha-256": f'"{64 * "0"}"',
    "trunks.NAME.credentials.ha1.sha-512-256": f'"{64 * "0"}"',
    "trunks.NAME.session_timer.expires": "10m",
    "trunks.NAME.session_timer.minimum": "3m",
    "trunks.NAME.session_timer.refresher": "us",
    "trunks.NAME.session_timer.use": "never",
    "trunks.NAME.max_duration": "4h",
    "trunks.NAME.ping": "60s",
    "trunks.NAME.offer": "early",
    "trunks.NAME.single_tag": "true",
    "trunks.NAME.redirect": "follow",
    "trunks.NAME.refer": "execute",
    "trunks.NAME.failover": '[408, "5xx"]',
    "trunks.NAME.methods.pass": "[INFO, MESSAGE]",
    "trunks.NAME.methods.outside": "[MESSAGE, OPTIONS]",
    "routes[N].from": "pbx",
    "routes[N].to": "[carrier, second-carrier]",
    "routes[N].number": '"+4917"',
    "users.NAME.password": "env:ALICE_PASSWORD",
    "users.NAME.realm": "sip.example.com",
    "users.NAME.trunk": "[pbx]",
    "users.NAME.ha1.md5": "939e7578ed9e3c518a452acee763bce9",
    "users.NAME.ha1.sha-256": f'"{64 * "0"}"',
    "users.NAME.ha1.sha-512-256": f'"{64 * "0"}"',
    "access.strangers": "ignore",
    "access.rate": "20",
    "access.burst": "40",
    "access.exempt": "[192.0.2.0/24]",
    "cdr.path": "/var/log/sbc/cdr.jsonl",
    "cdr.sync": "1s",
    "relay.workers": "4",
    "relay.fast_path": "native",
    "relay.grace": "15s",
    "relay.quarantine": "5s",
    "relay.learn_window": "1s",
    "dns.servers": '[192.0.2.53, "192.0.2.54:5353"]',
    "dns.timeout": "1s",
    "dns.search": "true",
    "connections.connect_timeout": "2s",
    "connections.handshake_timeout": "3s",
    "connections.idle_timeout": "5m",
    "connections.most": "10000",
    "connections.most_per_source": "200",
    "connections.handshakes": "512",
    "connections.certificate_check": "10s",
    "log.level": "debug",
    "log.json": "true",
    "log.digits": "true",
}
"""Key → a value for it, as it would be written."""


def page() -> str:
    """The whole page. Raises KeyError for a key without a section or an example."""
    by_section: dict[str, list[Key]] = {name: [] for name, _, _ in _SECTIONS}
    for key in keys():
        first = key.path.partition(".")[0].partition("[")[0]
        by_section["" if first == key.path else first].append(key)
    parts = [_INTRODUCTION]
    for name, title, text in _SECTIONS:
        parts.append(f"## {title}\n" + (f"\n{text}\n" if text else ""))
        parts.append("| key | takes | default | example | meaning |\n|---|---|---|---|---|")
        parts[-1] += "".join(f"\n{_row(key)}" for key in by_section[name]) + "\n"
    return "\n".join(parts)


def _row(key: Key) -> str:
    default = "required" if key.default is None else f"`{key.default}`" if key.default else "–"
    cells = [f"`{key.path}`", key.expected, default, f"`{EXAMPLES[key.path]}`", key.text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
