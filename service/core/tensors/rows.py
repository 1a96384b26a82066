"""Conversion of request tensors to input rows.

A row is one image: the tensor [C, H, W] that the graph takes, or an encoded image, which the
manifest's preprocessing turns into one. Rows are scheduled one by one, in turn with all other work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.errors import InvalidTensor
from schemas.inference import Datatype
from schemas.model_input import Dtype, InputSpec
from schemas.model_output import OutputSpec
from service.core.engine.engine import Images
from service.core.imaging.formats.signatures import recognise
from service.core.tensors.inference import InferRequest, check_names
from service.core.tensors.tensors import DTYPES, Tensor, from_raw, shown

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


def check_outputs(names: Sequence[str], spec: OutputSpec) -> None:
    """Raise ``InvalidTensor`` if a requested output does not exist or is repeated."""
    check_names("output", names)
    for name in names:
        if name != spec.name:
            message = f"There is no output {shown(name)}; there is '{spec.name}'."
            raise InvalidTensor(message)


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
