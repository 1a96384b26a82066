"""Requests, responses and parameters of tensor inference.

The Open Inference Protocol as plain data, which HTTP and gRPC encode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.errors import InvalidRequest, InvalidTensor, ModelNotFound, Unsupported
from service.core.imaging.answer import ModelRef
from service.core.scheduling.fair_queue import Priority
from service.core.tensors.tensors import Tensor, shown

Parameter = bool | int | float | str
Parameters = Mapping[str, Parameter]

MAX_TIMEOUT = 600.0
"""Seconds; longer time-outs are cut to it."""
MAX_TENSORS = 64
"""Most inputs, and most outputs, that one request may name."""
MAX_ID_CHARS = 4096
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")
_SHARED_MEMORY = "shared_memory_region"


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """A requested output: the tensor itself, or (``classes`` > 0) that many best classes."""

    name: str
    classes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class InferRequest:
    """The content of one inference request.

    Attributes:
        outputs: in the order requested; if empty, all of them.
        raw: in place of ``inputs``, the only input's bytes: one item of the model's own shape, or
            one encoded image.
        id: chosen by the caller, echoed in the response.
    """

    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[RequestedOutput, ...] = ()
    raw: bytes | memoryview | None = None
    id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class InferResponse:
    """One inference response; ``outputs`` in the order requested."""

    model: ModelRef
    outputs: tuple[Tensor, ...]
    id: str = ""


def schedule_of(parameters: Parameters) -> tuple[Priority, float | None]:
    """Return the priority and time-out (seconds) of a request (schedule policy extension).

    ``priority`` 1 is the highest; 0, or absent, is the default; all others are bulk work.
    ``timeout`` is in microseconds.

    Raises:
        InvalidTensor: one of them is not a non-negative integer.
        Unsupported: the parameters belong to an extension that is not offered.
    """
    for name in _SEQUENCE:
        if parameters.get(name):
            raise Unsupported("Sequences of requests are not supported: no model here has a state.")
    level = _whole("priority", parameters)
    microseconds = _whole("timeout", parameters)
    priority = {0: Priority.NORMAL, 1: Priority.INTERACTIVE}.get(level, Priority.BULK)
    return priority, min(microseconds / 1e6, MAX_TIMEOUT) if microseconds else None


def requested_output(name: str, parameters: Parameters) -> RequestedOutput:
    """Build the request for one output (``classification``: the classification extension).

    Raises:
        InvalidTensor: ``classification`` is not a non-negative integer.
        Unsupported: the parameters belong to an extension that is not offered.
    """
    refuse_shared_memory(parameters)
    return RequestedOutput(name, _whole("classification", parameters))


def version_named(text: str) -> int:
    """Parse a version number that a caller sent as a string.

    Raises:
        ModelNotFound: it is not a number, so no such version exists.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ModelNotFound
    return int(text)


def refuse_long_id(text: str) -> None:
    """Raise ``InvalidRequest`` if an id, which is echoed, is too long."""
    if len(text) > MAX_ID_CHARS:
        raise InvalidRequest(f"The id has more than {MAX_ID_CHARS} characters.")


def refuse_upload(parameters: Iterable[str]) -> None:
    """Refuse parameters that upload a model or its configuration with a load or unload request.

    Models come only from the repository, and run with the settings of the server.

    Raises:
        Unsupported: the request carries a configuration or files.
    """
    for name in parameters:
        if name != "unload_dependents":
            raise Unsupported(f"The parameter {shown(name)} is not supported.")


def refuse_shared_memory(parameters: Parameters) -> None:
    """Raise ``Unsupported`` if a tensor's parameters refer to shared memory."""
    if _SHARED_MEMORY in parameters:
        raise Unsupported("Tensors in shared memory are not supported.")


def check_names(kind: str, names: Sequence[str]) -> None:
    """Raise ``InvalidTensor`` if there are too many names, or a name is repeated."""
    if len(names) > MAX_TENSORS:
        raise InvalidTensor(f"There are more than {MAX_TENSORS} {kind}s.")
    for name in names:
        if names.count(name) > 1:
            raise InvalidTensor(f"The {kind} {shown(name)} is given more than once.")


def _whole(name: str, parameters: Parameters) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidTensor(f"The parameter '{name}' must be a whole number from 0 on.")
    return value
