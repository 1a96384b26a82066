"""Settings ``[limits]``: of requests, uploads, images and connections."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from service.core.imaging.image_limits import ImageLimits


class LimitSettings(BaseModel):
    """Group ``[limits]``: limits of requests, uploads, images and connections."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_body_bytes: int = Field(
        default=20 * 2**20, ge=1024, description="bytes of one upload", le=2**30
    )
    max_batch_bytes: int = Field(
        default=100 * 2**20, ge=1024, le=2**32, description="bytes of one batch upload"
    )
    max_batch_files: int = Field(default=32, ge=1, le=1000, description="files in one batch")
    max_tensor_batch: int = Field(
        default=64, ge=1, le=1024, description="items (images) in the tensors of one request"
    )
    max_decompressed_bytes: int = Field(
        default=32 * 2**20, ge=1024, le=2**30, description="of a compressed body, once it is not"
    )
    max_body_bytes_in_flight: int = Field(
        default=512 * 2**20, ge=2**20, description="bytes of all uploads held at a time"
    )
    max_pixels: int = Field(
        default=50_000_000, ge=1, le=89_000_000, description="pixels of one image"
    )
    max_decode_bytes: int = Field(
        default=256 * 2**20, ge=2**20, description="memory that decoding one image may take"
    )
    max_frames: int = Field(
        default=1000, ge=1, description="frames that a PNG or WebP animation may announce"
    )
    max_file_name_chars: int = Field(default=255, ge=1, le=4096, description="of an upload's name")
    max_header_bytes: int = Field(
        default=64 * 2**10, ge=4096, le=2**20, description="request line and headers together"
    )
    max_connections: int = Field(default=4096, ge=1, description="open connections a process")
    header_timeout_seconds: float = Field(
        default=15, gt=0, description="to send a request's headers, or the first one at all"
    )
    body_timeout_seconds: float = Field(
        default=20, gt=0, description="to send a body, plus a second for every 4 KiB received"
    )
    keep_alive_seconds: float = Field(
        default=15, gt=0, description="an idle connection is kept between requests"
    )
    stream_idle_seconds: float = Field(
        default=120, gt=0, description="a WebSocket stream is kept without a message of its client"
    )
    stream_frames_per_second: int = Field(
        default=0, ge=0, description="of all streams of a principal in a process; 0: no limit"
    )

    streams_per_principal: int = Field(
        default=100,
        ge=0,
        description="open WebSocket streams of a principal in a process, and streams of events; "
        "0: no limit",
    )

    @property
    def max_message_bytes(self) -> int:
        """Size limit of one message of any gRPC method."""
        return max(self.max_body_bytes, self.max_batch_bytes)

    @property
    def of_images(self) -> ImageLimits:
        """Limits that image decoding enforces."""
        return ImageLimits(self.max_pixels, self.max_frames, self.max_decode_bytes)
