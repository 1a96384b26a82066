"""``PreprocessService.Image``: the tensor of an image, exactly as the model's graph takes it."""

from __future__ import annotations

from schemas.errors import InvalidImage, InvalidParameter, PayloadTooLarge, Violation
from schemas.pb import potoo_pb2 as pb
from service.preprocess.images.forms import datatype_of, raw_of
from service.runtime.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call
from service.transport.grpc.tickets import ticket_of


class ImageMethod:
    """Implementation of ``Image``, and of the images of ``Items``."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def __call__(self, request: pb.PrepareImageRequest, call: Call) -> pb.PreparedImage:
        """Prepare an image.

        Raises:
            InvalidImage, PayloadTooLarge: it has no bytes, or too many.
            InvalidParameter: the view is unknown.
            ServiceError: see ``Preprocessing.image``.
        """
        data, limit = request.image_data, self._limits.max_body_bytes
        if not data:
            raise InvalidImage("The image has no bytes.")
        if len(data) > limit:
            message = f"The image is larger than the {limit / 2**20:.3g} MiB that are taken."
            raise PayloadTooLarge(message)
        if request.view not in pb.PrepareImageRequest.View.values():
            raise InvalidParameter(violations=(Violation("/view", "There is no such view"),))
        preprocessing = self._runtime.preprocessing
        ticket = ticket_of(self._runtime, call, request.model or None)
        image = await preprocessing.image(data, ticket)
        answer = pb.PreparedImage(
            model_name=image.model.name,
            model_version=image.model.version,
            layout=image.spec.layout.value,
            colour=image.spec.colour.value,
        )
        if request.view == pb.PrepareImageRequest.PNG:
            answer.png = await preprocessing.png(image)
            return answer
        answer.tensor.CopyFrom(
            pb.Tensor(
                name=image.spec.name,
                datatype=datatype_of(image.spec).value,
                shape=image.tensor.shape,
                data=raw_of(image),
            )
        )
        return answer
