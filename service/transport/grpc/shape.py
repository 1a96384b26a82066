"""Estimate the memory of a parsed message from its bytes, before parsing.

Two bytes can become an object of a hundred: an empty tensor, an empty parameter. So the fields of
messages that may hold many are counted, by walking over tags and lengths; data is skipped.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.errors import InvalidRequest, PayloadTooLarge

MAX_FIELDS = 4096
"""Limit of one message, nested fields included."""
GROWTH = 8
"""A number takes at least one byte encoded, and at most eight parsed."""


@dataclass(frozen=True, slots=True, eq=False)
class MessageShape:
    """A message type that may hold many fields, by field number.

    Attributes:
        inside: nested messages of such types.
        name: of the message, for errors; of the outermost one only.
        numbers: packed numbers, without a limit on their count.
        few: packed numbers, ``_MAX_SHAPE_BYTES`` at most.
    """

    inside: dict[int, MessageShape] = field(default_factory=dict)
    name: str = ""
    numbers: frozenset[int] = frozenset()
    few: frozenset[int] = frozenset()


_PARAMETER = MessageShape()
_CONTENTS = MessageShape(numbers=frozenset(range(1, 8)))
_INPUT = MessageShape({4: _PARAMETER, 5: _CONTENTS}, few=frozenset({3}))
_REQUEST = MessageShape(
    {4: _PARAMETER, 5: _INPUT, 6: MessageShape({2: _PARAMETER})}, "inference.ModelInferRequest"
)
_MAX_SHAPE_BYTES = 256
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(slots=True)
class _Walk:
    data: bytes
    max_typed: int
    name: str
    fields: int = 0
    typed: int = 0


def estimate_parsed_bytes(data: bytes, max_typed: int, shape: MessageShape = _REQUEST) -> int:
    """Return about how many bytes a request takes once it is parsed.

    Args:
        shape: of the message; a ``ModelInferRequest`` if not given.
        max_typed: limit of typed contents in bytes; larger tensors must be raw contents.

    Raises:
        InvalidRequest: the fields are malformed, or too many.
        PayloadTooLarge: too many numbers in typed contents.
    """
    walk = _Walk(data, max_typed, shape.name)
    _step_over(walk, 0, len(data), shape)
    return len(data) + GROWTH * walk.typed


def _step_over(walk: _Walk, at: int, end: int, kind: MessageShape) -> None:
    while at < end:
        tag, at = _varint(walk, at, end)
        number, wire_type = tag >> 3, tag & 7
        walk.fields += 1
        if walk.fields > MAX_FIELDS:
            raise InvalidRequest(f"The message has more than {MAX_FIELDS} fields.")
        if wire_type == _VARINT:
            _, at = _varint(walk, at, end)
        elif wire_type == _LENGTH:
            size, at = _varint(walk, at, end)
            if at + size > end:
                raise _invalid(walk)
            _look_into(walk, at, size, number, kind)
            at += size
        elif wire_type in (_FIXED32, _FIXED64):
            at += 4 if wire_type == _FIXED32 else 8
        else:
            raise _invalid(walk)
    if at != end:
        raise _invalid(walk)


def _look_into(walk: _Walk, at: int, size: int, number: int, kind: MessageShape) -> None:
    if (inner := kind.inside.get(number)) is not None:
        _step_over(walk, at, at + size, inner)
    elif number in kind.few and size > _MAX_SHAPE_BYTES:
        raise InvalidRequest("A shape has too many axes.")
    elif number in kind.numbers:
        walk.typed += size
    if walk.typed > walk.max_typed:
        raise PayloadTooLarge(
            f"Typed contents may have {walk.max_typed} bytes: send larger tensors as "
            "raw_input_contents."
        )


def _varint(walk: _Walk, at: int, end: int) -> tuple[int, int]:
    """Return a number of up to ten bytes, and the position after it."""
    value = 0
    for place, byte in enumerate(walk.data[at : min(end, at + 10)]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise _invalid(walk)


def _invalid(walk: _Walk) -> InvalidRequest:
    return InvalidRequest(f"The message is not a valid {walk.name}.")
