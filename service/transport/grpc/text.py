"""``ModelService.ClassifyText`` and ``ModelService.Embed``."""

from __future__ import annotations

from schemas.errors import Unsupported
from schemas.pb import potoo_pb2 as pb
from service.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call


class TextMethods:
    """Implementation of the methods of text models."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def classify(
        self, request: pb.ClassifyTextRequest, call: Call
    ) -> pb.ClassifyTextResponse:
        """Classify texts."""
        raise Unsupported

    async def embed(self, request: pb.EmbedRequest, call: Call) -> pb.EmbedResponse:
        """Turn texts into vectors."""
        raise Unsupported
