"""Many requests over one stream, answered in their order; and ``ModelStreamInfer``.

An error in one request is sent as its answer, and the stream continues. The stream ends when the
caller's access has ended, or the server stops; requests already read are answered first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import Message

from schemas.errors import InsufficientScope, NotReady, ServiceError, Unauthenticated
from schemas.pb import open_inference_pb2 as pb
from service.transport.grpc.call import Call
from service.transport.grpc.errors import CODE_KEY, Faults, error_message
from service.transport.grpc.methods import parsed
from service.transport.grpc.reading import Messages
from service.transport.inference_parameters import MAX_ID_CHARS

IN_FLIGHT = 8
"""Requests of one stream in progress at a time; the next is read once one was answered."""
_ASKS_FOR_FINAL = "triton_enable_empty_final_response"
_IS_FINAL = "triton_final_response"

Infer = Callable[[pb.ModelInferRequest, Call], Awaitable[pb.ModelInferResponse]]
Work = Coroutine[object, object, Message]
Answers = asyncio.Queue["asyncio.Task[Message] | None"]


class Answering(Protocol):
    """How one request of a stream is answered. Neither coroutine raises a ``ServiceError``."""

    def answered(self, data: bytes, messages: Messages, call: Call) -> Work:
        """Answer a request: its own errors are its answer."""
        ...

    def refused(self, error: ServiceError, call: Call) -> Work:
        """Answer a request that could not be read."""
        ...


async def answer_in_order(messages: Messages, call: Call, answering: Answering) -> None:
    """Serve one stream to its end; a caller that reads no answers is not read from."""
    answers: Answers = asyncio.Queue()
    slots = asyncio.Semaphore(IN_FLIGHT)
    reading = asyncio.create_task(_read(messages, call, answering, answers, slots))
    answer = None
    try:
        while (answer := await answers.get()) is not None:
            await call.write(await answer)
            slots.release()
        await reading
    finally:
        # If the caller has disconnected, the remaining answers are not needed.
        reading.cancel()
        while not answers.empty():
            if (left := answers.get_nowait()) is not None:
                left.cancel()


async def _read(
    messages: Messages,
    call: Call,
    answering: Answering,
    answers: Answers,
    slots: asyncio.Semaphore,
) -> None:
    """Read requests to the end of the stream; put None after the last answer."""
    try:
        while True:
            await slots.acquire()
            try:
                data = await messages.next()
            except (Unauthenticated, InsufficientScope, NotReady):
                raise
            except ServiceError as error:
                work = answering.refused(error, call)
            else:
                if data is None:
                    return
                work = answering.answered(data, messages, call)
            answers.put_nowait(asyncio.create_task(work))
    finally:
        answers.put_nowait(None)


@dataclass(frozen=True, slots=True)
class InferStream:
    """Implementation of ``ModelStreamInfer``. ``infer`` answers one request."""

    infer: Infer
    faults: Faults

    async def __call__(self, messages: Messages, call: Call) -> None:
        """Serve one stream to its end."""
        await answer_in_order(messages, call, self)

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
