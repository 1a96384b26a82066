"""Request options and bodies of the preparation of texts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.classify import MODEL_NAME_PATTERN, Milliseconds, ModelRef, Version
from schemas.manifest.text import NormalForm

MOST_TEXTS = 4096
MAX_DIMENSION = 65_536
DEFAULT_DIMENSION = 1024
DEFAULT_NGRAM = "1,3"
NGRAM_PATTERN = r"^[1-8],[1-8]$"
Padding = Literal["longest", "max_tokens", "none"]


def _plain(value: object) -> object:
    """Accept only digits in query values: Pydantic would also accept 5_0, 5.0 and +5."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("Input should be a whole number")
    return value


Tokens = Annotated[int, Field(ge=1, le=65_536), BeforeValidator(_plain)]
Dimension = Annotated[int, Field(ge=1, le=MAX_DIMENSION), BeforeValidator(_plain)]


class PrepareTextOptions(BaseModel):
    """Options of the preparation of texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        default=None,
        pattern=MODEL_NAME_PATTERN,
        description="A model that takes text. If absent: the server's default model.",
        examples=["language"],
    )
    version: Version | None = Field(
        default=None,
        description="Model version: a number, or a label. If absent: the default version.",
        examples=[1, "stable"],
    )
    method: Literal["tokens", "hash"] = Field(
        default="tokens",
        description="`tokens`: those of the model. `hash`: a vector of hashed n-grams of "
        "characters, without a model.",
    )
    max_tokens: Tokens | None = Field(
        default=None,
        description="Tokens of a text, special ones included; more are cut. At most the model's, "
        "which it is if absent.",
    )
    padding: Padding = Field(
        default="longest",
        description="Texts are padded to the longest of the call, to `max_tokens`, or not at all.",
    )
    form: NormalForm | None = Field(
        default=None, description="Unicode normal form. If absent: the model's; of `hash`: NFC."
    )
    offsets: bool = Field(
        default=False, description="Also answer the tokens in words, and their places in the text."
    )
    dimension: Dimension | None = Field(
        default=None, description=f"Of `hash`: length of a vector; {DEFAULT_DIMENSION} if absent."
    )
    ngram: str | None = Field(
        default=None,
        pattern=NGRAM_PATTERN,
        description=f"Of `hash`: characters of an n-gram, least and most; {DEFAULT_NGRAM} if "
        "absent.",
        examples=["1,3"],
    )
    timeout_ms: Milliseconds | None = Field(
        default=None,
        description="Time limit in milliseconds, counted from the complete upload; then 504.",
    )
    priority: Literal["interactive", "normal", "bulk"] = Field(
        default="normal",
        description="Priority. Under load the three share the server's capacity 16 : 4 : 1.",
    )

    @property
    def lengths(self) -> tuple[int, int]:
        """The least and most characters of an n-gram."""
        least, _, most = (self.ngram or DEFAULT_NGRAM).partition(",")
        return int(least), int(most)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.method == "hash":
            for name in ("model", "version", "max_tokens"):
                if getattr(self, name) is not None:
                    message = f"{name} needs method tokens"
                    raise ValueError(message)
            if self.offsets:
                message = "offsets needs method tokens"
                raise ValueError(message)
            if self.lengths[0] > self.lengths[1]:
                message = "ngram has its least length first"
                raise ValueError(message)
        elif self.dimension is not None or self.ngram is not None:
            message = "dimension and ngram need method hash"
            raise ValueError(message)
        return self


class TextBody(BaseModel):
    """One text, or several."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"text": "Wo ist der Bahnhof?"}]},
    )

    text: str | None = None
    texts: list[str] | None = Field(default=None, min_length=1, max_length=MOST_TEXTS)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.text is None) == (self.texts is None):
            message = "Give either text or texts"
            raise ValueError(message)
        return self

    @property
    def all(self) -> list[str]:
        """The texts; one if a single text was given."""
        return self.texts if self.texts is not None else [self.text or ""]


class PreparedText(BaseModel):
    """The tokens of one text."""

    ids: list[int] = Field(description="Numbers of the tokens, then of padding.")
    mask: list[int] = Field(description="1 for tokens, 0 for padding.")
    truncated: bool = Field(description="Whether tokens at the end were cut.")
    text: str | None = Field(
        default=None, description="The text in its normal form; absent without `offsets`."
    )
    tokens: list[str] | None = Field(
        default=None,
        description="The tokens as the tokenizer writes them, without padding; absent without "
        "`offsets`.",
    )
    offsets: list[tuple[int, int]] | None = Field(
        default=None,
        description="The first character of each token in `text`, and the one after its last, in "
        "code points; [0, 0] for special tokens. Absent without `offsets`.",
    )


class PreparedTextResponse(BaseModel):
    """Texts as a model takes them, or their hashed vectors."""

    model: ModelRef | None = Field(description="null: the texts were hashed.")
    texts: list[PreparedText] | None = Field(
        default=None, description="In the order of the request; absent if they were hashed."
    )
    vectors: list[list[float]] | None = Field(
        default=None, description="A vector of length 1 for each text, if they were hashed."
    )
    request_id: str = Field(description="The same id as in X-Request-ID.")
