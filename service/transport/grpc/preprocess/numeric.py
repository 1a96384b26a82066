"""``PreprocessService.Numeric``: scaled rows of numbers."""

from __future__ import annotations

from schemas.errors import Unsupported
from schemas.pb import potoo_pb2 as pb
from service.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call


class NumericMethod:
    """Implementation of ``Numeric``, and of the numeric items of ``Items``."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def __call__(self, request: pb.PrepareNumericRequest, call: Call) -> pb.PreparedNumeric:
        """Scale rows."""
        raise Unsupported
