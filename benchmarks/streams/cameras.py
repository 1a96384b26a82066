"""The CPU time and memory of watching cameras, part of ``make bench-streams``.

Eight 1080p cameras (H.264, 25 frames a second, about 6 Mbit/s, a key frame a second) give one frame
a second each. Beside it, in the same rounds, eight processes decode every frame of the same
streams, and do nothing with them. Then an hour's number of frames is taken within minutes, to see
whether memory grows.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import psutil
from PIL import Image

from benchmarks.support import photo
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceSpec
from service.cameras.sources.video.child import NICENESS
from tests.support.cameras.gstreamer import gstreamer_server, is_installed

SIZE, RATE, BITS = (1920, 1080), 25, 6_000_000
SMALL_SIZE = (640, 360)
"""Of the frames of an hour."""
VIDEO_SECONDS = 10
GOAL = 0.2
"""Of the CPU time of decoding every frame."""
FRAMES_AN_HOUR = 3600
WARM_SECONDS = 4.0
DECODE_EVERYTHING = """
import os, sys, time, av
url, rate, nice = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
os.nice(nice)
count = 0
while True:
    options = {"rtsp_transport": "tcp"} if url.startswith("rtsp") else {}
    with av.open(url, options=options) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        due = time.monotonic()
        for frame in container.decode(stream):
            count += 1
            if not url.startswith("rtsp"):
                due += 1 / rate
                time.sleep(max(0.0, due - time.monotonic()))
            if count % 5 == 0:
                print(count, time.process_time(), flush=True)
