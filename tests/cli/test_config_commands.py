"""A border is set up by commands, and a wrong one changes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sbc.cli.app import _COMMANDS, app
from sbc.config.load import load

HELP_COMMANDS = [
    [],
    ["check"],
    ["init"],
    ["config"],
    ["config", "get"],
    ["config", "set"],
    ["config", "unset"],
    ["config", "show"],
    ["config", "keys"],
    ["trunk"],
    ["trunk", "add"],
    ["trunk", "set"],
    ["trunk", "remove"],
    ["trunk", "list"],
    ["route"],
    ["route", "add"],
    ["route", "move"],
    ["route", "remove"],
    ["route", "list"],
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, and nothing set outside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SBC_CONFIG", raising=False)
    monkeypatch.setattr("sbc.cli.options._PLACES", ("sbc.yaml",))
    # A border of this machine's, in the usual run directory: tests/cli/test_show.py has its own.
    monkeypatch.setattr("sbc.cli.show._in_use", lambda edited: False)
    return tmp_path


def sbc(*words, code=0):
    """Run a command; its output as (standard output, standard error)."""
    result = CliRunner().invoke(app, list(words), prog_name="sbc")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result.stdout, result.stderr


@pytest.fixture
def border(folder):
    """Two trunks and two routes, made by commands alone."""
    sbc("init", "--inside", "127.0.0.1", "--outside", "127.0.0.2")
    sbc("trunk", "add", "pbx", "--realm", "inside", "--peer", "127.0.0.1:5070")
    sbc("trunk", "add", "carrier", "--realm", "outside", "--peer", "127.0.0.2:5070", "--calls", "9")
    sbc("route", "add", "--from", "pbx", "--to", "carrier")
    sbc("route", "add", "--from", "carrier", "--to", "pbx", "--number", "0123")
    return folder / "sbc.yaml"


def test_from_an_empty_folder_commands_alone_lead_to_a_border(border):
    out, err = sbc("check")
    assert (out, err) == ("sbc.yaml: good: 2 realms, 2 trunks, 2 routes\n", "")
    policies = load("sbc.yaml").policies
    assert [(one.name, one.peers[0].port) for one in policies.trunks] == [
        ("pbx", 5070),
        ("carrier", 5070),
    ]
    assert [(one.source, one.to, one.number) for one in policies.routes] == [
        ("pbx", ("carrier",), ""),
        ("carrier", ("pbx",), "0123"),
    ]
    assert os.listdir() == ["sbc.yaml"]
    assert (
        border.read_text()
        == """\
# Configuration of a session border controller. `sbc check` reads it without starting anything.
# A trunk is a network that calls us and that we call; routes say whose calls go where.

realms:
  # The private side: PBX, phones.
  inside:
    listen: ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]
    media: { address: 127.0.0.1, ports: 12000-21999 }
  # The public side: carriers.
  outside:
    listen: ["udp:127.0.0.2:5060", "tcp:127.0.0.2:5060"]
    media: { address: 127.0.0.2, ports: 22000-31999 }

trunks:  # sbc trunk add NAME --realm inside --peer ADDRESS
  pbx: { realm: inside, peers: ["127.0.0.1:5070"] }
  carrier: { realm: outside, peers: ["127.0.0.2:5070"], limits: { calls: 9 } }

routes:  # sbc route add --from TRUNK --to TRUNK
  - { from: pbx, to: carrier }
  - { from: carrier, to: pbx, number: "0123" }
