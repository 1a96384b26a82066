"""Prepared texts: tokens padded to one length, and the answer as plain data."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import PayloadTooLarge
from schemas.preprocess.text import DEFAULT_DIMENSION, PrepareTextOptions
from service.core.imaging.answer import ModelRef
from service.core.serving.text_tokens import TokenizedTexts
from service.core.text.preprocessing import InvalidText
from service.preprocess.text.hashing import hashed_vectors

MAX_NUMBERS = 2**22
"""Numbers in the answer to one call: 16 MB as float32, some 40 MB as JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedTexts:
    """Texts as a model takes them, or hashed.

    Attributes:
        model: None if they were hashed.
        ids: of each text, with padding, int64; with ``mask`` of the same length, 1 for tokens.
        truncated: whether tokens of a text were cut.
        texts: normal forms, ``tokens`` and ``offsets`` of each; None if not asked for.
        vectors: float32 [N, D]; None unless they were hashed.
    """

    model: ModelRef | None
    ids: list[list[int]]
    mask: list[list[int]]
    truncated: list[bool]
    texts: list[str] | None = None
    tokens: list[Sequence[str]] | None = None
    offsets: list[Sequence[tuple[int, int]]] | None = None
    vectors: NDArray[np.float32] | None = None


def check_texts(texts: Sequence[str], most: int, most_characters: int) -> None:
    """Check the size of a call.

    Raises:
        PayloadTooLarge: more than ``most`` texts, or one of more than ``most_characters``.
    """
    if len(texts) > most:
        message = f"At most {most} texts are taken in one request, not {len(texts)}."
        raise PayloadTooLarge(message)
    for number, text in enumerate(texts):
        if len(text) > most_characters:
            message = (
                f"Text {number} has {len(text)} characters; at most {most_characters} are taken."
            )
            raise PayloadTooLarge(message)


def hashed(texts: Sequence[str], options: PrepareTextOptions) -> PreparedTexts:
    """Return vectors of hashed n-grams.

    Raises:
        PayloadTooLarge: the vectors have more than ``MAX_NUMBERS`` numbers.
        InvalidText: a text holds a lone surrogate.
    """
    dimension = options.dimension or DEFAULT_DIMENSION
    if dimension * len(texts) > MAX_NUMBERS:
        message = f"The vectors would have more than {MAX_NUMBERS} numbers: send fewer texts."
        raise PayloadTooLarge(message)
    form = options.form or "NFC"
    if form != "none":
        texts = [unicodedata.normalize(form, text) for text in texts]
    try:
        vectors_ND = hashed_vectors(texts, dimension, *options.lengths)
    except UnicodeEncodeError:
        message = "A text holds a lone surrogate, which is no character."
        raise InvalidText(message) from None
    return PreparedTexts(None, [], [], [], vectors=vectors_ND)


def prepared(tokenized: TokenizedTexts, options: PrepareTextOptions) -> PreparedTexts:
    """Pad tokens as the options say.

    Raises:
        PayloadTooLarge: padded, they have more than ``MAX_NUMBERS`` numbers.
    """
    spec, encoded, offsets = tokenized.spec, tokenized.encoded, options.offsets
    ids = [list(one.ids) for one in encoded]
    mask = [[1] * len(row) for row in ids]
    if options.padding == "longest":
        length = max(map(len, ids))
    elif options.padding == "max_tokens":
        length = min(options.max_tokens or spec.max_tokens, spec.max_tokens)
    else:
        length = 0
    if length * len(ids) > MAX_NUMBERS:
        message = f"Padded, the texts have more than {MAX_NUMBERS} numbers: send fewer texts."
        raise PayloadTooLarge(message)
    for row, known in zip(ids, mask, strict=True):
        if (missing := length - len(row)) > 0:
            row += [spec.padding] * missing
            known += [0] * missing
    return PreparedTexts(
        tokenized.model,
        ids,
        mask,
        [one.is_truncated for one in encoded],
        tokenized.texts if offsets else None,
        [one.tokens for one in encoded] if offsets else None,
        [one.offsets for one in encoded] if offsets else None,
    )


def to_document(texts: PreparedTexts) -> dict[str, object]:
    """Return the members of ``PreparedTextResponse``, but the request's id; may hold NumPy arrays."""
    if texts.vectors is not None:
        return {"model": None, "vectors": texts.vectors}
    rows: list[dict[str, object]] = [
        {"ids": ids, "mask": mask, "truncated": is_truncated}
        for ids, mask, is_truncated in zip(texts.ids, texts.mask, texts.truncated, strict=True)
    ]
    for name, values in (
        ("text", texts.texts),
        ("tokens", texts.tokens),
        ("offsets", texts.offsets),
    ):
        if values is not None:
            for row, value in zip(rows, values, strict=True):
                row[name] = value
    model = texts.model
    return {"model": model and {"name": model.name, "version": model.version}, "texts": rows}
