"""Means of pushes, and steps of the optimisers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.parameters import Adam, NewParameterRun, Sgd
from service.parameters.stepping import Push, mean, shortened, step

Values = dict[str, NDArray[np.float32]]


def push(value: float, samples: int) -> Push:
    return Push({"w": np.full(3, value, np.float32)}, samples)


def test_the_mean_is_weighted_by_samples() -> None:
    assert mean([push(1, 30), push(2, 70)], 0)["w"].tolist() == pytest.approx([1.7] * 3)


def test_shards_of_two_workers_give_the_gradient_of_one_process() -> None:
    dice = np.random.default_rng(0)
    rows_ND, wanted_N = dice.normal(size=(100, 5)), dice.normal(size=100)

    def gradient(rows: slice) -> Push:
        left_N = rows_ND[rows] @ np.ones(5) - wanted_N[rows]
        found_D = (rows_ND[rows].T @ left_N / len(left_N)).astype(np.float32)
        return Push({"w": found_D}, len(left_N))

    whole = gradient(slice(None)).gradients["w"]
    parts = [gradient(slice(70)), gradient(slice(70, None))]
    assert np.abs(mean(parts, 0)["w"] - whole).max() < 1e-5
    naive = np.mean([one.gradients["w"] for one in parts], axis=0)
    assert np.abs(naive - whole).max() > 1e-3


def test_a_trimmed_mean_ignores_a_wild_push() -> None:
    pushes = [push(1, 10), push(3, 10), push(1e6, 1000), push(2, 20)]
    assert mean(pushes, 1)["w"].tolist() == pytest.approx([(3 * 10 + 2 * 20) / 30] * 3)


def test_a_long_push_is_shortened_and_a_short_one_is_not() -> None:
    gradients = {"w": np.array([3, 0], np.float32), "b": np.array([4], np.float32)}
    assert shortened(gradients, 5.1) is gradients
    found = shortened(gradients, 1)
    assert found["w"].tolist() == pytest.approx([0.6, 0])
    assert found["b"].tolist() == pytest.approx([0.8])


def test_momentum_adds_up() -> None:
    values: Values = {"w": np.zeros(1, np.float32)}
    moments: Values = {}
    gradients, optimiser = {"w": np.ones(1, np.float32)}, Sgd(learning_rate=0.1, momentum=0.5)
    for number, expected in enumerate((-0.1, -0.25, -0.425), 1):
        values, moments = step(values, moments, gradients, optimiser, number)
        assert values["w"].tolist() == pytest.approx([expected])


def test_adam_takes_steps_of_its_rate_whatever_the_size() -> None:
    optimiser = Adam(kind="adam", learning_rate=0.01)
    for size in (1e-3, 1.0, 1e3):
        values: Values = {"w": np.zeros(1, np.float32)}
        moments: Values = {}
        for number in (1, 2, 3):
            gradients = {"w": np.full(1, size, np.float32)}
            values, moments = step(values, moments, gradients, optimiser, number)
        assert values["w"].tolist() == pytest.approx([-0.03], rel=1e-3)


def test_a_trim_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="trim"):
        NewParameterRun(name="a", accounts=[], minimum=4, trim=2)
