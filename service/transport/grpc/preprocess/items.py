"""``PreprocessService.Items``: many items of all kinds over one stream, answered in their order."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import InvalidParameter, ServiceError, Violation
from schemas.pb import potoo_pb2 as pb
from service.transport.grpc.call import Call
from service.transport.grpc.errors import Faults
from service.transport.grpc.methods import parsed
from service.transport.grpc.preprocess.image import ImageMethod
from service.transport.grpc.preprocess.numeric import NumericMethod
from service.transport.grpc.preprocess.text import TextMethod
from service.transport.grpc.reading import Messages
from service.transport.grpc.streaming import answer_stream
from service.transport.open_inference.inference_parameters import MAX_ID_CHARS


@dataclass(frozen=True, slots=True)
class ItemStream:
    """Implementation of ``Items``; the methods of single items answer each."""

    image: ImageMethod
    numeric: NumericMethod
    text: TextMethod
    faults: Faults

    async def __call__(self, messages: Messages, call: Call) -> None:
        """Serve one stream to its end."""
        await answer_stream(messages, call, self)

    async def answered(self, data: bytes, messages: Messages, call: Call) -> pb.PreparedItem:
        """Answer one item: an error of it is its answer."""
        answer = pb.PreparedItem()
        try:
            with messages.held(data):
                request = parsed(pb.PrepareItemRequest, data)
                del data
                answer.id = request.id[:MAX_ID_CHARS]
                await self._prepare(request, answer, call)
        except Exception as error:  # noqa: BLE001 - it belongs to this item alone
            answer.error.CopyFrom(item_error(self.faults.to_service_error(error, call.request_id)))
        return answer

    async def refused(self, error: ServiceError, call: Call) -> pb.PreparedItem:
        """Answer an item that could not be read."""
        fault = self.faults.to_service_error(error, call.request_id)
        return pb.PreparedItem(error=item_error(fault))

    async def _prepare(
        self, request: pb.PrepareItemRequest, answer: pb.PreparedItem, call: Call
    ) -> None:
        kind = request.WhichOneof("item")
        if kind == "image":
            answer.image.CopyFrom(await self.image(request.image, call))
        elif kind == "numeric":
            answer.numeric.CopyFrom(await self.numeric(request.numeric, call))
        elif kind == "text":
            answer.text.CopyFrom(await self.text(request.text, call))
        else:
            fault = Violation("/item", "Give one of image, numeric and text")
            raise InvalidParameter(violations=(fault,))


def item_error(error: ServiceError) -> pb.ItemError:
    """Return the message of an error of one item."""
    return pb.ItemError(
        code=error.code.value,
        detail=error.detail,
        errors=[
            pb.ItemViolation(pointer=fault.pointer, detail=fault.detail)
            for fault in error.violations
        ],
    )
