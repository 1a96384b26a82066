"""A tokenizer: text to numbers of tokens, by the package ``tokenizers`` (extra ``potoo[text]``).

The seam that the core uses, and the library behind it. The package is imported when a tokenizer is
opened: a server without text models does not need it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from schemas.errors import InferenceFailed, InvalidRequest
from schemas.manifest.text import TextSpec
from service.core.text.tokenizer_checks import MAX_BYTES, CheckedFile, TokenizerRefused
from service.core.text.tokenizer_trial import tried

if TYPE_CHECKING:
    from tokenizers import Encoding

__all__ = ["Encoded", "OpenTokenizer", "Tokenizer", "TokenizerRefused", "open_tokenizer"]

NEEDS_EXTRA = "needs the package tokenizers: pip install 'potoo[text]'"


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

    def encode_all(
        self, texts: Sequence[str], *, max_tokens: int | None = None, offsets: bool = True
    ) -> Sequence[Encoded]:
        """Cut several texts into tokens, faster than one by one.

        Args:
            texts: see ``encode``.
            max_tokens: at most that of the manifest, which it is if absent.
            offsets: whether they will be read; else they may be wrong, and it is faster.
        """


class LibraryEncoded:
    """The tokens of one text as the library has them, cut to a number of tokens."""

    __slots__ = ("_encoding", "_kept", "ids", "is_truncated")

    def __init__(self, encoding: Encoding, most: int) -> None:
        """``most``: tokens; special ones are kept, and the last of the text are cut."""
        self._encoding = encoding
        ids: list[int] = encoding.ids
        self.is_truncated = len(ids) > most
        self._kept = _kept(encoding.special_tokens_mask, most) if self.is_truncated else None
        self.ids: list[int] = ids if self._kept is None else [ids[place] for place in self._kept]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """See ``Encoded``."""
        offsets: list[tuple[int, int]] = self._encoding.offsets
        return offsets if self._kept is None else [offsets[place] for place in self._kept]

    @property
    def tokens(self) -> list[str]:
        """See ``Encoded``."""
        tokens: list[str] = self._encoding.tokens
        return tokens if self._kept is None else [tokens[place] for place in self._kept]


class LibraryTokenizer:
    """A tokenizer of the package ``tokenizers``. Any thread may call it: it never changes."""

    def __init__(self, file: CheckedFile, max_tokens: int) -> None:
        """Open a checked file.

        Raises:
            TokenizerRefused: the library refuses the file, or ``max_tokens`` has no room for text.
        """
        self.size, self._most = file.size, max_tokens
        # The server has threads of its own, one for each core; see ``WorkerPool``.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from tokenizers import Tokenizer as Opened

        try:
            self._tokenizer = Opened.from_buffer(file.data)
        except Exception as error:  # noqa: BLE001 - it raises no other
            raise TokenizerRefused(f"cannot be read: {str(error)[:200]}") from None
        self.special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        """Number of special tokens around a text."""
        if self.special >= max_tokens:
            message = f"adds {self.special} special tokens, and max_tokens is {max_tokens}"
            raise TokenizerRefused(message)

    def encode(self, text: str) -> LibraryEncoded:
        """Cut a text into tokens; see ``Tokenizer``.

        Raises:
            InvalidRequest: the text holds a lone surrogate.
            InferenceFailed: the library fails on it.
        """
        return self.encode_all([text])[0]

    def encode_all(
        self, texts: Sequence[str], *, max_tokens: int | None = None, offsets: bool = True
    ) -> list[LibraryEncoded]:
        """Cut several texts into tokens, with the GIL released; see ``Tokenizer``.

        Raises:
            InvalidRequest, InferenceFailed: see ``encode``.
        """
        most = self._most if max_tokens is None else max(self.special, min(max_tokens, self._most))
        encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
        try:
            encodings = encode(list(texts))
        except (UnicodeEncodeError, TypeError):
            message = "The text holds a lone surrogate, which is no character."
            raise InvalidRequest(message) from None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of the library is no Exception
            message = "The tokenizer failed on this text."
            raise InferenceFailed(message) from RuntimeError(str(error))
        return [LibraryEncoded(encoding, most) for encoding in encodings]


def open_tokenizer(path: Path, spec: TextSpec) -> LibraryTokenizer:
    """Open a tokenizer's file, after checks and a trial in a limited process. Blocks.

    Raises:
        TokenizerRefused: the file or the package ``tokenizers`` is missing, or the file is
            damaged, too large, or asks for more than is allowed.
    """
    if not has_library():
        raise TokenizerRefused(f"a model that takes text {NEEDS_EXTRA}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TokenizerRefused(f"{path.name} cannot be read: {error.strerror}") from error
    try:
        return LibraryTokenizer(tried(data, spec.max_characters), spec.max_tokens)
    except TokenizerRefused as refused:
        raise TokenizerRefused(f"{path.name}: {refused}") from None


OpenTokenizer = Callable[[Path, TextSpec], Tokenizer]
"""See ``open_tokenizer``."""


def has_library() -> bool:
    """Return whether the extra is installed, without importing it."""
    return importlib.util.find_spec("tokenizers") is not None


def _kept(special_mask: Sequence[int], most: int) -> list[int]:
    """Return the places of the tokens that are kept: the special ones, and the text's first."""
    room = most - sum(special_mask)
    kept = []
    for place, is_special in enumerate(special_mask):
        if is_special or room > 0:
            kept.append(place)
            room -= not is_special
    return kept
