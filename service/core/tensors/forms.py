"""The input of a model in the Open Inference Protocol, by its kind of input."""

from __future__ import annotations

import math
from typing import Protocol

from schemas.errors import InvalidTensor, Unsupported
from schemas.http.inference import Datatype
from schemas.manifest.any_input import ModelInput
from schemas.manifest.model_input import InputSpec
from schemas.manifest.numeric import NumericSpec
from schemas.manifest.series import SeriesSpec
from schemas.manifest.text import TextSpec
from service.core.engine.engine import Images
from service.core.imaging.formats.signatures import recognise
from service.core.numeric.rows import Rows, chunks
from service.core.tensors.tensors import DTYPES, Tensor, from_raw
from service.core.text.preprocessing import Text, checked

Row = bytes | Images | Rows | Text
"""An encoded image, one item of the manifest's shape and dtype, a chunk of rows, or a text."""

DATATYPES = {
    "float32": Datatype.FP32,
    "float64": Datatype.FP64,
    "uint8": Datatype.UINT8,
}
"""Datatypes by NumPy's names."""


class Form(Protocol):
    """The form of a model's input.

    Attributes:
        name: of the input.
        datatype: of the tensor that it takes.
        shape: of one item.
        layout: in Triton's words.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    layout: str

    def check(self, tensor: Tensor) -> None:
        """Check the form of a tensor, whatever its number of items.

        Raises:
            InvalidTensor: datatype or shape do not fit.
            Unsupported: it holds images or texts, and the model takes something else.
        """

    def rows(self, tensor: Tensor) -> list[Row]:
        """Return the rows of a tensor that passed ``check``.

        Raises:
            CallerError: an item does not fit the model.
        """

    def raw(self, data: bytes | memoryview) -> list[Row]:
        """Return the rows of one item without a description.

        Raises:
            InvalidTensor, CallerError: it does not fit the model.
        """


def form_of(spec: ModelInput) -> Form:
    """Return the form of a manifest's input."""
    if isinstance(spec, TextSpec):
        return _TextForm(spec)
    if isinstance(spec, NumericSpec):
        return _NumericForm(spec)
    return _TensorForm(spec)


class _TensorForm:
    """Tensors, or encoded images where the model takes images."""

    def __init__(self, spec: InputSpec | SeriesSpec) -> None:
        self._spec = spec
        self._takes_images = isinstance(spec, InputSpec)
        self.name, self.datatype = spec.name, DATATYPES[spec.dtype]
        self.shape: tuple[int, ...] = spec.shape
        self.layout = f"FORMAT_{spec.layout}" if isinstance(spec, InputSpec) else "FORMAT_NONE"

    def check(self, tensor: Tensor) -> None:
        """See ``Form.check``."""
        if tensor.datatype is Datatype.BYTES:
            self._check_takes_images()
            fits = is_column(tensor)
        else:
            fits = tensor.datatype is self.datatype and tensor.shape[1:] == self.shape
        if not fits:
            encoded = ", or BYTES of shape ['N'] with an encoded image in each"
            raise _misfit(self, tensor, encoded if self._takes_images else "")

    def rows(self, tensor: Tensor) -> list[Row]:
        """See ``Form.rows``."""
        return list(tensor.array.flat if tensor.datatype is Datatype.BYTES else tensor.array)

    def raw(self, data: bytes | memoryview) -> list[Row]:
        """See ``Form.raw``: an item by its size, or an encoded image by its first bytes."""
        size = _size(self)
        if len(data) == size:
            row: Images = from_raw(self.name, self.datatype, self.shape, data).array
            return [row]
        encoded = bytes(data)
        if recognise(encoded) is None:
            raise _raw_misfit(
                self, size, data, " or an encoded image" if self._takes_images else ""
            )
        self._check_takes_images()
        return [encoded]

    def _check_takes_images(self) -> None:
        if not self._takes_images:
            raise Unsupported(f"The model takes {self._spec.takes}, not images.")


class _NumericForm:
    """Rows of FP64 or FP32, whatever the type of the graph."""

    layout: str = "FORMAT_NONE"

    def __init__(self, spec: NumericSpec) -> None:
        self._spec = spec
        self.name, self.datatype = spec.name, DATATYPES[spec.dtype]
        self.shape: tuple[int, ...] = spec.shape

    def check(self, tensor: Tensor) -> None:
        """See ``Form.check``."""
        if tensor.datatype is Datatype.BYTES:
            raise Unsupported(f"The model takes {self._spec.takes}, not images or text.")
        fits = tensor.datatype in {Datatype.FP64, Datatype.FP32}
        if not fits or tensor.shape[1:] != self.shape:
            other = Datatype.FP32 if self.datatype is Datatype.FP64 else Datatype.FP64
            raise _misfit(self, tensor, f", or {other} of that shape")

    def rows(self, tensor: Tensor) -> list[Row]:
        """See ``Form.rows``."""
        return [*chunks(tensor.array, self._spec)]

    def raw(self, data: bytes | memoryview) -> list[Row]:
        """See ``Form.raw``: one row in the type of the graph."""
        size = _size(self)
        if len(data) != size:
            if recognise(bytes(data)) is not None:
                raise Unsupported(f"The model takes {self._spec.takes}, not images.")
            raise _raw_misfit(self, size, data)
        return [Rows(from_raw(self.name, self.datatype, (1, *self.shape), data).array)]


class _TextForm:
    """BYTES of text in UTF-8."""

    datatype: Datatype = Datatype.BYTES
    shape: tuple[int, ...] = ()
    layout: str = "FORMAT_NONE"

    def __init__(self, spec: TextSpec) -> None:
        self._spec = spec
        self.name: str = spec.name

    def check(self, tensor: Tensor) -> None:
        """See ``Form.check``."""
        if tensor.datatype is not Datatype.BYTES or not is_column(tensor):
            raise _misfit(self, tensor, " with text in UTF-8 in each")

    def rows(self, tensor: Tensor) -> list[Row]:
        """See ``Form.rows``."""
        return [self._text(data, number) for number, data in enumerate(tensor.array.flat)]

    def raw(self, data: bytes | memoryview) -> list[Row]:
        """See ``Form.raw``: one text."""
        return [self._text(bytes(data), 0)]

    def _text(self, data: bytes, number: int) -> Text:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            if recognise(data) is not None:
                raise Unsupported(f"The model takes {self._spec.takes}, not images.") from None
            raise InvalidTensor(f"Text {number} is not UTF-8.") from None
        return checked(text, self._spec, number)


def is_column(tensor: Tensor) -> bool:
    """Return whether a tensor has one element an item: its shape is [N] or [N, 1]."""
    return len(tensor.shape) == 1 or tensor.shape[1:] == (1,)


def _size(form: Form) -> int:
    """Return the bytes of one item."""
    return math.prod(form.shape) * DTYPES[form.datatype].itemsize


def _misfit(form: Form, tensor: Tensor, also: str = "") -> InvalidTensor:
    return InvalidTensor(
        f"The input '{form.name}' is {form.datatype} of shape {['N', *form.shape]}{also}, not "
        f"{tensor.datatype} of shape {list(tensor.shape)}."
    )


def _raw_misfit(form: Form, size: int, data: bytes | memoryview, also: str = "") -> InvalidTensor:
    return InvalidTensor(
        f"A raw binary request to this model is {size} bytes ({form.datatype} of shape "
        f"{[1, *form.shape]}){also}; this one has {len(data)} bytes."
    )
