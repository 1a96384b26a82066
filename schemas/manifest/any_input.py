"""The ``input`` part of a manifest, of any kind."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Discriminator, Tag

from schemas.errors import Unsupported
from schemas.manifest.model_input import InputSpec
from schemas.manifest.numeric import NumericSpec
from schemas.manifest.series import SeriesSpec
from schemas.manifest.text import TextSpec

# No identifiers, so that paths in messages leave them out.
_TAGS = {"series": "of series", "numeric": "of rows", "text": "of text"}


def _kind(value: Any) -> str:  # noqa: ANN401 - JSON, or a specification
    """Return the tag of an input."""
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return _TAGS.get(str(kind), "of images")


ModelInput = Annotated[
    Annotated[InputSpec, Tag("of images")]
    | Annotated[SeriesSpec, Tag("of series")]
    | Annotated[NumericSpec, Tag("of rows")]
    | Annotated[TextSpec, Tag("of text")],
    Discriminator(_kind),
]
"""Preprocessing by ``kind``: ``series``, ``numeric`` or ``text``; of images if there is none."""

Spec = TypeVar("Spec", bound=BaseModel)


def input_of(given: ModelInput, kind: type[Spec], wanted: str) -> Spec:
    """Return an input that is of a kind; ``wanted``: items of that kind, in words.

    Raises:
        Unsupported: it is of another kind; the message names what the model takes.
    """
    if not isinstance(given, kind):
        raise Unsupported(f"The model takes {given.takes}, not {wanted}.")
    return given
