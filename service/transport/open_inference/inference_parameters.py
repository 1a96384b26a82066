"""Parameters and extensions of the Open Inference Protocol, for HTTP and gRPC."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.classify import LABEL_PATTERN
from schemas.errors import InvalidRequest, InvalidTensor, ModelNotFound, Unsupported
from service.core.scheduling.priority import Priority
from service.core.tensors.tensors import shown

Parameter = bool | int | float | str
Parameters = Mapping[str, Parameter]

SERVER = "potoo"
"""Name of the server in its metadata."""
EXTENSIONS = (
    *("binary_tensor_data", "classification", "model_configuration"),
    *("model_repository", "parameters", "schedule_policy", "statistics"),
)
"""The supported protocol extensions."""
MAX_TIMEOUT = 600.0
"""Seconds; longer time-outs are reduced to it."""
MAX_ID_CHARS = 4096
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")
_SHARED_MEMORY = "shared_memory_region"


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """A requested output: the tensor itself, or (``classes`` > 0) that many best classes."""

    name: str
    classes: int = 0


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


def version_named(text: str) -> int | str:
    """Parse a version, a number or a label, that a caller sent as a string.

    Raises:
        ModelNotFound: it is neither, so no such version exists.
    """
    if re.fullmatch(LABEL_PATTERN, text):
        return text
    return version_number(text)


def version_number(text: str) -> int:
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


def _whole(name: str, parameters: Parameters) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidTensor(f"The parameter '{name}' must be a whole number from 0 on.")
    return value
