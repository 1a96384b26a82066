"""The seam between a served model and its kind of input: one ``Kind`` for each kind.

A new kind of input is a module here, one in ``engine.inputs``, and its specification in
``schemas``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from service.core.engine.engine import Images, Outputs
from service.core.imaging.preprocessing import PreparedImage


class Source(Protocol):
    """An item as a tensor, and the durations of its preparation in seconds."""

    @property
    def tensor(self) -> Images:
        """The item without a batch axis."""

    @property
    def decode_seconds(self) -> float:
        """0 if there is nothing to decode."""

    @property
    def preprocess_seconds(self) -> float:
        """The rest of the preparation."""


class Part(NamedTuple):
    """Items of one form in a batch, and their places in it."""

    images: Images
    rows: list[int]


class Kind(Protocol):
    """One kind of input, with the preprocessing of one model. Any thread may call it."""

    @property
    def item(self) -> str:
        """One of its items, in words."""

    @property
    def decode(self) -> Callable[..., PreparedImage]:
        """The preprocessing of an encoded image; see ``Preprocessor.__call__``.

        It raises ``Unsupported`` if the kind takes no images.
        """

    @property
    def most_together(self) -> int | None:
        """Items that run together on a CPU if the settings do not say; None: the settings' own."""

    @property
    def most_in_batch(self) -> int | None:
        """Items that may run together at most, whatever the settings and the graph say."""

    def prepare(self, sample: Any) -> Source:  # noqa: ANN401 - of this kind, see ``Model``
        """Return the tensor of an item that is no encoded image.

        Raises:
            CallerError: it does not fit the model.
        """

    def stack(self, tensors: list[Images]) -> list[Part]:
        """Return tensors as batches, each of one form."""

    def each(self, output_NK: Outputs) -> Sequence[Outputs]:
        """Return the outputs of the items of a batch: [K] each, of a chunk of rows [N, K]."""

    def joined(self, outputs: list[Outputs]) -> Outputs:
        """Return the outputs of items as one, [N, K]; the inverse of ``each``."""

    def noise(self) -> Images:
        """Return a batch of one item of noise, the same each time."""

    def varied(self) -> Sequence[Images]:
        """Return items with different statistics, at least 2, the same each time."""

    def extremes(self) -> Sequence[Images]:
        """Return batches of one item: the lowest and the highest input."""

    def golden(self, data: bytes) -> Images:
        """Return the content of a golden file as a batch.

        Raises:
            ServiceError: it cannot be read, or does not fit the model.
        """


def stacked(tensors: list[Images]) -> list[Part]:
    """Stack items of one shape; pixels and tensors, if an engine takes both, are parts."""
    if len(tensors) == 1:
        return [Part(tensors[0][np.newaxis], [0])]
    rows: dict[np.dtype[np.generic], list[int]] = {}
    for number, tensor in enumerate(tensors):
        rows.setdefault(tensor.dtype, []).append(number)
    return [
        Part(cast("Images", np.stack([tensors[number] for number in numbers])), numbers)
        for numbers in rows.values()
    ]


class SingleItems:
    """The part of a ``Kind`` whose items have one shape and are answered one by one."""

    most_in_batch: int | None = None

    def stack(self, tensors: list[Images]) -> list[Part]:
        """See ``Kind.stack``."""
        return stacked(tensors)

    def each(self, output_NK: Outputs) -> Sequence[Outputs]:
        """See ``Kind.each``."""
        return cast("Sequence[Outputs]", output_NK)

    def joined(self, outputs: list[Outputs]) -> Outputs:
        """See ``Kind.joined``."""
        return np.stack(outputs)


def in_order(parts: Sequence[Part], outputs: Sequence[Outputs]) -> Outputs:
    """Return the outputs of the parts of a batch, in the order of the batch."""
    if len(parts) == 1:
        return outputs[0]
    output_NK = np.concatenate(outputs)
    output_NK[np.concatenate([part.rows for part in parts])] = output_NK.copy()
    return output_NK
