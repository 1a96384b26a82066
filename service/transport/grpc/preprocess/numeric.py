"""``PreprocessService.Numeric``: scaled rows of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from schemas.errors import InvalidParameter, Violation
from schemas.manifest.numeric import ScalerName, parse_scaler_name
from schemas.pb import potoo_pb2 as pb
from schemas.preprocess.numeric import Impute, Method
from service.core.numeric.column_map import Columns
from service.preprocess.numbers import ScaledRows, Scaling
from service.preprocess.numeric.csv_rows import CsvOptions
from service.preprocess.numeric.reading import RowFormat, read_rows
from service.preprocess.numeric.rows import RowLimits, Rows, raw_rows
from service.runtime.runtime import Runtime
from service.settings import LimitSettings
from service.transport.grpc.call import Call
from service.transport.grpc.tickets import ticket_of

Request = pb.PrepareNumericRequest
_METHODS: Final[dict[int, Method]] = {
    Request.STANDARDISE: "standardise",
    Request.MIN_MAX: "min-max",
    Request.ROBUST: "robust",
}
_IMPUTES: Final[dict[int, Impute]] = {
    Request.NONE: "none",
    Request.MEAN: "mean",
    Request.MEDIAN: "median",
}
_FORMATS = {"csv": RowFormat.CSV, "arrow": RowFormat.ARROW, "npy": RowFormat.NPY}
_SCALER: TypeAdapter[str] = TypeAdapter(ScalerName)


class NumericMethod:
    """Implementation of ``Numeric``, and of the numeric items of ``Items``."""

    def __init__(self, runtime: Runtime, limits: LimitSettings) -> None:
        self._runtime, self._limits = runtime, limits

    async def __call__(self, request: pb.PrepareNumericRequest, call: Call) -> pb.PreparedNumeric:
        """Scale rows.

        Raises:
            InvalidParameter: fields contradict each other, or the rows cannot be used.
            ServiceError: see ``NumberScaling.prepare``.
        """
        how, ticket = _scaling(request), None
        if request.HasField("scaler"):
            name, version = parse_scaler_name(_scaler_name(request))
            ticket = ticket_of(self._runtime, call, name, version)
        preprocessing = self._runtime.preprocessing
        read = _reading(request, preprocessing.numbers.limits)
        scaled = await preprocessing.numeric(read, request.ByteSize(), how, ticket)
        return _message(scaled)


def _reading(request: pb.PrepareNumericRequest, limits: RowLimits) -> Callable[[], Rows]:
    """Return a function that reads the rows of a request."""
    kind = request.WhichOneof("data")
    if kind == "rows":
        rows = request.rows
        return partial(raw_rows, rows.values, rows.columns, tuple(rows.column_names), limits)
    if kind is None:
        raise _invalid("data", "Give one of rows, csv, arrow and npy")
    data: bytes = getattr(request, kind)
    return partial(read_rows, data, _FORMATS[kind], CsvOptions(), limits)


def _scaling(request: pb.PrepareNumericRequest) -> Scaling:
    if request.method not in {Request.METHOD_UNSPECIFIED, *_METHODS}:
        raise _invalid("method", "There is no such method")
    if request.impute not in _IMPUTES:
        raise _invalid("impute", "There is no such imputation")
    method, impute = _METHODS.get(request.method), _IMPUTES[request.impute]
    has_scaling = request.HasField("scaling")
    if request.HasField("scaler") and method is not None:
        raise _invalid("scaler", "Give a scaler or a method, not both")
    if method is None and (has_scaling or impute != "none"):
        raise _invalid("method", "scaling and impute need a method")
    offset = _numbers(request.scaling.offset, "scaling/offset") if has_scaling else None
    scale = _numbers(request.scaling.scale, "scaling/scale") if has_scaling else None
    window = request.window if request.HasField("window") else None
    stride = request.stride if request.HasField("stride") else None
    if window == 0 or stride == 0:
        raise _invalid("window", "window and stride must be at least 1")
    if stride is not None and window is None:
        raise _invalid("stride", "stride needs window")
    return Scaling(method, impute, offset, scale, window, stride)


def _scaler_name(request: pb.PrepareNumericRequest) -> ScalerName:
    try:
        return _SCALER.validate_python(request.scaler)
    except ValidationError:
        raise _invalid("scaler", "Write NAME or NAME@VERSION") from None


def _numbers(given: Sequence[float], field: str) -> Columns:
    numbers = np.array(given, np.float64)
    if not np.isfinite(numbers).all():
        raise _invalid(field, "The numbers must be finite")
    return numbers


def _message(scaled: ScaledRows) -> pb.PreparedNumeric:
    scaler = scaled.scaler
    answer = pb.PreparedNumeric(
        scaler="" if scaler is None else scaler.name,
        scaler_version=0 if scaler is None else scaler.version,
        tensor=pb.Tensor(
            datatype="FP64",
            shape=scaled.values.shape,
            data=np.ascontiguousarray(scaled.values, "<f8").tobytes(),
        ),
        column_names=scaled.columns,
        nan_counts=scaled.nan_counts.tolist(),
        imputed_counts=scaled.imputed_counts.tolist(),
    )
    if scaled.offset is not None and scaled.scale is not None:
        answer.scaling.offset.extend(scaled.offset.tolist())
        answer.scaling.scale.extend(scaled.scale.tolist())
    return answer


def _invalid(field: str, detail: str) -> InvalidParameter:
    return InvalidParameter(violations=(Violation(f"/{field}", detail),))
