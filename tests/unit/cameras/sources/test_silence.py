"""Time-out, pause and opening together: a camera is back within five seconds of its return."""

from __future__ import annotations

import pytest

from schemas.cameras import CameraFailure
from service.cameras.pipeline.backoff import LASTING, Backoff
from service.cameras.sources.http.fetching import CONNECT_SECONDS
from service.cameras.sources.silence import (
    BACK_SECONDS,
    HTTP_SECONDS,
    RTSP_SECONDS,
    allowed_silence,
)
from service.cameras.sources.source import SourceSpec
from service.cameras.sources.video.rtsp import ASK_AGAIN_SECONDS

HTTP_OPENING = 1.0
"""Of a camera that is back: connection and answer."""
RTSP_OPENING = 2.0
"""Process, stream, and a key frame each second; measured: 1.3 s on an idle machine."""


def longest_pause(reason: CameraFailure) -> float:
    backoff = Backoff(lambda: 0.0)
    return max(backoff.fail(reason) for _ in range(20))


def shipped(url: str, every: float = 1.0) -> SourceSpec:
    return SourceSpec(url=url, every_seconds=every)


@pytest.mark.parametrize(
    ("least", "opening"), [(HTTP_SECONDS, HTTP_OPENING), (RTSP_SECONDS, RTSP_OPENING)]
)
def test_request_that_was_lost_ends_in_time(least: float, opening: float) -> None:
    silence = allowed_silence(shipped("http://192.168.1.2/"), least)
    assert silence + longest_pause(CameraFailure.TIMEOUT) + opening < BACK_SECONDS


def test_connection_that_was_begun_while_the_camera_was_away_ends_in_time() -> None:
    pause = longest_pause(CameraFailure.TIMEOUT)
    assert CONNECT_SECONDS + pause + HTTP_OPENING < BACK_SECONDS
    assert ASK_AGAIN_SECONDS + RTSP_OPENING < BACK_SECONDS


@pytest.mark.parametrize("reason", sorted(set(CameraFailure) - LASTING))
def test_pause_after_a_failure_ends_in_time(reason: CameraFailure) -> None:
    assert longest_pause(reason) + max(HTTP_OPENING, RTSP_OPENING) < BACK_SECONDS


@pytest.mark.parametrize("least", [HTTP_SECONDS, RTSP_SECONDS])
def test_slow_camera_has_its_interval_up_to_the_time_out(least: float) -> None:
    url = "http://192.168.1.2/"
    assert allowed_silence(shipped(url, every=4.5), least) == 4.5
    assert allowed_silence(shipped(url, every=60), least) == SourceSpec(url=url).timeout
    assert allowed_silence(SourceSpec(url=url, timeout=0.4), least) == 0.4
