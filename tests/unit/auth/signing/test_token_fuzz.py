"""Fuzzing of tokens: all invalid tokens are refused with the same error."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Unauthenticated
from tests.support.auth.forge import CLAIMS, token, verifier
from tests.support.suite.examples import examples

GOOD = token()
VERIFIER = verifier()


@examples(300)
@given(st.integers(0, len(GOOD) - 1), st.characters(max_codepoint=0x2FF))
def test_token_with_one_changed_character_is_refused(place: int, character: str) -> None:
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    if changed != GOOD:
        refused(changed)


@examples(300)
@given(st.text(max_size=200))
def test_arbitrary_text_is_refused_as_a_token(text: str) -> None:
    refused(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@examples(300)
@given(st.sampled_from([name for name in CLAIMS if name != "scope"]), json_values)
def test_claim_of_arbitrary_value_is_refused(name: str, value: object) -> None:
    if name == "aud":  # a list may hold ours
        value = {"potoo": value}
    if isinstance(value, str) or may_be_time(value):  # it may be a good name or time
        value = [value]
    refused(token(claims={**CLAIMS, name: value}))


def may_be_time(value: object) -> bool:
    """Whether it is a NumericDate: a number of seconds, which may have a fraction (RFC 7519)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < math.inf


def refused(text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        VERIFIER.verify(text)
    assert type(caught.value) is Unauthenticated
    assert caught.value.__suppress_context__
