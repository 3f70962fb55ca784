"""STUN's Binding request and its answers: the vectors of RFC 5769, old servers, and garbage."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.resolve.stun import StunError, binding_request, mapped_address

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc5769.json").read_text("utf-8"))[
    "vectors"
]
MINE = bytes(range(12))


def answer(attributes: bytes, kind: int = 0x0101, transaction: bytes = MINE) -> bytes:
    head = kind.to_bytes(2, "big") + len(attributes).to_bytes(2, "big")
    return head + bytes.fromhex("2112a442") + transaction + attributes


MAPPED = bytes.fromhex("00010008000115b3") + bytes([192, 0, 2, 77])


@pytest.mark.parametrize("name", ["response_ipv4", "response_ipv6"])
def test_the_address_of_rfc_5769(name: str) -> None:
    vector = VECTORS[name]
    data = bytes.fromhex(vector["hex"])
    assert mapped_address(data, data[8:20]) == vector["address"]


def test_the_request_is_the_shortest_there_is() -> None:
    assert binding_request(MINE) == bytes.fromhex("000100002112a442") + MINE


def test_a_server_of_rfc_3489_is_understood() -> None:
    assert mapped_address(answer(MAPPED), MINE) == "192.0.2.77"


def test_the_first_of_two_alike_counts_and_what_is_unknown_is_passed_over() -> None:
    unknown = bytes.fromhex("80220003414243ff")  # SOFTWARE, padded
    other = MAPPED[:-1] + b"\x01"
    assert mapped_address(answer(unknown + MAPPED + other), MINE) == "192.0.2.77"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        binding_request(MINE),
        answer(MAPPED, transaction=bytes(12)),
        answer(MAPPED)[:-1],
        answer(MAPPED) + b"\0",
        answer(MAPPED, kind=0x0011),
    ],
)
def test_what_is_no_answer_to_the_request_is_none(data: bytes) -> None:
    assert mapped_address(data, MINE) is None


@pytest.mark.parametrize(
    ("attributes", "kind", "text"),
    [
        (b"", 0x0101, "no address"),
        (bytes.fromhex("00010008000315b3c000024d"), 0x0101, "cannot be read"),
        (bytes.fromhex("0001000400011111"), 0x0101, "cannot be read"),
        (bytes.fromhex("00090010000004015461fe6b"), 0x0111, "without a reason"),  # cut short
        (b"\0\x09\0\x08\0\0\x04\x01No\x07!", 0x0111, "it refuses: 401 No!"),
    ],
)
def test_an_answer_without_an_address_says_why(attributes: bytes, kind: int, text: str) -> None:
    with pytest.raises(StunError, match=text):
        mapped_address(answer(attributes, kind), MINE)


@given(st.binary(max_size=200), st.sampled_from([0x0101, 0x0111]))
def test_nothing_else_is_raised_whatever_a_server_sends(attributes: bytes, kind: int) -> None:
    with suppress(StunError):
        mapped_address(answer(attributes, kind), MINE)
