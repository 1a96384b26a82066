"""A step of the server's optimiser: the weighted mean of pushes, and what becomes of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.parameters import Adam, Sgd
from schemas.tensor_file import Tensors

FIRST, SECOND = "first.", "second."
"""Before the names of moments: of the gradient, and of its square."""


@dataclass(frozen=True, slots=True, eq=False)
class Push:
    """Gradients of a worker; ``samples``: their weight, above 0."""

    gradients: Tensors
    samples: int


def shortened(gradients: Tensors, most: float | None) -> Tensors:
    """Return gradients whose length, of all together, is at most ``most``."""
    if most is None:
        return gradients
    length = float(
        np.sqrt(sum(np.sum(np.square(one, dtype=np.float64)) for one in gradients.values()))
    )
    if length <= most:
        return gradients
    return {name: (one * (most / length)).astype(np.float32) for name, one in gradients.items()}


def mean(pushes: Sequence[Push], trim: int) -> dict[str, NDArray[np.float32]]:
    """Return the mean of pushes, weighted by their samples.

    Args:
        pushes: more than twice ``trim``, with the same names and shapes.
        trim: of each number, so many of the smallest and of the largest are left out.
    """
    weights_P = np.array([push.samples for push in pushes], np.float64)
    found = {}
    for name in pushes[0].gradients:
        stacked = np.stack([push.gradients[name] for push in pushes]).astype(np.float64)
        weights = weights_P.reshape(-1, *([1] * (stacked.ndim - 1)))
        if trim:
            order = np.argsort(stacked, axis=0, kind="stable")[trim : len(pushes) - trim]
            weights = np.take_along_axis(np.broadcast_to(weights, stacked.shape), order, axis=0)
            stacked = np.take_along_axis(stacked, order, axis=0)
        summed = (stacked * weights).sum(axis=0)
        found[name] = (summed / weights.sum(axis=0)).astype(np.float32)
    return found


def step(
    parameters: Tensors, moments: Tensors, gradients: Tensors, optimiser: Sgd | Adam, number: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Return the parameters and moments after a step.

    Args:
        moments: those that the last step returned; empty before the first.
        number: of the step, from 1 on.
    """
    new: dict[str, NDArray[np.float32]] = {}
    kept: dict[str, NDArray[np.float32]] = {}
    for name, gradient in gradients.items():
        value = parameters[name]
        nothing = np.zeros_like(gradient)
        if isinstance(optimiser, Sgd):
            change = gradient
            if optimiser.momentum:
                change = optimiser.momentum * moments.get(FIRST + name, nothing) + gradient
                kept[FIRST + name] = np.asarray(change, np.float32)
        else:
            first = moments.get(FIRST + name, nothing)
            second = moments.get(SECOND + name, nothing)
            first = optimiser.beta1 * first + (1 - optimiser.beta1) * gradient
            second = optimiser.beta2 * second + (1 - optimiser.beta2) * gradient**2
            kept[FIRST + name] = np.asarray(first, np.float32)
            kept[SECOND + name] = np.asarray(second, np.float32)
            centre = first / (1 - optimiser.beta1**number)
            size = np.sqrt(second / (1 - optimiser.beta2**number))
            change = centre / (size + optimiser.epsilon)
        new[name] = np.asarray(value - optimiser.learning_rate * change, np.float32)
    return new, kept
