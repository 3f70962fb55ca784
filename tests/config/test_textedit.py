"""A change rewrites what it changes and nothing else."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from sbc.config.problems import ConfigError
from sbc.config.render import render
from sbc.config.source import parse
from sbc.config.textedit import rewrite
from tests.config.files import GOOD

FILE = """\
# head

realms:   # two
    inside:
        listen:
            - "udp:10.0.0.5:5060"   # first
            # between
            - 'tcp:10.0.0.5:5060'
        media: {address: 10.0.0.5, ports: 12000-21999}

trunks:
    # the PBX
    pbx:     { realm: inside,  peers: [ "10.0.0.20:5060" ] }   # aligned
    carrier:
        realm: inside  # not yet outside
        peers:
        - 198.51.100.7
        limits:
            calls: 200   # contract
            cps: 20

# whose calls go where
routes:
- from: pbx
  to: carrier   # default
- { from: carrier, to: pbx }   # back
# end
"""


def changed(text, change):
    """The lines that a change takes out and puts in."""
    source = parse(text, "sbc.yaml")
    data = parse(text, "sbc.yaml").data
    change(data)
    new = rewrite(source, data)
    assert parse(new, "sbc.yaml").data == data
    lines = difflib.ndiff(text.splitlines(), new.splitlines())
    return [line for line in lines if line[0] in "+-"]


def put(*path):
    """A change that sets the last of `path` at the keys before it."""

    def change(data):
        for part in path[:-2]:
            data = data[part]
        data[path[-2]] = path[-1]

    return change


def drop(*path):
    def change(data):
        for part in path[:-1]:
            data = data[part]
        del data[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            put("trunks", "carrier", "limits", "calls", 300),
            ["-             calls: 200   # contract", "+             calls: 300   # contract"],
        ),
        (
            put("trunks", "carrier", "limits", "status", 486),
            ["+             status: 486"],
        ),
        (
            drop("trunks", "carrier", "limits", "calls"),
            ["-             calls: 200   # contract"],
        ),
        (
            drop("trunks", "carrier", "limits"),
            [
                "-         limits:",
                "-             calls: 200   # contract",
                "-             cps: 20",
            ],
        ),
        (
            put("trunks", "pbx", "peers", ["10.0.0.20:5060", "10.0.0.21"]),
            [
                '-     pbx:     { realm: inside,  peers: [ "10.0.0.20:5060" ] }   # aligned',
                '+     pbx:     { realm: inside,  peers: [ "10.0.0.20:5060", 10.0.0.21 ] }   '
                "# aligned",
            ],
        ),
        (
            put("trunks", "pbx", "trusted", True),
            [
                '-     pbx:     { realm: inside,  peers: [ "10.0.0.20:5060" ] }   # aligned',
                '+     pbx:     { realm: inside,  peers: [ "10.0.0.20:5060" ], trusted: true }'
                "   # aligned",
            ],
        ),
        (
            put("trunks", "carrier", "peers", ["198.51.100.7", "198.51.100.8:5080"]),
            ['+         - "198.51.100.8:5080"'],
        ),
        (
            put("trunks", "new", {"realm": "inside", "sources": "10.0.0.0/24"}),
            ["+     new: { realm: inside, sources: 10.0.0.0/24 }"],
        ),
        (
            drop("trunks", "pbx"),
            ['-     pbx:     { realm: inside,  peers: [ "10.0.0.20:5060" ] }   # aligned'],
        ),
        (
            put("realms", "inside", "listen", ["tcp:10.0.0.5:5060"]),
            ['-             - "udp:10.0.0.5:5060"   # first'],
        ),
        (
            lambda data: data["routes"].append({"from": "pbx", "to": "pbx", "number": "00"}),
            ['+ - { from: pbx, to: pbx, number: "00" }'],
        ),
        (
            lambda data: data["routes"].insert(0, {"from": "a", "to": "b"}),
            ["+ - { from: a, to: b }"],
        ),
        (
            lambda data: data["routes"].reverse(),
            [
                "+ - { from: carrier, to: pbx }   # back",
                "- - { from: carrier, to: pbx }   # back",
            ],
        ),
        (
            put("routes", 0, "to", ["carrier", "pbx"]),
            ["-   to: carrier   # default", "+   to: [carrier, pbx]   # default"],
        ),
        (
            drop("routes", 0, "from"),
            ["- - from: pbx", "-   to: carrier   # default", "+ - to: carrier   # default"],
        ),
        (drop("routes", 0), ["- - from: pbx", "-   to: carrier   # default"]),
        (
            put("routes", []),
            [
                "- routes:",
                "+ routes: []",
                "- - from: pbx",
                "-   to: carrier   # default",
                "- - { from: carrier, to: pbx }   # back",
            ],
        ),
        (
            put("log", {"level": "debug"}),
            ["+ ", "+ log:", "+   level: debug"],
        ),
        (put("run_dir", "/run/x"), ["+ run_dir: /run/x"]),
        (lambda data: None, []),
    ],
)
def test_only_what_changes_is_rewritten(change, lines):
    assert sorted(changed(FILE, change)) == sorted(lines)


def test_the_first_entry_of_an_empty_section_gets_a_line_of_its_own():
    assert changed("trunks: {}  # none\nroutes:\n", put("trunks", {"a": {"realm": "r"}})) == [
        "- trunks: {}  # none",
        "+ trunks:  # none",
        "+   a: { realm: r }",
    ]
    assert changed("trunks:   # none\n# end", put("trunks", {"a": {"realm": "r"}})) == [
        "+   a: { realm: r }"
    ]
    assert changed("routes: []", put("routes", [{"from": "a"}])) == [
        "- routes: []",
        "+ routes:",
        "+   - { from: a }",
    ]


def test_a_last_line_without_an_end_gets_one():
    source = parse("log:\n  level: info", "sbc.yaml")
    assert rewrite(source, {"log": {"level": "info", "json": True}}) == (
        "log:\n  level: info\n  json: true\n"
    )


def test_a_long_entry_is_broken_into_lines():
    trunk = {"realm": "inside", "peers": [f"192.0.2.{n}:5060" for n in range(5)], "trusted": True}
    assert changed(FILE, put("trunks", "big", trunk)) == [
        "+     big:",
        "+       realm: inside",
        "+       peers:",
        *(f'+         - "192.0.2.{n}:5060"' for n in range(5)),
        "+       trusted: true",
    ]


def test_removing_from_a_flow_mapping_keeps_what_else_is_in_it():
    assert changed(GOOD, drop("trunks", "carrier", "limits", "calls")) == [
        "-   carrier: { realm: outside, peers: 198.51.100.7, limits: { calls: 200, cps: 20 } }",
        "+   carrier: { realm: outside, peers: 198.51.100.7, limits: { cps: 20 } }",
    ]


def test_anchors_are_left_to_the_round_trip_which_keeps_comments():
    text = "# head\nlog: &l { level: info }  # log\ncdr: *l\n"
    source = parse(text, "sbc.yaml")
    new = rewrite(source, {"log": {"level": "debug"}, "cdr": {"level": "debug"}, "relay": 1})
    assert parse(new, "sbc.yaml").data["log"] == {"level": "debug"}
    assert "# head" in new


def test_comments_inside_a_flow_mapping_survive_the_removal_of_a_neighbour():
    text = "log: {\n  level: info,  # why\n  json: true\n}\n"
    new = rewrite(parse(text, "sbc.yaml"), {"log": {"level": "info"}})
    assert parse(new, "sbc.yaml").data == {"log": {"level": "info"}}
    assert "# why" in new


def test_comments_inside_a_flow_list_survive():
    text = 'peers: [\n  "a",  # one\n  "b",  # two\n]\n'
    source = parse(text, "sbc.yaml")
    assert rewrite(source, {"peers": ["b"]}) == 'peers: [\n  "b",  # two\n]\n'
    assert rewrite(source, {"peers": ["a", "b", "c"]}) == (
        'peers: [\n  "a",  # one\n  "b", c,  # two\n]\n'
    )
    with pytest.raises(ConfigError, match="with an editor"):
        rewrite(source, {"peers": ["b", "a"]})
    with pytest.raises(ConfigError, match="with an editor"):
        rewrite(source, {"peers": ["c"]})


def test_what_cannot_be_laid_out_is_refused(monkeypatch):
    monkeypatch.setattr("sbc.config.textedit._round_trip", lambda source, data: "a: 1\n")
    text = "a: &x 1\nb: *x\n"
    with pytest.raises(ConfigError, match="change it with an editor"):
        rewrite(parse(text, "sbc.yaml"), {"b": 2})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("udp", "udp"),
        ("10.0.0.5", "10.0.0.5"),
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("12000-21999", "12000-21999"),
        ("/run/sbc", "/run/sbc"),
        ("10.0.0.5:5060", '"10.0.0.5:5060"'),
        ("0123", '"0123"'),
        ("+49", '"+49"'),
        ("no", '"no"'),
        ("null", '"null"'),
        ("", '""'),
        ('a "b" \\', '"a \\"b\\" \\\\"'),
        ("a\nb", '"a\\U0000000Ab"'),
        (True, "true"),
        (None, "null"),
        (3, "3"),
        (0.5, "0.5"),
        ([], "[]"),
        ({}, "{}"),
        ({"calls": 2, "to": ["a", "b"]}, "{ calls: 2, to: [a, b] }"),
    ],
)
def test_values_are_written_as_one_would(value, text):
    assert render(value) == text
    assert YAML(typ="safe", pure=True).load(f"x: {text}") == {"x": value}


def paths(data, above=()):
    """Every path in a document."""
    entries = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in entries:
        yield (*above, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*above, key))


def step(data, draw):
    """One random change of a document."""
    known = list(paths(data))
    if not known:
        return
    path = draw(st.sampled_from(known))
    for part in path[:-1]:
        data = data[part]
    kind = draw(st.sampled_from(["set", "drop", "add", "reverse"]))
    value = draw(st.sampled_from([1, "x", "0123", ["a", 2], {"k": "v"}, [], {}, None]))
    if kind == "set":
        data[path[-1]] = value
    elif kind == "drop":
        del data[path[-1]]
    elif isinstance(data, dict):
        data["new"] = value
    elif kind == "add":
        data.append(value)
    else:
        data.reverse()


@given(st.data())
@settings(deadline=None)
def test_whatever_changes_the_values_arrive_and_comments_outside_stay(data):
    text, comments = data.draw(
        st.sampled_from(
            [(FILE, ["# head", "# whose calls go where", "# end"]), (GOOD, ["# two networks"])]
        )
    )
    new = parse(text, "sbc.yaml").data
    for _ in range(data.draw(st.integers(1, 3))):
        step(new, data.draw)
    try:
        result = rewrite(parse(text, "sbc.yaml"), new)
    except ConfigError as error:
        if "change it with an editor" in str(error):  # rather than lose a comment
            return
        raise
    assert parse(result, "sbc.yaml").data == new
    assert all(comment in result for comment in comments)
