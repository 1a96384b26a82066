"""``PreprocessService.Image``: the tensor of an image, exactly as the model's graph takes it."""

from __future__ import annotations

from schemas.errors import Unsupported
from schemas.pb import potoo_pb2 as pb
from service.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call


class ImageMethod:
    """Implementation of ``Image``, and of the images of ``Items``."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def __call__(self, request: pb.PrepareImageRequest, call: Call) -> pb.PreparedImage:
        """Prepare an image."""
        raise Unsupported
