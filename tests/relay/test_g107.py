"""The E-model against values of the Recommendation (ITU-T G.107, G.113)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.emodel import burst_ratio, codec_named, delay_ms, mos, rating

G711, G729, G722 = codec_named("PCMU"), codec_named("G729"), codec_named("G722")


def test_a_perfect_call_has_the_default_rating() -> None:
    assert rating(G711, 0.0) == pytest.approx(93.2)
    assert mos(G711, 93.2) == pytest.approx(4.41, abs=0.005)  # G.107 Table 4


@pytest.mark.parametrize(
    ("r", "score"),
    [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)],
)  # G.107 Annex B, Table B.1
def test_scores_of_the_categories(r: float, score: float) -> None:
    assert mos(G711, r) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(("delay", "idd"), [(100, 0.0), (200, 3.04), (400, 24.07)])
def test_delay_costs_what_the_formula_says(delay: float, idd: float) -> None:
    # §7.4 with X = 0, 1 and 2, worked out by hand
    assert 93.2 - rating(G711, 0.0, 1.0, delay) == pytest.approx(idd, abs=0.01)


def test_loss_of_g729() -> None:
    # Ie,eff = 11 + 84 * 2 / (2 + 19)
    assert rating(G729, 0.02) == pytest.approx(93.2 - 19.0)


def test_bursts_hurt_more() -> None:
    assert rating(G711, 0.05, burst=2.0) < rating(G711, 0.05)


def test_wide_band_begins_higher_and_has_the_same_scale_of_opinions() -> None:
    assert rating(G722, 0.0) == pytest.approx(116.0)
    assert mos(G722, rating(G722, 0.0)) == pytest.approx(4.34, abs=0.01)


def test_bursts() -> None:
    assert burst_ratio(0, 0, 100) == 1.0
    assert burst_ratio(10, 10, 1000) == 1.0
    assert burst_ratio(10, 2, 1000) == pytest.approx(4.95)


def test_delay_is_estimated_from_what_is_known() -> None:
    assert delay_ms(80.0, 10.0, 20.0) == pytest.approx(85.0)


@given(
    st.sampled_from(["PCMA", "G722", "opus", "nobody-knows"]),
    st.floats(-1, 2),
    st.floats(0, 50),
    st.floats(0, 10_000),
)
def test_any_figures_have_a_score(name: str, loss: float, burst: float, delay: float) -> None:
    codec = codec_named(name)
    r = rating(codec, loss, burst, delay)
    assert 0.0 <= r <= 129.0
    assert 1.0 <= mos(codec, r) <= 4.5
