"""Opens a video by PyAV and makes small JPEGs of the frames that are wanted."""

from __future__ import annotations

import io
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from service.cameras.sources.due import Due
from service.cameras.sources.video.decoder import Decoder, reduced_size
from service.cameras.sources.video.failures import why_ended, why_not_opened
from service.cameras.sources.video.key_frames import KeyFrames
from service.cameras.sources.video.playback import Playback
from service.cameras.sources.video.protocol import Failure, Message, Request

JPEG_QUALITY = 88
MAX_PICTURE_TIMEOUTS, MAX_PICTURE_INTERVALS = 4, 3
"""Time-outs and intervals without a picture, while data arrive, after which the source fails."""
_REDIRECTED = re.compile(r"Status \d+: Redirecting to (\S+)")

Send = Callable[[Message, bytes], None]


def play(request: Request, send: Send) -> Failure:
    """Send the frames of a source until there are no more; a file begins anew at its end.

    Returns:
        Why it ended.
    """
    player = _Player(request, send)
    while True:
        began = time.monotonic()
        try:
            with _redirects_reported(send):
                container = _open(request)
        except (av.FFmpegError, OSError, ValueError) as error:
            return why_not_opened(error, request, time.monotonic() - began)
        with container:
            if not container.streams.video:
                return Failure("not_an_image", "The source holds no video")
            send(Message.OPENED, b"")
            try:
                failure = player.play(container)
            except (av.FFmpegError, OSError) as error:
                failure = why_ended(error)
        if failure:
            return failure


def _open(request: Request) -> InputContainer:
    source: str | io.FileIO = request.url
    if request.descriptor is not None:
        os.lseek(request.descriptor, 0, os.SEEK_SET)
        source = io.FileIO(request.descriptor, closefd=False)
    return av.open(
        source,
        "r",
        format=request.format,
        options=request.options,
        # A number alone, or FFmpeg's own options, do not end every hang.
        timeout=(request.timeout, request.timeout),
    )


@contextmanager
def _redirects_reported(send: Send) -> Iterator[None]:
    """Report a redirect of an RTSP server and end: FFmpeg would follow it, unchecked."""

    class Reporter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if found := _REDIRECTED.search(record.getMessage()):
                send(Message.REDIRECTED, found[1].encode())
                os._exit(0)

    logger = logging.getLogger("libav")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [Reporter()]
    av.logging.set_level(av.logging.INFO)
    try:
        yield
    finally:
        # Not while decoding: the log's lock and the decoder's may wait for each other.
        av.logging.set_level(None)


class _Player:
    def __init__(self, request: Request, send: Send) -> None:
        self._request, self._send = request, send
        self._due = Due(request.every)
        self._keys = KeyFrames(request.every)
        self._playback: Playback | None = None
        self._last_picture = self._last_message = time.monotonic()
        self._patience = (
            MAX_PICTURE_TIMEOUTS * request.timeout + MAX_PICTURE_INTERVALS * request.every
        )

    def play(self, container: InputContainer) -> Failure | None:
        """Play once; None: the end of a file."""
        stream = container.streams.video[0]
        self._decoder = Decoder(stream, self._request.part)
        if not self._request.is_live:
            self._rewind(float(stream.average_rate or 0))
        count = 0
        for packet in container.demux(stream):
            if not packet.size:
                continue
            count += 1
            if self._playback:
                self._sleep(self._playback.wait(_seconds(packet), time.monotonic()))
            if failure := self._take(packet):
                return failure
        if self._request.is_live:
            return Failure("ended", "The camera ended its stream")
        return None if count else Failure("not_an_image", "The file holds no frames")

    def _rewind(self, rate: float) -> None:
        if self._playback is None:
            self._playback = Playback(time.monotonic(), rate)
        self._playback.rewind()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, self._request.heartbeat))
            self._beat()

    def _take(self, packet: Packet[VideoStream]) -> Failure | None:
        now = time.monotonic()
        self._beat()
        if packet.is_keyframe and self._keys.see(now) != self._decoder.is_alone:
            self._decoder.restart(is_alone=not self._decoder.is_alone)
        if self._decoder.needs(packet):
            self._decode(packet, now)
        if now - self._last_picture > self._patience:
            return Failure("decoder", "The video holds no picture that can be decoded")
        return None

    def _decode(self, packet: Packet[VideoStream], now: float) -> None:
        is_due = self._due.wait(now) <= 0
        if self._decoder.is_alone and not is_due:
            self._last_picture = now
            return
        try:
            picture = self._decoder.decode(packet)
        except av.InvalidDataError:
            return
        if picture:
            self._last_picture = now
            if is_due:
                self._due.take(now)
                self._send_message(Message.FRAME, encode(picture, self._request.part))

    def _beat(self) -> None:
        if time.monotonic() - self._last_message >= self._request.heartbeat:
            self._send_message(Message.ALIVE)

    def _send_message(self, kind: Message, payload: bytes = b"") -> None:
        self._send(kind, payload)
        self._last_message = time.monotonic()


def encode(frame: VideoFrame, part: float) -> bytes:
    """Reduce a picture and return it as JPEG."""
    width, height = reduced_size(frame.width, frame.height, part)
    # swscale reduces before it converts to RGB.
    image = frame.to_image(  # type: ignore[no-untyped-call]
        width=width, height=height, interpolation="AREA", threads=1
    )
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _seconds(packet: Packet[VideoStream]) -> float | None:
    # Decoding order: in presentation order time would go back and forth.
    if packet.dts is None or packet.time_base is None:
        return None
    return float(packet.dts * packet.time_base)
