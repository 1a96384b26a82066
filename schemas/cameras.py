"""Cameras that the server watches: what a caller configures, and what it is told about them."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.classify import MODEL_NAME_PATTERN, Prediction

CAMERA_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


def _check_name(name: str) -> str:
    if not re.fullmatch(CAMERA_NAME_PATTERN, name) or name.endswith("\n"):
        message = "Write 1 to 63 small letters, digits, - and _, first a letter or digit"
        raise PydanticCustomError("camera_name", message)
    return name


CameraName = Annotated[
    str,
    AfterValidator(_check_name),
    WithJsonSchema({"type": "string", "pattern": CAMERA_NAME_PATTERN}),
]
UNKNOWN = "unknown"
"""State of a camera whose model abstains, or whose frames do not agree."""

_Fraction = Annotated[float, Field(ge=0, le=1)]


class SourceKind(StrEnum):
    """How frames are fetched; follows from the URL."""

    HTTP = "http"
    """A snapshot URL, or MJPEG where the answer is ``multipart/x-mixed-replace``."""
    RTSP = "rtsp"
    FILE = "file"
    USB = "usb"


class CameraStatus(StrEnum):
    """Whether frames arrive."""

    STARTING = "starting"
    """No frame yet."""
    WATCHING = "watching"
    SILENT = "silent"
    """The last frame is older than `silent_after_seconds`."""
    PAUSED = "paused"


class CameraFailure(StrEnum):
    """Why there is no frame. Labels a metric."""

    ADDRESS_REFUSED = "address_refused"
    """Not among the networks of the setting ``cameras.networks``."""
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    HTTP_STATUS = "http_status"
    NOT_AN_IMAGE = "not_an_image"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    ENDED = "ended"
    """The stream or the decoding process ended."""
    DECODER = "decoder"
    UNSUPPORTED = "unsupported"
    """The extra ``potoo[video]`` or the device is missing."""
    MODEL = "model"
    """The model is missing, or refused the frame."""


class Crop(BaseModel):
    """Part of the picture, in fractions of its width and height, from the upper left corner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: _Fraction = 0
    y: _Fraction = 0
    width: float = Field(default=1, gt=0, le=1)
    height: float = Field(default=1, gt=0, le=1)

    @model_validator(mode="after")
    def _check_edges(self) -> Crop:
        if self.x + self.width > 1 + 1e-6 or self.y + self.height > 1 + 1e-6:
            message = "The crop reaches beyond the picture: x + width and y + height are at most 1"
            raise ValueError(message)
        return self


class CameraSpec(BaseModel):
    """Configuration of a camera."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="`http(s)://` snapshot or MJPEG, `rtsp(s)://`, `file:///path` or `usb:0`. A "
        "user and password in it are stored encrypted and never shown.",
        examples=["http://192.168.1.20/snapshot.jpg"],
    )
    username: str | None = Field(default=None, max_length=255)
    password: SecretStr | None = Field(
        default=None, max_length=255, exclude=True, description="Stored encrypted; never shown."
    )
    secret: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Instead of a password: a file in the folder of the setting "
        "`cameras.secrets_dir` that holds `user:password`.",
    )
    model: str | None = Field(
        default=None, pattern=MODEL_NAME_PATTERN, description="If absent: the default model."
    )
    every_seconds: float = Field(
        default=1, ge=0.1, le=3600, description="Interval between frames that are classified."
    )
    crop: Crop | None = Field(default=None, description="The part that is classified.")
    motion_threshold: float | None = Field(
        default=None,
        ge=0,
        le=255,
        description="Classify only after motion: mean absolute difference of a small grey copy, "
        "in grey levels. If absent: classify every frame.",
        examples=[2.0],
    )
    still_seconds: float = Field(
        default=60, ge=1, le=86_400, description="Without motion, classify at least this often."
    )
    agree: int = Field(default=2, ge=1, le=100, description="Frames that must agree on a state...")
    of: int = Field(default=3, ge=1, le=100, description="...among the last frames.")
    enter_score: float = Field(
        default=0.5, ge=0, le=1, description="Score from which a label may become the state."
    )
    leave_score: float = Field(
        default=0.35, ge=0, le=1, description="The state holds while its label has this score."
    )
    silent_after_seconds: float = Field(
        default=30, ge=1, le=86_400, description="A camera without a frame for so long is silent."
    )

    @model_validator(mode="after")
    def _check_agreement(self) -> CameraSpec:
        if self.agree > self.of:
            message = "'agree' is at most 'of'"
            raise ValueError(message)
        if self.leave_score > self.enter_score:
            message = "'leave_score' is at most 'enter_score'"
            raise ValueError(message)
        if self.secret and (self.username or self.password):
            message = "Give either 'secret', or 'username' and 'password'"
            raise ValueError(message)
        return self


class NewCamera(CameraSpec):
    """A camera to add."""

    name: CameraName = Field(examples=["door"])


class CameraAnswer(BaseModel):
    """The model's answer for one frame."""

    label: str | None = Field(description="Label or group of the summary; null if it abstained.")
    score: float | None = Field(ge=0, le=1)
    predictions: list[Prediction] = Field(description="The three best.")
    model: str
    version: int
    at: datetime = Field(description="When the frame was received.")


class CameraProblem(BaseModel):
    """Why the last attempt gave no frame or no answer."""

    reason: CameraFailure
    detail: str = Field(description="For people; never holds credentials.")
    at: datetime
    attempts: int = Field(description="Failed attempts since the last frame.", ge=1)


class Camera(BaseModel):
    """A camera and its state."""

    name: CameraName
    kind: SourceKind
    spec: CameraSpec = Field(description="`url` without credentials; there is no `password`.")
    has_credentials: bool
    status: CameraStatus
    state: str | None = Field(description="Label, `unknown`, or null before the first answer.")
    since: datetime | None = Field(description="When the state began.")
    answer: CameraAnswer | None
    last_frame_at: datetime | None
    motion: float | None = Field(description="Last motion, in grey levels; null without gate.")
    frames: int = Field(description="Frames received since the server watches it.", ge=0)
    classified: int = Field(description="Of these, frames that were classified.", ge=0)
    problem: CameraProblem | None


class CameraList(BaseModel):
    """All cameras, by name."""

    cameras: list[Camera]


class CameraEvent(BaseModel):
    """A change of a camera, kept and announced: server-sent events, MQTT, webhooks."""

    id: int = Field(ge=1, description="Grows with every event; the cursor to resume from.")
    camera: CameraName
    kind: Literal["state", "silent", "back"] = Field(
        description="`state`: the state changed; `silent`: frames stopped; `back`: they came again."
    )
    at: datetime
    state: str | None = Field(description="The state since the event.")
    previous: str | None = Field(description="The state before it.")
    score: float | None = Field(default=None, ge=0, le=1)
    model: str | None = None
    version: int | None = None


class CameraEvents(BaseModel):
    """Kept events, oldest first."""

    events: list[CameraEvent]
