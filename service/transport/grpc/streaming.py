"""Many requests over one stream, answered in their order; and ``ModelStreamInfer``.

An error in one request is sent as its answer, and the stream continues. The stream ends when the
caller's access has ended, or the server stops; requests already read are answered first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from schemas.errors import InsufficientScope, NotReady, ServiceError, Unauthenticated
from schemas.pb import open_inference_pb2 as pb
from service.transport.grpc.call import Call
from service.transport.grpc.errors import CODE_KEY, Faults, error_message
from service.transport.grpc.methods import parsed
from service.transport.grpc.reading import Messages
from service.transport.in_order import answer_in_order
from service.transport.open_inference.inference_parameters import MAX_ID_CHARS

IN_FLIGHT = 8
"""Requests of one stream in progress at a time; the next is read once one was answered."""
_ASKS_FOR_FINAL = "triton_enable_empty_final_response"
_IS_FINAL = "triton_final_response"

Infer = Callable[[pb.ModelInferRequest, Call], Awaitable[pb.ModelInferResponse]]
Work = Coroutine[Any, Any, Message]


class Answering(Protocol):
    """How one request of a stream is answered. Errors of a request are its answer."""

    def answered(self, data: bytes, messages: Messages, call: Call) -> Work:
        """Answer a request: its own errors are its answer."""
        ...

    def refused(self, error: ServiceError, call: Call) -> Work:
        """Answer a request that could not be read."""
        ...


async def answer_stream(messages: Messages, call: Call, answering: Answering) -> None:
    """Serve one stream to its end; a caller that reads no answers is not read from."""

    async def read() -> Work | None:
        try:
            data = await messages.next()
        except (Unauthenticated, InsufficientScope, NotReady):
            raise
        except ServiceError as error:
            return answering.refused(error, call)
        return None if data is None else answering.answered(data, messages, call)

    await answer_in_order(read, call.write, IN_FLIGHT)


@dataclass(frozen=True, slots=True)
class InferStream:
    """Implementation of ``ModelStreamInfer``. ``infer`` answers one request."""

    infer: Infer
    faults: Faults

    async def __call__(self, messages: Messages, call: Call) -> None:
        """Serve one stream to its end."""
        await answer_stream(messages, call, self)

    async def answered(
        self, data: bytes, messages: Messages, call: Call
    ) -> pb.ModelStreamInferResponse:
        """Answer one request."""
        response = pb.ModelInferResponse()
        try:
            with messages.held(data):
                request = parsed(pb.ModelInferRequest, data)
                del data
                response.id = request.id[:MAX_ID_CHARS]
                wants_final = request.parameters[_ASKS_FOR_FINAL].bool_param
                response = await self.infer(request, call)
        except Exception as error:  # noqa: BLE001 - it belongs to this request alone
            return self._error_response(error, response, call)
        if wants_final:  # each request has one answer
            response.parameters[_IS_FINAL].bool_param = True
        return pb.ModelStreamInferResponse(infer_response=response)

    async def refused(self, error: ServiceError, call: Call) -> pb.ModelStreamInferResponse:
        """Answer a request that could not be read."""
        return self._error_response(error, pb.ModelInferResponse(), call)

    def _error_response(
        self, error: Exception, response: pb.ModelInferResponse, call: Call
    ) -> pb.ModelStreamInferResponse:
        fault = self.faults.to_service_error(error, call.request_id)
        response.parameters[CODE_KEY].string_param = fault.code
        return pb.ModelStreamInferResponse(
            error_message=error_message(fault), infer_response=response
        )
