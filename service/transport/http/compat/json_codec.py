"""JSON formats of KServe V1 and TensorFlow Serving: tensors and images in rows or columns.

Sans-I/O: bytes to tensors or images, results to bytes. A tensor is nested lists, whose lengths are
its shape; an image is ``{"b64": ...}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson

from schemas.errors import InvalidRequest, InvalidTensor
from schemas.http.inference import TensorMetadata
from service.core.imaging.answer import Classification
from service.core.tensors.inference import InferResponse
from service.core.tensors.tensors import MAX_RANK, Tensor, from_values, of_bytes, shown
from service.transport.http.body.base64_text import decoded
from service.transport.http.body.json_text import without_mark

Body = bytes | bytearray
B64 = "b64"


@dataclass(frozen=True, slots=True, eq=False)
class ParsedPredict:
    """A parsed request, and the member name of its result."""

    tensor: Tensor
    answer: Literal["predictions", "outputs"]


def read_predict(
    body: Body, spec: TensorMetadata, most: int, *, with_columns: bool
) -> ParsedPredict:
    """Parse a body to a tensor for the model's input.

    Args:
        most: maximum number of items.
        with_columns: whether ``inputs`` is accepted in place of ``instances``.

    Raises:
        InvalidRequest, InvalidTensor: it does not follow the protocol, or has inconsistent shapes.
    """
    document = _document(body)
    if with_columns and "inputs" in document:
        if "instances" in document:
            raise InvalidRequest("There may be 'instances' or 'inputs', but not both.")
        return ParsedPredict(_tensor(_column(document["inputs"], spec), spec, most), "outputs")
    rows = document.get("instances")
    if not isinstance(rows, list):
        wanted = "'instances' (a list) or 'inputs'" if with_columns else "'instances', a list"
        raise InvalidRequest(f"The body needs {wanted}.")
    return ParsedPredict(_tensor([_bare(row, spec) for row in rows], spec, most), "predictions")


def read_examples(body: Body, most: int) -> list[bytes]:
    """Parse the images in the examples of a body.

    Args:
        most: maximum number of examples.

    Raises:
        InvalidRequest: the body does not follow the protocol.
    """
    examples = _document(body).get("examples")
    if not isinstance(examples, list):
        raise InvalidRequest("The body needs 'examples', a list.")
    _check_count(len(examples), most)
    return [_image_of(example, number) for number, example in enumerate(examples)]


def write_predict(response: InferResponse, asked: ParsedPredict) -> bytes:
    """Write the body of a response: the single output, nested by its shape.

    Raises:
        InvalidTensor: a number is not finite, which JSON cannot represent.
    """
    (output,) = response.outputs
    if not np.isfinite(output.array).all():
        raise InvalidTensor(f"The output '{output.name}' has numbers that are not finite.")
    values = np.ascontiguousarray(output.array)
    return orjson.dumps({asked.answer: values}, option=orjson.OPT_SERIALIZE_NUMPY)


def write_examples(answers: Iterable[Classification]) -> bytes:
    """Write the body of a response: labels and probabilities of every example."""
    results = [[(one.label, one.score) for one in answer.predictions] for answer in answers]
    return orjson.dumps({"results": results})


def _document(body: Body) -> dict[str, Any]:
    try:
        document = orjson.loads(without_mark(body))
    except orjson.JSONDecodeError:
        raise InvalidRequest("The body is not JSON.") from None
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return document


def _bare(value: object, spec: TensorMetadata) -> object:
    """Remove the input's name around a row or column: returns a list, number or image object."""
    if not isinstance(value, dict) or set(value) == {B64}:
        return value
    if len(value) != 1:
        raise InvalidTensor(f"The model has one input, '{spec.name}', and takes nothing else.")
    ((name, inner),) = value.items()
    # The input's name for images depends on how the original model was exported.
    if name != spec.name and not _holds_images(inner):
        raise InvalidTensor(f"There is no input {shown(name)}; there is '{spec.name}'.")
    return inner


def _holds_images(value: object) -> bool:
    one = value[0] if isinstance(value, list) and value else value
    return isinstance(one, dict)


def _column(value: object, spec: TensorMetadata) -> list[Any]:
    """Return the rows of the single column."""
    bare = _bare(value, spec)
    return bare if isinstance(bare, list) else [bare]


def _tensor(rows: list[Any], spec: TensorMetadata, most: int) -> Tensor:
    _check_count(len(rows), most)
    are_images = [isinstance(row, dict) for row in rows]
    if not any(are_images):
        return from_values(spec.name, spec.datatype, _shape(rows), rows)
    if not all(are_images):
        raise InvalidTensor("Tensors and images cannot be mixed in one request.")
    images = [_image(row, number) for number, row in enumerate(rows)]
    return of_bytes(spec.name, images, (len(images),))


def _shape(rows: list[Any]) -> list[int]:
    """Return the shape by the first element of each level; the others are checked later."""
    shape: list[int] = []
    level: object = rows
    while isinstance(level, list) and len(shape) <= MAX_RANK:
        shape.append(len(level))
        level = level[0] if level else None
    return shape


def _image_of(example: object, number: int) -> bytes:
    """Return the only image among an example's features; a feature may be a list of one."""
    features = list(example.values()) if isinstance(example, dict) else []
    bare = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in features]
    images = [one for one in bare if isinstance(one, dict)]
    if len(images) != 1:
        raise InvalidRequest(f'Image {number}: an example needs one feature {{"{B64}": ...}}.')
    return _image(images[0], number)


def _image(value: dict[str, Any], number: int) -> bytes:
    text = value.get(B64)
    if not isinstance(text, str) or len(value) != 1:
        raise InvalidRequest(f'Image {number}: it must be {{"{B64}": "<base64>"}}.')
    try:
        return decoded(text)
    except ValueError as error:
        raise InvalidRequest(f"Image {number}: {error}.") from None


def _check_count(count: int, most: int) -> None:
    """Check the number of items before processing them."""
    if not 1 <= count <= most:
        message = f"1 to {most} items are taken in one request, not {count}."
        raise InvalidTensor(message)
