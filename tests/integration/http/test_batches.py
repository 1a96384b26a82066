"""Batches: every file gets its own result, in upload order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.callers.answers import assert_tells_nothing, refusal
from tests.support.models.hostile_files import black_png, webp
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.servers.server import LiveServer, serve

URL = "/v1/classify/batch"
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}
HOSTILE_NAMES = {
    "Unicode": "snapshot \N{CAT FACE} \N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "a path": "../../../../etc/passwd",
    "markup": "<img src=x onerror=alert(1)>.png",
    "SQL": "a'; DROP TABLE accounts;--",
    "a template": "{{7*7}}${7*7}%s%n",
    "spaces": "   ",
    "a tab": "a\tb.png",
}


def send(client: httpx.Client, *files: bytes, query: str = "") -> httpx.Response:
    """Uploads files as a batch."""
    parts = [("files", (f"{number}.png", file)) for number, file in enumerate(files)]
    return client.post(f"{URL}?{query}", files=parts)


def form(*parts: bytes) -> bytes:
    """A form with the boundary ``x`` and complete parts."""
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


@pytest.fixture(autouse=True)
def _serves_on(client: httpx.Client) -> Iterator[None]:
    """After every test, the next caller is served."""
    yield
    assert send(client, plain()).status_code == 200


def test_answers_keep_the_upload_order(client: httpx.Client) -> None:
    labels = [*COLOURS, *reversed(COLOURS)] * 5
    # Large pictures between small ones, so that small ones would finish first.
    files = [
        plain(COLOURS[label], size=(1500, 1000) if number % 3 else (8, 8))
        for number, label in enumerate(labels)
    ]
    results = send(client, *files).json()["results"]
    assert [result["file_name"] for result in results] == [
        f"{number}.png" for number in range(len(files))
    ]
    assert [result["result"]["predictions"][0]["label"] for result in results] == labels


def test_bad_file_does_not_affect_the_others(client: httpx.Client) -> None:
    bad = {
        "unsupported_image": b"text",
        "invalid_image": plain()[:60],
        "image_too_large": webp(16_383, 16_383),
        "nothing": b"",
    }
    files = [file for junk in bad.values() for file in (plain(GREEN), junk)]
    answer = send(client, *files, plain(BLUE))
    assert answer.status_code == 200
    assert_tells_nothing(answer)
    results = answer.json()["results"]
    found = [
        result["problem"]["code"]
        if result.get("problem")
        else result["result"]["predictions"][0]["label"]
        for result in results
    ]
    assert found[::2] == ["green"] * len(bad) + ["blue"]
    assert found[1:8:2] == [*list(bad)[:3], "invalid_image"]
    assert results[7]["problem"]["detail"] == "The image has no bytes."
    assert all(
        result["problem"]["status"] in {413, 415, 422}
        for result in results
        if result.get("problem")
    )


def test_item_has_either_a_result_or_a_problem(client: httpx.Client) -> None:
    good, bad = send(client, plain(), b"text").json()["results"]
    assert set(good) == {"file_name", "result"}
    assert set(bad) == {"file_name", "problem"}
    assert set(bad["problem"]) == {"status", "code", "detail"}


def test_parameters_apply_to_every_file(client: httpx.Client) -> None:
    results = send(client, plain(), plain(), query="top_k=2&model=colours").json()["results"]
    assert [len(result["result"]["predictions"]) for result in results] == [2, 2]


@pytest.mark.parametrize("count", [33, 10_000])
def test_too_many_files_are_refused(client: httpx.Client, count: int) -> None:
    part = b'Content-Disposition: form-data; name="files"; filename="a"\r\n\r\na'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post(URL, content=form(*[part] * count), headers=headers)
    assert refusal(answer) == (413, "payload_too_large")


def test_maximum_number_of_files_is_accepted(client: httpx.Client) -> None:
    assert len(send(client, *[plain()] * 32).json()["results"]) == 32


@pytest.mark.parametrize("field", ["file", "image", "files[]", "Files", "files\u0000", "../files"])
def test_unknown_field_is_refused(client: httpx.Client, field: str) -> None:
    answer = client.post(URL, files=[("files", plain()), (field, plain())])
    assert refusal(answer) == (422, "invalid_parameter")


def test_batch_without_files_is_refused(client: httpx.Client) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post(URL, content=form(), headers=headers)
    assert refusal(answer) == (422, "invalid_parameter")


@pytest.mark.parametrize("content_type", ["image/png", "application/json", "text/plain"])
def test_body_other_than_a_form_is_refused(client: httpx.Client, content_type: str) -> None:
    answer = client.post(URL, content=plain(), headers={"content-type": content_type})
    assert refusal(answer) == (415, "unsupported_media_type")


def test_an_unknown_model_fails_the_whole_batch(client: httpx.Client) -> None:
    assert refusal(send(client, plain(), query="model=nope")) == (404, "model_not_found")


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_file_name_is_returned_unchanged(client: httpx.Client, name: str) -> None:
    disposition = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    part = disposition.encode() + b"\r\n\r\n" + plain()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post(URL, content=form(part), headers=headers)
    (result,) = answer.json()["results"]
    assert result["file_name"] == name
    assert result["result"]["predictions"][0]["label"] == "red"


@pytest.mark.parametrize(
    "raw",
    [b'"\xff\xfe.png"', b'"a\\"b.png"', b'"\x00.png"', b'"%22%0d%0aX-Injected: 1.png"', b"plain.png", b'""', b'"a\r\nX-Injected: 1"', b'"a\nX-Injected: 1"', b'"a\rb"', b'"C:\\a\\b.png"'],
)  # fmt: skip
def test_file_name_of_arbitrary_bytes_is_harmless(client: httpx.Client, raw: bytes) -> None:
    part = b'Content-Disposition: form-data; name="files"; filename=' + raw + b"\r\n\r\n" + plain()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post(URL, content=form(part), headers=headers)
    assert answer.status_code in {200, 400}
    assert "x-injected" not in answer.headers
    assert_tells_nothing(answer)


def test_file_name_of_10_kilobytes_is_refused(client: httpx.Client) -> None:
    answer = client.post(URL, files=[("files", ("a" * 10_000, plain()))])
    assert refusal(answer) == (400, "invalid_request")


def test_file_names_are_not_logged(client: httpx.Client, server: LiveServer) -> None:
    client.post(URL, files=[("files", ("holiday-of-jane.png", plain()))])
    client.post(URL, files=[("files", ("holiday-of-jane.png", b"text"))])
    assert "holiday-of-jane" not in server.events()


def test_timeout_applies_to_the_whole_batch(client: httpx.Client) -> None:
    results = send(client, *[black_png(3000)] * 8, query="timeout_ms=100").json()["results"]
    assert results[-1]["problem"]["code"] == "deadline_exceeded"


def test_a_batch_larger_than_the_limit_is_refused(tmp_path: Path, colours: Path) -> None:
    with (
        serve(tmp_path, models=colours, POTOO_LIMITS__MAX_BATCH_BYTES="100000") as small,
        small.client() as client,
    ):
        assert refusal(send(client, bytes(100_000))) == (413, "payload_too_large")
        assert send(client, plain()).status_code == 200
