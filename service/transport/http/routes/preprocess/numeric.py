"""``POST /v1/preprocess/numeric``: rows of numbers, scaled; needs the scope ``preprocess``."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from auth.principal import Scope
from schemas.errors import UnsupportedMediaType
from schemas.manifest.numeric import parse_scaler_name
from schemas.preprocess.numeric import NumericOptions, NumericRows, PreparedNumeric
from service.core.serving.ticket import Ticket
from service.preprocess.numbers import ScaledRows, Scaling, parse_numbers, to_document
from service.preprocess.numeric.csv_rows import CsvOptions
from service.preprocess.numeric.reading import RowFormat, read_rows, reading_bytes
from service.preprocess.numeric.writing import write_rows
from service.transport.budget import Reservation
from service.transport.dependencies import (
    admit,
    call_context,
    requires,
    runtime_of,
)
from service.transport.http.body.compressed_body import read_packed
from service.transport.http.body.json_text import without_mark
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.media_type import content_type_of
from service.transport.http.middleware.negotiation import best_of
from service.transport.http.middleware.openapi import BINARY, problems

PROTOCOL = "http"
SCALER_HEADER, NAN_HEADER, IMPUTED_HEADER = "Potoo-Scaler", "Potoo-NaN", "Potoo-Imputed"
BODIES = (NumericRows,)
router = APIRouter(
    prefix="/v1/preprocess",
    tags=["preprocess"],
    dependencies=[requires(Scope.PREPROCESS)],
    responses=problems(400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
)
_NOT_STORED = {"cache-control": "no-store"}
_FORMATS = {form.value: form for form in RowFormat}
_ANSWERS = {form.value: {"schema": BINARY} for form in RowFormat if form is not RowFormat.JSON}
_HEADERS = {
    SCALER_HEADER: {
        "schema": {"type": "string"},
        "description": "The scaler and its version; of answers that are not JSON, as the others.",
        "example": "passengers@2",
    },
    NAN_HEADER: {"schema": {"type": "integer"}, "description": "NaN in all columns."},
    IMPUTED_HEADER: {"schema": {"type": "integer"}, "description": "Those that were replaced."},
}
ROWS_BODY: dict[str, Any] = {
    "required": True,
    "description": "Rows in JSON, CSV (RFC 4180, UTF-8), an Arrow IPC stream or a NumPy file; "
    "gzip, deflate and zstd are taken.",
    "content": {
        RowFormat.JSON.value: {"schema": {"$ref": "#/components/schemas/NumericRows"}},
        **_ANSWERS,
    },
}


@router.post(
    "/numeric",
    response_model=PreparedNumeric,
    responses={
        200: {
            "description": "Scaled rows in the form that the Accept header asks for.",
            "headers": _HEADERS,
            "content": _ANSWERS,
        }
    },
    openapi_extra={"requestBody": ROWS_BODY},
)
async def preprocess_numeric(
    request: Request, options: Annotated[NumericOptions, Query()]
) -> Response:
    """Scale rows of numbers.

    By a published scaler, or by a method with given parameters or with those of the rows; with a
    window, as windows of a series. Without numbers, a column's results are NaN, which JSON shows as
    null.
    """
    wanted = RowFormat(best_of(request, tuple(_FORMATS)))
    how = _scaling(options)
    ticket = _ticket(request, options)
    preprocessing = runtime_of(request).preprocessing
    csv = CsvOptions(options.separator, options.header)
    with uploads_of(request).hold as hold:
        body, form = await read_body(request, hold, csv)
        read = partial(read_rows, body, form, csv, preprocessing.numbers.limits)
        scaled = await preprocessing.numeric(read, len(body), how, ticket)
        size, work = scaled.values.nbytes, partial(_answer, scaled, options, wanted)
        return await preprocessing.numbers.offload(size, work)


async def read_body(
    request: Request, hold: Reservation, csv: CsvOptions
) -> tuple[bytes | bytearray, RowFormat]:
    """Read a request's rows, still as they were sent, and reserve the memory to parse them.

    Raises:
        UnsupportedMediaType: the body is in another form.
        PayloadTooLarge, UploadTimeout, Overloaded, InvalidRequest: see ``read_packed``.
    """
    form = _FORMATS.get(content_type_of(request).name)
    if form is None:
        message = f"Send the rows as one of {', '.join(_FORMATS)}."
        raise UnsupportedMediaType(message)
    body = await read_packed(request, hold, uploads_of(request).limits.max_body_bytes)
    if form is RowFormat.JSON:
        body = without_mark(body)
    hold.reserve(len(body) + reading_bytes(body, form, csv))
    return body, form


def _scaling(options: NumericOptions) -> Scaling:
    """Return what the options say of the rows."""
    offset = parse_numbers(options.offset, "/query/offset")
    scale = parse_numbers(options.scale, "/query/scale")
    window, stride = options.window, options.stride
    return Scaling(options.method, options.impute, offset, scale, window, stride)


def _ticket(request: Request, options: NumericOptions) -> Ticket | None:
    """Admit the call to the scaler that it names, before its body is received."""
    if options.scaler is None:
        return None
    name, version = parse_scaler_name(options.scaler)
    return admit(request, name, version, call_context(request, PROTOCOL))


def _answer(scaled: ScaledRows, options: NumericOptions, form: RowFormat) -> Response:
    """Write the answer. Blocks."""
    if form is RowFormat.JSON:
        return Response(_json(scaled, options), headers=_NOT_STORED, media_type=form.value)
    body = write_rows(scaled.values, scaled.columns, form)
    headers = _NOT_STORED | {
        NAN_HEADER: str(scaled.nan_counts.sum()),
        IMPUTED_HEADER: str(scaled.imputed_counts.sum()),
    }
    if scaled.scaler is not None:
        headers[SCALER_HEADER] = f"{scaled.scaler.name}@{scaled.scaler.version}"
    return Response(body, media_type=form.value, headers=headers)


def _json(scaled: ScaledRows, options: NumericOptions) -> bytes:
    document = to_document(scaled, options.method)
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
