"""The seam to a tokenizer: text to numbers of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from schemas.text import TextSpec


class TokenizerRefused(Exception):
    """A tokenizer cannot be used; the message says why, without a path."""


class Encoded(Protocol):
    """The tokens of one text, special tokens included."""

    @property
    def ids(self) -> Sequence[int]:
        """Numbers of the tokens, at least 0; at most ``max_tokens`` of the manifest."""

    @property
    def offsets(self) -> Sequence[tuple[int, int]]:
        """Begin and end of each token in the given text, in code points; (0, 0) if special."""

    @property
    def tokens(self) -> Sequence[str]:
        """The tokens in words; computed when asked for."""

    @property
    def is_truncated(self) -> bool:
        """Whether tokens beyond ``max_tokens`` were cut."""


class Tokenizer(Protocol):
    """A converter of texts to tokens. Any thread may call it."""

    @property
    def size(self) -> int:
        """One more than the largest number of a token."""

    def encode(self, text: str) -> Encoded:
        """Cut a text into tokens; the text is in the normal form of the manifest already."""


def open_tokenizer(path: Path, spec: TextSpec) -> Tokenizer:
    """Open a tokenizer's file, after checks that it is harmless.

    Raises:
        TokenizerRefused: the file or the package ``tokenizers`` is missing, or the file is
            damaged, too large, or asks for more than is allowed.
    """
    raise TokenizerRefused(f"{path.name}: no tokenizer is built in for {spec.kind} yet")
