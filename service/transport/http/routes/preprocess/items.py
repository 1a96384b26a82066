"""``POST /v1/preprocess``: many items of all kinds, one JSON a line, streamed in and out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from auth.limiting.limits import Allowance
from auth.principal import Scope
from observability.logs.logging import get_logger
from observability.request import note_error
from schemas.errors import (
    PayloadTooLarge,
    RateLimited,
    ServerFault,
    ServiceError,
    UnsupportedMediaType,
)
from schemas.preprocess.items import PrepareItemsOptions
from service.transport.dependencies import (
    metrics_of,
    origin_of,
    requires,
    runtime_of,
)
from service.transport.http.body.lines import HeldLine, LineReader
from service.transport.http.body.uploads import BASE64_SHARE, offload_if_large, uploads_of
from service.transport.http.middleware.compression import ENCODINGS
from service.transport.http.middleware.disconnect import CancelOnDisconnect
from service.transport.http.middleware.errors import record_error
from service.transport.http.middleware.media_type import content_type_of
from service.transport.http.middleware.negotiation import best_of
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.preprocess.image import FormRoute
from service.transport.http.routes.preprocess.item_lines import (
    ParsedLine,
    error_line,
    item_of,
    parse,
    result_line,
)
from service.transport.http.routes.preprocess.item_preparer import ItemPreparer
from service.transport.in_order import Work, answer_in_order
from service.transport.policy import authorize

NDJSON = "application/x-ndjson"
MORE_BYTES = 2**16
"""Bytes of a line beside its image."""
_EXAMPLE = '{"id": "a", "text": "Good morning"}\n{"id": "b", "image": "iVBORw0KGgo..."}\n'
_ANSWER = (
    '{"id": "a", "result": {"texts": [{"ids": [314, 27]}]}}\n'
    '{"id": "b", "error": {"status": 422, "code": "invalid_image", "detail": "..."}}\n'
)
_LINES = {"type": "string", "description": "One JSON object a line."}


async def preprocess_items(
    request: Request, options: Annotated[PrepareItemsOptions, Query()]
) -> Response:
    """Prepare many images, batches of rows and texts.

    One JSON object a line, with one of `image` (base64), `numeric` and `text`, and optional `id`,
    `model` and `version`. Answers come in the same order, one line each, while the request is sent:
    `{"id", "result"}` or `{"id", "error"}`. A bad line does not affect the others. Read the answers
    while you send: a client that takes none is not read from.
    """
    best_of(request, (NDJSON,))
    if content_type_of(request).name != NDJSON:
        raise UnsupportedMediaType(f"Send one JSON object a line, as {NDJSON}.")
    uploads = uploads_of(request)
    limits = uploads.limits
    lines = LineReader(
        request,
        uploads.reader,
        max_line=int(limits.max_body_bytes * BASE64_SHARE) + MORE_BYTES,
        max_decompressed=limits.max_decompressed_bytes,
    )
    return ItemsResponse(request, options, lines)


class ItemsResponse(Response):
    """Reads items, and sends the answer of each in their order."""

    def __init__(self, request: Request, options: PrepareItemsOptions, lines: LineReader) -> None:
        self.status_code, self.background, self.body = 200, None, b""
        self._request, self._lines = request, lines
        self._runtime = runtime_of(request)
        self._prepare = ItemPreparer(request, options)
        self._count, self._has_begun = 0, False
        self._held: set[HeldLine] = set()

    async def __call__(self, scope: AsgiScope, _: Receive, send: Send) -> None:
        """Answer all items; an error of the call itself is the last line, if there is one before.

        Raises:
            ServiceError: an error of the call before its first line.
            ClientDisconnect: the client is gone.
        """

        async def write(line: bytes) -> None:
            await self._begin(send)
            await send({"type": "http.response.body", "body": line, "more_body": True})

        at_a_time = self._runtime.preprocessing.settings.items_at_a_time
        try:
            with CancelOnDisconnect(scope):
                try:
                    await answer_in_order(self._read, write, at_a_time)
                except ServiceError as error:
                    if not self._has_begun:
                        raise
                    await write(self._error_line(None, error))
                await self._begin(send)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._lines.close()
            for line in self._held:  # of items whose work was cancelled before it began
                line.hold.release()

    async def _begin(self, send: Send) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        # Proxies must not collect it (nginx's name for that).
        headers = [
            (b"content-type", NDJSON.encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _read(self) -> Work[bytes] | None:
        """Return the work of the next item; None at the end.

        Raises:
            PayloadTooLarge: there are too many items.
            Unauthenticated, InsufficientScope, NotReady: the access of the caller has ended.
            ServiceError, ClientDisconnect: see ``LineReader.next``.
        """
        line = await self._lines.next()
        if line is None:
            return None
        self._held.add(line)
        self._count += 1
        most = self._runtime.preprocessing.settings.max_items
        if self._count > most:
            raise PayloadTooLarge(f"A call may have {most} items.")
        return self._answered(line, await self._counted())

    async def _counted(self) -> RateLimited | None:
        """Check the caller again, and count the item as a call; the route did so for the first.

        Raises:
            Unauthenticated, InsufficientScope, NotReady: see ``authorize``.
        """
        if self._count == 1:
            return None
        headers = self._request.scope["headers"]
        try:
            await authorize(
                self._runtime.identity,
                Scope.PREPROCESS,
                address=origin_of(self._request).address,
                authorization=[
                    value.decode("latin-1") for name, value in headers if name == b"authorization"
                ],
                allowance=Allowance(),
                on_known=lambda _: None,
            )
        except RateLimited as error:
            return error
        return None

    async def _answered(self, line: HeldLine, refused: ServiceError | None) -> bytes:
        """Return the line that answers an item."""
        parsed = ParsedLine()
        try:
            with line:
                if line.error is not None:
                    raise line.error
                size = len(line.data)
                parsed = await offload_if_large(self._request, size, lambda: parse(line.data))
                if refused is not None:
                    raise refused
                item = item_of(parsed)
                result = await self._prepare(item)
                if item.kind == "text":  # short
                    return result_line(parsed.id, result)
                item_id = parsed.id
                return await self._runtime.pool.run(lambda: result_line(item_id, result))
        except Exception as error:  # noqa: BLE001 - it belongs to this item alone
            return self._error_line(parsed.id, error)
        finally:
            self._held.discard(line)

    def _error_line(self, item_id: str | int | None, error: Exception) -> bytes:
        """Count an error, log it if it is the server's fault, and return its line."""
        request_id = self._request.scope["state"]["request_id"]
        if not isinstance(error, ServiceError):
            get_logger("http").error("unexpected error", request_id=request_id, exc_info=error)
            error = ServerFault()
            metrics_of(self._request).errors.labels(error.code).inc()
            note_error(error.code)
        else:
            record_error(metrics_of(self._request), error, request_id)
        return error_line(item_id, error)


def add_preprocess_items_route(app: FastAPI) -> None:
    """Register the route on the application."""
    declared: dict[str, Any] = {
        "parameters": [
            {
                "name": "Content-Encoding",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "enum": list(ENCODINGS)},
                "description": "How the body is compressed, if it is.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {NDJSON: {"schema": _LINES, "example": _EXAMPLE}},
        },
    }
    app.router.add_api_route(
        "/v1/preprocess",
        preprocess_items,
        methods=["POST"],
        tags=["preprocess"],
        dependencies=[requires(Scope.PREPROCESS)],
        responses={
            200: {
                "description": "A line for each item, in their order.",
                "content": {NDJSON: {"schema": _LINES, "example": _ANSWER}},
            },
            **problems(400, 401, 403, 406, 408, 413, 415, 422, 429, 500, 503),
        },
        response_class=Response,
        openapi_extra=declared,
        route_class_override=FormRoute,
    )
