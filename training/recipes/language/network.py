"""The network in NumPy: the embeddings of a text's tokens, summed, and one hidden layer.

The sum is divided by the root of the number of tokens: evidence adds up, so that long texts give
surer answers than short ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.recipes.language import recipe
from training.recipes.language.tokens import Tokens, bags

Floats = NDArray[np.float32]
MOST_CROPPED, LEAST_CROPPED = 48, 2
BETAS, TINY = (0.9, 0.99), 1e-8


@dataclass(frozen=True, slots=True)
class Network:
    """Weights: of tokens [V, H], hidden bias [H], output [H, K], its bias [K]."""

    tokens_VH: Floats
    bias_H: Floats
    out_HK: Floats
    bias_K: Floats

    def logits(self, bags_NV: sparse.csr_matrix) -> Floats:
        """Return the logits [N, K] of bags of tokens."""
        hidden_NH = np.tanh(bags_NV @ self.tokens_VH + self.bias_H)
        logits_NK: Floats = hidden_NH @ self.out_HK + self.bias_K
        return logits_NK

    @property
    def weights(self) -> tuple[Floats, Floats, Floats, Floats]:
        """All weights; training changes them in place."""
        return self.tokens_VH, self.bias_H, self.out_HK, self.bias_K


def fit(
    tokens: Tokens,
    labels_N: NDArray[np.int64],
    size: int,
    *,
    epochs: int = recipe.EPOCHS,
    units: int = recipe.UNITS,
) -> Network:
    """Fit the network by Adam (Kingma and Ba, 2015) to whole paragraphs, pieces, and soup.

    Every language weighs alike. The target of soup, texts of random tokens, is that all languages
    are equally likely: without it, a text in another language would get a sure answer.

    Args:
        size: of the vocabulary.
    """
    dice = np.random.default_rng(recipe.SEED)
    classes = len(recipe.LABELS)
    network = Network(
        dice.normal(0, 0.1, (size, units)).astype(np.float32),
        np.zeros(units, np.float32),
        dice.normal(0, 0.3, (units, classes)).astype(np.float32),
        np.zeros(classes, np.float32),
    )
    adam = _Adam(network)
    weights_K = len(labels_N) / classes / np.maximum(np.bincount(labels_N, minlength=classes), 1)
    share = recipe.CROPS + 1 + recipe.SOUP
    steps = epochs * int(np.ceil(len(labels_N) * share / recipe.BATCH))
    for epoch in range(epochs):
        for rows, targets_NK, weights_N in _epoch(tokens, labels_N, weights_K, size, dice):
            adam.step(_gradients(network, rows, targets_NK, weights_N), steps)
        print(f"epoch {epoch + 1} of {epochs}", flush=True)
    return network


def _epoch(
    tokens: Tokens,
    labels_N: NDArray[np.int64],
    weights_K: NDArray[np.float64],
    size: int,
    dice: np.random.Generator,
) -> Iterator[tuple[sparse.csr_matrix, Floats, Floats]]:
    """Yield batches of bags [N, V], targets [N, K] and weights [N], in random order."""
    classes = len(weights_K)
    soup = int(recipe.SOUP * len(tokens))
    texts = [
        *tokens,
        *(_crop(ids, dice) for _ in range(recipe.CROPS) for ids in tokens),
        *(_soup(size, dice) for _ in range(soup)),
    ]
    known = np.tile(labels_N, recipe.CROPS + 1)
    targets_NK = np.full((len(texts), classes), 1 / classes, np.float32)
    targets_NK[: len(known)] = np.eye(classes, dtype=np.float32)[known]
    weights_N = np.concatenate((weights_K[known], np.ones(soup))).astype(np.float32)
    order = dice.permutation(len(texts))
    for start in range(0, len(order), recipe.BATCH):
        chosen = order[start : start + recipe.BATCH]
        yield bags([texts[one] for one in chosen], size), targets_NK[chosen], weights_N[chosen]


def _crop(ids: NDArray[np.int64], dice: np.random.Generator) -> NDArray[np.int64]:
    low, high = np.log(LEAST_CROPPED), np.log(MOST_CROPPED)
    length = min(len(ids), int(np.exp(dice.uniform(low, high))))
    start = int(dice.integers(0, len(ids) - length + 1))
    return ids[start : start + length]


def _soup(size: int, dice: np.random.Generator) -> NDArray[np.int64]:
    """Return random tokens; those of early merges, which all languages share, come up often."""
    length = int(np.exp(dice.uniform(np.log(LEAST_CROPPED), np.log(MOST_CROPPED))))
    return (size * dice.random(length) ** 2).astype(np.int64)


def _gradients(
    network: Network, rows: sparse.csr_matrix, targets_NK: Floats, weights_N: Floats
) -> tuple[Floats, ...]:
    """Return the gradients of the weighted mean cross-entropy, in the order of the weights."""
    hidden_NH = np.tanh(rows @ network.tokens_VH + network.bias_H)
    logits_NK = hidden_NH @ network.out_HK + network.bias_K
    logits_NK -= logits_NK.max(1, keepdims=True)
    shares_NK = np.exp(logits_NK)
    shares_NK /= shares_NK.sum(1, keepdims=True)
    errors_NK = (shares_NK - targets_NK) * (weights_N / weights_N.sum())[:, np.newaxis]
    inner_NH = (errors_NK @ network.out_HK.T) * (1 - hidden_NH**2)
    return rows.T @ inner_NH, inner_NH.sum(0), hidden_NH.T @ errors_NK, errors_NK.sum(0)


class _Adam:
    """Steps of falling size along the gradients, scaled by their moments; decay of weights."""

    def __init__(self, network: Network) -> None:
        self._weights = network.weights
        self._means = [np.zeros_like(one) for one in self._weights]
        self._squares = [np.zeros_like(one) for one in self._weights]
        self._steps = 0

    def step(self, gradients: tuple[Floats, ...], steps: int) -> None:
        """Change the weights; ``steps``: of the whole training."""
        self._steps += 1
        rate = recipe.RATE * max(0.0, 1 - self._steps / (steps + 1))
        first, second = BETAS
        for weight, gradient, mean, square in zip(
            self._weights, gradients, self._means, self._squares, strict=True
        ):
            mean[:] += (1 - first) * (gradient - mean)
            square[:] += (1 - second) * (gradient**2 - square)
            unbiased = np.sqrt(square / (1 - second**self._steps)) + TINY
            weight[:] -= rate * (mean / (1 - first**self._steps) / unbiased)
            if weight.ndim > 1:
                weight[:] *= 1 - rate * recipe.DECAY
