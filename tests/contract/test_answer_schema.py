"""The core's results have exactly the fields that ``schemas.classify`` documents."""

from __future__ import annotations

import dataclasses
import json
import typing

import pytest

import schemas.classify
import service.core.imaging.answer
from service.core.imaging.answer import (
    Classification,
    ImageFacts,
    LabelledAnswer,
    Named,
    Prediction,
    Summary,
    Timing,
)
from service.transport.http.routes.classification_json import classification_json

KINDS = [
    kind
    for kind in vars(service.core.imaging.answer).values()
    if dataclasses.is_dataclass(kind) and isinstance(kind, type)
    if kind is not LabelledAnswer  # no transport encodes it as it is
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_answer_fields_and_types_match_the_schema(kind: type) -> None:
    documented = getattr(schemas.classify, kind.__name__)
    plain = {name: str(hint) for name, hint in typing.get_type_hints(kind).items()}
    wire = {name: str(field.annotation) for name, field in documented.model_fields.items()}
    ours = {name: hint.replace("service.core.imaging.answer", "") for name, hint in plain.items()}
    theirs = {name: hint.replace("schemas.classify", "") for name, hint in wire.items()}
    assert ours == theirs
    assert list(ours) == list(theirs), "the same order on the wire"


def test_every_part_of_an_answer_is_compared() -> None:
    assert {kind.__name__ for kind in KINDS} == {
        "ModelRef",
        "Prediction",
        "Named",
        "Summary",
        "ImageFacts",
        "Timing",
        "Classification",
    }


@pytest.mark.parametrize(
    "summary",
    [
        None,
        Summary("cat", 0.5, 0, None),
        Summary("animal", 0.9, 1, Named("cat", 0.5)),
    ],
)
def test_answer_over_http_has_every_field_in_order(summary: Summary | None) -> None:
    answer = Classification(
        summary,
        [Prediction("cat", 2, 0.5), Prediction("dog", 1, 0.4)],
        ["cat"],
        abstained=False,
        calibrated=True,
        image=ImageFacts("JPEG", 500, 375, truncated=True),
        timing=Timing(1.0, 2.0, 3.0, 6.5),
    )
    written = classification_json(answer)
    assert json.dumps(written) == json.dumps(dataclasses.asdict(answer))


def test_answer_to_a_window_is_that_to_an_image_without_the_image() -> None:
    fields = typing.get_type_hints(Classification)
    del fields["image"]
    assert list(typing.get_type_hints(LabelledAnswer).items()) == list(fields.items())
