"""Keys and values as they are written on a command line."""

from __future__ import annotations

import pytest

from sbc.config.paths import default_at, find, is_key, parse_path, parse_value, set_at, unset_at
from sbc.config.problems import ConfigError
from sbc.config.source import parse, spell
from tests.config.files import GOOD

SOURCE = parse(GOOD, "sbc.yaml")


def path(text):
    return parse_path(text, SOURCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log", ("log",)),
        ("trunks.pbx.limits.calls", ("trunks", "pbx", "limits", "calls")),
        ("routes[1].to", ("routes", 0, "to")),
        ("routes.2", ("routes", 1)),
        ("trunks.4.peers.1.port", ("trunks", "4", "peers", 0, "port")),
        ("realms.inside.listen[2]", ("realms", "inside", "listen", 1)),
    ],
)
def test_paths(text, expected):
    assert path(text) == expected
    assert parse_path(spell(expected), SOURCE) == expected


@pytest.mark.parametrize("text", ["", ".", "a..b", "a[", "a[x]", "[1]", "routes[0]", "routes.0"])
def test_what_is_no_path(text):
    with pytest.raises(ConfigError):
        path(text)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("trunks.pbx.limits.calls", "200", 200),
        ("trunks.pbx.limits.cps", "0.5", 0.5),
        ("trunks.pbx.trusted", "true", True),
        ("trunks.pbx.no_answer", "3m", "3m"),
        ("routes[1].number", "0123", "0123"),
        ("routes[1].number", "+49", "+49"),
        ("routes[1].number", "49", "49"),
        ("routes[1].number", '"49"', "49"),
        ("trunks.pbx.peers", "10.0.0.20:5060", "10.0.0.20:5060"),
        ("trunks.pbx.peers", "[10.0.0.20, 10.0.0.21:5080]", ["10.0.0.20", "10.0.0.21:5080"]),
        ("trunks.pbx.peers[1]", "2001:db8::1", "2001:db8::1"),
        ("trunks.pbx.peers", "[::1]", "[::1]"),
        ("trunks.pbx.peers", "[2001:db8::1]:5080", "[2001:db8::1]:5080"),
        ("trunks.pbx.peers", "['[::1]:5080', ::2]", ["[::1]:5080", "::2"]),
        ("trunks.pbx.sources", "[::1]", "::1"),
        ("realms.inside.listen", "udp:10.0.0.5:5060", "udp:10.0.0.5:5060"),
        ("trunks.pbx.limits", "{ calls: 2 }", {"calls": 2}),
        (
            "routes",
            "[{from: a, to: b, number: 0123}]",
            [{"from": "a", "to": "b", "number": "0123"}],
        ),
        ("log.level", "", ""),
        ("log", "", ""),
    ],
)
def test_values(key, text, value):
    assert parse_value(text, path(key), SOURCE) == value


def test_a_value_that_is_not_yaml():
    with pytest.raises(ConfigError):
        parse_value("[a", path("trunks.pbx.peers"), SOURCE)
    with pytest.raises(ConfigError):
        parse_value("{a: 1, a: 2}", path("trunks.pbx.limits"), SOURCE)


@pytest.mark.parametrize(
    ("data", "key", "value", "result"),
    [
        ({}, "log.level", "debug", {"log": {"level": "debug"}}),
        ({"log": None}, "log.level", "debug", {"log": {"level": "debug"}}),
        ({}, "routes[1]", {"from": "a"}, {"routes": [{"from": "a"}]}),
        ({"routes": [1, 2]}, "routes[2]", 3, {"routes": [1, 3]}),
        ({"routes": [1, 2]}, "routes[3]", 3, {"routes": [1, 2, 3]}),
        (
            {"trunks": {"t": {"peers": "10.0.0.1"}}},
            "trunks.t.peers[2]",
            "10.0.0.2",
            {"trunks": {"t": {"peers": ["10.0.0.1", "10.0.0.2"]}}},
        ),
        (
            {"trunks": {"t": {"peers": "[2001:db8::1]:5080"}}},
            "trunks.t.peers[1].weight",
            2,
            {"trunks": {"t": {"peers": [{"address": "2001:db8::1", "port": 5080, "weight": 2}]}}},
        ),
        (
            {"trunks": {"t": {"peers": ["2001:db8::1"]}}},
            "trunks.t.peers[1].port",
            2,
            {"trunks": {"t": {"peers": [{"address": "2001:db8::1", "port": 2}]}}},
        ),
        (
            {"realms": {"r": {"listen": ["udp:10.0.0.1"]}}},
            "realms.r.listen[1].advertise",
            "1.2.3.4",
            {"realms": {"r": {"listen": [{"bind": "udp:10.0.0.1", "advertise": "1.2.3.4"}]}}},
        ),
    ],
)
def test_setting(data, key, value, result):
    set_at(data, path(key), value, SOURCE)
    assert data == result


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"routes": []}, "routes[2]"),
        ({"log": {"level": "info"}}, "log.level.deeper"),
        ({"trunks": [1]}, "trunks.a"),
        ({"routes": ["x"]}, "routes[1].from"),
        ({"routes": [{}]}, "routes[3].from"),
    ],
)
def test_setting_where_nothing_can_be_set(data, key):
    with pytest.raises(ConfigError):
        set_at(data, path(key), 1, SOURCE)


def test_unsetting_takes_emptied_mappings_along_but_no_section():
    data = {"trunks": {"t": {"realm": "r", "limits": {"calls": 1}}}, "routes": [{"from": "t"}]}
    unset_at(data, path("trunks.t.limits.calls"), SOURCE)
    assert data["trunks"] == {"t": {"realm": "r"}}
    unset_at(data, path("routes[1]"), SOURCE)
    assert data["routes"] == []
    unset_at(data, path("trunks.t"), SOURCE)
    assert data == {"trunks": {}, "routes": []}
    with pytest.raises(ConfigError, match="is not set"):
        unset_at(data, path("trunks.t"), SOURCE)


def test_unsetting_in_a_list_of_one_without_brackets():
    data = {"trunks": {"t": {"realm": "r", "peers": "10.0.0.1"}}}
    unset_at(data, path("trunks.t.peers[1]"), SOURCE)
    assert data == {"trunks": {"t": {"realm": "r"}}}


def test_finding():
    assert find(SOURCE.data, path("trunks.carrier.limits.cps")) == (True, 20)
    assert find(SOURCE.data, path("trunks.carrier.peers[1]")) == (True, "198.51.100.7")
    assert find(SOURCE.data, path("trunks.carrier.peers[2]")) == (False, None)
    assert find(SOURCE.data, path("routes[3]")) == (False, None)
    assert find(None, path("log")) == (False, None)


def test_defaults_and_keys():
    assert default_at(path("trunks.any.no_answer")) == (True, 180.0)
    assert default_at(path("trunks.any.realm")) == (False, None)
    assert default_at(path("trunks.any.nothing")) == (False, None)
    assert is_key(path("trunks.any.pass"))
    assert is_key(path("trunks.any"))
    assert not is_key(path("trunks.any.passed"))
