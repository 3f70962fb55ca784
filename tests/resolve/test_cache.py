"""How long answers are kept (RFC 1035, RFC 2308, RFC 8767)."""

from __future__ import annotations

import pytest

from sbc.resolve.cache import Cache
from sbc.resolve.records import Address, Answer, Kind, Outcome, Question

A = Question("sip.carrier.example", Kind.A)
FOUND = Answer(Outcome.FOUND, (Address("192.0.2.1"),), 60.0)
OTHER = Answer(Outcome.FOUND, (Address("192.0.2.2"),), 60.0)
SILENCE = Answer(Outcome.FAILED)
DAY_S = 86_400.0


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_nothing_is_known_of_what_was_never_asked(cache: Cache) -> None:
    assert cache.look(A, 0.0) is None
    assert cache.due([A], 0.0) == [A]


@pytest.mark.parametrize(
    ("answer", "until"),
    [
        (Answer(Outcome.FOUND, FOUND.records, 60.0), 60.0),
        (Answer(Outcome.FOUND, FOUND.records, 0.0), 2.0),
        (Answer(Outcome.FOUND, FOUND.records, 1e9), DAY_S),
        (Answer(Outcome.NO_NAME, (), 30.0), 30.0),
        (Answer(Outcome.NO_DATA, (), 86_400.0), 60.0),
        (SILENCE, 5.0),
    ],
)
def test_an_answer_is_fresh_for_its_ttl_within_limits(cache: Cache, answer, until) -> None:
    assert cache.put(A, answer, 0.0).until == until


def test_an_answer_is_asked_for_again_before_it_ends(cache: Cache) -> None:
    cache.put(A, FOUND, 0.0)

    assert cache.due([A], 47.0) == []
    assert cache.due([A], 48.0) == [A]


def test_silence_leaves_what_was_known_to_serve_for_a_day(cache: Cache) -> None:
    cache.put(A, FOUND, 0.0)
    cache.put(A, SILENCE, 70.0)

    kept = cache.look(A, DAY_S)
    assert kept is not None
    assert kept.answer is FOUND
    assert kept.failed
    assert cache.look(A, DAY_S + 61.0) is None


def test_while_the_servers_are_silent_they_are_asked_every_few_seconds(cache: Cache) -> None:
    cache.put(A, FOUND, 0.0)
    cache.put(A, SILENCE, 50.0)

    assert cache.due([A], 54.0) == []
    assert cache.due([A], 55.0) == [A]


@pytest.mark.parametrize("denial", [Outcome.NO_NAME, Outcome.NO_DATA])
def test_a_denial_takes_the_place_of_what_was_known(cache: Cache, denial: Outcome) -> None:
    cache.put(A, FOUND, 0.0)
    cache.put(A, Answer(denial, (), 30.0), 10.0)

    kept = cache.look(A, 11.0)
    assert kept is not None
    assert kept.answer.outcome is denial


def test_a_new_answer_ends_the_old_one_and_its_staleness(cache: Cache) -> None:
    cache.put(A, FOUND, 0.0)
    cache.put(A, SILENCE, 70.0)
    cache.put(A, OTHER, 80.0)

    kept = cache.look(A, 81.0)
    assert kept is not None
    assert (kept.answer, kept.failed) == (OTHER, False)


def test_first_silence_is_an_answer_for_a_minute_and_asked_again_meanwhile(cache: Cache) -> None:
    cache.put(A, SILENCE, 0.0)

    assert cache.look(A, 59.0) is not None
    assert cache.due([A], 5.0) == [A]
    assert cache.look(A, 60.0) is None


def test_the_oldest_answer_gives_way_when_there_are_too_many() -> None:
    cache = Cache(most=3)
    questions = [Question(f"s{number}.example", Kind.A) for number in range(5)]
    for question in questions:
        cache.put(question, FOUND, 0.0)

    assert len(cache) == 3
    assert [cache.look(one, 1.0) is None for one in questions] == [True, True, False, False, False]
