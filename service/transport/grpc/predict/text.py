"""``ModelService.ClassifyText`` and ``ModelService.Embed``."""

from __future__ import annotations

import asyncio

from schemas.classify import DEFAULT_TOP_K, MAX_TOP_K
from schemas.errors import InvalidParameter, PayloadTooLarge, ServiceError, Violation
from schemas.pb import potoo_pb2 as pb
from service.core.imaging.answer import LabelledAnswer
from service.core.serving.ticket import Ticket
from service.runtime.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call
from service.transport.grpc.messages import summary_message
from service.transport.grpc.preprocess.items import item_error
from service.transport.grpc.tickets import ticket_of

# Several texts take part of the queue at a time, so that other callers get their turn.
TEXTS_AT_A_TIME = 32


class TextMethods:
    """Implementation of the methods of text models."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def classify(
        self, request: pb.ClassifyTextRequest, call: Call
    ) -> pb.ClassifyTextResponse:
        """Classify texts; an error of one is its result."""
        top_k = request.top_k if request.HasField("top_k") else DEFAULT_TOP_K
        if not 1 <= top_k <= MAX_TOP_K:
            fault = Violation("/top_k", f"it must be 1 to {MAX_TOP_K}")
            raise InvalidParameter(violations=(fault,))
        texts = self._texts(request)
        ticket = ticket_of(self._runtime, call, request.model or None)
        with self._runtime.classifier.lease(ticket) as leased:
            turn, deadline = asyncio.Semaphore(TEXTS_AT_A_TIME), leased.deadline()
            results = await asyncio.gather(
                *(self._result(text, leased, top_k, turn, deadline) for text in texts)
            )
        model = leased.model
        return pb.ClassifyTextResponse(
            results=results,
            model_name=model.ref.name,
            model_version=model.ref.version,
            calibrated=model.manifest.calibration is not None,
        )

    async def embed(self, request: pb.EmbedRequest, call: Call) -> pb.EmbedResponse:
        """Turn texts into vectors."""
        texts = self._texts(request)
        ticket = ticket_of(self._runtime, call, request.model or None)
        ref, vectors_ND = await self._runtime.classifier.embed(texts, ticket)
        tensor = pb.Tensor(
            datatype="FP32",
            shape=vectors_ND.shape,
            data=vectors_ND.astype("<f4", copy=False).tobytes(),
        )
        return pb.EmbedResponse(vectors=tensor, model_name=ref.name, model_version=ref.version)

    def _texts(self, request: pb.ClassifyTextRequest | pb.EmbedRequest) -> list[str]:
        """Return the texts of a request.

        Raises:
            InvalidParameter: there is none.
            PayloadTooLarge: there are too many.
        """
        texts, most = list(request.texts), self._runtime.preprocessing.settings.max_texts
        if not texts:
            raise InvalidParameter(violations=(Violation("/texts", "Field required"),))
        if len(texts) > most:
            message = f"At most {most} texts are taken in one request, not {len(texts)}."
            raise PayloadTooLarge(message)
        return texts

    async def _result(
        self, text: str, ticket: Ticket, top_k: int, turn: asyncio.Semaphore, deadline: float
    ) -> pb.TextResult:
        async with turn:
            try:
                _, answer = await self._runtime.classifier.classify_text(
                    text, ticket, top_k=top_k, deadline=deadline
                )
            except ServiceError as error:
                return pb.TextResult(error=item_error(error))
        return _message(answer)


def _message(answer: LabelledAnswer) -> pb.TextResult:
    return pb.TextResult(
        probabilities=[one.score for one in answer.predictions],
        class_names=[one.label for one in answer.predictions],
        abstained=answer.abstained,
        summary=summary_message(answer.summary),
        labels_present=answer.labels_present or (),
    )
