"""The smallest parts of the configuration's grammar: one checked type for each kind of value.

Each says what it expects in an operator's words; pydantic's own messages are never shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from sbc.config.source import Odd

__all__ = [
    "ADDRESS",
    "COUNT",
    "NUMBER",
    "PORT",
    "SECONDS",
    "Address",
    "Bind",
    "DialPrefix",
    "DnsServer",
    "HeaderName",
    "Host",
    "Interval",
    "MethodName",
    "Name",
    "Network",
    "Number",
    "OneOrMany",
    "Order",
    "OutsideMethod",
    "Port",
    "Rule",
    "Seconds",
    "Status",
    "StatusKey",
    "StunServer",
    "Switch",
    "Text",
    "address_port",
    "bind",
    "choice",
    "expected",
    "host_port",
    "stun_server",
]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}\Z")
_PREFIX: Final = re.compile(r"[A-Za-z0-9+*#._~!$&=-]{0,64}\Z")
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)\Z")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_STATUS_KEY: Final = re.compile(r"[3-6](?:[0-9]{2}|xx)\Z")
_HOST_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_.-]+\Z")
_WRITTEN_BY_US: Final = (
    "via v route record-route from f to t contact m call-id i cseq max-forwards path service-route "
    "content-length l content-type c content-encoding e content-disposition content-language "
    "allow supported k require proxy-require unsupported expires min-expires rseq rack "
    "session-expires x min-se authorization proxy-authorization www-authenticate "
    "proxy-authenticate authentication-info identity identity-info user-agent server organization "
    "call-info in-reply-to date timestamp warning error-info retry-after event o allow-events u "
    "subscription-state refer-to r referred-by b replaces join refer-sub mime-version"
)
_OWN_HEADERS: Final = frozenset(_WRITTEN_BY_US.split())
"""What the border writes itself or decides by rules of its own; `pass:` cannot open these."""
_NEVER_ALONE: Final = frozenset(
    ["INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "REGISTER", "REFER"]
)
"""Methods that make a call, belong to one, or are not carried from one network to another."""


def expected(text: str, hint: str = "") -> PydanticCustomError:
    """The one error that the grammar raises: `expected …, got …` with a hint after it."""
    return PydanticCustomError("expected", "{text}", {"text": text, "hint": hint})


@dataclass(frozen=True, slots=True)
class Rule:
    """Annotation of a value: how it is read, and what to expect where it is missing."""

    parse: Callable[[object], object]
    """Raises `expected(…)`."""
    text: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)


def _quoting(value: object) -> str:
    """The hint for a number where a string belongs."""
    if isinstance(value, Odd):
        return f'write "{value.written}" with quotes'
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'write "{value}" with quotes'
    return ""


def _whole(minimum: int, maximum: int, text: str) -> Callable[[object], int]:
    """A parser of whole numbers in a range, both ends included."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise expected(text)
        if not minimum <= value <= maximum:
            raise expected(text)
        return value

    return parse


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1e9:
        raise expected(_NUMBER)
    return float(value)


def _seconds(value: object) -> float:
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is not None:
        value = float(match[1]) * _UNITS[match[2]]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1e6:
        raise expected(_SECONDS)
    return float(value)


def _interval(value: object) -> int:
    """Whole seconds, 90 or more: RFC 4028 §4 has no shorter session interval."""
    try:
        seconds = _seconds(value)
    except PydanticCustomError:
        raise expected(_INTERVAL) from None
    if not 90 <= seconds <= 86_400 or not seconds.is_integer():
        raise expected(_INTERVAL)
    return int(seconds)