"""
    )


def test_init_without_trunks_is_good_and_says_that_nobody_may_call(folder):
    out, _ = sbc("init", "--inside", "10.0.0.5", "--outside", "192.0.2.10")
    note = "sbc.yaml:4:1: note: no trunks yet: nobody may call (sbc trunk add)\n"
    assert out == f"sbc.yaml: written\n{note}"
    out, _ = sbc("check")
    assert out == f"{note}sbc.yaml: good: 2 realms, 0 trunks, 0 routes\n"


def test_init_never_overwrites(folder):
    Path("sbc.yaml").write_text("mine")
    _, err = sbc("init", "--inside", "10.0.0.5", "--outside", "192.0.2.10", code=2)
    assert err == "sbc.yaml: is there already; nothing was changed (sbc config changes it)\n"
    assert Path("sbc.yaml").read_text() == "mine"


def test_init_behind_nat_on_other_ports(folder):
    sbc(
        *("init", "--inside", "[2001:db8::5]:5080", "--outside", "10.0.0.9:5090"),
        *("--public", "203.0.113.7", "--outside-ports", "20000-20999", "--config", "b.yaml"),
    )
    settings = load("b.yaml")
    listeners = settings.transport.listeners
    assert [(one.host, one.port, one.advertise_host) for one in listeners] == [
        ("2001:db8::5", 5080, "2001:db8::5"),
        ("2001:db8::5", 5080, "2001:db8::5"),
        ("10.0.0.9", 5090, "203.0.113.7"),
        ("10.0.0.9", 5090, "203.0.113.7"),
    ]
    assert settings.relay.media[1].advertise == "203.0.113.7"
    assert settings.relay.media[1].port_min == 20000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--inside: expected an address, got nothing\n"),
        (["--inside", "10.0.0.5"], "--outside: expected an address, got nothing\n"),
        (
            ["--inside", "pbx.example", "--outside", "192.0.2.10"],
            'sbc.yaml:7:14: realms.inside.listen[1]: expected "udp:ADDRESS:PORT" (or tcp:, tls:), '
            'got "udp:pbx.example:5060" (a name will not do here)\n',
        ),
        (
            ["--inside", "10.0.0.5", "--outside", "10.0.0.5"],
            "sbc.yaml:11:14: realms.outside.listen[1]: expected an address and port of its own, "
            "got udp:10.0.0.5:5060, which realms.inside.listen[1] has\n",
        ),
        (
            ["--inside", "10.0.0.5", "--outside", "192.0.2.10", "--inside-ports", "7"],
            "sbc.yaml:8:40: realms.inside.media.ports: expected a range of ports such as "
            '12000-21999, got "7"\n',
        ),
    ],
)
def test_a_wrong_init_writes_nothing(folder, words, message):
    _, err = sbc("init", *words, code=2)
    assert message in err
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["trunk", "add", "pbx", "--realm", "inside"],
            "sbc.yaml:15:8: trunks.pbx: is there already (sbc trunk set)",
        ),
        (
            ["trunk", "add", "new", "--realm", "insid", "--peer", "127.0.0.3"],
            'sbc.yaml:17:17: trunks.new.realm: expected a realm (inside, outside), got "insid"',
        ),
        (
            ["trunk", "add", "new", "--realm", "inside"],
            "sbc.yaml:17:8: trunks.new: expected peers (to call) or sources (that call), got "
            "neither",
        ),
        (
            ["trunk", "add", "new", "--peer", "127.0.0.3"],
            "sbc.yaml:17:3: trunks.new.realm: expected the name of a realm, got nothing",
        ),
        (
            ["trunk", "set", "carrier", "--calls", "many"],
            "sbc.yaml:16:74: trunks.carrier.limits.calls: expected a whole number above 0, "
            'got "many"',
        ),
        (
            ["trunk", "set", "carrier", "--peer", "127.0.0.1:5071", "--realm", "inside"],
            "sbc.yaml:16:37: trunks.carrier.peers[1]: expected a source of its own in realm "
            "inside, got 127.0.0.1, which trunk pbx has",
        ),
        (
            ["trunk", "set", "nobody", "--calls", "1"],
            'sbc.yaml:15:3: trunks: expected a trunk (pbx, carrier), got "nobody"',
        ),
        (
            ["trunk", "remove", "pbx"],
            "sbc.yaml:15:8: trunks.pbx: expected a trunk that no route uses, got one in "
            "routes 1, 2 (--with-routes)",
        ),
        (
            ["route", "add", "--from", "pbx", "--to", "nobody", "--number", "7"],
            'sbc.yaml:21:22: routes[3].to: expected a trunk (carrier, pbx), got "nobody"',
        ),
        (
            ["route", "add", "--from", "pbx", "--to", "carrier"],
            "sbc.yaml:21:5: routes[3]: expected another number than routes[1], got any number "
            "from pbx again",
        ),
        (
            ["route", "add", "--from", "pbx", "--to", "pbx", "--number", "1 2"],
            "sbc.yaml:21:35: routes[3].number: expected the first digits of a number, such as "
            '"+49" or "00", got "1 2"',
        ),
        (
            ["route", "add", "--from", "pbx", "--to", "pbx", "--number", "1", "--at", "4"],
            "sbc.yaml:19:3: routes: expected a route from 1 to 3, got 4",
        ),
        (
            ["route", "move", "1", "3"],
            "sbc.yaml:19:3: routes: expected a route from 1 to 2, got 3",
        ),
        (["route", "remove", "3"], "sbc.yaml:19:3: routes: expected a route from 1 to 2, got 3"),
        (
            ["config", "set", "trunks.pbx.limits.call", "5"],
            "sbc.yaml:15:62: trunks.pbx.limits.call: unknown key, did you mean calls?",
        ),
        (
            ["config", "set", "realms.inside.media.ports", "12001-13000"],
            "sbc.yaml:8:41: realms.inside.media.ports: expected a range that starts with an even "
            'port, got "12001-13000" (RTP takes the even port of each pair)',
        ),
        (
            ["config", "set", "log", "[loud"],
            "sbc.yaml:1:6: while parsing a flow sequence: expected ',' or ']', but got "
            "'<stream end>'",
        ),
        (["config", "unset", "log.level"], "sbc.yaml:4:1: log.level: is not set"),
        (
            ["config", "unset", "trunks.pbx.realm"],
            "sbc.yaml:15:3: trunks.pbx.realm: expected the name of a realm, got nothing",
        ),
    ],
)
def test_a_wrong_value_changes_nothing_and_says_what_was_expected(border, words, message):
    before = border.read_text()
    out, err = sbc(*words, code=2)
    assert out == ""
    assert err.splitlines() == [message, "sbc.yaml: nothing was changed"]
    assert border.read_text() == before


def test_a_change_is_shown_as_a_diff(border):
    out, err = sbc("trunk", "set", "carrier", "--calls", "300", "--transport", "tcp")
    assert (
        out
        == """\
