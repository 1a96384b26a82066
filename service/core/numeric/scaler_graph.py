"""The ONNX graph of a scaler: plain operators in double, written and read as bytes.

``rows [N, columns] ─ IsNaN, Where ─ Sub ─ Div ─► values``, or ``Mul``, ``Add``. The Scaler and
Imputer of ``ai.onnx.ml`` would not do: the first computes in float32, the second takes no double.

The fitted facts are in the graph's metadata, so that one file, of one digest, is the scaler.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from service.core.engine.onnx_wire import (
    GraphField,
    Malformed,
    ModelField,
    fields,
    node,
    node_bytes,
    number,
    tensor_name,
    written,
)
from service.core.numeric.column_map import ColumnMap

INPUT, OUTPUT = "rows", "values"
MAX_BYTES = 16 * 2**20
"""Larger files are no scalers; the largest one, of 1024 columns, has 25 KiB."""
_IR_VERSION, _OPSET = 10, 20
_DOUBLE = 11
_METADATA_KEY = "potoo.scaler"
_METADATA = 14
"""Field ``metadata_props`` of ``ModelProto``."""
_OUTPUT = 12
_FILL, _OFFSET, _SCALE = "fill", "offset", "scale"


class NoScaler(ValueError):
    """The file is no scaler that this module wrote."""


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class ScalerFacts:
    """Facts of a fit: kind, imputation, and the number of rows."""

    kind: Literal["standard", "min-max", "robust"]
    impute: Literal["none", "mean", "median"]
    rows: int


@dataclass(frozen=True, slots=True)
class ScalerGraph:
    """A scaler: its map and its facts."""

    map: ColumnMap
    facts: ScalerFacts


_FACTS = TypeAdapter(ScalerFacts)


def graph_bytes(scaler: ScalerGraph) -> bytes:
    """Return the ONNX model of a scaler; the same bytes for the same scaler."""
    columns = scaler.map
    nodes, constants, rows = [], [(_OFFSET, columns.offset), (_SCALE, columns.scale)], INPUT
    if columns.fill is not None:
        constants.append((_FILL, columns.fill))
        nodes.append(node_bytes("IsNaN", [rows], "is_missing"))
        nodes.append(node_bytes("Where", ["is_missing", _FILL, rows], "filled"))
        rows = "filled"
    if columns.is_product:
        nodes.append(node_bytes("Mul", [rows, _SCALE], "scaled"))
        nodes.append(node_bytes("Add", ["scaled", _OFFSET], OUTPUT))
    else:
        nodes.append(node_bytes("Sub", [rows, _OFFSET], "shifted"))
        nodes.append(node_bytes("Div", ["shifted", _SCALE], OUTPUT))
    graph = written(
        ModelField.GRAPH,
        *nodes,
        written(2, b"scaler"),
        *(_initializer(name, numbers) for name, numbers in constants),
        _edge(GraphField.INPUT, INPUT, columns.columns),
        _edge(_OUTPUT, OUTPUT, columns.columns),
    )
    facts = written(1, _METADATA_KEY.encode()) + written(2, _FACTS.dump_json(scaler.facts))
    return b"".join(
        (
            number(1, _IR_VERSION),
            written(2, b"potoo"),
            graph,
            written(ModelField.OPSET, written(1, b""), number(2, _OPSET)),
            written(_METADATA, facts),
        )
    )


def read_graph(data: bytes) -> ScalerGraph:
    """Read the ONNX model of a scaler.

    Raises:
        NoScaler: it is not exactly what ``graph_bytes`` would write.
    """
    try:
        found = _parse(memoryview(data))
    except (Malformed, UnicodeDecodeError, ValidationError, ValueError) as error:
        raise NoScaler(f"the graph is no scaler: {type(error).__name__}") from error
    if graph_bytes(found) != data:
        raise NoScaler("the graph is no scaler: it has other operators")
    return found


def read_file(file: Path) -> ScalerGraph:
    """Read the ONNX model of a scaler from a file. Blocks.

    Raises:
        NoScaler: see ``read_graph``.
        OSError: the file cannot be read.
    """
    if file.stat().st_size > MAX_BYTES:
        raise NoScaler("the graph is no scaler: it is too large")
    return read_graph(file.read_bytes())


def _parse(model: memoryview) -> ScalerGraph:
    facts: ScalerFacts | None = None
    constants: dict[str, NDArray[np.float64]] = {}
    operators: set[str] = set()
    for field in fields(model):
        if field.number == _METADATA:
            entry = {part.number: bytes(part.content) for part in fields(field.content)}
            if entry.get(1) == _METADATA_KEY.encode():
                facts = _FACTS.validate_json(entry.get(2, b""))
        elif field.number == ModelField.GRAPH:
            for part in fields(field.content):
                if part.number == GraphField.NODE:
                    operators.add(node(part.content).operator)
                elif part.number == GraphField.INITIALIZER:
                    constants[tensor_name(part.content)] = _numbers(part.content)
    if facts is None or not {_OFFSET, _SCALE} <= constants.keys():
        raise NoScaler("the graph is no scaler: it has no facts of one")
    sizes = {numbers.size for numbers in constants.values()}
    if len(sizes) != 1 or not all(np.isfinite(each).all() for each in constants.values()):
        raise NoScaler("the graph is no scaler: its constants do not fit each other")
    columns = ColumnMap(
        constants[_OFFSET], constants[_SCALE], constants.get(_FILL), is_product="Mul" in operators
    )
    return ScalerGraph(columns, facts)


def _initializer(name: str, numbers: NDArray[np.float64]) -> bytes:
    """Return a graph's field with a constant, float64 [columns]."""
    return written(
        GraphField.INITIALIZER,
        number(1, numbers.size),
        number(2, _DOUBLE),
        written(8, name.encode()),
        written(9, numbers.astype("<f8").tobytes()),
    )


def _numbers(tensor: memoryview) -> NDArray[np.float64]:
    raw = next((bytes(field.content) for field in fields(tensor) if field.number == 9), b"")
    return cast("NDArray[np.float64]", np.frombuffer(raw, "<f8").astype(np.float64))


def _edge(field: int, name: str, columns: int) -> bytes:
    """Return a graph's field with an input or output, float64 [N, columns]."""
    axes = written(1, written(2, b"N")) + written(1, number(1, columns))
    tensor = number(1, _DOUBLE) + written(2, axes)
    return written(field, written(1, name.encode()), written(2, written(1, tensor)))
