"""Manifest input of models that take text: kind ``text``."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from schemas.manifest.document import Document, FileName

NormalForm = Literal["NFC", "NFKC", "none"]
"""Unicode normal form (Unicode Standard Annex 15) of a text before it is cut into tokens."""


class TextSpec(Document):
    """Preprocessing of a text: normal form, lower case, tokens, and their numbers for the graph.

    The graph's inputs are int64 of shape [N, L], L dynamic. Texts of a batch are padded to the
    longest: ``padding`` in ``ids``, 0 in ``mask`` and ``types``.
    """

    item: ClassVar[str] = "text"
    name: ClassVar[str] = "text"
    """The input's name in the Open Inference Protocol."""
    takes: ClassVar[str] = "text"
    batch: ClassVar[Literal["dynamic"]] = "dynamic"

    kind: Literal["text"]
    tokenizer: FileName = Field(
        default="tokenizer.json", description="The tokenizer's file in the version's folder."
    )
    max_tokens: PositiveInt = Field(
        le=65_536, description="Longest input of the graph, special tokens included; more are cut."
    )
    ids: str = Field(description="The graph's input for the numbers of the tokens.")
    mask: str | None = Field(
        default=None,
        description="The graph's input that is 1 for tokens and 0 for padding. Without it, texts "
        "of equal length only share a batch.",
    )
    types: str | None = Field(
        default=None, description="The graph's input for token types, which are all 0."
    )
    padding: int = Field(default=0, ge=0, lt=2**31, description="Token that fills up ``ids``.")
    form: NormalForm = Field(default="NFC", description="Unicode normal form, or none.")
    lower_case: bool = False
    max_characters: PositiveInt = Field(
        default=20_000, le=10_000_000, description="Code points in a text; longer ones are refused."
    )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the graph's inputs: ids, mask, types, as far as they exist."""
        return tuple(name for name in (self.ids, self.mask, self.types) if name is not None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.inputs)) != len(self.inputs):
            message = "ids, mask and types must be different inputs of the graph"
            raise ValueError(message)
        return self
