"""Bodies of ``infer``: JSON, and binary tensors after it (the binary tensor extension).

Sans-I/O: bytes to ``InferRequest``, ``InferResponse`` to bytes. A body is JSON, or, with the header
``Inference-Header-Content-Length``, that number of bytes of JSON followed by the binary tensors in
the order of ``inputs``. With a length of 0 there is no JSON: the body is the input of one item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import orjson

from schemas.errors import InvalidRequest, InvalidTensor
from schemas.http.inference import Datatype
from service.core.scheduling.priority import Priority
from service.core.tensors.inference import (
    MAX_TENSORS,
    InferRequest,
    InferResponse,
)
from service.core.tensors.tensors import (
    Tensor,
    datatype_named,
    from_raw,
    from_values,
    shown,
    to_raw,
)
from service.transport.http.body.json_text import without_mark
from service.transport.open_inference.inference_parameters import (
    Parameters,
    RequestedOutput,
    refuse_long_id,
    refuse_shared_memory,
    requested_output,
    schedule_of,
)

HEADER = "inference-header-content-length"
SIZE = "binary_data_size"
Body = bytes | bytearray


@dataclass(frozen=True, slots=True)
class ParsedInfer:
    """A request, its schedule, and the format of its response.

    Attributes:
        timeout: seconds; None if the request has none.
        binary: whether an output is requested as bytes, by its name.
        is_binary: the same for outputs without this parameter.
    """

    request: InferRequest
    priority: Priority = Priority.NORMAL
    timeout: float | None = None
    outputs: tuple[RequestedOutput, ...] = ()
    is_binary: bool = False
    binary: Mapping[str, bool] = field(default_factory=dict)


def header_length(values: Sequence[bytes]) -> int | None:
    """Parse the header ``Inference-Header-Content-Length``; None if absent.

    Raises:
        InvalidRequest: the header is not a number, or is repeated.
    """
    if not values:
        return None
    if len(values) > 1 or not values[0].isdigit() or len(values[0]) > 18:
        raise InvalidRequest("The header Inference-Header-Content-Length must be one whole number.")
    return int(values[0])


def read(body: Body, length: int | None) -> ParsedInfer:
    """The request in a body.

    Args:
        body: decompressed body.
        length: see ``header_length``.

    Raises:
        InvalidRequest: the body does not follow the protocol.
        InvalidTensor: tensors and their bytes do not match.
        Unsupported: the request needs an unsupported extension.
    """
    view = memoryview(body)
    if length == 0:
        return ParsedInfer(InferRequest(raw=view), is_binary=True)
    if length is not None and length > len(body):
        raise InvalidRequest(
            f"The header Inference-Header-Content-Length says {length}, but the body has "
            f"{len(body)} bytes (uncompressed). Was the header meant for another request?"
        )
    document = _json(view[:length] if length is not None else view)
    parameters = _parameters(document, "the request")
    priority, timeout = schedule_of(parameters)
    named = [
        (_text(output, "name", "an output"), _parameters(output, "an output"))
        for output in _objects(document, "outputs", required=False)
    ]
    inputs = tuple(_inputs(document, view[length:] if length is not None else view[:0]))
    outputs = tuple(requested_output(name, given) for name, given in named)
    request = InferRequest(inputs, tuple(name for name, _ in named), id=_id(document))
    binary = {name: _flag(given, "binary_data") for name, given in named if "binary_data" in given}
    is_binary = _flag(parameters, "binary_data_output")
    return ParsedInfer(request, priority, timeout, outputs, is_binary, binary)


def write(response: InferResponse, asked: ParsedInfer) -> tuple[bytes, dict[str, str]]:
    """Write the body and the headers of a response.

    Raises:
        InvalidTensor: an output is requested as JSON and has a number that is not finite.
    """
    outputs, blobs = [], []
    for tensor in response.outputs:
        output: dict[str, object] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
        }
        if asked.binary.get(tensor.name, asked.is_binary):
            blobs.append(to_raw(tensor))
            output["parameters"] = {SIZE: len(blobs[-1])}
        else:
            output["data"] = _values(tensor)
        outputs.append(output)
    document: dict[str, object] = {
        "model_name": response.model.name,
        "model_version": str(response.model.version),
        "outputs": outputs,
    }
    if response.id:
        document["id"] = response.id
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not blobs:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join((head, *blobs)), headers


def _json(data: memoryview) -> dict[str, Any]:
    data = without_mark(data)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python clients write NaN and Infinity, which only Python's own (slow) parser accepts.
        text = bytes(data)
        if b"NaN" not in text and b"Infinity" not in text:
            _refuse_json()
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            _refuse_json()
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return document


def _refuse_json() -> NoReturn:
    raise InvalidRequest(
        "The body is not JSON. Binary tensors behind it need the header "
        "Inference-Header-Content-Length."
    ) from None


def _inputs(document: dict[str, Any], blob: memoryview) -> Iterator[Tensor]:
    position = 0
    for one in _objects(document, "inputs", required=True):
        name = _text(one, "name", "an input")
        datatype = datatype_named(one.get("datatype"))
        shape, values = one.get("shape"), one.get("data")
        parameters = _parameters(one, f"the input {shown(name)}")
        refuse_shared_memory(parameters)
        if not isinstance(shape, list):
            raise InvalidTensor(f"The shape of the input {shown(name)} must be a list.")
        if SIZE in parameters:
            if values is not None:
                raise InvalidTensor(f"The input {shown(name)} has both data and {SIZE}.")
            size = parameters[SIZE]
            if type(size) is not int or not 0 <= size <= len(blob) - position:
                raise InvalidTensor(
                    f"The {SIZE} of the input {shown(name)} must be a number of bytes that follow "
                    f"the JSON; {len(blob) - position} are left."
                )
            yield from_raw(name, datatype, shape, blob[position : position + size])
            position += size
        elif isinstance(values, list):
            yield from_values(name, datatype, shape, values)
        else:
            raise InvalidTensor(
                f"The input {shown(name)} needs a list of data, or {SIZE} and the header "
                "Inference-Header-Content-Length."
            )
    if position != len(blob):
        raise InvalidTensor(f"{len(blob) - position} bytes of the body belong to no input.")


def _id(document: dict[str, Any]) -> str:
    if document.get("id") is None:
        return ""
    found = _text(document, "id", "the request")
    refuse_long_id(found)
    return found


def _objects(document: dict[str, Any], key: str, *, required: bool) -> list[dict[str, Any]]:
    found = document.get(key)
    if found is None and not required:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidRequest(f"'{key}' must be a list of objects.")
    if len(found) > MAX_TENSORS:
        raise InvalidRequest(f"'{key}' has more than {MAX_TENSORS} tensors.")
    return found


def _parameters(document: dict[str, Any], where: str) -> Parameters:
    found = document.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(
        isinstance(value, bool | int | float | str) for value in found.values()
    ):
        message = f"The parameters of {where} must be an object of strings, numbers and booleans."
        raise InvalidRequest(message)
    return found


def _text(document: dict[str, Any], key: str, where: str) -> str:
    found = document.get(key)
    try:
        if isinstance(found, str) and found.encode():
            return found
        if found == "" and key == "id":
            return ""
    except UnicodeEncodeError:  # a lone surrogate, which only Python's own parser accepts
        pass
    raise InvalidRequest(f"The {key} of {where} must be a string.")


def _flag(parameters: Parameters, name: str) -> bool:
    found = parameters.get(name, False)
    if not isinstance(found, bool):
        raise InvalidRequest(f"The parameter '{name}' must be true or false.")
    return found


def _values(tensor: Tensor) -> object:
    """Return the values of an output as a flat list."""
    if tensor.datatype is Datatype.BYTES:
        return [element.decode() for element in tensor.array.flat]
    if not np.isfinite(tensor.array).all():
        raise InvalidTensor(
            f"The output '{tensor.name}' has numbers that are not finite, which JSON cannot hold: "
            "ask for it as binary data (parameters.binary_data_output)."
        )
    return np.ascontiguousarray(tensor.array).ravel()
