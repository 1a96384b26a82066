"""Declaration of services: their methods, the scope of each, and its implementation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from auth.principal import Scope
from schemas.errors import InvalidRequest
from service.transport.grpc.call import Call
from service.transport.grpc.reading import Messages

OPEN = None
"""Scope of methods that need no token."""
SMALL_BYTES = 2**16
"""Size limit of messages that hold names but no data."""
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Unary:
    """A method of one message and one answer.

    Attributes:
        max_bytes: limit of the message.
        check: inspects the message before it is parsed, and returns about how many bytes it takes
            once parsed; may raise ``InvalidRequest`` or ``PayloadTooLarge``.
    """

    scope: Scope | None
    run: Callable[[Any, Call], Awaitable[Message]]
    max_bytes: int = SMALL_BYTES
    check: Callable[[bytes], int] = len


@dataclass(frozen=True, slots=True)
class Stream:
    """A method that writes its own answers, one or many."""

    scope: Scope | None
    run: Callable[[Messages, Call], Awaitable[None]]
    max_bytes: int = SMALL_BYTES
    check: Callable[[bytes], int] = len


Method = Unary | Stream
Service = tuple[ServiceDescriptor, Mapping[str, Method]]


def paths(service: Service) -> Iterator[tuple[str, Method, type[Message]]]:
    """Yield (``/package.Service/Method``, method, type of its messages) for each method.

    Raises:
        LookupError: the methods are not those of the descriptor.
    """
    descriptor, methods = service
    if set(methods) != set(descriptor.methods_by_name):
        raise LookupError(f"{descriptor.full_name}: {sorted(methods)}")
    for name, method in methods.items():
        registration = descriptor.methods_by_name[name]
        yield f"/{descriptor.full_name}/{name}", method, GetMessageClass(registration.input_type)


def parsed(kind: type[M], data: bytes) -> M:
    """Parse bytes to a message.

    Raises:
        InvalidRequest: they are no such message.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise InvalidRequest(f"The message is not a valid {name}.") from None
