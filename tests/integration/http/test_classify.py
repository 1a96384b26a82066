"""One photo in, a labelled answer out, over real sockets."""

from __future__ import annotations

import base64

import httpx
import pytest

from tests.support.models.pictures import BLUE, GREEN, RED, plain

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


@pytest.mark.parametrize(("label", "colour"), COLOURS.items())
def test_a_raw_body_is_classified(
    client: httpx.Client, label: str, colour: tuple[int, int, int]
) -> None:
    answer = client.post(
        "/v1/classify", content=plain(colour), headers={"content-type": "image/png"}
    )
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == {"name": "colours", "version": 1}
    assert body["predictions"][0]["label"] == label
    assert body["predictions"][0]["score"] > 0.99
    assert len(body["predictions"]) == 3
    assert body["abstained"] is False
    facts = {"format": "PNG", "width": 64, "height": 48, "truncated": False}
    assert body["image"] == facts
    assert set(body["timing"]) == {"decode_ms", "queue_ms", "inference_ms", "total_ms"}
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "inference;dur=" in answer.headers["server-timing"]


@pytest.mark.parametrize("field", ["file", "image"])
def test_a_multipart_field_is_classified(client: httpx.Client, field: str) -> None:
    answer = client.post("/v1/classify", files={field: ("a.png", plain(GREEN), "image/png")})
    assert answer.json()["predictions"][0]["label"] == "green"


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_base64_in_json_is_classified(client: httpx.Client, prefix: str) -> None:
    text = prefix + base64.b64encode(plain(BLUE)).decode()
    answer = client.post("/v1/classify", json={"image": text})
    assert answer.json()["predictions"][0]["label"] == "blue"


def test_further_models_answer_too(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/classify?also=colours,colours&top_k=1",
        content=plain(BLUE),
        headers={"content-type": "image/png"},
    )
    assert answer.status_code == 200
    body = answer.json()
    own = {name: value for name, value in body.items() if name not in {"also", "request_id"}}
    for further in body["also"]:
        assert further["model"] == {"name": "colours", "version": 1}
        assert set(further) == set(own)
        assert further["predictions"] == own["predictions"]
    assert len(body["also"]) == 2


@pytest.mark.parametrize(
    ("also", "status"),
    [
        ("other", 404),
        ("colours,other", 404),
        ("", 422),
        (",", 422),
        ("colours,", 422),
        ("../colours", 422),
        (",".join(["colours"] * 16), 422),
    ],
)
def test_a_wrong_further_model_is_refused(client: httpx.Client, also: str, status: int) -> None:
    answer = client.post("/v1/classify", params={"also": also}, content=plain(BLUE))
    assert answer.status_code == status
