"""A model whose raw output is its input: it shows what a graph is given."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from schemas.manifest.model_input import Colour, Dtype, InputSpec, Layout
from tests.support.models.tiny_model import input_spec, write_model

WIDTH, HEIGHT = 24, 16


def echo_spec(**changes: object) -> InputSpec:
    """Input of an image that is wider than high, so that a wrong order of axes shows."""
    return input_spec(
        **{"width": WIDTH, "height": HEIGHT, "resize": {"policy": "squash"}} | changes
    )


def echo_graph(spec: InputSpec) -> onnx.ModelProto:
    """Return the input as float32 [N, K]."""
    is_bytes = spec.dtype is Dtype.UINT8
    kind = TensorProto.UINT8 if is_bytes else TensorProto.FLOAT
    count = math.prod(spec.shape)
    nodes = [
        helper.make_node("Cast", [spec.name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "echo",
        [helper.make_tensor_value_info(spec.name, kind, ["n", *spec.shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", count])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_echo(repository: Path, spec: InputSpec, name: str = "echo") -> Path:
    """Write the model into a repository; return the version's folder."""
    labels = [f"value {number}" for number in range(math.prod(spec.shape))]
    document = spec.model_dump(mode="json")
    return write_model(
        repository, echo_graph(spec), name=name, labels=labels, input=document, abstain_below=0
    )


EVERY_SPEC = [
    echo_spec(
        layout=layout,
        dtype=dtype,
        colour=colour,
        resize=resize,
        **({} if dtype is Dtype.UINT8 else _numbers),
    )
    for layout in Layout
    for dtype in Dtype
    for colour, _numbers, resize in (
        (
            Colour.RGB,
            {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
            {"policy": "shorter_side", "pixels": 29, "interpolation": "bilinear"},
        ),
        (
            Colour.BGR,
            {"mean": (103.53, 116.28, 123.675), "std": (57.375, 57.12, 58.395)},
            {"policy": "squash", "interpolation": "bicubic"},
        ),
        (
            Colour.GREY,
            {"scale": 1 / 127.5, "mean": (1.0,)},
            {"policy": "shorter_side", "pixels": 24, "interpolation": "nearest"},
        ),
    )
]
"""Both layouts and types, all colours, several ways to resize and to normalise."""