--- sbc.yaml (before)
+++ sbc.yaml (after)
@@ -14,5 +14,5 @@
 trunks:  # sbc trunk add NAME --realm inside --peer ADDRESS
   pbx: { realm: inside, peers: ["127.0.0.1:5070"] }
-  carrier: { realm: outside, peers: ["127.0.0.2:5070"], limits: { calls: 9 } }
+  carrier: { realm: outside, peers: ["127.0.0.2:5070"], limits: { calls: 300 }, transport: tcp }
 \n routes:  # sbc route add --from TRUNK --to TRUNK
"""
    )
    assert err == ""


def test_a_dry_run_shows_and_writes_nothing(border):
    before = border.read_text()
    out, err = sbc("config", "set", "log.level", "debug", "--dry-run")
    assert "+  level: debug" in out
    assert err == "sbc.yaml: not written (dry run)\n"
    assert border.read_text() == before


def test_what_is_so_already_is_said(border):
    assert sbc("trunk", "set", "carrier", "--calls", "9") == ("", "sbc.yaml: already so\n")


def test_every_option_of_a_trunk_arrives(border):
    sbc(
        *("trunk", "add", "big", "--realm", "outside", "--peer", "127.0.0.3"),
        *("--peer", "127.0.0.4:5080", "--source", "127.0.3.0/24", "--transport", "auto"),
        *("--calls", "10", "--cps", "0.5", "--status", "486", "--no-answer", "2m"),
        *("--pass", "X-A", "--pass", "X-B", "--trusted", "--nat", "always", "--latch", "any"),
        *("--media-timeout", "30"),
    )
    trunk = load("sbc.yaml").policies.trunks[2]
    assert [(peer.host, peer.port) for peer in trunk.peers] == [
        ("127.0.0.3", 5060),
        ("127.0.0.4", 5080),
    ]
    assert str(trunk.sources[0]) == "127.0.3.0/24"
    assert (trunk.limits.calls, trunk.limits.cps, trunk.limits.status) == (10, 0.5, 486)
    assert (trunk.no_answer_s, trunk.media_timeout_s) == (120, 30)
    assert trunk.pass_headers == ("X-A", "X-B")
    assert (trunk.transport.value, trunk.nat.value, trunk.latch.value) == ("auto", "always", "any")
    assert trunk.trusted
    sbc("trunk", "set", "big", "--not-trusted", "--source", "127.0.4.0/24")
    trunk = load("sbc.yaml").policies.trunks[2]
    assert not trunk.trusted
    assert [str(one) for one in trunk.sources] == ["127.0.4.0/24"]


def test_lists(border):
    out, _ = sbc("trunk", "list")
    assert (
        out
        == """\
