"""Parameters of a request: priority, timeout, classes, unsupported ones."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import InvalidTensor, Unsupported
from service.core.scheduling.priority import Priority
from service.transport.open_inference.inference_parameters import (
    Parameters,
    RequestedOutput,
    refuse_shared_memory,
    requested_output,
    schedule_of,
)


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (0, Priority.NORMAL),
        (1, Priority.INTERACTIVE),
        (2, Priority.BULK),
        (2**64 - 1, Priority.BULK),
    ],
)
def test_priority_zero_is_normal_and_one_is_highest(level: int, priority: Priority) -> None:
    assert schedule_of({"priority": level}) == (priority, None)


@pytest.mark.parametrize(
    ("microseconds", "seconds"), [(0, None), (1, 1e-6), (2_500_000, 2.5), (2**63, 600.0)]
)
def test_timeout_is_in_microseconds(microseconds: int, seconds: float | None) -> None:
    assert schedule_of({"timeout": microseconds}) == (Priority.NORMAL, seconds)


def test_unknown_parameters_are_ignored() -> None:
    other: Parameters = {
        "binary_data_output": True,
        "triton_enable_empty_final_response": True,
        "mine": "x",
    }
    assert schedule_of(other) == (Priority.NORMAL, None)


@pytest.mark.parametrize("value", [-1, 1.0, "1", True, 0.5])
@pytest.mark.parametrize("name", ["priority", "timeout", "classification"])
def test_non_integer_or_negative_parameters_are_refused(name: str, value: Any) -> None:
    parameters: Parameters = {name: value}
    with pytest.raises(InvalidTensor, match=name):
        _ = requested_output("x", parameters), schedule_of(parameters)


@pytest.mark.parametrize(
    "parameters", [{"sequence_id": 1}, {"sequence_id": "a"}, {"sequence_start": True}]
)
def test_sequences_are_unsupported(parameters: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        schedule_of(parameters)


def test_empty_sequence_parameters_are_ignored() -> None:
    none: Parameters = {"sequence_id": 0, "sequence_start": False, "sequence_end": False}
    assert schedule_of(none) == (Priority.NORMAL, None)


def test_shared_memory_is_unsupported() -> None:
    region: Parameters = {"shared_memory_region": "mine", "shared_memory_byte_size": 4}
    with pytest.raises(Unsupported):
        refuse_shared_memory(region)
    with pytest.raises(Unsupported):
        requested_output("x", region)


def test_output_is_requested_raw_or_as_classes() -> None:
    assert requested_output("x", {}) == RequestedOutput("x")
    assert requested_output("x", {"classification": 3}) == RequestedOutput("x", 3)
