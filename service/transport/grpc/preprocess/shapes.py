"""Messages of preprocessing that may hold many fields: see ``grpc.shape``."""

from __future__ import annotations

from service.transport.grpc.shape import MessageShape

_ROWS = MessageShape()
_SCALING = MessageShape()
IMAGE = MessageShape(name="potoo.v1.PrepareImageRequest")
NUMERIC = MessageShape({1: _ROWS, 7: _SCALING}, "potoo.v1.PrepareNumericRequest")
TEXT = MessageShape({7: MessageShape()}, "potoo.v1.PrepareTextRequest")
ITEM = MessageShape({2: IMAGE, 3: NUMERIC, 4: TEXT}, "potoo.v1.PrepareItemRequest")