NAME     REALM    PEERS           SOURCES    TRANSPORT  CALLS  CPS
pbx      inside   127.0.0.1:5070  127.0.0.1  udp        -      -
carrier  outside  127.0.0.2:5070  127.0.0.2  udp        9      -
"""
    )
    out, _ = sbc("route", "list")
    assert (
        out
        == """\
N  FROM     TO       NUMBER
1  pbx      carrier  any
2  carrier  pbx      0123
"""
    )
    assert json.loads(sbc("trunk", "list", "--json")[0])[1]["calls"] == 9
    assert json.loads(sbc("route", "list", "--json")[0])[1] == {
        "n": 2,
        "from": "carrier",
        "to": ["pbx"],
        "number": "0123",
        "line": 20,
    }


def test_routes_are_placed_moved_and_removed(border):
    sbc(
        "route",
        "add",
        "--from",
        "pbx",
        "--to",
        "carrier",
        "--to",
        "pbx",
        "--number",
        "00",
        "--at",
        "1",
    )
    assert [one.number for one in load("sbc.yaml").policies.routes] == ["00", "", "0123"]
    sbc("route", "move", "1", "3")
    assert [one.number for one in load("sbc.yaml").policies.routes] == ["", "0123", "00"]
    sbc("route", "remove", "2")
    assert [one.number for one in load("sbc.yaml").policies.routes] == ["", "00"]


def test_a_trunk_goes_with_its_routes_and_out_of_the_others(border):
    sbc("trunk", "add", "two", "--realm", "outside", "--peer", "127.0.0.3")
    sbc("route", "add", "--from", "pbx", "--to", "carrier", "--to", "two", "--number", "00")
    sbc("trunk", "remove", "carrier", "--with-routes")
    policies = load("sbc.yaml").policies
    assert [one.name for one in policies.trunks] == ["pbx", "two"]
    assert [(one.source, one.to) for one in policies.routes] == [("pbx", ("two",))]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trunks.carrier.limits.calls", "9\n"),
        ("trunks.carrier.no_answer", "180\n"),
        ("trunks.carrier.trusted", "false\n"),
        ("routes[2].number", "0123\n"),
        ("routes.2.to", "pbx\n"),
        ("realms.inside.media.address", "127.0.0.1\n"),
        ("trunks.carrier.limits", "calls: 9\n"),
        ("realms.inside.listen", "- udp:127.0.0.1:5060\n- tcp:127.0.0.1:5060\n"),
    ],
)
def test_getting(border, path, value):
    assert re.sub("(?m)^ +", "", sbc("config", "get", path)[0]) == value


def test_getting_what_is_not_there(border):
    _, err = sbc("config", "get", "trunks.carrier.limit", code=1)
    assert err == "sbc.yaml: trunks.carrier.limit: unknown key, did you mean limits?\n"
    _, err = sbc("config", "get", "trunks.carrier.limits.cps", code=1)
    assert err == "sbc.yaml: trunks.carrier.limits.cps: is not set\n"


def test_showing(border):
    assert sbc("config", "show")[0] == border.read_text()
    every = json.loads(sbc("config", "show", "--all", "--json")[0])
    assert every["trunks"]["carrier"]["no_answer"] == 180
    assert every["realms"]["inside"]["listen"][0] == {"bind": "udp:127.0.0.1:5060"}
    assert every["realms"]["inside"]["media"][0]["ports"] == "12000-21999"
    assert every["relay"]["workers"] == "auto"
    assert json.loads(sbc("config", "show", "routes[1]", "--json")[0]) == {
        "from": "pbx",
        "to": "carrier",
    }


def test_what_is_shown_with_all_defaults_is_a_configuration_too(border):
    before = load("sbc.yaml")
    Path("all.yaml").write_text(sbc("config", "show", "--all")[0])
    after = load("all.yaml")
    assert after.transport == before.transport
    assert after.relay == before.relay
    assert [one.peers for one in after.policies.trunks] == [
        one.peers for one in before.policies.trunks
    ]


def test_every_key_is_listed_with_its_default_and_meaning():
    out, _ = sbc("config", "keys", "limits")
    assert (
        out
        == """\
