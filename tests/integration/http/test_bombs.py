"""Decompression bombs and other small requests that are expensive to process."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.callers.answers import refusal
from tests.support.callers.raw_http import Connection, get
from tests.support.models.hostile_files import (
    MEGABYTE,
    animated_png,
    black_png,
    chunk,
    deflated_zeros,
    many_scans,
    many_segments,
    png,
    resized_header,
    webp,
)
from tests.support.models.pictures import encoded, noise, plain
from tests.support.models.tiff_files import tiff_of
from tests.support.servers.memory import Watch
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

BOMBS: dict[str, Callable[[], bytes]] = {
    "a PNG of 60,000 x 60,000": lambda: png(60_000, 60_000, deflated_zeros(10 * MEGABYTE)),
    "a PNG just over the limit": lambda: black_png(7072),
    "a WebP of 32 bytes": lambda: webp(16_383, 16_383),
    "a JPEG of 65,500 x 65,500": lambda: resized_header(plain(format="JPEG"), 65_500, 65_500),
    "a GIF of 65,535 x 65,535": lambda: resized_header(plain(format="GIF"), 65_535, 65_535),
    "a BMP of 100,000 x 100,000": lambda: resized_header(plain(format="BMP"), 100_000, 100_000),
    "a TIFF of 100,000 x 100,000": lambda: resized_header(plain(format="TIFF"), 100_000, 100_000),
    "an APNG of 10,000 frames": lambda: animated_png(10_000),
}
# Valid files that would take a decoder minutes with enough repetitions.
ENDLESS: dict[str, Callable[[], bytes]] = {
    "a JPEG of 1,000 scans": lambda: many_scans(1000),
    "a JPEG of 300,000 comments": lambda: many_segments(0xFE, b"", 300_000),
    "a PNG of 300,000 chunks": lambda: black_png(8, extra=chunk(b"teSt") * 300_000),
    "strips that share their bytes": lambda: tiff_of(
        {256: 8, 257: 4000, 258: 8, 259: 8, 262: 1, 277: 1, 278: 1}
        | {273: [8] * 4000, 279: [MEGABYTE] * 4000},
        [bytes(MEGABYTE)],
    ),
}
# Metadata of any size that is skipped unparsed.
SKIPPED: dict[str, Callable[[], bytes]] = {
    "a JPEG of 20,000 Exif segments": lambda: many_segments(0xE1, b"Exif\0\0" + bytes(14), 20_000),
    "a JPEG of 100,000 comments": lambda: many_segments(0xFE, b"", 100_000),
    "a PNG of 100,000 chunks": lambda: black_png(8, extra=chunk(b"teSt") * 100_000),
    "a PNG with ten bombs of text": lambda: black_png(
        8, extra=chunk(b"zTXt", b"a\0\0" + deflated_zeros(64 * MEGABYTE)) * 10
    ),
    "a PNG with a bomb of a profile": lambda: black_png(
        8, extra=chunk(b"iCCP", b"a\0\0" + deflated_zeros(64 * MEGABYTE))
    ),
}
STRUCTURES: dict[str, Callable[[], bytes]] = {
    "members": lambda: b"{" + b",".join(b'"%d":1' % number for number in range(300_000)) + b"}",
    "lists": lambda: b'{"image":[' + b"[]," * 3_000_000 + b"1]}",
    "numbers": lambda: b'{"image":[' + b"1," * 5_000_000 + b"1]}",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A warmed-up server for these tests alone, since they measure its memory."""
    with serve(tmp_path_factory.mktemp("bombs"), models=colours) as live:
        with live.client() as client:
            for _ in range(20):
                client.post("/v1/classify", files={"file": encoded(noise((640, 480)), "JPEG")})
        yield live


@pytest.fixture(autouse=True)
def _serves_on(own: LiveServer) -> Iterator[None]:
    """Check after every test that the process lives and answers the next client."""
    yield
    assert own.process.poll() is None
    with own.client() as client:
        assert client.post("/v1/classify", files={"file": plain()}).status_code == 200


def raw(client: httpx.Client, file: bytes) -> httpx.Response:
    return client.post("/v1/classify", content=file, headers={"content-type": "image/png"})


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_decompression_bomb_is_refused_by_its_header(
    own: LiveServer, make: Callable[[], bytes]
) -> None:
    file, watch = make(), Watch(own)
    with own.client() as client:
        peak = watch.peak_during(lambda: raw(client, file))
        assert refusal(raw(client, file)) == (413, "image_too_large")
    assert peak < 192


