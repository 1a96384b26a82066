"""Prepares the items of one call, each as its kind is prepared alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from observability.metrics.preprocess_metrics import Kind
from schemas.manifest.numeric import parse_scaler_name
from schemas.preprocess.items import ItemHead, PrepareItemsOptions
from service.core.serving.ticket import Ticket
from service.preprocess.images.forms import to_document
from service.preprocess.numbers import to_document as rows_document
from service.preprocess.text.prepared import to_document as texts_document
from service.transport.dependencies import issue_ticket, runtime_of
from service.transport.http.body.uploads import offload_if_large, uploads_of
from service.transport.http.routes.classify import call_of
from service.transport.http.routes.preprocess.item_lines import Item, image_of, text_of
from service.transport.http.routes.preprocess.numeric_items import (
    NUMBER_BYTES,
    count_of,
    numeric_item,
    scaling_of,
)


class ItemPreparer:
    """Returns the result of an item as the members of JSON, which may be NumPy arrays."""

    def __init__(self, request: Request, options: PrepareItemsOptions) -> None:
        self._request, self._options = request, options
        self._preprocessing = runtime_of(request).preprocessing
        self._limits = uploads_of(request).limits
        self._call = call_of(request, options)
        self._kinds: dict[Kind, Callable[[Item], Awaitable[dict[str, object]]]] = {
            "image": self._image,
            "numeric": self._numeric,
            "text": self._text,
        }

    async def __call__(self, item: Item) -> dict[str, object]:
        """Prepare an item, whose value is then dropped.

        Raises:
            ServiceError: the item is invalid, its model is not there, or the server is busy.
        """
        return await self._kinds[item.kind](item)

    async def _image(self, item: Item) -> dict[str, object]:
        value, item.value = item.value, None
        image = await offload_if_large(
            self._request,
            len(value) if isinstance(value, str) else 0,
            lambda: image_of(value, self._limits.max_body_bytes),
        )
        prepared = await self._preprocessing.image(image, self._ticket(item.head))
        return to_document(prepared, self._options.data)

    async def _numeric(self, item: Item) -> dict[str, object]:
        value, item.value = item.value, None
        size = NUMBER_BYTES * count_of(value)
        options, read = numeric_item(value, self._preprocessing.numbers.limits)
        ticket = None
        if options.scaler is not None:
            name, version = parse_scaler_name(options.scaler)
            ticket = issue_ticket(self._request, name, version, self._call)
        prepared = await self._preprocessing.numeric(read, size, scaling_of(options), ticket)
        return rows_document(prepared, options.method)

    async def _text(self, item: Item) -> dict[str, object]:
        text, options = text_of(item.value)
        ticket = self._ticket(item.head) if options.method == "tokens" else None
        return texts_document(await self._preprocessing.texts([text], options, ticket))

    def _ticket(self, head: ItemHead) -> Ticket:
        """Return the ticket of an item: for its model, else for that of the call."""
        model, version = head.model, head.version
        if model is None:
            model, version = self._options.model, version or self._options.version
        return issue_ticket(self._request, model, version, self._call)
