"""``potoo.v1.ModelService``: an encoded image in, probabilities and names out."""

from __future__ import annotations

from auth.principal import Scope
from schemas.classify import DEFAULT_TOP_K, MAX_TOP_K
from schemas.errors import InvalidParameter, Violation
from schemas.pb import potoo_pb2 as pb
from service.core.imaging.answer import Summary
from service.core.scheduling.call_context import CallContext
from service.runtime import Runtime
from service.settings import LimitSettings
from service.transport.admission import issue_ticket
from service.transport.grpc.call import Call
from service.transport.grpc.inference import PROTOCOL
from service.transport.grpc.methods import SMALL_BYTES, Service, Unary
from service.transport.inference_parameters import MAX_TIMEOUT

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ModelService"]


class ModelService:
    """Adapter from protocol messages to the core."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    @property
    def registration(self) -> Service:
        """Descriptor and methods of the service."""
        max_bytes = self._limits.max_body_bytes + SMALL_BYTES
        return DESCRIPTOR, {"Predict": Unary(Scope.CLASSIFY, self.predict, max_bytes)}

    async def predict(self, request: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        """Classify one encoded image."""
        classifier, caller = self._runtime.classifier, call.principal
        top_k = request.top_k if request.HasField("top_k") else DEFAULT_TOP_K
        if not 1 <= top_k <= MAX_TOP_K:
            fault = Violation("/top_k", f"it must be 1 to {MAX_TOP_K}")
            raise InvalidParameter(violations=(fault,))
        timeout = call.timeout
        if timeout is not None:
            timeout = min(timeout, MAX_TIMEOUT)
        context = CallContext(caller.name, caller.weight, PROTOCOL, timeout=timeout)
        ticket = issue_ticket(self._runtime, caller, request.model or None, None, context)
        ref, answer = await classifier.classify(request.image_data, ticket, top_k=top_k)
        return pb.PredictResponse(
            probabilities=[one.score for one in answer.predictions],
            class_names=[one.label for one in answer.predictions],
            model_name=ref.name,
            model_version=ref.version,
            abstained=answer.abstained,
            summary=_summary(answer.summary),
            labels_present=answer.labels_present or (),
            calibrated=answer.calibrated,
        )


def _summary(found: Summary | None) -> pb.Summary | None:
    """Convert a summary to a message; None leaves the field out."""
    if found is None:
        return None
    perhaps = found.perhaps
    return pb.Summary(
        label=found.label,
        score=found.score,
        level=found.level,
        perhaps=pb.Named(label=perhaps.label, score=perhaps.score) if perhaps else None,
    )
