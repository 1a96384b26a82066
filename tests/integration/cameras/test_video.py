"""Videos from files, decoded by a process: frames, hangs, crashes, hostile files."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import av
import psutil
import pytest
import uvloop

from schemas.cameras import CameraFailure
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from service.cameras.sources.video.frames import open_video
from service.cameras.sources.video.protocol import HEADER, Message, pack
from tests.support.cameras.processes import decoding_processes
from tests.support.cameras.videos import number_of, size_of, write_video
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "short.mp4", seconds=1)
    write_video(folder / "large.mkv", seconds=1, size=(1920, 1080))
    return folder


def spec_of(path: Path, *, every: float = 0.3, **parameters: float) -> SourceSpec:
    return SourceSpec(url=f"file://{path}", every_seconds=every, **parameters)  # type: ignore[arg-type]


async def frames_of(spec: SourceSpec, folder: Path, count: int) -> list[Frame]:
    async with open_source(spec, SourceRules(files_dir=folder)) as frames:
        return [await anext(frames) for _ in range(count)]


async def failure(spec: SourceSpec, folder: Path, count: int = 1) -> SourceFailed:
    with pytest.raises(SourceFailed) as failed:
        await frames_of(spec, folder, count)
    return failed.value


async def exhaust(frames: AsyncIterator[Frame]) -> None:
    async for _ in frames:
        pass


async def test_file_plays_at_its_pace_and_loops(folder: Path) -> None:
    frames = await frames_of(spec_of(folder / "short.mp4"), folder, 6)
    numbers = [number_of(frame.image) for frame in frames]
    assert all(number < 10 for number in numbers)
    # Six frames at 0.3 s take more than the second that the file lasts.
    assert any(later < earlier for earlier, later in pairwise(numbers))
    assert frames[-1].at - frames[0].at > 1


async def test_key_frames_alone_are_decoded_where_they_are_enough(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", seconds=3, rate=10, key_every=10)
    frames = await frames_of(spec_of(tmp_path / "a.mp4", every=1), tmp_path, 5)
    # Their distance is known after the second one.
    assert {number_of(frame.image) for frame in frames[2:]} <= {0, 10, 20}


async def test_all_frames_are_decoded_where_key_frames_are_rare(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", seconds=2.9, rate=10, key_every=1000)
    frames = await frames_of(spec_of(tmp_path / "a.mp4", every=1), tmp_path, 4)
    numbers = [number_of(frame.image) for frame in frames]
    assert len(set(numbers)) > 1


def test_loop_of_the_server_is_uvloop(folder: Path) -> None:
    async def watch() -> None:
        await frames_of(spec_of(folder / "short.mp4"), folder, 2)
        failed = await failure(spec_of(folder / "no.mp4"), folder)
        assert failed.reason is CameraFailure.UNREACHABLE

    uvloop.run(watch())
    assert not decoding_processes()


def held_by(pid: int) -> list[str]:
    """Return what the descriptors of a process are."""
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_decoding_process_gets_no_socket_of_the_server(folder: Path) -> None:
    async def watch() -> list[str]:
        spec, rules = spec_of(folder / "short.mp4"), SourceRules(files_dir=folder)
        async with open_source(spec, rules) as frames:
            await anext(frames)
            (child,) = decoding_processes()
            return held_by(child.pid)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)  # as the server's, for its workers
        inode = os.fstat(listener.fileno()).st_ino
        held = uvloop.run(watch())
    assert f"socket:[{inode}]" not in held
    assert any(link.endswith("short.mp4") for link in held)


@pytest.mark.parametrize(("codec", "name"), [("mjpeg", "a.avi"), ("libx265", "a.mp4")])
async def test_other_codecs(tmp_path: Path, codec: str, name: str) -> None:
    write_video(tmp_path / name, seconds=1, codec=codec)
    frames = await frames_of(spec_of(tmp_path / name), tmp_path, 4)
    numbers = [number_of(frame.image) for frame in frames]
    assert all(number < 10 for number in numbers)
    assert len(set(numbers)) > 1


async def test_picture_is_reduced_to_what_is_wanted(folder: Path) -> None:
    (whole,) = await frames_of(spec_of(folder / "large.mkv"), folder, 1)
    (half,) = await frames_of(spec_of(folder / "large.mkv", part=0.5), folder, 1)
    (small,) = await frames_of(spec_of(folder / "large.mkv", part=0.1), folder, 1)
    sizes = [size_of(frame.image) for frame in (whole, half, small)]
    assert sizes == [(640, 360), (1280, 720), (1920, 1080)]


async def test_size_may_change_within_a_video(tmp_path: Path) -> None:
    small = write_video(tmp_path / "a.h264", seconds=1, container="h264").read_bytes()
    large = write_video(tmp_path / "b.h264", seconds=1, size=(480, 360), container="h264")
    (tmp_path / "c.h264").write_bytes(small + large.read_bytes())
    frames = await frames_of(spec_of(tmp_path / "c.h264", every=0.4), tmp_path, 8)
    assert {size_of(frame.image) for frame in frames} == {(320, 240), (480, 360)}


async def test_process_is_gone_when_the_source_is_closed(folder: Path) -> None:
    async with open_source(spec_of(folder / "short.mp4"), SourceRules(files_dir=folder)) as frames:
        await anext(frames)
        (child,) = decoding_processes()
        assert child.nice() == min(19, psutil.Process().nice() + 5)
        assert "short.mp4" not in " ".join([*child.cmdline(), *child.environ().values()])
    assert not child.is_running()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (signal.SIGSTOP, CameraFailure.TIMEOUT),
        (signal.SIGKILL, CameraFailure.DECODER),
        (signal.SIGSEGV, CameraFailure.DECODER),
    ],
)
async def test_hang_and_crash_of_the_process_are_failures(
    folder: Path, sent: signal.Signals, reason: CameraFailure
) -> None:
    spec = spec_of(folder / "short.mp4", timeout=1)
    async with open_source(spec, SourceRules(files_dir=folder)) as frames:
        await anext(frames)
        (child,) = decoding_processes()
        child.send_signal(sent)
        with pytest.raises(SourceFailed) as failed:
            await exhaust(frames)
    assert failed.value.reason is reason
    assert not child.is_running()


PROGRAM = """
import asyncio, sys
from pathlib import Path
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceSpec

