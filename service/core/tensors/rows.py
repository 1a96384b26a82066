"""Conversion of request tensors to input rows.

A row is one item: the tensor that the graph takes, [C, H, W] of an image or [C, L] of a window of
samples; or an encoded image, which the manifest's preprocessing turns into a tensor. Rows are
scheduled one by one, in turn with all other work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.errors import InvalidTensor, Unsupported
from schemas.inference import Datatype
from schemas.model_input import Dtype
from schemas.model_output import OutputSpec
from schemas.models import ModelInput
from schemas.series import SeriesSpec
from service.core.engine.engine import Images
from service.core.imaging.formats.signatures import recognise
from service.core.tensors.inference import InferRequest, check_names
from service.core.tensors.tensors import DTYPES, Tensor, from_raw, shown

Row = bytes | Images
"""An encoded image, or one item of the manifest's shape and dtype."""

INPUT_DATATYPES = {Dtype.FLOAT32: Datatype.FP32, Dtype.UINT8: Datatype.UINT8}


def rows_of(request: InferRequest, spec: ModelInput, most: int) -> list[Row]:
    """Return the rows of a request's only input; at least one.

    Args:
        most: the maximum number of rows in one request.

    Raises:
        InvalidTensor: the name, datatype, shape or number of rows does not fit.
        Unsupported: an encoded image for a model that takes windows of samples.
    """
    if request.raw is not None:
        return [_raw_row(request.raw, spec)]
    tensor = _only(request.inputs, spec)
    datatype = INPUT_DATATYPES[spec.dtype]
    if tensor.datatype is Datatype.BYTES:
        _check_takes_images(spec)
        fits = len(tensor.shape) == 1 or tensor.shape[1:] == (1,)
    elif tensor.datatype is datatype:
        fits = tensor.shape[1:] == spec.shape
    else:
        fits = False
    if not fits:
        encoded = ", or BYTES of shape ['N'] with an encoded image in each"
        also = "" if isinstance(spec, SeriesSpec) else encoded
        raise InvalidTensor(
            f"The input '{spec.name}' is {datatype} of shape {['N', *spec.shape]}{also}, not "
            f"{tensor.datatype} of shape {list(tensor.shape)}."
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


def _only(inputs: tuple[Tensor, ...], spec: ModelInput) -> Tensor:
    check_names("input", [tensor.name for tensor in inputs])
    for tensor in inputs:
        if tensor.name != spec.name:
            message = f"There is no input {shown(tensor.name)}; there is '{spec.name}'."
            raise InvalidTensor(message)
    if not inputs:
        raise InvalidTensor(f"The input '{spec.name}' is missing.")
    return inputs[0]


def _raw_row(raw: bytes | memoryview, spec: ModelInput) -> Row:
    """Recognise one item by its size, or an encoded image by its first bytes."""
    datatype = INPUT_DATATYPES[spec.dtype]
    size = int(np.prod(spec.shape)) * DTYPES[datatype].itemsize
    if len(raw) == size:
        row: Images = from_raw(spec.name, datatype, spec.shape, raw).array
        return row
    data = bytes(raw)
    if recognise(data) is None:
        also = "" if isinstance(spec, SeriesSpec) else " or an encoded image"
        message = (
            f"A raw binary request to this model is {size} bytes ({datatype} of shape "
            f"{[1, *spec.shape]}){also}; this one has {len(raw)} bytes."
        )
        raise InvalidTensor(message)
    _check_takes_images(spec)
    return data


def _check_takes_images(spec: ModelInput) -> None:
    if isinstance(spec, SeriesSpec):
        raise Unsupported(f"The model takes {spec.takes}, not images.")
