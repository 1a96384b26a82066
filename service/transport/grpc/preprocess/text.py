"""``PreprocessService.Text``: tokens, or hashed vectors, of texts."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from schemas.errors import InvalidParameter, Violation
from schemas.pb import potoo_pb2 as pb
from schemas.preprocess.text import Padding, PrepareTextOptions
from service.preprocess.text.prepared import PreparedTexts
from service.runtime.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call
from service.transport.grpc.tickets import ticket_of

_PADDINGS: dict[int, Padding] = {
    pb.PrepareTextRequest.LONGEST: "longest",
    pb.PrepareTextRequest.MAX_TOKENS: "max_tokens",
    pb.PrepareTextRequest.NO_PADDING: "none",
}


class TextMethod:
    """Implementation of ``Text``, and of the texts of ``Items``."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def __call__(self, request: pb.PrepareTextRequest, call: Call) -> pb.PreparedText:
        """Encode texts."""
        options = _options(request)
        if not request.texts:
            raise InvalidParameter(violations=(Violation("/texts", "Field required"),))
        ticket = None
        if options.method == "tokens":
            ticket = ticket_of(self._runtime, call, options.model)
        texts = await self._runtime.preprocessing.texts(list(request.texts), options, ticket)
        return await self._runtime.pool.run(lambda: _message(texts))


def _options(request: pb.PrepareTextRequest) -> PrepareTextOptions:
    """Return the options of a request, which HTTP has in its query.

    Raises:
        InvalidParameter: a value is out of range.
    """
    given: dict[str, object] = {"offsets": request.offsets}
    if (padding := _PADDINGS.get(request.padding)) is None:
        raise InvalidParameter(violations=(Violation("/padding", "There is no such padding"),))
    given["padding"] = padding
    for name in ("model", "max_tokens", "form"):
        if request.HasField(name) and (value := getattr(request, name)) != "":
            given[name] = value
    if request.HasField("hashing"):
        hashing = request.hashing
        given["method"] = "hash"
        if hashing.dimension:
            given["dimension"] = hashing.dimension
        if hashing.least or hashing.most:
            given["ngram"] = f"{hashing.least},{hashing.most}"
    try:
        return PrepareTextOptions.model_validate(given)
    except ValidationError as error:
        faults = tuple(
            Violation("/" + "/".join(map(str, fault["loc"])), fault["msg"])
            for fault in error.errors(include_url=False, include_context=False)
        )
        raise InvalidParameter(violations=faults) from None


def _message(texts: PreparedTexts) -> pb.PreparedText:
    if (vectors_ND := texts.vectors) is not None:
        data = vectors_ND.astype("<f4", copy=False).tobytes()
        return pb.PreparedText(
            vectors=pb.Tensor(datatype="FP32", shape=vectors_ND.shape, data=data)
        )
    model = texts.model
    assert model is not None  # noqa: S101 - tokens are those of a model
    return pb.PreparedText(
        model_name=model.name,
        model_version=model.version,
        texts=[_encoded(texts, number) for number in range(len(texts.ids))],
    )


def _encoded(texts: PreparedTexts, number: int) -> pb.EncodedText:
    message = pb.EncodedText(
        ids=texts.ids[number], mask=texts.mask[number], truncated=texts.truncated[number]
    )
    if texts.texts and texts.tokens and texts.offsets:
        offsets: Sequence[tuple[int, int]] = texts.offsets[number]
        message.text = texts.texts[number]
        message.tokens.extend(texts.tokens[number])
        message.starts.extend(start for start, _ in offsets)
        message.ends.extend(end for _, end in offsets)
    return message
