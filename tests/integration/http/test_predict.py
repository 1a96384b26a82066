"""``POST /predict``: one image in a form, as a file or in base64."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest

from tests.support.callers.answers import refusal
from tests.support.models.pictures import BLUE, encoded, noise, plain
from tests.support.servers.drop_in import SCOPES, TEMPERATURES, share
from tests.support.servers.server import LiveServer

FILE = plain(BLUE)
TEXT = base64.b64encode(FILE).decode()
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def door(drop_in: LiveServer) -> Iterator[httpx.Client]:
    with drop_in.client(SCOPES) as client:
        yield client


def assert_blue(answer: httpx.Response, version: int = 2, top_k: int = 3) -> None:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert list(found) == ["class", "confidence", "probabilities"]
    best = share([0.0, 0.0, 10.0], TEMPERATURES[version])[2]
    assert found["class"] == "blue" == next(iter(found["probabilities"]))
    assert found["confidence"] == found["probabilities"]["blue"] == pytest.approx(best, abs=1e-5)
    assert len(found["probabilities"]) == top_k


def test_file_in_a_form_is_classified(door: httpx.Client) -> None:
    assert_blue(door.post("/predict", files={"image": ("photo.png", FILE, "image/png")}))
    assert_blue(door.post("/predict", files={"image": FILE}, data={"other": "ignored"}))


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.rstrip("="),
        f"data:image/png;base64,{TEXT}",
        base64.urlsafe_b64encode(FILE).decode(),
        base64.encodebytes(FILE).decode(),
    ],
    ids=["plain", "unpadded", "data URL", "URL-safe", "in lines"],
)
def test_base64_in_a_form_is_classified(door: httpx.Client, text: str) -> None:
    assert_blue(door.post("/predict", data={"image": text}))
    assert_blue(door.post("/predict", files={"image": (None, text)}))


def test_unescaped_plus_signs_are_accepted(door: httpx.Client) -> None:
    text = base64.b64encode(encoded(noise((32, 32)))).decode()
    assert "+" in text
    answers = [
        door.post("/predict", content=f"image={sent}".encode(), headers=FORM).json()
        for sent in (text, quote_plus(text), text.replace("+", "%2b").replace("/", "%2f"))
    ]
    assert "class" in answers[0]
    assert answers[0] == answers[1] == answers[2]


def test_options_equal_those_of_classify(door: httpx.Client) -> None:
    assert_blue(door.post("/predict?top_k=1", files={"image": FILE}), top_k=1)
    assert_blue(door.post("/predict?model=colours&version=1", files={"image": FILE}), version=1)
    unknown = door.post("/predict?topk=1", files={"image": FILE})
    assert refusal(unknown) == (422, "invalid_parameter")
    assert refusal(door.post("/predict?model=nope", files={"image": FILE}))[0] == 404


def test_errors_are_problem_documents(door: httpx.Client) -> None:
    for answer, expected in (
        (door.post("/predict", content=FILE), (415, "unsupported_media_type")),
        (door.post("/predict", json={"image": TEXT}), (415, "unsupported_media_type")),
        (door.post("/predict", files={"photo": FILE}), (400, "invalid_request")),
        (door.post("/predict", data={"image": "a.b"}), (400, "invalid_request")),
        (door.post("/predict", data={"image": ""}), (422, "invalid_image")),
        (door.post("/predict", data={"image": ["aGk=", "aGk="]}), (400, "invalid_request")),
        (door.post("/predict", files={"image": b"text"}), (415, "unsupported_image")),
        (door.post("/predict", data={"image": "aGk="}), (415, "unsupported_image")),
        (door.get("/predict"), (405, "method_not_allowed")),
    ):
        assert refusal(answer) == expected