def test_sixteen_concurrent_bombs_are_refused(own: LiveServer) -> None:
    files, watch = [make() for make in BOMBS.values()] * 2, Watch(own)

    def send(file: bytes) -> tuple[int, str]:
        with own.client() as client:
            return refusal(raw(client, file))

    def send_all() -> None:
        with ThreadPoolExecutor(len(files)) as crowd:
            assert set(crowd.map(send, files)) == {(413, "image_too_large")}

    assert watch.peak_during(send_all) < 384


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS)
def test_file_with_endless_decoding_is_refused(own: LiveServer, make: Callable[[], bytes]) -> None:
    with own.client() as client:
        assert refusal(raw(client, make()))[0] in {413, 422}


@pytest.mark.parametrize("make", SKIPPED.values(), ids=SKIPPED)
def test_metadata_is_skipped_and_takes_no_memory(
    own: LiveServer, make: Callable[[], bytes]
) -> None:
    file, watch = make(), Watch(own)
    with own.client() as client:
        peak = watch.peak_during(lambda: raw(client, file))
        assert raw(client, file).status_code == 200
    assert peak < 32


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_json_of_a_million_parts_uses_little_memory(
    own: LiveServer, make: Callable[[], bytes]
) -> None:
    body, watch, answers = make(), Watch(own), list[httpx.Response]()
    with own.client() as client:
        peak = watch.peak_during(
            lambda: answers.append(
                client.post(
                    "/v1/classify", content=body, headers={"content-type": "application/json"}
                )
            )
        )
    assert [refusal(answer) for answer in answers] == [(422, "invalid_parameter")]
    assert peak < 64


@pytest.mark.parametrize(
    "kind", ["bytes that look like boundaries", "line ends", "a preamble", "an epilogue"]
)
def test_hostile_16_megabyte_form_is_refused(own: LiveServer, kind: str) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    end, size = b"\r\n--x--\r\n", 16 * MEGABYTE
    body = {
        "bytes that look like boundaries": head + b"\r\n--y" * (size // 5) + end,
        "line ends": head + b"\r\n" * (size // 2) + end,
        "a preamble": b"\r\n" * (size // 2) + head + b"a" + end,
        "an epilogue": head + b"a" + end + b"\r\n" * (size // 2),
    }[kind]
    head_lines = (
        "POST /v1/classify HTTP/1.1",
        *("Host: a", f"Authorization: Bearer {own.token()}", f"Content-Length: {len(body)}"),
        *("Content-Type: multipart/form-data; boundary=x", "", ""),
    )
    with Connection(own.address) as form:
        form.send("\r\n".join(head_lines).encode() + body[:-1])
        assert get(own.address).status == 200, "while the form is read"
        form.send(body[-1:])
        assert get(own.address).status == 200, "while it is worked on"
        answer = form.answer()
    assert (answer.status, answer.problem["code"]) == (415, "unsupported_image")


def test_memory_of_the_largest_images_is_released(tmp_path: Path, colours: Path) -> None:
    file = black_png(3464)  # 12 megapixels, which are 48 MiB in memory
    with (
        serve(
            tmp_path,
            models=colours,
            POTOO_LIMITS__MAX_PIXELS="12000000",
            POTOO_LIMITS__MAX_DECODE_BYTES=str(48 * MEGABYTE),
        ) as fresh,
        fresh.client() as client,
    ):
        assert raw(client, plain()).status_code == 200
        watch = Watch(fresh)
        peak = watch.peak_during(lambda: [raw(client, file), raw(client, file)])
        assert raw(client, file).status_code == 200
        assert peak < 96
        assert wait_until(lambda: watch.growth < 24, patience=5)


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1)])
def test_image_with_an_extreme_side_is_refused(own: LiveServer, size: tuple[int, int]) -> None:
    with own.client() as client:
        file = png(*size, deflated_zeros(400_000))
        assert refusal(raw(client, file)) == (413, "image_too_large")


def test_mixed_requests_leak_no_memory_or_descriptors(own: LiveServer) -> None:
    picture = encoded(noise((800, 600)), "JPEG")
    with own.client() as client:

        def mix() -> None:
            raw(client, picture)
            raw(client, picture[:20_000])
            raw(client, webp(16_383, 16_383))
            client.post("/v1/classify", files={"file": picture})
            client.post("/v1/classify", json={"image": base64.b64encode(picture).decode()})
            client.post("/v1/classify?top_k=x", content=picture)
            client.post("/v1/classify/batch", files=[("files", picture)] * 4)
            client.get("/v1/models/nope")

        for _ in range(10):
            mix()
        watch, before = Watch(own), psutil.Process(own.process.pid).num_fds()
        for _ in range(50):
            mix()
    assert watch.growth < 16
    assert wait_until(lambda: psutil.Process(own.process.pid).num_fds() <= before)
    assert get(own.address).status == 200
