"""JSON bodies, read within limits and only once the caller was found to be allowed.

FastAPI reads a declared body whole, however large it is, before it looks at a route's policies.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from schemas.errors import InvalidParameter, UnsupportedMediaType
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.errors import violations_of

MAX_JSON_BYTES = 64 * 1024
Body = TypeVar("Body", bound=BaseModel)


class JsonBody(Generic[Body]):
    """A dependency of a route whose policies are declared before: its body as ``model``."""

    def __init__(self, model: type[Body]) -> None:
        self._model = model

    async def __call__(self, request: Request) -> Body:
        """The body.

        Raises:
            UnsupportedMediaType: it is not declared as JSON.
            InvalidParameter: it is none, or does not fit the model.
            PayloadTooLarge, UploadTimeout, Overloaded: see ``BodyReader.read``.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            message = "Send the body as application/json."
            raise UnsupportedMediaType(message)
        uploads = uploads_of(request)
        with uploads.hold as hold:
            body = await uploads.reader.read(request, hold, MAX_JSON_BYTES)
        try:
            return self._model.model_validate_json(body)
        except ValidationError as error:
            raise InvalidParameter(violations=violations_of(error, "/body")) from None


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """The same for the OpenAPI document: a route's ``openapi_extra``."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
