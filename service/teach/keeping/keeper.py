"""Keeps photos that are worth a label, behind the answers: nothing waits for it.

::

    answer ─► worth a label? ─► hourly budget ─► queue ─► perceptual hash ─► dataset
                                                             │ near-duplicate: dropped
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from observability.logs.logging import get_logger
from observability.metrics.teach_metrics import TeachMetrics
from schemas.errors import CallerError, Conflict, ServiceError
from schemas.teach.dataset import PhotoSource, ServedAnswer
from service.core.imaging.answer import Classification
from service.core.scheduling.call_context import CallContext
from service.core.serving.model import Model
from service.settings.teach import KeepRule
from service.teach.choosing.near_duplicates import HashIndex
from service.teach.datasets.opening import Datasets
from service.teach.datasets.photos.writing import NewPhoto
from service.teach.keeping.budget import Budget
from service.teach.keeping.worth import Worth, worth_of

CAMERA, REQUEST = "camera", "http"
"""Protocols of calls whose photos may be kept: callers of the others cannot be told."""
ANY = "*"
WAITING = 8
"""Photos that wait to be kept; further ones are dropped."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A photo that is worth a label. ``who``: the camera or the account."""

    rule: int
    image: bytes
    answer: ServedAnswer
    source: PhotoSource
    who: str
    worth: Worth
    at: float


class Keeper:
    """Keeps photos by rules. Belongs to the event loop."""

    def __init__(
        self,
        rules: Sequence[KeepRule],
        metrics: TeachMetrics,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._rules, self._metrics, self._clock = rules, metrics, clock
        self._budgets = [Budget(rule.per_hour, clock) for rule in rules]
        self._queue: asyncio.Queue[_Found] = asyncio.Queue(WAITING)
        self._hashes: dict[str, HashIndex] = {}
        self._log = get_logger("teach")

    def may_keep(self, account: str) -> bool:
        """Return whether photos in requests of an account may be kept."""
        return any(_names(rule.accounts, account) for rule in self._rules)

    def answered(
        self, model: Model, image: bytes, answer: Classification, call: CallContext
    ) -> None:
        """Queue a photo if it is worth a label, and there is room for it."""
        if call.protocol not in {CAMERA, REQUEST} or not call.may_keep:
            return
        is_camera = call.protocol == CAMERA
        who = call.owner.removeprefix(f"{CAMERA}:") if is_camera else call.owner
        source = PhotoSource.CAMERA if is_camera else PhotoSource.ANSWER
        unknown = model.manifest.unnamed if model.manifest.base else ()
        for number, rule in enumerate(self._rules):
            if not _names(rule.cameras if is_camera else rule.accounts, who):
                continue
            if rule.models and model.ref.name not in rule.models:
                continue
            worth = worth_of(answer, unknown, below=rule.below, margin=rule.margin)
            if worth is None:
                continue
            if not self._budgets[number].has_room(who):
                self._metrics.not_kept(source, "budget")
                continue
            served = _served(model, answer)
            found = _Found(number, bytes(image), served, source, who, worth, self._clock())
            try:
                self._queue.put_nowait(found)
            except asyncio.QueueFull:
                self._metrics.not_kept(source, "queue")

    async def run(self, datasets: Callable[[], Datasets]) -> None:
        """Keep photos, forever.

        Args:
            datasets: builds the objects of datasets, when the first photo is kept.
        """
        while True:
            found = await self._queue.get()
            try:
                await self._keep(found, datasets())
            except (Conflict, CallerError) as error:
                self._metrics.not_kept(found.source, "refused")
                self._complain(found, error)
            except (ServiceError, OSError) as error:
                self._metrics.not_kept(found.source, "failed")
                self._complain(found, error)

    async def _keep(self, found: _Found, datasets: Datasets) -> None:
        rule, budget = self._rules[found.rule], self._budgets[found.rule]
        if not budget.has_room(found.who):  # others of the queue have used it
            self._metrics.not_kept(found.source, "budget")
            return
        inspected = await datasets.photo_administration.inspect(found.image, rule.dataset)
        known = await self._known(rule.dataset, datasets)
        value = inspected.hash64
        if value is not None and known.has_near(value):
            self._metrics.not_kept(found.source, "duplicate")
            return
        await self._make_room(rule, len(found.image), datasets)
        day = datetime.fromtimestamp(found.at, UTC).date()
        is_camera = found.source is PhotoSource.CAMERA
        photo = NewPhoto(
            found.image,
            inspected,
            group=f"{CAMERA}:{found.who}:{day}" if is_camera else None,
            captured=found.at,
            source=found.source,
            answer=found.answer,
        )
        by = f"{CAMERA}:{found.who}" if is_camera else found.who
        await datasets.writer.add(rule.dataset, [photo], by=by)
        budget.spend(found.who)
        if value is not None:
            known.add(value)
        self._metrics.kept(found.source, found.worth)

    async def _known(self, dataset: str, datasets: Datasets) -> HashIndex:
        """Return the hashes of a dataset's photos, read once."""
        known = self._hashes.get(dataset)
        if known is None:
            hashes = [
                photo.hash64
                async for photo in datasets.photos.each(dataset)
                if photo.hash64 is not None
            ]
            known = self._hashes[dataset] = HashIndex(hashes)
        return known

    async def _make_room(self, rule: KeepRule, size: int, datasets: Datasets) -> None:
        """Remove the oldest kept photos without a label, so that one more fits."""
        waiting = await datasets.photos.kept_unlabelled(rule.dataset)
        total = sum(kept_bytes for _, kept_bytes in waiting) + size
        for photo_id, kept_bytes in waiting:
            if total <= rule.max_bytes:
                break
            await datasets.writer.remove(rule.dataset, photo_id)
            self._metrics.removed.inc()
            total -= kept_bytes

    def _complain(self, found: _Found, error: Exception) -> None:
        dataset = self._rules[found.rule].dataset
        self._log.warning("a photo was not kept", dataset=dataset, reason=str(error))


def _names(names: Sequence[str], name: str) -> bool:
    return name in names or ANY in names


def _served(model: Model, answer: Classification) -> ServedAnswer:
    first = answer.predictions[0]
    return ServedAnswer(
        model=model.ref.name,
        version=model.ref.version,
        label=None if answer.abstained else first.label,
        score=min(1.0, first.score),
    )
