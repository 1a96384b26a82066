"""Conversion of request tensors to input rows, and of output rows to response tensors.

A row is one image: the tensor [C, H, W] that the graph takes, or an encoded image, which the
manifest's preprocessing turns into one. Rows are scheduled one by one, in turn with all other work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidTensor
from schemas.inference import Datatype
from schemas.model_output import OutputSpec
from schemas.models import Dtype, InputSpec
from service.core.engine.engine import Images
from service.core.imaging.formats.signatures import recognise
from service.core.imaging.postprocessing import top_k
from service.core.tensors.inference import InferRequest, RequestedOutput, check_names
from service.core.tensors.tensors import DTYPES, Tensor, from_raw, of_bytes, shown

Row = bytes | Images
"""An encoded image, or one item of the manifest's shape and dtype."""

INPUT_DATATYPES = {Dtype.FLOAT32: Datatype.FP32, Dtype.UINT8: Datatype.UINT8}


def rows_of(request: InferRequest, spec: InputSpec, most: int) -> list[Row]:
    """Return the rows of a request's only input; at least one.

    Args:
        most: the maximum number of rows in one request.

    Raises:
        InvalidTensor: the name, datatype, shape or number of rows does not fit.
    """
    if request.raw is not None:
        return [_raw_row(request.raw, spec)]
    tensor = _only(request.inputs, spec)
    datatype = INPUT_DATATYPES[spec.dtype]
    if tensor.datatype is Datatype.BYTES:
        fits = len(tensor.shape) == 1 or tensor.shape[1:] == (1,)
    elif tensor.datatype is datatype:
        fits = len(tensor.shape) == 4 and tensor.shape[1:] == spec.shape
    else:
        fits = False
    if not fits:
        raise InvalidTensor(
            f"The input '{spec.name}' is {datatype} of shape {['N', *spec.shape]}, or BYTES of "
            f"shape ['N'] with an encoded image in each, not {tensor.datatype} of shape "
            f"{list(tensor.shape)}."
        )
    count = tensor.shape[0]
    if not 1 <= count <= most:
        message = f"1 to {most} items are taken in one request, not {count}."
        raise InvalidTensor(message)
    return list(tensor.array.flat if tensor.datatype is Datatype.BYTES else tensor.array)


def check_outputs(outputs: Sequence[RequestedOutput], spec: OutputSpec) -> None:
    """Raise ``InvalidTensor`` if a requested output does not exist or is repeated."""
    check_names("output", [output.name for output in outputs])
    for output in outputs:
        if output.name != spec.name:
            message = f"There is no output {shown(output.name)}; there is '{spec.name}'."
            raise InvalidTensor(message)


def outputs_of(
    request: InferRequest,
    spec: OutputSpec,
    labels: Sequence[str],
    output_NK: NDArray[np.float32],
    shape: tuple[int, ...],
) -> tuple[Tensor, ...]:
    """Build the requested output tensors.

    Args:
        output_NK: the graph's raw output.
        shape: of one item in the graph's output.
    """
    outputs = request.outputs or (RequestedOutput(spec.name),)
    return tuple(
        _classes(spec, labels, output_NK, output.classes)
        if output.classes
        else Tensor(spec.name, Datatype.FP32, output_NK.reshape(-1, *shape))
        for output in outputs
    )


def _only(inputs: tuple[Tensor, ...], spec: InputSpec) -> Tensor:
    check_names("input", [tensor.name for tensor in inputs])
    for tensor in inputs:
        if tensor.name != spec.name:
            message = f"There is no input {shown(tensor.name)}; there is '{spec.name}'."
            raise InvalidTensor(message)
    if not inputs:
        raise InvalidTensor(f"The input '{spec.name}' is missing.")
    return inputs[0]


def _raw_row(raw: bytes | memoryview, spec: InputSpec) -> Row:
    """Recognise one item by its size, or an encoded image by its first bytes."""
    datatype = INPUT_DATATYPES[spec.dtype]
    size = int(np.prod(spec.shape)) * DTYPES[datatype].itemsize
    if len(raw) == size:
        row: Images = from_raw(spec.name, datatype, spec.shape, raw).array
        return row
    data = bytes(raw)
    if recognise(data) is None:
        message = (
            f"A raw binary request to this model is {size} bytes ({datatype} of shape "
            f"{[1, *spec.shape]}) or an encoded image; this one has {len(raw)} bytes."
        )
        raise InvalidTensor(message)
    return data


def _classes(
    spec: OutputSpec, labels: Sequence[str], output_NK: NDArray[np.float32], count: int
) -> Tensor:
    """Return the best classes of every row as ``value:index:label``; [N, k], best first."""
    # NaN never ranks as the best.
    ranked_NK = np.where(np.isnan(output_NK), -np.inf, output_NK)
    elements = [
        f"{output_K[index]:f}:{index}:{_label(labels, index - spec.label_offset, index)}".encode()
        for output_K, ranked_K in zip(output_NK, ranked_NK, strict=True)
        for index in top_k(ranked_K, count).tolist()
    ]
    shape = len(output_NK), min(count, output_NK.shape[1])
    return of_bytes(spec.name, elements, shape)


def _label(labels: Sequence[str], place: int, index: int) -> str:
    """Return the label, or the index if it has no label: clients expect a third part."""
    return labels[place] if 0 <= place < len(labels) else str(index)
