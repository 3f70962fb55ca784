"""No text makes the check fail in another way than by saying what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.config.problems import ConfigError
from sbc.config.render import render
from sbc.config.source import parse
from sbc.config.textedit import rewrite
from tests.config.files import GOOD, check

WORDS = """
    realms trunks routes access cdr relay log run_dir inside outside listen media address ports
    advertise bind realm peers sources limits calls cps status pass from to number 0123 +49 null
    ~ true 1.5 udp:10.0.0.5:5060 10.0.0.5 12000-21999 & * ! | > - ? % @ ` " ' { } [ ] , : # <<
    *a &a !!int !x --- ..."""
words = st.sampled_from(WORDS.split())
soup = st.lists(
    st.one_of(words, st.sampled_from([" ", "\n", "\n  ", ": ", "- ", ", ", "\t"])), max_size=40
).map("".join)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.text(max_size=12), words
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(words, st.text(max_size=6)), inner)
    ),
    max_leaves=20,
)


def total(text):
    """The check ends, and a file without settings has errors that name it."""
    checked = check(text)
    assert (checked.settings is None) == bool(checked.errors)
    for problem in checked.errors:
        assert str(problem).startswith("sbc.yaml")
        assert "\n" not in str(problem)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text(text):
    total(text)


@given(soup)
@settings(max_examples=300, deadline=None)
def test_any_soup_of_our_words(text):
    total(text)


@given(values)
@settings(deadline=None)
def test_any_values(value):
    total(render(value))


@given(st.integers(0, len(GOOD)), st.integers(0, 10), soup)
@settings(max_examples=300, deadline=None)
def test_the_good_file_with_any_damage(at, length, text):
    total(GOOD[:at] + text + GOOD[at + length :])


@given(values)
@settings(deadline=None)
def test_what_is_rendered_is_read_as_it_was(value):
    text = render(value)
    assert "\n" not in text
    assert parse(text, "").data == value


@given(st.dictionaries(words, values, max_size=5), st.dictionaries(words, values, max_size=5))
@settings(deadline=None)
def test_any_values_can_become_any_others(old, new):
    source = parse(render(old), "sbc.yaml")
    assert parse(rewrite(source, new), "sbc.yaml").data == new


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1000,
        "{a: " * 1000,
        "- " * 1000,
        "a: &a [*a]",
        "a: &a 1\nb: &a 2\n",
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n"
            for n in range(9)
        ),
        "? [a, b]\n: 1\n",
        "a: !!binary x\n",
        "a: 2001-99-99\n",
        "a: 1e999999\n",
        "a: " + "9" * 10000,
        "routes: [[[[1]]]]",
        "trunks: { ? { a: b } : c }",
    ],
)
def test_hostile_texts_end_in_an_error(text):
    total(text)
    assert check(text).errors


def test_aliases_are_allowed_where_they_end():
    text = GOOD.replace('["10.0.0.20:5060"]', '&p ["10.0.0.20:5060"]') + "access: { exempt: [] }\n"
    assert check(text).settings is not None
    with pytest.raises(ConfigError):
        parse("a: *p", "sbc.yaml")