def _status_key(value: object) -> str:
    if not isinstance(value, str) or not _STATUS_KEY.match(value):
        raise expected('a SIP failure code such as 503, or a class such as "4xx"')
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise expected("true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise expected(_TEXT, _quoting(value))
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise expected(_A_NAME, _quoting(value))
    return value


def _dial_prefix(value: object) -> str:
    if not isinstance(value, str):
        raise expected("the first digits of a number, in quotes", _quoting(value))
    if not _PREFIX.match(value):
        raise expected('the first digits of a number, such as "+49" or "00"')
    return value


def _header_name(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.match(value):
        raise expected(_HEADER)
    if value.lower() in _OWN_HEADERS:
        raise expected("a header that may cross", "the border writes this one itself")
    return value


def _method_name(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.match(value) or value != value.upper():
        raise expected(_METHOD)
    return value


def _outside_method(value: object) -> str:
    method = _method_name(value)
    if method in _NEVER_ALONE:
        raise expected("a method that may cross", f"{method} is never passed on outside of a call")
    return method


def _address(value: object) -> str:
    if isinstance(value, str):
        try:
            return str(ip_address(value.removeprefix("[").removesuffix("]")))
        except ValueError:
            pass
    raise expected(_ADDRESS, _host_name_hint(value))


def _network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, str):
        try:
            return ip_network(value)
        except ValueError:
            pass
        try:
            right = ip_network(value, strict=False)
        except ValueError:
            pass
        else:
            raise expected(f"a network, such as {right}", "the bits after the prefix must be 0")
    raise expected(_NETWORK, _host_name_hint(value))


def address_port(value: object, default: int, text: str) -> tuple[str, int]:
    """`10.0.0.20`, `10.0.0.20:5060`, `2001:db8::1`, `[2001:db8::1]:5060` → address and port."""
    host, port = _split(value, text)
    try:
        address = ip_address(host)
    except ValueError:
        raise expected(text, _host_name_hint(host)) from None
    return str(address), default if port is None else port


def host_port(value: object, text: str) -> tuple[str, int | None]:
    """As `address_port`, or a name: `sip.carrier.example`, `sip.carrier.example:5061`."""
    host, port = _split(value, text)
    return _host_of(host, text), port


def _split(value: object, text: str) -> tuple[str, int | None]:
    """Host and port, None where there is none; the host is not looked at."""
    if not isinstance(value, str):
        raise expected(text)
    host, port_text = value, None
    if value.startswith("["):
        host, closed, rest = value[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise expected(text)
        port_text = rest[1:] if rest else None
    elif value.count(":") == 1:
        host, _, port_text = value.partition(":")
    if port_text is None:
        return host, None
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or not 1 <= int(port_text) <= 65535:
        raise expected(text, "ports go from 1 to 65535")
    return host, int(port_text)


def _host_of(host: str, text: str) -> str:
    """An address, or a name in lower case and without the dot at its end."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.match(label) for label in labels):
        hint = "" if host.isascii() else "write it as the DNS does: xn--…"
        raise expected(text, hint)
    if labels[-1].isdigit():
        raise expected(text)
    return name.lower()


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise expected(_HOST)
    return _host_of(value.removeprefix("[").removesuffix("]"), _HOST)


def stun_server(value: object) -> tuple[str, int]:
    """`stun:stun.example.net`, `stun:198.51.100.9:3479` (RFC 7064) → host and port."""
    scheme, host, port = None, "", None
    if isinstance(value, str):
        scheme, _, rest = value.partition(":")
        host, port = host_port(rest, _STUN_SERVER) if scheme == "stun" else ("", None)
    if scheme != "stun":
        raise expected(_STUN_SERVER, "an address that is known is advertise")
    return host, 3478 if port is None else port


def _stun_server(value: object) -> object:
    stun_server(value)
    return value


def _dns_server(value: object) -> str:
    host, port = address_port(value, 53, _DNS_SERVER)
    if port == 53:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(value: object) -> tuple[str, str, int]:
    """`udp:10.0.0.5:5060` → transport, address and port; without a port, 5060 or TLS's 5061."""
    if not isinstance(value, str):
        raise expected(_BIND)
    transport, _, rest = value.partition(":")
    if transport in ("ws", "wss", "sctp"):
        raise expected(_BIND, f"{transport} is not there yet")
    if transport not in ("udp", "tcp", "tls"):
        raise expected(_BIND)
    return (transport, *address_port(rest, 5061 if transport == "tls" else 5060, _BIND))


def choice(kinds: type[Enum], text: str) -> Rule:
    """A member of an enum, written as its value."""
    by_value = {kind.value: kind for kind in kinds}

    def parse(value: object) -> Enum:
        if not isinstance(value, str) or value not in by_value:
            raise expected(text)
        return by_value[value]

    return Rule(parse, text)


def _one_or_many(value: object) -> object:
    """A list of one may be written without its brackets; nothing is an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _host_name_hint(value: object) -> str:
    if isinstance(value, str) and _HOST_NAME.match(value):
        return "a name will not do here"
    return ""


_NUMBER: Final = "a number above 0"
_SECONDS: Final = 'a time above 0, in seconds or such as "90s", "3m"'
_INTERVAL: Final = 'a time in whole seconds from "90s" to "24h"'
_TEXT: Final = "a text"
_A_NAME: Final = "a name of letters, digits, - and _ (at most 32)"
_HEADER: Final = "the name of a header"
_METHOD: Final = "a method in capitals such as MESSAGE"
_ADDRESS: Final = "an IP address"
_NETWORK: Final = "an IP address or a network such as 192.0.2.0/24"
_BIND: Final = '"udp:ADDRESS:PORT" (or tcp:, tls:)'
_COUNT: Final = "a whole number above 0"
_ORDER: Final = "a whole number from 0 to 65535"
_PORT: Final = "a port from 1 to 65535"
_STATUS: Final = "a SIP failure code from 400 to 699"
_HOST: Final = "an IP address or a host name"
_STUN_SERVER: Final = '"stun:SERVER" or "stun:SERVER:PORT"'
_DNS_SERVER: Final = 'the address of a DNS server: "ADDRESS" or "ADDRESS:PORT"'
_PEER: Final = '"ADDRESS" or "ADDRESS:PORT"'

ADDRESS: Final = Rule(_address, _ADDRESS)
COUNT: Final = Rule(_whole(1, 10**9, _COUNT), _COUNT)
NUMBER: Final = Rule(_number, _NUMBER)
PORT: Final = Rule(_whole(1, 65535, _PORT), _PORT)
SECONDS: Final = Rule(_seconds, _SECONDS)

Address = Annotated[str, ADDRESS]
Host = Annotated[str, Rule(_host, _HOST)]
DnsServer = Annotated[str, Rule(_dns_server, _DNS_SERVER)]
StunServer = Annotated[str, Rule(_stun_server, _STUN_SERVER)]
Network = Annotated[IPv4Network | IPv6Network, Rule(_network, _NETWORK)]
Name = Annotated[str, Rule(_name, _A_NAME)]
Text = Annotated[str, Rule(_text, _TEXT)]
HeaderName = Annotated[str, Rule(_header_name, _HEADER)]
MethodName = Annotated[str, Rule(_method_name, _METHOD)]
OutsideMethod = Annotated[str, Rule(_outside_method, _METHOD)]
DialPrefix = Annotated[str, Rule(_dial_prefix, "the first digits of a number")]
Number = Annotated[float, NUMBER]
Seconds = Annotated[float, SECONDS]
Switch = Annotated[bool, Rule(_switch, "true or false")]
Order = Annotated[int, Rule(_whole(0, 65535, _ORDER), _ORDER)]
Port = Annotated[int, PORT]
Interval = Annotated[int, Rule(_interval, _INTERVAL)]
StatusKey = Annotated[str, Rule(_status_key, "a SIP failure code")]
Status = Annotated[int, Rule(_whole(400, 699, _STATUS), _STATUS)]
Bind = Annotated[tuple[str, str, int], Rule(bind, _BIND)]
OneOrMany = BeforeValidator(_one_or_many)
