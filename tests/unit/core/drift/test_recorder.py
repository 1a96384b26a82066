"""Answers that are recorded, and what is reported of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.drift import REFERENCE_FILE, DriftReference, DriftVerdict, Quantity
from schemas.errors import ModelNotFound
from service.core.drift.recorder import DriftRecorder
from service.core.drift.window import Window, bin_of
from service.core.imaging.answer import Classification, ImageFacts, Prediction, Timing
from service.core.scheduling.call_context import CallContext
from tests.support.models.house import House, opened

pytestmark = pytest.mark.anyio
REQUEST = CallContext("anna", 1, "http")
CAMERA = CallContext("camera:gate", 1, "camera")
TIMING = Timing(1, 1, 1, 3)


def answer(score: float, *, abstained: bool = False) -> Classification:
    predictions = [Prediction("red", 0, score), Prediction("green", 1, 1 - score)]
    return Classification(
        None,
        predictions,
        None,
        abstained,
        calibrated=True,
        image=ImageFacts("png", 1, 1),
        timing=TIMING,
    )


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def recorder(house: House, clock: Clock) -> DriftRecorder:
    return DriftRecorder(
        house.registry,
        house.root,
        house.metrics.drift,
        window_seconds=100,
        min_answers=50,
        reference_answers=60,
        clock=clock,
    )


def record(found: DriftRecorder, house: House, score: float, count: int, call: CallContext) -> None:
    model = house.registry.find("colours")
    for number in range(count):
        given = answer(score - 0.2 * (number % 2), abstained=score < 0.5)
        found.answered(model, b"", given, call)


async def test_first_answers_are_the_reference_of_a_source(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda house: house.add(1)) as house:
        found = recorder(house, Clock())
        record(found, house, 0.95, 60, REQUEST)
        record(found, house, 0.95, 49, REQUEST)
        record(found, house, 0.95, 10, CAMERA)
        camera, requests = found.report("colours").sources
        assert (camera.source, camera.reference, camera.answers) == ("camera:gate", "none", 10)
        assert (requests.reference, requests.verdict) == ("live", DriftVerdict.TOO_FEW)
        record(found, house, 0.95, 51, REQUEST)
        assert found.report("colours").sources[1].verdict is DriftVerdict.STABLE
        record(found, house, 0.35, 200, REQUEST)
        drifted = found.report("colours").sources[1]
        assert drifted.verdict is DriftVerdict.DRIFTED
        by_name = {one.quantity: one for one in drifted.quantities}
        assert set(by_name) == {Quantity.SCORE, Quantity.ABSTAINED}
        assert by_name[Quantity.ABSTAINED].now == (100, 200)
        assert by_name[Quantity.ABSTAINED].ks == pytest.approx(2 / 3)
        found.measure()
        labels = {"version": "1", "source": "requests"}
        assert house.counted("potoo_drifted", **labels) == 1
        assert house.counted("potoo_drift_answers", **labels) == 300
        assert (house.counted("potoo_drift_psi", **labels, quantity="abstained") or 0) > 0.25


async def test_old_answers_leave_the_window(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda house: house.add(1)) as house:
        clock = Clock()
        found = recorder(house, clock)
        record(found, house, 0.95, 60, REQUEST)
        record(found, house, 0.35, 200, REQUEST)
        assert found.report("colours").sources[0].verdict is DriftVerdict.DRIFTED
        clock.now += 50
        record(found, house, 0.95, 100, REQUEST)
        assert found.report("colours").sources[0].answers == 300
        clock.now += 50
        (last,) = found.report("colours").sources
        assert (last.answers, last.verdict) == (100, DriftVerdict.STABLE)
        assert last.since.timestamp() == clock.now - 50
        clock.now += 1000
        assert found.report("colours").sources[0].answers == 0


async def test_taught_version_is_compared_with_its_photos(tmp_path: Path) -> None:
    counts = {Quantity.SCORE: (0,) * 9 + (40,), Quantity.ABSTAINED: (40, 0)}
    stored = DriftReference(source="training", answers=40, counts=counts)

    def fill(house: House) -> None:
        (house.add(1) / REFERENCE_FILE).write_text(stored.model_dump_json())

    async with opened(tmp_path, fill) as house:
        found = recorder(house, Clock())
        record(found, house, 0.35, 60, REQUEST)
        (requests,) = found.report("colours").sources
        assert (requests.reference, requests.verdict) == ("training", DriftVerdict.DRIFTED)


@pytest.mark.parametrize("text", ["", "{", '{"source": "training"}', "[" * 10_000])
async def test_damaged_reference_is_replaced_by_the_first_answers(
    tmp_path: Path, text: str
) -> None:
    def fill(house: House) -> None:
        (house.add(1) / REFERENCE_FILE).write_text(text)

    async with opened(tmp_path, fill) as house:
        found = recorder(house, Clock())
        record(found, house, 0.95, 60, REQUEST)
        assert found.report("colours").sources[0].reference == "live"


async def test_versions_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda house: house.add(1)) as house:
        found = recorder(house, Clock())
        record(found, house, 0.95, 130, REQUEST)
        found.measure()
        house.add(2)
        await house.refresh()
        found.measure()
        assert found.report("colours").sources == []
        assert house.counted("potoo_drifted", version="1", source="requests") is None
        with pytest.raises(ModelNotFound):
            found.report("other")


def test_values_at_an_edge_belong_to_the_lower_bin() -> None:
    found = [bin_of(Quantity.SCORE, value) for value in (0, 0.1, 0.10001, 0.9, 0.95, 1)]
    assert found == [0, 0, 1, 8, 9, 9]


def test_window_without_answers_has_no_counts() -> None:
    assert Window(10, 0).counts(100) == {}
