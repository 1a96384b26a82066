"""Entry point of every RPC: authorisation, metrics, access log and error mapping.

One handler serves all methods instead of gRPC's registration and interceptors. Those run a method
after its message was received and parsed; here the caller is known before a message is read, and
invalid bytes are the caller's fault (gRPC answers ``UNKNOWN`` with the name of an exception). On
the wire a unary method is a stream of one message, so clients see no difference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeAlias

import grpc
from google.protobuf.message import Message
from grpc import StatusCode
from grpc.aio import ServicerContext

from auth.principal import Scope
from observability.logs.logging import event_logger
from observability.metrics.metrics import GrpcSeries, Metrics
from observability.request import enter, leave, note_error
from observability.tracing.conventions import describe_rpc
from observability.tracing.span import Trace
from observability.tracing.tracing import Tracing
from schemas.errors import MethodNotAllowed, NotReady, Overloaded
from service.runtime.identity import Identity
from service.transport.grpc.call import Call
from service.transport.grpc.errors import STATUS, Faults, error_message, metadata
from service.transport.grpc.methods import OPEN, Method, Service, Stream, Unary, parsed, paths
from service.transport.grpc.reading import Messages, Reader
from service.transport.policy import authorize
from service.transport.proxies import TrustedProxies

UNMATCHED = "unmatched"
ANONYMOUS_STREAMS = 256
"""Limit of open streams without a token: health watches and reflection."""
Context = ServicerContext[bytes, bytes]
Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
Work = Callable[[Call], Awaitable[bytes]]


class RpcHandler(grpc.GenericRpcHandler):
    """Dispatcher that finds the method of an RPC and runs it."""

    def __init__(
        self,
        services: Iterable[Service],
        identity: Identity,
        reader: Reader,
        metrics: Metrics,
        faults: Faults,
        proxies: TrustedProxies | None,
        *,
        access_log: bool,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._identity, self._reader, self._metrics = identity, reader, metrics
        self._faults, self._proxies = faults, proxies
        self._anonymous = self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = event_logger("access", "rpc") if access_log else None
        self._handlers = {
            path: self._handler(path, method, kind)
            for service in services
            for path, method, kind in paths(service)
        }
        self._unmatched = self._handler(UNMATCHED, Stream(OPEN, _refuse), Message)

    def alias(self, path: str, other: str) -> None:
        """Serve the method of ``path`` at ``other`` too."""
        self._handlers[other] = self._handlers[path]

    async def idle(self) -> None:
        """Return once no method that needs a token is running."""
        await self._idle.wait()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """Return the handler of an RPC; gRPC calls this when only the metadata has arrived."""
        return self._handlers.get(handler_call_details.method, self._unmatched)

    def _handler(self, path: str, method: Method, kind: type[Message]) -> Handler:
        series = self._metrics.grpc(path.lstrip("/"))
        if isinstance(method, Unary):
            work: Work = partial(self._unary, method, kind)
        else:
            work = partial(self._stream, method)

        async def run(_: object, context: Context) -> bytes:
            return await self._run(path, series, method.scope, context, work)

        async def stream(_: object, context: Context) -> None:
            await run(_, context)

        if isinstance(method, Unary):
            return grpc.stream_unary_rpc_method_handler(run)
        return grpc.stream_stream_rpc_method_handler(stream)

    async def _run(
        self, path: str, series: GrpcSeries, scope: Scope | None, context: Context, work: Work
    ) -> bytes:
        """Run one RPC; metrics and the access log are updated on every outcome."""
        call, code = Call(context, self._proxies), StatusCode.OK
        trace = self._tracing.begin(call.traceparent) if self._tracing else None
        token = enter(call.request_id, trace)
        self._metrics.rpcs_in_flight.inc()
        try:
            answer = await (work(call) if scope is OPEN else self._behind(scope, call, work))
            context.set_trailing_metadata(call.metadata())
        except asyncio.CancelledError:
            # By the caller or at its deadline; queued work is dropped with it.
            code = StatusCode.DEADLINE_EXCEEDED if call.timeout == 0 else StatusCode.CANCELLED
            raise
        except grpc.aio.BaseError:
            code = StatusCode.CANCELLED  # the caller is gone
            return b""
        except Exception as error:  # noqa: BLE001 - no unexpected error may reach the caller
            fault = self._faults.to_service_error(error, call.request_id)
            code = STATUS[fault.code]
            note_error(fault.code)
            await context.abort(code, error_message(fault), (*call.metadata(), *metadata(fault)))
        else:
            return answer
        finally:
            self._metrics.rpcs_in_flight.dec()
            self._note(path, series, call, code, trace)
            leave(token)

    async def _behind(self, scope: Scope, call: Call, work: Work) -> bytes:
        """Run a method that needs a token; raise ``NotReady`` once the server is stopping."""
        if self._reader.stopping.is_set():
            raise NotReady("The server is being stopped.")
        self._running += 1
        self._idle.clear()
        try:
            await self._authorize(scope, call)
            return await work(call)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _authorize(self, scope: Scope, call: Call) -> None:
        await authorize(
            self._identity,
            scope,
            address=call.address,
            authorization=call.authorization,
            allowance=call.allowance,
            on_known=call.note,
        )

    async def _unary(self, method: Unary, kind: type[Message], call: Call) -> bytes:
        with self._reader.budget.hold() as hold:
            answer = await method.run(
                parsed(kind, await self._reader.only(call, hold, method.max_bytes, method.check)),
                call,
            )
            data = answer.SerializeToString()
        call.sent += len(data)
        return data

    async def _stream(self, method: Stream, call: Call) -> bytes:
        async def reauthorize() -> None:
            if method.scope is not OPEN:
                call.allowance.windows.clear()
                await self._authorize(method.scope, call)

        messages = Messages(call, self._reader, method.max_bytes, method.check, reauthorize)
        is_anonymous = method.scope is OPEN
        if is_anonymous and self._anonymous >= ANONYMOUS_STREAMS:
            raise Overloaded("Too many streams without a token are open.")
        self._anonymous += is_anonymous
        try:
            await method.run(messages, call)
        finally:
            self._anonymous -= is_anonymous
        return b""

    def _note(
        self, path: str, series: GrpcSeries, call: Call, code: StatusCode, trace: Trace | None
    ) -> None:
        seconds = time.perf_counter() - call.began
        series.requests(code.name).inc()
        series.duration.observe(seconds, trace.exemplar if trace else None)
        if self._log:
            self._log(
                rpc=path,
                code=code.name,
                ms=round(seconds * 1000, 2),
                received=call.received,
                sent=call.sent,
                client=call.address or None,
                principal=call.name,
                request_id=call.request_id,
            )
        if self._tracing and trace and trace.is_sampled:
            number: int = code.value[0]
            address, request_id = call.address or None, call.request_id
            describe_rpc(trace, path=path, code=number, address=address, request_id=request_id)
            self._tracing.end(trace)


async def _refuse(_: Messages, __: Call) -> None:
    raise MethodNotAllowed("There is no method of that name.")
