"""The kind of models that take text."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from schemas.errors import InvalidTensor
from schemas.manifest.text import TextSpec
from service.core.engine.engine import Images
from service.core.serving.kinds.kind import Part, SingleItems
from service.core.text.preprocessing import (
    PreparedText,
    Text,
    TextPreprocessor,
    checked,
    tensor_of,
)
from service.core.text.tokenizer import Tokenizer

TEXT_BATCH = 8
"""Short texts that wait together are faster together, on CPUs too."""
RUN_TOKENS = 512
"""Tokens that run at once: longer texts gain nothing from company, and others wait for them."""
_LENGTHS = (8, 5, 8, 3)
"""Tokens of the texts of noise."""


class TextKind(SingleItems):
    """See ``Kind``."""

    item = "text"
    most_together: int | None = TEXT_BATCH

    def __init__(self, spec: TextSpec, tokenizer: Tokenizer) -> None:
        self._spec, self._size = spec, tokenizer.size
        self.decode = self.preprocessor = TextPreprocessor(spec, tokenizer)

    def prepare(self, sample: Text) -> PreparedText:
        """See ``Kind.prepare``."""
        return self.preprocessor.text(sample)

    def stack(self, tensors: list[Images]) -> list[Part]:
        """See ``Kind.stack``: texts of similar length, padded to the longest of their part.

        Without a mask, texts of one length alone share a part.
        """
        if len(tensors) == 1:
            return [Part(tensors[0][np.newaxis], [0])]
        alike: dict[int, list[int]] = {}
        for number, tensor in enumerate(tensors):
            length = tensor.shape[1]
            key = length if self._spec.mask is None else (length - 1).bit_length()
            alike.setdefault(key, []).append(number)
        parts = []
        for numbers in alike.values():
            longest = max(tensors[number].shape[1] for number in numbers)
            count = max(1, RUN_TOKENS // longest)
            parts += [
                self._padded(tensors, numbers[begin : begin + count])
                for begin in range(0, len(numbers), count)
            ]
        return parts

    def noise(self) -> Images:
        """See ``Kind.noise``; the largest number of a token is among its tokens."""
        return self.varied()[0][np.newaxis]

    def varied(self) -> list[Images]:
        """See ``Kind.varied``: texts of different lengths."""
        chance = random.Random(0)  # noqa: S311 - no secret
        texts: list[Images] = []
        for length in _LENGTHS:
            ids = [chance.randrange(self._size) for _ in range(min(length, self._spec.max_tokens))]
            texts.append(tensor_of(ids if texts else [self._size - 1, *ids[1:]], self._spec))
        return texts

    def extremes(self) -> Sequence[Images]:
        """See ``Kind.extremes``: texts of the first token alone, and of the last alone."""
        length = min(_LENGTHS[0], self._spec.max_tokens)
        return [
            tensor_of([token] * length, self._spec)[np.newaxis] for token in (0, self._size - 1)
        ]

    def golden(self, data: bytes) -> Images:
        """See ``Kind.golden``; ``data``: text in UTF-8, with or without a final line break."""
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidTensor("This is no text in UTF-8.") from error
        text = text.removesuffix("\n").removesuffix("\r")
        return self.preprocessor.text(checked(text, self._spec)).tensor[np.newaxis]

    def _padded(self, tensors: list[Images], numbers: list[int]) -> Part:
        longest = max(tensors[number].shape[1] for number in numbers)
        batch_NPL = np.zeros((len(numbers), len(self._spec.inputs), longest), np.int64)
        batch_NPL[:, 0] = self._spec.padding
        for row, number in enumerate(numbers):
            tensor_PL = tensors[number]
            batch_NPL[row, :, : tensor_PL.shape[1]] = tensor_PL
        return Part(batch_NPL, numbers)
