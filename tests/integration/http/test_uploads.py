"""Invalid files and forms: a typed problem each, and the next request succeeds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

from tests.support.callers.answers import problem_of, refusal
from tests.support.models.hostile_files import (
    animated_png,
    animation,
    black_png,
    deflated_zeros,
    png,
    resized_header,
    webp,
    wide_gif_frame,
)
from tests.support.models.pictures import BLUE, GREEN, RED, plain

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
NOT_OURS = (415, "unsupported_image")
DAMAGED = (422, "invalid_image")
TOO_LARGE = (413, "image_too_large")
INVALID = (422, "invalid_parameter")
MALFORMED = (400, "invalid_request")
OVERFULL = (413, "payload_too_large")


def beginning(kind: str, count: int = 0) -> bytes:
    """The first bytes of a picture, or the first half."""
    whole = plain(format=kind)
    return whole[: count or len(whole) // 2]


FILES: dict[str, tuple[Callable[[], bytes], tuple[int, str]]] = {
    "nothing": (lambda: b"", DAMAGED),
    "one byte": (lambda: b"\0", NOT_OURS),
    "text": (lambda: b"no picture at all", NOT_OURS),
    "HTML": (lambda: b"<!doctype html><script>alert(1)</script>", NOT_OURS),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', NOT_OURS),
    "PDF": (lambda: b"%PDF-1.7\n", NOT_OURS),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NOT_OURS),
    "a zip archive": (lambda: b"PK\x03\x04" + bytes(100), NOT_OURS),
    "a program": (lambda: b"\x7fELF" + bytes(100), NOT_OURS),
    "a picture after a space": (lambda: b" " + plain(), NOT_OURS),
    **{f"the first bytes of {kind}": (partial(beginning, kind, 12), DAMAGED) for kind in FORMATS},
    **{f"half a {kind}": (partial(beginning, kind), DAMAGED) for kind in FORMATS},
    "too few pixels": (lambda: png(64, 48, deflated_zeros(100)), DAMAGED),
    "no pixels": (lambda: png(0, 0, deflated_zeros(1)), DAMAGED),
    "pixels that are not deflate": (lambda: png(64, 48, b"garbage"), DAMAGED),
    "a PNG of 60,000 x 60,000": (lambda: png(60_000, 60_000, deflated_zeros(1000)), TOO_LARGE),
    "a PNG of 2^31 - 1 squared": (lambda: png(2**31 - 1, 2**31 - 1, deflated_zeros(1000)), TOO_LARGE),
    "a PNG just over the limit": (lambda: black_png(7072), TOO_LARGE),
    "a WebP of 32 bytes": (lambda: webp(16_383, 16_383), TOO_LARGE),
    "a JPEG of 65,500 x 65,500": (lambda: resized_header(plain(format="JPEG"), 65_500, 65_500), TOO_LARGE),
    "a GIF of 65,535 x 65,535": (lambda: resized_header(plain(format="GIF"), 65_535, 65_535), TOO_LARGE),
    "a GIF with too large a frame": (lambda: wide_gif_frame(65_535, 65_535), TOO_LARGE),
    "a BMP of 100,000 x 100,000": (lambda: resized_header(plain(format="BMP"), 100_000, 100_000), TOO_LARGE),
    "a TIFF of 100,000 x 100,000": (lambda: resized_header(plain(format="TIFF"), 100_000, 100_000), TOO_LARGE),
    "an APNG of 10,000 frames": (lambda: animated_png(10_000), TOO_LARGE),
    "a WebP of 1,001 frames": (lambda: animation("WEBP", 1001), TOO_LARGE),
}  # fmt: skip


def part(name: str, content: bytes = b"", *, file_name: str | None = "a.png") -> bytes:
    """One part of a form with the boundary ``x``."""
    file = "" if file_name is None else f'; filename="{file_name}"'
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--x--\r\n"
FORMS: dict[str, tuple[bytes, tuple[int, str]]] = {
    "no parts": (END, INVALID),
    "an empty file": (part("file") + END, DAMAGED),
    "another field": (part("photo", plain()) + END, INVALID),
    "a field beside it": (part("file", plain()) + part("top_k", b"1", file_name=None) + END, INVALID),
    "the field twice": (part("file", plain()) * 2 + END, INVALID),
    "both names of the field": (part("file", plain()) + part("image", plain()) + END, INVALID),
    "10,000 parts": (part("file") * 10_000 + END, OVERFULL),
    "a field's name of 2 kB": (part("a" * 2000) + END, INVALID),
    "a field's name that is a path": (part("../../etc/passwd") + END, INVALID),
    "a part without a name": (b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n" + END, MALFORMED),
    "a part without headers": (b"--x\r\n\r\na\r\n" + END, MALFORMED),
    "a part that is not form data": (part("file", plain()).replace(b"form-data", b"attachment") + END, MALFORMED),
    "two dispositions": (part("file", plain()).replace(b"\r\n\r\n", b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n', 1) + END, MALFORMED),
    "a file name of 10 kB": (part("file", plain(), file_name="a" * 10_000) + END, MALFORMED),
    "a part header of 1 MB": (part("file", plain(), file_name="a" * 2**20) + END, MALFORMED),
    "100,000 part headers": (part("file", plain()).replace(b"\r\n\r\n", b"\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", 1) + END, MALFORMED),
    "no end": (part("file", plain()), MALFORMED),
    "cut in a header": (b"--x\r\nContent-Dispo", MALFORMED),
    "not a form": (b"garbage", MALFORMED),
    "nothing": (b"", MALFORMED),
    "another boundary": (part("file", plain()).replace(b"--x", b"--y") + END.replace(b"--x", b"--y"), MALFORMED),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _serves_on(client: httpx.Client) -> Iterator[None]:
    """Check after every test that the next caller is served."""
    yield
    answer = client.post("/v1/classify", files={"file": plain(RED)})
    assert answer.json()["predictions"][0]["label"] == "red"


@pytest.mark.parametrize(("make", "expected"), FILES.values(), ids=FILES)
def test_unusable_file_is_refused(
    client: httpx.Client, make: Callable[[], bytes], expected: tuple[int, str]
) -> None:
    answer = client.post(
        "/v1/classify", content=make(), headers={"content-type": "application/octet-stream"}
    )
    assert refusal(answer) == expected


@pytest.mark.parametrize("preamble", [b"", b"This is a multi-part message in MIME format.\r\n"])
@pytest.mark.parametrize("padding", [b"", b" \t"])
def test_form_of_a_mime_library_is_accepted(
    client: httpx.Client, preamble: bytes, padding: bytes
) -> None:
    form = preamble + part("file", plain(RED)).replace(b"--x\r\n", b"--x" + padding + b"\r\n") + END
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/classify", content=form, headers=headers)
    assert answer.json()["predictions"][0]["label"] == "red"
    batch = client.post(
        "/v1/classify/batch", content=form.replace(b'"file"', b'"files"'), headers=headers
    )
    assert batch.json()["results"][0]["result"]["predictions"][0]["label"] == "red"


@pytest.mark.parametrize("empty_first", [True, False])
def test_empty_form_field_is_ignored(client: httpx.Client, *, empty_first: bool) -> None:
    parts = [part("image", file_name=""), part("file", plain(RED))]
    body = b"".join(parts if empty_first else reversed(parts)) + END
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/classify", content=body, headers=headers)
    assert answer.json()["predictions"][0]["label"] == "red"


@pytest.mark.parametrize("name", ["nothing", "text", "half a JPEG", "a WebP of 32 bytes"])
@pytest.mark.parametrize("form", ["multipart", "JSON"])
def test_every_upload_form_gets_the_same_refusal(
    client: httpx.Client, form: str, name: str
) -> None:
    make, expected = FILES[name]
    if form == "multipart":
        answer = client.post("/v1/classify", files={"file": ("photo.jpg", make(), "image/jpeg")})
    else:
        answer = client.post("/v1/classify", json={"image": base64.b64encode(make()).decode()})
    assert refusal(answer) == expected


@pytest.mark.parametrize(("body", "expected"), FORMS.values(), ids=FORMS)
def test_form_without_exactly_one_image_is_refused(
    client: httpx.Client, body: bytes, expected: tuple[int, str]
) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/classify", content=body, headers=headers)
    assert refusal(answer) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"x" * 10_000,
        b'multipart/form-data; boundary="',
        b"multipart/form-data; charset=utf-8",
        b"multipart/form-data; boundary=\xff\xfe",
    ],
)
def test_form_without_a_valid_boundary_is_refused(
    client: httpx.Client, content_type: bytes
) -> None:
    answer = client.post(
        "/v1/classify", content=part("file", plain()) + END, headers={b"content-type": content_type}
    )
    assert refusal(answer) == MALFORMED


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "garbage", ";", '"', "multipart/mixed; boundary=x", "imagepng", "a" * 5000],
)
def test_other_content_types_are_refused(client: httpx.Client, content_type: str) -> None:
    headers = {"content-type": content_type}
    answer = client.post("/v1/classify", content=plain(), headers=headers)
    assert refusal(answer) == (415, "unsupported_media_type")


def test_missing_content_type_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/classify", content=plain())
    assert refusal(answer) == (415, "unsupported_media_type")


def test_duplicate_content_type_is_refused(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/classify",
        content=plain(),
        headers=[("content-type", "image/png"), ("content-type", "text/plain")],
    )
    assert refusal(answer) == MALFORMED


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "gzip, gzip", "unknown"])
def test_compressed_bodies_are_refused(client: httpx.Client, coding: str) -> None:
    headers = {"content-type": "image/png", "content-encoding": coding}
    answer = client.post("/v1/classify", content=plain(), headers=headers)
    assert refusal(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["raw", "JSON"])
def test_body_above_the_limit_is_refused(client: httpx.Client, kind: str) -> None:
    content, content_type = bytes(20 * 2**20 + 1), "image/png"
    if kind == "JSON":
        content = json.dumps({"image": base64.b64encode(content).decode()}).encode()
        content_type = "application/json"
    answer = client.post("/v1/classify", content=content, headers={"content-type": content_type})
    assert refusal(answer) == OVERFULL


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_first_of_many_frames_is_classified(client: httpx.Client, kind: str) -> None:
    file = animation(kind, 500, (RED, BLUE, GREEN))
    answer = client.post("/v1/classify", files={"file": file}).raise_for_status().json()
    assert answer["predictions"][0]["label"] == "red"


def test_truncated_image_error_names_its_location(client: httpx.Client) -> None:
    answer = client.post("/v1/classify", files={"file": plain()[:60]})
    assert problem_of(answer)["errors"][0]["pointer"].startswith("/body")
