"""``potoo.v1.PreprocessService``, composed of one class for each kind of item."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from auth.principal import Scope
from schemas.pb import potoo_pb2 as pb
from service.runtime.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.errors import Faults
from service.transport.grpc.methods import SMALL_BYTES, Service, Stream, Unary
from service.transport.grpc.preprocess.image import ImageMethod
from service.transport.grpc.preprocess.items import ItemStream
from service.transport.grpc.preprocess.numeric import NumericMethod
from service.transport.grpc.preprocess.shapes import IMAGE, ITEM, NUMERIC, TEXT
from service.transport.grpc.preprocess.text import TextMethod
from service.transport.grpc.shape import MessageShape, estimate_parsed_bytes

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["PreprocessService"]


class PreprocessService:
    """Adapter from protocol messages to preprocessing."""

    def __init__(self, runtime: Runtime, limits: LimitSettings, faults: Faults) -> None:
        self._limits = limits
        self._image = ImageMethod(runtime, limits)
        self._numeric = NumericMethod(runtime, limits)
        self._text = TextMethod(runtime, limits)
        self._items = ItemStream(self._image, self._numeric, self._text, faults)

    @property
    def registration(self) -> Service:
        """Descriptor and methods of the service."""
        scope = Scope.PREPROCESS
        return DESCRIPTOR, {
            "Image": Unary(scope, self._image, *self._sizes(IMAGE)),
            "Numeric": Unary(scope, self._numeric, *self._sizes(NUMERIC)),
            "Text": Unary(scope, self._text, *self._sizes(TEXT)),
            "Items": Stream(scope, self._items, *self._sizes(ITEM)),
        }

    def _sizes(self, shape: MessageShape) -> tuple[int, Callable[[bytes], int]]:
        """Return the limit of a method's messages, and the check of one."""
        typed = self._limits.max_body_bytes
        check = partial(estimate_parsed_bytes, max_typed=typed, shape=shape)
        return typed + SMALL_BYTES, check
