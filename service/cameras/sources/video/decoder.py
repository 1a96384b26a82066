"""Decodes the packets of a stream: all of them, or key frames alone."""

from __future__ import annotations

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

WANTED_PIXELS = 640
"""Of the longer side of the wanted part."""
_WITH_LOOP_FILTER = frozenset({"h264", "hevc"})


def reduced_size(width: int, height: int, part: float) -> tuple[int, int]:
    """Return the size, even numbers, to which a picture is reduced.

    Args:
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        part: share of both that is wanted; its longer side keeps ``WANTED_PIXELS``.
    """
    factor = min(1.0, WANTED_PIXELS / (part * max(width, height)))
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


class Decoder:
    """Decodes one stream, at first all packets, beginning with a key frame.

    Key frames alone need no loop filter where they are reduced by half or more: it smooths edges
    of blocks, which the reduction does as well, and takes a fifth of the time. Other frames would
    inherit its absence.

    Args:
        stream: to decode.
        part: share of its width and height that is wanted.
    """

    def __init__(self, stream: VideoStream, part: float) -> None:
        self._stream, self._part = stream, part
        self._context = self._open(is_alone=False)
        self._has_begun = False
        self.is_alone = False

    def restart(self, *, is_alone: bool) -> None:
        """Begin anew at the next key frame, with all packets or with key frames alone."""
        self.is_alone = is_alone
        self._has_begun = False
        if self._context.is_open:
            self._context.flush_buffers()
        self._context = self._open(is_alone=is_alone)

    def needs(self, packet: Packet[VideoStream]) -> bool:
        """Return whether a packet must be decoded, if only for later ones."""
        return packet.is_keyframe or (self._has_begun and not self.is_alone)

    def decode(self, packet: Packet[VideoStream]) -> VideoFrame | None:
        """Decode a packet; return the newest picture, if there is one.

        Raises:
            FFmpegError: the packet is damaged.
        """
        self._has_begun = True
        frames = self._context.decode(packet)
        if self.is_alone:
            # The decoder would keep the picture until the next one.
            frames += self._context.decode(None)
            self._context.flush_buffers()
        return frames[-1] if frames else None

    def _open(self, *, is_alone: bool) -> VideoCodecContext:
        original = self._stream.codec_context
        if original.codec.name not in _WITH_LOOP_FILTER:
            if not original.is_open:
                original.thread_count = 1
            return original
        # A decoder that is dropped gives back its memory, one that is flushed does not.
        context = av.CodecContext.create(original.codec.name, "r")
        assert isinstance(context, VideoCodecContext)  # noqa: S101 - H.264 and H.265 are video
        context.extradata = original.extradata
        # One thread: each camera has its share of the machine, and pictures come at once.
        context.thread_count = 1
        width, _ = reduced_size(original.width or 1, original.height or 1, self._part)
        if is_alone and width * 2 <= original.width:
            context.options = {"skip_loop_filter": "all"}
        return context
