"""Padding, and the sizes of answers."""

from __future__ import annotations

import json

import pytest

from schemas.errors import PayloadTooLarge
from schemas.manifest.text import TextSpec
from schemas.preprocess.text import PreparedTextResponse, PrepareTextOptions
from service.core.imaging.answer import ModelRef
from service.core.serving.text_tokens import TokenizedTexts
from service.core.text.preprocessing import InvalidText
from service.core.text.tokenizer import LibraryTokenizer
from service.core.text.tokenizer_checks import checked
from service.preprocess.text import prepared as module
from service.preprocess.text.prepared import check_texts, hashed, prepared, to_document
from tests.support.models.text.tokenizers import WORD_PIECE, spec

TEXTS = ["the sea", "the sea is calm", ""]
TOKENIZER = LibraryTokenizer(checked(json.dumps(WORD_PIECE).encode()), 8)


def tokenized(given: TextSpec, texts: list[str] = TEXTS) -> TokenizedTexts:
    return TokenizedTexts(ModelRef("m", 1), given, texts, TOKENIZER.encode_all(texts))


def options(**given: object) -> PrepareTextOptions:
    return PrepareTextOptions.model_validate(given)


@pytest.mark.parametrize(
    ("given", "lengths"),
    [
        ({}, [6, 6, 6]),
        ({"padding": "longest"}, [6, 6, 6]),
        ({"padding": "max_tokens"}, [8, 8, 8]),
        ({"padding": "max_tokens", "max_tokens": 7}, [7, 7, 7]),
        ({"padding": "max_tokens", "max_tokens": 900}, [8, 8, 8]),
        ({"padding": "none"}, [4, 6, 2]),
    ],
)
def test_texts_are_padded(given: dict[str, object], lengths: list[int]) -> None:
    found = prepared(tokenized(spec(max_tokens=8, padding=9)), options(**given))
    assert [len(row) for row in found.ids] == lengths
    assert [sum(row) for row in found.mask] == [4, 6, 2]
    for ids, mask in zip(found.ids, found.mask, strict=True):
        assert len(ids) == len(mask)
        assert {number for number, known in zip(ids, mask, strict=True) if not known} <= {9}


def test_offsets_come_with_tokens_and_texts_or_not_at_all() -> None:
    given = tokenized(spec(max_tokens=8))
    plain = to_document(prepared(given, options()))
    more = to_document(prepared(given, options(offsets=True)))
    for document in (plain, more):
        answer = PreparedTextResponse.model_validate({**document, "request_id": "r"})
        assert answer.texts is not None
        assert [one.text for one in answer.texts] == (
            TEXTS if document is more else [None, None, None]
        )
    assert answer.texts is not None
    assert answer.texts[0].tokens == ["[CLS]", "the", "sea", "[SEP]"]
    assert answer.texts[0].offsets == [(0, 0), (0, 3), (4, 7), (0, 0)]


def test_sizes_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PayloadTooLarge, match="At most 2 texts"):
        check_texts(TEXTS, 2, 100)
    with pytest.raises(PayloadTooLarge, match="Text 1 has 15 characters; at most 10"):
        check_texts(TEXTS, 3, 10)
    monkeypatch.setattr(module, "MAX_NUMBERS", 10)
    with pytest.raises(PayloadTooLarge, match="more than 10 numbers"):
        hashed(["a"], options(method="hash", dimension=11))
    with pytest.raises(PayloadTooLarge, match="more than 10 numbers"):
        prepared(tokenized(spec(max_tokens=8)), options())


def test_hashing_normalises() -> None:
    composed, apart = hashed(["é", "e\u0301"], options(method="hash", dimension=16)).vectors  # type: ignore[misc]
    assert composed.tolist() == apart.tolist()
    raw = hashed(["é", "e\u0301"], options(method="hash", dimension=16, form="none")).vectors
    assert raw is not None
    assert raw[0].tolist() != raw[1].tolist()
    with pytest.raises(InvalidText):
        hashed(["\ud800"], options(method="hash"))


@pytest.mark.parametrize(
    "given",
    [
        {"method": "hash", "model": "m"},
        {"method": "hash", "max_tokens": 3},
        {"method": "hash", "offsets": True},
        {"method": "hash", "ngram": "3,1"},
        {"ngram": "1,3"},
        {"dimension": 8},
        {"method": "hash", "ngram": "0,3"},
        {"method": "hash", "dimension": 65_537},
        {"max_tokens": 0},
        {"padding": "both"},
    ],
)
def test_options_that_contradict_each_other_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"need|first|should"):
        options(**given)