trunks.NAME.limits.calls
    a whole number above 0
    Concurrent calls.
trunks.NAME.limits.cps
    a number above 0
    New calls, messages, publications and subscriptions in a second; as many may come at once.
trunks.NAME.limits.subscriptions
    a whole number above 0
    Subscriptions that it holds at other trunks.
trunks.NAME.limits.status  (default: 503)
    a SIP failure code from 400 to 699
    The answer over the limit, without Retry-After.
"""
    )
    every = {one["path"]: one for one in json.loads(sbc("config", "keys", "--json")[0])}
    assert all(one["text"] and one["expected"] for one in every.values())
    assert every["trunks.NAME.realm"]["default"] is None
    assert every["relay.workers"]["default"] == "auto"
    assert every["routes[N].to"]["expected"].endswith(", or a list of them")
    assert sbc("config", "keys", "nothing", code=1)[1] == 'no key has "nothing" in it\n'


def test_shorthand_becomes_an_object_where_a_key_below_it_is_set(border):
    sbc("config", "set", "realms.inside.listen[1].advertise", "203.0.113.7")
    sbc("config", "set", "trunks.pbx.peers[1].weight", "5")
    settings = load("sbc.yaml")
    assert settings.transport.listeners[0].advertise_host == "203.0.113.7"
    assert (
        settings.policies.trunks[0].peers[0].port,
        settings.policies.trunks[0].peers[0].weight,
    ) == (5070, 5)
    sbc("config", "unset", "realms.inside.listen[1].advertise")
    assert load("sbc.yaml").transport.listeners[0].advertise_host == "127.0.0.1"


def test_check_prints_all_errors_and_ends_with_2(folder):
    Path("sbc.yaml").write_text("realms: 1\nlog: { level: loud }\n")
    out, err = sbc("check", code=2)
    assert out == ""
    assert err == (
        "sbc.yaml:1:9: realms: expected a mapping (key: value), got 1\n"
        'sbc.yaml:2:15: log.level: expected debug, info, warning or error, got "loud"\n'
    )
    found = json.loads(sbc("check", "--json", code=2)[0])
    assert (found["good"], found["errors"][1]["line"], found["errors"][1]["column"]) == (
        False,
        2,
        15,
    )


def test_the_file_is_named_before_or_after_the_command_or_by_the_environment(border, monkeypatch):
    border.rename("other.yaml")
    assert "no configuration found" in sbc("trunk", "list", code=2)[1]
    for words in (
        ["-c", "other.yaml", "trunk", "list"],
        ["--config", "none.yaml", "trunk", "list", "--config", "other.yaml"],
        ["trunk", "list", "-c", "other.yaml"],
    ):
        assert "carrier" in sbc(*words)[0]
    assert "good" in sbc("check", "other.yaml")[0]
    monkeypatch.setenv("SBC_CONFIG", "other.yaml")
    assert "carrier" in sbc("trunk", "list")[0]
    assert "none.yaml: cannot be read" in sbc("-c", "none.yaml", "trunk", "list", code=2)[1]


def test_ipv6_peers_need_no_quotes_of_yaml(folder, monkeypatch):
    sbc("init", "--inside", "[::1]:5060", "--outside", "[2001:db8::9]", "-c", "six.yaml")
    monkeypatch.setenv("SBC_CONFIG", "six.yaml")
    for name, realm in (("pbx", "inside"), ("carrier", "outside")):
        sbc("trunk", "add", name, "--realm", realm, "--peer", "::5")
    sbc("trunk", "set", "carrier", "--peer", "[::1]:5080", "--peer", "[::2]", "--source", "[::3]")
    sbc("config", "set", "trunks.pbx.peers", "[2001:db8::1]:7060")
    pbx, carrier = load("six.yaml").policies.trunks
    assert [(one.host, one.port) for one in carrier.peers] == [("::1", 5080), ("::2", 5060)]
    assert [str(one) for one in carrier.sources] == ["::3/128"]
    assert [(one.host, one.port) for one in pbx.peers] == [("2001:db8::1", 7060)]


@pytest.mark.parametrize("words", [["call"], ["check"], ["run"], ["relay"], ["relay", "status"]])
def test_without_a_file_the_error_names_the_places_and_the_way_to_one(folder, words):
    assert sbc(*words, code=2) == (
        "",
        "no configuration found, looked for sbc.yaml (sbc init writes one, -c FILE names one)\n",
    )


def test_a_checkout_means_its_demo_border(folder, monkeypatch):
    monkeypatch.undo()  # the real places
    monkeypatch.delenv("SBC_CONFIG", raising=False)
    monkeypatch.chdir(Path(__file__).parents[2])
    assert sbc("trunk", "list")[0].split("\n")[1].startswith("pbx ")
    assert "examples/demo.yaml: good" in sbc("check")[0]


@pytest.mark.parametrize("words", HELP_COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words):
    out, _ = sbc(*words, "--help")
    assert out.startswith(f"Usage: {' '.join(['sbc', *words])}")
    assert len(out.splitlines()) > 5
    assert all(len(line) <= 80 for line in out.splitlines())


def test_an_unknown_command_or_option_ends_with_2():
    assert "No such command" in sbc("nonsense", code=2)[1]
    assert "No such option" in sbc("trunk", "list", "--colour", code=2)[1]


@pytest.mark.slow
def test_help_loads_neither_yaml_nor_models(tmp_path):
    code = (
        "import sys; sys.argv = ['sbc', '--help']\n"
        "try:\n from sbc.__main__ import main; main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'ruamel.yaml', 'trio', 'msgpack', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_commands_at_one_time_lose_nothing(border):
    base = [sys.executable, "-m", "sbc", "trunk", "add"]
    running = [
        subprocess.Popen(
            [*base, f"t{number}", "--realm", "inside", "--peer", f"127.0.9.{number}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(4)
    ]
    assert [one.wait() for one in running] == [0] * 4
    names = {one.name for one in load("sbc.yaml").policies.trunks}
    assert names == {"pbx", "carrier", "t0", "t1", "t2", "t3"}
    assert os.listdir() == ["sbc.yaml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_one_line(border):
    border.chmod(0o444)
    _, err = sbc("config", "set", "log.level", "debug", code=2)
    assert err == "sbc.yaml: cannot be written: Permission denied; nothing was changed\n"


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_every_command_of_the_help_is_there(name):
    out, _ = sbc(name, "--help")
    assert out.startswith(f"Usage: sbc {name} ")
