"""A multi-label model over HTTP: all labels present, independent of ``top_k``."""

from __future__ import annotations

from pathlib import Path

from tests.support.models.pictures import plain
from tests.support.models.tiny_model import write_multi_label
from tests.support.servers.server import serve

PNG = {"content-type": "image/png"}
YELLOW, BLACK = (255, 255, 0), (0, 0, 0)


def test_present_labels_are_returned_over_http(tmp_path: Path) -> None:
    write_multi_label(tmp_path / "models", {"thresholds": [0.5, 0.5, 0.9]})
    with (
        serve(tmp_path, models=tmp_path / "models") as live,
        live.client("classify models:read") as client,
    ):
        yellow, black = (
            client.post("/v1/classify", params={"top_k": 1}, content=plain(colour), headers=PNG)
            for colour in (YELLOW, BLACK)
        )
        batch = client.post("/v1/classify/batch", files=[("files", plain(YELLOW))]).json()
        info = client.get("/v1/models/colours").json()
    answer = yellow.raise_for_status().json()
    assert answer["labels_present"] == ["red", "green"]
    assert (answer["summary"], answer["abstained"]) == (None, False)
    assert [one["label"] for one in answer["predictions"]] == ["red"]
    nothing = black.raise_for_status().json()
    assert (nothing["labels_present"], nothing["abstained"]) == ([], True)
    assert batch["results"][0]["result"]["labels_present"] == ["red", "green"]
    assert info["output"]["kind"] == "sigmoid"
    assert info["output"]["thresholds"] == [0.5, 0.5, 0.9]
