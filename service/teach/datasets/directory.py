"""Photos as callers see them: lists in an order, single ones, their images."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from schemas.errors import Conflict, NotFound
from schemas.teach.dataset import Photo, PhotoList, PhotoOrder, PhotoQuery
from service.teach.datasets.photos.inspecting import PhotoInspector
from service.teach.datasets.photos.types import HEAD_BYTES, media_type_of
from service.teach.datasets.photos.writing import missing_photo
from service.teach.datasets.records import StoredPhoto, shown_photo
from service.teach.datasets.store.files import PhotoFiles, PhotoMissing, in_thread
from service.teach.datasets.store.photos import PhotoFilter, PhotoStore

Ranking = Callable[[str, PhotoOrder], Awaitable[Sequence[str]]]
"""Returns the ids of photos of a dataset, first the one that comes first.

Raises ``Conflict`` if there is no run to order by.
"""


async def no_ranking(_dataset: str, _order: PhotoOrder) -> Sequence[str]:
    """Raise ``Conflict``: no run has ordered photos."""
    message = "This order comes from a run: teach the dataset first."
    raise Conflict(message)


class PhotoDirectory:
    """Reads photos. Every method raises ``NotReady`` if the store does not answer."""

    def __init__(self, photos: PhotoStore, files: PhotoFiles, inspector: PhotoInspector) -> None:
        self._photos, self._files, self._inspector = photos, files, inspector
        self.ranking: Ranking = no_ranking

    async def stored(self, dataset: str, photo_id: str) -> StoredPhoto:
        """Return a photo.

        Raises:
            NotFound: there is none.
        """
        return await self._photos.get(dataset, photo_id) or missing_photo()

    async def get(self, dataset: str, photo_id: str) -> Photo:
        """Return a photo as callers see it.

        Raises:
            NotFound: there is none.
        """
        return shown_photo(await self.stored(dataset, photo_id))

    async def page(self, dataset: str, query: PhotoQuery) -> PhotoList:
        """Return a page of photos.

        Raises:
            Conflict: the order needs a run, and there is none.
        """
        which = PhotoFilter(query.label, query.labelled)
        total = await self._photos.count(dataset, which)
        if query.order is PhotoOrder.NEWEST:
            found = await self._photos.page(
                dataset, which, limit=query.limit + 1, after=query.after
            )
        else:
            ids = await self.ranking(dataset, query.order)
            found = await self._ranked(dataset, ids, which, query.limit + 1, query.after)
        page = found[: query.limit]
        has_more = len(found) > query.limit
        return PhotoList(
            photos=[shown_photo(one) for one in page],
            total=total,
            next=page[-1].id if has_more else None,
        )

    async def image(self, dataset: str, photo_id: str, side: int | None) -> tuple[bytes, str]:
        """Return the bytes of a photo, and their media type.

        Args:
            side: the longest of a small JPEG, in pixels; None for the file as it was sent.

        Raises:
            NotFound: there is no such photo, or its file is missing.
        """
        photo = await self.stored(dataset, photo_id)
        try:
            image = await in_thread(partial(self._files.read, photo.digest))
        except PhotoMissing:
            raise NotFound("The file of this photo is missing on this server.") from None
        if side is not None:
            return await self._inspector.preview(image, side, dataset), "image/jpeg"
        return image, media_type_of(image[:HEAD_BYTES])

    async def _ranked(
        self, dataset: str, ids: Sequence[str], which: PhotoFilter, limit: int, after: str | None
    ) -> list[StoredPhoto]:
        """Return those of the photos that the filter leaves, in order."""
        if after is not None:
            ids = ids[ids.index(after) + 1 :] if after in ids else ids
        found: list[StoredPhoto] = []
        for start in range(0, len(ids), limit):
            some = ids[start : start + limit]
            by_id = {one.id: one for one in await self._photos.by_ids(dataset, some, which)}
            found += [by_id[one] for one in some if one in by_id]
            if len(found) >= limit:
                break
        return found[:limit]
