"""ONNX models of text, of one kilobyte: the mean of the vectors of a text's words.

Results can be computed by hand: word n of ``WORDS`` has row n of ``TABLE``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from schemas.manifest.text import TextSpec
from service.core.text.tokenizer import TokenizerRefused
from tests.support.models.tiny_numeric import model_of, write_version

WORDS = ("[PAD]", "good", "bad", "plain", "very", "[UNK]")
LABELS = ("praise", "blame")
TABLE = np.array([[9, 9], [4, -1], [-2, 5], [1, 1], [2, 2], [0, 0]], np.float32)
MAX_TOKENS = 6


@dataclass
class Words:
    """Tokens of a text; see ``Encoded``."""

    ids: Sequence[int]
    offsets: Sequence[tuple[int, int]]
    tokens: Sequence[str]
    is_truncated: bool


class WordTokenizer:
    """One token for each word; see ``Tokenizer``."""

    size = len(WORDS)

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens

    def encode(self, text: str) -> Words:
        words = text.split()
        kept = words[: self._max_tokens]
        ids = [WORDS.index(word) if word in WORDS else self.size - 1 for word in kept]
        return Words(ids, [(0, 0)] * len(kept), kept, len(kept) < len(words))

    def encode_all(
        self, texts: Sequence[str], *, max_tokens: int | None = None, offsets: bool = True
    ) -> list[Words]:
        assert max_tokens is None
        assert not offsets
        return [self.encode(text) for text in texts]


def open_words(path: Path, spec: TextSpec) -> WordTokenizer:
    """Stand in for ``open_tokenizer``; the file must exist."""
    if not path.is_file():
        raise TokenizerRefused(f"{path.name} cannot be read")
    return WordTokenizer(spec.max_tokens)


def mean_graph(
    *, has_mask: bool = True, has_types: bool = False, heeds_mask: bool = True
) -> onnx.ModelProto:
    """Inputs ``ids``, ``mask``, ``types`` int64 [N, L]; output ``mean`` float32 [N, 2]."""
    names = ["ids", *(["mask"] if has_mask else []), *(["types"] if has_types else [])]
    nodes = [helper.make_node("Gather", ["table", "ids"], ["vectors"])]
    if has_mask and heeds_mask:
        nodes += [
            helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["weights", "last"], ["wide"]),
            helper.make_node("Mul", ["vectors", "wide"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "middle"], ["sum"], keepdims=0),
            helper.make_node("ReduceSum", ["wide", "middle"], ["count"], keepdims=0),
            helper.make_node("Div", ["sum", "count"], ["mean"]),
        ]
    else:
        nodes.append(helper.make_node("ReduceMean", ["vectors", "middle"], ["mean"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "l"]) for name in names],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 2])],
        [
            numpy_helper.from_array(TABLE, "table"),
            numpy_helper.from_array(np.array([1], np.int64), "middle"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
        ],
    )
    return model_of(graph)


def text_input(**changes: object) -> dict[str, object]:
    """The manifest's input of ``mean_graph``, with some members changed."""
    given = {"kind": "text", "max_tokens": MAX_TOKENS, "ids": "ids", "mask": "mask"}
    return given | changes


def text_manifest(model: bytes, **changes: object) -> dict[str, object]:
    """The manifest of ``mean_graph`` as a classifier, with some members changed."""
    manifest: dict[str, object] = {
        "name": "mood",
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "labels": LABELS,
        "input": text_input(),
        "output": {"name": "mean", "kind": "logits"},
        "licence": "Apache-2.0",
        "source": "drawn for the tests",
    }
    return manifest | changes


def write_text_model(
    repository: Path, graph: onnx.ModelProto | None = None, **changes: object
) -> Path:
    """Write a version of ``mean_graph`` into a repository; return the version's folder."""
    model = (graph or mean_graph()).SerializeToString()
    folder = write_version(repository, model, text_manifest(model, **changes))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def write_embedder(
    repository: Path, graph: onnx.ModelProto | None = None, **changes: object
) -> Path:
    """Write a version whose output is numbers."""
    output = {"name": "mean", "kind": "values"}
    values = {"name": "embedder", "labels": [], "output": output}
    return write_text_model(repository, graph, **{**values, **changes})


def mean_of(text: str) -> NDArray[np.float32]:
    """The output for a text of known words, by hand."""
    found: NDArray[np.float32] = TABLE[[WORDS.index(word) for word in text.split()]].mean(0)
    return found