"""


def measure_cameras(
    *, cameras: int = 8, seconds: float = 15, rounds: int = 3, minutes: float = 6
) -> dict[str, object]:
    """Measure cameras by RTSP (where GStreamer is installed) and from files.

    Args:
        cameras: watched at once.
        seconds: of one measurement.
        rounds: of both measurements, one after the other.
        minutes: in which each camera gives an hour's frames; 0 leaves that out.

    Returns:
        By kind of source: milliseconds of CPU time that a second of one camera's stream costs, by
        watching and by decoding everything (each round), and the median of their ratios; memory
        in MiB by quarter, and its growth.
    """
    measured: dict[str, object] = {"cameras": cameras, "goal": GOAL}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _sources(folder, cameras) as sources:
            for kind, urls in sources.items():
                spec = SourceSpec(url="", every_seconds=1.0)
                measured[kind] = asyncio.run(_ratio(urls, spec, folder, seconds, rounds))
        if minutes:
            measured["hour"] = asyncio.run(_hour(folder, cameras, minutes))
    return measured


@contextmanager
def _sources(folder: Path, cameras: int) -> Iterator[dict[str, list[str]]]:
    write_video(folder / "camera.h264", container="h264")
    write_video(folder / "camera.mp4")
    files = {"files": [f"file://{folder}/camera.mp4"] * cameras}
    if not is_installed():
        yield files
        return
    launch = (
        f"( multifilesrc location={folder}/camera.h264 loop=true"
        f" ! video/x-h264,stream-format=byte-stream,framerate={RATE}/1"
        " ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
    with gstreamer_server(launch) as server:
        yield {"rtsp": [f"rtsp://127.0.0.1:{server.port}/cam"] * cameras, **files}


def write_video(
    path: Path,
    *,
    container: str | None = None,
    rate: int = RATE,
    key_every: int = RATE,
    seconds: float = VIDEO_SECONDS,
    size: tuple[int, int] = SIZE,
) -> None:
    """Write a pan over a photo with some noise, as H.264 of about 6 Mbit/s."""
    width, height = size
    encoded = photo.jpeg((width + 400, height), about=None)
    scene = np.asarray(Image.open(io.BytesIO(encoded)))
    random = np.random.default_rng(0)
    # A sensor's noise differs from frame to frame: a few patterns, each shifted by a random step.
    noise = random.normal(0, 3, (height + 256, width + 256, 1))
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.bit_rate = key_every, BITS
        # As a camera encodes: at once, without looking ahead, and without B-frames.
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0"}
        for number in range(int(seconds * rate)):
            left = 2 * number % 400
            view = scene[:height, left : left + width]
            x, y = random.integers(0, 256, 2)
            grain = noise[y : y + height, x : x + width]
            pixels = np.clip(view + grain, 0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode())


async def _ratio(
    urls: Sequence[str], spec: SourceSpec, folder: Path, seconds: float, rounds: int
) -> dict[str, object]:
    """Measure both, round by round."""
    watching, decoding, frames = [], [], []
    for _ in range(rounds):
        async with _watched(urls, spec, folder) as counts:
            await asyncio.sleep(WARM_SECONDS)
            before = sum(counts)
            cores = await _cores(psutil.Process(), seconds)
            answers = (sum(counts) - before) / seconds / len(urls)
        frames.append(answers)
        watching.append(1000 * cores / answers / len(urls))
        decoding.append(await _decoding_everything(urls, seconds))
    pairs = zip(watching, decoding, strict=True)
    ratio = statistics.median(one / other for one, other in pairs)
    return {
        "watching_ms": [round(cost, 2) for cost in watching],
        "decoding_ms": [round(cost, 2) for cost in decoding],
        "frames_a_second_and_camera": [round(number, 2) for number in frames],
        "ratio": round(ratio, 4),
        "is_within_goal": ratio <= GOAL,
    }


@asynccontextmanager
async def _watched(urls: Sequence[str], spec: SourceSpec, folder: Path) -> AsyncIterator[list[int]]:
    """Watch cameras; give out the number of frames of each, as it grows."""
    counts = [0] * len(urls)

    async def watch(number: int, url: str) -> None:
        async with open_source(replace(spec, url=url), SourceRules(files_dir=folder)) as frames:
            async for _ in frames:
                counts[number] += 1

    async with AsyncExitStack() as stack:
        tasks = [asyncio.create_task(watch(*numbered)) for numbered in enumerate(urls)]
        stack.push_async_callback(asyncio.wait, tasks)
        for task in tasks:
            stack.callback(task.cancel)
        while not all(counts):
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.1)
        yield counts


async def _decoding_everything(urls: Sequence[str], seconds: float) -> float:
    """Return what a second of a stream costs when all its frames are decoded, in milliseconds.

    Counted by frames: on a busy machine the processes fall behind their streams.
    """
    async with AsyncExitStack() as stack:
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", DECODE_EVERYTHING, url.removeprefix("file://")),
                *(str(RATE), str(NICENESS)),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for url in urls
        ]
        for process in processes:
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
        return statistics.mean(
            await asyncio.gather(*(_cost(process, seconds) for process in processes))
        )


async def _cost(process: asyncio.subprocess.Process, seconds: float) -> float:
    assert process.stdout

    async def report() -> tuple[int, float]:
        assert process.stdout
        count, cpu = (await process.stdout.readline()).split()
        return int(count), float(cpu)

    first = await report()
    began = time.monotonic()
    last = first
    while time.monotonic() < began + seconds:
        last = await report()
    return 1000 * RATE * (last[1] - first[1]) / (last[0] - first[0])


async def _cores(root: psutil.Process, seconds: float) -> float:
    """Return the CPU time of a process and its children in that time, in cores."""
    began, before = time.monotonic(), _cpu(root)
    await asyncio.sleep(seconds)
    return (_cpu(root) - before) / (time.monotonic() - began)


def _cpu(root: psutil.Process) -> float:
    times = [process.cpu_times() for process in (root, *root.children())]
    return float(sum(one.user + one.system for one in times))


async def _hour(folder: Path, cameras: int, minutes: float) -> dict[str, object]:
    """Take an hour's frames of each camera within minutes; see whether memory grows."""
    rate = FRAMES_AN_HOUR / (60 * minutes)
    # Key frames, one after the other; small ones, since each is an hour's number of them.
    write_video(
        folder / "hour.mp4", rate=round(rate), key_every=1, seconds=40 / rate, size=SMALL_SIZE
    )
    samples: list[float] = []
    spec = SourceSpec(url="", every_seconds=1 / rate)
    urls = [f"file://{folder}/hour.mp4"] * cameras
    root = psutil.Process()
    async with _watched(urls, spec, folder) as counts:
        while min(counts) < FRAMES_AN_HOUR:
            await asyncio.sleep(1)
            tree = (root, *root.children())
            samples.append(sum(process.memory_full_info().uss for process in tree) / 2**20)
        taken = list(counts)
    length = len(samples) // 4
    quarters = [statistics.median(samples[n * length : (n + 1) * length]) for n in range(4)]
    return {
        "minutes": round(len(samples) / 60, 2),
        "frames": sum(taken),
        "mib_by_quarter": [round(mib, 1) for mib in quarters],
        "growth": round(quarters[3] / quarters[1] - 1, 4),
    }
