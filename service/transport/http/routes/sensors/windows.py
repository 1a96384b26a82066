"""``POST /v1/sensors/{name}/classify``: answer one window; needs the scope ``ingest``."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Depends, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auth.principal import Scope
from schemas.errors import InvalidParameter, InvalidTensor, NotFound, UnsupportedMediaType
from schemas.sensors import SensorAnswer
from service.transport.dependencies import (
    PrincipalDep,
    SensorsDep,
    requires,
)
from service.transport.http.body.json_text import without_mark
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.errors import violations_of
from service.transport.http.middleware.media_type import content_type_of
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import BINARY, problems
from service.transport.http.routes.sensors.sensors import PREFIX, Name

FLOAT_BYTES = 4
MAX_JSON_BYTES = 2**20
router = APIRouter(
    prefix=PREFIX,
    tags=["sensors"],
    dependencies=[requires(Scope.INGEST), Depends(require_json), Depends(never_stored)],
    responses=problems(400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
)


class WindowSamples(BaseModel):
    """A window of samples in JSON."""

    model_config = ConfigDict(extra="forbid")

    samples: list[list[float]] = Field(
        min_length=1, description="Oldest first, one number for each channel."
    )


BODIES = (WindowSamples,)


@router.post(
    "/{name}/classify",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One window: float32 little-endian, sample by sample, or JSON.",
            "content": {
                "application/octet-stream": {"schema": BINARY},
                "application/json": {"schema": {"$ref": "#/components/schemas/WindowSamples"}},
            },
        }
    },
)
async def classify_sensor_window(
    name: Name, request: Request, sensors: SensorsDep, caller: PrincipalDep
) -> SensorAnswer:
    """Answer one window of a sensor, as if its device had sent it; nothing of it is kept.

    The answer's `epoch` and `first_sequence` are 0.
    """
    stored = await sensors.administration.get(name)
    if not caller.may_use(stored.spec.model):
        raise NotFound("There is no sensor with this name.")
    uploads = uploads_of(request)
    is_json = content_type_of(request).name == "application/json"
    limit = MAX_JSON_BYTES if is_json else uploads.limits.max_body_bytes
    with uploads.hold as hold:
        body = await uploads.reader.read(request, hold, limit)
        window = _window(request, body, stored.spec.channels)
        return await sensors.intake.classify(name, window, principal=caller)


def _window(request: Request, body: bytes, channels: int) -> NDArray[np.float32]:
    """Return the samples of a body, shape [length, channels].

    Raises:
        InvalidTensor: the body holds no whole number of samples.
        InvalidParameter: the JSON does not fit.
        UnsupportedMediaType: the body is declared as another type.
    """
    declared = content_type_of(request).name
    if declared == "application/octet-stream":
        if len(body) % (channels * FLOAT_BYTES):
            message = f"The body is no whole number of samples of {channels} float32."
            raise InvalidTensor(message)
        return np.frombuffer(body, "<f4").reshape(-1, channels)
    if declared != "application/json":
        message = "Send the window as application/octet-stream or application/json."
        raise UnsupportedMediaType(message)
    try:
        samples = WindowSamples.model_validate_json(without_mark(body)).samples
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error, "/body")) from None
    if any(len(sample) != channels for sample in samples):
        message = f"Every sample has {channels} numbers, one for each channel."
        raise InvalidTensor(message)
    with np.errstate(over="ignore"):  # infinite: the model's policy decides
        return np.asarray(samples, np.float32)
