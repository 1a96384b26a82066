"""JSON bodies, read within limits and only after the caller is authorised.

FastAPI reads a declared body whole, however large it is, before it checks a route's policies.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from schemas.errors import InvalidParameter, UnsupportedMediaType
from service.transport.http.body.json_text import without_mark
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.errors import violations_of
from service.transport.http.middleware.media_type import content_type_of

MAX_JSON_BYTES = 64 * 1024
Body = TypeVar("Body", bound=BaseModel)


class JsonBody(Generic[Body]):
    """Dependency that reads a body as ``model``; declare the route's policies before it."""

    def __init__(self, model: type[Body]) -> None:
        self._model = model

    async def __call__(self, request: Request) -> Body:
        """Return the validated body.

        Raises:
            UnsupportedMediaType: the body is not declared as JSON.
            InvalidParameter: the body is not JSON, or does not fit the model.
            PayloadTooLarge, UploadTimeout, Overloaded: see ``BodyReader.read``.
        """
        if content_type_of(request).name != "application/json":
            message = "Send the body as application/json."
            raise UnsupportedMediaType(message)
        uploads = uploads_of(request)
        with uploads.hold as hold:
            body = await uploads.reader.read(request, hold, MAX_JSON_BYTES)
        try:
            return self._model.model_validate_json(without_mark(body))
        except ValidationError as error:
            raise InvalidParameter(violations=violations_of(error, "/body")) from None


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI declaration of a JSON body: a route's ``openapi_extra``."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
