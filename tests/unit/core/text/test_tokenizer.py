"""Tokens are those of the library in-process; what the library cannot survive is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library

from schemas.errors import InferenceFailed, InvalidRequest
from service.core.text import tokenizer
from service.core.text.tokenizer import LibraryTokenizer, TokenizerRefused, open_tokenizer
from service.core.text.tokenizer_checks import checked
from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.models.text.tokenizers import (
    DIFFICULT,
    UNIGRAM,
    WORD_LEVEL,
    WORD_PIECE,
    changed,
    spec,
    written,
)

SHIPPED = json.loads((BUNDLED_MODELS / "language/1/tokenizer.json").read_bytes())
KINDS = {"WordPiece": WORD_PIECE, "Unigram": UNIGRAM, "WordLevel": WORD_LEVEL, "BPE": SHIPPED}
ANY = 100_000


def opened(document: dict[str, Any], max_tokens: int = ANY) -> LibraryTokenizer:
    """A tokenizer, without its trial in a process."""
    return LibraryTokenizer(checked(json.dumps(document).encode()), max_tokens)


def library(document: dict[str, Any]) -> Library:
    """The library's tokenizer, without its padding and truncation."""
    found = Library.from_str(json.dumps(document))
    found.no_padding()
    found.no_truncation()
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", DIFFICULT.values(), ids=DIFFICULT)
def test_tokens_are_those_of_the_library(kind: str, text: str) -> None:
    ours, theirs = opened(KINDS[kind]).encode(text), library(KINDS[kind]).encode(text)
    assert ours.ids == theirs.ids
    assert ours.tokens == theirs.tokens
    assert ours.offsets == theirs.offsets
    assert not ours.is_truncated


def test_a_batch_is_its_texts_one_by_one() -> None:
    found, texts = opened(SHIPPED), [*DIFFICULT.values()]
    for is_asked in (False, True):
        together = found.encode_all(texts, offsets=is_asked)
        assert [one.ids for one in together] == [found.encode(text).ids for text in texts]
    assert [one.offsets for one in together] == [found.encode(text).offsets for text in texts]


def test_offsets_are_code_points_of_the_given_text() -> None:
    text = "👍🏽 the e\u0301 sea"
    encoded = opened(WORD_PIECE).encode(text)
    found = {
        token: text[start:end]
        for token, (start, end) in zip(encoded.tokens, encoded.offsets, strict=True)
    }
    assert found["the"] == "the"
    assert found["sea"] == "sea"
    assert found["[CLS]"] == ""


def test_text_is_cut_and_special_tokens_stay() -> None:
    found = opened(WORD_PIECE, 5)
    encoded = found.encode("the sea is calm the sea is calm")
    assert encoded.is_truncated
    assert encoded.tokens == ["[CLS]", "the", "sea", "is", "[SEP]"]
    assert encoded.offsets == [(0, 0), (0, 3), (4, 7), (8, 10), (0, 0)]
    (shorter,) = found.encode_all(["the sea is calm"], max_tokens=3)
    assert shorter.tokens == ["[CLS]", "the", "[SEP]"]
    (least,) = found.encode_all(["the sea"], max_tokens=1)
    assert least.tokens == ["[CLS]", "[SEP]"]
    (longer,) = found.encode_all(["the sea is calm the"], max_tokens=99)
    assert len(longer.ids) == 5


def test_max_tokens_has_room_for_text() -> None:
    with pytest.raises(TokenizerRefused, match="adds 2 special tokens, and max_tokens is 2"):
        opened(WORD_PIECE, 2)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="lone surrogate"):
        opened(SHIPPED).encode("a\ud800b")


def test_failures_and_panics_of_the_library_are_errors_of_the_model() -> None:
    missing = json.loads(changed(WORD_LEVEL, "model.unk_token", "[GONE]"))
    with pytest.raises(InferenceFailed):
        opened(missing).encode("unheard of")

    class PanicException(BaseException):
        """As PyO3 raises for a Rust panic."""

    class Panicking:
        def encode_batch(self, _: list[str]) -> None:
            raise PanicException("regex parse error")

    found = opened(WORD_LEVEL)
    found._tokenizer = Panicking()  # type: ignore[assignment]
    with pytest.raises(InferenceFailed):
        found.encode("the sea")


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "has_library", lambda: False)
    with pytest.raises(TokenizerRefused, match=r"needs the package tokenizers: pip install 'potoo"):
        open_tokenizer(written(tmp_path, WORD_PIECE), spec())
