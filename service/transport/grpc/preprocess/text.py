"""``PreprocessService.Text``: tokens, or hashed vectors, of texts."""

from __future__ import annotations

from schemas.errors import Unsupported
from schemas.pb import potoo_pb2 as pb
from service.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call


class TextMethod:
    """Implementation of ``Text``, and of the texts of ``Items``."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def __call__(self, request: pb.PrepareTextRequest, call: Call) -> pb.PreparedText:
        """Encode texts."""
        raise Unsupported
