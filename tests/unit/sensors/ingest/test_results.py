"""Answers that are built without checks are those that checks would build."""

from __future__ import annotations

import json

import numpy as np
import pytest

from schemas.classify import Prediction
from schemas.sensors import SensorAnswer
from schemas.trusted import trusted
from service.coordination.agreement import FrameAnswer
from service.sensors.ingest.models import Verdict
from service.sensors.ingest.results import answer_of
from service.sensors.windows.samples import Window

NOW = 1_800_000_000.25


def verdict(label: str | None) -> Verdict:
    shown = [
        trusted(Prediction, {"label": "wörn", "index": 3, "score": 0.75}),
        trusted(Prediction, {"label": "new", "index": 0, "score": 1e-06}),
    ]
    return Verdict(FrameAnswer(label, 0.75, {}), shown, "bearings", 2)


@pytest.mark.parametrize("label", ["wörn", None])
@pytest.mark.parametrize("sampled_at", [None, 1_799_999_999.0, 1e300])
def test_answer_is_the_checked_one(label: str | None, sampled_at: float | None) -> None:
    window = Window(4096, np.zeros((8, 1), np.float32), 3, sampled_at, 0.0)
    answer = answer_of(2**63 - 1, window, verdict(label), NOW)
    checked = SensorAnswer.model_validate(answer.model_dump())
    assert answer == checked
    assert (answer.label, answer.score) == ((label, 0.75) if label else (None, None))
    assert SensorAnswer.model_validate_json(answer.text) == checked
    assert json.loads(answer.text) == json.loads(checked.model_dump_json())
    assert list(json.loads(answer.text)) == list(SensorAnswer.model_fields)
    assert answer.model_fields_set == set(SensorAnswer.model_fields)
