"""Texts become tensors: normal form, case, tokens, limits."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.errors import Unsupported
from schemas.manifest.text import TextSpec
from service.core.text.preprocessing import (
    InvalidText,
    Text,
    TextPreprocessor,
    TextTooLong,
    checked,
    normalised,
)
from tests.support.models.text.tiny_text import WordTokenizer, text_input

LIGATURE = "\N{LATIN SMALL LIGATURE FI}"
ACUTE = "e\N{COMBINING ACUTE ACCENT}"


def spec(**changes: object) -> TextSpec:
    return TextSpec.model_validate(text_input(**changes))


def prepare(text: str, **changes: object) -> list[list[int]]:
    given = spec(**changes)
    tensor = TextPreprocessor(given, WordTokenizer(100)).text(Text(text)).tensor
    assert tensor.dtype == np.int64
    found: list[list[int]] = tensor.tolist()
    return found


def test_planes_are_ids_mask_and_types_as_far_as_the_graph_has_them() -> None:
    assert prepare("good bad") == [[1, 2], [1, 1]]
    assert prepare("good bad", mask=None) == [[1, 2]]
    assert prepare("good bad", types="types") == [[1, 2], [1, 1], [0, 0]]
    assert prepare("good bad", mask=None, types="types") == [[1, 2], [0, 0]]


def test_tokens_beyond_the_longest_input_are_cut_whatever_the_tokenizer_gives() -> None:
    assert prepare("good bad plain", max_tokens=2) == [[1, 2], [1, 1]]


@pytest.mark.parametrize(
    ("form", "lower_case", "expected"),
    [
        ("NFC", False, LIGATURE + "\xe9A"),
        ("NFKC", False, "fi\xe9A"),
        ("NFKC", True, "fi\xe9a"),
        ("none", False, LIGATURE + ACUTE + "A"),
        ("none", True, LIGATURE + ACUTE + "a"),
    ],
)
def test_form_and_case_are_those_of_the_manifest(
    form: str, lower_case: bool, expected: str
) -> None:
    given = spec(form=form, lower_case=lower_case)
    assert normalised(LIGATURE + ACUTE + "A", given) == expected


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_text_without_tokens_is_refused(text: str) -> None:
    with pytest.raises(InvalidText, match="has no tokens"):
        prepare(text)


def test_longest_text_passes_and_one_character_more_is_refused() -> None:
    given = spec(max_characters=3)
    assert checked("a\U0001f600b", given).text == "a\U0001f600b"
    with pytest.raises(TextTooLong, match="The text has 4 characters; the model takes 3 at most"):
        checked("abcd", given)
    with pytest.raises(TextTooLong, match="Text 2 has 4"):
        checked("abcd", given, 2)


@pytest.mark.parametrize("text", ["\ud800", "ab\udfff", "\udc00\ud800"])
def test_lone_surrogates_are_refused(text: str) -> None:
    with pytest.raises(InvalidText, match="lone surrogate"):
        checked(text, spec())


def test_images_are_refused() -> None:
    with pytest.raises(Unsupported, match="takes text, not images"):
        TextPreprocessor(spec(), WordTokenizer(9))(b"GIF89a")
