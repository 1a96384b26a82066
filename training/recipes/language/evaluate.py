"""Evaluates the exported model: source of every number in the model card."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from observability.onnx_runtime import ort
from schemas.models import MANIFEST_FILE, MODEL_FILE, ModelManifest
from training.calibration import reliability, softmax
from training.recipes.language import golden, recipe
from training.recipes.language.data import Paragraphs, folds_of, read
from training.recipes.language.export import IDS, MASK
from training.recipes.language.tokens import padded, tokens_of

RESAMPLES, RUNS, ROWS = 2000, 300, 64
TOKENIZER_FILE = "tokenizer.json"
MODEL_FOLDER = Path("models") / recipe.NAME / str(recipe.VERSION)


@dataclass(frozen=True, slots=True)
class Measured:
    """Texts of one length.

    Attributes:
        right: share of right answers, 0..1, with ``low`` and ``high``: its 95 % interval by a
            bootstrap over pages.
        answered: share of texts with an answer.
        answered_right: share of right answers among those.
    """

    characters: int | None
    right: float
    low: float
    high: float
    answered: float
    answered_right: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class Report:
    """Shares are 0..1, times milliseconds, sizes bytes. ``lengths``: whole paragraphs first."""

    paragraphs: int
    pages: int
    lengths: list[Measured]
    mean_per_class: float
    of_class: dict[str, float]
    naive_bayes: float
    foreign: int
    foreign_abstained: int
    run_ms_median: float
    model_bytes: int
    tokenizer_bytes: int


class Identifier:
    """The model of a folder, as the server runs it, on one core."""

    def __init__(self, folder: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self._session = ort.InferenceSession(
            str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
        )

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits [N, K] of texts."""
        tokens = tokens_of(self.tokenizer, texts)
        parts = [
            self.run(*padded(tokens[start : start + ROWS])) for start in range(0, len(tokens), ROWS)
        ]
        return np.concatenate(parts)

    def run(self, ids_NL: NDArray[np.int64], mask_NL: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the logits [N, K] of padded tokens."""
        logits_NK: NDArray[np.float32] = self._session.run(None, {IDS: ids_NL, MASK: mask_NL})[0]
        return logits_NK


def main() -> None:
    """``python -m training.recipes.language.evaluate --data DIR``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the guide")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="version folder")
    arguments = parser.parse_args()
    print(json.dumps(asdict(evaluate(arguments.data, arguments.model)), indent=2))


def evaluate(data: Path, folder: Path) -> Report:
    """Measure the model in ``folder`` on the pages that nothing was chosen by."""
    manifest = ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    paragraphs = read(data)
    tested_N, _, training_N = parts_of(paragraphs)
    tests, model = paragraphs.where(tested_N), Identifier(folder)
    lengths = [_measured(model, manifest, tests, length) for length in (None, *recipe.LENGTHS)]
    best_N = model.logits(tests.texts).argmax(1)
    of_class = {
        label: float((best_N[tests.labels_N == number] == number).mean())
        for number, label in enumerate(recipe.LABELS)
        if (tests.labels_N == number).any()
    }
    foreign = softmax(model.logits(golden.FOREIGN_TESTS), manifest.temperature).max(1)
    return Report(
        paragraphs=len(tests),
        pages=len(np.unique(tests.pages_N)),
        lengths=lengths,
        mean_per_class=float(np.mean(list(of_class.values()))),
        of_class=of_class,
        naive_bayes=_naive_bayes(model.tokenizer, paragraphs.where(training_N), tests),
        foreign=len(foreign),
        foreign_abstained=int((foreign < manifest.abstain_below).sum()),
        run_ms_median=_run_ms(model),
        model_bytes=(folder / MODEL_FILE).stat().st_size,
        tokenizer_bytes=(folder / TOKENIZER_FILE).stat().st_size,
    )


def parts_of(
    paragraphs: Paragraphs,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks [N] of the paragraphs that test, that validate, and that train."""
    tested_N, checked_N, *_ = folds_of(paragraphs)
    return tested_N, checked_N, ~(tested_N | checked_N)


def _measured(
    model: Identifier, manifest: ModelManifest, tests: Paragraphs, characters: int | None
) -> Measured:
    texts = tests if characters is None else tests.short(characters)
    shares = softmax(model.logits(texts.texts), manifest.temperature)
    right = shares.argmax(1) == texts.labels_N
    answered = shares.max(1) >= manifest.abstain_below
    low, high = _interval(right, texts.pages_N)
    return Measured(
        characters,
        float(right.mean()),
        low,
        high,
        float(answered.mean()),
        float(right[answered].mean()) if answered.any() else 0.0,
        reliability(shares, texts.labels_N).error,
    )


def _interval(right_N: NDArray[np.bool_], pages_N: NDArray[np.int64]) -> tuple[float, float]:
    """Return the 95 % interval of the mean; pages, not paragraphs, are independent."""
    _, page_N = np.unique(pages_N, return_inverse=True)
    sums_P, counts_P = np.bincount(page_N, right_N.astype(float)), np.bincount(page_N)
    count = len(counts_P)
    drawn = np.random.default_rng(recipe.SEED).integers(0, count, (RESAMPLES, count))
    means = sums_P[drawn].sum(1) / counts_P[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _naive_bayes(tokenizer: Tokenizer, known: Paragraphs, tests: Paragraphs) -> float:
    """Return the share right of naive Bayes on the same tokens, fitted to the same pages."""
    size, classes = tokenizer.get_vocab_size(), len(recipe.LABELS)
    counts_KV = np.ones((classes, size))
    for ids, label in zip(tokens_of(tokenizer, known.texts), known.labels_N, strict=True):
        np.add.at(counts_KV[label], ids, 1)
    logs_KV = np.log(counts_KV / counts_KV.sum(1, keepdims=True))
    tokens = tokens_of(tokenizer, tests.texts)
    best = [int(logs_KV[:, ids].sum(1).argmax()) for ids in tokens]
    return float((np.array(best) == tests.labels_N).mean())


def _run_ms(model: Identifier) -> float:
    """Median milliseconds of runs of one text of 64 tokens on one core, after a warm-up."""
    ids, mask = np.zeros((1, 64), np.int64), np.ones((1, 64), np.int64)
    times = []
    for _ in range(RUNS + 20):
        began = time.perf_counter()
        model.run(ids, mask)
        times.append((time.perf_counter() - began) * 1000)
    return float(np.median(times[20:]))


if __name__ == "__main__":
    main()
