"""Conversion of a text to an input tensor, as the model's manifest describes it."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidRequest, PayloadTooLarge, Unsupported
from schemas.manifest.text import TextSpec
from service.core.text.tokenizer import Encoded, Tokenizer


class InvalidText(InvalidRequest):
    """The text has lone surrogates, which are no characters, or no tokens."""


class TextTooLong(PayloadTooLarge):
    """The text has more code points than the model's manifest permits."""


@dataclass(slots=True)
class Text:
    """A text that ``checked`` found to be fit."""

    text: str


@dataclass(slots=True)
class PreparedText:
    """A tensor ready for the engine, int64 [P, L], see ``engine.inputs.text``; its tokens."""

    decode_seconds: ClassVar[float] = 0.0

    tensor: NDArray[np.int64]
    encoded: Encoded
    preprocess_seconds: float


class TextPreprocessor:
    """A converter of texts to tensors for one model. Any thread may call it."""

    def __init__(self, spec: TextSpec, tokenizer: Tokenizer) -> None:
        self.spec, self.tokenizer = spec, tokenizer

    def __call__(self, data: bytes, *, may_be_slow: bool = True) -> NoReturn:  # noqa: ARG002
        """Refuse an encoded image.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"The model takes {self.spec.takes}, not images.")

    def encode(self, given: Text) -> Encoded:
        """Return the tokens of a text in the normal form and case of the manifest."""
        return self.tokenizer.encode(normalised(given.text, self.spec))

    def text(self, given: Text) -> PreparedText:
        """Return the tokens of a text, as many as the graph takes, as a new tensor.

        Raises:
            InvalidText: the text has no tokens.
        """
        began = time.perf_counter()
        encoded = self.encode(given)
        ids = encoded.ids[: self.spec.max_tokens]
        if not ids:
            raise InvalidText("The text has no tokens.")
        tensor_PL = tensor_of(ids, self.spec)
        return PreparedText(tensor_PL, encoded, time.perf_counter() - began)


def checked(text: str, spec: TextSpec, number: int | None = None) -> Text:
    """Check a text before it waits for its turn.

    Args:
        number: index of the text in its request, for messages.

    Raises:
        TextTooLong, InvalidText: see there.
    """
    subject = "The text" if number is None else f"Text {number}"
    if len(text) > spec.max_characters:
        raise TextTooLong(
            f"{subject} has {len(text)} characters; the model takes {spec.max_characters} at most."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidText(
            f"{subject} has a lone surrogate at {error.start}, which is no character."
        ) from None
    return Text(text)


def tensor_of(ids: Sequence[int], spec: TextSpec) -> NDArray[np.int64]:
    """Return the tensor of a text without padding, [P, L]; see ``engine.inputs.text``."""
    tensor_PL = np.zeros((len(spec.inputs), len(ids)), np.int64)
    tensor_PL[0] = ids
    if spec.mask is not None:
        tensor_PL[1] = 1
    return tensor_PL


def normalised(text: str, spec: TextSpec) -> str:
    """Return a text in the normal form and case of the manifest."""
    if spec.form != "none":
        text = unicodedata.normalize(spec.form, text)
    return text.lower() if spec.lower_case else text
