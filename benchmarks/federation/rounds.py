"""FedAvg of a linear head over the parameter server's mean and codec, for comparison."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.teach.labelled import Labelled
from schemas.parameters import Sgd
from schemas.quantised import Quantiser
from schemas.tensor_file import decode, encode, whole
from service.parameters.stepping import Push, mean, step

ROUNDS = 100
_RATE, _BATCH, _EPOCHS = 0.02, 32, 1
_EVERY = 5
Values = dict[str, NDArray[np.float32]]


def fedavg(
    train: Labelled,
    test: Labelled,
    rows: Sequence[NDArray[np.int_]],
    *,
    is_quantised: bool = False,
) -> dict[str, object]:
    """Train for some rounds; each site passes over its photos once a round.

    Features are standardised by the mean and deviation of all, which sums give.

    Returns:
        The accuracy after each few rounds, and the bytes that a site sends in a round.
    """
    x_ND = train.features_NVD[:, 0]
    mean_D, sd_D = x_ND.mean(axis=0), x_ND.std(axis=0) + 1e-3
    x_ND, y_ND = (x_ND - mean_D) / sd_D, (test.features_NVD[:, 0] - mean_D) / sd_D
    classes, width = len(train.classes), x_ND.shape[1]
    values: Values = {
        "w": np.zeros((classes, width), np.float32),
        "b": np.zeros(classes, np.float32),
    }
    quantisers = [Quantiser() for _ in rows]
    dice, sent, curve, began = np.random.default_rng(0), 0, [], time.perf_counter()
    for number in range(1, ROUNDS + 1):
        pushes = []
        for own, quantiser in zip(rows, quantisers, strict=True):
            local = _local(values, x_ND[own], train.labels_N[own], dice)
            change = {name: values[name] - local[name] for name in values}
            file = encode(quantiser(change) if is_quantised else change)
            sent = max(sent, len(file))
            pushes.append(Push(whole(decode(file)), len(own)))
        values, _ = step(values, {}, mean(pushes, 0), Sgd(learning_rate=1), number)
        if number % _EVERY == 0:
            answers_M = (y_ND @ values["w"].T + values["b"]).argmax(axis=1)
            curve.append(float((answers_M == test.labels_N).mean()))
    return {
        "rounds": ROUNDS,
        "accuracy": curve[-1],
        "accuracy after every 5 rounds": curve,
        "bytes of a site and round": sent,
        "bytes of a site": sent * ROUNDS,
        "seconds": time.perf_counter() - began,
    }


def _local(
    values: Values, x_ND: NDArray[np.float32], labels_N: NDArray[np.int_], dice: np.random.Generator
) -> Values:
    """Return the parameters after a pass over a site's photos, softmax regression."""
    weight, bias = values["w"].copy(), values["b"].copy()
    for _ in range(_EPOCHS):
        order = dice.permutation(len(x_ND))
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            logits = x_ND[some] @ weight.T + bias
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            shares[np.arange(len(some)), labels_N[some]] -= 1
            shares /= len(some)
            weight -= (_RATE * (shares.T @ x_ND[some])).astype(np.float32)
            bias -= (_RATE * shares.sum(axis=0)).astype(np.float32)
    return {"w": weight, "b": bias}
