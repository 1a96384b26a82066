"""How much a ``ModelInferRequest`` takes once it is parsed, told from its bytes before it is.

Two bytes can make an object of a hundred: an empty tensor, an empty parameter. So the fields of
messages that may hold many are counted, by walking over tags and lengths; data is stepped over.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.errors import InvalidRequest, PayloadTooLarge

MAX_FIELDS = 4096
"""Of one message, those inside of it counted."""
GROWTH = 8
"""A number takes one byte at least, and eight at most once it is read."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """A message that may hold many fields, by their numbers.

    Attributes:
        inside: messages of this sort.
        numbers: packed numbers of any amount.
        few: packed numbers, a few at most.
    """

    inside: dict[int, _Kind] = field(default_factory=dict)
    numbers: frozenset[int] = frozenset()
    few: frozenset[int] = frozenset()


_PARAMETER = _Kind()
_CONTENTS = _Kind(numbers=frozenset(range(1, 8)))
_INPUT = _Kind({4: _PARAMETER, 5: _CONTENTS}, few=frozenset({3}))
_REQUEST = _Kind({4: _PARAMETER, 5: _INPUT, 6: _Kind({2: _PARAMETER})})
_MAX_SHAPE_BYTES = 256
_NO_REQUEST = "The message is no inference.ModelInferRequest."
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(slots=True)
class _Walk:
    data: bytes
    max_typed: int
    fields: int = 0
    typed: int = 0


def size_of(data: bytes, max_typed: int) -> int:
    """About how many bytes a request takes once it is parsed.

    Args:
        max_typed: bytes of numbers in typed contents; what is larger goes as raw contents.

    Raises:
        InvalidRequest: these are no fields, or far too many.
        PayloadTooLarge: too many numbers in typed contents.
    """
    walk = _Walk(data, max_typed)
    _step_over(walk, 0, len(data), _REQUEST)
    return len(data) + GROWTH * walk.typed


def _step_over(walk: _Walk, at: int, end: int, kind: _Kind) -> None:
    while at < end:
        tag, at = _varint(walk.data, at, end)
        number, wire_type = tag >> 3, tag & 7
        walk.fields += 1
        if walk.fields > MAX_FIELDS:
            raise InvalidRequest(f"The message has more than {MAX_FIELDS} fields.")
        if wire_type == _VARINT:
            _, at = _varint(walk.data, at, end)
        elif wire_type == _LENGTH:
            size, at = _varint(walk.data, at, end)
            if at + size > end:
                raise InvalidRequest(_NO_REQUEST)
            _look_into(walk, at, size, number, kind)
            at += size
        elif wire_type in (_FIXED32, _FIXED64):
            at += 4 if wire_type == _FIXED32 else 8
        else:
            raise InvalidRequest(_NO_REQUEST)
    if at != end:
        raise InvalidRequest(_NO_REQUEST)


def _look_into(walk: _Walk, at: int, size: int, number: int, kind: _Kind) -> None:
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


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of up to ten bytes, and the place behind it."""
    value = 0
    for place, byte in enumerate(data[at : min(end, at + 10)]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise InvalidRequest(_NO_REQUEST)