async def main():
    path = Path(sys.argv[1])
    spec = SourceSpec(url=f"file://{path}")
    async with open_source(spec, SourceRules(files_dir=path.parent)) as frames:
        await anext(frames)
        print("frame", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
def test_process_ends_with_its_parent(folder: Path, is_stopped: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder / "short.mp4")], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"frame\n"
        (child,) = psutil.Process(parent.pid).children()
        if is_stopped:
            child.suspend()
        parent.kill()
        parent.wait()
        # The process that adopts it may reap it later.
        assert wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def playing(script: str) -> tuple[str, ...]:
    """A process that does something else than to decode."""
    head = "import os, sys, time\nfrom service.cameras.sources.video.protocol import *\n"
    return sys.executable, "-c", head + script


BAD_PROCESSES = {
    "says nothing after its start": (
        "os.write(1, pack(Message.STARTED)); time.sleep(99)",
        CameraFailure.TIMEOUT,
    ),
    "writes garbage": ("os.write(1, b'?' * 99)", CameraFailure.TOO_LARGE),
    "writes an unknown message": ("os.write(1, HEADER.pack(b'?', 0))", CameraFailure.DECODER),
    "ends at once": ("", CameraFailure.DECODER),
    "ends in a message": (
        "os.write(1, pack(Message.FRAME, bytes(99))[:50])",
        CameraFailure.DECODER,
    ),
    "sends a frame that is too large": (
        "os.write(1, pack(Message.OPENED) + HEADER.pack(b'F', 2000)); time.sleep(99)",
        CameraFailure.TOO_LARGE,
    ),
    "is alive for ever": (
        "os.write(1, pack(Message.OPENED)); time.sleep(99)",
        CameraFailure.TIMEOUT,
    ),
}


@pytest.mark.parametrize(("script", "reason"), BAD_PROCESSES.values(), ids=BAD_PROCESSES)
async def test_what_a_bad_process_says_is_not_trusted(
    folder: Path, script: str, reason: CameraFailure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    spec = spec_of(folder / "short.mp4", timeout=0.3, max_bytes=1000)
    rules = SourceRules(files_dir=folder)
    with pytest.raises(SourceFailed) as failed:
        async with open_video(spec, rules, command=playing(script)) as frames:
            await anext(frames)
    assert failed.value.reason is reason, failed.value.detail


async def test_process_that_cannot_be_started(folder: Path) -> None:
    with pytest.raises(SourceFailed) as failed:
        async with open_video(
            spec_of(folder / "short.mp4"),
            SourceRules(files_dir=folder),
            command=["/no/such/program"],
        ):
            pass
    assert failed.value.reason is CameraFailure.DECODER


async def test_missing_extra_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('no module named av')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    failed = await failure(spec_of(folder / "short.mp4"), folder)
    assert failed.reason is CameraFailure.UNSUPPORTED
    assert "potoo[video]" in failed.detail


async def test_missing_device() -> None:
    spec = SourceSpec(url="usb:99")
    with pytest.raises(SourceFailed) as failed:
        async with open_source(spec, SourceRules()):
            pass
    assert failed.value.reason is CameraFailure.UNSUPPORTED


HOSTILE = {
    "no video": b"this is no video" * 100,
    "nothing": b"",
    "an HLS playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nshort.mp4\n#EXT-X-ENDLIST\n",
    "a list of files": b"ffconcat version 1.0\nfile short.mp4\n",
    "SDP": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_other_files_are_refused(folder: Path, content: bytes) -> None:
    (folder / "hostile.mp4").write_bytes(content)
    failed = await failure(spec_of(folder / "hostile.mp4", timeout=2), folder)
    assert failed.reason in {CameraFailure.NOT_AN_IMAGE, CameraFailure.DECODER}, failed.detail


async def test_file_without_video_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    failed = await failure(spec_of(tmp_path / "a.mkv"), tmp_path)
    assert failed.reason is CameraFailure.NOT_AN_IMAGE


async def test_damaged_video_is_survived(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", seconds=3, container="h264")
    data = bytearray(path.read_bytes())
    for place in range(2000, len(data) - 2000, 97):
        data[place] ^= 0x55
    path.write_bytes(data)
    # The decoder decides how much is decoded; either way the source ends in order.
    with suppress(SourceFailed):
        await frames_of(spec_of(path, timeout=0.5), tmp_path, 3)
    assert not decoding_processes()


async def test_file_that_is_removed_or_refused(folder: Path, tmp_path: Path) -> None:
    assert (await failure(spec_of(folder / "no.mp4"), folder)).reason is CameraFailure.UNREACHABLE
    refused = await failure(spec_of(folder / "short.mp4"), tmp_path)
    assert refused.reason is CameraFailure.ADDRESS_REFUSED


def test_messages_are_small() -> None:
    assert pack(Message.ALIVE) == b"A\0\0\0\0"
    assert len(pack(Message.FRAME, b"jpeg")) == HEADER.size + 4
