"""Convert ``ModelInferRequest`` to the core's request, and its answer to ``ModelInferResponse``.

Requests may have raw or typed contents. Responses have raw ones: clients read only these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from schemas.errors import InvalidRequest, InvalidTensor
from schemas.http.inference import Datatype
from schemas.pb import open_inference_pb2 as pb
from service.core.scheduling.priority import Priority
from service.core.tensors.inference import MAX_TENSORS, InferRequest, InferResponse
from service.core.tensors.tensors import (
    DTYPES,
    RAW_ONLY,
    Tensor,
    datatype_named,
    from_raw,
    from_values,
    shown,
    to_raw,
)
from service.transport.open_inference.inference_parameters import (
    Parameters,
    RequestedOutput,
    refuse_long_id,
    refuse_shared_memory,
    requested_output,
    schedule_of,
    version_named,
)

_FIELDS: dict[Datatype, str] = {
    Datatype.BOOL: "bool_contents",
    Datatype.INT8: "int_contents",
    Datatype.INT16: "int_contents",
    Datatype.INT32: "int_contents",
    Datatype.INT64: "int64_contents",
    Datatype.UINT8: "uint_contents",
    Datatype.UINT16: "uint_contents",
    Datatype.UINT32: "uint_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}
"""Field of typed contents by datatype."""


@dataclass(frozen=True, slots=True)
class ParsedInfer:
    """A request, the model that it names, and its schedule.

    ``timeout``: seconds; None if neither the message nor the call has one.
    """

    model: str
    version: int | str | None
    request: InferRequest
    priority: Priority
    timeout: float | None
    outputs: tuple[RequestedOutput, ...]


def read(message: pb.ModelInferRequest, timeout: float | None) -> ParsedInfer:
    """Convert a message to a request.

    Args:
        timeout: seconds that the caller waits; None if it set no deadline.

    Raises:
        InvalidRequest: the message breaks the protocol.
        ModelNotFound: the version cannot exist.
        InvalidTensor: tensors and their contents do not match.
        Unsupported: the request needs an unsupported extension.
    """
    refuse_long_id(message.id)
    if max(len(message.inputs), len(message.outputs)) > MAX_TENSORS:
        raise InvalidRequest(f"There are more than {MAX_TENSORS} tensors.")
    priority, wanted = schedule_of(parameters(message.parameters))
    version = version_named(message.model_version) if message.model_version else None
    inputs = tuple(_inputs(message))
    outputs = tuple(
        requested_output(one.name, parameters(one.parameters)) for one in message.outputs
    )
    return ParsedInfer(
        message.model_name,
        version,
        InferRequest(inputs, tuple(one.name for one in outputs), id=message.id),
        priority,
        min((one for one in (wanted, timeout) if one is not None), default=None),
        outputs,
    )


def write(response: InferResponse) -> pb.ModelInferResponse:
    """Convert an answer to a message."""
    return pb.ModelInferResponse(
        model_name=response.model.name,
        model_version=str(response.model.version),
        id=response.id,
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(
                name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
            )
            for tensor in response.outputs
        ],
        raw_output_contents=[to_raw(tensor) for tensor in response.outputs],
    )


def parameters(given: Mapping[str, pb.InferParameter]) -> Parameters:
    """Return the parameters of a request or a tensor; empty ones are left out."""
    found = {}
    for name, parameter in given.items():
        if choice := parameter.WhichOneof("parameter_choice"):
            found[name] = getattr(parameter, choice)
    return found


def _inputs(message: pb.ModelInferRequest) -> Iterator[Tensor]:
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidTensor(
            f"There are {len(message.inputs)} inputs and {len(raw)} raw_input_contents."
        )
    for place, one in enumerate(message.inputs):
        refuse_shared_memory(parameters(one.parameters))
        datatype = datatype_named(one.datatype)
        if not raw:
            yield _typed(one, datatype)
        elif one.contents.ListFields():
            raise InvalidTensor(f"The input {shown(one.name)} has both raw and typed contents.")
        else:
            yield from_raw(one.name, datatype, one.shape, raw[place])


def _typed(one: pb.ModelInferRequest.InferInputTensor, datatype: Datatype) -> Tensor:
    """Build a tensor from typed contents, without a Python object for each number."""
    if datatype in RAW_ONLY:
        message = f"{datatype} has no typed contents: send {shown(one.name)} in raw_input_contents."
        raise InvalidTensor(message)
    name = _FIELDS[datatype]
    if any(field.name != name for field, _ in one.contents.ListFields()):
        raise InvalidTensor(f"The values of {datatype} for {shown(one.name)} go into {name}.")
    values = getattr(one.contents, name)
    if datatype is Datatype.BYTES:
        return from_values(one.name, datatype, one.shape, list(values))
    found, dtype = np.array(values), DTYPES[datatype]
    if found.size and dtype.itemsize < found.itemsize:
        limits = np.iinfo(dtype)
        if found.min() < limits.min or found.max() > limits.max:
            raise InvalidTensor(
                f"The input {shown(one.name)} has values that {datatype} cannot hold."
            )
    return from_raw(one.name, datatype, one.shape, found.astype(dtype, copy=False).tobytes())
