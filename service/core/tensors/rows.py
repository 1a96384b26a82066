"""Conversion of request tensors to input rows.

A row is one item: the tensor that the graph takes, [C, H, W] of an image or [C, L] of a window of
samples; an encoded image or a text, which the manifest's preprocessing turns into a tensor; or a
chunk of rows of numbers. Rows are scheduled one by one, in turn with all other work.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import InvalidTensor
from schemas.manifest.model_output import OutputSpec
from service.core.tensors.forms import Form, Row
from service.core.tensors.inference import InferRequest, check_names
from service.core.tensors.tensors import Tensor, shown


def rows_of(request: InferRequest, form: Form, most: int) -> list[Row]:
    """Return the rows of a request's only input; at least one.

    Args:
        form: of the model's input.
        most: the maximum number of items in one request.

    Raises:
        InvalidTensor: the name, datatype, shape or number of items does not fit.
        Unsupported: an encoded image for a model that takes something else.
        CallerError: an item does not fit the model.
    """
    if request.raw is not None:
        return form.raw(request.raw)
    tensor = _only(request.inputs, form.name)
    form.check(tensor)
    count = tensor.shape[0]
    if not 1 <= count <= most:
        message = f"1 to {most} items are taken in one request, not {count}."
        raise InvalidTensor(message)
    return form.rows(tensor)


def check_outputs(names: Sequence[str], spec: OutputSpec) -> None:
    """Raise ``InvalidTensor`` if a requested output does not exist or is repeated."""
    check_names("output", names)
    for name in names:
        if name != spec.name:
            message = f"There is no output {shown(name)}; there is '{spec.name}'."
            raise InvalidTensor(message)


def _only(inputs: tuple[Tensor, ...], wanted: str) -> Tensor:
    check_names("input", [tensor.name for tensor in inputs])
    for tensor in inputs:
        if tensor.name != wanted:
            message = f"There is no input {shown(tensor.name)}; there is '{wanted}'."
            raise InvalidTensor(message)
    if not inputs:
        raise InvalidTensor(f"The input '{wanted}' is missing.")
    return inputs[0]
