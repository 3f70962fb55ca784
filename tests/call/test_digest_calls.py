"""Calls through trunks that have to prove who they are, and through those that ask us."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.users import (
    AuthSettings,
    AuthStatus,
    CredentialSettings,
    HashName,
    Secret,
    UserSettings,
)
from sbc.sip.message import Request, Response
from tests.call.lab import CARRIER, INSIDE, PBX, SDP_A, SDP_B, Lab, settings, statuses
from tests.support.digest import answer, expected, params

ALICE = UserSettings(name="alice", password=Secret(b"wonder land"))
NUMBER = "sip:4930123456@10.0.0.1"
OURS = CredentialSettings(user="border", password=Secret(b"open sesame"))


def asking(**auth: Any) -> Lab:
    """A border whose PBX has to prove who calls."""
    config = settings({"pbx": {"auth": AuthSettings(**({"realm": "sip"} | auth))}})
    return Lab(replace(config, policies=replace(config.policies, users=(ALICE,))))


def asked(**own: Any) -> Lab:
    """A border that knows a password for its carrier."""
    return Lab(settings({"carrier": {"credentials": replace(OURS, **own)}}))


def challenge_in(response: Response, algorithm: str = "SHA-256") -> bytes:
    name = b"proxy-authenticate" if response.status == 407 else b"www-authenticate"
    return next(one for one in response.every(name) if params(one)["algorithm"] == algorithm)


def proof(challenge: bytes, method: str = "INVITE", uri: str = NUMBER, **how: Any) -> bytes:
    word = how.pop("word", "wonder land")
    user = how.pop("user", "alice")
    return f"Authorization: {answer(challenge, user, word, method, uri, **how)}\r\n".encode()


def ask(algorithm: str = "SHA-256", nonce: str = "n1", more: str = "", name: str = "WWW") -> bytes:
    line = f'{name}-Authenticate: Digest realm="carrier", nonce="{nonce}", algorithm={algorithm},'
    return f'{line} qop="auth"{more}\r\n'.encode()


def checked(request: Request, header: bytes = b"authorization") -> dict[str, str]:
    """The one answer in a request of ours; it is right."""
    (value,) = request.every(header)
    given = params(value)
    assert given["response"] == expected(
        given, "open sesame", request.method.decode(), request.body
    )
    assert given["uri"] == request.uri.decode()
    return given


# They prove it to us


def test_a_call_is_challenged_and_goes_on_with_the_answer() -> None:
    lab = asking()
    lab.give(lab.invite())
    refusal = lab.take_one(PBX[0])
    assert refusal.status == 401
    assert refusal.to_tag
    assert not lab.border.calls
    lab.give(lab.invite(extra=proof(challenge_in(refusal))))
    assert lab.take_one(PBX[0]).status == 100
    invite = lab.take_one(CARRIER[0])
    lab.answer(invite, 200, body=SDP_B)
    assert lab.take_one(CARRIER[0]).method == b"ACK"
    success = lab.take_one(PBX[0])
    assert success.status == 200
    lab.give(lab.in_dialog(b"ACK", success, 1))
    lab.give(lab.in_dialog(b"BYE", success, 2))
    assert lab.take_one(PBX[0]).status == 200
    lab.answer(lab.take_one(CARRIER[0]), 200)
    lab.answer_removals()
    assert lab.record.user == "alice"
    assert lab.border.core.counters["auth_asked"] == 1
    lab.assert_nothing_left()


def test_credentials_do_not_cross() -> None:
    lab = asking()
    lab.give(lab.invite())
    challenge = challenge_in(lab.take_one(PBX[0]))
    proxy = proof(challenge, nc=2).replace(b"Authorization", b"Proxy-Authorization")
    lab.give(lab.invite(extra=proof(challenge) + proxy))
    data = next(data for hop, data in lab.sent if hop.host == CARRIER[0])
    assert b"uthorization" not in data
    assert b"alice" not in data.replace(b"sip:alice@", b"").replace(b'"Alice"', b"")


def test_no_challenge_of_one_side_reaches_the_other() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 401, extra=ask() + ask(name="Proxy"))
    lab.take(CARRIER[0])
    (data,) = [data for hop, data in lab.sent if hop.host == PBX[0]]
    assert b"uthenticate" not in data
    assert data.startswith(b"SIP/2.0 403 ")


@pytest.mark.parametrize("status", [401, 407])
def test_a_trunk_may_ask_our_callers_itself(status: int) -> None:
    lab = Lab(settings({"carrier": {"pass_challenges": True}}))
    invite = lab.called()
    name = "WWW" if status == 401 else "Proxy"
    lab.answer(invite, status, extra=ask(name=name))
    lab.take(CARRIER[0])
    refusal = lab.take_one(PBX[0])
    assert refusal.status == status
    challenge = challenge_in(refusal)
    assert f"{name}-Authenticate: ".encode() + challenge + b"\r\n" == ask(name=name)
    given = proof(challenge).replace(b"Authorization", f"{name}-Authorization".encode())
    given = given.removeprefix(b"WWW-")
    again = lab.called(extra=given, call="call-2")
    assert given.strip().split(b": ", 1)[1] in again.every(given.split(b":")[0].lower())


def test_credentials_for_us_never_go_on() -> None:
    config = settings(
        {"pbx": {"auth": AuthSettings(realm="sip")}, "carrier": {"pass_challenges": True}}
    )
    lab = Lab(replace(config, policies=replace(config.policies, users=(ALICE,))))
    lab.give(lab.invite())
    lab.give(lab.invite(extra=proof(challenge_in(lab.take_one(PBX[0])))))
    assert lab.take_one(PBX[0]).status == 100
    assert b"uthorization" not in b"".join(data for _, data in lab.sent)


def test_a_copied_invite_is_stale_and_its_nonce_good_for_the_one_that_has_it() -> None:
    lab = asking()
    lab.give(lab.invite())
    challenge = challenge_in(lab.take_one(PBX[0]))
    extra = proof(challenge)
    lab.give(lab.invite(extra=extra))
    assert lab.take_one(PBX[0]).status == 100
    lab.take(CARRIER[0])
    lab.give(lab.invite(extra=extra, call="call-2"))
    refusal = lab.take_one(PBX[0])
    assert refusal.status == 401
    assert params(challenge_in(refusal))["stale"] == "true"
    lab.give(lab.invite(extra=proof(challenge, nc=2), call="call-3"))
    assert lab.take_one(PBX[0]).status == 100


def test_a_retransmission_of_an_answer_is_no_copy() -> None:
    lab = asking()
    lab.give(lab.invite())
    invite = lab.invite(extra=proof(challenge_in(lab.take_one(PBX[0]))))
    lab.give(invite)
    lab.give(invite)
    assert statuses(lab.take(PBX[0])) == [100, 100]
    assert lab.border.core.counters["auth_asked"] == 1


def test_a_nonce_that_is_too_old_is_stale() -> None:
    lab = asking(nonce_lifetime_s=30.0)
    lab.give(lab.invite())
    challenge = challenge_in(lab.take_one(PBX[0]))
    lab.wait(31.0, step_s=0.5)
    lab.take()
    lab.give(lab.invite(extra=proof(challenge)))
    refusal = lab.take_one(PBX[0])
    assert params(challenge_in(refusal))["stale"] == "true"
    lab.give(lab.invite(extra=proof(challenge_in(refusal))))
    assert lab.take_one(PBX[0]).status == 100


def test_wrong_answers_are_counted_and_end_in_a_refusal_and_one_line() -> None:
    lab = asking(attempts=3)
    lab.give(lab.invite())
    for _ in range(3):
        challenge = challenge_in(lab.take_one(PBX[0]))
        lab.give(lab.invite(extra=proof(challenge, word="guess")))
    for _ in range(5):
        challenge = challenge_in(lab.take_one(PBX[0]))
        lab.give(lab.invite(extra=proof(challenge)))
        refusal = lab.take_one(PBX[0])
        assert refusal.status == 403
        assert b"uthenticate" not in b"".join(refusal.names())
        lab.give(lab.invite())
    counters = lab.border.core.counters
    assert (counters["auth_wrong"], counters["auth_refused"]) == (3, 5)
    lines = [one for one in lab.border.core.milestones if one[1] == "auth.refused"]
    assert len(lines) == 1
    level, _, _, fields = lines[0]
    assert (level, fields) == (30, {"trunk": "pbx", "source": PBX[0], "user": "alice"})


@pytest.mark.parametrize("method", [b"OPTIONS", b"MESSAGE", b"REGISTER", b"REFER"])
def test_every_method_is_challenged_by_a_proxy_too(method: bytes) -> None:
    lab = asking(status=AuthStatus.PROXY_AUTHENTICATION_REQUIRED)
    request = lab.invite(body=b"").replace(b"INVITE", method)
    lab.give(request)
    refusal = lab.take_one(PBX[0])
    assert refusal.status == 407
    line = proof(challenge_in(refusal), method.decode()).replace(b"Auth", b"Proxy-Auth", 1)
    lab.give(lab.invite(body=b"", extra=line).replace(b"INVITE", method))
    assert not {401, 407} & set(statuses(lab.take(PBX[0])))


def test_a_dialog_is_left_alone_unless_it_is_to_be_challenged_as_well() -> None:
    for in_dialog in (False, True):
        lab = asking(in_dialog=in_dialog)
        lab.give(lab.invite())
        challenge = challenge_in(lab.take_one(PBX[0]))
        lab.give(lab.invite(extra=proof(challenge)))
        lab.take(PBX[0])
        lab.answer(lab.take_one(CARRIER[0]), 200, body=SDP_B)
        lab.take(CARRIER[0])
        success = lab.take_one(PBX[0])
        lab.give(lab.in_dialog(b"ACK", success, 1))
        bye = lab.in_dialog(b"BYE", success, 2)
        lab.give(bye)
        if in_dialog:
            refusal = lab.take_one(PBX[0])
            assert refusal.status == 401
            assert lab.border.calls
            uri = bye.split(b" ")[1].decode()
            line = proof(challenge_in(refusal), "BYE", uri)
            lab.give(lab.in_dialog(b"BYE", success, 3).replace(b"Max-F", line + b"Max-F", 1))
        assert lab.take_one(PBX[0]).status == 200
        lab.answer(lab.take_one(CARRIER[0]), 200)
        lab.assert_nothing_left()


def test_a_cancel_is_never_challenged() -> None:
    lab = asking(in_dialog=True)
    lab.give(lab.invite())
    invite = lab.invite(extra=proof(challenge_in(lab.take_one(PBX[0]))))
    lab.give(invite)
    lab.take()
    cancel = invite.split(b"Content-Type")[0].replace(b"INVITE", b"CANCEL")
    lab.give(cancel.replace(b"Authorization", b"X-None") + b"Content-Length: 0\r\n\r\n")
    assert 401 not in statuses(lab.take(PBX[0]))


def test_the_other_trunk_is_not_asked() -> None:
    lab = asking()
    lab.give(lab.invite(source=CARRIER), CARRIER)
    assert lab.take_one(CARRIER[0]).status == 100


# We prove it to them


def test_a_target_that_asks_gets_the_invite_again_with_the_answer() -> None:
    lab = asked()
    first = lab.called()
    assert b"authorization" not in first.names()
    lab.answer(first, 100, tag="")
    lab.answer(first, 401, extra=ask("MD5") + ask("SHA-256"))
    ack, second = lab.take(CARRIER[0])
    assert isinstance(ack, Request)
    assert isinstance(second, Request)
    assert (ack.method, ack.via.branch) == (b"ACK", first.via.branch)
    assert second.cseq == first.cseq + 1
    assert second.via.branch != first.via.branch
    assert (second.call_id, second.from_tag) == (first.call_id, first.from_tag)
    assert not second.to_tag
    assert second.body == first.body
    given = checked(second)
    assert (given["algorithm"], given["nc"], given["username"]) == ("SHA-256", "00000001", "border")
    assert not lab.take(PBX[0])
    lab.answer(second, 180)
    assert lab.take_one(PBX[0]).status == 180
    lab.answer(second, 200, body=SDP_B)
    ack = lab.take_one(CARRIER[0])
    assert (ack.method, ack.cseq) == (b"ACK", second.cseq)
    assert ack.every(b"authorization") == second.every(b"authorization")
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1))
    lab.give(lab.in_dialog(b"BYE", success, 2))
    assert lab.take_one(PBX[0]).status == 200
    bye = lab.take_one(CARRIER[0])
    assert bye.cseq == second.cseq + 1
    assert checked(bye)["nc"] == "00000002"
    lab.answer(bye, 200)
    lab.answer_removals()
    assert lab.record.status == 200
    lab.assert_nothing_left()


def test_a_bye_that_is_challenged_goes_out_again() -> None:
    lab = asked()
    success, _ = lab.connected()
    lab.give(lab.in_dialog(b"BYE", success, 2))
    assert lab.take_one(PBX[0]).status == 200
    bye = lab.take_one(CARRIER[0])
    lab.answer(bye, 401, extra=ask())
    again = lab.take_one(CARRIER[0])
    assert (again.method, again.cseq) == (b"BYE", bye.cseq + 1)
    assert (again.to_tag, again.call_id) == (bye.to_tag, bye.call_id)
    checked(again)
    lab.answer(again, 200)
    lab.assert_nothing_left()


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
@pytest.mark.parametrize("status", [401, 407])
def test_a_peer_that_has_one_algorithm_only(algorithm: str, status: int) -> None:
    lab = asked()
    name = "Proxy" if status == 407 else "WWW"
    lab.answer(lab.called(), status, extra=ask(algorithm, name=name))
    _, second = lab.take(CARRIER[0])
    assert isinstance(second, Request)
    header = b"proxy-authorization" if status == 407 else b"authorization"
    assert checked(second, header)["algorithm"] == algorithm


def test_a_peer_whose_algorithm_we_have_no_hash_of_refuses_the_call() -> None:
    lab = asked(password=None, ha1={HashName.MD5: Secret(b"0" * 32)}, realm="carrier")
    lab.answer(lab.called(), 401, extra=ask("SHA-256"))
    assert lab.take_one(CARRIER[0]).method == b"ACK"
    assert lab.take_one(PBX[0]).status == 403
    assert lab.border.core.counters["credentials_refused"] == 1
    lab.assert_nothing_left()


def test_a_wrong_password_is_tried_once() -> None:
    lab = asked()
    lab.answer(lab.called(), 401, extra=ask(nonce="n1"))
    _, second = lab.take(CARRIER[0])
    assert isinstance(second, Request)
    lab.answer(second, 401, extra=ask(nonce="n2"))
    assert lab.take_one(CARRIER[0]).method == b"ACK"
    assert lab.take_one(PBX[0]).status == 403
    lab.answer_removals()
    assert lab.record.status == 403
    lab.assert_nothing_left()


def test_a_stale_nonce_is_replaced_within_the_call() -> None:
    lab = asked()
    lab.answer(lab.called(), 401, extra=ask(nonce="n1"))
    _, second = lab.take(CARRIER[0])
    assert isinstance(second, Request)
    lab.answer(second, 401, extra=ask(nonce="n2", more=", stale=true"))
    ack, third = lab.take(CARRIER[0])
    assert isinstance(third, Request)
    assert (checked(third)["nonce"], third.cseq) == ("n2", 3)
    assert isinstance(ack, Request)
    assert ack.every(b"authorization") == second.every(b"authorization")
    lab.answer(third, 486)
    assert lab.take_one(PBX[0]).status == 486


def test_the_next_call_knows_the_nonce_already() -> None:
    lab = asked()
    lab.answer(lab.called(), 401, extra=ask())
    _, second = lab.take(CARRIER[0])
    assert isinstance(second, Request)
    lab.answer(second, 486)
    lab.take()
    invite = lab.called(call="call-2")
    assert invite.cseq == 1
    assert checked(invite)["nc"] == "00000002"


def test_a_caller_that_gives_up_meanwhile_gets_no_second_invite() -> None:
    lab = asked()
    lab.give(caller := lab.invite())
    lab.take(PBX[0])
    invite = lab.take_one(CARRIER[0])
    lab.answer(invite, 180)
    lab.take(PBX[0])
    head = caller.split(b"Content-Type")[0].replace(b"INVITE", b"CANCEL")
    lab.give(head + b"Content-Length: 0\r\n\r\n")
    assert lab.take_one(CARRIER[0]).method == b"CANCEL"
    lab.answer(invite, 401, extra=ask())
    assert lab.take_one(CARRIER[0]).method == b"ACK"
    lab.assert_nothing_left()


def test_a_cancel_follows_the_second_invite_and_bears_no_credentials() -> None:
    lab = asked()
    lab.give(caller := lab.invite())
    lab.take(PBX[0])
    lab.answer(lab.take_one(CARRIER[0]), 407, extra=ask(name="Proxy"))
    _, second = lab.take(CARRIER[0])
    assert isinstance(second, Request)
    lab.answer(second, 180)
    lab.take(PBX[0])
    head = caller.split(b"Content-Type")[0].replace(b"INVITE", b"CANCEL")
    lab.give(head + b"Content-Length: 0\r\n\r\n")
    cancel = lab.take_one(CARRIER[0])
    assert (cancel.method, cancel.cseq) == (b"CANCEL", second.cseq)
    assert cancel.via.branch == second.via.branch
    assert b"proxy-authorization" not in cancel.names()
    lab.answer(second, 487)
    lab.take()
    lab.assert_nothing_left()


def test_a_change_within_a_call_that_is_challenged_goes_out_again() -> None:
    lab = asked()
    success, _ = lab.connected()
    held = SDP_A.replace(b"a=sendrecv", b"a=sendonly").replace(b"phone 1 1", b"phone 1 2")
    lab.give(lab.in_dialog(b"INVITE", success, 2, body=held))
    lab.take(PBX[0])
    first = lab.take_one(CARRIER[0])
    assert first.method == b"INVITE"
    lab.answer(first, 401, extra=ask())
    _, second = lab.take(CARRIER[0])
    assert isinstance(second, Request)
    assert (second.method, second.cseq, second.to_tag) == (
        b"INVITE",
        first.cseq + 1,
        first.to_tag,
    )
    checked(second)
    lab.answer(second, 200, body=SDP_B.replace(b"a=sendrecv", b"a=recvonly"))
    ack = lab.take_one(CARRIER[0])
    assert (ack.method, ack.cseq) == (b"ACK", second.cseq)
    assert ack.every(b"authorization") == second.every(b"authorization")
    again = lab.take_one(PBX[0])
    assert again.status == 200
    lab.give(lab.in_dialog(b"ACK", again, 2))
    lab.give(lab.in_dialog(b"BYE", success, 3))
    lab.take(PBX[0])
    bye = lab.take_one(CARRIER[0])
    assert bye.cseq == second.cseq + 1
    lab.answer(bye, 200)
    lab.assert_nothing_left()


def test_a_trunk_without_credentials_asks_in_vain() -> None:
    lab = Lab()
    lab.answer(lab.called(), 407, extra=ask(name="Proxy"))
    assert lab.take_one(CARRIER[0]).method == b"ACK"
    assert lab.take_one(PBX[0]).status == 403
    assert lab.border.core.counters["credentials_refused"] == 0


def test_both_sides_may_ask_in_one_call() -> None:
    config = settings(
        {"pbx": {"auth": AuthSettings(realm="sip")}, "carrier": {"credentials": OURS}}
    )
    lab = Lab(replace(config, policies=replace(config.policies, users=(ALICE,))))
    lab.give(lab.invite())
    lab.give(lab.invite(extra=proof(challenge_in(lab.take_one(PBX[0])))))
    assert lab.take_one(PBX[0]).status == 100
    lab.answer(lab.take_one(CARRIER[0]), 401, extra=ask())
    _, second = lab.take(CARRIER[0])
    assert isinstance(second, Request)
    assert checked(second)["username"] == "border"
    assert INSIDE.encode() not in second.first(b"authorization")  # type: ignore[operator]
