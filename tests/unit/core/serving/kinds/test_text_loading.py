"""A model of text: checks when it is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from service.core.repository.repository import ModelRefused
from tests.support.models.text.tiny_text import (
    mean_graph,
    mean_of,
    open_words,
    text_input,
    write_embedder,
    write_text_model,
)
from tests.support.models.tiny_model import served

pytestmark = pytest.mark.anyio


def fixed_graph() -> onnx.ModelProto:
    graph = mean_graph()
    for given in graph.graph.input:
        given.type.tensor_type.shape.dim[1].dim_value = 6
    return graph


@pytest.mark.parametrize(
    ("change", "graph", "reason"),
    [
        ({"ids": "tokens"}, mean_graph(), "input.ids: is 'tokens', but the graph takes 'ids', 'm"),
        ({"types": "kinds"}, mean_graph(), "input.types: is 'kinds', but the graph takes 'ids'"),
        ({"mask": None}, mean_graph(), "input: does not name all inputs: the graph takes 'mask'"),
        ({}, fixed_graph(), r"input.ids: must be of shape \[N, L\] in the graph, both dynamic"),
        ({"padding": 6}, mean_graph(), "input.padding: is 6, but the tokenizer's largest number"),
        ({"tokenizer": "other.json"}, mean_graph(), "input.tokenizer: other.json cannot be read"),
    ],
)
async def test_input_that_does_not_fit_refuses_the_model(
    tmp_path: Path, change: dict[str, object], graph: onnx.ModelProto, reason: str
) -> None:
    folder = write_text_model(tmp_path, graph, input=text_input(**change))
    with pytest.raises(ModelRefused, match=reason):
        async with served(folder, tokenizers=open_words):
            """Never ready."""


async def test_table_with_fewer_rows_than_tokens_refuses_the_model(tmp_path: Path) -> None:
    graph = mean_graph()
    (table,) = [one for one in graph.graph.initializer if one.name == "table"]
    table.dims[0] -= 1
    table.raw_data = table.raw_data[:-8]
    with pytest.raises(ModelRefused, match=r"cannot run: .*out of data bounds"):
        async with served(write_text_model(tmp_path, graph), tokenizers=open_words):
            """Never ready."""


async def test_golden_texts_are_checked(tmp_path: Path) -> None:
    score = float(np.exp(mean_of("good"))[0] / np.exp(mean_of("good")).sum())
    golden = [{"file": "a.txt", "predictions": [{"index": 0, "score": score}]}]
    values = [{"file": "a.txt", "values": [mean_of("good").tolist()]}]
    labelled = write_text_model(tmp_path, golden=golden)
    embedder = write_embedder(tmp_path, golden_values=values)
    for folder in (labelled, embedder):
        (folder / "golden").mkdir()
        (folder / "golden/a.txt").write_text("good\n")
        async with served(folder, tokenizers=open_words) as model:
            assert model.is_ready
        (folder / "golden/a.txt").write_text("bad\n")
        with pytest.raises(ModelRefused, match=r"golden(_values)?\[0\]: a.txt: "):
            async with served(folder, tokenizers=open_words):
                """Never ready."""
        (folder / "golden/a.txt").write_bytes(b"\xff")
        with pytest.raises(ModelRefused, match=r"a.txt: This is no text in UTF-8\."):
            async with served(folder, tokenizers=open_words):
                """Never ready."""
