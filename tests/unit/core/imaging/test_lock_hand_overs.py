"""Postprocessing gives up the interpreter's lock a few times: counted, since time is not steady.

NumPy releases the lock in calls on more than 500 numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.manifest.model_output import OutputSpec
from schemas.models import ModelManifest
from service.core.imaging.hedging import Hedger
from service.core.imaging.postprocessing import probabilities, top_k
from service.core.imaging.presence import Presence
from tests.support.models.tiny_model import colour_manifest

THRESHOLD = 500
CLASSES = 1000
LOGITS = OutputSpec(name="logits", kind="logits")
LABELS = tuple(f"class {number}" for number in range(CLASSES))
GROUPS = {label: f"group {number // 10}" for number, label in enumerate(LABELS)} | {
    f"group {number}": f"kind {number // 10}" for number in range(CLASSES // 10)
}
calls: list[str] = []
"""The calls on more than ``THRESHOLD`` numbers."""


def plain(value: Any) -> Any:
    """The value with plain arrays in place of counting ones."""
    if isinstance(value, Counting):
        return value.view(np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value))
    return value


class Counting(np.ndarray):
    """An array that notes calls on many numbers; what they return counts too."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **others: Any
    ) -> Any:
        note(f"{ufunc.__name__}.{method}", *inputs)
        given = {} if out is None else {"out": plain(out)}
        return counting(getattr(ufunc, method)(*plain(inputs), **given, **others))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        del types
        if func is np.bincount:  # counts with the lock, but copies weights of another type
            weights = kwargs.get("weights")
            if weights is not None and weights.dtype != np.float64:
                note("bincount", weights)
        elif func is not np.empty_like:
            note(func.__name__, *args)
        return counting(func(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()}))


def note(name: str, *operands: Any) -> None:
    if max(getattr(operand, "size", 1) for operand in operands) > THRESHOLD:
        calls.append(name)


def counting(value: Any) -> Any:
    return value.view(Counting) if isinstance(value, np.ndarray) else value


def noted(name: str) -> Callable[..., Any]:
    """A method that notes its call."""

    def method(self: Counting, *args: Any, **kwargs: Any) -> Any:
        note(name, self)
        return counting(getattr(self.view(np.ndarray), name)(*map(plain, args), **plain(kwargs)))

    return method


for _name in (
    *("all", "any", "argmax", "argmin", "argpartition", "argsort", "astype", "copy", "cumsum"),
    *("max", "mean", "min", "nonzero", "partition", "sort", "sum", "take"),
):
    setattr(Counting, _name, noted(_name))


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    calls.clear()


def outputs(scale: float = 3.0) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).normal(scale=scale, size=(1, CLASSES)).astype(np.float32)
    return cast("NDArray[np.float32]", noise.view(Counting))


def hedger() -> Hedger:
    changes = {"labels": LABELS, "groups": GROUPS, "abstain_below": 0.99}
    manifest = ModelManifest.model_validate(colour_manifest(b"", **changes, group_thresholds=[0.0]))
    return Hedger(manifest, LABELS)


def test_every_call_on_many_numbers_is_noted() -> None:
    """The formulas as they are usually written: what the counts below are compared with."""
    logits = outputs()
    assert np.isfinite(logits).all()
    shifted = logits - logits.max(axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    shares = shifted[0]
    edge = np.partition(shares, CLASSES - 5)[CLASSES - 5]
    assert np.flatnonzero(shares >= edge).size == 5
    assert calls == [
        *("isfinite.__call__", "all", "max", "subtract.__call__", "exp.__call__", "sum"),
        *("divide.__call__", "partition", "greater_equal.__call__", "flatnonzero"),
    ]
    calls.clear()
    np.sort(shares[:THRESHOLD])
    np.exp(shares[:THRESHOLD])
    assert calls == []


@pytest.mark.parametrize(("temperature", "most"), [(1.0, 6), (1.5, 7)])
def test_softmax_makes_six_calls_and_one_for_a_temperature(temperature: float, most: int) -> None:
    (shares,) = probabilities(outputs(), LOGITS, temperature)
    assert len(calls) <= most, calls
    assert isinstance(shares, Counting), "else calls on it are not noted"
    assert float(shares.view(np.ndarray).sum()) == pytest.approx(1, abs=1e-5)


def test_top_k_makes_one_call() -> None:
    (shares,) = probabilities(outputs(), LOGITS, 1.0)
    calls.clear()
    best = top_k(shares, 5)
    assert len(calls) == 1, calls
    assert best.tolist() == np.argsort(-shares.view(np.ndarray))[:5].tolist()


def test_summary_makes_two_calls_for_all_levels() -> None:
    (shares,) = probabilities(outputs(), LOGITS, 1.0)
    judge = hedger()
    assert len(judge.hierarchy.levels) == 2
    calls.clear()
    summary = judge.summary(shares)
    assert len(calls) == 2, calls
    assert summary is not None
    assert summary.level == 1
    assert summary.perhaps is not None


def test_labels_that_are_present_take_two_calls() -> None:
    spec = OutputSpec(name="scores", kind="sigmoid", thresholds=(0.9,))
    (scores,) = probabilities(np.abs(outputs(0.3)), spec, 1.0)
    calls.clear()
    present = Presence(spec, LABELS).present(scores)
    assert 0 < len(present) < 100
    assert len(calls) <= 2, calls


def test_probabilities_of_a_graph_are_looked_at_twice() -> None:
    shares = np.abs(outputs())
    calls.clear()
    probabilities(shares, OutputSpec(name="shares", kind="probabilities"), 1.0)
    assert len(calls) <= 2, calls
