"""How a service is declared: its methods, who may call each, and what runs."""

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
"""In place of a scope: no token is needed."""
SMALL_BYTES = 2**16
"""Of messages that name things and hold no data."""
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Unary:
    """A method of one message and one answer.

    Attributes:
        max_bytes: of the message.
        check: looks at the message before it is parsed, and returns about how many bytes it takes
            then; may raise ``InvalidRequest`` or ``PayloadTooLarge``.
    """

    scope: Scope | None
    run: Callable[[Any, Call], Awaitable[Message]]
    max_bytes: int = SMALL_BYTES
    check: Callable[[bytes], int] = len


@dataclass(frozen=True, slots=True)
class Stream:
    """A method that writes its answers itself, one or many."""

    scope: Scope | None
    run: Callable[[Messages, Call], Awaitable[None]]
    max_bytes: int = SMALL_BYTES
    check: Callable[[bytes], int] = len


Method = Unary | Stream
Service = tuple[ServiceDescriptor, Mapping[str, Method]]


def paths(service: Service) -> Iterator[tuple[str, Method, type[Message]]]:
    """(``/package.Service/Method``, the method, the type of its messages), each one declared.

    Raises:
        LookupError: one of the descriptor's has nothing that runs, or the other way round.
    """
    descriptor, methods = service
    if set(methods) != set(descriptor.methods_by_name):
        raise LookupError(f"{descriptor.full_name}: {sorted(methods)}")
    for name, method in methods.items():
        declared = descriptor.methods_by_name[name]
        yield f"/{descriptor.full_name}/{name}", method, GetMessageClass(declared.input_type)


def parsed(kind: type[M], data: bytes) -> M:
    """The message in so many bytes.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidRequest("The message is no " + kind.DESCRIPTOR.full_name + ".") from None
