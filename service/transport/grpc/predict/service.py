"""``potoo.v1.ModelService``: an encoded image, or texts, in; probabilities and names out."""

from __future__ import annotations

from functools import partial

from auth.principal import Scope
from schemas.classify import DEFAULT_TOP_K, MAX_TOP_K
from schemas.errors import InvalidParameter, Violation
from schemas.pb import potoo_pb2 as pb
from service.runtime.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call
from service.transport.grpc.messages import summary_message
from service.transport.grpc.methods import SMALL_BYTES, Service, Unary
from service.transport.grpc.predict.text import TextMethods
from service.transport.grpc.shape import MessageShape, estimate_parsed_bytes
from service.transport.grpc.tickets import ticket_of

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ModelService"]
TEXTS = MessageShape(name="potoo.v1 request")
"""Messages that hold texts and little else."""


class ModelService:
    """Adapter from protocol messages to the core."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits
        self._texts = TextMethods(runtime, limits)

    @property
    def registration(self) -> Service:
        """Descriptor and methods of the service."""
        max_bytes = self._limits.max_body_bytes + SMALL_BYTES
        check = partial(estimate_parsed_bytes, max_typed=max_bytes, shape=TEXTS)
        return DESCRIPTOR, {
            "Predict": Unary(Scope.CLASSIFY, self.predict, max_bytes),
            "ClassifyText": Unary(Scope.CLASSIFY, self._texts.classify, max_bytes, check),
            "Embed": Unary(Scope.CLASSIFY, self._texts.embed, max_bytes, check),
        }

    async def predict(self, request: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        """Classify one encoded image."""
        classifier = self._runtime.classifier
        top_k = request.top_k if request.HasField("top_k") else DEFAULT_TOP_K
        if not 1 <= top_k <= MAX_TOP_K:
            fault = Violation("/top_k", f"it must be 1 to {MAX_TOP_K}")
            raise InvalidParameter(violations=(fault,))
        ticket = ticket_of(self._runtime, call, request.model or None)
        ref, answer = await classifier.classify(request.image_data, ticket, top_k=top_k)
        return pb.PredictResponse(
            probabilities=[one.score for one in answer.predictions],
            class_names=[one.label for one in answer.predictions],
            model_name=ref.name,
            model_version=ref.version,
            abstained=answer.abstained,
            summary=summary_message(answer.summary),
            labels_present=answer.labels_present or (),
            calibrated=answer.calibrated,
        )
