"""``grpc.health.v1.Health``, which follows readiness, and server reflection.

The messages are those of grpcio-health-checking. Its servicer is not used: its watches never end,
so they would delay every stop of the server by the whole drain time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from grpc_health.v1 import health_pb2 as pb
from grpc_reflection.v1alpha import reflection, reflection_pb2

from schemas.errors import NotFound, NotReady
from service.transport.grpc.call import Call
from service.transport.grpc.methods import OPEN, Service, Stream, Unary, parsed
from service.transport.grpc.reading import Messages

INTERVAL_SECONDS = 1.0
_Status = pb.HealthCheckResponse
REFLECTION = "/grpc.reflection.{}.ServerReflection/ServerReflectionInfo"
"""Path by version: v1 has the same messages as v1alpha."""
ALSO_SERVED = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")


class Health:
    """The status of our services, and of the server as a whole under the name ``""``."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {"", *names}
        self._is_ready = self._is_over = False
        self._changed = asyncio.Event()

    @property
    def registration(self) -> Service:
        """Descriptor and methods of the service."""
        descriptor = pb.DESCRIPTOR.services_by_name["Health"]
        return descriptor, {
            "Check": Unary(OPEN, self.check),
            "List": Unary(OPEN, self.list),
            "Watch": Stream(OPEN, self.watch),
        }

    async def follow(self, is_ready: Callable[[], bool]) -> None:
        """Update the status every ``INTERVAL_SECONDS``, until cancelled."""
        while True:
            self.set(is_ready=is_ready())
            await asyncio.sleep(INTERVAL_SECONDS)

    def set(self, *, is_ready: bool) -> None:
        """Set the status of all services."""
        self._is_ready = is_ready
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def stop(self) -> None:
        """Set the status to not serving for good; watches are notified and ended."""
        self._is_over = True
        self.set(is_ready=False)

    async def check(self, request: pb.HealthCheckRequest, _: Call) -> pb.HealthCheckResponse:
        """Return the status of one service."""
        if request.service not in self._names:
            raise NotFound("There is no service of that name.")
        return _Status(status=self._status(request.service))

    async def list(self, _: pb.HealthListRequest, __: Call) -> pb.HealthListResponse:
        """Return the status of every service."""
        found = {name: _Status(status=self._status(name)) for name in self._names}
        return pb.HealthListResponse(statuses=found)

    async def watch(self, messages: Messages, call: Call) -> None:
        """Send the status of one service, now and at each change."""
        service = parsed(pb.HealthCheckRequest, await messages.only()).service
        last = None
        while True:
            changed, status = self._changed, self._status(service)
            if status != last:
                await call.write(_Status(status=status))
                last = status
            if self._is_over:
                raise NotReady("The server is being stopped.")
            await changed.wait()

    def _status(self, service: str) -> pb.HealthCheckResponse.ServingStatus:
        if service not in self._names:
            return _Status.SERVICE_UNKNOWN
        return _Status.SERVING if self._is_ready else _Status.NOT_SERVING


class Reflection:
    """Server reflection for tools such as grpcurl."""

    def __init__(self, names: Iterable[str]) -> None:
        self._servicer = reflection.aio.ReflectionServicer(names)

    @property
    def registration(self) -> Service:
        """Descriptor and method of the service."""
        descriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
        return descriptor, {"ServerReflectionInfo": Stream(OPEN, self.info)}

    async def info(self, messages: Messages, call: Call) -> None:
        """Answer every message of the stream."""

        async def requests() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
            while (data := await messages.next()) is not None:
                with messages.held(data):
                    yield parsed(reflection_pb2.ServerReflectionRequest, data)

        async for answer in self._servicer.ServerReflectionInfo(requests(), None):
            await call.write(answer)
